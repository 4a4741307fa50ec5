//! The search through every interleaving of a few actors at their awaits, and the death of each of them everywhere.
//!
//! Futures cannot be copied: an execution is a list of choices, made again from the start each time. What is sure to
//! come to the same is looked at once:
//!
//! - What an actor does next depends on nothing but what it was told and how often it was polled. So where two lists of
//!   choices end in the same state of the actors, the table and the queues, the same can follow.
//! - The step from the end of one call to the beginning of the next is noticed by nobody. It need not be put off.
//! - Nor is a death. It need not be put off either: an actor that dies later is one that was not chosen until then.
//!
//! `nothing_is_missed` holds the search against one that takes nothing for the same.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::str::FromStr;
use std::task::Waker;

use clientele_flow::Queue;

use crate::actors::{Actor, own_waker, replayable, run};
use crate::faulty::Faulty;
use crate::history::History;
use crate::world::World;

/// Some actors, and what there was before them.
pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    pub(crate) history: History,
    /// Deliveries whose events wait in the inbox.
    pub(crate) parked: &'static [usize],
    /// Deletes whose messages wait in their tombstones.
    pub(crate) marked: &'static [usize],
    pub(crate) roles: &'static [Role],
}

/// What an actor does.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Role {
    Deliver(usize),
    /// Of the message in the inbox by its index.
    Replay(usize),
    Sweep,
}

/// Who goes on to the next await, or dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Choice {
    Step(usize),
    Die(usize),
}

/// How far the search goes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    /// How often an actor is interrupted that could go on.
    pub(crate) preemptions_max: usize,
    pub(crate) deaths_max: usize,
    /// Whether nothing is taken for the same.
    pub(crate) is_naive: bool,
}

/// What was looked at.
#[derive(Debug)]
pub(crate) struct Explored {
    pub(crate) states: usize,
    /// How many interleavings lead through these states.
    pub(crate) schedules: u128,
    /// The states at the end.
    pub(crate) ends: HashSet<u64>,
}

/// States, and those that may follow each: one for each choice.
#[derive(Default)]
struct Graph {
    followers: HashMap<u64, Vec<u64>>,
    ends: HashSet<u64>,
}

/// A list of choices that is to be made, and the state that all but the last lead to.
struct Open {
    parent: Option<u64>,
    choices: Vec<Choice>,
}

impl Scenario {
    /// Looks at every interleaving within the bounds. Nothing is lost at any end, and all converge.
    pub(crate) fn explore(&self, bounds: Bounds) -> Explored {
        let mut graph = Graph::default();
        let mut open = vec![Open { parent: None, choices: vec![] }];
        while let Some(Open { parent, choices }) = open.pop() {
            let choices = RefCell::new(choices);
            let further = replayable(
                || self.how_to_replay(&choices.borrow()),
                || run(self.follow(bounds, parent, &choices, &mut graph)),
            );
            open.extend(further);
        }
        Explored { states: graph.followers.len(), schedules: graph.schedules(), ends: graph.ends }
    }

    /// Makes these choices, and then always the first that is possible, until the end or until it is known what
    /// follows. Gives the other choices that were possible.
    async fn follow(
        &self,
        bounds: Bounds,
        mut parent: Option<u64>,
        choices: &RefCell<Vec<Choice>>,
        graph: &mut Graph,
    ) -> Vec<Open> {
        let world = self.world().await;
        let mut execution = Execution::new(self, &world, &own_waker().await);
        for choice in choices.borrow().iter() {
            execution.make(*choice);
        }
        let mut further = vec![];
        loop {
            let state = if bounds.is_naive { graph.unheard_of() } else { execution.state(bounds) };
            let is_new = graph.arrive(parent, state);
            let possible = execution.possible(bounds);
            let Some((first, others)) = possible.split_first().filter(|_| is_new) else { break };
            let mut choices = choices.borrow_mut();
            further.extend(others.iter().map(|other| {
                let choices = choices.iter().copied().chain([*other]).collect();
                Open { parent: Some(state), choices }
            }));
            choices.push(*first);
            execution.make(*first);
            parent = Some(state);
        }
        if execution.is_over() {
            graph.ends.insert(execution.state(bounds));
            check(&world).await;
        }
        further
    }

    /// Makes these choices and no others.
    pub(crate) fn replay(&self, choices: &[Choice]) {
        run(async {
            let world = self.world().await;
            let mut execution = Execution::new(self, &world, &own_waker().await);
            for choice in choices {
                execution.make(*choice);
            }
            check(&world).await;
        });
    }

    async fn world(&self) -> World<'_> {
        let world = World::new(&self.history);
        for post in self.parked {
            world.park(*post).await;
        }
        for post in self.marked {
            world.leave_marked(*post).await;
        }
        world
    }

    fn how_to_replay(&self, choices: &[Choice]) -> String {
        let choices: Vec<_> = choices.iter().map(Choice::to_string).collect();
        format!(
            "CLIENTELE_CHOICES='{}:{}' cargo test -p clientele-flow every_interleaving",
            self.name,
            choices.join(" ")
        )
    }
}

async fn check(world: &World<'_>) {
    world.assert_nothing_lost();
    world.settle_down().await;
    world.assert_converged();
}

/// One execution of a scenario.
struct Execution<'a> {
    world: &'a World<'a>,
    actors: Vec<Option<Actor<'a>>>,
    ports: Vec<Faulty>,
    polls: Vec<usize>,
    polled_last: Option<usize>,
    /// Whose step could be noticed last.
    acted_last: Option<usize>,
    preemptions: usize,
    deaths: usize,
}

impl<'a> Execution<'a> {
    fn new(scenario: &Scenario, world: &'a World<'a>, waker: &Waker) -> Self {
        let ports: Vec<_> = scenario.roles.iter().map(|_| Faulty::overheard(&world.memory)).collect();
        let inbox = world.memory.messages(Queue::Inbox);
        let actor = |(role, ports): (&Role, &Faulty)| {
            let (role, ports, message) = (*role, ports.clone(), inbox.clone());
            Some(Actor::new(waker, async move {
                match role {
                    Role::Deliver(post) => drop(world.deliver(&ports, post).await),
                    Role::Replay(at) => drop(world.replay(&ports, &message[at]).await),
                    Role::Sweep => drop(world.sweep(&ports).await),
                }
            }))
        };
        let actors: Vec<_> = scenario.roles.iter().zip(&ports).map(actor).collect();
        let polls = vec![0; actors.len()];
        Self { world, actors, ports, polls, polled_last: None, acted_last: None, preemptions: 0, deaths: 0 }
    }

    fn is_over(&self) -> bool {
        self.actors.iter().all(Option::is_none)
    }

    fn possible(&self, bounds: Bounds) -> Vec<Choice> {
        let living: Vec<_> = (0..self.actors.len()).filter(|at| self.is_living(*at)).collect();
        let unnoticed = living.iter().copied().find(|at| !bounds.is_naive && !self.ports[*at].is_about_to_act());
        let goes_on = self.acted_last.filter(|at| self.is_living(*at) && self.preemptions >= bounds.preemptions_max);
        let only = unnoticed.or(goes_on);
        let may_die = |at: &usize| bounds.is_naive || self.polled_last == Some(*at) || unnoticed == Some(*at);
        let steps = living.iter().copied().filter(|at| only.is_none_or(|only| only == *at)).map(Choice::Step);
        let deaths = living.iter().copied().filter(|at| self.deaths < bounds.deaths_max && may_die(at));
        steps.chain(deaths.map(Choice::Die)).collect()
    }

    fn make(&mut self, choice: Choice) {
        match choice {
            Choice::Step(at) => {
                if self.ports[at].is_about_to_act() {
                    let interrupts = self.acted_last.is_some_and(|last| last != at && self.is_living(last));
                    self.preemptions += usize::from(interrupts);
                    self.acted_last = Some(at);
                }
                self.polled_last = Some(at);
                self.polls[at] += 1;
                let actor = self.actors[at].as_mut().unwrap();
                // Nothing hangs here, so nobody waits for the clock.
                assert!(actor.is_ready());
                if actor.step() {
                    self.actors[at] = None;
                }
            }
            Choice::Die(at) => {
                self.deaths += 1;
                self.actors[at] = None;
            }
        }
    }

    fn is_living(&self, actor: usize) -> bool {
        self.actors[actor].is_some()
    }

    /// All that what follows depends on. Of who is gone, nothing but what they left behind.
    fn state(&self, bounds: Bounds) -> u64 {
        let mut state = DefaultHasher::new();
        for (at, actor) in self.actors.iter().enumerate() {
            actor.as_ref().map(|_| (self.polls[at], self.ports[at].heard())).hash(&mut state);
        }
        let living = |at: Option<usize>| at.filter(|at| self.is_living(*at));
        (self.deaths, living(self.polled_last)).hash(&mut state);
        if bounds.preemptions_max < usize::MAX {
            (self.preemptions, living(self.acted_last)).hash(&mut state);
        }
        self.world.hash_into(&mut state);
        state.finish()
    }
}

impl Graph {
    /// Whether nobody came there before.
    fn arrive(&mut self, parent: Option<u64>, state: u64) -> bool {
        if let Some(followers) = parent.and_then(|parent| self.followers.get_mut(&parent)) {
            followers.push(state);
        }
        let is_new = !self.followers.contains_key(&state);
        self.followers.entry(state).or_default();
        is_new
    }

    /// A state that is taken for a new one.
    fn unheard_of(&self) -> u64 {
        self.followers.len() as u64
    }

    /// How many ways lead from the first state to an end.
    fn schedules(&self) -> u128 {
        let followed: HashSet<_> = self.followers.values().flatten().collect();
        let first = self.followers.keys().find(|state| !followed.contains(state)).unwrap();
        self.ways(*first, &mut HashMap::new())
    }

    fn ways(&self, from: u64, known: &mut HashMap<u64, u128>) -> u128 {
        if let Some(ways) = known.get(&from) {
            return *ways;
        }
        let followers = &self.followers[&from];
        let ways = followers.iter().map(|follower| self.ways(*follower, known)).sum::<u128>().max(1);
        known.insert(from, ways);
        ways
    }
}

impl fmt::Display for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Step(actor) => write!(f, "{actor}"),
            Self::Die(actor) => write!(f, "x{actor}"),
        }
    }
}

impl FromStr for Choice {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.strip_prefix('x') {
            Some(actor) => actor.parse().map(Self::Die),
            None => text.parse().map(Self::Step),
        }
    }
}
