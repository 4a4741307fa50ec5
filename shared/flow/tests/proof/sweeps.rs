//! Sweeps are bounded, continue where the last one stopped, and leave recent tombstones alone.

use std::time::Duration;

use clientele_flow::{Queue, SweepLimits, SweepReport};
use jiff::{SignedDuration, Timestamp};
use tokio::time::{Instant, timeout};

use crate::simulation::faulty_storage::{Fault, FaultyStorage, Operation};
use crate::simulation::history::History;
use crate::simulation::provider::{ARRIVED_AT, EventSpec, Kind};
use crate::simulation::{Simulation, flow, later, simulate};

/// From the last start of a tombstone to the end of a sweep.
const TIME_TO_END: Duration = Duration::from_secs(3);

/// Runs a test after ten deletes whose cleanup messages are still in their tombstones.
fn with_ten_tombstones(test: impl AsyncFnOnce(&Simulation<'_>)) {
    let deletes = (0..10).map(|number| EventSpec::new(&format!("d{number}"), &format!("c{number}"), 1, Kind::Deleted));
    let history = History::of_singles(&deletes.collect::<Vec<_>>());
    simulate(&history, async |simulation| {
        for delivery in 0..10 {
            simulation.leave_pending(delivery).await;
        }
        test(simulation).await;
    });
}

/// A fault in the third call of an operation.
fn fault_in_third(fault: Fault, faulty: Operation, simulation: &Simulation<'_>) -> FaultyStorage {
    let mut calls = 0;
    FaultyStorage::new(&simulation.storage, move |_, operation| {
        calls += usize::from(operation == faulty);
        (operation == faulty && calls == 3).then_some(fault)
    })
}

fn limits(tombstones_max: usize, start_within_ms: u64) -> SweepLimits {
    let start_by = Instant::now() + Duration::from_millis(start_within_ms);
    SweepLimits { start_by, end_by: start_by + TIME_TO_END, tombstones_max, grace: Duration::from_mins(1) }
}

async fn sweep(storage: &FaultyStorage, now: Timestamp, limits: SweepLimits) -> SweepReport {
    flow(storage).sweep(now, limits).await
}

fn sent(sent: usize, is_cut_short: bool) -> SweepReport {
    SweepReport { sent, is_cut_short, ..SweepReport::default() }
}

#[test]
fn a_sweep_is_bounded_and_the_next_continues() {
    with_ten_tombstones(async |simulation| {
        let storage = simulation.atomic();
        for (expected, left) in [(sent(4, true), 6), (sent(4, true), 2), (sent(2, false), 0), (sent(0, false), 0)] {
            assert_eq!(sweep(&storage, later(), limits(4, 5_000)).await, expected);
            assert_eq!(simulation.storage.messages(Queue::Cleanup).len(), 10 - left);
        }
        simulation.assert_converged();
    });
}

#[test]
fn as_many_tombstones_as_allowed_do_not_cut_a_sweep_short() {
    with_ten_tombstones(async |simulation| {
        assert_eq!(sweep(&simulation.atomic(), later(), limits(10, 5_000)).await, sent(10, false));
        simulation.assert_converged();
    });
}

#[test]
fn no_tombstone_is_started_after_the_deadline() {
    with_ten_tombstones(async |simulation| {
        assert_eq!(sweep(&simulation.atomic(), later(), limits(10, 0)).await, sent(0, true));
        assert_eq!(simulation.storage.messages(Queue::Cleanup), []);
        // Each page takes a second, so the deadline passes in between. Tombstones that were started are finished.
        let some = sweep(&slow_pages(simulation), later(), limits(10, 2_500)).await;
        assert!(some.is_cut_short && (1..10).contains(&some.sent) && some.failed == 0, "{some:?}");
        assert_eq!(simulation.storage.messages(Queue::Cleanup).len(), some.sent);
    });
}

/// Not even pages without an old enough tombstone. There are four, and each takes a second.
#[test]
fn no_page_is_read_after_the_deadline() {
    with_ten_tombstones(async |simulation| {
        let slow = slow_pages(simulation);
        assert_eq!(sweep(&slow, ARRIVED_AT, limits(10, 2_500)).await, sent(0, true));
        assert_eq!(sweep(&slow, ARRIVED_AT, limits(10, 4_500)).await, sent(0, false));
    });
}

fn slow_pages(simulation: &Simulation<'_>) -> FaultyStorage {
    let delayed = Fault::Delayed(Duration::from_secs(1));
    simulation.faulty(delayed, |operation| operation == Operation::PendingCleanups)
}

/// For a minute, the function that wrote a tombstone may still be sending the message.
#[test]
fn recent_tombstones_are_left_alone() {
    with_ten_tombstones(async |simulation| {
        let storage = simulation.atomic();
        for (seconds, expected) in [(0, 0), (59, 0), (60, 10)] {
            let now = ARRIVED_AT + SignedDuration::from_secs(seconds);
            let report = sweep(&storage, now, limits(10, 5_000)).await;
            assert_eq!(report, sent(expected, false), "after {seconds} s");
        }
    });
}

/// If a message cannot be sent, or a tombstone not read or cleared, the others are swept nevertheless.
#[test]
fn a_failure_does_not_stop_the_others() {
    for failing in [Operation::Send(Queue::Cleanup), Operation::CurrentItem, Operation::ClearCleanup] {
        with_ten_tombstones(async |simulation| {
            let storage = fault_in_third(Fault::FailsBefore, failing, simulation);
            let some = sweep(&storage, later(), limits(10, 5_000)).await;
            assert_eq!((some.sent, some.failed, some.is_cut_short), (9, 1, false), "{failing:?}");
            assert!(some.error.unwrap().contains("down"));
            let rest = sweep(&simulation.atomic(), later(), limits(10, 5_000)).await;
            assert_eq!((rest.sent, rest.failed), (1, 0), "{failing:?}");
            simulation.assert_converged();
        });
    }
}

/// Whatever hangs, a sweep reports before its function times out, and the next sweep does the rest.
#[test]
fn a_sweep_ends_in_time() {
    let failed = |failed, is_cut_short, error: &str| {
        let error = Some(error.to_owned());
        SweepReport { failed, is_cut_short, error, sent: 0 }
    };
    // A page has three tombstones. The time to clear a tombstone is limited separately.
    for (hanging, expected) in [
        (Operation::PendingCleanups, failed(1, false, "the table did not answer in time")),
        (Operation::CurrentItem, failed(3, true, "no time left")),
        (Operation::Send(Queue::Cleanup), failed(3, true, "no time left")),
        (Operation::ClearCleanup, failed(10, false, "the table did not answer in time")),
    ] {
        with_ten_tombstones(async |simulation| {
            let hangs = move |_, operation| (operation == hanging).then_some(Fault::HangsBefore);
            let storage = FaultyStorage::new(&simulation.storage, hangs);
            let sweep = sweep(&storage, later(), limits(10, 5_000));
            let report = timeout(Duration::from_millis(5_001) + TIME_TO_END, sweep).await.expect("in time");
            assert_eq!(report, expected, "{hanging:?}");
            simulation.settle_down().await;
            simulation.assert_converged();
        });
    }
}

#[test]
fn messages_sent_beside_a_hanging_call_are_reported() {
    with_ten_tombstones(async |simulation| {
        let storage = fault_in_third(Fault::HangsBefore, Operation::CurrentItem, simulation);
        let expected = SweepReport { sent: 2, failed: 1, is_cut_short: true, error: Some("no time left".to_owned()) };
        assert_eq!(sweep(&storage, later(), limits(10, 5_000)).await, expected);
        simulation.settle_down().await;
        simulation.assert_converged();
    });
}

#[test]
fn an_unreadable_index_is_a_failure() {
    with_ten_tombstones(async |simulation| {
        let storage = simulation.faulty(Fault::FailsBefore, |operation| operation == Operation::PendingCleanups);
        let report = sweep(&storage, later(), limits(10, 5_000)).await;
        assert_eq!((report.sent, report.failed), (0, 1));
    });
}

/// Two concurrent sweeps send some messages twice, and lose none.
#[test]
fn concurrent_sweeps_are_safe() {
    with_ten_tombstones(async |simulation| {
        let (one, other) = (simulation.reliable(), simulation.reliable());
        let sweeps = (sweep(&one, later(), limits(10, 5_000)), sweep(&other, later(), limits(10, 5_000)));
        let (one, other) = tokio::join!(sweeps.0, sweeps.1);
        assert_eq!((one.failed, other.failed), (0, 0));
        assert!(simulation.storage.messages(Queue::Cleanup).len() >= 10);
        simulation.assert_converged();
    });
}
