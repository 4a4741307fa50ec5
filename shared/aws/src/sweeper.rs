//! The scheduled function. It sends the cleanup messages that are still in their tombstones.

use clientele_flow::{Flow, SweepLimits, SweepReport};
use tokio::time::Instant;

use crate::clients::Clients;
use crate::config::WorkerConfig;
use crate::customers::Customers;
use crate::invocation::Invocation;
use crate::queues::SqsQueues;
use crate::telemetry::{LogWriter, Telemetry};

/// The sweep function after its start.
#[derive(Debug)]
pub struct Sweeper {
    flow: Flow<Customers, SqsQueues>,
    telemetry: Telemetry,
}

impl Sweeper {
    /// A sweeper that writes one line per sweep to `log`.
    #[must_use]
    pub fn new(config: WorkerConfig, clients: &Clients, log: LogWriter) -> Self {
        Self { flow: clients.flow(config.resources), telemetry: Telemetry::per_service(config.telemetry, log) }
    }

    /// Sweeps once.
    pub async fn handle(&self, invocation: &Invocation) -> SweepReport {
        let started = Instant::now();
        let report = self.flow.sweep(invocation.received_at, SweepLimits::of_function(started)).await;
        self.telemetry.log_sweep(invocation, &report, started.elapsed());
        report
    }
}
