//! The reads and writes of a run through a list. They are tried again for longer than those of a delivery.

use clientele_model::{CustomerEvent, CustomerKey, Deletion, Item, ItemError, Outcome, Rank, Time};
use tokio::time::{Instant, timeout};

use crate::Flow;
use crate::apply::EventResult;
use crate::deadlines::{Deadlines, RECORD_ATTEMPTS_MAX, RECORD_READ_WITHIN};
use crate::deletion::ItemCondition;
use crate::list_requests::ListRunError;
use crate::pacing::{Clock, pause_before_write};
use crate::ports::{CurrentItem, CustomerReader, LiveItemPage, Queues, Table, TableError};

/// A customer whom the provider has verifiably deleted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct VerifiedDelete {
    pub(crate) key: CustomerKey,
    /// The rank of the customer's item when the provider was asked.
    pub(crate) rank: String,
    /// When the provider deleted the customer, if it says so.
    pub(crate) deleted_at: Option<Time>,
}

impl<T: Table, Q: Queues> Flow<T, Q> {
    /// Writes a record by the same write as an event. It is never kept on a queue, because it can be read again: if the
    /// table cannot be used after several attempts, the outcome remains `Parked`, and the run has to stop.
    ///
    /// An attempt that failed may have written the record. The next one finds it in the table, so it counts as written.
    pub(crate) async fn write_record(&self, event: &CustomerEvent, clock: &Clock) -> EventResult {
        let mut attempt = 1;
        loop {
            let deadlines = Deadlines::of_record(Instant::now(), clock.now());
            let mut result = self.apply(event, clock.now(), deadlines).await;
            if result.outcome == Outcome::Duplicate && attempt > 1 {
                result.outcome = Outcome::Applied;
            }
            if result.outcome != Outcome::Parked || attempt == RECORD_ATTEMPTS_MAX {
                return result;
            }
            pause_before_write(clock, attempt).await;
            attempt += 1;
        }
    }

    pub(crate) async fn read_current_item(&self, pk: &str, clock: &Clock) -> Result<Option<CurrentItem>, ListRunError> {
        read_table(clock, || self.table.current_item(pk)).await
    }
}

impl<T: Table + CustomerReader, Q: Queues> Flow<T, Q> {
    pub(crate) async fn read_item(
        &self,
        pk: &str,
        clock: &Clock,
    ) -> Result<Option<Result<Item, ItemError>>, ListRunError> {
        read_table(clock, || self.table.item(pk)).await
    }

    pub(crate) async fn read_live_items(
        &self,
        provider: &str,
        account: &str,
        after: Option<&String>,
        clock: &Clock,
    ) -> Result<LiveItemPage, ListRunError> {
        read_table(clock, || self.table.live_items(provider, account, after.cloned())).await
    }

    /// Replaces the customer by a tombstone and sends the cleanup message, as a delete of the provider does. Returns
    /// whether it did: not if the item is no longer the one that the provider was asked about.
    pub(crate) async fn erase(&self, delete: &VerifiedDelete, clock: &Clock) -> Result<bool, ListRunError> {
        let Some(event) = delete.event(clock) else { return Ok(false) };
        let condition = ItemCondition::OfRank(&delete.rank);
        let mut attempt = 1;
        loop {
            let deadlines = Deadlines::of_record(Instant::now(), clock.now());
            let result = self.apply_delete(&event, clock.now(), condition, deadlines).await;
            match result.outcome {
                Outcome::Applied => return Ok(true),
                // An attempt that failed, or another run, may have written this very tombstone. Its message is then left to
                // the sweep.
                Outcome::Duplicate | Outcome::Stale => {
                    return Ok(result.current_rank == Some(event.rank().to_string()));
                }
                Outcome::Parked if attempt < RECORD_ATTEMPTS_MAX => pause_before_write(clock, attempt).await,
                _ => return Err(ListRunError::Table(result.reason.unwrap_or_default())),
            }
            attempt += 1;
        }
    }
}

impl VerifiedDelete {
    /// The delete, which takes its identifiers from the item. `None` if the item's rank cannot be read.
    fn event(&self, clock: &Clock) -> Option<CustomerEvent> {
        let version = self.rank.parse::<Rank>().ok()?.version;
        let deleted_at = self.deleted_at.unwrap_or_else(|| Time::in_milliseconds(clock.now()));
        Some(CustomerEvent::observed_deletion(self.key.clone(), version, Deletion::at(deleted_at)))
    }
}

/// Reads from the table, several times if necessary.
pub(crate) async fn read_table<R, F: Future<Output = Result<R, TableError>>>(
    clock: &Clock,
    read: impl Fn() -> F,
) -> Result<R, ListRunError> {
    let mut attempt = 1;
    loop {
        let error = match timeout(RECORD_READ_WITHIN, read()).await {
            Ok(Ok(read)) => return Ok(read),
            Ok(Err(error)) => error.to_string(),
            Err(_) => "the table did not answer in time".to_owned(),
        };
        if attempt == RECORD_ATTEMPTS_MAX {
            return Err(ListRunError::Table(error));
        }
        pause_before_write(clock, attempt).await;
        attempt += 1;
    }
}
