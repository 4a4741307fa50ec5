//! Each function's role allows exactly the calls that its code makes.
//!
//! The calls are watched: every event file, cleanup messages and secrets included, goes through the real SDK. That no
//! call of the code goes unwatched is read off its source.

use std::collections::{BTreeMap, BTreeSet};

use clientele::events::signed_at;
use clientele::providers::PROVIDERS;
use clientele::stack::Captured;
use clientele_aws::{Clients, Config, Receiver};
use serde_yaml_ng::Value;

use crate::door::Door;
use crate::secrets::Manager;
use crate::support::{cases, handle, root, scheme, stack};
use crate::the_template::yaml;

/// What may be called on what: `dynamodb:PutItem CustomersTable`.
pub(crate) type Calls = BTreeSet<String>;

/// The logical id that an expression names.
fn logical_id(expression: &Value) -> String {
    match expression {
        Value::Tagged(tagged) => {
            let name = tagged.value.as_str().unwrap();
            name.strip_suffix(".Arn").unwrap_or(name).to_owned()
        }
        other => other.as_str().unwrap().to_owned(),
    }
}

fn list(value: &Value) -> Vec<String> {
    match value {
        Value::Sequence(actions) => actions.iter().map(|action| action.as_str().unwrap().to_owned()).collect(),
        action => vec![action.as_str().unwrap().to_owned()],
    }
}

/// What the role of a function allows, without an own key and with one.
pub(crate) fn allowed(function: &str) -> (Calls, Calls) {
    let yaml = yaml();
    let properties = &yaml["Resources"][function]["Properties"];
    assert!(properties["Policies"].is_null(), "{function}: its permissions are in its role");
    let role = logical_id(&properties["Role"]);
    let role = &yaml["Resources"][role.as_str()]["Properties"];
    assert!(role["ManagedPolicyArns"].is_null(), "managed policies allow more");
    let [policy] = &role["Policies"].as_sequence().unwrap()[..] else { panic!("one policy") };
    let (mut always, mut with_own_key) = (Calls::new(), Calls::new());
    for statement in policy["PolicyDocument"]["Statement"].as_sequence().unwrap() {
        let (statement, calls) = match statement {
            Value::Tagged(tagged) => {
                let condition = &tagged.value;
                assert_eq!((tagged.tag.to_string().as_str(), &condition[0]), ("!If", &Value::from("HasOwnKey")));
                assert_eq!(logical_id(&condition[2]), "AWS::NoValue");
                (&condition[1], &mut with_own_key)
            }
            statement => (statement, &mut always),
        };
        assert_eq!(statement["Effect"], "Allow");
        assert!(statement["Condition"].is_null() && statement["NotAction"].is_null());
        let on = logical_id(&statement["Resource"]);
        calls.extend(list(&statement["Action"]).iter().map(|action| format!("{action} {on}")));
    }
    (always, with_own_key)
}

/// What each function calls when every event file is delivered to it.
async fn called() -> BTreeMap<&'static str, Calls> {
    let stack = stack().await;
    let mut called = BTreeMap::new();
    for known in &PROVIDERS {
        let name = known.provider.name;
        let (door, manager) = (Door::default(), Manager::default());
        manager.set(Some(known.local_secret));
        let clients =
            Clients { secrets_manager: manager.clients(&stack).await.secrets_manager, ..door.clients(&stack) };
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
        let mut calls = Calls::new();
        for (operation, request) in door.calls().iter().zip(door.requests()) {
            let (service, operation) = operation.split_once('.').unwrap();
            let call = match service {
                "DynamoDB_20120810" => {
                    let table = stack.template.tables.iter().find(|table| request["TableName"] == table.name.as_str());
                    format!("dynamodb:{operation} {}", table.unwrap().logical_id)
                }
                "AmazonSQS" => {
                    let queue = stack
                        .template
                        .queues
                        .iter()
                        .find(|queue| request["QueueUrl"] == stack.queue_urls[&queue.name].as_str());
                    format!("sqs:{operation} {}", queue.unwrap().logical_id)
                }
                service => panic!("{service} is called"),
            };
            calls.insert(call);
        }
        for secret in manager.asked_for() {
            calls.insert(format!("secretsmanager:GetSecretValue {}", secret.strip_prefix("local:").unwrap()));
        }
        called.insert(name, calls);
    }
    called
}

/// What Lambda itself does with a function's role.
fn of_lambda(log_group: &str) -> Calls {
    let logs = ["logs:CreateLogStream", "logs:PutLogEvents"].map(|action| format!("{action} {log_group}"));
    let traces = ["xray:PutTraceSegments", "xray:PutTelemetryRecords"].map(|action| format!("{action} *"));
    logs.into_iter().chain(traces).collect()
}

#[tokio::test]
async fn a_role_allows_exactly_what_is_called() {
    let (called, yaml) = (called().await, yaml());
    let stack = stack().await;
    assert_eq!(stack.template.functions.len(), called.len());
    for function in &stack.template.functions {
        let provider = clientele::stack::known(function).unwrap().provider.name;
        let calls = &called[provider];
        let logging = &yaml["Resources"][function.logical_id.as_str()]["Properties"]["LoggingConfig"];
        let expected: Calls = calls.union(&of_lambda(&logical_id(&logging["LogGroup"]))).cloned().collect();
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
    assert_eq!(in_code.len(), 4);
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
