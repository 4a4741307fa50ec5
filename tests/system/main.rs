//! Whole-system tests: the handlers that Lambda runs, called with real API Gateway events, against the embedded
//! DynamoDB and SQS through the real SDK. The tests of invariants have their names.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "tests")]

mod command;
mod config;
mod converges;
mod deployed;
mod door;
mod erasure;
mod event_files;
mod faults;
mod gateway;
mod generate;
mod kills;
mod leaves;
mod lines;
mod load;
mod operations;
mod outages;
mod pictures;
mod privacy;
mod quarantine;
mod refusals;
mod roles;
mod rooms;
mod schemas;
mod schemes;
mod secrets;
mod signers;
mod storage_contract;
mod support;
mod the_template;
mod translations;
