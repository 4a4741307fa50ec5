//! `clientele changes resend`: what consumers learn from it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use clientele::stack::{LocalStack, StackOptions};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::command::changes::{announced, announced_after, changes, deliver, objects};
use crate::support::deliveries::{CREATED, DELETED, UPDATED, change};
use crate::support::http::{http_client, send};
use crate::support::random_deliveries::{number, random_deliveries};
use crate::support::{all_items, options, stack};

/// What a consumer knows that follows docs/consume.md: of each customer what has the greatest rank.
fn consumed(events: &[Value]) -> BTreeMap<String, Value> {
    let mut known = BTreeMap::<String, Value>::new();
    for event in events {
        let (data, subject) = (&event["detail"]["data"], event["detail"]["subject"].as_str().unwrap());
        let rank = |data: &Value| data["rank"].as_str().unwrap().to_owned();
        assert_ne!(event["detail-type"], "customer.removed");
        if known.get(subject).is_none_or(|known| rank(known) < rank(data)) {
            known.insert(subject.to_owned(), state(data));
        }
    }
    known
}

/// What all events about a state of a customer have in common.
fn state(data: &Value) -> Value {
    let mut state = data.clone();
    state.as_object_mut().unwrap().remove("changed");
    state
}

/// The same from the table.
async fn expected(stack: &LocalStack) -> BTreeMap<String, Value> {
    let state = |item: Value| {
        let pk = item["pk"].as_str().unwrap().to_owned();
        let names = ["schema", "provider", "account", "customer_id", "status", "rank", "last_event", "external_id"];
        let mut data: serde_json::Map<_, _> = names
            .into_iter()
            .filter(|name| item.get(name).is_some())
            .map(|name| (name.to_owned(), item[name].clone()))
            .collect();
        if item["status"] != "deleted" {
            data.insert("customer".to_owned(), item);
        }
        (pk, Value::Object(data))
    };
    all_items(stack).await.into_iter().map(state).collect()
}

/// Every event from now on, as a consumer without gaps receives them.
fn record(stack: &LocalStack) -> Arc<Mutex<Vec<Value>>> {
    let (recorded, mut live) = (Arc::<Mutex<Vec<Value>>>::default(), stack.event_bus.subscribe());
    let events = recorded.clone();
    tokio::spawn(async move {
        // A gap would be an error, which ends the recording.
        while let Ok(event) = live.recv().await {
            events.lock().unwrap().push(serde_json::from_str(&event.json).unwrap());
        }
    });
    recorded
}

/// A consumer that starts with a resend, while webhooks arrive, ends with the same customers and tombstones as one that was
/// there from the beginning: those of the table. The order in which they receive the events does not matter.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_resend_starts_a_consumer_while_webhooks_arrive() {
    let mut options = StackOptions { cases: vec![], ..options() };
    options.overrides.entry("changes").or_default().insert("CHANGE_FEED".to_owned(), "full".to_owned());
    let stack = LocalStack::start(options).await.unwrap();
    stack.start_workers();
    let recorded = record(&stack);
    let deliveries = random_deliveries(u32::try_from(number("CLIENTELE_DELIVERIES", 1_000)).unwrap());
    let (before, meanwhile) = deliveries.split_at(deliveries.len() / 2);
    let http = http_client();
    for delivery in before {
        assert!(send(&http, &stack.url(), delivery).await.is_some_and(|status| status < 300));
    }
    stack.publish_changes_now().await.unwrap();
    tokio::time::sleep(Duration::from_millis(300)).await;
    let late_from = recorded.lock().unwrap().len();
    let customers_before = all_items(&stack).await.len();
    assert!(late_from > 100 && customers_before > 50, "{late_from} events of {customers_before} customers");

    // The resend takes longer than the webhooks. Most of them arrive after its first call, and so during it.
    let resend = ["resend", "--json", "--rate", "40"];
    let is_resent = |event: &Value| event["detail"]["id"].as_str().unwrap().starts_with("resend-");
    let deliver = async {
        for (place, delivery) in meanwhile.iter().enumerate() {
            while place == meanwhile.len() / 5 && !recorded.lock().unwrap().iter().any(is_resent) {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            assert!(send(&http, &stack.url(), delivery).await.is_some_and(|status| status < 300));
        }
    };
    let ((code, shown, errors), ()) = futures_util::future::join(changes(&stack, &resend), deliver).await;
    assert_eq!((code, errors.as_str()), (0, ""));
    stack.publish_changes_now().await.unwrap();
    let table = expected(&stack).await;
    let deleted = table.values().filter(|data| data["status"] == "deleted").count();
    assert!(deleted > 5 && table.len() - deleted > 50, "{deleted} of {}", table.len());

    let result = &objects(&shown)[0];
    let counts = &result["counts"];
    let sent = counts["snapshots"].as_u64().unwrap() + counts["deleted"].as_u64().unwrap();
    assert_eq!((&result["end"], &counts["read"], &result["not_sent"]), (&json!("complete"), &json!(sent), &json!([])));
    let mut all = vec![];
    for _ in 0..100 {
        all.clone_from(&recorded.lock().unwrap());
        if consumed(&all) == table {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let late = &all[late_from..];
    assert_eq!(late.iter().filter(|event| is_resent(event)).count(), usize::try_from(sent).unwrap());
    let first = late.iter().position(is_resent).unwrap();
    let last = late.iter().rposition(is_resent).unwrap();
    let between = late[first..last].iter().filter(|event| !is_resent(event)).count();
    assert!(between > 20, "only {between} changes were announced during the resend");

    assert_eq!(consumed(&all), table, "who was there from the beginning");
    assert_eq!(consumed(late), table, "who started with the resend");
    let reversed: Vec<_> = late.iter().rev().cloned().collect();
    assert_eq!(consumed(&reversed), table, "in another order");
    let interleaved: Vec<_> = (0..7).flat_map(|rest| late.iter().skip(rest).step_by(7)).cloned().collect();
    assert_eq!(consumed(&interleaved), table, "in a third order");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_resend_can_be_limited() {
    let stack = stack().await;
    deliver(&stack, "plain", vec![change("a", 1_000, 1, CREATED)]).await;
    deliver(&stack, "plain", vec![change("b", 2_000, 2, DELETED)]).await;
    deliver(&stack, "metrifox", vec![change("c", 3_000, 3, UPDATED)]).await;
    let day = Timestamp::now().strftime("%Y-%m-%d").to_string();
    tokio::time::sleep(Duration::from_millis(5)).await;
    let now = Timestamp::now().to_string();
    let cases = [
        (&[][..], vec!["metrifox c customer.snapshot", "plain a customer.snapshot", "plain b customer.deleted"]),
        (&["--provider", "metrifox"], vec!["metrifox c customer.snapshot"]),
        (&["--provider", "smarterpay"], vec![]),
        (&["--since", &day, "--provider", "plain"], vec!["plain a customer.snapshot", "plain b customer.deleted"]),
        (&["--since", &now], vec![]),
    ];
    for (arguments, expected) in cases {
        let before = announced(&stack).len();
        let (code, shown, errors) = changes(&stack, &[&["resend"], arguments].concat()).await;
        assert_eq!((code, errors.as_str()), (0, ""), "{arguments:?}");
        assert!(shown.contains("read") && shown.contains("sent as customer.deleted"), "{shown}");
        let mut events = announced_after(&stack, before);
        events.sort_by(|one, other| one[1].cmp(&other[1]));
        for [_, subject, id] in &events {
            assert!(id.starts_with("resend-") && id.ends_with(&format!("/{subject}")), "{id}");
        }
        let events: Vec<_> = events
            .into_iter()
            .map(|[kind, subject, _]| {
                let parts: Vec<_> = subject.split('#').collect();
                format!("{} {} {kind}", parts[0], parts[2])
            })
            .collect();
        assert_eq!(events, expected, "{arguments:?}");
    }
}

/// An item that this version cannot read is reported, and the others are sent.
#[tokio::test(flavor = "multi_thread")]
async fn an_unreadable_item_is_reported() {
    let stack = stack().await;
    deliver(&stack, "plain", vec![change("a", 1_000, 1, CREATED)]).await;
    put_unreadable(&stack, "plain#w_1#z\u{1b}").await;
    let (code, shown, errors) = changes(&stack, &["resend"]).await;
    assert!(code == 3 && shown.contains("not sent: this version cannot read the item"), "{shown}");
    let why = r"Not sent: plain#w_1#z\u{1b}: an item has attributes that this version does not know";
    assert_eq!(errors, format!("{why}\nerror: 1 customer could not be sent; all others were\n"));
    let (code, shown, _) = changes(&stack, &["resend", "--json"]).await;
    let result = &objects(&shown)[0];
    assert_eq!((code, &result["not_sent"][0]["pk"]), (3, &json!("plain#w_1#z\u{1b}")));
    assert_eq!((&result["counts"]["unreadable"], &result["counts"]["snapshots"]), (&json!(1), &json!(1)));
}

/// Puts an item into the table that this version cannot read.
pub(super) async fn put_unreadable(stack: &LocalStack, pk: &str) {
    let text = |text: &str| aws_sdk_dynamodb::types::AttributeValue::S(text.to_owned());
    let request = stack.clients.dynamodb.put_item().table_name("customers").item("pk", text(pk));
    request.item("sk", text("customer")).item("later_version", text("x")).send().await.unwrap();
}
