//! A second implementation of verification, to compare with. It computes each signature that would be right and looks
//! for it in the attempt, whereas the code under test decodes what was sent.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use clientele_model::{Rejection, Scheme, Secrets, SignatureEncoding, SignedTime, TokenPlace, Verified};
use jiff::Timestamp;
use serde::de::IgnoredAny;
use serde_json::Value;

use crate::attempt::{Attempt, NOW, TOLERANCE};
use crate::signing::{mac, svix_signature};

/// The expected verdict, before the age is checked.
#[derive(Debug, PartialEq)]
enum Expected {
    Forged,
    /// Signed with the secret of this index.
    Authentic(usize, SentAt),
}

#[derive(Debug, PartialEq)]
enum SentAt {
    NotSigned,
    At(Timestamp),
    Unreadable,
    /// In JSON that cannot be parsed into values, since it is nested too deeply or has an unpaired surrogate. A reader
    /// that looks only for the time may find it.
    InUnusualJson,
}

/// Verifies an attempt, and asserts that the verdict is right.
pub(crate) fn verify_and_compare(attempt: &Attempt, scheme: &Scheme, secrets: &str) -> Result<Verified, Rejection> {
    let parsed = Secrets::parse(secrets, scheme);
    let keys = keys(secrets, scheme);
    assert_eq!(parsed.is_ok(), keys.is_some(), "whether {scheme:?} can use {secrets:?}");
    let (Ok(parsed), Some(keys)) = (parsed, keys) else { return Err(Rejection::NoSecret) };
    let verdict = attempt.verify(scheme, &parsed);
    let reason = verdict.as_ref().map_err(|reason| *reason).err();
    let about_time = [Rejection::TimeUnreadable, Rejection::TooOld, Rejection::TooNew];
    match expected(attempt, scheme, &keys) {
        Expected::Forged => {
            assert!(reason.is_some(), "forged and accepted: {scheme:?} {secrets:?} {attempt:?}");
            assert!(
                !reason.is_some_and(|reason| about_time.contains(&reason)),
                "the age of a forged attempt was checked"
            );
        }
        Expected::Authentic(secret_index, sent_at) => {
            let rejection = match sent_at {
                SentAt::NotSigned => None,
                SentAt::Unreadable => Some(Rejection::TimeUnreadable),
                SentAt::At(at) => rejection_for_age(at),
                SentAt::InUnusualJson => reason.filter(|reason| about_time.contains(reason)),
            };
            assert_eq!(reason, rejection, "{scheme:?} {secrets:?} {attempt:?}");
            if let Ok(verified) = &verdict {
                assert_eq!(verified.proof().secret_index, secret_index, "which secret matched");
                assert_eq!(verified.body(), attempt.body, "the bytes that were verified");
                assert_eq!(verified.received_at(), NOW);
            }
        }
    }
    verdict
}

fn rejection_for_age(sent_at: Timestamp) -> Option<Rejection> {
    let tolerance = i128::try_from(TOLERANCE.as_nanos()).unwrap();
    match NOW.as_nanosecond() - sent_at.as_nanosecond() {
        age if age > tolerance => Some(Rejection::TooOld),
        age if age < -tolerance => Some(Rejection::TooNew),
        _ => None,
    }
}

/// The keys of the secrets that can be used, each with its place in the list, or `None` if none of several entries can.
pub(crate) fn keys(secrets: &str, scheme: &Scheme) -> Option<Vec<(usize, Vec<u8>)>> {
    let entries: Vec<Value> = match trimmed(secrets) {
        "" => vec![],
        list if list.starts_with('[') => serde_json::from_str(list).ok()?,
        one => vec![one.into()],
    };
    let key = |entry: &Value| {
        let secret = trimmed(entry.as_str()?);
        let key = match scheme {
            Scheme::Svix => svix_key(secret)?,
            Scheme::Basic => {
                let (user, password) = secret.split_once(':')?;
                if trimmed(user).is_empty() && trimmed(password).is_empty() {
                    return None;
                }
                secret.as_bytes().to_vec()
            }
            _ => secret.as_bytes().to_vec(),
        };
        (!key.is_empty()).then_some(key)
    };
    let mut usable: Vec<(usize, Vec<u8>)> = vec![];
    for (index, entry) in entries.iter().enumerate() {
        let key = key(entry).filter(|key| usable.iter().all(|(_, known)| known != key));
        usable.extend(key.map(|key| (index, key)));
    }
    (entries.is_empty() || !usable.is_empty()).then_some(usable)
}

/// Decodes the key six bits at a time, in either alphabet of base64, with or without padding. Bits that fill no byte are
/// dropped.
fn svix_key(secret: &str) -> Option<Vec<u8>> {
    let secret = secret.strip_prefix("v1,").unwrap_or(secret).trim_start();
    if secret.starts_with("whpk_") || secret.starts_with("whsk_") {
        return None;
    }
    let text = secret.strip_prefix("whsec_").unwrap_or(secret).trim_end_matches('=');
    let (mut key, mut bits, mut count) = (vec![], 0_u32, 0);
    for byte in text.bytes() {
        let digit = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' | b'-' => 62,
            b'/' | b'_' => 63,
            _ => return None,
        };
        (bits, count) = (bits << 6 | u32::from(digit), count + 6);
        if count >= 8 {
            count -= 8;
            key.push(u8::try_from(bits >> count & 0xff).unwrap());
        }
    }
    (text.len() % 4 != 1).then_some(key)
}

fn trimmed(text: &str) -> &str {
    text.trim_matches(|character: char| character == '\u{feff}' || character.is_whitespace())
}

fn expected(attempt: &Attempt, scheme: &Scheme, keys: &[(usize, Vec<u8>)]) -> Expected {
    let key = keys.iter().find(|(_, key)| is_signed_with(key, attempt, scheme));
    key.map_or(Expected::Forged, |(index, _)| Expected::Authentic(*index, sent_at(attempt, scheme)))
}

fn is_signed_with(key: &[u8], attempt: &Attempt, scheme: &Scheme) -> bool {
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

/// The headers of one family, if each comes once: id, timestamp and signature.
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
            let body = attempt.body.strip_prefix("\u{feff}".as_bytes()).unwrap_or(&attempt.body);
            match serde_json::from_slice::<Value>(body) {
                Ok(body) => {
                    let at = body.pointer(&format!("/{}", path.join("/"))).filter(|_| body.is_object());
                    readable(at.and_then(|at| at.as_str()?.parse().ok()))
                }
                Err(_) if serde_json::from_slice::<IgnoredAny>(body).is_ok() => SentAt::InUnusualJson,
                Err(_) => SentAt::Unreadable,
            }
        }
        Scheme::Svix => {
            let seconds = svix_headers(attempt).and_then(|[_, timestamp, _]| timestamp.parse().ok());
            readable(seconds.and_then(|seconds| Timestamp::from_second(seconds).ok()))
        }
        Scheme::Hmac { signed_time: SignedTime::None, .. } | Scheme::Token(_) | Scheme::Basic => SentAt::NotSigned,
    }
}
