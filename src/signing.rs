//! Signing as the providers do, for the checked-in events and for `clientele send`.

use anyhow::{Context, Result, bail};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use clientele_model::{Scheme, SignatureEncoding, SignedTime, TokenPlace};
use hmac::{Hmac, KeyInit, Mac};
use jiff::{Timestamp, Unit};
use serde_json::Value;
use sha2::Sha256;

/// A delivery to sign.
#[derive(Clone, Debug)]
pub struct Unsigned {
    /// The body.
    pub body: String,
    /// The id of a Svix message.
    pub message_id: String,
}

/// A signed delivery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signed {
    /// The body: where the time of the attempt is inside it, it is now.
    pub body: String,
    /// The headers that carry the proof.
    pub headers: Vec<(String, String)>,
    /// The token for the path.
    pub token: Option<String>,
}

/// Signs a delivery that is sent `now`.
///
/// # Errors
/// When the secret does not fit the scheme, or the body has no place for the time.
pub fn sign(unsigned: &Unsigned, scheme: &Scheme, secret: &str, now: Timestamp) -> Result<Signed> {
    let mut body = unsigned.body.clone();
    let (headers, token) = match scheme {
        Scheme::Hmac { header, encoding, signed_time } => {
            if let SignedTime::InBody(path) = signed_time {
                body = sent_at(&body, path, now)?;
            }
            let mac = hmac(secret.as_bytes(), body.as_bytes())?;
            let signature = match encoding {
                SignatureEncoding::Hex => hex::encode(mac),
                SignatureEncoding::Base64 => BASE64_STANDARD.encode(mac),
            };
            (vec![(header.to_string(), signature)], None)
        }
        Scheme::Svix => {
            let key = BASE64_STANDARD.decode(secret.trim_start_matches("whsec_"));
            let (key, seconds) = (key.context("the secret is not `whsec_` followed by base64")?, now.as_second());
            let signature = hmac(&key, format!("{}.{seconds}.{body}", unsigned.message_id).as_bytes())?;
            let headers = [
                ("svix-id", unsigned.message_id.clone()),
                ("svix-timestamp", seconds.to_string()),
                ("svix-signature", format!("v1,{}", BASE64_STANDARD.encode(signature))),
            ];
            (headers.map(|(name, value)| (name.to_owned(), value)).to_vec(), None)
        }
        Scheme::Token(TokenPlace::Path) => (vec![], Some(secret.to_owned())),
        Scheme::Token(TokenPlace::Header(header)) => (vec![(header.to_string(), secret.to_owned())], None),
        Scheme::Basic => {
            (vec![("authorization".to_owned(), format!("Basic {}", BASE64_STANDARD.encode(secret)))], None)
        }
    };
    Ok(Signed { body, headers, token })
}

/// The body with `now` as its time of the attempt. Nothing else of it changes, not even its white space.
fn sent_at(body: &str, path: &[&str], now: Timestamp) -> Result<String> {
    let json: Value = serde_json::from_str(body).context("the body is not JSON")?;
    let Some(old) = json.pointer(&format!("/{}", path.join("/"))).and_then(Value::as_str) else {
        bail!("the body has no {}", path.join("."))
    };
    let now = now.round(Unit::Millisecond)?;
    Ok(body.replacen(&format!("\"{old}\""), &format!("\"{now:.3}\""), 1))
}

fn hmac(key: &[u8], message: &[u8]) -> Result<Vec<u8>> {
    Ok(Hmac::<Sha256>::new_from_slice(key)?.chain_update(message).finalize().into_bytes().to_vec())
}
