//! What the flow needs from outside: a table that writes on a condition, and queues that keep a message.

use clientele_model::Item;

/// The table of customers.
pub trait Table: Sync {
    /// Writes the item if there is none of its customer, or one of a smaller rank: in one atomic step.
    ///
    /// # Errors
    /// When it is not known that the item was written. It may have been.
    fn put(&self, item: &Item) -> impl Future<Output = Result<Put, TableError>> + Send;

    /// Takes the cleanup message out of the tombstone of that rank. If another stands there by now, it is left alone.
    /// Gives the write units, as far as they are known.
    ///
    /// # Errors
    /// When it is not known that the message is gone. It may be.
    fn clear_cleanup(&self, pk: &str, rank: &str) -> impl Future<Output = Result<Option<f64>, TableError>> + Send;

    /// Tombstones whose cleanup message waits: a page of them, from where an earlier page ended. What was marked or
    /// cleared a moment ago may be missing or still be there.
    ///
    /// # Errors
    /// When the table cannot be read.
    fn due(&self, after: Option<Waiting>) -> impl Future<Output = Result<Due, TableError>> + Send;

    /// What stands for a customer now.
    ///
    /// # Errors
    /// When the table cannot be read.
    fn standing(&self, pk: &str) -> impl Future<Output = Result<Option<Standing>, TableError>> + Send;
}

/// What came of a write.
#[derive(Clone, Debug, PartialEq)]
pub enum Put {
    /// The item is now the customer's state. In write units, as far as the service told.
    Written(Option<f64>),
    /// It is not: something that is not smaller stands already.
    Refused(Standing),
}

/// What stands for a customer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Its rank.
    pub rank: String,
    /// The cleanup message that it still has to send.
    pub cleanup: Option<String>,
}

/// A page of tombstones whose cleanup message waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Due {
    /// The tombstones.
    pub waiting: Vec<Waiting>,
    /// After which the next page begins; none after the last page.
    pub next: Option<Waiting>,
}

/// A tombstone whose cleanup message waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// Its key.
    pub pk: String,
    /// Since when it waits, in RFC 3339.
    pub since: String,
}

/// Why the table could not be written or read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TableError {
    /// The service could not be reached, or could not do it now: throttled, timed out, not allowed.
    #[error("the table cannot be used: {0}")]
    Unavailable(String),
    /// The table cannot hold the item: over 400 KB, for one.
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
    /// What it is called.
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
    /// Sends a message about something of that provider, byte for byte.
    ///
    /// # Errors
    /// When it is not known that the queue has taken it. It may have.
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
