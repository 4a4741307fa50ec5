//! Runs the function's binary as Lambda does.
#![allow(missing_docs, reason = "tests")]

use clientele_function::tests::response_to;
use serde_json::{Value, json};

const BINARY: &str = env!("CARGO_BIN_EXE_clientele-replay");

#[test]
fn refuses_to_start_without_settings() {
    clientele_function::tests::refuses_to_start_without_settings(BINARY, &[]);
}

#[test]
fn nothing_of_a_broken_event_is_printed() {
    clientele_function::tests::nothing_of_a_broken_event_is_printed(BINARY, "");
}

/// A delivery as it is kept on the inbox queue.
fn kept(provider: &str, body: &str) -> String {
    let kept = json!({ "schema": 1, "provider": provider, "reason": "", "received_at": "2026-11-20T12:00:00Z",
        "delivery_id": null, "sent_at": null, "encoding": "json", "body": body });
    kept.to_string()
}

fn message(id: &str, body: &str) -> Value {
    json!({ "messageId": id, "receiptHandle": "r", "body": body })
}

/// Only an unreadable message is reported as failed. A message without events to settle is not.
#[test]
fn answers_events() {
    let nothing = kept("smarterpay", r#"{"events":[null]}"#);
    let event = json!({ "Records": [message("ours", &nothing), message("theirs", "no JSON")] });
    let answer = response_to(BINARY, &event);
    assert_eq!(answer, json!({ "batchItemFailures": [{ "itemIdentifier": "theirs" }] }));
}

/// The deliveries of all providers, as if the table had failed when they arrived.
#[test]
fn a_role_allows_exactly_what_is_called() {
    let of_provider = |provider: &&str| {
        let events = clientele_function::tests::event_files(provider).into_iter();
        let bodies = events.filter(|event| event["isBase64Encoded"] != true).map(|event| event["body"].clone());
        let records = bodies.map(|body| message("m", &kept(provider, body.as_str().unwrap())));
        json!({ "Records": records.collect::<Vec<_>>() })
    };
    let events: Vec<_> = clientele_providers::names().iter().map(of_provider).collect();
    clientele_function::calls::a_role_allows_exactly_what_is_called(BINARY, "replay", "", &events);
}

#[test]
fn ends_quietly_only_while_waiting() {
    clientele_function::runtime_interface::ends_quietly_only_while_waiting(BINARY, "");
}
