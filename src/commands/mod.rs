//! The subcommands, one file for each noun.

pub mod cleanup;
pub mod completions;
pub mod console;
pub mod cost;
pub mod customers;
pub mod dead_letters;
pub mod events;
pub mod faults;
pub mod inbox;
pub mod local;
mod local_secrets;
pub mod quarantine;
mod queue_depths;
pub mod secrets;
pub mod smoke;
pub mod target;
