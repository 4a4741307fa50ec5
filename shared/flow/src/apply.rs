//! One event: a conditional write, and for a delete its cleanup message.

use clientele_model::{CustomerEvent, Item, Outcome};
use jiff::Timestamp;
use tokio::time::{Instant, timeout, timeout_at};

use crate::Flow;
use crate::deadlines::{CLEAR_WITHIN, Deadlines};
use crate::ports::{PutResult, Queue, Queues, Table, TableError};

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
}

impl<T: Table, Q: Queues> Flow<T, Q> {
    /// Writes the event's item if it is the greatest of its customer. A delete then sends its cleanup message, which
    /// stays in the tombstone until the queue has accepted it. If sending fails, a redelivered delete or the sweep finds
    /// the message there and sends it, so the outcome of a written delete does not depend on it.
    pub(crate) async fn apply(
        &self,
        event: &CustomerEvent,
        received_at: Timestamp,
        deadlines: Deadlines,
    ) -> EventResult {
        // Starting a write costs time too, so stop once the deadline has passed.
        if Instant::now() >= deadlines.write_by {
            return EventResult::because(Outcome::Parked, &"no time left");
        }
        let item = event.item(received_at);
        let put = match timeout_at(deadlines.write_by, self.table.put(&item)).await {
            Ok(Ok(put)) => put,
            Ok(Err(error @ TableError::Unavailable(_))) => return EventResult::because(Outcome::Parked, &error),
            Ok(Err(error @ TableError::Unstorable(_))) => return EventResult::because(Outcome::Quarantined, &error),
            Err(_) => return EventResult::because(Outcome::Parked, &"the table did not answer in time"),
        };
        let (mut result, rank, cleanup) = match (put, item) {
            (PutResult::Written(write_units), Item::Tombstone(tombstone)) => {
                let result = EventResult { write_units, ..EventResult::new(Outcome::Applied) };
                (result, tombstone.rank, tombstone.cleanup)
            }
            (PutResult::Written(write_units), Item::Customer(_)) => {
                return EventResult { write_units, ..EventResult::new(Outcome::Applied) };
            }
            (PutResult::ConditionFailed(current), item) => {
                let outcome = if current.rank == item.rank() { Outcome::Duplicate } else { Outcome::Stale };
                let cleanup = current.cleanup.filter(|_| matches!(item, Item::Tombstone(_)));
                let result = EventResult { current_rank: Some(current.rank.clone()), ..EventResult::new(outcome) };
                (result, current.rank, cleanup)
            }
        };
        if let Some(message) = cleanup {
            let (pk, provider) = (event.key().to_string(), event.key().provider());
            let forwarded = timeout_at(deadlines.send_by, self.forward(&pk, &rank, provider, &message)).await;
            result.warning = match forwarded.unwrap_or_else(|_| ForwardResult::NotSent("no time left".to_owned())) {
                ForwardResult::SentAndCleared(units) => {
                    let units = [result.write_units, units].into_iter().flatten();
                    result.write_units = units.reduce(|sum, units| sum + units);
                    None
                }
                ForwardResult::SentNotCleared(why) => {
                    Some(format!("cleanup message sent but not removed from the tombstone: {why}"))
                }
                ForwardResult::NotSent(why) => Some(format!("cleanup message left to the sweep: {why}")),
            };
        }
        result
    }

    /// Sends the cleanup message of a tombstone, then removes it from the tombstone.
    pub(crate) async fn forward(&self, pk: &str, rank: &str, provider: &str, message: &str) -> ForwardResult {
        if let Err(error) = self.queues.send(Queue::Cleanup, provider, message).await {
            return ForwardResult::NotSent(error.to_string());
        }
        match timeout(CLEAR_WITHIN, self.table.clear_cleanup(pk, rank)).await {
            Ok(Ok(units)) => ForwardResult::SentAndCleared(units),
            Ok(Err(error)) => ForwardResult::SentNotCleared(error.to_string()),
            Err(_) => ForwardResult::SentNotCleared("the table did not answer in time".to_owned()),
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
