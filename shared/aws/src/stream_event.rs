//! Reads the events of an event source mapping for a stream of DynamoDB
//! (<https://docs.aws.amazon.com/lambda/latest/dg/with-ddb.html>).

use std::fmt;

use clientele_flow::FeedRecord;
use clientele_model::{Item, ItemError, ItemWrite, Rank, RefusedChange, json_text_at};
use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;

use crate::replayer::BatchItemFailure;
use crate::stream_attributes::StreamAttributes;

/// Why a record is not a change.
const UNREADABLE: &str = "the record of the stream cannot be read";
/// Why a record without images is not a change.
const NO_IMAGES: &str = "the stream does not contain both images of the item";
/// The largest rank in bytes that is part of the message about a record that cannot be read. Such a message must fit on a
/// queue whatever the record contains.
const RANK_BYTES_MAX: usize = 2_048;

/// An event of an event source mapping for a stream of the table. One record that cannot be read does not affect the others.
#[derive(Clone, Deserialize)]
pub struct StreamEvent {
    /// The records, in the order of the shard.
    #[serde(rename = "Records")]
    pub records: Vec<StreamRecord>,
}

/// A record of the stream.
#[derive(Clone, Debug)]
pub struct StreamRecord(pub FeedRecord);

/// The response, which names the record from which on the batch must be tried again
/// (<https://docs.aws.amazon.com/lambda/latest/dg/services-ddb-batchfailurereporting.html>).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StreamBatchResponse {
    /// The first failed record by its sequence number, or nothing.
    pub batch_item_failures: Vec<BatchItemFailure>,
}

impl fmt::Debug for StreamEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StreamEvent(..)")
    }
}

impl<'de> Deserialize<'de> for StreamRecord {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // What is not a record at all is an error of this record alone.
        Ok(Self(read(Box::<RawValue>::deserialize(deserializer)?.get())))
    }
}

fn read(json: &str) -> FeedRecord {
    let record: Result<LambdaRecord, _> = serde_json::from_str(json);
    let Ok(LambdaRecord { event_id, event_name, change }) = record else { return unreadable(json, UNREADABLE) };
    let Change { created_at, sequence_number, old, new } = change;
    // Only in whole seconds or with a few digits, so nothing is lost that is known.
    #[expect(clippy::cast_possible_truncation, reason = "a time after the year 9999 is not a timestamp either")]
    let Ok(at) = Timestamp::from_millisecond((created_at * 1e3) as i64) else { return unreadable(json, UNREADABLE) };
    let has_images = match event_name {
        EventName::Insert => old.is_none() && new.is_some(),
        EventName::Modify => old.is_some() && new.is_some(),
        EventName::Remove => old.is_some() && new.is_none(),
    };
    if !has_images {
        return unreadable(json, NO_IMAGES);
    }
    let item = |image: Option<StreamAttributes>| image.map(|image| Item::try_from(image.0)).transpose();
    let write = || Ok::<_, ItemError>(ItemWrite { old: item(old)?, new: item(new)?, id: event_id, at });
    match write() {
        Ok(write) => FeedRecord { sequence_number, write: Ok(write) },
        Err(error) => unreadable(json, &error.to_string()),
    }
}

/// What is known of a record that cannot be read. Without a sequence number, Lambda tries the whole batch again if this
/// record fails.
fn unreadable(json: &str, reason: &str) -> FeedRecord {
    let text = |path: &[&str]| json_text_at(json.as_bytes(), path);
    let rank = text(&["dynamodb", "NewImage", "rank", "S"]).or_else(|| text(&["dynamodb", "OldImage", "rank", "S"]));
    let rank = rank.filter(|rank| rank.len() <= RANK_BYTES_MAX && rank.parse::<Rank>().is_ok());
    let id = text(&["eventID"]).unwrap_or_default();
    let pk = text(&["dynamodb", "Keys", "pk", "S"]).unwrap_or_default();
    let sequence_number = text(&["dynamodb", "SequenceNumber"]).unwrap_or_default();
    FeedRecord { sequence_number, write: Err(RefusedChange::new(id, pk, rank, reason)) }
}

#[derive(Deserialize)]
struct LambdaRecord {
    #[serde(rename = "eventID")]
    event_id: String,
    #[serde(rename = "eventName")]
    event_name: EventName,
    #[serde(rename = "dynamodb")]
    change: Change,
}

#[derive(Deserialize)]
#[serde(rename_all = "UPPERCASE")]
enum EventName {
    Insert,
    Modify,
    Remove,
}

#[derive(Deserialize)]
struct Change {
    /// In seconds since the Unix epoch.
    #[serde(rename = "ApproximateCreationDateTime")]
    created_at: f64,
    #[serde(rename = "SequenceNumber")]
    sequence_number: String,
    #[serde(rename = "OldImage")]
    old: Option<StreamAttributes>,
    #[serde(rename = "NewImage")]
    new: Option<StreamAttributes>,
}
