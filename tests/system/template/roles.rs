//! Each function's role allows exactly the calls that its code makes.
//!
//! The calls are recorded while the functions handle every event file with the real SDK. Another test reads the source
//! to make sure that every call in it was recorded.

use std::collections::{BTreeMap, BTreeSet};

use clientele::events::signed_at;
use clientele::stack::{CapturedLog, LocalStack};
use clientele::template::Function;
use clientele_model::{KeptDelivery, KeptPart};
use clientele_providers::{PROVIDERS, local_secret};
use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use tokio::sync::OnceCell;

use crate::support::aws::{AwsStandIn, Call};
use crate::support::deliveries::{DELETED, UPDATED, change, deliver, untranslatable};
use crate::support::template::{Calls, allowed, logical_id, resources, yaml};
use crate::support::translation::verified;
use crate::support::{
    cases, drain, handle, invocation, replayer, root, scheme, sqs_event, stack, start_receiver, sweeper,
};

/// The calls of each function, recorded once per process.
async fn called() -> &'static BTreeMap<&'static str, Calls> {
    static CALLED: OnceCell<BTreeMap<&'static str, Calls>> = OnceCell::const_new();
    CALLED.get_or_init(record_calls).await
}

/// The calls of each function, by the name of its folder. Receivers handle every event file, a delivery that they do
/// not understand, and an outage of the table; `replay` and `sweep` handle what such an outage leaves.
async fn record_calls() -> BTreeMap<&'static str, Calls> {
    let stack = stack().await;
    let mut called = BTreeMap::new();
    for &provider in PROVIDERS {
        let name = provider.name;
        let aws = AwsStandIn::start(&stack).await;
        let mut environment = stack.environments[name].clone();
        environment.remove("WEBHOOK_SECRETS");
        let (clients, log) = (aws.clients(), CapturedLog::default());
        let receiver = start_receiver(provider, &environment, &clients, &log).await.unwrap();
        for case in cases().iter().filter(|case| case.provider.name == name) {
            let signed = case.sign(&scheme(case), &local_secret(provider), signed_at()).unwrap();
            handle(&receiver, &signed.event, signed_at()).await;
        }
        handle(&receiver, &untranslatable(provider, signed_at()), signed_at()).await;
        aws.fail(&["PutItem"]);
        for change in [change(name, 9, 1, UPDATED), change(name, 9, 2, DELETED)] {
            handle(&receiver, &deliver(name, &[change], signed_at()), signed_at()).await;
        }
        called.insert(name, calls_through(&aws, &stack));
    }
    called.insert("replay", called_by_replay(&stack).await);
    called.insert("sweep", called_by_sweep(&stack).await);
    called
}

/// Replays what is parked by now, and a delivery that is not understood, during the outage and after it.
async fn called_by_replay(stack: &LocalStack) -> Calls {
    let aws = AwsStandIn::start(stack).await;
    let replayer = replayer(&stack.environments, &aws.clients(), &CapturedLog::default());
    let verified = verified(b"{", signed_at());
    let bodies = drain(stack, "inbox").await.into_iter().map(|body| body.to_string());
    let unreadable = KeptDelivery::new(PROVIDERS[0], &verified, "", KeptPart::Whole).to_message();
    let bodies: Vec<_> = bodies.chain([unreadable]).collect();
    for outage in [&["PutItem"][..], &[]] {
        aws.fail(outage);
        replayer.handle(sqs_event(bodies.clone()), &invocation(later())).await;
    }
    calls_through(&aws, stack)
}

async fn called_by_sweep(stack: &LocalStack) -> Calls {
    let (aws, receivers) = AwsStandIn::with_receivers(stack).await;
    aws.fail(&["SendMessage"]);
    let delete = deliver("plain", &[change("swept", 9, 1, DELETED)], signed_at());
    handle(&receivers["plain"], &delete, signed_at()).await;
    aws.fail(&[]);
    aws.take_calls();
    let sweeper = sweeper(&stack.environments, &aws.clients(), &CapturedLog::default());
    assert_eq!(sweeper.handle(&invocation(later())).await.sent, 1);
    calls_through(&aws, stack)
}

/// Some minutes later.
fn later() -> Timestamp {
    signed_at() + SignedDuration::from_mins(5)
}

fn calls_through(aws: &AwsStandIn, stack: &LocalStack) -> Calls {
    let call = |Call { operation, request, .. }: Call| {
        let (service, operation) = operation.split_once('.').unwrap();
        match service {
            "DynamoDB_20120810" => {
                let table = stack.template.tables.iter().find(|table| request["TableName"] == table.name.as_str());
                let table = &table.unwrap().logical_id;
                match request["IndexName"].as_str() {
                    Some(index) => format!("dynamodb:{operation} ${{{table}.Arn}}/index/{index}"),
                    None => format!("dynamodb:{operation} {table}"),
                }
            }
            "AmazonSQS" => {
                let url = |name: &String| stack.queue_urls[name].as_str();
                let queue = stack.template.queues.iter().find(|queue| request["QueueUrl"] == url(&queue.name));
                format!("sqs:{operation} {}", queue.unwrap().logical_id)
            }
            "secretsmanager" => {
                let secret = request["SecretId"].as_str().unwrap().strip_prefix("local:").unwrap();
                format!("secretsmanager:{operation} {secret}")
            }
            service => panic!("{service} is called"),
        }
    };
    aws.take_calls().into_iter().map(call).collect()
}

/// The calls that Lambda itself makes with a function's role.
fn of_lambda(log_group: &str, function: &Function) -> Calls {
    let logs = ["logs:CreateLogStream", "logs:PutLogEvents"].map(|action| format!("{action} {log_group}"));
    let traces = ["xray:PutTraceSegments", "xray:PutTelemetryRecords"].map(|action| format!("{action} *"));
    let polled = function.source.iter().flat_map(|source| {
        ["ReceiveMessage", "DeleteMessage", "GetQueueAttributes"].map(|action| format!("sqs:{action} {}", source.queue))
    });
    logs.into_iter().chain(traces).chain(polled).collect()
}

#[tokio::test]
async fn a_role_allows_exactly_what_is_called() {
    let (called, yaml) = (called().await, yaml());
    let stack = stack().await;
    assert_eq!(stack.template.functions.len(), called.len());
    for function in &stack.template.functions {
        let provider = function.name.as_str();
        let calls = &called[provider];
        let logging = &yaml["Resources"][function.logical_id.as_str()]["Properties"]["LoggingConfig"];
        let expected: Calls = calls.union(&of_lambda(&logical_id(&logging["LogGroup"]), function)).cloned().collect();
        let (always, on_condition) = allowed(&function.logical_id);
        assert_eq!(always, expected, "{provider}");
        assert_eq!(on_condition, allowed_with_keys(calls), "{provider}");
    }
    // No two functions share a role.
    let roles: BTreeSet<_> = stack
        .template
        .functions
        .iter()
        .map(|function| logical_id(&yaml["Resources"][function.logical_id.as_str()]["Properties"]["Role"]))
        .collect();
    assert_eq!(roles.len(), stack.template.functions.len());
}

/// What a function that makes these calls may do with a key: `Decrypt` to read secrets, the table and messages, both to
/// send a message.
fn allowed_with_keys(calls: &Calls) -> BTreeMap<String, Calls> {
    let sends_to = |queues: &[&str]| queues.iter().any(|queue| calls.contains(&format!("sqs:SendMessage {queue}")));
    let of_key = |key: &str, sends| {
        let actions = if sends { &["Decrypt", "GenerateDataKey"][..] } else { &["Decrypt"] };
        actions.iter().map(|action| format!("kms:{action} {key}")).collect::<Calls>()
    };
    let mut allowed = BTreeMap::from([
        ("HasOwnKey".to_owned(), of_key("KmsKeyArn", sends_to(&["CleanupQueue"]))),
        ("HasOldKey".to_owned(), of_key("OldKmsKeyArn", false)),
    ]);
    if sends_to(&["InboxQueue", "QuarantineQueue"]) {
        allowed.insert("HasFallbackKey".to_owned(), of_key("FallbackKmsKeyArn", true));
    }
    allowed
}

/// Inbox and quarantine do not use the key of the table, so that a delivery is kept while that key cannot be used.
#[test]
fn each_queue_is_encrypted_with_its_key() {
    let queues = resources("AWS::SQS::Queue");
    assert_eq!(queues.len(), 4);
    for (id, queue) in queues {
        let is_fallback = ["InboxQueue", "QuarantineQueue"].contains(&id.as_str());
        let (condition, key) =
            if is_fallback { ("HasFallbackKey", "FallbackKmsKeyArn") } else { ("HasOwnKey", "KmsKeyArn") };
        // With that key, or else with SQS's own encryption.
        assert_eq!(queue["KmsMasterKeyId"], json!([condition, key, "AWS::NoValue"]), "{id}");
        assert_eq!(queue["KmsDataKeyReusePeriodSeconds"], json!([condition, 300, "AWS::NoValue"]), "{id}");
        assert_eq!(queue["SqsManagedSseEnabled"], json!([condition, "AWS::NoValue", true]), "{id}");
    }
}

/// Every call in the source was recorded.
#[tokio::test]
async fn every_call_is_recorded() {
    let in_code: BTreeSet<_> = std::fs::read_dir(root("shared/aws/src"))
        .unwrap()
        .flat_map(|entry| calls_in(&std::fs::read_to_string(entry.unwrap().path()).unwrap()))
        .collect();
    let recorded = called().await.values().flatten().map(|call| {
        let operation = call.split([':', ' ']).nth(1).unwrap();
        operation.chars().fold(String::new(), |name, letter| {
            let separator = if letter.is_uppercase() && !name.is_empty() { "_" } else { "" };
            format!("{name}{separator}{}", letter.to_lowercase())
        })
    });
    assert_eq!(in_code, recorded.collect());
    assert_eq!(in_code.len(), 7);
}

/// The operations that source text calls on a client: `client.put_item()`, on one line or two.
fn calls_in(text: &str) -> Vec<String> {
    let after_client = text.split("client").skip(1);
    let call = after_client.filter_map(|rest| rest.trim_start().strip_prefix('.')?.split_once("()"));
    let name =
        call.map(|(name, _)| name).filter(|name| name.chars().all(|letter| letter.is_lowercase() || letter == '_'));
    name.filter(|name| *name != "clone").map(str::to_owned).collect()
}

#[test]
fn calls_are_found_in_source() {
    assert_eq!(calls_in("self.client.put_item().x(); client\n    .send_message()"), ["put_item", "send_message"]);
    assert_eq!(calls_in("clients.sqs.clone(), Client::new(), client.clone()"), [] as [&str; 0]);
}
