//! The log: JSON lines, one for each event of a delivery, with nothing secret or personal in them.

use std::time::Duration;

use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use clientele_model::{CustomerEvent, Outcome, Rejected, Untranslatable};
use sha2::{Digest, Sha256};
use tracing::Subscriber;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;

/// The target of our own lines. No other target is ever written: at their finer levels the SDK and the HTTP stack log
/// whole requests, which hold personal data.
pub(crate) const TARGET: &str = "clientele";

/// The most characters of a text from outside in a log line.
const TEXT_CHARS_MAX: usize = 128;

/// A subscriber that writes our lines as JSON. `level` is the value of `POWERTOOLS_LOG_LEVEL`; `INFO` unless it is
/// readable.
pub fn subscriber<W>(writer: W, level: Option<String>) -> impl Subscriber + Send + Sync
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let level = level.and_then(|level| self::level(&level));
    let lines = tracing_subscriber::fmt::layer()
        .json()
        .flatten_event(true)
        .with_current_span(false)
        .with_span_list(false)
        .with_target(false)
        .with_writer(writer);
    tracing_subscriber::registry()
        .with(Targets::new().with_target(TARGET, level.unwrap_or(LevelFilter::INFO)))
        .with(lines)
}

/// The level that Powertools' word stands for.
pub(crate) fn level(word: &str) -> Option<LevelFilter> {
    match word.to_ascii_uppercase().as_str() {
        "CRITICAL" => Some(LevelFilter::ERROR),
        "WARNING" => Some(LevelFilter::WARN),
        "TRACE" | "DEBUG" | "INFO" | "WARN" | "ERROR" | "OFF" => word.parse().ok(),
        _ => None,
    }
}

/// What the lines of one delivery share.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Delivered<'a> {
    pub(crate) provider: &'static str,
    pub(crate) request_id: &'a str,
}

impl Delivered<'_> {
    pub(crate) fn refused(self, reason: Rejected, duration: Duration) {
        let Self { provider, request_id } = self;
        let (outcome, reason) = (reason.outcome().word(), reason.name());
        tracing::warn!(target: TARGET, provider, request_id, outcome, reason, duration_ms = millis(duration), "refused");
    }

    pub(crate) fn settled(self, event: &CustomerEvent, outcome: Outcome, duration: Duration) {
        let Self { provider, request_id } = self;
        tracing::info!(
            target: TARGET,
            provider,
            request_id,
            event_id = bounded(event.id()),
            event_type = bounded(event.kind()),
            customer = customer_hash(&event.key().to_string()),
            outcome = outcome.word(),
            duration_ms = millis(duration),
            "event"
        );
    }

    pub(crate) fn failed(self, event: &CustomerEvent, error: &dyn std::fmt::Display) {
        let Self { provider, request_id } = self;
        let (event_id, customer) = (bounded(event.id()), customer_hash(&event.key().to_string()));
        tracing::error!(target: TARGET, provider, request_id, event_id, customer, %error, "not applied");
    }

    pub(crate) fn ignored(self, kind: &str, duration: Duration) {
        let Self { provider, request_id } = self;
        let (event_type, outcome) = (bounded(kind), Outcome::Ignored.word());
        tracing::info!(target: TARGET, provider, request_id, event_type, outcome, duration_ms = millis(duration), "event");
    }

    pub(crate) fn untranslatable(self, error: Untranslatable, outcome: Outcome, duration: Duration) {
        let Self { provider, request_id } = self;
        let (outcome, duration_ms) = (outcome.word(), millis(duration));
        tracing::error!(target: TARGET, provider, request_id, %error, outcome, duration_ms, "not understood");
    }
}

/// The customer, recognisable across lines but not readable from them.
fn customer_hash(pk: &str) -> String {
    hex::encode(&Sha256::digest(pk)[..8])
}

fn bounded(text: &str) -> &str {
    text.char_indices().nth(TEXT_CHARS_MAX).map_or(text, |(end, _)| &text[..end])
}

fn millis(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e3
}

/// What is told of an SDK error: its kind and code. Its message may quote what was sent.
pub(crate) fn sdk_error<E: ProvideErrorMetadata, R>(error: &SdkError<E, R>) -> String {
    match error {
        SdkError::ConstructionFailure(_) => "the request could not be built".to_owned(),
        SdkError::TimeoutError(_) => "timed out".to_owned(),
        SdkError::DispatchFailure(failure) if failure.is_timeout() => "timed out".to_owned(),
        SdkError::DispatchFailure(_) => "no connection".to_owned(),
        SdkError::ResponseError(_) => "the answer could not be read".to_owned(),
        SdkError::ServiceError(error) => error.err().code().unwrap_or("an error without a code").to_owned(),
        _ => "an unknown error".to_owned(),
    }
}
