//! Every interleaving of the actors that write, send and clear the cleanup message of a delete.

use crate::exploration::{Bounds, Choice, Scenario, Task};
use crate::simulation::history::History;
use crate::simulation::provider::{EventSpec, Kind};
use crate::{is_full, report};

use Task::{Deliver, Replay, Sweep};

/// Every order of steps, and a crash of any actor at any step.
const ALL: Bounds = Bounds { preemptions_max: usize::MAX, crashes_max: 1, is_unreduced: false };

/// A delete, a greater one of the same customer, and an update of a still greater version.
fn scenario(name: &'static str, tasks: &'static [Task]) -> Scenario {
    let events = [("d1", 1, Kind::Deleted), ("d2", 2, Kind::Deleted), ("u3", 3, Kind::Updated)];
    let events = events.map(|(id, version, kind)| EventSpec::new(id, "ada", version, kind));
    Scenario { name, history: History::of_singles(&events), parked: &[], pending: &[], tasks }
}

fn three_actors() -> Vec<Scenario> {
    vec![
        scenario("redelivered", &[Deliver(0), Deliver(0), Sweep]),
        scenario("deleted_twice", &[Deliver(0), Deliver(1), Sweep]),
        scenario("updated", &[Deliver(2), Deliver(0), Sweep]),
        Scenario { parked: &[0], ..scenario("parked", &[Replay(0), Deliver(1), Sweep]) },
        Scenario { parked: &[0, 2], ..scenario("both_parked", &[Replay(0), Replay(1), Deliver(0)]) },
        Scenario { pending: &[0], ..scenario("pending", &[Deliver(0), Sweep, Sweep]) },
    ]
}

/// Too many interleavings for a daily run.
fn four_actors() -> Vec<Scenario> {
    vec![
        scenario("redelivered_swept_twice", &[Deliver(0), Deliver(0), Sweep, Sweep]),
        Scenario { parked: &[0], ..scenario("parked_replayed_twice", &[Replay(0), Replay(0), Deliver(1), Sweep]) },
        Scenario { pending: &[0], ..scenario("pending_swept_twice", &[Deliver(0), Deliver(1), Sweep, Sweep]) },
    ]
}

#[test]
fn every_interleaving() {
    if let Ok(choices) = std::env::var("CLIENTELE_CHOICES") {
        return reproduce(&choices);
    }
    let (bounds_of_four, schedules_min_of_four) =
        if is_full() { (ALL, 5_000_000) } else { (Bounds { preemptions_max: 1, ..ALL }, 1_500) };
    let of_three = three_actors().into_iter().map(|scenario| (scenario, ALL, 700));
    let of_four = four_actors().into_iter().map(|scenario| (scenario, bounds_of_four, schedules_min_of_four));
    for (scenario, bounds, schedules_min) in of_three.chain(of_four) {
        let explored = scenario.explore(bounds);
        assert!(explored.schedules >= schedules_min, "{}: {explored:?}", scenario.name);
        report(&format!("{}: {} schedules, {} states", scenario.name, explored.schedules, explored.states));
    }
}

/// Makes the choices of one failed schedule again: `name:0 1 x0`, where `name` is the scenario.
fn reproduce(text: &str) {
    let (name, choices) = text.split_once(':').unwrap();
    let choices: Vec<Choice> = choices.split_whitespace().map(|choice| choice.parse().unwrap()).collect();
    let mut scenarios = three_actors().into_iter().chain(four_actors());
    scenarios.find(|scenario| scenario.name == name).unwrap().reproduce(&choices);
}

/// The reduced exploration reaches the same final states as one that follows every single interleaving.
#[test]
fn the_reduction_misses_nothing() {
    let bounds = if is_full() { ALL } else { Bounds { crashes_max: 0, ..ALL } };
    let deletes: &[Task] = &[Deliver(0), Deliver(1)];
    for tasks in if is_full() { vec![deletes, &[Deliver(0), Sweep]] } else { vec![deletes] } {
        let scenario = Scenario { tasks, ..scenario("two_actors", &[]) };
        let reduced = scenario.explore(bounds);
        let unreduced = scenario.explore(Bounds { is_unreduced: true, ..bounds });
        assert_eq!(reduced.final_states, unreduced.final_states);
        // Up to seven polls each, in every order.
        let schedules = unreduced.schedules;
        assert!(schedules > 3_000 && schedules > 50 * reduced.schedules, "{schedules}");
    }
}
