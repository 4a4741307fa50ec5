//! The line of `reconcile` about one provider, with its metrics.

use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use metrique_writer_core::unit::Count;
use metrique_writer_core::value::MetricValue;
use metrique_writer_core::{Entry, EntryWriter};

use crate::directives::Directives;
use crate::invocation::Invocation;
use crate::reconcile_event::Window;
use crate::reconciler::{Comparisons, ProviderReconciliation};
use crate::telemetry::{LogLevel, Telemetry, describe_invocation};

/// What `reconcile` logs about one provider.
pub(crate) struct ReconcileLine<'a> {
    pub(crate) provider: &'static str,
    pub(crate) invocation: &'a Invocation,
    pub(crate) window: Window,
    pub(crate) is_cold: bool,
    pub(crate) result: &'a ProviderReconciliation,
    pub(crate) duration: Duration,
    /// When the run ended, for all providers the same: an alarm looks at the last minutes, and adds what the providers have
    /// in the same five.
    pub(crate) ended_at: Timestamp,
}

impl Telemetry {
    pub(crate) fn log_reconciliation(&self, line: &ReconcileLine<'_>) {
        self.write(Directives::default(), &ReconcileEntry { telemetry: self, line });
    }
}

struct ReconcileEntry<'a> {
    telemetry: &'a Telemetry,
    line: &'a ReconcileLine<'a>,
}

impl Entry for ReconcileEntry<'_> {
    fn write<'a>(&'a self, writer: &mut impl EntryWriter<'a>) {
        let ReconcileLine { provider, result, .. } = self.line;
        writer.timestamp(SystemTime::from(self.line.ended_at));
        writer.value("service", self.telemetry.service());
        writer.value("provider", *provider);
        let (level, reason) = match result {
            ProviderReconciliation::NoApiKey => {
                // What an earlier run found keeps an alarm on until there is another value.
                write_metrics(writer, [("Recovered", 0), ("ReconcileFailed", 0)]);
                (LogLevel::Info, Some("no API key is set"))
            }
            ProviderReconciliation::Compared(comparisons) => {
                write_metrics(writer, metrics(comparisons));
                (level(comparisons), comparisons.failure.as_deref())
            }
        };
        if self.telemetry.describes(level) {
            self.describe(writer, level, reason);
        }
    }
}

impl ReconcileEntry<'_> {
    fn describe<'a>(&'a self, writer: &mut impl EntryWriter<'a>, level: LogLevel, reason: Option<&'a str>) {
        let ReconcileLine { invocation, window, is_cold, duration, .. } = self.line;
        describe_invocation(writer, invocation, level, "reconciliation", *is_cold);
        writer.value("since", format!("{:.3}", window.since).as_str());
        writer.value("until", format!("{:.3}", window.until).as_str());
        writer.value("reason", &reason);
        writer.value("duration_ms", format!("{:.3}", duration.as_secs_f64() * 1e3).as_str());
    }
}

/// All metrics, also those that are 0: alarms keep their state until the next line. But a failed run that has recovered
/// nothing does not know whether webhooks are being lost.
fn metrics(comparisons: &Comparisons) -> impl Iterator<Item = (&'static str, u64)> {
    let Comparisons { checked, recovered, different, untranslatable, deletes, failure, .. } = comparisons;
    let metrics = [
        ("ReconcileChecked", *checked),
        ("Recovered", *recovered),
        ("ReconcileDifferent", *different),
        ("ReconcileUntranslatable", *untranslatable),
        ("ReconcileDeletes", *deletes),
        ("ReconcileFailed", u64::from(failure.is_some())),
    ];
    let is_unknown = failure.is_some() && *recovered == 0;
    metrics.into_iter().filter(move |(name, _)| !(is_unknown && *name == "Recovered"))
}

fn write_metrics<'a>(writer: &mut impl EntryWriter<'a>, metrics: impl IntoIterator<Item = (&'static str, u64)>) {
    for (name, number) in metrics {
        writer.value(name, &number.with_unit::<Count>());
    }
}

fn level(comparisons: &Comparisons) -> LogLevel {
    let Comparisons { recovered, different, untranslatable, deletes, deletes_unverified, failure, .. } = comparisons;
    if failure.is_some() {
        LogLevel::Error
    } else if [recovered, different, untranslatable, deletes, deletes_unverified].iter().any(|number| **number > 0) {
        LogLevel::Warning
    } else {
        LogLevel::Info
    }
}
