//! Writes attributes as DynamoDB's API has them in JSON
//! (<https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Programming.LowLevelAPI.html>), without making the
//! SDK's attribute values first.

use std::io::{Result, Write};

use serde::Serialize;
use serde_json::Serializer;
use serde_json::ser::{CompactFormatter, Formatter};

/// Writes the attributes of a struct or map, each with its type: `{"name":{"S":"Ada"},"schema":{"N":"1"}}`. Numbers keep
/// every digit.
///
/// # Errors
/// When it cannot be JSON.
pub fn write_attributes(json: &mut Vec<u8>, attributes: &impl Serialize) -> serde_json::Result<()> {
    attributes.serialize(&mut Serializer::with_formatter(json, AttributeFormatter::default()))
}

/// Writes each value in an object whose only name is its type.
#[derive(Default)]
struct AttributeFormatter {
    /// How many objects are open. The outermost has no type.
    depth: usize,
    /// Whether the next string is a name.
    is_name: bool,
}

/// Methods for numbers of every type. DynamoDB's JSON has numbers as strings.
macro_rules! numbers {
    ($($method:ident: $number:ty),*) => {
        $(fn $method<W: ?Sized + Write>(&mut self, writer: &mut W, number: $number) -> Result<()> {
            writer.write_all(br#"{"N":""#)?;
            CompactFormatter.$method(writer, number)?;
            writer.write_all(br#""}"#)
        })*
    };
}

impl Formatter for AttributeFormatter {
    numbers!(
        write_i8: i8, write_i16: i16, write_i32: i32, write_i64: i64, write_i128: i128, write_u8: u8, write_u16: u16,
        write_u32: u32, write_u64: u64, write_u128: u128, write_f32: f32, write_f64: f64, write_number_str: &str
    );

    fn write_null<W: ?Sized + Write>(&mut self, writer: &mut W) -> Result<()> {
        writer.write_all(br#"{"NULL":true}"#)
    }

    fn write_bool<W: ?Sized + Write>(&mut self, writer: &mut W, value: bool) -> Result<()> {
        writer.write_all(if value { br#"{"BOOL":true}"# } else { br#"{"BOOL":false}"# })
    }

    fn begin_string<W: ?Sized + Write>(&mut self, writer: &mut W) -> Result<()> {
        writer.write_all(if self.is_name { br#"""# } else { br#"{"S":""# })
    }

    fn end_string<W: ?Sized + Write>(&mut self, writer: &mut W) -> Result<()> {
        writer.write_all(if self.is_name { br#"""# } else { br#""}"# })
    }

    fn begin_array<W: ?Sized + Write>(&mut self, writer: &mut W) -> Result<()> {
        writer.write_all(br#"{"L":["#)
    }

    fn end_array<W: ?Sized + Write>(&mut self, writer: &mut W) -> Result<()> {
        writer.write_all(b"]}")
    }

    fn begin_object<W: ?Sized + Write>(&mut self, writer: &mut W) -> Result<()> {
        self.depth += 1;
        writer.write_all(if self.depth == 1 { b"{" } else { br#"{"M":{"# })
    }

    fn end_object<W: ?Sized + Write>(&mut self, writer: &mut W) -> Result<()> {
        self.depth -= 1;
        writer.write_all(if self.depth == 0 { b"}" } else { b"}}" })
    }

    fn begin_object_key<W: ?Sized + Write>(&mut self, writer: &mut W, first: bool) -> Result<()> {
        self.is_name = true;
        CompactFormatter.begin_object_key(writer, first)
    }

    fn end_object_key<W: ?Sized + Write>(&mut self, _: &mut W) -> Result<()> {
        self.is_name = false;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::{Value, json};

    use super::*;

    #[rstest]
    #[case(json!({}), r"{}")]
    #[case(json!({"a": "", "b": "\"\\\n\u{1f600}"}), "{\"a\":{\"S\":\"\"},\"b\":{\"S\":\"\\\"\\\\\\n\u{1f600}\"}}")]
    #[case(json!({"\"\n": null, "t": true, "f": false}), r#"{"\"\n":{"NULL":true},"f":{"BOOL":false},"t":{"BOOL":true}}"#)]
    #[case(json!({"l": [[], {}, "a", [1, {"a": "a"}]]}), r#"{"l":{"L":[{"L":[]},{"M":{}},{"S":"a"},{"L":[{"N":"1"},{"M":{"a":{"S":"a"}}}]}]}}"#)]
    #[case(json!({"m": {"n": {"o": {}}, "p": "q"}, "r": 0}), r#"{"m":{"M":{"n":{"M":{"o":{"M":{}}}},"p":{"S":"q"}}},"r":{"N":"0"}}"#)]
    fn each_value_has_its_type(#[case] attributes: Value, #[case] expected: &str) {
        let mut json = vec![];
        write_attributes(&mut json, &attributes).unwrap();
        assert_eq!(String::from_utf8(json).unwrap(), expected);
    }

    #[test]
    fn numbers_of_every_type_keep_their_digits() {
        #[derive(Serialize)]
        struct Numbers(i8, i16, i32, i64, i128, u8, u16, u32, u64, u128, f32, f64, Value);
        let long: Value = serde_json::from_str("0.10000000000000000000000001").unwrap();
        let numbers = Numbers(-1, -2, -3, -4, i128::MIN, 1, 2, 3, 4, u128::MAX, 0.5, 1e300, long);
        let mut json = vec![];
        write_attributes(&mut json, &std::collections::BTreeMap::from([("n", numbers)])).unwrap();
        let json: Value = serde_json::from_slice(&json).unwrap();
        let digits: Vec<_> =
            json["n"]["L"].as_array().unwrap().iter().map(|number| number["N"].as_str().unwrap()).collect();
        let (min, max) = (i128::MIN.to_string(), u128::MAX.to_string());
        let expected =
            ["-1", "-2", "-3", "-4", &min, "1", "2", "3", "4", &max, "0.5", "1e+300", "0.10000000000000000000000001"];
        assert_eq!(digits, expected);
    }
}
