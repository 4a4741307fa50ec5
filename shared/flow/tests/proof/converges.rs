//! Exhaustive in the small: every sequence of a few deliveries, and a death at every await.

use std::collections::BTreeMap;

use clientele_flow::Queue;
use clientele_model::{Outcome, Rank};

use crate::actors::{dies_after, run};
use crate::faulty::{Fault, Faulty, Port};
use crate::history::{History, Meaning, six_events};
use crate::is_full;
use crate::provider::{Said, What};
use crate::world::World;

/// What is down while a delivery dies.
const DOWN: [fn(Port) -> bool; 2] = [|port| port == Port::Put, |port| matches!(port, Port::Send(_))];

#[test]
fn converges() {
    let (length, length_with_deaths, length_while_down) = if is_full() { (6, 5, 4) } else { (4, 3, 2) };
    let history = History::of_singles(&six_events());
    let [without_faults, deliveries, replays, sweeps] = run(async {
        let mut schedules = [0; 4];
        for sequence in sequences(length) {
            every_answer_is_as_the_order_says(&history, &sequence).await;
            schedules[0] += 1;
        }
        for sequence in (1..=length_with_deaths).flat_map(sequences) {
            schedules[1] += deliveries_die(&history, &sequence, |_| false).await;
        }
        for sequence in (1..=length_while_down).flat_map(sequences) {
            for is_down in DOWN {
                schedules[1] += deliveries_die(&history, &sequence, is_down).await;
            }
            schedules[2] += replays_die(&history, &sequence).await;
        }
        schedules[3] = sweeps_die().await;
        schedules
    });
    assert_eq!(without_faults, 6_usize.pow(length));
    // No delivery and no replay has less than three awaits to die at, and no sweep of four marks less than twelve.
    let places = |length: u32| (1..=length).map(|length| 6_usize.pow(length) * length as usize).sum::<usize>();
    assert!(deliveries > 3 * (places(length_with_deaths) + 2 * places(length_while_down)), "{deliveries}");
    assert!(replays > 3 * places(length_while_down), "{replays}");
    assert!(sweeps > 12 * 12, "{sweeps}");
}

/// All sequences of that length over six deliveries.
fn sequences(length: u32) -> impl Iterator<Item = Vec<usize>> {
    let digit = |number: usize, at: u32| number / 6_usize.pow(at) % 6;
    (0..6_usize.pow(length)).map(move |number| (0..length).map(|at| digit(number, at)).collect())
}

/// The sequence, then everything that is not in it.
fn completed(sequence: &[usize]) -> impl Iterator<Item = usize> {
    let rest = (0..6).filter(|post| !sequence.contains(post));
    sequence.iter().copied().chain(rest)
}

/// Where nothing fails, nothing needs to settle down.
async fn every_answer_is_as_the_order_says(history: &History, sequence: &[usize]) {
    let world = World::new(history);
    let ports = world.prompt();
    let mut greatest = BTreeMap::new();
    for post in completed(sequence) {
        let expected = [outcome(history, post, &mut greatest)];
        assert_eq!(world.deliver(&ports, post).await, expected, "delivery {post} of {sequence:?}");
    }
    world.assert_converged();
    assert_eq!(world.memory.messages(Queue::Cleanup).len(), 1, "of {sequence:?}: sent once where nothing fails");
}

/// What the order says of an event, given the greatest event of each customer so far.
fn outcome(history: &History, post: usize, greatest: &mut BTreeMap<String, Rank>) -> Outcome {
    let Meaning::Event(event) = &history.posts[post].facts[0].meaning else { panic!("an event") };
    let (pk, rank) = (event.key().to_string(), event.rank());
    match greatest.get(&pk) {
        Some(standing) if *standing == rank => Outcome::Duplicate,
        Some(standing) if *standing > rank => Outcome::Stale,
        _ => {
            greatest.insert(pk, rank);
            Outcome::Applied
        }
    }
}

/// One delivery of the sequence dies, at each of its awaits, whatever is down for it. It comes again at the end.
async fn deliveries_die(history: &History, sequence: &[usize], is_down: fn(Port) -> bool) -> usize {
    let mut schedules = 0;
    for dying in 0..sequence.len() {
        for polls in 1.. {
            let world = World::new(history);
            let (faulty, ports) = (Faulty::always(&world.memory, Fault::FailsBefore, is_down), world.prompt());
            let mut survived = false;
            for (at, post) in sequence.iter().enumerate() {
                if at == dying {
                    survived = dies_after(polls, world.deliver(&faulty, *post)).await.is_some();
                } else {
                    world.deliver(&ports, *post).await;
                }
            }
            check(&world).await;
            schedules += 1;
            if survived {
                break;
            }
        }
    }
    schedules
}

/// The sequence was parked, and is replayed; one replay dies at each of its awaits.
async fn replays_die(history: &History, sequence: &[usize]) -> usize {
    let mut schedules = 0;
    for dying in 0..sequence.len() {
        for polls in 1.. {
            let world = World::new(history);
            for post in sequence {
                world.park(*post).await;
            }
            let (faulty, ports) = (Faulty::sound(&world.memory), world.prompt());
            let mut survived = false;
            for (at, message) in world.memory.messages(Queue::Inbox).iter().enumerate() {
                if at == dying {
                    survived = dies_after(polls, world.replay(&faulty, message)).await.is_some();
                } else {
                    world.replay(&ports, message).await;
                }
            }
            check(&world).await;
            schedules += 1;
            if survived {
                break;
            }
        }
    }
    schedules
}

/// Two sweeps of marks on more than one page die one after the other, at each of their awaits.
async fn sweeps_die() -> usize {
    let said: Vec<_> = ["ada", "bob", "cleo", "dan"].map(|name| Said::new(name, name, 1, What::Deleted)).into();
    let history = History::of_singles(&said);
    let mut schedules = 0;
    for polls in 1.. {
        let mut survived = (false, false);
        for polls_of_second in 1.. {
            let world = World::new(&history);
            for post in 0..said.len() {
                world.leave_marked(post).await;
            }
            let sweep = async |polls| dies_after(polls, world.sweep(&Faulty::sound(&world.memory))).await.is_some();
            survived = (sweep(polls).await, sweep(polls_of_second).await);
            check(&world).await;
            schedules += 1;
            if survived.1 {
                break;
            }
        }
        if survived.0 {
            break;
        }
    }
    schedules
}

async fn check(world: &World<'_>) {
    world.assert_nothing_lost();
    world.settle_down().await;
    world.assert_converged();
}
