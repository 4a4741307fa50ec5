//! JSON Schemas of what is written, for those who read it.

use serde_json::{Value, json};

use crate::cleanup::CleanupMessage;
use crate::item::{CustomerItem, Tombstone};
use crate::kept::Kept;

/// The schemas by name: the item of a customer, the cleanup message, the parked or quarantined message.
#[must_use]
pub fn all() -> [(&'static str, Value); 3] {
    let mut item = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Item",
        "description": "The item of a customer in the table: the customer as it is now, or that there was one.",
    });
    let mut generator = schemars::SchemaGenerator::default();
    item["oneOf"] = json!([generator.subschema_for::<CustomerItem>(), generator.subschema_for::<Tombstone>()]);
    item["$defs"] = json!(generator.take_definitions(true));
    [
        ("customer-item", item),
        ("cleanup-message", schemars::schema_for!(CleanupMessage).into()),
        ("kept-message", schemars::schema_for!(Kept).into()),
    ]
}
