//! The message on the inbox and quarantine queues: a verified delivery that could not be applied yet.

use std::borrow::Cow;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::delivery::{Proof, Verified};
use crate::json::{self, sqs_message};
use crate::provider::Provider;
use crate::schema_version::SCHEMA_VERSION;
use crate::time::Time;

#[cfg(feature = "schema")]
use schemars::JsonSchema;

/// A verified delivery that is kept so that it can be applied later. Its payload contains no credentials.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct KeptDelivery {
    /// The version of this schema: 1.
    pub schema: u8,
    /// The provider's name.
    pub provider: String,
    /// Why the delivery is kept.
    pub reason: String,
    /// When the delivery arrived.
    pub received_at: Time,
    /// The signed id of the message, where the scheme has one.
    pub delivery_id: Option<String>,
    /// The signed time of the attempt, where the scheme has one.
    pub sent_at: Option<Time>,
    /// How `body` is encoded.
    pub encoding: BodyEncoding,
    /// JSON text, or base64 of the bytes if they are not JSON.
    pub body: String,
}

/// How the body of a kept delivery is encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum BodyEncoding {
    /// JSON text without the payload's credentials. If it had none, every byte is as it was sent.
    Json,
    /// Base64 of bytes that are not JSON. What looks like one of the payload's credentials is removed.
    Base64,
}

/// Which part of a delivery is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeptPart<'a> {
    /// The whole delivery.
    Whole,
    /// The events in these places of a batch. The other events become `null`, so that all keep their places, which are
    /// part of the order.
    Events(&'a [usize]),
}

redacted_debug!(KeptDelivery);

/// Why a message on a queue is not a kept delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeptDeliveryError {
    /// The message is not JSON of this schema.
    #[error("the message is not a kept delivery")]
    NotKept,
    /// The message is of a schema version that this release does not know.
    #[error("the kept delivery is of schema {0}")]
    Schema(u8),
    /// The message says that the body is base64, but it is not.
    #[error("the body of the kept delivery is not base64")]
    NotBase64,
}

impl KeptDelivery {
    /// Keeps a delivery or a part of it. A body that is kept whole and has no credentials keeps every byte, because the
    /// bytes identify the event of a provider that sends no id.
    #[must_use]
    pub fn new(provider: &Provider, verified: &Verified, reason: &str, part: KeptPart<'_>) -> Self {
        let (encoding, body) = match json::parse(verified.body()) {
            Some(payload) => (BodyEncoding::Json, json_body(provider, verified.body(), &payload, part)),
            None => (BodyEncoding::Base64, BASE64_STANDARD.encode(without_credentials(provider, verified.body()))),
        };
        Self {
            schema: SCHEMA_VERSION,
            provider: provider.name.to_owned(),
            reason: reason.to_owned(),
            received_at: Time::in_milliseconds(verified.received_at()),
            delivery_id: verified.proof().message_id.clone(),
            sent_at: verified.proof().sent_at.map(Time),
            encoding,
            body,
        }
    }

    /// The message for a queue.
    #[must_use]
    pub fn to_message(&self) -> String {
        sqs_message(self)
    }

    /// Reads a message from a queue.
    ///
    /// # Errors
    /// When it is not a kept delivery, or of another schema version.
    pub fn from_message(message: &str) -> Result<Self, KeptDeliveryError> {
        let kept: Self = serde_json::from_str(message).map_err(|_| KeptDeliveryError::NotKept)?;
        if kept.schema == SCHEMA_VERSION { Ok(kept) } else { Err(KeptDeliveryError::Schema(kept.schema)) }
    }

    /// The verified delivery. It is not verified again, because only functions and operators may send to the queues.
    ///
    /// # Errors
    /// When the body is not in its encoding.
    pub fn into_verified(self) -> Result<Verified, KeptDeliveryError> {
        let body = match self.encoding {
            BodyEncoding::Json => self.body.into_bytes(),
            BodyEncoding::Base64 => BASE64_STANDARD.decode(&self.body).map_err(|_| KeptDeliveryError::NotBase64)?,
        };
        // Which secret matched is no longer known, and is not used from here on.
        let proof = Proof { secret_index: 0, message_id: self.delivery_id, sent_at: self.sent_at.map(|Time(at)| at) };
        let Time(received_at) = self.received_at;
        Ok(Verified { body, proof, received_at })
    }
}

fn json_body(provider: &Provider, body: &[u8], payload: &Value, part: KeptPart<'_>) -> String {
    let mut kept = payload.clone();
    provider.credential_fields.remove_from(&mut kept);
    let events = provider.response_rules.batch_field.and_then(|name| kept.get_mut(name)?.as_array_mut());
    if let (KeptPart::Events(places), Some(events)) = (part, events) {
        let others = events.iter_mut().enumerate().filter(|(place, _)| !places.contains(place));
        others.for_each(|(_, event)| *event = Value::Null);
    }
    // If a field name occurs twice, only the last value is in `payload`. The bytes also contain the others.
    let is_clean = |text: &&str| kept == *payload && provider.credential_fields.replace_in(text) == **text;
    std::str::from_utf8(body).ok().filter(is_clean).map_or_else(|| kept.to_string(), str::to_owned)
}

/// Bytes that are not JSON, without what looks like a credential.
fn without_credentials<'a>(provider: &Provider, body: &'a [u8]) -> Cow<'a, [u8]> {
    let text = String::from_utf8_lossy(body);
    let redacted = provider.credential_fields.replace_in(&text);
    if redacted == text { Cow::Borrowed(body) } else { Cow::Owned(redacted.into_bytes()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::redaction::CredentialFields;
    use crate::response::ResponseRules;
    use crate::scheme::{Scheme, TokenPlace};
    use jiff::Timestamp;
    use rstest::rstest;

    const PROVIDER: Provider = Provider {
        name: "acme",
        scheme_variable: None,
        scheme: |_| Ok(Scheme::Token(TokenPlace::Path)),
        accepts_weak_secrets: false,
        response_rules: ResponseRules { rejected_status: 401, ignored_status: 200, batch_field: Some("events") },
        translate: |_| vec![],
        credential_fields: CredentialFields { name_prefixes: &["otp"], exempt_fields: &[] },
        dropped_paths: &[],
    };

    fn verified(body: &[u8]) -> Verified {
        let received_at = Timestamp::constant(1_795_176_000, 123_000_000);
        let proof = Proof { secret_index: 0, message_id: Some("msg_1".into()), sent_at: Some(received_at) };
        Verified { body: body.to_vec(), proof, received_at }
    }

    fn there_and_back(body: &[u8]) -> Vec<u8> {
        part_there_and_back(body, KeptPart::Whole)
    }

    fn part_there_and_back(body: &[u8], part: KeptPart<'_>) -> Vec<u8> {
        let before = verified(body);
        let kept =
            KeptDelivery::from_message(&KeptDelivery::new(&PROVIDER, &before, "why", part).to_message()).unwrap();
        assert_eq!((kept.provider.as_str(), kept.reason.as_str()), ("acme", "why"));
        let after = kept.into_verified().unwrap();
        assert_eq!((after.proof(), after.received_at()), (before.proof(), before.received_at()));
        after.body().to_vec()
    }

    #[rstest]
    #[case(br#" { "b": 1.00, "a" : "\u0041" } "#)]
    #[case(b"[]")]
    #[case(b"not JSON")]
    #[case(b"\xff\x00")]
    #[case(b"")]
    #[case("{\"a\":\"\u{fffe}\u{ffff}\"}".as_bytes())]
    fn every_byte_is_kept_without_credentials(#[case] body: &[u8]) {
        assert_eq!(there_and_back(body), body);
    }

    #[rstest]
    #[case(br#"{"otp":"924117","name":"Ada"}"#, br#"{"name":"Ada"}"#)]
    // The parser keeps only the last of two fields with the same name.
    #[case(br#"{"a":{"otp":"924117"},"a":{}}"#, br#"{"a":{}}"#)]
    // Truncated, so it is not JSON.
    #[case(br#"{"otp":"924117","name":"Ada"#, br#"{"otp":null,"name":"Ada"#)]
    #[case(b"{\"otp\":\"924117\",\"x\":\"\xff\"", "{\"otp\":null,\"x\":\"\u{fffd}\"".as_bytes())]
    fn credentials_are_not_kept(#[case] body: &[u8], #[case] kept: &[u8]) {
        assert_eq!(String::from_utf8_lossy(&there_and_back(body)), String::from_utf8_lossy(kept));
    }

    #[test]
    fn credentials_nested_too_deeply_to_parse_are_not_kept() {
        let body = format!(r#"{}{{"otp":"924117"}}{}"#, "[".repeat(200), "]".repeat(200));
        let kept = String::from_utf8(there_and_back(body.as_bytes())).unwrap();
        assert_eq!(kept, body.replace(r#""924117""#, "null"));
    }

    #[rstest]
    #[case(&[1], r#"{"events":[null,{"id":2},null],"id":"b"}"#)]
    #[case(&[0, 2], r#"{"events":[{"id":1},null,{"id":3}],"id":"b"}"#)]
    fn other_events_of_a_batch_are_not_kept(#[case] places: &[usize], #[case] kept: &str) {
        let body = br#"{"id":"b", "events":[{"id":1},{"id":2},{"id":3,"otp":"924117"}]}"#;
        assert_eq!(String::from_utf8(part_there_and_back(body, KeptPart::Events(places))).unwrap(), kept);
    }

    #[test]
    fn sqs_accepts_the_message() {
        let message =
            KeptDelivery::new(&PROVIDER, &verified("\"\u{fffe}\u{ffff}\"".as_bytes()), "why", KeptPart::Whole)
                .to_message();
        assert!(!message.contains(['\u{fffe}', '\u{ffff}']));
    }

    #[rstest]
    #[case("", KeptDeliveryError::NotKept)]
    #[case("{}", KeptDeliveryError::NotKept)]
    #[case(r#"{"cleanup_id":"plain#w#c"}"#, KeptDeliveryError::NotKept)]
    fn other_messages_are_refused(#[case] message: &str, #[case] error: KeptDeliveryError) {
        assert!(matches!(KeptDelivery::from_message(message), Err(is) if is == error));
    }

    #[test]
    fn other_schema_versions_and_encodings_are_refused() {
        let kept = KeptDelivery { schema: 9, ..KeptDelivery::new(&PROVIDER, &verified(b"[]"), "why", KeptPart::Whole) };
        assert!(matches!(KeptDelivery::from_message(&kept.to_message()), Err(KeptDeliveryError::Schema(9))));
        let kept = KeptDelivery {
            encoding: BodyEncoding::Base64,
            body: "!".into(),
            ..KeptDelivery::new(&PROVIDER, &verified(b""), "", KeptPart::Whole)
        };
        assert!(matches!(kept.into_verified(), Err(KeptDeliveryError::NotBase64)));
    }

    #[test]
    fn debug_prints_nothing_of_the_body() {
        let kept = KeptDelivery::new(&PROVIDER, &verified(br#"{"name":"Ada"}"#), "why", KeptPart::Whole);
        assert!(!format!("{kept:?}").contains("Ada"));
        assert!(matches!(serde_json::from_str::<Value>(&kept.to_message()), Ok(Value::Object(_))));
    }
}
