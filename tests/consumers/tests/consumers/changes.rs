use serde_json::{Value, json};

use crate::consumer_process::{Consumer, Language, change};

fn named(name: &str) -> Option<Value> {
    Some(json!({ "name": name, "email": "ada@example.com", "external_id": null, "status": "active" }))
}

fn known(rank: &str, name: &str) -> Value {
    json!({ "rank": rank, "customer": { "name": name, "email": "ada@example.com", "external_id": null } })
}

/// Every order of the changes of a customer, with repetitions, leads to the same state.
pub(crate) async fn the_greatest_rank_wins(language: Language) {
    let consumer = Consumer::start(language).await;
    let changed = |pk: &str, rank: &str| change("customer.updated", pk, rank, named(rank));
    let deleted = |pk: &str, rank: &str| change("customer.deleted", pk, rank, None);
    let (mut expected, mut number) = (json!({}), 0);
    for (first, greatest, middle) in [
        // The id of an event, at the end of its rank, may be any text. UTF-16 has another order than UTF-8.
        ("0.1.evt_a", "0.1.evt_b", "0.1.evt_aa"),
        ("0.1.\u{fffd}", "0.1.\u{1f600}", "0.1.\u{fffd}z"),
        ("0.1.evt_9", "1.0.evt_1", "0.2.evt_8"),
    ] {
        for order in [[first, greatest, middle], [greatest, middle, first], [middle, first, greatest]] {
            let pk = format!("plain#w_1#{number}");
            number += 1;
            for rank in [order, order].concat() {
                let is_delete = rank.starts_with('1');
                consumer.send_change(&if is_delete { deleted(&pk, rank) } else { changed(&pk, rank) }).await;
            }
            let deleted = json!({ "rank": greatest, "customer": null });
            expected[pk] = if greatest.starts_with('1') { deleted } else { known(greatest, greatest) };
        }
    }
    consumer.consume_changes();
    assert_eq!(consumer.knowledge()["customers"], expected);
}

pub(crate) async fn removed_customers_are_forgotten(language: Language) {
    let consumer = Consumer::start(language).await;
    consumer.receive_webhooks(&["plain/customer-created"]);
    let item = consumer.items().await.pop().unwrap();
    let returned = item["pk"].as_str().unwrap();
    for (pk, rank, customer) in
        [("newer", "0.3", named("Ada")), ("same", "0.2", named("Ada")), ("older", "0.1", named("Ada"))]
    {
        consumer.send_change(&change("customer.updated", pk, rank, customer)).await;
    }
    consumer.send_change(&change("customer.deleted", returned, "1.1", None)).await;
    consumer.consume_changes();
    for pk in ["newer", "same", "older", "unknown"] {
        consumer.send_change(&change("customer.removed", pk, "0.2", None)).await;
    }
    // The tombstone was removed, and the customer came back with a smaller rank.
    consumer.send_change(&change("customer.removed", returned, "1.1", None)).await;
    consumer.consume_changes();
    let mut expected = consumer.everything().await;
    expected["newer"] = known("0.3", "Ada");
    assert_eq!(consumer.knowledge()["customers"], expected);
}

pub(crate) async fn items_are_read_if_the_event_has_none(language: Language) {
    let consumer = Consumer::start(language).await;
    consumer.receive_webhooks(&["plain/customer-created", "metrifox/to-be-deleted", "metrifox/customer-deleted"]);
    consumer.receive_webhooks(&["smarterpay/customer-created", "flexprice/customer-created"]);
    for (provider, kind, is_omitted) in [
        ("plain", "customer.updated", false),
        ("metrifox", "customer.created", false),
        ("smarterpay", "customer.updated", true),
        ("flexprice", "customer.of_a_later_version", false),
    ] {
        let items = consumer.items().await;
        let item = items.iter().find(|item| item["provider"] == provider).unwrap();
        // The item is newer than the event.
        let mut event = change(kind, item["pk"].as_str().unwrap(), "0.1", None);
        if is_omitted {
            event["data"]["customer_omitted"] = json!("too_large");
        }
        consumer.send_change(&event).await;
    }
    consumer.send_change(&change("customer.updated", "gone", "0.1", None)).await;
    consumer.consume_changes();
    assert_eq!(consumer.knowledge()["customers"], consumer.everything().await);
}

pub(crate) async fn failed_messages_stay_on_the_queue(language: Language) {
    let consumer = Consumer::start(language).await;
    let url = consumer.changes_queue_url();
    for body in ["no JSON", "{}", r#"{"detail":{"type":"customer.deleted","subject":"plain#w_1#c_1","data":{}}}"#] {
        consumer.send(url, body).await;
        consumer.send_change(&change("customer.updated", body, "0.1", named("Ada"))).await;
    }
    consumer.consume_changes();
    assert_eq!(consumer.knowledge()["customers"].as_object().unwrap().len(), 3);
    assert_eq!(consumer.messages(url).await, 3);
}
