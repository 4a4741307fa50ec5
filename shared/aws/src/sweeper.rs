//! The function on a schedule: cleanup messages that still wait in their tombstones are sent.

use std::time::Duration;

use clientele_flow::{Flow, SweepLimits, Swept};
use tokio::time::Instant;

use crate::clients::Clients;
use crate::config::WorkerConfig;
use crate::customers::Customers;
use crate::gateway::Invocation;
use crate::queues::SqsQueues;
use crate::telemetry::{Lines, Telemetry};

/// The function has 10 s, and what is begun last has 3 of them: a read, a message sent, a mark cleared.
const BEGIN_WITHIN: Duration = Duration::from_secs(6);
const END_WITHIN: Duration = Duration::from_secs(9);
/// The most tombstones that one sweep looks at.
const TOMBSTONES_MAX: usize = 10_000;
/// Whoever wrote the tombstone is at it for 4 s, or parked the delete and replays it.
const GRACE: Duration = Duration::from_mins(1);

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
    pub async fn handle(&self, invocation: &Invocation) -> Swept {
        let started = Instant::now();
        let limits = SweepLimits {
            begin_by: started + BEGIN_WITHIN,
            end_by: started + END_WITHIN,
            tombstones_max: TOMBSTONES_MAX,
            grace: GRACE,
        };
        let swept = self.flow.sweep(invocation.received_at, limits).await;
        self.telemetry.swept(invocation, &swept, started.elapsed());
        swept
    }
}
