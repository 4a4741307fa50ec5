//! Runs the function's binary as Lambda does.
#![allow(missing_docs, reason = "tests")]

use clientele_function::tests::{event_files, names_missing_settings, response_to};
use serde_json::{Value, json};

const BINARY: &str = env!("CARGO_BIN_EXE_clientele-receipts");

#[test]
fn refuses_to_start_without_settings() {
    names_missing_settings(BINARY, &["CUSTOMERS_TABLE", "ERASURE_SYSTEMS"]);
}

#[test]
fn nothing_of_a_broken_event_is_printed() {
    clientele_function::tests::nothing_of_a_broken_event_is_printed(BINARY, "");
}

#[test]
fn ends_quietly_only_while_waiting() {
    clientele_function::runtime_interface::ends_quietly_only_while_waiting(BINARY, "");
}

/// While no call succeeds, every receipt comes again, and so does what is not a receipt.
#[test]
fn answers_events() {
    for event in event_files("receipts") {
        let messages = event["Records"].as_array().into_iter().flatten();
        let failures: Vec<Value> = messages.map(|it| json!({ "itemIdentifier": it["messageId"] })).collect();
        assert!(!failures.is_empty());
        assert_eq!(response_to(BINARY, &event), json!({ "batchItemFailures": failures }));
    }
    assert_eq!(response_to(BINARY, &json!({ "Records": [] })), json!({ "batchItemFailures": [] }));
}

#[test]
fn a_role_allows_exactly_what_is_called() {
    clientele_function::calls::a_role_allows_exactly_what_is_called(BINARY, "receipts", "", &event_files("receipts"));
}
