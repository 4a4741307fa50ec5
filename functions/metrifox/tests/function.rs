//! Runs the function's binary as Lambda does.
#![allow(missing_docs, reason = "tests")]

clientele_function::function_tests!("metrifox", "metrifox-local-secret", ["unrelated-invoice", "tampered"]);
