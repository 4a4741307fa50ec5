//! The envelope of Plain's webhooks. The version of the webhook target may be absent or any: the customer is the same
//! in all of them.

use clientele_model::{Fields, Meaning, Time, Untranslatable, Verb};
use serde_json::Value;

/// What is dropped: the envelope's ids, times and attempt data, and the record as it was before.
pub(crate) const DROPPED: &[&str] =
    &["timestamp", "webhookMetadata", "payload.eventType", "payload.changeType", "payload.previousCustomer"];

/// Plain puts no secret into a body.
pub(crate) fn redact(_payload: &mut Value) {}

/// Whether events of that type are about a customer. A group's own changes are not.
pub(crate) fn is_about_a_customer(kind: &str) -> bool {
    matches!(
        kind,
        "customer.customer_created"
            | "customer.customer_updated"
            | "customer.customer_changed"
            | "customer.customer_group_memberships_changed"
            | "customer.customer_deleted"
    )
}

/// What an event says of its customer: by its type, and for `customer_changed` by `changeType`.
pub(crate) fn meaning(kind: &str, payload: &mut Fields) -> Result<Meaning, Untranslatable> {
    match kind {
        "customer.customer_created" => Ok(Meaning::Snapshot(Verb::Created)),
        "customer.customer_deleted" => Ok(Meaning::Deletion),
        "customer.customer_changed" => {
            let verbs = [("ADDED", Verb::Created), ("UPDATED", Verb::Updated)];
            let verb = payload.word("changeType", &verbs);
            verb.map(Meaning::Snapshot).ok_or(Untranslatable::Missing("payload.changeType"))
        }
        _ => Ok(Meaning::Snapshot(Verb::Updated)),
    }
}

/// Where the customer's record is. A delete has only the last one.
pub(crate) fn record_name(meaning: Meaning) -> &'static str {
    match meaning {
        Meaning::Snapshot(_) => "customer",
        Meaning::Deletion => "previousCustomer",
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
