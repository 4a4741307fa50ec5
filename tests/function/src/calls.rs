//! The calls that a function makes, from its start to its answers, and whether its role allows exactly these.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use crate::role::{Calls, KeyUse, Role, function_id, logical_id, resources_in_environment, yaml};
use crate::{Function, Request, Response, command};

/// The calls by which Lambda reads a stream
/// (<https://docs.aws.amazon.com/lambda/latest/dg/services-ddb-eventsourcemapping.html>).
const STREAM_CALLS: [&str; 4] =
    ["dynamodb:DescribeStream", "dynamodb:GetRecords", "dynamodb:GetShardIterator", "dynamodb:ListStreams"];

/// How the table answers a write.
#[derive(Clone, Copy)]
enum TableState {
    Works,
    /// What cannot be written now is parked.
    Fails,
    /// What can never be written is quarantined.
    Rejects,
}

/// What the function has called so far.
#[derive(Default)]
struct Recorded {
    calls: Calls,
    /// The keys of the items that it has read or written, each with the call.
    keys: BTreeSet<(String, String)>,
}

/// A function, and what it is invoked with.
pub struct Setup<'a> {
    /// Its binary.
    pub binary: &'a str,
    /// The name of its folder.
    pub name: &'a str,
    /// What Secrets Manager returns.
    pub secret: &'a str,
    /// Variables besides those that name a resource.
    pub environment: &'a [(&'a str, &'a str)],
    /// The conditions of the template under which it has these variables, other than those of KMS keys.
    pub conditions: &'a [&'a str],
    /// The events.
    pub events: &'a [Value],
    /// Answers what the usual stand-in should not answer.
    pub answer: fn(&Request) -> Option<Response>,
}

/// The role of a function allows exactly what its binary calls: from the start until all events are answered, while the
/// table works, fails, and rejects what is written. Its conditions allow the keys that occur, and the services through
/// which it uses a KMS key.
pub fn a_role_allows_exactly_what_is_called(binary: &str, name: &str, secret: &str, events: &[Value]) {
    let (environment, conditions) = (&[], &[]);
    Setup { binary, name, secret, environment, conditions, events, answer: |_| None }.assert_role();
}

impl Setup<'_> {
    /// As [`a_role_allows_exactly_what_is_called`], for a role whose calls depend on conditions.
    pub fn assert_role(&self) {
        let id = function_id(self.name);
        let Recorded { calls, keys } = self.record(id);
        let role = Role::of(id);
        let on_condition = self.conditions.iter().flat_map(|condition| role.calls_on_condition[*condition].clone());
        let allowed: Calls = role.calls.iter().cloned().chain(on_condition).collect();
        assert_eq!(allowed, calls.union(&called_by_lambda(id)).cloned().collect(), "{id}");
        let allows = |(call, key): &&(String, String)| {
            let patterns = &role.leading_keys[call];
            patterns.is_empty() || patterns.iter().any(|pattern| key.starts_with(pattern.strip_suffix('*').unwrap()))
        };
        assert_eq!(keys.iter().find(|key| !allows(key)), None, "{id}");
        if self.conditions.len() == role.calls_on_condition.len() {
            let all = calls.union(&called_by_lambda(id)).cloned().collect();
            assert_eq!(role.keys_on_condition, allowed_with_keys(&all), "{id}");
        }
    }
}

/// What a function may do with a key if these calls are made with its role: `Decrypt` to read secrets, the table and
/// messages, both to send a message. A former key of either kind is only read with.
fn allowed_with_keys(calls: &Calls) -> BTreeMap<String, KeyUse> {
    let services = |without: &[&str]| {
        let relevant = calls.iter().filter(|call| !without.iter().any(|queue| call.ends_with(queue)));
        let services = relevant.map(|call| call.split(':').next().unwrap().to_owned());
        services.filter(|service| ["dynamodb", "secretsmanager", "sqs"].contains(&service.as_str())).collect()
    };
    let of_key = |key: &str, sends: bool, services: BTreeSet<String>| {
        let actions = if sends { &["Decrypt", "GenerateDataKey"][..] } else { &["Decrypt"] };
        KeyUse { calls: actions.iter().map(|action| format!("kms:{action} {key}")).collect(), services }
    };
    let (with_own_key, fallback) = (["CleanupQueue", "RefusedChangesQueue"], ["InboxQueue", "QuarantineQueue"]);
    let sends_to = |queue: &&str| calls.contains(&format!("sqs:SendMessage {queue}"));
    let mut allowed = BTreeMap::from([
        ("HasOwnKey".to_owned(), of_key("KmsKeyArn", with_own_key.iter().any(sends_to), services(&fallback))),
        ("HasOldKey".to_owned(), of_key("OldKmsKeyArn", false, services(&[]))),
    ]);
    if fallback.iter().any(sends_to) {
        let sqs = BTreeSet::from(["sqs".to_owned()]);
        allowed.insert("HasFallbackKey".to_owned(), of_key("FallbackKmsKeyArn", true, sqs));
    }
    allowed
}

/// The calls that Lambda itself makes with a function's role.
fn called_by_lambda(function: &str) -> Calls {
    let properties = &yaml()["Resources"][function]["Properties"];
    let log_group = logical_id(&properties["LoggingConfig"]["LogGroup"]);
    let logs = ["logs:CreateLogStream", "logs:PutLogEvents"].map(|action| format!("{action} {log_group}"));
    let traces = ["xray:PutTraceSegments", "xray:PutTelemetryRecords"].map(|action| format!("{action} *"));
    let triggers = properties["Events"].as_mapping().unwrap().values();
    let polled = triggers.flat_map(|trigger| {
        let of = |source: &str, calls: &[&str]| -> Vec<_> {
            let resource = &trigger["Properties"][source];
            calls.iter().map(|call| format!("{call} {}", logical_id(resource))).collect()
        };
        match trigger["Type"].as_str() {
            Some("SQS") => of("Queue", &["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"]),
            Some("DynamoDB") => {
                let discarded = &trigger["Properties"]["DestinationConfig"]["OnFailure"]["Destination"];
                let mut calls = of("Stream", &STREAM_CALLS);
                calls.push(format!("sqs:SendMessage {}", logical_id(discarded)));
                calls
            }
            _ => vec![],
        }
    });
    logs.into_iter().chain(traces).chain(polled).collect()
}

impl Setup<'_> {
    /// Runs the function with the resources of the template, and lets it answer the events.
    fn record(&self, id: &str) -> Recorded {
        let state = Arc::new(Mutex::new((TableState::Works, Recorded::default())));
        let mut command = command(Path::new(self.binary));
        // The logical id of a resource serves as its name, URL or ARN.
        command.envs(resources_in_environment(id)).envs(self.environment.iter().copied());
        let (shared, secret, special) = (state.clone(), self.secret.to_owned(), self.answer);
        let mut function = Function::start(command, "", move |request| {
            let (table, recorded) = &mut *shared.lock().unwrap();
            let usual =
                request.headers.get("x-amz-target").map(|call| answer(request, call, *table, recorded, &secret));
            special(request).or(usual).expect("a call of AWS")
        });
        for table in [TableState::Works, TableState::Fails, TableState::Rejects] {
            state.lock().unwrap().0 = table;
            for event in self.events {
                assert!(function.invoke(&event.to_string()).result.is_ok());
            }
        }
        drop(function);
        std::mem::take(&mut state.lock().unwrap().1)
    }
}

fn answer(request: &Request, target: &str, table: TableState, recorded: &mut Recorded, secret: &str) -> Response {
    let (service, operation) = target.split_once('.').unwrap();
    let service = match service {
        "DynamoDB_20120810" => "dynamodb",
        "AmazonSQS" => "sqs",
        "AWSEvents" => "events",
        other => other,
    };
    let body: Value = serde_json::from_str(&request.body).unwrap();
    let names = ["/TableName", "/QueueUrl", "/SecretId", "/Entries/0/EventBusName"];
    let resource = names.iter().find_map(|name| body.pointer(name)?.as_str()).unwrap();
    let resource = match body["IndexName"].as_str() {
        Some(index) => format!("${{{resource}.Arn}}/index/{index}"),
        None => resource.to_owned(),
    };
    let call = format!("{service}:{operation} {resource}");
    let key = [&body["Item"], &body["Key"]].into_iter().find_map(|item| item["pk"]["S"].as_str());
    recorded.keys.extend(key.map(|key| (call.clone(), key.to_owned())));
    recorded.calls.insert(call);
    let (status, body) = match (operation, table) {
        ("PutItem", TableState::Fails) => (500, json!({})),
        ("PutItem", TableState::Rejects) => (400, json!({ "__type": "com.amazon.coral.validate#ValidationException" })),
        // For the sweep: a tombstone whose message was not sent.
        ("Scan", _) => {
            let key = json!({ "pk": { "S": "plain#w_1#c_1" }, "sk": { "S": "customer" },
                "cleanup_due": { "S": "2026-11-20T12:00:00Z" } });
            (200, json!({ "Items": [key] }))
        }
        // Only the sweep reads a part of an item. A delete that reads the whole item finds none.
        ("GetItem", _) if body["ProjectionExpression"].is_null() => (200, json!({})),
        ("GetItem", _) => (200, json!({ "Item": { "rank": { "S": "1" }, "cleanup": { "S": "{}" } } })),
        ("PutEvents", _) => {
            let entries = body["Entries"].as_array().unwrap().iter().map(|_| json!({ "EventId": "e" }));
            (200, json!({ "FailedEntryCount": 0, "Entries": entries.collect::<Vec<_>>() }))
        }
        ("SendMessage", _) => (200, json!({ "MessageId": "m" })),
        ("GetSecretValue", _) => (200, json!({ "SecretString": secret })),
        _ => (200, json!({})),
    };
    Response { status, headers: "", body: body.to_string() }
}
