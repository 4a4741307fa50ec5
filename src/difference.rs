//! What differs between two items of a customer: names of fields, never values.

use serde_json::Value;

/// The fields that differ, as dotted paths: `+` before those that are new, `-` before those that go. Attributes of the
/// record's own history are left out, since they always differ.
#[must_use]
pub fn names(before: &Value, after: &Value) -> Vec<String> {
    let mut names = vec![];
    compare("", before, after, &mut names);
    names
}

const HISTORY: [&str; 3] = ["rank", "updated_at", "last_event"];

fn compare(path: &str, before: &Value, after: &Value, names: &mut Vec<String>) {
    let (Value::Object(old), Value::Object(new)) = (before, after) else {
        if before != after {
            names.push(path.to_owned());
        }
        return;
    };
    let path = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
    for (name, before) in old {
        match new.get(name) {
            _ if HISTORY.contains(&path(name).as_str()) => {}
            Some(after) => compare(&path(name), before, after, names),
            None => names.push(format!("-{}", path(name))),
        }
    }
    for name in new.keys().filter(|name| !old.contains_key(*name)) {
        names.push(format!("+{}", path(name)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn names_of_what_differs() {
        let before = json!({ "rank": "1", "name": "Ada", "email": "a@example.com", "last_event": { "id": "1" },
            "profile": { "emails": [{ "email": "a@example.com" }], "title": "Dr", "kind": "individual" } });
        let after = json!({ "rank": "2", "name": "Ada", "email": "b@example.com", "last_event": { "id": "2" },
            "profile": { "emails": [{ "email": "b@example.com" }], "kind": "individual" }, "extra": { "tier": 1 } });
        assert_eq!(names(&before, &after), ["email", "profile.emails", "-profile.title", "+extra"]);
        assert_eq!(names(&before, &before), [] as [&str; 0]);
    }
}
