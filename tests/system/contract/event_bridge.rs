//! What each answer of EventBridge means, through the real SDK.

use axum::http::StatusCode;
use clientele_aws::EventBridgeBus;
use clientele_flow::{BusError, EventBus, EventResult};
use clientele_model::{ChangeEvent, ChangeType};
use rstest::rstest;
use serde_json::{Value, json};

use crate::support::event_bus::EventBusStandIn;

fn event(id: &str) -> ChangeEvent {
    ChangeEvent {
        id: id.to_owned(),
        pk: "plain#w#c".to_owned(),
        rank: "r".to_owned(),
        kind: ChangeType::Updated,
        source: "/clientele/test".to_owned(),
        at: "2026-11-20T12:00:00.25Z".parse().unwrap(),
        detail: r#"{"id":"CANARY"}"#.to_owned(),
        is_customer_omitted: false,
    }
}

/// Puts that many events on a bus that answers like this.
async fn put(events: usize, status: StatusCode, body: Value) -> (Result<Vec<EventResult>, BusError>, Vec<Value>) {
    let stand_in = EventBusStandIn::start().await;
    stand_in.answer(move |_| (Some(status), body.clone()));
    let bus = EventBridgeBus::new(stand_in.clients().eventbridge, "changes".to_owned());
    let events: Vec<_> = (0..events).map(|number| event(&number.to_string())).collect();
    (bus.put(&events).await, stand_in.take_calls())
}

#[tokio::test]
async fn one_call_has_all_events() {
    let body = json!({ "FailedEntryCount": 0, "Entries": [{ "EventId": "a" }, { "EventId": "b" }] });
    let (results, calls) = put(2, StatusCode::OK, body).await;
    assert_eq!(results, Ok(vec![EventResult::Accepted, EventResult::Accepted]));
    let entry = json!({
        "EventBusName": "changes", "Source": "/clientele/test", "DetailType": "customer.updated",
        "Time": 1_795_176_000.25, "Detail": r#"{"id":"CANARY"}"#,
    });
    assert_eq!(calls, [json!({ "Entries": [entry, entry] })]);
}

/// Only what is about the content is refused. Permissions can be granted, and the rest passes.
#[rstest]
#[case("InvalidArgument", EventResult::Refused("InvalidArgument".into()))]
#[case("MalformedDetail", EventResult::Refused("MalformedDetail".into()))]
#[case("RedactionFailure", EventResult::Refused("RedactionFailure".into()))]
#[case("InternalFailure", EventResult::Failed("InternalFailure".into()))]
#[case("ThrottlingException", EventResult::Failed("ThrottlingException".into()))]
#[case("AccessDeniedException", EventResult::Failed("AccessDeniedException".into()))]
#[case("InvalidAccountIdException", EventResult::Failed("InvalidAccountIdException".into()))]
#[case("NotAuthorizedForSourceException", EventResult::Failed("NotAuthorizedForSourceException".into()))]
#[case("NotAuthorizedForDetailTypeException", EventResult::Failed("NotAuthorizedForDetailTypeException".into()))]
#[case("SomethingNewException", EventResult::Failed("SomethingNewException".into()))]
#[case("no code: CANARY", EventResult::Failed("an unknown error".into()))]
#[case("", EventResult::Failed("an unknown error".into()))]
#[tokio::test]
async fn codes_of_entries(#[case] code: &str, #[case] expected: EventResult) {
    let failed = json!({ "ErrorCode": code, "ErrorMessage": "CANARY" });
    let body = json!({ "FailedEntryCount": 1, "Entries": [{ "EventId": "a" }, failed, { "EventId": "c" }] });
    let (results, calls) = put(3, StatusCode::OK, body).await;
    assert_eq!(results, Ok(vec![EventResult::Accepted, expected, EventResult::Accepted]));
    assert_eq!(calls.len(), 1, "the caller decides whether to send it again");
}

/// Rather send an event twice than lose one.
#[rstest]
#[case::without_an_id(json!({ "FailedEntryCount": 1, "Entries": [{}] }), Ok(vec![EventResult::Failed("an event has no id".into())]))]
#[case::failed_but_not_counted(json!({ "FailedEntryCount": 0, "Entries": [{ "ErrorCode": "InternalFailure" }] }), Err(different()))]
#[case::counted_but_not_failed(json!({ "FailedEntryCount": 1, "Entries": [{ "EventId": "a" }] }), Err(different()))]
#[case::negative(json!({ "FailedEntryCount": -1, "Entries": [{ "EventId": "a" }] }), Err(different()))]
// The flow compares the number of results with that of its events.
#[case::fewer(json!({ "FailedEntryCount": 0, "Entries": [] }), Ok(vec![]))]
#[case::nothing(json!({}), Ok(vec![]))]
#[tokio::test]
async fn contradictory_answers(#[case] body: Value, #[case] expected: Result<Vec<EventResult>, BusError>) {
    assert_eq!(put(1, StatusCode::OK, body).await.0, expected);
}

fn different() -> BusError {
    BusError::Unavailable("its answer contradicts itself".into())
}

#[rstest]
#[case(400, "ValidationException", BusError::Refused("ValidationException".into()), 1)]
#[case(400, "com.amazonaws.events#ValidationException", BusError::Refused("ValidationException".into()), 1)]
#[case(413, "RequestEntityTooLargeException", BusError::Refused("RequestEntityTooLargeException".into()), 1)]
#[case(413, "", BusError::Refused("an error without a code".into()), 1)]
#[case(400, "ResourceNotFoundException", BusError::Unavailable("ResourceNotFoundException".into()), 1)]
#[case(400, "AccessDeniedException", BusError::Unavailable("AccessDeniedException".into()), 1)]
#[case(400, "ExpiredTokenException", BusError::Unavailable("ExpiredTokenException".into()), 1)]
#[case(400, "SerializationException", BusError::Unavailable("SerializationException".into()), 1)]
#[case(400, "ThrottlingException", BusError::Unavailable("ThrottlingException".into()), 3)]
#[case(500, "InternalException", BusError::Unavailable("InternalException".into()), 3)]
#[case(503, "", BusError::Unavailable("an error without a code".into()), 3)]
#[tokio::test]
async fn errors_of_calls(#[case] status: u16, #[case] kind: &str, #[case] expected: BusError, #[case] attempts: usize) {
    let body = if kind.is_empty() { json!({}) } else { json!({ "__type": kind, "message": "CANARY" }) };
    let (results, calls) = put(1, StatusCode::from_u16(status).unwrap(), body).await;
    assert_eq!((results, calls.len()), (Err(expected), attempts));
}

#[tokio::test]
async fn a_bus_that_does_not_answer() {
    let stand_in = EventBusStandIn::start().await;
    stand_in.answer(|_| (None, Value::Null));
    let bus = EventBridgeBus::new(stand_in.clients().eventbridge, "changes".to_owned());
    let started = std::time::Instant::now();
    assert_eq!(bus.put(&[event("e")]).await, Err(BusError::Unavailable("timed out".into())));
    assert!(started.elapsed() < clientele_flow::deadlines::EVENTBRIDGE_ATTEMPT_TIMEOUT * 4);
    assert_eq!(stand_in.take_calls().len(), 3);
}
