//! docs/schema has the schemas of the types, and what is written is valid under them.
//!
//! `UPDATE=1 cargo test schemas` writes the files.

use clientele::events::signed_at;
use clientele_model::{
    ChangeEvent, CredentialFields, FeedContent, FeedSettings, Item, ItemWrite, KeptDelivery, KeptPart, RefusedChange,
    schema,
};
use clientele_providers::PROVIDERS;
use jsonschema::Validator;
use serde_json::{Value, json};

use crate::support::{cases, root};

fn checked_in(name: &str) -> Value {
    serde_json::from_str(&std::fs::read_to_string(root(&format!("docs/schema/{name}.json"))).unwrap()).unwrap()
}

#[test]
fn schemas_are_those_of_the_types() {
    for (name, schema) in schema::all() {
        if std::env::var_os("UPDATE").is_some() {
            let text = serde_json::to_string_pretty(&schema).unwrap() + "\n";
            std::fs::write(root(&format!("docs/schema/{name}.json")), text).unwrap();
        }
        assert_eq!(checked_in(name), schema, "{name}");
    }
}

fn assert_valid(validator: &Validator, value: &Value) {
    let errors: Vec<_> = validator.iter_errors(value).map(|error| error.to_string()).collect();
    assert!(errors.is_empty(), "{errors:?}: {value}");
}

#[test]
fn written_items_and_messages_are_valid() {
    let item = jsonschema::validator_for(&checked_in("customer-item")).unwrap();
    let cleanup = jsonschema::validator_for(&checked_in("cleanup-message")).unwrap();
    let (mut items, mut messages) = (0, 0);
    for case in cases() {
        case.expected.items.values().for_each(|value| assert_valid(&item, value));
        case.expected.cleanup.iter().for_each(|value| assert_valid(&cleanup, value));
        items += case.expected.items.len();
        messages += case.expected.cleanup.len();
    }
    let deletes = cases().iter().filter(|case| case.name == "customer-deleted").count();
    assert!(items > 40 && deletes >= 3);
    assert_eq!(messages, deletes);
}

/// The events about every customer and tombstone of the event files, and the messages about refused changes.
#[test]
fn change_events_are_valid() {
    let data = jsonschema::validator_for(&checked_in("change-data")).unwrap();
    let refused = jsonschema::validator_for(&checked_in("refused-change")).unwrap();
    let images = cases().iter().flat_map(|case| case.expected.items.values());
    let items = images.map(|image| Item::try_from(image.as_object().unwrap().clone()).unwrap());
    let mut number = 0;
    for (item, content) in
        items.flat_map(|item| [FeedContent::Keys, FeedContent::Full].map(|content| (item.clone(), content)))
    {
        let settings = FeedSettings { source: "/clientele/test".to_owned(), content };
        let removed = ItemWrite { id: "2".to_owned(), at: signed_at(), old: Some(item.clone()), new: None };
        let removed = ChangeEvent::of_write(&removed, &settings).unwrap();
        for event in [ChangeEvent::of_item(&item, "1", signed_at(), &settings), removed] {
            let detail: Value = serde_json::from_str(&event.detail).unwrap();
            assert_valid(&data, &detail["data"]);
            let message = RefusedChange::new(event.id, event.pk, Some(event.rank), "MalformedDetail");
            assert_valid(&refused, &serde_json::from_str(&message.message()).unwrap());
            number += 1;
        }
    }
    assert!(number > 160, "{number}");
}

#[test]
fn other_items_are_not_valid() {
    let item = jsonschema::validator_for(&checked_in("customer-item")).unwrap();
    let case = crate::support::case("plain/customer-deleted");
    let tombstone = case.expected.items.values().next().unwrap().clone();
    for (name, value) in [("name", json!("Grace")), ("external_id", json!("crm-1906")), ("status", json!("active"))] {
        let mut wrong = tombstone.clone();
        wrong[name] = value;
        assert!(!item.is_valid(&wrong), "{name}");
    }
    let mut pending = tombstone;
    pending["cleanup"] = json!("{}");
    pending["cleanup_due"] = json!("2026-11-20T12:00:00Z");
    assert_valid(&item, &pending);
}

/// Parked and quarantined messages have the same schema.
#[test]
fn kept_messages_are_valid() {
    let validator = jsonschema::validator_for(&checked_in("kept-message")).unwrap();
    for case in cases() {
        let verified = crate::support::translation::verified(case.body().unwrap().as_bytes(), signed_at());
        let kept = KeptDelivery::new(case.provider, &verified, "the table cannot be used", KeptPart::Whole);
        let message = serde_json::to_value(&kept).unwrap();
        assert_valid(&validator, &message);
        let body: Value = serde_json::from_str(message["body"].as_str().unwrap()).unwrap();
        assert!(!body.to_string().contains("\"otp"), "{}", case.title());
        assert!(!body.to_string().contains("\"edit_token"), "{}", case.title());
    }
    let verified = crate::support::translation::verified(b"\xff no json", signed_at());
    for provider in PROVIDERS {
        let kept = KeptDelivery::new(provider, &verified, "the body is not JSON", KeptPart::Whole);
        let message = serde_json::to_value(&kept).unwrap();
        assert_valid(&validator, &message);
        if provider.credential_fields == CredentialFields::NONE {
            assert_eq!((&message["encoding"], &message["body"]), (&json!("base64"), &json!("/yBubyBqc29u")));
        } else {
            assert_eq!((&message["encoding"], message.get("body")), (&json!("omitted"), None));
            assert_eq!(message["fingerprint"]["bytes"], 9);
        }
    }
}
