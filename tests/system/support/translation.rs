//! Translates bodies without signing them.

use std::time::Duration;

use clientele::events::signed_at;
use clientele_model::{Delivery, Request, Scheme, Secrets, TokenPlace, Translation, Verified, verify};
use clientele_providers::find;
use jiff::Timestamp;
use serde_json::Value;

use crate::support::case;

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
    (find(provider).unwrap().translate)(&verified)
}

/// The body of an event file after the value at a JSON pointer was replaced, or removed with `None`.
pub(crate) fn changed_body(title: &str, pointer: &str, value: Option<Value>) -> String {
    let mut body: Value = serde_json::from_str(&case(title).body().unwrap()).unwrap();
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    let parent = body.pointer_mut(parent).unwrap().as_object_mut().unwrap();
    match value {
        Some(value) => parent.insert(name.into(), value),
        None => parent.remove(name),
    };
    body.to_string()
}

/// The first translation of such a body.
pub(crate) fn changed(title: &str, pointer: &str, value: Option<Value>) -> Translation {
    let (provider, _) = title.split_once('/').unwrap();
    translate(provider, changed_body(title, pointer, value).as_bytes()).remove(0)
}

/// The JSON pointer of every leaf of a body.
pub(crate) fn leaves(body: &Value) -> Vec<String> {
    let inner = |name: String, value: &Value| {
        leaves(value).into_iter().map(move |pointer| format!("/{name}{pointer}")).collect::<Vec<_>>()
    };
    match body {
        Value::Object(fields) if !fields.is_empty() => {
            fields.iter().flat_map(|(name, value)| inner(name.clone(), value)).collect()
        }
        Value::Array(elements) if !elements.is_empty() => {
            elements.iter().enumerate().flat_map(|(place, value)| inner(place.to_string(), value)).collect()
        }
        _ => vec![String::new()],
    }
}
