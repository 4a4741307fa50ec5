//! One delete: it merges with the customer's current item, and then sends its cleanup message.

use clientele_model::{CustomerEvent, DeleteDecision, Item, Outcome, Time, Tombstone};
use jiff::Timestamp;
use tokio::time::{Instant, timeout_at};

use crate::Flow;
use crate::apply::{EventResult, ForwardResult, TABLE_TOO_SLOW};
use crate::deadlines::{DELETE_ATTEMPTS_MAX, Deadlines};
use crate::ports::{Queues, ReplaceResult, Table};

/// Which item a delete may replace.
#[derive(Clone, Copy, Debug)]
pub(crate) enum ItemCondition<'a> {
    /// Every one of a smaller rank.
    Any,
    /// The customer's item of this rank. If there is another one, the delete is stale.
    OfRank(&'a str),
}

/// A tombstone's message and what is needed to send it.
struct Pending {
    rank: String,
    message: String,
    due: Option<Time>,
}

impl<T: Table, Q: Queues> Flow<T, Q> {
    /// Merges the delete with the current item, and writes the tombstone if the item has not changed meanwhile. Then it sends
    /// the cleanup message if that is due. The message stays in the tombstone until the queue has accepted it: if sending
    /// fails, a redelivered delete or the sweep finds it there and sends it, so the outcome does not depend on it.
    pub(crate) async fn apply_delete(
        &self,
        event: &CustomerEvent,
        received_at: Timestamp,
        condition: ItemCondition<'_>,
        deadlines: Deadlines,
    ) -> EventResult {
        let pk = event.key().to_string();
        for _ in 0..DELETE_ATTEMPTS_MAX {
            // Starting a call costs time too, so stop once the deadline has passed.
            if Instant::now() >= deadlines.write_by {
                return EventResult::because(Outcome::Parked, &"no time left");
            }
            let current = match timeout_at(deadlines.write_by, self.table.item(&pk)).await {
                Ok(Ok(Some(Ok(current)))) => Some(current),
                Ok(Ok(None)) => None,
                // Another version may understand it.
                Ok(Ok(Some(Err(error)))) => return EventResult::because(Outcome::Parked, &error),
                Ok(Err(error)) => return EventResult::of_failure(&error),
                Err(_) => return EventResult::because(Outcome::Parked, &TABLE_TOO_SLOW),
            };
            if let (ItemCondition::OfRank(rank), current) = (condition, current.as_ref().map(Item::rank))
                && current != Some(rank)
            {
                let current_rank = current.map(str::to_owned);
                return EventResult { current_rank, ..EventResult::new(Outcome::Stale) };
            }
            let decision = event.decide_delete(current.as_ref(), received_at, deadlines.started_at, &self.erasure);
            let (tombstone, outcome) = match decision {
                Some(DeleteDecision::Write(tombstone, outcome)) => (tombstone, outcome),
                Some(DeleteDecision::Keep(outcome)) => {
                    let current_rank = current.as_ref().map(|item| item.rank().to_owned());
                    let result = EventResult { current_rank, ..EventResult::new(outcome) };
                    let Some(Item::Tombstone(current)) = current else { return result };
                    return self.forward_if_due(event, Pending::of(*current), result, deadlines).await;
                }
                None => return EventResult::because(Outcome::Quarantined, &"the event is not a delete"),
            };
            match timeout_at(deadlines.write_by, self.table.replace(&tombstone, current.as_ref())).await {
                Ok(Ok(ReplaceResult::Written(write_units))) => {
                    let current_rank = (outcome != Outcome::Applied).then(|| tombstone.rank.clone());
                    let result = EventResult { write_units, current_rank, ..EventResult::new(outcome) };
                    return self.forward_if_due(event, Pending::of(*tombstone), result, deadlines).await;
                }
                Ok(Ok(ReplaceResult::Changed)) => {}
                Ok(Err(error)) => return EventResult::of_failure(&error),
                Err(_) => return EventResult::because(Outcome::Parked, &TABLE_TOO_SLOW),
            }
        }
        EventResult::because(Outcome::Parked, &"the item changed during each attempt")
    }

    /// Sends a pending message, unless it is held back.
    async fn forward_if_due(
        &self,
        event: &CustomerEvent,
        pending: Option<Pending>,
        mut result: EventResult,
        deadlines: Deadlines,
    ) -> EventResult {
        let Some(Pending { rank, message, due }) = pending else { return result };
        if due.is_some_and(|due| due.0 > deadlines.now()) {
            return result;
        }
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
        result
    }
}

impl Pending {
    fn of(tombstone: Tombstone) -> Option<Self> {
        let Tombstone { rank, cleanup, cleanup_due, .. } = tombstone;
        Some(Self { rank, message: cleanup?, due: cleanup_due })
    }
}
