//! What an import asks for, writes, counts and saves; when it tries again, stops, and is complete.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use clientele_flow::{
    ApiUnreachable, CLOSING_WALKS_MAX, ImportCounts, ImportObserver, ImportOptions, ImportReport, ListClient,
    ListObserver, ListRunError, Progress, Queue, RunEnd,
};
use clientele_model::{
    AccountSource, ApiAnswer, ApiRequest, CustomerKey, Id, ListApi, Listed, Listing, ListingError, Position,
    Untranslatable, WalkStart,
};
use futures_util::stream::{StreamExt, iter, pending};
use jiff::SignedDuration;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::simulation::faulty_storage::{Fault, FaultyStorage, Operation};
use crate::simulation::history::History;
use crate::simulation::list::{LISTING, List, ListFault, ListStandIn, id, key, listing, observation};
use crate::simulation::provider::{ARRIVED_AT, EventSpec, Kind};
use crate::simulation::{Simulation, flow, simulate};

/// Seconds from the versions of events to the beginning of an import.
const DAY: i64 = 86_400;

/// What an observer is told.
#[derive(Debug, Default)]
struct Told {
    pages: Vec<(u64, Option<u64>, Progress)>,
    untranslatable: Vec<(Option<Id>, Untranslatable)>,
    unstorable: Vec<String>,
    waits: Vec<(String, Duration)>,
}

impl ListObserver for Told {
    fn untranslatable(&mut self, customer_id: Option<&Id>, reason: &Untranslatable) {
        self.untranslatable.push((customer_id.cloned(), *reason));
    }

    fn left_out(&mut self, key: &CustomerKey, why: &str) {
        self.unstorable.push(format!("{}: {why}", key.customer_id()));
    }

    fn waiting(&mut self, why: &str, delay: Duration) {
        self.waits.push((why.to_owned(), delay));
    }
}

impl ImportObserver for Told {
    fn page_applied(&mut self, counts: &ImportCounts, total: Option<u64>, progress: &Progress) {
        self.pages.push((counts.total(), total, progress.clone()));
    }
}

fn options() -> ImportOptions {
    ImportOptions { concurrency: 3, ..ImportOptions::starting_at(ARRIVED_AT) }
}

async fn import(storage: &FaultyStorage, list: &ListStandIn, options: ImportOptions) -> (ImportReport, Told) {
    let mut told = Told::default();
    let report = flow(storage).import(&LISTING, list, options, &mut told, &AtomicBool::new(false)).await;
    (report, told)
}

fn observed(customer: &str, version: i64) -> EventSpec {
    EventSpec::new(&format!("o{version}"), customer, version, Kind::Updated)
}

/// Runs a test with events that were delivered before.
fn after(events: &[EventSpec], test: impl AsyncFnOnce(&Simulation<'_>)) {
    let history = History::of_singles(events);
    simulate(&history, async |simulation| {
        for delivery in 0..events.len() {
            simulation.deliver(&simulation.atomic(), delivery).await;
        }
        test(simulation).await;
    });
}

fn pages_of(list: &ListStandIn) -> Vec<(Value, Value)> {
    list.requests()
        .into_iter()
        .filter_map(|request| request.body)
        .map(|body| (body["page"].clone(), body["since"].clone()))
        .collect()
}

#[test]
fn every_record_is_counted_by_its_outcome() {
    let event = |id: &str, customer: &str, version, kind| EventSpec::new(id, customer, version, kind);
    let events = [
        event("u1", "same", 1, Kind::Updated),
        event("u2", "newer", 2, Kind::Updated),
        event("d", "gone", 1, Kind::Deleted),
        event("u0", "older", 0, Kind::Updated),
    ];
    after(&events, async |simulation| {
        let mut records: Vec<_> = ["same", "newer", "gone", "older", "new"].map(|name| observed(name, 1)).to_vec();
        records.push(event("big", "big", 1, Kind::Oversized));
        let mut list = List::of(&records);
        list.records.push(json!({ "customer": "x" }));
        list.records.push(json!({ "customer": 7, "version": "2026-11-20T00:00:00Z" }));
        list.archive("archived", 1);
        let before = simulation.storage.items();
        let list = ListStandIn::new(list);
        let expected = ImportCounts {
            written: 2,
            unchanged: 1,
            older: 1,
            erased_here: 1,
            untranslatable: 2,
            unstorable: 1,
            ..ImportCounts::default()
        };

        let dry_run = ImportOptions { is_dry_run: true, ..options() };
        let (report, _) = import(&simulation.reliable(), &list, dry_run).await;
        // Whether the table can hold a record is known only once it is written.
        assert_eq!(report.counts, ImportCounts { written: 3, unstorable: 0, ..expected.clone() });
        assert_eq!((report.end, simulation.storage.items()), (RunEnd::Complete, before));

        let (report, told) = import(&simulation.reliable(), &list, options()).await;
        assert_eq!((report.end, &report.counts), (RunEnd::Complete, &expected));
        assert_eq!((report.account, report.progress), (Some(id("w_1")), None));
        assert_eq!(
            told.untranslatable,
            [(Some(id("x")), Untranslatable::Missing("version")), (None, Untranslatable::Unreadable("customer")),]
        );
        assert_eq!(told.unstorable, ["big: the table cannot hold the item: too big"]);
        let items = simulation.storage.items();
        assert_eq!(items.len(), 5);
        let item = &items[&key("new").to_string()];
        assert_eq!(item["name"], "Ada o1");
        assert_eq!(item["last_event"], json!({ "type": "import", "received_at": "2026-11-20T12:00:00Z" }));

        // Nothing is written twice.
        let (report, _) = import(&simulation.reliable(), &list, options()).await;
        assert_eq!(report.counts, ImportCounts { written: 0, unchanged: 3, ..expected });
        assert_eq!(simulation.storage.items(), items);
    });
}

/// Wherever a list shows it: the API may list the record of a deleted customer among the others.
#[test]
fn deleted_records_are_never_imported() {
    after(&[], async |simulation| {
        let deleted = Listed::Deleted { key: key("ada"), deleted_at: None };
        let records = vec![deleted, Listed::Ignored].into_iter();
        let stop = AtomicBool::new(false);
        let flow = flow(&simulation.reliable());
        let report = flow.import_records(iter(records), options(), &mut (), &stop).await;
        let counts = ImportCounts { deleted_there: 1, ignored: 1, ..ImportCounts::default() };
        assert_eq!((report.end, report.counts), (RunEnd::Complete, counts));
        assert!(simulation.storage.items().is_empty());
    });
}

#[test]
fn records_of_a_file_are_imported() {
    after(&[], async |simulation| {
        let records: Vec<_> = (0..250).map(|number| observed(&format!("c{number}"), 1)).collect();
        let mut walk = (LISTING.api.as_ref().unwrap().walk)(WalkStart { now: ARRIVED_AT, ..WalkStart::default() });
        let mut list = List::of(&records);
        list.page_size = 1_000;
        let body = ListClient::call(&ListStandIn::new(list), &walk.next_request().unwrap()).await;
        let listed = walk.read(&body.unwrap()).unwrap().listed;
        let mut told = Told::default();
        let flow = flow(&simulation.reliable());
        let report = flow.import_records(iter(listed.clone()), options(), &mut told, &AtomicBool::new(false)).await;
        assert_eq!((report.end, report.counts.written, report.progress), (RunEnd::Complete, 250, None));
        assert_eq!(told.pages.iter().map(|(count, ..)| *count).collect::<Vec<_>>(), [100, 200, 250]);
        assert_eq!(simulation.storage.items().len(), 250);

        let report = flow.import_records(iter(listed), options(), &mut (), &AtomicBool::new(true)).await;
        assert_eq!((report.end, report.counts), (RunEnd::Stopped, ImportCounts::default()));
    });
}

/// A file may have records of several accounts, of which the operator named one.
#[test]
fn records_of_another_account_are_not_imported() {
    after(&[], async |simulation| {
        let records = || [Listed::Customer(Box::new(observation(&observed("ada", 1))))].into_iter();
        let stop = AtomicBool::new(false);
        for (account, written, told) in
            [(None, 1, vec![]), (Some(id("w_1")), 0, vec![]), (Some(id("w_2")), 0, vec![Some(id("ada"))])]
        {
            let mut observer = Told::default();
            let options = ImportOptions { account, ..options() };
            let report =
                flow(&simulation.reliable()).import_records(iter(records()), options, &mut observer, &stop).await;
            assert_eq!((report.end, report.counts.written), (RunEnd::Complete, written));
            let expected: Vec<_> = told.into_iter().map(|id| (id, Untranslatable::OtherAccount)).collect();
            assert_eq!(observer.untranslatable, expected);
        }
    });
}

/// Standard input may be a pipe that says nothing for hours.
#[test]
fn a_run_stops_while_it_waits_for_a_record() {
    after(&[], async |simulation| {
        let record = Listed::Customer(Box::new(observation(&observed("ada", 1))));
        let (stop, flow) = (AtomicBool::new(false), flow(&simulation.reliable()));
        let mut observer = ();
        let run = flow.import_records(iter([record]).chain(pending()), options(), &mut observer, &stop);
        let stopping = async {
            tokio::time::sleep(Duration::from_secs(5)).await;
            stop.store(true, Ordering::Relaxed);
        };
        let (report, ()) = tokio::join!(run, stopping);
        assert_eq!((report.end, report.counts.written), (RunEnd::Stopped, 1));
    });
}

/// Seven records on four pages, and one page of the closing walk, which lists nothing.
fn seven_records() -> List {
    List::of(&["a", "b", "c", "d", "e", "f", "g"].map(|name| observed(name, 1)))
}

#[test]
fn positions_are_reported_in_order() {
    after(&[], async |simulation| {
        // The writes of the first page take longest.
        let storage = FaultyStorage::new(&simulation.storage, |call, _| {
            Some(Fault::Delayed(Duration::from_secs(if call < 2 { 10 } else { 1 })))
        });
        let list = ListStandIn::new(seven_records());
        let (report, told) = import(&storage, &list, options()).await;
        assert_eq!(report.end, RunEnd::Complete);
        let pages: Vec<_> = told
            .pages
            .iter()
            .map(|(count, total, progress)| (*count, *total, progress.walk, progress.position))
            .collect();
        let position = |page| Some(Position::Page(page));
        assert_eq!(pages[..3].iter().map(|page| page.3).collect::<Vec<_>>(), [position(1), position(2), position(3)]);
        assert!(pages.windows(2).all(|pages| pages[0].0 <= pages[1].0), "{pages:?}");
        assert_eq!(pages[3..], [(7, Some(7), 0, position(3)), (7, Some(0), 1, None)]);
    });
}

/// While the records of a page are written, the next page is read.
#[test]
fn reading_and_writing_overlap() {
    after(&[], async |simulation| {
        let storage = FaultyStorage::new(&simulation.storage, |_, _| Some(Fault::Delayed(Duration::from_secs(10))));
        let mut list = seven_records();
        list.page_size = 1;
        let slow = SlowList(ListStandIn::new(list), Duration::from_secs(10));
        let started = Instant::now();
        let report = flow(&storage)
            .import(&LISTING, &slow, ImportOptions { concurrency: 1, ..options() }, &mut (), &AtomicBool::new(false))
            .await;
        assert_eq!((report.end, report.counts.written), (RunEnd::Complete, 7));
        // Seven reads, the write of the last record, and the closing walk. One after the other it would take 150 s.
        assert_eq!(started.elapsed().as_secs(), 90);
    });
}

/// A list whose answers take some time.
struct SlowList(ListStandIn, Duration);

impl ListClient for SlowList {
    async fn call(&self, request: &ApiRequest) -> Result<ApiAnswer, ApiUnreachable> {
        tokio::time::sleep(self.1).await;
        self.0.call(request).await
    }
}

#[test]
fn requests_are_not_sent_too_often() {
    after(&[], async |simulation| {
        let started = Instant::now();
        let list = ListStandIn::new(seven_records());
        let rate = ImportOptions { requests_per_second: Some(0.5), ..options() };
        let (report, _) = import(&simulation.reliable(), &list, rate).await;
        assert_eq!((report.end, list.requests().len()), (RunEnd::Complete, 5));
        assert_eq!(started.elapsed().as_secs(), 8, "every two seconds");
    });
}

#[test]
fn failures_that_may_be_temporary_are_tried_again() {
    let second = Duration::from_secs(1);
    let faults = [
        (ListFault::Unreachable, "the list API cannot be reached: down", None),
        (ListFault::Status(500, None), "the API failed with status 500", None),
        (ListFault::Status(429, Some(7 * second)), "the API failed with status 429", Some(7 * second)),
        (ListFault::Status(503, Some(3_600 * second)), "the API failed with status 503", Some(60 * second)),
    ];
    for (fault, why, asked) in faults {
        after(&[], async |simulation| {
            // The second page fails five times.
            let list = ListStandIn::with(seven_records(), move |call, _| (1..6).contains(&call).then_some(fault));
            let (report, told) = import(&simulation.reliable(), &list, options()).await;
            assert_eq!((report.end, report.counts.written), (RunEnd::Complete, 7), "{why}");
            assert_eq!(pages_of(&list)[1..7].iter().filter(|(page, _)| *page == 1).count(), 6, "the same request");
            assert_eq!(told.waits.len(), 5);
            for (attempt, (told, delay)) in told.waits.into_iter().enumerate() {
                let backoff = second * 2_u32.pow(u32::try_from(attempt).unwrap());
                let range = asked.map_or(backoff / 2..backoff, |asked| asked..asked + backoff);
                assert!(told == why && range.contains(&delay), "{told}, {delay:?} not in {range:?}");
            }
        });
    }
}

#[test]
fn failures_that_last_end_the_run_at_its_position() {
    let cases = [
        (ListFault::Unreachable, 6, ListRunError::Unreachable("down".to_owned())),
        (ListFault::Status(502, None), 6, ListingError::Temporary("status 502".to_owned()).into()),
        (ListFault::Status(401, None), 1, ListingError::Denied.into()),
        (ListFault::Status(403, None), 1, ListingError::Denied.into()),
        (ListFault::Status(404, None), 1, ListingError::Refused("status 404".to_owned()).into()),
        (ListFault::Body("<html>"), 1, ListingError::Unexpected("the body").into()),
        (ListFault::Body("{}"), 1, ListingError::Unexpected("records").into()),
    ];
    for (fault, attempts, error) in cases {
        after(&[], async |simulation| {
            let list = ListStandIn::with(seven_records(), move |call, _| (call >= 2).then_some(fault));
            let (report, _) = import(&simulation.reliable(), &list, options()).await;
            assert_eq!((report.end, report.counts.written), (RunEnd::Failed(error), 4));
            assert_eq!(list.requests().len(), 2 + attempts);
            assert_eq!(report.progress.unwrap().position, Some(Position::Page(2)));
        });
    }
}

/// The saved progress leads to the same table as a run without an interruption, and is the same after it was saved.
#[test]
fn a_run_continues_where_it_was_interrupted() {
    after(&[], async |simulation| {
        let list = ListStandIn::with(seven_records(), |call, _| (call == 2).then_some(ListFault::Status(401, None)));
        let (report, _) = import(&simulation.reliable(), &list, options()).await;
        let progress = report.progress.unwrap();
        let saved = serde_json::to_string(&progress).unwrap();
        let expected = r#"{"walk":0,"since":null,"position":"page 2","started_at":"2026-11-20T12:00:00Z","incomplete":null,"account":"w_1","has_omissions":false}"#;
        assert_eq!(saved, expected);
        let resume: Progress = serde_json::from_str(&saved).unwrap();
        assert_eq!(resume, Progress { has_changes: false, ..progress });
        list.change(|list| list.date = ARRIVED_AT + SignedDuration::from_hours(5));
        let (report, _) =
            import(&simulation.reliable(), &list, ImportOptions { resume: Some(resume), ..options() }).await;
        assert_eq!((report.end, report.counts.written, report.progress), (RunEnd::Complete, 3, None));
        assert_eq!(simulation.storage.items().len(), 7);
        // The closing walk starts ten minutes before the interrupted walk began.
        let since = json!("2026-11-20T11:50:00Z");
        let pages = [(2, Value::Null), (2, Value::Null), (3, Value::Null), (0, since)];
        assert_eq!(pages_of(&list)[2..], pages.map(|(page, since)| (json!(page), since)));
    });
}

/// Records that could not be imported before the interruption are still missing after it.
#[test]
fn a_run_that_is_continued_remembers_what_it_could_not_import() {
    let oversized = EventSpec::new("big", "big", 1, Kind::Oversized).record();
    for bad in [Some(json!({ "customer": "x" })), Some(oversized), None] {
        after(&[], async |simulation| {
            let mut list = seven_records();
            list.records.splice(..0, bad.clone());
            let list = ListStandIn::with(list, |call, _| (call == 2).then_some(ListFault::Status(401, None)));
            let (report, _) = import(&simulation.reliable(), &list, options()).await;
            let (omitted, progress) = (bad.is_some(), report.progress.unwrap());
            assert_eq!((progress.has_omissions, report.had_omissions), (omitted, false));
            for _ in 0..2 {
                let resume = ImportOptions { resume: Some(progress.clone()), ..options() };
                let (report, told) = import(&simulation.reliable(), &list, resume).await;
                assert_eq!((report.end, report.had_omissions), (RunEnd::Complete, omitted));
                let (.., at_the_end) = told.pages.last().unwrap();
                assert_eq!((at_the_end.walk, at_the_end.has_omissions), (1, omitted));
            }
        });
    }
}

#[test]
fn nothing_can_be_resumed_before_the_first_page() {
    after(&[], async |simulation| {
        let list = ListStandIn::with(seven_records(), |_, _| Some(ListFault::Status(403, None)));
        let (report, told) = import(&simulation.reliable(), &list, options()).await;
        assert_eq!((report.end, report.progress), (RunEnd::Failed(ListingError::Denied.into()), None));
        assert!(told.pages.is_empty() && simulation.storage.items().is_empty());
    });
}

/// The current pages are completed, and no further one is begun.
#[test]
fn a_run_stops_between_two_pages() {
    after(&[], async |simulation| {
        let list = ListStandIn::new(seven_records());
        let stop = AtomicBool::new(false);
        let mut observer = StopsAfterPages(1, &stop);
        let report = flow(&simulation.reliable()).import(&LISTING, &list, options(), &mut observer, &stop).await;
        assert_eq!(report.end, RunEnd::Stopped);
        let progress = report.progress.unwrap();
        let Some(Position::Page(pages)) = progress.position else { panic!("{progress:?}") };
        assert!((1..=2).contains(&pages), "{progress:?}");
        assert_eq!(simulation.storage.items().len() as u64, report.counts.written);
        assert_eq!(report.counts.written, 2 * pages);
        let resume = ImportOptions { resume: Some(progress), ..options() };
        let (report, _) = import(&simulation.reliable(), &list, resume).await;
        assert_eq!((report.end, simulation.storage.items().len()), (RunEnd::Complete, 7));
    });
}

struct StopsAfterPages<'a>(usize, &'a AtomicBool);

impl ListObserver for StopsAfterPages<'_> {}

impl ImportObserver for StopsAfterPages<'_> {
    fn page_applied(&mut self, _: &ImportCounts, _: Option<u64>, _: &Progress) {
        self.0 = self.0.saturating_sub(1);
        self.1.store(self.0 == 0, Ordering::Relaxed);
    }
}

/// Ctrl-C does not wait until the API accepts requests again.
#[test]
fn a_run_stops_while_it_waits() {
    after(&[], async |simulation| {
        let stop = AtomicBool::new(false);
        let minute = Some(Duration::from_mins(1));
        let list =
            ListStandIn::with(seven_records(), move |call, _| (call == 1).then_some(ListFault::Status(429, minute)));
        let flow = flow(&simulation.reliable());
        let mut observer = ();
        let run = flow.import(&LISTING, &list, options(), &mut observer, &stop);
        let stopping = async {
            tokio::time::sleep(Duration::from_secs(5)).await;
            stop.store(true, Ordering::Relaxed);
        };
        let started = Instant::now();
        let (report, ()) = tokio::join!(run, stopping);
        assert_eq!((report.end, report.counts.written), (RunEnd::Stopped, 2));
        assert!(started.elapsed() < Duration::from_secs(6), "{:?}", started.elapsed());
    });
}

/// A throttled table is waited for. One that stays unavailable ends the run, and nothing is kept on a queue.
#[test]
fn an_unavailable_table_ends_the_run() {
    after(&[], async |simulation| {
        let list = ListStandIn::new(seven_records());
        let throttled = FaultyStorage::new(&simulation.storage, |call, _| (call % 3 > 0).then_some(Fault::FailsBefore));
        let one = ImportOptions { concurrency: 1, ..options() };
        let (report, _) = import(&throttled, &list, one.clone()).await;
        assert_eq!((report.end, report.counts.written), (RunEnd::Complete, 7));
    });
    for fault in [Fault::FailsBefore, Fault::HangsBefore] {
        after(&[], async |simulation| {
            let list = ListStandIn::new(seven_records());
            let storage = FaultyStorage::new(&simulation.storage, move |call, _| (call >= 5).then_some(fault));
            let (report, _) = import(&storage, &list, ImportOptions { concurrency: 1, ..options() }).await;
            let RunEnd::Failed(ListRunError::Table(why)) = report.end else { panic!("{:?}", report.end) };
            let expected = match fault {
                Fault::FailsBefore => "the table cannot be used: down",
                _ => "the table did not answer in time",
            };
            assert_eq!((why.as_str(), report.counts.written, report.counts.failed), (expected, 5, 1));
            assert_eq!(report.progress.unwrap().position, Some(Position::Page(2)));
            for queue in [Queue::Inbox, Queue::Quarantine] {
                assert_eq!(simulation.storage.messages(queue), []);
            }
        });
    }
}

/// A write whose answer is lost is tried again, and finds its own record.
#[test]
fn a_write_whose_answer_is_lost_counts_as_written() {
    for fault in [Fault::FailsAfter, Fault::HangsAfter] {
        after(&[], async |simulation| {
            let list = ListStandIn::new(List::of(&[observed("a", 1), observed("b", 1)]));
            let storage = FaultyStorage::new(&simulation.storage, move |call, _| (call == 0).then_some(fault));
            let (report, _) = import(&storage, &list, options()).await;
            let counts = ImportCounts { written: 2, ..ImportCounts::default() };
            assert_eq!((report.end, report.counts), (RunEnd::Complete, counts));
        });
    }
}

/// In a dry run, too, an unavailable table ends the run.
#[test]
fn a_dry_run_needs_the_table() {
    after(&[], async |simulation| {
        let list = ListStandIn::new(seven_records());
        let storage = simulation.faulty(Fault::FailsBefore, |operation| operation == Operation::CurrentItem);
        let (report, _) = import(&storage, &list, ImportOptions { is_dry_run: true, ..options() }).await;
        assert_eq!(report.end, RunEnd::Failed(ListRunError::Table("the table cannot be used: down".to_owned())));
    });
}

/// A customer that changes while the list is read may be skipped, so another walk goes through what has changed.
#[test]
fn closing_walks_find_what_changes_meanwhile() {
    for is_dry_run in [false, true] {
        after(&[], async |simulation| {
            let list = ListStandIn::with(seven_records(), |call, list| {
                list.date += SignedDuration::from_mins(1);
                // The record of the first page is changed while the second one is read, and again in the closing walk.
                if matches!(call, 1 | 4) {
                    list.records[0] = observed("a", DAY + 60 * i64::try_from(call).unwrap() + 30).record();
                }
                None
            });
            let (report, told) = import(&simulation.reliable(), &list, ImportOptions { is_dry_run, ..options() }).await;
            // The closing walk, which reads the second change, and one that finds none.
            assert_eq!(report.end, RunEnd::Complete);
            let since = |minute| json!(ARRIVED_AT + SignedDuration::from_mins(minute));
            let closing: Vec<_> = pages_of(&list).into_iter().skip(4).map(|(_, since)| since).collect();
            assert_eq!(closing, [since(-9), since(-5)]);
            assert_eq!(told.pages.iter().map(|(.., progress)| progress.walk).collect::<Vec<_>>(), [0, 0, 0, 0, 1, 2]);
            assert_eq!(report.counts, ImportCounts { written: 8, ..ImportCounts::default() });
            let items = simulation.storage.items();
            assert_eq!(items.len(), if is_dry_run { 0 } else { 7 });
            if !is_dry_run {
                assert_eq!(items[&key("a").to_string()]["name"], format!("Ada o{}", DAY + 270));
            }
        });
    }
}

#[test]
fn endless_changes_leave_the_run_incomplete() {
    after(&[], async |simulation| {
        let list = ListStandIn::with(List::of(&[observed("a", 1)]), |call, list| {
            list.date += SignedDuration::from_mins(1);
            list.records[0] = observed("a", DAY + 60 * i64::try_from(call).unwrap() + 30).record();
            None
        });
        let (report, told) = import(&simulation.reliable(), &list, options()).await;
        assert_eq!(report.end, RunEnd::Incomplete("customers change faster than they can be read".to_owned()));
        assert_eq!(told.pages.last().unwrap().2.walk, CLOSING_WALKS_MAX);
        assert_eq!(list.requests().len(), 1 + CLOSING_WALKS_MAX as usize);
    });
}

/// A closing walk that was interrupted may have found a change.
#[test]
fn an_interrupted_closing_walk_still_needs_another_one() {
    after(&[], async |simulation| {
        let progress = Progress {
            walk: 1,
            since: Some(ARRIVED_AT),
            position: Some(Position::Page(1)),
            started_at: ARRIVED_AT,
            has_changes: false,
            incomplete: None,
            account: None,
            has_omissions: false,
        };
        let list = ListStandIn::new(List::of(&[]));
        let resume = ImportOptions { resume: Some(progress), ..options() };
        let (report, told) = import(&simulation.reliable(), &list, resume).await;
        assert_eq!(report.end, RunEnd::Complete);
        assert_eq!(told.pages.iter().map(|(.., progress)| progress.walk).collect::<Vec<_>>(), [1, 2]);
    });
}

/// A list that ends early is incomplete, whatever follows. What was read is written.
#[test]
fn a_list_that_ends_early_is_incomplete() {
    after(&[], async |simulation| {
        let list = ListStandIn::with(seven_records(), |call, list| {
            list.missing = usize::from(call < 4);
            None
        });
        let (report, told) = import(&simulation.reliable(), &list, options()).await;
        assert_eq!(report.end, RunEnd::Incomplete("the list ended early".to_owned()));
        assert_eq!((report.counts.written, report.progress), (7, None));
        assert_eq!(told.pages.last().unwrap().2.incomplete.as_deref(), Some("the list ended early"));
    });
}

#[test]
fn an_import_may_begin_at_a_time() {
    after(&[], async |simulation| {
        let list = ListStandIn::new(List::of(&[observed("a", 1), observed("b", 5)]));
        let since = ARRIVED_AT - SignedDuration::from_secs(DAY - 3);
        let (report, _) =
            import(&simulation.reliable(), &list, ImportOptions { since: Some(since), ..options() }).await;
        assert_eq!((report.end, report.counts.written), (RunEnd::Complete, 1));
    });
}

#[test]
fn an_account_may_be_required_and_must_be_the_right_one() {
    let api = |account, can_list_changes| ListApi { account, can_list_changes, ..copy_of_api() };
    after(&[], async |simulation| {
        let list = ListStandIn::new(seven_records());
        let other = ImportOptions { account: Some(id("w_2")), ..options() };
        let (report, _) = import(&simulation.reliable(), &list, other).await;
        let other_account = |actual, expected| {
            RunEnd::Failed(ListRunError::OtherAccount { actual: id(actual), expected: id(expected) })
        };
        assert_eq!(report.end, other_account("w_1", "w_2"));
        assert!(simulation.storage.items().is_empty());

        // Nor may the pages of one run belong to several accounts.
        let changing = ListStandIn::with(seven_records(), |call, list| {
            list.account = Some(if call < 2 { "w_1" } else { "w_2" });
            None
        });
        let (report, _) = import(&simulation.reliable(), &changing, options()).await;
        assert_eq!((report.end, report.counts.written), (other_account("w_2", "w_1"), 4));
        let progress = report.progress.unwrap();
        assert_eq!(progress.account, Some(id("w_1")));

        // A run that another API key continues would skip customers of its account.
        let resume = ImportOptions { resume: Some(progress), ..options() };
        let others = ListStandIn::new(List { account: Some("w_2"), ..seven_records() });
        let (report, told) = import(&simulation.reliable(), &others, resume.clone()).await;
        assert_eq!((report.end, report.counts), (other_account("w_2", "w_1"), ImportCounts::default()));
        assert!(told.pages.is_empty());
        let (report, _) = import(&simulation.reliable(), &list, resume).await;
        assert_eq!((report.end, report.counts.written), (RunEnd::Complete, 3));
    });
    after(&[], async |simulation| {
        let list = ListStandIn::new(seven_records());
        let by_operator = listing(api(AccountSource::Operator, false));
        let flow = flow(&simulation.reliable());
        let stop = AtomicBool::new(false);
        let report = flow.import(&by_operator, &list, options(), &mut (), &stop).await;
        assert_eq!(report.end, RunEnd::Failed(ListRunError::AccountUnknown));
        list.change(|list| (list.account, list.requests) = (None, vec![]));
        let named = ImportOptions { account: Some(id("w_1")), ..options() };
        let report = flow.import(&by_operator, &list, named, &mut (), &stop).await;
        assert_eq!((report.end, report.counts.written), (RunEnd::Complete, 7));
        assert_eq!(list.requests().len(), 4, "no closing walk, because the API cannot list changes");

        let none = Listing { api: None, ..by_operator };
        let report = flow.import(&none, &list, options(), &mut (), &stop).await;
        assert_eq!(report.end, RunEnd::Failed(ListRunError::NoListApi));
    });
}

fn copy_of_api() -> ListApi {
    let api = LISTING.api.as_ref().unwrap();
    ListApi { ..*api }
}

/// A function can run it on any thread.
#[test]
fn the_futures_can_be_sent() {
    fn assert_send<F: Send>(_: F) {}
    let history = History::of_singles(&[]);
    let simulation = Simulation::new(&history);
    let (flow, list) = (flow(&simulation.reliable()), ListStandIn::new(seven_records()));
    let stop = AtomicBool::new(false);
    assert_send(flow.import(&LISTING, &list, options(), &mut (), &stop));
}
