//! What a provider delivers, and the final state that it must lead to.

use std::collections::{BTreeMap, BTreeSet};

use clientele_model::{CustomerEvent, Item, KeptDelivery, KeptPart, Rank, Translated, Verified};
use serde_json::{Map, Value};

use super::list::{key, observation};
use super::provider::{ACME, EventSpec, Kind, OVERSIZED, body, verified};

/// Deliveries and lists, and their final state: in whatever order and however often they arrive or are read, and whatever
/// fails.
pub(crate) struct History {
    pub(crate) deliveries: Vec<SentDelivery>,
    /// The provider's list at several times. A version of a customer is the same in each of them.
    pub(crate) lists: Vec<Vec<EventSpec>>,
    /// The customers whom the provider has deleted, although their deletes may be lost. A reconciliation reads the last
    /// list without them.
    pub(crate) deleted_there: BTreeSet<String>,
    pub(crate) final_state: FinalState,
}

/// A delivery of the provider.
pub(crate) struct SentDelivery {
    pub(crate) verified: Verified,
    pub(crate) events: Vec<SentEvent>,
}

/// An event of a delivery that must not be lost.
pub(crate) struct SentEvent {
    /// As [`event_ids`] returns it.
    pub(crate) id: String,
    pub(crate) destination: Destination,
}

/// Where an event belongs.
pub(crate) enum Destination {
    /// It takes part in the order of the table.
    Table(Box<CustomerEvent>),
    /// It cannot be translated or stored.
    Quarantine,
}

/// The final state of a history, computed without the code under test: by sorting.
#[derive(Default)]
pub(crate) struct FinalState {
    /// Every item by `pk`, as [`comparable`] returns it.
    pub(crate) items: BTreeMap<String, Map<String, Value>>,
    /// The `pk` of customers whom a reconciliation deletes. Their tombstones depend on which item it found, so `items` has
    /// only their [`key_attributes`].
    pub(crate) deleted_by_reconciliation: BTreeSet<String>,
    /// The `pk` of deleted customers.
    pub(crate) deleted: BTreeSet<String>,
    /// The cleanup messages of the last delete of each customer. Those of earlier deletes may be sent, too.
    pub(crate) cleanup_messages: BTreeSet<String>,
    /// The ids of events in quarantine.
    pub(crate) quarantined: BTreeSet<String>,
}

impl History {
    /// A history of deliveries with these bodies.
    pub(crate) fn of(bodies: impl IntoIterator<Item = String>) -> Self {
        let deliveries: Vec<_> = bodies.into_iter().map(|body| SentDelivery::new(&body)).collect();
        let final_state = FinalState::of(&deliveries, &[], &BTreeSet::new());
        Self { deliveries, lists: vec![], deleted_there: BTreeSet::new(), final_state }
    }

    /// The same history with lists, each given by the customers on it with their versions, and with customers whom the
    /// provider has deleted.
    pub(crate) fn with_lists(self, lists: &[&[(&str, i64)]], deleted_there: &[&str]) -> Self {
        let observed = |(customer, version): &(&str, i64)| {
            EventSpec::new(&format!("o{version}"), customer, *version, Kind::Updated)
        };
        let lists: Vec<Vec<_>> = lists.iter().map(|list| list.iter().map(observed).collect()).collect();
        let deleted_there = deleted_there.iter().map(|customer| (*customer).to_owned()).collect();
        let final_state = FinalState::of(&self.deliveries, &lists, &deleted_there);
        Self { lists, deleted_there, final_state, ..self }
    }

    /// Each event in a delivery of its own, all sent at the same time.
    pub(crate) fn of_singles(events: &[EventSpec]) -> Self {
        Self::of(events.iter().map(|event| body(0, &[Some(event.clone())])))
    }

    /// One delivery of several events.
    pub(crate) fn of_batch(events: &[EventSpec]) -> Self {
        let events: Vec<_> = events.iter().cloned().map(Some).collect();
        Self::of([body(0, &events)])
    }

    /// The first event of a delivery.
    pub(crate) fn event(&self, delivery: usize) -> &CustomerEvent {
        let Destination::Table(event) = &self.deliveries[delivery].events[0].destination else { panic!("an event") };
        event
    }
}

impl SentDelivery {
    fn new(body: &str) -> Self {
        let verified = verified(body);
        let ids = event_ids(&KeptDelivery::new(&ACME, &verified, "", KeptPart::Whole).to_message());
        let translations = (ACME.translate)(&verified);
        assert_eq!(ids.len(), translations.len());
        let events = ids.into_iter().zip(translations).filter_map(|(id, translation)| {
            let destination = match translation {
                Ok(Translated::Event(event)) if fits(&event) => Destination::Table(event),
                Ok(Translated::Event(_)) | Err(_) => Destination::Quarantine,
                Ok(Translated::Ignored(_) | Translated::AlreadySettled) => return None,
            };
            Some(SentEvent { id: id?, destination })
        });
        let events = events.collect();
        Self { verified, events }
    }
}

fn fits(event: &CustomerEvent) -> bool {
    can_hold(&event.item(jiff::Timestamp::UNIX_EPOCH))
}

/// Whether the table can hold the item.
pub(crate) fn can_hold(item: &Item) -> bool {
    !matches!(item, Item::Customer(item) if item.name.as_deref() == Some(OVERSIZED))
}

impl FinalState {
    fn of(deliveries: &[SentDelivery], lists: &[Vec<EventSpec>], deleted_there: &BTreeSet<String>) -> Self {
        let mut final_state = Self::default();
        let mut customers = BTreeMap::<String, Vec<((bool, Rank), Item)>>::new();
        for delivery in deliveries {
            for SentEvent { id, destination } in &delivery.events {
                match destination {
                    Destination::Table(event) => {
                        let item = event.item(delivery.verified.received_at());
                        let is_delete = matches!(item, Item::Tombstone(_));
                        let events = customers.entry(event.key().to_string()).or_default();
                        events.push(((is_delete, event.rank()), item));
                    }
                    Destination::Quarantine => drop(final_state.quarantined.insert(id.clone())),
                }
            }
        }
        for event in lists.iter().flatten().map(observation) {
            let item = event.item(jiff::Timestamp::UNIX_EPOCH);
            customers.entry(event.key().to_string()).or_default().push(((false, event.rank()), item));
        }
        let deleted_there: BTreeSet<_> = deleted_there.iter().map(|customer| key(customer).to_string()).collect();
        for (pk, mut events) in customers {
            events.sort_by(|(a, _), (b, _)| a.cmp(b));
            let ((is_delete, _), item) = events.pop().unwrap();
            let Ok(Value::Object(item)) = serde_json::to_value(&item) else { panic!("an item is an object") };
            if deleted_there.contains(&pk) {
                final_state.deleted.insert(pk.clone());
                final_state.deleted_by_reconciliation.insert(pk.clone());
                let mut item = item;
                item.insert("status".to_owned(), "deleted".into());
                final_state.items.insert(pk, key_attributes(item));
                continue;
            }
            if is_delete {
                final_state.deleted.insert(pk.clone());
                final_state.cleanup_messages.insert(item["cleanup"].as_str().unwrap().to_owned());
            }
            final_state.items.insert(pk, comparable(item));
        }
        final_state
    }
}

/// The item without the fields that depend on when its event arrived, or that change without an event: the cleanup message
/// and the receipts of a tombstone.
pub(crate) fn comparable(mut item: Map<String, Value>) -> Map<String, Value> {
    item.remove("cleanup");
    item.remove("cleanup_due");
    item.remove("erasure_open");
    item.insert("receipts".to_owned(), Value::Null);
    item["last_event"].as_object_mut().unwrap().remove("received_at");
    item
}

/// The attributes that all tombstones of a customer share.
pub(crate) fn key_attributes(mut item: Map<String, Value>) -> Map<String, Value> {
    item.retain(|name, _| ["pk", "sk", "provider", "account", "customer_id", "status"].contains(&name.as_str()));
    item
}

/// For each place of a kept message, the id of its event. `None` where the event was already settled. The id of
/// a body that is not JSON is its hash.
pub(crate) fn event_ids(message: &str) -> Vec<Option<String>> {
    let kept = KeptDelivery::from_message(message).unwrap();
    let Some(body) = &kept.body else { return vec![Some(kept.fingerprint.unwrap().sha256)] };
    let body: Value = serde_json::from_str(body).unwrap();
    let id = |event: &Value| (!event.is_null()).then(|| event["id"].as_str().unwrap().to_owned());
    body["events"].as_array().unwrap().iter().map(id).collect()
}

/// Two customers. Some of their events have the same version, in one case the same verb too, so that only the id differs.
/// There is a delete that is not the newest event, and an update after it.
pub(crate) fn six_events() -> Vec<EventSpec> {
    vec![
        EventSpec::new("a1", "ada", 1, Kind::Created),
        EventSpec::new("a2", "ada", 1, Kind::Updated),
        EventSpec::new("a3", "ada", 2, Kind::Deleted),
        EventSpec::new("a4", "ada", 3, Kind::Updated),
        EventSpec::new("b1", "bob", 1, Kind::Updated),
        EventSpec::new("b2", "bob", 1, Kind::Updated),
    ]
}
