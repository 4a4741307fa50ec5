//! A verified delivery that could not become state yet: the message on the inbox and quarantine queues.

use std::borrow::Cow;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::SCHEMA;
use crate::delivery::{Proof, Verified};
use crate::item::sendable;
use crate::json;
use crate::provider::Provider;
use crate::time::Time;

#[cfg(feature = "schema")]
use schemars::JsonSchema;

/// A verified delivery, kept to be applied later. The secrets of its payload are removed already.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Kept {
    /// The version of this shape: 1.
    pub schema: u8,
    /// The provider's name.
    pub provider: String,
    /// Why it is kept.
    pub reason: String,
    /// When it arrived.
    pub received_at: Time,
    /// The signed id of the message, where the scheme has one.
    pub delivery_id: Option<String>,
    /// The signed time of the attempt, where the scheme has one.
    pub sent_at: Option<Time>,
    /// How `body` is written.
    pub encoding: Encoding,
    /// JSON text, or base64 of the bytes where they are no JSON.
    pub body: String,
}

/// How the body of a kept delivery is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Encoding {
    /// JSON text with the payload's secrets removed; byte for byte as it was sent where there was none.
    Json,
    /// Base64 of the sender's bytes, which are no JSON; without what looks like one of the payload's secrets.
    Base64,
}

/// What of a delivery is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part<'a> {
    /// All.
    Whole,
    /// Of a batch, the events in these places. They stay there, since the place is a part of the order; in the others
    /// stands `null`.
    Events(&'a [usize]),
}

crate::private::private_debug!(Kept);

/// The message on a queue is not one of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeptError {
    /// Not the JSON of this shape.
    #[error("the message is not a kept delivery")]
    NotKept,
    /// Of a shape that this release does not know.
    #[error("the kept delivery is of schema {0}")]
    Schema(u8),
    /// Said to be base64, and is not.
    #[error("the body of the kept delivery is not base64")]
    NotBase64,
}

impl Kept {
    /// What to keep of a delivery. A body that is kept whole and has no secrets keeps every byte: a provider that sends
    /// no id is known by them.
    #[must_use]
    pub fn new(provider: &Provider, verified: &Verified, reason: &str, part: Part<'_>) -> Self {
        let (encoding, body) = match json::parse(verified.body()) {
            Some(payload) => (Encoding::Json, json_body(provider, verified.body(), &payload, part)),
            None => (Encoding::Base64, BASE64_STANDARD.encode(without_credentials(provider, verified.body()))),
        };
        Self {
            schema: SCHEMA,
            provider: provider.name.to_owned(),
            reason: reason.to_owned(),
            received_at: Time::of_arrival(verified.received_at()),
            delivery_id: verified.proof().message_id.clone(),
            sent_at: verified.proof().sent_at.map(Time),
            encoding,
            body,
        }
    }

    /// The message, without the two characters that SQS takes in none.
    #[must_use]
    #[expect(clippy::expect_used, clippy::missing_panics_doc, reason = "a struct of strings always serializes")]
    pub fn message(&self) -> String {
        sendable(&serde_json::to_string(self).expect("a struct of strings"))
    }

    /// Reads a message.
    ///
    /// # Errors
    /// When it is none of ours, or of another schema.
    pub fn read(message: &str) -> Result<Self, KeptError> {
        let kept: Self = serde_json::from_str(message).map_err(|_| KeptError::NotKept)?;
        if kept.schema == SCHEMA { Ok(kept) } else { Err(KeptError::Schema(kept.schema)) }
    }

    /// The delivery again. That it was verified is known from where the message was: only functions send there.
    ///
    /// # Errors
    /// When the body is not in its encoding.
    pub fn open(self) -> Result<Verified, KeptError> {
        let body = match self.encoding {
            Encoding::Json => self.body.into_bytes(),
            Encoding::Base64 => BASE64_STANDARD.decode(&self.body).map_err(|_| KeptError::NotBase64)?,
        };
        // Which secret matched is no longer known, and nobody asks.
        let proof = Proof { secret: 0, message_id: self.delivery_id, sent_at: self.sent_at.map(|Time(at)| at) };
        let Time(received_at) = self.received_at;
        Ok(Verified { body, proof, received_at })
    }
}

fn json_body(provider: &Provider, body: &[u8], payload: &Value, part: Part<'_>) -> String {
    let mut kept = payload.clone();
    provider.credentials.remove_from(&mut kept);
    let events = provider.dialect.batch.and_then(|name| kept.get_mut(name)?.as_array_mut());
    if let (Part::Events(places), Some(events)) = (part, events) {
        let others = events.iter_mut().enumerate().filter(|(place, _)| !places.contains(place));
        others.for_each(|(_, event)| *event = Value::Null);
    }
    // Of fields of one name only the last is in the payload. The others are in the bytes.
    let is_clean = |text: &&str| kept == *payload && provider.credentials.blank_in(text) == **text;
    std::str::from_utf8(body).ok().filter(is_clean).map_or_else(|| kept.to_string(), str::to_owned)
}

/// Bytes that are no JSON, without what looks like a credential.
fn without_credentials<'a>(provider: &Provider, body: &'a [u8]) -> Cow<'a, [u8]> {
    let text = String::from_utf8_lossy(body);
    let blanked = provider.credentials.blank_in(&text);
    if blanked == text { Cow::Borrowed(body) } else { Cow::Owned(blanked.into_bytes()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::answer::Dialect;
    use crate::redact::Credentials;
    use crate::signature::{Scheme, TokenPlace};
    use jiff::Timestamp;
    use rstest::rstest;

    const PROVIDER: Provider = Provider {
        name: "acme",
        scheme_variable: None,
        scheme: |_| Ok(Scheme::Token(TokenPlace::Path)),
        dialect: Dialect { rejected_status: 401, ignored_status: 200, batch: Some("events") },
        translate: |_| vec![],
        credentials: Credentials { begin_like: &["otp"], except_in: &[] },
        dropped: &[],
    };

    fn verified(body: &[u8]) -> Verified {
        let received_at = Timestamp::constant(1_795_176_000, 123_000_000);
        let proof = Proof { secret: 0, message_id: Some("msg_1".into()), sent_at: Some(received_at) };
        Verified { body: body.to_vec(), proof, received_at }
    }

    fn there_and_back(body: &[u8]) -> Vec<u8> {
        part_there_and_back(body, Part::Whole)
    }

    fn part_there_and_back(body: &[u8], part: Part<'_>) -> Vec<u8> {
        let before = verified(body);
        let kept = Kept::read(&Kept::new(&PROVIDER, &before, "why", part).message()).unwrap();
        assert_eq!((kept.provider.as_str(), kept.reason.as_str()), ("acme", "why"));
        let after = kept.open().unwrap();
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
    fn without_a_secret_every_byte_is_kept(#[case] body: &[u8]) {
        assert_eq!(there_and_back(body), body);
    }

    #[rstest]
    #[case(br#"{"otp":"924117","name":"Ada"}"#, br#"{"name":"Ada"}"#)]
    // Of two fields of one name the parser keeps the last.
    #[case(br#"{"a":{"otp":"924117"},"a":{}}"#, br#"{"a":{}}"#)]
    // Cut off: no JSON.
    #[case(br#"{"otp":"924117","name":"Ada"#, br#"{"otp":null,"name":"Ada"#)]
    #[case(b"{\"otp\":\"924117\",\"x\":\"\xff\"", "{\"otp\":null,\"x\":\"\u{fffd}\"".as_bytes())]
    fn a_secret_is_not_kept(#[case] body: &[u8], #[case] kept: &[u8]) {
        assert_eq!(String::from_utf8_lossy(&there_and_back(body)), String::from_utf8_lossy(kept));
    }

    #[test]
    fn a_secret_too_deep_to_be_read_is_not_kept() {
        let body = format!(r#"{}{{"otp":"924117"}}{}"#, "[".repeat(200), "]".repeat(200));
        let kept = String::from_utf8(there_and_back(body.as_bytes())).unwrap();
        assert_eq!(kept, body.replace(r#""924117""#, "null"));
    }

    #[rstest]
    #[case(&[1], r#"{"events":[null,{"id":2},null],"id":"b"}"#)]
    #[case(&[0, 2], r#"{"events":[{"id":1},null,{"id":3}],"id":"b"}"#)]
    fn of_a_batch_the_others_are_not_kept(#[case] places: &[usize], #[case] kept: &str) {
        let body = br#"{"id":"b", "events":[{"id":1},{"id":2},{"id":3,"otp":"924117"}]}"#;
        assert_eq!(String::from_utf8(part_there_and_back(body, Part::Events(places))).unwrap(), kept);
    }

    #[test]
    fn sqs_takes_the_message() {
        let message = Kept::new(&PROVIDER, &verified("\"\u{fffe}\u{ffff}\"".as_bytes()), "why", Part::Whole).message();
        assert!(!message.contains(['\u{fffe}', '\u{ffff}']));
    }

    #[rstest]
    #[case("", KeptError::NotKept)]
    #[case("{}", KeptError::NotKept)]
    #[case(r#"{"cleanup_id":"plain#w#c"}"#, KeptError::NotKept)]
    fn what_is_none_of_ours_is_told(#[case] message: &str, #[case] error: KeptError) {
        assert!(matches!(Kept::read(message), Err(is) if is == error));
    }

    #[test]
    fn another_schema_is_told() {
        let kept = Kept { schema: 9, ..Kept::new(&PROVIDER, &verified(b"[]"), "why", Part::Whole) };
        assert!(matches!(Kept::read(&kept.message()), Err(KeptError::Schema(9))));
        let kept = Kept {
            encoding: Encoding::Base64,
            body: "!".into(),
            ..Kept::new(&PROVIDER, &verified(b""), "", Part::Whole)
        };
        assert!(matches!(kept.open(), Err(KeptError::NotBase64)));
    }

    #[test]
    fn nothing_of_it_is_printed() {
        let kept = Kept::new(&PROVIDER, &verified(br#"{"name":"Ada"}"#), "why", Part::Whole);
        assert!(!format!("{kept:?}").contains("Ada"));
        assert!(matches!(serde_json::from_str::<Value>(&kept.message()), Ok(Value::Object(_))));
    }
}
