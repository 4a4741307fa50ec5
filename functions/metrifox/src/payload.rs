//! The envelope of Metrifox' webhooks, and what must never leave it.

use clientele_model::{ChangeKind, CredentialFields, Fields, Time, Untranslatable, Verb};

/// What is dropped: one-time passwords and edit tokens, the envelope's time, and the record as it was before.
pub(crate) const DROPPED: &[&str] = &["created_at", "data.changes", "data.customer.otp*", "data.customer.edit_token*"];

/// One-time passwords and edit tokens, in `data.changes` as well. `metadata` is the customer's own.
pub(crate) const CREDENTIALS: CredentialFields =
    CredentialFields { name_prefixes: &["otp", "edit_token"], exempt_fields: &["metadata"] };

/// What an event says of its customer; nothing if it is about something else. Decided by the type, never by
/// `deleted_at`, which updates may carry too.
pub(crate) fn meaning(kind: &str) -> Option<ChangeKind> {
    match kind {
        "customer.created" => Some(ChangeKind::Snapshot(Verb::Created)),
        "customer.updated" => Some(ChangeKind::Snapshot(Verb::Updated)),
        "customer.deleted" => Some(ChangeKind::Deletion),
        _ => None,
    }
}

/// The part of the envelope that every event about a customer has.
pub(crate) struct Envelope {
    pub(crate) event_id: String,
    /// When the event was raised.
    pub(crate) raised: Option<Time>,
}

impl Envelope {
    pub(crate) fn take(body: &mut Fields) -> Result<Self, Untranslatable> {
        Ok(Self { event_id: body.id("id").ok_or(Untranslatable::Missing("id"))?, raised: body.time_ms("created_at") })
    }
}
