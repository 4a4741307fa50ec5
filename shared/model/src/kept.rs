//! The message on the inbox and quarantine queues: a verified delivery that could not be applied yet.

use std::collections::HashSet;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::delivery::{BODY_BYTES_MAX, Proof, Verified};
use crate::json::{self, sqs_message};
use crate::provider::Provider;
use crate::redaction::CredentialFields;
use crate::schema_version::SCHEMA_VERSION;
use crate::time::Time;

#[cfg(feature = "schema")]
use schemars::JsonSchema;

/// The largest message that SQS accepts
/// (<https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SetQueueAttributes.html>). Every queue of
/// template.yaml is set to it.
pub const MESSAGE_BYTES_MAX: usize = 1_048_576;

/// What a message contains besides the body. API Gateway limits all headers together to 10,240 bytes, the reason has at
/// most 1,024 characters, and no character takes more than six bytes.
const ENVELOPE_BYTES_MAX: usize = 6 * (10_240 + 1_024) + 1_024;

// Each byte of a body takes at most two and a half bytes of the message: two where a quotation mark or a line break is
// escaped, five for two where the event `0,` of a batch becomes `null,`. Base64 takes four for three.
const _: () = assert!(BODY_BYTES_MAX * 5 / 2 + ENVELOPE_BYTES_MAX <= MESSAGE_BYTES_MAX);

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
    /// JSON text, or base64 of the bytes if they are not JSON. Absent if the body is omitted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
    /// Identifies a body that is omitted. Absent otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fingerprint: Option<Fingerprint>,
}

/// How the body of a kept delivery is encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum BodyEncoding {
    /// JSON text without the payload's credentials. If it had none, every byte is as it was sent.
    Json,
    /// Base64 of bytes that are not JSON, from a provider that sends no credentials.
    Base64,
    /// The body is not in the message. It is not JSON, so that credentials in it cannot be found, and its provider sends
    /// credentials.
    Omitted,
}

/// Identifies a body that is not kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Fingerprint {
    /// The length of the body in bytes.
    pub bytes: usize,
    /// The SHA-256 of the body in hexadecimal digits.
    pub sha256: String,
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
    /// The body was not kept, so the message can never be applied.
    #[error(
        "the body was not kept, because it is not JSON and may contain credentials: ask the provider to send it again"
    )]
    Omitted,
    /// The message says that the body is base64, but it is not.
    #[error("the body of the kept delivery is not base64")]
    NotBase64,
}

impl KeptDelivery {
    /// Keeps a delivery or a part of it. A body that is kept whole and has no credentials keeps every byte, because the
    /// bytes identify the event of a provider that sends no id. Of a provider that sends credentials, a body that is not
    /// JSON is omitted.
    #[must_use]
    pub fn new(provider: &Provider, verified: &Verified, reason: &str, part: KeptPart<'_>) -> Self {
        let (encoding, body, fingerprint) = match json::parse(verified.body()) {
            Some(payload) => (BodyEncoding::Json, Some(json_body(provider, verified.body(), payload, part)), None),
            None if provider.credential_fields == CredentialFields::NONE => {
                (BodyEncoding::Base64, Some(BASE64_STANDARD.encode(verified.body())), None)
            }
            None => (BodyEncoding::Omitted, None, Some(Fingerprint::of(verified.body()))),
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
            fingerprint,
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
    /// When the body was omitted, or is not in its encoding.
    pub fn into_verified(self) -> Result<Verified, KeptDeliveryError> {
        let body = match (self.encoding, self.body) {
            (BodyEncoding::Json, Some(text)) => text.into_bytes(),
            (BodyEncoding::Base64, Some(text)) => {
                BASE64_STANDARD.decode(text).map_err(|_| KeptDeliveryError::NotBase64)?
            }
            (BodyEncoding::Omitted, _) => return Err(KeptDeliveryError::Omitted),
            (BodyEncoding::Json | BodyEncoding::Base64, None) => return Err(KeptDeliveryError::NotKept),
        };
        // Which secret matched is no longer known, and is not used from here on.
        let proof = Proof { secret_index: 0, message_id: self.delivery_id, sent_at: self.sent_at.map(|Time(at)| at) };
        let Time(received_at) = self.received_at;
        Ok(Verified::new(body, proof, received_at, None))
    }
}

impl Fingerprint {
    fn of(body: &[u8]) -> Self {
        Self { bytes: body.len(), sha256: hex::encode(Sha256::digest(body)) }
    }
}

fn json_body(provider: &Provider, body: &[u8], mut payload: Value, part: KeptPart<'_>) -> String {
    let text = String::from_utf8_lossy(body);
    let mut is_changed = provider.credential_fields.remove_from_parsed(&text, &mut payload);
    let events = provider.response_rules.batch_field.and_then(|name| payload.get_mut(name)?.as_array_mut());
    if let (KeptPart::Events(places), Some(events)) = (part, events) {
        let places: HashSet<usize> = places.iter().copied().collect();
        let others = events.iter_mut().enumerate().filter(|(place, _)| !places.contains(place));
        for (_, event) in others {
            is_changed |= !event.is_null();
            *event = Value::Null;
        }
    }
    if is_changed { payload.to_string() } else { text.into_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::response::ResponseRules;
    use crate::scheme::{Scheme, TokenPlace};
    use jiff::Timestamp;
    use rstest::rstest;
    use serde_json::json;

    /// Sends credentials.
    const PROVIDER: Provider = Provider {
        name: "acme",
        scheme_variable: None,
        scheme: |_| Ok(Scheme::Token(TokenPlace::Path)),
        accepts_weak_secrets: false,
        response_rules: ResponseRules { rejected_status: 401, ignored_status: 200, batch_field: Some("events") },
        translate: |_| vec![],
        credential_fields: CredentialFields { name_prefixes: &["otp"], exempt_fields: &["metadata"] },
        dropped_paths: &[],
        known_extra: &[],
    };

    /// Sends no credentials.
    const OTHER: Provider = Provider { credential_fields: CredentialFields::NONE, ..PROVIDER };

    fn verified(body: &[u8]) -> Verified {
        let received_at = Timestamp::constant(1_795_176_000, 123_000_000);
        let proof = Proof { secret_index: 0, message_id: Some("msg_1".into()), sent_at: Some(received_at) };
        Verified::new(body.to_vec(), proof, received_at, None)
    }

    fn keep(provider: &Provider, body: &[u8], part: KeptPart<'_>) -> KeptDelivery {
        KeptDelivery::new(provider, &verified(body), "why", part)
    }

    fn there_and_back(provider: &Provider, body: &[u8], part: KeptPart<'_>) -> Vec<u8> {
        let before = verified(body);
        let kept = KeptDelivery::from_message(&keep(provider, body, part).to_message()).unwrap();
        assert_eq!((kept.provider.as_str(), kept.reason.as_str()), ("acme", "why"));
        let after = kept.into_verified().unwrap();
        assert_eq!((after.proof(), after.received_at()), (before.proof(), before.received_at()));
        after.body().to_vec()
    }

    #[rstest]
    #[case(br#" { "b": 1.00, "a" : "\u0041" } "#)]
    #[case(b"[]")]
    #[case("{\"a\":\"\u{fffe}\u{ffff}\"}".as_bytes())]
    #[case("\u{feff}{\"a\" : 1}".as_bytes())]
    #[case(br#"{"$serde_json::private::Number" : "x"}"#)]
    #[case(br#"{"a" : 1, "a" : 2}"#)]
    // The customer's own fields may have any name.
    #[case(br#"{ "metadata" : {"otp":"924117", "n": 1.0} }"#)]
    fn every_byte_of_json_without_credentials_is_kept(
        #[case] body: &[u8],
        #[values(PROVIDER, OTHER)] provider: Provider,
    ) {
        assert_eq!(there_and_back(&provider, body, KeptPart::Whole), body);
    }

    #[rstest]
    #[case(br#"{"otp":"924117","name":"Ada"}"#, br#"{"name":"Ada"}"#)]
    // The parser keeps only the last of two fields with the same name.
    #[case(br#"{"a":{"otp":"924117"},"a":{}}"#, br#"{"a":{}}"#)]
    #[case(br#"{"a":{"\u006ftp":"924117"},"a":{}}"#, br#"{"a":{}}"#)]
    #[case("\u{feff}{\"otp\":\"924117\"}".as_bytes(), b"{}")]
    // Encoded twice.
    #[case(br#""{\"id\":\"e1\",\"otp\":\"924117\"}""#, br#""{\"id\":\"e1\"}""#)]
    #[case(br#"{"a":{"$serde_json::private::Number":"x","otp":1}}"#, br#"{"a":{"$serde_json::private::Number":"x"}}"#)]
    fn credentials_are_not_kept(#[case] body: &[u8], #[case] kept: &[u8]) {
        let is = there_and_back(&PROVIDER, body, KeptPart::Whole);
        assert_eq!(String::from_utf8_lossy(&is), String::from_utf8_lossy(kept));
        assert_eq!(there_and_back(&OTHER, body, KeptPart::Whole), body);
    }

    /// It is unknown where a credential in such a body begins and ends.
    #[rstest]
    #[case(br#"{"name":"5" pipe","otp":"924117"}"#)]
    #[case(br#"{"name":"pipe,"otp":"924117","z":1}"#)]
    #[case("{\"id\":\"e1\",\u{201c}otp\u{201d}:\u{201c}924117\u{201d}}".as_bytes())]
    #[case(b"{'otp':'924117'}")]
    #[case(b"{otp:\"924117\"}")]
    #[case(br#"{"otp":"924117"} {"otp":"924117"}"#)]
    #[case(br#"{"otp":"924117","name":"Ada"#)]
    #[case(b"{\"otp\":\"924117\",\"x\":\"\xff\"}")]
    #[case(b"\xff\xfe{\0\"\0o\0t\0p\0\"\0:\0\"\09\x002\x004\x001\x001\x007\0\"\0}\0")]
    #[case(b"otp=924117&id=e1")]
    #[case(format!(r#"{}{{"otp":"924117"}}{}"#, "[".repeat(200), "]".repeat(200)))]
    #[case(b"not JSON")]
    #[case(b"")]
    fn a_body_that_is_not_json_is_omitted_if_it_may_have_credentials(#[case] body: impl AsRef<[u8]>) {
        let body = body.as_ref();
        let message = keep(&PROVIDER, body, KeptPart::Whole).to_message();
        let read: Value = serde_json::from_str(&message).unwrap();
        let expected = json!({
            "schema": 1, "provider": "acme", "reason": "why", "received_at": "2026-11-20T12:00:00.123Z",
            "delivery_id": "msg_1", "sent_at": "2026-11-20T12:00:00.123Z", "encoding": "omitted",
            "fingerprint": {"bytes": body.len(), "sha256": hex::encode(Sha256::digest(body))},
        });
        assert_eq!(read, expected);
        let kept = KeptDelivery::from_message(&message).unwrap();
        assert!(matches!(kept.into_verified(), Err(KeptDeliveryError::Omitted)));
        assert_eq!(there_and_back(&OTHER, body, KeptPart::Whole), body);
    }

    #[rstest]
    #[case(&[1], r#"{"events":[null,{"id":2},null],"id":"b"}"#)]
    #[case(&[0, 2], r#"{"events":[{"id":1},null,{"id":3}],"id":"b"}"#)]
    fn other_events_of_a_batch_are_not_kept(#[case] places: &[usize], #[case] kept: &str) {
        let body = br#"{"id":"b", "events":[{"id":1},{"id":2},{"id":3,"otp":"924117"}]}"#;
        assert_eq!(String::from_utf8(there_and_back(&PROVIDER, body, KeptPart::Events(places))).unwrap(), kept);
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
            body: Some("!".into()),
            ..keep(&OTHER, b"", KeptPart::Whole)
        };
        assert!(matches!(kept.clone().into_verified(), Err(KeptDeliveryError::NotBase64)));
        for encoding in [BodyEncoding::Json, BodyEncoding::Base64] {
            let kept = KeptDelivery { encoding, body: None, ..kept.clone() };
            assert!(matches!(kept.into_verified(), Err(KeptDeliveryError::NotKept)));
        }
    }

    #[test]
    fn debug_prints_nothing_of_the_body() {
        let kept = KeptDelivery::new(&PROVIDER, &verified(br#"{"name":"Ada"}"#), "why", KeptPart::Whole);
        assert!(!format!("{kept:?}").contains("Ada"));
        assert!(matches!(serde_json::from_str::<Value>(&kept.to_message()), Ok(Value::Object(_))));
    }
}
