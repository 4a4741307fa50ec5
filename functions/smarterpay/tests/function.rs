//! Runs the function's binary as Lambda does.
#![allow(clippy::unwrap_used, missing_docs, reason = "tests")]

use std::path::Path;
use std::time::Duration;

use clientele_function::{Function, Response, command};
use rstest::rstest;
use serde_json::{Value, json};

clientele_function::function_tests!(
    "smarterpay",
    "smarterpay-local-secret",
    ["unrelated-payment", "older-shape-v1", "tampered"]
);

/// The largest body that is accepted.
const BODY_BYTES_MAX: usize = 262_144;
/// `MemorySize` in template.yaml.
const MEMORY_MB: f64 = 256.0;

/// The largest bodies whose memory grows most, however the table answers.
#[rstest]
#[case::events(&batch(1_000, ""), "applied", 1_000)]
#[case::events_while_the_table_hangs(&batch(1_000, ""), "parked", 1_000)]
// Every event is stored with the fields of its batch.
#[case::fields_of_the_batch(&batch(100, "0,"), "applied", 100)]
#[case::fields_of_the_batch_while_the_table_hangs(&batch(100, "0,"), "parked", 100)]
#[case::zeros(&places("0,"), "quarantined", 1)]
#[case::empty_events(&places("{},0,"), "quarantined", 1)]
fn the_largest_batches_fit_into_memory(#[case] body: &str, #[case] outcome: &str, #[case] events: u64) {
    let mut command = command(Path::new(BINARY));
    command.env("SMARTERPAY_SIGNATURE", "basic");
    let hangs = outcome == "parked";
    let mut function = Function::start(command, "user:a-long-password", move |request| {
        let target = request.headers.get("x-amz-target").map_or("", String::as_str);
        if hangs && target.ends_with("PutItem") {
            std::thread::sleep(Duration::from_mins(1));
        }
        Response { status: 200, headers: "", body: "{}".to_owned() }
    });
    let headers = json!({ "authorization": "Basic dXNlcjphLWxvbmctcGFzc3dvcmQ=" });
    let answer = function.invoke(&json!({ "headers": headers, "body": body }).to_string()).result.unwrap();
    let answer: Value = serde_json::from_str(&answer).unwrap();
    let outcomes: Value = serde_json::from_str(answer["body"].as_str().unwrap()).unwrap();
    let outcomes = outcomes["outcomes"].as_object().unwrap();
    assert_eq!(outcomes.values().filter_map(Value::as_u64).sum::<u64>(), events, "{outcomes:?}");
    // What a debug build on a busy machine cannot write in time is parked.
    let is_expected = |it: &String| it == outcome || (outcome == "applied" && it == "parked");
    assert!(outcomes.keys().all(is_expected), "{outcomes:?}");
    let memory = function.peak_memory_mb();
    assert!(memory < MEMORY_MB, "{memory} MB");
}

/// The largest body with this many events of different customers, and a field of the batch that is a list of `element`.
fn batch(events: usize, element: &str) -> String {
    let event = |number| {
        json!({
            "event_id": format!("E{number}"), "event_type": "customer_account.update", "id": format!("C{number}"),
            "email": "a@example.org", "first_name": null, "last_name": null, "billing_address_line_1": null,
            "status": "active", "edited_at": "2025-11-19T12:00:00Z",
        })
    };
    let events = json!((0..events).map(event).collect::<Vec<_>>());
    filled(&format!(r#""events":{events},"list":["#), element)
}

/// The largest body whose events are `element`, again and again.
fn places(element: &str) -> String {
    filled(r#""events":["#, element)
}

/// The largest body with these fields, whose last one is a list of `element`.
fn filled(fields: &str, element: &str) -> String {
    let envelope =
        r#"{"id":"OM1","idempotency_key":"k1","sent_at":"2025-11-20T12:00:00Z","client":{"id":"w_1"},"#.to_owned();
    let (start, end) = (envelope + fields, "0]}");
    let left = BODY_BYTES_MAX - start.len() - end.len();
    let elements = element.repeat(left.checked_div(element.len()).unwrap_or_default());
    let body = start + &elements + end;
    let blanks = " ".repeat(BODY_BYTES_MAX - body.len());
    body + &blanks
}
