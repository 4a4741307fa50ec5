//! A delivery is answered in time, whatever hangs. The clock advances only when everything waits for it.

use std::time::Duration;

use clientele_flow::Queue;
use clientele_model::{EVENTS_MAX, Outcome};
use tokio::time::Instant;

use crate::simulation::faulty_storage::{Fault, Operation};
use crate::simulation::history::History;
use crate::simulation::provider::{EventSpec, Kind};
use crate::simulation::simulate;

use Outcome::{Applied, Parked, Quarantined, Unavailable};

/// Outcome, reason, warning and milliseconds of a delivery while some operations hang.
fn settle(kind: Kind, hangs: fn(Operation) -> bool) -> (Outcome, String, String, u128) {
    let history = History::of_singles(&[EventSpec::new("e", "ada", 1, kind)]);
    simulate(&history, async |simulation| {
        let started = Instant::now();
        let settled = simulation.receive(&simulation.faulty(Fault::HangsBefore, hangs), 0).await.remove(0);
        let (reason, warning) = (settled.reason.unwrap_or_default(), settled.warning.unwrap_or_default());
        (settled.outcome, reason, warning, started.elapsed().as_millis())
    })
}

#[test]
fn an_answer_comes_in_time() {
    let table = "the table did not answer in time";
    assert_eq!(settle(Kind::Deleted, |_| false), (Applied, String::new(), String::new(), 0));
    let (outcome, reason, _, ms) = settle(Kind::Updated, Operation::is_write);
    assert_eq!((outcome, reason.as_str(), ms / 10), (Parked, table, 250));
    let (outcome, reason, _, ms) = settle(Kind::Updated, |_| true);
    let both = format!("{table}; the inbox queue did not answer in time");
    assert_eq!((outcome, reason, ms / 10), (Unavailable, both, 360));
    let (outcome, _, warning, ms) = settle(Kind::Deleted, |operation| operation == Operation::Send(Queue::Cleanup));
    let left = "cleanup message left to the sweep: no time left";
    assert_eq!((outcome, warning.as_str(), ms / 10), (Applied, left, 360));
    let (outcome, _, warning, ms) = settle(Kind::Deleted, |operation| operation == Operation::ClearCleanup);
    let not_cleared = format!("cleanup message sent but not removed from the tombstone: {table}");
    assert_eq!((outcome, warning, ms / 10), (Applied, not_cleared, 50));
    let (outcome, reason, _, ms) = settle(Kind::Unreadable, |operation| matches!(operation, Operation::Send(_)));
    assert!(reason.ends_with("; the quarantine queue did not answer in time"), "{reason}");
    assert_eq!((outcome, ms / 10), (Unavailable, 360));
    assert_eq!(settle(Kind::Unreadable, |_| false).0, Quarantined);
}

/// As many events as a delivery may have, of as many customers, none of which can be written, are kept in one message, in
/// time.
#[test]
fn the_largest_batch_is_parked_in_time() {
    let events =
        (0..EVENTS_MAX).map(|number| EventSpec::new(&format!("e{number}"), &format!("c{number}"), 1, Kind::Updated));
    let history = History::of_batch(&events.collect::<Vec<_>>());
    simulate(&history, async |simulation| {
        let storage = simulation.faulty(Fault::HangsBefore, Operation::is_write);
        let started = Instant::now();
        assert_eq!(simulation.deliver(&storage, 0).await, [Parked; EVENTS_MAX]);
        assert!(started.elapsed() <= Duration::from_millis(2_600), "{:?}", started.elapsed());
        assert_eq!(simulation.storage.messages(Queue::Inbox).len(), 1);
        simulation.settle_down().await;
        simulation.assert_converged();
    });
}
