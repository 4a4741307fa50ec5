//! Runs the function's binary as Lambda does.
#![allow(missing_docs, reason = "tests")]

#[macro_use]
#[path = "../../../tests/function/runtime.rs"]
mod runtime;

function_tests!(
    "flexprice",
    "whsec_Y2xpZW50ZWxlLWxvY2FsLXNlY3JldC0wMDAwMDAwMDA=",
    ["unrelated-subscription", "tampered"]
);
