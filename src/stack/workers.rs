//! What Lambda does for the functions that no webhook calls: event source mappings poll the inbox queue for `replay` and the
//! queue of receipts for `receipts`, and a schedule calls `sweep`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::{
    ChangeMessageVisibilityBatchRequestEntry, DeleteMessageBatchRequestEntry, MessageSystemAttributeName,
};
use clientele_aws::{
    Invocation, ReceiptRecorder, Replayer, SqsBatchResponse, SqsEvent, SqsMessage, SqsSystemAttributes, Sweeper,
};
use jiff::Timestamp;
use tokio::sync::Mutex;

use super::deliveries::Deliveries;

/// How long a poll waits for a message, in seconds.
const WAIT_SECONDS: i32 = 2;

/// A function that processes the messages of a queue.
#[derive(Clone, Debug)]
pub(super) enum QueueFunction {
    Replay(Arc<Replayer>),
    Receipts(Arc<ReceiptRecorder>),
}

impl QueueFunction {
    async fn handle(&self, event: SqsEvent, invocation: &Invocation) -> SqsBatchResponse {
        match self {
            Self::Replay(replayer) => replayer.handle(event, invocation).await,
            Self::Receipts(recorder) => recorder.handle(event, invocation).await,
        }
    }

    /// The outcome of a message if the function logs none for it: `receipts` writes one line per batch.
    fn outcome(&self, is_failed: bool) -> &'static str {
        match self {
            Self::Replay(_) => "",
            Self::Receipts(_) if is_failed => "unrecorded",
            Self::Receipts(_) => "recorded",
        }
    }
}

/// The event source mapping of a function.
#[derive(Clone, Debug)]
pub struct EventSourceMapping {
    pub(super) name: String,
    pub(super) function: QueueFunction,
    pub(super) client: Client,
    pub(super) queue_url: String,
    pub(super) batch_size: i32,
    /// The messages that wait after a failure. Held while a batch is processed, so that whoever finds the queue empty
    /// knows that no batch is in flight.
    pub(super) in_flight: Arc<Mutex<FailedMessages>>,
    pub(super) deliveries: Deliveries,
}

/// The messages that the function last reported as failed: the receipt handle of each, by its id.
pub(super) type FailedMessages = BTreeMap<String, String>;

/// The entries that a batch request to SQS may have.
const BATCH_ENTRIES_MAX: usize = 10;

impl EventSourceMapping {
    /// Passes all messages to the function, as [`run_until_empty`](Self::run_until_empty) does, and those first that
    /// wait for their visibility timeout after a failure.
    ///
    /// # Errors
    /// When the queue cannot be reached.
    pub async fn replay_now(&self) -> Result<usize> {
        let mut failed = self.in_flight.lock().await;
        for messages in std::mem::take(&mut *failed).into_iter().collect::<Vec<_>>().chunks(BATCH_ENTRIES_MAX) {
            let entries = messages.iter().map(|(id, receipt)| {
                let entry = ChangeMessageVisibilityBatchRequestEntry::builder().id(id).receipt_handle(receipt);
                entry.visibility_timeout(0).build()
            });
            let request = self.client.change_message_visibility_batch().queue_url(&self.queue_url);
            // An entry fails if its message is visible already, or gone. Nothing is left to do for it then.
            request.set_entries(Some(entries.collect::<Result<_, _>>()?)).send().await?;
        }
        self.run_batches(&mut failed).await
    }

    /// Passes the visible messages to the function, batch by batch, until none is left. Messages that the function
    /// does not report as failed are deleted; failed ones become visible again after their visibility timeout.
    /// Returns how many were deleted.
    ///
    /// # Errors
    /// When the queue cannot be reached.
    pub async fn run_until_empty(&self) -> Result<usize> {
        self.run_batches(&mut *self.in_flight.lock().await).await
    }

    async fn run_batches(&self, failed: &mut FailedMessages) -> Result<usize> {
        let mut deleted = 0;
        while let Some(batch) = self.run_once(0, failed).await? {
            deleted += batch;
        }
        Ok(deleted)
    }

    /// Processes one batch and returns how many of its messages were deleted; `None` if no message was visible.
    async fn run_once(&self, wait_seconds: i32, failed: &mut FailedMessages) -> Result<Option<usize>> {
        let request = self.client.receive_message().queue_url(&self.queue_url).max_number_of_messages(self.batch_size);
        let request = request.message_system_attribute_names(MessageSystemAttributeName::All);
        let messages = request.wait_time_seconds(wait_seconds).send().await?.messages.unwrap_or_default();
        if messages.is_empty() {
            return Ok(None);
        }
        let records = messages.iter().map(record).collect();
        let open =
            messages.iter().map(|message| self.deliveries.open(&self.name, message.message_id().unwrap_or_default()));
        let (open, invocation) = (open.collect::<Vec<_>>(), invocation());
        let response = self.function.handle(SqsEvent { records }, &invocation).await;
        let mut entries = vec![];
        for (message, delivery) in messages.into_iter().zip(open) {
            let (id, receipt) = (message.message_id.unwrap_or_default(), message.receipt_handle.unwrap_or_default());
            let is_failed = response.batch_item_failures.iter().any(|failure| failure.item_identifier == id);
            delivery.finish(invocation.received_at, None, self.function.outcome(is_failed));
            if is_failed {
                failed.insert(id, receipt);
            } else {
                failed.remove(&id);
                entries.push(DeleteMessageBatchRequestEntry::builder().id(id).receipt_handle(receipt).build()?);
            }
        }
        let deleted = entries.len();
        if deleted > 0 {
            let request = self.client.delete_message_batch().queue_url(&self.queue_url);
            request.set_entries(Some(entries)).send().await?;
        }
        Ok(Some(deleted))
    }

    /// Polls until the process ends.
    pub(super) async fn poll(self) {
        loop {
            let result = {
                let mut failed = self.in_flight.lock().await;
                self.run_once(WAIT_SECONDS, &mut failed).await
            };
            if result.is_err() {
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        }
    }
}

fn record(message: &aws_sdk_sqs::types::Message) -> SqsMessage {
    let receives = message.attributes().and_then(|all| all.get(&MessageSystemAttributeName::ApproximateReceiveCount));
    SqsMessage {
        message_id: message.message_id().unwrap_or_default().to_owned(),
        receipt_handle: message.receipt_handle().unwrap_or_default().to_owned(),
        body: message.body().unwrap_or_default().to_owned(),
        attributes: SqsSystemAttributes { approximate_receive_count: receives.cloned().unwrap_or_default() },
    }
}

/// Calls the sweeper at the given interval until the process ends.
pub(super) async fn sweep_every(sweeper: Arc<Sweeper>, interval: Duration) {
    let mut ticks = tokio::time::interval(interval);
    loop {
        ticks.tick().await;
        sweeper.handle(&invocation()).await;
    }
}

/// The context of a call that does not come through the gateway.
pub(super) fn invocation() -> Invocation {
    let now = Timestamp::now();
    Invocation { request_id: format!("local-{:x}", now.as_microsecond()), trace_id: None, received_at: now }
}
