//! Sweeps: bounded, resumable, patient, and good neighbours.

use std::time::Duration;

use clientele_flow::{Queue, SweepLimits, SweepReport};
use jiff::SignedDuration;
use tokio::time::{Instant, timeout};

use crate::actors::run;
use crate::faulty::{Fault, Faulty, Port};
use crate::history::History;
use crate::provider::{ARRIVED, Said, What};
use crate::world::{World, flow, later};

fn ten_deletes() -> History {
    let said = (0..10).map(|number| Said::new(&format!("d{number}"), &format!("c{number}"), 1, What::Deleted));
    History::of_singles(&said.collect::<Vec<_>>())
}

async fn marked(history: &History) -> World<'_> {
    let world = World::new(history);
    for post in 0..history.posts.len() {
        world.leave_marked(post).await;
    }
    world
}

/// Ports of which the third call of one has a fault.
fn with_third(fault: Fault, of: Port, world: &World<'_>) -> Faulty {
    let mut calls = 0;
    Faulty::new(&world.memory, move |_, port| {
        calls += usize::from(port == of);
        (port == of && calls == 3).then_some(fault)
    })
}

fn limits(tombstones_max: usize, begin_within_ms: u64) -> SweepLimits {
    let start_by = Instant::now() + Duration::from_millis(begin_within_ms);
    SweepLimits { start_by, end_by: start_by + TO_END, tombstones_max, grace: Duration::from_mins(1) }
}

/// What is begun has so long.
const TO_END: Duration = Duration::from_secs(3);

fn swept(sent: usize, is_cut_short: bool) -> SweepReport {
    SweepReport { sent, is_cut_short, ..SweepReport::default() }
}

#[test]
fn a_sweep_is_bounded_and_the_next_goes_on() {
    let history = ten_deletes();
    run(async {
        let world = marked(&history).await;
        let ports = world.prompt();
        for (expected, left) in [(swept(4, true), 6), (swept(4, true), 2), (swept(2, false), 0), (swept(0, false), 0)] {
            assert_eq!(flow(&ports).sweep(later(), limits(4, 5_000)).await, expected);
            assert_eq!(world.memory.messages(Queue::Cleanup).len(), 10 - left);
        }
        world.assert_converged();
    });
}

/// Exactly as many as are allowed is not too many.
#[test]
fn a_sweep_that_just_fits_is_not_cut_short() {
    let history = ten_deletes();
    run(async {
        let world = marked(&history).await;
        assert_eq!(flow(&world.prompt()).sweep(later(), limits(10, 5_000)).await, swept(10, false));
        world.assert_converged();
    });
}

#[test]
fn nothing_is_begun_when_time_is_up() {
    let history = ten_deletes();
    run(async {
        let world = marked(&history).await;
        assert_eq!(flow(&world.prompt()).sweep(later(), limits(10, 0)).await, swept(0, true));
        assert_eq!(world.memory.messages(Queue::Cleanup), []);
        // Each page takes a second: time is up in between, and what is begun ends.
        let slow =
            Faulty::always(&world.memory, Fault::Late(Duration::from_secs(1)), |port| port == Port::PendingCleanups);
        let some = flow(&slow).sweep(later(), limits(10, 2_500)).await;
        assert!(some.is_cut_short && (1..10).contains(&some.sent) && some.failed == 0, "{some:?}");
        assert_eq!(world.memory.messages(Queue::Cleanup).len(), some.sent);
    });
}

/// Nor is a page, even when nothing on it is due: each takes a second, and there are four.
#[test]
fn pages_are_not_read_when_time_is_up() {
    let history = ten_deletes();
    run(async {
        let world = marked(&history).await;
        let slow =
            Faulty::always(&world.memory, Fault::Late(Duration::from_secs(1)), |port| port == Port::PendingCleanups);
        assert_eq!(flow(&slow).sweep(ARRIVED, limits(10, 2_500)).await, swept(0, true));
        assert_eq!(flow(&slow).sweep(ARRIVED, limits(10, 4_500)).await, swept(0, false));
    });
}

/// Who wrote a tombstone is still at it: its mark is left alone for a minute.
#[test]
fn young_marks_are_left() {
    let history = ten_deletes();
    run(async {
        let world = marked(&history).await;
        let ports = world.prompt();
        for (seconds, sent) in [(0, 0), (59, 0), (60, 10)] {
            let now = ARRIVED + SignedDuration::from_secs(seconds);
            assert_eq!(flow(&ports).sweep(now, limits(10, 5_000)).await, swept(sent, false), "after {seconds} s");
        }
    });
}

/// A message that cannot be sent, a tombstone that cannot be read, a mark that cannot be cleared: the others are swept.
#[test]
fn a_failure_holds_up_nobody() {
    let history = ten_deletes();
    for failing in [Port::Send(Queue::Cleanup), Port::CurrentItem, Port::Clear] {
        run(async {
            let world = marked(&history).await;
            let ports = with_third(Fault::FailsBefore, failing, &world);
            let some = flow(&ports).sweep(later(), limits(10, 5_000)).await;
            assert_eq!((some.sent, some.failed, some.is_cut_short), (9, 1, false), "{failing:?}");
            assert!(some.error.unwrap().contains("down"));
            let rest = flow(&world.prompt()).sweep(later(), limits(10, 5_000)).await;
            assert_eq!((rest.sent, rest.failed), (1, 0), "{failing:?}");
            world.assert_converged();
        });
    }
}

/// Whatever hangs, a sweep tells what it did before its function is ended; the next one does the rest.
#[test]
fn a_sweep_ends_in_time() {
    let history = ten_deletes();
    let failed = |failed, is_cut_short, error: &str| {
        let error = Some(error.to_owned());
        SweepReport { failed, is_cut_short, error, sent: 0 }
    };
    // Three are on a page. A mark that is not cleared is given up before the sweep is.
    for (hangs, expected) in [
        (Port::PendingCleanups, failed(1, false, "the table did not answer in time")),
        (Port::CurrentItem, failed(3, true, "no time left")),
        (Port::Send(Queue::Cleanup), failed(3, true, "no time left")),
        (Port::Clear, failed(10, false, "the table did not answer in time")),
    ] {
        run(async {
            let world = marked(&history).await;
            let ports = Faulty::new(&world.memory, move |_, port| (port == hangs).then_some(Fault::HangsBefore));
            let flow = flow(&ports);
            let sweep = flow.sweep(later(), limits(10, 5_000));
            let told = timeout(Duration::from_millis(5_001) + TO_END, sweep).await.expect("in time");
            assert_eq!(told, expected, "{hangs:?}");
            world.settle_down().await;
            world.assert_converged();
        });
    }
}

/// One message that hangs: what was sent beside it is told.
#[test]
fn what_was_done_beside_a_hang_is_told() {
    let history = ten_deletes();
    run(async {
        let world = marked(&history).await;
        let ports = with_third(Fault::HangsBefore, Port::CurrentItem, &world);
        let expected = SweepReport { sent: 2, failed: 1, is_cut_short: true, error: Some("no time left".to_owned()) };
        assert_eq!(flow(&ports).sweep(later(), limits(10, 5_000)).await, expected);
        world.settle_down().await;
        world.assert_converged();
    });
}

/// When the table cannot be searched that is told, and nothing else happens.
#[test]
fn an_index_that_cannot_be_read_is_a_failure() {
    let history = ten_deletes();
    run(async {
        let world = marked(&history).await;
        let ports = Faulty::always(&world.memory, Fault::FailsBefore, |port| port == Port::PendingCleanups);
        let none = flow(&ports).sweep(later(), limits(10, 5_000)).await;
        assert_eq!((none.sent, none.failed), (0, 1));
    });
}

/// Two at once send some twice, and lose none.
#[test]
fn two_at_once_are_safe() {
    let history = ten_deletes();
    run(async {
        let world = marked(&history).await;
        let (one, other) = (Faulty::sound(&world.memory), Faulty::sound(&world.memory));
        let (one, other) = (flow(&one), flow(&other));
        let both = tokio::join!(one.sweep(later(), limits(10, 5_000)), other.sweep(later(), limits(10, 5_000)));
        assert_eq!((both.0.failed, both.1.failed), (0, 0));
        assert!(world.memory.messages(Queue::Cleanup).len() >= 10);
        world.assert_converged();
    });
}
