//! Each function's role allows exactly the calls that its code makes.
//!
//! The calls are watched: every event file, cleanup messages and secrets included, goes through the real SDK. That no
//! call of the code goes unwatched is read off its source.

use std::collections::{BTreeMap, BTreeSet};

use clientele::events::signed_at;
use clientele::providers::PROVIDERS;
use clientele::signing::Unsigned;
use clientele::stack::{Captured, Stack};
use clientele::template::Function;
use clientele_aws::{Clients, Config, Invocation, Receiver, Replayer, Sweeper, WorkerConfig};
use clientele_model::{Kept, Part, Scheme, TokenPlace};
use jiff::SignedDuration;
use serde_json::{Value, json};

use crate::support::aws::Manager;
use crate::support::deliveries::{ChangeKind, CustomerChange, deliver, signed};
use crate::support::proxy::EmulatorProxy;
use crate::support::template::{Calls, allowed, logical_id, yaml};
use crate::support::translation::verified;
use crate::support::{case, cases, drain, handle, root, scheme, stack};

/// What each function calls, by the name of its folder: a receiver when every event file is delivered to it, the table
/// and what a delivery says being in order or not; `replay` and `sweep` with what is left by an outage.
async fn called() -> BTreeMap<&'static str, Calls> {
    let stack = stack().await;
    let mut called = BTreeMap::new();
    for known in &PROVIDERS {
        let name = known.provider.name;
        let (proxy, manager) = (EmulatorProxy::default(), Manager::default());
        manager.set(Some(known.local_secret));
        let clients =
            Clients { secrets_manager: manager.clients(&stack).await.secrets_manager, ..proxy.clients(&stack) };
        let environment = |variable: &str| match variable {
            "WEBHOOK_SECRETS" => None,
            variable => stack.environments[name].get(variable).cloned(),
        };
        let config = Config::read(known.provider, environment).unwrap();
        let receiver = Receiver::start(known.provider, config, &clients, Captured::default().lines(), signed_at());
        let receiver = receiver.await.unwrap();
        for case in cases().into_iter().filter(|case| case.known.provider.name == name) {
            let fresh = case.fresh(&scheme(&case), known.local_secret, signed_at()).unwrap();
            handle(&receiver, &fresh.event, signed_at()).await;
        }
        let unreadable = Unsigned { body: "{".to_owned(), message_id: "msg_1".to_owned() };
        // Where the time is inside the body, an unreadable body has none.
        let unreadable = if name == "plain" {
            case("plain/partial-snapshot").event
        } else {
            signed(known, &unreadable, signed_at())
        };
        handle(&receiver, &unreadable, signed_at()).await;
        proxy.fail(Some("PutItem"));
        for (event, kind) in [(1, ChangeKind::Updated), (2, ChangeKind::Deleted)] {
            let change = CustomerChange { customer: name.to_owned(), version: 9, event_number: event, kind };
            handle(&receiver, &deliver(name, &[change], signed_at()), signed_at()).await;
        }
        let mut calls = calls_through(&proxy, &stack);
        for secret in manager.asked_for() {
            calls.insert(format!("secretsmanager:GetSecretValue {}", secret.strip_prefix("local:").unwrap()));
        }
        called.insert(name, calls);
    }
    called.insert("replay", called_by_replay(&stack).await);
    called.insert("sweep", called_by_sweep(&stack).await);
    called
}

/// What is parked by now is replayed during the outage and after it, with a delivery that is not understood.
async fn called_by_replay(stack: &Stack) -> Calls {
    let proxy = EmulatorProxy::default();
    let environment = &stack.environments["replay"];
    let config = WorkerConfig::read("replay", |name| environment.get(name).cloned()).unwrap();
    let lines = Captured::default().lines();
    let replayer = Replayer::new(&clientele_replay::PROVIDERS, config, &proxy.clients(stack), lines);
    let verified = verified(b"{", &Scheme::Token(TokenPlace::Path), signed_at());
    let bodies = drain(stack, "inbox").await.into_iter().map(|body| body.to_string());
    let unreadable = Kept::new(PROVIDERS[0].provider, &verified, "", Part::Whole).message();
    let bodies: Vec<_> = bodies.chain([unreadable]).collect();
    for outage in [Some("PutItem"), None] {
        proxy.fail(outage);
        let record = |body: &String| json!({ "messageId": "m", "receiptHandle": "r", "body": body });
        let event = json!({ "Records": bodies.iter().map(record).collect::<Vec<_>>() });
        replayer.handle(serde_json::from_value(event).unwrap(), &invocation()).await;
    }
    calls_through(&proxy, stack)
}

async fn called_by_sweep(stack: &Stack) -> Calls {
    let (before, receivers) = EmulatorProxy::before(stack).await;
    before.fail(Some("SendMessage"));
    let change =
        CustomerChange { customer: "swept".to_owned(), version: 9, event_number: 1, kind: ChangeKind::Deleted };
    handle(&receivers["plain"], &deliver("plain", &[change], signed_at()), signed_at()).await;
    let proxy = EmulatorProxy::default();
    let environment = &stack.environments["sweep"];
    let config = WorkerConfig::read("sweep", |name| environment.get(name).cloned()).unwrap();
    let sweeper = Sweeper::new(config, &proxy.clients(stack), Captured::default().lines());
    assert_eq!(sweeper.handle(&invocation()).await.sent, 1);
    calls_through(&proxy, stack)
}

/// Some minutes later.
fn invocation() -> Invocation {
    let received_at = signed_at() + SignedDuration::from_mins(5);
    Invocation { request_id: "test".to_owned(), trace_id: None, received_at }
}

fn calls_through(proxy: &EmulatorProxy, stack: &Stack) -> Calls {
    let call = |(operation, request): (&String, Value)| {
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
            service => panic!("{service} is called"),
        }
    };
    proxy.calls().iter().zip(proxy.requests()).map(call).collect()
}

/// What Lambda itself does with a function's role.
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
        let provider = function.binary.strip_prefix("clientele-").unwrap();
        let calls = &called[provider];
        let logging = &yaml["Resources"][function.logical_id.as_str()]["Properties"]["LoggingConfig"];
        let expected: Calls = calls.union(&of_lambda(&logical_id(&logging["LogGroup"]), function)).cloned().collect();
        let (always, with_own_key) = allowed(&function.logical_id);
        assert_eq!(always, expected, "{provider}");
        // To read a secret and to open the table's key; and to seal a message.
        let mut of_key = Calls::from(["kms:Decrypt KmsKeyArn".to_owned()]);
        if calls.iter().any(|call| call.starts_with("sqs:SendMessage")) {
            of_key.insert("kms:GenerateDataKey KmsKeyArn".to_owned());
        }
        assert_eq!(with_own_key, of_key, "{provider}");
    }
    // Roles are for one function each.
    let roles: BTreeSet<_> = stack
        .template
        .functions
        .iter()
        .map(|function| logical_id(&yaml["Resources"][function.logical_id.as_str()]["Properties"]["Role"]))
        .collect();
    assert_eq!(roles.len(), stack.template.functions.len());
}

/// The code has no call but those that were watched.
#[tokio::test]
async fn every_call_is_watched() {
    let in_code: BTreeSet<_> = std::fs::read_dir(root("shared/aws/src"))
        .unwrap()
        .flat_map(|entry| calls_in(&std::fs::read_to_string(entry.unwrap().path()).unwrap()))
        .collect();
    let watched = called().await.into_values().flatten().map(|call| {
        let operation = call.split([':', ' ']).nth(1).unwrap();
        operation.chars().fold(String::new(), |name, letter| {
            let separator = if letter.is_uppercase() && !name.is_empty() { "_" } else { "" };
            format!("{name}{separator}{}", letter.to_lowercase())
        })
    });
    assert_eq!(in_code, watched.collect());
    assert_eq!(in_code.len(), 7);
}

/// The operations that a text calls on a client: `client.put_item()`, on one line or two.
fn calls_in(text: &str) -> Vec<String> {
    let after_client = text.split("client").skip(1);
    let call = after_client.filter_map(|rest| rest.trim_start().strip_prefix('.')?.split_once("()"));
    let name =
        call.map(|(name, _)| name).filter(|name| name.chars().all(|letter| letter.is_lowercase() || letter == '_'));
    name.filter(|name| *name != "clone").map(str::to_owned).collect()
}

#[test]
fn calls_are_found() {
    assert_eq!(calls_in("self.client.put_item().x(); client\n    .send_message()"), ["put_item", "send_message"]);
    assert_eq!(calls_in("clients.sqs.clone(), Client::new(), client.clone()"), [] as [&str; 0]);
}
