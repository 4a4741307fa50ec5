//! Proofs of the flow. They run the real code on storage in memory that fails, hangs and crashes wherever possible, under
//! a scheduler that chooses which actor takes the next step. Time advances only when every actor waits for it, and random
//! choices have a seed, so every failure can be reproduced.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "tests")]

mod change_batches;
mod change_feed;
mod cleanup_messages;
mod deadlines;
mod exploration;
mod failed_calls;
mod imports;
mod interleavings;
mod kept_events;
mod operator;
mod random_schedules;
mod reconciliations;
mod resends;
mod sequences;
mod simulation;
mod sweeps;

/// Whether to explore everything, which takes minutes.
fn is_full() -> bool {
    std::env::var("CLIENTELE_PROOF").is_ok_and(|proof| proof == "full")
}

/// Prints a line for those who run the tests with `--nocapture`.
#[expect(clippy::print_stdout, reason = "docs/reliability.md has the numbers of schedules")]
fn report(line: &str) {
    println!("{line}");
}
