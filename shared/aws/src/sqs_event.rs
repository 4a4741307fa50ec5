//! The event with which Lambda passes messages of a queue to a function, and the response.

use std::fmt;

use serde::{Deserialize, Serialize};

/// An event of an event source mapping for SQS (<https://docs.aws.amazon.com/lambda/latest/dg/with-sqs.html>).
#[derive(Deserialize)]
pub struct SqsEvent {
    /// The messages.
    #[serde(rename = "Records")]
    pub records: Vec<SqsMessage>,
}

/// A message as an event source mapping passes it on.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SqsMessage {
    /// Its id.
    pub message_id: String,
    /// Identifies this receive of the message.
    pub receipt_handle: String,
    /// The content.
    pub body: String,
    /// What SQS adds.
    #[serde(default)]
    pub attributes: SqsSystemAttributes,
}

/// What SQS adds to a message.
#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct SqsSystemAttributes {
    /// How often the message was received, including this time.
    #[serde(default)]
    pub approximate_receive_count: String,
}

impl fmt::Debug for SqsEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SqsEvent(..)")
    }
}

/// The response, which names the messages to deliver again
/// (<https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html>).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SqsBatchResponse {
    /// The failed messages.
    pub batch_item_failures: Vec<BatchItemFailure>,
}

/// A failed message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BatchItemFailure {
    /// Its id.
    pub item_identifier: String,
}
