//! What DynamoDB cannot hold, and what becomes of it
//! (<https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html>).

use serde_json::Value;

/// The most levels of lists and maps round a value, in the attribute that holds it.
const NESTING_LEVELS_MAX: usize = 31;
/// The most digits of a number.
const DIGITS_MAX: usize = 38;
/// The decimal exponents of the first digit that a number may have.
const EXPONENTS: std::ops::RangeInclusive<i64> = -130..=125;

/// The same value, with each number that the table cannot hold exactly as text.
pub(crate) fn storable(value: Value) -> Value {
    match value {
        Value::Number(number) if !fits(number.as_str()) => Value::String(number.to_string()),
        Value::Array(elements) => elements.into_iter().map(storable).collect(),
        Value::Object(fields) => fields.into_iter().map(|(name, value)| (name, storable(value))).collect(),
        other => other,
    }
}

/// Whether the table can hold the value: nested not too deep, and no name empty.
pub(crate) fn holds(value: &Value, levels: usize) -> bool {
    levels <= NESTING_LEVELS_MAX
        && match value {
            Value::Array(elements) => elements.iter().all(|element| holds(element, levels + 1)),
            Value::Object(fields) => fields.iter().all(|(name, value)| !name.is_empty() && holds(value, levels + 1)),
            _ => true,
        }
}

fn fits(number: &str) -> bool {
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
    fn numbers(#[case] number: &str, #[case] kept: bool) {
        let value: Value = serde_json::from_str(number).unwrap();
        let text = Value::String(value.to_string());
        assert_eq!(storable(value.clone()), if kept { value } else { text });
    }

    #[test]
    fn numbers_inside() {
        let value: Value = serde_json::from_str(r#"{"a":[1e400,1],"b":{"c":1e400}}"#).unwrap();
        assert_eq!(storable(value).to_string(), r#"{"a":["1e+400",1],"b":{"c":"1e+400"}}"#);
    }

    #[rstest]
    #[case(31, true)]
    #[case(32, false)]
    fn nesting(#[case] levels: usize, #[case] held: bool) {
        let (mut lists, mut maps) = (Value::Null, Value::Null);
        for _ in 0..levels {
            lists = serde_json::json!([lists]);
            maps = serde_json::json!({ "a": maps });
        }
        assert_eq!((holds(&lists, 0), holds(&maps, 0)), (held, held));
    }

    #[test]
    fn empty_names_are_not_held() {
        assert!(!holds(&serde_json::json!({"a": [{"": 1}]}), 0));
    }
}
