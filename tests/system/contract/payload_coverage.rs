//! Nothing that a provider sends is lost silently: if an event file becomes an item, each of its leaves is in the item,
//! or on the provider's list of dropped fields.
//!
//! The test gives each leaf in turn a unique value, and looks for that value in the item.

use clientele::events::{Case, signed_at};
use clientele_model::{KeptDelivery, KeptPart, Time, Translated, is_sensitive};
use jiff::SignedDuration;
use serde_json::{Value, json};

use crate::support::cases;
use crate::support::translation::{leaves, translate, verified};

/// Whether it is on the list, has a sensitive name, or is a credential in a place that is not documented.
fn is_dropped(case: &Case, pointer: &str) -> bool {
    let names: Vec<_> = pointer.split('/').skip(1).filter(|name| name.parse::<usize>().is_err()).collect();
    let path = names.join(".");
    let listed = case.provider.dropped_paths.iter().any(|pattern| match pattern.strip_suffix('*') {
        Some(start) => path.starts_with(start),
        None => path == *pattern || path.starts_with(&format!("{pattern}.")),
    });
    let credentials = case.provider.credential_fields.name_prefixes;
    let sensitive = names.iter().any(|name| is_sensitive(name));
    listed || sensitive || names.iter().any(|name| credentials.iter().any(|prefix| name.starts_with(prefix)))
}

/// For each event of a body, whether it is ignored.
fn ignored_events(case: &Case, body: &Value) -> Vec<bool> {
    let translations = translate(case.provider.name, body.to_string().as_bytes());
    translations.iter().map(|translation| matches!(translation, Ok(Translated::Ignored(_)))).collect()
}

/// Whether the leaf is in an event of a batch that is ignored. Nothing of such an event is stored.
fn is_in_an_ignored_event(case: &Case, ignored: &[bool], pointer: &str) -> bool {
    let list = case.provider.response_rules.batch_field.and_then(|list| pointer.strip_prefix(&format!("/{list}/")));
    let place = list.and_then(|rest| rest.split('/').next()?.parse::<usize>().ok());
    place.is_some_and(|place| ignored[place])
}

/// A unique value of the same type, and its form in the item.
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

/// The items of all events of a body, as text. For events that are not understood, the body of the kept message.
fn items(case: &Case, body: &Value) -> String {
    let mut items = String::new();
    let body = body.to_string();
    for (place, translation) in translate(case.provider.name, body.as_bytes()).into_iter().enumerate() {
        match translation {
            Ok(Translated::Event(event)) => items += &serde_json::to_string(&event.item(signed_at())).unwrap(),
            Ok(Translated::Ignored(_) | Translated::AlreadySettled) => {}
            Err(_) => {
                let verified = verified(body.as_bytes(), signed_at());
                let kept = KeptDelivery::new(case.provider, &verified, "", KeptPart::Events(&[place]));
                items += &kept.body.unwrap();
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
        // An ignored event becomes no item, and a tombstone keeps no fields on purpose.
        let original = items(case, &body);
        if original.is_empty() || case.name == "customer-deleted" {
            continue;
        }
        let ignored = ignored_events(case, &body);
        let mut types = 0;
        for pointer in leaves(&body) {
            if is_dropped(case, &pointer) || is_in_an_ignored_event(case, &ignored, &pointer) {
                continue;
            }
            counted += 1;
            let mut changed = body.clone();
            let leaf = changed.pointer_mut(&pointer).unwrap();
            // A boolean cannot be unique. Its opposite must change the item.
            if let Some(flag) = leaf.as_bool() {
                *leaf = json!(!flag);
                assert_ne!(items(case, &changed), original, "{}: {pointer} is lost", case.title());
                continue;
            }
            let (value, said) = unique(leaf, counted);
            *leaf = value;
            if ignored_events(case, &changed) != ignored {
                types += 1;
                continue;
            }
            assert!(items(case, &changed).contains(&said), "{}: {pointer} is lost", case.title());
        }
        // One leaf of each event decides whether it is about a customer: its type.
        assert_eq!(types, ignored.iter().filter(|ignored| !*ignored).count(), "{}", case.title());
    }
    assert!(counted > 1_000, "only {counted} leaves were looked at");
}
