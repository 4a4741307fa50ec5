//! The event bus in EventBridge.

use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_eventbridge::Client;
use aws_sdk_eventbridge::config::http::HttpResponse;
use aws_sdk_eventbridge::operation::put_events::{PutEventsError, PutEventsOutput};
use aws_sdk_eventbridge::primitives::DateTime;
use aws_sdk_eventbridge::types::{PutEventsRequestEntry, PutEventsResultEntry};
use clientele_flow::{BusError, EventBus, EventResult};
use clientele_model::ChangeEvent;

use crate::sdk_error;

/// The status of a request that is too large.
const PAYLOAD_TOO_LARGE: u16 = 413;
/// The most characters of an error code.
const CODE_CHARS_MAX: usize = 64;

/// An event bus in EventBridge.
#[derive(Clone, Debug)]
pub struct EventBridgeBus {
    client: Client,
    name: String,
}

impl EventBridgeBus {
    /// The bus of that name or ARN.
    #[must_use]
    pub fn new(client: Client, name: String) -> Self {
        Self { client, name }
    }

    fn entry(&self, event: &ChangeEvent) -> PutEventsRequestEntry {
        PutEventsRequestEntry::builder()
            .event_bus_name(&self.name)
            .source(&event.source)
            .detail_type(event.kind.as_str())
            .time(DateTime::from_millis(event.at.as_millisecond()))
            .detail(&event.detail)
            .build()
    }
}

impl EventBus for EventBridgeBus {
    async fn put(&self, events: &[ChangeEvent]) -> Result<Vec<EventResult>, BusError> {
        let entries = events.iter().map(|event| self.entry(event)).collect();
        let output = self.client.put_events().set_entries(Some(entries)).send().await;
        results(output.map_err(|error| call_error(&error))?)
    }
}

fn results(output: PutEventsOutput) -> Result<Vec<EventResult>, BusError> {
    let results: Vec<_> = output.entries.unwrap_or_default().iter().map(result).collect();
    let failed = results.iter().filter(|result| **result != EventResult::Accepted).count();
    // Rather send events twice than lose one.
    if usize::try_from(output.failed_entry_count).is_ok_and(|count| count == failed) {
        Ok(results)
    } else {
        Err(BusError::Unavailable("its answer contradicts itself".to_owned()))
    }
}

fn result(entry: &PutEventsResultEntry) -> EventResult {
    let Some(code) = entry.error_code() else {
        return if entry.event_id().is_some() {
            EventResult::Accepted
        } else {
            EventResult::Failed("an event has no id".to_owned())
        };
    };
    match code {
        // The codes that are about the content, of those that the API names
        // (<https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_PutEventsResultEntry.html>). The others are
        // about permissions, which an operator can grant, or pass by themselves.
        "InvalidArgument" | "MalformedDetail" | "RedactionFailure" => EventResult::Refused(code.to_owned()),
        _ => EventResult::Failed(if is_code(code) { code.to_owned() } else { "an unknown error".to_owned() }),
    }
}

/// Whether the text looks like a code. Any other text may quote an event.
fn is_code(text: &str) -> bool {
    !text.is_empty() && text.len() <= CODE_CHARS_MAX && text.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

fn call_error(error: &SdkError<PutEventsError, HttpResponse>) -> BusError {
    let is_too_large = error.raw_response().is_some_and(|answer| answer.status().as_u16() == PAYLOAD_TOO_LARGE);
    let is_refused = is_too_large || error.code().is_some_and(|code| code == "ValidationException");
    let why = sdk_error::describe(error);
    if is_refused { BusError::Refused(why) } else { BusError::Unavailable(why) }
}
