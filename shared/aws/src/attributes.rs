//! Converts between JSON and DynamoDB attributes. Numbers keep every digit; general serializers for DynamoDB items do not,
//! because they convert to machine numbers.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use serde::Serialize;
use serde::ser::Error;
use serde_json::{Map, Number, Value};

/// The attributes of an item.
///
/// # Errors
/// When the item is not a struct or map, or cannot be JSON.
pub fn to_attributes(item: &impl Serialize) -> serde_json::Result<HashMap<String, AttributeValue>> {
    match to_attribute(serde_json::to_value(item)?) {
        AttributeValue::M(attributes) => Ok(attributes),
        _ => Err(Error::custom("an item must be a struct or a map")),
    }
}

fn to_attribute(value: Value) -> AttributeValue {
    match value {
        Value::Null => AttributeValue::Null(true),
        Value::Bool(flag) => AttributeValue::Bool(flag),
        Value::Number(number) => AttributeValue::N(number.to_string()),
        Value::String(text) => AttributeValue::S(text),
        Value::Array(elements) => AttributeValue::L(elements.into_iter().map(to_attribute).collect()),
        Value::Object(fields) => {
            AttributeValue::M(fields.into_iter().map(|(name, value)| (name, to_attribute(value))).collect())
        }
    }
}

/// The item with these attributes. Types that Clientele never writes (binaries and sets) become `null`.
#[must_use]
#[expect(clippy::implicit_hasher, reason = "the SDK's own type")]
pub fn from_attributes(attributes: HashMap<String, AttributeValue>) -> Map<String, Value> {
    attributes.into_iter().map(|(name, attribute)| (name, from_attribute(attribute))).collect()
}

fn from_attribute(attribute: AttributeValue) -> Value {
    match attribute {
        AttributeValue::Bool(flag) => Value::Bool(flag),
        AttributeValue::N(number) => number.parse::<Number>().map_or(Value::String(number), Value::Number),
        AttributeValue::S(text) => Value::String(text),
        AttributeValue::L(elements) => elements.into_iter().map(from_attribute).collect(),
        AttributeValue::M(fields) => Value::Object(from_attributes(fields)),
        _ => Value::Null,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_structs_and_maps_are_items() {
        for not_an_item in [Value::from(1), Value::from(vec![1])] {
            assert_eq!(to_attributes(&not_an_item).unwrap_err().to_string(), "an item must be a struct or a map");
        }
        let without_names = HashMap::from([(vec![1], 1)]);
        assert_eq!(to_attributes(&without_names).unwrap_err().to_string(), "key must be a string");
    }

    #[test]
    fn numbers_keep_every_digit_in_both_directions() {
        let item = r#"{"b":true,"l":[null,{"n":12345678901234567890123456789012345678}],"n":0.10000000000000000000000001,"s":""}"#;
        let attributes = to_attributes(&serde_json::from_str::<Value>(item).unwrap()).unwrap();
        assert_eq!(attributes["n"], AttributeValue::N("0.10000000000000000000000001".into()));
        assert_eq!(Value::Object(from_attributes(attributes)).to_string(), item);
    }
}
