//! Runs the function's binary as Lambda does.
#![allow(missing_docs, reason = "tests")]

clientele_function::function_tests!(
    "smarterpay",
    "smarterpay-local-secret",
    ["unrelated-payment", "older-shape-v1", "tampered"]
);
