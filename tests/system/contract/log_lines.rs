//! The log line of an event: the keys of Powertools, and metrics in the embedded metric format.

use clientele::events::signed_at;
use clientele::stack::{CapturedLog, LocalStack};
use clientele_aws::Receiver;
use clientele_model::{KeptDelivery, KeptPart};
use clientele_providers::local_secret;
use jiff::SignedDuration;
use serde_json::{Value, json};

use crate::support::aws::AwsStandIn;
use crate::support::translation::verified;
use crate::support::{
    case, handle, invocation, json_lines, metrics, replayer, scheme, sqs_event, stack, start_receiver, sweeper,
};

/// The function of a provider at log level INFO, and its log.
async fn receiver(provider: &str) -> (LocalStack, Receiver, CapturedLog) {
    let (mut stack, log) = (stack().await, CapturedLog::default());
    set_level(&mut stack, provider, "INFO");
    let provider = clientele_providers::find(provider).unwrap();
    let receiver = start_receiver(provider, &stack.environments[provider.name], &stack.clients, &log).await;
    (stack, receiver, log)
}

fn set_level(stack: &mut LocalStack, provider: &str, level: &str) {
    stack.environments.get_mut(provider).unwrap().insert("POWERTOOLS_LOG_LEVEL".to_owned(), level.to_owned());
}

#[tokio::test]
async fn a_log_line_describes_the_event() {
    let (_stack, receiver, log) = receiver("plain").await;
    let case = case("plain/customer-created");
    handle(&receiver, &case.event, signed_at()).await;
    let lines = json_lines(&log);
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
    // The provider created the event before it signed the delivery.
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

/// The line of a refusal has the reason and nothing that was sent. Only the first line of a function is a cold start.
#[tokio::test]
async fn a_refusal_is_logged_without_the_delivery() {
    let (_stack, receiver, log) = receiver("plain").await;
    let case = case("plain/customer-created");
    handle(&receiver, &case.event, signed_at()).await;
    handle(&receiver, &case.event, signed_at() + SignedDuration::from_secs(301)).await;
    let lines = json_lines(&log);
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

/// Each event of a batch has a line; the delivery is counted once. A delivery without events has a line too.
#[tokio::test]
async fn a_batch_is_counted_once_as_a_delivery() {
    let (_stack, receiver, log) = receiver("smarterpay").await;
    let case = case("smarterpay/batch-of-many-kinds");
    let signed = case.sign(&scheme(case), &local_secret(case.provider), signed_at()).unwrap();
    handle(&receiver, &signed, signed_at()).await;
    let lines = json_lines(&log);
    let total =
        |lines: &[Value], name: &str| lines.iter().filter_map(|line| metrics(line).get(name).copied()).sum::<u64>();
    let outcomes = &case.expected.answer.as_ref().unwrap()["outcomes"];
    let events: u64 = outcomes.as_object().unwrap().values().map(|count| count.as_u64().unwrap()).sum();
    assert!(events > 2);
    assert_eq!(total(&lines, "Events clientele-smarterpay smarterpay"), events);
    assert_eq!(total(&lines, "Verified clientele-smarterpay smarterpay"), 1);
    assert_eq!(total(&lines, "Verified clientele-smarterpay smarterpay 1"), 1);
    assert_eq!(total(&lines, "ColdStart clientele-smarterpay smarterpay"), 1);

    let mut empty = case.event.clone();
    empty["body"] = r#"{"idempotency_key":"k","events":[]}"#.into();
    let empty = clientele::events::Case { event: empty, ..case.clone() };
    let signed = empty.sign(&scheme(&empty), &local_secret(empty.provider), signed_at()).unwrap();
    assert_eq!(handle(&receiver, &signed, signed_at()).await.status_code, 204);
    let lines = json_lines(&log);
    let [line] = &lines[..] else { panic!("one line: {lines:?}") };
    assert_eq!(line["message"], "nothing in the delivery");
    assert_eq!(
        metrics(line).keys().map(String::as_str).collect::<Vec<_>>(),
        ["Verified clientele-smarterpay smarterpay", "Verified clientele-smarterpay smarterpay 1",]
    );
}

/// Each directive of a line: its dimensions and its metrics.
fn directives(line: &Value) -> Vec<String> {
    let joined = |names: &mut dyn Iterator<Item = &Value>| {
        names.map(|name| name.as_str().unwrap()).collect::<Vec<_>>().join(" ")
    };
    let directive = |directive: &Value| {
        let metrics = directive["Metrics"].as_array().unwrap();
        let dimensions = joined(&mut directive["Dimensions"][0].as_array().unwrap().iter());
        format!("{dimensions}: {}", joined(&mut metrics.iter().map(|metric| &metric["Name"])))
    };
    line["_aws"]["CloudWatchMetrics"].as_array().unwrap().iter().map(directive).collect()
}

/// A directive names only what the line contains: a refusal has no secret, the second event of a batch does not count
/// its delivery again, and a delivery without events has no outcome.
#[tokio::test]
async fn a_line_has_only_its_own_directives() {
    let (stack, receiver, log) = receiver("smarterpay").await;
    let case = case("smarterpay/batch-of-many-kinds");
    let mut empty = case.clone();
    empty.event["body"] = r#"{"idempotency_key":"k","events":[]}"#.into();
    let signed =
        |case: &clientele::events::Case| case.sign(&scheme(case), &local_secret(case.provider), signed_at()).unwrap();
    for event in [signed(case), empty.event.clone(), signed(&empty)] {
        handle(&receiver, &event, signed_at()).await;
    }
    let lines = json_lines(&log);
    let [first, second, _, written, refused, without_events] = &lines[..] else { panic!("six lines: {lines:?}") };
    let replay_log = CapturedLog::default();
    let kept = KeptDelivery::new(
        case.provider,
        &verified(br#"{"idempotency_key":"k","events":[]}"#, signed_at()),
        "",
        KeptPart::Whole,
    );
    let replay = replayer(&stack.environments, &stack.clients, &replay_log);
    replay.handle(sqs_event([kept.to_message(), "{}".to_owned()]), &invocation(signed_at())).await;
    let replayed = json_lines(&replay_log);
    let [replayed_without_events, unreadable] = &replayed[..] else { panic!("two lines: {replayed:?}") };
    let sweep_log = CapturedLog::default();
    sweeper(&stack.environments, &stack.clients, &sweep_log).handle(&invocation(signed_at())).await;
    let swept = &json_lines(&sweep_log)[0];

    let by_outcome = "service provider outcome: Events";
    let by_secret = "service provider secret: Verified";
    let expected = [
        (first, vec!["service provider: Events Verified ColdStart", by_outcome, by_secret]),
        (second, vec!["service provider: Events", by_outcome]),
        (written, vec!["service provider: Events Age", by_outcome]),
        (refused, vec!["service provider: Events", by_outcome]),
        (without_events, vec!["service provider: Verified", by_secret]),
        (replayed_without_events, vec!["service provider: ColdStart"]),
        (unreadable, vec!["service provider: Events", by_outcome]),
        (swept, vec!["service: CleanupsSent CleanupsFailed ColdStart"]),
    ];
    for (line, expected) in expected {
        assert_eq!(directives(line), expected, "{line}");
    }
}

/// Only an applied delete is counted as one.
#[tokio::test]
async fn an_applied_delete_is_counted() {
    let (_stack, receiver, log) = receiver("plain").await;
    for name in ["plain/customer-created", "plain/customer-deleted", "plain/customer-deleted"] {
        let case = case(name);
        let signed = case.sign(&scheme(case), &local_secret(case.provider), signed_at()).unwrap();
        handle(&receiver, &signed, signed_at()).await;
    }
    let lines = json_lines(&log);
    let counted = lines.iter().map(|line| metrics(line).get("Deletes clientele-plain plain").copied());
    assert_eq!(counted.collect::<Vec<_>>(), [None, Some(1), None]);
}

/// A line below the log level has only its metrics.
#[tokio::test]
async fn lines_below_the_level_have_only_metrics() {
    let mut stack = stack().await;
    for (level, described) in [("INFO", 3), ("WARNING", 2), ("ERROR", 1), ("CRITICAL", 1)] {
        let log = CapturedLog::default();
        set_level(&mut stack, "metrifox", level);
        let (aws, receivers) = AwsStandIn::with_logging_receivers(&stack, &log).await;
        let case = case("metrifox/customer-created");
        handle(&receivers["metrifox"], &case.event, signed_at()).await;
        let mut forged = case.event.clone();
        forged["pathParameters"]["token"] = "guess".into();
        handle(&receivers["metrifox"], &forged, signed_at()).await;
        aws.fail(&["PutItem", "SendMessage"]);
        handle(&receivers["metrifox"], &case.event, signed_at()).await;
        let lines = json_lines(&log);
        assert_eq!(lines.len(), 3);
        assert!(lines.iter().all(|line| line["Events"] == 1), "{level}");
        assert_eq!(lines.iter().filter(|line| line["level"].is_string()).count(), described, "{level}");
        assert!(lines[2]["reason"].is_string());
    }
}
