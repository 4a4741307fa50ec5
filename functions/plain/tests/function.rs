//! The function's binary, as Lambda runs it.
#![allow(missing_docs, reason = "tests")]

#[path = "../../../tests/function/runtime.rs"]
mod runtime;

const BINARY: &str = env!("CARGO_BIN_EXE_clientele-plain");

#[test]
fn refuses_to_start_without_settings() {
    runtime::refuses_to_start_without_settings(BINARY);
}

#[test]
fn answers_as_lambda_asks() {
    runtime::answers_as_lambda_asks(
        BINARY,
        "plain",
        "plain-local-secret",
        &["unrelated-thread", "tampered", "unrelated-group-changed"],
    );
}
