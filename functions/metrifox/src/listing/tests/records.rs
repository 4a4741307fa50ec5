use clientele_model::{
    Change, ChangeKind, Customer, CustomerKey, Id, Listed, RecordContext, SampleEvent, Untranslatable, Verb,
};
use rstest::rstest;
use serde_json::{Value, json};

use super::{LISTING, NOW, context};
use crate::{LIST_STAND_IN, sample};

fn read(entry: Value) -> Vec<Listed> {
    (LISTING.read_file_entry)(entry, &context())
}

fn read_one(entry: Value) -> Listed {
    let mut listed = read(entry);
    assert_eq!(listed.len(), 1);
    listed.remove(0)
}

fn record(fields: &Value) -> Value {
    let mut record = json!({ "id": "c_1", "updated_at": "2026-11-01T08:00:00Z", "primary_email": "a@example.com" });
    record.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    record
}

fn key(account: &str) -> CustomerKey {
    let [account, id] = [account, "c_1"].map(|id| Id::new(id.into()).unwrap());
    CustomerKey::new("metrifox", account, id).unwrap()
}

fn customer(listed: &Listed) -> (&CustomerKey, &Customer) {
    let Listed::Customer(event) = listed else { panic!("{listed:?}") };
    let Change::Snapshot(customer) = event.change() else { panic!("a deletion") };
    (event.key(), customer)
}

#[rstest]
#[case(json!({}), "t_1")]
#[case(json!({"tenant_id": null}), "t_1")]
#[case(json!({"tenant_id": "t_2"}), "t_2")]
fn accounts(#[case] fields: Value, #[case] account: &str) {
    let listed = read_one(record(&fields));
    assert_eq!(customer(&listed).0, &key(account));
}

#[test]
fn words_and_lists_of_the_api_are_understood() {
    let listed = read_one(record(&json!({
        "customer_type": "BUSINESS", "tax_status": "TAXABLE", "payment_terms": [{"type": "Custom", "value": "7"}],
        "full_name": "Ann Alder", "documents": {"a": 1}, "archived_at": null, "brand_new": 1, "otp": "924117",
    })));
    let customer = customer(&listed).1;
    assert_eq!(customer.profile.tax_status.as_deref(), Some("TAXABLE"));
    assert_eq!(json!(customer.profile.kind), "business");
    let extra = json!({"payment_terms": [{"type": "Custom", "value": "7"}], "brand_new": 1});
    assert_eq!(Value::Object(customer.extra.clone()), extra);
}

#[rstest]
#[case(json!("2026-11-02T08:00:00Z"), Some("2026-11-02T08:00:00Z"))]
#[case(json!("yesterday"), None)]
#[case(json!(true), None)]
fn archived_records_are_not_customers(#[case] archived_at: Value, #[case] deleted_at: Option<&str>) {
    let deleted_at = deleted_at.map(|time| time.parse().unwrap());
    let listed = read_one(record(&json!({ "archived_at": archived_at })));
    assert_eq!(listed, Listed::Deleted { key: key("t_1"), deleted_at });
}

#[rstest]
#[case(json!("text"), None, Untranslatable::Unreadable("a record"))]
#[case(json!({"updated_at": "2026-11-01T08:00:00Z"}), None, Untranslatable::Missing("customer.id"))]
#[case(record(&json!({"id": " "})), None, Untranslatable::Unreadable("customer.id"))]
#[case(record(&json!({"tenant_id": {"a": 1}})), Some("c_1"), Untranslatable::Unreadable("tenant_id"))]
#[case(record(&json!({"id": "x".repeat(2048)})), Some(&*"x".repeat(2048)), Untranslatable::KeyTooLong)]
#[case(json!({"id": 5, "email": "a@example.com"}), Some("5"), Untranslatable::PartialSnapshot("updated_at"))]
#[case(json!({"id": 5, "updated_at": null}), Some("5"), Untranslatable::PartialSnapshot("email_addresses"))]
#[case(record(&json!({"updated_at": null})), Some("c_1"), Untranslatable::Missing("updated_at"))]
#[case(record(&json!({"updated_at": 1})), Some("c_1"), Untranslatable::Unreadable("updated_at"))]
#[case(record(&json!({"updated_at": "1970-01-01T00:00:00Z"})), Some("c_1"), Untranslatable::Before2000("updated_at"))]
#[case(record(&json!({"updated_at": "2027-11-01T08:00:00Z"})), Some("c_1"), Untranslatable::AfterArrival("updated_at"))]
#[case(json!({"data": null}), None, Untranslatable::Missing("type"))]
#[case(json!({"type": "customer.merged", "data": {}}), None, Untranslatable::UnknownType)]
#[case(json!({"type": "customer.updated", "data": {"a": 1}}), None, Untranslatable::Missing("data.customer"))]
fn not_understood(#[case] entry: Value, #[case] customer_id: Option<&str>, #[case] reason: Untranslatable) {
    let customer_id = customer_id.map(|id| Id::new(id.into()).unwrap());
    assert_eq!(read_one(entry), Listed::Untranslatable { customer_id, reason });
}

#[test]
fn without_an_account_a_record_has_no_key() {
    let context = RecordContext { account: None, received_at: NOW };
    let listed = (LISTING.read_file_entry)(record(&json!({})), &context);
    let (customer_id, reason) = (Some(Id::new("c_1".into()).unwrap()), Untranslatable::Missing("tenant_id"));
    assert_eq!(listed, [Listed::Untranslatable { customer_id, reason }]);
}

fn event(change: ChangeKind) -> SampleEvent {
    let (customer_id, name) = ("c_1".to_owned(), "Ann Alder".to_owned());
    SampleEvent { customer_id, name, change, changed_at: NOW, number: 1 }
}

/// As the list returns it, and with its account as a file has it.
fn listed_record(event: &SampleEvent) -> Value {
    let mut record = (LIST_STAND_IN.record)(event);
    record["tenant_id"] = SampleEvent::ACCOUNT.into();
    record
}

/// A record, the body of a webhook, a list of records, and an answer of the API.
#[test]
fn entries_of_files() {
    let event = event(ChangeKind::Snapshot(Verb::Updated));
    let record = listed_record(&event);
    let expected = read_one(record.clone());
    assert_eq!(customer(&expected).0, &key(SampleEvent::ACCOUNT));
    assert_eq!(read_one(sample(&[event]).body), expected);
    let both = vec![expected.clone(), expected];
    assert_eq!(read(json!([record, record])), both);
    assert_eq!(read(json!({"statusCode": 200, "data": [record, record], "meta": {}})), both);
    assert_eq!(read_one(json!({"type": "invoice.created", "data": {"invoice": {}}})), Listed::Ignored);
}

#[test]
fn the_fields_around_a_record_in_a_webhook_are_kept() {
    let mut body = sample(&[event(ChangeKind::Snapshot(Verb::Created))]).body;
    body["sandbox"] = true.into();
    body["data"]["channel"] = "web".into();
    body["data"]["changes"] = json!({"otp": ["1", "2"]});
    let extra = customer(&read_one(body)).1.extra.clone();
    assert_eq!(Value::Object(extra), json!({"sandbox": true, "channel": "web"}));
}

#[test]
fn deletes_in_a_file_are_not_customers() {
    let event = event(ChangeKind::Deletion);
    let deleted = |deleted_at: Option<&str>| {
        let deleted_at = deleted_at.map(|time| time.parse().unwrap());
        Listed::Deleted { key: key(SampleEvent::ACCOUNT), deleted_at }
    };
    assert_eq!(read_one(listed_record(&event)), deleted(Some("2026-11-20T12:00:00Z")));
    assert_eq!(read_one(sample(&[event]).body), deleted(None));
}
