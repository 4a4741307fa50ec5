//! The limits of the table, and how a value is changed so that it can be stored
//! (<https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html>).
//!
//! The limit of 400 KB for an item is not checked here: DynamoDB rejects the write, and the event is quarantined.

use serde_json::Value;

use crate::untranslatable::Untranslatable;

/// The maximum length of a partition key, of the table and of its indexes.
const KEY_BYTES_MAX: usize = 2048;
/// The maximum number of lists and maps around a value within its attribute.
const NESTING_LEVELS_MAX: usize = 31;
/// The maximum number of digits of a number.
const DIGITS_MAX: usize = 38;
/// The decimal exponents that the first digit of a number may have.
const EXPONENTS: std::ops::RangeInclusive<i64> = -130..=125;

/// Whether the text is short enough for a key.
pub(crate) fn fits_key(text: &str) -> bool {
    text.len() <= KEY_BYTES_MAX
}

/// Checks that the value can be stored `levels` deep in an attribute.
pub(crate) fn check_value(value: &Value, levels: usize) -> Result<(), Untranslatable> {
    if levels > NESTING_LEVELS_MAX {
        return Err(Untranslatable::NestedTooDeep);
    }
    match value {
        Value::Array(elements) => elements.iter().try_for_each(|element| check_value(element, levels + 1)),
        Value::Object(fields) => fields.iter().try_for_each(|(name, value)| check_field(name, value, levels + 1)),
        _ => Ok(()),
    }
}

/// Checks that the field of an object can be stored. Its value is `levels` deep.
pub(crate) fn check_field(name: &str, value: &Value, levels: usize) -> Result<(), Untranslatable> {
    if name.is_empty() { Err(Untranslatable::EmptyName) } else { check_value(value, levels) }
}

/// Replaces each number that the table cannot hold exactly by its text.
pub(crate) fn make_numbers_storable(value: &mut Value) {
    match value {
        Value::Number(number) if !is_storable(number.as_str()) => *value = Value::String(number.to_string()),
        Value::Array(elements) => elements.iter_mut().for_each(make_numbers_storable),
        Value::Object(fields) => fields.values_mut().for_each(make_numbers_storable),
        _ => {}
    }
}

fn is_storable(number: &str) -> bool {
    let number = number.trim_start_matches('-');
    let (mantissa, exponent) = number.split_once(['e', 'E']).unwrap_or((number, "0"));
    let Ok(exponent) = exponent.parse::<i32>() else { return false };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{whole}{fraction}");
    let significant = digits.trim_start_matches('0');
    if significant.is_empty() {
        return true;
    }
    let leading_zeros = digits.len() - significant.len();
    let Ok(point) = i64::try_from(whole.len()) else { return false };
    let Ok(skipped) = i64::try_from(leading_zeros + 1) else { return false };
    significant.len() <= DIGITS_MAX && EXPONENTS.contains(&(i64::from(exponent) + point - skipped))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("0", true)]
    #[case("-0.0", true)]
    #[case("0e5", true)]
    #[case("12345678901234567890123456789012345678", true)]
    #[case("-1234567890123456789012345678901234567.8", true)]
    #[case("0.0012345678901234567890123456789012345678", true)]
    #[case("123456789012345678901234567890123456789", false)]
    #[case("1.23456789012345678901234567890123456789", false)]
    #[case("1e125", true)]
    #[case("9.9E+125", true)]
    #[case("1e126", false)]
    #[case("0.1e127", false)]
    #[case("0.1e126", true)]
    #[case("1e-130", true)]
    #[case("1e-131", false)]
    #[case("1e400", false)]
    #[case("1e99999999999999999999", false)]
    #[case("-1e-99999999999999999999", false)]
    fn numbers_that_do_not_fit_become_text(#[case] number: &str, #[case] is_storable: bool) {
        let sent: Value = serde_json::from_str(number).unwrap();
        let text = Value::String(sent.to_string());
        let mut value = sent.clone();
        make_numbers_storable(&mut value);
        assert_eq!(value, if is_storable { sent } else { text });
    }

    #[test]
    fn nested_numbers_that_do_not_fit_become_text() {
        let mut value: Value = serde_json::from_str(r#"{"a":[1e400,1],"b":{"c":1e400}}"#).unwrap();
        make_numbers_storable(&mut value);
        assert_eq!(value.to_string(), r#"{"a":["1e+400",1],"b":{"c":"1e+400"}}"#);
    }

    #[rstest]
    #[case(31, Ok(()))]
    #[case(32, Err(Untranslatable::NestedTooDeep))]
    fn nesting_is_limited(#[case] levels: usize, #[case] result: Result<(), Untranslatable>) {
        let (mut lists, mut maps) = (Value::Null, Value::Null);
        for _ in 0..levels {
            lists = serde_json::json!([lists]);
            maps = serde_json::json!({ "a": maps });
        }
        assert_eq!((check_value(&lists, 0), check_value(&maps, 0)), (result, result));
    }

    #[test]
    fn empty_names_cannot_be_stored() {
        assert_eq!(check_value(&serde_json::json!({"a": [{"": 1}]}), 0), Err(Untranslatable::EmptyName));
    }
}
