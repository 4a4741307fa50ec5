//! Whether a stack is healthy.
//!
//! Readers collect [`Facts`]: [`deployed`] from AWS, and the local stack from itself. What they mean is decided without
//! any input: [`findings()`] says what a person has to do, and [`Report`] says it in words.

mod advice;
pub mod deployed;
mod facts;
mod findings;
mod metrics;
pub mod queues;
mod report;
pub mod table;
pub mod webhook_target;

pub use facts::{
    Alarm, AlarmState, Fact, Facts, Fault, LastSeen, PendingCleanups, ProviderFacts, Queue, ReconcileRun,
    Reconciliation, Secrets, Setting, SettingValue, Table, TableState, TargetState, Unread, WebhookTarget,
};
pub use findings::{Finding, Part, Problem, findings};
pub use report::{Report, ReportedFinding, Row, RowState};

#[cfg(test)]
mod tests;
