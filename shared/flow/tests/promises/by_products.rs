//! What is kept: only what failed, in its place; and nothing that brings a deleted customer back.

use clientele_flow::{Deadlines, Queue, Queues};
use clientele_model::{KeptDelivery, KeptPart, Outcome};
use tokio::time::Instant;

use crate::actors::run;
use crate::faulty::{Fault, Faulty, Port};
use crate::history::{History, marks};
use crate::provider::{ACME, Said, What};
use crate::world::{World, assert_nothing_personal, flow};

use Outcome::{Applied, Duplicate, Ignored, Parked, Quarantined, Stale, Unavailable};

fn batch() -> History {
    let said = |id: &str, customer: &str, what| Said::new(id, customer, 1, what);
    History::of_batch(&[
        said("a", "ada", What::Updated),
        said("x", "ada", What::Unreadable),
        said("i", "ada", What::Ignored),
        said("a2", "ada", What::Updated),
        said("big", "cleo", What::TooBig),
        said("b", "bob", What::Deleted),
    ])
}

fn kept(world: &World<'_>, queue: Queue) -> Vec<Vec<Option<String>>> {
    world.memory.messages(queue).iter().map(|message| marks(&message.body)).collect()
}

fn in_places(ids: [&str; 6]) -> Vec<Option<String>> {
    ids.map(|id| (!id.is_empty()).then(|| id.to_owned())).into()
}

/// One message a queue, with the others' places empty; replayed, the events have the ranks that they would have had.
#[test]
fn only_what_failed_is_kept_in_its_place() {
    let history = batch();
    run(async {
        let world = World::new(&history);
        // The second call of the table: that of the second customer, or of the first one's second event.
        let mut puts = 0;
        let ports = Faulty::new(&world.memory, move |_, port| {
            puts += usize::from(port == Port::Put);
            (port == Port::Put && puts > 1).then_some(Fault::FailsBefore)
        });
        let outcomes = world.deliver(&ports, 0).await;
        assert_eq!(outcomes.iter().filter(|outcome| **outcome == Applied).count(), 1, "{outcomes:?}");
        assert_eq!(kept(&world, Queue::Quarantine), [in_places(["", "x", "", "", "", ""])]);
        let [parked] = &kept(&world, Queue::Inbox)[..] else { panic!("one message") };
        assert_eq!(parked.iter().flatten().count(), 3);
        world.settle_down().await;
        world.assert_converged();
    });
}

#[test]
fn without_a_fault_only_what_is_not_understood_or_too_big_is_kept() {
    let history = batch();
    run(async {
        let world = World::new(&history);
        let outcomes = world.deliver(&world.prompt(), 0).await;
        assert_eq!(outcomes, [Applied, Quarantined, Ignored, Applied, Quarantined, Applied]);
        assert_eq!(kept(&world, Queue::Quarantine), [in_places(["", "x", "", "", "big", ""])]);
        assert_eq!(kept(&world, Queue::Inbox), [] as [Vec<Option<String>>; 0]);
    });
}

/// As long as the table is down, a kept delivery stays whole where it is; then what is not understood goes to quarantine
/// once.
#[test]
fn a_replayed_batch_is_quarantined_once_and_last() {
    let history = batch();
    run(async {
        let world = World::new(&history);
        let whole = KeptDelivery::new(&ACME, &history.posts[0].verified, "why", KeptPart::Whole).to_message();
        world.memory.send(Queue::Inbox, ACME.name, &whole).await.unwrap();
        let message = world.memory.messages(Queue::Inbox).pop().unwrap();
        let down = Faulty::always(&world.memory, Fault::FailsBefore, |port| port == Port::Put);
        for _ in 0..3 {
            assert_eq!(world.replay(&down, &message).await, [Parked, Parked, Ignored, Parked, Parked, Parked]);
            assert_eq!(world.memory.messages(Queue::Inbox), std::slice::from_ref(&message));
            assert_eq!(kept(&world, Queue::Quarantine), [] as [Vec<Option<String>>; 0]);
        }
        let outcomes = world.replay(&world.prompt(), &message).await;
        assert_eq!(outcomes, [Applied, Quarantined, Ignored, Applied, Quarantined, Applied]);
        assert_eq!(kept(&world, Queue::Quarantine), [in_places(["", "x", "", "", "big", ""])]);
        assert_eq!(kept(&world, Queue::Inbox), [] as [Vec<Option<String>>; 0]);
    });
}

/// What is not understood, and cannot be put into quarantine either, stays on the inbox with its message.
#[test]
fn a_replay_that_cannot_quarantine_leaves_the_message() {
    let history = batch();
    run(async {
        let world = World::new(&history);
        let whole = KeptDelivery::new(&ACME, &history.posts[0].verified, "why", KeptPart::Whole).to_message();
        world.memory.send(Queue::Inbox, ACME.name, &whole).await.unwrap();
        let message = world.memory.messages(Queue::Inbox).pop().unwrap();
        let down = |port| port == Port::Send(Queue::Quarantine);
        let down = Faulty::always(&world.memory, Fault::FailsBefore, down);
        let outcomes = world.replay(&down, &message).await;
        assert_eq!(outcomes, [Applied, Unavailable, Ignored, Applied, Unavailable, Applied]);
        assert_eq!(world.memory.messages(Queue::Inbox), [message]);
        world.settle_down().await;
        world.assert_converged();
    });
}

/// A parked and a quarantined copy of the customer, of before the delete and after it, settled in every order around
/// it, the delete itself parked or not.
#[test]
fn delete_is_final() {
    let said = |id: &str, version, what| Said::new(id, "ada", version, what);
    let history = History::of_singles(&[
        said("d", 2, What::Deleted),
        said("older", 1, What::Updated),
        said("newer", 3, What::Updated),
        said("same", 2, What::Updated),
    ]);
    let pk = history.end.deleted.first().unwrap();
    for order in 0..24 {
        for delete_is_parked in [false, true] {
            run(async {
                let world = World::new(&history);
                let ports = world.prompt();
                let mut left = vec![0, 1, 2, 3];
                let mut number = order;
                let mut erased = false;
                for size in (1..=4).rev() {
                    let post = left.remove(number % size);
                    number /= size;
                    let outcomes = match post {
                        0 if !delete_is_parked => world.deliver(&ports, 0).await,
                        2 => {
                            // As an operator redrives it.
                            let verified = &history.posts[2].verified;
                            let message =
                                KeptDelivery::new(&ACME, verified, "not understood then", KeptPart::Whole).to_message();
                            world.memory.send(Queue::Inbox, ACME.name, &message).await.unwrap();
                            let message = world.memory.messages(Queue::Inbox).pop().unwrap();
                            world.replay(&ports, &message).await
                        }
                        post => {
                            let message = world.park(post).await;
                            world.replay(&ports, &message).await
                        }
                    };
                    erased |= post == 0;
                    if erased {
                        assert_eq!(outcomes, [if post == 0 { Applied } else { Stale }]);
                        assert_nothing_personal(&world.memory.items()[pk]);
                    }
                }
                assert_eq!(world.memory.messages(Queue::Inbox), []);
                world.settle_down().await;
                world.assert_converged();
            });
        }
    }
}

/// The units of all writes of an event, as far as the table tells them.
#[test]
fn what_an_event_costs_is_told() {
    let said = |id: &str, version, what| Said::new(id, "ada", version, what);
    let history =
        History::of_singles(&[said("u", 1, What::Updated), said("u2", 0, What::Updated), said("d", 2, What::Deleted)]);
    run(async {
        let world = World::new(&history);
        let ports = world.prompt();
        let mut units = vec![];
        for post in [0, 0, 1, 2, 2] {
            let deadlines = Deadlines::of_delivery(Instant::now());
            let settled = flow(&ports).receive(&ACME, &history.posts[post].verified, deadlines).await;
            units.push((settled[0].outcome, settled[0].write_units));
        }
        let none = None::<f64>;
        let expected =
            [(Applied, Some(1.0)), (Duplicate, none), (Stale, none), (Applied, Some(2.0)), (Duplicate, none)];
        assert_eq!(units, expected);
        // The mark stays: only the tombstone was written.
        let world = World::new(&history);
        let ports = Faulty::always(&world.memory, Fault::FailsBefore, |port| port == Port::Clear);
        let deadlines = Deadlines::of_delivery(Instant::now());
        let settled = flow(&ports).receive(&ACME, &history.posts[2].verified, deadlines).await;
        assert_eq!(settled[0].write_units, Some(1.0));
        assert_eq!(
            settled[0].warning.as_deref(),
            Some("cleanup message sent but not removed from the tombstone: the table cannot be used: down")
        );
        // Sent already, and not cleared: the next one clears it.
        let settled = flow(&world.prompt()).receive(&ACME, &history.posts[2].verified, deadlines).await;
        assert_eq!((settled[0].outcome, settled[0].write_units), (Duplicate, Some(1.0)));
    });
}

/// An operator reads why: each reason once, however many events have it.
#[test]
fn a_kept_message_says_why() {
    let said = |id: &str, what| Said::new(id, id, 1, what);
    let history = History::of_batch(&[
        said("x", What::Unreadable),
        said("big", What::TooBig),
        said("y", What::Unreadable),
        said("a", What::Updated),
    ]);
    run(async {
        let world = World::new(&history);
        let down = Faulty::always(&world.memory, Fault::FailsBefore, |port| port == Port::Put);
        world.deliver(&down, 0).await;
        let reason =
            |queue| KeptDelivery::from_message(&world.memory.messages(queue).pop().unwrap().body).unwrap().reason;
        let unreadable = "a known type is missing or unreadable";
        assert_eq!(reason(Queue::Quarantine), unreadable);
        assert_eq!(reason(Queue::Inbox), "the table cannot be used: down");
        world.deliver(&world.prompt(), 0).await;
        let both = reason(Queue::Quarantine);
        assert_eq!(
            both.strip_prefix(unreadable).and_then(|rest| rest.split_once(": ")).map(|(what, _)| what),
            Some("; the table cannot hold the item")
        );
    });
}
