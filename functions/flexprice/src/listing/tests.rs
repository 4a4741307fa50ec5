//! Tests of reading records, files and looked-up customers.

use std::time::Duration;

use clientele_model::{
    ApiAnswer, ApiMethod, ApiRequest, ChangeKind, CustomerEvent, CustomerKey, Delivery, Id, Item, Listed, Lookup,
    RecordContext, Request, SampleEvent, Scheme, Secrets, Time, TokenPlace, Translated, Untranslatable, Verb, verify,
};
use jiff::Timestamp;
use rstest::rstest;
use serde_json::{Value, json};

use super::LISTING;
use crate::{LIST_STAND_IN, PROVIDER, sample};

const READ_AT: Timestamp = Timestamp::constant(1_795_176_000, 0);

fn read(entry: &Value) -> Vec<Listed> {
    (LISTING.read_file_entry)(entry.clone(), &RecordContext { account: None, received_at: READ_AT })
}

/// A record as the API lists it, changed as given. `null` removes a field.
pub(super) fn record(changes: &Value) -> Value {
    let mut record = json!({
        "id": "cust_1", "external_id": "crm-7", "name": "Hopper Ltd", "email": "", "contact": "+44 20 7946 0000",
        "contact_persons": [{"first_name": "Grace", "email": "grace@hopper.example"}], "address_line1": "3 Navy Road",
        "address_line2": "", "address_city": "", "address_state": "", "address_postal_code": "", "address_country": "GB",
        "timezone": "Europe/London", "tax_treatment": "taxable", "billing_currency": "gbp", "metadata": null,
        "environment_id": "env_1", "tenant_id": "ten_1", "status": "published", "integrations": [{"id": "eim_1"}],
        "created_at": "2026-10-01T08:00:00.123456Z", "updated_at": "2026-11-02T11:00:00.5Z", "created_by": "user_1",
        "updated_by": "",
    });
    for (name, value) in changes.as_object().unwrap() {
        match value {
            Value::Null => record.as_object_mut().unwrap().remove(name),
            value => record.as_object_mut().unwrap().insert(name.clone(), value.clone()),
        };
    }
    record
}

fn body(kind: &str, changes: &Value) -> Value {
    json!({"event_type": kind, "customer": record(changes)})
}

fn item(event: &CustomerEvent) -> Value {
    match event.item(READ_AT) {
        Item::Customer(item) => serde_json::to_value(item).unwrap(),
        Item::Tombstone(item) => serde_json::to_value(item).unwrap(),
    }
}

fn only_item(listed: &[Listed]) -> Value {
    let [Listed::Customer(event)] = listed else { panic!("{listed:?}") };
    item(event)
}

fn key() -> CustomerKey {
    let id = |id: &str| Id::new(id.to_owned()).unwrap();
    CustomerKey::new("flexprice", id("env_1"), id("cust_1")).unwrap()
}

fn deleted(deleted_at: Option<&str>) -> Listed {
    Listed::Deleted { key: key(), deleted_at: deleted_at.map(|time| time.parse().unwrap()) }
}

fn untranslatable(id: Option<&str>, reason: Untranslatable) -> Listed {
    Listed::Untranslatable { customer_id: id.map(|id| Id::new(id.into()).unwrap()), reason }
}

#[test]
fn a_record_becomes_a_customer_without_the_fields_of_the_list_only() {
    let expected = json!({
        "pk": "flexprice#env_1#cust_1", "sk": "customer", "provider": "flexprice", "account": "env_1",
        "customer_id": "cust_1", "external_id": "crm-7", "status": "active", "name": "Hopper Ltd",
        "updated_at": "2026-11-02T11:00:00.500Z", "extra": {"parent": "cust_0"},
        "profile": {"display_name": "Hopper Ltd", "timezone": "Europe/London",
            "billing_address": {"line1": "3 Navy Road", "country": "GB"}},
        "rank": "0.80065f490c194d20.0.8000000000000000.00000000.",
        "last_event": {"type": "import", "received_at": "2026-11-20T12:00:00Z"}, "schema": 1,
    });
    assert_eq!(only_item(&read(&record(&json!({"parent": "cust_0"})))), expected);
}

/// Whatever the API lists in addition to a webhook is on the list of such fields.
#[rstest]
fn a_webhook_and_the_list_lead_to_the_same_item(
    #[values(ChangeKind::Snapshot(Verb::Created), ChangeKind::Snapshot(Verb::Updated))] change: ChangeKind,
) {
    let changed_at = "2026-11-19T10:20:30.4Z".parse().unwrap();
    let event = SampleEvent { customer_id: "c7".into(), name: "Ada".into(), change, changed_at, number: 7 };
    let from_webhook = translated(&sample(std::slice::from_ref(&event)).body);
    let from_list = only_item(&read(&(LIST_STAND_IN.record)(&event)));
    for (name, value) in from_webhook.as_object().unwrap() {
        let may_differ = ["rank", "last_event", "updated_at"].contains(&name.as_str());
        assert!(may_differ || from_list[name] == *value, "{name}: {value} and {}", from_list[name]);
    }
    assert_eq!(from_webhook.as_object().unwrap().len(), from_list.as_object().unwrap().len());
}

/// The item that a webhook leads to.
fn translated(body: &Value) -> Value {
    let request = Request { token: Some("token".into()), body: Some(body.to_string()), ..Request::default() };
    let scheme = Scheme::Token(TokenPlace::Path);
    let secrets = Secrets::parse("token", &scheme).unwrap();
    let delivery = Delivery::accept(request, usize::MAX).unwrap();
    let verified = verify(delivery, &scheme, &secrets, READ_AT, Duration::ZERO).unwrap();
    match &(PROVIDER.translate)(&verified)[..] {
        [Ok(Translated::Event(event))] => item(event),
        other => panic!("{other:?}"),
    }
}

/// The times in all forms in which Go writes them.
#[rstest]
#[case("2026-11-02T11:00:00Z", "2026-11-02T11:00:00Z")]
#[case("2026-11-02T11:00:00.5Z", "2026-11-02T11:00:00.500Z")]
#[case("2026-11-02T11:00:00.12345Z", "2026-11-02T11:00:00.123450Z")]
#[case("2026-11-02T16:30:00.000001+05:30", "2026-11-02T11:00:00.000001Z")]
#[case("2026-11-02T03:00:00-08:00", "2026-11-02T11:00:00Z")]
fn the_version_is_the_time_of_the_last_change(#[case] updated_at: &str, #[case] version: &str) {
    assert_eq!(only_item(&read(&record(&json!({"updated_at": updated_at}))))["updated_at"], version);
}

#[rstest]
#[case(json!({"id": null}), untranslatable(None, Untranslatable::Missing("customer.id")))]
#[case(json!({"id": " "}), untranslatable(None, Untranslatable::Unreadable("customer.id")))]
#[case(json!({"id": {}}), untranslatable(None, Untranslatable::Missing("customer.id")))]
#[case(json!({"environment_id": null}), untranslatable(Some("cust_1"), Untranslatable::Missing("environment_id")))]
#[case(json!({"environment_id": true}), untranslatable(Some("cust_1"), Untranslatable::Unreadable("environment_id")))]
#[case(json!({"name": null}), untranslatable(Some("cust_1"), Untranslatable::PartialSnapshot("name")))]
#[case(json!({"updated_at": null}), untranslatable(Some("cust_1"), Untranslatable::Missing("updated_at")))]
#[case(json!({"updated_at": "0001-01-01T00:00:00Z"}), untranslatable(Some("cust_1"), Untranslatable::Missing("updated_at")))]
#[case(json!({"updated_at": 1_795_176_000}), untranslatable(Some("cust_1"), Untranslatable::Unreadable("updated_at")))]
#[case(json!({"updated_at": "2026-11-02 11:00"}), untranslatable(Some("cust_1"), Untranslatable::Unreadable("updated_at")))]
#[case(json!({"updated_at": "1999-12-31T23:59:59Z"}), untranslatable(Some("cust_1"), Untranslatable::Before2000("updated_at")))]
#[case(json!({"updated_at": "2026-11-21T12:00:01Z"}), untranslatable(Some("cust_1"), Untranslatable::AfterArrival("updated_at")))]
#[case(json!({"": 1}), untranslatable(Some("cust_1"), Untranslatable::EmptyName))]
#[case(json!({"status": "deleted"}), untranslatable(Some("cust_1"), Untranslatable::Unreadable("customer.status")))]
#[case(json!({"status": "archived"}), deleted(Some("2026-11-02T11:00:00.5Z")))]
#[case(json!({"status": "archived", "updated_at": null, "name": null}), deleted(None))]
fn records_that_are_no_customers(#[case] changes: Value, #[case] expected: Listed) {
    let (record, expected) = (record(&changes), [expected]);
    assert_eq!(read(&record), expected);
    assert_eq!(read(&json!({"items": [&record]})), expected);
    assert_eq!(read(&json!({"event_type": "customer.updated", "customer": record})), expected);
}

/// A status without a documented meaning stays in `extra`, as with webhooks.
#[rstest]
#[case(json!(null), json!({}))]
#[case(json!("published"), json!({}))]
#[case(json!("paused"), json!({"status": "paused"}))]
#[case(json!(3), json!({"status": 3}))]
fn customers_of_other_statuses_are_active(#[case] status: Value, #[case] extra: Value) {
    let item = only_item(&read(&record(&json!({"status": status}))));
    assert_eq!((&item["status"], &item["extra"]), (&json!("active"), &extra));
}

/// A body is read as the record in it. All of its fields are kept, as when the webhook arrives.
#[test]
fn the_body_of_a_webhook_is_read_as_its_record() {
    let item = only_item(&read(&body("customer.created", &json!({"api_version": null}))));
    assert_eq!(item["created_at"], "2026-10-01T08:00:00.123456Z");
    assert_eq!(item["last_event"]["type"], "import");
    let mut with_more = body("customer.updated", &json!({}));
    with_more["api_version"] = 2.into();
    assert_eq!(only_item(&read(&with_more))["extra"]["api_version"], 2);
}

#[rstest]
#[case(body("customer.deleted", &json!({})), deleted(Some("2026-11-02T11:00:00.5Z")))]
#[case(json!({"event_type": "customer.deleted", "customer": {"id": "cust_1", "environment_id": "env_1"}}), deleted(None))]
#[case(body("customer.deleted", &json!({"id": null})), untranslatable(None, Untranslatable::Missing("customer.id")))]
#[case(body("customer.merged", &json!({})), untranslatable(None, Untranslatable::UnknownType))]
#[case(body("invoice.created", &json!({})), Listed::Ignored)]
#[case(json!({"event_type": 1, "customer": {}}), untranslatable(None, Untranslatable::Unreadable("event_type")))]
#[case(json!({"event_type": "customer.updated"}), untranslatable(None, Untranslatable::Missing("customer")))]
#[case(json!({"event_type": "customer.updated", "customer": []}), untranslatable(None, Untranslatable::Missing("customer")))]
#[case(json!({"event_type": "customer.updated", "customer": "c"}), untranslatable(None, Untranslatable::Unreadable("customer")))]
#[case(json!({"items": {}}), untranslatable(None, Untranslatable::Unreadable("items")))]
#[case(json!({"items": [1]}), untranslatable(None, Untranslatable::Unreadable("the record")))]
#[case(json!([]), untranslatable(None, Untranslatable::Unreadable("the record")))]
#[case(json!(null), untranslatable(None, Untranslatable::Unreadable("the record")))]
fn entries_of_files(#[case] entry: Value, #[case] expected: Listed) {
    assert_eq!(read(&entry), [expected]);
}

/// Today's webhooks do not say when the record changed.
#[test]
fn a_body_without_a_version_is_reported() {
    let changed_at = "2026-11-19T10:20:30.4Z".parse().unwrap();
    let change = ChangeKind::Snapshot(Verb::Updated);
    let event = SampleEvent { customer_id: "c7".into(), name: "Ada".into(), change, changed_at, number: 7 };
    let expected = untranslatable(Some("c7"), Untranslatable::Missing("updated_at"));
    assert_eq!(read(&sample(&[event]).body), [expected]);
}

#[test]
fn a_whole_answer_lists_its_records_in_their_order() {
    let (first, second) = (record(&json!({})), record(&json!({"id": "cust_2"})));
    let answer = json!({"items": [first, second], "pagination": {"total": 2, "limit": 50, "offset": 50}});
    let listed = read(&answer);
    let keys = listed.iter().map(|listed| match listed {
        Listed::Customer(event) => event.key().customer_id(),
        other => panic!("{other:?}"),
    });
    assert_eq!(keys.collect::<Vec<_>>(), ["cust_1", "cust_2"]);
    assert_eq!(read(&json!({"items": []})), []);
}

#[rstest]
#[case("cust_01KA9E", "/v1/customers/cust_01KA9E")]
#[case("a/../b?c=d#e%", "/v1/customers/a%2F%2E%2E%2Fb%3Fc%3Dd%23e%25")]
#[case("é ", "/v1/customers/%C3%A9%20")]
fn one_customer_is_looked_up_in_its_environment(#[case] customer_id: &str, #[case] path: &str) {
    let id = |id: &str| Id::new(id.to_owned()).unwrap();
    let looked_up = CustomerKey::new("flexprice", id("env_1"), id(customer_id)).unwrap();
    let expected = ApiRequest {
        method: ApiMethod::Get,
        path: path.to_owned(),
        headers: vec![("X-Environment-ID", "env_1".to_owned())],
        body: None,
    };
    assert_eq!((LISTING.api.as_ref().unwrap().lookup)(&looked_up), expected);
}

/// An error, another customer or another environment proves nothing: nobody may be erased because of it.
#[rstest]
#[case(200, record(&json!({})), Lookup::Exists)]
#[case(200, record(&json!({"status": "archived"})), Lookup::Deleted(Some(time("2026-11-02T11:00:00.5Z"))))]
#[case(200, record(&json!({"status": "archived", "updated_at": "0001-01-01T00:00:00Z"})), Lookup::Deleted(None))]
#[case(200, record(&json!({"status": "deleted"})), Lookup::Unknown("the customer has an undocumented status"))]
#[case(200, record(&json!({"status": null})), Lookup::Unknown("the customer has an undocumented status"))]
#[case(200, record(&json!({"status": "archived", "id": "cust_2"})), Lookup::Unknown(ANOTHER))]
#[case(200, record(&json!({"status": "archived", "id": null})), Lookup::Unknown(ANOTHER))]
#[case(200, record(&json!({"status": "archived", "environment_id": "env_2"})), Lookup::Unknown(ANOTHER))]
#[case(200, record(&json!({"status": "archived", "environment_id": null})), Lookup::Unknown(ANOTHER))]
#[case(200, json!([]), Lookup::Unknown("the answer is not a customer"))]
#[case(404, json!({"code": "not_found", "http_status_code": 404}), Lookup::Unknown(NOT_FOUND))]
#[case(404, record(&json!({"status": "archived"})), Lookup::Unknown(NOT_FOUND))]
#[case(403, json!({"error": "Access denied"}), Lookup::Unknown("the API returned an error"))]
#[case(500, record(&json!({"status": "archived"})), Lookup::Unknown("the API returned an error"))]
#[case(302, json!(null), Lookup::Unknown("the API returned an error"))]
fn only_an_archived_record_is_a_verified_delete(#[case] status: u16, #[case] body: Value, #[case] expected: Lookup) {
    let answer = ApiAnswer { status, date: None, retry_after: None, body: body.to_string().into_bytes() };
    assert_eq!((LISTING.api.as_ref().unwrap().read_lookup)(&key(), &answer), expected);
}

const ANOTHER: &str = "the answer is about another customer or environment";
const NOT_FOUND: &str = "the API does not find the customer, which a wrong environment can also cause";

fn time(text: &str) -> Time {
    text.parse().unwrap()
}
