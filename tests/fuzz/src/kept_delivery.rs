//! Checks that a delivery is kept completely, except for credentials.

use clientele_model::{
    CredentialFields, KeptDelivery, KeptPart, Provider, Translated, Translation, Untranslatable, Verified,
};
use serde_json::Value;

use crate::item::is_accepted_by_sqs;
use crate::signing::verified;

/// A value that no input contains by chance.
const CANARY: &str = "9c1dCANARY44e2";

pub(crate) fn check_whole(provider: &Provider, verified: &Verified, translations: &[Translation]) {
    let again = keep_and_read(provider, verified, KeptPart::Whole);
    if provider.credential_fields == CredentialFields::NONE {
        assert_eq!(text(again.body()), text(verified.body()), "kept differently");
        assert_eq!(again.body(), verified.body(), "kept differently");
    }
    assert_same_translations(provider, verified, &again, translations);
}

/// Checks that each event of a batch can be kept alone, and that any other delivery is kept whole.
pub(crate) fn check_parts(provider: &Provider, verified: &Verified, translations: &[Translation]) {
    let body: Option<Value> = serde_json::from_slice(verified.body()).ok();
    let events = provider.response_rules.batch_field.and_then(|name| body.as_ref()?.get(name)?.as_array());
    let Some(events) = events else {
        // With an unpaired surrogate, the body is not a batch here but is one for the code under test.
        if provider.response_rules.batch_field.is_none() {
            let [whole, part] = [KeptPart::Whole, KeptPart::Events(&[1])]
                .map(|part| KeptDelivery::new(provider, verified, "why", part));
            assert!(whole == part, "kept differently: {}", text(verified.body()));
        }
        return;
    };
    assert_eq!(events.len(), translations.len(), "an event is lost: {}", text(verified.body()));
    for place in 0..events.len().min(8) {
        let again = keep_and_read(provider, verified, KeptPart::Events(&[place]));
        let parts = (provider.translate)(&again);
        assert_eq!(parts.len(), translations.len());
        for (index, part) in parts.iter().enumerate() {
            let is_right =
                if index == place { *part == translations[index] } else { *part == Ok(Translated::AlreadySettled) };
            assert!(is_right, "event {index} of part {place}: {}", text(verified.body()));
        }
    }
}

/// Checks that a credential anywhere in a body is in no message.
pub(crate) fn check_credentials(provider: &Provider, body: &[u8]) {
    let prefixes = provider.credential_fields.name_prefixes;
    let (Some(first), Some(last)) = (prefixes.first(), prefixes.last()) else { return };
    if text(body).contains(CANARY) {
        return;
    }
    let positions = object_positions(body);
    let fields = [
        format!("\"{first}\":\"{CANARY}\","),
        format!("\"{}_sent\" : [ \"{CANARY}\" ] ,", first.to_uppercase()),
        format!("\"{last}\":{{\"a\\\"\":[\"}}\",\"{CANARY}\"]}},"),
        format!("\"\\u{:04x}{}\":\"\\\"{CANARY}\",", first.as_bytes()[0], &first[1..]),
    ];
    let field = &fields[body.len() % fields.len()];
    let Some(position) = positions.get(body.len() / fields.len() % positions.len().max(1)) else { return };
    let mut with_canary = [&body[..*position], field.as_bytes(), &body[*position..]].concat();
    check_credential(provider, &with_canary);
    // Truncated after the credential.
    with_canary.truncate(position + field.len() + body.len() % 64);
    check_credential(provider, &with_canary);
}

fn check_credential(provider: &Provider, body: &[u8]) {
    let verified = verified(body);
    let kept = KeptDelivery::new(provider, &verified, "why", KeptPart::Whole);
    let (message, again) = (kept.to_message(), kept.into_verified().unwrap());
    assert_same_translations(provider, &verified, &again, &(provider.translate)(&verified));
    let is_without = |text: &str| !text.contains(CANARY);
    if is_without(&message) && is_without(&text(again.body())) {
        return;
    }
    // The customer's own fields may have any name.
    let mut value: Value = serde_json::from_slice(again.body()).unwrap_or_default();
    remove_fields(&mut value, provider.credential_fields.exempt_fields);
    assert!(!value.is_null() && is_without(&value.to_string()), "a credential is kept: {}", text(body));
}

fn remove_fields(value: &mut Value, names: &[&str]) {
    match value {
        Value::Object(fields) => {
            fields.retain(|name, _| !names.contains(&name.as_str()));
            fields.values_mut().for_each(|value| remove_fields(value, names));
        }
        Value::Array(elements) => elements.iter_mut().for_each(|value| remove_fields(value, names)),
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

/// Keeps a delivery as a message and reads it back.
fn keep_and_read(provider: &Provider, verified: &Verified, part: KeptPart<'_>) -> Verified {
    let kept = KeptDelivery::new(provider, verified, "why", part);
    let message = kept.to_message();
    assert!(message.chars().all(is_accepted_by_sqs), "SQS rejects {message}");
    let read = KeptDelivery::from_message(&message).unwrap();
    assert!(read == kept, "decoded differently: {message}");
    let again = read.into_verified().unwrap();
    assert_eq!(again.received_at(), verified.received_at());
    let [after, before] = [&again, verified].map(Verified::proof);
    assert_eq!((&after.message_id, after.sent_at), (&before.message_id, before.sent_at));
    again
}

/// Asserts that the kept delivery is translated like the original one. The exception is a body that was not JSON
/// because of a credential: without it the body may be JSON, and is translated only now.
fn assert_same_translations(provider: &Provider, before: &Verified, after: &Verified, translations: &[Translation]) {
    if provider.credential_fields != CredentialFields::NONE && translations == [Err(Untranslatable::NotJson)] {
        return;
    }
    assert!((provider.translate)(after) == translations, "translated differently: {}", text(before.body()));
}

fn text(body: &[u8]) -> String {
    String::from_utf8_lossy(body).into_owned()
}
