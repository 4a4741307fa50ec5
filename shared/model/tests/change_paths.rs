//! The paths that an update names are all that has changed: a consumer that takes only those over has the whole customer.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs, reason = "tests")]

use clientele_model::{ChangeEvent, FeedContent, FeedSettings, Item, ItemWrite, parse_json};
use jiff::Timestamp;
use proptest::prelude::*;
use serde_json::{Map, Value, json};

const NUMBER: &str = "$serde_json::private::Number";
/// Attributes that every event replaces.
const OF_EVERY_EVENT: [&str; 4] = ["rank", "last_event", "updated_at", "schema"];
const NAMES: [&str; 9] =
    ["plan", "body.plan", "_seats", "ada@example.com", "Ada Lovelace", NUMBER, "$", "profile.title", "name"];

/// What happens to an item.
#[derive(Clone, Debug)]
enum Write {
    /// A customer: the attributes that are not those of every event, and whether a list was read.
    Customer(Map<String, Value>, bool),
    Tombstone,
    /// The cleanup message of a tombstone is removed, or the same customer is written again.
    SameRank,
    Removed,
}

/// Some are equal to each other, or are numbers that are written in another way.
fn value() -> impl Strategy<Value = Value> {
    let texts = [
        "null",
        "true",
        "1",
        "1.0",
        "10e-1",
        "1.50",
        "15e-1",
        "2",
        r#""1""#,
        r#""Ada""#,
        "[]",
        "{}",
        "[1,1.50]",
        "[1.0,1.5]",
        r#"{"Ada's":1.50}"#,
        r#"{"Ada's":1.5}"#,
        r#"{"$serde_json::private::Number":"7"}"#,
        "7",
        r#"{"$serde_json::private::Number":"x","a":1}"#,
    ];
    prop::sample::select(texts.to_vec()).prop_map(|text| parse_json(text.as_bytes()).unwrap())
}

/// Each attribute is there or not.
fn some_of(values: &Value) -> impl Strategy<Value = Map<String, Value>> + use<> {
    let values: Vec<_> = values.as_object().unwrap().clone().into_iter().collect();
    prop::sample::subsequence(values.clone(), 0..=values.len()).prop_map(|some| some.into_iter().collect())
}

fn extra() -> impl Strategy<Value = Map<String, Value>> {
    let many = (90..130usize, value()).prop_map(|(count, value)| {
        (0..count).map(|number| (format!("a{number}"), value.clone())).collect::<Map<_, _>>()
    });
    let few = prop::collection::btree_map(prop::sample::select(&NAMES[..]), value(), 0..5);
    let few = few.prop_map(|fields| fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect());
    prop_oneof![1 => many, 8 => few]
}

fn profile() -> impl Strategy<Value = Map<String, Value>> {
    let emails = json!([{"email": "a", "primary": true}, {"email": "b", "verified_at": "2026-01-01T00:00:00Z"}]);
    let address = json!({"city": "Turin"});
    let one = some_of(&json!({"title": "Dr", "emails": emails, "billing_address": address, "kind": "individual"}));
    let other = some_of(&json!({"title": "Lady", "emails": [{"email": "a"}], "language": "en", "kind": "business"}));
    (prop_oneof![one, other], prop::option::of(value())).prop_map(|(mut profile, metadata)| {
        profile.extend(metadata.map(|metadata| ("metadata".to_owned(), metadata)));
        profile
    })
}

fn write() -> impl Strategy<Value = Write> {
    let one = json!({"external_id": "1", "name": "Ada", "email": "a", "created_at": "2026-01-01T00:00:00Z"});
    let other = json!({"external_id": "2", "name": "Eve", "email": "a", "status": "inactive"});
    let attributes = prop_oneof![some_of(&one), some_of(&other)];
    let customer =
        (attributes, profile(), extra(), any::<bool>()).prop_map(|(mut attributes, profile, extra, is_listed)| {
            attributes.insert("profile".to_owned(), profile.into());
            attributes.insert("extra".to_owned(), extra.into());
            attributes.entry("status").or_insert(json!("active"));
            Write::Customer(attributes, is_listed)
        });
    prop_oneof![12 => customer, 1 => Just(Write::Tombstone), 1 => Just(Write::SameRank), 1 => Just(Write::Removed)]
}

/// The item after the write of that number.
fn after(write: &Write, number: usize, old: Option<&Value>) -> Option<Value> {
    let rank = |erased: u8, verb: u8| format!("{erased}.{number:016x}.{verb}.8000000000000000.00000000.e{number}");
    let mut item = json!({
        "pk": "acme#w_1#c_1", "sk": "customer", "provider": "acme", "account": "w_1", "customer_id": "c_1", "schema": 1,
        "last_event": {"id": format!("e{number}"), "type": "k", "received_at": "2026-02-09T08:42:08Z"},
    });
    let fields = item.as_object_mut().unwrap();
    match write {
        Write::SameRank => return old.cloned(),
        Write::Removed => return None,
        // No event replaces a tombstone.
        Write::Customer(..) if old.is_some_and(|old| old["status"] == "deleted") => return old.cloned(),
        Write::Customer(attributes, is_listed) => {
            fields.insert("rank".to_owned(), rank(0, if *is_listed { 0 } else { 2 }).into());
            fields.insert("updated_at".to_owned(), format!("2026-02-09T08:42:{number:02}Z").into());
            fields.extend(attributes.clone());
        }
        Write::Tombstone => {
            fields.insert("rank".to_owned(), rank(1, 2).into());
            fields.insert("deleted_at".to_owned(), json!("2026-02-09T08:42:08Z"));
            fields.insert("status".to_owned(), json!("deleted"));
        }
    }
    Some(item)
}

/// The `data` of the event about a write.
fn event_data(old: Option<&Value>, new: Option<&Value>) -> Option<Value> {
    let item = |item: &Value| Item::try_from(item.as_object().unwrap().clone()).unwrap();
    let write = ItemWrite { id: "1".to_owned(), at: Timestamp::UNIX_EPOCH, old: old.map(item), new: new.map(item) };
    let settings = FeedSettings { source: "/clientele/s".to_owned(), content: FeedContent::Full };
    let event = ChangeEvent::of_write(&write, &settings)?;
    let mut detail = parse_json(event.detail.as_bytes()).unwrap();
    let mut data = detail["data"].take();
    data["type"] = detail["type"].take();
    Some(data)
}

/// A copy of the customer to which only the changed fields of updates are applied.
fn apply(copy: &mut Option<Value>, data: &Value) {
    match (data["type"].as_str().unwrap(), copy) {
        ("customer.created" | "customer.snapshot", copy) => *copy = Some(data["customer"].clone()),
        ("customer.updated", Some(copy)) => {
            let changed = data["changed"].as_array().into_iter().flatten().map(|path| path.as_str().unwrap());
            changed.chain(OF_EVERY_EVENT).for_each(|path| take_over(copy, &data["customer"], path));
        }
        ("customer.deleted", copy) => *copy = Some(json!({"status": data["status"], "rank": data["rank"]})),
        ("customer.removed", copy) => *copy = None,
        (kind, _) => panic!("{kind} without a copy"),
    }
}

fn take_over(copy: &mut Value, from: &Value, path: &str) {
    let (parts, name) = match path.split_once('.') {
        Some((container, name)) => ((&mut copy[container], &from[container]), name),
        None => ((copy, from), path),
    };
    let fields = parts.0.as_object_mut().unwrap();
    match parts.1.get(name) {
        Some(value) => drop(fields.insert(name.to_owned(), value.clone())),
        None => drop(fields.remove(name)),
    }
}

/// The same value, with every number in the same form.
fn normalized(value: &Value) -> Value {
    match value {
        Value::Number(number) => json!(number.as_f64().unwrap()),
        Value::Array(elements) => elements.iter().map(normalized).collect(),
        Value::Object(fields) => fields.iter().map(|(name, value)| (name.clone(), normalized(value))).collect(),
        other => other.clone(),
    }
}

proptest! {
    #[test]
    fn changed_paths_rebuild_the_item(writes in prop::collection::vec(write(), 1..12)) {
        let (mut item, mut copy): (Option<Value>, Option<Value>) = (None, None);
        for (number, write) in writes.iter().enumerate() {
            let new = after(write, number, item.as_ref());
            let data = event_data(item.as_ref(), new.as_ref());
            let is_changed = item.as_ref().map(|item| &item["rank"]) != new.as_ref().map(|item| &item["rank"]);
            prop_assert_eq!(data.is_some(), is_changed);
            item = new;
            if let Some(data) = data {
                apply(&mut copy, &data);
            }
            let expected = item.as_ref().map(|item| match item["status"].as_str() {
                Some("deleted") => json!({"status": "deleted", "rank": item["rank"]}),
                _ => normalized(item),
            });
            prop_assert_eq!(copy.as_ref().map(normalized), expected);
        }
    }
}
