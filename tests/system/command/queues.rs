//! The queues as commands and the page show them.

use clientele::events::signed_at;
use clientele::queue_depth::QueueDepth;
use clientele::stack::LocalStack;
use serde_json::{Value, json};

use crate::command::deployed::{ANNOUNCED, deploy};
use crate::support::aws::AwsStandIn;
use crate::support::cli::{run, with_local};
use crate::support::deliveries::{CREATED, DELETED, change, deliver};
use crate::support::{drain, handle, options, stack};

/// Runs a command on that local stack while it keeps running.
async fn local(stack: &LocalStack, arguments: &[&str]) -> (i32, String, String) {
    let admin = format!("http://{}", stack.admin);
    let all: Vec<String> = with_local(arguments, &admin).into_iter().map(str::to_owned).collect();
    tokio::task::spawn_blocking(move || run(&all.iter().map(String::as_str).collect::<Vec<_>>())).await.unwrap()
}

/// Sends a cleanup message as a function does, with attributes.
async fn send_dead_letter(stack: &LocalStack, cleanup_id: &str) -> String {
    let text = |value: &str| {
        let attribute = aws_sdk_sqs::types::MessageAttributeValue::builder().data_type("String").string_value(value);
        attribute.build().unwrap()
    };
    let message = json!({ "cleanup_id": cleanup_id, "identifiers": { "emails": ["ada@example.com"] } });
    let request = stack.clients.sqs.send_message().queue_url(&stack.queue_urls["cleanup-dead-letter"]);
    let request = request.message_body(message.to_string()).message_attributes("provider", text("plain"));
    request.message_attributes("type", text("customer.deleted")).send().await.unwrap().message_id.unwrap()
}

/// The cleanup ids on a queue, which is emptied.
async fn cleanup_ids(stack: &LocalStack, queue: &str) -> Vec<String> {
    let mut ids: Vec<_> =
        drain(stack, queue).await.iter().map(|message| message["cleanup_id"].as_str().unwrap().to_owned()).collect();
    ids.sort();
    ids
}

fn lines(output: &str) -> Vec<Value> {
    output.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[tokio::test]
async fn depth_is_counted_by_state() {
    let stack = stack().await;
    let (sqs, url) = (&stack.clients.sqs, &stack.queue_urls["inbox"]);
    assert_eq!(QueueDepth::read(sqs, url).await.unwrap(), QueueDepth::default());
    for delay in [0, 0, 0, 600] {
        sqs.send_message().queue_url(url).message_body("{}").delay_seconds(delay).send().await.unwrap();
    }
    sqs.receive_message().queue_url(url).max_number_of_messages(1).visibility_timeout(600).send().await.unwrap();
    let depth = QueueDepth::read(sqs, url).await.unwrap();
    assert_eq!(depth, QueueDepth { visible: 2, in_flight: 1, delayed: 1 });
    assert_eq!(depth.total(), 4);
    // Nothing was received by counting.
    let message = sqs.receive_message().queue_url(url).message_system_attribute_names("ApproximateReceiveCount".into());
    let message = message.send().await.unwrap().messages.unwrap().remove(0);
    assert_eq!(message.attributes.unwrap().values().collect::<Vec<_>>(), ["1"]);
}

/// On a deployed stack a receive is one of five, so the queues are only counted.
#[tokio::test(flavor = "multi_thread")]
async fn queues_of_a_deployed_stack_are_counted() {
    let deployed = deploy(options()).await;
    for queue in ["cleanup", "inbox"] {
        for _ in 0..3 {
            let request = deployed.stack.clients.sqs.send_message().queue_url(&deployed.stack.queue_urls[queue]);
            request.message_body("{}").send().await.unwrap();
        }
        let (code, shown, errors) = deployed.run(&[queue, "list", "--stack", "test", "--json"], "").await;
        let expected = json!({ "queue": queue, "visible": 3, "in_flight": 0, "delayed": 0, "oldest_seconds": null });
        assert_eq!((code, lines(&shown), errors.as_str()), (0, vec![expected], ANNOUNCED));
        let (code, shown, errors) = deployed.run(&[queue, "list", "--stack", "test"], "").await;
        assert_eq!((code, errors.as_str()), (0, ANNOUNCED));
        assert!(shown.contains(queue) && shown.contains("visible") && shown.contains('3'), "{shown}");
    }
    let calls = deployed.aws.take_calls();
    let operations: Vec<_> = calls.iter().map(|call| call.operation.as_str()).collect();
    assert_eq!(operations, ["AmazonSQS.GetQueueAttributes"; 4]);
    deployed.aws.fail(&["GetQueueAttributes"]);
    let (code, _, errors) = deployed.run(&["inbox", "list", "--stack", "test"], "").await;
    assert!(code == 5 && errors.contains("the inbox queue of test cannot be read"), "{errors}");
}

/// CloudWatch measures the age. The newest measurement counts, and none counts if the queue is empty.
#[tokio::test(flavor = "multi_thread")]
async fn the_age_of_the_oldest_message_is_shown() {
    let deployed = deploy(options()).await;
    let now = jiff::Timestamp::now();
    let minutes = |minutes| now - jiff::SignedDuration::from_mins(minutes);
    for queue in ["cleanup", "inbox"] {
        deployed.aws.set_oldest_message(queue, &[(minutes(3), 4_031.0), (minutes(1), 4_211.0), (minutes(2), 9_000.0)]);
        let list =
            async |flags: &[&str]| deployed.run(&[&[queue, "list", "--stack", "test"], flags].concat(), "").await;
        let (_, shown, errors) = list(&["--json"]).await;
        assert_eq!((&lines(&shown)[0]["oldest_seconds"], errors.as_str()), (&Value::Null, ANNOUNCED), "empty");
        let request = deployed.stack.clients.sqs.send_message().queue_url(&deployed.stack.queue_urls[queue]);
        request.message_body("{}").send().await.unwrap();
        let (code, shown, _) = list(&["--json"]).await;
        assert_eq!((code, &lines(&shown)[0]["oldest_seconds"]), (0, &json!(4_211)));
        assert!(list(&[]).await.1.contains("70 min"));
        deployed.aws.fail(&["GetMetricStatistics"]);
        let (code, shown, errors) = list(&["--json"]).await;
        assert_eq!((code, &lines(&shown)[0]["oldest_seconds"]), (0, &Value::Null));
        assert!(errors.contains("is cloudwatch:GetMetricStatistics allowed?"), "{errors}");
        deployed.aws.recover();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn local_queues_show_their_messages() {
    let stack = stack().await;
    for queue in ["cleanup", "inbox"] {
        let (code, shown, errors) = local(&stack, &[queue, "list"]).await;
        assert_eq!((code, shown, errors), (0, String::new(), format!("The {queue} queue is empty.\n")));
    }
    let (aws, receivers) = AwsStandIn::with_receivers(&stack).await;
    let deletion = deliver("plain", &[change("ada", 2_000, 2, DELETED)], signed_at());
    handle(&receivers["plain"], &deletion, signed_at()).await;
    aws.fail(&["PutItem"]);
    let creation = deliver("plain", &[change("bob", 1_000, 1, CREATED)], signed_at());
    assert_eq!(handle(&receivers["plain"], &creation, signed_at()).await.status_code, 202);

    for _ in 0..2 {
        let (code, shown, _) = local(&stack, &["cleanup", "list", "--json"]).await;
        let [message] = &lines(&shown)[..] else { panic!("{shown}") };
        assert_eq!((code, &message["cleanup_id"]), (0, &json!("plain#w_1#ada")));
        let (code, shown, _) = local(&stack, &["inbox", "list", "--json"]).await;
        let [message] = &lines(&shown)[..] else { panic!("{shown}") };
        assert_eq!((code, &message["provider"], &message["events"]), (0, &json!("plain"), &json!(1)));
        assert!(!shown.contains("bob"), "nothing personal: {shown}");
    }
    let (_, shown, _) = local(&stack, &["cleanup", "list"]).await;
    assert!(shown.contains("plain#w_1#ada"), "{shown}");
    let (_, shown, _) = local(&stack, &["inbox", "list"]).await;
    assert!(shown.contains("plain") && !shown.contains("bob"), "{shown}");
}

/// Messages are shown, and moved after a confirmation with their body and attributes.
#[tokio::test(flavor = "multi_thread")]
async fn dead_letters_are_moved_to_the_cleanup_queue() {
    let stack = stack().await;
    for command in [&["list"][..], &["redrive", "--yes"], &["redrive"], &["redrive", "--dry-run"]] {
        let (code, shown, errors) = local(&stack, &[&["dead-letters"], command].concat()).await;
        assert_eq!((code, shown.as_str()), (0, ""));
        assert!(errors.contains("The cleanup-dead-letter queue is empty."), "{errors}");
    }
    let id = send_dead_letter(&stack, "a").await;
    send_dead_letter(&stack, "b").await;

    let (code, shown, _) = local(&stack, &["dead-letters", "list"]).await;
    assert!(code == 0 && shown.contains("ada@example.com"), "{shown}");
    let (_, shown, errors) = local(&stack, &["dead-letters", "list", "--json", "--limit", "1"]).await;
    assert_eq!(
        (lines(&shown).len(), errors.as_str()),
        (1, "The limit of 1 is reached; there may be more: --limit NUMBER\n")
    );
    let (code, shown, errors) = local(&stack, &["dead-letters", "redrive", "--dry-run", "--json"]).await;
    let expected = json!({ "id": id, "cleanup_id": "a", "moved": false });
    assert_eq!((code, errors.as_str(), lines(&shown).len()), (0, "2 messages would be moved.\n", 2));
    assert!(lines(&shown).contains(&expected), "{shown}");
    let (code, _, errors) = local(&stack, &["dead-letters", "redrive"]).await;
    let question = "error: Move 2 messages to the cleanup queue of the local stack? There is no terminal to ask on: \
                    confirm with --yes\n";
    assert_eq!((code, errors.as_str()), (2, question));
    assert!(drain(&stack, "cleanup").await.is_empty(), "nothing was moved yet");

    let (code, shown, errors) = local(&stack, &["dead-letters", "redrive", "--yes", "--json"]).await;
    assert_eq!((code, errors.as_str()), (0, "2 messages moved to the cleanup queue.\n"));
    assert!(lines(&shown).contains(&json!({ "id": id, "cleanup_id": "a", "moved": true })), "{shown}");
    let request = stack.clients.sqs.receive_message().queue_url(&stack.queue_urls["cleanup"]);
    let request = request.message_attribute_names("All").visibility_timeout(0).max_number_of_messages(1);
    let message = request.send().await.unwrap().messages.unwrap().remove(0);
    let attributes = message.message_attributes.unwrap();
    let attributes = ["provider", "type"].map(|name| attributes[name].string_value().unwrap().to_owned());
    assert_eq!(attributes, ["plain", "customer.deleted"]);
    assert_eq!(cleanup_ids(&stack, "cleanup").await, ["a", "b"]);
    assert!(drain(&stack, "cleanup-dead-letter").await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limited_redrive_says_that_messages_are_left() {
    let stack = stack().await;
    for number in 0..23 {
        send_dead_letter(&stack, &format!("{number:02}")).await;
    }
    let (code, _, errors) = local(&stack, &["dead-letters", "redrive", "--yes", "--limit", "11"]).await;
    let limit = "11 messages moved to the cleanup queue.\nerror: the limit of 11 messages is reached: there are more \
                 messages\n";
    assert_eq!((code, errors.as_str()), (3, limit));
    let (code, _, errors) = local(&stack, &["dead-letters", "redrive", "--yes", "--limit", "12"]).await;
    assert_eq!((code, errors.as_str()), (0, "12 messages moved to the cleanup queue.\n"));
    assert_eq!(cleanup_ids(&stack, "cleanup").await, (0..23).map(|number| format!("{number:02}")).collect::<Vec<_>>());
    let (code, _, errors) = local(&stack, &["dead-letters", "redrive", "--limit", "0"]).await;
    assert!(code == 2 && errors.contains("a number greater than 0"), "{errors}");
}

/// A message is sent before it is deleted, so whatever fails, it is on one of the queues.
#[tokio::test(flavor = "multi_thread")]
async fn a_failed_redrive_loses_nothing() {
    let deployed = deploy(options()).await;
    send_dead_letter(&deployed.stack, "a").await;
    let redrive = ["dead-letters", "redrive", "--yes", "--stack", "test"];
    deployed.aws.fail(&["SendMessage"]);
    let (code, _, errors) = deployed.run(&redrive, "").await;
    assert!(code == 5 && errors.contains("0 messages moved to the cleanup queue."), "{errors}");
    assert!(errors.contains("no message can be sent to the cleanup queue of test: only the functions"), "{errors}");
    assert!(!deployed.aws.take_calls().iter().any(|call| call.operation.ends_with("DeleteMessage")));
    deployed.aws.fail(&["DeleteMessage"]);
    let (code, _, errors) = deployed.run(&redrive, "").await;
    assert!(
        code == 3 && errors.contains("was sent, but is still on the dead-letter queue: redrive it again"),
        "{errors}"
    );
    deployed.aws.recover();
    let (code, _, errors) = deployed.run(&redrive, "").await;
    assert_eq!((code, errors), (0, format!("{ANNOUNCED}1 message moved to the cleanup queue.\n")));
    assert_eq!(cleanup_ids(&deployed.stack, "cleanup").await, ["a", "a"], "consumers deduplicate by cleanup_id");
}

/// A queue whose messages somebody has just received is not called empty.
#[tokio::test(flavor = "multi_thread")]
async fn a_queue_with_hidden_messages_is_not_empty() {
    let stack = stack().await;
    let commands = [
        ("cleanup", &["cleanup", "list"][..]),
        ("inbox", &["inbox", "list"]),
        ("quarantine", &["quarantine", "list"]),
        ("quarantine", &["quarantine", "redrive", "--yes"]),
        ("cleanup-dead-letter", &["dead-letters", "list"]),
        ("cleanup-dead-letter", &["dead-letters", "redrive", "--yes"]),
    ];
    for (queue, command) in commands {
        let (code, _, errors) = local(&stack, command).await;
        assert_eq!((code, errors), (0, format!("The {queue} queue is empty.\n")));
    }
    for (queue, url) in &stack.queue_urls {
        let sqs = &stack.clients.sqs;
        sqs.send_message().queue_url(url).message_body("{}").send().await.unwrap();
        let received = sqs.receive_message().queue_url(url).visibility_timeout(600).send().await.unwrap();
        assert!(received.messages.is_some(), "{queue}");
    }
    for (queue, command) in commands {
        let (code, _, errors) = local(&stack, command).await;
        let expected = format!("No message of the {queue} queue can be received now, but it has about 1");
        assert!(code == 0 && errors.starts_with(&expected), "{code} {errors}");
    }
}

/// A list that is cut says so.
#[tokio::test(flavor = "multi_thread")]
async fn a_list_that_reaches_its_limit_says_so() {
    let stack = stack().await;
    for (queue, noun) in [("cleanup", "cleanup"), ("inbox", "inbox"), ("cleanup-dead-letter", "dead-letters")] {
        for _ in 0..2 {
            let request = stack.clients.sqs.send_message().queue_url(&stack.queue_urls[queue]).message_body("{}");
            request.send().await.unwrap();
        }
        let (code, _, errors) = local(&stack, &[noun, "list", "--limit", "1"]).await;
        let expected = "The limit of 1 is reached; there may be more: --limit NUMBER\n";
        assert_eq!((code, errors.as_str()), (0, expected), "{noun}");
    }
}
