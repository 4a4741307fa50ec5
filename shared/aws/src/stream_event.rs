//! Reads the events of an event source mapping for a stream of DynamoDB
//! (<https://docs.aws.amazon.com/lambda/latest/dg/with-ddb.html>).

use std::fmt;

use clientele_flow::FeedRecord;
use clientele_model::{Item, ItemError, ItemWrite, Rank, RefusedChange, json_text_at};
use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;

use crate::sqs_event::BatchItemFailure;
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

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use serde_json::{Value, json};

    const RANK: &str = "0.800660b3f4d295b0.2.800660b3f4d32250.00000000.e";
    const PK: &str = "plain#w#c";

    fn image(rank: &str, more: &Value) -> Value {
        let text = |text: &str| json!({ "S": text });
        let mut image = json!({
            "pk": text(PK), "sk": text("customer"), "provider": text("plain"), "account": text("w"),
            "customer_id": text("c"), "status": text("active"), "profile": { "M": {} }, "extra": { "M": {} },
            "updated_at": text("2026-11-20T12:00:00Z"), "rank": text(rank), "schema": { "N": "1" },
            "last_event": { "M": { "id": text("e"), "type": text("t"), "received_at": text("2026-11-20T12:00:00Z") } },
        });
        image.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        image
    }

    /// A record as Lambda passes it on.
    fn record(name: &str, old: Option<Value>, new: Option<Value>) -> Value {
        let mut record = json!({
            "eventID": "c4ca4238a0b923820dcc509a6f75849b",
            "eventName": name,
            "eventVersion": "1.1",
            "eventSource": "aws:dynamodb",
            "awsRegion": "eu-west-1",
            "dynamodb": {
                "ApproximateCreationDateTime": 1_795_176_000,
                "Keys": { "pk": { "S": PK }, "sk": { "S": "customer" } },
                "SequenceNumber": "4421584500000000017450439091",
                "SizeBytes": 26,
                "StreamViewType": "NEW_AND_OLD_IMAGES",
            },
            "eventSourceARN": "arn:aws:dynamodb:eu-west-1:123456789012:table/t/stream/2026-11-20T00:00:00.000",
        });
        for (name, image) in [("OldImage", old), ("NewImage", new)] {
            if let Some(image) = image {
                record["dynamodb"][name] = image;
            }
        }
        record
    }

    fn modified(more: &Value) -> Value {
        record("MODIFY", Some(image("r", &json!({}))), Some(image(RANK, more)))
    }

    fn read_all(records: &[String]) -> Vec<FeedRecord> {
        let event = format!(r#"{{"Records":[{}]}}"#, records.join(","));
        let event: StreamEvent = serde_json::from_str(&event).unwrap();
        event.records.into_iter().map(|record| record.0).collect()
    }

    fn read_one(record: &Value) -> FeedRecord {
        read_all(&[record.to_string()]).remove(0)
    }

    fn refused(id: &str, pk: &str, rank: Option<&str>, reason: &str) -> RefusedChange {
        RefusedChange::new(id.to_owned(), pk.to_owned(), rank.map(str::to_owned), reason)
    }

    #[rstest]
    #[case("INSERT", None, Some("r2"))]
    #[case("MODIFY", Some("r1"), Some("r2"))]
    #[case("REMOVE", Some("r1"), None)]
    fn images_are_read(#[case] name: &str, #[case] old: Option<&str>, #[case] new: Option<&str>) {
        let [old_image, new_image] = [old, new].map(|rank| rank.map(|rank| image(rank, &json!({}))));
        let FeedRecord { sequence_number, write } = read_one(&record(name, old_image, new_image));
        let write = write.unwrap();
        assert_eq!(sequence_number, "4421584500000000017450439091");
        assert_eq!(
            (write.id.as_str(), write.at.to_string()),
            ("c4ca4238a0b923820dcc509a6f75849b", "2026-11-20T12:00:00Z".to_owned())
        );
        assert_eq!((write.old.as_ref().map(Item::rank), write.new.as_ref().map(Item::rank)), (old, new));
    }

    /// What the SDK would read from the same attributes, and names that `serde_json` would not take for names.
    #[test]
    fn attributes_are_read_as_they_were_written() {
        let extra = json!({ "M": {
            "n": { "N": "0.10000000000000000000000001" }, "b": { "BOOL": true }, "null": { "NULL": true }, "s": { "S": "" },
            "l": { "L": [{ "N": "1" }, { "L": [] }, { "M": { "a": { "S": "\u{1f600}" } } }] },
            "binary": { "B": "AAAA" }, "set": { "SS": ["a"] },
            "$serde_json::private::Number": { "M": { "$serde_json::private::RawValue": { "S": "x" } } },
        }});
        let Ok(ItemWrite { new: Some(Item::Customer(item)), .. }) =
            read_one(&modified(&json!({ "extra": extra }))).write
        else {
            panic!("a customer")
        };
        let expected = r#"{"$serde_json::private::Number":{"$serde_json::private::RawValue":"x"},"b":true,"binary":null,"l":[1,[],{"a":"😀"}],"n":0.10000000000000000000000001,"null":null,"s":"","set":null}"#;
        assert_eq!(Value::Object(item.extra).to_string(), expected);
    }

    #[rstest]
    #[case("1795176000", "2026-11-20T12:00:00Z")]
    #[case("1795176000.0", "2026-11-20T12:00:00Z")]
    #[case("1.795176E9", "2026-11-20T12:00:00Z")]
    #[case("1795176000.25", "2026-11-20T12:00:00.25Z")]
    fn times_are_read(#[case] time: &str, #[case] expected: &str) {
        let record = modified(&json!({})).to_string().replace("1795176000", time);
        assert_eq!(read_all(&[record])[0].write.as_ref().unwrap().at.to_string(), expected);
    }

    /// Each of these between two records that can be read.
    #[rstest]
    #[case::text(r#""$[CANARY]""#.to_owned(), refused("", "", None, UNREADABLE))]
    #[case::null("null".to_owned(), refused("", "", None, UNREADABLE))]
    #[case::nothing("{}".to_owned(), refused("", "", None, UNREADABLE))]
    #[case::list("[[]]".to_owned(), refused("", "", None, UNREADABLE))]
    #[case::private_name(r#"{"$serde_json::private::Number":"CANARY"}"#.to_owned(), refused("", "", None, UNREADABLE))]
    #[case::lone_surrogate(r#"{"dynamodb":{"NewImage":{"extra":{"S":"\ud800"}}}}"#.to_owned(), refused("", "", None, UNREADABLE))]
    fn a_record_that_is_none_affects_no_other(#[case] record: String, #[case] expected: RefusedChange) {
        let good = modified(&json!({})).to_string();
        let records = read_all(&[good.clone(), record, good]);
        assert_eq!(records.iter().map(|record| record.write.is_ok()).collect::<Vec<_>>(), [true, false, true]);
        assert_eq!((records[1].sequence_number.as_str(), records[1].write.as_ref().unwrap_err()), ("", &expected));
    }

    #[rstest]
    #[case::unknown_attribute(json!({ "more": { "S": "CANARY" } }), "an item has attributes that this version does not know")]
    #[case::wrong_type(json!({ "schema": { "S": "CANARY" } }), "an item has attributes that this version does not know")]
    #[case::untyped(json!({ "name": "CANARY" }), UNREADABLE)]
    #[case::no_type(json!({ "name": {} }), UNREADABLE)]
    #[case::two_types(json!({ "name": { "S": "CANARY", "N": "1" } }), UNREADABLE)]
    #[case::not_its_type(json!({ "name": { "S": ["CANARY"] } }), UNREADABLE)]
    #[case::not_a_map(json!({ "extra": { "M": [] } }), UNREADABLE)]
    fn an_image_that_cannot_be_read_is_named(#[case] more: Value, #[case] reason: &str) {
        let FeedRecord { sequence_number, write } = read_one(&modified(&more));
        assert_eq!(sequence_number, "4421584500000000017450439091");
        let expected = refused("c4ca4238a0b923820dcc509a6f75849b", PK, Some(RANK), reason);
        assert_eq!(write.unwrap_err(), expected);
        assert!(!expected.message().contains("CANARY"));
    }

    /// The rank of an item that was removed; none that is not a rank; none that is too long for a message.
    #[test]
    fn ranks_of_unreadable_images() {
        let more = json!({ "more": { "S": "" } });
        let long = format!("{RANK}{}", "e".repeat(RANK_BYTES_MAX));
        for (rank, expected) in [(RANK, Some(RANK)), ("CANARY", None), (&long, None)] {
            let write = read_one(&record("REMOVE", Some(image(rank, &more)), None)).write;
            assert_eq!(write.unwrap_err().rank.as_deref(), expected);
        }
    }

    /// With another view type of the stream, changes must not seem to be nothing.
    #[rstest]
    #[case("INSERT", false, false)]
    #[case("INSERT", true, true)]
    #[case("MODIFY", false, false)]
    #[case("MODIFY", true, false)]
    #[case("MODIFY", false, true)]
    #[case("REMOVE", false, false)]
    #[case("REMOVE", true, true)]
    fn missing_images_are_named(#[case] name: &str, #[case] has_old: bool, #[case] has_new: bool) {
        let [old, new] = [has_old, has_new].map(|has| has.then(|| image(RANK, &json!({}))));
        let error = read_one(&record(name, old, new)).write.unwrap_err();
        let rank = (has_old || has_new).then_some(RANK);
        assert_eq!(error, refused("c4ca4238a0b923820dcc509a6f75849b", PK, rank, NO_IMAGES));
    }

    #[rstest]
    #[case("/eventID")]
    #[case("/eventName")]
    #[case("/dynamodb/SequenceNumber")]
    #[case("/dynamodb/ApproximateCreationDateTime")]
    fn fields_of_a_wrong_type_are_named(#[case] field: &str) {
        for value in [json!({ "a": "CANARY" }), json!("CANARY"), Value::Null, json!(1e300)] {
            let mut record = modified(&json!({}));
            *record.pointer_mut(field).unwrap() = value.clone();
            // Any text is an id or a number of a record.
            if value.is_string() && (field.ends_with("ID") || field.ends_with("Number")) {
                continue;
            }
            let FeedRecord { sequence_number, write } = read_one(&record);
            let error = write.unwrap_err();
            assert_eq!((error.pk.as_str(), error.rank.as_deref(), error.reason.as_str()), (PK, Some(RANK), UNREADABLE));
            assert_eq!(error.id.is_empty(), field == "/eventID");
            assert_eq!(sequence_number.is_empty(), field == "/dynamodb/SequenceNumber");
        }
    }

    #[test]
    fn an_event_without_records_is_an_error() {
        for event in [r#"{"Records":"CANARY"}"#, "{}", "[]"] {
            assert!(serde_json::from_str::<StreamEvent>(event).is_err(), "{event}");
        }
    }
}
