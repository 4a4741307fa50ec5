//! Exhaustive for a few deliveries: every sequence, and a crash at every await.

use std::collections::BTreeMap;

use clientele_flow::{Queue, RunEnd};
use clientele_model::{Outcome, Rank};

use crate::simulation::actors::{crash_after, reproducible, run};
use crate::simulation::faulty_storage::{Fault, FaultyStorage, Operation};
use crate::simulation::history::{History, six_events};
use crate::simulation::list::observation;
use crate::simulation::provider::{EventSpec, Kind};
use crate::simulation::{Simulation, simulate};
use crate::{is_full, report};

/// How many deliveries there are.
const DELIVERIES: usize = 6;
/// How many deliveries and lists there are.
const STEPS: usize = 8;
/// More polls than anything here takes.
const POLLS_MAX: usize = 100;
/// What fails while a delivery crashes.
const OUTAGES: [fn(Operation) -> bool; 2] = [Operation::is_write, |operation| matches!(operation, Operation::Send(_))];

#[test]
fn every_sequence_converges() {
    let (length, length_with_crashes, length_in_outages) = if is_full() { (6, 5, 4) } else { (4, 3, 2) };
    let lists: [&[_]; STEPS - DELIVERIES] = [&[("ada", 1), ("bob", 1)], &[("ada", 4), ("bob", 2)]];
    let history = History::of_singles(&six_events()).with_lists(&lists, &[]);
    let (mut deliveries, mut replays) = (0, 0);
    for sequence in sequences(length, STEPS) {
        deliver_without_faults(&history, &sequence);
    }
    for sequence in (1..=length_with_crashes).flat_map(|length| sequences(length, STEPS)) {
        deliveries += crash_deliveries(&history, &sequence, |_| false);
    }
    for sequence in (1..=length_in_outages).flat_map(|length| sequences(length, STEPS)) {
        deliveries += OUTAGES.map(|is_down| crash_deliveries(&history, &sequence, is_down)).iter().sum::<usize>();
    }
    for sequence in (1..=length_in_outages).flat_map(|length| sequences(length, DELIVERIES)) {
        replays += crash_replays(&history, &sequence);
    }
    let sweeps = crash_sweeps();
    let sequences = STEPS.pow(length);
    report(&format!("{sequences} sequences; crashes in {deliveries} deliveries, {replays} replays, {sweeps} sweeps"));
    // A delivery, an import and a replay have at least three awaits to crash at, a sweep of four tombstones at least twelve.
    let steps = |base: usize, length: u32| (1..=length).map(|length| base.pow(length) * length as usize).sum::<usize>();
    assert!(deliveries > 3 * (steps(STEPS, length_with_crashes) + 2 * steps(STEPS, length_in_outages)), "{deliveries}");
    assert!(replays > 3 * steps(DELIVERIES, length_in_outages), "{replays}");
    assert!(sweeps > 12 * 12, "{sweeps}");
}

/// All sequences of that length over this many steps.
fn sequences(length: u32, base: usize) -> impl Iterator<Item = Vec<usize>> {
    let digit = move |number: usize, at: u32| number / base.pow(at) % base;
    (0..base.pow(length)).map(move |number| (0..length).map(|at| digit(number, at)).collect())
}

/// Delivers or imports one step.
async fn step(simulation: &Simulation<'_>, storage: &FaultyStorage, step: usize) {
    match step.checked_sub(DELIVERIES) {
        None => drop(simulation.deliver(storage, step).await),
        Some(list) => drop(simulation.import(storage, list).await),
    }
}

/// Delivers the sequence and then everything that is not in it. Every outcome is as the order of events says, and nothing
/// needs to settle down.
fn deliver_without_faults(history: &History, sequence: &[usize]) {
    let schedule = async |simulation: &Simulation<'_>| {
        let mut greatest = BTreeMap::new();
        let rest = (0..STEPS).filter(|step| !sequence.contains(step));
        for step in sequence.iter().copied().chain(rest) {
            if step < DELIVERIES {
                let expected = [expected_outcome(history, step, &mut greatest)];
                assert_eq!(simulation.deliver(&simulation.atomic(), step).await, expected, "delivery {step}");
                continue;
            }
            assert_eq!(simulation.import(&simulation.atomic(), step - DELIVERIES).await, RunEnd::Complete);
            for observed in history.lists[step - DELIVERIES].iter().map(observation) {
                let current = greatest.entry(observed.key().to_string()).or_insert_with(|| observed.rank());
                *current = observed.rank().max(current.clone());
            }
        }
        simulation.assert_converged();
        assert_eq!(simulation.storage.messages(Queue::Cleanup).len(), 1, "sent once where nothing fails");
    };
    reproducible(|| format!("the sequence {sequence:?}"), || simulate(history, schedule));
}

/// The outcome by the order of events, given the greatest event of each customer so far.
fn expected_outcome(history: &History, delivery: usize, greatest: &mut BTreeMap<String, Rank>) -> Outcome {
    let event = history.event(delivery);
    let (pk, rank) = (event.key().to_string(), event.rank());
    match greatest.get(&pk) {
        Some(current) if *current == rank => Outcome::Duplicate,
        Some(current) if *current > rank => Outcome::Stale,
        _ => {
            greatest.insert(pk, rank);
            Outcome::Applied
        }
    }
}

/// Runs a schedule with a crash at each await, until one is complete before its crash. Returns the number of runs.
fn crash_everywhere(what: &str, completes: impl AsyncFn(usize) -> bool) -> usize {
    let how = |polls| format!("{what} crashes after {polls} polls");
    (1..POLLS_MAX).find(|polls| reproducible(|| how(*polls), || run(completes(*polls)))).unwrap()
}

/// Each delivery or import of the sequence crashes at each of its awaits, during an outage. It is repeated at the end.
fn crash_deliveries(history: &History, sequence: &[usize], is_down: fn(Operation) -> bool) -> usize {
    let crash_one = |crashing: usize| {
        let what = format!("step {crashing} of {sequence:?}, table down: {}", is_down(Operation::Put));
        crash_everywhere(&what, async |polls| {
            let simulation = Simulation::new(history);
            let (faulty, atomic) = (simulation.faulty(Fault::FailsBefore, is_down), simulation.atomic());
            let mut is_complete = false;
            for (at, next) in sequence.iter().enumerate() {
                if at == crashing {
                    is_complete = crash_after(polls, step(&simulation, &faulty, *next)).await.is_some();
                } else {
                    step(&simulation, &atomic, *next).await;
                }
            }
            simulation.check().await;
            is_complete
        })
    };
    (0..sequence.len()).map(crash_one).sum()
}

/// The sequence is parked and then replayed. Each replay crashes at each of its awaits.
fn crash_replays(history: &History, sequence: &[usize]) -> usize {
    let crash_one = |crashing: usize| {
        crash_everywhere(&format!("replay {crashing} of {sequence:?}"), async |polls| {
            let simulation = Simulation::new(history);
            for delivery in sequence {
                simulation.park(*delivery).await;
            }
            let (reliable, atomic) = (simulation.reliable(), simulation.atomic());
            let mut is_complete = false;
            for (at, message) in simulation.storage.messages(Queue::Inbox).iter().enumerate() {
                if at == crashing {
                    is_complete = crash_after(polls, simulation.replay(&reliable, message)).await.is_some();
                } else {
                    simulation.replay(&atomic, message).await;
                }
            }
            simulation.check().await;
            is_complete
        })
    };
    (0..sequence.len()).map(crash_one).sum()
}

/// A sweep of more than one page crashes at each of its awaits, and so does the next sweep.
fn crash_sweeps() -> usize {
    let deletes = ["ada", "bob", "cleo", "dan"].map(|name| EventSpec::new(name, name, 1, Kind::Deleted));
    let history = History::of_singles(&deletes);
    let schedule = async |polls_of_first: usize, polls_of_second: usize| {
        let simulation = Simulation::new(&history);
        for delivery in 0..deletes.len() {
            simulation.leave_pending(delivery).await;
        }
        let sweep = async |polls| crash_after(polls, simulation.sweep(&simulation.reliable())).await.is_some();
        let are_complete = (sweep(polls_of_first).await, sweep(polls_of_second).await);
        simulation.check().await;
        are_complete
    };
    let polls_of_first = crash_everywhere("the first sweep", async |polls| schedule(polls, 1).await.0);
    let crash_second = |first| {
        let what = format!("the first sweep crashes after {first} polls, the second");
        crash_everywhere(&what, async |second| schedule(first, second).await.1)
    };
    (1..=polls_of_first).map(crash_second).sum()
}
