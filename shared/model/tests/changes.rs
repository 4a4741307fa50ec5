//! Which writes to the table are changes, and what they change.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs, reason = "tests")]

use std::collections::BTreeSet;

use clientele_model::{ChangeType, CustomerChange, Item};
use rstest::rstest;
use serde_json::{Map, Value, json};

const NUMBER: &str = "$serde_json::private::Number";

/// The digits of the verb in a rank.
const OBSERVED: u8 = 0;
const UPDATED: u8 = 2;

fn item(attributes: Value) -> Item {
    let Value::Object(attributes) = attributes else { panic!("attributes") };
    Item::try_from(attributes).unwrap()
}

/// A customer of a version and a verb, with these attributes instead of the usual ones.
fn customer(version: u64, verb: u8, attributes: Value) -> Item {
    let mut customer = json!({
        "pk": "acme#w_1#c_1", "sk": "customer", "provider": "acme", "account": "w_1", "customer_id": "c_1",
        "status": "active", "profile": {}, "extra": {}, "updated_at": format!("2026-02-09T08:42:08.{version:06}Z"),
        "rank": format!("0.{version:016x}.{verb}.8000000000000000.00000000.e{version}"),
        "last_event": {"id": format!("e{version}"), "type": "updated", "received_at": "2026-02-09T08:42:08Z"},
        "schema": 1,
    });
    let Value::Object(attributes) = attributes else { panic!("attributes") };
    customer.as_object_mut().unwrap().extend(attributes);
    item(customer)
}

fn updated(version: u64) -> Item {
    customer(version, UPDATED, json!({}))
}

fn observed(version: u64) -> Item {
    customer(version, OBSERVED, json!({}))
}

fn tombstone(version: u64, cleanup: Value) -> Item {
    let mut tombstone = json!({
        "pk": "acme#w_1#c_1", "sk": "customer", "provider": "acme", "account": "w_1", "customer_id": "c_1",
        "status": "deleted", "deleted_at": "2026-02-09T08:42:08Z", "schema": 1,
        "rank": format!("1.{version:016x}.2.8000000000000000.00000000.d{version}"),
        "last_event": {"id": format!("d{version}"), "type": "deleted", "received_at": "2026-02-09T08:42:08Z"},
    });
    let Value::Object(cleanup) = cleanup else { panic!("attributes") };
    tombstone.as_object_mut().unwrap().extend(cleanup);
    item(tombstone)
}

fn deleted(version: u64) -> Item {
    tombstone(version, json!({}))
}

/// The message is not sent yet.
fn pending(version: u64) -> Item {
    tombstone(version, json!({"cleanup": "{}", "cleanup_due": "2026-02-09T08:42:08Z"}))
}

#[rstest]
#[case::no_image(None, None, None)]
#[case::new(None, Some(updated(1)), Some(ChangeType::Created))]
#[case::new_by_an_import(None, Some(observed(1)), Some(ChangeType::Snapshot))]
#[case::new_with_an_unknown_rank(None, Some(customer(1, UPDATED, json!({"rank": "?"}))), Some(ChangeType::Created))]
#[case::changed(Some(updated(1)), Some(updated(2)), Some(ChangeType::Updated))]
#[case::changed_after_an_import(Some(observed(1)), Some(updated(1)), Some(ChangeType::Updated))]
#[case::changed_by_an_import(Some(updated(1)), Some(observed(2)), Some(ChangeType::Updated))]
#[case::deleted(Some(updated(2)), Some(pending(1)), Some(ChangeType::Deleted))]
#[case::deleted_before_its_first_event(None, Some(pending(1)), Some(ChangeType::Deleted))]
#[case::deleted_again(Some(deleted(1)), Some(pending(2)), Some(ChangeType::Deleted))]
#[case::cleanup_message_sent(Some(pending(1)), Some(deleted(1)), None)]
#[case::cleanup_message_back(Some(deleted(1)), Some(pending(1)), None)]
#[case::same_rank(Some(updated(1)), Some(customer(1, UPDATED, json!({"name": "Ada"}))), None)]
#[case::restored_by_an_event(Some(deleted(1)), Some(updated(2)), Some(ChangeType::Created))]
#[case::restored_by_an_import(Some(deleted(1)), Some(observed(2)), Some(ChangeType::Snapshot))]
#[case::customer_removed(Some(updated(1)), None, Some(ChangeType::Removed))]
#[case::tombstone_removed(Some(deleted(1)), None, Some(ChangeType::Removed))]
fn types_of_changes(#[case] old: Option<Item>, #[case] new: Option<Item>, #[case] expected: Option<ChangeType>) {
    let expected = expected.map(|kind| CustomerChange { kind, changed: vec![] });
    assert_eq!(CustomerChange::between(old.as_ref(), new.as_ref()), expected);
}

/// The number as it is written.
fn number(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

/// The changed paths of an update, in both directions.
fn changed(one: &Value, other: &Value) -> Vec<String> {
    let between = |old: &Value, new: &Value| {
        let (old, new) = (customer(1, UPDATED, old.clone()), customer(2, UPDATED, new.clone()));
        let change = CustomerChange::between(Some(&old), Some(&new)).unwrap();
        assert_eq!(change.kind, ChangeType::Updated);
        change.changed
    };
    let changed = between(one, other);
    assert_eq!(between(other, one), changed);
    changed
}

#[rstest]
#[case::nothing(json!({}), json!({}), &[])]
#[case::attributes_of_every_event(
    json!({"updated_at": "2026-01-01T00:00:00Z"}), json!({"last_event": {"type": "import", "received_at": "2026-01-01T00:00:00Z"}}), &[],
)]
#[case::attributes(
    json!({"status": "inactive", "email": "a@example.com", "external_id": "crm-1"}),
    json!({"name": "Ada", "external_id": "crm-2", "created_at": "2026-01-01T00:00:00Z"}),
    &["created_at", "email", "external_id", "name", "status"],
)]
#[case::fields_of_the_profile(
    json!({"profile": {"phones": [{"number": "1"}], "title": "Dr", "language": "en"}}),
    json!({"profile": {"phones": [{"number": "2"}], "language": "en", "timezone": "UTC"}}),
    &["profile.phones", "profile.timezone", "profile.title"],
)]
#[case::order_of_a_list(
    json!({"profile": {"emails": [{"email": "a"}, {"email": "b"}]}}),
    json!({"profile": {"emails": [{"email": "b"}, {"email": "a"}]}}),
    &["profile.emails"],
)]
#[case::metadata_as_a_whole(
    json!({"profile": {"metadata": {"Ada's": 1, "b": 2}}}), json!({"profile": {"metadata": {"Ada's": 2}}}), &["profile.metadata"],
)]
#[case::fields_of_extra(
    json!({"extra": {"plan": {"Ada's": 1}, "same": 1, "gone": null}}),
    json!({"extra": {"plan": {"Ada's": 2}, "same": 1, "body.sent-By_2": 1}}),
    &["extra.body.sent-By_2", "extra.gone", "extra.plan"],
)]
#[case::sorted(
    json!({"name": "Ada", "extra": {"b": 1, "_a": 1, "B": 1}, "profile": {"title": "Dr"}, "email": "a"}),
    json!({}),
    &["email", "extra.B", "extra._a", "extra.b", "name", "profile.title"],
)]
#[case::numbers_by_value(
    json!({"extra": {"a": [{"n": number("1.50")}], "b": number("10")}}),
    json!({"extra": {"a": [{"n": number("15e-1")}], "b": number("1e1")}}),
    &[],
)]
#[case::other_numbers(
    json!({"extra": {"a": number("0.10000000000000000000000001")}}), json!({"extra": {"a": number("0.1")}}), &["extra.a"],
)]
#[case::number_and_text(json!({"extra": {"a": 1}}), json!({"extra": {"a": "1"}}), &["extra.a"])]
#[case::metadata_by_value(json!({"profile": {"metadata": {"n": number("1.50")}}}), json!({"profile": {"metadata": {"n": number("1.5")}}}), &[])]
#[case::null_and_nothing(json!({"extra": {"a": null}}), json!({"extra": {}}), &["extra.a"])]
fn changed_fields(#[case] one: Value, #[case] other: Value, #[case] expected: &[&str]) {
    assert_eq!(changed(&one, &other), expected);
}

/// A name that may be a person's data is not a path, whoever chose it.
#[rstest]
#[case::usual("plan", true)]
#[case::underscore("_plan", true)]
#[case::punctuation("data.plan-Of_2", true)]
#[case::longest(&"x".repeat(64), true)]
#[case::too_long(&"x".repeat(65), false)]
#[case::digit_first("49 171", false)]
#[case::only_digits("491715550000", false)]
#[case::hyphen_first("-a", false)]
#[case::dot_first(".a", false)]
#[case::email("ada@example.com", false)]
#[case::blank("Ada Lovelace", false)]
#[case::not_ascii("Zoë", false)]
#[case::empty("", false)]
#[case::private_to_the_parser(NUMBER, false)]
fn unusual_names_in_extra_are_not_named(#[case] name: &str, #[case] is_named: bool) {
    let other = json!({"name": "Ada", "profile": {"title": "Dr"}, "extra": {name: 1, "z": 1}});
    let unchanged = json!({"extra": {"z": 1}});
    let path = if is_named { format!("extra.{name}") } else { "extra".to_owned() };
    assert_eq!(changed(&unchanged, &other), [&path, "name", "profile.title"]);
    // It stands for the fields with usual names, too. A name that has not changed does not matter.
    let others = |value: u8| json!({"extra": {name: value, "a": value}});
    let both: BTreeSet<_> = if is_named { ["extra.a".to_owned(), path].into() } else { [path].into() };
    assert_eq!(changed(&others(1), &others(2)), both.into_iter().collect::<Vec<_>>());
    assert_eq!(changed(&json!({"extra": {name: 1, "b": 1}}), &json!({"extra": {name: 1, "b": 2}})), ["extra.b"]);
}

#[rstest]
#[case(100, true)]
#[case(101, false)]
fn many_names_in_extra_are_not_named(#[case] count: usize, #[case] are_named: bool) {
    let extra: Map<_, _> = (0..count).map(|number| (format!("a{number:03}"), json!(number))).collect();
    let names: Vec<_> = extra.keys().map(|name| format!("extra.{name}")).collect();
    let expected =
        if are_named { [names, vec!["name".to_owned()]].concat() } else { vec!["extra".to_owned(), "name".to_owned()] };
    assert_eq!(changed(&json!({}), &json!({"extra": extra, "name": "Ada"})), expected);
}

/// The parser would take such an object for a number.
#[rstest]
fn private_names_of_the_parser_are_names_like_others(
    #[values(NUMBER, "$serde_json::private::RawValue")] name: &str,
    #[values(json!("7"), json!("x"), json!(7), json!({"a": 1}))] value: Value,
) {
    let private = json!({ name: value });
    for (container, path) in [("extra", "extra.a"), ("profile", "profile.metadata")] {
        let field = path.rsplit('.').next().unwrap();
        let with = |value: &Value| json!({ container: { field: value } });
        assert_eq!(changed(&with(&private), &with(&json!({ name: "other" }))), [path]);
        assert_eq!(changed(&with(&private), &with(&json!(7))), [path]);
        assert_eq!(changed(&with(&private), &with(&private)), [] as [&str; 0]);
    }
    let Item::Customer(read) = customer(1, UPDATED, json!({"extra": &private, "profile": {"metadata": [&private]}}))
    else {
        panic!("a customer")
    };
    assert_eq!((Value::Object(read.extra), read.profile.metadata), (private.clone(), Some(json!([private]))));
}
