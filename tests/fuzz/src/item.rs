//! Checks the item of an event, and the cleanup message in it.

use clientele_aws::{from_attributes, to_attributes, write_attributes};
use clientele_model::{
    Change, CleanupMessage, CustomerEvent, CustomerItem, Item, Rank, SORT_KEY, Tombstone, parse_json,
};
use jiff::Timestamp;
use serde_json::{Map, Value};

pub(crate) fn check(event: &CustomerEvent, received_at: Timestamp) {
    let item = event.item(received_at);
    let text = serde_json::to_string(&item).unwrap();
    let rank: Rank = item.rank().parse().unwrap();
    assert_eq!(rank, event.rank());
    assert_eq!(rank.to_string(), item.rank());

    let key = event.key();
    let (pk, sk) = match &item {
        Item::Customer(item) => {
            assert!(matches!(event.change(), Change::Snapshot(_)));
            // Names that are private to the JSON parser can only be read with `parse_json`.
            if !text.contains("$serde_json::private::") {
                assert!(serde_json::from_str::<CustomerItem>(&text).unwrap() == **item, "decoded differently: {text}");
            }
            assert_eq!(item.updated_at, rank.version.to_string());
            for key in [&item.external_id, &item.email].into_iter().flatten() {
                assert!((1..=2048).contains(&key.len()), "not a key of an index: {key:?}");
            }
            (&item.pk, &item.sk)
        }
        Item::Tombstone(item) => {
            assert!(matches!(event.change(), Change::Deletion(_)));
            assert!(serde_json::from_str::<Tombstone>(&text).unwrap() == **item, "decoded differently: {text}");
            let cleanup = item.cleanup.as_ref().unwrap();
            assert!(cleanup.chars().all(is_accepted_by_sqs), "SQS rejects {cleanup}");
            let message: CleanupMessage = serde_json::from_str(cleanup).unwrap();
            assert_eq!((&message.cleanup_id, message.customer_id.as_str()), (&item.pk, key.customer_id()));
            (&item.pk, &item.sk)
        }
    };
    assert_eq!((pk, sk.as_str()), (&key.to_string(), SORT_KEY));
    assert!(pk.len() <= 2048, "not a key of the table: {pk}");
    let parts: Vec<_> = pk.split('#').map(|part| part.replace("%23", "#").replace("%25", "%")).collect();
    assert_eq!(parts, [key.provider(), key.account(), key.customer_id()]);

    let Some(Value::Object(fields)) = parse_json(text.as_bytes()) else { panic!("not an item: {text}") };
    assert!(fields.values().all(|value| can_store(value, 1)), "the table cannot store {text}");
    assert_eq!(from_attributes(to_attributes(&fields).unwrap()), fields);
    let mut json = vec![];
    write_attributes(&mut json, &fields).unwrap();
    let Some(Value::Object(typed)) = parse_json(&json) else { panic!("not JSON: {text}") };
    assert_eq!(typed.into_iter().map(|(name, value)| (name, without_type(value))).collect::<Map<_, _>>(), fields);
}

/// The value of an attribute in DynamoDB's JSON.
fn without_type(attribute: Value) -> Value {
    let Value::Object(attribute) = attribute else { panic!("not an object: {attribute}") };
    let mut attribute = attribute.into_iter();
    let value = match attribute.next().unwrap() {
        (kind, Value::String(digits)) if kind == "N" => Value::Number(digits.parse().unwrap()),
        (kind, Value::Bool(true)) if kind == "NULL" => Value::Null,
        (kind, Value::Array(elements)) if kind == "L" => elements.into_iter().map(without_type).collect(),
        (kind, Value::Object(fields)) if kind == "M" => {
            fields.into_iter().map(|(name, value)| (name, without_type(value))).collect()
        }
        (kind, value @ Value::String(_)) if kind == "S" => value,
        (kind, value @ Value::Bool(_)) if kind == "BOOL" => value,
        (kind, value) => panic!("{kind} {value}"),
    };
    assert_eq!(attribute.next(), None);
    value
}

/// Whether SQS accepts the character in a message.
pub(crate) fn is_accepted_by_sqs(character: char) -> bool {
    matches!(character, '\t' | '\n' | '\r' | ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..)
}

/// Whether `DynamoDB` can store the value, which is on this level of nesting.
fn can_store(value: &Value, level: usize) -> bool {
    match value {
        Value::Number(number) => {
            let digits: String =
                number.as_str().chars().take_while(|c| !"eE".contains(*c)).filter(char::is_ascii_digit).collect();
            let size = number.as_str().parse::<f64>().unwrap().abs();
            let significant = digits.trim_start_matches('0').trim_end_matches('0').len();
            significant == 0 || (significant <= 38 && (1e-130..=1e126).contains(&size))
        }
        Value::Array(elements) => level <= 32 && elements.iter().all(|value| can_store(value, level + 1)),
        Value::Object(fields) => {
            let can_store_field = |(name, value): (&String, _)| !name.is_empty() && can_store(value, level + 1);
            level <= 32 && fields.iter().all(can_store_field)
        }
        Value::Null | Value::Bool(_) | Value::String(_) => true,
    }
}
