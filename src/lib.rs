//! The `clientele` command: the local stack, the demonstration, and the operator's tools.

pub mod commands;
pub mod demonstration;
pub mod deployed;
pub mod difference;
pub mod events;
pub mod http;
pub mod prices;
pub mod signing;
pub mod stack;
pub mod synthetic;
pub mod template;
