//! The subcommands.

pub mod cleanup;
pub mod customers;
pub mod deliver;
pub mod local;
mod services;
