//! The line of `receipts` about one batch, with its metrics.

use std::time::{Duration, SystemTime};

use metrique_writer_core::unit::Count;
use metrique_writer_core::value::MetricValue;
use metrique_writer_core::{Entry, EntryWriter};

use crate::directives::Directives;
use crate::invocation::Invocation;
use crate::receipt_recorder::ReceiptsReport;
use crate::telemetry::{LogLevel, Telemetry, count, describe_invocation};

/// What `receipts` logs about one batch.
pub(crate) struct ReceiptsLine<'a> {
    pub(crate) invocation: &'a Invocation,
    pub(crate) is_cold: bool,
    pub(crate) report: &'a ReceiptsReport,
    pub(crate) duration: Duration,
}

impl Telemetry {
    pub(crate) fn log_receipts(&self, line: &ReceiptsLine<'_>) {
        self.write(Directives::default(), &ReceiptsEntry { telemetry: self, line });
    }
}

struct ReceiptsEntry<'a> {
    telemetry: &'a Telemetry,
    line: &'a ReceiptsLine<'a>,
}

impl Entry for ReceiptsEntry<'_> {
    fn write<'a>(&'a self, writer: &mut impl EntryWriter<'a>) {
        let ReceiptsLine { invocation, is_cold, report, duration } = self.line;
        writer.timestamp(SystemTime::from(invocation.received_at));
        writer.value("service", self.telemetry.service());
        writer.value("ReceiptsRecorded", &count(report.recorded));
        writer.value("ReceiptsFailed", &count(report.failed.len()));
        if *is_cold {
            writer.value("ColdStart", &1_u64.with_unit::<Count>());
        }
        let level = if report.failed.is_empty() { LogLevel::Info } else { LogLevel::Warning };
        if self.telemetry.describes(level) {
            describe_invocation(writer, invocation, level, "receipts", *is_cold);
            writer.value("completed", report.completed.to_string().as_str());
            writer.value("reason", &report.error.as_deref());
            writer.value("duration_ms", format!("{:.3}", duration.as_secs_f64() * 1e3).as_str());
        }
    }
}
