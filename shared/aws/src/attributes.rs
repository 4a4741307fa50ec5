//! JSON as DynamoDB attributes and back. Numbers keep every digit, which is why this is not left to a general
//! serializer: those go through machine numbers.

use std::collections::HashMap;
use std::fmt;

use aws_sdk_dynamodb::types::AttributeValue;
use serde::ser::{self, Impossible, Serialize, SerializeMap, SerializeSeq, SerializeStruct, Serializer};
use serde_json::{Map, Number, Value};

/// What `serde_json` calls a number that keeps its digits, when it hands one to another serializer.
const NUMBER: &str = "$serde_json::private::Number";

/// The attributes of an item, made in one pass.
///
/// # Errors
/// When it is not a struct or map of what JSON has.
pub fn to_attributes(item: &impl Serialize) -> Result<HashMap<String, AttributeValue>, NoItem> {
    match item.serialize(ToAttribute)? {
        AttributeValue::M(attributes) => Ok(attributes),
        _ => Err(NoItem),
    }
}

/// It cannot be written as an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoItem;

impl fmt::Display for NoItem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a struct or map of what JSON has")
    }
}

impl std::error::Error for NoItem {}

impl ser::Error for NoItem {
    fn custom<T: fmt::Display>(_: T) -> Self {
        Self
    }
}

type Attribute = Result<AttributeValue, NoItem>;

/// Makes the attribute of a value.
#[derive(Clone, Copy)]
struct ToAttribute;

/// What a whole number of any size becomes.
macro_rules! numbers {
    ($($method:ident: $type:ty),*) => {
        $(fn $method(self, number: $type) -> Attribute {
            Ok(AttributeValue::N(number.to_string()))
        })*
    };
}

impl Serializer for ToAttribute {
    type Ok = AttributeValue;
    type Error = NoItem;
    type SerializeSeq = List;
    type SerializeTuple = Impossible<AttributeValue, NoItem>;
    type SerializeTupleStruct = Impossible<AttributeValue, NoItem>;
    type SerializeTupleVariant = Impossible<AttributeValue, NoItem>;
    type SerializeMap = Fields;
    type SerializeStruct = Fields;
    type SerializeStructVariant = Impossible<AttributeValue, NoItem>;

    numbers! {
        serialize_i8: i8, serialize_i16: i16, serialize_i32: i32, serialize_i64: i64,
        serialize_u8: u8, serialize_u16: u16, serialize_u32: u32, serialize_u64: u64
    }

    fn serialize_bool(self, flag: bool) -> Attribute {
        Ok(AttributeValue::Bool(flag))
    }

    fn serialize_str(self, text: &str) -> Attribute {
        Ok(AttributeValue::S(text.to_owned()))
    }

    fn serialize_unit(self) -> Attribute {
        Ok(AttributeValue::Null(true))
    }

    fn serialize_none(self) -> Attribute {
        self.serialize_unit()
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Attribute {
        value.serialize(self)
    }

    fn serialize_unit_variant(self, _: &'static str, _: u32, variant: &'static str) -> Attribute {
        self.serialize_str(variant)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _: &'static str, value: &T) -> Attribute {
        value.serialize(self)
    }

    fn serialize_seq(self, length: Option<usize>) -> Result<List, NoItem> {
        Ok(List(Vec::with_capacity(length.unwrap_or_default())))
    }

    fn serialize_map(self, length: Option<usize>) -> Result<Fields, NoItem> {
        Ok(Fields { fields: HashMap::with_capacity(length.unwrap_or_default()), name: None })
    }

    fn serialize_struct(self, _: &'static str, length: usize) -> Result<Fields, NoItem> {
        self.serialize_map(Some(length))
    }

    // JSON has none of these.

    fn serialize_f32(self, _: f32) -> Attribute {
        Err(NoItem)
    }

    fn serialize_f64(self, _: f64) -> Attribute {
        Err(NoItem)
    }

    fn serialize_char(self, _: char) -> Attribute {
        Err(NoItem)
    }

    fn serialize_bytes(self, _: &[u8]) -> Attribute {
        Err(NoItem)
    }

    fn serialize_unit_struct(self, _: &'static str) -> Attribute {
        Err(NoItem)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: &T,
    ) -> Attribute {
        Err(NoItem)
    }

    fn serialize_tuple(self, _: usize) -> Result<Self::SerializeTuple, NoItem> {
        Err(NoItem)
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Self::SerializeTupleStruct, NoItem> {
        Err(NoItem)
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeTupleVariant, NoItem> {
        Err(NoItem)
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeStructVariant, NoItem> {
        Err(NoItem)
    }
}

/// The elements of a list so far.
struct List(Vec<AttributeValue>);

impl SerializeSeq for List {
    type Ok = AttributeValue;
    type Error = NoItem;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), NoItem> {
        self.0.push(value.serialize(ToAttribute)?);
        Ok(())
    }

    fn end(self) -> Attribute {
        Ok(AttributeValue::L(self.0))
    }
}

/// The fields of a map or struct so far.
struct Fields {
    fields: HashMap<String, AttributeValue>,
    /// Whose value comes next.
    name: Option<String>,
}

impl SerializeMap for Fields {
    type Ok = AttributeValue;
    type Error = NoItem;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, name: &T) -> Result<(), NoItem> {
        let AttributeValue::S(name) = name.serialize(ToAttribute)? else { return Err(NoItem) };
        self.name = Some(name);
        Ok(())
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), NoItem> {
        self.fields.insert(self.name.take().ok_or(NoItem)?, value.serialize(ToAttribute)?);
        Ok(())
    }

    fn end(self) -> Attribute {
        Ok(AttributeValue::M(self.fields))
    }
}

impl SerializeStruct for Fields {
    type Ok = AttributeValue;
    type Error = NoItem;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, name: &'static str, value: &T) -> Result<(), NoItem> {
        self.fields.insert(name.to_owned(), value.serialize(ToAttribute)?);
        Ok(())
    }

    fn end(mut self) -> Attribute {
        match self.fields.remove(NUMBER) {
            Some(AttributeValue::S(digits)) => Ok(AttributeValue::N(digits)),
            Some(_) => Err(NoItem),
            None => Ok(AttributeValue::M(self.fields)),
        }
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
    fn only_structs_and_maps_are_items() {
        assert_eq!(to_attributes(&Value::from(1)), Err(NoItem));
        assert_eq!(to_attributes(&[1_u8]), Err(NoItem));
        assert_eq!(to_attributes(&HashMap::from([("a", 1.5_f64)])), Err(NoItem));
        assert_eq!(NoItem.to_string(), "not a struct or map of what JSON has");
    }

    #[test]
    fn there_and_back_with_every_digit() {
        let item = r#"{"b":true,"l":[null,{"n":12345678901234567890123456789012345678}],"n":0.10000000000000000000000001,"s":""}"#;
        let attributes = to_attributes(&serde_json::from_str::<Value>(item).unwrap()).unwrap();
        assert_eq!(attributes["n"], AttributeValue::N("0.10000000000000000000000001".into()));
        assert_eq!(Value::Object(from_attributes(attributes)).to_string(), item);
    }
}
