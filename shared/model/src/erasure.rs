//! What a delete makes of the customer's item, and the receipts of the systems that have erased their copies.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::cleanup::{CleanupMessage, Deletion};
use crate::event::{Change, CustomerEvent};
use crate::item::{Item, Tombstone};
use crate::json::sqs_message;
use crate::response::Outcome;
use crate::time::Time;

#[cfg(feature = "schema")]
use schemars::JsonSchema;

/// How a stack erases customers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ErasureSettings {
    /// Whether systems confirm each erasure, so that a tombstone waits for their receipts.
    pub awaits_receipts: bool,
    /// How long a cleanup message is held back after its tombstone was written.
    pub hold: Duration,
}

/// A system's confirmation that it has erased its copies of a customer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Receipt {
    /// When the system erased its copies, as it says.
    pub erased_at: Time,
    /// When its first confirmation arrived.
    pub received_at: Time,
}

/// The message with which a system confirms that it has erased its copies of a customer.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
pub struct ReceiptMessage {
    /// The version of this schema: 1.
    pub schema: u8,
    /// The `cleanup_id` of the cleanup message.
    pub cleanup_id: String,
    /// The name of the system, as in the parameter `ErasureSystems`.
    pub system: String,
    /// When the system erased its copies.
    pub erased_at: Time,
}

redacted_debug!(ReceiptMessage);

/// The receipts in a tombstone, by system.
pub type Receipts = BTreeMap<String, Receipt>;

/// What becomes of a delete.
#[derive(Debug)]
pub enum DeleteDecision {
    /// The tombstone must be written, provided that the item is still the one that was seen. With the event's outcome.
    Write(Box<Tombstone>, Outcome),
    /// The item stays: it is a tombstone of this delete or of a greater one. With the event's outcome.
    Keep(Outcome),
}

impl CustomerEvent {
    /// What this delete makes of the current item. A tombstone keeps what other systems need to follow the delete: its
    /// message says what the delete and the item said, until it has been sent. `None` if the event is not a delete.
    #[must_use]
    pub fn decide_delete(
        &self,
        current: Option<&Item>,
        received_at: Timestamp,
        now: Timestamp,
        settings: &ErasureSettings,
    ) -> Option<DeleteDecision> {
        let Change::Deletion(deletion) = self.change() else { return None };
        let (rank, last_event) = (self.rank().to_string(), self.last_event(received_at));
        let due = Time::in_milliseconds(now.saturating_add(hold(settings)).unwrap_or(now));
        let first = |deletion: &Deletion| {
            let tombstone = self.tombstone(deletion, last_event.clone());
            let erasure_open = settings.awaits_receipts.then(|| Time::in_milliseconds(now));
            Tombstone { cleanup_due: Some(due), erasure_open, ..tombstone }
        };
        Some(match current {
            None => DeleteDecision::Write(Box::new(first(deletion)), Outcome::Applied),
            Some(Item::Customer(item)) => {
                let known = Deletion::of_item(item, deletion.deleted_at);
                DeleteDecision::Write(Box::new(first(&deletion.clone().with(known))), Outcome::Applied)
            }
            Some(Item::Tombstone(current)) if rank > current.rank => {
                let pending = current.pending_message();
                let deletion = match &pending {
                    Some(message) => deletion.clone().with(message.deletion()),
                    None => deletion.clone(),
                };
                let cleanup_due = current.cleanup_due.filter(|_| pending.is_some()).or(Some(due));
                let (receipts, erasure_open) = (current.receipts.clone(), current.erasure_open);
                let tombstone = Tombstone { cleanup_due, receipts, erasure_open, ..first(&deletion) };
                DeleteDecision::Write(Box::new(tombstone), Outcome::Applied)
            }
            Some(Item::Tombstone(current)) => {
                let outcome = if rank == current.rank { Outcome::Duplicate } else { Outcome::Stale };
                match current.with_identifiers_of(deletion) {
                    Some(tombstone) => DeleteDecision::Write(Box::new(tombstone), outcome),
                    None => DeleteDecision::Keep(outcome),
                }
            }
        })
    }
}

fn hold(settings: &ErasureSettings) -> SignedDuration {
    SignedDuration::try_from(settings.hold).unwrap_or(SignedDuration::MAX)
}

impl Tombstone {
    /// The cleanup message that is not sent yet.
    fn pending_message(&self) -> Option<CleanupMessage> {
        serde_json::from_str(self.cleanup.as_deref()?).ok()
    }

    /// The tombstone with what a lesser delete adds to the message that is not sent yet. `None` if it adds nothing.
    fn with_identifiers_of(&self, deletion: &Deletion) -> Option<Self> {
        let pending = self.pending_message()?;
        let Deletion { external_id, identifiers, .. } = pending.deletion().with(deletion.clone());
        let message = CleanupMessage { external_id, identifiers, ..pending.clone() };
        (message != pending).then(|| Self { cleanup: Some(sqs_message(&message)), ..self.clone() })
    }

    /// The systems that have not confirmed the erasure yet.
    #[must_use]
    pub fn missing_receipts<'a>(&self, systems: &'a [String]) -> Vec<&'a str> {
        systems.iter().map(String::as_str).filter(|system| !self.receipts.contains_key(*system)).collect()
    }
}
