//! Runs the function's binary as Lambda does.
#![allow(missing_docs, reason = "tests")]

#[macro_use]
#[path = "../../../tests/function/runtime.rs"]
mod runtime;

function_tests!("metrifox", "metrifox-local-secret", ["unrelated-invoice", "tampered"]);
