//! Nothing a provider sends disappears silently: every leaf of every event file that becomes an item is in it, or on the
//! provider's written list of what is dropped.
//!
//! Each leaf in turn is given a value that is found nowhere else; that value must be in the item.

use clientele::events::{Case, signed_at};
use clientele_model::{KeptDelivery, KeptPart, Time, Translated};
use jiff::SignedDuration;
use serde_json::{Value, json};

use crate::support::cases;
use crate::support::translation::{translate, verified};

/// The JSON pointer of every leaf.
fn leaves(pointer: &str, value: &Value, into: &mut Vec<String>) {
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            for (name, value) in fields {
                leaves(&format!("{pointer}/{name}"), value, into);
            }
        }
        Value::Array(elements) if !elements.is_empty() => {
            for (place, element) in elements.iter().enumerate() {
                leaves(&format!("{pointer}/{place}"), element, into);
            }
        }
        _ => into.push(pointer.to_owned()),
    }
}

/// On the written list, or a credential in a place that no page documents.
fn is_dropped(case: &Case, pointer: &str) -> bool {
    let names: Vec<_> = pointer.split('/').skip(1).filter(|name| name.parse::<usize>().is_err()).collect();
    let path = names.join(".");
    let listed = case.known.provider.dropped_paths.iter().any(|pattern| match pattern.strip_suffix('*') {
        Some(start) => path.starts_with(start),
        None => path == *pattern || path.starts_with(&format!("{pattern}.")),
    });
    let is_credential = |name: &&str| name.starts_with("otp") || name.starts_with("edit_token");
    listed || (case.known.provider.name == "metrifox" && names.iter().any(is_credential))
}

/// What decides whether and how the event is understood at all.
fn is_the_type(pointer: &str) -> bool {
    let pointers = ["/type", "/event_type", "/payload/eventType", "/payload/changeType"];
    pointers.contains(&pointer) || (pointer.starts_with("/events/") && pointer.ends_with("/event_type"))
}

/// In a batch, events of other kinds are dropped whole.
fn is_of_another_kind(body: &Value, pointer: &str) -> bool {
    let place = pointer.strip_prefix("/events/").and_then(|rest| rest.split('/').next());
    place.is_some_and(|place| {
        let kind = body.pointer(&format!("/events/{place}/event_type")).and_then(Value::as_str);
        !kind.is_some_and(|kind| kind.starts_with("customer_account."))
    })
}

/// A value of the same kind that is found nowhere else, and how the item says it.
fn unique(leaf: &Value, number: i64) -> (Value, String) {
    match leaf {
        Value::Number(_) => (json!(7_000_000_000 + number), (7_000_000_000 + number).to_string()),
        Value::String(old) if old.parse::<jiff::Timestamp>().is_ok() => {
            let moment = Time(signed_at() - SignedDuration::from_secs(1_000_000 + number));
            (json!(moment.to_string()), moment.to_string())
        }
        _ => (json!(format!("unique-{number:05}")), format!("unique-{number:05}")),
    }
}

/// The items of all events of a body, as text; of those that are not understood, what is kept of them.
fn items(case: &Case, body: &Value) -> String {
    let mut items = String::new();
    let body = body.to_string();
    for (place, translation) in translate(case.known.provider.name, body.as_bytes()).into_iter().enumerate() {
        match translation {
            Ok(Translated::Event(event)) => items += &serde_json::to_string(&event.item(signed_at())).unwrap(),
            Ok(Translated::Ignored(_) | Translated::AlreadySettled) => {}
            Err(_) => {
                let verified = verified(body.as_bytes(), signed_at());
                items += &KeptDelivery::new(case.known.provider, &verified, "", KeptPart::Events(&[place])).body;
            }
        }
    }
    items
}

#[test]
fn every_leaf_is_accounted_for() {
    let mut counted = 0;
    for case in cases() {
        let body: Value = serde_json::from_str(&case.body().unwrap()).unwrap();
        // What is ignored becomes no item, and a tombstone keeps nothing on purpose.
        let original = items(case, &body);
        if original.is_empty() || case.name == "customer-deleted" {
            continue;
        }
        let mut pointers = vec![];
        leaves("", &body, &mut pointers);
        for pointer in pointers {
            if is_dropped(case, &pointer) || is_the_type(&pointer) || is_of_another_kind(&body, &pointer) {
                continue;
            }
            counted += 1;
            let mut changed = body.clone();
            let leaf = changed.pointer_mut(&pointer).unwrap();
            // A flag has no third value: the other one must make another item.
            if let Some(flag) = leaf.as_bool() {
                *leaf = json!(!flag);
                assert_ne!(items(case, &changed), original, "{}: {pointer} is lost", case.title());
                continue;
            }
            let (value, said) = unique(leaf, counted);
            *leaf = value;
            assert!(items(case, &changed).contains(&said), "{}: {pointer} is lost", case.title());
        }
    }
    assert!(counted > 1_000, "only {counted} leaves were looked at");
}
