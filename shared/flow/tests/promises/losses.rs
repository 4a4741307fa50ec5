//! Every port failing at every call, one after another and in pairs.

use clientele_model::Outcome;

use crate::actors::{replayable, run};
use crate::faulty::{Fault, Faulty};
use crate::history::History;
use crate::provider::{ACME, Said, What};
use crate::world::World;

/// What is tried.
#[derive(Clone, Copy, Debug)]
enum Scenario {
    Update,
    Delete,
    DeleteAgain,
    Batch,
    Replay,
    Sweep,
}

impl Scenario {
    const ALL: [Self; 6] = [Self::Update, Self::Delete, Self::DeleteAgain, Self::Batch, Self::Replay, Self::Sweep];

    fn history(self) -> History {
        let said = |id: &str, customer: &str, what| Said::new(id, customer, 1, what);
        match self {
            Self::Update => History::of_singles(&[said("u", "ada", What::Updated)]),
            Self::Delete | Self::DeleteAgain => History::of_singles(&[said("d", "ada", What::Deleted)]),
            Self::Batch => History::of_batch(&[
                said("a", "ada", What::Updated),
                said("x", "ada", What::Unreadable),
                said("b", "bob", What::Deleted),
                said("big", "cleo", What::TooBig),
                said("i", "dan", What::Ignored),
                said("c", "dan", What::Created),
            ]),
            Self::Replay => History::of_batch(&[
                said("a", "ada", What::Updated),
                said("big", "cleo", What::TooBig),
                said("b", "bob", What::Deleted),
            ]),
            Self::Sweep => History::of_singles(&[said("a", "ada", What::Deleted), said("b", "bob", What::Deleted)]),
        }
    }

    /// Leads there without a fault.
    async fn prepare(self, world: &World<'_>) {
        match self {
            Self::Update | Self::Delete | Self::Batch => {}
            Self::DeleteAgain => world.leave_marked(0).await,
            Self::Replay => drop(world.park(0).await),
            Self::Sweep => {
                world.leave_marked(0).await;
                world.leave_marked(1).await;
            }
        }
    }

    async fn act(self, world: &World<'_>, ports: &Faulty) {
        match self {
            Self::Update | Self::Delete | Self::DeleteAgain | Self::Batch => {
                let outcomes = world.deliver(ports, 0).await;
                let status = ACME.response_rules.respond(&outcomes).status;
                assert!([200, 202, 503].contains(&status), "{status}: {outcomes:?}");
                // One event that is not kept makes the provider send the whole delivery again.
                assert_eq!(status == 503, outcomes.contains(&Outcome::Unavailable), "{outcomes:?}");
            }
            Self::Replay => world.replay_all(ports).await,
            Self::Sweep => drop(world.sweep(ports).await),
        }
    }
}

/// One run with these faults. How many calls there were.
fn calls_with(scenario: Scenario, history: &History, faults: &[(usize, Fault)]) -> usize {
    let how = || format!("{scenario:?} with {faults:?}");
    replayable(how, || {
        run(async {
            let world = World::new(history);
            scenario.prepare(&world).await;
            let ports = Faulty::at(&world.memory, faults.to_vec());
            scenario.act(&world, &ports).await;
            world.assert_nothing_lost();
            world.settle_down().await;
            world.assert_converged();
            ports.calls()
        })
    })
}

/// A failing call leads to others, so that there are as many places to fail at as a run turns out to have.
#[test]
fn nothing_lost() {
    let mut runs = 0;
    for scenario in Scenario::ALL {
        let history = scenario.history();
        for first in 0.. {
            let mut reached = false;
            for fault in Fault::LASTING {
                let faults = [(first, fault)];
                reached |= calls_with(scenario, &history, &faults) > first;
                runs += 1;
                for second in first + 1.. {
                    let mut reached_second = false;
                    for other in Fault::LASTING {
                        let faults = [(first, fault), (second, other)];
                        reached_second |= calls_with(scenario, &history, &faults) > second;
                        runs += 1;
                    }
                    if !reached_second {
                        break;
                    }
                }
            }
            if !reached {
                break;
            }
        }
    }
    assert!(runs > 1_000, "{runs}");
}
