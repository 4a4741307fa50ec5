//! The gateway's events: whatever is in one, it is refused unless really signed.

use std::sync::LazyLock;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use clientele_aws::HttpEvent;
use clientele_model::{Delivery, Rejection, Request, Scheme, Secrets, verify};
use serde_json::json;

use crate::attempt::{Attempt, NAMES, NOW, TOLERANCE};
use crate::pieces::Pieces;
use crate::proof::judge;
use crate::verify::schemes;

/// Every scheme of every provider.
static SCHEMES: LazyLock<Vec<Scheme>> = LazyLock::new(|| {
    let providers = [
        clientele_metrifox::PROVIDER,
        clientele_smarterpay::PROVIDER,
        clientele_plain::PROVIDER,
        clientele_flexprice::PROVIDER,
    ];
    providers.iter().flat_map(|provider| schemes(provider, "token:Authorization")).collect()
});

/// The secrets that the event files are signed with, for each scheme those that it can use.
fn secrets(scheme: &Scheme) -> &'static str {
    match scheme {
        Scheme::Svix => "whsec_Y2xpZW50ZWxlLWxvY2FsLXNlY3JldC0wMDAwMDAwMDA=",
        Scheme::Basic => r#"["user:pass", "smarterpay:local-secret"]"#,
        Scheme::Hmac { .. } | Scheme::Token(_) => {
            r#"["metrifox-local-secret", "smarterpay-local-secret", "plain-local-secret"]"#
        }
    }
}

pub(crate) fn check(input: &[u8]) {
    let event = if request(input).is_some() { input.to_vec() } else { built(input) };
    let request = || request(&event).unwrap();
    for body_bytes_max in [64, 262_144] {
        assert_eq!(Delivery::accept(request(), body_bytes_max).err(), refused_for_its_body(request(), body_bytes_max));
    }
    let Some(body) = body(request()) else { return };
    for scheme in &*SCHEMES {
        let secrets = secrets(scheme);
        let Request { headers, token, .. } = request();
        let judged = judge(&Attempt { headers, token, body: body.clone() }, scheme, secrets).map_err(Rejection::as_str);
        let delivery = Delivery::accept(request(), usize::MAX).unwrap();
        let secrets = Secrets::parse(secrets, scheme).unwrap();
        let verdict = verify(delivery, scheme, &secrets, NOW, TOLERANCE).map_err(|refused| refused.reason.as_str());
        assert_eq!(verdict.map(|verified| verified.body().to_vec()), judged.map(|verified| verified.body().to_vec()));
    }
}

fn request(event: &[u8]) -> Option<Request> {
    serde_json::from_slice::<HttpEvent>(event).ok().map(Request::from)
}

/// The sender's bytes.
fn body(request: Request) -> Option<Vec<u8>> {
    let body = request.body.unwrap_or_default();
    if request.is_base64 { BASE64_STANDARD.decode(body).ok() } else { Some(body.into_bytes()) }
}

fn refused_for_its_body(request: Request, body_bytes_max: usize) -> Option<Rejection> {
    // Four characters for each three bytes, the last of which may be padding.
    let is_hopeless = request.body.as_ref().is_some_and(|body| body.len() / 4 * 3 > body_bytes_max + 2);
    match body(request) {
        Some(body) => (body.len() > body_bytes_max).then_some(Rejection::TooLarge),
        None if is_hopeless => Some(Rejection::TooLarge),
        None => Some(Rejection::NotBase64),
    }
}

const VALUES: [&str; 6] =
    ["", "1795176000", "v1,AAAA", "Basic dXNlcjpwYXNz", "plain-local-secret", "Basic\u{a0}=, v1,"];

/// An event of bytes that are none.
fn built(input: &[u8]) -> Vec<u8> {
    let mut pieces = Pieces(input);
    let mut headers = vec![];
    for _ in 0..pieces.place(12) {
        let name = if pieces.byte() < 200 { pieces.one_of(&NAMES).to_owned() } else { pieces.text() };
        let value = if pieces.byte() < 100 { pieces.one_of(&VALUES).to_owned() } else { pieces.text() };
        headers.push(format!("{}:{}", json!(name), json!(value)));
    }
    let token =
        pieces.one_of(&[json!(null), json!({}), json!({ "token": "" }), json!({ "token": "plain-local-secret" })]);
    let (encode, is_base64) = (pieces.byte() < 100, pieces.byte() < 128);
    let rest = pieces.rest();
    let body = if encode { BASE64_STANDARD.encode(rest) } else { String::from_utf8_lossy(rest).into_owned() };
    let [headers, body] = [headers.join(","), json!(body).to_string()];
    let event =
        format!(r#"{{"headers":{{{headers}}},"pathParameters":{token},"body":{body},"isBase64Encoded":{is_base64}}}"#);
    event.into_bytes()
}
