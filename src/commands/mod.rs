//! The subcommands.

pub mod cleanup;
pub mod cost;
pub mod customers;
pub mod deliver;
pub mod fault;
pub mod local;
pub mod quarantine;
pub mod secret;
pub mod smoke;
mod target;
