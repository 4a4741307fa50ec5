//! Whole-system tests: the handlers that Lambda runs, called with real API Gateway events, against the embedded
//! DynamoDB and SQS through the real SDK. The tests of invariants have their names.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "tests")]

mod event_files;
mod support;
