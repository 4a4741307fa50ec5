//! The function behind the inbox queue. It settles the deliveries that were kept, and reports each message of a batch as
//! done or failed.

use clientele_flow::deadlines::{REPLAY_END_WITHIN, replay_delay};
use clientele_flow::{Deadlines, Flow, Queue, SettledEvent};
use clientele_model::{KeptDelivery, KeptDeliveryError, Outcome, Provider, Verified};
use futures_util::StreamExt;
use tokio::time::{Instant, timeout_at};

use crate::clients::Clients;
use crate::config::WorkerConfig;
use crate::customers::Customers;
use crate::invocation::Invocation;
use crate::queues::SqsQueues;
use crate::sqs_event::{BatchItemFailure, SqsBatchResponse, SqsEvent, SqsMessage};
use crate::telemetry::{LogLine, LogWriter, Telemetry};

/// How many messages of a batch are settled concurrently.
const CONCURRENT_MESSAGES: usize = 4;

/// Why a message cannot be replayed. On the inbox, SQS delivers it again, and moves it to quarantine after the queue's
/// limit of receives. Only a message whose body was omitted goes to quarantine at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnreadableMessage {
    /// It is not a kept delivery.
    #[error(transparent)]
    KeptDelivery(#[from] KeptDeliveryError),
    /// This release does not know the provider.
    #[error("the kept delivery is of an unknown provider")]
    UnknownProvider,
}

/// A message's provider and its events.
type ReplayResult = Result<(&'static Provider, Vec<SettledEvent>), NotReplayed>;

struct ReplayedMessage {
    message: SqsMessage,
    result: ReplayResult,
}

/// Why a message was not replayed.
enum NotReplayed {
    Unreadable(UnreadableMessage),
    NoTimeLeft,
}

/// Reads a kept delivery of one of these providers.
///
/// # Errors
/// When the message is not a kept delivery, or one of another provider.
pub fn read_kept_message(
    message: &str,
    providers: &[&'static Provider],
) -> Result<(&'static Provider, Verified), UnreadableMessage> {
    let kept = KeptDelivery::from_message(message)?;
    let provider = providers.iter().find(|provider| provider.name == kept.provider);
    Ok((provider.ok_or(UnreadableMessage::UnknownProvider)?, kept.into_verified()?))
}

/// The replay function after its start.
#[derive(Debug)]
pub struct Replayer {
    providers: &'static [&'static Provider],
    flow: Flow<Customers, SqsQueues>,
    telemetry: Telemetry,
}

impl Replayer {
    /// A replayer of these providers' deliveries that writes one line per event to `log`.
    #[must_use]
    pub fn new(
        providers: &'static [&'static Provider],
        config: WorkerConfig,
        clients: &Clients,
        log: LogWriter,
    ) -> Self {
        let telemetry = Telemetry::per_provider(config.telemetry, log);
        Self { providers, flow: clients.flow(config.resources), telemetry }
    }

    /// Replays a batch. The response names the messages that SQS must deliver again. It is returned in time, whatever hangs.
    pub async fn handle(&self, event: SqsEvent, invocation: &Invocation) -> SqsBatchResponse {
        let deadlines = Deadlines::of_replay(Instant::now(), invocation.received_at);
        let replay = async |message: SqsMessage| {
            let result = self.replay(&message, deadlines).await;
            ReplayedMessage { message, result }
        };
        let finish = async |replayed: ReplayedMessage| {
            let is_done = self.finish(&replayed, invocation, deadlines).await;
            (!is_done).then_some(BatchItemFailure { item_identifier: replayed.message.message_id })
        };
        let replayed = futures_util::stream::iter(event.records).map(replay).buffer_unordered(CONCURRENT_MESSAGES);
        // All concurrently, so that hiding one message does not use up the time of the others.
        let failures = replayed.map(finish).buffer_unordered(usize::MAX).filter_map(std::future::ready);
        SqsBatchResponse { batch_item_failures: failures.collect().await }
    }

    /// Replays a message.
    async fn replay(&self, message: &SqsMessage, deadlines: Deadlines) -> ReplayResult {
        // Reading a message costs time too, so stop once the deadline has passed.
        if Instant::now() >= deadlines.write_by {
            return Err(NotReplayed::NoTimeLeft);
        }
        let (provider, verified) = read_kept_message(&message.body, self.providers).map_err(NotReplayed::Unreadable)?;
        Ok((provider, self.flow.replay(provider, &verified, deadlines).await))
    }

    /// Logs a message after its replay, and hides it if it must be replayed again. Returns whether it is done and may be
    /// deleted.
    async fn finish(&self, replayed: &ReplayedMessage, invocation: &Invocation, deadlines: Deadlines) -> bool {
        let ReplayedMessage { message, result } = replayed;
        let log = |provider| self.telemetry.delivery_log(provider, invocation, &message.message_id);
        match result {
            Ok((provider, settled)) => {
                let is_open = |event: &SettledEvent| matches!(event.outcome, Outcome::Parked | Outcome::Unavailable);
                let is_done = !settled.iter().any(is_open);
                let warning = if is_done { None } else { self.delay(message, deadlines).await };
                log(Some(*provider)).write_settled(settled, None, warning.as_deref(), deadlines.started.elapsed());
                is_done
            }
            Err(NotReplayed::NoTimeLeft) => {
                let warning = self.delay(message, deadlines).await;
                let (outcome, reason) = (Some(Outcome::Parked), Some("no time left".to_owned()));
                let duration = deadlines.started.elapsed();
                log(None).write(&LogLine { outcome, reason, warning, duration, ..LogLine::default() });
                false
            }
            Err(NotReplayed::Unreadable(error)) => self.set_aside(message, *error, invocation, deadlines).await,
        }
    }

    /// Sends a message whose body was omitted to quarantine, because no attempt can apply it: an operator moved it to the
    /// inbox. Any other unreadable message waits for another release. Returns whether the message is done.
    async fn set_aside(
        &self,
        message: &SqsMessage,
        error: UnreadableMessage,
        invocation: &Invocation,
        deadlines: Deadlines,
    ) -> bool {
        let mut reason = error.to_string();
        let mut outcome = Outcome::Unavailable;
        if error == UnreadableMessage::KeptDelivery(KeptDeliveryError::Omitted) {
            let provider = KeptDelivery::from_message(&message.body).map(|kept| kept.provider).unwrap_or_default();
            match self.flow.send(Queue::Quarantine, &provider, &message.body, deadlines).await {
                Ok(()) => outcome = Outcome::Quarantined,
                Err(why) => reason = format!("{reason}; {why}"),
            }
        }
        let log = self.telemetry.delivery_log(None, invocation, &message.message_id);
        let (duration, logged) = (deadlines.started.elapsed(), Some(outcome));
        log.write(&LogLine { outcome: logged, reason: Some(reason), duration, ..LogLine::default() });
        outcome == Outcome::Quarantined
    }

    /// Hides the message for longer after each receive, so that an outage does not use up its receives. Returns a warning
    /// on failure.
    async fn delay(&self, message: &SqsMessage, deadlines: Deadlines) -> Option<String> {
        let receives = message.attributes.approximate_receive_count.parse().unwrap_or(1);
        let time = replay_delay(&message.message_id, receives);
        let hidden =
            timeout_at(deadlines.started + REPLAY_END_WITHIN, self.flow.queues.hide(&message.receipt_handle, time));
        let why = match hidden.await {
            Ok(hidden) => hidden.err()?.to_string(),
            Err(_) => "the inbox queue did not answer in time".to_owned(),
        };
        Some(format!("comes back sooner: {why}"))
    }
}
