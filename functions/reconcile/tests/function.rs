//! Runs the function's binary as Lambda does.
#![allow(clippy::panic, clippy::unwrap_used, missing_docs, reason = "tests")]

use std::path::Path;
use std::sync::LazyLock;

use clientele_function::calls::Setup;
use clientele_function::{FAILURE, Function, Request, Response, command};
use clientele_model::{ApiMethod, ApiRequest, ChangeKind, ListStandIn, Listed, RecordContext, SampleEvent, Verb};
use clientele_providers::{find, list_stand_in, listing};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value, json};

const BINARY: &str = env!("CARGO_BIN_EXE_clientele-reconcile");
/// The answer of an API that does not know the key.
const DENIED: Response = Response { status: 401, headers: "", body: String::new() };

fn scheduled() -> Value {
    json!({ "version": "0", "source": "aws.events", "detail-type": "Scheduled Event", "detail": {} })
}

#[test]
fn refuses_to_start_without_settings() {
    let own = ["PLAIN_API_KEY_SECRET_ARN", "FLEXPRICE_API_KEY_SECRET_ARN"];
    clientele_function::tests::refuses_to_start_without_settings(BINARY, &own);
}

#[test]
fn nothing_of_a_broken_event_is_printed() {
    clientele_function::tests::nothing_of_a_broken_event_is_printed(BINARY, "");
}

#[test]
fn ends_quietly_only_while_waiting() {
    clientele_function::runtime_interface::ends_quietly_only_while_waiting(BINARY, "");
}

/// The invocation of an operator fails, and whoever invoked the function gets to see what it expects.
#[test]
fn a_time_that_cannot_be_used_is_an_error() {
    let mut function = Function::start(command(Path::new(BINARY)), "", |_| FAILURE);
    let error = function.invoke(r#"{"since":"yesterday"}"#).result.unwrap_err();
    let error: Value = serde_json::from_str(&error).unwrap();
    let message = error["errorMessage"].as_str().unwrap();
    assert!(message.starts_with("`since` is not a time: expected one with its offset from UTC, as"), "{message}");
}

/// A provider that fails is not an error of the function, because the next run tries again.
#[test]
fn answers_events() {
    let mut function = Function::start(command(Path::new(BINARY)), "", |_| DENIED);
    let answer: Value = serde_json::from_str(&function.invoke(&scheduled().to_string()).result.unwrap()).unwrap();
    for (provider, permission) in [("plain", "customer:read"), ("flexprice", "")] {
        let compared = &answer[provider]["compared"];
        let failure = compared["failure"].as_str().unwrap();
        assert!(failure.starts_with("the API does not accept the key") && failure.contains(permission), "{failure}");
        assert_eq!((&compared["checked"], &compared["recovered"]), (&json!(0), &json!(0)));
    }
    assert_eq!(answer.as_object().unwrap().len(), 2);
}

/// A window with one customer of each provider whose webhook was lost, and one whose delete was lost at Flexprice. The role
/// depends on what happens then.
#[test]
fn a_role_allows_exactly_what_is_called() {
    for (deletes, conditions) in [("report", &[][..]), ("apply", &["AppliesDeletes"])] {
        let environment = [("RECONCILE_DELETES", deletes), ("PLAIN_API_KEY", ""), ("FLEXPRICE_API_KEY", "")];
        let (name, secret, events) = ("reconcile", "key", &[scheduled()]);
        let (binary, environment, answer) = (BINARY, &environment, stand_in);
        Setup { binary, name, secret, environment, conditions, events, answer }.assert_role();
    }
}

/// Answers for the list APIs, and for a table that has only the customer whose delete was lost.
fn stand_in(request: &Request) -> Option<Response> {
    if let Some(call) = request.headers.get("x-amz-target") {
        let item = request.body.contains(DELETED).then(|| json!({ "Item": attribute(&live_item())["M"] }));
        return call.ends_with(".GetItem").then(|| response(200, item.unwrap_or_else(|| json!({})).to_string()));
    }
    let provider = if request.headers.contains_key("x-api-key") { "flexprice" } else { "plain" };
    let [method, path, _] = request.line.split(' ').collect::<Vec<_>>()[..] else { panic!("{}", request.line) };
    let method = if method == "GET" { ApiMethod::Get } else { ApiMethod::Post };
    let body = serde_json::from_str(&request.body).ok();
    let api_request = ApiRequest { method, path: path.to_owned(), headers: vec![], body };
    let records = records(provider);
    let answer = (list_api(provider).answer)(&records, &api_request, 100);
    Some(response(answer.status, String::from_utf8(answer.body).unwrap()))
}

fn response(status: u16, body: String) -> Response {
    Response { status, headers: "", body }
}

const LOST: &str = "lost";
const DELETED: &str = "deleted";

fn list_api(provider: &str) -> &'static ListStandIn {
    list_stand_in(find(provider).unwrap()).unwrap()
}

fn event(customer_id: &str, change: ChangeKind, hours_ago: i64) -> SampleEvent {
    // The same whenever it is asked for, as that of a customer who does not change.
    static STARTED: LazyLock<Timestamp> = LazyLock::new(Timestamp::now);
    let changed_at = *STARTED - SignedDuration::from_hours(hours_ago);
    let name = "Nell Customer".to_owned();
    SampleEvent { customer_id: customer_id.to_owned(), name, change, changed_at, number: 1 }
}

fn records(provider: &str) -> Vec<Value> {
    let record = list_api(provider).record;
    let mut records = vec![record(&event(LOST, ChangeKind::Snapshot(Verb::Updated), 2))];
    if provider == "flexprice" {
        records.push(record(&event(DELETED, ChangeKind::Deletion, 2)));
    }
    records
}

/// The customer before the delete.
fn live_item() -> Value {
    let record = (list_api("flexprice").record)(&event(DELETED, ChangeKind::Snapshot(Verb::Updated), 3));
    let context = RecordContext { account: None, received_at: Timestamp::now() };
    match (listing(find("flexprice").unwrap()).read_file_entry)(record, &context).remove(0) {
        Listed::Customer(event) => serde_json::to_value(event.item(context.received_at)).unwrap(),
        other => panic!("{other:?}"),
    }
}

/// A value as DynamoDB returns it.
fn attribute(value: &Value) -> Value {
    match value {
        Value::Null => json!({ "NULL": true }),
        Value::Bool(flag) => json!({ "BOOL": flag }),
        Value::Number(number) => json!({ "N": number.to_string() }),
        Value::String(text) => json!({ "S": text }),
        Value::Array(elements) => json!({ "L": elements.iter().map(attribute).collect::<Vec<_>>() }),
        Value::Object(fields) => {
            let fields: Map<_, _> = fields.iter().map(|(name, field)| (name.clone(), attribute(field))).collect();
            json!({ "M": fields })
        }
    }
}
