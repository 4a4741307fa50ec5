//! The event that announces a change of a customer: a CloudEvent 1.0 in JSON
//! (<https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/formats/json-format.md>), as the detail of an event of
//! EventBridge.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::customer::CustomerStatus;
use crate::customer_change::{ChangeType, CustomerChange};
use crate::item::{CustomerItem, DeletedStatus, Item, LastEvent};
use crate::json::sqs_message;
use crate::key;
use crate::schema_version::SCHEMA_VERSION;
use crate::time::Time;

#[cfg(feature = "schema")]
use schemars::JsonSchema;

/// The largest request to EventBridge in bytes, and so the largest event
/// (<https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-putevents.html>).
pub const REQUEST_BYTES_MAX: usize = 256 * 1024;
/// What the time of an event counts towards its size.
const TIME_BYTES: usize = 14;

/// The JSON Schema of `data`.
pub const DATA_SCHEMA: &str = concat!(
    "https://github.com/clientele-webhooks/clientele/blob/v",
    env!("CARGO_PKG_VERSION"),
    "/docs/schema/change-data.json"
);

/// What events say about a customer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FeedContent {
    /// Nothing personal but the provider's ids.
    Keys,
    /// The whole customer as well.
    Full,
}

/// How changes become events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeedSettings {
    /// The `source` of the events: `/clientele/<stack>`.
    pub source: String,
    /// What they say about a customer.
    pub content: FeedContent,
}

/// A write to the table, as its stream reports it.
#[derive(Clone, Debug)]
pub struct ItemWrite {
    /// The stream's id of the write, the same each time it is read.
    pub id: String,
    /// About when it happened.
    pub at: Timestamp,
    /// The item before; absent if there was none.
    pub old: Option<Item>,
    /// The item after; absent if it was removed.
    pub new: Option<Item>,
}

/// What an event says about a change.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
pub struct ChangeData {
    /// The version of this schema: 1.
    pub schema: u8,
    /// The provider's name.
    pub provider: String,
    /// The provider's account.
    pub account: String,
    /// The provider's id of the customer.
    pub customer_id: String,
    /// The status of the record at the provider, or `deleted`. Absent if the item was removed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<ChangedStatus>,
    /// The place of this state in the order. Of two events of a customer, the one with the greater rank is newer. Compare the
    /// bytes.
    pub rank: String,
    /// The fields of an update that differ, such as `name`, `profile.phones` or `extra.plan`. `extra` stands for all of its
    /// fields.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub changed: Vec<String>,
    /// The event that brought this state. Absent if the item was removed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_event: Option<LastEvent>,
    /// Your own key for the customer, which may be an e-mail address. Only with `ChangeFeed=full`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external_id: Option<String>,
    /// The customer's item. Only with `ChangeFeed=full`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub customer: Option<Box<CustomerItem>>,
    /// Why `customer` is absent despite `ChangeFeed=full`: read the item from the table instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub customer_omitted: Option<OmissionReason>,
}

redacted_debug!(ChangeData);

/// The status of a customer or a tombstone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
#[serde(untagged)]
pub enum ChangedStatus {
    /// Of a customer.
    Customer(CustomerStatus),
    /// Of a tombstone.
    Tombstone(DeletedStatus),
}

/// Why an event has no customer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
pub enum OmissionReason {
    /// With the customer, the event would be larger than EventBridge takes.
    #[serde(rename = "too_large")]
    TooLarge,
}

/// An event for the bus.
#[derive(Clone, PartialEq, Eq)]
pub struct ChangeEvent {
    /// The id of the CloudEvent: the same whenever the event is sent again.
    pub id: String,
    /// The customer's `pk`.
    pub pk: String,
    /// The rank of the state.
    pub rank: String,
    /// The type, which is also the `DetailType`.
    pub kind: ChangeType,
    /// Which stack it is from; also the `Source`.
    pub source: String,
    /// When it happened.
    pub at: Timestamp,
    /// The CloudEvent as JSON.
    pub detail: String,
    /// Whether the customer was left out because of its size.
    pub is_customer_omitted: bool,
}

redacted_debug!(ChangeEvent);

#[derive(Serialize)]
struct CloudEvent<'a> {
    specversion: &'static str,
    id: &'a str,
    source: &'a str,
    #[serde(rename = "type")]
    kind: ChangeType,
    subject: &'a str,
    time: Time,
    datacontenttype: &'static str,
    dataschema: &'static str,
    data: &'a ChangeData,
}

impl ChangeEvent {
    /// The event about a write. `None` if it did not change the customer's state.
    #[must_use]
    pub fn of_write(write: &ItemWrite, settings: &FeedSettings) -> Option<Self> {
        let CustomerChange { kind, changed } = CustomerChange::between(write.old.as_ref(), write.new.as_ref())?;
        let item = write.new.as_ref().or(write.old.as_ref())?;
        Some(Self::new(item, kind, changed, &write.id, write.at, settings))
    }

    /// The event that says again what the item is now: a snapshot, or a delete.
    #[must_use]
    pub fn of_item(item: &Item, id: &str, at: Timestamp, settings: &FeedSettings) -> Self {
        let kind = match item {
            Item::Customer(_) => ChangeType::Snapshot,
            Item::Tombstone(_) => ChangeType::Deleted,
        };
        Self::new(item, kind, vec![], id, at, settings)
    }

    /// The event about an item that is gone, of which only the key and the last rank are known. `None` if the text is not a
    /// customer's `pk`.
    #[must_use]
    pub fn of_removed(pk: &str, rank: &str, id: &str, at: Timestamp, settings: &FeedSettings) -> Option<Self> {
        let [provider, account, customer_id] = key::parts(pk)?;
        let data = ChangeData {
            schema: SCHEMA_VERSION,
            provider,
            account,
            customer_id,
            status: None,
            rank: rank.to_owned(),
            changed: vec![],
            last_event: None,
            external_id: None,
            customer: None,
            customer_omitted: None,
        };
        Some(Self::of_data(pk, ChangeType::Removed, data, id, at, settings))
    }

    fn new(
        item: &Item,
        kind: ChangeType,
        changed: Vec<String>,
        id: &str,
        at: Timestamp,
        settings: &FeedSettings,
    ) -> Self {
        let mut data = ChangeData::keys(item);
        data.changed = changed;
        if kind == ChangeType::Removed {
            (data.status, data.last_event) = (None, None);
        }
        if let (Item::Customer(customer), FeedContent::Full, false) =
            (item, settings.content, kind == ChangeType::Removed)
        {
            data.external_id.clone_from(&customer.external_id);
            data.customer = Some(customer.clone());
        }
        Self::of_data(item.pk(), kind, data, id, at, settings)
    }

    fn of_data(
        pk: &str,
        kind: ChangeType,
        mut data: ChangeData,
        id: &str,
        at: Timestamp,
        settings: &FeedSettings,
    ) -> Self {
        let (id, pk, rank) = (id.to_owned(), pk.to_owned(), data.rank.clone());
        let source = settings.source.clone();
        let mut event = Self { id, pk, rank, kind, source, at, detail: String::new(), is_customer_omitted: false };
        event.detail = event.cloud_event(&data);
        if event.bytes() > REQUEST_BYTES_MAX && data.customer.is_some() {
            data.customer = None;
            data.customer_omitted = Some(OmissionReason::TooLarge);
            event.is_customer_omitted = true;
            event.detail = event.cloud_event(&data);
        }
        event
    }

    fn cloud_event(&self, data: &ChangeData) -> String {
        let event = CloudEvent {
            specversion: "1.0",
            id: &self.id,
            source: &self.source,
            kind: self.kind,
            subject: &self.pk,
            time: Time::in_milliseconds(self.at),
            datacontenttype: "application/json",
            dataschema: DATA_SCHEMA,
            data,
        };
        // A struct with names as keys always serializes.
        serde_json::to_string(&event).unwrap_or_default()
    }

    /// What the event counts towards the size of a request.
    #[must_use]
    pub fn bytes(&self) -> usize {
        TIME_BYTES + self.source.len() + self.kind.as_str().len() + self.detail.len()
    }
}

impl ChangeData {
    fn keys(item: &Item) -> Self {
        let (provider, account, customer_id, status, last_event) = match item {
            Item::Customer(item) => {
                let CustomerItem { provider, account, customer_id, status, last_event, .. } = &**item;
                (provider, account, customer_id, ChangedStatus::Customer(*status), last_event)
            }
            Item::Tombstone(item) => {
                let status = ChangedStatus::Tombstone(item.status);
                (&item.provider, &item.account, &item.customer_id, status, &item.last_event)
            }
        };
        Self {
            schema: SCHEMA_VERSION,
            provider: provider.clone(),
            account: account.clone(),
            customer_id: customer_id.clone(),
            status: Some(status),
            rank: item.rank().to_owned(),
            changed: vec![],
            last_event: Some(last_event.clone()),
            external_id: None,
            customer: None,
            customer_omitted: None,
        }
    }
}

/// The message about a change that is not on the bus, for an operator. It says where the change is found, not what it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
pub struct RefusedChange {
    /// The version of this schema: 1.
    pub schema: u8,
    /// The id that the event has or would have.
    pub id: String,
    /// The customer's `pk`.
    pub pk: String,
    /// The rank of the state; absent if it cannot be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rank: Option<String>,
    /// Why it is not on the bus.
    pub reason: String,
}

impl RefusedChange {
    /// A change with the reason why it is not on the bus.
    #[must_use]
    pub fn new(id: String, pk: String, rank: Option<String>, reason: &str) -> Self {
        Self { schema: SCHEMA_VERSION, id, pk, rank, reason: reason.to_owned() }
    }

    /// The message as SQS accepts it.
    #[must_use]
    pub fn message(&self) -> String {
        sqs_message(self)
    }
}
