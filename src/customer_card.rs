//! One customer's item as text for people: a card with a section for each kind of value.

use serde_json::{Map, Value};

use crate::erasure_state::ErasureState;

/// Parts of an e-mail address, a phone number, a postal address, a contact, a tax id or an actor that need no name, in
/// the order in which they are shown.
const SELF_EXPLANATORY: [&str; 16] = [
    "first_name",
    "last_name",
    "email",
    "type",
    "country_code",
    "number",
    "designation",
    "department",
    "phone",
    "line1",
    "line2",
    "city",
    "state",
    "postal_code",
    "country",
    "id",
];
/// Fields of the profile that say how to reach the customer, the most useful first.
const CONTACT: [&str; 7] =
    ["emails", "phones", "billing_email", "contacts", "billing_address", "shipping_address", "website_url"];
/// Attributes of an item in the sections that they belong to.
const IDENTITY: [&str; 7] = ["provider", "account", "customer_id", "external_id", "status", "name", "email"];
const TIMES: [&str; 4] = ["created_at", "updated_at", "deleted_at", "cleanup_due"];
/// The same in every item.
const CONSTANT: [&str; 2] = ["sk", "schema"];
/// Attributes of a tombstone that [`ErasureState`] shows.
const ERASURE: [&str; 2] = ["receipts", "erasure_open"];
/// Longer labels do not move the values of the other rows to the right.
const LABEL_WIDTH_MAX: usize = 48;

/// A part of the card.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Section {
    title: String,
    /// Label and value.
    rows: Vec<(String, String)>,
}

impl Section {
    /// A section with these rows of label and value.
    #[must_use]
    pub fn new(title: &str, rows: Vec<(String, String)>) -> Self {
        Self { title: title.to_owned(), rows }
    }

    /// What it is about: the customer's `pk`, or the kind of its values.
    #[must_use]
    pub fn title(&self) -> &str {
        &self.title
    }

    /// Its labels and values. They contain what the customer wrote, as it was written.
    #[must_use]
    pub fn rows(&self) -> &[(String, String)] {
        &self.rows
    }

    /// Its lines. They contain what the customer wrote, as it was written.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        let widths = self.rows.iter().map(|(label, _)| label.chars().count());
        let width = widths.filter(|width| *width <= LABEL_WIDTH_MAX).max().unwrap_or_default();
        let line = |(label, value): &(String, String)| format!("  {label:<width$}  {value}").trim_end().to_owned();
        [self.title.clone()].into_iter().chain(self.rows.iter().map(line)).collect()
    }
}

/// The sections of an item. Every value of the item is in one of them, and for a tombstone also the systems among these
/// that have not confirmed its erasure yet.
#[must_use]
pub fn sections(item: &Value, systems: &[String]) -> Vec<Section> {
    let fields_of = |name: &str| item.get(name).and_then(Value::as_object).cloned().unwrap_or_default();
    let (profile, extra, event) = (fields_of("profile"), fields_of("extra"), fields_of("last_event"));
    let empty = Map::new();
    let attributes = item.as_object().unwrap_or(&empty);
    let is_known = |name: &str| {
        ["pk", "profile", "extra", "last_event"].contains(&name)
            || [&IDENTITY[..], &TIMES, &CONSTANT, &ERASURE].iter().any(|names| names.contains(&name))
    };
    let others: Map<_, _> = attributes.iter().filter(|(name, _)| !is_known(name)).map(cloned).collect();
    let personal: Map<_, _> =
        profile.iter().filter(|(name, _)| !CONTACT.contains(&name.as_str())).map(cloned).collect();
    let sections = [
        (item["pk"].as_str().unwrap_or_default(), picked(attributes, &IDENTITY)),
        ("Profile", rows(&personal, compact_rows)),
        ("Contact", picked(&profile, &CONTACT)),
        ("Extra", rows(&extra, leaf_rows)),
        ("Times", picked(attributes, &TIMES)),
        ("Event", [rows(&event, compact_rows), rows(&others, leaf_rows)].concat()),
    ];
    let sections = sections.into_iter().map(|(title, rows)| Section::new(title, rows));
    let sections = sections.chain([ErasureState::of(item, systems).section()]);
    sections.filter(|section| !section.rows.is_empty()).collect()
}

fn cloned((name, value): (&String, &Value)) -> (String, Value) {
    (name.clone(), value.clone())
}

type Rows = Vec<(String, String)>;

/// The rows of these fields, in this order.
fn picked(fields: &Map<String, Value>, names: &[&str]) -> Rows {
    names.iter().filter_map(|name| Some(compact_rows(name, fields.get(*name)?))).flatten().collect()
}

fn rows(fields: &Map<String, Value>, render: fn(&str, &Value) -> Rows) -> Rows {
    fields.iter().flat_map(|(name, value)| render(name, value)).collect()
}

/// The rows of a field of the common model: one for each element of a list, and one for an object.
fn compact_rows(name: &str, value: &Value) -> Rows {
    let label = words(name);
    match value {
        Value::Array(elements) => {
            let labels = [label].into_iter().chain(std::iter::repeat(String::new()));
            labels.zip(elements.iter().map(compact)).collect()
        }
        // The customer's own names.
        Value::Object(_) if name == "metadata" => leaf_rows(name, value),
        other => vec![(label, compact(other))],
    }
}

/// A value on one line. The names of flags and of rare parts are shown, those of usual parts are not.
fn compact(value: &Value) -> String {
    let Value::Object(parts) = value else { return scalar(value) };
    let usual = SELF_EXPLANATORY.iter().filter_map(|name| parts.get(*name)).map(compact);
    let others = parts.iter().filter(|(name, _)| !SELF_EXPLANATORY.contains(&name.as_str()));
    let others = others.map(|(name, value)| match value {
        Value::Bool(true) => words(name),
        Value::Bool(false) => format!("not {}", words(name)),
        other => format!("{} {}", words(name), compact(other)),
    });
    usual.chain(others).collect::<Vec<_>>().join(", ")
}

/// A row for each value in it, labelled with its path.
fn leaf_rows(path: &str, value: &Value) -> Rows {
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            fields.iter().flat_map(|(name, value)| leaf_rows(&format!("{path}.{name}"), value)).collect()
        }
        Value::Array(elements) if elements.iter().any(|element| element.is_object() || element.is_array()) => {
            let elements = elements.iter().enumerate();
            elements.flat_map(|(index, value)| leaf_rows(&format!("{path}.{index}"), value)).collect()
        }
        Value::Array(elements) if !elements.is_empty() => {
            vec![(path.to_owned(), elements.iter().map(scalar).collect::<Vec<_>>().join(", "))]
        }
        other => vec![(path.to_owned(), scalar(other))],
    }
}

fn scalar(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn words(name: &str) -> String {
    name.replace('_', " ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn parts_of_a_contact_point_are_on_one_line() {
        let item = json!({ "pk": "plain#w#c", "name": "Ada", "profile": {
            "emails": [
                { "email": "a@x.y", "primary": true, "verified": false, "verified_at": "2026-11-19T16:20:11.902Z" },
                { "email": "b@x.y" },
            ],
            "billing_address": { "country": "GB", "line1": "1 Road", "city": "Leeds" },
            "created_by": { "id": "u_1", "type": "user" },
            "metadata": { "seats": 12, "line1": ["a", "b"] },
        } });
        let lines: Vec<_> = sections(&item, &[]).iter().flat_map(Section::lines).collect();
        assert_eq!(
            lines,
            [
                "plain#w#c",
                "  name  Ada",
                "Profile",
                "  created by      user, u_1",
                "  metadata.line1  a, b",
                "  metadata.seats  12",
                "Contact",
                "  emails           a@x.y, primary, not verified, verified at 2026-11-19T16:20:11.902Z",
                "                   b@x.y",
                "  billing address  1 Road, Leeds, GB",
            ]
        );
    }

    #[test]
    fn a_long_label_does_not_move_the_other_values() {
        let long = "x".repeat(LABEL_WIDTH_MAX + 1);
        let section = Section::new("Extra", vec![("a".into(), "1".into()), (long.clone(), "2".into())]);
        assert_eq!(section.lines(), ["Extra".to_owned(), "  a  1".to_owned(), format!("  {long}  2")]);
    }
}
