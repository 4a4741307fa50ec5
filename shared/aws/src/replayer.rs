//! The function behind the inbox queue: what was kept is settled, a message at a time, and each answers for itself.

use clientele_flow::deadlines::replay_delay;
use clientele_flow::{Deadlines, Flow};
use clientele_model::{KeptDelivery, KeptDeliveryError, Outcome, Provider, Verified};
use futures_util::StreamExt;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::clients::Clients;
use crate::config::WorkerConfig;
use crate::customers::Customers;
use crate::gateway::Invocation;
use crate::queues::SqsQueues;
use crate::telemetry::{Happened, Lines, Telemetry};

/// How many messages of a batch are under way at a time.
const CONCURRENT_MESSAGES: usize = 4;

/// Why a message of the inbox cannot be replayed. It comes back, and moves to quarantine after the queue's limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// It is none of ours.
    #[error(transparent)]
    Kept(#[from] KeptDeliveryError),
    /// It is of a provider that this release does not know.
    #[error("the kept delivery is of an unknown provider")]
    Provider,
}

/// Opens a kept message of one of these providers.
///
/// # Errors
/// When it is none of ours, or of another provider.
pub fn open(message: &str, providers: &[&'static Provider]) -> Result<(&'static Provider, Verified), Unreadable> {
    let kept = KeptDelivery::from_message(message)?;
    let provider = providers.iter().find(|provider| provider.name == kept.provider).ok_or(Unreadable::Provider)?;
    Ok((provider, kept.into_verified()?))
}

/// Replays what was kept on the inbox queue.
#[derive(Debug)]
pub struct Replayer {
    providers: &'static [&'static Provider],
    flow: Flow<Customers, SqsQueues>,
    telemetry: Telemetry,
}

impl Replayer {
    /// A replayer of these providers' deliveries. What happens to each goes to `lines`.
    #[must_use]
    pub fn new(providers: &'static [&'static Provider], config: WorkerConfig, clients: &Clients, lines: Lines) -> Self {
        let telemetry = Telemetry::of_events(config.naming, lines);
        Self { providers, flow: clients.flow(config.resources), telemetry }
    }

    /// Replays a batch. Each message answers for itself: those that must come back are named.
    pub async fn handle(&self, event: SqsEvent, invocation: &Invocation) -> SqsAnswer {
        let deadlines = Deadlines::of_replay(Instant::now());
        let replay = async |message: Message| {
            let is_done = self.replay(&message, invocation, deadlines).await;
            (!is_done).then_some(Failure { item_identifier: message.message_id })
        };
        let messages = futures_util::stream::iter(event.records).map(replay);
        let failures = messages.buffer_unordered(CONCURRENT_MESSAGES).filter_map(std::future::ready);
        SqsAnswer { batch_item_failures: failures.collect().await }
    }

    /// Whether the message is done with.
    async fn replay(&self, message: &Message, invocation: &Invocation, deadlines: Deadlines) -> bool {
        let (provider, verified) = match open(&message.body, self.providers) {
            Ok(opened) => opened,
            Err(error) => {
                let line = self.telemetry.delivery("unknown", invocation, &message.message_id);
                let (outcome, reason) = (Some(Outcome::Unavailable), Some(error.to_string()));
                line.write(&Happened { outcome, reason, duration: deadlines.started.elapsed(), ..Happened::default() });
                return false;
            }
        };
        let line = self.telemetry.delivery(provider.name, invocation, &message.message_id);
        let settled = self.flow.replay(provider, &verified, deadlines).await;
        let must_wait = settled.iter().any(|event| matches!(event.outcome, Outcome::Parked | Outcome::Unavailable));
        let trouble = if must_wait { self.back_off(message).await } else { None };
        line.settled(&settled, None, trouble.as_deref(), deadlines.started.elapsed());
        !must_wait
    }

    /// An outage is not to use up the attempts of a message: the longer it lasts, the rarer they are.
    async fn back_off(&self, message: &Message) -> Option<String> {
        let receives = message.attributes.approximate_receive_count.parse().unwrap_or(1);
        let hidden = self.flow.queues.hide(&message.receipt_handle, replay_delay(receives)).await;
        hidden.err().map(|error| format!("comes back sooner: {error}"))
    }
}

/// An event of an event-source mapping for SQS
/// (<https://docs.aws.amazon.com/lambda/latest/dg/with-sqs.html>).
#[derive(Deserialize)]
pub struct SqsEvent {
    /// The messages.
    #[serde(rename = "Records")]
    pub records: Vec<Message>,
}

/// A message.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Message {
    /// Its id.
    pub message_id: String,
    /// Of this receive.
    pub receipt_handle: String,
    /// What was sent.
    pub body: String,
    /// What SQS knows of it.
    #[serde(default)]
    pub attributes: MessageAttributes,
}

/// What SQS knows of a message.
#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct MessageAttributes {
    /// How often it was received, this time included.
    #[serde(default)]
    pub approximate_receive_count: String,
}

impl std::fmt::Debug for SqsEvent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SqsEvent(..)")
    }
}

impl std::fmt::Debug for Message {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Message(..)")
    }
}

impl std::fmt::Debug for MessageAttributes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("MessageAttributes(..)")
    }
}

/// The answer: the messages that must come back
/// (<https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html>).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SqsAnswer {
    /// Each by its id.
    pub batch_item_failures: Vec<Failure>,
}

/// A message that must come back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Failure {
    /// Its id.
    pub item_identifier: String,
}
