//! Compares two JSON values.

use serde_json::Value;

/// A place in which two values differ.
#[derive(Clone, Debug, PartialEq)]
pub struct Difference<'a> {
    /// The dotted path to the place.
    pub path: String,
    /// The old value, if there is one.
    pub old: Option<&'a Value>,
    /// The new value, if there is one.
    pub new: Option<&'a Value>,
}

/// The places in which two values differ. Only objects are compared field by field.
#[must_use]
pub fn differences<'a>(old: &'a Value, new: &'a Value) -> Vec<Difference<'a>> {
    let mut differences = vec![];
    compare(String::new(), Some(old), Some(new), &mut differences);
    differences
}

fn compare<'a>(path: String, old: Option<&'a Value>, new: Option<&'a Value>, differences: &mut Vec<Difference<'a>>) {
    if let (Some(Value::Object(old)), Some(Value::Object(new))) = (old, new) {
        for name in old.keys().chain(new.keys().filter(|name| !old.contains_key(*name))) {
            let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
            compare(path, old.get(name), new.get(name), differences);
        }
    } else if old != new {
        differences.push(Difference { path, old, new });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_differing_places_are_listed() {
        let old = json!({ "name": "Ada", "email": "a@example.com",
            "profile": { "emails": [{ "email": "a@example.com" }], "title": "Dr", "kind": "individual" } });
        let new = json!({ "name": "Ada", "email": "b@example.com",
            "profile": { "emails": [{ "email": "b@example.com" }], "kind": "individual" }, "extra": { "tier": 1 } });
        let found = differences(&old, &new);
        let found: Vec<_> = found.iter().map(|it| (it.path.as_str(), it.old.is_some(), it.new.is_some())).collect();
        let expected = [
            ("email", true, true),
            ("profile.emails", true, true),
            ("profile.title", true, false),
            ("extra", false, true),
        ];
        assert_eq!(found, expected);
        assert_eq!(differences(&old, &old), []);
    }
}
