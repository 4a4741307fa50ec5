//! The envelope of SmarterPay's V2 webhooks, and the lists of its fields. A delivery is a batch of events of many
//! types.

use clientele_model::{CredentialFields, EventFamily, Fields, Id, Untranslatable, Verb};
use serde_json::Value;

/// The fields that are not stored: ids and time of the envelope, and the source of an event.
pub(crate) const DROPPED: &[&str] = &["id", "idempotency_key", "sent_at", "client.id", "events.event_source"];

/// The fields without a place in the common model, and `status`, which may be an undocumented word.
pub(crate) const KNOWN_EXTRA: &[&str] = &["legacy_id", "status"];

/// SmarterPay sends no credentials.
pub(crate) const CREDENTIALS: CredentialFields = CredentialFields::NONE;

/// The fields that a complete record has. A create or update without them would erase the others.
pub(crate) const REQUIRED: &[&str] =
    &["email", "first_name", "last_name", "billing_address_line_1", "status", "edited_at"];

/// The customer's account, if the batch or event names one. An account that cannot be read is not replaced by another.
pub(crate) fn account(fields: &mut Fields) -> Result<Option<Id>, Untranslatable> {
    let is_present = fields.has_value("client");
    let id = |client: &mut Fields| {
        let is_present = client.has_value("id");
        match client.required("client.id", Fields::key_part) {
            Err(_) if !is_present => Ok(None),
            id => id.map(Some),
        }
    };
    match fields.object("client", id) {
        Some(id) => id,
        None if is_present => Err(Untranslatable::Unreadable("client")),
        None => Ok(None),
    }
}

/// The types of events about customers.
pub(crate) const FAMILY: EventFamily = EventFamily { prefix: "customer_account.", ignored: &[] };

/// The verb of an event of that type, or `None` if it changes no customer. SmarterPay sends no deletes.
pub(crate) fn verb(kind: &str) -> Option<Verb> {
    match kind {
        "customer_account.create" => Some(Verb::Created),
        "customer_account.update" => Some(Verb::Updated),
        _ => None,
    }
}

/// The events of a body, in their order. There may be none, or `null`, but only in the envelope of V2.
pub(crate) fn events(body: &mut Fields) -> Result<Vec<Value>, Untranslatable> {
    let is_null = body.contains("events") && !body.has_value("events");
    let events = if is_null { vec![] } else { body.required("events", Fields::take_list)? };
    if events.is_empty() && !is_v2(body) { Err(Untranslatable::Missing("idempotency_key")) } else { Ok(events) }
}

/// Whether a body is an envelope of V2.
pub(crate) fn is_v2(body: &Fields) -> bool {
    body.contains("idempotency_key")
}

/// Whether it is an event of V1 (<https://wiki.smarterpay.com/smarterpaycloud/webhooks/v1/customeraccount>), in which
/// `resource_type` is never empty.
pub(crate) fn is_v1_event(fields: &mut Fields) -> bool {
    !fields.contains("event_type") && fields.text("resource_type").is_some()
}
