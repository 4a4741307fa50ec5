//! An unverified delivery whose parts can all be read.

use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use clientele_model::{Delivery, Rejection, Request, Scheme, Secrets, Verified, verify};
use jiff::Timestamp;

/// When every attempt arrives: 2026-11-20T12:00:00Z, when the event files were signed.
pub(crate) const NOW: Timestamp = Timestamp::constant(1_795_176_000, 0);
pub(crate) const TOLERANCE: Duration = Duration::from_mins(5);

/// Names of headers that some scheme reads.
pub(crate) const HEADER_NAMES: [&str; 9] = [
    "Svix-Id",
    "svix-timestamp",
    "svix-signature",
    "webhook-id",
    "Webhook-Signature",
    "X-Api-Key",
    "x-signature",
    "plain-request-signature",
    "authorization",
];

#[derive(Clone, Debug, Default)]
pub(crate) struct Attempt {
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) token: Option<String>,
    pub(crate) body: Vec<u8>,
}

impl Attempt {
    /// Reads headers on a line each, an empty line and the body.
    pub(crate) fn read(input: &[u8]) -> Self {
        let (mut headers, mut rest) = (vec![], input);
        while !rest.is_empty() {
            let (line, after) = split_line(rest);
            rest = after;
            let Some((name, value)) = line.split_once(": ") else { break };
            headers.push((name.to_owned(), value.to_owned()));
        }
        Self { headers, token: None, body: rest.to_vec() }
    }

    pub(crate) fn headers(&self, name: &str) -> Vec<&str> {
        let named = self.headers.iter().filter(|(key, _)| key.eq_ignore_ascii_case(name));
        named.map(|(_, value)| value.as_str()).collect()
    }

    /// The delivery. A body that is not text is base64, as the gateway sends it.
    pub(crate) fn delivery(&self) -> Delivery<'_> {
        let request = |body, is_base64| Request {
            headers: self.headers.iter().map(|(name, value)| (name.into(), value.into())).collect(),
            token: self.token.clone(),
            body: Some(body),
            is_base64,
        };
        let request = match String::from_utf8(self.body.clone()) {
            Ok(text) => request(text, false),
            Err(error) => request(BASE64_STANDARD.encode(error.as_bytes()), true),
        };
        Delivery::accept(request, usize::MAX).unwrap()
    }

    pub(crate) fn verify(&self, scheme: &Scheme, secrets: &Secrets) -> Result<Verified, Rejection> {
        verify(self.delivery(), scheme, secrets, NOW, TOLERANCE).map_err(|rejected| rejected.reason)
    }
}

/// The first line, and the lines after it.
pub(crate) fn split_line(input: &[u8]) -> (String, &[u8]) {
    let end = input.iter().position(|byte| *byte == b'\n');
    let (line, rest) = end.map_or((input, &[][..]), |end| (&input[..end], &input[end + 1..]));
    (String::from_utf8_lossy(line).into_owned(), rest)
}
