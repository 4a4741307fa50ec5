//! What is kept of a delivery is all of it, but for credentials.

use clientele_model::{
    CredentialFields, KeptDelivery, KeptPart, Provider, Translated, Translation, Untranslatable, Verified,
};
use serde_json::Value;

use crate::item::is_sendable;
use crate::translate::{delivered, shown};

/// A value that no input has by chance.
const CANARY: &str = "9c1dCANARY44e2";

pub(crate) fn check_whole(provider: &Provider, verified: &Verified, translations: &[Translation]) {
    let again = there_and_back(provider, verified, KeptPart::Whole);
    if provider.credential_fields == CredentialFields::NONE {
        assert_eq!(shown(again.body()), shown(verified.body()), "kept otherwise");
        assert_eq!(again.body(), verified.body(), "kept otherwise");
    }
    assert_same(provider, verified, &again, translations);
}

/// Of a batch each event alone, and of anything else the whole, whatever part is asked for.
pub(crate) fn check_parts(provider: &Provider, verified: &Verified, translations: &[Translation]) {
    let body: Option<Value> = serde_json::from_slice(verified.body()).ok();
    let events = provider.response_rules.batch_field.and_then(|name| body.as_ref()?.get(name)?.as_array());
    let Some(events) = events else {
        // What is no batch for the check here may be one for the code: half a surrogate pair is enough.
        if provider.response_rules.batch_field.is_none() {
            let [whole, part] = [KeptPart::Whole, KeptPart::Events(&[1])]
                .map(|part| KeptDelivery::new(provider, verified, "why", part));
            assert!(whole == part, "kept otherwise: {}", shown(verified.body()));
        }
        return;
    };
    assert_eq!(events.len(), translations.len(), "an event is lost: {}", shown(verified.body()));
    for place in 0..events.len().min(8) {
        let again = there_and_back(provider, verified, KeptPart::Events(&[place]));
        let parts = (provider.translate)(&again);
        assert_eq!(parts.len(), translations.len());
        for (at, part) in parts.iter().enumerate() {
            let is_right =
                if at == place { *part == translations[at] } else { *part == Ok(Translated::AlreadySettled) };
            assert!(is_right, "event {at} of part {place}: {}", shown(verified.body()));
        }
    }
}

/// A credential put anywhere into a body is in no message.
pub(crate) fn check_credentials(provider: &Provider, body: &[u8]) {
    if provider.credential_fields == CredentialFields::NONE || shown(body).contains(CANARY) {
        return;
    }
    let places = objects(body);
    let fields = [
        format!("\"otp\":\"{CANARY}\","),
        format!("\"OTP_sent\" : [ \"{CANARY}\" ] ,"),
        format!("\"edit_token\":{{\"a\\\"\":[\"}}\",\"{CANARY}\"]}},"),
        format!("\"\\u006ftp\":\"\\\"{CANARY}\","),
    ];
    let field = &fields[body.len() % fields.len()];
    let Some(place) = places.get(body.len() / fields.len() % places.len().max(1)) else { return };
    let mut with_canary = [&body[..*place], field.as_bytes(), &body[*place..]].concat();
    check_credential(provider, &with_canary);
    // Cut off behind it.
    with_canary.truncate(place + field.len() + body.len() % 64);
    check_credential(provider, &with_canary);
}

fn check_credential(provider: &Provider, body: &[u8]) {
    let verified = delivered(body);
    let kept = KeptDelivery::new(provider, &verified, "why", KeptPart::Whole);
    let (message, again) = (kept.to_message(), kept.into_verified().unwrap());
    assert_same(provider, &verified, &again, &(provider.translate)(&verified));
    let is_without = |text: &str| !text.contains(CANARY);
    if is_without(&message) && is_without(&shown(again.body())) {
        return;
    }
    // What the customer's own fields are called is the customer's business.
    let mut value: Value = serde_json::from_slice(again.body()).unwrap_or_default();
    remove_own(&mut value, provider.credential_fields.exempt_fields);
    assert!(!value.is_null() && is_without(&value.to_string()), "a credential is kept: {}", shown(body));
}

fn remove_own(value: &mut Value, own: &[&str]) {
    match value {
        Value::Object(fields) => {
            fields.retain(|name, _| !own.contains(&name.as_str()));
            fields.values_mut().for_each(|value| remove_own(value, own));
        }
        Value::Array(elements) => elements.iter_mut().for_each(|value| remove_own(value, own)),
        _ => {}
    }
}

/// Where an object begins that has a field: behind each `{` outside of strings that a name follows.
fn objects(body: &[u8]) -> Vec<usize> {
    let (mut places, mut in_string, mut is_escaped) = (vec![], false, false);
    for (at, byte) in body.iter().enumerate() {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' if in_string => is_escaped = true,
            b'"' => in_string = !in_string,
            b'{' if !in_string && body.get(at + 1) == Some(&b'"') => places.push(at + 1),
            _ => {}
        }
    }
    places
}

/// The delivery that comes out of the message that it goes into.
fn there_and_back(provider: &Provider, verified: &Verified, part: KeptPart<'_>) -> Verified {
    let kept = KeptDelivery::new(provider, verified, "why", part);
    let message = kept.to_message();
    assert!(message.chars().all(is_sendable), "SQS takes no such message: {message}");
    let read = KeptDelivery::from_message(&message).unwrap();
    assert!(read == kept, "read otherwise: {message}");
    let again = read.into_verified().unwrap();
    assert_eq!(again.received_at(), verified.received_at());
    let [after, before] = [&again, verified].map(Verified::proof);
    assert_eq!((&after.message_id, after.sent_at), (&before.message_id, before.sent_at));
    again
}

/// Without a credential that was no JSON itself, a body may be JSON: then it is understood later, and was not before.
fn assert_same(provider: &Provider, before: &Verified, after: &Verified, translations: &[Translation]) {
    if provider.credential_fields != CredentialFields::NONE && translations == [Err(Untranslatable::NotJson)] {
        return;
    }
    assert!((provider.translate)(after) == translations, "understood otherwise: {}", shown(before.body()));
}
