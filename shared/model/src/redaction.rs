//! Removes the secrets that a provider sends in a payload.

use memchr::{memchr2_iter, memchr3};
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
const VALUE_FIELDS: [&str; 13] =
    ["v", "val", "old", "new", "from", "to", "before", "after", "previous", "current", "data", "content", "text"];
/// The letters, from the rarest in English to the most frequent.
const RAREST_LETTERS: &[u8; 26] = b"zqjxkvbpygwfmucldrhsinoate";
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

    /// As [`remove_from`](Self::remove_from), but faster for the usual body, in which credentials are only fields. `payload`
    /// is what was parsed from `body`.
    pub(crate) fn remove_from_body(&self, body: &[u8], payload: &mut Value) {
        if self.name_prefixes.is_empty() {
            return;
        }
        if std::str::from_utf8(body).is_ok_and(|body| self.are_only_fields(body)) {
            self.remove_fields(payload);
        } else {
            self.remove(payload, 0);
        }
    }

    /// Whether every credential's name in the JSON begins the name of a field, and no escape can hide one.
    fn are_only_fields(&self, json: &str) -> bool {
        let is_plain = |prefix: &&str| {
            let begins_name = |at: usize| {
                let (before, text) = json.split_at_checked(at)?;
                Some(begins_field_name(before, after_prefix(text, prefix)?))
            };
            possible_starts(json, prefix).is_some_and(|mut starts| starts.all(|at| begins_name(at).unwrap_or(true)))
        };
        // Without a backslash, every quotation mark begins or ends a string.
        memchr3(b'\\', b'%', b'&', json.as_bytes()).is_none() && self.name_prefixes.iter().all(is_plain)
    }

    fn remove_fields(&self, value: &mut Value) {
        match value {
            Value::Object(fields) => {
                fields.retain(|name, value| {
                    let is_credential = self.name_prefixes.iter().any(|prefix| after_prefix(name, prefix).is_some());
                    if !is_credential && !self.exempt_fields.contains(&name.as_str()) {
                        self.remove_fields(value);
                    }
                    !is_credential
                });
            }
            Value::Array(elements) => elements.iter_mut().for_each(|element| self.remove_fields(element)),
            _ => {}
        }
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
        let parsed = matches!(first, b'{' | b'[' | b'"').then(|| json::parse_text(text)).flatten();
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
            let starts = text.bytes().enumerate().filter(move |(_, byte)| is_first(*byte));
            starts.filter_map(move |(at, _)| after_prefix(&text[at..], prefix).filter(|_| begins_word(text, at)))
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

/// The positions at which a prefix can begin in the text: those with its rarest letter in the right place. A text has
/// many times more of most first letters. `None` if the prefix has no letter.
fn possible_starts(text: &str, prefix: &str) -> Option<impl Iterator<Item = usize>> {
    let letters = prefix.bytes().enumerate().filter(|(_, byte)| byte.is_ascii_lowercase());
    let (place, letter) = letters.min_by_key(|(_, letter)| RAREST_LETTERS.iter().position(|rare| rare == letter))?;
    // Each separator before the letter may be left out.
    let places = place - prefix[..place].matches('_').count()..=place;
    let letters = memchr2_iter(letter, letter.to_ascii_uppercase(), text.as_bytes());
    Some(letters.flat_map(move |at| places.clone().filter_map(move |place| at.checked_sub(place))))
}

/// Whether what stands between `before` and `after` in JSON is the beginning of a field's name.
fn begins_field_name(before: &str, after: &str) -> bool {
    before.ends_with('"') && after.split_once('"').is_some_and(|(_, after)| after.trim_start().starts_with(':'))
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
    name.eq_ignore_ascii_case("k") || NAME_FIELD_ENDS.iter().any(ends_with)
}

fn is_value_field(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    name.contains("value") || VALUE_FIELDS.contains(&name.as_str())
}

#[cfg(test)]
mod tests;
