//! Tests of reading files.

use clientele_model::{Id, Item, Listed, RecordContext, Untranslatable};
use jiff::Timestamp;
use rstest::rstest;
use serde_json::{Value, json};

use super::LISTING;

const READ_AT: Timestamp = Timestamp::constant(1_795_176_000, 0);

fn read(entry: &Value, account: Option<&str>) -> Vec<Listed> {
    let account = account.map(|account| Id::new(account.to_owned()).unwrap());
    (LISTING.read_file_entry)(entry.clone(), &RecordContext { account, received_at: READ_AT })
}

/// A record with everything that is required, changed as given. `null` removes a field.
fn record(changes: &Value) -> Value {
    let mut record = json!({
        "id": "CA1", "client": {"id": "CL1"}, "email": "mary@example.co.uk", "first_name": "Mary", "last_name": null,
        "billing_address_line_1": null, "status": "active", "edited_at": "2026-11-12T09:00:00Z",
    });
    for (name, value) in changes.as_object().unwrap() {
        match value {
            Value::Null => record.as_object_mut().unwrap().remove(name),
            value => record.as_object_mut().unwrap().insert(name.clone(), value.clone()),
        };
    }
    record
}

fn batch(client: &Value, events: &[Value]) -> Value {
    json!({"id": "OM1", "idempotency_key": "k", "sent_at": "2026-11-12T09:00:05Z", "client": client, "events": events})
}

fn item(listed: &Listed) -> Value {
    let Listed::Customer(event) = listed else { panic!("{listed:?}") };
    assert_eq!((event.id(), event.kind(), event.raised_at()), ("", "import", None));
    match event.item(READ_AT) {
        Item::Customer(item) => serde_json::to_value(item).unwrap(),
        Item::Tombstone(_) => panic!("a tombstone"),
    }
}

fn keys(listed: &[Listed]) -> Vec<Value> {
    listed.iter().map(|listed| item(listed)["pk"].clone()).collect()
}

#[test]
fn a_record_becomes_a_customer_of_the_version_of_its_last_change() {
    let [listed] = &read(&record(&json!({"tier": 3})), None)[..] else { panic!() };
    let expected = json!({
        "pk": "smarterpay#CL1#CA1", "sk": "customer", "provider": "smarterpay", "account": "CL1", "customer_id": "CA1",
        "status": "active", "name": "Mary", "email": "mary@example.co.uk", "updated_at": "2026-11-12T09:00:00Z",
        "profile": {"first_name": "Mary", "emails": [{"email": "mary@example.co.uk", "primary": true}]},
        "extra": {"tier": 3}, "rank": "0.8006601089542400.0.8000000000000000.00000000.",
        "last_event": {"type": "import", "received_at": "2026-11-20T12:00:00Z"}, "schema": 1,
    });
    assert_eq!(item(listed), expected);
}

/// The event of a webhook leads to the same item as its record.
#[test]
fn of_an_event_only_the_record_counts() {
    let event = json!({"event_type": "customer_account.update", "event_id": "HI1", "event_source": "Api"});
    let from_event = read(&record(&event), None);
    assert_eq!(from_event, read(&record(&json!({})), None));
    assert_eq!(read(&batch(&json!({"id": "CL1"}), &[record(&event)]), None), from_event);
}

/// Fields of the batch stay with each of its records.
#[test]
fn a_batch_lists_its_records() {
    let (a, b) = (record(&json!({})), record(&json!({"id": "CA2", "status": "inactive"})));
    let mut body = batch(&json!({"id": "CL1"}), &[json!({"event_type": "mandate.update"}), Value::Null, a, b]);
    body["environment"] = "live".into();
    let listed = read(&body, None);
    assert_eq!(listed[..2], [Listed::Ignored, Listed::Ignored]);
    assert_eq!(keys(&listed[2..]), ["smarterpay#CL1#CA1", "smarterpay#CL1#CA2"]);
    assert_eq!(item(&listed[2])["extra"], json!({"environment": "live"}));
    assert_eq!(item(&listed[3])["status"], "inactive");
}

/// A record that names no account belongs to that of its batch, else to the one that the operator named.
#[rstest]
#[case(json!({"id": "CL1"}), json!({"id": "CL2"}), Some("CL3"), Ok("smarterpay#CL1#CA1"))]
#[case(Value::Null, json!({"id": "CL2"}), Some("CL3"), Ok("smarterpay#CL2#CA1"))]
#[case(json!({"id": null}), json!({"id": 2}), Some("CL3"), Ok("smarterpay#2#CA1"))]
#[case(Value::Null, Value::Null, Some("CL3"), Ok("smarterpay#CL3#CA1"))]
#[case(Value::Null, Value::Null, None, Err(Untranslatable::Missing("client.id")))]
#[case(json!({"id": " "}), json!({"id": "CL2"}), Some("CL3"), Err(Untranslatable::Unreadable("client.id")))]
#[case(json!("CL1"), json!({"id": "CL2"}), Some("CL3"), Err(Untranslatable::Unreadable("client")))]
#[case(Value::Null, json!({"id": [1]}), Some("CL3"), Err(Untranslatable::Unreadable("client.id")))]
fn accounts(
    #[case] own: Value,
    #[case] of_batch: Value,
    #[case] of_operator: Option<&str>,
    #[case] expected: Result<&str, Untranslatable>,
) {
    let listed = read(&batch(&of_batch, &[record(&json!({"client": own}))]), of_operator);
    match expected {
        Ok(key) => assert_eq!(keys(&listed), [key]),
        Err(reason) => assert_eq!(listed, [untranslatable(Some("CA1"), reason)]),
    }
}

/// Otherwise the table could keep the older of the two.
#[test]
fn of_two_records_of_one_version_in_a_batch_the_last_counts() {
    let names = |name: &str| record(&json!({"first_name": name}));
    let newer = record(&json!({"edited_at": "2026-11-12T09:00:01Z", "first_name": "D"}));
    let other = record(&json!({"id": "CA2"}));
    let listed = read(&batch(&json!(null), &[names("A"), other, newer, names("B"), names("C")]), None);
    let shown = listed.iter().map(item).map(|item| json!([item["customer_id"], item["name"]]));
    assert_eq!(shown.collect::<Vec<_>>(), [json!(["CA2", "Mary"]), json!(["CA1", "D"]), json!(["CA1", "C"])]);
}

fn untranslatable(id: Option<&str>, reason: Untranslatable) -> Listed {
    Listed::Untranslatable { customer_id: id.map(|id| Id::new(id.into()).unwrap()), reason }
}

#[rstest]
#[case(json!({"id": null}), untranslatable(None, Untranslatable::Missing("customer.id")))]
#[case(json!({"id": []}), untranslatable(None, Untranslatable::Missing("customer.id")))]
#[case(json!({"id": true}), untranslatable(None, Untranslatable::Unreadable("customer.id")))]
#[case(json!({"email": null}), untranslatable(Some("CA1"), Untranslatable::PartialSnapshot("email")))]
#[case(json!({"edited_at": null}), untranslatable(Some("CA1"), Untranslatable::PartialSnapshot("edited_at")))]
#[case(json!({"edited_at": ""}), untranslatable(Some("CA1"), Untranslatable::Missing("edited_at")))]
#[case(json!({"edited_at": 5}), untranslatable(Some("CA1"), Untranslatable::Unreadable("edited_at")))]
#[case(json!({"edited_at": "2026-12-01T00:00:00Z"}), untranslatable(Some("CA1"), Untranslatable::AfterArrival("edited_at")))]
#[case(json!({"edited_at": "1999-12-31T23:59:59Z"}), untranslatable(Some("CA1"), Untranslatable::Before2000("edited_at")))]
#[case(json!({"event_type": 7}), untranslatable(None, Untranslatable::Unreadable("event_type")))]
#[case(json!({"event_type": "customer_account.merge"}), untranslatable(None, Untranslatable::UnknownType))]
#[case(json!({"event_type": "bank_account.create"}), Listed::Ignored)]
#[case(json!({"resource_type": "CustomerAccount"}), Listed::Ignored)]
fn records_that_are_no_customers(#[case] changes: Value, #[case] expected: Listed) {
    assert_eq!(read(&record(&changes), None), [expected]);
}

#[rstest]
#[case(json!([]), Untranslatable::Unreadable("the record"))]
#[case(json!("CA1"), Untranslatable::Unreadable("the record"))]
#[case(json!({}), Untranslatable::Missing("customer.id"))]
#[case(json!({"events": "none"}), Untranslatable::Unreadable("events"))]
#[case(json!({"events": []}), Untranslatable::Missing("idempotency_key"))]
#[case(json!({"events": [3]}), Untranslatable::Unreadable("the record"))]
fn entries_that_are_no_records(#[case] entry: Value, #[case] reason: Untranslatable) {
    assert_eq!(read(&entry, None), [untranslatable(None, reason)]);
}
