//! What is promised of the flow, call by call: see `proof` for every order of events.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "tests")]
#![allow(dead_code, reason = "the world of the proofs")]

#[path = "../proof/actors.rs"]
mod actors;
#[path = "../proof/faulty.rs"]
mod faulty;
#[path = "../proof/history.rs"]
mod history;
#[path = "../proof/provider.rs"]
mod provider;
#[path = "../proof/world.rs"]
mod world;

mod by_products;
mod chance;
mod losses;
mod sweeps;
mod time;
