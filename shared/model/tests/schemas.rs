//! The JSON Schemas. The system tests check that docs/schema contains them and that items and messages conform to them.
#![cfg(feature = "schema")]
#![allow(clippy::unwrap_used, missing_docs, reason = "tests")]

use clientele_model::schema;
use serde_json::{Value, json};

#[test]
fn the_item_and_all_messages_have_a_schema() {
    let schemas = schema::all().map(|(name, schema)| (name, schema["title"].clone(), schema["required"].clone()));
    let cleanup =
        json!(["schema", "type", "cleanup_id", "provider", "account", "customer_id", "identifiers", "deleted_at",]);
    let kept = json!(["schema", "provider", "reason", "received_at", "encoding"]);
    let change = json!(["schema", "provider", "account", "customer_id", "rank"]);
    let expected = [
        ("customer-item", json!("Item"), Value::Null),
        ("cleanup-message", json!("CleanupMessage"), cleanup),
        ("kept-message", json!("KeptDelivery"), kept),
        ("change-data", json!("ChangeData"), change),
        ("refused-change", json!("RefusedChange"), json!(["schema", "id", "pk", "reason"])),
        ("receipt-message", json!("ReceiptMessage"), json!(["schema", "cleanup_id", "system", "erased_at"])),
    ];
    assert_eq!(schemas, expected);
}

#[test]
fn an_item_is_a_customer_or_a_tombstone() {
    let [(_, item), ..] = schema::all();
    assert_eq!(item["oneOf"], json!([{"$ref": "#/$defs/CustomerItem"}, {"$ref": "#/$defs/Tombstone"}]));
    assert_eq!(item["$defs"]["CustomerItem"]["properties"]["sk"]["type"], "string");
    assert_eq!(item["$defs"]["DeletedStatus"]["oneOf"][0]["const"], "deleted");
}

#[test]
fn all_times_have_one_schema() {
    for (name, schema) in schema::all().into_iter().filter(|(name, _)| *name != "refused-change") {
        let time = json!({"type": "string", "format": "date-time", "description": "RFC 3339 in UTC"});
        assert_eq!(schema["$defs"]["Time"], time, "{name}");
    }
}
