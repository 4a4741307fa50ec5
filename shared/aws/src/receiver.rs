//! The way of a delivery: accept, verify, translate, apply, forward, respond.

use std::collections::BTreeMap;
use std::time::Duration;

use clientele_model::{
    CustomerEvent, CustomerKey, Delivery, Item, Outcome, Provider, Rejected, Request, Scheme, Translated, Translation,
    Verified, verify,
};
use futures_util::StreamExt;
use jiff::Timestamp;
use tokio::time::{Instant, timeout, timeout_at};

use crate::cleanup_queue::CleanupQueue;
use crate::clients::Clients;
use crate::config::Config;
use crate::customers::{Customers, Put, StoreError};
use crate::gateway::{HttpAnswer, HttpEvent, Invocation};
use crate::secrets::{Known, SecretStore, SecretsError};
use crate::telemetry::{Delivered, Happened, Lines, Telemetry};

/// When the events of a delivery must be settled, counted from its arrival. Whatever is not by then is answered as
/// unavailable.
const SETTLE_WITHIN: Duration = Duration::from_millis(3_600);
/// How long a mark may take to be cleared. It is not waited for longer: the message is sent already.
const CLEAR_WITHIN: Duration = Duration::from_millis(500);
/// How many customers of a batch are written at a time: enough to hide the latency of a write, few enough that a cold
/// function on a fraction of a core can open the connections, and that a batch at the size limit fits into memory.
const CONCURRENT_WRITES: usize = 8;

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
    customers: Customers,
    cleanups: CleanupQueue,
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
            customers: Customers::new(clients.dynamodb.clone(), config.customers_table),
            cleanups: CleanupQueue::new(clients.sqs.clone(), config.cleanup_queue_url),
            telemetry: Telemetry::new(provider.name, config.naming, lines),
        })
    }

    /// Receives one delivery, from the gateway's event to its answer.
    pub async fn handle(&self, mut event: HttpEvent, invocation: &Invocation) -> HttpAnswer {
        let started = Instant::now();
        let correlation_id = event.take_request_id();
        let line = self.telemetry.delivery(invocation, &correlation_id);
        let mut trouble = None;
        let opened = self.open(event.into(), invocation.received_at, &mut trouble).await;
        let trouble = trouble.map(|error| format!("secrets not refreshed: {error}"));
        let outcomes = match opened {
            Ok(verified) => self.settle_all(&verified, &line, trouble.as_deref(), started).await,
            Err(reason) => {
                line.refused(reason, trouble, started.elapsed());
                vec![reason.outcome()]
            }
        };
        self.provider.dialect.answer(&outcomes).into()
    }

    /// Accepts and verifies. A delivery that no secret matches is tried once more with newer secrets, if there are any.
    async fn open(
        &self,
        request: Request,
        now: Timestamp,
        trouble: &mut Option<SecretsError>,
    ) -> Result<Verified, Rejected> {
        let delivery = Delivery::accept(request, self.body_bytes_max)?;
        let Known { secrets, fetched } = self.secrets.current(now).await;
        *trouble = fetched.and_then(Result::err);
        let refused = match verify(delivery, &self.scheme, &secrets, now, self.tolerance) {
            Ok(verified) => return Ok(verified),
            Err(refused) => refused,
        };
        if !refused.reason.is_about_secrets() {
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

    /// Settles every event of a delivery. Their order does not matter, so customers are served side by side; events of
    /// one customer go one after the other, since they would only contend for its item.
    async fn settle_all(
        &self,
        verified: &Verified,
        line: &Delivered<'_>,
        trouble: Option<&str>,
        started: Instant,
    ) -> Vec<Outcome> {
        let secret = Some(verified.proof().secret);
        let settle = async |translations: Vec<Translation>| {
            let mut outcomes = Vec::with_capacity(translations.len());
            for translation in &translations {
                let settled = self.settle(translation, verified.received_at(), started + SETTLE_WITHIN).await;
                let (event, kind) = match translation {
                    Ok(Translated::Event(event)) => (Some(&**event), None),
                    Ok(Translated::Ignored(kind)) => (None, Some(kind.as_str())),
                    Err(_) => (None, None),
                };
                let Settled { outcome, reason, warning, write_units } = settled;
                let warning = warning.or_else(|| trouble.map(str::to_owned));
                let duration = started.elapsed();
                let happened =
                    Happened { outcome: Some(outcome), reason, warning, secret, event, kind, write_units, duration };
                line.write(&happened);
                outcomes.push(outcome);
            }
            outcomes
        };
        let lanes = by_customer((self.provider.translate)(verified));
        if lanes.is_empty() {
            let (warning, duration) = (trouble.map(str::to_owned), started.elapsed());
            line.write(&Happened { warning, secret, duration, ..Happened::default() });
        }
        futures_util::stream::iter(lanes).map(settle).buffer_unordered(CONCURRENT_WRITES).concat().await
    }

    async fn settle(&self, translation: &Translation, received_at: Timestamp, deadline: Instant) -> Settled {
        let event = match translation {
            Ok(Translated::Event(event)) => event,
            Ok(Translated::Ignored(_)) => return Settled::from(Outcome::Ignored),
            Err(error) => return Settled::because(Outcome::Untranslatable, error),
        };
        // Even to begin costs time, and there may be many left.
        if Instant::now() >= deadline {
            return Settled::because(Outcome::Unavailable, &"no time left");
        }
        match timeout_at(deadline, self.apply(event, received_at)).await {
            Ok(Ok(settled)) => settled,
            Ok(Err(error)) => Settled::because(error.outcome(), &error),
            Err(elapsed) => Settled::because(Outcome::Unavailable, &elapsed),
        }
    }

    /// One conditional write. A delete then sends its cleanup message, which stays in the tombstone until the queue
    /// has taken it: whoever delivers the delete again finds it there and sends it.
    async fn apply(&self, event: &CustomerEvent, received_at: Timestamp) -> Result<Settled, ApplyError> {
        let item = event.item(received_at);
        let (mut settled, rank, cleanup) = match (self.customers.put(&item).await?, item) {
            (Put::Written(write_units), item) => {
                let settled = Settled { write_units, ..Settled::from(Outcome::Applied) };
                match item {
                    Item::Tombstone(tombstone) => (settled, tombstone.rank, tombstone.cleanup),
                    Item::Customer(_) => return Ok(settled),
                }
            }
            (Put::Refused(standing), item) => {
                let outcome = if standing.rank == item.rank() { Outcome::Duplicate } else { Outcome::Stale };
                let cleanup = standing.cleanup.filter(|_| matches!(item, Item::Tombstone(_)));
                (Settled::from(outcome), standing.rank, cleanup)
            }
        };
        if let Some(message) = cleanup {
            self.cleanups.send(self.provider.name, &message).await?;
            self.clear(&event.key().to_string(), &rank, &mut settled).await;
        }
        Ok(settled)
    }

    /// The message is sent: if its mark stays, it is sent once more some day, and that is all.
    async fn clear(&self, pk: &str, rank: &str, settled: &mut Settled) {
        let error = match timeout(CLEAR_WITHIN, self.customers.clear_cleanup(pk, rank)).await {
            Ok(Ok(units)) => {
                let units = [settled.write_units, units].into_iter().flatten();
                settled.write_units = units.reduce(|sum, units| sum + units);
                return;
            }
            Ok(Err(error)) => error.to_string(),
            Err(elapsed) => elapsed.to_string(),
        };
        settled.warning = Some(format!("cleanup mark not cleared: {error}"));
    }
}

/// What came of an event.
struct Settled {
    outcome: Outcome,
    /// Why, where that is not plain.
    reason: Option<String>,
    /// What went wrong without changing the outcome.
    warning: Option<String>,
    write_units: Option<f64>,
}

impl From<Outcome> for Settled {
    fn from(outcome: Outcome) -> Self {
        Self { outcome, reason: None, warning: None, write_units: None }
    }
}

impl Settled {
    fn because(outcome: Outcome, reason: &dyn std::fmt::Display) -> Self {
        Self { reason: Some(reason.to_string()), ..Self::from(outcome) }
    }
}

/// The events of each customer in their order, and everything that is of none.
fn by_customer(translations: Vec<Translation>) -> Vec<Vec<Translation>> {
    let mut lanes = BTreeMap::<Option<CustomerKey>, Vec<Translation>>::new();
    for translation in translations {
        let key = match &translation {
            Ok(Translated::Event(event)) => Some(event.key().clone()),
            Ok(Translated::Ignored(_)) | Err(_) => None,
        };
        lanes.entry(key).or_default().push(translation);
    }
    lanes.into_values().collect()
}

#[derive(Debug, thiserror::Error)]
enum ApplyError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Queue(#[from] crate::cleanup_queue::QueueError),
}

impl ApplyError {
    /// The provider hears that the event was not kept, and sends it again.
    fn outcome(&self) -> Outcome {
        match self {
            Self::Store(StoreError::Unstorable(_)) => Outcome::Untranslatable,
            Self::Store(StoreError::Unavailable(_)) | Self::Queue(_) => Outcome::Unavailable,
        }
    }
}
