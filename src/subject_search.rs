//! Finds what is known about a person by e-mail address, phone number or external id.

use clientele_model::email_key;
use serde_json::Value;

/// A text with fewer digits is no phone number.
const PHONE_DIGITS_MIN: usize = 5;
/// The names of fields that hold an external id, in items and in cleanup messages.
const EXTERNAL_ID_FIELDS: [&str; 2] = ["external_id", "external_ids"];

/// What identifies the person. One of them is enough.
#[derive(Clone, Debug, Default)]
pub struct SubjectCriteria {
    /// Keys of e-mail addresses, as [`email_key`] makes them.
    pub email_keys: Vec<String>,
    /// The digits of phone numbers, as [`phone_digits`] makes them.
    pub phones: Vec<String>,
    /// External ids.
    pub external_ids: Vec<String>,
}

/// Which fields can hold an external id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExternalIdFields {
    /// Those with our names for it.
    Ours,
    /// Every one, because each provider has its own name for it.
    Any,
}

/// The digits of a phone number with its country code, without `+` or `00` before it. `None` if the text is no phone number.
#[must_use]
pub fn phone_digits(text: &str) -> Option<String> {
    let is_of_phone = |character: char| character.is_ascii_digit() || "+-./() \u{a0}".contains(character);
    if !text.chars().all(is_of_phone) {
        return None;
    }
    let digits: String = text.chars().filter(char::is_ascii_digit).collect();
    let digits = digits.strip_prefix("00").map(str::to_owned).unwrap_or(digits);
    (digits.len() >= PHONE_DIGITS_MIN).then_some(digits)
}

impl SubjectCriteria {
    /// The paths of the fields that name the person, as in `profile.emails[0].email`.
    #[must_use]
    pub fn paths_in(&self, value: &Value, fields: ExternalIdFields) -> Vec<String> {
        let mut paths = vec![];
        self.search(value, "", fields == ExternalIdFields::Any, fields, &mut paths);
        paths
    }

    fn search(&self, value: &Value, path: &str, may_be_id: bool, fields: ExternalIdFields, paths: &mut Vec<String>) {
        match value {
            Value::Object(object) => {
                for (name, value) in object {
                    let below = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                    let may_be_id = fields == ExternalIdFields::Any || EXTERNAL_ID_FIELDS.contains(&name.as_str());
                    self.search(value, &below, may_be_id, fields, paths);
                }
            }
            Value::Array(elements) => {
                for (index, value) in elements.iter().enumerate() {
                    self.search(value, &format!("{path}[{index}]"), may_be_id, fields, paths);
                }
            }
            Value::String(text) if self.is_named_by(text, may_be_id) => paths.push(path.to_owned()),
            Value::Number(number) if may_be_id && self.external_ids.contains(&number.to_string()) => {
                paths.push(path.to_owned());
            }
            Value::String(_) | Value::Number(_) | Value::Bool(_) | Value::Null => {}
        }
    }

    fn is_named_by(&self, text: &str, may_be_id: bool) -> bool {
        let is_one_of = |wanted: &[String], text: Option<String>| text.is_some_and(|text| wanted.contains(&text));
        (may_be_id && self.external_ids.iter().any(|id| id == text))
            || (!self.email_keys.is_empty() && is_one_of(&self.email_keys, email_key(text)))
            || (!self.phones.is_empty() && is_one_of(&self.phones, phone_digits(text)))
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    #[rstest]
    #[case("+44 20 7946-0000", Some("442079460000"))]
    #[case("0044 (20) 79460000", Some("442079460000"))]
    #[case("442079460000", Some("442079460000"))]
    #[case("1234", None)]
    #[case("2026-11-20T12:00:00Z", None)]
    #[case("", None)]
    fn the_form_of_a_phone_number_does_not_matter(#[case] text: &str, #[case] digits: Option<&str>) {
        assert_eq!(phone_digits(text).as_deref(), digits);
    }

    #[test]
    fn every_field_is_searched_by_what_it_may_be() {
        let value = json!({
            "email": "ada@example.com",
            "customer_id": "7",
            "external_id": "7",
            "profile": { "contacts": [{ "email": "b@x" }, { "email": " ADA@example.com " }], "phones": [{ "number": "+44 20 79460000" }] },
            "extra": { "number": 7, "external_ids": ["1", "7"] },
        });
        let of = |email: &str, phone: &str, id: &str| SubjectCriteria {
            email_keys: email_key(email).into_iter().collect(),
            phones: phone_digits(phone).into_iter().collect(),
            external_ids: Some(id.to_owned()).filter(|id| !id.is_empty()).into_iter().collect(),
        };
        let ours = |criteria: SubjectCriteria| criteria.paths_in(&value, ExternalIdFields::Ours);
        assert_eq!(ours(of("Ada@Example.com", "", "")), ["email", "profile.contacts[1].email"]);
        assert_eq!(ours(of("", "0044 2079460000", "")), ["profile.phones[0].number"]);
        assert_eq!(ours(of("", "", "7")), ["external_id", "extra.external_ids[1]"]);
        assert_eq!(ours(of("nobody@example.com", "99999", "8")), [] as [&str; 0]);
        let any = of("", "", "7").paths_in(&value, ExternalIdFields::Any);
        assert_eq!(any, ["customer_id", "external_id", "extra.external_ids[1]", "extra.number"]);
    }
}
