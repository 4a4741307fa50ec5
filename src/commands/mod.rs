//! The subcommands, one file for each noun.

pub mod cleanup;
pub mod completions;
pub mod cost;
pub mod customers;
pub mod events;
pub mod faults;
pub mod local;
mod local_secrets;
pub mod quarantine;
pub mod secrets;
pub mod smoke;
pub mod target;
