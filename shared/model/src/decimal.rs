//! Decimal numbers of any length.

use serde_json::Number;

/// Whether both are the same number, however they are written. DynamoDB returns 1.50 as 1.5, and 1e2 as 100.
pub(crate) fn is_same_number(a: &Number, b: &Number) -> bool {
    a == b || Decimal::of(a.as_str()).is_some_and(|a| Some(a) == Decimal::of(b.as_str()))
}

/// A number as its digits without zeros at their ends, and the power of ten of the last one. Zero has no digits.
#[derive(Debug, PartialEq, Eq)]
struct Decimal {
    is_negative: bool,
    digits: String,
    exponent: i64,
}

impl Decimal {
    /// `None` if the exponent is out of range, which no number in the table is.
    fn of(text: &str) -> Option<Self> {
        let (is_negative, text) = text.strip_prefix('-').map_or((false, text), |text| (true, text));
        let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let all = format!("{whole}{fraction}");
        let digits = all.trim_end_matches('0');
        let zeros_at_end = i64::try_from(all.len() - digits.len()).ok()?;
        let decimals = i64::try_from(fraction.len()).ok()?;
        let exponent = i64::from(exponent.parse::<i32>().ok()?) - decimals + zeros_at_end;
        let digits = digits.trim_start_matches('0').to_owned();
        let is_zero = digits.is_empty();
        Some(Self { is_negative: is_negative && !is_zero, digits, exponent: if is_zero { 0 } else { exponent } })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rstest::rstest;

    fn number(text: &str) -> Number {
        serde_json::from_str(text).unwrap()
    }

    #[rstest]
    #[case("1", "1", true)]
    #[case("1.50", "1.5", true)]
    #[case("1e2", "100", true)]
    #[case("1E+2", "100.00", true)]
    #[case("0.001", "1e-3", true)]
    #[case("-0", "0.00e9", true)]
    #[case("12345678901234567890.10", "12345678901234567890.1", true)]
    #[case("12345678901234567890.1", "12345678901234567890.2", false)]
    #[case("1", "-1", false)]
    #[case("10", "1", false)]
    #[case("0.1", "0.01", false)]
    #[case("101", "11", false)]
    #[case("1e99999999999", "1e99999999999", true)]
    #[case("1e99999999999", "1e99999999998", false)]
    fn numbers_are_compared_by_value(#[case] a: &str, #[case] b: &str, #[case] is_same: bool) {
        assert_eq!(is_same_number(&number(a), &number(b)), is_same);
        assert_eq!(is_same_number(&number(b), &number(a)), is_same);
    }

    proptest! {
        #[test]
        fn small_decimals_are_equal_if_their_integers_are(a in -2000_i32..2000, b in -2000_i32..2000) {
            let [x, y] = [a, b].map(|n| number(&format!("{}{}.{:02}", if n < 0 { "-" } else { "" }, n.abs() / 100, n.abs() % 100)));
            prop_assert_eq!(is_same_number(&x, &y), a == b);
            prop_assert_eq!(is_same_number(&x, &number(&format!("{b}e-2"))), a == b);
        }
    }
}
