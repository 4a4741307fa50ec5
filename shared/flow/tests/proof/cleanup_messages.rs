//! Cleanup messages in their tombstones: who sends them, and which are left alone.

use std::time::Duration;

use clientele_flow::{Queue, Table};
use clientele_model::Outcome;

use crate::simulation::faulty_storage::{Fault, Operation};
use crate::simulation::history::History;
use crate::simulation::provider::{EventSpec, Kind};
use crate::simulation::{later, simulate};

/// A delete, a greater one of the same customer, and an update.
fn two_deletes() -> History {
    let events = [("d1", 1, Kind::Deleted), ("d2", 2, Kind::Deleted), ("u1", 1, Kind::Updated)];
    History::of_singles(&events.map(|(id, version, kind)| EventSpec::new(id, "ada", version, kind)))
}

/// The same delete again, or a smaller one, sends the message without a sweep. A stale update sends nothing.
#[test]
fn a_redelivered_delete_sends_the_pending_message() {
    let history = two_deletes();
    for (delivery, outcome, sent) in [(1, Outcome::Duplicate, 1), (0, Outcome::Stale, 1), (2, Outcome::Stale, 0)] {
        simulate(&history, async |simulation| {
            simulation.leave_pending(1).await;
            let before = simulation.storage.items();
            assert_eq!(simulation.deliver(&simulation.atomic(), delivery).await, [outcome]);
            assert_eq!(simulation.storage.messages(Queue::Cleanup).len(), sent, "after delivery {delivery}");
            if sent == 0 {
                assert_eq!(simulation.storage.items(), before);
            } else {
                simulation.assert_converged();
            }
        });
    }
}

/// While the message of a delete was being sent, a greater delete replaced the tombstone: its message must stay.
#[test]
fn only_the_tombstone_of_the_sent_message_is_cleared() {
    let history = two_deletes();
    simulate(&history, async |simulation| {
        simulation.leave_pending(1).await;
        let before = simulation.storage.items();
        let pk = history.event(0).key().to_string();
        let [smaller, current] = [0, 1].map(|delivery| history.event(delivery).rank().to_string());
        let message = before[&pk]["cleanup"].as_str().unwrap().to_owned();
        for (rank, message) in [(&smaller, &message), (&current, &format!("{message} "))] {
            assert_eq!(simulation.storage.clear_cleanup(&pk, rank, message).await, Ok(None));
        }
        assert_eq!(simulation.storage.items(), before);
        assert_eq!(simulation.storage.clear_cleanup(&pk, &current, &message).await, Ok(Some(1.0)));
        assert!(simulation.storage.pending_cleanups(later(), None).await.unwrap().pending.is_empty());
    });
}

/// A message that the index still shows was already sent by another sweep: it is neither sent again nor counted.
#[test]
fn a_late_sweep_finds_nothing_pending() {
    simulate(&two_deletes(), async |simulation| {
        simulation.leave_pending(1).await;
        let delayed = Fault::Delayed(Duration::from_secs(1));
        let late = simulation.faulty(delayed, |operation| operation == Operation::CurrentItem);
        let other = simulation.reliable();
        let (late, other) = tokio::join!(simulation.sweep(&late), simulation.sweep(&other));
        assert_eq!((late.sent, other.sent), (0, 1));
        assert_eq!(simulation.storage.messages(Queue::Cleanup).len(), 1);
        simulation.assert_converged();
    });
}
