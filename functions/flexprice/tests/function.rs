//! Runs the function's binary as Lambda does.
#![allow(missing_docs, reason = "tests")]

clientele_function::function_tests!(
    "flexprice",
    "whsec_Y2xpZW50ZWxlLWxvY2FsLXNlY3JldC0wMDAwMDAwMDA=",
    ["unrelated-subscription", "tampered"]
);
