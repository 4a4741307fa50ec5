//! Runs the function's binary as Lambda does.
#![allow(missing_docs, reason = "tests")]

use clientele_function::Request;
use clientele_function::calls::Setup;
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
    let (name, secret, events) = ("sweep", "", &[scheduled()]);
    let answer = |_: &Request| None;
    for (environment, conditions) in [(&[][..], &[][..]), (&[("AWAIT_RECEIPTS", "true")], &["AwaitsReceipts"])] {
        Setup { binary: BINARY, name, secret, environment, conditions, events, answer }.assert_role();
    }
}

#[test]
fn ends_quietly_only_while_waiting() {
    clientele_function::runtime_interface::ends_quietly_only_while_waiting(BINARY, "");
}
