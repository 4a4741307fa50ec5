//! The queues in SQS.

use std::time::Duration;

use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::MessageAttributeValue;
use clientele_flow::{Queue, QueueError, Queues};
use clientele_model::CleanupType;

use crate::config::Resources;
use crate::lazy_client::LazyClient;
use crate::sdk_error;

/// The queues in SQS: one for deletes, which all other systems read, and two for deliveries that were kept.
#[derive(Clone, Debug)]
pub struct SqsQueues {
    client: LazyClient<Client>,
    cleanup_url: String,
    inbox_url: String,
    quarantine_url: String,
}

impl SqsQueues {
    /// The queues of a function.
    #[must_use]
    pub fn new(client: LazyClient<Client>, resources: &Resources) -> Self {
        Self {
            client,
            cleanup_url: resources.cleanup_queue_url.clone(),
            inbox_url: resources.inbox_queue_url.clone(),
            quarantine_url: resources.quarantine_queue_url.clone(),
        }
    }

    /// Hides a message of the inbox for this time instead of the queue's visibility timeout.
    ///
    /// # Errors
    /// When SQS did not confirm it.
    pub(crate) async fn hide(&self, receipt: &str, time: Duration) -> Result<(), QueueError> {
        let request = self.client.change_message_visibility().queue_url(&self.inbox_url).receipt_handle(receipt);
        let seconds = i32::try_from(time.as_secs()).unwrap_or(i32::MAX);
        let result = request.visibility_timeout(seconds).send().await;
        result.map(drop).map_err(|error| QueueError { queue: Queue::Inbox, why: sdk_error::describe(&error) })
    }
}

impl Queues for SqsQueues {
    async fn send(&self, queue: Queue, provider: &str, message: &str) -> Result<(), QueueError> {
        let (url, message_type) = match queue {
            Queue::Cleanup => (&self.cleanup_url, Some(CleanupType::CustomerDeleted.as_str())),
            Queue::Inbox => (&self.inbox_url, None),
            Queue::Quarantine => (&self.quarantine_url, None),
        };
        let mut request = self.client.send_message().queue_url(url).message_body(message);
        for (name, value) in [("provider", Some(provider)), ("type", message_type)] {
            let text = |value| MessageAttributeValue::builder().data_type("String").string_value(value).build();
            // Building an attribute fails only without a data type.
            if let Some(Ok(attribute)) = value.map(text) {
                request = request.message_attributes(name, attribute);
            }
        }
        request.send().await.map(drop).map_err(|error| QueueError { queue, why: sdk_error::describe(&error) })
    }
}
