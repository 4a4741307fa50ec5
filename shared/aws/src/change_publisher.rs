//! The function behind the table's stream. It announces the changes of customers on the event bus.

use clientele_flow::ChangeFeed;
use clientele_flow::deadlines::CHANGES_STOP_WITHIN;
use tokio::time::Instant;

use crate::change_clients::ChangeClients;
use crate::changes_config::ChangesConfig;
use crate::changes_line::ChangesLine;
use crate::event_bridge::EventBridgeBus;
use crate::invocation::Invocation;
use crate::refused_changes::SqsRefusedChanges;
use crate::sqs_event::BatchItemFailure;
use crate::stream_event::{StreamBatchResponse, StreamEvent};
use crate::telemetry::{LogWriter, Telemetry};

/// The changes function after its start.
#[derive(Debug)]
pub struct ChangePublisher {
    feed: ChangeFeed<EventBridgeBus, SqsRefusedChanges>,
    telemetry: Telemetry,
}

impl ChangePublisher {
    /// A publisher that writes one line per batch to `log`.
    #[must_use]
    pub fn new(config: ChangesConfig, clients: &ChangeClients, log: LogWriter) -> Self {
        let ChangesConfig { event_bus_name, refused_changes_queue_url, feed: settings, telemetry, lambda: _ } = config;
        let bus = EventBridgeBus::new(clients.eventbridge.clone(), event_bus_name);
        let refused = SqsRefusedChanges::new(clients.sqs.clone(), refused_changes_queue_url);
        Self { feed: ChangeFeed { bus, refused, settings }, telemetry: Telemetry::per_service(telemetry, log) }
    }

    /// Announces the changes of a batch. The response names the record from which on Lambda must try the batch again.
    pub async fn handle(&self, event: StreamEvent, invocation: &Invocation) -> StreamBatchResponse {
        let started = Instant::now();
        let is_cold = self.telemetry.is_cold_start();
        let records = event.records.len();
        let feed_records = event.records.into_iter().map(|record| record.0).collect();
        let report = self.feed.publish(feed_records, started + CHANGES_STOP_WITHIN).await;
        let duration = started.elapsed();
        self.telemetry.log_changes(&ChangesLine { invocation, is_cold, records, report: &report, duration });
        let failure = report.failed_from.map(|item_identifier| BatchItemFailure { item_identifier });
        StreamBatchResponse { batch_item_failures: failure.into_iter().collect() }
    }
}
