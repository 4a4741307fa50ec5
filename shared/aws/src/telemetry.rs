//! One line for each event of a delivery, log and metrics at once: the embedded metric format of CloudWatch
//! (<https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html>)
//! with the keys of Powertools for AWS Lambda. There is nothing secret or personal in it.
//!
//! Nothing else is ever logged. The SDK's own log holds whole requests at its finer levels, and with them personal data:
//! it is not even compiled.

use std::fmt;
use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use clientele_flow::{SettledEvent, SweepReport};
use clientele_model::{CustomerEvent, Outcome, Rejection, Translated};
use jiff::Timestamp;
use metrique_writer_core::format::Format;
use metrique_writer_core::unit::{Count, Millisecond};
use metrique_writer_core::value::MetricValue;
use metrique_writer_core::{Entry, EntryWriter, Unit};
use metrique_writer_format_emf::{Emf, MetricDefinition, MetricDirective};
use sha2::{Digest, Sha256};

use crate::gateway::Invocation;

/// Where lines go. Each is written with one call, its line feed included.
pub type Lines = Box<dyn Write + Send>;

/// The most characters of a text from outside in a line.
const TEXT_CHARS_MAX: usize = 128;

/// How much of a line is wanted (`POWERTOOLS_LOG_LEVEL`). Metrics are always in it; what describes the event only from
/// this level on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Everything. There is nothing finer.
    #[default]
    Info,
    /// Refusals, and what went wrong.
    Warning,
    /// What could not be kept.
    Error,
}

impl Level {
    /// The level that Powertools' word stands for.
    pub(crate) fn parse(word: &str) -> Option<Self> {
        match word.to_ascii_uppercase().as_str() {
            "TRACE" | "DEBUG" | "INFO" => Some(Self::Info),
            "WARN" | "WARNING" => Some(Self::Warning),
            "ERROR" | "CRITICAL" => Some(Self::Error),
            _ => None,
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Info => "INFO",
            Self::Warning => "WARNING",
            Self::Error => "ERROR",
        }
    }

    /// How much an outcome is to be looked at.
    fn of(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Applied | Outcome::Duplicate | Outcome::Stale | Outcome::Ignored => Self::Info,
            Outcome::Parked | Outcome::Quarantined | Outcome::Rejected | Outcome::TooLarge => Self::Warning,
            Outcome::Unavailable => Self::Error,
        }
    }
}

/// What names the lines and metrics of a function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Naming {
    /// `POWERTOOLS_SERVICE_NAME`
    pub service: String,
    /// `POWERTOOLS_METRICS_NAMESPACE`
    pub namespace: String,
    /// `POWERTOOLS_LOG_LEVEL`
    pub level: Level,
}

/// Writes the lines of a function.
pub(crate) struct Telemetry {
    naming: Naming,
    output: Mutex<(Emf, Lines)>,
    is_cold: AtomicBool,
}

impl fmt::Debug for Telemetry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Telemetry").field("naming", &self.naming).finish_non_exhaustive()
    }
}

impl Telemetry {
    /// For a function that settles events.
    pub(crate) fn of_events(naming: Naming, lines: Lines) -> Self {
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let count = |name| MetricDefinition { name, unit: Unit::Count, storage_resolution: None };
        // Every metric is counted by provider; those two by one more thing each.
        let by = |dimension, metric| MetricDirective {
            dimensions: vec![vec!["service", "provider", dimension]],
            metrics: vec![count(metric)],
            namespace: &naming.namespace,
        };
        let emf = Emf::builder(naming.namespace.clone(), vec![owned(&["service", "provider"])])
            .directive(by("outcome", "Events"))
            .directive(by("secret", "Verified"))
            .build();
        Self::new(emf, naming, lines)
    }

    /// For a function that serves all providers at once.
    pub(crate) fn of_service(naming: Naming, lines: Lines) -> Self {
        let emf = Emf::builder(naming.namespace.clone(), vec![vec!["service".to_owned()]]).build();
        Self::new(emf, naming, lines)
    }

    fn new(emf: Emf, naming: Naming, lines: Lines) -> Self {
        Self { naming, output: Mutex::new((emf, lines)), is_cold: AtomicBool::new(true) }
    }

    /// The lines of a delivery of that provider.
    pub(crate) fn delivery<'a>(
        &'a self,
        provider: &'a str,
        invocation: &'a Invocation,
        correlation_id: &'a str,
    ) -> Delivered<'a> {
        let is_cold = self.is_cold.swap(false, Ordering::Relaxed);
        Delivered { telemetry: self, provider, invocation, correlation_id, is_cold, is_first: AtomicBool::new(true) }
    }

    /// The line of a sweep.
    pub(crate) fn swept(&self, invocation: &Invocation, swept: &SweepReport, duration: Duration) {
        let is_cold = self.is_cold.swap(false, Ordering::Relaxed);
        self.write(&SweepLine { telemetry: self, invocation, is_cold, swept, duration });
    }

    fn write(&self, line: &impl Entry) {
        let mut text = Vec::with_capacity(1_024);
        let mut output = self.output.lock().unwrap_or_else(PoisonError::into_inner);
        let (emf, lines) = &mut *output;
        // A line that cannot be written is no reason to fail a delivery.
        if emf.format(line, &mut text).is_ok() {
            drop(lines.write_all(&text).and_then(|()| lines.flush()));
        }
    }
}

/// The lines of one delivery.
#[derive(Debug)]
pub(crate) struct Delivered<'a> {
    telemetry: &'a Telemetry,
    provider: &'a str,
    invocation: &'a Invocation,
    correlation_id: &'a str,
    is_cold: bool,
    /// What is counted once for a delivery is in the first of its lines.
    is_first: AtomicBool,
}

/// What happened to one event, or to the whole delivery.
#[derive(Debug, Default)]
pub(crate) struct Happened<'a> {
    pub(crate) outcome: Option<Outcome>,
    /// Why, where that is not plain: from the code, never from what was sent.
    pub(crate) reason: Option<String>,
    /// What went wrong without changing the outcome.
    pub(crate) warning: Option<String>,
    /// Which secret matched, from 0.
    pub(crate) secret: Option<usize>,
    pub(crate) event: Option<&'a CustomerEvent>,
    /// The type of an event that is not about a customer.
    pub(crate) kind: Option<&'a str>,
    pub(crate) write_units: Option<f64>,
    pub(crate) duration: Duration,
}

impl Delivered<'_> {
    pub(crate) fn refused(&self, reason: Rejection, warning: Option<String>, duration: Duration) {
        let (outcome, reason) = (Some(reason.outcome()), Some(reason.as_str().to_owned()));
        self.write(&Happened { outcome, reason, warning, duration, ..Happened::default() });
    }

    /// What came of each event; one line still, where there was none.
    pub(crate) fn settled(
        &self,
        settled: &[SettledEvent],
        secret: Option<usize>,
        trouble: Option<&str>,
        duration: Duration,
    ) {
        for settled in settled {
            let SettledEvent { translation, outcome, reason, warning, write_units, duration, .. } = settled;
            let (event, kind) = match translation {
                Ok(Translated::Event(event)) => (Some(&**event), None),
                Ok(Translated::Ignored(kind)) => (None, Some(kind.as_str())),
                Ok(Translated::AlreadySettled) | Err(_) => (None, None),
            };
            let warning = warning.as_deref().or(trouble).map(str::to_owned);
            let (outcome, reason, write_units, duration) = (Some(*outcome), reason.clone(), *write_units, *duration);
            self.write(&Happened { outcome, reason, warning, secret, event, kind, write_units, duration });
        }
        if settled.is_empty() {
            let warning = trouble.map(str::to_owned);
            self.write(&Happened { warning, secret, duration, ..Happened::default() });
        }
    }

    pub(crate) fn write(&self, happened: &Happened<'_>) {
        let is_first = self.is_first.swap(false, Ordering::Relaxed);
        let level = happened.outcome.map_or(Level::Info, Level::of);
        let level = if happened.warning.is_some() { level.max(Level::Warning) } else { level };
        self.telemetry.write(&Line { delivered: self, is_first, level, happened });
    }
}

/// One line.
struct Line<'a> {
    delivered: &'a Delivered<'a>,
    is_first: bool,
    level: Level,
    happened: &'a Happened<'a>,
}

impl Entry for Line<'_> {
    fn write<'a>(&'a self, writer: &mut impl EntryWriter<'a>) {
        let Happened { outcome, secret, event, .. } = self.happened;
        let Delivered { telemetry, provider, invocation, is_cold, .. } = self.delivered;
        writer.timestamp(SystemTime::from(invocation.received_at));
        writer.value("service", telemetry.naming.service.as_str());
        writer.value("provider", *provider);
        if let Some(outcome) = outcome {
            writer.value("outcome", outcome.as_str());
            writer.value("Events", &1_u64.with_unit::<Count>());
        }
        if let Some(secret) = secret {
            writer.value("secret", (secret + 1).to_string().as_str());
            if self.is_first {
                writer.value("Verified", &1_u64.with_unit::<Count>());
            }
        }
        if self.is_first && *is_cold {
            writer.value("ColdStart", &1_u64.with_unit::<Count>());
        }
        // The age on arrival: what is replayed arrived before.
        if let Some(age) = event.filter(|_| secret.is_some()).and_then(|event| age_ms(event, invocation.received_at)) {
            writer.value("Age", &age.with_unit::<Millisecond>());
        }
        if self.level >= telemetry.naming.level {
            self.describe(writer);
        }
    }
}

impl Line<'_> {
    fn describe<'a>(&'a self, writer: &mut impl EntryWriter<'a>) {
        let Happened { outcome, reason, warning, event, kind, write_units, duration, .. } = self.happened;
        let Delivered { invocation, correlation_id, is_cold, .. } = self.delivered;
        let message = if outcome.is_some() { "event" } else { "nothing in the delivery" };
        describe_invocation(writer, invocation, self.level, message, *is_cold);
        let texts = [
            ("correlation_id", Some(bounded(correlation_id)).filter(|id| !id.is_empty())),
            ("reason", reason.as_deref()),
            ("warning", warning.as_deref()),
            ("event_id", event.map(|event| bounded(event.id()))),
            ("event_type", event.map(CustomerEvent::kind).or(*kind).map(bounded)),
        ];
        for (name, text) in texts {
            writer.value(name, &text);
        }
        writer.value("customer", &event.map(|event| customer_hash(&event.key().to_string())));
        writer.value("write_units", &write_units.map(|units| units.to_string()));
        writer.value("duration_ms", format!("{:.3}", duration.as_secs_f64() * 1e3).as_str());
    }
}

/// What the lines of every function begin with.
fn describe_invocation<'a>(
    writer: &mut impl EntryWriter<'a>,
    invocation: &'a Invocation,
    level: Level,
    message: &'a str,
    is_cold: bool,
) {
    writer.value("timestamp", format!("{:.3}", invocation.received_at).as_str());
    writer.value("level", level.word());
    writer.value("message", message);
    writer.value("cold_start", if is_cold { "true" } else { "false" });
    writer.value("function_request_id", invocation.request_id.as_str());
    writer.value("xray_trace_id", &invocation.trace_id.as_deref().and_then(trace_id));
}

/// The line of a sweep.
struct SweepLine<'a> {
    telemetry: &'a Telemetry,
    invocation: &'a Invocation,
    is_cold: bool,
    swept: &'a SweepReport,
    duration: Duration,
}

impl Entry for SweepLine<'_> {
    fn write<'a>(&'a self, writer: &mut impl EntryWriter<'a>) {
        let Self { telemetry, invocation, is_cold, swept, duration } = self;
        let count = |number: usize| u64::try_from(number).unwrap_or(u64::MAX).with_unit::<Count>();
        writer.timestamp(SystemTime::from(invocation.received_at));
        writer.value("service", telemetry.naming.service.as_str());
        writer.value("CleanupsSent", &count(swept.sent));
        writer.value("CleanupsFailed", &count(swept.failed));
        if *is_cold {
            writer.value("ColdStart", &1_u64.with_unit::<Count>());
        }
        let level = match () {
            () if swept.failed > 0 => Level::Error,
            () if swept.sent > 0 || swept.is_cut_short => Level::Warning,
            () => Level::Info,
        };
        if level >= telemetry.naming.level {
            describe_invocation(writer, invocation, level, "sweep", *is_cold);
            writer.value("is_cut_short", if swept.is_cut_short { "true" } else { "false" });
            writer.value("reason", &swept.error.as_deref());
            writer.value("duration_ms", format!("{:.3}", duration.as_secs_f64() * 1e3).as_str());
        }
    }
}

/// The id in X-Ray's header, `Root=1-…;Parent=…;Sampled=…`, if it has its form.
fn trace_id(header: &str) -> Option<&str> {
    let id = header.split(';').find_map(|part| part.strip_prefix("Root="))?;
    let is_id = id.len() == 35 && id.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
    is_id.then_some(id)
}

/// How old an event was when it arrived, in milliseconds: since it was raised. The clocks are not one, so that it may
/// seem to come from the future.
fn age_ms(event: &CustomerEvent, now: Timestamp) -> Option<u64> {
    let raised = event.raised().timestamp()?;
    Some(u64::try_from(now.as_millisecond() - raised.as_millisecond()).unwrap_or_default())
}

/// A line for what is no event: a function that cannot start, or that crashes.
pub(crate) fn trouble(service: &str, message: &str, error: &str) {
    let now = Timestamp::now();
    let line = serde_json::json!({
        "level": "ERROR",
        "timestamp": format!("{now:.3}"),
        "message": message,
        "service": service,
        "error": error,
    });
    drop(writeln!(std::io::stdout(), "{line}"));
}

/// Tells of a panic only where it was, since its message may quote what was sent. (What the SDK and the runtime would
/// log is not even compiled: `max_level_off` in Cargo.toml.)
pub(crate) fn silence_panics(service: String) {
    std::panic::set_hook(Box::new(move |panic| {
        let place = panic.location().map_or_else(|| "somewhere".to_owned(), ToString::to_string);
        trouble(&service, "panic", &place);
    }));
}

/// The customer, recognisable across lines but not readable from them.
fn customer_hash(pk: &str) -> String {
    hex::encode(&Sha256::digest(pk)[..8])
}

fn bounded(text: &str) -> &str {
    text.char_indices().nth(TEXT_CHARS_MAX).map_or(text, |(end, _)| &text[..end])
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
