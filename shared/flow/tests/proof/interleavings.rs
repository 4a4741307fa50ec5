//! Every interleaving of those who write, send and clear the message of a delete.

use crate::exploration::{Bounds, Choice, Role, Scenario};
use crate::history::History;
use crate::provider::{Said, What};
use crate::{is_full, told};

use Role::{Deliver, Replay, Sweep};

/// One after the other, whoever dies.
const ALL: Bounds = Bounds { preemptions_max: usize::MAX, deaths_max: 1, is_naive: false };

fn said(id: &str, version: i64, what: What) -> Said {
    Said::new(id, "ada", version, what)
}

/// A delete, a greater one of the same customer, and an update of a version greater still.
fn scenario(name: &'static str, roles: &'static [Role]) -> Scenario {
    let said = [said("d1", 1, What::Deleted), said("d2", 2, What::Deleted), said("u3", 3, What::Updated)];
    Scenario { name, history: History::of_singles(&said), parked: &[], marked: &[], roles }
}

/// Three at once.
fn of_three() -> Vec<Scenario> {
    vec![
        scenario("redelivered", &[Deliver(0), Deliver(0), Sweep]),
        scenario("deleted_twice", &[Deliver(0), Deliver(1), Sweep]),
        scenario("updated", &[Deliver(2), Deliver(0), Sweep]),
        Scenario { parked: &[0], ..scenario("parked", &[Replay(0), Deliver(1), Sweep]) },
        Scenario { parked: &[0, 2], ..scenario("both_parked", &[Replay(0), Replay(1), Deliver(0)]) },
        Scenario { marked: &[0], ..scenario("marked", &[Deliver(0), Sweep, Sweep]) },
    ]
}

/// Four at once: too many for every day.
fn of_four() -> Vec<Scenario> {
    vec![
        scenario("redelivered_swept_twice", &[Deliver(0), Deliver(0), Sweep, Sweep]),
        Scenario { parked: &[0], ..scenario("parked_replayed_twice", &[Replay(0), Replay(0), Deliver(1), Sweep]) },
        Scenario { marked: &[0], ..scenario("marked_swept_twice", &[Deliver(0), Deliver(1), Sweep, Sweep]) },
    ]
}

#[test]
fn every_interleaving() {
    if let Ok(choices) = std::env::var("CLIENTELE_CHOICES") {
        return replay(&choices);
    }
    let (bounds_of_four, schedules_min_of_four) =
        if is_full() { (ALL, 5_000_000) } else { (Bounds { preemptions_max: 1, ..ALL }, 1_500) };
    let of_three = of_three().into_iter().map(|scenario| (scenario, ALL, 700));
    let of_four = of_four().into_iter().map(|scenario| (scenario, bounds_of_four, schedules_min_of_four));
    for (scenario, bounds, schedules_min) in of_three.chain(of_four) {
        let explored = scenario.explore(bounds);
        assert!(explored.schedules >= schedules_min, "{}: {explored:?}", scenario.name);
        told(&format!("{}: {} schedules, {} states", scenario.name, explored.schedules, explored.states));
    }
}

/// `name:0 1 x0` are the choices in the scenario of that name.
fn replay(text: &str) {
    let (name, choices) = text.split_once(':').unwrap();
    let choices: Vec<Choice> = choices.split_whitespace().map(|choice| choice.parse().unwrap()).collect();
    let mut scenarios = of_three().into_iter().chain(of_four());
    scenarios.find(|scenario| scenario.name == name).unwrap().replay(&choices);
}

/// What the search takes for the same is the same: a search through each single interleaving comes to the same ends.
#[test]
fn nothing_is_missed() {
    let bounds = if is_full() { ALL } else { Bounds { deaths_max: 0, ..ALL } };
    let deletes: &[Role] = &[Deliver(0), Deliver(1)];
    for roles in if is_full() { vec![deletes, &[Deliver(0), Sweep]] } else { vec![deletes] } {
        let scenario = Scenario { roles, ..scenario("of_two", &[]) };
        let explored = scenario.explore(bounds);
        let naively = scenario.explore(Bounds { is_naive: true, ..bounds });
        assert_eq!(explored.ends, naively.ends);
        // Up to seven polls each, in every order.
        assert!(naively.schedules > 3_000 && naively.schedules > 50 * explored.schedules, "{}", naively.schedules);
    }
}
