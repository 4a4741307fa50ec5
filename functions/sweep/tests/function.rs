//! Runs the function's binary as Lambda does.
#![allow(missing_docs, reason = "tests")]

use clientele_function::tests::response_to;
use serde_json::{Value, json};

const BINARY: &str = env!("CARGO_BIN_EXE_clientele-sweep");

#[test]
fn refuses_to_start_without_settings() {
    clientele_function::tests::refuses_to_start_without_settings(BINARY, &[]);
}

/// A sweep that cannot reach the table is not an error of the function, because the next sweep tries again.
#[test]
fn answers_events() {
    assert_eq!(response_to(BINARY, &scheduled()), Value::Null);
}

fn scheduled() -> Value {
    json!({ "version": "0", "source": "aws.events", "detail-type": "Scheduled Event", "detail": {} })
}

#[test]
fn a_role_allows_exactly_what_is_called() {
    clientele_function::calls::a_role_allows_exactly_what_is_called(BINARY, "sweep", "", &[scheduled()]);
}

#[test]
fn ends_quietly_only_while_waiting() {
    clientele_function::runtime_interface::ends_quietly_only_while_waiting(BINARY, "");
}
