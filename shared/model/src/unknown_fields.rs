//! Notices when a provider sends fields that its crate does not know.

use std::fmt::{self, Write};

use crate::customer::Customer;
use crate::event::{Change, CustomerEvent};
use crate::provider::Provider;

/// The most names that are displayed.
const NAMES_MAX: usize = 8;
/// The most characters that are displayed of a name.
const NAME_CHARS_MAX: usize = 64;

/// The fields in `extra` whose names are not in [`Provider::known_extra`]. Displayed as their names, without any value.
#[derive(Clone, Copy)]
pub struct UnknownFields<'a> {
    customer: Option<&'a Customer>,
    known: &'static [&'static str],
}

redacted_debug!(UnknownFields<'_>);

impl CustomerEvent {
    /// The fields of the event that its provider's crate does not know. A delete has none, because none of them is stored.
    #[must_use]
    pub fn unknown_fields(&self, provider: &Provider) -> UnknownFields<'_> {
        let customer = match self.change() {
            Change::Snapshot(customer) => Some(&**customer),
            Change::Deletion(_) => None,
        };
        UnknownFields { customer, known: provider.known_extra }
    }
}

impl<'a> UnknownFields<'a> {
    /// How many there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.names().count()
    }

    fn names(&self) -> impl Iterator<Item = &'a str> {
        let Self { customer, known } = *self;
        let names =
            customer.into_iter().flat_map(|customer| customer.extra.keys().chain(customer.extra_of_batch.keys()));
        names.map(String::as_str).filter(|name| !known.contains(name))
    }
}

impl fmt::Display for UnknownFields<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, name) in self.names().take(NAMES_MAX).enumerate() {
            if place > 0 {
                f.write_str(", ")?;
            }
            name.chars().take(NAME_CHARS_MAX).map(harmless).try_for_each(|character| f.write_char(character))?;
        }
        Ok(())
    }
}

/// Senders choose the names, so they may contain what a terminal would execute.
fn harmless(character: char) -> char {
    let is_visible = character.is_ascii_graphic() || character == ' ' || character.is_alphanumeric();
    if is_visible { character } else { char::REPLACEMENT_CHARACTER }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use serde_json::{Map, Value, json};

    fn map(value: Value) -> Map<String, Value> {
        serde_json::from_value(value).unwrap()
    }

    fn unknown(extra: Value, of_batch: Value) -> (usize, String) {
        let customer = Customer { extra: map(extra), extra_of_batch: map(of_batch).into(), ..Customer::default() };
        let unknown = UnknownFields { customer: Some(&customer), known: &["tier", "legacy_id"] };
        (unknown.count(), unknown.to_string())
    }

    #[rstest]
    #[case(json!({}), json!({}), 0, "")]
    #[case(json!({"tier": {"new": 1}, "legacy_id": null}), json!({"tier": 1}), 0, "")]
    #[case(json!({"tier": 1, "Tier": 2}), json!({}), 1, "Tier")]
    #[case(json!({"loyalty": {"points": 1}, "card": "[redacted]"}), json!({"region": null}), 3, "card, loyalty, region")]
    #[case(json!({"\u{1b}[31m\n": 1, "a\u{202e}b\u{9b}c": 2, "größe 1": 3}), json!({}), 3,
        "\u{fffd}[31m\u{fffd}, a\u{fffd}b\u{fffd}c, größe 1")]
    fn names(#[case] extra: Value, #[case] of_batch: Value, #[case] count: usize, #[case] text: &str) {
        assert_eq!(unknown(extra, of_batch), (count, text.to_owned()));
    }

    #[test]
    fn the_text_is_limited() {
        let extra: Map<_, _> = (0..9).map(|number| (format!("{number}{}", "é".repeat(64)), json!(1))).collect();
        let names: Vec<_> = (0..8).map(|number| format!("{number}{}", "é".repeat(63))).collect();
        assert_eq!(unknown(Value::Object(extra), json!({})), (9, names.join(", ")));
    }
}
