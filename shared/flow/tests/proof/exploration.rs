//! The exploration of all interleavings of a few actors at their awaits, with a crash of each actor at every step.
//!
//! Futures cannot be copied, so every execution starts from the beginning and repeats a list of choices. Three reductions
//! avoid executions that cannot lead to a new final state:
//!
//! - What an actor does next depends only on the responses it received and on how often it was polled. If two lists of
//!   choices lead to the same state of actors, table and queues, only one of them is continued.
//! - The step from the end of one call to the beginning of the next has no observable effect, so it runs at once.
//! - A crash has no observable effect either. An actor that crashes later is one that was not chosen until then, so a crash
//!   is only tried right after a step of that actor.
//!
//! `the_reduction_misses_nothing` compares the result with an exploration without reductions.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::str::FromStr;
use std::task::Waker;

use clientele_flow::Queue;
use clientele_model::ErasureSettings;

use crate::simulation::Simulation;
use crate::simulation::actors::{Actor, current_waker, reproducible, run};
use crate::simulation::faulty_storage::FaultyStorage;
use crate::simulation::history::History;

/// Some concurrent actors, and the state before them.
pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    pub(crate) history: History,
    pub(crate) erasure: ErasureSettings,
    /// Deliveries on the inbox.
    pub(crate) parked: &'static [usize],
    /// Deletes whose cleanup messages are still in their tombstones.
    pub(crate) pending: &'static [usize],
    /// One per actor.
    pub(crate) tasks: &'static [Task],
}

/// What an actor does.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Task {
    Deliver(usize),
    /// Replays the message of that index on the inbox.
    Replay(usize),
    Sweep,
    /// Imports the list of that index.
    Import(usize),
    Reconcile,
    /// Announces what the stream has.
    Publish,
    /// Sends everything to a consumer that starts.
    Resend,
    /// A system confirms that it has erased its copies of Ada, at that second.
    Confirm(&'static str, i64),
    /// The hold ends.
    EndHold,
    /// An operator restores Ada.
    Restore,
}

/// Which actor takes a step or crashes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Choice {
    Step(usize),
    Crash(usize),
}

/// The bounds of an exploration.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    /// How often an actor is interrupted that could continue.
    pub(crate) preemptions_max: usize,
    pub(crate) crashes_max: usize,
    /// Whether to follow every single interleaving.
    pub(crate) is_unreduced: bool,
}

/// The result of an exploration.
#[derive(Debug)]
pub(crate) struct Explored {
    pub(crate) states: usize,
    /// How many interleavings lead through these states.
    pub(crate) schedules: u128,
    pub(crate) final_states: HashSet<u64>,
}

/// The states, and for each its successors, one per choice.
#[derive(Default)]
struct Graph {
    successors: HashMap<u64, Vec<u64>>,
    final_states: HashSet<u64>,
}

/// A list of choices to make, and the state before the last of them.
struct Unexplored {
    parent: Option<u64>,
    choices: Vec<Choice>,
}

impl Scenario {
    /// Explores every interleaving within the bounds. In every final state nothing is lost, and all of them converge.
    pub(crate) fn explore(&self, bounds: Bounds) -> Explored {
        let mut graph = Graph::default();
        let mut unexplored = vec![Unexplored { parent: None, choices: vec![] }];
        while let Some(Unexplored { parent, choices }) = unexplored.pop() {
            let choices = RefCell::new(choices);
            let alternatives = reproducible(
                || self.how_to_reproduce(&choices.borrow()),
                || run(self.follow(bounds, parent, &choices, &mut graph)),
            );
            unexplored.extend(alternatives);
        }
        let (states, schedules) = (graph.successors.len(), graph.schedules());
        Explored { states, schedules, final_states: graph.final_states }
    }

    /// Makes these choices, and then always the first possible one, until all actors are done or the state is known.
    /// Returns the alternatives on the way.
    async fn follow(
        &self,
        bounds: Bounds,
        mut parent: Option<u64>,
        choices: &RefCell<Vec<Choice>>,
        graph: &mut Graph,
    ) -> Vec<Unexplored> {
        let simulation = self.prepare().await;
        let mut execution = Execution::new(self, &simulation, &current_waker().await);
        for choice in choices.borrow().iter() {
            execution.make(*choice);
        }
        let mut alternatives = vec![];
        loop {
            let state = if bounds.is_unreduced { graph.unique_state() } else { execution.state(bounds) };
            let is_new = graph.add(parent, state);
            let possible = execution.possible_choices(bounds);
            let Some((first, others)) = possible.split_first().filter(|_| is_new) else { break };
            let mut choices = choices.borrow_mut();
            alternatives.extend(others.iter().map(|other| {
                let choices = choices.iter().copied().chain([*other]).collect();
                Unexplored { parent: Some(state), choices }
            }));
            choices.push(*first);
            execution.make(*first);
            parent = Some(state);
        }
        if execution.is_over() {
            graph.final_states.insert(execution.state(bounds));
            simulation.check().await;
        }
        alternatives
    }

    /// Makes exactly these choices.
    pub(crate) fn reproduce(&self, choices: &[Choice]) {
        run(async {
            let simulation = self.prepare().await;
            let mut execution = Execution::new(self, &simulation, &current_waker().await);
            for choice in choices {
                execution.make(*choice);
            }
            simulation.check().await;
        });
    }

    async fn prepare(&self) -> Simulation<'_> {
        let simulation = Simulation::erasing(&self.history, self.erasure);
        for delivery in self.parked {
            simulation.park(*delivery).await;
        }
        for delivery in self.pending {
            simulation.leave_pending(*delivery).await;
        }
        simulation
    }

    fn how_to_reproduce(&self, choices: &[Choice]) -> String {
        let choices: Vec<_> = choices.iter().map(Choice::to_string).collect();
        let (name, choices) = (self.name, choices.join(" "));
        format!("CLIENTELE_CHOICES='{name}:{choices}' cargo test -p clientele-flow every_interleaving")
    }
}

/// One execution of a scenario.
struct Execution<'a> {
    simulation: &'a Simulation<'a>,
    /// `None` once it is done or has crashed.
    actors: Vec<Option<Actor<'a>>>,
    /// The storage as each actor sees it.
    storages: Vec<FaultyStorage>,
    polls: Vec<usize>,
    polled_last: Option<usize>,
    /// The actor whose step had the last observable effect.
    acted_last: Option<usize>,
    preemptions: usize,
    crashes: usize,
}

impl<'a> Execution<'a> {
    fn new(scenario: &Scenario, simulation: &'a Simulation<'a>, waker: &Waker) -> Self {
        let storages: Vec<_> = scenario.tasks.iter().map(|_| FaultyStorage::recording(&simulation.storage)).collect();
        let inbox = simulation.storage.messages(Queue::Inbox);
        let actor = |(task, storage): (&Task, &FaultyStorage)| {
            let (task, storage, inbox) = (*task, storage.clone(), inbox.clone());
            Some(Actor::new(waker, async move {
                match task {
                    Task::Deliver(delivery) => drop(simulation.deliver(&storage, delivery).await),
                    Task::Replay(index) => drop(simulation.replay(&storage, &inbox[index]).await),
                    Task::Sweep => drop(simulation.sweep(&storage).await),
                    Task::Import(list) => drop(simulation.import(&storage, list).await),
                    Task::Reconcile => drop(simulation.reconcile(&storage).await),
                    Task::Publish => simulation.publish(&storage).await,
                    Task::Resend => simulation.resend(&storage).await,
                    Task::Confirm(system, second) => _ = simulation.confirm(&storage, system, second).await,
                    Task::EndHold => simulation.end_hold(),
                    Task::Restore => simulation.restore(&storage).await,
                }
            }))
        };
        let actors: Vec<_> = scenario.tasks.iter().zip(&storages).map(actor).collect();
        let polls = vec![0; actors.len()];
        Self { simulation, actors, storages, polls, polled_last: None, acted_last: None, preemptions: 0, crashes: 0 }
    }

    fn is_over(&self) -> bool {
        self.actors.iter().all(Option::is_none)
    }

    fn possible_choices(&self, bounds: Bounds) -> Vec<Choice> {
        let alive: Vec<_> = (0..self.actors.len()).filter(|at| self.is_alive(*at)).collect();
        let unobservable =
            alive.iter().copied().find(|at| !bounds.is_unreduced && !self.storages[*at].is_before_effect());
        let continues = self.acted_last.filter(|at| self.is_alive(*at) && self.preemptions >= bounds.preemptions_max);
        let only = unobservable.or(continues);
        let may_crash = |at: &usize| bounds.is_unreduced || self.polled_last == Some(*at) || unobservable == Some(*at);
        let steps = alive.iter().copied().filter(|at| only.is_none_or(|only| only == *at)).map(Choice::Step);
        let crashes = alive.iter().copied().filter(|at| self.crashes < bounds.crashes_max && may_crash(at));
        steps.chain(crashes.map(Choice::Crash)).collect()
    }

    fn make(&mut self, choice: Choice) {
        match choice {
            Choice::Step(at) => {
                if self.storages[at].is_before_effect() {
                    let preempts = self.acted_last.is_some_and(|last| last != at && self.is_alive(last));
                    self.preemptions += usize::from(preempts);
                    self.acted_last = Some(at);
                }
                self.polled_last = Some(at);
                self.polls[at] += 1;
                let actor = self.actors[at].as_mut().unwrap();
                assert!(actor.is_ready(), "nothing hangs here, so no actor waits for the clock");
                if actor.step() {
                    self.actors[at] = None;
                }
            }
            Choice::Crash(at) => {
                self.crashes += 1;
                self.actors[at] = None;
            }
        }
    }

    fn is_alive(&self, actor: usize) -> bool {
        self.actors[actor].is_some()
    }

    /// A hash of everything that the further execution depends on.
    fn state(&self, bounds: Bounds) -> u64 {
        let mut state = DefaultHasher::new();
        for (at, actor) in self.actors.iter().enumerate() {
            actor.as_ref().map(|_| (self.polls[at], self.storages[at].responses_hash())).hash(&mut state);
        }
        let alive = |at: Option<usize>| at.filter(|at| self.is_alive(*at));
        (self.crashes, alive(self.polled_last)).hash(&mut state);
        if bounds.preemptions_max < usize::MAX {
            (self.preemptions, alive(self.acted_last)).hash(&mut state);
        }
        self.simulation.hash_into(&mut state);
        state.finish()
    }
}

impl Graph {
    /// Adds the state as a successor of its parent. Returns whether it is new.
    fn add(&mut self, parent: Option<u64>, state: u64) -> bool {
        if let Some(successors) = parent.and_then(|parent| self.successors.get_mut(&parent)) {
            successors.push(state);
        }
        let is_new = !self.successors.contains_key(&state);
        self.successors.entry(state).or_default();
        is_new
    }

    /// A number that is no state yet.
    fn unique_state(&self) -> u64 {
        self.successors.len() as u64
    }

    /// How many paths lead from the first state to a final one.
    fn schedules(&self) -> u128 {
        let reachable: HashSet<_> = self.successors.values().flatten().collect();
        let first = self.successors.keys().find(|state| !reachable.contains(state)).unwrap();
        self.paths(*first, &mut HashMap::new())
    }

    fn paths(&self, from: u64, known: &mut HashMap<u64, u128>) -> u128 {
        if let Some(paths) = known.get(&from) {
            return *paths;
        }
        let successors = &self.successors[&from];
        let paths = successors.iter().map(|successor| self.paths(*successor, known)).sum::<u128>().max(1);
        known.insert(from, paths);
        paths
    }
}

impl fmt::Display for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Step(actor) => write!(f, "{actor}"),
            Self::Crash(actor) => write!(f, "x{actor}"),
        }
    }
}

impl FromStr for Choice {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.strip_prefix('x') {
            Some(actor) => actor.parse().map(Self::Crash),
            None => text.parse().map(Self::Step),
        }
    }
}
