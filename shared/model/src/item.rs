//! The item of a customer in the table.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::SCHEMA;
use crate::cleanup::{CleanupMessage, CleanupType};
use crate::customer::{Customer, Profile, Status};
use crate::event::{Change, CustomerEvent, Deletion};
use crate::extra::Extra;
use crate::key::PARTITION_KEY_BYTES_MAX;
use crate::time::Time;

#[cfg(feature = "schema")]
use schemars::JsonSchema;

/// The sort key of every customer's item.
pub const SORT_KEY: &str = "customer";

/// What one conditional write puts into the table.
#[derive(Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Item {
    /// The customer as it is now.
    Customer(Box<CustomerItem>),
    /// That there was one.
    Tombstone(Box<Tombstone>),
}

/// A customer as it is now. Times are RFC 3339 in UTC.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct CustomerItem {
    /// `<provider>#<account>#<customer id>`; a `#` or `%` inside a part is percent-encoded.
    pub pk: String,
    /// Always `customer`.
    pub sk: String,
    /// The provider's name.
    pub provider: String,
    /// The provider's account, `-` where it has none.
    pub account: String,
    /// The provider's id of the customer.
    pub customer_id: String,
    /// Your own key for the customer; indexed by `by-external-id`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external_id: Option<String>,
    /// What the provider says of the record.
    pub status: Status,
    /// What to call the customer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The primary e-mail in lower case; indexed by `by-email`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// The common model.
    pub profile: Profile,
    /// Every field with no place in the model, under its own name.
    pub extra: Map<String, Value>,
    /// When the provider made the record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_at: Option<Time>,
    /// When the provider last changed it: the version of the rank.
    pub updated_at: String,
    /// Where the last event stands in the order. Only ever grows.
    pub rank: String,
    /// The event that this state came with.
    pub last_event: LastEvent,
    /// The version of this shape: 1.
    pub schema: u8,
}

/// That a customer was deleted. Holds nothing personal once the cleanup message is sent.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Tombstone {
    /// `<provider>#<account>#<customer id>`; a `#` or `%` inside a part is percent-encoded.
    pub pk: String,
    /// Always `customer`.
    pub sk: String,
    /// The provider's name.
    pub provider: String,
    /// The provider's account, `-` where it has none.
    pub account: String,
    /// The provider's id of the customer.
    pub customer_id: String,
    /// Always `deleted`.
    pub status: DeletedStatus,
    /// When the provider deleted the customer.
    pub deleted_at: Time,
    /// Where the delete stands in the order: above every event that is no delete.
    pub rank: String,
    /// The delete event.
    pub last_event: LastEvent,
    /// The version of this shape: 1.
    pub schema: u8,
    /// The cleanup message, byte for byte as it is sent. Only until SQS has taken it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cleanup: Option<String>,
    /// Since when the message waits; indexed by `cleanup-due`. Only until SQS has taken it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cleanup_due: Option<Time>,
}

/// The status of a tombstone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
pub enum DeletedStatus {
    /// The provider deleted the customer.
    #[serde(rename = "deleted")]
    Deleted,
}

/// The event that a state came with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct LastEvent {
    /// The provider's stable id of the event.
    pub id: String,
    /// The type as the provider names it.
    #[serde(rename = "type")]
    pub kind: String,
    /// When its delivery arrived.
    pub received_at: Time,
}

crate::private::private_debug!(Item, CustomerItem, Tombstone);

impl CustomerEvent {
    /// The item to write, if the event is the greatest of its customer. `received_at` is when its delivery arrived.
    #[must_use]
    pub fn item(&self, received_at: Timestamp) -> Item {
        let last_event = LastEvent {
            id: self.event.id.clone(),
            kind: self.event.kind.clone(),
            received_at: Time::of_arrival(received_at),
        };
        match &self.change {
            Change::Snapshot(customer) => Item::Customer(Box::new(self.customer_item(customer, last_event))),
            Change::Deletion(deletion) => Item::Tombstone(Box::new(self.tombstone(deletion, last_event))),
        }
    }

    fn customer_item(&self, customer: &Customer, last_event: LastEvent) -> CustomerItem {
        let key = &self.key;
        let rank = self.rank();
        let (external_id, too_long) = match customer.external_id.clone() {
            Some(id) if id.len() > PARTITION_KEY_BYTES_MAX => (None, Some(id)),
            id => (id, None),
        };
        CustomerItem {
            pk: key.to_string(),
            sk: SORT_KEY.to_owned(),
            provider: key.provider().to_owned(),
            account: key.account().to_owned(),
            customer_id: key.customer_id().to_owned(),
            external_id,
            status: customer.status,
            name: customer.name(),
            email: customer.email().filter(|email| email.len() <= PARTITION_KEY_BYTES_MAX),
            profile: Profile { external_id: too_long, ..customer.profile.clone() },
            extra: Extra::of(customer.extra.clone()).keep("", (*customer.extra_of_batch).clone()).into_map(),
            created_at: customer.created_at,
            updated_at: rank.version.to_string(),
            rank: rank.to_string(),
            last_event,
            schema: SCHEMA,
        }
    }

    fn tombstone(&self, deletion: &Deletion, last_event: LastEvent) -> Tombstone {
        let key = &self.key;
        let message = CleanupMessage {
            schema: SCHEMA,
            kind: CleanupType::CustomerDeleted,
            cleanup_id: key.to_string(),
            provider: key.provider().to_owned(),
            account: key.account().to_owned(),
            customer_id: key.customer_id().to_owned(),
            external_id: deletion.external_id.clone(),
            identifiers: deletion.identifiers.clone(),
            deleted_at: deletion.deleted_at,
            event_id: self.event.id.clone(),
        };
        #[expect(clippy::expect_used, reason = "a struct of strings always serializes")]
        let cleanup = sendable(&serde_json::to_string(&message).expect("a struct of strings"));
        Tombstone {
            pk: key.to_string(),
            sk: SORT_KEY.to_owned(),
            provider: key.provider().to_owned(),
            account: key.account().to_owned(),
            customer_id: key.customer_id().to_owned(),
            status: DeletedStatus::Deleted,
            deleted_at: deletion.deleted_at,
            rank: self.rank().to_string(),
            cleanup_due: Some(last_event.received_at),
            last_event,
            schema: SCHEMA,
            cleanup: Some(cleanup),
        }
    }
}

/// The same JSON without the two characters that SQS takes in no message and JSON leaves as they are: they are
/// written as escapes, which they can only be inside of strings.
pub(crate) fn sendable(json: &str) -> String {
    json.replace('\u{fffe}', "\\ufffe").replace('\u{ffff}', "\\uffff")
}

impl Item {
    /// Where the item stands in the order.
    #[must_use]
    pub fn rank(&self) -> &str {
        match self {
            Self::Customer(item) => &item.rank,
            Self::Tombstone(item) => &item.rank,
        }
    }
}
