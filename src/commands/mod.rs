//! The subcommands.

pub mod cleanup;
pub mod cost;
pub mod customers;
pub mod deliver;
pub mod local;
pub mod secret;
mod services;
pub mod smoke;
