//! The change feed's bus and its queue of refused changes in memory, and the consumers of the events.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use clientele_flow::deadlines::{CHANGES_STOP_WITHIN, CHANGES_TIMEOUT};
use clientele_flow::memory::TableWrite;
use clientele_flow::{
    BusError, ChangeFeed, EventBus, EventResult, EventSender, FeedRecord, RefusedChanges, ResendOptions, resend,
};
use clientele_model::{ChangeEvent, ChangeType, FeedContent, FeedSettings, Item, ItemWrite, RefusedChange};
use serde_json::{Map, Value};
use tokio::time::{Instant, timeout};

use super::faulty_storage::{FaultyStorage, Operation};
use super::provider::ARRIVED_AT;
use super::{Simulation, later};

/// The events of this customer are refused by the bus.
pub(crate) const REFUSED: &str = "eve";
/// For an event of this customer, the bus refuses the whole call.
pub(crate) const REFUSED_WITH_ITS_CALL: &str = "mallory";

pub(crate) fn settings() -> FeedSettings {
    FeedSettings { source: "/clientele/proof".to_owned(), content: FeedContent::Full }
}

/// What is on the bus, and what is named on the queue of refused changes. Clones share the contents.
#[derive(Clone, Default)]
pub(crate) struct Bus(Arc<Mutex<Contents>>);

#[derive(Default)]
struct Contents {
    events: Vec<ChangeEvent>,
    refused: Vec<RefusedChange>,
}

impl Bus {
    pub(crate) fn len(&self) -> usize {
        self.contents().events.len()
    }

    /// The events since that many of them, in the order in which the bus has accepted them.
    pub(crate) fn events_from(&self, number: usize) -> Vec<ChangeEvent> {
        self.contents().events[number..].to_vec()
    }

    /// The ids of changes that are on the bus or named on the queue.
    pub(crate) fn settled_ids(&self) -> BTreeSet<String> {
        let contents = self.contents();
        let on_bus = contents.events.iter().map(|event| event.id.clone());
        on_bus.chain(contents.refused.iter().map(|refused| refused.id.clone())).collect()
    }

    /// The ids of changes that are named on the queue.
    pub(crate) fn refused_ids(&self) -> BTreeSet<String> {
        self.contents().refused.iter().map(|refused| refused.id.clone()).collect()
    }

    pub(crate) fn put(&self, event: &ChangeEvent) -> EventResult {
        if event.pk.ends_with(REFUSED) {
            return EventResult::Refused("malformed".to_owned());
        }
        self.contents().events.push(event.clone());
        EventResult::Accepted
    }

    /// Whether one of the events makes the bus refuse all of them.
    pub(crate) fn refuses_call(events: &[ChangeEvent]) -> bool {
        events.iter().any(|event| event.pk.ends_with(REFUSED_WITH_ITS_CALL))
    }

    pub(crate) fn put_all(&self, events: &[ChangeEvent]) -> Result<Vec<EventResult>, BusError> {
        if Self::refuses_call(events) {
            return Err(BusError::Refused("no JSON".to_owned()));
        }
        Ok(events.iter().map(|event| self.put(event)).collect())
    }

    pub(crate) fn keep(&self, message: &RefusedChange) {
        self.contents().refused.push(message.clone());
    }

    fn contents(&self) -> MutexGuard<'_, Contents> {
        self.0.lock().unwrap()
    }
}

/// The bus as one actor sees it, with the plan of faults of its storage.
#[derive(Clone)]
pub(crate) struct FaultyBus {
    pub(crate) storage: FaultyStorage,
    pub(crate) bus: Bus,
}

impl EventBus for FaultyBus {
    async fn put(&self, events: &[ChangeEvent]) -> Result<Vec<EventResult>, BusError> {
        let effect = async { self.bus.put_all(events) };
        self.storage.call(Operation::PutEvents, effect, BusError::Unavailable).await
    }
}

impl RefusedChanges for FaultyBus {
    async fn keep(&self, message: &RefusedChange) -> Result<(), String> {
        let effect = async {
            self.bus.keep(message);
            Ok(())
        };
        self.storage.call(Operation::KeepRefused, effect, |why| why).await
    }
}

impl FaultyBus {
    pub(crate) fn feed(&self) -> ChangeFeed<Self, Self> {
        ChangeFeed { bus: self.clone(), refused: self.clone(), settings: settings() }
    }
}

/// The records of the stream. Both the sequence number of a record and the id of its event are its number.
pub(crate) fn records(first: usize, writes: Vec<TableWrite>) -> Vec<FeedRecord> {
    let record = |(number, write): (usize, TableWrite)| {
        let item = |image: Map<String, Value>| Item::try_from(image).unwrap();
        let TableWrite { old, new } = write;
        let write = ItemWrite { id: number.to_string(), at: ARRIVED_AT, old: old.map(item), new: new.map(item) };
        FeedRecord { sequence_number: number.to_string(), write: Ok(write) }
    };
    (first..).zip(writes).map(record).collect()
}

/// Whether the write changed the state of its customer, found without the code under test.
pub(crate) fn is_change(write: &TableWrite) -> bool {
    let rank = |image: &Option<Map<String, Value>>| image.as_ref().map(|image| image["rank"].clone());
    rank(&write.old) != rank(&write.new)
}

/// What a consumer knows: the greatest rank of each customer, and whether the customer is deleted.
pub(crate) type KnownCustomers = BTreeMap<String, (String, bool)>;

/// The customers of a consumer that keeps the greatest rank, and forgets a customer whose item was removed. Then it reads the
/// item, which may be back with a smaller rank, if it can read items.
pub(crate) fn consume<'e>(events: impl IntoIterator<Item = &'e ChangeEvent>, items: &KnownCustomers) -> KnownCustomers {
    let mut known = KnownCustomers::new();
    for ChangeEvent { pk, rank, kind, .. } in events {
        if known.get(pk).is_some_and(|(known, _)| known > rank) {
            continue;
        }
        let state = match kind {
            ChangeType::Removed => items.get(pk).cloned(),
            _ => Some((rank.clone(), *kind == ChangeType::Deleted)),
        };
        match state {
            Some(state) => drop(known.insert(pk.clone(), state)),
            None => drop(known.remove(pk)),
        }
    }
    known
}

/// What every consumer must know in the end.
pub(crate) fn customers(items: &BTreeMap<String, Map<String, Value>>) -> KnownCustomers {
    let known = |(pk, item): (&String, &Map<String, Value>)| {
        (pk.clone(), (item["rank"].as_str().unwrap().to_owned(), item["status"] == "deleted"))
    };
    items.iter().map(known).collect()
}

impl Simulation<'_> {
    /// Announces what the stream has, as the event source mapping and the function `changes` do. If the function crashes, hangs
    /// or fails, the next call continues with the first record that is not settled.
    pub(crate) async fn publish(&self, storage: &FaultyStorage) {
        let publish = async {
            let (published, table) = (&self.published, &self.storage);
            let stream = async {
                let first = published.load(Ordering::Relaxed);
                Ok((first, table.writes_from(first)))
            };
            let (first, writes) = storage.call(Operation::ReadStream, stream, |why| why).await?;
            let end = first + writes.len();
            let feed = FaultyBus { storage: storage.clone(), bus: self.bus.clone() }.feed();
            let report = feed.publish(records(first, writes), Instant::now() + CHANGES_STOP_WITHIN).await;
            let settled = report.failed_from.map_or(end, |number| number.parse().unwrap());
            published.fetch_max(settled, Ordering::Relaxed);
            Ok::<_, String>(())
        };
        let _ = timeout(CHANGES_TIMEOUT, publish).await;
    }

    /// A consumer starts, and everything is sent to it. An operator waits at most an hour.
    pub(crate) async fn resend(&self, storage: &FaultyStorage) {
        let resent = async {
            let bus = FaultyBus { storage: storage.clone(), bus: self.bus.clone() };
            let (start, stop) = (async { Ok(bus.bus.len()) }, AtomicBool::new(false));
            let start = storage.call(Operation::Subscribe, start, |why| why).await?;
            let sender = EventSender::new(&bus, later(), None, &stop, &|_, _| {});
            let options = ResendOptions { id: "again".to_owned(), settings: settings(), provider: None, since: None };
            match resend(storage, &sender, &options, &mut ()).await.error {
                None => Ok(start),
                Some(error) => Err(error.to_string()),
            }
        };
        if let Ok(Ok(start)) = timeout(Duration::from_hours(1), resent).await {
            self.late_consumer.set(Some(start));
        }
    }

    /// Every change is on the bus or named on the queue, and consumers know what the table has, whatever the order is in which
    /// the bus delivers.
    pub(super) fn assert_every_change_is_announced(&self) {
        let writes = self.storage.writes_from(0);
        let changes =
            (0..).zip(&writes).filter(|(_, write)| is_change(write)).map(|(number, _): (usize, _)| number.to_string());
        let left: Vec<_> = changes.filter(|id| !self.bus.settled_ids().contains(id)).collect();
        assert!(left.is_empty(), "changes {left:?} are not announced");
        let expected = customers(&self.storage.items());
        for first in [0, self.late_consumer.get().unwrap()] {
            let events = self.bus.events_from(first);
            assert_eq!(consume(&events, &expected), expected, "a consumer since event {first}");
            assert_eq!(
                consume(events.iter().rev(), &expected),
                expected,
                "a consumer since event {first}, in the other order"
            );
        }
    }
}
