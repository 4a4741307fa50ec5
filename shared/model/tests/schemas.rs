//! The schemas of what is written. That docs/schema holds them, and what is written them, is tested with the system.
#![cfg(feature = "schema")]
#![allow(clippy::unwrap_used, missing_docs, reason = "tests")]

use clientele_model::schema;
use serde_json::{Value, json};

#[test]
fn there_is_one_for_each_shape() {
    let shapes = schema::all().map(|(name, schema)| (name, schema["title"].clone(), schema["required"].clone()));
    let cleanup = json!([
        "schema",
        "type",
        "cleanup_id",
        "provider",
        "account",
        "customer_id",
        "identifiers",
        "deleted_at",
        "event_id",
    ]);
    let kept = json!(["schema", "provider", "reason", "received_at", "encoding", "body"]);
    let expected = [
        ("customer-item", json!("Item"), Value::Null),
        ("cleanup-message", json!("CleanupMessage"), cleanup),
        ("kept-message", json!("KeptDelivery"), kept),
    ];
    assert_eq!(shapes, expected);
}

#[test]
fn an_item_is_a_customer_or_a_tombstone() {
    let [(_, item), ..] = schema::all();
    assert_eq!(item["oneOf"], json!([{"$ref": "#/$defs/CustomerItem"}, {"$ref": "#/$defs/Tombstone"}]));
    assert_eq!(item["$defs"]["CustomerItem"]["properties"]["sk"]["type"], "string");
    assert_eq!(item["$defs"]["DeletedStatus"]["oneOf"][0]["const"], "deleted");
}

#[test]
fn times_have_one_form() {
    for (name, schema) in schema::all() {
        let time = json!({"type": "string", "format": "date-time", "description": "RFC 3339 in UTC"});
        assert_eq!(schema["$defs"]["Time"], time, "{name}");
    }
}
