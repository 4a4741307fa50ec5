//! The subcommands, one file for each noun.

use std::num::NonZeroUsize;

pub mod cleanup;
pub mod completions;
pub mod console;
pub mod cost;
pub mod customers;
pub mod dead_letters;
pub mod doctor;
pub mod events;
pub mod faults;
pub mod import;
pub mod inbox;
pub mod local;
mod local_secrets;
pub mod quarantine;
mod queue_depths;
pub mod reconcile;
pub mod secrets;
pub mod smoke;

/// Reads a number that is not 0, for the command line.
fn positive(text: &str) -> Result<NonZeroUsize, String> {
    text.parse().map_err(|_| "expected a number greater than 0".to_owned())
}
