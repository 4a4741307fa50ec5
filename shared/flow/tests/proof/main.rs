//! Proofs of the flow: its own code, on a table and queues in memory that fail, hang and die wherever they can, under
//! a scheduler that decides who goes on. The clock moves only when everything waits for it, and chance has a seed: what
//! fails, fails again.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "tests")]
#![allow(dead_code, reason = "the world is also that of `promises`")]

mod actors;
mod converges;
mod exploration;
mod faulty;
mod history;
mod interleavings;
mod marks;
mod provider;
mod world;

/// Whether everything is asked for, which takes minutes.
fn is_full() -> bool {
    std::env::var("CLIENTELE_PROOF").is_ok_and(|proof| proof == "full")
}

/// A line for those who run it with `--nocapture`.
#[expect(clippy::print_stdout, reason = "the counts of schedules are in docs/reliability.md")]
fn told(line: &str) {
    println!("{line}");
}
