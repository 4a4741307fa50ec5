//! The `clientele` command: the local stack, the demonstration, and the operator's commands.

pub mod cli;
pub mod commands;
pub mod console;
pub mod customer_card;
pub mod customer_lookup;
pub mod customer_search;
pub mod customers_table;
pub mod demonstration;
pub mod deployed;
pub mod embedded;
pub mod events;
pub mod exit_code;
pub mod explanation;
pub mod http;
pub mod json_diff;
pub mod prices;
pub mod queue_browser;
pub mod queue_depth;
pub mod redrive;
pub mod signing;
pub mod stack;
pub mod synthetic;
pub mod template;
pub mod terminal;
pub mod text_table;
