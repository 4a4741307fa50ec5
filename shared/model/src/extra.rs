//! The fields of an item that keep the provider's own names.

use serde_json::{Map, Value};

use crate::sensitive_names::redact;
use crate::table_limits::make_numbers_storable;

/// Collects the fields that have no place in the common model, except those that the provider's crate lists as dropped.
pub struct ExtraFields {
    dropped_paths: &'static [&'static str],
    kept: Map<String, Value>,
}

redacted_debug!(ExtraFields);

impl ExtraFields {
    /// Starts without fields. `dropped_paths` is [`Provider::dropped_paths`](crate::Provider::dropped_paths).
    #[must_use]
    pub fn new(dropped_paths: &'static [&'static str]) -> Self {
        Self { dropped_paths, kept: Map::new() }
    }

    /// Starts with fields that were kept before.
    pub(crate) fn of(kept: Map<String, Value>) -> Self {
        Self { dropped_paths: &[], kept }
    }

    /// Keeps the remaining fields of the object at `path` in the body (empty for the body itself). If a name is already
    /// taken, the new field is named with `path` as a prefix. Nothing is known about these fields, so the values of those
    /// with [sensitive names](crate::is_sensitive) are replaced.
    #[must_use]
    pub fn keep(mut self, path: &str, mut rest: Map<String, Value>) -> Self {
        rest.retain(|name, _| !is_dropped(self.dropped_paths, path, name));
        for (name, value) in &mut rest {
            redact(name, value);
            make_numbers_storable(value);
        }
        if self.kept.is_empty() {
            return Self { kept: rest, ..self };
        }
        for (mut name, value) in rest {
            while self.kept.contains_key(&name) {
                name = format!("{}.{name}", if path.is_empty() { "body" } else { path });
            }
            self.kept.insert(name, value);
        }
        self
    }

    /// The fields that were kept.
    #[must_use]
    pub fn into_map(self) -> Map<String, Value> {
        self.kept
    }
}

/// Whether the field `name` of the object at `path` is dropped.
fn is_dropped(dropped_paths: &[&str], path: &str, name: &str) -> bool {
    dropped_paths.iter().any(|dropped| {
        let inside = if path.is_empty() { Some(*dropped) } else { inside(path, dropped) };
        inside.is_some_and(|pattern| matches(pattern, name))
    })
}

/// The rest of the path of something inside the object at `path`.
fn inside<'a>(path: &str, full_path: &'a str) -> Option<&'a str> {
    full_path.strip_prefix(path)?.strip_prefix('.')
}

/// A pattern is a name, or the beginning of one before `*`.
fn matches(pattern: &str, name: &str) -> bool {
    pattern.strip_suffix('*').map_or(pattern == name, |start| name.starts_with(start))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn map(value: Value) -> Map<String, Value> {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn values_with_sensitive_names_are_not_kept() {
        let extra = ExtraFields::new(&[])
            .keep("data", map(json!({"card": "1", "tier": 2, "billing": [{"iban": 3, "since": 4}]})))
            .keep("", map(json!({"card": "5", "apiToken": 6})));
        let kept = json!({
            "card": "[redacted]", "tier": 2, "billing": [{"iban": "[redacted]", "since": 4}],
            "body.card": "[redacted]", "apiToken": "[redacted]",
        });
        assert_eq!(Value::Object(extra.into_map()), kept);
    }

    proptest! {
        /// The plain definition compares whole paths.
        #[test]
        fn fields_are_dropped_by_their_path(
            path in prop::sample::select(vec!["", "data", "data.customer", "customer", "dat", "datas"]),
            name in prop::collection::vec(prop::sample::select(vec!["id", "otp", "_at", "changes", "customer", "data", "."]), 0..4),
        ) {
            let dropped = ["id", "data.changes", "data.customer.otp*"];
            let name = name.concat();
            let full_path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
            let expected = dropped.iter().any(|pattern| matches(pattern, &full_path));
            prop_assert_eq!(is_dropped(&dropped, path, &name), expected);
        }
    }

    #[test]
    fn all_but_dropped_fields_are_kept() {
        let extra = ExtraFields::new(&["id", "data.customer.otp*"])
            .keep("data.customer", map(json!({"otp": "1", "otp_sent_at": "2", "id": 3, "new": null})))
            .keep("data", map(json!({"new": 4, "otp": 5})))
            .keep("", map(json!({"id": 6, "new": 7, "data.new": 8})));
        let kept = json!({"id": 3, "new": null, "data.new": 4, "otp": 5, "body.new": 7, "body.data.new": 8});
        assert_eq!(Value::Object(extra.into_map()), kept);
    }
}
