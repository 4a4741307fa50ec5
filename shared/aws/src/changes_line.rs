//! The line of `changes` about one batch, with its metrics.

use std::time::{Duration, SystemTime};

use clientele_flow::FeedReport;
use metrique_writer_core::unit::Count;
use metrique_writer_core::value::MetricValue;
use metrique_writer_core::{Entry, EntryWriter};

use crate::directives::Directives;
use crate::invocation::Invocation;
use crate::telemetry::{LogLevel, Telemetry, count, describe_invocation};

/// What `changes` logs about one batch.
pub(crate) struct ChangesLine<'a> {
    pub(crate) invocation: &'a Invocation,
    pub(crate) is_cold: bool,
    /// How many records the batch has.
    pub(crate) records: usize,
    pub(crate) report: &'a FeedReport,
    pub(crate) duration: Duration,
}

impl Telemetry {
    pub(crate) fn log_changes(&self, line: &ChangesLine<'_>) {
        self.write(Directives::default(), &ChangesEntry { telemetry: self, line });
    }
}

struct ChangesEntry<'a> {
    telemetry: &'a Telemetry,
    line: &'a ChangesLine<'a>,
}

impl Entry for ChangesEntry<'_> {
    fn write<'a>(&'a self, writer: &mut impl EntryWriter<'a>) {
        let ChangesLine { invocation, is_cold, report, .. } = self.line;
        writer.timestamp(SystemTime::from(invocation.received_at));
        writer.value("service", self.telemetry.service());
        // All metrics, also those that are 0: alarms keep their state until the next line.
        writer.value("ChangesSent", &count(report.sent));
        writer.value("ChangesRefused", &count(report.refused));
        writer.value("ChangesFailed", &u64::from(report.failed_from.is_some()).with_unit::<Count>());
        writer.value("ChangesOmitted", &count(report.omitted));
        if *is_cold {
            writer.value("ColdStart", &1_u64.with_unit::<Count>());
        }
        let level = level(report);
        if self.telemetry.describes(level) {
            self.describe(writer, level);
        }
    }
}

impl ChangesEntry<'_> {
    fn describe<'a>(&'a self, writer: &mut impl EntryWriter<'a>, level: LogLevel) {
        let ChangesLine { invocation, is_cold, records, report, duration } = self.line;
        describe_invocation(writer, invocation, level, "changes", *is_cold);
        writer.value("records", records.to_string().as_str());
        writer.value("unchanged", report.unchanged.to_string().as_str());
        writer.value("reason", &report.error.as_deref());
        writer.value("duration_ms", format!("{:.3}", duration.as_secs_f64() * 1e3).as_str());
    }
}

fn level(report: &FeedReport) -> LogLevel {
    if report.failed_from.is_some() {
        LogLevel::Error
    } else if report.refused > 0 || report.omitted > 0 {
        LogLevel::Warning
    } else {
        LogLevel::Info
    }
}
