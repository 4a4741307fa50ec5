//! What is kept on the queues: only the events that failed, in their places, and nothing that restores a deleted customer.

use clientele_flow::{Deadlines, Queue};
use clientele_model::{EVENTS_MAX, KeptDelivery, Outcome};
use tokio::time::Instant;

use crate::simulation::faulty_storage::{Fault, FaultyStorage, Operation};
use crate::simulation::history::{History, event_ids};
use crate::simulation::provider::{ACME, ARRIVED_AT, EventSpec, IMPLAUSIBLE_VERSIONS, Kind};
use crate::simulation::{Simulation, assert_nothing_personal, flow, simulate};

use Outcome::{Applied, Duplicate, Ignored, Parked, Quarantined, Stale, Unavailable};

fn batch() -> History {
    let event = |id: &str, customer: &str, kind| EventSpec::new(id, customer, 1, kind);
    History::of_batch(&[
        event("a", "ada", Kind::Updated),
        event("x", "ada", Kind::Unreadable),
        event("i", "ada", Kind::Ignored),
        event("a2", "ada", Kind::Updated),
        event("big", "cleo", Kind::Oversized),
        event("b", "bob", Kind::Deleted),
    ])
}

fn kept(simulation: &Simulation<'_>, queue: Queue) -> Vec<Vec<Option<String>>> {
    simulation.storage.messages(queue).iter().map(|message| event_ids(&message.body)).collect()
}

fn in_places(ids: [&str; 6]) -> Vec<Option<String>> {
    ids.map(|id| (!id.is_empty()).then(|| id.to_owned())).into()
}

/// The batch is settled, but for the two events that no retry can settle.
fn assert_only_bad_events_are_kept(simulation: &Simulation<'_>, outcomes: &[Outcome]) {
    assert_eq!(outcomes, [Applied, Quarantined, Ignored, Applied, Quarantined, Applied]);
    assert_eq!(kept(simulation, Queue::Quarantine), [in_places(["", "x", "", "", "big", ""])]);
    assert_eq!(kept(simulation, Queue::Inbox), [] as [Vec<Option<String>>; 0]);
}

/// One message per queue, with empty places for the other events. Replayed events have the ranks that they would have had.
#[test]
fn only_failed_events_are_kept_in_their_places() {
    simulate(&batch(), async |simulation| {
        // The second write fails: that of the second customer, or the second one of the first customer.
        let mut puts = 0;
        let storage = FaultyStorage::new(&simulation.storage, move |_, operation| {
            puts += usize::from(operation.is_write());
            (operation.is_write() && puts > 1).then_some(Fault::FailsBefore)
        });
        let outcomes = simulation.deliver(&storage, 0).await;
        assert_eq!(outcomes.iter().filter(|outcome| **outcome == Applied).count(), 1, "{outcomes:?}");
        assert_eq!(kept(simulation, Queue::Quarantine), [in_places(["", "x", "", "", "", ""])]);
        let [parked] = &kept(simulation, Queue::Inbox)[..] else { panic!("one message") };
        assert_eq!(parked.iter().flatten().count(), 3);
        simulation.settle_down().await;
        simulation.assert_converged();
    });
}

#[test]
fn without_a_fault_only_bad_events_are_kept() {
    simulate(&batch(), async |simulation| {
        let outcomes = simulation.deliver(&simulation.atomic(), 0).await;
        assert_only_bad_events_are_kept(simulation, &outcomes);
    });
}

/// While the table is down, the message stays on the inbox as it is. Then the bad events go to quarantine once.
#[test]
fn a_replay_quarantines_bad_events_once_and_last() {
    simulate(&batch(), async |simulation| {
        let message = simulation.enqueue(0).await;
        let down = simulation.faulty(Fault::FailsBefore, Operation::is_write);
        for _ in 0..3 {
            assert_eq!(simulation.replay(&down, &message).await, [Parked, Parked, Ignored, Parked, Parked, Parked]);
            assert_eq!(simulation.storage.messages(Queue::Inbox), std::slice::from_ref(&message));
            assert_eq!(kept(simulation, Queue::Quarantine), [] as [Vec<Option<String>>; 0]);
        }
        let outcomes = simulation.replay(&simulation.atomic(), &message).await;
        assert_only_bad_events_are_kept(simulation, &outcomes);
    });
}

/// A batch of too many events is kept as one event, on arrival and when an operator moves it to the inbox. Only
/// `settle`, which a redrive calls, settles it.
#[test]
fn too_many_events_are_quarantined_as_one() {
    let events = |number| (0..number).map(|event| EventSpec::new(&format!("e{event}"), "ada", event, Kind::Updated));
    for (number, outcomes) in [(EVENTS_MAX, 1_000), (EVENTS_MAX + 1, 1)] {
        let history = History::of_batch(&events(i64::try_from(number).unwrap()).collect::<Vec<_>>());
        simulate(&history, async |simulation| {
            let storage = simulation.atomic();
            let settled = simulation.receive(&storage, 0).await;
            assert_eq!(settled.len(), outcomes);
            if number > EVENTS_MAX {
                assert_eq!((settled[0].place, settled[0].outcome), (0, Quarantined));
                assert_eq!(settled[0].reason.as_deref(), Some("more than 1000 events in one delivery"));
                assert_eq!(storage.calls(), 1, "one message");
                simulation.redrive();
                let [message] = &simulation.storage.messages(Queue::Inbox)[..] else { panic!("one message") };
                assert_eq!(simulation.replay(&storage, message).await, [Quarantined]);
            }
            let kept: Vec<_> = kept(simulation, Queue::Quarantine).into_iter().flatten().flatten().collect();
            assert_eq!(kept.len(), if number > EVENTS_MAX { number } else { 0 });
            let verified = &history.deliveries[0].verified;
            let settled =
                flow(&storage).settle(&ACME, verified, Deadlines::of_redrive(Instant::now(), ARRIVED_AT)).await;
            assert_eq!(settled.len(), number);
            assert!(settled.iter().all(|event| matches!(event.outcome, Applied | Stale | Duplicate)));
        });
    }
}

/// Bad events that cannot go to quarantine either stay on the inbox with their message.
#[test]
fn a_replay_that_cannot_quarantine_leaves_the_message() {
    simulate(&batch(), async |simulation| {
        let message = simulation.enqueue(0).await;
        let is_quarantine = |operation| operation == Operation::Send(Queue::Quarantine);
        let down = simulation.faulty(Fault::FailsBefore, is_quarantine);
        let outcomes = simulation.replay(&down, &message).await;
        assert_eq!(outcomes, [Applied, Unavailable, Ignored, Applied, Unavailable, Applied]);
        assert_eq!(simulation.storage.messages(Queue::Inbox), [message]);
        simulation.settle_down().await;
        simulation.assert_converged();
    });
}

/// Updates of a customer from before and after a delete, one of them parked and one quarantined, are settled in every order
/// around the delete. The delete itself is parked in half of the runs.
#[test]
fn no_kept_copy_restores_a_deleted_customer() {
    let event = |id: &str, version, kind| EventSpec::new(id, "ada", version, kind);
    let history = History::of_singles(&[
        event("d", 2, Kind::Deleted),
        event("older", 1, Kind::Updated),
        event("newer", 3, Kind::Updated),
        event("same", 2, Kind::Updated),
    ]);
    let pk = history.final_state.deleted.first().unwrap();
    for (order, delete_is_parked) in (0..24).flat_map(|order| [(order, false), (order, true)]) {
        simulate(&history, async |simulation| {
            let storage = simulation.atomic();
            let mut left = vec![0, 1, 2, 3];
            let mut number = order;
            let mut is_deleted = false;
            for size in (1..=4).rev() {
                let delivery = left.remove(number % size);
                number /= size;
                let outcomes = match delivery {
                    0 if !delete_is_parked => simulation.deliver(&storage, 0).await,
                    2 => simulation.replay(&storage, &simulation.enqueue(2).await).await,
                    _ => simulation.replay(&storage, &simulation.park(delivery).await).await,
                };
                is_deleted |= delivery == 0;
                if is_deleted {
                    assert_eq!(outcomes, [if delivery == 0 { Applied } else { Stale }]);
                    assert_nothing_personal(&simulation.storage.items()[pk]);
                }
            }
            assert_eq!(simulation.storage.messages(Queue::Inbox), []);
            simulation.settle_down().await;
            simulation.assert_converged();
        });
    }
}

/// The write units of an event are the sum of all its writes.
#[test]
fn write_units_are_reported() {
    let event = |id: &str, version, kind| EventSpec::new(id, "ada", version, kind);
    let history = History::of_singles(&[
        event("u", 1, Kind::Updated),
        event("u2", 0, Kind::Updated),
        event("d", 2, Kind::Deleted),
    ]);
    simulate(&history, async |simulation| {
        let mut units = vec![];
        for delivery in [0, 0, 1, 2, 2] {
            let settled = simulation.receive(&simulation.atomic(), delivery).await;
            units.push((settled[0].outcome, settled[0].write_units));
        }
        let expected =
            [(Applied, Some(1.0)), (Duplicate, None), (Stale, None), (Applied, Some(2.0)), (Duplicate, None)];
        assert_eq!(units, expected);
    });
    simulate(&history, async |simulation| {
        // Only the tombstone was written.
        let storage = simulation.faulty(Fault::FailsBefore, |operation| operation == Operation::ClearCleanup);
        let settled = simulation.receive(&storage, 2).await;
        assert_eq!(settled[0].write_units, Some(1.0));
        let warning = "cleanup message sent but not removed from the tombstone: the table cannot be used: down";
        assert_eq!(settled[0].warning.as_deref(), Some(warning));
        // The next delete sends the message again and removes it.
        let settled = simulation.receive(&simulation.atomic(), 2).await;
        assert_eq!((settled[0].outcome, settled[0].write_units), (Duplicate, Some(1.0)));
    });
}

/// A wrong clock cannot freeze a record: an event with an implausible version is kept, and a delete with one is applied.
#[test]
fn an_implausible_version_is_not_applied() {
    for version in IMPLAUSIBLE_VERSIONS {
        let history = History::of_batch(&[
            EventSpec::new("wrong", "ada", version, Kind::Updated),
            EventSpec::new("right", "ada", 1, Kind::Updated),
            EventSpec::new("gone", "bob", version, Kind::Deleted),
            EventSpec::new("late", "bob", 2, Kind::Updated),
        ]);
        simulate(&history, async |simulation| {
            let outcomes = simulation.deliver(&simulation.atomic(), 0).await;
            assert_eq!(outcomes, [Quarantined, Applied, Applied, Stale]);
            // The judgement of the kept event is the same when it is moved back.
            simulation.redrive();
            simulation.replay_all(&simulation.atomic()).await;
            let wrong = vec![Some("wrong".to_owned()), None, None, None];
            assert_eq!(kept(simulation, Queue::Quarantine), [wrong]);
            simulation.check().await;
        });
    }
}

/// An operator can read the reason, each once, however many events have it.
#[test]
fn a_kept_message_has_its_reasons() {
    let event = |id: &str, kind| EventSpec::new(id, id, 1, kind);
    let history = History::of_batch(&[
        event("x", Kind::Unreadable),
        event("big", Kind::Oversized),
        event("y", Kind::Unreadable),
        event("a", Kind::Updated),
    ]);
    simulate(&history, async |simulation| {
        let reason = |queue| {
            let message = simulation.storage.messages(queue).pop().unwrap();
            KeptDelivery::from_message(&message.body).unwrap().reason
        };
        let down = simulation.faulty(Fault::FailsBefore, Operation::is_write);
        simulation.deliver(&down, 0).await;
        let unreadable = "kind has an unexpected type or value";
        assert_eq!(reason(Queue::Quarantine), unreadable);
        assert_eq!(reason(Queue::Inbox), "the table cannot be used: down");
        simulation.deliver(&simulation.atomic(), 0).await;
        let both = reason(Queue::Quarantine);
        assert!(both.starts_with(&format!("{unreadable}; the table cannot hold the item: ")), "{both}");
    });
}
