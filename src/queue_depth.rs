//! How many messages are on a queue. Asking does not receive any, so it does not count as a receive.

use anyhow::{Context, Result};
use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::QueueAttributeName;
use serde::Serialize;

/// The number of messages on a queue by state. SQS approximates them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct QueueDepth {
    /// Messages that a consumer can receive now.
    pub visible: u64,
    /// Messages that a consumer has received and neither deleted nor returned.
    pub in_flight: u64,
    /// Messages that cannot be received yet.
    pub delayed: u64,
}

impl QueueDepth {
    /// Asks SQS about the queue with that URL.
    ///
    /// # Errors
    /// When the queue cannot be reached, or the answer lacks a number.
    pub async fn read(client: &Client, queue_url: &str) -> Result<Self> {
        let names = [
            QueueAttributeName::ApproximateNumberOfMessages,
            QueueAttributeName::ApproximateNumberOfMessagesNotVisible,
            QueueAttributeName::ApproximateNumberOfMessagesDelayed,
        ];
        let request = client.get_queue_attributes().queue_url(queue_url).set_attribute_names(Some(names.to_vec()));
        let attributes = request.send().await?.attributes.unwrap_or_default();
        let number = |name: &QueueAttributeName| {
            let value = attributes.get(name).and_then(|value| value.parse().ok());
            value.with_context(|| format!("SQS returned no {name}"))
        };
        let [visible, in_flight, delayed] = &names;
        Ok(Self { visible: number(visible)?, in_flight: number(in_flight)?, delayed: number(delayed)? })
    }

    /// The number of messages in any state.
    #[must_use]
    pub fn total(self) -> u64 {
        self.visible + self.in_flight + self.delayed
    }
}
