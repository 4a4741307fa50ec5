//! The function that receives webhooks. It accepts and verifies a delivery, and responds; [`Flow::receive`] writes it.

use std::sync::Arc;
use std::time::Duration;

use clientele_flow::{Deadlines, Flow};
use clientele_model::{Delivery, Provider, Rejection, Request, Scheme, Verified, verify};
use jiff::Timestamp;
use tokio::time::Instant;

use crate::clients::Clients;
use crate::config::{DomainNames, ReceiverConfig};
use crate::customers::Customers;
use crate::gateway::{HttpEvent, HttpResponse};
use crate::invocation::Invocation;
use crate::queues::SqsQueues;
use crate::secrets::SecretStore;
use crate::telemetry::{LogWriter, Telemetry};

/// The function of one provider after its start.
#[derive(Debug)]
pub struct Receiver {
    provider: &'static Provider,
    scheme: Scheme,
    tolerance: Duration,
    body_bytes_max: usize,
    domain_names: DomainNames,
    secrets: SecretStore,
    flow: Flow<Customers, SqsQueues>,
    telemetry: Telemetry,
}

impl Receiver {
    /// Starts a receiver that writes one line per event to `log`. If it has no secrets within
    /// [`START_WITHIN`](clientele_flow::deadlines::START_WITHIN), it starts without them.
    pub async fn start(
        provider: &'static Provider,
        config: ReceiverConfig,
        clients: &Clients,
        log: LogWriter,
        now: Timestamp,
    ) -> Self {
        let secrets = SecretStore::open(config.secrets, &config.scheme, &clients.secrets_manager, now).await;
        Self {
            provider,
            scheme: config.scheme,
            tolerance: config.tolerance,
            body_bytes_max: config.body_bytes_max,
            domain_names: config.domain_names,
            secrets,
            flow: clients.flow(config.resources),
            telemetry: Telemetry::per_provider(config.telemetry, log),
        }
    }

    /// Receives one delivery: from the API Gateway event to the response.
    pub async fn handle(&self, mut event: HttpEvent<'_>, invocation: &Invocation) -> HttpResponse {
        let started = Instant::now();
        let correlation_id = event.take_request_id();
        let mut log = self.telemetry.delivery_log(Some(self.provider), invocation, &correlation_id);
        let (verified, secrets_warning) = if self.domain_names.include(event.domain_name()) {
            self.accept_and_verify(event.into(), invocation.received_at).await
        } else {
            (Err(Rejection::OtherDomainName), None)
        };
        log.secrets_warning = secrets_warning;
        let outcomes = match verified {
            Ok(verified) => {
                let settled = self
                    .flow
                    .receive(self.provider, &verified, Deadlines::of_delivery(started, invocation.received_at))
                    .await;
                let secret_index = Some(verified.proof().secret_index);
                log.write_settled(&settled, secret_index, None, started.elapsed());
                settled.iter().map(|event| event.outcome).collect()
            }
            Err(reason) => {
                log.write_rejected(reason, started.elapsed());
                vec![reason.outcome()]
            }
        };
        self.provider.response_rules.respond(&outcomes).into()
    }

    /// Verifies a delivery with the current secrets, and if it matches none of them, once more with newer secrets. Also
    /// returns what is wrong with the secrets.
    async fn accept_and_verify(
        &self,
        request: Request<'_>,
        now: Timestamp,
    ) -> (Result<Verified, Rejection>, Option<String>) {
        let delivery = match Delivery::accept(request, self.body_bytes_max) {
            Ok(delivery) => delivery,
            Err(reason) => return (Err(reason), None),
        };
        let current = self.secrets.current(now).await;
        let rejected = match verify(delivery, &self.scheme, &current.secrets, now, self.tolerance) {
            Ok(verified) => return (Ok(verified), current.warning),
            Err(rejected) => rejected,
        };
        if !rejected.reason.newer_secrets_may_help() {
            return (Err(rejected.reason), current.warning);
        }
        let newest = self.secrets.after_mismatch(now).await;
        let verified = if Arc::ptr_eq(&current.secrets, &newest.secrets) {
            Err(rejected.reason)
        } else {
            verify(rejected.delivery, &self.scheme, &newest.secrets, now, self.tolerance)
                .map_err(|rejected| rejected.reason)
        };
        let verified =
            verified.map_err(|reason| if newest.may_be_outdated { reason.with_outdated_secrets() } else { reason });
        (verified, newest.warning)
    }
}
