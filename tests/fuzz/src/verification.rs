//! Checks that deliveries which are signed correctly are accepted, and no others.

use std::time::Duration;

use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use clientele_model::{Provider, Rejection, Scheme, Secrets, verify};
use jiff::Timestamp;
use serde_json::json;

use crate::attempt::{Attempt, HEADER_NAMES, NOW, TOLERANCE, split_line};
use crate::choices::Choices;
use crate::oracle::{keys, verify_and_compare};
use crate::signing::sign;

/// Settings that at least one provider supports.
const SETTINGS: [&str; 7] = [
    "url-token",
    "signature",
    "basic",
    "svix",
    "token:X-Api-Key",
    "hmac-sha256-hex:X-Signature",
    "hmac-sha256-base64:X-Signature",
];

/// The schemes that a provider supports, with the one for `setting`.
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
        drop(verify_and_compare(&attempt, &scheme, &secrets));
        check_signed(&attempt, &scheme, &secrets, input.len());
    }
}

/// Reads the setting, the secrets and the token on a line each, and the rest of the attempt.
fn read(input: &[u8]) -> (String, String, Attempt) {
    let (setting, rest) = split_line(input);
    let (secrets, rest) = split_line(rest);
    let (token, rest) = split_line(rest);
    let token = Some(token).filter(|token| !token.is_empty());
    (setting, secrets, Attempt { token, ..Attempt::read(rest) })
}

/// Builds the same from bytes with fewer lines.
fn built(input: &[u8]) -> (String, String, Attempt) {
    let mut choices = Choices(input);
    let setting = format!("{}:{}", choices.one_of(&["token", "hmac-sha256-hex", "hmac-sha256-base64"]), choices.text());
    let [one, other] = [choices.text(), choices.text()];
    let secrets = match choices.byte() % 5 {
        0 => one,
        1 => json!([one, other]).to_string(),
        2 => json!([format!("{one}:{other}")]).to_string(),
        3 => {
            json!([one, other].map(|secret| format!(" v1,whsec_{}", BASE64_URL_SAFE_NO_PAD.encode(secret)))).to_string()
        }
        _ => json!([one, other].map(|secret| format!("whsec_{}", BASE64_STANDARD.encode(secret)))).to_string(),
    };
    let token = (choices.byte() < 128).then(|| choices.text());
    let header = |_| (choices.one_of(&HEADER_NAMES).to_owned(), choices.text());
    let headers = (0..4).map(header).collect();
    (setting, secrets, Attempt { headers, token, body: choices.rest().to_vec() })
}

/// Secrets that any scheme of this kind can use.
fn usable_secrets(scheme: &Scheme) -> &'static str {
    match scheme {
        Scheme::Svix => r#"["whsec_ZmVkY2JhOTg3NjU0MzIxMGZlZGNiYTk4", "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3"]"#,
        Scheme::Basic => r#"["other:pa:ss", "user:pass"]"#,
        Scheme::Hmac { .. } | Scheme::Token(_) => r#"["k2", "k"]"#,
    }
}

/// Checks that the attempt's body is accepted when signed with the last secret, and rejected after any change.
fn check_signed(attempt: &Attempt, scheme: &Scheme, secrets: &str, seed: usize) {
    let is_usable = keys(secrets, scheme).is_some_and(|keys| !keys.is_empty());
    let secrets = if is_usable { secrets } else { usable_secrets(scheme) };
    let keys = keys(secrets, scheme).unwrap();
    let id = attempt.headers("svix-id").first().copied().unwrap_or_default().replace('.', "");
    let signed = sign(scheme, &keys.last().unwrap().1, &attempt.body, if id.is_empty() { "msg_1" } else { &id });
    let verdict = verify_and_compare(&signed, scheme, secrets);
    assert!(verdict.is_ok(), "signed correctly and rejected: {scheme:?} {secrets:?} {signed:?}");

    if matches!(scheme, Scheme::Hmac { .. } | Scheme::Svix) {
        let body = with_flipped_bit(&signed.body, seed);
        let verdict = verify_and_compare(&Attempt { body, ..signed.clone() }, scheme, secrets);
        assert_eq!(verdict.unwrap_err(), Rejection::Mismatch);
    }
    for index in 0..signed.headers.len() {
        let mut repeated = signed.clone();
        repeated.headers.push(signed.headers[index].clone());
        assert_eq!(verify_and_compare(&repeated, scheme, secrets).unwrap_err(), Rejection::ProofRepeated);

        let mut changed = signed.clone();
        let value = &mut changed.headers[index].1;
        // The word `Basic` may be in any letter case.
        let proof = value.find(' ').filter(|_| *scheme == Scheme::Basic).map_or(0, |space| space + 1);
        let other = with_changed_character(&value[proof..], seed);
        value.replace_range(proof.., &other);
        let verdict = verify_and_compare(&changed, scheme, secrets);
        assert!(verdict.is_err() || keys.len() > 1, "changed and accepted: {scheme:?} {secrets:?} {changed:?}");
    }
    if let Some(token) = &signed.token {
        let changed = Attempt { token: Some(with_changed_character(token, seed)), ..signed.clone() };
        let verdict = verify_and_compare(&changed, scheme, secrets);
        assert!(verdict.is_err() || keys.len() > 1, "changed and accepted: {secrets:?} {changed:?}");
    }
    check_second_verification(&signed, scheme, secrets);
    for now in [Timestamp::MIN, Timestamp::MAX] {
        for tolerance in [Duration::ZERO, Duration::MAX] {
            let secrets = Secrets::parse(secrets, scheme).unwrap();
            drop(verify(signed.delivery(), scheme, &secrets, now, tolerance));
        }
    }
}

/// Checks that a delivery that was rejected for lack of secrets is accepted, unchanged, with the right ones.
fn check_second_verification(signed: &Attempt, scheme: &Scheme, secrets: &str) {
    let none = Secrets::parse("", scheme).unwrap();
    let rejected = verify(signed.delivery(), scheme, &none, NOW, TOLERANCE).unwrap_err();
    assert_eq!(rejected.reason, Rejection::NoSecret);
    let secrets = Secrets::parse(secrets, scheme).unwrap();
    let verified = verify(rejected.delivery, scheme, &secrets, NOW, TOLERANCE).unwrap();
    assert_eq!(verified.body(), signed.body);
}

fn with_flipped_bit(body: &[u8], seed: usize) -> Vec<u8> {
    let mut body = body.to_vec();
    let len = body.len();
    match body.get_mut(seed.checked_rem(len).unwrap_or_default()) {
        Some(byte) => *byte ^= 1 << (seed % 8),
        None => body.push(b' '),
    }
    body
}

/// Replaces one character by another one, which no encoding treats as equal.
fn with_changed_character(text: &str, seed: usize) -> String {
    let changed = seed.checked_rem(text.chars().count()).unwrap_or_default();
    let replace = |(index, character)| match character {
        _ if index != changed => character,
        '0' => '1',
        _ => '0',
    };
    text.chars().enumerate().map(replace).collect()
}
