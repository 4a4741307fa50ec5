use std::fs;
use std::path::Path;

use clientele_model::{Change, ChangeKind, Customer, CustomerEvent, Id, SampleEvent, Time, Verb};
use jiff::Timestamp;
use rstest::rstest;

use super::*;
use crate::list_stand_in::{LIST_STAND_IN, node};
use crate::sample::sample;

fn id(text: &str) -> Id {
    Id::new(text.into()).unwrap()
}

fn context(account: Option<&str>) -> RecordContext {
    RecordContext { account: account.map(id), received_at: "2026-11-20T12:00:00Z".parse().unwrap() }
}

fn read(entry: Value, account: Option<&str>) -> Vec<Listed> {
    (LISTING.read_file_entry)(entry, &context(account))
}

fn read_one(entry: Value, account: Option<&str>) -> Listed {
    let [listed] = read(entry, account).try_into().unwrap();
    listed
}

fn sample_event(change: ChangeKind) -> SampleEvent {
    let changed_at: Timestamp = "2026-11-19T08:30:00.125Z".parse().unwrap();
    SampleEvent { customer_id: "c_1".into(), name: "Ada".into(), change, changed_at, number: 1 }
}

fn updated() -> SampleEvent {
    sample_event(ChangeKind::Snapshot(Verb::Updated))
}

fn customer(event: &CustomerEvent) -> &Customer {
    let Change::Snapshot(customer) = event.change() else { panic!("a delete") };
    customer
}

#[test]
fn a_sample_is_the_same_in_a_list_and_in_a_webhook() {
    let from_list = read_one((LIST_STAND_IN.record)(&updated()), Some(SampleEvent::ACCOUNT));
    assert!(matches!(from_list, Listed::Customer(_)), "{from_list:?}");
    assert_eq!(from_list, read_one(sample(&[updated()]).body, None));
}

/// Every customer of the event files, written as the API would return it, leads to the customer of the webhook. Only the
/// webhook has fields around its customer.
#[test]
fn customers_of_the_event_files_are_the_same_in_a_list_and_in_a_webhook() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../events/plain");
    let mut compared = 0;
    for file in fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()) {
        let event: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
        let body = event["body"].as_str().and_then(|body| serde_json::from_str::<Value>(body).ok()).unwrap_or_default();
        let Listed::Customer(from_webhook) = read_one(body.clone(), None) else { continue };
        let listed = read_one(node(body["payload"]["customer"].clone()), body["workspaceId"].as_str());
        let Listed::Customer(from_list) = listed else { panic!("{}: {listed:?}", file.display()) };
        let mut expected = customer(&from_webhook).clone();
        expected.extra.retain(|name, _| body["payload"]["customer"].get(name).is_some());
        assert!(*customer(&from_list) == expected, "{}", file.display());
        assert_eq!(
            (from_list.key(), from_list.rank()),
            (from_webhook.key(), from_webhook.rank()),
            "{}",
            file.display()
        );
        compared += 1;
    }
    assert!(compared >= 10, "{compared} files with a customer");
}

fn untranslatable(customer_id: Option<&str>, reason: Untranslatable) -> Listed {
    Listed::Untranslatable { customer_id: customer_id.map(id), reason }
}

fn without(mut value: Value, name: &str) -> Value {
    value.as_object_mut().unwrap().remove(name);
    value
}

#[test]
fn an_entry_without_its_workspace_needs_the_account() {
    let node = || (LIST_STAND_IN.record)(&updated());
    assert_eq!(read_one(node(), None), untranslatable(Some("c_1"), Untranslatable::Missing("workspaceId")));
    let answer = || json!({ "data": { "customers": { "edges": [{ "node": node() }] } } });
    assert_eq!(read_one(answer(), None), untranslatable(Some("c_1"), Untranslatable::Missing("workspaceId")));
    assert_eq!(read_one(answer(), Some("w_1")), read_one(node(), Some("w_1")));
}

/// What an entry says about its workspace is more reliable than what the operator says.
#[rstest]
#[case(sample(&[updated()]).body)]
#[case(json!({ "data": {
    "myWorkspace": { "id": "w_1" },
    "customers": { "edges": [{ "node": (LIST_STAND_IN.record)(&updated()) }] },
} }))]
fn an_entry_with_its_workspace_does_not_need_the_account(#[case] entry: Value) {
    let Listed::Customer(event) = read_one(entry, Some("w_2")) else { panic!("no customer") };
    assert_eq!(event.key().account(), "w_1");
}

#[test]
fn a_delete_in_a_file_is_never_a_customer() {
    let listed = read_one(sample(&[sample_event(ChangeKind::Deletion)]).body, None);
    let key = CustomerKey::new("plain", id("w_1"), id("c_1")).unwrap();
    let deleted_at = Some(Time("2026-11-19T08:30:00.125Z".parse().unwrap()));
    assert_eq!(listed, Listed::Deleted { key, deleted_at });
}

#[rstest]
#[case(json!(null), None, Untranslatable::Unreadable("an event"))]
#[case(json!("c_1"), None, Untranslatable::Unreadable("an event"))]
#[case(json!({}), None, Untranslatable::PartialSnapshot("customerGroupMemberships"))]
#[case(json!({ "payload": null }), None, Untranslatable::Missing("type"))]
#[case(
    json!({ "type": "customer.customer_updated", "payload": { "customer": { "id": "c_1" } } }),
    Some("c_1"),
    Untranslatable::Missing("workspaceId")
)]
#[case(
    json!({ "type": "customer.customer_updated", "workspaceId": "w_1", "payload": { "customer": { "id": "c_1" } } }),
    Some("c_1"),
    Untranslatable::PartialSnapshot("email")
)]
#[case(json!({ "type": "customer.customer_merged", "payload": {} }), None, Untranslatable::UnknownType)]
#[case(json!({ "errors": [], "data": { "customers": { "edges": [] } } }), None, Untranslatable::Unreadable("an answer with errors"))]
#[case(json!({ "data": null }), None, Untranslatable::Unreadable("data.customers.edges"))]
#[case(json!({ "data": { "customers": {} } }), None, Untranslatable::Unreadable("data.customers.edges"))]
#[case(json!({ "data": { "customers": { "edges": [{}] } } }), None, Untranslatable::Unreadable("an event"))]
fn an_entry_that_is_not_understood(
    #[case] entry: Value,
    #[case] customer_id: Option<&str>,
    #[case] reason: Untranslatable,
) {
    assert_eq!(read(entry, Some("w_1")), [untranslatable(customer_id, reason)]);
}

#[rstest]
#[case(json!({ "type": "thread.thread_created", "payload": {} }))]
#[case(json!({ "type": "customer.customer_group_changed", "payload": { "changeType": "ADDED" } }))]
fn an_event_that_is_not_about_a_customer_is_ignored(#[case] body: Value) {
    assert_eq!(read(body, None), [Listed::Ignored]);
}

#[rstest]
#[case("email", Untranslatable::PartialSnapshot("email"))]
#[case("fullName", Untranslatable::PartialSnapshot("fullName"))]
#[case("updatedAt", Untranslatable::PartialSnapshot("updatedAt"))]
#[case("customerGroupMemberships", Untranslatable::PartialSnapshot("customerGroupMemberships"))]
fn a_record_that_lacks_a_field_is_not_imported(#[case] name: &str, #[case] reason: Untranslatable) {
    let node = without((LIST_STAND_IN.record)(&updated()), name);
    assert_eq!(read_one(node, Some("w_1")), untranslatable(Some("c_1"), reason));
}

fn key() -> CustomerKey {
    CustomerKey::new("plain", id("w_1"), id("c_1")).unwrap()
}

fn lookup(status: u16, body: &Value) -> Lookup {
    let api = LISTING.api.unwrap();
    (api.read_lookup)(&key(), &ApiAnswer { status, date: None, retry_after: None, body: body.to_string().into() })
}

const AN_ERROR: Lookup = Lookup::Unknown("the API answered with an error");
const NO_WORKSPACE: Lookup = Lookup::Unknown("the answer does not name the workspace");
const OTHER_WORKSPACE: Lookup = Lookup::Unknown("the API key belongs to another workspace");
const NO_CUSTOMER: Lookup = Lookup::Unknown("the answer is not about the customer");

/// A workspace, and the customer of the answer.
fn found(workspace: &Value, customer: &Value) -> Value {
    json!({ "data": { "myWorkspace": workspace, "customer": customer } })
}

#[rstest]
#[case::exists(found(&json!({ "id": "w_1" }), &json!({ "id": "c_1" })), Lookup::Exists)]
#[case::deleted(found(&json!({ "id": "w_1" }), &Value::Null), Lookup::Deleted(None))]
#[case::other_workspace(found(&json!({ "id": "w_2" }), &Value::Null), OTHER_WORKSPACE)]
#[case::exists_in_other_workspace(found(&json!({ "id": "w_2" }), &json!({ "id": "c_1" })), OTHER_WORKSPACE)]
#[case::no_workspace(found(&Value::Null, &Value::Null), NO_WORKSPACE)]
#[case::other_customer(found(&json!({ "id": "w_1" }), &json!({ "id": "c_2" })), NO_CUSTOMER)]
#[case::no_id(found(&json!({ "id": "w_1" }), &json!({})), NO_CUSTOMER)]
#[case::no_object(found(&json!({ "id": "w_1" }), &json!(false)), NO_CUSTOMER)]
#[case::no_customer(json!({ "data": { "myWorkspace": { "id": "w_1" } } }), NO_CUSTOMER)]
#[case::no_data(json!({ "data": null }), AN_ERROR)]
#[case::nothing(json!({}), AN_ERROR)]
#[case::no_object_at_all(json!(null), AN_ERROR)]
fn what_a_lookup_proves(#[case] body: Value, #[case] result: Lookup) {
    assert_eq!(lookup(200, &body), result);
}

/// With any error, the customer is `null` although it may exist.
#[rstest]
#[case(json!([{ "message": "x", "extensions": { "code": "FORBIDDEN" } }]))]
#[case(json!([{ "message": "x", "extensions": { "code": "INTERNAL_SERVER_ERROR" } }]))]
#[case(json!([{ "message": "x", "path": ["customer"] }]))]
#[case(json!([]))]
#[case(json!("x"))]
fn a_graphql_error_is_not_a_verified_delete(#[case] errors: Value) {
    let mut body = found(&json!({ "id": "w_1" }), &Value::Null);
    body["errors"] = errors;
    assert_eq!(lookup(200, &body), AN_ERROR);
}

#[rstest]
#[case(301)]
#[case(400)]
#[case(401)]
#[case(403)]
#[case(404)]
#[case(410)]
#[case(429)]
#[case(500)]
#[case(503)]
fn an_http_error_is_not_a_verified_delete(#[case] status: u16) {
    assert_eq!(lookup(status, &found(&json!({ "id": "w_1" }), &Value::Null)), AN_ERROR);
}

#[test]
fn the_stand_in_answers_lookups() {
    let api = LISTING.api.unwrap();
    let look_up =
        |records: &[Value]| (api.read_lookup)(&key(), &(LIST_STAND_IN.answer)(records, &(api.lookup)(&key()), 10));
    assert_eq!(look_up(&[(LIST_STAND_IN.record)(&updated())]), Lookup::Exists);
    assert_eq!(look_up(&[]), Lookup::Deleted(None));
}

#[test]
fn the_key_is_a_bearer_token() {
    let api = LISTING.api.unwrap();
    assert_eq!((api.key_header)("plainApiKey_1"), ("authorization", "Bearer plainApiKey_1".to_owned()));
}
