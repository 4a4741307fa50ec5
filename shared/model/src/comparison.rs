//! Compares a customer as the provider's list shows it with the item in the table.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use crate::decimal::is_same_number;
use crate::item::{CustomerItem, Item};
use crate::rank::Rank;

/// Attributes that say how the item came about, not what the customer is.
const ABOUT_THE_ITEM: [&str; 4] = ["rank", "last_event", "updated_at", "schema"];

/// How an observed customer and the item in the table differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Comparison {
    /// The table has no item of the customer.
    OnlyThere,
    /// The customer is deleted here.
    ErasedHere,
    /// All fields are equal, whatever the versions are.
    Same,
    /// The observed customer is newer: an event was lost. With the paths of the fields that differ.
    Behind(Vec<String>),
    /// The observed customer is not newer, so the item stays. With the paths of the fields that differ.
    Different(Vec<String>),
}

impl Comparison {
    /// Compares the item that an observation leads to with the one in the table. `ignored` are the paths of attributes
    /// that a list shows differently than a webhook ([`Listing::different_in_list`](crate::Listing::different_in_list)).
    #[must_use]
    pub fn of(observed: &CustomerItem, stored: Option<&Item>, ignored: &[&str]) -> Self {
        let stored = match stored {
            None => return Self::OnlyThere,
            Some(Item::Tombstone(_)) => return Self::ErasedHere,
            Some(Item::Customer(stored)) => stored,
        };
        let fields = differing_fields(observed, stored, ignored);
        let version = |item: &CustomerItem| item.rank.parse::<Rank>().ok().map(|rank| rank.version);
        if fields.is_empty() {
            Self::Same
        } else if version(observed) > version(stored) && version(stored).is_some() {
            Self::Behind(fields)
        } else {
            Self::Different(fields)
        }
    }
}

/// The paths of the fields that differ, in alphabetical order: attributes of the item, and fields of `profile` and of
/// `extra`. What is inside of such a field is not named, because its names may be personal data.
///
/// The envelope of a webhook may have fields that a list does not have, so a name in `extra` that only the stored item has
/// is no difference.
#[must_use]
pub fn differing_fields(observed: &CustomerItem, stored: &CustomerItem, ignored: &[&str]) -> Vec<String> {
    let fields = |item: &CustomerItem| {
        let mut item = serde_json::to_value(item).unwrap_or_default();
        ignored.iter().chain(&ABOUT_THE_ITEM).for_each(|path| remove_path(&mut item, path));
        fields_of(item)
    };
    let (observed, mut stored) = (fields(observed), fields(stored));
    stored.retain(|path, _| !path.starts_with("extra.") || observed.contains_key(path));
    let paths: BTreeSet<_> = observed.keys().chain(stored.keys()).collect();
    let differs = |path: &&&String| !are_same(observed.get(**path), stored.get(**path));
    paths.iter().filter(differs).map(|path| (*path).clone()).collect()
}

/// Removes what is at a dotted path. Where the path meets a list, it goes on in each of the elements.
pub fn remove_path(value: &mut Value, path: &str) {
    match value {
        Value::Array(elements) => elements.iter_mut().for_each(|element| remove_path(element, path)),
        Value::Object(fields) => {
            // The name of a field may contain a dot.
            if fields.remove(path).is_none()
                && let Some((name, rest)) = path.split_once('.')
                && let Some(inner) = fields.get_mut(name)
            {
                remove_path(inner, rest);
            }
        }
        _ => {}
    }
}

/// Every field of the item by its path.
fn fields_of(item: Value) -> Map<String, Value> {
    let Value::Object(attributes) = item else { return Map::new() };
    let mut fields = Map::new();
    for (name, value) in attributes {
        match value {
            Value::Object(inner) if matches!(name.as_str(), "profile" | "extra") => {
                fields.extend(inner.into_iter().map(|(inner, value)| (format!("{name}.{inner}"), value)));
            }
            value => drop(fields.insert(name, value)),
        }
    }
    fields
}

/// Whether the values are equal. Numbers are compared by value, because the table does not keep how they were written.
pub(crate) fn are_same(a: Option<&Value>, b: Option<&Value>) -> bool {
    match (a, b) {
        (Some(Value::Number(a)), Some(Value::Number(b))) => is_same_number(a, b),
        (Some(Value::Array(a)), Some(Value::Array(b))) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| are_same(Some(a), Some(b)))
        }
        (Some(Value::Object(a)), Some(Value::Object(b))) => {
            a.len() == b.len() && a.iter().all(|(name, value)| are_same(Some(value), b.get(name)))
        }
        (a, b) => a == b,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use serde_json::json;

    /// An item of a version, with these attributes instead of the usual ones.
    fn item(version: u64, attributes: Value) -> CustomerItem {
        let mut item = json!({
            "pk": "acme#w_1#c_1", "sk": "customer", "provider": "acme", "account": "w_1", "customer_id": "c_1",
            "status": "active", "profile": {}, "extra": {}, "updated_at": "2026-02-09T08:42:08Z",
            "rank": format!("0.{version:016x}.1.8000000000000000.00000000.e"),
            "last_event": {"id": "e", "type": "customer.updated", "received_at": "2026-02-09T08:42:08Z"},
            "schema": 1,
        });
        let Value::Object(attributes) = attributes else { panic!("attributes") };
        item.as_object_mut().unwrap().extend(attributes);
        serde_json::from_value(item).unwrap()
    }

    #[rstest]
    #[case::equal(json!({"profile": {"title": "Dr"}}), json!({"profile": {"title": "Dr"}}), &[])]
    #[case::how_it_came_about(
        json!({"updated_at": "2026-02-10T08:42:08Z", "last_event": {"type": "import", "received_at": "2026-02-10T00:00:00Z"}}),
        json!({}),
        &[],
    )]
    #[case::attributes(
        json!({"status": "inactive", "email": "a@example.com"}),
        json!({"status": "active", "name": "Ada"}),
        &["email", "name", "status"],
    )]
    #[case::created(json!({"created_at": "2026-01-01T00:00:00Z"}), json!({}), &["created_at"])]
    #[case::profile(
        json!({"profile": {"phones": [{"number": "1"}], "title": "Dr"}}),
        json!({"profile": {"phones": [{"number": "2"}], "language": "en"}}),
        &["profile.language", "profile.phones", "profile.title"],
    )]
    #[case::order_of_a_list(
        json!({"profile": {"emails": [{"email": "a"}, {"email": "b"}]}}),
        json!({"profile": {"emails": [{"email": "b"}, {"email": "a"}]}}),
        &["profile.emails"],
    )]
    #[case::nothing_inside_of_metadata(
        json!({"profile": {"metadata": {"Ada's": 1}}}), json!({"profile": {"metadata": {"Ada's": 2}}}), &["profile.metadata"],
    )]
    #[case::extra(json!({"extra": {"plan": {"Ada's": 1}}}), json!({"extra": {"plan": {"Ada's": 2}}}), &["extra.plan"])]
    #[case::extra_only_in_the_list(json!({"extra": {"plan": 1}}), json!({}), &["extra.plan"])]
    #[case::extra_only_in_the_item(json!({}), json!({"extra": {"plan": 1}}), &[])]
    #[case::number_written_differently(json!({"extra": {"a": [{"n": 1.50}]}}), json!({"extra": {"a": [{"n": 1.5}]}}), &[])]
    #[case::another_number(json!({"extra": {"a": [{"n": 1.50}]}}), json!({"extra": {"a": [{"n": 1.51}]}}), &["extra.a"])]
    #[case::number_and_text(json!({"extra": {"a": 1}}), json!({"extra": {"a": "1"}}), &["extra.a"])]
    #[case::nothing_and_null(json!({"extra": {"a": {"b": null}}}), json!({"extra": {"a": {"c": null}}}), &["extra.a"])]
    #[case::shorter_list(json!({"extra": {"a": [1]}}), json!({"extra": {"a": [1, 2]}}), &["extra.a"])]
    #[case::longer_list(json!({"extra": {"a": [1, 2]}}), json!({"extra": {"a": [1]}}), &["extra.a"])]
    fn fields_that_differ(#[case] observed: Value, #[case] stored: Value, #[case] fields: &[&str]) {
        let (observed, stored) = (item(2, observed), item(1, stored));
        assert_eq!(differing_fields(&observed, &stored, &[]), fields);
        let comparison = Comparison::of(&observed, Some(&Item::Customer(Box::new(stored))), &[]);
        let fields: Vec<_> = fields.iter().map(|field| (*field).to_owned()).collect();
        assert_eq!(comparison, if fields.is_empty() { Comparison::Same } else { Comparison::Behind(fields) });
    }

    #[rstest]
    #[case::attribute(json!({"name": "Ada"}), json!({"name": "Eve"}), &["name"], &[])]
    #[case::field(json!({"profile": {"title": "a", "source": "b"}}), json!({"profile": {}}), &["profile.source"], &["profile.title"])]
    #[case::in_each_element(
        json!({"profile": {"emails": [{"email": "a", "verified": true}, {"email": "b"}]}}),
        json!({"profile": {"emails": [{"email": "a"}, {"email": "b", "verified": false}]}}),
        &["profile.emails.verified"],
        &[],
    )]
    #[case::name_with_a_dot(json!({"extra": {"body.a": 1}}), json!({"extra": {"body.a": 2}}), &["extra.body.a"], &[])]
    #[case::part_of_a_name(json!({"extra": {"ab": 1}}), json!({"extra": {"ab": 2}}), &["extra.a", "extra.ab.c"], &["extra.ab"])]
    fn ignored_paths(
        #[case] observed: Value,
        #[case] stored: Value,
        #[case] ignored: &[&str],
        #[case] fields: &[&str],
    ) {
        assert_eq!(differing_fields(&item(2, observed), &item(1, stored), ignored), fields);
    }

    #[rstest]
    #[case(3, 2, true)]
    #[case(2, 2, false)]
    #[case(1, 2, false)]
    fn only_a_newer_version_is_ahead(#[case] observed: u64, #[case] stored: u64, #[case] is_behind: bool) {
        let (observed, stored) = (item(observed, json!({"name": "Ada"})), item(stored, json!({"name": "Eve"})));
        let fields = vec!["name".to_owned()];
        let expected = if is_behind { Comparison::Behind(fields) } else { Comparison::Different(fields) };
        assert_eq!(Comparison::of(&observed, Some(&Item::Customer(Box::new(stored))), &[]), expected);
    }

    /// An item of an unknown format is not repaired.
    #[test]
    fn an_unreadable_rank_is_not_behind() {
        let stored = CustomerItem { rank: "?".to_owned(), ..item(1, json!({"name": "Eve"})) };
        let comparison = Comparison::of(&item(2, json!({})), Some(&Item::Customer(Box::new(stored))), &[]);
        assert_eq!(comparison, Comparison::Different(vec!["name".to_owned()]));
    }

    #[test]
    fn a_customer_may_be_missing_or_deleted_here() {
        assert_eq!(Comparison::of(&item(1, json!({})), None, &[]), Comparison::OnlyThere);
        let tombstone = json!({
            "pk": "acme#w_1#c_1", "sk": "customer", "provider": "acme", "account": "w_1", "customer_id": "c_1",
            "status": "deleted", "deleted_at": "2026-02-09T08:42:08Z", "rank": "1", "schema": 1,
            "last_event": {"type": "customer.deleted", "received_at": "2026-02-09T08:42:08Z"},
        });
        let tombstone = Item::Tombstone(serde_json::from_value(tombstone).unwrap());
        assert_eq!(Comparison::of(&item(1, json!({})), Some(&tombstone), &[]), Comparison::ErasedHere);
    }
}
