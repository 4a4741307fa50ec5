//! Consumes a queue.

use anyhow::Result;
use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::DeleteMessageBatchRequestEntry;
use serde::de::DeserializeOwned;

/// When to stop.
#[derive(Clone, Copy, PartialEq)]
pub enum Until {
    Stopped,
    Idle,
}

/// Handles the messages of a queue. A message is deleted only after it has been handled.
pub async fn consume<M: DeserializeOwned>(
    sqs: &Client,
    queue_url: &str,
    until: Until,
    handle: impl AsyncFn(M) -> Result<()>,
) -> Result<()> {
    loop {
        let request = sqs.receive_message().queue_url(queue_url).max_number_of_messages(10);
        let request = request.wait_time_seconds(if until == Until::Idle { 1 } else { 20 });
        let messages = request.send().await?.messages.unwrap_or_default();
        if messages.is_empty() && until == Until::Idle {
            return Ok(());
        }
        let mut handled = vec![];
        for message in messages {
            let id = message.message_id.unwrap_or_default();
            let result = match serde_json::from_str(message.body.as_deref().unwrap_or_default()) {
                Ok(body) => handle(body).await,
                Err(error) => Err(error.into()),
            };
            // A message that failed becomes visible again, and finally moves to the dead-letter queue. The text of an error
            // may contain personal data.
            if result.is_err() {
                eprintln!("message {id} failed");
                continue;
            }
            let entry = DeleteMessageBatchRequestEntry::builder().id(id);
            handled.push(entry.set_receipt_handle(message.receipt_handle).build()?);
        }
        if !handled.is_empty() {
            let request = sqs.delete_message_batch().queue_url(queue_url).set_entries(Some(handled));
            // These messages come again, which does no harm.
            for entry in request.send().await?.failed {
                eprintln!("message {} was not deleted: {}", entry.id, entry.code);
            }
        }
    }
}
