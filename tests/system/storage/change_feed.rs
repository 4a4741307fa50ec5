//! From a write to the table over its stream to the event bus, on the local stack.

use std::time::Duration;

use clientele::stack::LocalStack;
use clientele::stack::faults::{Fault, FaultMode, Service};
use clientele_model::SampleEvent;
use jiff::Timestamp;
use rstest::rstest;
use serde_json::{Value, json};

use crate::support::cli::RunningStack;
use crate::support::deliveries::{CREATED, DELETED, UPDATED, change, deliver, pk};
use crate::support::http::{headers, post};
use crate::support::{case, drain, item, options, stack, stack_with_template};

/// The events on the bus, oldest first.
fn events(stack: &LocalStack) -> Vec<Value> {
    stack.event_bus.recent().iter().map(|event| serde_json::from_str(&event.json).unwrap()).collect()
}

/// Type and customer of each event.
fn shown(events: &[Value]) -> Vec<(&str, &str)> {
    let text = |event: &Value, name: &str| event["detail"][name].as_str().unwrap().to_owned();
    let shown = events.iter().map(|event| {
        assert_eq!(event["detail-type"], event["detail"]["type"]);
        assert_eq!(
            (&event["source"], text(event, "source").as_str()),
            (&json!("/clientele/clientele"), "/clientele/clientele")
        );
        (event["detail"]["type"].as_str().unwrap(), event["detail"]["subject"].as_str().unwrap())
    });
    shown.collect()
}

async fn send(stack: &LocalStack, event: &Value) -> u16 {
    post(stack, event["rawPath"].as_str().unwrap(), &headers(event), event["body"].as_str().unwrap()).await.0
}

async fn send_change(stack: &LocalStack, change: SampleEvent) {
    assert_eq!(send(stack, &deliver("plain", &[change], Timestamp::now())).await, 200);
}

fn error(mode: FaultMode, rate: f64) -> Fault {
    Fault { mode, rate, for_seconds: 600.0 }
}

/// A stack whose changes contain the customer.
async fn full_stack() -> LocalStack {
    let mut options = options();
    options.set_of("changes", "CHANGE_FEED", "full".to_owned());
    LocalStack::start(options).await.unwrap()
}

/// What becomes of each delivery. A duplicate and a stale event write nothing, and clearing the mark of a sent cleanup
/// message changes no customer.
#[tokio::test]
async fn every_delivery_that_changes_a_customer_is_announced_once() {
    let stack = stack().await;
    let (ada, bob) = (pk("plain", "ada"), pk("plain", "bob"));
    let (ada, bob) = (ada.as_str(), bob.as_str());
    let steps = [
        (change("ada", 1, 1, CREATED), &[("customer.created", ada)][..], 1),
        (change("ada", 3, 2, UPDATED), &[("customer.updated", ada)], 1),
        (change("ada", 3, 2, UPDATED), &[], 0),
        (change("ada", 2, 3, UPDATED), &[], 0),
        (change("bob", 1, 4, UPDATED), &[("customer.created", bob)], 1),
        (change("ada", 4, 5, DELETED), &[("customer.deleted", ada)], 2),
        (change("ada", 5, 6, UPDATED), &[], 0),
    ];
    let mut announced = 0;
    for (change, expected, records) in steps {
        let number = change.number;
        send_change(&stack, change).await;
        assert_eq!(stack.publish_changes_now().await.unwrap(), records, "{number}");
        let events = events(&stack);
        assert_eq!(shown(&events[announced..]), expected, "{number}");
        announced = events.len();
    }
    let events = events(&stack);
    let data = |number: usize| &events[number]["detail"]["data"];
    assert_eq!(data(1)["changed"], json!(["name", "profile.display_name", "profile.emails"]));
    assert_eq!(item(&stack, bob).await.unwrap()["rank"], data(2)["rank"]);
    let names: Vec<_> = data(3).as_object().unwrap().keys().collect();
    assert_eq!(names, ["account", "customer_id", "last_event", "provider", "rank", "schema", "status"], "keys only");
    assert_eq!(data(3)["status"], "deleted");
    let mut ids: Vec<_> = events.iter().map(|event| event["detail"]["id"].as_str().unwrap()).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), events.len());
}

/// The changes of an outage are announced after it, in their order. None is lost, and none is announced twice.
#[rstest]
#[case(FaultMode::Throttle)]
#[case(FaultMode::Timeout)]
#[case(FaultMode::Error)]
#[case(FaultMode::Reset)]
#[tokio::test]
async fn an_outage_of_the_bus_delays_and_loses_nothing(#[case] mode: FaultMode) {
    let stack = stack().await;
    send_change(&stack, change("c", 1, 1, CREATED)).await;
    assert_eq!(stack.publish_changes_now().await.unwrap(), 1);
    stack.faults.set(Service::Eventbridge, error(mode, 1.0)).unwrap();
    for number in 2..=4 {
        send_change(&stack, change("c", i64::from(number), number, UPDATED)).await;
    }
    assert_eq!(stack.publish_changes_now().await.unwrap(), 0);
    assert_eq!(events(&stack).len(), 1);
    stack.faults.clear();
    assert_eq!(stack.publish_changes_now().await.unwrap(), 3);
    let ranks: Vec<_> = events(&stack).iter().map(|event| event["detail"]["data"]["rank"].to_string()).collect();
    assert!(ranks.len() == 4 && ranks.is_sorted_by(|one, other| one < other), "{ranks:?}");
}

/// More changes than a call and a batch take, while half of the calls fail.
#[tokio::test]
async fn a_shaky_bus_gets_every_change() {
    let stack = stack().await;
    for number in 0..130 {
        send_change(&stack, change(&format!("c{number}"), 1, number, CREATED)).await;
    }
    stack.faults.set(Service::Eventbridge, error(FaultMode::Error, 0.9)).unwrap();
    let (mut settled, mut tries) = (0, 0);
    while settled < 130 {
        settled += stack.publish_changes_now().await.unwrap();
        tries += 1;
    }
    let events = events(&stack);
    let expected: Vec<_> = (0..130).map(|number| pk("plain", &format!("c{number}"))).collect();
    assert_eq!(shown(&events).iter().map(|(_, pk)| *pk).collect::<Vec<_>>(), expected, "{tries} tries");
    assert_eq!(stack.publish_changes_now().await.unwrap(), 0);
}

/// EventBridge takes integers of 64 bits only. Such a change is named on the queue, and the next ones are announced.
#[tokio::test]
async fn a_change_that_the_bus_refuses_is_kept_for_an_operator() {
    let stack = full_stack().await;
    let mut event = case("plain/customer-created").event.clone();
    let mut body: Value = serde_json::from_str(event["body"].as_str().unwrap()).unwrap();
    body["payload"]["customer"]["big"] = serde_json::from_str("123456789012345678901234567890").unwrap();
    event["body"] = body.to_string().into();
    let answer = sign_and_send(&stack, &event).await;
    assert_eq!(answer["status"], 200, "{answer}");
    send_change(&stack, change("next", 1, 1, CREATED)).await;
    assert_eq!(stack.publish_changes_now().await.unwrap(), 2);
    assert_eq!(shown(&events(&stack)), [("customer.created", pk("plain", "next").as_str())]);
    let [kept] = &drain(&stack, "refused-changes").await[..] else { panic!("one message") };
    let pk = case("plain/customer-created").expected.items.keys().next().unwrap();
    let rank = item(&stack, pk).await.unwrap()["rank"].clone();
    assert!(kept["id"].is_string());
    let expected = json!({ "schema": 1, "id": kept["id"], "pk": pk, "rank": rank, "reason": "MalformedDetail" });
    assert_eq!(kept, &expected);
}

/// Has the stack sign and send an event.
async fn sign_and_send(stack: &LocalStack, event: &Value) -> Value {
    let (url, body) = (format!("http://{}/send", stack.admin), json!({ "event": event }).to_string());
    let send = move || ureq::post(url).send(body).unwrap().body_mut().read_to_string().unwrap();
    serde_json::from_str(&tokio::task::spawn_blocking(send).await.unwrap()).unwrap()
}

/// With `full`, an event contains the item, whatever its fields are called and whatever they contain.
#[tokio::test]
async fn a_full_change_contains_the_item() {
    let stack = full_stack().await;
    let mut event = case("plain/customer-created").event.clone();
    let mut body: Value = serde_json::from_str(event["body"].as_str().unwrap()).unwrap();
    let customer = &mut body["payload"]["customer"];
    customer["fullName"] = "\u{1b}[2J\u{202e}<img src=x>\u{fffe}".into();
    customer["odd"] = json!({ "$serde_json::private::Number": "1", "$": ["$$", 0.10] });
    customer["precise"] = serde_json::from_str("1234567890123456.78").unwrap();
    event["body"] = body.to_string().into();
    assert_eq!(sign_and_send(&stack, &event).await["status"], 200);
    stack.publish_changes_now().await.unwrap();
    let pk = case("plain/customer-created").expected.items.keys().next().unwrap();
    let stored = item(&stack, pk).await.unwrap();
    let json = stack.event_bus.recent()[0].json.clone();
    let event = clientele_model::parse_json(json.as_bytes()).unwrap();
    let mut customer = event["detail"]["data"]["customer"].clone();
    // The sort key is no part of the contract.
    customer["sk"] = stored["sk"].clone();
    assert_eq!(customer, stored);
    assert!(stored["extra"]["odd"]["$serde_json::private::Number"].is_string(), "{stored}");
    assert!(!json.contains('\u{1b}') && !json.contains('\u{fffe}'));
}

/// What is too old is given up with the message that Lambda sends.
#[tokio::test]
async fn a_change_that_is_too_old_is_given_up() {
    let stack = stack_with_template(&[("MaximumRecordAgeInSeconds: 43200", "MaximumRecordAgeInSeconds: 0")]).await;
    for number in 1..=2 {
        send_change(&stack, change("c", i64::from(number), number, UPDATED)).await;
    }
    assert_eq!(stack.publish_changes_now().await.unwrap(), 2);
    assert_eq!(events(&stack), [] as [Value; 0]);
    let [position] = &drain(&stack, "discarded-changes").await[..] else { panic!("one message") };
    assert_eq!(position["requestContext"]["condition"], "RecordAgeExceeded");
    let batch = &position["DDBStreamBatchInfo"];
    assert_eq!(batch["batchSize"], 2);
    let numbers = ["startSequenceNumber", "endSequenceNumber"].map(|name| batch[name].as_str().unwrap());
    assert!(numbers[0] < numbers[1], "{batch}");
    assert!(batch["streamArn"].as_str().unwrap().contains("table/customers/stream/"), "{batch}");
}

#[tokio::test]
async fn a_template_without_a_feed_announces_nothing() {
    let stack = stack_with_template(&[("Default: keys", "Default: \"off\"")]).await;
    send_change(&stack, change("c", 1, 1, CREATED)).await;
    assert_eq!(stack.publish_changes_now().await.unwrap_err().to_string(), "the stack has no change feed");
}

/// In the background, and over a restart: what was announced is not announced again, and what was not is announced then.
#[test]
fn a_restart_announces_what_is_left() {
    let folder = tempfile::tempdir().unwrap();
    let start = || {
        let data = folder.path().join("data");
        RunningStack::with_admin_url(&["--empty", "--data-dir", data.to_str().unwrap()])
    };
    let request = |admin: &str, path: &str, body: &Value| {
        let answer = ureq::post(format!("{admin}{path}")).send(body.to_string());
        answer.unwrap().body_mut().read_to_string().unwrap()
    };
    let send = |admin: &str, case: &str| request(admin, "/send", &json!({ "case": case }));
    // The events of this run, once there are so many.
    let changes = |admin: &str, count: usize| {
        for _ in 0..100 {
            let listed = ureq::get(format!("{admin}/changes")).call().unwrap().body_mut().read_to_string().unwrap();
            let listed: Value = serde_json::from_str(&listed).unwrap();
            if listed.as_array().unwrap().len() >= count {
                return listed;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        panic!("there are no {count} changes");
    };
    let types = |listed: &Value| {
        listed
            .as_array()
            .unwrap()
            .iter()
            .map(|event| event["detail-type"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    let (running, admin) = start();
    send(&admin, "plain/customer-created");
    assert_eq!(types(&changes(&admin, 1)), ["customer.created"]);
    let fault = json!({ "service": "eventbridge", "mode": "error", "rate": 1.0, "for_seconds": 600.0 });
    request(&admin, "/faults", &fault);
    send(&admin, "plain/customer-updated");
    std::thread::sleep(Duration::from_millis(600));
    drop(running);

    let (running, admin) = start();
    assert_eq!(types(&changes(&admin, 1)), ["customer.updated"]);
    send(&admin, "metrifox/customer-created");
    assert_eq!(types(&changes(&admin, 2)), ["customer.updated", "customer.created"]);
    drop(running);

    let (_running, admin) = start();
    send(&admin, "smarterpay/customer-created");
    let listed = changes(&admin, 1);
    assert_eq!(listed[0]["detail"]["data"]["provider"], "smarterpay", "{listed}");
}
