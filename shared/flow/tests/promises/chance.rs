//! Random schedules: deliveries, replays and sweeps side by side, with faults and deaths, by a seed.

use std::ops::Range;

use clientele_flow::Queue;

use crate::actors::{Actor, own_waker, replayable, run, until_one_is_ready};
use crate::faulty::{Fault, Faulty, Port};
use crate::history::History;
use crate::provider::{CANARY, Said, What, body};
use crate::world::World;

/// How many are under way at a time.
const ACTORS_MAX: usize = 4;

/// Numbers that are the same for the same seed (splitmix64).
#[derive(Clone, Copy)]
struct Chance(u64);

impl Chance {
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

    /// In so many of a hundred cases.
    fn percent(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }
}

fn said(chance: &mut Chance, event: usize) -> Option<Said> {
    let what = match chance.below(100) {
        0..4 => return None,
        4..9 => What::Ignored,
        9..14 => What::Unreadable,
        14..18 => What::TooBig,
        18..35 => What::Deleted,
        35..55 => What::Created,
        _ => What::Updated,
    };
    let customer = ["ada", "bob", "cleo"][chance.below(3)];
    let version = i64::try_from(chance.below(4)).unwrap();
    Some(Said::new(&format!("e{event}"), customer, version, what))
}

fn history(chance: &mut Chance) -> History {
    let bodies: Vec<_> = (0..chance.within(2..6))
        .map(|post| {
            if chance.percent(4) {
                return format!("{{\"sent\":{post},\"otp\":\"{CANARY}\", no JSON");
            }
            let sent_at = i64::try_from(chance.below(3)).unwrap();
            let events: Vec<_> = (0..chance.within(1..4)).map(|place| said(chance, post * 10 + place)).collect();
            body(sent_at, &events)
        })
        .collect();
    History::of(bodies)
}

/// The ports of an actor: so many of a hundred of its calls go wrong.
fn ports(world: &World<'_>, chance: &mut Chance, percent: usize) -> Faulty {
    let mut own = Chance(chance.next());
    let plan = move |_: usize, _: Port| {
        own.percent(percent).then(|| match own.below(6) {
            4 => Fault::Late(std::time::Duration::from_millis(own.next() % 3_000)),
            5 => Fault::Slow(u8::try_from(own.below(6)).unwrap()),
            lasting => Fault::LASTING[lasting],
        })
    };
    Faulty::new(&world.memory, plan)
}

/// Something to do next: mostly a delivery, perhaps one that came before; a replay of what is there; a sweep; or an
/// operator, who redrives what is not mended yet.
fn actor<'a>(world: &'a World<'a>, chance: &mut Chance, percent: usize, waker: &std::task::Waker) -> Actor<'a> {
    let ports = ports(world, chance, percent);
    let mut inbox = world.memory.messages(Queue::Inbox);
    match chance.below(10) {
        0 if chance.percent(30) => Actor::new(waker, async move { world.redrive() }),
        0..2 => Actor::new(waker, async move { drop(world.sweep(&ports).await) }),
        2..5 if !inbox.is_empty() => {
            let message = inbox.swap_remove(chance.below(inbox.len()));
            Actor::new(waker, async move { drop(world.replay(&ports, &message).await) })
        }
        _ => {
            let post = chance.below(world.history.posts.len());
            Actor::new(waker, async move { drop(world.deliver(&ports, post).await) })
        }
    }
}

async fn schedule(seed: u64) {
    let mut chance = Chance(seed);
    let history = history(&mut chance);
    let world = World::new(&history);
    let waker = own_waker().await;
    let (percent, deaths) = ([0, 10, 30][chance.below(3)], [0, 2, 6][chance.below(3)]);
    let mut to_do = chance.within(3..14);
    let mut actors: Vec<Actor<'_>> = vec![];
    while to_do > 0 || !actors.is_empty() {
        if to_do > 0 && actors.len() < ACTORS_MAX && (actors.is_empty() || chance.percent(30)) {
            actors.push(actor(&world, &mut chance, percent, &waker));
            to_do -= 1;
            continue;
        }
        until_one_is_ready(&actors).await;
        let ready: Vec<_> = (0..actors.len()).filter(|at| actors[*at].is_ready()).collect();
        let at = ready[chance.below(ready.len())];
        if chance.percent(deaths) {
            drop(actors.swap_remove(at));
            world.assert_nothing_lost();
        } else if actors[at].step() {
            drop(actors.swap_remove(at));
        }
    }
    world.assert_nothing_lost();
    world.settle_down().await;
    world.assert_converged();
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|number| number.parse().unwrap())
}

#[test]
fn random_schedules() {
    let first = number("CLIENTELE_SEED").unwrap_or_default();
    let seeds = first..first + number("CLIENTELE_SCHEDULES").unwrap_or(2_000);
    // The schedules do not know of each other. Each is one thread's alone, so that it is the same every time.
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        let share = |thread| seeds.clone().skip(thread).step_by(threads);
        let handles: Vec<_> = (0..threads).map(|thread| scope.spawn(move || share(thread).for_each(one))).collect();
        for handle in handles {
            handle.join().unwrap_or_else(|cause| std::panic::resume_unwind(cause));
        }
    });
}

fn one(seed: u64) {
    let again = || format!("CLIENTELE_SEED={seed} CLIENTELE_SCHEDULES=1 cargo test -p clientele-flow random_schedules");
    replayable(again, || run(schedule(seed)));
}
