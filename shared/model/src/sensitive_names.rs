//! Names of fields whose values must not be stored if nothing else is known about the field.

use serde_json::Value;

/// A name with one of these words suggests data of a payment card or a bank account, or a secret.
const WORDS: [&str; 7] = ["card", "cvv", "cvc", "iban", "password", "secret", "token"];

/// Whether one of the words in the name, or its plural, is sensitive. Words end at everything that is not a letter, and
/// at capital letters: `card_number`, `cardNumber` and `IBAN` are sensitive, `discard` and `tokenize` are not.
#[must_use]
pub fn is_sensitive(name: &str) -> bool {
    name.split(|c: char| !c.is_alphabetic()).map(str::as_bytes).any(|part| {
        let has_capitals = part.iter().any(u8::is_ascii_uppercase);
        is_word(part) || has_capitals && (has_word_in_camel_case(part) || has_word_in_capitals(part))
    })
}

/// Replaces the value if the name is sensitive, and every value inside it that has a sensitive name.
pub(crate) fn redact(name: &str, value: &mut Value) {
    match value {
        _ if is_sensitive(name) => *value = "[redacted]".into(),
        Value::Object(fields) => fields.iter_mut().for_each(|(name, value)| redact(name, value)),
        Value::Array(elements) => elements.iter_mut().for_each(|element| redact("", element)),
        _ => {}
    }
}

fn is_word(text: &[u8]) -> bool {
    let singular = text.strip_suffix(b"s").or_else(|| text.strip_suffix(b"S")).unwrap_or(text);
    WORDS.iter().any(|word| singular.eq_ignore_ascii_case(word.as_bytes()))
}

/// In `IBANcode`, the second word does not begin with a capital letter.
fn has_word_in_capitals(part: &[u8]) -> bool {
    part.split(|byte| !byte.is_ascii_uppercase()).filter(|word| !word.is_empty()).any(is_word)
}

fn has_word_in_camel_case(part: &[u8]) -> bool {
    // In `userIBANCode`, a word begins at the `I` and at the `C`.
    let begins_word = |at: &usize| {
        let is_followed_by_lower_case = part.get(at + 1).is_some_and(u8::is_ascii_lowercase);
        part[*at].is_ascii_uppercase() && (!part[at - 1].is_ascii_uppercase() || is_followed_by_lower_case)
    };
    let mut start = 0;
    (1..part.len())
        .filter(begins_word)
        .chain([part.len()])
        .any(|end| is_word(&part[std::mem::replace(&mut start, end)..end]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rstest::rstest;
    use serde_json::json;

    #[rstest]
    #[case("card", true)]
    #[case("CARD", true)]
    #[case("cards", true)]
    #[case("card_number", true)]
    #[case("default-card", true)]
    #[case("billing.iban", true)]
    #[case("billing iban/2", true)]
    #[case("cardNumber", true)]
    #[case("CardNumber", true)]
    #[case("defaultCard", true)]
    #[case("userIBANCode", true)]
    #[case("IBANs", true)]
    #[case("IBANcode", true)]
    #[case("userCVVcheck", true)]
    #[case("card2", true)]
    #[case("3card", true)]
    #[case("_cvv", true)]
    #[case("CVC", true)]
    #[case("PassWord", true)]
    #[case("password_hash", true)]
    #[case("clientSecret", true)]
    #[case("accessTokens", true)]
    #[case("\u{e9}_token", true)]
    #[case("\u{e9}Token", true)]
    #[case("", false)]
    #[case("discard", false)]
    #[case("postcard", false)]
    #[case("cardinality", false)]
    #[case("Cardiff", false)]
    #[case("tokenize", false)]
    #[case("tokenizedAt", false)]
    #[case("secretary", false)]
    #[case("passwordless", false)]
    #[case("ibanez", false)]
    #[case("car_d", false)]
    #[case("token\u{e9}", false)]
    #[case("s", false)]
    fn sensitive_names(#[case] name: &str, #[case] expected: bool) {
        assert_eq!(is_sensitive(name), expected);
    }

    proptest! {
        /// Words in capitals and camel case are only looked for where there are capitals.
        #[test]
        fn every_part_of_a_name_is_looked_at(name in "(card|Card|CARD|IBAN|iban|[a-zA-Z_1\u{e9}]|s|S){0,6}") {
            let looks_sensitive = |part: &str| {
                let part = part.as_bytes();
                is_word(part) || has_word_in_camel_case(part) || has_word_in_capitals(part)
            };
            prop_assert_eq!(is_sensitive(&name), name.split(|c: char| !c.is_alphabetic()).any(looks_sensitive));
        }
    }

    #[test]
    fn values_with_sensitive_names_are_replaced_at_any_depth() {
        let mut value = json!({
            "tier": "gold", "token": null, "discard": 1,
            "billing": { "IBAN": "GB33", "since": 2024, "methods": [{ "cardNumber": 4000, "brand": "x" }, ["y"]] },
            "cards": [{ "number": "4000" }], "secret": { "a": { "b": [true] } },
        });
        redact("details", &mut value);
        let redacted = json!({
            "tier": "gold", "token": "[redacted]", "discard": 1,
            "billing": {
                "IBAN": "[redacted]", "since": 2024, "methods": [{ "cardNumber": "[redacted]", "brand": "x" }, ["y"]],
            },
            "cards": "[redacted]", "secret": "[redacted]",
        });
        assert_eq!(value, redacted);
        redact("card_details", &mut value);
        assert_eq!(value, json!("[redacted]"));
    }
}
