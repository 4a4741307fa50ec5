//! A simulated system: a provider that retries, the replay of the inbox, scheduled sweeps and an operator; and the
//! assertions on its state.

pub(crate) mod actors;
pub(crate) mod erasure;
pub(crate) mod faulty_storage;
pub(crate) mod feed;
pub(crate) mod history;
pub(crate) mod list;
pub(crate) mod provider;
pub(crate) mod scripted_bus;

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use clientele_flow::deadlines::{ANSWER_WITHIN, FUNCTION_TIMEOUT};
use clientele_flow::memory::QueuedMessage;
use clientele_flow::{
    Deadlines, Deletes, Flow, ImportOptions, Queue, Queues, ReconcileOptions, RunEnd, SettledEvent, SweepLimits,
    SweepReport, Table,
};
use clientele_model::{Change, CleanupMessage, ErasureSettings, KeptDelivery, KeptDeliveryError, KeptPart, Outcome};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value};
use tokio::time::Instant;

use actors::run;
use erasure::{Erasures, SimulatedStorage};
use faulty_storage::{Fault, FaultyStorage, Operation, yield_now};
use feed::Bus;
use history::{Destination, History, SentEvent, comparable, event_ids, key_attributes};
use list::{LISTING, List, ListStandIn, observation};
use provider::{ACME, ARRIVED_AT, CANARY};

/// How often a message of the inbox is received before it is moved to quarantine.
const RECEIVES_MAX: usize = 5;
/// All fields of a tombstone once its cleanup message is sent.
const TOMBSTONE_FIELDS: [&str; 11] = [
    "pk",
    "sk",
    "provider",
    "account",
    "customer_id",
    "status",
    "deleted_at",
    "rank",
    "receipts",
    "last_event",
    "schema",
];

/// A deployed system, and the provider that delivers a history to it.
pub(crate) struct Simulation<'h> {
    pub(crate) storage: SimulatedStorage,
    pub(crate) history: &'h History,
    /// The deliveries that were answered 2xx, which the provider does not deliver again.
    accepted: RefCell<BTreeSet<usize>>,
    /// The lists that were imported completely.
    imported: RefCell<BTreeSet<usize>>,
    /// How often each message of the inbox was received.
    receives: RefCell<BTreeMap<usize, usize>>,
    /// The event bus.
    bus: Bus,
    /// How many writes of the table's stream are settled.
    published: AtomicUsize,
    /// The first event that a consumer receives which has started late, if everything was sent to it.
    late_consumer: Cell<Option<usize>>,
    erasures: RefCell<Erasures>,
}

/// Runs a test in a new simulation.
pub(crate) fn simulate<T>(history: &History, test: impl AsyncFnOnce(&Simulation<'_>) -> T) -> T {
    run(async { test(&Simulation::new(history)).await })
}

/// The time of all sweeps.
pub(crate) fn later() -> Timestamp {
    ARRIVED_AT + SignedDuration::from_hours(1)
}

pub(crate) fn flow(storage: &FaultyStorage) -> Flow<FaultyStorage, FaultyStorage> {
    Flow { table: storage.clone(), queues: storage.clone(), erasure: storage.erasure() }
}

/// The outcomes in the order of the events' places.
fn outcomes(settled: &[SettledEvent]) -> Vec<Outcome> {
    let mut outcomes: Vec<_> = settled.iter().map(|event| (event.place, event.outcome)).collect();
    outcomes.sort_unstable();
    outcomes.into_iter().map(|(_, outcome)| outcome).collect()
}

impl<'h> Simulation<'h> {
    pub(crate) fn new(history: &'h History) -> Self {
        Self::erasing(history, ErasureSettings::default())
    }

    /// A system that erases customers in this way.
    pub(crate) fn erasing(history: &'h History, erasure: ErasureSettings) -> Self {
        Self {
            storage: SimulatedStorage::with(erasure),
            history,
            accepted: RefCell::default(),
            imported: RefCell::default(),
            receives: RefCell::default(),
            bus: Bus::default(),
            published: AtomicUsize::default(),
            late_consumer: Cell::default(),
            erasures: RefCell::default(),
        }
    }

    /// Storage without faults and interruptions.
    pub(crate) fn atomic(&self) -> FaultyStorage {
        FaultyStorage::atomic(&self.storage)
    }

    /// Storage without faults.
    pub(crate) fn reliable(&self) -> FaultyStorage {
        FaultyStorage::reliable(&self.storage)
    }

    /// Storage with the same fault in every call of some operations.
    pub(crate) fn faulty(&self, fault: Fault, has_fault: fn(Operation) -> bool) -> FaultyStorage {
        FaultyStorage::new(&self.storage, move |_, operation| has_fault(operation).then_some(fault))
    }

    /// Settles one delivery, with all that is logged of its events.
    pub(crate) async fn receive(&self, storage: &FaultyStorage, delivery: usize) -> Vec<SettledEvent> {
        let verified = &self.history.deliveries[delivery].verified;
        let deadlines = Deadlines::of_delivery(Instant::now(), self.erasures.borrow().clock);
        flow(storage).receive(&ACME, verified, deadlines).await
    }

    /// Delivers, and returns the outcomes of the events in their places' order.
    pub(crate) async fn deliver(&self, storage: &FaultyStorage, delivery: usize) -> Vec<Outcome> {
        let started = Instant::now();
        let outcomes = outcomes(&self.receive(storage, delivery).await);
        assert!(started.elapsed() <= ANSWER_WITHIN, "answered after {:?}", started.elapsed());
        if ACME.response_rules.respond(&outcomes).status < 300 {
            self.accepted.borrow_mut().insert(delivery);
        }
        outcomes
    }

    /// Replays a message of the inbox, as the event source mapping and the replay function do.
    pub(crate) async fn replay(&self, storage: &FaultyStorage, message: &QueuedMessage) -> Vec<Outcome> {
        let receives = *self.receives.borrow_mut().entry(message.id).and_modify(|count| *count += 1).or_insert(1);
        if receives > RECEIVES_MAX {
            self.storage.move_to(message.id, Queue::Quarantine);
            return vec![];
        }
        let started = Instant::now();
        let verified = match KeptDelivery::from_message(&message.body).unwrap().into_verified() {
            Ok(verified) => verified,
            Err(KeptDeliveryError::Omitted) => {
                let deadlines = Deadlines::of_replay(started, ARRIVED_AT);
                let sent = flow(storage).send(Queue::Quarantine, ACME.name, &message.body, deadlines).await;
                yield_now().await;
                return match sent {
                    Ok(()) => {
                        self.storage.delete(message.id);
                        vec![Outcome::Quarantined]
                    }
                    Err(_) => vec![Outcome::Unavailable],
                };
            }
            Err(error) => panic!("{error}"),
        };
        let deadlines = Deadlines::of_replay(started, self.erasures.borrow().clock);
        let settled = flow(storage).replay(&ACME, &verified, deadlines).await;
        assert!(started.elapsed() < FUNCTION_TIMEOUT, "replayed after {:?}", started.elapsed());
        let outcomes = outcomes(&settled);
        if !outcomes.iter().any(|outcome| matches!(outcome, Outcome::Parked | Outcome::Unavailable)) {
            yield_now().await;
            self.storage.delete(message.id);
        }
        outcomes
    }

    /// Replays every message of the inbox once.
    pub(crate) async fn replay_all(&self, storage: &FaultyStorage) {
        for message in self.storage.messages(Queue::Inbox) {
            self.replay(storage, &message).await;
        }
    }

    /// A sweep without a grace period, which must end in time.
    pub(crate) async fn sweep(&self, storage: &FaultyStorage) -> SweepReport {
        let started = Instant::now();
        let limits = SweepLimits { grace: Duration::ZERO, ..SweepLimits::of_function(started) };
        let now = if self.holds() { self.erasures.borrow().clock } else { later() };
        let report = flow(storage).sweep(now, limits).await;
        assert!(started.elapsed() < FUNCTION_TIMEOUT, "swept after {:?}", started.elapsed());
        report
    }

    /// Imports one of the lists.
    pub(crate) async fn import(&self, storage: &FaultyStorage, list: usize) -> RunEnd {
        let client = ListStandIn::new(List::of(&self.history.lists[list]));
        let options = ImportOptions { concurrency: 2, ..ImportOptions::starting_at(ARRIVED_AT) };
        let stop = AtomicBool::new(false);
        let report = flow(storage).import(&LISTING, &client, options, &mut (), &stop).await;
        if report.end == RunEnd::Complete {
            self.imported.borrow_mut().insert(list);
        }
        report.end
    }

    /// Reconciles with the last list, without the customers whom the provider has deleted, and deletes them here.
    pub(crate) async fn reconcile(&self, storage: &FaultyStorage) -> RunEnd {
        let mut list = List::of(self.history.lists.last().map_or(&[], Vec::as_slice));
        self.history.deleted_there.iter().for_each(|customer| list.delete(customer));
        let options = ReconcileOptions {
            concurrency: 2,
            deletes: Deletes::Apply,
            deletes_max: Some(u64::MAX),
            ..ReconcileOptions::starting_at(ARRIVED_AT)
        };
        let (client, stop) = (ListStandIn::new(list), AtomicBool::new(false));
        flow(storage).reconcile(&LISTING, &client, options, &mut (), &stop).await.end
    }

    /// Delivers while the table is down. Returns the message on the inbox.
    pub(crate) async fn park(&self, delivery: usize) -> QueuedMessage {
        let storage = self.faulty(Fault::FailsBefore, Operation::is_write);
        let outcomes = self.deliver(&storage, delivery).await;
        assert!(outcomes.contains(&Outcome::Parked), "{outcomes:?}");
        self.storage.messages(Queue::Inbox).pop().unwrap()
    }

    /// Puts a whole delivery on the inbox, as an operator does with a message in quarantine.
    pub(crate) async fn enqueue(&self, delivery: usize) -> QueuedMessage {
        let message =
            KeptDelivery::new(&ACME, &self.history.deliveries[delivery].verified, "why", KeptPart::Whole).to_message();
        self.storage.send(Queue::Inbox, ACME.name, &message).await.unwrap();
        self.storage.messages(Queue::Inbox).pop().unwrap()
    }

    /// Delivers a delete while the cleanup queue is down, so that the message stays in the tombstone.
    pub(crate) async fn leave_pending(&self, delivery: usize) {
        let storage = self.faulty(Fault::FailsBefore, |operation| operation == Operation::Send(Queue::Cleanup));
        assert_eq!(self.deliver(&storage, delivery).await, [Outcome::Applied]);
    }

    /// An operator moves all messages from quarantine to the inbox.
    pub(crate) fn redrive(&self) {
        for message in self.storage.messages(Queue::Quarantine) {
            self.receives.borrow_mut().remove(&message.id);
            self.storage.move_to(message.id, Queue::Inbox);
        }
    }

    /// Everything works again: the provider redelivers what was not accepted, imports that were interrupted are repeated,
    /// the inbox is replayed, the operator moves messages out of quarantine, a reconciliation finds lost deletes, and a
    /// sweep runs. Each happens once, and that must be enough.
    pub(crate) async fn settle_down(&self) {
        let storage = self.atomic();
        let is_accepted = |delivery: usize| self.accepted.borrow().contains(&delivery);
        for delivery in 0..self.history.deliveries.len() {
            if !is_accepted(delivery) {
                self.deliver(&storage, delivery).await;
                assert!(is_accepted(delivery), "delivery {delivery} is not accepted without a fault");
            }
        }
        for list in 0..self.history.lists.len() {
            if !self.imported.borrow().contains(&list) {
                assert_eq!(self.import(&storage, list).await, RunEnd::Complete, "list {list}");
            }
        }
        // Messages that were received too often go to quarantine first.
        self.replay_all(&storage).await;
        self.redrive();
        self.replay_all(&storage).await;
        let left = self.storage.messages(Queue::Inbox).len();
        assert_eq!(left, 0, "messages are left in the inbox");
        if !self.history.deleted_there.is_empty() {
            assert_eq!(self.reconcile(&storage).await, RunEnd::Complete);
        }
        self.settle_erasures().await;
        let report = self.sweep(&storage).await;
        assert_eq!((report.failed, report.is_cut_short), (0, false), "{report:?}");
        let page = self.storage.pending_cleanups(Timestamp::MAX, None).await.unwrap();
        assert!(page.pending.is_empty(), "cleanup messages are left: {page:?}");
        if self.late_consumer.get().is_none() {
            self.resend(&storage).await;
        }
        self.publish(&storage).await;
    }

    /// Nothing is lost now, and the state converges.
    pub(crate) async fn check(&self) {
        if self.erasures.borrow().may_be_restored {
            self.settle_down().await;
            return self.assert_restored();
        }
        self.assert_nothing_lost();
        self.settle_down().await;
        self.assert_converged();
        self.assert_every_change_is_announced();
    }

    /// The state is the final state of the history.
    pub(crate) fn assert_converged(&self) {
        let expected = &self.history.final_state;
        let items = self.storage.items();
        for item in items.values() {
            let is_pending = item.contains_key("cleanup") || item.contains_key("cleanup_due");
            assert!(!is_pending, "a cleanup message is left in {}", item["pk"]);
        }
        let is_any_tombstone = |pk: &String| expected.deleted_by_reconciliation.contains(pk);
        let reduced =
            |(pk, item)| if is_any_tombstone(&pk) { (pk, key_attributes(item)) } else { (pk, comparable(item)) };
        let items: BTreeMap<_, _> = items.into_iter().map(reduced).collect();
        assert_eq!(items, expected.items, "the table");
        for pk in &expected.deleted {
            assert_nothing_personal(&self.storage.items()[pk]);
        }
        assert_eq!(self.cleanup_ids(), expected.deleted, "the cleanup ids");
        let messages: Vec<_> = self.storage.messages(Queue::Cleanup).into_iter().map(|sent| read(&sent.body)).collect();
        for expected in &expected.cleanup_messages {
            let is_sent = messages.iter().any(|sent| says_all_of(sent, &read(expected)));
            assert!(is_sent, "the message of a last delete was not sent");
        }
        assert_eq!(self.event_ids_on(Queue::Quarantine), expected.quarantined, "what is in quarantine");
        assert_eq!(self.event_ids_on(Queue::Inbox), BTreeSet::new(), "what is in the inbox");
        self.assert_erased();
        self.assert_no_secret();
    }

    /// At any moment, every event of an accepted delivery is in the table or on a queue, because the provider does not
    /// deliver it again.
    pub(crate) fn assert_nothing_lost(&self) {
        let kept = &self.event_ids_on(Queue::Inbox) | &self.event_ids_on(Queue::Quarantine);
        let (items, cleanup_ids) = (self.storage.items(), self.cleanup_ids());
        for delivery in self.accepted.borrow().iter() {
            for event in &self.history.deliveries[*delivery].events {
                let is_safe = kept.contains(&event.id) || is_settled(event, &items, &cleanup_ids);
                assert!(is_safe, "{} of delivery {delivery} is lost", event.id);
            }
        }
        for observed in self.imported.borrow().iter().flat_map(|list| &self.history.lists[*list]).map(observation) {
            let rank = items.get(&observed.key().to_string()).and_then(|item| item["rank"].as_str());
            assert!(rank >= Some(&observed.rank().to_string()), "a record of an imported list is lost");
        }
        self.assert_no_secret();
    }

    fn assert_no_secret(&self) {
        assert!(!self.all_messages().any(|message| message.body.contains(CANARY)), "a secret is in a message");
        let items = self.storage.items().into_values();
        assert!(
            !items.map(|item| Value::from(item).to_string()).any(|item| item.contains(CANARY)),
            "a secret is in an item"
        );
    }

    fn all_messages(&self) -> impl Iterator<Item = QueuedMessage> {
        let queues = [Queue::Cleanup, Queue::Inbox, Queue::Quarantine];
        queues.into_iter().flat_map(|queue| self.storage.messages(queue))
    }

    /// Hashes the part of the state that affects the future. The order of messages does not.
    pub(crate) fn hash_into(&self, state: &mut DefaultHasher) {
        self.accepted.borrow().hash(state);
        self.imported.borrow().hash(state);
        for (pk, item) in self.storage.items() {
            (pk, Value::from(item).to_string()).hash(state);
        }
        let mut messages: Vec<_> = self.all_messages().map(|message| (message.queue, message.body)).collect();
        messages.sort_unstable();
        messages.hash(state);
        self.published.load(Ordering::Relaxed).hash(state);
        let events = |first| {
            let events = self.bus.events_from(first).into_iter();
            events.map(|event| (event.pk, event.rank, event.kind)).collect::<BTreeSet<_>>()
        };
        (events(0), self.late_consumer.get().map(events)).hash(state);
        self.hash_erasures_into(state);
    }

    /// The cleanup ids that were sent, each of them in a readable message.
    fn cleanup_ids(&self) -> BTreeSet<String> {
        let messages = self.storage.messages(Queue::Cleanup).into_iter();
        messages.map(|message| serde_json::from_str::<CleanupMessage>(&message.body).unwrap().cleanup_id).collect()
    }

    /// The ids of all events in the messages of a queue.
    fn event_ids_on(&self, queue: Queue) -> BTreeSet<String> {
        self.storage.messages(queue).iter().flat_map(|message| event_ids(&message.body)).flatten().collect()
    }
}

fn read(message: &str) -> CleanupMessage {
    serde_json::from_str(message).unwrap()
}

/// Whether a message is about the same delete, with all identifiers of the other message. It may have those of the item, too.
fn says_all_of(message: &CleanupMessage, other: &CleanupMessage) -> bool {
    let same = |message: &CleanupMessage| {
        (message.cleanup_id.clone(), message.event_id.clone(), message.deleted_at, message.external_id.clone())
    };
    same(message) == same(other)
        && other.identifiers.emails.iter().all(|email| message.identifiers.emails.contains(email))
}

/// Whether the table has the event or a greater one. The cleanup message of a delete must be sent or in the tombstone.
fn is_settled(event: &SentEvent, items: &BTreeMap<String, Map<String, Value>>, cleanup_ids: &BTreeSet<String>) -> bool {
    let Destination::Table(event) = &event.destination else { return false };
    let pk = event.key().to_string();
    let Some(item) = items.get(&pk) else { return false };
    let is_written = item["rank"].as_str() >= Some(&event.rank().to_string());
    let is_pending = item.contains_key("cleanup") && item.contains_key("cleanup_due");
    is_written && (matches!(event.change(), Change::Snapshot(_)) || is_pending || cleanup_ids.contains(&pk))
}

pub(crate) fn assert_nothing_personal(tombstone: &Map<String, Value>) {
    let is_known = |name: &str| TOMBSTONE_FIELDS.contains(&name) || name == "erasure_open";
    let others: Vec<_> = tombstone.keys().filter(|name| !is_known(name)).collect();
    assert!(others.is_empty(), "a tombstone has {others:?}");
    let text = Value::from(tombstone.clone()).to_string();
    assert!(!["Ada", "@", "Turin"].iter().any(|personal| text.contains(personal)), "a tombstone with personal data");
}
