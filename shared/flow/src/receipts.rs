//! Receipts: systems confirm that they have erased their copies of a deleted customer.

use clientele_model::{Receipt, ReceiptMessage, Time};
use jiff::Timestamp;

use crate::Flow;
use crate::ports::{TableError, Tombstones};

/// What became of a receipt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReceiptOutcome {
    /// It is in the tombstone, perhaps from an earlier attempt. With whether it was the last one that was missing.
    Recorded {
        /// Whether all systems have confirmed the erasure.
        is_complete: bool,
    },
    /// The customer is not deleted. The receipt may have come before the delete, so it must be tried again.
    NotDeleted,
    /// The system is not one of those that the stack expects.
    UnknownSystem,
}

impl<T: Tombstones, Q> Flow<T, Q> {
    /// Adds a receipt of one of the stack's systems to its tombstone. It may crash anywhere and run twice at the same time: a receipt is only ever added, and
    /// the first one of a system stays.
    ///
    /// # Errors
    /// When the table cannot be used. The receipt must be tried again.
    pub async fn record_receipt(
        &self,
        systems: &[String],
        message: &ReceiptMessage,
        received_at: Timestamp,
    ) -> Result<ReceiptOutcome, TableError> {
        let ReceiptMessage { cleanup_id, system, erased_at, .. } = message;
        if !systems.contains(system) {
            return Ok(ReceiptOutcome::UnknownSystem);
        }
        let receipt = Receipt { erased_at: *erased_at, received_at: Time::in_milliseconds(received_at) };
        let Some(tombstone) = self.table.add_receipt(cleanup_id, system, receipt).await? else {
            return Ok(ReceiptOutcome::NotDeleted);
        };
        let is_complete = tombstone.missing_receipts(systems).is_empty();
        if is_complete && tombstone.erasure_open.is_some() {
            self.table.close_erasure(cleanup_id, systems).await?;
        }
        Ok(ReceiptOutcome::Recorded { is_complete })
    }
}
