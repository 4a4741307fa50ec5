//! The envelope of Metrifox's webhooks, and the lists of its fields.

use clientele_model::{
    ChangeKind, CredentialFields, EventFamily, EventTime, Fields, Id, Untranslatable, Verb, Verified,
};

/// The fields that are not stored: one-time passwords, edit tokens, the envelope's time and the previous record.
pub(crate) const DROPPED: &[&str] = &["created_at", "data.changes", "data.customer.otp*", "data.customer.edit_token*"];

/// The fields without a place in the common model. `customer_type` and `tax_status` may be undocumented numbers.
pub(crate) const KNOWN_EXTRA: &[&str] = &[
    "billing_configuration",
    "customer_type",
    "deleted_at",
    "mid_cycle_invoice_consolidation",
    "payment_terms",
    "tax_status",
    "verified_at",
];

/// One-time passwords and edit tokens are also in `data.changes`. The customer chooses the names inside `metadata`.
pub(crate) const CREDENTIALS: CredentialFields =
    CredentialFields { name_prefixes: &["otp", "edit_token"], exempt_fields: &["metadata"] };

/// The fields that a complete record has. A create or update without them would erase the others.
pub(crate) const REQUIRED: &[&str] = &["updated_at"];

/// A complete record also has one of these. Older deliveries have only `email`.
pub(crate) const REQUIRED_EMAIL: &[&str] = &["email_addresses", "primary_email", "email"];

/// The customer's account.
pub(crate) fn account(record: &mut Fields) -> Result<Id, Untranslatable> {
    record.required("tenant_id", Fields::key_part)
}

/// The types of events about customers.
pub(crate) const FAMILY: EventFamily = EventFamily { prefix: "customer.", ignored: &[] };

/// How an event of that type changes its customer, or `None` if it changes no customer. `deleted_at` does not
/// decide, because updates may have it too.
pub(crate) fn change_kind(kind: &str) -> Option<ChangeKind> {
    match kind {
        "customer.created" => Some(ChangeKind::Snapshot(Verb::Created)),
        "customer.updated" => Some(ChangeKind::Snapshot(Verb::Updated)),
        "customer.deleted" => Some(ChangeKind::Deletion),
        _ => None,
    }
}

/// The fields of the envelope that every event about a customer has.
pub(crate) struct Envelope {
    pub(crate) event_id: String,
    /// When the event was raised.
    pub(crate) raised: Result<EventTime, Untranslatable>,
}

impl Envelope {
    pub(crate) fn take(body: &mut Fields, verified: &Verified) -> Result<Self, Untranslatable> {
        let raised = body.event_time("created_at", Fields::time_ms, verified.received_at());
        Ok(Self { event_id: body.required("id", Fields::id)?, raised })
    }
}
