//! A verified delivery that could not become state yet: the message on the inbox and quarantine queues.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde::{Deserialize, Serialize};

use crate::SCHEMA;
use crate::delivery::Verified;
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
    /// JSON text with the payload's secrets removed.
    Json,
    /// Base64 of the sender's bytes, which are no JSON.
    Base64,
}

crate::private::private_debug!(Kept);

impl Kept {
    /// What to keep of a delivery.
    #[must_use]
    pub fn new(provider: &Provider, verified: &Verified, reason: &str) -> Self {
        let (encoding, body) = match json::parse(verified.body()) {
            Some(mut payload) => {
                (provider.redact)(&mut payload);
                (Encoding::Json, payload.to_string())
            }
            None => (Encoding::Base64, BASE64_STANDARD.encode(verified.body())),
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
}
