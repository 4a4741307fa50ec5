//! The envelope of Plain's webhooks, and the lists of its fields. Webhook targets have versions; the customer is the
//! same in all of them.

use clientele_model::{
    ChangeKind, CredentialFields, EventFamily, EventTime, Fields, Id, Untranslatable, Verb, Verified,
};

/// The fields that are not stored: ids and times of the envelope, data about the attempt, and the previous record.
pub(crate) const DROPPED: &[&str] =
    &["timestamp", "webhookMetadata", "payload.eventType", "payload.changeType", "payload.previousCustomer"];

/// A membership of a group has more fields than the common model.
pub(crate) const KNOWN_EXTRA: &[&str] = &["customerGroupMemberships"];

/// Plain sends no credentials.
pub(crate) const CREDENTIALS: CredentialFields = CredentialFields::NONE;

/// The fields that a complete record has. A create or update without them would erase the others.
pub(crate) const REQUIRED: &[&str] = &["email", "fullName", "updatedAt"];

/// The customer's account.
pub(crate) fn account(body: &mut Fields) -> Result<Id, Untranslatable> {
    body.required("workspaceId", Fields::key_part)
}

/// The types of events about customers. One of them is about a group of customers.
pub(crate) const FAMILY: EventFamily =
    EventFamily { prefix: "customer.", ignored: &["customer.customer_group_changed"] };

/// The types of events that together report every change of a customer.
pub(crate) const REQUIRED_EVENT_TYPES: &[&str] = &[
    "customer.customer_created",
    "customer.customer_updated",
    "customer.customer_group_memberships_changed",
    "customer.customer_deleted",
];

/// A type of event that reports the same as the types in [`REPEATED_BY_CUSTOMER_CHANGED`].
pub(crate) const CUSTOMER_CHANGED: &str = "customer.customer_changed";
pub(crate) const REPEATED_BY_CUSTOMER_CHANGED: &[&str] = &["customer.customer_created", "customer.customer_updated"];

/// How an event of that type changes its customer, or `None` if it changes no customer. For the type
/// `customer_changed`, `changeType` in the payload decides.
pub(crate) fn change_kind(
    kind: &str,
    payload: &mut Result<Fields, Untranslatable>,
) -> Result<Option<ChangeKind>, Untranslatable> {
    Ok(match kind {
        "customer.customer_created" => Some(ChangeKind::Snapshot(Verb::Created)),
        "customer.customer_updated" | "customer.customer_group_memberships_changed" => {
            Some(ChangeKind::Snapshot(Verb::Updated))
        }
        CUSTOMER_CHANGED => {
            let verbs = [("ADDED", Verb::Created), ("UPDATED", Verb::Updated)];
            let payload = payload.as_mut().map_err(|error| *error)?;
            let verb = payload.required("payload.changeType", |payload, name| payload.known_word(name, &verbs))?;
            Some(ChangeKind::Snapshot(verb))
        }
        "customer.customer_deleted" => Some(ChangeKind::Deletion),
        _ => None,
    })
}

/// Where the body has the customer's record. A delete has only the previous record.
pub(crate) fn record_path(change: ChangeKind) -> &'static str {
    match change {
        ChangeKind::Snapshot(_) => "payload.customer",
        ChangeKind::Deletion => "payload.previousCustomer",
    }
}

/// The fields of the envelope that every event about a customer has.
pub(crate) struct Envelope {
    pub(crate) event_id: String,
    /// When the event was raised: its sequence, and the time of a delete.
    pub(crate) raised: Result<EventTime, Untranslatable>,
}

impl Envelope {
    pub(crate) fn take(body: &mut Fields, verified: &Verified) -> Result<Self, Untranslatable> {
        let raised = body.event_time("timestamp", Fields::time, verified.received_at());
        Ok(Self { event_id: body.required("id", Fields::id)?, raised })
    }
}
