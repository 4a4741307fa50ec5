//! The scheduled reconciliation: the changes of a window of time. It keeps no state, because windows overlap.

use std::sync::atomic::AtomicBool;
use std::sync::{Mutex, PoisonError};

use clientele_model::{
    CustomerKey, EpochMicros, Id, Item, ItemError, Listed, Listing, Rank, Time, Untranslatable, WalkScope, WalkStart,
};
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use tokio::time::{Instant, timeout_at};

use crate::Flow;
use crate::candidates::is_settled;
use crate::list_requests::{ListRunError, Requests};
use crate::list_run::{ListRun, Progress, RunEnd};
use crate::list_walk::{RecordHandler, WalkEnd, WalkEvent, walk};
use crate::pacing::Clock;
use crate::ports::{CustomerReader, ListClient, Queues, Table};
use crate::reconcile::{Deletes, ReconcileCounts, ReconcileObserver, ReconcileTally, locked};
use crate::record_comparison::ComparingHandler;
use crate::record_write::VerifiedDelete;

/// How many records are compared and written at a time.
const CONCURRENCY: usize = 8;
/// The version of an item may be this much later than the delete: an event may be dated by when it was raised, not by when
/// the record changed.
const RAISED_WITHIN: SignedDuration = SignedDuration::from_mins(10);

/// A window of changes to reconcile.
#[derive(Clone, Debug)]
pub struct WindowOptions {
    /// The current time.
    pub now: Timestamp,
    /// The records that changed at this time or later.
    pub since: Timestamp,
    /// The records that changed before this time. Later ones are not compared, because their events may still be on the
    /// way.
    pub until: Timestamp,
    /// What happens to customers whom the provider has verifiably deleted, if its API lists them.
    pub deletes: Deletes,
    /// No request is sent and no page begun after this time.
    pub stop_at: Instant,
    /// What is unfinished at this time is cancelled. What was done before is reported.
    pub end_by: Instant,
}

/// The result of the reconciliation of a window.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WindowReport {
    /// How it ended. `Stopped` if there was not enough time.
    pub end: RunEnd,
    /// What became of the listed records.
    pub counts: ReconcileCounts,
    /// The deletes that were lost.
    pub deletes: LostDeletes,
}

/// Customers in the table whom the provider has deleted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct LostDeletes {
    /// Verified.
    pub verified: u64,
    /// Not verified, because the item changed after the delete.
    pub unverified: u64,
    /// Of those verified: deleted here, too.
    pub erased: u64,
}

impl<T: Table + CustomerReader, Q: Queues> Flow<T, Q> {
    /// Compares the changes of a window with the table, and writes what the table lacks. In normal operation it writes
    /// nothing: what it writes shows that events are being lost. If the API lists deleted customers, those of the window
    /// who are still in the table are lost deletes.
    pub async fn reconcile_window(
        &self,
        listing: &Listing,
        client: &impl ListClient,
        options: &WindowOptions,
        observer: &mut impl ReconcileObserver,
    ) -> WindowReport {
        let clock = Clock::starting_at(options.now);
        let tally = Mutex::new(ReconcileTally::new(observer, false, None));
        let waiting = |why: &str, delay| locked(&tally).observer.waiting(why, delay);
        let stop = AtomicBool::new(false);
        let requests = Requests::new(client, clock, None, &stop, &waiting).ending_by(options.stop_at);
        let mut deletes = LostDeletes::default();
        let run = self.walk_through_window(listing, &requests, options, &tally, &mut deletes);
        let end = timeout_at(options.end_by, run).await.unwrap_or(RunEnd::Stopped);
        let report = tally.into_inner().unwrap_or_else(PoisonError::into_inner).report(end);
        WindowReport { end: report.end, counts: report.counts, deletes }
    }

    async fn walk_through_window<C: ListClient, O: ReconcileObserver>(
        &self,
        listing: &Listing,
        requests: &Requests<'_, C>,
        options: &WindowOptions,
        tally: &Mutex<ReconcileTally<'_, O>>,
        deletes: &mut LostDeletes,
    ) -> RunEnd {
        let run = match ListRun::new(listing, None, CONCURRENCY) {
            Err(error) => return RunEnd::Failed(error),
            Ok(run) => run,
        };
        match self.compare_window(listing, &run, requests, options, tally).await {
            RunEnd::Failed(error) => RunEnd::Failed(error),
            end if !run.api.can_list_deleted => end,
            end => match self.find_lost_deletes(&run, requests, options, tally, deletes).await {
                RunEnd::Complete => end,
                end_of_deletes => end_of_deletes,
            },
        }
    }

    async fn compare_window<C: ListClient, O: ReconcileObserver>(
        &self,
        listing: &Listing,
        run: &ListRun<'_>,
        requests: &Requests<'_, C>,
        options: &WindowOptions,
        tally: &Mutex<ReconcileTally<'_, O>>,
    ) -> RunEnd {
        let handler = ComparingHandler {
            flow: self,
            clock: requests.clock,
            different_in_list: listing.different_in_list,
            is_dry_run: false,
            until: Some(Time(options.until).into()),
        };
        let mut progress = Progress::of_first_walk(Some(options.since), options.now);
        let on_event = |event| locked(tally).add(event, &mut progress);
        walk_window(run, WalkScope::Customers, options, requests, &handler, on_event).await
    }

    async fn find_lost_deletes<C: ListClient, O: ReconcileObserver>(
        &self,
        run: &ListRun<'_>,
        requests: &Requests<'_, C>,
        options: &WindowOptions,
        tally: &Mutex<ReconcileTally<'_, O>>,
        counts: &mut LostDeletes,
    ) -> RunEnd {
        let handler = DeletedHandler { flow: self, clock: requests.clock, options };
        let on_event = |event| {
            match event {
                WalkEvent::Record(Ok(Deleted::Gone)) | WalkEvent::Read(_) | WalkEvent::PageDone(_) => {}
                WalkEvent::Record(Ok(Deleted::Unverified)) => counts.unverified += 1,
                WalkEvent::Record(Ok(Deleted::Verified { is_erased })) => {
                    counts.verified += 1;
                    counts.erased += u64::from(is_erased);
                }
                WalkEvent::Record(Ok(Deleted::Untranslatable { customer_id, reason })) => {
                    locked(tally).add_untranslatable(customer_id.as_ref(), reason, true);
                }
                WalkEvent::Record(Ok(Deleted::Unreadable { key })) => locked(tally).add_unreadable(&key, true),
                WalkEvent::Record(Err(error)) => return Err(error),
            }
            Ok(())
        };
        walk_window(run, WalkScope::Deleted, options, requests, &handler, on_event).await
    }
}

/// Walks once through the window.
async fn walk_window<C: ListClient, H: RecordHandler>(
    run: &ListRun<'_>,
    scope: WalkScope,
    options: &WindowOptions,
    requests: &Requests<'_, C>,
    handler: &H,
    on_event: impl FnMut(WalkEvent<H::Outcome>) -> Result<(), ListRunError> + Send,
) -> RunEnd {
    let start = WalkStart {
        since: Some(options.since),
        until: Some(options.until),
        position: None,
        account: None,
        scope,
        now: requests.clock.now(),
    };
    match walk((run.api.walk)(start), None, requests, handler, run.concurrency, on_event).await {
        WalkEnd::Finished(Ok(())) => RunEnd::Complete,
        WalkEnd::Finished(Err(why)) => RunEnd::Incomplete(why.to_owned()),
        WalkEnd::Stopped => RunEnd::Stopped,
        WalkEnd::Failed(error) => RunEnd::Failed(error),
    }
}

/// What the table has of a customer whom the provider has deleted.
enum Deleted {
    /// Nothing, or a tombstone; or the record is not one of a deleted customer.
    Gone,
    /// The customer, but its item changed after the delete.
    Unverified,
    /// The customer, whose delete was lost.
    Verified { is_erased: bool },
    /// The record was not understood.
    Untranslatable { customer_id: Option<Id>, reason: Untranslatable },
    /// The item has attributes that this version does not know.
    Unreadable { key: CustomerKey },
}

struct DeletedHandler<'a, T, Q> {
    flow: &'a Flow<T, Q>,
    clock: Clock,
    options: &'a WindowOptions,
}

impl<T: Table + CustomerReader, Q: Queues> RecordHandler for DeletedHandler<'_, T, Q> {
    type Outcome = Result<Deleted, ListRunError>;

    async fn handle(&self, listed: Listed) -> Result<Deleted, ListRunError> {
        let (key, deleted_at) = match listed {
            Listed::Deleted { key, deleted_at } => (key, deleted_at),
            Listed::Untranslatable { customer_id, reason } => {
                return Ok(Deleted::Untranslatable { customer_id, reason });
            }
            Listed::Customer(_) | Listed::Ignored => return Ok(Deleted::Gone),
        };
        let item = match self.flow.read_item(&key.to_string(), &self.clock).await? {
            Some(Ok(Item::Customer(item))) => item,
            Some(Ok(Item::Tombstone(_))) | None => return Ok(Deleted::Gone),
            Some(Err(ItemError)) => return Ok(Deleted::Unreadable { key }),
        };
        let is_verified = item.rank.parse::<Rank>().is_ok_and(|rank| match deleted_at {
            Some(deleted_at) => is_before_delete(rank.version, deleted_at),
            None => is_settled(rank.version, self.options.now),
        });
        if !is_verified {
            return Ok(Deleted::Unverified);
        }
        let delete = VerifiedDelete { key, rank: item.rank, deleted_at };
        let is_erased = self.options.deletes == Deletes::Apply && self.flow.erase(&delete, &self.clock).await?;
        Ok(Deleted::Verified { is_erased })
    }
}

/// Whether an item of this version is older than the delete.
fn is_before_delete(version: EpochMicros, Time(deleted_at): Time) -> bool {
    deleted_at.checked_add(RAISED_WITHIN).is_ok_and(|limit| version <= Time(limit).into())
}
