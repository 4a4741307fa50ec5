//! Positions in the table's stream that Lambda has given up
//! (<https://docs.aws.amazon.com/lambda/latest/dg/services-dynamodb-errors.html>), and the customers that are found there.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use aws_sdk_dynamodbstreams::Client;
use aws_sdk_dynamodbstreams::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodbstreams::types::{AttributeValue, Record, ShardIteratorType, StreamRecord};
use serde::Deserialize;
use tokio::time::sleep;

/// How many answers of the stream in a row may be without a record.
const EMPTY_ANSWERS_MAX: usize = 20;
/// The pause after an answer without a record. The stream answers five times a second.
const PAUSE: Duration = Duration::from_millis(250);

/// Records of one shard, from the first to the last number.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StreamPosition {
    /// The stream.
    pub stream_arn: String,
    shard_id: String,
    start_sequence_number: String,
    end_sequence_number: String,
}

/// The message of an event source mapping.
#[derive(Deserialize)]
struct DiscardedBatch {
    #[serde(rename = "DDBStreamBatchInfo")]
    position: StreamPosition,
}

/// What the stream has at a position.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FoundRecords {
    /// The `pk` of each customer, with the greatest rank in the records, if they contain one.
    Customers(BTreeMap<String, Option<String>>),
    /// The stream does not have these records any more.
    Expired,
    /// The stream does not return them, for that reason.
    Missing(&'static str),
}

impl StreamPosition {
    /// Reads a message. Nothing if it is not one of an event source mapping for a stream.
    #[must_use]
    pub fn of_message(text: &str) -> Option<Self> {
        serde_json::from_str::<DiscardedBatch>(text).ok().map(|batch| batch.position)
    }

    /// Whether the stream is that of a table.
    #[must_use]
    pub fn is_of_table(&self, table: &str) -> bool {
        self.stream_arn.contains(&format!(":table/{table}/stream/"))
    }

    /// Reads the records.
    ///
    /// # Errors
    /// When the stream cannot be read.
    pub async fn find(&self, client: &Client) -> Result<FoundRecords> {
        let request = client.get_shard_iterator().stream_arn(&self.stream_arn).shard_id(&self.shard_id);
        let request = request.shard_iterator_type(ShardIteratorType::AtSequenceNumber);
        let output = match request.sequence_number(&self.start_sequence_number).send().await {
            Ok(output) => output,
            Err(error) if is_expired(&error) => return Ok(FoundRecords::Expired),
            Err(error) if error.code() == Some("ValidationException") => {
                return Ok(FoundRecords::Missing("the message has a position that no stream has"));
            }
            Err(error) => bail!(anyhow::Error::from(error)),
        };
        let mut iterator = output.shard_iterator.context("DynamoDB returned no iterator")?;
        let (mut range, mut empty_answers) = (RecordRange::new(self), 0);
        loop {
            let output = match client.get_records().shard_iterator(&iterator).send().await {
                Ok(output) => output,
                Err(error) if is_expired(&error) => return Ok(FoundRecords::Expired),
                Err(error) => bail!(anyhow::Error::from(error)),
            };
            let records = output.records.unwrap_or_default();
            if records.is_empty() {
                empty_answers += 1;
                sleep(PAUSE).await;
            } else {
                empty_answers = 0;
            }
            if let Some(found) = range.add(&records) {
                return Ok(found);
            }
            match output.next_shard_iterator {
                Some(next) if empty_answers < EMPTY_ANSWERS_MAX => iterator = next,
                Some(_) => return Ok(FoundRecords::Missing("the stream does not return the records")),
                // The shard is closed and read to its end.
                None => return Ok(range.finish()),
            }
        }
    }
}

/// Whether the stream has dropped the records, or its shard, or is gone itself.
fn is_expired<E: ProvideErrorMetadata, R>(error: &SdkError<E, R>) -> bool {
    matches!(error.code(), Some("TrimmedDataAccessException" | "ResourceNotFoundException"))
}

/// The records of a position, as far as they are read.
struct RecordRange<'a> {
    position: &'a StreamPosition,
    has_start: bool,
    customers: BTreeMap<String, Option<String>>,
}

impl<'a> RecordRange<'a> {
    fn new(position: &'a StreamPosition) -> Self {
        Self { position, has_start: false, customers: BTreeMap::new() }
    }

    /// Adds records. Returns the result once the last one was there.
    fn add(&mut self, records: &[Record]) -> Option<FoundRecords> {
        for record in records.iter().filter_map(Record::dynamodb) {
            let number = numeric(record.sequence_number().unwrap_or_default());
            let [start, end] =
                [&self.position.start_sequence_number, &self.position.end_sequence_number].map(|it| numeric(it));
            self.has_start |= number == start;
            if number <= end {
                self.add_customer(record);
            }
            if number >= end {
                return Some(self.finish());
            }
        }
        None
    }

    fn add_customer(&mut self, record: &StreamRecord) {
        let Some(pk) = record.keys().and_then(|keys| text(keys, "pk")) else { return };
        let images = [record.new_image(), record.old_image()];
        let rank = images.into_iter().flatten().filter_map(|image| text(image, "rank")).max();
        let known = self.customers.entry(pk).or_default();
        *known = rank.max(known.take());
    }

    /// Without the first record, others may be missing, too.
    fn finish(&mut self) -> FoundRecords {
        let customers = std::mem::take(&mut self.customers);
        if self.has_start { FoundRecords::Customers(customers) } else { FoundRecords::Expired }
    }
}

fn text(attributes: &HashMap<String, AttributeValue>, name: &str) -> Option<String> {
    attributes.get(name)?.as_s().ok().cloned()
}

/// Orders sequence numbers, which may have 40 digits.
fn numeric(number: &str) -> (usize, &str) {
    let digits = number.trim_start_matches('0');
    (digits.len(), digits)
}
