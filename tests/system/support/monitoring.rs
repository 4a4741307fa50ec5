//! What CloudWatch, CloudFormation and DynamoDB say about a deployed stack besides its contents: metrics, alarms, resources,
//! and the settings of the table.

use std::collections::BTreeMap;

use aws_smithy_cbor::data::Type;
use aws_smithy_cbor::{Decoder, Encoder};
use aws_smithy_types::DateTime;
use clientele_model::{ApiMethod, ApiRequest};
use clientele_plain::LIST_STAND_IN;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::support::template::{resources, template};

/// The state of an alarm: its word, since when, and whether it notifies anybody.
pub(crate) type AlarmState = (&'static str, Timestamp, bool);

pub(crate) struct Monitoring {
    /// When something was counted, by the name of the metric and the value of one of its dimensions.
    counts: BTreeMap<(&'static str, &'static str), Vec<(Timestamp, f64)>>,
    /// By logical id.
    alarms: BTreeMap<String, AlarmState>,
    /// The logical ids of functions.
    functions: Vec<String>,
    /// The answers about the table, which a test may change.
    pub(crate) table: Value,
    pub(crate) recovery: Value,
    pub(crate) time_to_live: Value,
    /// The webhook targets of Plain's API, which accepts the key [`PLAIN_KEY`].
    pub(crate) webhook_targets: Vec<Value>,
}

pub(crate) const PLAIN_KEY: &str = "the-api-key-of-plain";

/// The name of an alarm in CloudWatch.
pub(crate) fn alarm_name(id: &str) -> String {
    format!("test-{id}-1ABCDEFGHIJKL")
}

impl Monitoring {
    /// Of a stack that was deployed with the defaults of the template.
    pub(crate) fn healthy() -> Self {
        let optional = template()["Resources"].as_object().unwrap();
        let alarms = resources("AWS::CloudWatch::Alarm").into_keys().filter(|id| optional[id]["Condition"].is_null());
        let since = Timestamp::now();
        Self {
            counts: BTreeMap::new(),
            alarms: alarms.map(|id| (id, ("OK", since, true))).collect(),
            functions: vec!["PlainFunction".to_owned()],
            table: json!({
                "DeletionProtectionEnabled": true,
                "SSEDescription": { "Status": "ENABLED", "SSEType": "KMS", "KMSMasterKeyArn": "arn:aws:kms:eu-central-1:1:key/a" },
                "StreamSpecification": { "StreamEnabled": true, "StreamViewType": "NEW_AND_OLD_IMAGES" },
            }),
            recovery: json!({ "PointInTimeRecoveryStatus": "ENABLED", "RecoveryPeriodInDays": 35 }),
            time_to_live: json!({ "TimeToLiveStatus": "DISABLED" }),
            webhook_targets: vec![],
        }
    }

    /// From now on, that was counted at these times by a metric of which one dimension has that value.
    pub(crate) fn count(&mut self, metric: &'static str, dimension: &'static str, counted: &[(Timestamp, f64)]) {
        self.counts.insert((metric, dimension), counted.to_vec());
    }

    /// `None` deletes the alarm.
    pub(crate) fn set_alarm(&mut self, id: &str, state: Option<AlarmState>) {
        // It stays a resource of the stack.
        self.alarms.insert(id.to_owned(), state.unwrap_or(("", Timestamp::UNIX_EPOCH, true)));
    }

    pub(crate) fn add_function(&mut self, id: &str) {
        self.functions.push(id.to_owned());
    }

    /// Answers `GetMetricStatistics` about a metric of the functions, with one point per period that has a value.
    pub(crate) fn metric_statistics(&self, request: &Value) -> Vec<u8> {
        assert_eq!((&request["Namespace"], &request["Statistics"]), (&json!("test"), &json!(["Sum"])), "{request}");
        let number = |name: &str| request[name].as_i64().unwrap();
        let (start, end, period) = (number("StartTime"), number("EndTime"), number("Period"));
        assert!((end - start) / period <= 1_440 && start % period == 0, "CloudWatch refuses it: {request}");
        let values: Vec<_> =
            request["Dimensions"].as_array().unwrap().iter().map(|it| it["Value"].as_str().unwrap()).collect();
        let counted =
            self.counts.iter().filter(|((name, value), _)| request["MetricName"] == *name && values.contains(value));
        let mut points = BTreeMap::<i64, f64>::new();
        for (time, count) in counted.flat_map(|(_, counted)| counted) {
            let place = (time.as_second() - start).div_euclid(period) * period + start;
            if (start..end).contains(&time.as_second()) {
                *points.entry(place).or_default() += count;
            }
        }
        let mut answer = Encoder::new(vec![]);
        answer.map(1).str("Datapoints").array(points.len());
        for (time, sum) in points {
            answer.map(2).str("Timestamp").timestamp(&DateTime::from_secs(time)).str("Sum").double(sum);
        }
        answer.into_writer()
    }

    /// Answers `DescribeAlarms`.
    pub(crate) fn describe_alarms(&self, request: &Value) -> Vec<u8> {
        let wanted = request["AlarmNames"].as_array().unwrap();
        assert!(wanted.len() <= 100, "CloudWatch refuses it");
        let is_wanted = |id: &str| wanted.iter().any(|name| *name == alarm_name(id));
        let found: Vec<_> = self.alarms.iter().filter(|(id, (state, ..))| is_wanted(id) && !state.is_empty()).collect();
        let descriptions = resources("AWS::CloudWatch::Alarm");
        let mut answer = Encoder::new(vec![]);
        answer.map(1).str("MetricAlarms").array(found.len());
        for (id, (state, since, is_enabled)) in found {
            let description = descriptions[id]["AlarmDescription"].as_str().unwrap();
            answer.map(5).str("AlarmName").str(&alarm_name(id)).str("AlarmDescription").str(description);
            answer.str("StateValue").str(state).str("ActionsEnabled").boolean(*is_enabled);
            answer.str("StateTransitionedTimestamp").timestamp(&DateTime::from_secs(since.as_second()));
        }
        answer.into_writer()
    }

    /// Answers `ListStackResources` in two pages.
    pub(crate) fn list_stack_resources(&self, request: &str) -> String {
        let alarms = self.alarms.keys().map(|id| ("AWS::CloudWatch::Alarm", id, alarm_name(id)));
        let functions = self.functions.iter().map(|id| ("AWS::Lambda::Function", id, id.clone()));
        let all: Vec<_> = functions.chain(alarms).collect();
        let (first, second) = all.split_at(all.len() / 2);
        let (page, next) =
            if request.contains("NextToken=more") { (second, "") } else { (first, "<NextToken>more</NextToken>") };
        let member = |(kind, id, name): &(&str, &String, String)| {
            format!(
                "<member><LogicalResourceId>{id}</LogicalResourceId><PhysicalResourceId>{name}</PhysicalResourceId>\
                 <ResourceType>{kind}</ResourceType><ResourceStatus>CREATE_COMPLETE</ResourceStatus>\
                 <LastUpdatedTimestamp>2026-11-20T12:00:00Z</LastUpdatedTimestamp></member>"
            )
        };
        let members: String = page.iter().map(member).collect();
        format!(
            "<ListStackResourcesResponse><ListStackResourcesResult><StackResourceSummaries>{members}</StackResourceSummaries>\
             {next}</ListStackResourcesResult></ListStackResourcesResponse>"
        )
    }

    /// Answers as Plain's API: a status and a body.
    pub(crate) fn plain_api(&self, authorization: &str, path: &str, request: Value) -> (u16, Vec<u8>) {
        if authorization != format!("Bearer {PLAIN_KEY}") {
            return (401, vec![]);
        }
        let request =
            ApiRequest { method: ApiMethod::Post, path: path.to_owned(), headers: vec![], body: Some(request) };
        let answer = (LIST_STAND_IN.answer)(&self.webhook_targets, &request, 100);
        (answer.status, answer.body)
    }

    /// What DynamoDB adds to the emulator's answer, or answers instead.
    pub(crate) fn describe_table(&self, operation: &str, answer: &[u8]) -> Option<Value> {
        match operation {
            "DescribeTable" => {
                let mut answer: Value = serde_json::from_slice(answer).unwrap();
                for (name, value) in self.table.as_object().unwrap() {
                    answer["Table"][name] = value.clone();
                }
                Some(answer)
            }
            "DescribeContinuousBackups" => Some(json!({ "ContinuousBackupsDescription": {
                "ContinuousBackupsStatus": "ENABLED", "PointInTimeRecoveryDescription": self.recovery } })),
            "DescribeTimeToLive" => Some(json!({ "TimeToLiveDescription": self.time_to_live })),
            _ => None,
        }
    }
}

/// The request of an SDK in CBOR as JSON. Times are whole seconds.
pub(crate) fn decode(request: &[u8]) -> Value {
    value(&mut Decoder::new(request))
}

fn value(decoder: &mut Decoder<'_>) -> Value {
    match decoder.datatype().unwrap() {
        Type::Map | Type::MapIndef => {
            let (length, mut fields) = (decoder.map().unwrap(), serde_json::Map::new());
            while !is_end(decoder, length, fields.len()) {
                fields.insert(decoder.string().unwrap(), value(decoder));
            }
            Value::Object(fields)
        }
        Type::Array | Type::ArrayIndef => {
            let (length, mut elements) = (decoder.list().unwrap(), vec![]);
            while !is_end(decoder, length, elements.len()) {
                elements.push(value(decoder));
            }
            Value::Array(elements)
        }
        Type::Tag => decoder.timestamp().unwrap().secs().into(),
        Type::String | Type::StringIndef => decoder.string().unwrap().into(),
        Type::Bool => decoder.boolean().unwrap().into(),
        _ => decoder.long().unwrap().into(),
    }
}

fn is_end(decoder: &mut Decoder<'_>, length: Option<u64>, read: usize) -> bool {
    match length {
        Some(length) => u64::try_from(read).unwrap() == length,
        None if decoder.datatype().unwrap() == Type::Break => {
            decoder.skip().unwrap();
            true
        }
        None => false,
    }
}
