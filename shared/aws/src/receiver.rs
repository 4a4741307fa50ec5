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
use crate::gateway::{HttpAnswer, HttpEvent};
use crate::log::{self, Delivered};
use crate::secrets::SecretStore;

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
    Secrets(#[from] crate::secrets::SecretsError),
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
}

impl Receiver {
    /// A receiver that is ready for its first delivery.
    ///
    /// # Errors
    /// When the secrets cannot be had.
    pub async fn start(
        provider: &'static Provider,
        config: Config,
        clients: &Clients,
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
        })
    }

    /// Receives one delivery, from the gateway's event to its answer.
    pub async fn handle(&self, event: HttpEvent, request_id: &str, now: Timestamp) -> HttpAnswer {
        let started = Instant::now();
        let line = Delivered { provider: self.provider.name, request_id };
        let outcomes = match self.open(event.into(), now).await {
            Ok(verified) => self.settle_all(&verified, line, started).await,
            Err(reason) => {
                line.refused(reason, started.elapsed());
                vec![reason.outcome()]
            }
        };
        self.provider.dialect.answer(&outcomes).into()
    }

    /// Accepts and verifies. A delivery that no secret matches is tried once more with newer secrets, if there are any.
    async fn open(&self, request: Request, now: Timestamp) -> Result<Verified, Rejected> {
        let delivery = Delivery::accept(request, self.body_bytes_max)?;
        let secrets = self.secrets.current(now).await;
        let refused = match verify(delivery, &self.scheme, &secrets, now, self.tolerance) {
            Ok(verified) => return Ok(verified),
            Err(refused) => refused,
        };
        if !refused.reason.is_about_secrets() {
            return Err(refused.reason);
        }
        let secrets = self.secrets.newer(now).await.ok_or(refused.reason)?;
        verify(refused.delivery, &self.scheme, &secrets, now, self.tolerance).map_err(|refused| refused.reason)
    }

    /// Settles every event of a delivery. Their order does not matter, so customers are served side by side; events of
    /// one customer go one after the other, since they would only contend for its item.
    async fn settle_all(&self, verified: &Verified, line: Delivered<'_>, started: Instant) -> Vec<Outcome> {
        let settle = async |translations: Vec<Translation>| {
            let mut outcomes = Vec::with_capacity(translations.len());
            for translation in &translations {
                let outcome = self.settle(translation, verified.received_at(), line, started + SETTLE_WITHIN).await;
                match translation {
                    Ok(Translated::Event(event)) => line.settled(event, outcome, started.elapsed()),
                    Ok(Translated::Ignored(kind)) => line.ignored(kind, started.elapsed()),
                    Err(error) => line.untranslatable(*error, outcome, started.elapsed()),
                }
                outcomes.push(outcome);
            }
            outcomes
        };
        let lanes = by_customer((self.provider.translate)(verified));
        futures_util::stream::iter(lanes).map(settle).buffer_unordered(CONCURRENT_WRITES).concat().await
    }

    async fn settle(
        &self,
        translation: &Translation,
        received_at: Timestamp,
        line: Delivered<'_>,
        deadline: Instant,
    ) -> Outcome {
        let event = match translation {
            Ok(Translated::Event(event)) => event,
            Ok(Translated::Ignored(_)) => return Outcome::Ignored,
            Err(_) => return Outcome::Untranslatable,
        };
        // Even to begin costs time, and there may be many left.
        if Instant::now() >= deadline {
            return Outcome::Unavailable;
        }
        match timeout_at(deadline, self.apply(event, received_at)).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(error)) => {
                line.failed(event, &error);
                error.outcome()
            }
            Err(elapsed) => {
                line.failed(event, &elapsed);
                Outcome::Unavailable
            }
        }
    }

    /// One conditional write. A delete then sends its cleanup message, which stays in the tombstone until the queue
    /// has taken it: whoever delivers the delete again finds it there and sends it.
    async fn apply(&self, event: &CustomerEvent, received_at: Timestamp) -> Result<Outcome, ApplyError> {
        let item = event.item(received_at);
        let (outcome, rank, cleanup) = match (self.customers.put(&item).await?, item) {
            (Put::Written(_), Item::Tombstone(tombstone)) => (Outcome::Applied, tombstone.rank, tombstone.cleanup),
            (Put::Written(_), Item::Customer(_)) => return Ok(Outcome::Applied),
            (Put::Refused(standing), item) => {
                let outcome = if standing.rank == item.rank() { Outcome::Duplicate } else { Outcome::Stale };
                let cleanup = standing.cleanup.filter(|_| matches!(item, Item::Tombstone(_)));
                (outcome, standing.rank, cleanup)
            }
        };
        if let Some(message) = cleanup {
            self.forward(&event.key().to_string(), &rank, &message).await?;
        }
        Ok(outcome)
    }

    async fn forward(&self, pk: &str, rank: &str, message: &str) -> Result<(), ApplyError> {
        self.cleanups.send(self.provider.name, message).await?;
        // The message is sent: if its mark stays, it is sent once more some day, and that is all.
        match timeout(CLEAR_WITHIN, self.customers.clear_cleanup(pk, rank)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(target: log::TARGET, %error, "cleanup mark not cleared"),
            Err(error) => tracing::warn!(target: log::TARGET, %error, "cleanup mark not cleared"),
        }
        Ok(())
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
