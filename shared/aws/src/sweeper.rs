//! The function on a schedule: cleanup messages that still wait in their tombstones are sent.

use clientele_flow::{Flow, SweepLimits, SweepReport};
use tokio::time::Instant;

use crate::clients::Clients;
use crate::config::WorkerConfig;
use crate::customers::Customers;
use crate::gateway::Invocation;
use crate::queues::SqsQueues;
use crate::telemetry::{Lines, Telemetry};

/// Sweeps.
#[derive(Debug)]
pub struct Sweeper {
    flow: Flow<Customers, SqsQueues>,
    telemetry: Telemetry,
}

impl Sweeper {
    /// A sweeper. What each sweep did goes to `lines`.
    #[must_use]
    pub fn new(config: WorkerConfig, clients: &Clients, lines: Lines) -> Self {
        Self { flow: clients.flow(config.resources), telemetry: Telemetry::of_service(config.naming, lines) }
    }

    /// One sweep.
    pub async fn handle(&self, invocation: &Invocation) -> SweepReport {
        let started = Instant::now();
        let swept = self.flow.sweep(invocation.received_at, SweepLimits::of_function(started)).await;
        self.telemetry.swept(invocation, &swept, started.elapsed());
        swept
    }
}
