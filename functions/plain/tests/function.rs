//! Runs the function's binary as Lambda does.
#![allow(missing_docs, reason = "tests")]

clientele_function::function_tests!(
    "plain",
    "plain-local-secret",
    ["unrelated-thread", "unrelated-group-changed", "tampered"]
);
