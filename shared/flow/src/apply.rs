//! One event: one conditional write, and the message of a delete.

use std::time::Duration;

use clientele_model::{CustomerEvent, Item, Outcome};
use jiff::Timestamp;
use tokio::time::{Instant, timeout, timeout_at};

use crate::Flow;
use crate::delivery::Budget;
use crate::ports::{Put, Queue, Queues, Table, TableError};

/// How long a mark may take to be cleared. It is not waited for longer: the message is sent already.
const CLEAR_WITHIN: Duration = Duration::from_millis(500);

/// What came of applying an event.
pub(crate) struct Applied {
    /// `Parked` and `Quarantined` say where it belongs; nothing is sent yet.
    pub(crate) outcome: Outcome,
    pub(crate) reason: Option<String>,
    pub(crate) warning: Option<String>,
    pub(crate) write_units: Option<f64>,
}

impl Applied {
    pub(crate) fn of(outcome: Outcome) -> Self {
        Self { outcome, reason: None, warning: None, write_units: None }
    }

    pub(crate) fn because(outcome: Outcome, reason: &dyn std::fmt::Display) -> Self {
        Self { reason: Some(reason.to_string()), ..Self::of(outcome) }
    }
}

impl<T: Table, Q: Queues> Flow<T, Q> {
    /// Writes the event's item if it is the greatest of its customer. A delete then sends its cleanup message, which
    /// stays in the tombstone until the queue has taken it: whoever delivers the delete again finds it there and sends
    /// it, and so does the sweep. So a written delete is settled, even if its message could not be sent.
    pub(crate) async fn apply(&self, event: &CustomerEvent, received_at: Timestamp, budget: Budget) -> Applied {
        // Even to begin costs time, and there may be many left.
        if Instant::now() >= budget.write_by {
            return Applied::because(Outcome::Parked, &"no time left");
        }
        let item = event.item(received_at);
        let put = match timeout_at(budget.write_by, self.table.put(&item)).await {
            Ok(Ok(put)) => put,
            Ok(Err(error @ TableError::Unavailable(_))) => return Applied::because(Outcome::Parked, &error),
            Ok(Err(error @ TableError::Unstorable(_))) => return Applied::because(Outcome::Quarantined, &error),
            Err(_) => return Applied::because(Outcome::Parked, &"the table did not answer in time"),
        };
        let (mut applied, rank, cleanup) = match (put, item) {
            (Put::Written(write_units), Item::Tombstone(tombstone)) => {
                let applied = Applied { write_units, ..Applied::of(Outcome::Applied) };
                (applied, tombstone.rank, tombstone.cleanup)
            }
            (Put::Written(write_units), Item::Customer(_)) => {
                return Applied { write_units, ..Applied::of(Outcome::Applied) };
            }
            (Put::Refused(standing), item) => {
                let outcome = if standing.rank == item.rank() { Outcome::Duplicate } else { Outcome::Stale };
                let cleanup = standing.cleanup.filter(|_| matches!(item, Item::Tombstone(_)));
                (Applied::of(outcome), standing.rank, cleanup)
            }
        };
        if let Some(message) = cleanup {
            let (pk, provider) = (event.key().to_string(), event.key().provider());
            let forwarded = timeout_at(budget.send_by, self.forward(&pk, &rank, provider, &message)).await;
            applied.warning = match forwarded.unwrap_or_else(|_| Forwarded::Waits("no time left".to_owned())) {
                Forwarded::Cleared(units) => {
                    let units = [applied.write_units, units].into_iter().flatten();
                    applied.write_units = units.reduce(|sum, units| sum + units);
                    None
                }
                Forwarded::Sent(why) => Some(format!("cleanup mark not cleared: {why}")),
                Forwarded::Waits(why) => Some(format!("cleanup message left to the sweep: {why}")),
            };
        }
        applied
    }

    /// Sends the cleanup message of a tombstone, then takes it out of the tombstone.
    pub(crate) async fn forward(&self, pk: &str, rank: &str, provider: &str, message: &str) -> Forwarded {
        if let Err(error) = self.queues.send(Queue::Cleanup, provider, message).await {
            return Forwarded::Waits(error.to_string());
        }
        // If the mark stays, the message is sent once more some day, and that is all.
        match timeout(CLEAR_WITHIN, self.table.clear_cleanup(pk, rank)).await {
            Ok(Ok(units)) => Forwarded::Cleared(units),
            Ok(Err(error)) => Forwarded::Sent(error.to_string()),
            Err(_) => Forwarded::Sent("the table did not answer in time".to_owned()),
        }
    }
}

/// What came of a cleanup message.
pub(crate) enum Forwarded {
    /// Sent, and its tombstone is clean. With the write units, as far as they are known.
    Cleared(Option<f64>),
    /// Sent; it may be sent again. Why.
    Sent(String),
    /// Not known to be sent; it waits in its tombstone. Why.
    Waits(String),
}
