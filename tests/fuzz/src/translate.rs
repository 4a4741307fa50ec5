//! Any body is understood in the same way each time, now and after it was kept.

use clientele_model::{Provider, Scheme, Secrets, TokenPlace, Translated, Verified, verify};
use serde_json::Value;

use crate::attempt::{Attempt, NOW, TOLERANCE};
use crate::edits::edited;
use crate::{item, kept, proof};

pub(crate) fn check(provider: &Provider, input: &[u8]) {
    check_body(provider, input);
    if serde_json::from_slice::<Value>(input).is_err() {
        check_body(provider, &edited(provider.name, input));
    }
}

fn check_body(provider: &Provider, body: &[u8]) {
    let verified = delivery(provider, body);
    let translations = (provider.translate)(&verified);
    assert!(translations == (provider.translate)(&verified), "understood differently: {}", shown(body));
    for translation in &translations {
        if let Ok(Translated::Event(event)) = translation {
            item::check(event, verified.received_at());
            assert_eq!(event.key().provider(), provider.name);
        }
    }
    kept::check_whole(provider, &verified, &translations);
    kept::check_parts(provider, &verified, &translations);
    kept::check_credentials(provider, body);
}

/// A verified delivery of a body; where the provider knows a message by its id, with one or without.
fn delivery(provider: &Provider, body: &[u8]) -> Verified {
    match body.len() % 3 {
        _ if (provider.scheme)(None) != Ok(Scheme::Svix) => delivered(body),
        0 => delivered(body),
        1 => with_id(body, "msg_3MJq19vDYZD2czTs2dtq2pSWa0t"),
        _ => {
            let beginning: String = String::from_utf8_lossy(body).chars().filter(|c| *c != '.').take(27).collect();
            with_id(body, &format!("msg_{beginning}"))
        }
    }
}

pub(crate) fn delivered(body: &[u8]) -> Verified {
    let scheme = Scheme::Token(TokenPlace::Path);
    opened(&proof::signed(&scheme, b"k", body, ""), &scheme, "k")
}

fn with_id(body: &[u8], id: &str) -> Verified {
    opened(&proof::signed(&Scheme::Svix, b"one", body, id), &Scheme::Svix, "whsec_b25l")
}

fn opened(signed: &Attempt, scheme: &Scheme, secrets: &str) -> Verified {
    verify(signed.delivery(), scheme, &Secrets::parse(secrets, scheme).unwrap(), NOW, TOLERANCE).unwrap()
}

pub(crate) fn shown(body: &[u8]) -> String {
    String::from_utf8_lossy(body).into_owned()
}
