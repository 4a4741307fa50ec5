//! The reconciliation: an import that reads each item first, and then asks what is missing at the provider.

use std::collections::HashSet;
use std::sync::atomic::AtomicBool;
use std::sync::{Mutex, MutexGuard, PoisonError};

use clientele_model::{Comparison, CustomerKey, Id, ItemError, Listing, Untranslatable};
use jiff::Timestamp;
use serde::Serialize;

use crate::Flow;
use crate::candidates::{Candidate, CandidateCounts, deletes_max};
use crate::import::CONCURRENCY_DEFAULT;
use crate::list_observer::{ListObserver, Reported, hash};
use crate::list_requests::{CallFailure, ListRunError, Requests};
use crate::list_run::{ListRun, Progress, RunEnd};
use crate::list_walk::WalkEvent;
use crate::pacing::Clock;
use crate::ports::{CustomerReader, ListClient, Queues, Table};
use crate::record_comparison::{Compared, ComparingHandler};

/// What happens to customers whom the provider has verifiably deleted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Deletes {
    /// They are only counted and shown.
    #[default]
    Report,
    /// They are deleted here, too.
    Apply,
}

/// How to reconcile.
#[derive(Clone, Debug)]
pub struct ReconcileOptions {
    /// The current time.
    pub now: Timestamp,
    /// The account, if the operator named one.
    pub account: Option<Id>,
    /// Compare, and write nothing.
    pub is_dry_run: bool,
    /// How many records are compared and written at a time.
    pub concurrency: usize,
    /// The most requests per second to the list API.
    pub requests_per_second: Option<f64>,
    /// What happens to customers whom the provider has verifiably deleted. A dry run deletes nobody.
    pub deletes: Deletes,
    /// The most deletes. If there are more, nobody is deleted. Without it, the limit is 5 % of the account's customers.
    pub deletes_max: Option<u64>,
}

impl ReconcileOptions {
    /// The options of a reconciliation that deletes nobody.
    #[must_use]
    pub fn starting_at(now: Timestamp) -> Self {
        Self {
            now,
            account: None,
            is_dry_run: false,
            concurrency: CONCURRENCY_DEFAULT,
            requests_per_second: None,
            deletes: Deletes::Report,
            deletes_max: None,
        }
    }
}

/// What became of the listed records. A record that comes again in a later walk counts only if it is written again.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ReconcileCounts {
    /// Equal fields, whatever the versions are.
    pub same: u64,
    /// The list has a newer state: an event was lost.
    pub behind: u64,
    /// The list has another state, but not a newer one. Never repaired.
    pub different: u64,
    /// The customer is deleted here, and stays deleted.
    pub erased_here: u64,
    /// The table has no item.
    pub only_there: u64,
    /// Of those behind or only there: written.
    pub recovered: u64,
    /// The provider keeps the record of a customer whom it has deleted.
    pub deleted_there: u64,
    /// Not understood.
    pub untranslatable: u64,
    /// The table can never hold the record.
    pub unstorable: u64,
    /// Not compared, because the item has attributes that this version does not know.
    pub unreadable: u64,
    /// The table could not be used, so the run stopped.
    pub failed: u64,
}

impl ReconcileCounts {
    /// How many customers of the list were compared.
    #[must_use]
    pub fn compared(&self) -> u64 {
        self.same + self.behind + self.different + self.erased_here + self.only_there
    }

    fn add(&mut self, comparison: &Comparison, is_written: bool) {
        *match comparison {
            Comparison::Same => &mut self.same,
            Comparison::Behind(_) => &mut self.behind,
            Comparison::Different(_) => &mut self.different,
            Comparison::ErasedHere => &mut self.erased_here,
            Comparison::OnlyThere => &mut self.only_there,
        } += 1;
        self.recovered += u64::from(is_written);
    }
}

/// The result of a reconciliation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReconcileReport {
    /// How it ended. Only after a complete walk are there candidates and deletes.
    pub end: RunEnd,
    /// What became of the listed records.
    pub counts: ReconcileCounts,
    /// The customers whom the list did not return.
    pub candidates: CandidateCounts,
    /// The account of the customers, as far as the operator or the answers say so.
    pub account: Option<Id>,
}

/// Watches a reconciliation.
pub trait ReconcileObserver: ListObserver {
    /// All records of a page, and of all pages before it, were compared. `total` is how many records this walk will
    /// return, as far as the API says so.
    fn page_compared(&mut self, counts: &ReconcileCounts, total: Option<u64>) {
        let _ = (counts, total);
    }

    /// A record is not the same as its item. `is_written` says whether it has replaced the item.
    fn difference(&mut self, key: &CustomerKey, comparison: &Comparison, is_written: bool) {
        let _ = (key, comparison, is_written);
    }

    /// A customer whom the list did not return was looked up.
    fn candidate(&mut self, key: &CustomerKey, candidate: &Candidate, counts: &CandidateCounts) {
        let _ = (key, candidate, counts);
    }
}

impl ReconcileObserver for () {}

impl<T: Table + CustomerReader, Q: Queues> Flow<T, Q> {
    /// Compares a provider's whole list with the table, and writes what the table lacks. If the list was read completely,
    /// the customers whom it did not return are looked up one by one afterwards.
    pub async fn reconcile(
        &self,
        listing: &Listing,
        client: &impl ListClient,
        options: ReconcileOptions,
        observer: &mut impl ReconcileObserver,
        stop: &AtomicBool,
    ) -> ReconcileReport {
        let clock = Clock::starting_at(options.now);
        let tally = Mutex::new(ReconcileTally::new(observer, options.is_dry_run, options.account.clone()));
        let waiting = |why: &str, delay| locked(&tally).observer.waiting(why, delay);
        let requests = Requests::new(client, clock, options.requests_per_second, stop, &waiting);
        let handler = ComparingHandler {
            flow: self,
            clock,
            different_in_list: listing.different_in_list,
            is_dry_run: options.is_dry_run,
            until: None,
        };
        let end = match ListRun::new(listing, options.account.as_ref(), options.concurrency) {
            Err(error) => RunEnd::Failed(error),
            Ok(run) => {
                let progress = Progress::of_first_walk(None, options.now);
                let on_event = |event, progress: &mut Progress| locked(&tally).add(event, progress);
                match run.walks(&requests, &handler, progress, on_event).await {
                    RunEnd::Complete => self.settle_candidates(listing, &run, &requests, &options, &tally).await,
                    end => end,
                }
            }
        };
        tally.into_inner().unwrap_or_else(PoisonError::into_inner).report(end)
    }

    /// Looks up whom the list did not return, and deletes those whom the provider has verifiably deleted.
    async fn settle_candidates<C: ListClient, O: ReconcileObserver>(
        &self,
        listing: &Listing,
        run: &ListRun<'_>,
        requests: &Requests<'_, C>,
        options: &ReconcileOptions,
        tally: &Mutex<ReconcileTally<'_, O>>,
    ) -> RunEnd {
        let (listed, account, began_at) = {
            let mut tally = locked(tally);
            (std::mem::take(&mut tally.listed), tally.account.clone(), tally.began_at)
        };
        let (Some(account), Some(began_at)) = (account, began_at) else {
            return RunEnd::Incomplete("the answers do not say to which account the customers belong".to_owned());
        };
        let settle = async {
            let (customers, missing) = self.find_candidates(listing.provider, &account, &listed, requests).await?;
            locked(tally).begin_candidates(customers, missing.len());
            let on_result = |key: &_, candidate| locked(tally).add_candidate(key, candidate);
            let api = run.api;
            let verified = self.look_up_candidates(api, requests, missing, began_at, on_result).await?;
            if options.deletes == Deletes::Report {
                return Ok(());
            }
            // Without a dry run, these would be in the table by now.
            let not_written = if options.is_dry_run { locked(tally).counts.only_there } else { 0 };
            if verified.len() as u64 > deletes_max(customers + not_written, options.deletes_max) {
                locked(tally).candidates.withheld = verified.len() as u64;
                return Ok(());
            }
            if options.is_dry_run {
                return Ok(());
            }
            let on_erased = || locked(tally).candidates.erased += 1;
            self.erase_all(verified, requests, options.concurrency, on_erased).await
        };
        match settle.await {
            Ok(()) => RunEnd::Complete,
            Err(CallFailure::Stopped) => RunEnd::Stopped,
            Err(CallFailure::Failed(error)) => RunEnd::Failed(error),
        }
    }
}

/// The counts of a reconciliation, and who watches it.
pub(crate) struct ReconcileTally<'a, O> {
    pub(crate) observer: &'a mut O,
    counts: ReconcileCounts,
    candidates: CandidateCounts,
    account: Option<Id>,
    /// Hashes of the ids of all listed customers.
    listed: HashSet<u64>,
    reported: Reported,
    /// The provider's clock when the first walk began.
    began_at: Option<Timestamp>,
    is_dry_run: bool,
}

impl<'a, O: ReconcileObserver> ReconcileTally<'a, O> {
    pub(crate) fn new(observer: &'a mut O, is_dry_run: bool, account: Option<Id>) -> Self {
        Self {
            observer,
            counts: ReconcileCounts::default(),
            candidates: CandidateCounts::default(),
            account,
            listed: HashSet::new(),
            reported: Reported::default(),
            began_at: None,
            is_dry_run,
        }
    }

    pub(crate) fn report(self, end: RunEnd) -> ReconcileReport {
        let Self { counts, candidates, account, .. } = self;
        ReconcileReport { end, counts, candidates, account }
    }

    pub(crate) fn add(&mut self, event: WalkEvent<Compared>, progress: &mut Progress) -> Result<(), ListRunError> {
        match event {
            WalkEvent::Read(date) => drop(self.began_at.get_or_insert(date)),
            WalkEvent::Record(compared) => return self.count(compared, progress),
            WalkEvent::PageDone(page) => {
                self.account = page.account.or(self.account.take());
                self.observer.page_compared(&self.counts, page.total);
            }
        }
        Ok(())
    }

    fn count(&mut self, compared: Compared, progress: &mut Progress) -> Result<(), ListRunError> {
        let is_first_walk = progress.walk == 0;
        match compared {
            Compared::Customer { key, version, comparison, is_written } => {
                let is_new = self.listed.insert(hash(key.customer_id()));
                let is_missing = matches!(comparison, Comparison::Behind(_) | Comparison::OnlyThere);
                progress.has_changes |= is_written || (self.is_dry_run && is_missing && progress.is_change(version));
                if is_new || is_written {
                    self.counts.add(&comparison, is_written);
                    if comparison != Comparison::Same {
                        self.observer.difference(&key, &comparison, is_written);
                    }
                }
            }
            Compared::DeletedThere => self.counts.deleted_there += u64::from(is_first_walk),
            Compared::Ignored => {}
            Compared::Untranslatable { customer_id, reason } => {
                self.add_untranslatable(customer_id.as_ref(), reason, is_first_walk);
            }
            Compared::Unstorable { key, why } => {
                self.listed.insert(hash(key.customer_id()));
                if self.reported.add(&key, is_first_walk) {
                    self.counts.unstorable += 1;
                    self.observer.left_out(&key, &why);
                }
            }
            Compared::Unreadable { key } => self.add_unreadable(&key, is_first_walk),
            Compared::Failed(why) => {
                self.counts.failed += 1;
                return Err(ListRunError::Table(why));
            }
        }
        Ok(())
    }

    pub(crate) fn add_untranslatable(&mut self, customer_id: Option<&Id>, reason: Untranslatable, is_first_walk: bool) {
        self.listed.extend(customer_id.map(|id| hash(id.as_str())));
        if self.reported.add(&(customer_id, reason.to_string()), is_first_walk) {
            self.counts.untranslatable += 1;
            self.observer.untranslatable(customer_id, &reason);
        }
    }

    pub(crate) fn add_unreadable(&mut self, key: &CustomerKey, is_first_walk: bool) {
        self.listed.insert(hash(key.customer_id()));
        if self.reported.add(key, is_first_walk) {
            self.counts.unreadable += 1;
            self.observer.left_out(key, &ItemError.to_string());
        }
    }

    fn begin_candidates(&mut self, customers: u64, only_here: usize) {
        self.candidates.customers = customers;
        self.candidates.only_here = only_here as u64;
    }

    fn add_candidate(&mut self, key: &CustomerKey, candidate: Candidate) {
        *match candidate {
            Candidate::Exists => &mut self.candidates.exists,
            Candidate::Deleted => &mut self.candidates.deleted,
            Candidate::DeletedRecently => &mut self.candidates.deleted_recently,
            Candidate::Unknown(_) => &mut self.candidates.unknown,
            Candidate::Changed => &mut self.candidates.changed,
        } += 1;
        self.observer.candidate(key, &candidate, &self.candidates);
    }
}

pub(crate) fn locked<'a, 'b, O>(tally: &'a Mutex<ReconcileTally<'b, O>>) -> MutexGuard<'a, ReconcileTally<'b, O>> {
    tally.lock().unwrap_or_else(PoisonError::into_inner)
}
