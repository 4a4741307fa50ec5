//! A provider that tries again, the inbox's replayer, the schedule's sweep, an operator; and what must be true of them.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash};
use std::time::Duration;

use clientele_flow::memory::{InMemoryStorage, QueuedMessage};
use clientele_flow::{Deadlines, Flow, Queue, SettledEvent, SweepLimits, SweepReport, Table};
use clientele_model::{Change, CleanupMessage, KeptDelivery, Outcome};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value};
use tokio::time::Instant;

use crate::faulty::{Fault, Faulty, Port, turn};
use crate::history::{Fact, History, Meaning, marks, settled};
use crate::provider::{ACME, ARRIVED, CANARY};

/// How often a message of the inbox is received before it is moved to quarantine.
const RECEIVES_MAX: usize = 5;
/// How long Lambda lets a function run.
const FUNCTION_TIMEOUT: Duration = Duration::from_secs(10);
/// Within which a provider has its answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(4);
/// All that a tombstone has once its message is sent.
const TOMBSTONE: [&str; 10] =
    ["pk", "sk", "provider", "account", "customer_id", "status", "deleted_at", "rank", "last_event", "schema"];

/// A deployed Clientele, and the provider who delivers a history to it.
pub(crate) struct World<'h> {
    pub(crate) memory: InMemoryStorage,
    pub(crate) history: &'h History,
    /// The deliveries that the provider need not deliver again.
    answered: RefCell<BTreeSet<usize>>,
    /// How often each message of the inbox was received.
    receives: RefCell<BTreeMap<usize, usize>>,
}

/// When all sweeps are.
pub(crate) fn later() -> Timestamp {
    ARRIVED + SignedDuration::from_hours(1)
}

pub(crate) fn flow(ports: &Faulty) -> Flow<Faulty, Faulty> {
    Flow { table: ports.clone(), queues: ports.clone() }
}

pub(crate) fn outcomes(settled: &[SettledEvent]) -> Vec<Outcome> {
    let mut outcomes: Vec<_> = settled.iter().map(|event| (event.place, event.outcome)).collect();
    outcomes.sort_unstable();
    outcomes.into_iter().map(|(_, outcome)| outcome).collect()
}

impl<'h> World<'h> {
    pub(crate) fn new(history: &'h History) -> Self {
        let (answered, receives) = (RefCell::default(), RefCell::default());
        Self { memory: InMemoryStorage::default(), history, answered, receives }
    }

    /// Without faults and interruptions.
    pub(crate) fn prompt(&self) -> Faulty {
        Faulty::prompt(&self.memory)
    }

    /// A delivery by its index. What became of its events, in their places' order.
    pub(crate) async fn deliver(&self, ports: &Faulty, post: usize) -> Vec<Outcome> {
        let started = Instant::now();
        let verified = &self.history.posts[post].verified;
        let settled = flow(ports).receive(&ACME, verified, Deadlines::of_delivery(started)).await;
        assert!(started.elapsed() <= ANSWER_WITHIN, "answered after {:?}", started.elapsed());
        let outcomes = outcomes(&settled);
        if ACME.response_rules.respond(&outcomes).status < 300 {
            self.answered.borrow_mut().insert(post);
        }
        outcomes
    }

    /// A message of the inbox, as the event source mapping and the replayer treat it.
    pub(crate) async fn replay(&self, ports: &Faulty, message: &QueuedMessage) -> Vec<Outcome> {
        let receives = *self.receives.borrow_mut().entry(message.id).and_modify(|count| *count += 1).or_insert(1);
        if receives > RECEIVES_MAX {
            self.memory.move_to(message.id, Queue::Quarantine);
            return vec![];
        }
        let verified = KeptDelivery::from_message(&message.body).unwrap().into_verified().unwrap();
        let started = Instant::now();
        let settled = flow(ports).replay(&ACME, &verified, Deadlines::of_replay(started)).await;
        assert!(started.elapsed() < FUNCTION_TIMEOUT, "replayed after {:?}", started.elapsed());
        let outcomes = outcomes(&settled);
        if !outcomes.iter().any(|outcome| matches!(outcome, Outcome::Parked | Outcome::Unavailable)) {
            turn().await;
            self.memory.delete(message.id);
        }
        outcomes
    }

    /// Every message of the inbox, once.
    pub(crate) async fn replay_all(&self, ports: &Faulty) {
        for message in self.memory.messages(Queue::Inbox) {
            self.replay(ports, &message).await;
        }
    }

    /// A sweep that spares no mark, and ends in time.
    pub(crate) async fn sweep(&self, ports: &Faulty) -> SweepReport {
        let started = Instant::now();
        let limits = SweepLimits { grace: Duration::ZERO, ..SweepLimits::of_function(started) };
        let swept = flow(ports).sweep(later(), limits).await;
        assert!(started.elapsed() < FUNCTION_TIMEOUT, "swept after {:?}", started.elapsed());
        swept
    }

    /// Delivered while the table is down.
    pub(crate) async fn park(&self, post: usize) -> QueuedMessage {
        let outcomes =
            self.deliver(&Faulty::always(&self.memory, Fault::FailsBefore, |port| port == Port::Put), post).await;
        assert!(outcomes.contains(&Outcome::Parked), "{outcomes:?}");
        self.memory.messages(Queue::Inbox).pop().unwrap()
    }

    /// A delete that is delivered while the cleanup queue is down.
    pub(crate) async fn leave_marked(&self, post: usize) {
        let down = |port| port == Port::Send(Queue::Cleanup);
        let outcomes = self.deliver(&Faulty::always(&self.memory, Fault::FailsBefore, down), post).await;
        assert_eq!(outcomes, [Outcome::Applied]);
    }

    /// An operator sends back to the inbox all that is in quarantine.
    pub(crate) fn redrive(&self) {
        for message in self.memory.messages(Queue::Quarantine) {
            self.receives.borrow_mut().remove(&message.id);
            self.memory.move_to(message.id, Queue::Inbox);
        }
    }

    pub(crate) fn is_answered(&self, post: usize) -> bool {
        self.answered.borrow().contains(&post)
    }

    /// Nothing fails any more: the provider delivers again what was not answered well, the inbox is
    /// replayed, the operator redrives, and the marks are swept, and all of that once, since once must do.
    pub(crate) async fn settle_down(&self) {
        let ports = self.prompt();
        for post in 0..self.history.posts.len() {
            if !self.is_answered(post) {
                self.deliver(&ports, post).await;
                assert!(self.is_answered(post), "delivery {post} is refused without a fault");
            }
        }
        // What was received too often already goes to quarantine first.
        self.replay_all(&ports).await;
        self.redrive();
        self.replay_all(&ports).await;
        let left = self.memory.messages(Queue::Inbox).len();
        assert_eq!(left, 0, "messages are left in the inbox");
        let swept = self.sweep(&ports).await;
        assert_eq!((swept.failed, swept.is_cut_short), (0, false), "{swept:?}");
        let due = self.memory.pending_cleanups(None).await.unwrap();
        assert!(due.pending.is_empty(), "marks are left: {due:?}");
    }

    /// The world is as it must be when everything has arrived, whatever happened on the way.
    pub(crate) fn assert_converged(&self) {
        let end = &self.history.end;
        let items = self.memory.items();
        for item in items.values() {
            assert_no_mark(item);
        }
        let items: BTreeMap<_, _> = items.into_iter().map(|(pk, item)| (pk, settled(item))).collect();
        assert_eq!(items, end.items, "the table");
        for pk in &end.deleted {
            assert_nothing_personal(&items[pk]);
        }
        assert_eq!(self.cleanup_ids(), end.deleted, "the cleanup ids");
        let messages: BTreeSet<_> =
            self.memory.messages(Queue::Cleanup).into_iter().map(|message| message.body).collect();
        assert!(messages.is_superset(&end.last_words), "the message of a last delete was not sent");
        assert_eq!(self.kept_in(Queue::Quarantine), end.quarantined, "what is in quarantine");
        assert_eq!(self.kept_in(Queue::Inbox), BTreeSet::new(), "what is in the inbox");
        self.assert_no_secret();
    }

    /// At any moment, what was answered well is in the table or on a queue: nobody will deliver it again.
    pub(crate) fn assert_nothing_lost(&self) {
        let kept = &self.kept_in(Queue::Inbox) | &self.kept_in(Queue::Quarantine);
        let (items, cleanup_ids) = (self.memory.items(), self.cleanup_ids());
        for post in self.answered.borrow().iter() {
            for fact in &self.history.posts[*post].facts {
                let is_safe = kept.contains(&fact.mark) || is_settled(fact, &items, &cleanup_ids);
                assert!(is_safe, "{} of delivery {post} is lost", fact.mark);
            }
        }
        self.assert_no_secret();
    }

    fn assert_no_secret(&self) {
        let queues = [Queue::Cleanup, Queue::Inbox, Queue::Quarantine];
        let mut messages = queues.into_iter().flat_map(|queue| self.memory.messages(queue));
        assert!(!messages.any(|message| message.body.contains(CANARY)), "a secret is in a message");
        assert!(!self.memory.items().into_values().any(|item| is_in(CANARY, &item.into())), "a secret is in an item");
    }

    /// All of it that matters for what comes next. In which order messages were sent does not.
    pub(crate) fn hash_into(&self, state: &mut DefaultHasher) {
        self.answered.borrow().hash(state);
        for (pk, item) in self.memory.items() {
            (pk, Value::from(item).to_string()).hash(state);
        }
        let queues = [Queue::Cleanup, Queue::Inbox, Queue::Quarantine];
        let messages = queues.into_iter().flat_map(|queue| self.memory.messages(queue));
        let mut messages: Vec<_> = messages.map(|message| (message.queue, message.body)).collect();
        messages.sort_unstable();
        messages.hash(state);
    }

    /// The cleanup ids that were sent, each of them in a readable message.
    pub(crate) fn cleanup_ids(&self) -> BTreeSet<String> {
        let messages = self.memory.messages(Queue::Cleanup).into_iter();
        messages.map(|message| serde_json::from_str::<CleanupMessage>(&message.body).unwrap().cleanup_id).collect()
    }

    /// The marks of all that is in the messages of a queue.
    pub(crate) fn kept_in(&self, queue: Queue) -> BTreeSet<String> {
        self.memory.messages(queue).iter().flat_map(|message| marks(&message.body)).flatten().collect()
    }
}

/// Whether the table is past the event. If it is a delete, its message must be sent, or wait in the tombstone.
fn is_settled(fact: &Fact, items: &BTreeMap<String, Map<String, Value>>, cleanup_ids: &BTreeSet<String>) -> bool {
    let Meaning::Event(event) = &fact.meaning else { return false };
    let pk = event.key().to_string();
    let Some(item) = items.get(&pk) else { return false };
    let is_written = item["rank"].as_str() >= Some(&event.rank().to_string());
    let is_told = cleanup_ids.contains(&pk) || item.contains_key("cleanup") && item.contains_key("cleanup_due");
    is_written && (is_told || matches!(event.change(), Change::Snapshot(_)))
}

pub(crate) fn assert_nothing_personal(tombstone: &Map<String, Value>) {
    let others: Vec<_> = tombstone.keys().filter(|name| !TOMBSTONE.contains(&name.as_str())).collect();
    assert!(others.is_empty(), "a tombstone has {others:?}");
    let text = Value::from(tombstone.clone()).to_string();
    assert!(!["Ada", "@", "Turin"].iter().any(|personal| text.contains(personal)), "a tombstone with personal data");
}

fn is_in(secret: &str, value: &Value) -> bool {
    match value {
        Value::Array(elements) => elements.iter().any(|element| is_in(secret, element)),
        Value::Object(fields) => fields.iter().any(|(name, value)| name.contains(secret) || is_in(secret, value)),
        Value::String(text) => text.contains(secret),
        Value::Number(number) => number.as_str().contains(secret),
        Value::Null | Value::Bool(_) => false,
    }
}

fn assert_no_mark(item: &Map<String, Value>) {
    assert!(!item.contains_key("cleanup") && !item.contains_key("cleanup_due"), "a mark is left on {}", item["pk"]);
}
