//! The function's binary, as Lambda runs it.
#![allow(missing_docs, reason = "tests")]

#[macro_use]
#[path = "../../../tests/function/runtime.rs"]
mod runtime;

function_tests!("metrifox", "metrifox-local-secret", ["unrelated-invoice", "tampered"]);
