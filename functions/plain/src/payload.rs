//! The envelope of Plain's webhooks. The version of the webhook target may be absent or any: the customer is the same
//! in all of them.

use clientele_model::{ChangeKind, Fields, Time, Untranslatable, Verb};

/// What is dropped: the envelope's ids, times and attempt data, and the record as it was before.
pub(crate) const DROPPED: &[&str] =
    &["timestamp", "webhookMetadata", "payload.eventType", "payload.changeType", "payload.previousCustomer"];

/// What an event says of its customer: by its type, and for `customer_changed` by `changeType`. Nothing if it is about
/// something else, as a group's own changes are.
pub(crate) fn meaning(kind: &str, payload: Option<&mut Fields>) -> Result<Option<ChangeKind>, Untranslatable> {
    Ok(match kind {
        "customer.customer_created" => Some(ChangeKind::Snapshot(Verb::Created)),
        "customer.customer_updated" | "customer.customer_group_memberships_changed" => {
            Some(ChangeKind::Snapshot(Verb::Updated))
        }
        "customer.customer_changed" => {
            let verbs = [("ADDED", Verb::Created), ("UPDATED", Verb::Updated)];
            let verb = payload.and_then(|payload| payload.known_word("changeType", &verbs));
            Some(ChangeKind::Snapshot(verb.ok_or(Untranslatable::Missing("payload.changeType"))?))
        }
        "customer.customer_deleted" => Some(ChangeKind::Deletion),
        _ => None,
    })
}

/// Where the customer's record is. A delete has only the last one.
pub(crate) fn record_name(meaning: ChangeKind) -> &'static str {
    match meaning {
        ChangeKind::Snapshot(_) => "customer",
        ChangeKind::Deletion => "previousCustomer",
    }
}

/// The part of the envelope that every event about a customer has.
pub(crate) struct Envelope {
    pub(crate) event_id: String,
    pub(crate) workspace: Option<String>,
    /// When the event was raised: its sequence, and the time of a delete.
    pub(crate) raised: Option<Time>,
}

impl Envelope {
    pub(crate) fn take(body: &mut Fields) -> Result<Self, Untranslatable> {
        Ok(Self {
            event_id: body.id("id").ok_or(Untranslatable::Missing("id"))?,
            workspace: body.id("workspaceId"),
            raised: body.time("timestamp"),
        })
    }
}
