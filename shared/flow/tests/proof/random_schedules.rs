//! Random schedules by a seed: concurrent deliveries, replays, sweeps, imports, reconciliations and the change feed, with
//! faults and crashes.

use std::ops::Range;
use std::task::Waker;
use std::time::Duration;

use clientele_flow::Queue;
use clientele_model::ErasureSettings;

use crate::simulation::Simulation;
use crate::simulation::actors::{Actor, current_waker, reproducible, run, until_one_is_ready};
use crate::simulation::faulty_storage::{Fault, FaultyStorage};
use crate::simulation::history::History;
use crate::simulation::provider::{CANARY, EventSpec, IMPLAUSIBLE_VERSIONS, Kind, body};

/// The most concurrent actors.
const ACTORS_MAX: usize = 4;

/// Random numbers, the same for the same seed (splitmix64).
#[derive(Clone, Copy)]
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() % limit as u64).unwrap()
    }

    fn within(&mut self, range: Range<usize>) -> usize {
        range.start + self.below(range.len())
    }

    /// True in this percentage of cases.
    fn percent(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }
}

fn event(random: &mut Random, number: usize) -> Option<EventSpec> {
    let kind = match random.below(100) {
        0..4 => return None,
        4..9 => Kind::Ignored,
        9..14 => Kind::Unreadable,
        14..18 => Kind::Oversized,
        18..32 => Kind::Deleted,
        32..35 => Kind::Erased,
        35..55 => Kind::Created,
        _ => Kind::Updated,
    };
    let customer = ["ada", "bob", "cleo"][random.below(3)];
    let version = match random.below(100) {
        early_or_late @ 0..2 => IMPLAUSIBLE_VERSIONS[early_or_late],
        _ => i64::try_from(random.below(4)).unwrap(),
    };
    Some(EventSpec::new(&format!("e{number}"), customer, version, kind))
}

fn history(random: &mut Random) -> History {
    let bodies: Vec<_> = (0..random.within(2..6))
        .map(|delivery| {
            if random.percent(4) {
                return format!("{{\"sent\":{delivery},\"otp\":\"{CANARY}\", no JSON");
            }
            let sent_at = i64::try_from(random.below(3)).unwrap();
            let events: Vec<_> = (0..random.within(1..4)).map(|place| event(random, delivery * 10 + place)).collect();
            body(sent_at, &events)
        })
        .collect();
    let lists: Vec<Vec<_>> = (0..random.below(4)).map(|_| list(random)).collect();
    let lists: Vec<_> = lists.iter().map(Vec::as_slice).collect();
    let deleted_there: &[_] = if random.percent(20) { &["ada"] } else { &[] };
    History::of(bodies).with_lists(&lists, deleted_there)
}

/// A list of some customers, each in some version.
fn list(random: &mut Random) -> Vec<(&'static str, i64)> {
    let mut customers = vec!["ada", "bob", "cleo", "dan"];
    customers.retain(|_| random.percent(60));
    customers.into_iter().map(|customer| (customer, i64::try_from(random.below(5)).unwrap())).collect()
}

/// The storage of an actor, with faults in this percentage of its calls.
fn storage(simulation: &Simulation<'_>, random: &mut Random, percent: usize) -> FaultyStorage {
    let mut own = Random(random.next());
    FaultyStorage::new(&simulation.storage, move |_, _| {
        own.percent(percent).then(|| match own.below(6) {
            4 => Fault::Delayed(Duration::from_millis(own.next() % 3_000)),
            5 => Fault::Yields(u8::try_from(own.below(6)).unwrap()),
            permanent => Fault::PERMANENT[permanent],
        })
    })
}

/// The next actor: mostly a delivery, perhaps a repeated one; the replay of a message; a sweep; an import; a reconciliation;
/// the change feed; a consumer that starts; or an operator who moves messages out of quarantine, although nothing is repaired yet.
fn actor<'a>(simulation: &'a Simulation<'a>, random: &mut Random, percent: usize, waker: &Waker) -> Actor<'a> {
    let storage = storage(simulation, random, percent);
    let mut inbox = simulation.storage.messages(Queue::Inbox);
    let lists = simulation.history.lists.len();
    match random.below(16) {
        0 if random.percent(30) => Actor::new(waker, async move { simulation.redrive() }),
        0..2 => Actor::new(waker, async move { drop(simulation.sweep(&storage).await) }),
        2..5 if !inbox.is_empty() => {
            let message = inbox.swap_remove(random.below(inbox.len()));
            Actor::new(waker, async move { drop(simulation.replay(&storage, &message).await) })
        }
        5..7 if lists > 0 => {
            let list = random.below(lists);
            Actor::new(waker, async move { drop(simulation.import(&storage, list).await) })
        }
        11 => {
            let (system, second) =
                (["crm", "mailing", "spy"][random.below(3)], i64::try_from(random.below(3)).unwrap());
            Actor::new(waker, async move { _ = simulation.confirm(&storage, system, second).await })
        }
        7 => Actor::new(waker, async move { drop(simulation.reconcile(&storage).await) }),
        8..10 => Actor::new(waker, async move { simulation.publish(&storage).await }),
        10 => Actor::new(waker, async move { simulation.resend(&storage).await }),
        _ => {
            let delivery = random.below(simulation.history.deliveries.len());
            Actor::new(waker, async move { drop(simulation.deliver(&storage, delivery).await) })
        }
    }
}

async fn schedule(seed: u64) {
    let mut random = Random(seed);
    let history = history(&mut random);
    let erasure = ErasureSettings { awaits_receipts: random.percent(50), hold: Duration::ZERO };
    let simulation = Simulation::erasing(&history, erasure);
    let waker = current_waker().await;
    let (fault_percent, crash_percent) = ([0, 10, 30][random.below(3)], [0, 2, 6][random.below(3)]);
    let mut to_start = random.within(3..14);
    let mut actors: Vec<Actor<'_>> = vec![];
    while to_start > 0 || !actors.is_empty() {
        if to_start > 0 && actors.len() < ACTORS_MAX && (actors.is_empty() || random.percent(30)) {
            actors.push(actor(&simulation, &mut random, fault_percent, &waker));
            to_start -= 1;
            continue;
        }
        until_one_is_ready(&actors).await;
        let ready: Vec<_> = (0..actors.len()).filter(|at| actors[*at].is_ready()).collect();
        let at = ready[random.below(ready.len())];
        if random.percent(crash_percent) {
            drop(actors.swap_remove(at));
            simulation.assert_nothing_lost();
        } else if actors[at].step() {
            drop(actors.swap_remove(at));
        }
    }
    simulation.check().await;
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|number| number.parse().unwrap())
}

#[test]
fn random_schedules() {
    let first = number("CLIENTELE_SEED").unwrap_or_default();
    let seeds = first..first + number("CLIENTELE_SCHEDULES").unwrap_or(2_000);
    // Schedules are independent. Each runs on one thread only, so it is the same every time.
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        let share = |thread| seeds.clone().skip(thread).step_by(threads);
        let spawn = |thread| scope.spawn(move || share(thread).for_each(run_seed));
        let handles: Vec<_> = (0..threads).map(spawn).collect();
        for handle in handles {
            handle.join().unwrap_or_else(|cause| std::panic::resume_unwind(cause));
        }
    });
}

fn run_seed(seed: u64) {
    let how = || format!("CLIENTELE_SEED={seed} CLIENTELE_SCHEDULES=1 cargo test -p clientele-flow random_schedules");
    reproducible(how, || run(schedule(seed)));
}
