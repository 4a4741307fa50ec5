//! What is rightly signed is accepted, and nothing else.

use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use clientele_model::{Provider, Rejection, Scheme, Secrets, verify};
use jiff::Timestamp;
use serde_json::json;

use crate::attempt::{Attempt, NAMES, NOW, TOLERANCE, line};
use crate::pieces::Pieces;
use crate::proof::{judge, keys, signed};

/// Every setting that a provider understands, if one of them does.
const SETTINGS: [&str; 7] = [
    "url-token",
    "signature",
    "basic",
    "svix",
    "token:X-Api-Key",
    "hmac-sha256-hex:X-Signature",
    "hmac-sha256-base64:X-Signature",
];

/// The schemes that a provider can be set to, and that of `setting`.
pub(crate) fn schemes(provider: &Provider, setting: &str) -> Vec<Scheme> {
    let settings = SETTINGS.into_iter().chain([setting]).map(Some).chain([None]);
    let mut schemes = vec![];
    for scheme in settings.filter_map(|setting| (provider.scheme)(setting).ok()) {
        if !schemes.contains(&scheme) {
            schemes.push(scheme);
        }
    }
    schemes
}

pub(crate) fn check(provider: &Provider, input: &[u8]) {
    let lines = input.split(|byte| *byte == b'\n').count();
    let (setting, secrets, attempt) = if lines < 5 { built(input) } else { read(input) };
    let schemes = schemes(provider, &setting);
    assert!(!schemes.is_empty());
    for scheme in schemes {
        drop(judge(&attempt, &scheme, &secrets));
        rightly_signed(&attempt, &scheme, &secrets, input.len());
    }
}

/// The setting, the secrets and the token, a line each, and the rest of the attempt.
fn read(input: &[u8]) -> (String, String, Attempt) {
    let (setting, rest) = line(input);
    let (secrets, rest) = line(rest);
    let (token, rest) = line(rest);
    let token = Some(token).filter(|token| !token.is_empty());
    (setting, secrets, Attempt { token, ..Attempt::read(rest) })
}

/// The same of bytes that have not so many lines.
fn built(input: &[u8]) -> (String, String, Attempt) {
    let mut pieces = Pieces(input);
    let setting = format!("{}:{}", pieces.one_of(&["token", "hmac-sha256-hex", "hmac-sha256-base64"]), pieces.text());
    let [one, other] = [pieces.text(), pieces.text()];
    let secrets = match pieces.byte() % 4 {
        0 => one,
        1 => json!([one, other]).to_string(),
        2 => json!([format!("{one}:{other}")]).to_string(),
        _ => json!([one, other].map(|secret| format!("whsec_{}", BASE64_STANDARD.encode(secret)))).to_string(),
    };
    let token = (pieces.byte() < 128).then(|| pieces.text());
    let header = |_| (pieces.one_of(&NAMES).to_owned(), pieces.text());
    let headers = (0..4).map(header).collect();
    (setting, secrets, Attempt { headers, token, body: pieces.rest().to_vec() })
}

/// Secrets that any scheme of its kind can use.
fn usable(scheme: &Scheme) -> &'static str {
    match scheme {
        Scheme::Svix => r#"["whsec_ZmVkY2JhOTg3NjU0MzIxMGZlZGNiYTk4", "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3"]"#,
        Scheme::Basic => r#"["other:pa:ss", "user:pass"]"#,
        Scheme::Hmac { .. } | Scheme::Token(_) => r#"["k2", "k"]"#,
    }
}

/// The body of the attempt, signed with the last of the secrets, is accepted; with anything changed it is refused.
fn rightly_signed(attempt: &Attempt, scheme: &Scheme, secrets: &str, seed: usize) {
    let known = keys(secrets, scheme).filter(|keys| !keys.is_empty());
    let secrets = if known.is_some() { secrets } else { usable(scheme) };
    let keys = keys(secrets, scheme).unwrap();
    let id = attempt.headers("svix-id").first().copied().unwrap_or_default().replace('.', "");
    let signed = signed(scheme, keys.last().unwrap(), &attempt.body, if id.is_empty() { "msg_1" } else { &id });
    assert!(judge(&signed, scheme, secrets).is_ok(), "rightly signed and refused: {scheme:?} {secrets:?} {signed:?}");

    if matches!(scheme, Scheme::Hmac { .. } | Scheme::Svix) {
        let body = with_a_bit_turned(&signed.body, seed);
        let verdict = judge(&Attempt { body, ..signed.clone() }, scheme, secrets);
        assert_eq!(verdict.unwrap_err(), Rejection::Mismatch);
    }
    for place in 0..signed.headers.len() {
        let mut repeated = signed.clone();
        repeated.headers.push(signed.headers[place].clone());
        assert_eq!(judge(&repeated, scheme, secrets).unwrap_err(), Rejection::ProofRepeated);

        let mut changed = signed.clone();
        let value = &mut changed.headers[place].1;
        // The word `Basic` may come in any letter case.
        let proof = value.find(' ').filter(|_| *scheme == Scheme::Basic).map_or(0, |space| space + 1);
        let other = with_a_letter_changed(&value[proof..], seed);
        value.replace_range(proof.., &other);
        let verdict = judge(&changed, scheme, secrets);
        assert!(verdict.is_err() || keys.len() > 1, "changed and accepted: {scheme:?} {secrets:?} {changed:?}");
    }
    if let Some(token) = &signed.token {
        let changed = Attempt { token: Some(with_a_letter_changed(token, seed)), ..signed.clone() };
        let verdict = judge(&changed, scheme, secrets);
        assert!(verdict.is_err() || keys.len() > 1, "changed and accepted: {secrets:?} {changed:?}");
    }
    sealed_until_a_secret_matches(&signed, scheme, secrets);
    for now in [Timestamp::MIN, Timestamp::MAX] {
        for tolerance in [Duration::ZERO, Duration::MAX] {
            let secrets = Secrets::parse(secrets, scheme).unwrap();
            drop(verify(signed.delivery(), scheme, &secrets, now, tolerance));
        }
    }
}

/// With no secrets it is refused, and comes back as it was: with the right ones it is accepted.
fn sealed_until_a_secret_matches(signed: &Attempt, scheme: &Scheme, secrets: &str) {
    let none = Secrets::parse("", scheme).unwrap();
    let refused = verify(signed.delivery(), scheme, &none, NOW, TOLERANCE).unwrap_err();
    assert_eq!(refused.reason, Rejection::NoSecret);
    let secrets = Secrets::parse(secrets, scheme).unwrap();
    let verified = verify(refused.delivery, scheme, &secrets, NOW, TOLERANCE).unwrap();
    assert_eq!(verified.body(), signed.body);
}

fn with_a_bit_turned(body: &[u8], seed: usize) -> Vec<u8> {
    let mut body = body.to_vec();
    let len = body.len();
    match body.get_mut(seed.checked_rem(len).unwrap_or_default()) {
        Some(byte) => *byte ^= 1 << (seed % 8),
        None => body.push(b' '),
    }
    body
}

/// Another letter that no encoding takes for the same.
fn with_a_letter_changed(text: &str, seed: usize) -> String {
    let place = seed.checked_rem(text.chars().count()).unwrap_or_default();
    let changed = |(at, letter)| {
        if at == place && letter == '0' {
            '1'
        } else if at == place {
            '0'
        } else {
            letter
        }
    };
    text.chars().enumerate().map(changed).collect()
}
