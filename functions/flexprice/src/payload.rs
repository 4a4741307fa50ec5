//! Flexprice's body: `{"event_type", "customer"}` and no envelope. The same today as before 2026-08-10, when the
//! customer was larger; what was cut is still understood, since self-hosted installations may send either.

use clientele_model::{Meaning, Verb};

/// Nothing is dropped.
pub(crate) const DROPPED: &[&str] = &[];

/// What an event says of its customer; nothing if it is about something else. A delete archives the record and sends
/// it whole: the type alone tells.
pub(crate) fn meaning(kind: &str) -> Option<Meaning> {
    match kind {
        "customer.created" => Some(Meaning::Snapshot(Verb::Created)),
        "customer.updated" => Some(Meaning::Snapshot(Verb::Updated)),
        "customer.deleted" => Some(Meaning::Deletion),
        _ => None,
    }
}
