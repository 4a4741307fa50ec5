//! Checks that any body is translated in the same way each time, including after it was kept.

use clientele_model::{Provider, Scheme, Translated, Verified};
use serde_json::Value;

use crate::edited_bodies::edited;
use crate::signing::{verified, verified_with_id};
use crate::{item, kept_delivery};

pub(crate) fn check(provider: &Provider, input: &[u8]) {
    check_body(provider, input);
    if serde_json::from_slice::<Value>(input).is_err() {
        check_body(provider, &edited(provider.name, input));
    }
}

fn check_body(provider: &Provider, body: &[u8]) {
    let verified = delivery(provider, body);
    let translations = (provider.translate)(&verified);
    let again = (provider.translate)(&verified);
    assert!(translations == again, "translated differently: {}", String::from_utf8_lossy(body));
    for translation in &translations {
        if let Ok(Translated::Event(event)) = translation {
            item::check(event, verified.received_at());
            assert_eq!(event.key().provider(), provider.name);
        }
    }
    kept_delivery::check_whole(provider, &verified, &translations);
    kept_delivery::check_parts(provider, &verified, &translations);
    kept_delivery::check_credentials(provider, body);
}

/// A verified delivery of a body. It has a message id only if the provider's scheme can have one.
fn delivery(provider: &Provider, body: &[u8]) -> Verified {
    match body.len() % 3 {
        _ if (provider.scheme)(None) != Ok(Scheme::Svix) => verified(body),
        0 => verified(body),
        1 => verified_with_id(body, "msg_3MJq19vDYZD2czTs2dtq2pSWa0t"),
        _ => {
            let beginning: String = String::from_utf8_lossy(body).chars().filter(|c| *c != '.').take(27).collect();
            verified_with_id(body, &format!("msg_{beginning}"))
        }
    }
}
