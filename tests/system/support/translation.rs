//! Translates bodies without signing them.

use std::time::Duration;

use clientele::providers::known;
use clientele_model::{Delivery, Request, Scheme, Secrets, TokenPlace, Translation, Verified, verify};
use jiff::Timestamp;

/// Any bytes as a verified delivery.
pub(crate) fn verified(body: &[u8], scheme: &Scheme, now: Timestamp) -> Verified {
    use base64::Engine;
    let body = Some(base64::prelude::BASE64_STANDARD.encode(body));
    let request = Request { token: Some("token".into()), body, is_base64: true, ..Request::default() };
    let delivery = Delivery::accept(request, usize::MAX).unwrap();
    let secrets = Secrets::parse("token", scheme).unwrap();
    verify(delivery, scheme, &secrets, now, Duration::ZERO).unwrap()
}

pub(crate) fn translate(provider: &str, body: &[u8]) -> Vec<Translation> {
    let verified = verified(body, &Scheme::Token(TokenPlace::Path), "2026-11-20T12:00:00Z".parse().unwrap());
    (known(provider).unwrap().provider.translate)(&verified)
}
