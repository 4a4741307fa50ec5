//! The way of a delivery: accept and verify here, the rest in [`Flow::receive`], and the answer.

use std::time::Duration;

use clientele_flow::{Deadlines, Flow};
use clientele_model::{Delivery, Provider, Rejection, Request, Scheme, Verified, verify};
use jiff::Timestamp;
use tokio::time::Instant;

use crate::clients::Clients;
use crate::config::Config;
use crate::customers::Customers;
use crate::gateway::{HttpAnswer, HttpEvent, Invocation};
use crate::queues::SqsQueues;
use crate::secrets::{Known, SecretStore, SecretsError};
use crate::telemetry::{Lines, Telemetry};

/// Why a function cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The environment is not complete.
    #[error(transparent)]
    Config(#[from] crate::config::ConfigError),
    /// The secrets cannot be had.
    #[error(transparent)]
    Secrets(#[from] SecretsError),
}

/// Receives the webhooks of one provider.
#[derive(Debug)]
pub struct Receiver {
    provider: &'static Provider,
    scheme: Scheme,
    tolerance: Duration,
    body_bytes_max: usize,
    secrets: SecretStore,
    flow: Flow<Customers, SqsQueues>,
    telemetry: Telemetry,
}

impl Receiver {
    /// A receiver that is ready for its first delivery. What happens to each goes to `lines`.
    ///
    /// # Errors
    /// When the secrets cannot be had.
    pub async fn start(
        provider: &'static Provider,
        config: Config,
        clients: &Clients,
        lines: Lines,
        now: Timestamp,
    ) -> Result<Self, StartError> {
        let secrets = SecretStore::open(config.secrets, &config.scheme, &clients.secrets_manager, now).await?;
        Ok(Self {
            provider,
            scheme: config.scheme,
            tolerance: config.tolerance,
            body_bytes_max: config.body_bytes_max,
            secrets,
            flow: clients.flow(config.resources),
            telemetry: Telemetry::of_events(config.naming, lines),
        })
    }

    /// Receives one delivery, from the gateway's event to its answer.
    pub async fn handle(&self, mut event: HttpEvent, invocation: &Invocation) -> HttpAnswer {
        let started = Instant::now();
        let correlation_id = event.take_request_id();
        let line = self.telemetry.delivery(self.provider.name, invocation, &correlation_id);
        let mut trouble = None;
        let opened = self.open(event.into(), invocation.received_at, &mut trouble).await;
        let trouble = trouble.map(|error| format!("secrets not refreshed: {error}"));
        let outcomes = match opened {
            Ok(verified) => {
                let settled = self.flow.receive(self.provider, &verified, Deadlines::of_delivery(started)).await;
                line.settled(&settled, Some(verified.proof().secret_index), trouble.as_deref(), started.elapsed());
                settled.iter().map(|event| event.outcome).collect()
            }
            Err(reason) => {
                line.refused(reason, trouble, started.elapsed());
                vec![reason.outcome()]
            }
        };
        self.provider.response_rules.respond(&outcomes).into()
    }

    /// Accepts and verifies. A delivery that no secret matches is tried once more with newer secrets, if there are any.
    async fn open(
        &self,
        request: Request,
        now: Timestamp,
        trouble: &mut Option<SecretsError>,
    ) -> Result<Verified, Rejection> {
        let delivery = Delivery::accept(request, self.body_bytes_max)?;
        let Known { secrets, fetched } = self.secrets.current(now).await;
        *trouble = fetched.and_then(Result::err);
        let refused = match verify(delivery, &self.scheme, &secrets, now, self.tolerance) {
            Ok(verified) => return Ok(verified),
            Err(refused) => refused,
        };
        if !refused.reason.newer_secrets_may_help() {
            return Err(refused.reason);
        }
        let Known { secrets, fetched } = self.secrets.after_mismatch(now).await;
        match fetched {
            Some(Ok(())) => {}
            Some(Err(error)) => {
                *trouble = Some(error);
                return Err(refused.reason);
            }
            None => return Err(refused.reason),
        }
        verify(refused.delivery, &self.scheme, &secrets, now, self.tolerance).map_err(|refused| refused.reason)
    }
}
