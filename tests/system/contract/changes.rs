//! The function `changes`: from the events of the table's stream to the events on the bus.
//!
//! `UPDATE=1 cargo test change_files` writes the events of the files in events/changes. Review the difference.

use axum::http::StatusCode;
use clientele::events::signed_at;
use clientele::stack::CapturedLog;
use clientele_aws::{StreamBatchResponse, StreamEvent};
use serde_json::{Map, Value, json};

use crate::support::event_bus::{EventBusStandIn, accepted};
use crate::support::{cases, invocation, json_lines, metrics, root};

const FILES: [&str; 4] = ["batch", "created", "deleted", "updated"];

fn read(file: &str) -> Value {
    serde_json::from_str(&std::fs::read_to_string(root(&format!("events/changes/{file}"))).unwrap()).unwrap()
}

fn event(file: &Value) -> StreamEvent {
    serde_json::from_str(&file.to_string()).unwrap()
}

/// The entries of `PutEvents`, with their details as JSON.
fn entries(bus: &EventBusStandIn) -> Vec<Value> {
    let calls = bus.take_calls();
    let mut entries: Vec<_> = calls.iter().flat_map(|call| call["Entries"].as_array().unwrap().clone()).collect();
    for entry in &mut entries {
        entry["Detail"] = serde_json::from_str(entry["Detail"].as_str().unwrap()).unwrap();
    }
    entries
}

#[tokio::test]
async fn change_files_are_announced_as_expected() {
    let bus = EventBusStandIn::start().await;
    for file in FILES {
        let content = read(&format!("{file}.json"));
        let mut result = Map::new();
        for feed in ["keys", "full"] {
            let publisher = bus.publisher(feed, &CapturedLog::default());
            let response = publisher.handle(event(&content), &invocation(signed_at())).await;
            assert_eq!(response, StreamBatchResponse::default(), "{file}");
            result.insert(feed.to_owned(), entries(&bus).into());
            result.insert("refused".to_owned(), bus.take_messages().into());
        }
        let name = format!("{file}.expected.json");
        if std::env::var_os("UPDATE").is_some() {
            let text = serde_json::to_string_pretty(&result).unwrap() + "\n";
            std::fs::write(root(&format!("events/changes/{name}")), text).unwrap();
        }
        assert_eq!(Value::Object(result), read(&name), "{file}");
    }
    let files = std::fs::read_dir(root("events/changes")).unwrap().count();
    assert_eq!(files, 2 * FILES.len(), "every file is tested");
}

/// The items in the files are those of the providers' event files, except for the attribute of a later version.
#[test]
fn change_files_are_about_the_customers_of_the_event_files() {
    let known: Vec<_> = cases().iter().flat_map(|case| case.expected.items.values()).collect();
    let (mut images, mut cleanups) = (0, 0);
    for file in FILES {
        let content = read(&format!("{file}.json"));
        for record in content["Records"].as_array().unwrap() {
            for image in ["OldImage", "NewImage"] {
                let Some(image) = record["dynamodb"].get(image) else { continue };
                let mut item = plain(&json!({ "M": image }));
                let fields = item.as_object_mut().unwrap();
                let cleanup = fields.remove("cleanup").zip(fields.remove("cleanup_due"));
                cleanups += usize::from(cleanup.is_some());
                if let Some((message, since)) = cleanup {
                    let message: Value = serde_json::from_str(message.as_str().unwrap()).unwrap();
                    assert!(cases().iter().any(|case| case.expected.cleanup.contains(&message)), "{file}: {message}");
                    assert_eq!(since, fields["last_event"]["received_at"]);
                }
                fields.remove("loyalty_tier");
                assert!(known.contains(&&item), "{file}: {item}");
                images += 1;
            }
        }
    }
    assert_eq!((images, cleanups), (15, 3));
}

/// The JSON of an attribute.
fn plain(attribute: &Value) -> Value {
    let (kind, value) = attribute.as_object().unwrap().iter().next().unwrap();
    match kind.as_str() {
        "M" => Value::Object(value.as_object().unwrap().iter().map(|(name, it)| (name.clone(), plain(it))).collect()),
        "L" => value.as_array().unwrap().iter().map(plain).collect(),
        "N" => serde_json::from_str(value.as_str().unwrap()).unwrap(),
        "NULL" => Value::Null,
        _ => value.clone(),
    }
}

/// The response that names a record of `batch.json`.
fn failed_from(place: usize) -> StreamBatchResponse {
    let record = &read("batch.json")["Records"][place]["dynamodb"]["SequenceNumber"];
    serde_json::from_value(json!({ "batchItemFailures": [{ "itemIdentifier": record }] })).unwrap()
}

/// The batch has five records that need a call: three events, an unreadable record between them, and another event. The
/// response names the first record that is neither on the bus nor on the queue.
#[tokio::test]
async fn a_failure_names_where_to_continue() {
    let batch = read("batch.json");
    let bus = EventBusStandIn::start().await;
    let log = CapturedLog::default();
    let publisher = bus.publisher("keys", &log);
    let mut responses = vec![];
    let fail_third = |entries: &[Value]| {
        let mut answer = accepted(entries);
        if let Some(third) = answer["Entries"].get_mut(2) {
            *third = json!({ "ErrorCode": "ThrottlingException" });
            answer["FailedEntryCount"] = json!(1);
        }
        (Some(StatusCode::OK), answer)
    };
    bus.answer(|_| (Some(StatusCode::BAD_REQUEST), json!({ "__type": "AccessDeniedException" })));
    responses.push(publisher.handle(event(&batch), &invocation(signed_at())).await);
    bus.answer(fail_third);
    responses.push(publisher.handle(event(&batch), &invocation(signed_at())).await);
    bus.answer(|entries| (Some(StatusCode::OK), accepted(entries)));
    bus.stop_queue();
    responses.push(publisher.handle(event(&batch), &invocation(signed_at())).await);
    assert_eq!(responses, [failed_from(0), failed_from(2), failed_from(3)]);
    let lines = json_lines(&log);
    let seen: Vec<_> = lines.iter().map(|line| (&line["level"], &line["reason"], &line["ChangesSent"])).collect();
    let error = json!("ERROR");
    let reasons = [
        json!("the event bus cannot be used: AccessDeniedException"),
        json!("ThrottlingException"),
        json!("the queue of refused changes cannot be reached: an error without a code"),
    ];
    let sent = [json!(0), json!(2), json!(3)];
    assert_eq!(seen, [0, 1, 2].map(|number| (&error, &reasons[number], &sent[number])));
    assert!(lines.iter().all(|line| line["ChangesFailed"] == 1));
}

/// What the bus never takes is named on the queue, and the batch goes on.
#[tokio::test]
async fn what_the_bus_refuses_is_named_on_the_queue() {
    let bus = EventBusStandIn::start().await;
    let refuse_second = |entries: &[Value]| {
        let mut answer = accepted(entries);
        if let Some(second) = answer["Entries"].get_mut(1) {
            *second = json!({ "ErrorCode": "MalformedDetail", "ErrorMessage": "CANARY" });
            answer["FailedEntryCount"] = json!(1);
        }
        (Some(StatusCode::OK), answer)
    };
    bus.answer(refuse_second);
    let log = CapturedLog::default();
    let response = bus.publisher("full", &log).handle(event(&read("batch.json")), &invocation(signed_at())).await;
    assert_eq!(response, StreamBatchResponse::default());
    let refused = bus.take_messages();
    let reasons: Vec<_> = refused.iter().map(|message| message["reason"].as_str().unwrap()).collect();
    assert_eq!(reasons, ["MalformedDetail", "an item has attributes that this version does not know"]);
    let line = &json_lines(&log)[0];
    assert_eq!(
        (&line["level"], &line["ChangesRefused"], &line["ChangesSent"]),
        (&json!("WARNING"), &json!(2), &json!(3))
    );
}

/// One line per batch, with all metrics.
#[tokio::test]
async fn a_line_per_batch() {
    let bus = EventBusStandIn::start().await;
    let log = CapturedLog::default();
    let publisher = bus.publisher("keys", &log);
    for file in ["batch.json", "updated.json"] {
        publisher.handle(event(&read(file)), &invocation(signed_at())).await;
    }
    let lines = json_lines(&log);
    let [batch, updated] = &lines[..] else { panic!("two lines: {lines:?}") };
    let expected = json!({
        "timestamp": "2026-11-20T12:00:00.000Z", "level": "WARNING", "message": "changes",
        "service": "clientele-changes", "cold_start": "true", "function_request_id": "test",
        "records": "6", "unchanged": "1", "reason": "an item has attributes that this version does not know",
    });
    for (name, value) in expected.as_object().unwrap() {
        assert_eq!(&batch[name], value, "{name}");
    }
    assert!(batch["duration_ms"].as_str().unwrap().parse::<f64>().unwrap() > 0.0);
    assert_eq!(batch["_aws"]["Timestamp"], signed_at().as_millisecond());
    let of_service = |numbers: &[(&str, u64)]| {
        numbers.iter().map(|(name, number)| (format!("{name} clientele-changes"), *number)).collect()
    };
    let counted =
        [("ChangesSent", 4), ("ChangesRefused", 1), ("ChangesFailed", 0), ("ChangesOmitted", 0), ("ColdStart", 1)];
    assert_eq!(metrics(batch), of_service(&counted));
    let counted = [("ChangesSent", 1), ("ChangesRefused", 0), ("ChangesFailed", 0), ("ChangesOmitted", 0)];
    assert_eq!(metrics(updated), of_service(&counted));
    assert_eq!(
        (&updated["level"], &updated["reason"], &updated["records"]),
        (&json!("INFO"), &Value::Null, &json!("1"))
    );
}

/// Only the ids of the provider, whatever the bus answers: neither the external id, which is an e-mail address here, nor
/// anything else of the customer is in a line, in a message about a refused change, or in an event with keys.
#[tokio::test]
async fn nothing_personal_is_logged_or_refused() {
    const PERSONAL: [&str; 6] = ["canary@example.com", "Canary", "@", "Lovelace", "+44", "crm-"];
    let text = read("batch.json").to_string().replace("crm-1815", "canary@example.com").replace("Ada", "Canary");
    let batch: Value = serde_json::from_str(&text).unwrap();
    let bus = EventBusStandIn::start().await;
    let log = CapturedLog::default();
    let (keys, full) = (bus.publisher("keys", &log), bus.publisher("full", &log));
    let quoting = |code: &'static str| {
        move |entries: &[Value]| {
            let quoted = |entry: &Value| json!({ "ErrorCode": code, "ErrorMessage": entry["Detail"] });
            let results: Vec<_> = entries.iter().map(quoted).collect();
            (Some(StatusCode::OK), json!({ "FailedEntryCount": results.len(), "Entries": results }))
        }
    };
    let mut seen = String::new();
    let mut count = 0;
    bus.answer(|entries| (Some(StatusCode::OK), accepted(entries)));
    keys.handle(event(&batch), &invocation(signed_at())).await;
    for call in bus.take_calls() {
        seen += &call.to_string();
    }
    for code in ["MalformedDetail", "InternalFailure", "canary@example.com"] {
        bus.answer(quoting(code));
        for publisher in [&keys, &full] {
            publisher.handle(event(&batch), &invocation(signed_at())).await;
        }
    }
    bus.answer(|entries| {
        let quoted = json!({ "__type": "ValidationException", "message": entries[0]["Detail"] });
        (Some(StatusCode::BAD_REQUEST), quoted)
    });
    full.handle(event(&batch), &invocation(signed_at())).await;
    assert!(bus.take_calls().iter().any(|call| call.to_string().contains("canary@example.com")), "sent when asked for");
    for message in bus.take_messages() {
        seen += &message.to_string();
        count += 1;
    }
    seen += &log.take();
    assert!(count > 10 && seen.contains("ChangesRefused") && seen.contains("MalformedDetail"));
    for personal in PERSONAL {
        assert!(!seen.contains(personal), "{personal}: {seen}");
    }
}
