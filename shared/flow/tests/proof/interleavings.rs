//! Every interleaving of the actors that write, send and clear the cleanup message of a delete, and of imports,
//! reconciliations and the change feed with them.

use std::time::Duration;

use clientele_model::ErasureSettings;

use crate::exploration::{Bounds, Choice, Scenario, Task};
use crate::simulation::history::History;
use crate::simulation::provider::{EventSpec, Kind};
use crate::{is_full, report};

use Task::{Confirm, Deliver, EndHold, Import, Publish, Reconcile, Replay, Resend, Restore, Sweep};

/// Every order of steps, and a crash of any actor at any step.
const ALL: Bounds = Bounds { preemptions_max: usize::MAX, crashes_max: 1, is_unreduced: false };

/// A delete, a greater one of the same customer, and an update of a still greater version.
fn scenario(name: &'static str, tasks: &'static [Task]) -> Scenario {
    let events = [("d1", 1, Kind::Deleted), ("d2", 2, Kind::Deleted), ("u3", 3, Kind::Updated)];
    let events = events.map(|(id, version, kind)| EventSpec::new(id, "ada", version, kind));
    let erasure = ErasureSettings::default();
    Scenario { name, history: History::of_singles(&events), erasure, parked: &[], pending: &[], tasks }
}

/// A delete by an operator, a delete of the provider, and an update.
fn with_operator(name: &'static str, tasks: &'static [Task]) -> Scenario {
    let events = [("o1", 1, Kind::Erased), ("d2", 2, Kind::Deleted), ("u3", 3, Kind::Updated)];
    let events = events.map(|(id, version, kind)| EventSpec::new(id, "ada", version, kind));
    Scenario { history: History::of_singles(&events), ..scenario(name, tasks) }
}

/// The events of `scenario`, where other systems confirm erasures.
fn with_receipts(name: &'static str, tasks: &'static [Task]) -> Scenario {
    let erasure = ErasureSettings { awaits_receipts: true, hold: Duration::ZERO };
    Scenario { erasure, ..scenario(name, tasks) }
}

/// The events of `scenario`, where messages are held back.
fn with_hold(name: &'static str, tasks: &'static [Task]) -> Scenario {
    let erasure = ErasureSettings { awaits_receipts: false, hold: Duration::from_mins(30) };
    Scenario { erasure, ..scenario(name, tasks) }
}

/// Two deletes with different identifiers, deletes by an operator, receipts, messages that are held back, and an operator who
/// restores the customer meanwhile.
fn erasures() -> Vec<Scenario> {
    const LIVING: &[Task] = &[Deliver(2), Confirm("crm", 1), Confirm("mailing", 2)];
    let living = [1, 2, 3].map(|version| EventSpec::new(&format!("u{version}"), "ada", version, Kind::Updated));
    let living = History::of_singles(&living);
    vec![
        Scenario { pending: &[0], ..scenario("deleted_again_while_sending", &[Deliver(0), Deliver(1)]) },
        Scenario { pending: &[1], ..scenario("lesser_delete_while_sending", &[Deliver(1), Deliver(0)]) },
        Scenario { pending: &[1], ..scenario("lesser_delete_while_swept", &[Sweep, Deliver(0)]) },
        Scenario { parked: &[2], ..scenario("updated_while_deleted_twice", &[Replay(0), Deliver(0), Deliver(1)]) },
        with_operator("erased_by_an_operator", &[Deliver(2), Deliver(1), Deliver(0)]),
        with_operator("erased_by_an_operator_twice", &[Deliver(0), Deliver(0), Deliver(2)]),
        with_receipts("receipts_during_a_delete", &[Confirm("crm", 1), Confirm("mailing", 2), Deliver(0)]),
        with_receipts("a_receipt_twice", &[Deliver(0), Confirm("crm", 1), Confirm("crm", 2)]),
        with_receipts("an_unknown_system", &[Deliver(0), Confirm("spy", 1)]),
        Scenario { pending: &[0], ..with_receipts("both_close", &[Confirm("crm", 1), Confirm("mailing", 2), Sweep]) },
        Scenario {
            pending: &[0],
            ..with_receipts("deleted_again_while_confirmed", &[Confirm("crm", 1), Confirm("mailing", 2), Deliver(1)])
        },
        Scenario { history: living, ..with_receipts("receipts_of_a_living_customer", LIVING) },
        Scenario { pending: &[0], ..with_hold("the_hold_ends", &[EndHold, Deliver(0), Sweep, Sweep]) },
        Scenario {
            pending: &[0],
            parked: &[1],
            ..with_hold("the_hold_ends_during_a_second_delete", &[EndHold, Replay(0), Sweep])
        },
        Scenario { pending: &[0], ..with_hold("restored", &[Restore, Sweep, Deliver(2)]) },
        Scenario { pending: &[0], ..with_hold("restored_and_deleted_again", &[Restore, Deliver(1), Deliver(0)]) },
    ]
}

/// The same events, and lists from before the first event, from the time of the update, and from after all events.
fn with_lists(name: &'static str, tasks: &'static [Task]) -> Scenario {
    let scenario = scenario(name, tasks);
    Scenario { history: scenario.history.with_lists(&[&[("ada", 0)], &[("ada", 3)], &[("ada", 4)]], &[]), ..scenario }
}

/// An update and lists of a customer whom the provider has deleted. The delete is lost, or comes late.
fn with_lost_delete(name: &'static str, tasks: &'static [Task]) -> Scenario {
    let events = [("u2", 2, Kind::Updated), ("d1", 1, Kind::Deleted)];
    let events = events.map(|(id, version, kind)| EventSpec::new(id, "ada", version, kind));
    let count = if tasks.iter().any(|task| matches!(task, Deliver(1))) { 2 } else { 1 };
    let history = History::of_singles(&events[..count]).with_lists(&[&[("ada", 1)], &[("ada", 3)]], &["ada"]);
    Scenario { history, ..scenario(name, tasks) }
}

/// Imports of any age, before, between and after everything else, and reconciliations that delete.
fn three_actors_with_lists() -> Vec<Scenario> {
    vec![
        with_lists("imports_of_all_ages", &[Import(0), Import(1), Import(2)]),
        with_lists("imported_twice", &[Import(1), Import(1), Deliver(2)]),
        with_lists("imported_before_an_update", &[Import(0), Deliver(2), Import(2)]),
        with_lists("imported_during_a_delete", &[Import(2), Deliver(0), Sweep]),
        with_lists("imported_between_deletes", &[Deliver(0), Import(2), Deliver(1)]),
        Scenario { parked: &[2], ..with_lists("imported_during_a_replay", &[Replay(0), Import(2), Import(1)]) },
        Scenario { parked: &[0], ..with_lists("imported_while_a_delete_is_parked", &[Replay(0), Import(2), Sweep]) },
        Scenario { pending: &[0], ..with_lists("imported_after_a_delete", &[Import(2), Deliver(0), Sweep]) },
        with_lost_delete("reconciled_during_an_update", &[Reconcile, Deliver(0)]),
        with_lost_delete("reconciled_twice", &[Import(0), Reconcile, Reconcile]),
        with_lost_delete("reconciled_while_a_late_delete_comes", &[Import(1), Reconcile, Deliver(1)]),
        with_lost_delete("reconciled_during_a_sweep", &[Import(0), Reconcile, Sweep]),
    ]
}

/// The change feed and a consumer that starts, while the table is written.
fn three_actors_with_the_feed() -> Vec<Scenario> {
    vec![
        scenario("announced_while_deleted", &[Deliver(2), Deliver(0), Publish]),
        scenario("announced_while_deleted_twice", &[Deliver(0), Deliver(1), Publish]),
        Scenario { pending: &[0], ..scenario("announced_while_swept", &[Sweep, Deliver(1), Publish]) },
        Scenario { pending: &[0], ..scenario("announced_twice", &[Deliver(1), Publish, Publish]) },
        Scenario { parked: &[2], ..with_lists("announced_while_imported", &[Replay(0), Import(2), Publish]) },
        with_lost_delete("announced_while_reconciled", &[Import(0), Reconcile, Publish]),
        scenario("resent_while_deleted", &[Deliver(2), Deliver(0), Resend]),
        Scenario { pending: &[0], ..scenario("resent_while_swept", &[Sweep, Deliver(1), Resend]) },
        Scenario { pending: &[0], ..with_lists("resent_and_announced", &[Deliver(1), Publish, Resend]) },
        with_lists("resent_while_imported", &[Import(1), Import(2), Resend]),
    ]
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
    let with_lists = three_actors_with_lists().into_iter().map(|scenario| (scenario, ALL, 20));
    let with_the_feed = three_actors_with_the_feed().into_iter().map(|scenario| (scenario, ALL, 20));
    let of_four = four_actors().into_iter().map(|scenario| (scenario, bounds_of_four, schedules_min_of_four));
    let erasures = erasures().into_iter().map(|scenario| (scenario, ALL, 10));
    let of_three = of_three.chain(with_lists).chain(with_the_feed).chain(erasures);
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
    let scenarios = three_actors().into_iter().chain(three_actors_with_lists()).chain(three_actors_with_the_feed());
    let mut scenarios = scenarios.chain(erasures()).chain(four_actors());
    scenarios.find(|scenario| scenario.name == name).unwrap().reproduce(&choices);
}

/// The reduced exploration reaches the same final states as one that follows every single interleaving.
#[test]
fn the_reduction_misses_nothing() {
    let bounds = if is_full() { ALL } else { Bounds { crashes_max: 0, ..ALL } };
    let mut pairs: Vec<&[Task]> = vec![&[Deliver(0), Deliver(2)], &[Deliver(0), Publish], &[Deliver(0), Resend]];
    if is_full() {
        pairs.push(&[Deliver(0), Sweep]);
    }
    let mut unreduced_schedules = 0;
    for tasks in pairs {
        let scenario = scenario("two_actors", tasks);
        let reduced = scenario.explore(bounds);
        let unreduced = scenario.explore(Bounds { is_unreduced: true, ..bounds });
        assert_eq!(reduced.final_states, unreduced.final_states, "{tasks:?}");
        report(&format!("{tasks:?}: {} schedules, reduced {}", unreduced.schedules, reduced.schedules));
        unreduced_schedules += unreduced.schedules;
    }
    assert!(unreduced_schedules > 300, "{unreduced_schedules}");
}
