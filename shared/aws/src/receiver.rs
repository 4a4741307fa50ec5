//! The function that receives webhooks. It accepts and verifies a delivery, and responds; [`Flow::receive`] writes it.

use std::time::Duration;

use clientele_flow::{Deadlines, Flow};
use clientele_model::{Delivery, Provider, Rejection, Request, Scheme, Verified, verify};
use jiff::Timestamp;
use tokio::time::Instant;

use crate::clients::Clients;
use crate::config::{DomainNames, ReceiverConfig};
use crate::customers::Customers;
use crate::environment::ConfigError;
use crate::gateway::{HttpEvent, HttpResponse};
use crate::invocation::Invocation;
use crate::queues::SqsQueues;
use crate::secrets::{CurrentSecrets, SecretStore, SecretsError};
use crate::telemetry::{LogWriter, Telemetry};

/// Why a receiver cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The environment is incomplete.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The secrets cannot be fetched or used.
    #[error(transparent)]
    Secrets(#[from] SecretsError),
}

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
    /// Starts a receiver that writes one line per event to `log`.
    ///
    /// # Errors
    /// When the secrets cannot be fetched or used.
    pub async fn start(
        provider: &'static Provider,
        config: ReceiverConfig,
        clients: &Clients,
        log: LogWriter,
        now: Timestamp,
    ) -> Result<Self, StartError> {
        let secrets = SecretStore::open(config.secrets, &config.scheme, &clients.secrets_manager, now).await?;
        Ok(Self {
            provider,
            scheme: config.scheme,
            tolerance: config.tolerance,
            body_bytes_max: config.body_bytes_max,
            domain_names: config.domain_names,
            secrets,
            flow: clients.flow(config.resources),
            telemetry: Telemetry::per_provider(config.telemetry, log),
        })
    }

    /// Receives one delivery: from the API Gateway event to the response.
    pub async fn handle(&self, mut event: HttpEvent, invocation: &Invocation) -> HttpResponse {
        let started = Instant::now();
        let correlation_id = event.take_request_id();
        let log = self.telemetry.delivery_log(self.provider.name, invocation, &correlation_id);
        let (verified, refresh_error) = if self.domain_names.include(event.domain_name()) {
            self.accept_and_verify(event.into(), invocation.received_at).await
        } else {
            (Err(Rejection::OtherDomainName), None)
        };
        let warning = refresh_error.map(|error| format!("secrets not refreshed: {error}"));
        let outcomes = match verified {
            Ok(verified) => {
                let settled = self.flow.receive(self.provider, &verified, Deadlines::of_delivery(started)).await;
                let secret_index = Some(verified.proof().secret_index);
                log.write_settled(&settled, secret_index, warning.as_deref(), started.elapsed());
                settled.iter().map(|event| event.outcome).collect()
            }
            Err(reason) => {
                log.write_rejected(reason, warning, started.elapsed());
                vec![reason.outcome()]
            }
        };
        self.provider.response_rules.respond(&outcomes).into()
    }

    /// Verifies a delivery with the current secrets, and if it matches none of them, once more with newer secrets. Also
    /// returns why the secrets could not be fetched again.
    async fn accept_and_verify(
        &self,
        request: Request,
        now: Timestamp,
    ) -> (Result<Verified, Rejection>, Option<SecretsError>) {
        let delivery = match Delivery::accept(request, self.body_bytes_max) {
            Ok(delivery) => delivery,
            Err(reason) => return (Err(reason), None),
        };
        let CurrentSecrets { secrets, refresh } = self.secrets.current(now).await;
        let refresh_error = refresh.and_then(Result::err);
        let rejected = match verify(delivery, &self.scheme, &secrets, now, self.tolerance) {
            Ok(verified) => return (Ok(verified), refresh_error),
            Err(rejected) => rejected,
        };
        if !rejected.reason.newer_secrets_may_help() {
            return (Err(rejected.reason), refresh_error);
        }
        let CurrentSecrets { secrets, refresh } = self.secrets.after_mismatch(now).await;
        match refresh {
            None => (Err(rejected.reason), refresh_error),
            Some(Err(error)) => (Err(rejected.reason), Some(error)),
            Some(Ok(())) => {
                let verified = verify(rejected.delivery, &self.scheme, &secrets, now, self.tolerance);
                (verified.map_err(|rejected| rejected.reason), refresh_error)
            }
        }
    }
}
