//! Decides whether a delivery is authentic. This is the only place that does; a provider only describes its [`Scheme`].
//!
//! Every configured secret is tried against every signature in the delivery, and compared in constant time. Only an
//! authentic delivery is checked for its age. Without a configured secret every delivery is rejected.

use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use jiff::Timestamp;
use serde_json::Value;
use sha2::Sha256;

use crate::delivery::{Delivery, Proof, Verified};
use crate::json;
use crate::rejection::Rejection;
use crate::scheme::{Scheme, SignatureEncoding, SignedTime, TokenPlace};
use crate::secrets::Secrets;

/// A rejected delivery. It can be verified again with newer secrets.
#[derive(Debug)]
pub struct RejectedDelivery<'a> {
    /// Why it was rejected.
    pub reason: Rejection,
    /// The delivery, whose bytes still cannot be read.
    pub delivery: Delivery<'a>,
}

/// Verifies that a delivery's proof matches one of `secrets` and that it was sent within `tolerance` of `now`
/// (inclusive).
///
/// # Errors
/// Returns the delivery with the reason for its rejection.
pub fn verify<'a>(
    delivery: Delivery<'a>,
    scheme: &Scheme,
    secrets: &Secrets,
    now: Timestamp,
    tolerance: Duration,
) -> Result<Verified, Box<RejectedDelivery<'a>>> {
    match prove(&delivery, scheme, secrets).and_then(|authentic| check_age(authentic, now, tolerance)) {
        Ok(Authentic { proof, parsed }) => Ok(Verified::new(delivery.body, proof, now, parsed)),
        Err(reason) => Err(Box::new(RejectedDelivery { reason, delivery })),
    }
}

/// What is known of an authentic delivery.
struct Authentic {
    proof: Proof,
    /// The body as JSON, if it had to be parsed.
    parsed: Option<Value>,
}

impl From<Proof> for Authentic {
    fn from(proof: Proof) -> Self {
        Self { proof, parsed: None }
    }
}

/// Checks that the delivery is authentic, whatever its age.
fn prove(delivery: &Delivery<'_>, scheme: &Scheme, secrets: &Secrets) -> Result<Authentic, Rejection> {
    if secrets.is_empty() {
        return Err(Rejection::NoSecret);
    }
    match scheme {
        Scheme::Hmac { header, encoding, signed_time } => {
            let signature = decode(single_header(delivery, header)?, *encoding).ok_or(Rejection::ProofMalformed)?;
            let secret_index = secret_that_signed(secrets, &[&delivery.body], &[signature])?;
            let (sent_at, parsed) = match signed_time {
                SignedTime::None => (None, None),
                SignedTime::InBody(path) => {
                    let (time, parsed) = time_in_body(&delivery.body, path)?;
                    (Some(time), parsed)
                }
            };
            Ok(Authentic { proof: Proof { secret_index, message_id: None, sent_at }, parsed })
        }
        Scheme::Svix => prove_svix(delivery, secrets),
        Scheme::Token(TokenPlace::Path) => {
            let token = delivery.token.as_deref().filter(|token| !token.is_empty()).ok_or(Rejection::ProofMissing)?;
            prove_by_secret_itself(secrets, token.as_bytes())
        }
        Scheme::Token(TokenPlace::Header(header)) => {
            prove_by_secret_itself(secrets, single_header(delivery, header)?.as_bytes())
        }
        Scheme::Basic => {
            let header = single_header(delivery, "authorization")?;
            let (kind, credentials) = header.split_once(' ').ok_or(Rejection::ProofMalformed)?;
            let credentials = kind.eq_ignore_ascii_case("basic").then(|| BASE64_STANDARD.decode(credentials.trim()));
            prove_by_secret_itself(secrets, &credentials.and_then(Result::ok).ok_or(Rejection::ProofMalformed)?)
        }
    }
}

/// The time at a path of field names, and the body as JSON. Of a body that cannot be parsed, for example because it is
/// nested too deeply, only the time is read: the delivery is authentic, and is kept for an operator.
fn time_in_body(body: &[u8], path: &[&str]) -> Result<(Timestamp, Option<Value>), Rejection> {
    let parsed = json::parse(body);
    let time = match &parsed {
        Some(body) => path.iter().try_fold(body, |value, name| value.get(name)).and_then(Value::as_str).map(str::parse),
        None => json::text_at(body, path).map(|text| text.parse()),
    };
    Ok((time.and_then(Result::ok).ok_or(Rejection::TimeUnreadable)?, parsed))
}

fn prove_svix(delivery: &Delivery<'_>, secrets: &Secrets) -> Result<Authentic, Rejection> {
    // All headers must be of one family. If they could be mixed, two readers could take different parts as signed.
    let branded = ["svix-id", "svix-timestamp", "svix-signature"];
    let unbranded = ["webhook-id", "webhook-timestamp", "webhook-signature"];
    let is_branded = branded.iter().any(|name| delivery.header(name).next().is_some());
    let names = if is_branded { branded } else { unbranded };
    let [id, timestamp, signatures] = names.map(|name| single_header(delivery, name));
    let (id, timestamp, signatures) = (id?, timestamp?, signatures?);
    // A dot separates the signed parts. If the id could contain one, two different messages could have one signature.
    if id.contains('.') {
        return Err(Rejection::ProofMalformed);
    }
    let signatures: Vec<_> = signatures
        .split(' ')
        .filter_map(|signature| decode(signature.strip_prefix("v1,")?, SignatureEncoding::Base64))
        .collect();
    if signatures.is_empty() {
        return Err(Rejection::ProofMalformed);
    }
    let signed = [id.as_bytes(), b".", timestamp.as_bytes(), b".", &delivery.body];
    let secret_index = secret_that_signed(secrets, &signed, &signatures)?;
    let seconds = timestamp.parse().map_err(|_| Rejection::TimeUnreadable)?;
    let sent_at = Timestamp::from_second(seconds).map_err(|_| Rejection::TimeUnreadable)?;
    Ok(Proof { secret_index, message_id: Some(id.to_owned()), sent_at: Some(sent_at) }.into())
}

/// The value of a header that must come exactly once. (A gateway may join repeated headers with commas, but the joined
/// value is not a valid proof in any scheme.)
fn single_header<'a>(delivery: &'a Delivery<'_>, name: &'a str) -> Result<&'a str, Rejection> {
    let mut values = delivery.header(name);
    let value = values.next().filter(|value| !value.is_empty()).ok_or(Rejection::ProofMissing)?;
    if values.next().is_some() { Err(Rejection::ProofRepeated) } else { Ok(value) }
}

fn decode(signature: &str, encoding: SignatureEncoding) -> Option<Vec<u8>> {
    match encoding {
        SignatureEncoding::Hex => hex::decode(signature).ok(),
        SignatureEncoding::Base64 => BASE64_STANDARD.decode(signature).ok(),
    }
}

fn hmac(key: &[u8]) -> Hmac<Sha256> {
    #[expect(clippy::expect_used, reason = "HMAC takes keys of any length")]
    Hmac::new_from_slice(key).expect("any length")
}

/// The index of the secret with which one of `signatures` over the concatenated `parts` was made.
fn secret_that_signed(secrets: &Secrets, parts: &[&[u8]], signatures: &[Vec<u8>]) -> Result<usize, Rejection> {
    let signed = |key: &[u8]| {
        let mac = parts.iter().fold(hmac(key), Mac::chain_update);
        signatures.iter().any(|signature| mac.clone().verify_slice(signature).is_ok())
    };
    secrets.keys().find(|(_, key)| signed(key)).map(|(index, _)| index).ok_or(Rejection::Mismatch)
}

/// Checks that `presented` equals a secret. Their hashes are compared, so that the time it takes reveals neither the
/// length of the secret nor how much of `presented` is right.
fn prove_by_secret_itself(secrets: &Secrets, presented: &[u8]) -> Result<Authentic, Rejection> {
    let is_equal = |key: &[u8]| {
        let expected = hmac(key).chain_update(key).finalize().into_bytes();
        hmac(key).chain_update(presented).verify_slice(&expected).is_ok()
    };
    let (secret_index, _) = secrets.keys().find(|(_, key)| is_equal(key)).ok_or(Rejection::Mismatch)?;
    Ok(Proof { secret_index, message_id: None, sent_at: None }.into())
}

fn check_age(authentic: Authentic, now: Timestamp, tolerance: Duration) -> Result<Authentic, Rejection> {
    let Some(sent_at) = authentic.proof.sent_at else { return Ok(authentic) };
    let age = now.as_nanosecond() - sent_at.as_nanosecond();
    match i128::try_from(tolerance.as_nanos()) {
        Ok(tolerance) if age > tolerance => Err(Rejection::TooOld),
        Ok(tolerance) if age < -tolerance => Err(Rejection::TooNew),
        _ => Ok(authentic),
    }
}
