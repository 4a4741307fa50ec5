//! How verified deliveries get into the table, whatever fails.
//!
//! There are three entry points, and all of them write by the same conditional write:
//!
//! - [`Flow::receive`] settles every event of a delivery, and keeps on a queue what cannot be settled now;
//! - [`Flow::replay`] settles what was kept on the inbox queue;
//! - [`Flow::sweep`] sends cleanup messages that are still in their tombstones.
//!
//! To settle an event is to write its item, or to find that the table has that event or a greater one already.
//!
//! This crate does not depend on AWS: [`Table`] and [`Queues`] are traits. The functions implement them with DynamoDB and
//! SQS, the proofs in `tests/` with a table and queues in memory that fail, hang and crash wherever possible.

mod apply;
pub mod deadlines;
mod delivery;
mod import;
mod list_observer;
mod list_requests;
mod list_run;
mod list_walk;
#[cfg(feature = "memory")]
pub mod memory;
mod ports;
mod record_write;
mod sweep;

pub use deadlines::Deadlines;
pub use delivery::SettledEvent;
pub use import::{CONCURRENCY_DEFAULT, ImportCounts, ImportObserver, ImportOptions, ImportReport};
pub use list_observer::ListObserver;
pub use list_requests::ListRunError;
pub use list_run::{CLOSING_WALKS_MAX, Progress, RunEnd};
pub use ports::{
    ApiUnreachable, CurrentItem, CustomerReader, ListClient, LiveItem, LiveItemPage, PendingCleanup,
    PendingCleanupPage, PutResult, Queue, QueueError, Queues, Table, TableError,
};
pub use sweep::{SweepLimits, SweepReport};

/// Processes deliveries with a table and queues.
#[derive(Clone, Debug)]
pub struct Flow<T, Q> {
    /// The customers.
    pub table: T,
    /// The queues.
    pub queues: Q,
}
