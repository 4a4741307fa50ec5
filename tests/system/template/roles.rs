//! Who may do what: the functions' roles, and the policy of the queues.
//!
//! The tests of each function compare its role with the calls that its binary makes.

use std::collections::{BTreeMap, BTreeSet};

use clientele::template::{Function, Template};
use clientele_function::role::{KeyUse, Role, logical_id, yaml};
use serde_json::{Value, json};

use crate::support::root;
use crate::support::template::{resources, template};

fn functions() -> Vec<Function> {
    Template::read(&root("template.yaml")).unwrap().functions
}

/// Each function has a role of its own, and a test that compares it with the calls of the binary.
#[test]
fn every_role_is_tested() {
    let mut roles = BTreeSet::new();
    for function in functions() {
        let properties = &yaml()["Resources"][function.logical_id.as_str()]["Properties"];
        assert!(roles.insert(logical_id(&properties["Role"])), "{} shares its role", function.name);
        let tests = std::fs::read_to_string(root(&format!("functions/{}/tests/function.rs", function.name))).unwrap();
        let is_tested = tests.contains("function_tests!") || tests.contains("a_role_allows_exactly_what_is_called(");
        assert!(is_tested, "{}", function.name);
    }
}

/// A function that receives webhooks writes only customers of its own provider, and `reconcile` those whose lists it
/// reads. The others settle what all receivers leave, so they may write every customer.
#[test]
fn a_receiver_writes_only_its_own_customers() {
    for Function { logical_id, name, routes, .. } in functions() {
        for (call, patterns) in Role::of(&logical_id).leading_keys {
            let providers = match (name.as_str(), call.as_str()) {
                // Only Flexprice lists deleted customers.
                ("reconcile", "dynamodb:UpdateItem CustomersTable") => vec!["flexprice"],
                ("reconcile", _) => vec!["plain", "flexprice"],
                (_, _) if routes.is_empty() => vec![],
                (provider, _) => vec![provider],
            };
            let expected: Vec<_> = providers.iter().map(|provider| format!("{provider}#*")).collect();
            assert_eq!(patterns, expected, "{logical_id}: {call}");
        }
    }
}

/// Inbox and quarantine do not use the key of the table, so that a delivery is kept while that key cannot be used.
#[test]
fn each_queue_is_encrypted_with_its_key() {
    let queues = resources("AWS::SQS::Queue");
    assert_eq!(queues.len(), 8);
    for (id, queue) in queues {
        // EventBridge sends here what it cannot encrypt with your own key.
        if id == "DiscardedChangesQueue" {
            assert_eq!(
                (&queue["SqsManagedSseEnabled"], &queue["KmsMasterKeyId"]),
                (&json!(true), &json!(null)),
                "{id}"
            );
            continue;
        }
        let is_fallback = ["InboxQueue", "QuarantineQueue"].contains(&id.as_str());
        let (condition, key) =
            if is_fallback { ("HasFallbackKey", "FallbackKmsKeyArn") } else { ("HasOwnKey", "KmsKeyArn") };
        // With that key, or else with SQS's own encryption.
        assert_eq!(queue["KmsMasterKeyId"], json!([condition, key, "AWS::NoValue"]), "{id}");
        assert_eq!(queue["KmsDataKeyReusePeriodSeconds"], json!([condition, 300, "AWS::NoValue"]), "{id}");
        assert_eq!(queue["SqsManagedSseEnabled"], json!([condition, "AWS::NoValue", true]), "{id}");
    }
}

/// Nobody else may send to a queue, whatever their own policies allow: a message there can change customers. AWS
/// services are not denied, since SQS itself moves messages to a dead-letter queue, and nothing allows the others.
#[test]
fn only_this_stack_and_operators_send() {
    let policy = &resources("AWS::SQS::QueuePolicy")["QueuesPolicy"];
    let queues: Vec<_> = policy["Queues"].as_array().unwrap().iter().map(|it| it.as_str().unwrap()).collect();
    let sends = |role: &String| {
        let calls = Role::of(&role.replace("Role", "Function")).all_calls();
        calls.iter().any(|call| call.strip_prefix("sqs:SendMessage ").is_some_and(|queue| queues.contains(&queue)))
    };
    let senders_in_template: BTreeSet<_> = resources("AWS::IAM::Role").into_keys().filter(sends).collect();
    let mut roles: Vec<_> = senders_in_template
        .iter()
        .map(|role| match role.as_str() {
            "ReconcileRole" => json!(["AppliesDeletes", "ReconcileRole.Arn", "AWS::NoValue"]),
            role => json!(format!("{role}.Arn")),
        })
        .collect();
    let [tls, senders] = &policy["PolicyDocument"]["Statement"].as_array().unwrap()[..] else { panic!("two") };
    assert_eq!((&tls["Effect"], &tls["Action"]), (&json!("Deny"), &json!("sqs:*")));
    let mut senders = senders.clone();
    senders["Condition"]["ArnNotEquals"]["aws:PrincipalArn"].as_array_mut().unwrap().sort_by_key(ToString::to_string);
    roles.sort_by_key(ToString::to_string);
    let expected = json!({
        "Sid": "OnlyThisStackAndOperatorsSend", "Effect": "Deny", "Principal": "*", "Action": "sqs:SendMessage",
        "Resource": "*",
        "Condition": {
            "BoolIfExists": { "aws:PrincipalIsAWSService": "false" },
            "ArnNotEquals": { "aws:PrincipalArn": roles },
            "ArnNotLike": ["HasOperators", { "aws:PrincipalArn": "OperatorPrincipalArns" }, "AWS::NoValue"],
        },
    });
    assert_eq!(senders, expected);
}

/// Only `changes` sends to its two queues, and Lambda with its role; operators only receive and delete. EventBridge may send
/// what it cannot encrypt.
#[test]
fn only_changes_sends_to_its_queues() {
    let deny = |sid: &str, action: &str, condition: Value| json!({ "Sid": sid, "Effect": "Deny", "Principal": "*", "Action": action, "Resource": "*", "Condition": condition });
    let senders = json!({
        "BoolIfExists": { "aws:PrincipalIsAWSService": "false" },
        "ArnNotEquals": { "aws:PrincipalArn": "ChangesRole.Arn" },
    });
    let bus = json!({
        "Sid": "TheBusSendsWhatItCannotEncrypt", "Effect": "Allow", "Principal": { "Service": "events.amazonaws.com" },
        "Action": "sqs:SendMessage", "Resource": "*",
        "Condition": { "ArnEquals": { "aws:SourceArn": "ChangesBus.Arn" } },
    });
    let policy = &resources("AWS::SQS::QueuePolicy")["ChangeQueuesPolicy"];
    assert_eq!(policy["Queues"], json!(["RefusedChangesQueue", "DiscardedChangesQueue"]));
    let statements = json!([
        deny("TlsOnly", "sqs:*", json!({ "Bool": { "aws:SecureTransport": "false" } })),
        deny("OnlyChangesSends", "sqs:SendMessage", senders),
        ["EncryptsBusWithOwnKey", bus, "AWS::NoValue"],
    ]);
    assert_eq!(policy["PolicyDocument"]["Statement"], statements);
}

/// Only the named senders send receipts, and operators, who redrive them. SQS itself moves them to the dead-letter queue.
#[test]
fn only_named_senders_send_receipts() {
    let deny = |sid: &str, action: &str, condition: Value| json!({ "Sid": sid, "Effect": "Deny", "Principal": "*", "Action": action, "Resource": "*", "Condition": condition });
    let tls = deny("TlsOnly", "sqs:*", json!({ "Bool": { "aws:SecureTransport": "false" } }));
    let named =
        |condition: &str, parameter: &str| json!([condition, { "aws:PrincipalArn": parameter }, "AWS::NoValue"]);
    let senders = json!({
        "BoolIfExists": { "aws:PrincipalIsAWSService": "false" },
        "ArnNotEquals": named("HasReceiptSenders", "ReceiptSenderArns"),
        "ArnNotLike": named("HasOperators", "OperatorPrincipalArns"),
    });
    let operators = json!({
        "BoolIfExists": { "aws:PrincipalIsAWSService": "false" },
        "ArnNotLike": named("HasOperators", "OperatorPrincipalArns"),
    });
    let allowed = json!({
        "Sid": "SendersSend", "Effect": "Allow", "Principal": "*", "Action": "sqs:SendMessage", "Resource": "*",
        "Condition": { "ArnLike": { "aws:PrincipalArn": "ReceiptSenderArns" } },
    });
    let on_receipts = json!([
        tls,
        deny("OnlySendersAndOperatorsSend", "sqs:SendMessage", senders),
        ["HasReceiptSenders", allowed, "AWS::NoValue"],
    ]);
    let on_dead_letters = json!([tls, deny("OnlyOperatorsSend", "sqs:SendMessage", operators)]);
    let policies = resources("AWS::SQS::QueuePolicy");
    for (queue, statements) in [("ReceiptsQueue", on_receipts), ("ReceiptsDeadLetterQueue", on_dead_letters)] {
        let policy = &policies[&format!("{queue}Policy")];
        assert_eq!((&policy["Queues"], &policy["PolicyDocument"]["Statement"]), (&json!([queue]), &statements));
    }
    assert_eq!(template()["Parameters"]["ReceiptSenderArns"]["Default"], "", "nobody");
}

/// The function itself calls only the bus and one queue. With the same role, Lambda reads the stream and keeps the positions of
/// changes that were given up.
#[test]
fn changes_neither_reads_nor_writes_the_table() {
    let role = Role::of("ChangesFunction");
    let logs = ["logs:CreateLogStream ChangesLogGroup", "logs:PutLogEvents ChangesLogGroup"];
    let traces = ["xray:PutTelemetryRecords *", "xray:PutTraceSegments *"];
    let stream = ["DescribeStream", "GetRecords", "GetShardIterator", "ListStreams"];
    let own =
        ["events:PutEvents ChangesBus", "sqs:SendMessage DiscardedChangesQueue", "sqs:SendMessage RefusedChangesQueue"];
    let calls = own.into_iter().chain(logs).chain(traces).map(str::to_owned);
    let stream = stream.map(|action| format!("dynamodb:{action} CustomersTable.StreamArn"));
    assert_eq!(role.calls, calls.chain(stream).collect());
    assert_eq!(role.calls_on_condition, BTreeMap::new());
    let with_key = |actions: &[&str], key: &str| KeyUse {
        calls: actions.iter().map(|action| format!("kms:{action} {key}")).collect(),
        services: ["dynamodb", "sqs"].map(str::to_owned).into(),
    };
    let keys = [
        ("HasOldKey".to_owned(), with_key(&["Decrypt"], "OldKmsKeyArn")),
        ("HasOwnKey".to_owned(), with_key(&["Decrypt", "GenerateDataKey"], "KmsKeyArn")),
    ];
    assert_eq!(role.keys_on_condition, keys.into());
}

/// Every call in the source is in a role. So it was recorded, because a role allows only calls that were recorded.
#[test]
fn every_call_is_recorded() {
    let in_code: BTreeSet<_> = std::fs::read_dir(root("shared/aws/src"))
        .unwrap()
        .flat_map(|entry| calls_in(&std::fs::read_to_string(entry.unwrap().path()).unwrap()))
        .collect();
    let by_lambda = ["logs", "xray", "sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"];
    let allowed = functions().into_iter().flat_map(|function| Role::of(&function.logical_id).all_calls());
    let is_of_lambda =
        |call: &String| by_lambda.iter().any(|lambda| call.starts_with(lambda)) || call.ends_with("StreamArn");
    let recorded = allowed.filter(|call| !is_of_lambda(call)).map(|call| {
        let operation = call.split([':', ' ']).nth(1).unwrap();
        operation.chars().fold(String::new(), |name, letter| {
            let separator = if letter.is_uppercase() && !name.is_empty() { "_" } else { "" };
            format!("{name}{separator}{}", letter.to_lowercase())
        })
    });
    assert_eq!(in_code, recorded.collect());
    assert!(in_code.len() >= 7);
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
