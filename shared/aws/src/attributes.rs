//! JSON as DynamoDB attributes and back. Numbers keep every digit, which is why this is not left to a general
//! serializer: those go through machine numbers.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::{Map, Number, Value};

/// The attributes of an item.
#[must_use]
pub fn to_attributes(item: Map<String, Value>) -> HashMap<String, AttributeValue> {
    item.into_iter().map(|(name, value)| (name, attribute(value))).collect()
}

fn attribute(value: Value) -> AttributeValue {
    match value {
        Value::Null => AttributeValue::Null(true),
        Value::Bool(flag) => AttributeValue::Bool(flag),
        Value::Number(number) => AttributeValue::N(number.to_string()),
        Value::String(text) => AttributeValue::S(text),
        Value::Array(elements) => AttributeValue::L(elements.into_iter().map(attribute).collect()),
        Value::Object(fields) => AttributeValue::M(to_attributes(fields)),
    }
}

/// The item that has these attributes. Types that Clientele never writes (binaries and sets) become `null`.
#[must_use]
#[expect(clippy::implicit_hasher, reason = "the SDK's own type")]
pub fn from_attributes(attributes: HashMap<String, AttributeValue>) -> Map<String, Value> {
    attributes.into_iter().map(|(name, attribute)| (name, value(attribute))).collect()
}

fn value(attribute: AttributeValue) -> Value {
    match attribute {
        AttributeValue::Bool(flag) => Value::Bool(flag),
        AttributeValue::N(number) => number.parse::<Number>().map_or(Value::String(number), Value::Number),
        AttributeValue::S(text) => Value::String(text),
        AttributeValue::L(elements) => elements.into_iter().map(value).collect(),
        AttributeValue::M(fields) => Value::Object(from_attributes(fields)),
        _ => Value::Null,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_and_back_with_every_digit() {
        let item = r#"{"b":true,"l":[null,{"n":12345678901234567890123456789012345678}],"n":0.10000000000000000000000001,"s":""}"#;
        let attributes = to_attributes(serde_json::from_str(item).unwrap());
        assert_eq!(attributes["n"], AttributeValue::N("0.10000000000000000000000001".into()));
        assert_eq!(Value::Object(from_attributes(attributes)).to_string(), item);
    }
}
