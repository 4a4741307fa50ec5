//! The queue that tells other systems to erase a customer.

use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::MessageAttributeValue;
use clientele_model::CleanupType;

use crate::telemetry;

/// The cleanup queue.
#[derive(Clone, Debug)]
pub struct CleanupQueue {
    client: Client,
    url: String,
}

/// The message could not be sent.
#[derive(Debug, thiserror::Error)]
#[error("the cleanup queue cannot be reached: {0}")]
pub struct QueueError(String);

impl CleanupQueue {
    /// The queue with that URL.
    #[must_use]
    pub fn new(client: Client, url: String) -> Self {
        Self { client, url }
    }

    /// Sends a cleanup message, byte for byte as its tombstone holds it.
    ///
    /// # Errors
    /// When the queue did not take it.
    pub async fn send(&self, provider: &str, message: &str) -> Result<(), QueueError> {
        let request = self.client.send_message().queue_url(&self.url).message_body(message);
        let attributes = [("provider", provider), ("type", CleanupType::CustomerDeleted.name())];
        let request = attributes.into_iter().fold(request, |request, (name, value)| {
            let value = MessageAttributeValue::builder().data_type("String").string_value(value).build();
            // Fails only without a data type.
            value.into_iter().fold(request, |request, value| request.message_attributes(name, value))
        });
        request.send().await.map(drop).map_err(|error| QueueError(telemetry::sdk_error(&error)))
    }
}
