//! Messages that wait in their tombstones: who sends them, and who leaves them alone.

use std::time::Duration;

use clientele_flow::{Queue, Table};
use clientele_model::Outcome;

use crate::actors::run;
use crate::faulty::{Fault, Faulty, Port};
use crate::history::{History, Meaning};
use crate::provider::{Said, What};
use crate::world::World;

/// A delete, a greater one of the same customer, and an update.
fn two_deletes() -> History {
    let said = |id, version, what| Said::new(id, "ada", version, what);
    History::of_singles(&[said("d1", 1, What::Deleted), said("d2", 2, What::Deleted), said("u1", 1, What::Updated)])
}

/// The `pk` and the rank of an event.
fn known_by(history: &History, post: usize) -> (String, String) {
    let Meaning::Event(event) = &history.posts[post].facts[0].meaning else { panic!("an event") };
    (event.key().to_string(), event.rank().to_string())
}

/// The same delete again, or a smaller one; no sweep is needed. An update sends nothing, as little as it changes.
#[test]
fn a_redelivered_delete_sends_the_message_that_waits() {
    let history = two_deletes();
    for (post, outcome, sent) in [(1, Outcome::Duplicate, 1), (0, Outcome::Stale, 1), (2, Outcome::Stale, 0)] {
        run(async {
            let world = World::new(&history);
            world.leave_marked(1).await;
            let before = world.memory.items();
            assert_eq!(world.deliver(&world.prompt(), post).await, [outcome]);
            assert_eq!(world.memory.messages(Queue::Cleanup).len(), sent, "after delivery {post}");
            if sent == 0 {
                assert_eq!(world.memory.items(), before);
            } else {
                world.assert_converged();
            }
        });
    }
}

/// A greater delete came while the message of a smaller one was sent: the mark that stands by then is another.
#[test]
fn a_mark_is_cleared_from_its_own_tombstone_only() {
    let history = two_deletes();
    run(async {
        let world = World::new(&history);
        world.leave_marked(1).await;
        let before = world.memory.items();
        let (pk, rank_of_smaller) = known_by(&history, 0);
        assert_eq!(world.memory.clear_cleanup(&pk, &rank_of_smaller).await, Ok(None));
        assert_eq!(world.memory.items(), before);
        let (_, rank) = known_by(&history, 1);
        assert_eq!(world.memory.clear_cleanup(&pk, &rank).await, Ok(Some(1.0)));
        assert!(world.memory.pending_cleanups(None).await.unwrap().pending.is_empty());
    });
}

/// What the index showed was sent by somebody else since: it is neither sent again nor counted.
#[test]
fn a_sweep_that_comes_late_finds_nothing() {
    let history = two_deletes();
    run(async {
        let world = World::new(&history);
        world.leave_marked(1).await;
        let late = Faulty::always(&world.memory, Fault::Late(Duration::from_secs(1)), |port| port == Port::CurrentItem);
        let other = Faulty::sound(&world.memory);
        let (late, other) = tokio::join!(world.sweep(&late), world.sweep(&other));
        assert_eq!((late.sent, other.sent), (0, 1));
        assert_eq!(world.memory.messages(Queue::Cleanup).len(), 1);
        world.assert_converged();
    });
}
