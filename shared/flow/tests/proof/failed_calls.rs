//! Every call of every operation fails, one after another and in pairs.

use std::collections::BTreeMap;
use std::time::Duration;

use clientele_model::ErasureSettings;

use crate::simulation::Simulation;
use crate::simulation::actors::{reproducible, run};
use crate::simulation::faulty_storage::{Fault, FaultyStorage};
use crate::simulation::history::{Destination, History, SentEvent};
use crate::simulation::provider::{ACME, EventSpec, Kind};

/// What runs while calls fail.
#[derive(Clone, Copy, Debug)]
enum Workload {
    Update,
    Delete,
    RedeliveredDelete,
    Batch,
    Replay,
    Sweep,
    Import,
    Reconcile,
    /// A delete replaces a lesser one whose message is not sent yet.
    GreaterDelete,
    /// A delete adds to the message of a greater one, which is not sent yet.
    LesserDelete,
    /// A delete by an operator replaces a customer.
    Erase,
    Receipt,
    LastReceipt,
    /// Sweeps before and after the end of the hold.
    HeldSweep,
}

impl Workload {
    const ALL: [Self; 14] = [
        Self::Update,
        Self::Delete,
        Self::RedeliveredDelete,
        Self::Batch,
        Self::Replay,
        Self::Sweep,
        Self::Import,
        Self::Reconcile,
        Self::GreaterDelete,
        Self::LesserDelete,
        Self::Erase,
        Self::Receipt,
        Self::LastReceipt,
        Self::HeldSweep,
    ];

    fn erasure(self) -> ErasureSettings {
        let hold = if matches!(self, Self::HeldSweep) { Duration::from_mins(30) } else { Duration::ZERO };
        ErasureSettings { awaits_receipts: matches!(self, Self::Receipt | Self::LastReceipt), hold }
    }

    fn history(self) -> History {
        let event = |id: &str, customer: &str, kind| EventSpec::new(id, customer, 1, kind);
        match self {
            Self::Update => History::of_singles(&[event("u", "ada", Kind::Updated)]),
            Self::GreaterDelete | Self::LesserDelete => History::of_singles(&[
                EventSpec::new("d2", "ada", 2, Kind::Deleted),
                EventSpec::new("d1", "ada", 1, Kind::Deleted),
            ]),
            Self::Erase => History::of_singles(&[event("o", "ada", Kind::Erased), event("u", "ada", Kind::Updated)]),
            Self::Delete | Self::RedeliveredDelete | Self::Receipt | Self::LastReceipt | Self::HeldSweep => {
                History::of_singles(&[event("d", "ada", Kind::Deleted)])
            }
            Self::Batch => History::of_batch(&[
                event("a", "ada", Kind::Updated),
                event("x", "ada", Kind::Unreadable),
                event("b", "bob", Kind::Deleted),
                event("big", "cleo", Kind::Oversized),
                event("i", "dan", Kind::Ignored),
                event("c", "dan", Kind::Created),
            ]),
            Self::Replay => History::of_batch(&[
                event("a", "ada", Kind::Updated),
                event("big", "cleo", Kind::Oversized),
                event("b", "bob", Kind::Deleted),
            ]),
            Self::Sweep => History::of_singles(&[event("a", "ada", Kind::Deleted), event("b", "bob", Kind::Deleted)]),
            Self::Import => History::of_singles(&[event("a", "ada", Kind::Updated), event("b", "bob", Kind::Deleted)])
                .with_lists(&[&[("ada", 2), ("bob", 2), ("cleo", 2)]], &[]),
            Self::Reconcile => {
                History::of_singles(&[event("a", "ada", Kind::Updated), event("b", "bob", Kind::Updated)])
                    .with_lists(&[&[("ada", 2), ("bob", 1)]], &["bob"])
            }
        }
    }

    /// Prepares the state without a fault.
    async fn prepare(self, simulation: &Simulation<'_>) {
        match self {
            Self::Update | Self::Delete | Self::Batch => {}
            Self::RedeliveredDelete | Self::LesserDelete | Self::Receipt => simulation.leave_pending(0).await,
            Self::HeldSweep => drop(simulation.deliver(&simulation.atomic(), 0).await),
            Self::GreaterDelete => simulation.leave_pending(1).await,
            Self::Erase => drop(simulation.deliver(&simulation.atomic(), 1).await),
            Self::LastReceipt => {
                simulation.deliver(&simulation.atomic(), 0).await;
                simulation.confirm(&simulation.atomic(), "crm", 1).await;
            }
            Self::Replay => drop(simulation.park(0).await),
            Self::Import | Self::Reconcile => {
                simulation.deliver(&simulation.atomic(), 0).await;
                simulation.deliver(&simulation.atomic(), 1).await;
            }
            Self::Sweep => {
                simulation.leave_pending(0).await;
                simulation.leave_pending(1).await;
            }
        }
    }

    async fn run(self, simulation: &Simulation<'_>, storage: &FaultyStorage) {
        match self {
            Self::Update | Self::Delete | Self::RedeliveredDelete | Self::Batch | Self::GreaterDelete | Self::Erase => {
                let outcomes = simulation.deliver(storage, 0).await;
                let status = ACME.response_rules.respond(&outcomes).status;
                assert_eq!(status, expected_status(simulation, storage), "{outcomes:?}");
            }
            Self::Replay => simulation.replay_all(storage).await,
            Self::Sweep => drop(simulation.sweep(storage).await),
            Self::Import => drop(simulation.import(storage, 0).await),
            Self::Reconcile => drop(simulation.reconcile(storage).await),
            Self::LesserDelete => drop(simulation.deliver(storage, 1).await),
            Self::Receipt | Self::LastReceipt => _ = simulation.confirm(storage, "mailing", 2).await,
            Self::HeldSweep => {
                simulation.sweep(storage).await;
                simulation.end_hold();
                simulation.sweep(storage).await;
            }
        }
    }
}

/// The status by what the table and the queues have acknowledged: 2xx only if they did for every event.
fn expected_status(simulation: &Simulation<'_>, storage: &FaultyStorage) -> u16 {
    let kept = storage.kept();
    let is_written = |event: &SentEvent| match &event.destination {
        Destination::Table(event) => storage.has_acknowledged(event),
        Destination::Quarantine => false,
    };
    let events = &simulation.history.deliveries[0].events;
    if events.iter().any(|event| !is_written(event) && !kept.contains(&event.id)) {
        503
    } else if events.iter().any(|event| !is_written(event)) {
        202
    } else {
        200
    }
}

/// Runs the workload with these faults. Returns the number of calls.
fn run_with(workload: Workload, history: &History, faults: &[(usize, Fault)]) -> usize {
    let how = || format!("{workload:?} with {faults:?}");
    let test = async |simulation: &Simulation<'_>| {
        workload.prepare(simulation).await;
        let faults: BTreeMap<_, _> = faults.iter().copied().collect();
        let storage = FaultyStorage::new(&simulation.storage, move |call, _| faults.get(&call).copied());
        workload.run(simulation, &storage).await;
        simulation.check().await;
        storage.calls()
    };
    reproducible(how, || run(async { test(&Simulation::erasing(history, workload.erasure())).await }))
}

/// A failed call may lead to further calls, so each run determines how many calls there are to fail.
#[test]
fn nothing_lost() {
    let mut runs = 0;
    for workload in Workload::ALL {
        let history = workload.history();
        for first in 0.. {
            let mut is_reached = false;
            for fault in Fault::PERMANENT {
                is_reached |= run_with(workload, &history, &[(first, fault)]) > first;
                runs += 1;
                for second in first + 1.. {
                    let mut is_second_reached = false;
                    for other in Fault::PERMANENT {
                        let faults = [(first, fault), (second, other)];
                        is_second_reached |= run_with(workload, &history, &faults) > second;
                        runs += 1;
                    }
                    if !is_second_reached {
                        break;
                    }
                }
            }
            if !is_reached {
                break;
            }
        }
    }
    assert!(runs > 1_000, "{runs}");
}
