//! A customer's item in the table.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::cleanup::{CleanupMessage, Deletion};
use crate::customer::{Customer, CustomerStatus};
use crate::erasure::Receipts;
use crate::event::{Change, CustomerEvent};
use crate::extra::ExtraFields;
use crate::json::sqs_message;
use crate::profile::Profile;
use crate::schema_version::SCHEMA_VERSION;
use crate::table_limits::fits_key;
use crate::time::Time;

#[cfg(feature = "schema")]
use schemars::JsonSchema;

/// The sort key of every customer's item.
pub const SORT_KEY: &str = "customer";

/// The item that one conditional write puts into the table.
#[derive(Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Item {
    /// The customer as it is now.
    Customer(Box<CustomerItem>),
    /// A record that the customer was deleted.
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
    /// The provider's account.
    pub account: String,
    /// The provider's id of the customer.
    pub customer_id: String,
    /// Your own key for the customer; indexed by `by-external-id`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external_id: Option<String>,
    /// The status of the record at the provider.
    pub status: CustomerStatus,
    /// A name for the customer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The primary e-mail without blanks at its ends, in Unicode's form NFC, in lower case; indexed by `by-email`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// The common model.
    pub profile: Profile,
    /// Every field that has no place in the common model, under its own name.
    pub extra: Map<String, Value>,
    /// When the provider created the record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_at: Option<Time>,
    /// When the provider last changed the record. This is the version in the rank.
    pub updated_at: String,
    /// The last event's place in the order. It only ever increases.
    pub rank: String,
    /// The event that brought this state.
    pub last_event: LastEvent,
    /// The version of this schema: 1.
    pub schema: u8,
}

/// A record that a customer was deleted. It contains no personal data once the cleanup message is sent.
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
    /// The provider's account.
    pub account: String,
    /// The provider's id of the customer.
    pub customer_id: String,
    /// Always `deleted`.
    pub status: DeletedStatus,
    /// When the provider deleted the customer.
    pub deleted_at: Time,
    /// The delete event's place in the order: above all events that are not deletes.
    pub rank: String,
    /// The delete event.
    pub last_event: LastEvent,
    /// The version of this schema: 1.
    pub schema: u8,
    /// The cleanup message, byte for byte as it is sent. Removed when SQS has accepted it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cleanup: Option<String>,
    /// When the message may be sent; indexed by `cleanup-due`. Removed when SQS has accepted the message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cleanup_due: Option<Time>,
    /// Which systems have confirmed that they erased their copies.
    #[serde(default)]
    pub receipts: Receipts,
    /// Since when some system's receipt has been missing; indexed by `erasure-open`. Removed when all systems have confirmed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub erasure_open: Option<Time>,
}

/// The status of a tombstone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
pub enum DeletedStatus {
    /// The provider deleted the customer.
    #[serde(rename = "deleted")]
    Deleted,
}

/// The event that brought a state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct LastEvent {
    /// The provider's stable id of the event. Absent if the state was read from the provider's list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// The type, as the provider names it; `import` or `reconcile` if the state was read from the provider's list.
    #[serde(rename = "type")]
    pub kind: String,
    /// When its delivery arrived, or when the list was read.
    pub received_at: Time,
}

redacted_debug!(Item, CustomerItem, Tombstone);

impl CustomerEvent {
    /// The item to write if this is the customer's greatest event. `received_at` is when its delivery arrived.
    #[must_use]
    pub fn item(&self, received_at: Timestamp) -> Item {
        let last_event = self.last_event(received_at);
        match &self.change {
            Change::Snapshot(customer) => Item::Customer(Box::new(self.customer_item(customer, last_event))),
            Change::Deletion(deletion) => Item::Tombstone(Box::new(self.tombstone(deletion, last_event))),
        }
    }

    pub(crate) fn last_event(&self, received_at: Timestamp) -> LastEvent {
        let id = Some(self.id.clone()).filter(|id| !id.is_empty());
        LastEvent { id, kind: self.kind.clone(), received_at: Time::in_milliseconds(received_at) }
    }

    fn customer_item(&self, customer: &Customer, last_event: LastEvent) -> CustomerItem {
        let key = &self.key;
        let rank = self.rank();
        let (external_id, too_long) = match customer.external_id.clone() {
            Some(id) if !fits_key(&id) => (None, Some(id)),
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
            email: customer.email().filter(|email| fits_key(email)),
            profile: Profile { external_id: too_long, ..customer.profile.clone() },
            extra: ExtraFields::of(customer.extra.clone()).keep("", (*customer.extra_of_batch).clone()).into_map(),
            created_at: customer.created_at,
            updated_at: rank.version.to_string(),
            rank: rank.to_string(),
            last_event,
            schema: SCHEMA_VERSION,
        }
    }

    pub(crate) fn tombstone(&self, deletion: &Deletion, last_event: LastEvent) -> Tombstone {
        let key = &self.key;
        Tombstone {
            pk: key.to_string(),
            sk: SORT_KEY.to_owned(),
            provider: key.provider().to_owned(),
            account: key.account().to_owned(),
            customer_id: key.customer_id().to_owned(),
            status: DeletedStatus::Deleted,
            deleted_at: deletion.deleted_at,
            rank: self.rank().to_string(),
            cleanup: Some(sqs_message(&CleanupMessage::new(key, deletion, last_event.id.clone()))),
            cleanup_due: Some(last_event.received_at),
            receipts: Receipts::new(),
            erasure_open: None,
            last_event,
            schema: SCHEMA_VERSION,
        }
    }
}

/// The attributes are not those of an item that this version knows. The text does not contain them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an item has attributes that this version does not know")]
pub struct ItemError;

impl TryFrom<Map<String, Value>> for Item {
    type Error = ItemError;

    /// Reads an item of the table.
    fn try_from(attributes: Map<String, Value>) -> Result<Self, ItemError> {
        // Not by an untagged enum, which would not keep the digits of numbers.
        let is_tombstone = attributes.get("status").is_some_and(|status| status == "deleted");
        if is_tombstone {
            serde_json::from_value(Value::Object(attributes)).map(Self::Tombstone).map_err(|_| ItemError)
        } else {
            CustomerItem::try_from(attributes).map(Box::new).map(Self::Customer)
        }
    }
}

impl TryFrom<Map<String, Value>> for CustomerItem {
    type Error = ItemError;

    /// Values of any form are taken as they are. The deserializer would take an object in them that begins with a name
    /// private to it for a number.
    fn try_from(mut attributes: Map<String, Value>) -> Result<Self, ItemError> {
        let Some(Value::Object(extra)) = attributes.insert("extra".to_owned(), Value::Object(Map::new())) else {
            return Err(ItemError);
        };
        let metadata = attributes.get_mut("profile").and_then(|profile| profile.as_object_mut()?.remove("metadata"));
        let mut item: Self = serde_json::from_value(Value::Object(attributes)).map_err(|_| ItemError)?;
        (item.extra, item.profile.metadata) = (extra, metadata);
        Ok(item)
    }
}

impl Item {
    /// The customer's key as text.
    #[must_use]
    pub fn pk(&self) -> &str {
        match self {
            Self::Customer(item) => &item.pk,
            Self::Tombstone(item) => &item.pk,
        }
    }

    /// The place of the item's last event in the order.
    #[must_use]
    pub fn rank(&self) -> &str {
        match self {
            Self::Customer(item) => &item.rank,
            Self::Tombstone(item) => &item.rank,
        }
    }
}
