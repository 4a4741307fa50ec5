//! Every interleaving of those who write, send and clear the message of a delete.

use std::env;

use crate::exploration::{Bounds, Choice, Explored, Role, Scenario};
use crate::history::History;
use crate::is_full;
use crate::provider::{Said, What};

fn scenarios() -> Vec<Scenario> {
    let said = |id, version, what| Said::new(id, "ada", version, what);
    let one_delete = || History::of_singles(&[said("d1", 1, What::Deleted)]);
    let two_deletes = || History::of_singles(&[said("d1", 1, What::Deleted), said("d2", 2, What::Deleted)]);
    let update = || History::of_singles(&[said("u1", 2, What::Updated), said("d1", 1, What::Deleted)]);
    let scenario = |name, history, roles| Scenario { name, history, parked: &[], marked: &[], roles };
    use Role::{Deliver, Replay, Sweep};
    vec![
        scenario("delivered_twice", one_delete(), &[Deliver(0), Deliver(0), Sweep, Sweep]),
        scenario("deleted_twice", two_deletes(), &[Deliver(0), Deliver(1), Sweep]),
        scenario("updated", update(), &[Deliver(0), Deliver(1), Sweep]),
        Scenario { parked: &[0], ..scenario("parked", two_deletes(), &[Replay(0), Replay(0), Deliver(1), Sweep]) },
        Scenario { marked: &[0], ..scenario("marked", two_deletes(), &[Deliver(0), Deliver(1), Sweep, Sweep]) },
    ]
}

#[test]
fn every_interleaving() {
    for scenario in scenarios() {
        for deaths_max in [0, 1] {
            for preemptions_max in [2, 3, usize::MAX] {
                let t = std::time::Instant::now();
                let e = scenario.explore(Bounds { preemptions_max, deaths_max, knows_states: true });
                println!(
                    "{} {deaths_max} {preemptions_max} {} {} {:?} {:?}",
                    scenario.name,
                    e.states,
                    e.schedules,
                    e.ends.len(),
                    t.elapsed()
                );
                if t.elapsed().as_secs() > 20 {
                    break;
                }
            }
        }
    }
}
