//! The queue of changes that are not on the event bus.

use aws_sdk_sqs::Client;
use clientele_flow::RefusedChanges;
use clientele_model::RefusedChange;

use crate::lazy_client::LazyClient;
use crate::sdk_error;

/// A queue in SQS that names the changes that the bus does not take.
#[derive(Clone, Debug)]
pub struct SqsRefusedChanges {
    client: LazyClient<Client>,
    url: String,
}

impl SqsRefusedChanges {
    /// The queue with that URL.
    #[must_use]
    pub fn new(client: LazyClient<Client>, url: String) -> Self {
        Self { client, url }
    }
}

impl RefusedChanges for SqsRefusedChanges {
    async fn keep(&self, message: &RefusedChange) -> Result<(), String> {
        let request = self.client.send_message().queue_url(&self.url).message_body(message.message());
        let why = |error| format!("the queue of refused changes cannot be reached: {}", sdk_error::describe(&error));
        request.send().await.map(drop).map_err(why)
    }
}
