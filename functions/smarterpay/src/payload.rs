//! The envelope of SmarterPay's V2 webhooks: a batch of events of many kinds.

use clientele_model::{Fields, Untranslatable, Verb};
use serde_json::Value;

/// What is dropped: the envelope's ids and time, and what set the event off. (Events of other kinds are dropped whole.)
pub(crate) const DROPPED: &[&str] = &["id", "idempotency_key", "sent_at", "client.id", "events.event_source"];

/// A create or update without one of these is a part, which must not erase the rest.
pub(crate) const WHOLE: &[&str] =
    &["email", "first_name", "last_name", "billing_address_line_1", "status", "edited_at"];

/// The verb of a customer event; none for an event about something else. There is no delete.
pub(crate) fn verb(kind: &str) -> Option<Verb> {
    match kind {
        "customer_account.create" => Some(Verb::Created),
        "customer_account.update" => Some(Verb::Updated),
        _ => None,
    }
}

/// The events of a body, in their order. A V1 body, told by the missing `idempotency_key`, may have none.
pub(crate) fn events(body: &mut Fields) -> Result<Vec<Value>, Untranslatable> {
    let is_v1 = !body.contains("idempotency_key");
    let was_there = body.contains("events");
    match body.take_list("events") {
        Some(events) => Ok(events),
        None if body.contains("events") => Err(Untranslatable::WrongType("events")),
        // `null` is an empty list.
        None if was_there || is_v1 => Ok(vec![]),
        None => Err(Untranslatable::Missing("events")),
    }
}
