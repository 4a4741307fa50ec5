//! JSON Schemas of the item and the messages, for the programs that read them.

use serde_json::{Value, json};

use crate::change_event::{ChangeData, RefusedChange};
use crate::cleanup::CleanupMessage;
use crate::erasure::ReceiptMessage;
use crate::item::{CustomerItem, Tombstone};
use crate::kept::KeptDelivery;

/// The schemas by name: a customer's item, the cleanup message, the message of a parked or quarantined delivery,
/// the data of a change event, the message about a change that is not on the bus, and the message that confirms an erasure.
#[must_use]
pub fn all() -> [(&'static str, Value); 6] {
    let mut item = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Item",
        "description": "A customer's item in the table: the customer as it is now, or a record of its deletion.",
    });
    let mut generator = schemars::SchemaGenerator::default();
    item["oneOf"] = json!([generator.subschema_for::<CustomerItem>(), generator.subschema_for::<Tombstone>()]);
    item["$defs"] = json!(generator.take_definitions(true));
    [
        ("customer-item", item),
        ("cleanup-message", schemars::schema_for!(CleanupMessage).into()),
        ("kept-message", schemars::schema_for!(KeptDelivery).into()),
        ("change-data", schemars::schema_for!(ChangeData).into()),
        ("refused-change", schemars::schema_for!(RefusedChange).into()),
        ("receipt-message", schemars::schema_for!(ReceiptMessage).into()),
    ]
}
