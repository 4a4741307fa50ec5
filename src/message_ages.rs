//! How long messages have been on the queues of the local stack. SQS reports that to CloudWatch only.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use serde_json::Value;

use crate::sqs_requests::{list, queue_name, text};

/// When the messages that are on a queue were sent. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct MessageAges(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    /// By message id.
    messages: BTreeMap<String, SentMessage>,
    /// The message id of each receipt handle that can still delete a message.
    receipts: BTreeMap<String, String>,
}

#[derive(Debug)]
struct SentMessage {
    queue: String,
    sent_at: Timestamp,
    receipt: Option<String>,
}

impl MessageAges {
    /// Records the effect of a successful call.
    pub(crate) fn record(&self, operation: &str, request: &Value, answer: &[u8], now: Timestamp) {
        if !["SendMessage", "ReceiveMessage", "DeleteMessage", "PurgeQueue"]
            .iter()
            .any(|name| operation.starts_with(name))
        {
            return;
        }
        let answer: Value = serde_json::from_slice(answer).unwrap_or_default();
        let queue = queue_name(&request["QueueUrl"]);
        let mut state = self.state();
        match operation {
            "SendMessage" => state.sent(&answer, &queue, now),
            "SendMessageBatch" => list(&answer["Successful"]).for_each(|sent| state.sent(sent, &queue, now)),
            "ReceiveMessage" => list(&answer["Messages"]).for_each(|message| state.received(message, &queue)),
            "DeleteMessage" => state.deleted(&request["ReceiptHandle"]),
            "DeleteMessageBatch" => {
                let is_deleted = |entry: &&Value| list(&answer["Successful"]).any(|done| done["Id"] == entry["Id"]);
                list(&request["Entries"]).filter(is_deleted).for_each(|entry| state.deleted(&entry["ReceiptHandle"]));
            }
            _ => state.purged(&queue),
        }
    }

    /// The age of the oldest message on the queue with that URL, in seconds. A message that SQS has moved to a dead-letter
    /// queue counts as on its old queue until it is received.
    #[must_use]
    pub fn oldest_seconds(&self, queue_url: &str, now: Timestamp) -> Option<u64> {
        let queue = queue_name(&queue_url.into());
        let state = self.state();
        let sent_at = state.messages.values().filter(|message| message.queue == queue).map(|it| it.sent_at).min()?;
        Some(u64::try_from(now.duration_since(sent_at).as_secs()).unwrap_or_default())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn sent(&mut self, answer: &Value, queue: &str, now: Timestamp) {
        let message = SentMessage { queue: queue.to_owned(), sent_at: now, receipt: None };
        self.messages.insert(text(&answer["MessageId"]), message);
    }

    fn received(&mut self, received: &Value, queue: &str) {
        let (id, receipt) = (text(&received["MessageId"]), text(&received["ReceiptHandle"]));
        let Some(message) = self.messages.get_mut(&id) else { return };
        queue.clone_into(&mut message.queue);
        if let Some(older) = message.receipt.replace(receipt.clone()) {
            self.receipts.remove(&older);
        }
        self.receipts.insert(receipt, id);
    }

    fn deleted(&mut self, receipt: &Value) {
        if let Some(id) = self.receipts.remove(&text(receipt)) {
            self.messages.remove(&id);
        }
    }

    fn purged(&mut self, queue: &str) {
        self.messages.retain(|_, message| message.queue != queue);
        let messages = &self.messages;
        self.receipts.retain(|_, id| messages.contains_key(id));
    }
}

#[cfg(test)]
mod tests {
    use jiff::ToSpan;
    use serde_json::json;

    use super::*;

    const CLEANUP: &str = "http://127.0.0.1:9324/000000000000/cleanup";
    const DEAD: &str = "http://127.0.0.1:9324/000000000000/cleanup-dead-letter";

    /// Ages with messages `a` and `b`, sent at 0 and 10 s, and the time of 60 s.
    fn two_messages() -> (MessageAges, Timestamp) {
        let (ages, start) = (MessageAges::default(), Timestamp::UNIX_EPOCH);
        ages.call("SendMessage", &json!({ "QueueUrl": CLEANUP }), &json!({ "MessageId": "a" }), start);
        let answer = json!({ "Successful": [{ "Id": "1", "MessageId": "b" }] });
        ages.call("SendMessageBatch", &json!({ "QueueUrl": CLEANUP }), &answer, start + 10.seconds());
        (ages, start + 60.seconds())
    }

    impl MessageAges {
        fn call(&self, operation: &str, request: &Value, answer: &Value, now: Timestamp) {
            self.record(operation, request, answer.to_string().as_bytes(), now);
        }

        fn receive(&self, queue: &str, id: &str, receipt: &str) {
            let answer = json!({ "Messages": [{ "MessageId": id, "ReceiptHandle": receipt }] });
            self.call("ReceiveMessage", &json!({ "QueueUrl": queue }), &answer, Timestamp::UNIX_EPOCH);
        }
    }

    #[test]
    fn the_oldest_message_counts_until_it_is_deleted() {
        let (ages, now) = two_messages();
        assert_eq!((ages.oldest_seconds(CLEANUP, now), ages.oldest_seconds(DEAD, now)), (Some(60), None));
        ages.receive(CLEANUP, "a", "first");
        ages.receive(CLEANUP, "a", "second");
        assert_eq!(ages.oldest_seconds(CLEANUP, now), Some(60), "received is not deleted");
        let delete = |receipt: &str| json!({ "QueueUrl": CLEANUP, "ReceiptHandle": receipt });
        ages.call("DeleteMessage", &delete("unknown"), &json!({}), now);
        assert_eq!(ages.oldest_seconds(CLEANUP, now), Some(60));
        ages.call("DeleteMessage", &delete("second"), &json!({}), now);
        assert_eq!(ages.oldest_seconds(CLEANUP, now), Some(50));
        ages.receive(CLEANUP, "b", "third");
        let entries = json!({ "QueueUrl": CLEANUP, "Entries": [{ "Id": "1", "ReceiptHandle": "third" }] });
        ages.call("DeleteMessageBatch", &entries, &json!({ "Failed": [{ "Id": "1" }] }), now);
        assert_eq!(ages.oldest_seconds(CLEANUP, now), Some(50), "not deleted");
        ages.call("DeleteMessageBatch", &entries, &json!({ "Successful": [{ "Id": "1" }] }), now);
        assert_eq!(ages.oldest_seconds(CLEANUP, now), None);
        assert_eq!(ages.state().receipts.len(), 0, "nothing is remembered of deleted messages");
    }

    #[test]
    fn a_message_of_the_dead_letter_queue_keeps_its_age() {
        let (ages, now) = two_messages();
        ages.receive(CLEANUP, "a", "first");
        ages.receive(DEAD, "a", "second");
        assert_eq!((ages.oldest_seconds(CLEANUP, now), ages.oldest_seconds(DEAD, now)), (Some(50), Some(60)));
        ages.call("PurgeQueue", &json!({ "QueueUrl": CLEANUP }), &json!({}), now);
        assert_eq!((ages.oldest_seconds(CLEANUP, now), ages.oldest_seconds(DEAD, now)), (None, Some(60)));
    }
}
