//! Exhaustive in the small: every sequence of a few deliveries, and a death at every await.

use std::collections::BTreeMap;

use clientele_flow::Queue;
use clientele_model::{Outcome, Rank};

use crate::actors::{dies_after, replayable, run};
use crate::faulty::{Fault, Faulty, Port};
use crate::history::{History, Meaning, six_events};
use crate::provider::{Said, What};
use crate::world::World;
use crate::{is_full, told};

/// More polls than anything here takes.
const POLLS_MAX: usize = 100;
/// What is down while a delivery dies.
const DOWN: [fn(Port) -> bool; 2] = [|port| port == Port::Put, |port| matches!(port, Port::Send(_))];

#[test]
fn converges() {
    let (length, length_with_deaths, length_while_down) = if is_full() { (6, 5, 4) } else { (4, 3, 2) };
    let history = History::of_singles(&six_events());
    let (mut deliveries, mut replays) = (0, 0);
    for sequence in sequences(length) {
        every_answer_is_as_the_order_says(&history, &sequence);
    }
    for sequence in (1..=length_with_deaths).flat_map(sequences) {
        deliveries += deliveries_die(&history, &sequence, |_| false);
    }
    for sequence in (1..=length_while_down).flat_map(sequences) {
        deliveries += DOWN.map(|is_down| deliveries_die(&history, &sequence, is_down)).iter().sum::<usize>();
        replays += replays_die(&history, &sequence);
    }
    let sweeps = sweeps_die();
    let without_deaths = 6_usize.pow(length);
    told(&format!("{without_deaths} sequences; deaths in {deliveries} deliveries, {replays} replays, {sweeps} sweeps"));
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
fn every_answer_is_as_the_order_says(history: &History, sequence: &[usize]) {
    let schedule = async {
        let world = World::new(history);
        let mut greatest = BTreeMap::new();
        for post in completed(sequence) {
            let expected = [outcome(history, post, &mut greatest)];
            assert_eq!(world.deliver(&world.prompt(), post).await, expected, "delivery {post}");
        }
        world.assert_converged();
        assert_eq!(world.memory.messages(Queue::Cleanup).len(), 1, "sent once where nothing fails");
    };
    replayable(|| format!("the sequence {sequence:?}"), || run(schedule));
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

/// Something dies at each of its awaits, in one schedule each. Gives their number; the last is the one it survived.
fn dying_everywhere(what: &str, is_survived: impl AsyncFn(usize) -> bool) -> usize {
    let how = |polls| format!("{what} dies after {polls} polls");
    (1..POLLS_MAX).find(|polls| replayable(|| how(*polls), || run(is_survived(*polls)))).unwrap()
}

/// One delivery of the sequence dies, at each of its awaits, whatever is down for it. It comes again at the end.
fn deliveries_die(history: &History, sequence: &[usize], is_down: fn(Port) -> bool) -> usize {
    let one_dies = |dying: usize| {
        let what = format!("delivery {dying} of {sequence:?}, table down: {}", is_down(Port::Put));
        dying_everywhere(&what, async |polls| {
            let world = World::new(history);
            let (faulty, ports) = (Faulty::always(&world.memory, Fault::FailsBefore, is_down), world.prompt());
            let mut is_survived = false;
            for (at, post) in sequence.iter().enumerate() {
                if at == dying {
                    is_survived = dies_after(polls, world.deliver(&faulty, *post)).await.is_some();
                } else {
                    world.deliver(&ports, *post).await;
                }
            }
            check(&world).await;
            is_survived
        })
    };
    (0..sequence.len()).map(one_dies).sum()
}

/// The sequence was parked, and is replayed; one replay dies at each of its awaits.
fn replays_die(history: &History, sequence: &[usize]) -> usize {
    let one_dies = |dying: usize| {
        dying_everywhere(&format!("replay {dying} of {sequence:?}"), async |polls| {
            let world = World::new(history);
            for post in sequence {
                world.park(*post).await;
            }
            let (faulty, ports) = (Faulty::sound(&world.memory), world.prompt());
            let mut is_survived = false;
            for (at, message) in world.memory.messages(Queue::Inbox).iter().enumerate() {
                if at == dying {
                    is_survived = dies_after(polls, world.replay(&faulty, message)).await.is_some();
                } else {
                    world.replay(&ports, message).await;
                }
            }
            check(&world).await;
            is_survived
        })
    };
    (0..sequence.len()).map(one_dies).sum()
}

/// A sweep of marks on more than one page dies at each of its awaits, and so does the next one.
fn sweeps_die() -> usize {
    let said: Vec<_> = ["ada", "bob", "cleo", "dan"].map(|name| Said::new(name, name, 1, What::Deleted)).into();
    let history = History::of_singles(&said);
    let schedule = async |polls_of_first: usize, polls_of_second: usize| {
        let world = World::new(&history);
        for post in 0..said.len() {
            world.leave_marked(post).await;
        }
        let sweep = async |polls| dies_after(polls, world.sweep(&Faulty::sound(&world.memory))).await.is_some();
        let are_survived = (sweep(polls_of_first).await, sweep(polls_of_second).await);
        check(&world).await;
        are_survived
    };
    let polls_of_first = dying_everywhere("the first sweep", async |polls| schedule(polls, 1).await.0);
    let second_dies = |first| {
        let what = format!("the first sweep dies after {first} polls, the second");
        dying_everywhere(&what, async |second| schedule(first, second).await.1)
    };
    (1..=polls_of_first).map(second_dies).sum()
}

async fn check(world: &World<'_>) {
    world.assert_nothing_lost();
    world.settle_down().await;
    world.assert_converged();
}
