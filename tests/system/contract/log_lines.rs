//! The line of an event: Powertools' keys, and metrics in the embedded metric format.

use clientele::events::signed_at;
use clientele::stack::Captured;
use clientele_aws::{Config, Receiver};
use jiff::SignedDuration;
use serde_json::{Value, json};

use crate::support::proxy::EmulatorProxy;
use crate::support::{case, handle, json_lines, metrics, scheme, stack};

/// A receiver whose function has this log level, and its lines.
async fn receiver(provider: &str, level: &str) -> (clientele::stack::Stack, Receiver, Captured) {
    let (stack, written) = (stack().await, Captured::default());
    let mut environment = stack.environments[provider].clone();
    environment.insert("POWERTOOLS_LOG_LEVEL".into(), level.into());
    let known = clientele::providers::known(provider).unwrap();
    let config = Config::read(known.provider, |name| environment.get(name).cloned()).unwrap();
    let receiver = Receiver::start(known.provider, config, &stack.clients, written.lines(), signed_at());
    let receiver = receiver.await.unwrap();
    (stack, receiver, written)
}

#[tokio::test]
async fn a_line_says_what_happened() {
    let (_stack, receiver, written) = receiver("plain", "INFO").await;
    let case = case("plain/customer-created");
    handle(&receiver, &case.event, signed_at()).await;
    let lines = json_lines(&written);
    let [line] = &lines[..] else { panic!("one line: {lines:?}") };
    let expected = json!({
        "timestamp": "2026-11-20T12:00:00.000Z",
        "level": "INFO",
        "message": "event",
        "service": "clientele-plain",
        "cold_start": "true",
        "function_request_id": "test",
        "correlation_id": case.event["requestContext"]["requestId"],
        "xray_trace_id": "1-5bef4de7-ad49b0e87f6ef6c87fc2e700",
        "provider": "plain",
        "outcome": "applied",
        "secret": "1",
        "event_id": "pEv_01KA9DHJKMSTQ8NPK4HJF0DEB7",
        "event_type": "customer.customer_created",
    });
    for (name, value) in expected.as_object().unwrap() {
        assert_eq!(&line[name], value, "{name}");
    }
    assert!(expected["correlation_id"].as_str().is_some_and(|id| !id.is_empty()));
    assert_eq!(line["customer"].as_str().unwrap().len(), 16);
    let number = |name: &str| line[name].as_str().unwrap().parse::<f64>().unwrap();
    assert!(number("duration_ms") > 0.0);
    assert!(number("write_units") >= 1.0);
    assert_eq!(line["_aws"]["Timestamp"], signed_at().as_millisecond());
    let mut metrics = metrics(line);
    // The event was raised before it was signed.
    let raised: jiff::Timestamp =
        serde_json::from_str::<Value>(&case.body().unwrap()).unwrap()["timestamp"].as_str().unwrap().parse().unwrap();
    let age = signed_at().duration_since(raised).as_millis();
    assert_eq!(metrics.remove("Age clientele-plain plain"), u64::try_from(age).ok());
    assert!(age > 0);
    let once = [
        "ColdStart clientele-plain plain",
        "Events clientele-plain plain",
        "Events clientele-plain plain applied",
        "Verified clientele-plain plain",
        "Verified clientele-plain plain 1",
    ];
    assert_eq!(metrics, once.map(|name| (name.to_owned(), 1)).into());
}

/// A start is cold once; what a refusal says is why, and nothing of what was sent.
#[tokio::test]
async fn a_refusal_is_a_line_of_its_own() {
    let (_stack, receiver, written) = receiver("plain", "INFO").await;
    let case = case("plain/customer-created");
    handle(&receiver, &case.event, signed_at()).await;
    handle(&receiver, &case.event, signed_at() + SignedDuration::from_secs(301)).await;
    let lines = json_lines(&written);
    let line = &lines[1];
    for (name, value) in [("level", "WARNING"), ("outcome", "rejected"), ("reason", "too_old"), ("cold_start", "false")]
    {
        assert_eq!(line[name], value);
    }
    for absent in ["event_id", "event_type", "customer", "secret", "Age"] {
        assert_eq!(line[absent], Value::Null, "{absent}");
    }
    let once = ["Events clientele-plain plain", "Events clientele-plain plain rejected"];
    assert_eq!(metrics(line), once.map(|name| (name.to_owned(), 1)).into());
}

/// A line for each event of a batch; the delivery itself is counted once. A delivery without events has a line, too.
#[tokio::test]
async fn a_batch_is_counted_once_as_a_delivery() {
    let (_stack, receiver, written) = receiver("smarterpay", "INFO").await;
    let case = case("smarterpay/batch-of-many-kinds");
    let fresh = case.fresh(&scheme(&case), case.known.local_secret, signed_at()).unwrap();
    handle(&receiver, &fresh.event, signed_at()).await;
    let lines = json_lines(&written);
    let total =
        |lines: &[Value], name: &str| lines.iter().filter_map(|line| metrics(line).get(name).copied()).sum::<u64>();
    let outcomes = case.expected.answer.unwrap()["outcomes"].clone();
    let events: u64 = outcomes.as_object().unwrap().values().map(|count| count.as_u64().unwrap()).sum();
    assert!(events > 2);
    assert_eq!(total(&lines, "Events clientele-smarterpay smarterpay"), events);
    assert_eq!(total(&lines, "Verified clientele-smarterpay smarterpay"), 1);
    assert_eq!(total(&lines, "Verified clientele-smarterpay smarterpay 1"), 1);
    assert_eq!(total(&lines, "ColdStart clientele-smarterpay smarterpay"), 1);

    let mut empty = case.event.clone();
    empty["body"] = r#"{"events":[]}"#.into();
    let empty = clientele::events::Case { event: empty, ..crate::support::case("smarterpay/batch-of-many-kinds") };
    let fresh = empty.fresh(&scheme(&empty), empty.known.local_secret, signed_at()).unwrap();
    assert_eq!(handle(&receiver, &fresh.event, signed_at()).await.status_code, 204);
    let lines = json_lines(&written);
    let [line] = &lines[..] else { panic!("one line: {lines:?}") };
    assert_eq!(line["message"], "nothing in the delivery");
    assert_eq!(
        metrics(line).keys().map(String::as_str).collect::<Vec<_>>(),
        ["Verified clientele-smarterpay smarterpay", "Verified clientele-smarterpay smarterpay 1",]
    );
}

/// Below the level a line has its metrics still, and nothing else.
#[tokio::test]
async fn the_level_decides_what_is_described() {
    for (level, described) in [("INFO", 3), ("WARNING", 2), ("ERROR", 1), ("CRITICAL", 1)] {
        let (stack, _, _) = receiver("metrifox", level).await;
        let written = Captured::default();
        let mut stack = stack;
        let environment = stack.environments.get_mut("metrifox").unwrap();
        environment.insert("POWERTOOLS_LOG_LEVEL".into(), level.into());
        let (proxy, receivers) = EmulatorProxy::before_writing(&stack, &written).await;
        let case = case("metrifox/customer-created");
        handle(&receivers["metrifox"], &case.event, signed_at()).await;
        let mut forged = case.event.clone();
        forged["pathParameters"]["token"] = "guess".into();
        handle(&receivers["metrifox"], &forged, signed_at()).await;
        proxy.fail_all(&["PutItem", "SendMessage"]);
        handle(&receivers["metrifox"], &case.event, signed_at()).await;
        let lines = json_lines(&written);
        assert_eq!(lines.len(), 3);
        assert!(lines.iter().all(|line| line["Events"] == 1), "{level}");
        assert_eq!(lines.iter().filter(|line| line["level"].is_string()).count(), described, "{level}");
        assert!(lines[2]["reason"].is_string());
    }
}
