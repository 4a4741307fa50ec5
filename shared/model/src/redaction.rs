//! Removes the secrets that a provider sends in a payload.

use serde_json::{Map, Value};

use crate::json;

/// Which fields of a payload contain credentials.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CredentialFields {
    /// Prefixes in lower case, with `_` between words. A field is a credential if a word in its name begins with one of
    /// them, in any letter case and with any separator.
    pub name_prefixes: &'static [&'static str],
    /// Nothing inside fields with these names is a credential. They are the customer's own and may contain any name.
    pub exempt_fields: &'static [&'static str],
}

/// A field may name another field if its own name ends like this: `name`, `attributeName`, `changed_field`.
const NAME_FIELD_ENDS: [&str; 13] = [
    "name",
    "key",
    "field",
    "attribute",
    "property",
    "column",
    "parameter",
    "path",
    "label",
    "title",
    "id",
    "type",
    "code",
];
/// Beside a field that names a credential, fields with these names contain it, and those with `value` in their name.
const VALUE_FIELDS: [&str; 12] =
    ["val", "old", "new", "from", "to", "before", "after", "previous", "current", "data", "content", "text"];
/// In a list, the value of a credential follows its name, or the old value and the new one.
const VALUES_AFTER_NAME: usize = 2;
/// An object with more fields is a record, and not the name and the values of a field.
const PAIR_FIELDS_MAX: usize = 12;
/// JSON may be inside a string of JSON, and so on. No sender is known that nests it more than twice.
const TEXT_DEPTH_MAX: usize = 8;

impl CredentialFields {
    /// For a provider that sends no credentials.
    pub const NONE: Self = Self { name_prefixes: &[], exempt_fields: &[] };

    /// Removes credentials from every object of a payload, also where a string contains JSON, and where a credential's
    /// name and value are two fields or the elements of a list. Returns whether there were any.
    pub fn remove_from(&self, payload: &mut Value) -> bool {
        !self.name_prefixes.is_empty() && self.remove(payload, 0)
    }

    /// Removes credentials from `payload`, which is what was parsed from `text`. Returns whether there are any in `text`.
    pub(crate) fn remove_from_parsed(&self, text: &str, payload: &mut Value) -> bool {
        !self.name_prefixes.is_empty() && self.remove_parsed(text, payload, 0)
    }

    fn remove_parsed(&self, text: &str, parsed: &mut Value, depth: usize) -> bool {
        // Of fields with the same name only the last is in `parsed`, and the others may contain a credential.
        let is_hidden = self.is_mentioned_in(text) && json::has_repeated_names(text, parsed);
        self.remove(parsed, depth) || is_hidden
    }

    fn remove(&self, value: &mut Value, depth: usize) -> bool {
        match value {
            Value::Object(fields) => self.remove_from_object(fields, depth),
            Value::Array(elements) => self.remove_from_array(elements, depth),
            Value::String(text) => match self.replacement(text, depth) {
                Some(replacement) => {
                    *value = replacement;
                    true
                }
                None => false,
            },
            Value::Null | Value::Bool(_) | Value::Number(_) => false,
        }
    }

    fn remove_from_object(&self, fields: &mut Map<String, Value>, depth: usize) -> bool {
        let fields_before = fields.len();
        fields.retain(|name, _| !self.is_name(name));
        let names_credential = |(name, value): (&String, &Value)| is_name_field(name) && self.is_name_in_value(value);
        if fields.len() <= PAIR_FIELDS_MAX && fields.iter().any(names_credential) {
            fields.retain(|name, _| !is_value_field(name));
        }
        let mut is_removed = fields.len() < fields_before;
        for (name, value) in fields {
            is_removed |= !self.exempt_fields.contains(&name.as_str()) && self.remove(value, depth);
        }
        is_removed
    }

    fn remove_from_array(&self, elements: &mut [Value], depth: usize) -> bool {
        let mut is_removed = false;
        let names = (0..elements.len()).filter(|at| self.is_name_in_text(&elements[*at])).collect::<Vec<_>>();
        for at in names {
            for value in elements.iter_mut().skip(at + 1).take(VALUES_AFTER_NAME) {
                is_removed |= !value.is_null();
                *value = Value::Null;
            }
        }
        for element in elements {
            is_removed |= self.remove(element, depth);
        }
        is_removed
    }

    /// What replaces a string that contains credentials. If it is not parsed, it is unknown where a credential in it
    /// begins and ends, so all of it is removed.
    fn replacement(&self, text: &str, depth: usize) -> Option<Value> {
        let is_candidate = |found, byte| found | matches!(byte, b'{' | b'[' | b'"' | b':' | b'=' | b'>' | b'%');
        if !text.bytes().fold(false, is_candidate) {
            return None;
        }
        let first = text.trim_start_matches(['\u{feff}', ' ', '\t', '\r', '\n']).bytes().next()?;
        let parsed = matches!(first, b'{' | b'[' | b'"').then(|| json::parse(text.as_bytes())).flatten();
        match parsed {
            Some(mut parsed) if depth < TEXT_DEPTH_MAX => {
                self.remove_parsed(text, &mut parsed, depth + 1).then(|| Value::String(parsed.to_string()))
            }
            Some(_) => self.is_mentioned_in(text).then_some(Value::Null),
            None => {
                let text = &without_escapes(text);
                let is_like_json = first == b'[' || text.contains('{');
                let has_credential = is_like_json && self.is_mentioned_in(text) || self.is_assigned_in(text);
                has_credential.then_some(Value::Null)
            }
        }
    }

    /// A name may also be a path such as `customer.otp` or `customer[otp]`, or a whole body that was taken for a name, as
    /// form parsers do with JSON.
    fn is_name(&self, name: &str) -> bool {
        self.rests_after_prefixes(name).next().is_some()
    }

    /// For every word of the text with which a credential's name begins: what follows the prefix.
    fn rests_after_prefixes<'a>(&self, text: &'a str) -> impl Iterator<Item = &'a str> {
        self.name_prefixes.iter().flat_map(move |prefix| {
            let is_first = move |byte: u8| prefix.bytes().next() == Some(byte.to_ascii_lowercase());
            let starts = text.bytes().enumerate().filter(move |(at, byte)| is_first(*byte) && begins_word(text, *at));
            starts.filter_map(|(at, _)| after_prefix(&text[at..], prefix))
        })
    }

    /// Whether a value is the name of a credential, or an object that describes a field with such a name.
    fn is_name_in_value(&self, value: &Value) -> bool {
        let mut fields = value.as_object().into_iter().flatten();
        self.is_name_in_text(value) || fields.any(|(name, value)| is_name_field(name) && self.is_name_in_text(value))
    }

    /// Whether a value is the name of a credential, or a path to one such as `/customer/otp`.
    fn is_name_in_text(&self, value: &Value) -> bool {
        let names = |text: &str| text.trim().split(['.', '/', '[', ']']).any(|name| self.is_word(name));
        value.as_str().is_some_and(names)
    }

    /// A customer may be called Otpal, so a name in a text must be a word: `otp`, `otp_code`, `otpCode`.
    fn is_word(&self, name: &str) -> bool {
        self.rests_after_prefixes(name).any(|rest| {
            let is_after_lower_case = name[..name.len() - rest.len()].ends_with(|c: char| c.is_ascii_lowercase());
            let is_camel_case = is_after_lower_case && rest.starts_with(|c: char| c.is_ascii_uppercase());
            rest.is_empty() || rest.starts_with(['_', '-']) || is_camel_case
        })
    }

    /// Whether a colon, an equals sign or the end of an XML tag follows the name of a credential in the text, with or
    /// without quotation marks.
    fn is_assigned_in(&self, text: &str) -> bool {
        let assignments = [':', '=', '>'];
        let before_last = text.rsplit_once(assignments).map(|(before, _)| before);
        before_last.into_iter().flat_map(|before| before.split(assignments)).any(|before| {
            let before = before.trim_end_matches(|c: char| !c.is_alphanumeric());
            before.rsplit(|c| !is_name_char(c)).next().is_some_and(|name| self.is_word(name))
        })
    }

    /// Whether the text contains a credential's name at the beginning of a word, or an escape that may hide one.
    fn is_mentioned_in(&self, text: &str) -> bool {
        text.contains(r"\u00") || text.contains(r"\U00") || self.is_name(text)
    }
}

/// Whether a word begins with the ASCII letter at that position: `otp`, `customer_otp`, `customerOtp`.
fn begins_word(text: &str, at: usize) -> bool {
    let before = &text[..at];
    let Some(last) = before.chars().next_back() else { return true };
    let is_camel_case = last.is_lowercase() && text[at..].starts_with(|c: char| c.is_ascii_uppercase());
    // In `\notp` the letter `n` is part of an escape.
    let is_escape = before[..before.len() - last.len_utf8()].ends_with('\\');
    !last.is_alphanumeric() || is_camel_case || is_escape
}

/// What follows the prefix in the name, which may have other letter case, other separators or none: `editToken`.
fn after_prefix<'a>(name: &'a str, prefix: &str) -> Option<&'a str> {
    prefix.bytes().try_fold(name, |rest, expected| match (expected, rest.as_bytes().first()?) {
        (b'_', b'_' | b'-' | b' ') => Some(&rest[1..]),
        (b'_', _) => Some(rest),
        (_, byte) => byte.eq_ignore_ascii_case(&expected).then(|| &rest[1..]),
    })
}

fn is_name_char(character: char) -> bool {
    character.is_alphanumeric() || matches!(character, '_' | '-')
}

/// The text with the characters that are escaped in URLs and forms (`%22`), and with the quotation marks of HTML.
fn without_escapes(text: &str) -> String {
    let mut parts = text.split('%');
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let code = part.get(..2).and_then(|code| u8::from_str_radix(code, 16).ok()).filter(u8::is_ascii);
        plain.push(code.map_or('%', char::from));
        plain.push_str(if code.is_some() { &part[2..] } else { part });
    }
    plain.replace("&quot;", "\"").replace("&#34;", "\"")
}

fn is_name_field(name: &str) -> bool {
    let ends_with = |end: &&str| {
        let start = name.len().checked_sub(end.len());
        start.and_then(|start| name.get(start..)).is_some_and(|last| last.eq_ignore_ascii_case(end))
    };
    NAME_FIELD_ENDS.iter().any(ends_with)
}

fn is_value_field(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    name.contains("value") || VALUE_FIELDS.contains(&name.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use serde_json::json;

    const CREDENTIALS: CredentialFields =
        CredentialFields { name_prefixes: &["otp", "edit_token"], exempt_fields: &["metadata"] };

    #[test]
    fn credentials_are_removed_except_in_exempt_fields() {
        let mut payload = json!({"data": {
            "changes": {"otp": ["1", "2"], "edit_token": [null, "3"], "first_name": ["a", "b"]},
            "customer": {"OTP": "4", "otp_sent_at": "5", "edit_token_expires_at": "6", "option": 7,
                "contact_people": [{"otp": "8", "first_name": "c"}], "metadata": {"otp": "kept"}},
        }});
        assert!(CREDENTIALS.remove_from(&mut payload));
        let left = json!({"data": {
            "changes": {"first_name": ["a", "b"]},
            "customer": {"option": 7, "contact_people": [{"first_name": "c"}], "metadata": {"otp": "kept"}},
        }});
        assert_eq!(payload, left);
        assert!(!CREDENTIALS.remove_from(&mut payload));
        assert_eq!(payload, left);
    }

    /// JSON inside a string, however often it is encoded.
    #[rstest]
    #[case(json!(r#"{"otp":"924117","id":1}"#), json!(r#"{"id":1}"#))]
    #[case(json!(" \n[{\"OTP\" : 924117}]"), json!("[{}]"))]
    #[case(json!("\u{feff}{\"\\u006ftp\":924117}"), json!("{}"))]
    #[case(json!(json!(json!({"otp": "924117"}).to_string()).to_string()), json!(json!("{}").to_string()))]
    #[case(json!(r#"["otp","924117"]"#), json!(r#"["otp",null]"#))]
    #[case(json!(r#"{"a":{"otp":"924117"},"a":{}}"#), json!(r#"{"a":{}}"#))]
    #[case(json!(json!({"a": [json!({"otp": "924117"}).to_string()]}).to_string()), json!(json!({"a": ["{}"]}).to_string()))]
    // Not JSON, so it is unknown where the credential ends.
    #[case(json!(r#"{"name":"5" pipe","otp":"924117"}"#), json!(null))]
    #[case(json!(r#"{"otp":"924117""#), json!(null))]
    #[case(json!("{'otp':'924117'}"), json!(null))]
    #[case(json!("[{\u{201c}OTP\u{201d}:\u{201c}924117\u{201d}}]"), json!(null))]
    #[case(json!(r#"{"\u006ftp":"924117""#), json!(null))]
    #[case(json!("\u{fffd}{\"a\":\"pipe,\"otp\":\"924117\"}"), json!(null))]
    #[case(json!(r#"received {"otp":"924117"}"#), json!(null))]
    #[case(json!(r#"received "otp" : "924117", and more"#), json!(null))]
    #[case(json!("id=e1&otp_code=924117"), json!(null))]
    #[case(json!("OTP: 924117"), json!(null))]
    #[case(json!("id=e1&customer%5Botp%5d=924117"), json!(null))]
    #[case(json!("%7B%22otp%22%3A924117%7D"), json!(null))]
    #[case(json!("&quot;otp&quot;:&#34;924117&#34;"), json!(null))]
    #[case(json!("<edit-token>924117</edit-token>"), json!(null))]
    #[case(json!("editToken => 924117"), json!(null))]
    #[case(json!("login --otp=924117"), json!(null))]
    #[case(json!(r#"{"newOtp":"924117""#), json!(null))]
    #[case(json!(r#"{"a":"\notp=924117","a":1}"#), json!(r#"{"a":1}"#))]
    fn credentials_are_removed_from_json_in_a_string(#[case] value: Value, #[case] left: Value) {
        let mut payload = json!({"raw": value, "b": [value]});
        assert!(CREDENTIALS.remove_from(&mut payload));
        assert_eq!(payload, json!({"raw": left, "b": [left]}));
    }

    #[test]
    fn json_that_is_encoded_too_often_is_removed() {
        let mut text = json!({"otp": "924117"}).to_string();
        for depth in 1..=TEXT_DEPTH_MAX + 2 {
            for mut payload in [json!(text), json!([text])] {
                assert!(CREDENTIALS.remove_from(&mut payload), "{depth}");
                assert!(!payload.to_string().contains("924117"), "{depth}");
            }
            text = json!(text).to_string();
        }
    }

    #[rstest]
    #[case(json!({"name": "otp", "value": "924117"}), json!({"name": "otp"}))]
    #[case(json!({"Key": "OTP", "Value": 924_117, "id": 1}), json!({"Key": "OTP", "id": 1}))]
    #[case(json!({"field": "edit_token_hash", "old": "1", "new": ["2"]}), json!({"field": "edit_token_hash"}))]
    #[case(json!({"attributeName": "otpCode", "oldValue": 1, "new_values": 2}), json!({"attributeName": "otpCode"}))]
    #[case(json!({"property": " otp ", "from": null, "to": {"a": 1}}), json!({"property": " otp "}))]
    #[case(json!({"op": "replace", "path": "/customer/otp/0", "value": 1}), json!({"op": "replace", "path": "/customer/otp/0"}))]
    #[case(json!({"path": "data.customer.otp", "before": 1, "after": 2}), json!({"path": "data.customer.otp"}))]
    #[case(json!({"label": "OTP", "val": 1}), json!({"label": "OTP"}))]
    #[case(json!({"id": "otp", "value": 7}), json!({"id": "otp"}))]
    #[case(json!({"type": "edit-token", "value": 7}), json!({"type": "edit-token"}))]
    #[case(json!({"field": {"name": "otp"}, "old": 1, "new": 2}), json!({"field": {"name": "otp"}}))]
    #[case(json!(["otp", "924117"]), json!(["otp", null]))]
    #[case(json!(["id", 1, "otp", 2]), json!(["id", 1, "otp", null]))]
    #[case(json!(["otp", 1, 2, "id", 3]), json!(["otp", null, null, "id", 3]))]
    #[case(json!({"a": 1, "customer.otp": 2}), json!({"a": 1}))]
    #[case(json!({"a": 1, "/customer/otp/0": 2}), json!({"a": 1}))]
    #[case(json!({"a": 1, "customer[edit_token]": 2}), json!({"a": 1}))]
    #[case(json!({"a": 1, " otp": 2, "$otp": 3, "_otp": 4}), json!({"a": 1}))]
    #[case(json!({"a": 1, "old_otp": 2, "newOtp": 3, "customer-edit-token": 4}), json!({"a": 1}))]
    #[case(json!({"name": "new_otp", "value": 2}), json!({"name": "new_otp"}))]
    #[case(json!({"a": 1, "edit-token": 2, "editTokenHash": 3, "EditToken": 4, "edit token": 5}), json!({"a": 1}))]
    #[case(json!({"a": 1, r#"{"otp":"924117"}"#: ""}), json!({"a": 1}))]
    #[case(json!({"a": 1, "id=e1&otp=924117": ""}), json!({"a": 1}))]
    #[case(json!(["edit_token", null, {"a": 1}]), json!(["edit_token", null, null]))]
    #[case(json!([["name", "Ada"], ["otp", "924117"]]), json!([["name", "Ada"], ["otp", null]]))]
    fn values_beside_a_credentials_name_are_removed(#[case] pair: Value, #[case] left: Value) {
        let mut payload = json!({"changes": [pair]});
        assert!(CREDENTIALS.remove_from(&mut payload));
        assert_eq!(payload, json!({"changes": [left]}));
    }

    #[rstest]
    #[case(json!({"display_name": "OTP", "email": "ada@example.org"}))]
    #[case(json!({"name": "Otpal", "value": 7}))]
    #[case(json!({"name": "OTPAL", "value": 7}))]
    #[case(json!({"name": "OTP Bank", "value": 7}))]
    #[case(json!({"company_name": "Hotpot", "value": "otp"}))]
    #[case(json!({"status": "otp", "value": 7}))]
    #[case(json!({"hotpot": 1, "option": 2, "credit_tokens": 3, "edit": 4, "edit_to": 5}))]
    #[case(json!("100% of OTP"))]
    #[case(json!("%zz OTP%"))]
    #[case(json!(["Otpal", "x"]))]
    #[case(json!(["otp"]))]
    #[case(json!(["name", "otp"]))]
    #[case(json!(["otp", null]))]
    #[case(json!("about the otp, see [1]: a = b"))]
    #[case(json!("Call at 10:30 about the OTP"))]
    #[case(json!("Otpal: a shop"))]
    #[case(json!("hotpot=1"))]
    #[case(json!("[Hotpot] Ltd"))]
    #[case(json!("\"OTP\" Consulting"))]
    #[case(json!("{not JSON"))]
    #[case(json!(r#"{"a" : 1, "a" : 2}"#))]
    #[case(json!(r#"{ "metadata" : {"otp":1} }"#))]
    #[case(json!(r#" { "option": "1" } "#))]
    #[case(json!({"metadata": [{"name": "otp", "value": 1}, ["otp", 1], r#"{"otp":1}"#]}))]
    fn other_values_remain(#[case] value: Value) {
        let mut payload = json!({"a": [value]});
        let before = payload.clone();
        assert!(!CREDENTIALS.remove_from(&mut payload));
        assert_eq!(payload, before);
    }

    #[test]
    fn a_record_is_not_a_pair() {
        let fields = (2..PAIR_FIELDS_MAX).map(|number| (format!("f{number}"), json!(number)));
        let mut record: Map<String, Value> = fields.collect();
        record.extend([("name".to_owned(), json!("OTP")), ("value".to_owned(), json!(7))]);
        let mut longer = record.clone();
        longer.insert("more".to_owned(), json!(8));
        assert!(CREDENTIALS.remove_from(&mut Value::Object(record)));
        assert!(!CREDENTIALS.remove_from(&mut Value::Object(longer)));
    }

    #[test]
    fn nothing_is_removed_without_credential_fields() {
        let mut payload = json!({"otp": 1, "a": r#"{"otp":1"#});
        let before = payload.clone();
        assert!(!CredentialFields::NONE.remove_from(&mut payload));
        assert_eq!(payload, before);
    }
}
