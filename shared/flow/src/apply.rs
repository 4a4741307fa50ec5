//! One event: a conditional write. A delete is more, see `deletion.rs`.

use clientele_model::{Change, CustomerEvent, Outcome};
use jiff::Timestamp;
use tokio::time::{Instant, timeout, timeout_at};

use crate::Flow;
use crate::deadlines::{CLEAR_WITHIN, Deadlines};
use crate::deletion::ItemCondition;
use crate::ports::{PutResult, Queue, Queues, Table, TableError};

/// Why an event is parked although the table has not failed.
pub(crate) const TABLE_TOO_SLOW: &str = "the table did not answer in time";

/// The outcome of an event, and what is logged with it.
pub(crate) struct EventResult {
    /// `Parked` and `Quarantined` name the queue where the event belongs. It is not sent there yet.
    pub(crate) outcome: Outcome,
    pub(crate) reason: Option<String>,
    pub(crate) warning: Option<String>,
    pub(crate) write_units: Option<f64>,
    /// The rank of the item that the event did not replace.
    pub(crate) current_rank: Option<String>,
}

impl EventResult {
    pub(crate) fn new(outcome: Outcome) -> Self {
        Self { outcome, reason: None, warning: None, write_units: None, current_rank: None }
    }

    pub(crate) fn because(outcome: Outcome, reason: &dyn std::fmt::Display) -> Self {
        Self { reason: Some(reason.to_string()), ..Self::new(outcome) }
    }

    /// The outcome of an event whose item could not be read or written.
    pub(crate) fn of_failure(error: &TableError) -> Self {
        match error {
            TableError::Unavailable(_) => Self::because(Outcome::Parked, error),
            TableError::Unstorable(_) => Self::because(Outcome::Quarantined, error),
        }
    }
}

impl<T: Table, Q: Queues> Flow<T, Q> {
    /// Writes the event's item if it is the greatest of its customer.
    pub(crate) async fn apply(
        &self,
        event: &CustomerEvent,
        received_at: Timestamp,
        deadlines: Deadlines,
    ) -> EventResult {
        if matches!(event.change(), Change::Deletion(_)) {
            return self.apply_delete(event, received_at, ItemCondition::Any, deadlines).await;
        }
        // Starting a write costs time too, so stop once the deadline has passed.
        if Instant::now() >= deadlines.write_by {
            return EventResult::because(Outcome::Parked, &"no time left");
        }
        let item = event.item(received_at);
        match timeout_at(deadlines.write_by, self.table.put(&item)).await {
            Ok(Ok(PutResult::Written(write_units))) => {
                EventResult { write_units, ..EventResult::new(Outcome::Applied) }
            }
            Ok(Ok(PutResult::ConditionFailed(current))) => {
                let outcome = if current.rank == item.rank() { Outcome::Duplicate } else { Outcome::Stale };
                EventResult { current_rank: Some(current.rank), ..EventResult::new(outcome) }
            }
            Ok(Err(error)) => EventResult::of_failure(&error),
            Err(_) => EventResult::because(Outcome::Parked, &TABLE_TOO_SLOW),
        }
    }

    /// Sends the cleanup message of a tombstone, then removes it from the tombstone.
    pub(crate) async fn forward(&self, pk: &str, rank: &str, provider: &str, message: &str) -> ForwardResult {
        if let Err(error) = self.queues.send(Queue::Cleanup, provider, message).await {
            return ForwardResult::NotSent(error.to_string());
        }
        match timeout(CLEAR_WITHIN, self.table.clear_cleanup(pk, rank, message)).await {
            Ok(Ok(units)) => ForwardResult::SentAndCleared(units),
            Ok(Err(error)) => ForwardResult::SentNotCleared(error.to_string()),
            Err(_) => ForwardResult::SentNotCleared(TABLE_TOO_SLOW.to_owned()),
        }
    }
}

/// The state of a cleanup message after an attempt to send it.
pub(crate) enum ForwardResult {
    /// Sent, and removed from its tombstone. With the write units, if the service reported them.
    SentAndCleared(Option<f64>),
    /// Sent, but perhaps still in its tombstone, so it may be sent again. With the reason.
    SentNotCleared(String),
    /// Perhaps not sent, and still in its tombstone. With the reason.
    NotSent(String),
}
