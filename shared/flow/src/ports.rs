//! What the flow needs from outside: a table with conditional writes, queues, a provider's list API, and a bus for events.

use clientele_model::{ApiAnswer, ApiRequest, ChangeEvent, Item, ItemError, Receipt, RefusedChange, Tombstone};
use jiff::Timestamp;

/// The table of customers.
pub trait Table: Sync {
    /// Writes the item if the customer has none yet, or one of a smaller rank. Atomic.
    ///
    /// # Errors
    /// When it is not known that the item was written. It may have been.
    fn put(&self, item: &Item) -> impl Future<Output = Result<PutResult, TableError>> + Send;

    /// Writes the tombstone of a delete, provided that the customer's item is still the one that was seen: in its rank, and
    /// if it is a tombstone, in all that changes without its rank: its cleanup message and its receipts. Atomic.
    ///
    /// # Errors
    /// When it is not known that the tombstone was written. It may have been.
    fn replace(
        &self,
        tombstone: &Tombstone,
        seen: Option<&Item>,
    ) -> impl Future<Output = Result<ReplaceResult, TableError>> + Send;

    /// The whole item of a customer, strongly consistent. A later version may have written an item that this one does not
    /// understand, and reading it again does not help.
    ///
    /// # Errors
    /// When the table cannot be read.
    fn item(&self, pk: &str) -> impl Future<Output = Result<Option<Result<Item, ItemError>>, TableError>> + Send;

    /// Removes this cleanup message from the tombstone of that rank. Another item is left alone, and so is another message,
    /// because a delete may have added to it. Returns the write units, if the service reported them.
    ///
    /// # Errors
    /// When it is not known that the message was removed. It may have been.
    fn clear_cleanup(
        &self,
        pk: &str,
        rank: &str,
        message: &str,
    ) -> impl Future<Output = Result<Option<f64>, TableError>> + Send;

    /// A page of the tombstones whose cleanup message may be sent at that time, starting after an earlier page. Eventually
    /// consistent: a tombstone that was written or cleared a moment ago may be missing or still be there.
    ///
    /// # Errors
    /// When the table cannot be read.
    fn pending_cleanups(
        &self,
        due_by: Timestamp,
        after: Option<PendingCleanup>,
    ) -> impl Future<Output = Result<PendingCleanupPage, TableError>> + Send;

    /// The current item of a customer, strongly consistent.
    ///
    /// # Errors
    /// When the table cannot be read.
    fn current_item(&self, pk: &str) -> impl Future<Output = Result<Option<CurrentItem>, TableError>> + Send;
}

/// The customers in the table, for those who compare them with a provider's list.
pub trait CustomerReader: Sync {
    /// A page of the customers of one account that are not deleted, starting after an earlier page. Eventually consistent,
    /// as [`Table::pending_cleanups`].
    ///
    /// # Errors
    /// When the table cannot be read.
    fn live_items(
        &self,
        provider: &str,
        account: &str,
        after: Option<String>,
    ) -> impl Future<Output = Result<LiveItemPage, TableError>> + Send;
}

/// A page of customers that are not deleted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LiveItemPage {
    /// The customers.
    pub items: Vec<LiveItem>,
    /// The next page starts after this `pk`; absent on the last page.
    pub next: Option<String>,
}

/// A customer that is not deleted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LiveItem {
    /// Its key.
    pub pk: String,
    /// The provider's id of the customer.
    pub customer_id: String,
    /// Its rank.
    pub rank: String,
}

/// All customers in the table, for those who send them again.
pub trait CustomerScan: Sync {
    /// A page of all items, deleted customers included, starting after an earlier page. Strongly consistent: an item is at
    /// least as new as when the page was asked for.
    ///
    /// # Errors
    /// When the table cannot be read.
    fn items_after(&self, pk: Option<String>) -> impl Future<Output = Result<ItemPage, TableError>> + Send;
}

/// A page of items.
#[derive(Clone, Debug, PartialEq)]
pub struct ItemPage {
    /// The items, as far as this version can read them.
    pub items: Vec<Result<Item, UnreadableItem>>,
    /// The next page starts after this `pk`; absent on the last page.
    pub next: Option<String>,
}

/// An item that this version cannot read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnreadableItem {
    /// Its key.
    pub pk: String,
    /// Why.
    pub why: String,
}

/// A provider's list API.
pub trait ListClient: Sync {
    /// Sends a request once, with the API key, and returns the answer, whatever its status is.
    ///
    /// # Errors
    /// When there is no answer.
    fn call(&self, request: &ApiRequest) -> impl Future<Output = Result<ApiAnswer, ApiUnreachable>> + Send;
}

/// There was no answer. The text contains nothing of the request.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ApiUnreachable(pub String);

/// The result of a conditional write.
#[derive(Clone, Debug, PartialEq)]
pub enum PutResult {
    /// The item was written. With the write units, if the service reported them.
    Written(Option<f64>),
    /// The item was not written: the current one has the same rank or a greater one.
    ConditionFailed(CurrentItem),
}

/// What the flow needs to know of a customer's current item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CurrentItem {
    /// Its rank.
    pub rank: String,
    /// The cleanup message of a tombstone, until it is sent and removed.
    pub cleanup: Option<String>,
    /// When that message may be sent, in RFC 3339.
    pub cleanup_due: Option<String>,
}

/// The result of a conditional write of a tombstone.
#[derive(Clone, Debug, PartialEq)]
pub enum ReplaceResult {
    /// The tombstone was written. With the write units, if the service reported them.
    Written(Option<f64>),
    /// It was not written, because the item has changed.
    Changed,
}

/// What the receipts of systems that have erased their copies change in tombstones.
pub trait Tombstones: Sync {
    /// Adds a system's receipt to the tombstone of a customer, unless it has one, and returns the tombstone. Atomic. `None` if
    /// the customer is not deleted.
    ///
    /// # Errors
    /// When it is not known that the receipt was added. It may have been.
    fn add_receipt(
        &self,
        pk: &str,
        system: &str,
        receipt: Receipt,
    ) -> impl Future<Output = Result<Option<Tombstone>, TableError>> + Send;

    /// Removes `erasure_open` from the tombstone of a customer, provided that it has the receipts of all these systems.
    ///
    /// # Errors
    /// When it is not known that it was removed. It may have been.
    fn close_erasure(&self, pk: &str, systems: &[String]) -> impl Future<Output = Result<(), TableError>> + Send;

    /// A page of the tombstones that lack a system's receipt, starting after an earlier page. Eventually consistent, as
    /// [`Table::pending_cleanups`].
    ///
    /// # Errors
    /// When the table cannot be read.
    fn open_erasures(
        &self,
        after: Option<OpenErasure>,
    ) -> impl Future<Output = Result<OpenErasurePage, TableError>> + Send;
}

/// A page of tombstones that lack a system's receipt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenErasurePage {
    /// The tombstones.
    pub open: Vec<OpenErasure>,
    /// The next page starts after this tombstone; absent on the last page.
    pub next: Option<OpenErasure>,
}

/// A tombstone that lacks a system's receipt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenErasure {
    /// Its key.
    pub pk: String,
    /// When it was written first, in RFC 3339.
    pub since: String,
}

/// A page of tombstones that still hold their cleanup message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PendingCleanupPage {
    /// The tombstones.
    pub pending: Vec<PendingCleanup>,
    /// The next page starts after this tombstone; absent on the last page.
    pub next: Option<PendingCleanup>,
}

/// A tombstone that still holds its cleanup message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PendingCleanup {
    /// Its key.
    pub pk: String,
    /// When its message may be sent, in RFC 3339.
    pub due: String,
}

/// Why the table could not be written or read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TableError {
    /// Trying again later may help: unreachable, throttled, timed out, access denied.
    #[error("the table cannot be used: {0}")]
    Unavailable(String),
    /// The table can never hold this item: it is over 400 KB, for example.
    #[error("the table cannot hold the item: {0}")]
    Unstorable(String),
}

/// A queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Queue {
    /// Deletes, for all other systems.
    Cleanup,
    /// Verified deliveries that wait for the table.
    Inbox,
    /// Verified deliveries that wait for an operator.
    Quarantine,
}

impl Queue {
    /// The name of the queue in messages and on the local stack.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Cleanup => "cleanup",
            Self::Inbox => "inbox",
            Self::Quarantine => "quarantine",
        }
    }
}

/// The queues.
pub trait Queues: Sync {
    /// Sends a message to a queue, byte for byte, with the name of the provider as an attribute.
    ///
    /// # Errors
    /// When it is not known that the queue accepted the message. It may have.
    fn send(&self, queue: Queue, provider: &str, message: &str) -> impl Future<Output = Result<(), QueueError>> + Send;
}

/// A message could not be sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the {} queue cannot be reached: {why}", queue.name())]
pub struct QueueError {
    /// Which queue.
    pub queue: Queue,
    /// Why.
    pub why: String,
}

/// The bus that other systems learn of changes from.
pub trait EventBus: Sync {
    /// Puts events on the bus with one call, with one result per event in the same order. The caller keeps within the limits
    /// of a call.
    ///
    /// # Errors
    /// When the call as a whole failed. It may have put some of the events on the bus.
    fn put(&self, events: &[ChangeEvent]) -> impl Future<Output = Result<Vec<EventResult>, BusError>> + Send;
}

/// What became of one event of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EventResult {
    /// It is on the bus.
    Accepted,
    /// The bus will never take it. With the reason, which contains nothing of the event.
    Refused(String),
    /// The bus may take it later. With the reason.
    Failed(String),
}

/// Why a call to the bus failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BusError {
    /// Trying again later may help: unreachable, throttled, timed out, access denied, no such bus.
    #[error("the event bus cannot be used: {0}")]
    Unavailable(String),
    /// The content of an event makes the bus refuse the whole call.
    #[error("the event bus refuses the events: {0}")]
    Refused(String),
}

/// Where changes are named that the bus does not take.
pub trait RefusedChanges: Sync {
    /// Keeps a message for an operator.
    ///
    /// # Errors
    /// When it is not known that the message was kept. It may have been. With the reason.
    fn keep(&self, message: &RefusedChange) -> impl Future<Output = Result<(), String>> + Send;
}
