//! What an operator's delete writes and sends.

use std::time::Duration;

use clientele_flow::memory::InMemoryStorage;
use clientele_flow::{EraseResult, Flow, Queue, UnseenCustomers};
use clientele_model::{CleanupMessage, CustomerKey, ErasureSettings, Outcome};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value, json};

use crate::simulation::history::History;
use crate::simulation::provider::{ARRIVED_AT, EventSpec, Kind};
use crate::simulation::{assert_nothing_personal, simulate};

const REASON: &str = "request-7";

async fn erase(
    storage: &InMemoryStorage,
    hold: Duration,
    key: &CustomerKey,
    unseen: UnseenCustomers,
    now: Timestamp,
) -> EraseResult {
    let erasure = ErasureSettings { awaits_receipts: true, hold };
    let flow = Flow { table: storage.clone(), queues: storage.clone(), erasure };
    flow.erase_by_operator(key, REASON, unseen, now).await
}

/// What a tombstone has in every stack.
fn without_erasure_open(mut tombstone: Map<String, Value>) -> Map<String, Value> {
    tombstone.remove("erasure_open");
    tombstone
}

fn history() -> History {
    let events = [("u1", 1, Kind::Updated), ("u2", 2, Kind::Updated), ("d3", 3, Kind::Deleted)];
    History::of_singles(&events.map(|(id, version, kind)| EventSpec::new(id, "ada", version, kind)))
}

/// The message has the identifiers of the item, and neither a later update nor the provider's own delete changes anything.
#[test]
fn an_operators_delete_is_greater_than_every_event() {
    let history = history();
    simulate(&history, async |simulation| {
        let key = history.event(0).key().clone();
        assert_eq!(simulation.deliver(&simulation.atomic(), 0).await, [Outcome::Applied]);
        let now = ARRIVED_AT + SignedDuration::from_hours(1);
        let is = erase(&simulation.storage, Duration::ZERO, &key, UnseenCustomers::Skip, now).await;
        assert_eq!(is, EraseResult::Erased(None));
        let tombstone = simulation.storage.items()[&key.to_string()].clone();
        assert_eq!(tombstone["last_event"]["type"], "operator.erased");
        assert_eq!(tombstone["last_event"]["id"], REASON);
        assert_eq!(tombstone["erasure_open"], json!(now));
        assert!(!tombstone.contains_key("cleanup"));
        let messages = simulation.storage.messages(Queue::Cleanup);
        let [message] = &messages[..] else { panic!("one message") };
        let message: CleanupMessage = serde_json::from_str(&message.body).unwrap();
        assert_eq!(message.cleanup_id, key.to_string());
        assert_eq!(message.identifiers.emails.len(), 1);
        for delivery in [1, 2] {
            assert_eq!(simulation.deliver(&simulation.atomic(), delivery).await, [Outcome::Stale]);
        }
        let again = erase(&simulation.storage, Duration::ZERO, &key, UnseenCustomers::Erase, now).await;
        assert_eq!(again, EraseResult::AlreadyErased);
        assert_eq!(simulation.storage.items()[&key.to_string()], tombstone);
        assert_eq!(simulation.storage.messages(Queue::Cleanup).len(), 1);
        assert_nothing_personal(&without_erasure_open(tombstone));
    });
}

#[test]
fn a_customer_who_is_not_in_the_table_is_only_erased_on_request() {
    simulate(&history(), async |simulation| {
        let key = history().event(0).key().clone();
        let storage = &simulation.storage;
        let is = erase(storage, Duration::ZERO, &key, UnseenCustomers::Skip, ARRIVED_AT).await;
        assert_eq!(is, EraseResult::NotInTable);
        assert!(storage.items().is_empty() && storage.messages(Queue::Cleanup).is_empty());
        let is = erase(storage, Duration::ZERO, &key, UnseenCustomers::Erase, ARRIVED_AT).await;
        assert_eq!(is, EraseResult::Erased(None));
        assert_eq!(simulation.deliver(&simulation.atomic(), 1).await, [Outcome::Stale]);
        assert_eq!(storage.messages(Queue::Cleanup).len(), 1);
    });
}

/// With a hold, the tombstone is written at once and its message is not sent.
#[test]
fn an_operators_message_is_held_back_like_any_other() {
    let history = history();
    simulate(&history, async |simulation| {
        let key = history.event(0).key().clone();
        simulation.deliver(&simulation.atomic(), 0).await;
        let hold = Duration::from_hours(1);
        let is = erase(&simulation.storage, hold, &key, UnseenCustomers::Skip, ARRIVED_AT).await;
        assert_eq!(is, EraseResult::Erased(None));
        let tombstone = simulation.storage.items()[&key.to_string()].clone();
        assert_eq!(tombstone["status"], "deleted");
        assert_eq!(tombstone["cleanup_due"], json!(ARRIVED_AT + SignedDuration::from_hours(1)));
        assert!(tombstone["cleanup"].is_string());
        assert!(simulation.storage.messages(Queue::Cleanup).is_empty());
    });
}
