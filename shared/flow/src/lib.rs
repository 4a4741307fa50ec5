//! How verified deliveries and the records of providers' lists get into the table, whatever fails.
//!
//! All entry points write by the same conditional write:
//!
//! - [`Flow::receive`] settles every event of a delivery, and keeps on a queue what cannot be settled now;
//! - [`Flow::replay`] settles what was kept on the inbox queue;
//! - [`Flow::erase_by_operator`] deletes a customer because an operator says so;
//! - [`Flow::sweep`] sends cleanup messages that are still in their tombstones;
//! - [`Flow::import`] writes every record of a provider's list that is greater than what the table has;
//! - [`Flow::reconcile`] and [`Flow::reconcile_window`] compare a list with the table first, and write only what the table
//!   lacks.
//!
//! [`ChangeFeed::publish`] reads what these writes have changed, and announces it to other systems. [`resend()`] sends them
//! the current state of all customers.
//!
//! To settle an event is to write its item, or to find that the table has that event or a greater one already.
//!
//! This crate depends neither on AWS nor on HTTP: [`Table`], [`Queues`] and [`ListClient`] are traits. The functions
//! implement them with DynamoDB, SQS and HTTP, the proofs in `tests/` with a table, queues and lists in memory that fail,
//! hang and crash wherever possible.

mod apply;
mod call_size;
mod candidates;
mod change_feed;
pub mod deadlines;
mod deletion;
mod delivery;
mod event_sender;
mod import;
mod list_observer;
mod list_requests;
mod list_run;
mod list_walk;
#[cfg(feature = "memory")]
pub mod memory;
mod open_erasures;
mod operator;
mod pacing;
mod ports;
mod receipts;
mod reconcile;
mod record_comparison;
mod record_write;
mod resend;
mod sweep;
mod window;

pub use candidates::{Candidate, CandidateCounts};
pub use change_feed::{ChangeFeed, FeedRecord, FeedReport};
pub use deadlines::Deadlines;
pub use delivery::SettledEvent;
pub use event_sender::{EventSender, SendError, SendReport, SendResult};
pub use import::{CONCURRENCY_DEFAULT, ImportCounts, ImportObserver, ImportOptions, ImportReport};
pub use list_observer::ListObserver;
pub use list_requests::ListRunError;
pub use list_run::{CLOSING_WALKS_MAX, Progress, RunEnd};
pub use operator::{EraseResult, UnseenCustomers};
pub use ports::{
    ApiUnreachable, BusError, CurrentItem, CustomerReader, CustomerScan, EventBus, EventResult, ItemPage, ListClient,
    LiveItem, LiveItemPage, OpenErasure, OpenErasurePage, PendingCleanup, PendingCleanupPage, PutResult, Queue,
    QueueError, Queues, RefusedChanges, ReplaceResult, Table, TableError, Tombstones, UnreadableItem,
};
pub use receipts::ReceiptOutcome;
pub use reconcile::{Deletes, ReconcileCounts, ReconcileObserver, ReconcileOptions, ReconcileReport};
pub use resend::{ResendCounts, ResendObserver, ResendOptions, ResendReport, resend};
pub use sweep::{SweepLimits, SweepReport};
pub use window::{LostDeletes, WindowOptions, WindowReport};

use clientele_model::ErasureSettings;

/// Processes deliveries with a table and queues.
#[derive(Clone, Debug)]
pub struct Flow<T, Q> {
    /// The customers.
    pub table: T,
    /// The queues.
    pub queues: Q,
    /// How customers are erased.
    pub erasure: ErasureSettings,
}
