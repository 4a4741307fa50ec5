//! What a reconciliation finds, writes and deletes. Absence alone deletes nobody.

use std::sync::atomic::AtomicBool;
use std::time::Duration;

use clientele_flow::{
    Candidate, CandidateCounts, Deletes, ListObserver, ListRunError, LostDeletes, Queue, ReconcileCounts,
    ReconcileObserver, ReconcileOptions, ReconcileReport, RunEnd, WindowOptions, WindowReport,
};
use clientele_model::{CleanupMessage, Comparison, CustomerKey, Outcome};
use jiff::SignedDuration;
use serde_json::json;
use tokio::time::Instant;

use crate::simulation::faulty_storage::{Fault, FaultyStorage, Operation};
use crate::simulation::history::History;
use crate::simulation::list::{LISTING, List, ListFault, ListStandIn, key};
use crate::simulation::provider::{ARRIVED_AT, EventSpec, Kind};
use crate::simulation::{Simulation, assert_nothing_personal, flow, simulate};

/// Seconds from the versions of events to the beginning of a reconciliation.
const DAY: i64 = 86_400;

/// What an observer is told, as text.
#[derive(Debug, Default)]
struct Told(Vec<String>);

impl ListObserver for Told {}

impl ReconcileObserver for Told {
    fn difference(&mut self, key: &CustomerKey, comparison: &Comparison, is_written: bool) {
        let written = if is_written { ", written" } else { "" };
        self.0.push(format!("{}: {comparison:?}{written}", key.customer_id()));
    }

    fn candidate(&mut self, key: &CustomerKey, candidate: &Candidate, _: &CandidateCounts) {
        self.0.push(format!("{}: {candidate:?}", key.customer_id()));
    }
}

fn event(id: &str, customer: &str, version: i64, kind: Kind) -> EventSpec {
    EventSpec::new(id, customer, version, kind)
}

fn updated(customer: &str, version: i64) -> EventSpec {
    event(&format!("o{version}"), customer, version, Kind::Updated)
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

/// A reconciliation that deletes without a limit.
fn deleting() -> ReconcileOptions {
    let limit = Some(u64::MAX);
    ReconcileOptions { deletes: Deletes::Apply, deletes_max: limit, ..ReconcileOptions::starting_at(ARRIVED_AT) }
}

async fn reconcile(
    storage: &FaultyStorage,
    list: &ListStandIn,
    options: ReconcileOptions,
) -> (ReconcileReport, Vec<String>) {
    let mut told = Told::default();
    let report = flow(storage).reconcile(&LISTING, list, options, &mut told, &AtomicBool::new(false)).await;
    told.0.sort();
    (report, told.0)
}

/// The customers who are deleted here.
fn deleted_here(simulation: &Simulation<'_>) -> Vec<String> {
    let items = simulation.storage.items().into_values();
    let deleted = items.filter(|item| item["status"] == "deleted");
    deleted.map(|item| item["customer_id"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn each_record_is_compared_with_its_item() {
    let events = [
        updated("same", 1),
        event("older", "same_in_another_version", 1, Kind::Updated),
        event("older", "behind", 1, Kind::Updated),
        event("other", "different", 2, Kind::Updated),
        event("newer", "ahead", 3, Kind::Updated),
        event("d", "erased", 1, Kind::Deleted),
    ];
    after(&events, async |simulation| {
        let mut another_version = event("older", "same_in_another_version", 2, Kind::Updated);
        another_version.kind = Kind::Created;
        let mut records = ["same", "different", "ahead", "erased", "only_there", "behind"].map(|name| updated(name, 2));
        records[0].version = 1;
        records[0].id = "o1".to_owned();
        let mut list = List::of(&records);
        list.records.push(another_version.record());
        list.records.push(json!({ "customer": "x" }));
        let list = ListStandIn::new(list);
        let counts = ReconcileCounts {
            same: 2,
            behind: 1,
            different: 2,
            erased_here: 1,
            only_there: 1,
            untranslatable: 1,
            ..ReconcileCounts::default()
        };
        let fields = r#"["email", "name", "profile.display_name", "profile.emails"]"#;
        let before = simulation.storage.items();

        let dry_run = ReconcileOptions { is_dry_run: true, ..deleting() };
        let (report, told) = reconcile(&simulation.reliable(), &list, dry_run).await;
        assert_eq!((report.end, report.counts), (RunEnd::Complete, counts.clone()));
        let expected = |written: &str| {
            vec![
                format!("ahead: Different({fields})"),
                format!("behind: Behind({fields}){written}"),
                format!("different: Different({fields})"),
                "erased: ErasedHere".to_owned(),
                format!("only_there: OnlyThere{written}"),
            ]
        };
        assert_eq!((told, simulation.storage.items()), (expected(""), before.clone()));

        let (report, told) = reconcile(&simulation.reliable(), &list, deleting()).await;
        assert_eq!(report.counts, ReconcileCounts { recovered: 2, ..counts.clone() });
        assert_eq!(told, expected(", written"));
        let changed: Vec<_> = simulation
            .storage
            .items()
            .into_iter()
            .filter(|(pk, item)| before.get(pk) != Some(item))
            .map(|(pk, _)| pk)
            .collect();
        assert_eq!(changed, ["behind", "only_there"].map(|name| key(name).to_string()));

        // The second one writes nothing.
        let (report, _) = reconcile(&simulation.reliable(), &list, deleting()).await;
        let counts = ReconcileCounts { same: 4, behind: 0, only_there: 0, ..counts };
        assert_eq!((report.counts, report.candidates.only_here), (counts, 0));
    });
}

/// A customer whom the list does not return is deleted only if the provider says so, and only if its item is old enough.
#[test]
fn only_verified_deletes_are_applied() {
    let hour = 3_600;
    let events = [
        updated("listed", 1),
        updated("exists", 1),
        updated("unknown", 1),
        updated("deleted", 1),
        updated("just_settled", DAY - hour - 1),
        updated("recent", DAY - hour),
        event("d", "erased_before", 1, Kind::Deleted),
    ];
    after(&events, async |simulation| {
        let mut list = List::of(&[updated("listed", 1)]);
        for deleted in ["deleted", "just_settled", "recent"] {
            list.delete(deleted);
        }
        list.unknown.insert("unknown".to_owned());
        let list = ListStandIn::new(list);
        let told = ["deleted: Deleted", "exists: Exists", "just_settled: Deleted", "recent: DeletedRecently"];
        let unknown = r#"unknown: Unknown("neither the customer nor a delete")"#;
        let told: Vec<_> = told.into_iter().chain([unknown]).map(str::to_owned).collect();
        let counts = CandidateCounts {
            customers: 6,
            only_here: 5,
            exists: 1,
            deleted: 2,
            deleted_recently: 1,
            unknown: 1,
            ..CandidateCounts::default()
        };
        let report_only = ReconcileOptions { deletes: Deletes::Report, ..deleting() };
        for options in [report_only, ReconcileOptions { is_dry_run: true, ..deleting() }] {
            let (report, heard) = reconcile(&simulation.reliable(), &list, options).await;
            assert_eq!((report.end, &report.candidates, &heard), (RunEnd::Complete, &counts, &told));
            assert_eq!(deleted_here(simulation), ["erased_before"]);
        }

        let (report, heard) = reconcile(&simulation.reliable(), &list, deleting()).await;
        assert_eq!((report.end, heard), (RunEnd::Complete, told));
        assert_eq!(report.candidates, CandidateCounts { erased: 2, ..counts });
        assert_eq!(deleted_here(simulation), ["deleted", "erased_before", "just_settled"]);
        let tombstone = &simulation.storage.items()[&key("deleted").to_string()];
        assert_nothing_personal(tombstone);
        let at = "2026-11-20T12:00:00Z";
        assert_eq!(
            (&tombstone["deleted_at"], &tombstone["last_event"]),
            (&json!(at), &json!({ "type": "reconcile", "received_at": at }))
        );
        let messages = simulation.storage.messages(Queue::Cleanup);
        let message = messages.iter().find(|message| message.body.contains("#deleted\"")).unwrap();
        let message: CleanupMessage = serde_json::from_str(&message.body).unwrap();
        assert_eq!((message.event_id, message.identifiers.emails), (None, vec!["o1@example.com".to_owned()]));
    });
}

/// The list ended early, or the run was stopped or failed: what was not returned may exist.
#[test]
fn an_incomplete_walk_deletes_nobody() {
    let events = [updated("a", 1), updated("b", 1), updated("c", 1), updated("d", 1)];
    let deleted = || {
        let mut list = List::of(&events);
        list.delete("d");
        list
    };
    after(&events, async |simulation| {
        let nothing = CandidateCounts::default();
        let early = List { missing: 1, ..deleted() };
        let (report, _) = reconcile(&simulation.reliable(), &ListStandIn::new(early), deleting()).await;
        assert_eq!((report.end, &report.candidates), (RunEnd::Incomplete("the list ended early".to_owned()), &nothing));

        let failing = ListStandIn::with(deleted(), |call, _| (call > 0).then_some(ListFault::Status(403, None)));
        let (report, _) = reconcile(&simulation.reliable(), &failing, deleting()).await;
        assert_eq!(
            (report.end, &report.candidates),
            (RunEnd::Failed(clientele_model::ListingError::Denied.into()), &nothing)
        );

        let stop = AtomicBool::new(true);
        let report = flow(&simulation.reliable())
            .reconcile(&LISTING, &ListStandIn::new(deleted()), deleting(), &mut (), &stop)
            .await;
        assert_eq!((report.end, &report.candidates), (RunEnd::Stopped, &nothing));

        let without_account = List { account: None, ..deleted() };
        let (report, _) = reconcile(&simulation.reliable(), &ListStandIn::new(without_account), deleting()).await;
        let why = "the answers do not say to which account the customers belong".to_owned();
        assert_eq!((report.end, &report.candidates), (RunEnd::Incomplete(why), &nothing));

        assert!(deleted_here(simulation).is_empty());
        let (report, _) = reconcile(&simulation.reliable(), &ListStandIn::new(deleted()), deleting()).await;
        assert_eq!((report.end, report.candidates.erased), (RunEnd::Complete, 1));
    });
}

/// A record that is not understood proves that its customer exists.
#[test]
fn an_untranslatable_record_is_no_candidate() {
    after(&[updated("a", 1)], async |simulation| {
        let mut list = List::of(&[]);
        list.records.push(json!({ "customer": "a", "version": "yesterday" }));
        list.deleted.insert("a".to_owned());
        let (report, _) = reconcile(&simulation.reliable(), &ListStandIn::new(list), deleting()).await;
        assert_eq!((report.counts.untranslatable, report.candidates.only_here), (1, 0));
        assert!(deleted_here(simulation).is_empty());
    });
}

/// Neither the status of an answer nor its absence is a delete.
#[test]
fn a_failed_lookup_deletes_nobody() {
    let faults = [
        ListFault::Status(404, None),
        ListFault::Status(410, None),
        ListFault::Status(403, None),
        ListFault::Body(r#"{"data":{"customer":null},"errors":[{}]}"#),
        ListFault::Body(""),
    ];
    for fault in faults {
        after(&[updated("a", 1)], async |simulation| {
            let mut list = List::of(&[]);
            list.deleted.insert("a".to_owned());
            // The first two requests are walks.
            let list = ListStandIn::with(list, move |call, _| (call == 2).then_some(fault));
            let (report, _) = reconcile(&simulation.reliable(), &list, deleting()).await;
            assert_eq!((report.end, report.candidates.unknown), (RunEnd::Complete, 1), "{fault:?}");
            assert!(deleted_here(simulation).is_empty());
        });
    }
    // A temporary failure is tried again, and one that lasts ends the run.
    for (calls, end) in [(5, RunEnd::Complete), (6, RunEnd::Failed(ListRunError::Unreachable("down".to_owned())))] {
        after(&[updated("a", 1)], async |simulation| {
            let mut list = List::of(&[]);
            list.deleted.insert("a".to_owned());
            let list = ListStandIn::with(list, move |call, _| {
                (2..2 + calls).contains(&call).then_some(ListFault::Unreachable)
            });
            let (report, _) = reconcile(&simulation.reliable(), &list, deleting()).await;
            assert_eq!((report.candidates.erased, report.end == RunEnd::Complete), (u64::from(calls == 5), calls == 5));
            assert_eq!(report.end, end);
        });
    }
}

/// An event that arrives after the provider was asked is newer than the answer.
#[test]
fn an_item_that_changes_meanwhile_is_not_deleted() {
    let (update, delete) = (updated("a", 2), event("d", "a", 2, Kind::Deleted));
    for (arriving, arrives_at) in [
        (&update, Operation::LiveItems),
        (&update, Operation::Item),
        (&delete, Operation::LiveItems),
        (&delete, Operation::Item),
    ] {
        let events = [updated("a", 1), arriving.clone()];
        let history = History::of_singles(&events);
        simulate(&history, async |simulation| {
            simulation.deliver(&simulation.atomic(), 0).await;
            let mut list = List::of(&[]);
            list.delete("a");
            let list = ListStandIn::new(list);
            // Every call of that operation is slow, so that the event arrives between it and the next one.
            let slow = simulation.faulty(
                Fault::Delayed(Duration::from_secs(10)),
                match arrives_at {
                    Operation::LiveItems => |operation| operation == Operation::Item,
                    _ => |operation| operation == Operation::LiveItems || operation == Operation::Item,
                },
            );
            let delay = if arrives_at == Operation::LiveItems { 5 } else { 25 };
            let deliver = async {
                tokio::time::sleep(Duration::from_secs(delay)).await;
                assert_eq!(simulation.deliver(&simulation.atomic(), 1).await, [Outcome::Applied]);
            };
            let ((report, _), ()) = tokio::join!(reconcile(&slow, &list, deleting()), deliver);
            let CandidateCounts { changed, deleted, erased, .. } = report.candidates;
            let expected = if arrives_at == Operation::LiveItems { (1, 0, 0) } else { (0, 1, 0) };
            assert_eq!((changed, deleted, erased), expected);
            assert_eq!(deleted_here(simulation).len(), usize::from(arriving.kind == Kind::Deleted));
        });
    }
}

/// A write or a delete whose answer is lost is tried again, by the SDK or here, and finds its own item.
#[test]
fn a_write_whose_answer_is_lost_counts_as_recovered() {
    for fault in [Fault::FailsAfter, Fault::HangsAfter] {
        after(&[updated("gone", 1)], async |simulation| {
            let mut list = List::of(&[updated("new", 1)]);
            list.delete("gone");
            let mut puts = 0;
            // The first attempt of each write.
            let storage = FaultyStorage::new(&simulation.storage, move |_, operation| {
                puts += u32::from(operation.is_write());
                (operation.is_write() && puts % 2 == 1).then_some(fault)
            });
            let (report, told) = reconcile(&storage, &ListStandIn::new(list), deleting()).await;
            assert_eq!((report.end, report.counts.recovered, report.candidates.erased), (RunEnd::Complete, 1, 1));
            assert_eq!(told, ["gone: Deleted", "new: OnlyThere, written"]);
            assert_eq!(deleted_here(simulation), ["gone"]);
        });
    }
}

/// The SDK repeats a write without a word, so that its second attempt finds the item of the first one. Two runs at once
/// find the same.
#[test]
fn an_item_that_was_just_written_counts_as_recovered() {
    after(&[updated("gone", 1)], async |simulation| {
        let mut list = List::of(&[updated("new", 1)]);
        list.delete("gone");
        let list = ListStandIn::new(list);
        let slow = simulation.faulty(Fault::Delayed(Duration::from_secs(10)), Operation::is_write);
        let runs = tokio::join!(reconcile(&slow, &list, deleting()), reconcile(&slow, &list, deleting()));
        for (report, told) in [runs.0, runs.1] {
            assert_eq!((report.end, report.counts.recovered, report.candidates.erased), (RunEnd::Complete, 1, 1));
            assert_eq!(told, ["gone: Deleted", "new: OnlyThere, written"]);
        }
        assert_eq!(deleted_here(simulation), ["gone"]);
    });
}

/// A newer event may arrive while a delete is tried again.
#[test]
fn an_item_that_changes_between_two_attempts_is_not_deleted() {
    for fault in [Fault::FailsBefore, Fault::HangsBefore] {
        let history = History::of_singles(&[updated("a", 1), updated("a", 2)]);
        simulate(&history, async |simulation| {
            simulation.deliver(&simulation.atomic(), 0).await;
            let mut list = List::of(&[]);
            list.delete("a");
            let mut puts = 0;
            let failing = FaultyStorage::new(&simulation.storage, move |_, operation| {
                puts += u32::from(operation.is_write());
                (operation.is_write() && puts == 1).then_some(fault)
            });
            let deliver = async {
                tokio::time::sleep(Duration::from_millis(200)).await;
                assert_eq!(simulation.deliver(&simulation.atomic(), 1).await, [Outcome::Applied]);
            };
            let list = ListStandIn::new(list);
            let ((report, _), ()) = tokio::join!(reconcile(&failing, &list, deleting()), deliver);
            assert_eq!((report.end, report.candidates.erased), (RunEnd::Complete, 0), "{fault:?}");
            assert!(deleted_here(simulation).is_empty());
        });
    }
}

/// More than one in twenty customers is probably a mistake, such as a wrong host.
#[test]
fn many_deletes_need_a_limit_by_the_operator() {
    let cases = [
        (40, 2, None, 2, 0),
        (40, 3, None, 0, 3),
        (40, 3, Some(3), 3, 0),
        (40, 3, Some(2), 0, 3),
        (39, 2, None, 0, 2),
        (40, 1, Some(0), 0, 1),
    ];
    for (customers, deletes, deletes_max, erased, withheld) in cases {
        let events: Vec<_> = (0..customers).map(|number| updated(&format!("c{number:02}"), 1)).collect();
        after(&events, async |simulation| {
            let mut list = List::of(&events);
            for number in 0..deletes {
                list.delete(&format!("c{number:02}"));
            }
            let options = ReconcileOptions { deletes_max, ..deleting() };
            let list = ListStandIn::new(list);
            let dry_run = ReconcileOptions { is_dry_run: true, ..options.clone() };
            let (report, _) = reconcile(&simulation.reliable(), &list, dry_run).await;
            assert_eq!((report.candidates.erased, report.candidates.withheld), (0, withheld), "a dry run says it, too");
            assert!(deleted_here(simulation).is_empty());
            let (report, _) = reconcile(&simulation.reliable(), &list, options).await;
            let CandidateCounts { customers: all, deleted, .. } = report.candidates;
            assert_eq!((report.end, all, deleted), (RunEnd::Complete, customers, deletes));
            assert_eq!((report.candidates.erased, report.candidates.withheld), (erased, withheld), "{deletes_max:?}");
            assert_eq!(deleted_here(simulation).len() as u64, erased);
        });
    }
}

/// A dry run has the limit of the run that it predicts, which writes the customers who are only there before it deletes.
#[test]
fn a_dry_run_has_the_same_limit_of_deletes() {
    for (only_there, withheld) in [(18, 1), (19, 0)] {
        let gone = updated("gone", 1);
        after(std::slice::from_ref(&gone), async |simulation| {
            let mut records: Vec<_> = (0..only_there).map(|number| updated(&format!("c{number}"), 1)).collect();
            records.push(gone.clone());
            let mut list = List::of(&records);
            list.delete("gone");
            let list = ListStandIn::new(list);
            for is_dry_run in [true, false] {
                let options = ReconcileOptions { is_dry_run, deletes_max: None, ..deleting() };
                let (report, _) = reconcile(&simulation.reliable(), &list, options).await;
                assert_eq!((report.end, report.candidates.withheld), (RunEnd::Complete, withheld), "{is_dry_run}");
            }
        });
    }
}

/// A later version may have written an item that this one cannot read. All others are compared.
#[test]
fn an_item_that_cannot_be_read_is_left_alone() {
    let events = [updated("a", 1), updated("b", 1), updated("gone", 1), updated("archived", 1)];
    after(&events, async |simulation| {
        let mut list = List::of(&[updated("a", 2), updated("b", 2)]);
        list.delete("gone");
        list.archive("archived", 1_000);
        let list = ListStandIn::new(list);
        for customer in ["a", "gone", "archived"] {
            simulation.storage.set_attribute(&key(customer).to_string(), "of_a_later_version", json!(true));
        }
        let report = reconcile_window(&simulation.reliable(), &list, &window()).await;
        assert_eq!((report.end, report.counts.unreadable, report.counts.recovered), (RunEnd::Complete, 2, 1));
        assert_eq!(report.deletes, LostDeletes::default());

        list.change(|list| list.records = vec![updated("a", 2).record(), updated("b", 3).record()]);
        let (report, told) = reconcile(&simulation.reliable(), &list, deleting()).await;
        assert_eq!((report.end, report.counts.unreadable, report.counts.recovered), (RunEnd::Complete, 1, 1));
        let unknown = r#"Unknown("the item has attributes that this version does not know")"#;
        assert_eq!(told[..2], [format!("archived: {unknown}"), told[1].clone()]);
        assert_eq!(told[2], format!("gone: {unknown}"));
        assert!(deleted_here(simulation).is_empty());
    });
}

/// A record that the closing walk returns again counts once. A change that it finds is written and counts again.
#[test]
fn a_record_that_comes_again_counts_once() {
    after(&[updated("a", 1)], async |simulation| {
        let records = [updated("a", 1), updated("b", DAY)];
        let list = ListStandIn::with(List::of(&records), |call, list| {
            if call == 1 {
                list.records[1] = updated("b", DAY + 1).record();
            }
            None
        });
        let (report, told) = reconcile(&simulation.reliable(), &list, deleting()).await;
        let fields = r#"["email", "name", "profile.display_name", "profile.emails"]"#;
        assert_eq!(told, [format!("b: Behind({fields}), written"), "b: OnlyThere, written".to_owned()]);
        let counts = ReconcileCounts { same: 1, only_there: 1, behind: 1, recovered: 2, ..ReconcileCounts::default() };
        assert_eq!((report.end, report.counts, list.requests().len()), (RunEnd::Complete, counts, 3));
    });
}

#[test]
fn an_unavailable_table_ends_the_reconciliation() {
    let operations: [fn(Operation) -> bool; 3] =
        [|operation| operation == Operation::Item, |operation| operation == Operation::LiveItems, Operation::is_write];
    for is_down in operations {
        after(&[updated("gone", 1)], async |simulation| {
            let mut list = List::of(&[updated("new", 1)]);
            list.delete("gone");
            let storage = simulation.faulty(Fault::FailsBefore, is_down);
            let (report, _) = reconcile(&storage, &ListStandIn::new(list), deleting()).await;
            assert_eq!(report.end, RunEnd::Failed(ListRunError::Table("the table cannot be used: down".to_owned())));
            assert!(deleted_here(simulation).is_empty());
        });
    }
}

/// From a day to an hour before the end of the window.
fn window() -> WindowOptions {
    WindowOptions {
        now: ARRIVED_AT,
        since: ARRIVED_AT - SignedDuration::from_secs(DAY),
        until: ARRIVED_AT - SignedDuration::from_hours(1),
        deletes: Deletes::Apply,
        stop_at: Instant::now() + Duration::from_mins(1),
        end_by: Instant::now() + Duration::from_mins(2),
    }
}

async fn reconcile_window(storage: &FaultyStorage, list: &ListStandIn, options: &WindowOptions) -> WindowReport {
    flow(storage).reconcile_window(&LISTING, list, options, &mut ()).await
}

/// Only what changed within the window is compared: an event of a later change may still be on its way.
#[test]
fn a_window_recovers_lost_events() {
    let events =
        [updated("same", 1), event("older", "behind", 1, Kind::Updated), event("d", "erased", 1, Kind::Deleted)];
    after(&events, async |simulation| {
        let mut records = vec![updated("before", -1), updated("same", 1), updated("behind", 2), updated("erased", 2)];
        records.extend([updated("only_there", DAY - 3_601), updated("after", DAY - 3_600)]);
        let list = ListStandIn::new(List::of(&records));
        let counts = ReconcileCounts {
            same: 1,
            behind: 1,
            erased_here: 1,
            only_there: 1,
            recovered: 2,
            ..ReconcileCounts::default()
        };
        let report = reconcile_window(&simulation.reliable(), &list, &window()).await;
        assert_eq!((report.end, report.counts, report.deletes), (RunEnd::Complete, counts, LostDeletes::default()));
        // An overlapping window, or the same again, writes nothing.
        let storage = simulation.reliable();
        let before = storage.calls();
        let report = reconcile_window(&storage, &list, &window()).await;
        assert_eq!((report.counts.same, report.counts.recovered), (3, 0));
        assert_eq!(storage.calls() - before, 4, "it only reads");
    });
}

/// An API that ignores the end of the window changes nothing.
#[test]
fn records_after_the_window_are_not_written() {
    after(&[], async |simulation| {
        let list = ListStandIn::new(List::of(&[updated("later", DAY)]));
        let end = ARRIVED_AT - SignedDuration::from_hours(1);
        let (mut told, handler_window) = (Told::default(), WindowOptions { until: end, ..window() });
        // The list is asked for everything, and answers with a record after the window.
        list.change(|list| list.ignores_until = true);
        let report = flow(&simulation.reliable()).reconcile_window(&LISTING, &list, &handler_window, &mut told).await;
        assert_eq!((report.end, report.counts), (RunEnd::Complete, ReconcileCounts::default()));
        assert!(simulation.storage.items().is_empty());
    });
}

#[test]
fn a_window_finds_lost_deletes() {
    let archived_at = 1_000;
    let ten_minutes = 600;
    let events = [
        updated("lost", 1),
        updated("raised_a_little_later", archived_at + ten_minutes),
        updated("changed_after_the_delete", archived_at + ten_minutes + 1),
        event("d", "erased", 1, Kind::Deleted),
    ];
    after(&events, async |simulation| {
        let mut list = List::of(&[]);
        for customer in ["lost", "raised_a_little_later", "changed_after_the_delete", "erased", "never_here"] {
            list.archive(customer, archived_at);
        }
        list.records.push(json!({ "deleted_at": "2026-11-19T13:00:00Z", "customer": 7 }));
        let untranslatable = ReconcileCounts { untranslatable: 1, ..ReconcileCounts::default() };
        let list = ListStandIn::new(list);
        let only_report = WindowOptions { deletes: Deletes::Report, ..window() };
        let report = reconcile_window(&simulation.reliable(), &list, &only_report).await;
        let deletes = LostDeletes { verified: 2, unverified: 1, erased: 0 };
        assert_eq!((report.end, report.counts, &report.deletes), (RunEnd::Complete, untranslatable, &deletes));
        assert_eq!(deleted_here(simulation), ["erased"]);
        let report = reconcile_window(&simulation.reliable(), &list, &window()).await;
        assert_eq!(report.deletes, LostDeletes { erased: 2, ..deletes });
        assert_eq!(deleted_here(simulation), ["erased", "lost", "raised_a_little_later"]);
        assert_eq!(simulation.storage.items()[&key("lost").to_string()]["deleted_at"], "2026-11-19T12:16:40Z");
    });
}

#[test]
fn a_window_ends_in_time() {
    after(&[], async |simulation| {
        let list = ListStandIn::with(List::of(&[updated("a", 1)]), |_, _| Some(ListFault::Unreachable));
        let options = WindowOptions { stop_at: Instant::now() + Duration::from_secs(5), ..window() };
        let started = Instant::now();
        let report = reconcile_window(&simulation.reliable(), &list, &options).await;
        assert_eq!(report.end, RunEnd::Stopped);
        assert!(started.elapsed() < Duration::from_secs(6), "{:?}", started.elapsed());
    });
}

/// A write that hangs is cancelled, but what was written and deleted before it is reported.
#[test]
fn a_window_that_is_cut_off_reports_what_it_has_done() {
    for (writes, recovered, erased) in [(1, 1, 0), (3, 2, 1)] {
        after(&[updated("gone", 1), updated("gone_too", 1)], async |simulation| {
            let mut list = List::of(&[updated("a", 1), updated("b", 2)]);
            list.archive("gone", 1_000);
            list.archive("gone_too", 2_000);
            let mut calls = 0;
            let storage = FaultyStorage::new(&simulation.storage, move |_, operation| {
                calls += u32::from(operation.is_write());
                (operation.is_write() && calls > writes).then_some(Fault::HangsBefore)
            });
            let list = ListStandIn::new(List { page_size: 1, ..list });
            let options = WindowOptions { end_by: Instant::now() + Duration::from_secs(20), ..window() };
            let started = Instant::now();
            let report = reconcile_window(&storage, &list, &options).await;
            assert_eq!(
                (report.end, report.counts.recovered, report.deletes.erased),
                (RunEnd::Stopped, recovered, erased)
            );
            assert_eq!(started.elapsed().as_secs(), 20);
        });
    }
}

#[test]
fn an_incomplete_window_is_reported() {
    after(&[], async |simulation| {
        let list = ListStandIn::new(List { missing: 1, ..List::of(&[updated("a", 1)]) });
        let report = reconcile_window(&simulation.reliable(), &list, &window()).await;
        assert_eq!((report.end, report.counts.recovered), (RunEnd::Incomplete("the list ended early".to_owned()), 1));
        let list = ListStandIn::with(List::of(&[]), |_, _| Some(ListFault::Status(401, None)));
        let report = reconcile_window(&simulation.reliable(), &list, &window()).await;
        assert_eq!(report.end, RunEnd::Failed(clientele_model::ListingError::Denied.into()));
    });
}

/// A function can run it on any thread.
#[test]
fn the_futures_of_reconciliations_can_be_sent() {
    fn assert_send(_: impl Send) {}
    let history = History::of_singles(&[]);
    crate::simulation::actors::run(async {
        let simulation = Simulation::new(&history);
        let (flow, list) = (flow(&simulation.reliable()), ListStandIn::new(List::of(&[])));
        let (stop, mut observer, mut other) = (AtomicBool::new(false), (), ());
        assert_send(flow.reconcile(&LISTING, &list, deleting(), &mut observer, &stop));
        assert_send(flow.reconcile_window(&LISTING, &list, &window(), &mut other));
    });
}
