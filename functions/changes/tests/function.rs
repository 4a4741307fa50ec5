//! Runs the function's binary as Lambda does.
#![allow(clippy::unwrap_used, missing_docs, reason = "tests")]

use clientele_function::tests::{event_files, names_missing_settings, response_to};
use serde_json::json;

const BINARY: &str = env!("CARGO_BIN_EXE_clientele-changes");

#[test]
fn refuses_to_start_without_settings() {
    names_missing_settings(BINARY, &["EVENT_BUS_NAME", "CHANGE_SOURCE", "REFUSED_CHANGES_QUEUE_URL"]);
}

#[test]
fn nothing_of_a_broken_event_is_printed() {
    clientele_function::tests::nothing_of_a_broken_event_is_printed(BINARY, "");
}

#[test]
fn ends_quietly_only_while_waiting() {
    clientele_function::runtime_interface::ends_quietly_only_while_waiting(BINARY, "");
}

/// While no call succeeds, the first record with a change is where Lambda continues. A record without a change needs no call.
#[test]
fn answers_events() {
    for event in event_files("changes") {
        let first = &event["Records"][0]["dynamodb"]["SequenceNumber"];
        assert!(first.is_string());
        assert_eq!(response_to(BINARY, &event), json!({ "batchItemFailures": [{ "itemIdentifier": first }] }));
    }
    let mut unchanged = event_files("changes").into_iter().find(|event| event["Records"][1].is_null()).unwrap();
    unchanged["Records"][0]["eventName"] = "MODIFY".into();
    let image = unchanged["Records"][0]["dynamodb"]["NewImage"].clone();
    unchanged["Records"][0]["dynamodb"]["OldImage"] = image;
    assert_eq!(response_to(BINARY, &unchanged), json!({ "batchItemFailures": [] }));
}

#[test]
fn a_role_allows_exactly_what_is_called() {
    clientele_function::calls::a_role_allows_exactly_what_is_called(BINARY, "changes", "", &event_files("changes"));
}
