//! Flexprice's body: `{"event_type", "customer"}` and no envelope. The same today as before 2026-08-10, when the
//! customer was larger; what was cut is still understood, since self-hosted installations may send either.

use clientele_model::{ChangeKind, Verb};

/// Nothing is dropped.
pub(crate) const DROPPED: &[&str] = &[];

/// What an event says of its customer; nothing if it is about something else. A delete archives the record and sends
/// it whole: the type alone tells.
pub(crate) fn meaning(kind: &str) -> Option<ChangeKind> {
    match kind {
        "customer.created" => Some(ChangeKind::Snapshot(Verb::Created)),
        "customer.updated" => Some(ChangeKind::Snapshot(Verb::Updated)),
        "customer.deleted" => Some(ChangeKind::Deletion),
        _ => None,
    }
}
