//! Signs attempts as a provider does.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use clientele_model::{Scheme, Secrets, SignatureEncoding, SignedTime, TokenPlace, Verified};
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;

use crate::attempt::{Attempt, NOW};

/// A verified delivery without a message id.
pub(crate) fn verified(body: &[u8]) -> Verified {
    let scheme = Scheme::Token(TokenPlace::Path);
    sign(&scheme, b"k", body, "").verify(&scheme, &Secrets::parse("k", &scheme).unwrap()).unwrap()
}

/// A verified delivery with a message id.
pub(crate) fn verified_with_id(body: &[u8], id: &str) -> Verified {
    let secrets = Secrets::parse("whsec_b25l", &Scheme::Svix).unwrap();
    sign(&Scheme::Svix, b"one", body, id).verify(&Scheme::Svix, &secrets).unwrap()
}

/// An attempt with this body that is signed as the scheme prescribes and sent now. If the scheme expects a time in the
/// body, it is added.
pub(crate) fn sign(scheme: &Scheme, key: &[u8], body: &[u8], id: &str) -> Attempt {
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

/// The body with the time of the attempt at `path`. A body that is not an object becomes a field of one.
fn with_time(body: &[u8], path: &[&str]) -> Vec<u8> {
    let mut body = match serde_json::from_slice(body) {
        Ok(Value::Object(fields)) => Value::Object(fields),
        _ => json!({ "text": String::from_utf8_lossy(body) }),
    };
    let mut value = &mut body;
    for name in path {
        if !value.is_object() {
            *value = json!({});
        }
        value = &mut value[*name];
    }
    *value = json!(NOW);
    body.to_string().into_bytes()
}

pub(crate) fn svix_signature(key: &[u8], id: &str, timestamp: &str, body: &[u8]) -> String {
    let signed = [id.as_bytes(), b".", timestamp.as_bytes(), b".", body];
    format!("v1,{}", BASE64_STANDARD.encode(mac(key, &signed)))
}

pub(crate) fn mac(key: &[u8], parts: &[&[u8]]) -> Vec<u8> {
    let mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    parts.iter().fold(mac, Mac::chain_update).finalize().into_bytes().to_vec()
}
