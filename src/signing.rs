//! Signs requests as the providers do, for the checked-in events and for `clientele send`.

use anyhow::{Context, Result, anyhow, bail};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use clientele_model::{Provider, Scheme, Secret, SignatureEncoding, SignedTime, TokenPlace, parse_json};
use hmac::{Hmac, KeyInit, Mac};
use jiff::{Timestamp, Unit};
use sha2::Sha256;

/// A request to sign.
#[derive(Clone, Debug)]
pub struct UnsignedRequest {
    /// The body.
    pub body: String,
    /// The message id, which Svix signs too.
    pub message_id: String,
}

/// A signed request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedRequest {
    /// The body. If it contains the time of the attempt, that is now.
    pub body: String,
    /// The headers that prove the sender.
    pub headers: Vec<(String, String)>,
    /// The token that the path ends with, if the scheme has one.
    pub token: Option<String>,
}

/// Signs a request that is sent `now`.
///
/// # Errors
/// When the secret does not fit the scheme, or the body lacks the field for the time.
pub fn sign(request: &UnsignedRequest, scheme: &Scheme, secret: &str, now: Timestamp) -> Result<SignedRequest> {
    let mut body = request.body.clone();
    let (headers, token) = match scheme {
        Scheme::Hmac { header, encoding, signed_time } => {
            if let SignedTime::InBody(path) = signed_time {
                body = with_time(&body, path, now)?;
            }
            let mac = hmac(secret.as_bytes(), body.as_bytes())?;
            let signature = match encoding {
                SignatureEncoding::Hex => hex::encode(mac),
                SignatureEncoding::Base64 => BASE64_STANDARD.encode(mac),
            };
            (vec![(header.to_string(), signature)], None)
        }
        Scheme::Svix => {
            let secret = Secret::parse(secret, scheme).map_err(|error| anyhow!("the secret {error}"))?;
            let seconds = now.as_second();
            let signature = hmac(secret.key(), format!("{}.{seconds}.{body}", request.message_id).as_bytes())?;
            let headers = [
                ("svix-id", request.message_id.clone()),
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
    Ok(SignedRequest { body, headers, token })
}

/// The body with `now` as the time of the attempt. Everything else stays the same, including white space.
fn with_time(body: &str, path: &[&str], now: Timestamp) -> Result<String> {
    let json = parse_json(body.as_bytes()).context("the body is not JSON")?;
    let Some(old) = json.pointer(&format!("/{}", path.join("/"))).and_then(serde_json::Value::as_str) else {
        bail!("the body has no {}", path.join("."))
    };
    let now = now.round(Unit::Millisecond)?;
    Ok(body.replacen(&format!("\"{old}\""), &format!("\"{now:.3}\""), 1))
}

/// The path of a webhook whose token is part of the URL.
#[must_use]
pub fn token_path(provider: &Provider, token: &str) -> String {
    let encoded = |byte: u8| match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    format!("/webhooks/{}/{}", provider.name, token.bytes().map(encoded).collect::<String>())
}

fn hmac(key: &[u8], message: &[u8]) -> Result<Vec<u8>> {
    Ok(Hmac::<Sha256>::new_from_slice(key)?.chain_update(message).finalize().into_bytes().to_vec())
}
