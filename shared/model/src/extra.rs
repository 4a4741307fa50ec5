//! The part of an item that is kept under the provider's own names.

use serde_json::{Map, Value};

use crate::storable::storable;

/// Collects what has no place in the model: everything that nobody took, but for the provider's written list.
pub struct Extra {
    dropped: &'static [&'static str],
    kept: Map<String, Value>,
}

crate::private::private_debug!(Extra);

impl Extra {
    /// Nothing yet. `dropped` is the provider's list, as in [`Provider::dropped`](crate::Provider::dropped).
    #[must_use]
    pub fn new(dropped: &'static [&'static str]) -> Self {
        Self { dropped, kept: Map::new() }
    }

    /// What was kept already.
    pub(crate) fn of(kept: Map<String, Value>) -> Self {
        Self { dropped: &[], kept }
    }

    /// Keeps the rest of the object at `path` in the body (empty for the body itself). A name that is kept already
    /// stays as it is, and the newcomer gets `path` before its own name.
    #[must_use]
    pub fn keep(mut self, path: &str, rest: Map<String, Value>) -> Self {
        for (name, value) in rest {
            let whole = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
            if !self.dropped.iter().any(|pattern| matches(pattern, &whole)) {
                let mut name = name;
                while self.kept.contains_key(&name) {
                    name = format!("{}.{name}", if path.is_empty() { "body" } else { path });
                }
                self.kept.insert(name, storable(value));
            }
        }
        self
    }

    /// What was kept.
    #[must_use]
    pub fn into_map(self) -> Map<String, Value> {
        self.kept
    }
}

fn matches(pattern: &str, path: &str) -> bool {
    pattern.strip_suffix('*').map_or(pattern == path, |start| path.starts_with(start))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn map(value: Value) -> Map<String, Value> {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn all_is_kept_but_for_the_list() {
        let extra = Extra::new(&["id", "data.customer.otp*"])
            .keep("data.customer", map(json!({"otp": "1", "otp_sent_at": "2", "id": 3, "new": null})))
            .keep("data", map(json!({"new": 4, "otp": 5})))
            .keep("", map(json!({"id": 6, "new": 7, "data.new": 8})));
        let kept = json!({"id": 3, "new": null, "data.new": 4, "otp": 5, "body.new": 7, "body.data.new": 8});
        assert_eq!(Value::Object(extra.into_map()), kept);
    }
}
