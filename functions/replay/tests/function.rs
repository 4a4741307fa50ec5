//! Runs the function's binary as Lambda does.
#![allow(missing_docs, reason = "tests")]

use clientele_function::tests::response_to;
use serde_json::json;

const BINARY: &str = env!("CARGO_BIN_EXE_clientele-replay");

#[test]
fn refuses_to_start_without_settings() {
    clientele_function::tests::refuses_to_start_without_settings(BINARY, &[]);
}

#[test]
fn nothing_of_a_broken_event_is_printed() {
    clientele_function::tests::nothing_of_a_broken_event_is_printed(BINARY, "");
}

/// Only an unreadable message is reported as failed. A message without events to settle is not.
#[test]
fn answers_events() {
    let nothing = json!({ "schema": 1, "provider": "smarterpay", "reason": "", "received_at": "2026-11-20T12:00:00Z",
        "delivery_id": null, "sent_at": null, "encoding": "json", "body": r#"{"events":[null]}"# });
    let message = |id: &str, body: &str| json!({ "messageId": id, "receiptHandle": "r", "body": body });
    let event = json!({ "Records": [message("ours", &nothing.to_string()), message("theirs", "no JSON")] });
    let answer = response_to(BINARY, &event);
    assert_eq!(answer, json!({ "batchItemFailures": [{ "itemIdentifier": "theirs" }] }));
}
