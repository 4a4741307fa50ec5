//! Checks that a gateway event is rejected, whatever is in it, unless it is signed.

use std::sync::LazyLock;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use clientele_aws::HttpEvent;
use clientele_model::{Delivery, Rejection, Request, Scheme, Secrets, verify};
use clientele_providers::{PROVIDERS, local_secret};
use serde_json::json;

use crate::attempt::{Attempt, HEADER_NAMES, NOW, TOLERANCE};
use crate::choices::Choices;
use crate::oracle::verify_and_compare;
use crate::verification::schemes;

/// All schemes of all providers.
static SCHEMES: LazyLock<Vec<Scheme>> =
    LazyLock::new(|| PROVIDERS.iter().flat_map(|provider| schemes(provider, "token:Authorization")).collect());

/// The secrets with which the event files are signed, as far as the scheme can use them.
fn secrets(scheme: &Scheme) -> &'static str {
    static TEXTS: LazyLock<String> = LazyLock::new(|| {
        let secrets: Vec<_> = PROVIDERS.iter().map(|provider| local_secret(provider)).collect();
        json!(secrets).to_string()
    });
    match scheme {
        Scheme::Svix => "whsec_Y2xpZW50ZWxlLWxvY2FsLXNlY3JldC0wMDAwMDAwMDA=",
        Scheme::Basic => r#"["user:pass", "smarterpay:local-secret"]"#,
        Scheme::Hmac { .. } | Scheme::Token(_) => &TEXTS,
    }
}

pub(crate) fn check(input: &[u8]) {
    let event = if request(input).is_some() { input.to_vec() } else { built(input) };
    let request = || request(&event).unwrap();
    for body_bytes_max in [64, 262_144] {
        assert_eq!(Delivery::accept(request(), body_bytes_max).err(), rejection_of_body(request(), body_bytes_max));
    }
    let Some(body) = body(request()) else { return };
    for scheme in &*SCHEMES {
        let secrets = secrets(scheme);
        let Request { headers, token, .. } = request();
        let headers = headers.into_iter().map(|(name, value)| (name.into_owned(), value.into_owned())).collect();
        let attempt = Attempt { headers, token, body: body.clone() };
        let expected = verify_and_compare(&attempt, scheme, secrets).map_err(Rejection::as_str);
        let delivery = Delivery::accept(request(), usize::MAX).unwrap();
        let secrets = Secrets::parse(secrets, scheme).unwrap();
        let verdict = verify(delivery, scheme, &secrets, NOW, TOLERANCE).map_err(|rejected| rejected.reason.as_str());
        assert_eq!(verdict.map(|verified| verified.body().to_vec()), expected.map(|verified| verified.body().to_vec()));
    }
}

fn request(event: &[u8]) -> Option<Request<'_>> {
    serde_json::from_slice::<HttpEvent>(event).ok().map(Request::from)
}

/// The sender's bytes, if they can be decoded.
fn body(request: Request<'_>) -> Option<Vec<u8>> {
    let body = request.body.unwrap_or_default();
    if request.is_base64 { BASE64_STANDARD.decode(body).ok() } else { Some(body.into_bytes()) }
}

fn rejection_of_body(request: Request, body_bytes_max: usize) -> Option<Rejection> {
    // Four characters of base64 hold three bytes, of which the last two may be padding.
    let is_certainly_too_large = request.body.as_ref().is_some_and(|body| body.len() / 4 * 3 > body_bytes_max + 2);
    match body(request) {
        Some(body) => (body.len() > body_bytes_max).then_some(Rejection::TooLarge),
        None if is_certainly_too_large => Some(Rejection::TooLarge),
        None => Some(Rejection::NotBase64),
    }
}

const HEADER_VALUES: [&str; 6] =
    ["", "1795176000", "v1,AAAA", "Basic dXNlcjpwYXNz", "plain-local-secret", "Basic\u{a0}=, v1,"];

/// Builds an event from bytes that are not an event.
fn built(input: &[u8]) -> Vec<u8> {
    let mut choices = Choices(input);
    let mut headers = vec![];
    for _ in 0..choices.index(12) {
        let name = if choices.byte() < 200 { choices.one_of(&HEADER_NAMES).to_owned() } else { choices.text() };
        let value = if choices.byte() < 100 { choices.one_of(&HEADER_VALUES).to_owned() } else { choices.text() };
        headers.push(format!("{}:{}", json!(name), json!(value)));
    }
    let token =
        choices.one_of(&[json!(null), json!({}), json!({ "token": "" }), json!({ "token": "plain-local-secret" })]);
    let (encode, is_base64) = (choices.byte() < 100, choices.byte() < 128);
    let rest = choices.rest();
    let body = if encode { BASE64_STANDARD.encode(rest) } else { String::from_utf8_lossy(rest).into_owned() };
    let [headers, body] = [headers.join(","), json!(body).to_string()];
    let event =
        format!(r#"{{"headers":{{{headers}}},"pathParameters":{token},"body":{body},"isBase64Encoded":{is_base64}}}"#);
    event.into_bytes()
}
