//! A second opinion on proofs: it makes each signature that would be right and looks whether that was sent, where the
//! code decodes what was sent.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use clientele_model::{Rejection, Scheme, Secrets, SignatureEncoding, SignedTime, TokenPlace, Verified};
use hmac::{Hmac, KeyInit, Mac};
use jiff::Timestamp;
use serde::de::IgnoredAny;
use serde_json::{Value, json};
use sha2::Sha256;

use crate::attempt::{Attempt, NOW, TOLERANCE};

/// What should come of an attempt.
#[derive(Debug, PartialEq)]
enum Opinion {
    Forged,
    /// Made with the secret in this place.
    Authentic(usize, SentAt),
}

#[derive(Debug, PartialEq)]
enum SentAt {
    NotSaid,
    At(Timestamp),
    Unreadable,
    /// In JSON that is nested too deep for values, or has half a surrogate pair: whoever looks for the time alone may
    /// find it.
    InOddJson,
}

/// Judges an attempt, and asserts that the judgement is right.
pub(crate) fn judge(attempt: &Attempt, scheme: &Scheme, secrets: &str) -> Result<Verified, Rejection> {
    let parsed = Secrets::parse(secrets, scheme);
    let keys = keys(secrets, scheme);
    assert_eq!(parsed.is_ok(), keys.is_some(), "whether {secrets:?} can be used with {scheme:?}");
    let (Ok(parsed), Some(keys)) = (parsed, keys) else { return Err(Rejection::NoSecret) };
    let verdict = attempt.judged(scheme, &parsed);
    let reason = verdict.as_ref().map_err(|reason| *reason).err();
    let about_time = [Rejection::TimeUnreadable, Rejection::TooOld, Rejection::TooNew];
    match opinion(attempt, scheme, &keys) {
        Opinion::Forged => {
            assert!(reason.is_some(), "forged and accepted: {scheme:?} {secrets:?} {attempt:?}");
            assert!(
                !reason.is_some_and(|reason| about_time.contains(&reason)),
                "time is asked of authentic bytes only"
            );
        }
        Opinion::Authentic(place, sent_at) => {
            let expected = match sent_at {
                SentAt::NotSaid => None,
                SentAt::Unreadable => Some(Rejection::TimeUnreadable),
                SentAt::At(at) => stale(at),
                SentAt::InOddJson => reason.filter(|reason| about_time.contains(reason)),
            };
            assert_eq!(reason, expected, "{scheme:?} {secrets:?} {attempt:?}");
            if let Ok(verified) = &verdict {
                assert_eq!(verified.proof().secret_index, place, "which secret matched");
                assert_eq!(verified.body(), attempt.body, "the bytes that were proved");
                assert_eq!(verified.received_at(), NOW);
            }
        }
    }
    verdict
}

fn stale(sent_at: Timestamp) -> Option<Rejection> {
    let tolerance = i128::try_from(TOLERANCE.as_nanos()).unwrap();
    match NOW.as_nanosecond() - sent_at.as_nanosecond() {
        age if age > tolerance => Some(Rejection::TooOld),
        age if age < -tolerance => Some(Rejection::TooNew),
        _ => None,
    }
}

/// The bytes of the secrets; nothing if one cannot be used.
pub(crate) fn keys(secrets: &str, scheme: &Scheme) -> Option<Vec<Vec<u8>>> {
    let secrets: Vec<String> = match secrets.trim() {
        "" => vec![],
        list if list.starts_with('[') => serde_json::from_str(list).ok()?,
        one => vec![one.to_owned()],
    };
    let key = |secret: String| match scheme {
        Scheme::Svix => BASE64_STANDARD.decode(secret.strip_prefix("whsec_").unwrap_or(&secret)).ok(),
        Scheme::Basic if !secret.contains(':') => None,
        _ => Some(secret.into_bytes()),
    };
    secrets.into_iter().map(|secret| key(secret).filter(|key| !key.is_empty())).collect()
}

fn opinion(attempt: &Attempt, scheme: &Scheme, keys: &[Vec<u8>]) -> Opinion {
    let place = keys.iter().position(|key| is_right(attempt, scheme, key));
    place.map_or(Opinion::Forged, |place| Opinion::Authentic(place, sent_at(attempt, scheme)))
}

/// Whether the attempt has the proof that the key makes.
fn is_right(attempt: &Attempt, scheme: &Scheme, key: &[u8]) -> bool {
    match scheme {
        Scheme::Hmac { header, encoding, .. } => {
            let (sent, mac) = (attempt.headers(header), mac(key, &[&attempt.body]));
            match encoding {
                SignatureEncoding::Hex => sent.len() == 1 && sent[0].eq_ignore_ascii_case(&hex::encode(mac)),
                SignatureEncoding::Base64 => sent == [BASE64_STANDARD.encode(mac)],
            }
        }
        Scheme::Svix => svix_headers(attempt).is_some_and(|[id, timestamp, signatures]| {
            let right = svix_signature(key, id, timestamp, &attempt.body);
            signatures.split(' ').any(|signature| signature == right)
        }),
        Scheme::Token(TokenPlace::Path) => attempt.token.as_ref().is_some_and(|token| token.as_bytes() == key),
        Scheme::Token(TokenPlace::Header(header)) => {
            let sent = attempt.headers(header);
            sent.len() == 1 && sent[0].as_bytes() == key
        }
        Scheme::Basic => {
            let sent = attempt.headers("authorization");
            let sent = (sent.len() == 1).then(|| sent[0].split_once(' ')).flatten();
            sent.is_some_and(|(kind, credentials)| {
                kind.eq_ignore_ascii_case("basic") && credentials.trim() == BASE64_STANDARD.encode(key)
            })
        }
    }
}

/// The headers of one family, each once, in the order in which they are signed.
fn svix_headers(attempt: &Attempt) -> Option<[&str; 3]> {
    let family =
        |family: &str| ["id", "timestamp", "signature"].map(|name| attempt.headers(&format!("{family}-{name}")));
    let svix = family("svix");
    let headers = if svix.iter().any(|values| !values.is_empty()) { svix } else { family("webhook") };
    let once = headers.iter().all(|values| values.len() == 1 && !values[0].is_empty());
    let [id, timestamp, signatures] = headers.map(|values| values.first().copied().unwrap_or_default());
    (once && !id.contains('.')).then_some([id, timestamp, signatures])
}

fn sent_at(attempt: &Attempt, scheme: &Scheme) -> SentAt {
    let readable = |at: Option<Timestamp>| at.map_or(SentAt::Unreadable, SentAt::At);
    match scheme {
        Scheme::Hmac { signed_time: SignedTime::InBody(path), .. } => {
            match serde_json::from_slice::<Value>(&attempt.body) {
                Ok(body) => {
                    let at = body.pointer(&format!("/{}", path.join("/"))).filter(|_| body.is_object());
                    readable(at.and_then(|at| at.as_str()?.parse().ok()))
                }
                Err(_) if serde_json::from_slice::<IgnoredAny>(&attempt.body).is_ok() => SentAt::InOddJson,
                Err(_) => SentAt::Unreadable,
            }
        }
        Scheme::Svix => {
            let seconds = svix_headers(attempt).and_then(|[_, timestamp, _]| timestamp.parse().ok());
            readable(seconds.and_then(|seconds| Timestamp::from_second(seconds).ok()))
        }
        Scheme::Hmac { signed_time: SignedTime::None, .. } | Scheme::Token(_) | Scheme::Basic => SentAt::NotSaid,
    }
}

/// The attempt with these bytes, rightly signed and sent now. Where the time belongs into the body, it is there.
pub(crate) fn signed(scheme: &Scheme, key: &[u8], body: &[u8], id: &str) -> Attempt {
    let mut attempt = Attempt { body: body.to_vec(), ..Attempt::default() };
    let text = || String::from_utf8(key.to_vec()).unwrap();
    match scheme {
        Scheme::Hmac { header, encoding, signed_time } => {
            if let SignedTime::InBody(path) = signed_time {
                attempt.body = with_time(body, path);
            }
            let mac = mac(key, &[&attempt.body]);
            let signature = match encoding {
                SignatureEncoding::Hex => hex::encode(mac),
                SignatureEncoding::Base64 => BASE64_STANDARD.encode(mac),
            };
            attempt.headers = vec![(header.to_string(), signature)];
        }
        Scheme::Svix => {
            let timestamp = NOW.as_second().to_string();
            let signature = svix_signature(key, id, &timestamp, body);
            let headers = [("Svix-Id", id.to_owned()), ("svix-timestamp", timestamp), ("svix-signature", signature)];
            attempt.headers = headers.map(|(name, value)| (name.to_owned(), value)).to_vec();
        }
        Scheme::Token(TokenPlace::Path) => attempt.token = Some(text()),
        Scheme::Token(TokenPlace::Header(header)) => attempt.headers = vec![(header.to_string(), text())],
        Scheme::Basic => {
            attempt.headers = vec![("Authorization".to_owned(), format!("Basic {}", BASE64_STANDARD.encode(key)))];
        }
    }
    attempt
}

/// The body with the time of the attempt at `path`; inside of another if it is no object itself.
fn with_time(body: &[u8], path: &[&str]) -> Vec<u8> {
    let mut body = match serde_json::from_slice(body) {
        Ok(Value::Object(fields)) => Value::Object(fields),
        _ => json!({ "text": String::from_utf8_lossy(body) }),
    };
    let mut place = &mut body;
    for name in path {
        if !place.is_object() {
            *place = json!({});
        }
        place = &mut place[*name];
    }
    *place = json!(NOW);
    body.to_string().into_bytes()
}

fn svix_signature(key: &[u8], id: &str, timestamp: &str, body: &[u8]) -> String {
    let signed = [id.as_bytes(), b".", timestamp.as_bytes(), b".", body];
    format!("v1,{}", BASE64_STANDARD.encode(mac(key, &signed)))
}

fn mac(key: &[u8], parts: &[&[u8]]) -> Vec<u8> {
    let mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    parts.iter().fold(mac, Mac::chain_update).finalize().into_bytes().to_vec()
}
