//! Translates bodies without signing them.

use std::time::Duration;

use clientele::events::signed_at;
use clientele::providers::known;
use clientele_model::{Delivery, Request, Scheme, Secrets, TokenPlace, Translation, Verified, verify};
use jiff::Timestamp;

/// Any bytes as a verified delivery.
pub(crate) fn verified(body: &[u8], now: Timestamp) -> Verified {
    use base64::Engine;
    let body = Some(base64::prelude::BASE64_STANDARD.encode(body));
    let request = Request { token: Some("token".into()), body, is_base64: true, ..Request::default() };
    let delivery = Delivery::accept(request, usize::MAX).unwrap();
    let scheme = Scheme::Token(TokenPlace::Path);
    let secrets = Secrets::parse("token", &scheme).unwrap();
    verify(delivery, &scheme, &secrets, now, Duration::ZERO).unwrap()
}

pub(crate) fn translate(provider: &str, body: &[u8]) -> Vec<Translation> {
    let verified = verified(body, signed_at());
    (known(provider).unwrap().provider.translate)(&verified)
}
