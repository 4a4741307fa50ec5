//! Nothing a provider sends disappears silently: every leaf of every event file is in the item, or on the provider's
//! written list of what is dropped.

use clientele::events::Case;
use serde_json::Value;

use crate::support::cases;

/// Every leaf, by its path without places in lists.
fn leaves(path: &str, value: &Value, into: &mut Vec<(String, Value)>) {
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            for (name, value) in fields {
                leaves(&if path.is_empty() { name.clone() } else { format!("{path}.{name}") }, value, into);
            }
        }
        Value::Array(elements) if !elements.is_empty() => {
            for element in elements {
                leaves(path, element, into);
            }
        }
        leaf => into.push((path.to_owned(), leaf.clone())),
    }
}

fn is_dropped(case: &Case, path: &str) -> bool {
    case.known.provider.dropped.iter().any(|pattern| match pattern.strip_suffix('*') {
        Some(start) => path.starts_with(start),
        None => path == *pattern || path.starts_with(&format!("{pattern}.")),
    })
}

/// Credentials of Metrifox in places that no page documents are removed too.
fn is_credential(path: &str) -> bool {
    path.rsplit('.').next().is_some_and(|name| name.starts_with("otp") || name.starts_with("edit_token"))
}

/// Whether the item says what the leaf says. Absent means empty, but only for what the model knows.
fn is_in(item: &Value, path: &str, leaf: &Value) -> bool {
    let name = path.rsplit('.').next().unwrap();
    let mut known = vec![];
    leaves("", item, &mut known);
    // What we say of ourselves is nothing that a provider sent.
    known.retain(|(path, _)| {
        !["schema", "sk", "provider", "pk", "rank", "last_event.received_at"].contains(&path.as_str())
    });
    let said = |value: &Value| match (value, leaf) {
        (Value::String(value), Value::String(leaf)) => {
            let [value_time, leaf_time] = [value, leaf].map(|text| text.parse::<jiff::Timestamp>().ok());
            value == leaf || (value_time.is_some() && value_time == leaf_time) || is_translated(value, leaf)
        }
        (Value::String(text), Value::Number(number)) => *text == number.to_string(),
        (value, leaf) => value == leaf,
    };
    let empty =
        leaf.is_null() || leaf == "" || *leaf == Value::Array(vec![]) || *leaf == Value::Object(serde_json::Map::new());
    let under_its_name =
        known.iter().any(|(path, value)| path.starts_with("extra") && path.ends_with(name) && said(value));
    under_its_name || empty || known.iter().any(|(path, value)| !path.starts_with("extra") && said(value))
}

/// Words of a provider for which the model has its own.
fn is_translated(ours: &str, theirs: &str) -> bool {
    [("business", "BUSINESS"), ("individual", "INDIVIDUAL"), ("inactive", "archived"), ("active", "published")]
        .contains(&(ours, theirs))
}

#[test]
fn every_leaf_is_accounted_for() {
    let mut counted = 0;
    for case in cases() {
        let outcome = case.expected.answer.as_ref().map(Value::to_string).unwrap_or_default();
        // What was not applied, or deleted, is not in an item.
        if !outcome.contains("applied") || !case.expected.cleanup.is_empty() {
            continue;
        }
        let body: Value = serde_json::from_str(&case.body().unwrap()).unwrap();
        let mut all = vec![];
        leaves("", &body, &mut all);
        for (path, leaf) in all {
            if is_dropped(&case, &path) || is_credential(&path) || is_of_another_event(&case, &body, &path, &leaf) {
                continue;
            }
            let items = case.expected.items.values();
            assert!(
                items.into_iter().any(|item| is_in(item, &path, &leaf)),
                "{}: {path} = {leaf} is lost",
                case.title()
            );
            counted += 1;
        }
    }
    assert!(counted > 500, "only {counted} leaves were looked at");
}

/// In a batch, events of other kinds are dropped whole, and of several events of one customer the greatest stays.
fn is_of_another_event(case: &Case, body: &Value, path: &str, leaf: &Value) -> bool {
    if case.known.provider.name != "smarterpay" || !path.starts_with("events.") {
        return false;
    }
    let applied: Vec<_> = case.expected.items.values().map(|item| item["last_event"]["id"].clone()).collect();
    let is_applied = |event: &&Value| applied.contains(&event["event_id"]);
    let mut of_applied = vec![];
    for event in body["events"].as_array().unwrap().iter().filter(is_applied) {
        leaves("events", event, &mut of_applied);
    }
    !of_applied.contains(&(path.to_owned(), leaf.clone()))
}

/// The test itself: a leaf that is lost is found.
#[test]
fn a_lost_leaf_is_noticed() {
    let mut case = crate::support::case("metrifox/customer-created");
    let item = case.expected.items.values_mut().next().unwrap();
    assert!(is_in(item, "data.customer.legal_number", &"09876543".into()));
    item["profile"].as_object_mut().unwrap().remove("legal_number");
    assert!(!is_in(item, "data.customer.legal_number", &"09876543".into()));
    assert!(is_in(item, "data.customer.customer_type", &1.into()));
    item["extra"].as_object_mut().unwrap().remove("customer_type");
    assert!(!is_in(item, "data.customer.customer_type", &1.into()));
}
