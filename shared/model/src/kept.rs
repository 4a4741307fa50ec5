//! A verified delivery that could not become state yet: the message on the inbox and quarantine queues.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde::{Deserialize, Serialize};

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
    /// Base64 of the sender's bytes, which are no JSON.
    Base64,
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
    /// What to keep of a delivery. A body without secrets keeps every byte: a provider that sends no id is known by
    /// them.
    #[must_use]
    pub fn new(provider: &Provider, verified: &Verified, reason: &str) -> Self {
        let (encoding, body) = match (json::parse(verified.body()), std::str::from_utf8(verified.body())) {
            (Some(payload), text) => {
                let mut redacted = payload.clone();
                (provider.redact)(&mut redacted);
                let text = text.ok().filter(|_| redacted == payload);
                (Encoding::Json, text.map_or_else(|| redacted.to_string(), str::to_owned))
            }
            (None, _) => (Encoding::Base64, BASE64_STANDARD.encode(verified.body())),
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::answer::Dialect;
    use crate::signature::{Scheme, TokenPlace};
    use jiff::Timestamp;
    use rstest::rstest;
    use serde_json::Value;

    const PROVIDER: Provider = Provider {
        name: "acme",
        scheme_variable: None,
        scheme: |_| Ok(Scheme::Token(TokenPlace::Path)),
        dialect: Dialect { rejected_status: 401, ignored_status: 200, batches: false },
        translate: |_| vec![],
        redact: |payload| {
            payload.as_object_mut().and_then(|payload| payload.remove("otp"));
        },
        dropped: &[],
    };

    fn verified(body: &[u8]) -> Verified {
        let received_at = Timestamp::constant(1_795_176_000, 123_000_000);
        let proof = Proof { secret: 0, message_id: Some("msg_1".into()), sent_at: Some(received_at) };
        Verified { body: body.to_vec(), proof, received_at }
    }

    fn there_and_back(body: &[u8]) -> Vec<u8> {
        let before = verified(body);
        let kept = Kept::read(&Kept::new(&PROVIDER, &before, "why").message()).unwrap();
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

    #[test]
    fn a_secret_is_not_kept() {
        let body = there_and_back(br#"{"otp":"924117","name":"Ada"}"#);
        assert_eq!(body, br#"{"name":"Ada"}"#);
    }

    #[test]
    fn sqs_takes_the_message() {
        let message = Kept::new(&PROVIDER, &verified("\"\u{fffe}\u{ffff}\"".as_bytes()), "why").message();
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
        let kept = Kept { schema: 9, ..Kept::new(&PROVIDER, &verified(b"[]"), "why") };
        assert!(matches!(Kept::read(&kept.message()), Err(KeptError::Schema(9))));
        let kept = Kept { encoding: Encoding::Base64, body: "!".into(), ..Kept::new(&PROVIDER, &verified(b""), "") };
        assert!(matches!(kept.open(), Err(KeptError::NotBase64)));
    }

    #[test]
    fn nothing_of_it_is_printed() {
        let kept = Kept::new(&PROVIDER, &verified(br#"{"name":"Ada"}"#), "why");
        assert!(!format!("{kept:?}").contains("Ada"));
        assert!(matches!(serde_json::from_str::<Value>(&kept.message()), Ok(Value::Object(_))));
    }
}
