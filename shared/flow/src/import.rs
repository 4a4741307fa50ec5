//! The import: every customer of a provider's list becomes an observation, and is written if it is greater than what the
//! table has.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use clientele_model::{
    CustomerEvent, CustomerKey, EpochMicros, Id, Listed, Listing, Outcome, Page, Rank, Untranslatable,
};
use futures_util::stream::{Stream, StreamExt};
use jiff::Timestamp;
use serde::Serialize;
use tokio::time::sleep;

use crate::Flow;
use crate::list_observer::{ListObserver, Reported};
use crate::list_requests::{ListRunError, Requests};
use crate::list_run::{ListRun, Progress, RunEnd};
use crate::list_walk::{RecordHandler, WalkEvent, handle_pages};
use crate::pacing::{Clock, STOP_CHECK};
use crate::ports::{ListClient, Queues, Table};

/// How many records are written at a time, unless the operator says otherwise.
pub const CONCURRENCY_DEFAULT: usize = 32;
/// How many records of a file count as a page.
const RECORDS_OF_A_PAGE: usize = 100;

/// What to import, and how.
#[derive(Clone, Debug)]
pub struct ImportOptions {
    /// The current time.
    pub now: Timestamp,
    /// Only records that changed at this time or later, if the API can list them.
    pub since: Option<Timestamp>,
    /// The account, if the operator named one.
    pub account: Option<Id>,
    /// Continue an interrupted run.
    pub resume: Option<Progress>,
    /// Count what would be written, and write nothing.
    pub is_dry_run: bool,
    /// How many records are written at a time.
    pub concurrency: usize,
    /// The most requests per second to the list API.
    pub requests_per_second: Option<f64>,
}

impl ImportOptions {
    /// The options of a complete import.
    #[must_use]
    pub fn starting_at(now: Timestamp) -> Self {
        Self {
            now,
            since: None,
            account: None,
            resume: None,
            is_dry_run: false,
            concurrency: CONCURRENCY_DEFAULT,
            requests_per_second: None,
        }
    }
}

/// What became of the records. A record that a closing walk returns again counts only if it is written again.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ImportCounts {
    /// Written; in a dry run, what would be written.
    pub written: u64,
    /// The table had the same version.
    pub unchanged: u64,
    /// The table has a newer state.
    pub older: u64,
    /// The customer is deleted here, and stays deleted.
    pub erased_here: u64,
    /// The provider keeps the record of a customer whom it has deleted.
    pub deleted_there: u64,
    /// Not about a customer.
    pub ignored: u64,
    /// Not understood.
    pub untranslatable: u64,
    /// The table can never hold the record.
    pub unstorable: u64,
    /// The table could not be used, so the run stopped.
    pub failed: u64,
}

impl ImportCounts {
    /// How many records were counted.
    #[must_use]
    pub fn total(&self) -> u64 {
        let Self { written, unchanged, older, erased_here, deleted_there, .. } = self;
        let Self { ignored, untranslatable, unstorable, failed, .. } = self;
        [written, unchanged, older, erased_here, deleted_there, ignored, untranslatable, unstorable, failed]
            .into_iter()
            .sum()
    }
}

/// The result of an import.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImportReport {
    /// How it ended.
    pub end: RunEnd,
    /// What became of the records.
    pub counts: ImportCounts,
    /// Where another run can continue, if this one was stopped or failed after its first page.
    pub progress: Option<Progress>,
    /// The account of the customers, as far as the answers say so.
    pub account: Option<Id>,
    /// Whether the interrupted run that this one continued had records that were not understood or cannot be stored. They
    /// are not in the counts.
    pub had_omissions: bool,
}

/// Watches an import.
pub trait ImportObserver: ListObserver {
    /// All records of a page, and of all pages before it, were handled. `total` is how many records this walk will
    /// return, as far as the API says so.
    fn page_applied(&mut self, counts: &ImportCounts, total: Option<u64>, progress: &Progress) {
        let _ = (counts, total, progress);
    }
}

impl ImportObserver for () {}

impl<T: Table, Q: Queues> Flow<T, Q> {
    /// Imports a provider's list. The same import may run before, during or after deliveries, several times at once, and
    /// die anywhere: every record is written by the same conditional write as an event.
    ///
    /// After the first walk, further ones go through what has changed since the one before began, until nothing has.
    /// `stop` ends the run as soon as the records of the current pages are written.
    pub async fn import(
        &self,
        listing: &Listing,
        client: &impl ListClient,
        options: ImportOptions,
        observer: &mut impl ImportObserver,
        stop: &AtomicBool,
    ) -> ImportReport {
        let clock = Clock::starting_at(options.now);
        let mut progress = options.resume.unwrap_or_else(|| Progress::of_first_walk(options.since, options.now));
        // The interrupted run may have written changes on the pages that this one does not read again.
        progress.has_changes |= progress.walk > 0;
        let had_omissions = progress.has_omissions;
        let run = Mutex::new(Watched::new(observer, options.is_dry_run, progress.account.clone()));
        let waiting = |why: &str, delay| locked(&run).observer.waiting(why, delay);
        let requests = Requests::new(client, clock, options.requests_per_second, stop, &waiting);
        let handler =
            ImportHandler { flow: self, clock, account: options.account.as_ref(), is_dry_run: options.is_dry_run };
        let end = match ListRun::new(listing, options.account.as_ref(), options.concurrency) {
            Err(error) => RunEnd::Failed(error),
            Ok(list_run) => {
                let on_event = |event, progress: &mut Progress| locked(&run).add(event, progress);
                list_run.walks(&requests, &handler, progress, on_event).await
            }
        };
        let run = run.into_inner().unwrap_or_else(PoisonError::into_inner);
        ImportReport { had_omissions, ..run.report(end) }
    }

    /// Imports records that come from somewhere else, such as a file. They cannot be resumed, but repeated. `stop` ends the
    /// run even while it waits for a record.
    pub async fn import_records(
        &self,
        records: impl Stream<Item = Listed> + Send,
        options: ImportOptions,
        observer: &mut impl ImportObserver,
        stop: &AtomicBool,
    ) -> ImportReport {
        let clock = Clock::starting_at(options.now);
        let mut run = Watched::new(observer, options.is_dry_run, options.account.clone());
        let pages = records.take_until(stopped(stop)).chunks(RECORDS_OF_A_PAGE).map(|listed| {
            let page = Page { listed, account: None, total: None, position: None };
            (page, options.now)
        });
        let handler =
            ImportHandler { flow: self, clock, account: options.account.as_ref(), is_dry_run: options.is_dry_run };
        let mut progress = Progress::of_first_walk(None, options.now);
        let result =
            handle_pages(pages, &handler, options.concurrency, &mut |event| run.add(event, &mut progress)).await;
        let end = match result {
            Err(error) => RunEnd::Failed(error),
            Ok(()) if stop.load(Ordering::Relaxed) => RunEnd::Stopped,
            Ok(()) => RunEnd::Complete,
        };
        run.progress = None;
        run.report(end)
    }
}

/// Waits until the run is to stop.
async fn stopped(stop: &AtomicBool) {
    while !stop.load(Ordering::Relaxed) {
        sleep(STOP_CHECK).await;
    }
}

/// The outcome of one record.
pub(crate) enum RecordOutcome {
    Written { version: EpochMicros },
    Unchanged,
    Older,
    ErasedHere,
    DeletedThere,
    Ignored,
    Untranslatable { customer_id: Option<Id>, reason: Untranslatable },
    Unstorable { key: CustomerKey, why: String },
    Failed(String),
}

struct ImportHandler<'a, T, Q> {
    flow: &'a Flow<T, Q>,
    clock: Clock,
    account: Option<&'a Id>,
    is_dry_run: bool,
}

impl<T: Table, Q: Queues> RecordHandler for ImportHandler<'_, T, Q> {
    type Outcome = RecordOutcome;

    async fn handle(&self, listed: Listed) -> RecordOutcome {
        match listed {
            Listed::Customer(event) if self.is_of_another_account(&event) => RecordOutcome::Untranslatable {
                customer_id: Id::new(event.key().customer_id().to_owned()).ok(),
                reason: Untranslatable::OtherAccount,
            },
            Listed::Customer(event) if self.is_dry_run => self.compare(&event).await,
            Listed::Customer(event) => self.write(&event).await,
            Listed::Deleted { .. } => RecordOutcome::DeletedThere,
            Listed::Untranslatable { customer_id, reason } => RecordOutcome::Untranslatable { customer_id, reason },
            Listed::Ignored => RecordOutcome::Ignored,
        }
    }
}

impl<T: Table, Q: Queues> ImportHandler<'_, T, Q> {
    fn is_of_another_account(&self, event: &CustomerEvent) -> bool {
        self.account.is_some_and(|account| account.as_str() != event.key().account())
    }

    async fn write(&self, event: &CustomerEvent) -> RecordOutcome {
        let result = self.flow.write_record(event, &self.clock).await;
        match result.outcome {
            Outcome::Applied => RecordOutcome::Written { version: event.rank().version },
            Outcome::Duplicate | Outcome::Stale => not_written(event, result.current_rank.as_deref()),
            Outcome::Quarantined => {
                let why = result.reason.unwrap_or_default();
                RecordOutcome::Unstorable { key: event.key().clone(), why }
            }
            _ => RecordOutcome::Failed(result.reason.unwrap_or_default()),
        }
    }

    /// What a write would do.
    async fn compare(&self, event: &CustomerEvent) -> RecordOutcome {
        match self.flow.read_current_item(&event.key().to_string(), &self.clock).await {
            Err(error) => RecordOutcome::Failed(error.to_string()),
            Ok(Some(current)) if current.rank >= event.rank().to_string() => not_written(event, Some(&current.rank)),
            Ok(_) => RecordOutcome::Written { version: event.rank().version },
        }
    }
}

/// Why an observation was not written, by the rank of the item that is there.
fn not_written(event: &CustomerEvent, current: Option<&str>) -> RecordOutcome {
    match current.and_then(|rank| rank.parse::<Rank>().ok()) {
        Some(rank) if rank.erased => RecordOutcome::ErasedHere,
        Some(rank) if rank.version > event.rank().version => RecordOutcome::Older,
        _ => RecordOutcome::Unchanged,
    }
}

/// The counts of a run, and who watches it.
struct Watched<'a, O> {
    observer: &'a mut O,
    counts: ImportCounts,
    account: Option<Id>,
    progress: Option<Progress>,
    reported: Reported,
    is_dry_run: bool,
}

impl<'a, O: ImportObserver> Watched<'a, O> {
    fn new(observer: &'a mut O, is_dry_run: bool, account: Option<Id>) -> Self {
        let (counts, reported) = (ImportCounts::default(), Reported::default());
        Self { observer, counts, account, progress: None, reported, is_dry_run }
    }

    fn report(self, end: RunEnd) -> ImportReport {
        let Self { counts, account, progress, .. } = self;
        let progress = progress.filter(|_| matches!(end, RunEnd::Stopped | RunEnd::Failed(_)));
        ImportReport { end, counts, progress, account, had_omissions: false }
    }

    fn add(&mut self, event: WalkEvent<RecordOutcome>, progress: &mut Progress) -> Result<(), ListRunError> {
        match event {
            WalkEvent::Read(_) => {}
            WalkEvent::Record(outcome) => return self.count(outcome, progress),
            WalkEvent::PageDone(page) => {
                self.account = page.account.or(self.account.take());
                self.observer.page_applied(&self.counts, page.total, progress);
                self.progress = Some(progress.clone());
            }
        }
        Ok(())
    }

    fn count(&mut self, outcome: RecordOutcome, progress: &mut Progress) -> Result<(), ListRunError> {
        let is_first_walk = progress.walk == 0;
        let counts = &mut self.counts;
        let once = u64::from(is_first_walk);
        match outcome {
            // A dry run finds the same records again in each walk.
            RecordOutcome::Written { version } => {
                let is_change = !self.is_dry_run || progress.is_change(version);
                counts.written += u64::from(is_first_walk || is_change);
                progress.has_changes |= is_change;
            }
            RecordOutcome::Unchanged => counts.unchanged += once,
            RecordOutcome::Older => counts.older += once,
            RecordOutcome::ErasedHere => counts.erased_here += once,
            RecordOutcome::DeletedThere => counts.deleted_there += once,
            RecordOutcome::Ignored => counts.ignored += once,
            RecordOutcome::Untranslatable { customer_id, reason } => {
                progress.has_omissions = true;
                if self.reported.add(&(&customer_id, reason.to_string()), is_first_walk) {
                    counts.untranslatable += 1;
                    self.observer.untranslatable(customer_id.as_ref(), &reason);
                }
            }
            RecordOutcome::Unstorable { key, why } => {
                progress.has_omissions = true;
                if self.reported.add(&key, is_first_walk) {
                    counts.unstorable += 1;
                    self.observer.left_out(&key, &why);
                }
            }
            RecordOutcome::Failed(why) => {
                counts.failed += 1;
                return Err(ListRunError::Table(why));
            }
        }
        Ok(())
    }
}

fn locked<'a, 'b, O>(run: &'a Mutex<Watched<'b, O>>) -> MutexGuard<'a, Watched<'b, O>> {
    run.lock().unwrap_or_else(PoisonError::into_inner)
}
