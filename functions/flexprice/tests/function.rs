//! The function's binary, as Lambda runs it.
#![allow(missing_docs, reason = "tests")]

#[macro_use]
#[path = "../../../tests/function/runtime.rs"]
mod runtime;

function_tests!(
    "flexprice",
    "whsec_Y2xpZW50ZWxlLWxvY2FsLXNlY3JldC0wMDAwMDAwMDA=",
    ["unrelated-subscription", "tampered"]
);
