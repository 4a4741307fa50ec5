//! Runs the function's binary as Lambda does.
#![allow(missing_docs, reason = "tests")]

#[macro_use]
#[path = "../../../tests/function/runtime.rs"]
mod runtime;

function_tests!("smarterpay", "smarterpay-local-secret", ["unrelated-payment", "older-shape-v1", "tampered"]);
