//! `clientele changes redrive`: what is sent for the messages of both queues. And both ways to send again on a deployed stack.

use std::collections::BTreeMap;

use clientele::stack::LocalStack;
use clientele_model::SampleEvent;
use serde_json::{Value, json};

use crate::command::changes::{Running, announced, announced_after, changes, deliver, objects};
use crate::command::changes_resend::put_unreadable;
use crate::command::deployed::{ANNOUNCED, deploy};
use crate::support::cli::clientele;
use crate::support::deliveries::{CREATED, DELETED, UPDATED, change, pk};
use crate::support::{options, stack};

async fn enqueue(stack: &LocalStack, queue: &str, message: &str) -> String {
    let request = stack.clients.sqs.send_message().queue_url(&stack.queue_urls[queue]).message_body(message);
    request.send().await.unwrap().message_id.unwrap()
}

fn refused(pk: &str, rank: Option<&str>) -> String {
    let mut message = json!({ "schema": 1, "id": "e", "pk": pk, "reason": "MalformedDetail" });
    if let Some(rank) = rank {
        message["rank"] = rank.into();
    }
    message.to_string()
}

/// The texts on a queue, sorted.
async fn on_queue(stack: &LocalStack, queue: &str) -> Vec<Value> {
    let mut messages = crate::support::drain(stack, queue).await;
    for message in &messages {
        enqueue(stack, queue, &message.to_string()).await;
    }
    messages.sort_by_key(Value::to_string);
    messages
}

/// The results of a redrive by the id of the message, without it.
fn results(shown: &str) -> BTreeMap<String, Value> {
    let result = |mut result: Value| {
        let id = result.as_object_mut().unwrap().remove("id").unwrap().as_str().unwrap().to_owned();
        (id, result)
    };
    objects(shown).into_iter().map(result).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn refused_changes_are_sent_again() {
    let stack = stack().await;
    for queue in ["refused-changes", "discarded-changes"] {
        assert_eq!(on_queue(&stack, queue).await, [] as [Value; 0]);
    }
    let (code, shown, errors) = changes(&stack, &["redrive"]).await;
    let empty = "The refused-changes queue is empty.\nThe discarded-changes queue is empty.\n";
    assert_eq!((code, shown.as_str(), errors.as_str()), (0, "", empty));

    deliver(&stack, "plain", vec![change("a", 1_000, 1, CREATED)]).await;
    deliver(&stack, "plain", vec![change("b", 2_000, 2, DELETED)]).await;
    put_unreadable(&stack, &pk("plain", "later")).await;
    let [a, b, gone, later] = ["a", "b", "gone#%", "later"].map(|customer| match customer {
        "gone#%" => format!("plain#{}#gone%23%25", SampleEvent::ACCOUNT),
        customer => pk("plain", customer),
    });
    let messages = [
        (refused(&a, Some("0")), "sent", vec![a.as_str()], None),
        (refused(&b, None), "sent", vec![b.as_str()], None),
        (refused(&gone, Some("1")), "sent", vec![gone.as_str()], None),
        (
            refused("nobody", None),
            "left",
            vec![],
            Some("nobody is not in the table, and the rank that it had is not known".to_owned()),
        ),
        (refused("nobody", Some("1")), "left", vec![], Some("nobody is not the pk of a customer".to_owned())),
        (
            refused(&later, Some("1")),
            "left",
            vec![],
            Some(format!("{later}: an item has attributes that this version does not know")),
        ),
        (json!({ "schema": 2 }).to_string(), "left", vec![], Some("the message cannot be read".to_owned())),
    ];
    let mut expected = BTreeMap::new();
    for (message, result, customers, reason) in &messages {
        let id = enqueue(&stack, "refused-changes", message).await;
        let line = json!({ "queue": "refused-changes", "result": result, "customers": customers, "reason": reason });
        expected.insert(id, line);
    }
    let before = announced(&stack).len();
    let left = "error: 4 messages stay on their queues\n";
    let (code, shown, errors) = changes(&stack, &["redrive", "--json", "--dry-run"]).await;
    assert_eq!((code, results(&shown)), (3, expected.clone()));
    assert_eq!(errors, format!("Messages would be: 3 sent, 4 left\n{left}"));
    assert_eq!(announced(&stack).len(), before, "nothing was sent");

    let (code, shown, errors) = changes(&stack, &["redrive", "--json"]).await;
    assert_eq!((code, results(&shown)), (3, expected));
    assert_eq!(errors, format!("Messages: 3 sent, 4 left\n{left}"));
    let mut sent = announced_after(&stack, before);
    sent.sort();
    let kinds: Vec<_> = sent.iter().map(|[kind, subject, _]| (kind.as_str(), subject.as_str())).collect();
    let events = [("customer.deleted", &b), ("customer.removed", &gone), ("customer.snapshot", &a)];
    assert_eq!(kinds, events.map(|(kind, pk)| (kind, pk.as_str())));
    assert!(sent.iter().all(|[_, subject, id]| id.starts_with("redrive-") && id.ends_with(&format!("/{subject}"))));
    let removed = announced(&stack)[before..].iter().find(|event| event["detail-type"] == "customer.removed").cloned();
    let data = json!({ "schema": 1, "provider": "plain", "account": SampleEvent::ACCOUNT, "customer_id": "gone#%", "rank": "1" });
    assert_eq!(removed.unwrap()["detail"]["data"], data);
    let mut left: Vec<Value> =
        messages[3..].iter().map(|(message, ..)| serde_json::from_str(message).unwrap()).collect();
    left.sort_by_key(Value::to_string);
    assert_eq!(on_queue(&stack, "refused-changes").await, left, "the others are deleted");
    let (code, _, errors) = changes(&stack, &["redrive", "--limit", "2"]).await;
    assert!(code == 3 && errors.starts_with("Messages: 2 left\n"), "{errors}");
}

/// The stream of the table: its ARN, its shard, and the numbers of its records.
async fn stream_records(url: &str) -> (String, String, Vec<String>) {
    use aws_sdk_dynamodbstreams::config::{BehaviorVersion, Credentials, Region};
    use aws_sdk_dynamodbstreams::types::ShardIteratorType;
    let config = aws_sdk_dynamodbstreams::Config::builder().behavior_version(BehaviorVersion::latest());
    let config = config.credentials_provider(Credentials::new("a", "b", None, None, "local"));
    let config = config.region(Region::from_static("us-east-1")).endpoint_url(url);
    let config = config.http_client(aws_smithy_http_client::Builder::new().build_http());
    let client = aws_sdk_dynamodbstreams::Client::from_conf(config.build());
    let streams = client.list_streams().table_name("customers").send().await.unwrap().streams.unwrap();
    let arn = streams[0].stream_arn().unwrap().to_owned();
    let described = client.describe_stream().stream_arn(&arn).send().await.unwrap().stream_description.unwrap();
    let shard = described.shards()[0].shard_id().unwrap().to_owned();
    let iterator = client.get_shard_iterator().stream_arn(&arn).shard_id(&shard);
    let iterator = iterator.shard_iterator_type(ShardIteratorType::TrimHorizon).send().await.unwrap();
    let records = client.get_records().shard_iterator(iterator.shard_iterator.unwrap()).send().await.unwrap();
    let number = |record: &aws_sdk_dynamodbstreams::types::Record| {
        record.dynamodb().unwrap().sequence_number().unwrap().to_owned()
    };
    (arn, shard, records.records().iter().map(number).collect())
}

/// As Lambda writes it (<https://docs.aws.amazon.com/lambda/latest/dg/services-dynamodb-errors.html>).
fn discarded(arn: &str, shard: &str, start: &str, end: &str) -> String {
    json!({
        "requestContext": {
            "requestId": "316aa6d0-8154-xmpl-9af7-85d5f4a6bc81",
            "functionArn": "arn:aws:lambda:us-east-2:123456789012:function:myfunction",
            "condition": "RetryAttemptsExhausted",
            "approximateInvokeCount": 1,
        },
        "responseContext": { "statusCode": 200, "executedVersion": "$LATEST", "functionError": "Unhandled" },
        "version": "1.0",
        "timestamp": "2019-11-14T00:13:19.717Z",
        "DDBStreamBatchInfo": {
            "shardId": shard,
            "startSequenceNumber": start,
            "endSequenceNumber": end,
            "approximateArrivalOfFirstRecord": "2019-11-14T00:13:19Z",
            "approximateArrivalOfLastRecord": "2019-11-14T00:13:19Z",
            "batchSize": 1,
            "streamArn": arn,
        },
    })
    .to_string()
}

/// Writes about four customers, of whom one is gone afterwards.
async fn writes(stack: &LocalStack) -> (String, String, Vec<String>) {
    for (place, (customer, kind)) in
        [("a", CREATED), ("b", CREATED), ("a", UPDATED), ("c", DELETED), ("d", CREATED)].into_iter().enumerate()
    {
        let number = u32::try_from(place).unwrap() + 1;
        deliver(stack, "metrifox", vec![change(customer, i64::from(number) * 1_000, number, kind)]).await;
    }
    let key = |text: &str| aws_sdk_dynamodb::types::AttributeValue::S(text.to_owned());
    let delete = stack.clients.dynamodb.delete_item().table_name("customers").key("pk", key(&pk("metrifox", "b")));
    delete.key("sk", key("customer")).send().await.unwrap();
    stream_records(&format!("http://{}", stack.dynamodb)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn positions_are_resolved_while_the_stream_has_them() {
    let stack = stack().await;
    let (arn, shard, numbers) = writes(&stack).await;
    let earlier = (numbers[0].parse::<u128>().unwrap() - 10).to_string();
    let of = |start: &str, end: &str| discarded(&arn, &shard, start, end);
    let customers = |names: &[&str]| names.iter().map(|name| pk("metrifox", name)).collect::<Vec<_>>();
    let other_table = discarded(&arn.replace("customers", "others"), &shard, &numbers[0], &numbers[0]);
    let encrypted = json!({ "detail-type": "Encrypted Events", "detail": "x" }).to_string();
    let messages = [
        (of(&numbers[0], &numbers[2]), "sent", customers(&["a", "b"]), None),
        (of(&numbers[3], &numbers[3]), "sent", customers(&["c"]), None),
        (of(&earlier, &numbers[0]), "expired", vec![], Some("the stream no longer has the changes")),
        (encrypted, "expired", vec![], Some("an event that EventBridge could not encrypt")),
        (other_table, "left", vec![], Some("the message is about another table")),
        (of("1", "2"), "left", vec![], Some("the message has a position that no stream has")),
    ];
    let mut expected = BTreeMap::new();
    for (message, result, customers, reason) in &messages {
        let id = enqueue(&stack, "discarded-changes", message).await;
        let line = json!({ "queue": "discarded-changes", "result": result, "customers": customers, "reason": reason });
        expected.insert(id, line);
    }
    let before = announced(&stack).len();
    let (code, shown, errors) = changes(&stack, &["redrive", "--json"]).await;
    assert_eq!((code, results(&shown)), (3, expected), "{errors}");
    let advice = "error: 4 messages stay on their queues; for those that are expired, send every customer with `clientele \
                  changes resend`, and then remove them with --delete-expired\n";
    assert_eq!(errors, format!("Messages: 2 sent, 2 left, 2 expired\n{advice}"));
    let mut sent: Vec<_> = announced_after(&stack, before).into_iter().map(|[kind, pk, _]| (pk, kind)).collect();
    sent.sort();
    let event = |name, kind: &str| (pk("metrifox", name), kind.to_owned());
    let events = [event("a", "customer.snapshot"), event("b", "customer.removed"), event("c", "customer.deleted")];
    assert_eq!(sent, events);

    let (code, shown, errors) = changes(&stack, &["redrive", "--delete-expired"]).await;
    assert_eq!((code, errors.as_str()), (3, "Messages: 2 left, 2 deleted\nerror: 2 messages stay on their queues\n"));
    assert!(shown.contains("  deleted  the stream no longer has the changes"), "{shown}");
    assert_eq!(on_queue(&stack, "discarded-changes").await.len(), 2);
    assert_eq!(announced(&stack).len(), before + 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn customers_of_a_deployed_stack_are_sent_again() {
    let deployed = deploy(options()).await;
    let stack = &deployed.stack;
    let (arn, shard, numbers) = writes(stack).await;
    let before = announced(stack).len();
    let resend = ["changes", "resend", "--stack", "test", "--provider", "metrifox"];
    let (code, _, errors) = deployed.run(&resend, "").await;
    let question = "error: Send every customer of metrifox of stack test in eu-central-1, account 123456789012 to its event \
                    bus again? The table has about 3 customers, and every consumer of the bus receives the events. There is \
                    no terminal to ask on: confirm with --yes\n";
    assert_eq!((code, errors), (2, format!("{ANNOUNCED}{question}")));
    deployed.aws.take_calls();
    let (code, _, errors) = deployed.run(&[&resend[..], &["--yes"]].concat(), "").await;
    assert_eq!((code, errors.as_str()), (0, ANNOUNCED));
    let calls = deployed.aws.take_calls();
    let put = calls.iter().find(|call| call.operation == "AWSEvents.PutEvents").unwrap();
    let entry = &put.request["Entries"][0];
    assert_eq!((put.region.as_str(), put.request["Entries"].as_array().unwrap().len()), ("eu-central-1", 3));
    assert_eq!((&entry["EventBusName"], &entry["Source"]), (&json!("test-changes"), &json!("/clientele/test")));
    assert_eq!(announced(stack).len(), before + 3);

    enqueue(stack, "refused-changes", &refused(&pk("metrifox", "a"), None)).await;
    enqueue(stack, "discarded-changes", &discarded(&arn, &shard, &numbers[0], numbers.last().unwrap())).await;
    let redrive = ["changes", "redrive", "--stack", "test"];
    let (code, _, errors) = deployed.run(&redrive, "").await;
    let question = "Send the customers of about 2 messages of stack test in eu-central-1, account 123456789012 to its event \
                    bus again?";
    assert!(code == 2 && errors.contains(question), "{errors}");
    for code in ["TrimmedDataAccessException", "ResourceNotFoundException"] {
        deployed.aws.answer_with_error("GetShardIterator", code);
        let (code, _, errors) = deployed.run(&[&redrive[..], &["--dry-run"]].concat(), "").await;
        assert!(code == 3 && errors.contains("Messages would be: 1 sent, 1 expired"), "{errors}");
    }
    deployed.aws.answer_with_error("GetRecords", "AccessDeniedException");
    let (code, _, errors) = deployed.run(&[&redrive[..], &["--yes"]].concat(), "").await;
    assert!(code == 5 && errors.contains("the table's stream of test cannot be read"), "{errors}");
    deployed.aws.recover();
    let (code, shown, errors) = deployed.run(&[&redrive[..], &["--yes"]].concat(), "").await;
    assert_eq!((code, errors), (0, format!("{ANNOUNCED}Messages: 1 sent\n")), "the other one was sent before");
    assert!(shown.contains("  sent     4 customers"), "{shown}");

    deployed.aws.set_output("ChangeFeed", "off");
    for command in [&resend, &redrive[..]] {
        let (code, _, errors) = deployed.run(command, "").await;
        let off = "the change feed of the stack test is off: deploy it with ChangeFeed=keys or ChangeFeed=full";
        assert!(code == 4 && errors.contains(off), "{errors}");
    }
}

/// Ctrl-C while the bus takes nothing: what is not sent stays on its queue.
#[tokio::test(flavor = "multi_thread")]
async fn an_interrupted_run_loses_nothing() {
    let deployed = deploy(options()).await;
    deliver(&deployed.stack, "plain", vec![change("a", 1_000, 1, CREATED)]).await;
    let message = refused(&pk("plain", "a"), None);
    enqueue(&deployed.stack, "refused-changes", &message).await;
    for arguments in [&["resend", "--json"][..], &["redrive"]] {
        deployed.aws.fail(&["PutEvents"]);
        let mut command = clientele(&[&["changes"], arguments, &["--stack", "test", "--yes"]].concat());
        command.env("AWS_REGION", "eu-west-1").env("AWS_ACCESS_KEY_ID", "a").env("AWS_SECRET_ACCESS_KEY", "s");
        command.env("AWS_ENDPOINT_URL", &deployed.aws.url);
        let mut running = Running::start(command);
        running.await_note("The event bus cannot be used: ");
        let (code, errors) = tokio::task::block_in_place(|| running.interrupt());
        assert!(code == 3 && errors.contains(" was stopped"), "{errors}");
    }
    assert_eq!(on_queue(&deployed.stack, "refused-changes").await, [serde_json::from_str::<Value>(&message).unwrap()]);
    assert_eq!(announced(&deployed.stack).len(), 0);
}

/// With `ChangeFeed=off` there is nothing to send to.
#[tokio::test(flavor = "multi_thread")]
async fn a_stack_without_a_change_feed_says_so() {
    let mut options = options();
    options.overrides.entry("changes").or_default().insert("CHANGE_FEED".to_owned(), "off".to_owned());
    let stack = LocalStack::start(options).await.unwrap();
    for command in ["resend", "redrive"] {
        let (code, _, errors) = changes(&stack, &[command]).await;
        assert!(code == 4 && errors.contains("the local stack has no change feed"), "{errors}");
    }
}
