//! What Lambda does for the function `changes`: an event source mapping reads the stream of the table.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use aws_sdk_dynamodbstreams::Client;
use aws_sdk_dynamodbstreams::config::{BehaviorVersion, Config, Credentials, Region};
use aws_sdk_dynamodbstreams::types::{AttributeValue, OperationType, Record, ShardIteratorType, StreamViewType};
use clientele_aws::{ChangePublisher, StreamEvent};
use jiff::Timestamp;
use serde_json::{Map, Value, json};
use tokio::sync::Mutex;

use super::workers::invocation;
use super::{ACCOUNT, REGION, STACK_NAME};

/// How long the stream is not looked at if it had no more records. A change shows within a second.
const POLL_INTERVAL: Duration = Duration::from_millis(250);
/// How long a batch waits after a failure. Lambda waits longer the more often it fails.
const RETRY_INTERVAL: Duration = Duration::from_secs(1);

/// The event source mapping of `changes`.
#[derive(Clone, Debug)]
pub struct ChangeStream(Arc<Parts>);

#[derive(Debug)]
struct Parts {
    publisher: ChangePublisher,
    settings: StreamSettings,
    /// Where the next batch begins. Held while a batch is processed.
    position: Mutex<Position>,
}

/// What the mapping reads.
#[derive(Debug)]
pub(super) struct StreamSettings {
    pub(super) streams: Client,
    pub(super) table: String,
    pub(super) batch_size: i32,
    /// A record that is older is given up.
    pub(super) record_age_max: Duration,
    pub(super) sqs: aws_sdk_sqs::Client,
    /// The queue for positions of records that are given up.
    pub(super) discarded_queue_url: String,
    /// The file that keeps the position between runs.
    pub(super) position_file: Option<PathBuf>,
}

#[derive(Clone, Debug, Default)]
struct Position {
    /// The last record that is settled; at first none, and the stream is read from its beginning.
    settled: Option<String>,
    /// Continues after it, unless a record failed.
    iterator: Option<String>,
}

/// A shard of the stream.
struct Shard {
    stream_arn: String,
    id: String,
}

/// What became of a batch.
struct BatchResult {
    /// How many records are settled.
    settled: usize,
    /// Whether it had a record that has to be tried again.
    is_failed: bool,
}

impl ChangeStream {
    pub(super) fn new(publisher: ChangePublisher, settings: StreamSettings) -> Result<Self> {
        let settled = match &settings.position_file {
            Some(file) if file.exists() => {
                Some(std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?)
            }
            _ => None,
        };
        let position = Mutex::new(Position { settled, iterator: None });
        Ok(Self(Arc::new(Parts { publisher, settings, position })))
    }

    /// Passes the records of the stream to the function, batch by batch, until none is left or one has to be tried again.
    /// Returns how many are settled.
    ///
    /// # Errors
    /// When the stream cannot be read.
    pub async fn publish_now(&self) -> Result<usize> {
        let mut position = self.0.position.lock().await;
        let mut settled = 0;
        loop {
            let Some(batch) = self.0.run_once(&mut position).await? else { return Ok(settled) };
            settled += batch.settled;
            if batch.is_failed {
                return Ok(settled);
            }
        }
    }

    /// Polls until the process ends.
    pub(super) async fn poll(self) {
        loop {
            let result = self.0.run_once(&mut *self.0.position.lock().await).await;
            match result {
                Ok(Some(BatchResult { is_failed: false, .. })) => {}
                Ok(None) => tokio::time::sleep(POLL_INTERVAL).await,
                Ok(Some(_)) | Err(_) => tokio::time::sleep(RETRY_INTERVAL).await,
            }
        }
    }
}

impl Parts {
    /// Processes one batch; `None` if the stream has no more records.
    async fn run_once(&self, position: &mut Position) -> Result<Option<BatchResult>> {
        let StreamSettings { streams, batch_size, .. } = &self.settings;
        let iterator = match position.iterator.take() {
            Some(iterator) => iterator,
            None => self.iterator(position.settled.as_deref()).await?,
        };
        let answer = streams.get_records().shard_iterator(iterator).limit(*batch_size).send().await?;
        let records = answer.records.unwrap_or_default();
        if records.is_empty() {
            position.iterator = answer.next_shard_iterator;
            return Ok(None);
        }
        let first_failed = self.first_failed(&records).await?;
        let settled = first_failed.unwrap_or(records.len());
        if let Some(last) = records[..settled].last() {
            position.settled = sequence_number(last).map(str::to_owned);
            self.save(position)?;
        }
        if first_failed.is_none() {
            position.iterator = answer.next_shard_iterator;
        }
        Ok(Some(BatchResult { settled, is_failed: first_failed.is_some() }))
    }

    /// The index of the first record that has to be tried again. Records that are too old are given up before.
    async fn first_failed(&self, records: &[Record]) -> Result<Option<usize>> {
        let too_old = records.iter().take_while(|record| self.is_too_old(record)).count();
        let (discarded, records) = records.split_at(too_old);
        if !discarded.is_empty() {
            self.discard(discarded).await?;
        }
        let event = json!({ "Records": records.iter().map(lambda_record).collect::<Vec<_>>() });
        // As text, because the function reads each record from its text.
        let event: StreamEvent = serde_json::from_str(&event.to_string())?;
        let response = self.publisher.handle(event, &invocation()).await;
        let failures = response.batch_item_failures.iter().map(|failure| failure.item_identifier.as_str());
        let place = |failed: &str| records.iter().position(|record| sequence_number(record) == Some(failed));
        // A failure that names no record of the batch is one of the whole batch.
        Ok(failures.map(|failed| too_old + place(failed).unwrap_or_default()).min())
    }

    fn is_too_old(&self, record: &Record) -> bool {
        let age = created_at(record).map(|at| Timestamp::now().duration_since(at));
        age.and_then(|age| Duration::try_from(age).ok()).is_some_and(|age| age > self.settings.record_age_max)
    }

    /// Sends the message with which Lambda gives up a batch
    /// (<https://docs.aws.amazon.com/lambda/latest/dg/services-dynamodb-errors.html>).
    async fn discard(&self, records: &[Record]) -> Result<()> {
        let StreamSettings { sqs, discarded_queue_url, .. } = &self.settings;
        let shard = self.shard().await?;
        let [first, last] = [records.first(), records.last()];
        let invocation = invocation();
        let time = |record: Option<&Record>| record.and_then(created_at).map(|at| at.to_string());
        let message = json!({
            "requestContext": {
                "requestId": invocation.request_id,
                "functionArn": format!("arn:aws:lambda:{REGION}:{ACCOUNT}:function:{STACK_NAME}-changes"),
                "condition": "RecordAgeExceeded",
                "approximateInvokeCount": 1,
            },
            "responseContext": { "statusCode": 200, "executedVersion": "$LATEST", "functionError": null },
            "version": "1.0",
            "timestamp": invocation.received_at.to_string(),
            "DDBStreamBatchInfo": {
                "shardId": shard.id,
                "startSequenceNumber": first.and_then(sequence_number),
                "endSequenceNumber": last.and_then(sequence_number),
                "approximateArrivalOfFirstRecord": time(first),
                "approximateArrivalOfLastRecord": time(last),
                "batchSize": records.len(),
                "streamArn": shard.stream_arn,
            },
        });
        sqs.send_message().queue_url(discarded_queue_url).message_body(message.to_string()).send().await?;
        Ok(())
    }

    async fn shard(&self) -> Result<Shard> {
        let StreamSettings { streams, table, .. } = &self.settings;
        let listed = streams.list_streams().table_name(table).send().await?.streams.unwrap_or_default();
        let stream_arn = listed.into_iter().next().and_then(|stream| stream.stream_arn);
        let stream_arn = stream_arn.with_context(|| format!("the table {table} has no stream"))?;
        let described = streams.describe_stream().stream_arn(&stream_arn).send().await?.stream_description;
        let shard = described.and_then(|described| described.shards).unwrap_or_default().into_iter().next();
        // The embedded DynamoDB has one shard for each table, and never closes it.
        let id = shard.and_then(|shard| shard.shard_id).context("the stream has no shard")?;
        Ok(Shard { stream_arn, id })
    }

    /// An iterator that begins after a record, or with the oldest one.
    async fn iterator(&self, settled: Option<&str>) -> Result<String> {
        let Shard { stream_arn, id } = self.shard().await?;
        let request = self.settings.streams.get_shard_iterator().stream_arn(stream_arn).shard_id(id);
        let request = match settled {
            Some(number) => request.shard_iterator_type(ShardIteratorType::AfterSequenceNumber).sequence_number(number),
            None => request.shard_iterator_type(ShardIteratorType::TrimHorizon),
        };
        request.send().await?.shard_iterator.context("the stream has no iterator")
    }

    /// After a crash the file has the old position or the new one.
    fn save(&self, position: &Position) -> Result<()> {
        let (Some(file), Some(settled)) = (&self.settings.position_file, &position.settled) else { return Ok(()) };
        let new = file.with_extension("new");
        std::fs::write(&new, settled)
            .and_then(|()| std::fs::rename(&new, file))
            .with_context(|| format!("cannot write {}", file.display()))
    }
}

/// A client of the streams at this URL.
pub(super) fn client(dynamodb_url: &str) -> Client {
    let config = Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::from_static(REGION))
        .credentials_provider(Credentials::new("local", "local", None, None, "local"))
        .endpoint_url(dynamodb_url)
        .http_client(aws_smithy_http_client::Builder::new().build_http());
    Client::from_conf(config.build())
}

/// The record as Lambda passes it to a function (<https://docs.aws.amazon.com/lambda/latest/dg/with-ddb-example.html>).
fn lambda_record(record: &Record) -> Value {
    let change = record.dynamodb.as_ref();
    let image = |image: Option<&_>| image.map(attributes);
    let mut dynamodb = json!({
        "ApproximateCreationDateTime": created_at(record).map(Timestamp::as_second),
        "Keys": image(change.and_then(|change| change.keys())),
        "SequenceNumber": sequence_number(record),
        "SizeBytes": change.and_then(|change| change.size_bytes),
        "StreamViewType": change.and_then(|change| change.stream_view_type()).map(StreamViewType::as_str),
    });
    let images = [
        ("OldImage", change.and_then(|change| change.old_image())),
        ("NewImage", change.and_then(|change| change.new_image())),
    ];
    for (name, item) in images {
        if let Some(item) = image(item) {
            dynamodb[name] = item;
        }
    }
    json!({
        "eventID": record.event_id,
        "eventName": record.event_name.as_ref().map(OperationType::as_str),
        "eventVersion": record.event_version,
        "eventSource": record.event_source,
        "awsRegion": record.aws_region,
        "dynamodb": dynamodb,
    })
}

fn sequence_number(record: &Record) -> Option<&str> {
    record.dynamodb.as_ref()?.sequence_number()
}

fn created_at(record: &Record) -> Option<Timestamp> {
    Timestamp::from_second(record.dynamodb.as_ref()?.approximate_creation_date_time()?.secs()).ok()
}

fn attributes(item: &HashMap<String, AttributeValue>) -> Value {
    item.iter().map(|(name, value)| (name.clone(), attribute(value))).collect::<Map<_, _>>().into()
}

/// An attribute in DynamoDB's JSON. Clientele writes no binaries and sets.
fn attribute(value: &AttributeValue) -> Value {
    match value {
        AttributeValue::S(text) => json!({ "S": text }),
        AttributeValue::N(number) => json!({ "N": number }),
        AttributeValue::Bool(flag) => json!({ "BOOL": flag }),
        AttributeValue::L(elements) => json!({ "L": elements.iter().map(attribute).collect::<Vec<_>>() }),
        AttributeValue::M(fields) => json!({ "M": attributes(fields) }),
        _ => json!({ "NULL": true }),
    }
}
