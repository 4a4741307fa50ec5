//! Lists of the fields of Flexprice's webhooks. A body is `{"event_type", "customer"}` without an envelope. Until
//! 2026-08-10 the customer had more fields. Self-hosted installations may still send them, so they are translated.

use clientele_model::{ChangeKind, CredentialFields, EventFamily, Fields, Id, Untranslatable, Verb};

/// Every field is stored.
pub(crate) const DROPPED: &[&str] = &[];

/// The fields without a place in the common model, which only bodies before 2026-08-10 have, and `status`, which may be
/// a third word.
pub(crate) const KNOWN_EXTRA: &[&str] = &["integrations", "status", "tenant_id"];

/// Flexprice sends no credentials.
pub(crate) const CREDENTIALS: CredentialFields = CredentialFields::NONE;

/// The fields that a complete record has. A create or update without them would erase the others.
pub(crate) const REQUIRED: &[&str] = &["name"];

/// The customer's account. Versions of Flexprice from 2026-08-10 until before 2026-08-17 do not send it.
pub(crate) fn account(record: &mut Fields) -> Result<Id, Untranslatable> {
    record.required("environment_id", Fields::key_part)
}

/// The types of events about customers.
pub(crate) const FAMILY: EventFamily = EventFamily { prefix: "customer.", ignored: &[] };

/// How an event of that type changes its customer, or `None` if it changes no customer. Only the type decides: a
/// delete sends the whole record, as archived.
pub(crate) fn change_kind(kind: &str) -> Option<ChangeKind> {
    match kind {
        "customer.created" => Some(ChangeKind::Snapshot(Verb::Created)),
        "customer.updated" => Some(ChangeKind::Snapshot(Verb::Updated)),
        "customer.deleted" => Some(ChangeKind::Deletion),
        _ => None,
    }
}
