//! An example of a system that uses the customers of Clientele. docs/consume.md explains it.

pub mod changes;
pub mod cleanup;
pub mod customers;
pub mod receipts;
pub mod store;
pub mod worker;
