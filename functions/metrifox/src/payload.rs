//! The envelope of Metrifox' webhooks, and what must never leave it.

use clientele_model::{Fields, Meaning, Time, Untranslatable, Verb};
use serde_json::Value;

/// What is dropped: one-time passwords and edit tokens, the envelope's time, and the record as it was before.
pub(crate) const DROPPED: &[&str] = &["created_at", "data.changes", "data.customer.otp*", "data.customer.edit_token*"];

/// Names that begin like this are credentials.
const CREDENTIALS: [&str; 2] = ["otp", "edit_token"];

/// Removes credentials from every object of the payload, `data.changes` included. Only `metadata` is left alone: it
/// is the customer's own and may use any name.
pub(crate) fn redact(payload: &mut Value) {
    match payload {
        Value::Object(fields) => {
            let credential = |name: &str| {
                let start = |prefix: &str| name.get(..prefix.len()).is_some_and(|n| n.eq_ignore_ascii_case(prefix));
                CREDENTIALS.iter().any(|prefix| start(prefix))
            };
            fields.retain(|name, _| !credential(name));
            fields.iter_mut().filter(|(name, _)| *name != "metadata").for_each(|(_, value)| redact(value));
        }
        Value::Array(elements) => elements.iter_mut().for_each(redact),
        _ => {}
    }
}

/// What an event says of its customer; nothing if it is about something else. Decided by the type, never by
/// `deleted_at`, which updates may carry too.
pub(crate) fn meaning(kind: &str) -> Option<Meaning> {
    match kind {
        "customer.created" => Some(Meaning::Snapshot(Verb::Created)),
        "customer.updated" => Some(Meaning::Snapshot(Verb::Updated)),
        "customer.deleted" => Some(Meaning::Deletion),
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

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn credentials_are_removed_everywhere_but_in_metadata() {
        let mut payload = json!({"data": {
            "changes": {"otp": ["1", "2"], "edit_token": [null, "3"], "first_name": ["a", "b"]},
            "customer": {"OTP": "4", "otp_sent_at": "5", "edit_token_expires_at": "6", "option": 7,
                "contact_people": [{"otp": "8", "first_name": "c"}], "metadata": {"otp": "kept"}},
        }});
        redact(&mut payload);
        let left = json!({"data": {
            "changes": {"first_name": ["a", "b"]},
            "customer": {"option": 7, "contact_people": [{"first_name": "c"}], "metadata": {"otp": "kept"}},
        }});
        assert_eq!(payload, left);
    }
}
