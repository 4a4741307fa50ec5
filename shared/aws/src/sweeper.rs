//! The scheduled function. It sends the cleanup messages that are still in their tombstones, and reports for how long the
//! oldest erasure has waited for a receipt.

use clientele_flow::{Flow, SweepLimits, SweepReport};
use futures_util::future::join;
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
        let (now, limits) = (invocation.received_at, SweepLimits::of_function(started));
        // At the same time, so that neither uses up the time of the other.
        let both = join(self.flow.sweep(now, limits), self.flow.open_erasure_age(now, limits.end_by));
        let (mut report, open_erasure_age) = both.await;
        let open_erasure_age = open_erasure_age.unwrap_or_else(|why| {
            report.fail(&why);
            None
        });
        self.telemetry.log_sweep(invocation, &report, open_erasure_age, started.elapsed());
        report
    }
}
