//! The event bus: a stand-in for EventBridge, limited to the one call that the function `changes` makes. It keeps the last
//! events, passes them on to whoever listens, and sends them to a queue if one is named, as a rule would. There is one bus,
//! whatever name a request gives it.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aws_sdk_sqs::Client;
use clientele_model::{REQUEST_BYTES_MAX, parse_json};
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::{broadcast, mpsc};

use super::{ACCOUNT, REGION};
use crate::terminal;

/// How many events are kept.
pub const RECENT_MAX: usize = 1_000;
/// The most events of one request.
const ENTRIES_MAX: usize = 10;
/// What the time of an event counts towards its size
/// (<https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-putevents.html>).
const TIME_BYTES: usize = 14;

/// The bus. Clones share it.
#[derive(Clone, Debug)]
pub struct EventBus {
    state: Arc<Mutex<State>>,
    events: broadcast::Sender<BusEvent>,
}

/// An event that the bus has accepted.
#[derive(Clone, Debug)]
pub struct BusEvent {
    /// Counts the events from 1.
    pub number: u64,
    /// The event in EventBridge's envelope, as JSON on one line
    /// (<https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-events-structure.html>).
    pub json: Arc<str>,
}

#[derive(Debug, Default)]
struct State {
    last_number: u64,
    recent: VecDeque<BusEvent>,
    queue: Option<mpsc::UnboundedSender<BusEvent>>,
}

/// The body of a request, as far as it is used.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct PutEvents {
    #[serde(default)]
    entries: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Entry {
    source: Option<String>,
    detail_type: Option<String>,
    detail: Option<String>,
    /// In seconds since 1970.
    time: Option<f64>,
    #[serde(default)]
    resources: Vec<String>,
}

/// Code and message of an error of one entry.
type EntryError = (&'static str, String);

impl Default for EventBus {
    fn default() -> Self {
        Self { state: Arc::default(), events: broadcast::Sender::new(RECENT_MAX) }
    }
}

impl EventBus {
    /// The last events, oldest first.
    #[must_use]
    pub fn recent(&self) -> Vec<BusEvent> {
        self.state().recent.iter().cloned().collect()
    }

    /// Receives all events from now on. A receiver that falls behind by more than [`RECENT_MAX`] misses the oldest.
    #[must_use]
    pub fn subscribe(&self) -> broadcast::Receiver<BusEvent> {
        self.events.subscribe()
    }

    /// From now on, every event is sent to this queue, too.
    pub(super) fn send_to_queue(&self, client: Client, queue_url: String) {
        let (sender, mut events) = mpsc::unbounded_channel::<BusEvent>();
        self.state().queue = Some(sender);
        tokio::spawn(async move {
            while let Some(event) = events.recv().await {
                send(&client, &queue_url, &event).await;
            }
        });
    }

    /// Status and body of the response to `PutEvents`. Limits and errors are those of
    /// <https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_PutEvents.html>.
    pub(super) fn put_events(&self, request: &[u8]) -> (u16, Value) {
        let Ok(PutEvents { entries }) = serde_json::from_slice(request) else {
            return error("SerializationException", "The request is not that of PutEvents.");
        };
        if entries.is_empty() || entries.len() > ENTRIES_MAX {
            let limit = if entries.is_empty() { "greater than or equal to 1" } else { "less than or equal to 10" };
            let message = format!(
                "1 validation error detected: Value at 'entries' failed to satisfy constraint: Member must have length \
                 {limit}"
            );
            return error("ValidationException", &message);
        }
        if entries.iter().map(Entry::bytes).sum::<usize>() > REQUEST_BYTES_MAX {
            return error("ValidationException", "Total size of the entries in the request is over the limit.");
        }
        let results: Vec<_> = entries.into_iter().map(|entry| self.put(entry)).collect();
        let failed = results.iter().filter(|result| result["ErrorCode"].is_string()).count();
        (200, json!({ "FailedEntryCount": failed, "Entries": results }))
    }

    fn put(&self, entry: Entry) -> Value {
        let id = event_id();
        match entry.envelope(&id) {
            Ok(envelope) => {
                self.publish(&envelope);
                json!({ "EventId": id })
            }
            Err((code, message)) => json!({ "ErrorCode": code, "ErrorMessage": message }),
        }
    }

    /// Subscribers and the queue get the events in the order of their numbers.
    fn publish(&self, envelope: &Value) {
        // SQS rejects two characters that JSON does not escape.
        let json = envelope.to_string().replace('\u{fffe}', "\\ufffe").replace('\u{ffff}', "\\uffff");
        let mut state = self.state();
        state.last_number += 1;
        let event = BusEvent { number: state.last_number, json: json.into() };
        if state.recent.len() == RECENT_MAX {
            state.recent.pop_front();
        }
        state.recent.push_back(event.clone());
        if let Some(queue) = &state.queue {
            // Fails if the runtime is shutting down.
            drop(queue.send(event.clone()));
        }
        // Fails if nobody has subscribed.
        drop(self.events.send(event));
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entry {
    /// What the entry counts towards the size of the request.
    fn bytes(&self) -> usize {
        let texts = [&self.source, &self.detail_type, &self.detail].into_iter().flatten().chain(&self.resources);
        self.time.map_or(0, |_| TIME_BYTES) + texts.map(String::len).sum::<usize>()
    }

    fn envelope(self, id: &str) -> Result<Value, EntryError> {
        let required = |name: &str, value: Option<String>| {
            value.filter(|value| !value.is_empty()).ok_or_else(|| {
                ("InvalidArgument", format!("Parameter {name} is not valid. Reason: {name} is a required argument."))
            })
        };
        let source = required("Source", self.source)?;
        let detail_type = required("DetailType", self.detail_type)?;
        let detail = required("Detail", self.detail)?;
        if source.starts_with("aws.") {
            return Err(("NotAuthorizedForSourceException", "Not authorized for the source.".to_owned()));
        }
        let detail = parse_json(detail.as_bytes()).filter(|detail| detail.is_object() && has_allowed_numbers(detail));
        let detail = detail.ok_or_else(|| ("MalformedDetail", "Detail is malformed.".to_owned()))?;
        let time = self.time.and_then(|seconds| SignedDuration::try_from_secs_f64(seconds).ok());
        let time = time.and_then(|since| Timestamp::from_duration(since).ok()).unwrap_or_else(Timestamp::now);
        Ok(json!({
            "version": "0",
            "id": id,
            "detail-type": detail_type,
            "source": source,
            "account": ACCOUNT,
            "time": time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
            "region": REGION,
            "resources": self.resources,
            "detail": detail,
        }))
    }
}

/// An integer on EventBridge has 64 bits.
fn has_allowed_numbers(value: &Value) -> bool {
    match value {
        Value::Number(number) => number.as_i64().is_some() || number.as_str().contains(['.', 'e', 'E']),
        Value::Array(elements) => elements.iter().all(has_allowed_numbers),
        Value::Object(fields) => fields.values().all(has_allowed_numbers),
        _ => true,
    }
}

/// A random UUID.
fn event_id() -> String {
    let mut bytes = [0; 16];
    // Without random numbers the id is all zeros, which no consumer of the local stack relies on.
    let _ = getrandom::fill(&mut bytes);
    let hex = hex::encode(bytes);
    format!("{}-{}-4{}-8{}-{}", &hex[..8], &hex[8..12], &hex[13..16], &hex[17..20], &hex[20..])
}

fn error(code: &str, message: &str) -> (u16, Value) {
    (400, json!({ "__type": code, "message": message }))
}

/// Tries until SQS answers. What it refuses, EventBridge would give up, too.
async fn send(client: &Client, queue_url: &str, event: &BusEvent) {
    loop {
        match client.send_message().queue_url(queue_url).message_body(&*event.json).send().await {
            Ok(_) => return,
            Err(error) if error.as_service_error().is_some() => {
                return terminal::note("a change could not be sent to the queue of --changes-queue: SQS refuses it");
            }
            Err(_) => tokio::time::sleep(Duration::from_secs(1)).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn put(bus: &EventBus, entries: &[Value]) -> (u16, Value) {
        bus.put_events(json!({ "Entries": entries }).to_string().as_bytes())
    }

    fn entry(detail: &str) -> Value {
        json!({ "Source": "/clientele/x", "DetailType": "customer.created", "Detail": detail, "EventBusName": "b" })
    }

    #[test]
    fn an_event_gets_its_envelope() {
        let bus = EventBus::default();
        let mut full = entry(r#"{ "b": 12345678901234567.890, "a": ["\ufffe", {}] }"#);
        full["Time"] = json!(1_700_000_000.25);
        full["Resources"] = json!(["arn:x"]);
        let (status, answer) = put(&bus, &[full]);
        assert_eq!((status, &answer["FailedEntryCount"]), (200, &json!(0)));
        let id = answer["Entries"][0]["EventId"].as_str().unwrap();
        assert_eq!(id.split('-').map(str::len).collect::<Vec<_>>(), [8, 4, 4, 4, 12]);
        let expected = r#"{"account":"000000000000","detail":{"a":["\ufffe",{}],"b":12345678901234567.890},"#
            .to_owned()
            + &format!(r#""detail-type":"customer.created","id":"{id}","region":"us-east-1","resources":["arn:x"],"#)
            + r#""source":"/clientele/x","time":"2023-11-14T22:13:20Z","version":"0"}"#;
        assert_eq!(&*bus.recent()[0].json, expected);
    }

    #[rstest]
    #[case(json!({}), "InvalidArgument", "Parameter Source is not valid. Reason: Source is a required argument.")]
    #[case(json!({ "Source": "" }), "InvalidArgument", "Parameter Source is not valid. Reason: Source is a required argument.")]
    #[case(json!({ "Source": "s" }), "InvalidArgument", "Parameter DetailType is not valid. Reason: DetailType is a required argument.")]
    #[case(json!({ "Source": "s", "DetailType": "t" }), "InvalidArgument", "Parameter Detail is not valid. Reason: Detail is a required argument.")]
    #[case(json!({ "Source": "aws.s", "DetailType": "t", "Detail": "{}" }), "NotAuthorizedForSourceException", "Not authorized for the source.")]
    #[case(entry("[]"), "MalformedDetail", "Detail is malformed.")]
    #[case(entry("{"), "MalformedDetail", "Detail is malformed.")]
    #[case(entry(r#"{"a":[9223372036854775808]}"#), "MalformedDetail", "Detail is malformed.")]
    #[case(entry(r#"{"a":-9223372036854775809}"#), "MalformedDetail", "Detail is malformed.")]
    fn an_entry_is_refused_and_the_others_are_not(#[case] wrong: Value, #[case] code: &str, #[case] message: &str) {
        let bus = EventBus::default();
        let right = entry(r#"{"a":[9223372036854775807,-9223372036854775808,1e99,9223372036854775808.5]}"#);
        let (status, answer) = put(&bus, &[right.clone(), wrong, right]);
        assert_eq!((status, &answer["FailedEntryCount"]), (200, &json!(1)));
        assert_eq!(answer["Entries"][1], json!({ "ErrorCode": code, "ErrorMessage": message }));
        assert!(answer["Entries"][0]["EventId"].is_string() && answer["Entries"][2]["EventId"].is_string());
        assert_eq!(bus.recent().iter().map(|event| event.number).collect::<Vec<_>>(), [1, 2]);
    }

    #[test]
    fn a_request_over_the_limits_is_refused() {
        let bus = EventBus::default();
        let of_bytes = |bytes: usize| {
            let mut entry = entry("{}");
            let rest = entry["Source"].as_str().unwrap().len() + "customer.created".len() + r#"{"a":""}"#.len();
            entry["Detail"] = format!(r#"{{"a":"{}"}}"#, "x".repeat(bytes - rest)).into();
            entry
        };
        let half = REQUEST_BYTES_MAX / 2;
        assert_eq!(put(&bus, &[of_bytes(half), of_bytes(half)]).1["FailedEntryCount"], 0);
        let too_large = "Total size of the entries in the request is over the limit.";
        let mut with_time = of_bytes(half - TIME_BYTES + 1);
        with_time["Time"] = json!(0);
        for entries in [[of_bytes(half), of_bytes(half + 1)], [of_bytes(half), with_time]] {
            let refused = json!({ "__type": "ValidationException", "message": too_large });
            assert_eq!(put(&bus, &entries), (400, refused));
        }
        assert_eq!(put(&bus, &vec![entry("{}"); 10]).1["FailedEntryCount"], 0);
        for (number, limit) in [(0, "greater than or equal to 1"), (11, "less than or equal to 10")] {
            let (status, answer) = put(&bus, &vec![entry("{}"); number]);
            assert_eq!((status, &answer["__type"]), (400, &json!("ValidationException")));
            assert!(answer["message"].as_str().unwrap().ends_with(limit), "{answer}");
        }
        assert_eq!(bus.put_events(b"x").1["__type"], "SerializationException");
        assert_eq!(bus.recent().len(), 12);
    }

    #[test]
    fn the_last_events_are_kept() {
        let (bus, last) = (EventBus::default(), u64::try_from(RECENT_MAX).unwrap() + 5);
        for _ in 0..last {
            put(&bus, &[entry("{}")]);
        }
        let recent = bus.recent();
        assert_eq!((recent.len(), recent[0].number, recent[RECENT_MAX - 1].number), (RECENT_MAX, 6, last));
    }
}
