//! Writes one log line per event, which also carries the metrics, in CloudWatch's embedded metric format
//! (<https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html>)
//! with the keys of Powertools for AWS Lambda. A line contains no secret and no personal data.
//!
//! Apart from these lines, only failed starts and panics are logged. The logs of the SDK and of the Lambda runtime are
//! compiled out (`max_level_off` in Cargo.toml), because at their finer levels they contain whole requests, and with
//! them personal data.

use std::fmt;
use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use clientele_flow::{SettledEvent, SweepReport};
use clientele_model::{Change, CustomerEvent, Outcome, Provider, Rejection, Translated, UnknownFields};
use jiff::{SignedDuration, Timestamp};
use metrique_writer_core::format::Format;
use metrique_writer_core::unit::{Count, Millisecond};
use metrique_writer_core::value::MetricValue;
use metrique_writer_core::{Entry, EntryWriter};
use metrique_writer_format_emf::Emf;
use sha2::{Digest, Sha256};

use crate::directives::Directives;
use crate::invocation::Invocation;

/// Where log lines are written. Each line is one call, including its line feed.
pub type LogWriter = Box<dyn Write + Send>;

/// The most characters of a text that comes from a sender.
const TEXT_CHARS_MAX: usize = 128;
/// The length of a log line's `customer`.
pub const CUSTOMER_HASH_DIGITS: usize = 16;

const HOURS_PER_DAY: i64 = 24;

/// The level of a line, and the lowest level that is logged (`POWERTOOLS_LOG_LEVEL`). A line of a lower level has only
/// its metrics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    /// The lowest level: every event.
    #[default]
    Info,
    /// Rejected deliveries, and problems that did not lose anything.
    Warning,
    /// Events that could be neither written nor kept.
    Error,
}

impl LogLevel {
    /// The level of a word that Powertools uses.
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

    fn of(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Applied | Outcome::Duplicate | Outcome::Stale | Outcome::Ignored => Self::Info,
            Outcome::Parked | Outcome::Quarantined | Outcome::Rejected | Outcome::TooLarge => Self::Warning,
            Outcome::Unavailable | Outcome::Unverifiable => Self::Error,
        }
    }
}

/// How a function logs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TelemetrySettings {
    /// `POWERTOOLS_SERVICE_NAME`
    pub service: String,
    /// `POWERTOOLS_METRICS_NAMESPACE`
    pub namespace: String,
    /// `POWERTOOLS_LOG_LEVEL`
    pub level: LogLevel,
}

/// Writes the lines of a function.
pub(crate) struct Telemetry {
    settings: TelemetrySettings,
    output: Mutex<(Vec<Emf>, LogWriter)>,
    is_cold: AtomicBool,
}

impl fmt::Debug for Telemetry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Telemetry").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl Telemetry {
    /// With metrics per provider, for a function that settles events.
    pub(crate) fn per_provider(settings: TelemetrySettings, log: LogWriter) -> Self {
        let formats = Directives::ALL.map(|directives| directives.format(&settings.namespace));
        Self::new(formats.into(), settings, log)
    }

    /// With metrics of the whole function, for one whose work is not that of a single provider.
    pub(crate) fn per_service(settings: TelemetrySettings, log: LogWriter) -> Self {
        let emf = Emf::builder(settings.namespace.clone(), vec![vec!["service".to_owned()]]).build();
        Self::new(vec![emf], settings, log)
    }

    fn new(formats: Vec<Emf>, settings: TelemetrySettings, log: LogWriter) -> Self {
        Self { settings, output: Mutex::new((formats, log)), is_cold: AtomicBool::new(true) }
    }

    /// The log of one delivery. Its provider is `None` if it is not known.
    pub(crate) fn delivery_log<'a>(
        &'a self,
        provider: Option<&'static Provider>,
        invocation: &'a Invocation,
        correlation_id: &'a str,
    ) -> DeliveryLog<'a> {
        let is_cold = self.is_cold.swap(false, Ordering::Relaxed);
        let is_first = AtomicBool::new(true);
        DeliveryLog { telemetry: self, provider, invocation, correlation_id, is_cold, is_first, secrets_warning: None }
    }

    /// The age is that of the oldest open erasure, if the stack awaits receipts.
    pub(crate) fn log_sweep(
        &self,
        invocation: &Invocation,
        report: &SweepReport,
        open_erasure_age: Option<SignedDuration>,
        duration: Duration,
    ) {
        let is_cold = self.is_cold.swap(false, Ordering::Relaxed);
        let entry = SweepEntry { telemetry: self, invocation, is_cold, report, open_erasure_age, duration };
        self.write(Directives::default(), &entry);
    }

    /// The name of the function in its lines.
    pub(crate) fn service(&self) -> &str {
        &self.settings.service
    }

    /// Whether a line of that level describes what happened.
    pub(crate) fn describes(&self, level: LogLevel) -> bool {
        level >= self.settings.level
    }

    /// Whether this is the first invocation since the function was started.
    pub(crate) fn is_cold_start(&self) -> bool {
        self.is_cold.swap(false, Ordering::Relaxed)
    }

    pub(crate) fn write(&self, directives: Directives, line: &impl Entry) {
        let mut text = Vec::with_capacity(1_024);
        let mut output = self.output.lock().unwrap_or_else(PoisonError::into_inner);
        let (formats, log) = &mut *output;
        // A line that cannot be written must not fail a delivery.
        if formats.get_mut(directives.index()).is_some_and(|emf| emf.format(line, &mut text).is_ok()) {
            drop(log.write_all(&text).and_then(|()| log.flush()));
        }
    }
}

/// Writes the lines of one delivery.
#[derive(Debug)]
pub(crate) struct DeliveryLog<'a> {
    telemetry: &'a Telemetry,
    provider: Option<&'static Provider>,
    invocation: &'a Invocation,
    correlation_id: &'a str,
    is_cold: bool,
    /// The first line has the metrics that are counted once per delivery.
    is_first: AtomicBool,
    /// What is wrong with the provider's secrets: on every line that has no warning of its own, and counted once.
    pub(crate) secrets_warning: Option<String>,
}

/// What a line says about one event, or about a whole delivery.
#[derive(Debug, Default)]
pub(crate) struct LogLine<'a> {
    pub(crate) outcome: Option<Outcome>,
    /// The reason for the outcome, in words of the code, never of the sender.
    pub(crate) reason: Option<String>,
    /// A problem that did not change the outcome.
    pub(crate) warning: Option<String>,
    /// Which secret matched.
    pub(crate) secret_index: Option<usize>,
    pub(crate) event: Option<&'a CustomerEvent>,
    /// The type of an event that is ignored.
    pub(crate) ignored_type: Option<&'a str>,
    pub(crate) write_units: Option<f64>,
    pub(crate) duration: Duration,
}

impl DeliveryLog<'_> {
    pub(crate) fn write_rejected(&self, reason: Rejection, duration: Duration) {
        let (outcome, reason) = (Some(reason.outcome()), Some(reason.as_str().to_owned()));
        self.write(&LogLine { outcome, reason, duration, ..LogLine::default() });
    }

    /// One line per event, or a single line for a delivery without events.
    pub(crate) fn write_settled(
        &self,
        settled: &[SettledEvent],
        secret_index: Option<usize>,
        warning_of_delivery: Option<&str>,
        duration: Duration,
    ) {
        for settled in settled {
            let SettledEvent { translation, outcome, reason, warning, write_units, duration, .. } = settled;
            let (event, ignored_type) = match translation {
                Ok(Translated::Event(event)) => (Some(&**event), None),
                Ok(Translated::Ignored(event_type)) => (None, Some(event_type.as_str())),
                Ok(Translated::AlreadySettled) | Err(_) => (None, None),
            };
            let warning = warning.as_deref().or(warning_of_delivery).map(str::to_owned);
            let (outcome, reason, write_units, duration) = (Some(*outcome), reason.clone(), *write_units, *duration);
            self.write(&LogLine { outcome, reason, warning, secret_index, event, ignored_type, write_units, duration });
        }
        if settled.is_empty() {
            let warning = warning_of_delivery.map(str::to_owned);
            self.write(&LogLine { warning, secret_index, duration, ..LogLine::default() });
        }
    }

    pub(crate) fn write(&self, line: &LogLine<'_>) {
        let is_first = self.is_first.swap(false, Ordering::Relaxed);
        let level = line.outcome.map_or(LogLevel::Info, LogLevel::of);
        let warning = line.warning.as_deref().or(self.secrets_warning.as_deref());
        let level = if warning.is_some() { level.max(LogLevel::Warning) } else { level };
        let has_secret = is_first && line.secret_index.is_some();
        let directives = Directives { has_outcome: line.outcome.is_some(), has_secret };
        // Only a receiver counts them, so that an event counts once however often it is replayed.
        let provider = self.provider.filter(|_| line.secret_index.is_some());
        let unknown_fields = provider.and_then(|provider| Some(line.event?.unknown_fields(provider)));
        let unknown_fields = unknown_fields.filter(|fields| fields.count() > 0);
        self.telemetry.write(directives, &DeliveryEntry { log: self, is_first, level, warning, unknown_fields, line });
    }
}

/// A line with its context.
struct DeliveryEntry<'a> {
    log: &'a DeliveryLog<'a>,
    is_first: bool,
    level: LogLevel,
    warning: Option<&'a str>,
    /// `None` if there are none.
    unknown_fields: Option<UnknownFields<'a>>,
    line: &'a LogLine<'a>,
}

impl Entry for DeliveryEntry<'_> {
    fn write<'a>(&'a self, writer: &mut impl EntryWriter<'a>) {
        let LogLine { outcome, secret_index, event, .. } = self.line;
        let DeliveryLog { telemetry, provider, invocation, is_cold, .. } = self.log;
        writer.timestamp(SystemTime::from(invocation.received_at));
        writer.value("service", telemetry.settings.service.as_str());
        writer.value("provider", provider.map_or("unknown", |provider| provider.name));
        if let Some(outcome) = outcome {
            writer.value("outcome", outcome.as_str());
            writer.value("Events", &1_u64.with_unit::<Count>());
        }
        if *outcome == Some(Outcome::Applied)
            && event.is_some_and(|event| matches!(event.change(), Change::Deletion(_)))
        {
            writer.value("Deletes", &1_u64.with_unit::<Count>());
        }
        if let Some(index) = secret_index {
            writer.value("secret", (index + 1).to_string().as_str());
            if self.is_first {
                writer.value("Verified", &1_u64.with_unit::<Count>());
            }
        }
        if self.is_first && *is_cold {
            writer.value("ColdStart", &1_u64.with_unit::<Count>());
        }
        if self.is_first && self.log.secrets_warning.is_some() {
            writer.value("SecretProblems", &1_u64.with_unit::<Count>());
        }
        if let Some(fields) = self.unknown_fields {
            writer.value("UnknownFields", &count(fields.count()));
            writer.value("unknown_fields", fields.to_string().as_str());
        }
        // The age on arrival, therefore not of a replayed event, which arrived earlier.
        if let Some(age) =
            event.filter(|_| secret_index.is_some()).and_then(|event| age_ms(event, invocation.received_at))
        {
            writer.value("Age", &age.with_unit::<Millisecond>());
        }
        if self.level >= telemetry.settings.level {
            self.describe(writer);
        }
    }
}

impl DeliveryEntry<'_> {
    fn describe<'a>(&'a self, writer: &mut impl EntryWriter<'a>) {
        let LogLine { outcome, reason, event, ignored_type, write_units, duration, .. } = self.line;
        let DeliveryLog { invocation, correlation_id, is_cold, .. } = self.log;
        let message = if outcome.is_some() { "event" } else { "nothing in the delivery" };
        describe_invocation(writer, invocation, self.level, message, *is_cold);
        let texts = [
            ("correlation_id", Some(truncated(correlation_id)).filter(|id| !id.is_empty())),
            ("reason", reason.as_deref()),
            ("warning", self.warning),
            ("event_id", event.map(|event| truncated(event.id()))),
            ("event_type", event.map(CustomerEvent::kind).or(*ignored_type).map(truncated)),
        ];
        for (name, text) in texts {
            writer.value(name, &text);
        }
        writer.value("customer", &event.map(|event| customer_hash(&event.key().to_string())));
        writer.value("write_units", &write_units.map(|units| units.to_string()));
        writer.value("duration_ms", format!("{:.3}", duration.as_secs_f64() * 1e3).as_str());
    }
}

/// The fields at the beginning of the lines of every function.
pub(crate) fn describe_invocation<'a>(
    writer: &mut impl EntryWriter<'a>,
    invocation: &'a Invocation,
    level: LogLevel,
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

struct SweepEntry<'a> {
    telemetry: &'a Telemetry,
    invocation: &'a Invocation,
    is_cold: bool,
    report: &'a SweepReport,
    open_erasure_age: Option<SignedDuration>,
    duration: Duration,
}

impl Entry for SweepEntry<'_> {
    fn write<'a>(&'a self, writer: &mut impl EntryWriter<'a>) {
        let Self { telemetry, invocation, is_cold, report, open_erasure_age, duration } = self;
        writer.timestamp(SystemTime::from(invocation.received_at));
        writer.value("service", telemetry.settings.service.as_str());
        writer.value("CleanupsSent", &count(report.sent));
        writer.value("CleanupsFailed", &count(report.failed));
        if let Some(age) = open_erasure_age {
            let days = u64::try_from(age.as_hours() / HOURS_PER_DAY).unwrap_or_default();
            writer.value("OpenErasureAgeDays", &days.with_unit::<Count>());
        }
        if *is_cold {
            writer.value("ColdStart", &1_u64.with_unit::<Count>());
        }
        let level = match () {
            () if report.failed > 0 => LogLevel::Error,
            () if report.sent > 0 || report.is_cut_short => LogLevel::Warning,
            () => LogLevel::Info,
        };
        if level >= telemetry.settings.level {
            describe_invocation(writer, invocation, level, "sweep", *is_cold);
            writer.value("is_cut_short", if report.is_cut_short { "true" } else { "false" });
            writer.value("reason", &report.error.as_deref());
            writer.value("duration_ms", format!("{:.3}", duration.as_secs_f64() * 1e3).as_str());
        }
    }
}

pub(crate) fn count(number: usize) -> impl MetricValue {
    u64::try_from(number).unwrap_or(u64::MAX).with_unit::<Count>()
}

/// The id in X-Ray's trace header, `Root=1-…;Parent=…;Sampled=…`, if it has the form of one.
fn trace_id(header: &str) -> Option<&str> {
    let id = header.split(';').find_map(|part| part.strip_prefix("Root="))?;
    let is_id = id.len() == 35 && id.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
    is_id.then_some(id)
}

/// The age of an event on arrival, in milliseconds. It is 0 if the event seems to come from the future, because the
/// provider's clock is ahead of ours.
fn age_ms(event: &CustomerEvent, now: Timestamp) -> Option<u64> {
    let raised = event.raised_at()?;
    Some(u64::try_from(now.as_millisecond() - raised.as_millisecond()).unwrap_or_default())
}

/// Logs an error that concerns no event: the function cannot start, or it panics.
pub(crate) fn log_error(service: &str, message: &str, error: &str) {
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

/// Makes panics log only their place in the code, because their message may quote what was sent.
pub(crate) fn log_only_places_of_panics(service: String) {
    std::panic::set_hook(Box::new(move |panic| {
        let place = panic.location().map_or_else(|| "somewhere".to_owned(), ToString::to_string);
        log_error(&service, "panic", &place);
    }));
}

/// The attribute `customer` of a log line: a hash of the customer's key, which connects the lines of a customer without
/// showing the key. It has [`CUSTOMER_HASH_DIGITS`] hexadecimal digits.
#[must_use]
pub fn customer_hash(pk: &str) -> String {
    hex::encode(&Sha256::digest(pk)[..CUSTOMER_HASH_DIGITS / 2])
}

fn truncated(text: &str) -> &str {
    text.char_indices().nth(TEXT_CHARS_MAX).map_or(text, |(end, _)| &text[..end])
}
