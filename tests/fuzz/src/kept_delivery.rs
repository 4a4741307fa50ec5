//! Checks that a delivery is kept completely, except for credentials.

use clientele_model::{
    BodyEncoding, CredentialFields, KeptDelivery, KeptPart, Provider, Translated, Translation, Verified, parse_json,
};
use serde_json::{Value, json};

use crate::item::is_accepted_by_sqs;
use crate::signing::verified;

/// A value that no input contains by chance.
const CANARY: &str = "9c1dCANARY44e2";

pub(crate) fn check_whole(provider: &Provider, verified: &Verified, translations: &[Translation]) {
    let Some(again) = keep_and_read(provider, verified, KeptPart::Whole) else { return };
    if provider.credential_fields == CredentialFields::NONE {
        assert_eq!(text(again.body()), text(verified.body()), "kept differently");
        assert_eq!(again.body(), verified.body(), "kept differently");
    }
    assert_same_translations(provider, verified, &again, translations);
}

/// Checks that each event of a batch can be kept alone, and that any other delivery is kept whole.
pub(crate) fn check_parts(provider: &Provider, verified: &Verified, translations: &[Translation]) {
    let body = parse_json(verified.body());
    let events = provider.response_rules.batch_field.and_then(|name| body.as_ref()?.get(name)?.as_array());
    let Some(events) = events else {
        let [whole, part] =
            [KeptPart::Whole, KeptPart::Events(&[1])].map(|part| KeptDelivery::new(provider, verified, "why", part));
        assert!(whole == part, "kept differently: {}", text(verified.body()));
        return;
    };
    // A batch without events can be one that is not understood. It is kept whole.
    let is_not_understood = events.is_empty() && matches!(translations, [Err(_)]);
    let translated = if is_not_understood { 0 } else { translations.len() };
    assert_eq!(events.len(), translated, "an event is lost: {}", text(verified.body()));
    for place in 0..events.len().min(8) {
        let again = keep_and_read(provider, verified, KeptPart::Events(&[place])).unwrap();
        let parts = (provider.translate)(&again);
        assert_eq!(parts.len(), translations.len());
        for (index, part) in parts.iter().enumerate() {
            let is_right =
                if index == place { *part == translations[index] } else { *part == Ok(Translated::AlreadySettled) };
            assert!(is_right, "event {index} of part {place}: {}", text(verified.body()));
        }
    }
}

/// Checks that a credential anywhere in a body is in no message and in no item.
pub(crate) fn check_credentials(provider: &Provider, body: &[u8]) {
    if provider.credential_fields == CredentialFields::NONE || text(body).contains(CANARY) {
        return;
    }
    let forms = forms(provider);
    let form = &forms[body.len() % forms.len()];
    let positions = object_positions(body);
    let Some(position) = positions.get(body.len() / forms.len() % positions.len().max(1)) else { return };
    check_form(provider, body, *position, form);
}

/// Inserts a credential into a body, and checks the body in several encodings.
fn check_form(provider: &Provider, body: &[u8], position: usize, form: &str) {
    let with_canary = [&body[..position], form.as_bytes(), &body[position..]].concat();
    check_credential(provider, &with_canary);
    // Truncated after the credential.
    check_credential(provider, &with_canary[..position + form.len() + body.len() % 64 % (body.len() - position)]);
    let text = text(&with_canary);
    check_credential(provider, json!(text).to_string().as_bytes());
    check_credential(provider, json!([json!(text).to_string(), { "a": text }]).to_string().as_bytes());
    check_credential(provider, format!("body: {text}").as_bytes());
    check_credential(provider, &text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<_>>());
}

/// The canary as a credential of the provider, to be inserted at the beginning of an object. Not all forms are JSON.
fn forms(provider: &Provider) -> Vec<String> {
    let prefixes = provider.credential_fields.name_prefixes;
    let (first, last) = (prefixes[0], prefixes[prefixes.len() - 1]);
    let nested = json!(json!({ first: CANARY }).to_string()).to_string();
    vec![
        format!("\"{first}\":\"{CANARY}\","),
        format!("\"{}_sent\" : [ \"{CANARY}\" ] ,", first.to_uppercase()),
        format!("\"{last}\":{{\"a\\\"\":[\"}}\",\"{CANARY}\"]}},"),
        format!("\"\\u{:04x}{}\":\"\\\"{CANARY}\",", first.as_bytes()[0], &first[1..]),
        format!("\"{first}\":\"{CANARY}\",\"{first}\":1,"),
        format!("\"a\":{{\"{first}\":\"{CANARY}\"}},\"a\":{{}},"),
        // Names and values apart.
        format!("\"a\":{{\"name\":\"{first}\",\"value\":\"{CANARY}\"}},"),
        format!("\"a\":[{{\"fieldName\":\"{last}_hash\",\"old_value\":null,\"new_value\":[\"{CANARY}\"]}}],"),
        format!("\"a\":{{\"op\":\"replace\",\"path\":\"/customer/{first}\",\"value\":{{\"b\":\"{CANARY}\"}}}},"),
        format!("\"a\":[[\"{first}\",\"{CANARY}\"]],"),
        format!("\"a\":[\"{last}\",null,\"{CANARY}\"],"),
        // JSON in a string, and something like it.
        format!("\"a\":{nested},"),
        format!("\"a\":[{}],", json!(nested)),
        format!("\"a\":{},", json!(format!("{{\"b\":{{\"{first}\":\"{CANARY}\"}},\"b\":1}}"))),
        format!("\"a\":{},", json!(format!("{{\"b\":\"5\" pipe\",\"{first}\":\"{CANARY}\"}}"))),
        format!("\"a\":{},", json!(format!("[{{'{first}':'{CANARY}'}}]"))),
        format!("\"a\":{},", json!(format!("received {{\"{first}\" \"{CANARY}\""))),
        format!("\"a\":\"id=e1&{first}={CANARY}\","),
        // Not JSON.
        format!("\"a\":\"5\" pipe\",\"{first}\":\"{CANARY}\","),
        format!("\"a\":\"pipe,\"{first}\":\"{CANARY}\","),
        format!("\u{201c}{first}\u{201d}:\u{201c}{CANARY}\u{201d},"),
        format!("'{first}':'{CANARY}',"),
        format!("{first}:\"{CANARY}\","),
        format!("\"{first}\":{CANARY},"),
        format!("\"{first}\":\"\n{CANARY}\","),
    ]
}

fn check_credential(provider: &Provider, body: &[u8]) {
    let verified = verified(body);
    let translations = (provider.translate)(&verified);
    for translation in &translations {
        if let Ok(Translated::Event(event)) = translation {
            let item = serde_json::to_value(event.item(verified.received_at())).unwrap();
            assert_only_in_exempt_fields(provider, item, body);
        }
    }
    let kept = KeptDelivery::new(provider, &verified, "why", KeptPart::Whole);
    let Some(again) = read(&kept, provider, &verified) else { return };
    assert_same_translations(provider, &verified, &again, &translations);
    if kept.to_message().contains(CANARY) {
        assert_only_in_exempt_fields(provider, parse_json(again.body()).unwrap(), body);
    }
}

/// The customer's own fields may have any name.
fn assert_only_in_exempt_fields(provider: &Provider, mut value: Value, body: &[u8]) {
    remove_fields(&mut value, provider.credential_fields.exempt_fields);
    assert!(!value.to_string().contains(CANARY), "a credential is kept: {}", text(body));
}

/// Every form at every place of a body, except that of the customer's own fields.
#[test]
fn a_credential_in_any_form_is_kept_nowhere() {
    let body = br#"{"id":"e1","type":"customer.updated","created_at":1795176000000,"data":{"customer":{"id":"c1",
        "tenant_id":"t1","updated_at":"2026-11-20T12:00:00Z","primary_email":"ada@example.org","metadata":{"b":1},
        "contact_people":[{"first_name":"Ada"}]}}}"#;
    for provider in clientele_providers::PROVIDERS.iter().filter(|it| it.credential_fields != CredentialFields::NONE) {
        for form in forms(provider) {
            for position in object_positions(body) {
                check_form(provider, body, position, &form);
            }
        }
    }
}

fn remove_fields(value: &mut Value, names: &[&str]) {
    match value {
        Value::Object(fields) => {
            fields.retain(|name, _| !names.contains(&name.as_str()));
            fields.values_mut().for_each(|value| remove_fields(value, names));
        }
        Value::Array(elements) => elements.iter_mut().for_each(|value| remove_fields(value, names)),
        Value::String(text) if text.contains(CANARY) => {
            let mut inner = parse_json(text.as_bytes()).unwrap_or_default();
            remove_fields(&mut inner, names);
            if !inner.is_null() {
                *text = inner.to_string();
            }
        }
        _ => {}
    }
}

/// The positions at which a field can be inserted: after each `{` outside strings that is followed by a name.
fn object_positions(body: &[u8]) -> Vec<usize> {
    let (mut positions, mut in_string, mut is_escaped) = (vec![], false, false);
    for (at, byte) in body.iter().enumerate() {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' if in_string => is_escaped = true,
            b'"' => in_string = !in_string,
            b'{' if !in_string && body.get(at + 1) == Some(&b'"') => positions.push(at + 1),
            _ => {}
        }
    }
    positions
}

/// Keeps a delivery as a message and reads it back, unless its body must not be kept.
fn keep_and_read(provider: &Provider, verified: &Verified, part: KeptPart<'_>) -> Option<Verified> {
    read(&KeptDelivery::new(provider, verified, "why", part), provider, verified)
}

fn read(kept: &KeptDelivery, provider: &Provider, verified: &Verified) -> Option<Verified> {
    let message = kept.to_message();
    assert!(message.chars().all(is_accepted_by_sqs), "SQS rejects {message}");
    let read = KeptDelivery::from_message(&message).unwrap();
    assert!(read == *kept, "decoded differently: {message}");
    let is_json = parse_json(verified.body()).is_some();
    if provider.credential_fields != CredentialFields::NONE && !is_json {
        assert!(kept.encoding == BodyEncoding::Omitted && kept.body.is_none(), "kept: {}", text(verified.body()));
        return None;
    }
    assert_eq!(kept.encoding == BodyEncoding::Json, is_json);
    let again = read.into_verified().unwrap();
    assert_eq!(again.received_at(), verified.received_at());
    let [after, before] = [&again, verified].map(Verified::proof);
    assert_eq!((&after.message_id, after.sent_at), (&before.message_id, before.sent_at));
    Some(again)
}

/// Asserts that the kept delivery is translated like the original one.
fn assert_same_translations(provider: &Provider, before: &Verified, after: &Verified, translations: &[Translation]) {
    assert!((provider.translate)(after) == translations, "translated differently: {}", text(before.body()));
}

fn text(body: &[u8]) -> String {
    String::from_utf8_lossy(body).into_owned()
}
