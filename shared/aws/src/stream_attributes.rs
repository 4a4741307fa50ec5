//! Reads the attributes of an item in DynamoDB's JSON. They become the same values as those that the SDK reads.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error, IgnoredAny, MapAccess, Visitor};
use serde_json::{Map, Number, Value};

/// The attributes of an item.
///
/// They are not read as JSON and then converted: `serde_json` takes an object that begins with a name that is private to it,
/// such as `$serde_json::private::Number`, for something else, and customers' fields may have any name.
pub(crate) struct StreamAttributes(pub(crate) Map<String, Value>);

/// One attribute.
struct StreamAttribute(Value);

/// The type of an attribute.
#[derive(Deserialize)]
enum AttributeType {
    S,
    N,
    #[serde(rename = "BOOL")]
    Bool,
    M,
    L,
    /// `NULL`, and types that Clientele never writes: binaries and sets.
    #[serde(other)]
    Other,
}

impl<'de> Deserialize<'de> for StreamAttributes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(AttributesVisitor).map(Self)
    }
}

impl<'de> Deserialize<'de> for StreamAttribute {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(AttributeVisitor).map(Self)
    }
}

struct AttributesVisitor;

impl<'de> Visitor<'de> for AttributesVisitor {
    type Value = Map<String, Value>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("attributes")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Self::Value, A::Error> {
        let mut attributes = Map::new();
        while let Some((name, StreamAttribute(value))) = fields.next_entry()? {
            attributes.insert(name, value);
        }
        Ok(attributes)
    }
}

struct AttributeVisitor;

impl<'de> Visitor<'de> for AttributeVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an attribute with its type")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut attribute: A) -> Result<Value, A::Error> {
        let value = match attribute.next_key()?.ok_or_else(|| A::Error::custom("an attribute has no type"))? {
            AttributeType::S => Value::String(attribute.next_value()?),
            AttributeType::N => number(attribute.next_value()?),
            AttributeType::Bool => Value::Bool(attribute.next_value()?),
            AttributeType::M => Value::Object(attribute.next_value::<StreamAttributes>()?.0),
            AttributeType::L => {
                let elements: Vec<StreamAttribute> = attribute.next_value()?;
                Value::Array(elements.into_iter().map(|StreamAttribute(value)| value).collect())
            }
            AttributeType::Other => attribute.next_value::<IgnoredAny>().map(|_| Value::Null)?,
        };
        match attribute.next_key::<IgnoredAny>()? {
            None => Ok(value),
            Some(_) => Err(A::Error::custom("an attribute has several types")),
        }
    }
}

fn number(text: String) -> Value {
    text.parse::<Number>().map_or(Value::String(text), Value::Number)
}
