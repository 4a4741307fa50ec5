//! The function behind the queue `receipts`. It records that systems have erased their copies of a deleted customer, and
//! reports each message of a batch as done or failed.

use clientele_flow::deadlines::RECEIPTS_END_WITHIN;
use clientele_flow::{Flow, ReceiptOutcome, TableError};
use clientele_model::{ErasureSettings, ReceiptMessage};
use futures_util::StreamExt;
use jiff::Timestamp;
use tokio::time::{Instant, timeout_at};

use crate::clients::Clients;
use crate::customers::Customers;
use crate::invocation::Invocation;
use crate::receipts_config::ReceiptsConfig;
use crate::receipts_line::ReceiptsLine;
use crate::sqs_event::{BatchItemFailure, SqsBatchResponse, SqsEvent, SqsMessage};
use crate::telemetry::{LogWriter, Telemetry};

/// How many messages of a batch are recorded concurrently: all of them.
const CONCURRENT_RECEIPTS: usize = 10;
/// The version of [`ReceiptMessage`] that this release understands.
const SCHEMA: u8 = 1;

/// The receipts function after its start.
#[derive(Debug)]
pub struct ReceiptRecorder {
    flow: Flow<Customers, ()>,
    systems: Vec<String>,
    telemetry: Telemetry,
}

/// What became of the receipts of a batch.
#[derive(Debug, Default)]
pub(crate) struct ReceiptsReport {
    /// Receipts that are in their tombstones.
    pub(crate) recorded: usize,
    /// How many of them were the last one that was missing.
    pub(crate) completed: usize,
    /// The ids of the messages that must be delivered again.
    pub(crate) failed: Vec<String>,
    /// The first failure.
    pub(crate) error: Option<String>,
}

/// Why a receipt was not recorded. SQS delivers the message again, and moves it to the dead-letter queue after the queue's
/// limit of receives.
#[derive(Debug, thiserror::Error)]
enum NotRecorded {
    #[error("the message is not a receipt of schema 1")]
    Unreadable,
    #[error("the customer is not deleted")]
    NotDeleted,
    #[error("the system is not one of ErasureSystems")]
    UnknownSystem,
    #[error(transparent)]
    Table(#[from] TableError),
    #[error("no time left")]
    NoTimeLeft,
}

impl ReceiptRecorder {
    /// A recorder that writes one line per batch to `log`.
    #[must_use]
    pub fn new(config: ReceiptsConfig, clients: &Clients, log: LogWriter) -> Self {
        let ReceiptsConfig { customers_table, systems, telemetry, lambda: _ } = config;
        let table = Customers::new(clients.dynamodb.clone(), customers_table);
        let flow = Flow { table, queues: (), erasure: ErasureSettings::default() };
        Self { flow, systems, telemetry: Telemetry::per_service(telemetry, log) }
    }

    /// Records a batch. The response names the messages that SQS must deliver again. It is returned in time, whatever hangs.
    pub async fn handle(&self, event: SqsEvent, invocation: &Invocation) -> SqsBatchResponse {
        let started = Instant::now();
        let is_cold = self.telemetry.is_cold_start();
        let record = async |message: SqsMessage| {
            let recorded = self.record(&message.body, invocation.received_at);
            let result = timeout_at(started + RECEIPTS_END_WITHIN, recorded).await;
            (message.message_id, result.unwrap_or(Err(NotRecorded::NoTimeLeft)))
        };
        let mut results = futures_util::stream::iter(event.records).map(record).buffer_unordered(CONCURRENT_RECEIPTS);
        let mut report = ReceiptsReport::default();
        while let Some((message_id, result)) = results.next().await {
            report.add(message_id, result);
        }
        let duration = started.elapsed();
        self.telemetry.log_receipts(&ReceiptsLine { invocation, is_cold, report: &report, duration });
        let failures = report.failed.into_iter().map(|item_identifier| BatchItemFailure { item_identifier });
        SqsBatchResponse { batch_item_failures: failures.collect() }
    }

    /// Records the receipt of a message. Returns whether it was the last one that was missing.
    async fn record(&self, body: &str, received_at: Timestamp) -> Result<bool, NotRecorded> {
        let message: ReceiptMessage = serde_json::from_str(body).map_err(|_| NotRecorded::Unreadable)?;
        if message.schema != SCHEMA {
            return Err(NotRecorded::Unreadable);
        }
        match self.flow.record_receipt(&self.systems, &message, received_at).await? {
            ReceiptOutcome::Recorded { is_complete } => Ok(is_complete),
            ReceiptOutcome::NotDeleted => Err(NotRecorded::NotDeleted),
            ReceiptOutcome::UnknownSystem => Err(NotRecorded::UnknownSystem),
        }
    }
}

impl ReceiptsReport {
    fn add(&mut self, message_id: String, result: Result<bool, NotRecorded>) {
        match result {
            Ok(is_complete) => {
                self.recorded += 1;
                self.completed += usize::from(is_complete);
            }
            Err(why) => {
                self.failed.push(message_id);
                self.error.get_or_insert_with(|| why.to_string());
            }
        }
    }
}
