//! What becomes of a verified delivery and of a delete, whatever fails.
//!
//! Three ways lead to the table, and all of them end in the same conditional write:
//!
//! - [`Flow::receive`] settles every event of a delivery, and keeps on a queue what cannot be settled now;
//! - [`Flow::replay`] settles what was kept on the inbox queue;
//! - [`Flow::sweep`] sends cleanup messages that still wait in their tombstones.
//!
//! There is no AWS here. The table and the queues are [`Table`] and [`Queues`]: the functions bring those of AWS, the
//! proofs in `tests/` bring some in memory that fail and die wherever they can.

mod apply;
mod delivery;
#[cfg(feature = "memory")]
pub mod memory;
mod ports;
mod sweep;

pub use delivery::{Budget, Settled};
pub use ports::{Due, Put, Queue, QueueError, Queues, Standing, Table, TableError, Waiting};
pub use sweep::{SweepLimits, Swept};

/// Events on their way into a table.
#[derive(Clone, Debug)]
pub struct Flow<T, Q> {
    /// The customers.
    pub table: T,
    /// The queues.
    pub queues: Q,
}
