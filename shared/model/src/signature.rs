//! How a delivery is proved: schemes are data, the judgement is here alone.
//!
//! Every configured secret and every listed signature is tried; comparison takes constant time; freshness is asked
//! only of authentic bytes. No secret means refused.

use std::borrow::Cow;
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use jiff::Timestamp;
use sha2::Sha256;

use crate::answer::Outcome;
use crate::delivery::{Delivery, Proof, Verified};
use crate::fields::text_at;
use crate::secret::Secrets;

/// How a provider proves its deliveries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// HMAC-SHA256 of the raw body, alone in a header; the key is the secret's UTF-8 bytes.
    Hmac {
        /// The header's name.
        header: Cow<'static, str>,
        /// How the 32 bytes are written.
        encoding: Encoding,
        /// Where the time of the attempt is.
        signed_time: SignedTime,
    },
    /// Svix: `id.timestamp.body` under `svix-*` or `webhook-*` headers, several `v1,` signatures in base64, `whsec_`
    /// secrets (<https://docs.svix.com/receiving/verifying-payloads/how-manual>).
    Svix,
    /// A secret that is sent as it is. Proves the sender, not the bytes.
    Token(TokenPlace),
    /// `Authorization: Basic` with a secret `user:password`. Proves the sender, not the bytes.
    Basic,
}

/// How the bytes of a signature are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// Hexadecimal, in either letter case.
    Hex,
    /// Base64 with padding.
    Base64,
}

/// Where the signed time of an attempt is, for schemes that sign nothing but the body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignedTime {
    /// There is none; nothing bounds the age of a delivery.
    None,
    /// RFC 3339 text in the JSON body, at this path of names.
    InBody(&'static [&'static str]),
}

/// Where a token is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TokenPlace {
    /// The `{token}` of the path.
    Path,
    /// A header.
    Header(Cow<'static, str>),
}

/// The text names no scheme that the provider can be set to.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected {expected}")]
pub struct SchemeError {
    /// What would be understood.
    pub expected: &'static str,
}

impl Scheme {
    /// Reads `hmac-sha256-hex:<header>`, `hmac-sha256-base64:<header>` or `token:<header>`.
    #[must_use]
    pub fn in_header(setting: &str) -> Option<Self> {
        let (kind, header) = setting.split_once(':')?;
        let named = !header.is_empty() && header.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b));
        let header = Cow::Owned(named.then(|| header.to_owned())?);
        let hmac = |encoding, header| Self::Hmac { header, encoding, signed_time: SignedTime::None };
        match kind {
            "hmac-sha256-hex" => Some(hmac(Encoding::Hex, header)),
            "hmac-sha256-base64" => Some(hmac(Encoding::Base64, header)),
            "token" => Some(Self::Token(TokenPlace::Header(header))),
            _ => None,
        }
    }
}

/// Why a delivery was refused. For the operator's log; the sender never learns which it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rejected {
    /// The body is larger than the limit.
    TooLarge,
    /// The gateway said base64, and it is not.
    NotBase64,
    /// No secret is configured.
    NoSecret,
    /// The header or path token that carries the proof is missing or empty.
    ProofMissing,
    /// A header that carries the proof came more than once.
    ProofRepeated,
    /// The proof is not in the form of its scheme.
    ProofMalformed,
    /// No secret matches.
    Mismatch,
    /// Authentic, but without a readable time of the attempt.
    TimeUnreadable,
    /// Authentic, but older than the tolerance.
    TooOld,
    /// Authentic, but further in the future than the tolerance.
    TooNew,
}

impl Rejected {
    /// The reason as a log field.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::TooLarge => "too_large",
            Self::NotBase64 => "not_base64",
            Self::NoSecret => "no_secret",
            Self::ProofMissing => "proof_missing",
            Self::ProofRepeated => "proof_repeated",
            Self::ProofMalformed => "proof_malformed",
            Self::Mismatch => "mismatch",
            Self::TimeUnreadable => "time_unreadable",
            Self::TooOld => "too_old",
            Self::TooNew => "too_new",
        }
    }

    /// The outcome that its sender hears of.
    #[must_use]
    pub fn outcome(self) -> Outcome {
        match self {
            Self::TooLarge => Outcome::TooLarge,
            Self::NotBase64
            | Self::NoSecret
            | Self::ProofMissing
            | Self::ProofRepeated
            | Self::ProofMalformed
            | Self::Mismatch
            | Self::TimeUnreadable
            | Self::TooOld
            | Self::TooNew => Outcome::Rejected,
        }
    }

    /// Whether other secrets could accept the delivery, so that it pays to look for newer ones.
    #[must_use]
    pub fn is_about_secrets(self) -> bool {
        matches!(self, Self::NoSecret | Self::Mismatch)
    }
}

/// A refused delivery, still sealed, so that it can be tried again with newer secrets.
#[derive(Debug)]
pub struct Unverified {
    /// Why.
    pub reason: Rejected,
    /// What was refused.
    pub delivery: Delivery,
}

/// Opens a delivery if its proof matches one of `secrets` and it was sent within `tolerance` of `now` (inclusive).
///
/// # Errors
/// Gives the delivery back with the reason.
pub fn verify(
    delivery: Delivery,
    scheme: &Scheme,
    secrets: &Secrets,
    now: Timestamp,
    tolerance: Duration,
) -> Result<Verified, Box<Unverified>> {
    match prove(&delivery, scheme, secrets).and_then(|proof| fresh(proof, now, tolerance)) {
        Ok(proof) => Ok(Verified::new(delivery.body, proof, now)),
        Err(reason) => Err(Box::new(Unverified { reason, delivery })),
    }
}

/// Authentic, and when this attempt was sent where the scheme signs that.
fn prove(delivery: &Delivery, scheme: &Scheme, secrets: &Secrets) -> Result<Proof, Rejected> {
    if secrets.is_empty() {
        return Err(Rejected::NoSecret);
    }
    match scheme {
        Scheme::Hmac { header, encoding, signed_time } => {
            let signature = decoded(only(delivery.header(header))?, *encoding).ok_or(Rejected::ProofMalformed)?;
            let secret = matching(secrets, &[&delivery.body], &[signature])?;
            let sent_at = match signed_time {
                SignedTime::None => None,
                SignedTime::InBody(path) => Some(time_in(&delivery.body, path).ok_or(Rejected::TimeUnreadable)?),
            };
            Ok(Proof { secret, message_id: None, sent_at })
        }
        Scheme::Svix => prove_svix(delivery, secrets),
        Scheme::Token(TokenPlace::Path) => {
            let token = delivery.token.as_deref().filter(|token| !token.is_empty()).ok_or(Rejected::ProofMissing)?;
            known(secrets, token.as_bytes())
        }
        Scheme::Token(TokenPlace::Header(header)) => known(secrets, only(delivery.header(header))?.as_bytes()),
        Scheme::Basic => {
            let (kind, credentials) =
                only(delivery.header("authorization"))?.split_once(' ').ok_or(Rejected::ProofMalformed)?;
            let credentials = kind.eq_ignore_ascii_case("basic").then(|| BASE64_STANDARD.decode(credentials.trim()));
            known(secrets, &credentials.and_then(Result::ok).ok_or(Rejected::ProofMalformed)?)
        }
    }
}

fn prove_svix(delivery: &Delivery, secrets: &Secrets) -> Result<Proof, Rejected> {
    // One family of names or the other, never a mixture: what was signed must not depend on who reads it.
    let names = ["svix-id", "svix-timestamp", "svix-signature"];
    let unbranded = ["webhook-id", "webhook-timestamp", "webhook-signature"];
    let branded = names.iter().any(|name| delivery.header(name).next().is_some());
    let [id, timestamp, signatures] = if branded { names } else { unbranded }.map(|name| only(delivery.header(name)));
    let (id, timestamp, signatures) = (id?, timestamp?, signatures?);
    // The dot separates the signed parts; inside the id it would let two different messages sign alike.
    if id.contains('.') {
        return Err(Rejected::ProofMalformed);
    }
    let signatures: Vec<_> = signatures
        .split(' ')
        .filter_map(|signature| decoded(signature.strip_prefix("v1,")?, Encoding::Base64))
        .collect();
    if signatures.is_empty() {
        return Err(Rejected::ProofMalformed);
    }
    let signed = [id.as_bytes(), b".", timestamp.as_bytes(), b".", &delivery.body];
    let secret = matching(secrets, &signed, &signatures)?;
    let seconds = timestamp.parse().map_err(|_| Rejected::TimeUnreadable)?;
    let sent_at = Timestamp::from_second(seconds).map_err(|_| Rejected::TimeUnreadable)?;
    Ok(Proof { secret, message_id: Some(id.to_owned()), sent_at: Some(sent_at) })
}

/// The value of a header that must come exactly once. (A gateway that joins repeated headers with commas makes a
/// value that is no proof in any scheme.)
fn only<'a>(mut values: impl Iterator<Item = &'a str>) -> Result<&'a str, Rejected> {
    let value = values.next().filter(|value| !value.is_empty()).ok_or(Rejected::ProofMissing)?;
    if values.next().is_some() { Err(Rejected::ProofRepeated) } else { Ok(value) }
}

fn decoded(signature: &str, encoding: Encoding) -> Option<Vec<u8>> {
    match encoding {
        Encoding::Hex => hex::decode(signature).ok(),
        Encoding::Base64 => BASE64_STANDARD.decode(signature).ok(),
    }
}

fn hmac(key: &[u8]) -> Hmac<Sha256> {
    #[expect(clippy::expect_used, reason = "HMAC takes keys of any length")]
    Hmac::new_from_slice(key).expect("any length")
}

/// The position of the secret that made one of `signatures` over the concatenation of `parts`.
fn matching(secrets: &Secrets, parts: &[&[u8]], signatures: &[Vec<u8>]) -> Result<usize, Rejected> {
    let made = |key: &[u8]| {
        let mac = parts.iter().fold(hmac(key), Mac::chain_update);
        signatures.iter().any(|signature| mac.clone().verify_slice(signature).is_ok())
    };
    secrets.keys().position(made).ok_or(Rejected::Mismatch)
}

/// The position of the secret that equals `presented`. Both are hashed first, so that the time taken tells neither
/// the length of the secret nor how much of it is right.
fn known(secrets: &Secrets, presented: &[u8]) -> Result<Proof, Rejected> {
    let equal = |key: &[u8]| {
        let expected = hmac(key).chain_update(key).finalize().into_bytes();
        hmac(key).chain_update(presented).verify_slice(&expected).is_ok()
    };
    let secret = secrets.keys().position(equal).ok_or(Rejected::Mismatch)?;
    Ok(Proof { secret, message_id: None, sent_at: None })
}

fn time_in(body: &[u8], path: &[&str]) -> Option<Timestamp> {
    text_at(body, path)?.parse().ok()
}

fn fresh(proof: Proof, now: Timestamp, tolerance: Duration) -> Result<Proof, Rejected> {
    let Some(sent_at) = proof.sent_at else { return Ok(proof) };
    let age = now.as_nanosecond() - sent_at.as_nanosecond();
    match i128::try_from(tolerance.as_nanos()) {
        Ok(tolerance) if age > tolerance => Err(Rejected::TooOld),
        Ok(tolerance) if age < -tolerance => Err(Rejected::TooNew),
        _ => Ok(proof),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn hmac_in(header: &'static str, encoding: Encoding) -> Scheme {
        Scheme::Hmac { header: header.into(), encoding, signed_time: SignedTime::None }
    }

    #[rstest]
    #[case("hmac-sha256-hex:X-Signature", Some(hmac_in("X-Signature", Encoding::Hex)))]
    #[case("hmac-sha256-base64:x_signature-2", Some(hmac_in("x_signature-2", Encoding::Base64)))]
    #[case("token:x-api-key", Some(Scheme::Token(TokenPlace::Header("x-api-key".into()))))]
    #[case("token:_", Some(Scheme::Token(TokenPlace::Header("_".into()))))]
    #[case("token:", None)]
    #[case("token", None)]
    #[case("", None)]
    #[case(":x-api-key", None)]
    #[case("svix:x-api-key", None)]
    #[case("TOKEN:x-api-key", None)]
    #[case("token:x api key", None)]
    #[case("token:x:y", None)]
    #[case("token:é", None)]
    #[case("hmac-sha512-hex:x-signature", None)]
    fn schemes_of_a_setting(#[case] setting: &str, #[case] scheme: Option<Scheme>) {
        assert_eq!(Scheme::in_header(setting), scheme);
    }

    #[rstest]
    #[case(Rejected::TooLarge, "too_large", Outcome::TooLarge, false)]
    #[case(Rejected::NotBase64, "not_base64", Outcome::Rejected, false)]
    #[case(Rejected::NoSecret, "no_secret", Outcome::Rejected, true)]
    #[case(Rejected::ProofMissing, "proof_missing", Outcome::Rejected, false)]
    #[case(Rejected::ProofRepeated, "proof_repeated", Outcome::Rejected, false)]
    #[case(Rejected::ProofMalformed, "proof_malformed", Outcome::Rejected, false)]
    #[case(Rejected::Mismatch, "mismatch", Outcome::Rejected, true)]
    #[case(Rejected::TimeUnreadable, "time_unreadable", Outcome::Rejected, false)]
    #[case(Rejected::TooOld, "too_old", Outcome::Rejected, false)]
    #[case(Rejected::TooNew, "too_new", Outcome::Rejected, false)]
    fn refusals(
        #[case] reason: Rejected,
        #[case] name: &str,
        #[case] outcome: Outcome,
        #[case] is_about_secrets: bool,
    ) {
        assert_eq!((reason.name(), reason.outcome()), (name, outcome));
        assert_eq!(reason.is_about_secrets(), is_about_secrets);
    }
}
