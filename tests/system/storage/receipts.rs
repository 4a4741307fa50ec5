//! Receipts: an erasure is open until every system has confirmed that it has erased its copies.

use std::collections::BTreeSet;

use clientele::stack::{CapturedLog, LocalStack};
use clientele_aws::{ReceiptRecorder, ReceiptsConfig};
use clientele_model::SampleEvent;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::support::deliveries::{CREATED, DELETED, change, deliver, pk};
use crate::support::http::{headers, post};
use crate::support::{drain, invocation, item, json_lines, metrics, options, sqs_event, sweeper};

/// How often the queue's policy lets a receipt be received.
const RECEIVES_MAX: usize = 60;

/// A stack that awaits the receipts of two systems.
async fn awaiting_stack() -> LocalStack {
    let mut options = options();
    options.parameters.insert("ErasureSystems", "crm,mailing".to_owned());
    LocalStack::start(options).await.unwrap()
}

async fn send_change(stack: &LocalStack, change: SampleEvent) {
    let event = deliver("plain", &[change], Timestamp::now());
    let path = event["rawPath"].as_str().unwrap();
    assert_eq!(post(stack, path, &headers(&event), event["body"].as_str().unwrap()).await.0, 200);
}

fn receipt(customer: &str, system: &str, erased_at: &str) -> Value {
    json!({ "schema": 1, "cleanup_id": pk("plain", customer), "system": system, "erased_at": erased_at })
}

async fn send(stack: &LocalStack, message: &Value) {
    let request = stack.clients.sqs.send_message().queue_url(&stack.queue_urls["receipts"]);
    request.message_body(message.to_string()).send().await.unwrap();
}

/// Records what is on the queue. Returns how many messages were recorded.
async fn record(stack: &LocalStack) -> usize {
    stack.receipts_mapping.as_ref().unwrap().replay_now().await.unwrap()
}

/// What a sweep at that time says about open erasures.
async fn open_erasure_days(stack: &LocalStack, now: Timestamp) -> Option<u64> {
    let lines = CapturedLog::default();
    let report = sweeper(&stack.environments, &stack.clients, &lines).handle(&invocation(now)).await;
    assert_eq!(report.failed, 0, "{:?}", report.error);
    json_lines(&lines)[0]["OpenErasureAgeDays"].as_u64()
}

#[tokio::test]
async fn an_erasure_is_open_until_every_system_has_confirmed_it() {
    let stack = awaiting_stack().await;
    let in_three_days = Timestamp::now() + SignedDuration::from_hours(73);
    assert_eq!(open_erasure_days(&stack, in_three_days).await, Some(0));
    send_change(&stack, change("ada", 1, 1, CREATED)).await;
    send_change(&stack, change("ada", 2, 2, DELETED)).await;
    let ada = pk("plain", "ada");
    let tombstone = item(&stack, &ada).await.unwrap();
    assert_eq!((&tombstone["receipts"], tombstone["erasure_open"].is_string()), (&json!({}), true));
    assert_eq!(open_erasure_days(&stack, in_three_days).await, Some(3));

    // The first receipt of a system counts.
    let (first, second) = ("2026-11-21T08:00:00Z", "2026-11-22T08:00:00Z");
    for (system, erased_at, is_open, systems) in [
        ("crm", first, true, &["crm"][..]),
        ("crm", second, true, &["crm"]),
        ("mailing", second, false, &["crm", "mailing"]),
    ] {
        send(&stack, &receipt("ada", system, erased_at)).await;
        assert_eq!(record(&stack).await, 1);
        let tombstone = item(&stack, &ada).await.unwrap();
        assert_eq!(tombstone["receipts"]["crm"]["erased_at"], first);
        let confirmed: Vec<_> = tombstone["receipts"].as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!((tombstone["erasure_open"].is_string(), confirmed), (is_open, systems.to_vec()), "{system}");
    }
    assert_eq!(open_erasure_days(&stack, in_three_days).await, Some(0));
    assert_eq!(drain(&stack, "receipts-dead-letter").await, [] as [Value; 0]);
}

/// Without systems no erasure is open, and nothing is measured.
#[tokio::test]
async fn without_systems_no_erasure_is_open() {
    let stack = LocalStack::start(options()).await.unwrap();
    send_change(&stack, change("ada", 1, 1, DELETED)).await;
    assert_eq!(item(&stack, &pk("plain", "ada")).await.unwrap()["erasure_open"], Value::Null);
    assert_eq!(open_erasure_days(&stack, Timestamp::now()).await, None);
    assert!(stack.receipts_mapping.is_none());
}

/// A receipt of a living customer, of one that nobody knows, or of an unknown system, and what is not a receipt.
#[tokio::test]
async fn what_cannot_be_recorded_ends_on_the_dead_letter_queue() {
    let stack = awaiting_stack().await;
    send_change(&stack, change("ada", 1, 1, CREATED)).await;
    send_change(&stack, change("bob", 1, 2, DELETED)).await;
    let at = "2026-11-21T08:00:00Z";
    let mut later = receipt("bob", "crm", at);
    later["schema"] = 2.into();
    let wrong = [
        receipt("ada", "crm", at),
        receipt("nobody", "crm", at),
        receipt("bob", "billing", at),
        later,
        json!({ "system": "crm" }),
    ];
    let before = [item(&stack, &pk("plain", "ada")).await, item(&stack, &pk("plain", "bob")).await];
    for message in &wrong {
        send(&stack, message).await;
    }
    for _ in 0..RECEIVES_MAX {
        assert_eq!(drain(&stack, "receipts-dead-letter").await, [] as [Value; 0]);
        assert_eq!(record(&stack).await, 0);
    }
    assert_eq!(record(&stack).await, 0, "moves them");
    let texts = |messages: &[Value]| messages.iter().map(Value::to_string).collect::<BTreeSet<_>>();
    assert_eq!(texts(&drain(&stack, "receipts-dead-letter").await), texts(&wrong));
    assert_eq!([item(&stack, &pk("plain", "ada")).await, item(&stack, &pk("plain", "bob")).await], before);
}

/// One line for each batch, with the first reason. It names neither a customer nor what a sender wrote.
#[tokio::test]
async fn a_batch_is_one_line() {
    let stack = awaiting_stack().await;
    send_change(&stack, change("bob", 1, 1, DELETED)).await;
    let at = "2026-11-21T08:00:00Z";
    let read = |name: &str| stack.environments["receipts"].get(name).cloned();
    let lines = CapturedLog::default();
    let recorder = ReceiptRecorder::new(ReceiptsConfig::read(read).unwrap(), &stack.clients, lines.writer());
    let (crm, mailing) = (receipt("bob", "crm", at), receipt("bob", "mailing", at));
    for (messages, failed) in [
        (vec![crm.clone(), receipt("bob", "canary", at), receipt("nobody", "crm", at)], &["m1", "m2"][..]),
        (vec![crm], &[]),
        (vec![mailing], &[]),
        (vec![json!("canary")], &["m0"]),
        (vec![], &[]),
    ] {
        let event = sqs_event(messages.iter().map(Value::to_string));
        let response = recorder.handle(event, &invocation(Timestamp::now())).await;
        let mut reported: Vec<_> = response.batch_item_failures.into_iter().map(|it| it.item_identifier).collect();
        reported.sort();
        assert_eq!(reported, failed);
    }
    let lines = json_lines(&lines);
    let shown: Vec<_> = lines
        .iter()
        .map(|line| {
            let number = |name: &str| line[name].as_u64().unwrap();
            let text = |name: &str| line[name].as_str().unwrap_or_default();
            (number("ReceiptsRecorded"), number("ReceiptsFailed"), text("completed"), text("level"))
        })
        .collect();
    assert_eq!(
        shown,
        [(1, 2, "0", "WARNING"), (1, 0, "0", "INFO"), (1, 0, "1", "INFO"), (0, 1, "0", "WARNING"), (0, 0, "0", "INFO")]
    );
    let reasons = ["the system is not one of ErasureSystems", "the customer is not deleted"];
    assert!(reasons.contains(&lines[0]["reason"].as_str().unwrap()), "{}", lines[0]);
    assert_eq!(lines[3]["reason"], "the message is not a receipt of schema 1");
    let names: BTreeSet<_> = metrics(&lines[1]).into_keys().collect();
    assert_eq!(
        names,
        ["ReceiptsFailed clientele-receipts", "ReceiptsRecorded clientele-receipts"].map(str::to_owned).into()
    );
    for line in &lines {
        let text = line.to_string();
        assert!(!text.contains("canary") && !text.contains("bob") && !text.contains("nobody"), "{text}");
    }
}
