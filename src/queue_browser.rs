//! Looks at the messages of a queue without consuming them: messages are received, which hides them from other
//! consumers for a while, and then put back. Each look counts as one receive.

use std::collections::BTreeMap;

use anyhow::Result;
use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::{Message, MessageSystemAttributeName};

use crate::terminal;

/// SQS returns at most this many messages at a time.
pub const MESSAGES_MAX: usize = 10;

/// A queue whose messages are looked at.
#[derive(Clone, Debug)]
pub struct QueueBrowser {
    client: Client,
    url: String,
    /// How long a received message stays hidden unless it is put back.
    hidden_seconds: i32,
}

#[expect(clippy::missing_errors_doc, reason = "all fail when the queue cannot be reached")]
impl QueueBrowser {
    /// A queue whose messages are hidden for `hidden_seconds` while they are looked at.
    #[must_use]
    pub fn new(client: &Client, url: &str, hidden_seconds: i32) -> Self {
        Self { client: client.clone(), url: url.to_owned(), hidden_seconds }
    }

    /// Receives some messages, at most `limit`. With a waiting time, SQS asks all of its servers, otherwise only some.
    pub async fn receive(&self, limit: usize, wait_seconds: i32) -> Result<Vec<Message>> {
        let request = self.client.receive_message().queue_url(&self.url).visibility_timeout(self.hidden_seconds);
        let number = i32::try_from(limit.min(MESSAGES_MAX))?;
        let request = request.max_number_of_messages(number).wait_time_seconds(wait_seconds);
        let request = request.message_system_attribute_names(MessageSystemAttributeName::All);
        let request = request.message_attribute_names("All");
        Ok(request.send().await?.messages.unwrap_or_default())
    }

    /// Receives messages until no new ones arrive, or until `limit` of those that `is_wanted` selects have arrived.
    /// Returns these, oldest first, and puts all others back.
    pub async fn look(&self, limit: usize, is_wanted: impl Fn(&Message) -> bool) -> Result<Vec<Message>> {
        self.look_with(limit, is_wanted, |_| {}).await
    }

    /// The same; `progress` is called with the number of messages that have arrived since it was last called.
    pub async fn look_with(
        &self,
        limit: usize,
        is_wanted: impl Fn(&Message) -> bool,
        mut progress: impl FnMut(usize),
    ) -> Result<Vec<Message>> {
        let mut seen = BTreeMap::new();
        let mut missing = limit;
        while missing > 0 {
            let seen_before = seen.len();
            let messages = self.receive(missing, 1).await?;
            seen.extend(messages.into_iter().map(|message| (id(&message).to_owned(), message)));
            if seen.len() == seen_before {
                break;
            }
            progress(seen.len() - seen_before);
            missing = limit - seen.values().filter(|message| is_wanted(message)).count();
        }
        let (mut wanted, others): (Vec<_>, Vec<_>) = seen.into_values().partition(is_wanted);
        wanted.sort_by_key(|message| number(message, &MessageSystemAttributeName::SentTimestamp));
        self.put_back(&others).await;
        Ok(wanted)
    }

    /// Makes messages visible again. If that fails, a warning is printed, and they reappear by themselves.
    pub async fn put_back(&self, messages: &[Message]) {
        for message in messages {
            let receipt = message.receipt_handle().unwrap_or_default();
            let request = self.client.change_message_visibility().queue_url(&self.url).receipt_handle(receipt);
            if request.visibility_timeout(0).send().await.is_err() {
                terminal::note(format!("some messages stay hidden for up to {} s", self.hidden_seconds));
                return;
            }
        }
    }

    /// Deletes a message that was received.
    pub async fn delete(&self, message: &Message) -> Result<()> {
        let receipt = message.receipt_handle().unwrap_or_default();
        self.client.delete_message().queue_url(&self.url).receipt_handle(receipt).send().await?;
        Ok(())
    }
}

/// The id of a message.
#[must_use]
pub fn id(message: &Message) -> &str {
    message.message_id().unwrap_or_default()
}

/// An attribute that SQS gives a message, as a number.
#[must_use]
pub fn number(message: &Message, attribute: &MessageSystemAttributeName) -> u64 {
    let value = message.attributes().and_then(|all| all.get(attribute));
    value.and_then(|value| value.parse().ok()).unwrap_or_default()
}
