//! Outages of the table and the queues: a verified delivery is kept, the answer comes in time, and a replay, a sweep or
//! a redelivery completes what was left half-done.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use clientele::events::signed_at;
use clientele::signing::UnsignedRequest;
use clientele::stack::CapturedLog;
use clientele_aws::HttpResponse;
use clientele_flow::deadlines::{FUNCTION_TIMEOUT, PROVIDER_TIMEOUT};
use clientele_model::{ChangeKind, KeptDelivery, KeptPart};
use jiff::SignedDuration;
use serde_json::{Value, json};

use crate::support::aws::AwsStandIn;
use crate::support::deliveries::{CREATED, DELETED, UPDATED, change, deliver, signed};
use crate::support::translation::verified;
use crate::support::{
    all_items, drain, handle, invocation, item, json_lines, replay, replayer, sqs_event, stack, stack_with_template,
    start_receiver, timeless,
};

/// A delivery of a provider with one change of a customer.
fn one(provider: &str, customer: &str, kind: ChangeKind) -> Value {
    deliver(provider, &[change(customer, 0, 1, kind)], signed_at())
}

fn assert_outcome(answer: &HttpResponse, status: u16, outcome: &str) {
    assert_eq!(answer.status_code, status);
    assert_eq!(answer.body.as_deref(), Some(format!(r#"{{"outcome":"{outcome}"}}"#).as_str()));
    assert_eq!(answer.headers.get("retry-after").map(String::as_str), (status == 503).then_some("5"));
}

/// A delivery that the table cannot take is parked on the inbox and answered 202. A replay writes the same item as a
/// delivery that was never parked, and leaves the inbox empty.
#[tokio::test]
async fn an_outage_of_the_table_parks() {
    let (stack, healthy) = (stack().await, stack().await);
    let (aws, receivers) = AwsStandIn::with_receivers(&stack).await;
    for (provider, kind) in
        [("plain", UPDATED), ("plain", DELETED), ("metrifox", CREATED), ("smarterpay", UPDATED), ("flexprice", DELETED)]
    {
        let event = one(provider, &format!("{provider}-{kind:?}"), kind);
        aws.fail(&["PutItem"]);
        let answer = handle(&receivers[provider], &event, signed_at()).await;
        assert_eq!(answer.status_code, 202, "{provider}");
        assert!(answer.body.unwrap().contains("parked"));
        aws.fail(&[]);
        assert_eq!(handle(&healthy.receivers[provider], &event, signed_at()).await.status_code, 200);
    }
    assert_eq!(all_items(&stack).await, [] as [Value; 0]);
    assert_eq!(stack.event_source_mapping.as_ref().unwrap().run_until_empty().await.unwrap(), 5);
    let [is, should] = [all_items(&stack).await, all_items(&healthy).await];
    assert_eq!(is.len(), 5);
    assert_eq!(is, should, "the times of arrival included");
    assert_eq!(drain(&stack, "inbox").await, [] as [Value; 0]);
    // In any order, since messages are replayed concurrently.
    let cleanups = async |stack| drain(stack, "cleanup").await.iter().map(Value::to_string).collect::<BTreeSet<_>>();
    assert_eq!(cleanups(&stack).await, cleanups(&healthy).await);
}

/// Without the table and the queues the provider must send the delivery again.
#[tokio::test]
async fn without_table_and_queue_it_is_unavailable() {
    let stack = stack().await;
    let (aws, receivers) = AwsStandIn::with_receivers(&stack).await;
    aws.fail(&["PutItem", "SendMessage"]);
    let delete = one("plain", "c", DELETED);
    assert_outcome(&handle(&receivers["plain"], &delete, signed_at()).await, 503, "unavailable");
    let mut unreadable = one("metrifox", "c", UPDATED);
    unreadable["body"] = "{".into();
    assert_outcome(&handle(&receivers["metrifox"], &unreadable, signed_at()).await, 503, "unavailable");
    aws.fail(&[]);
    assert_outcome(&handle(&receivers["plain"], &delete, signed_at()).await, 200, "applied");
    assert_eq!(drain(&stack, "cleanup").await.len(), 1);
}

/// A delete is applied once its tombstone is written. The message waits in the tombstone until a sweep or a redelivery
/// sends it.
#[tokio::test]
async fn a_delete_whose_message_cannot_be_sent_is_left_to_the_sweep() {
    let stack = stack().await;
    let (aws, receivers) = AwsStandIn::with_receivers(&stack).await;
    for sweeps in [true, false] {
        let customer = format!("sweeps-{sweeps}");
        let (pk, delete) = (format!("plain#w_1#{customer}"), one("plain", &customer, DELETED));
        aws.fail(&["SendMessage"]);
        assert_outcome(&handle(&receivers["plain"], &delete, signed_at()).await, 200, "applied");
        aws.fail(&[]);
        assert_eq!(drain(&stack, "cleanup").await, [] as [Value; 0]);
        let message = item(&stack, &pk).await.unwrap()["cleanup"].as_str().unwrap().to_owned();
        if sweeps {
            let swept = stack.sweeper.as_ref().unwrap().handle(&invocation(signed_at())).await;
            assert_eq!((swept.sent, swept.failed), (0, 0), "in the first minute its writer may still send it");
            let later = invocation(signed_at() + SignedDuration::from_secs(61));
            let swept = stack.sweeper.as_ref().unwrap().handle(&later).await;
            assert_eq!((swept.sent, swept.failed, swept.is_cut_short), (1, 0, false));
        } else {
            assert_outcome(&handle(&receivers["plain"], &delete, signed_at()).await, 200, "duplicate");
        }
        assert_eq!(drain(&stack, "cleanup").await, [serde_json::from_str::<Value>(&message).unwrap()]);
        let tombstone = item(&stack, &pk).await.unwrap();
        assert!(tombstone.get("cleanup").is_none() && tombstone.get("cleanup_due").is_none());
    }
}

/// The message is sent even if it cannot be removed from the tombstone, so the delete need not be delivered again.
#[tokio::test]
async fn a_sent_message_that_stays_in_the_tombstone_is_no_failure() {
    let stack = stack().await;
    let (aws, receivers) = AwsStandIn::with_receivers(&stack).await;
    aws.fail(&["UpdateItem"]);
    let delete = one("plain", "c", DELETED);
    assert_eq!(handle(&receivers["plain"], &delete, signed_at()).await.status_code, 200);
    assert_eq!(drain(&stack, "cleanup").await.len(), 1);
    assert!(item(&stack, "plain#w_1#c").await.unwrap()["cleanup"].is_string());
}

/// When calls start to hang, and when the delivery arrives.
#[derive(Clone, Copy)]
enum Hanging {
    FromTheStart,
    AfterTheStart,
    /// The delivery arrives when the secrets have to be fetched again.
    WithOldSecrets,
}

/// Providers give up after 5 s. The deadline is 3.6 s, and 1 s for a start; the rest is for a busy machine.
#[tokio::test(flavor = "multi_thread")]
async fn whatever_hangs_the_answer_comes_in_time() {
    use Hanging::{AfterTheStart, FromTheStart, WithOldSecrets};
    let stack = stack().await;
    let answers = [
        ("PutItem", AfterTheStart, one("plain", "a", DELETED), (202, r#"{"outcome":"parked"}"#)),
        ("SendMessage", AfterTheStart, one("plain", "b", DELETED), (200, r#"{"outcome":"applied"}"#)),
        ("UpdateItem", AfterTheStart, one("plain", "c", DELETED), (200, r#"{"outcome":"applied"}"#)),
        // Every operation.
        ("", AfterTheStart, one("plain", "d", CREATED), (503, r#"{"outcome":"unavailable"}"#)),
        ("", FromTheStart, one("plain", "e", CREATED), (503, r#"{"outcome":"unverifiable"}"#)),
        ("", WithOldSecrets, one("metrifox", "f", CREATED), (503, r#"{"outcome":"unavailable"}"#)),
        ("PutItem", AfterTheStart, batch(200), (202, r#"{"outcomes":{"parked":200}}"#)),
    ];
    let answers = answers.map(|(operation, hanging, event, expected)| {
        let stack = &stack;
        async move {
            let aws = AwsStandIn::start(stack).await;
            let provider = event["rawPath"].as_str().unwrap().split('/').nth(2).unwrap();
            let mut environment = stack.environments[provider].clone();
            environment.remove("WEBHOOK_SECRETS");
            let (provider, clients) = (clientele_providers::find(provider).unwrap(), aws.clients());
            let mut started = Instant::now();
            if matches!(hanging, FromTheStart) {
                aws.hang(operation);
            }
            let receiver = start_receiver(provider, &environment, &clients, &CapturedLog::default()).await;
            if !matches!(hanging, FromTheStart) {
                aws.hang(operation);
                started = Instant::now();
            }
            let minutes = if matches!(hanging, WithOldSecrets) { 6 } else { 0 };
            let answer = handle(&receiver, &event, signed_at() + SignedDuration::from_mins(minutes)).await;
            let took = started.elapsed();
            assert!(took < PROVIDER_TIMEOUT, "{operation}: {took:?}");
            assert_eq!((answer.status_code, answer.body.as_deref()), (expected.0, Some(expected.1)), "{operation}");
            assert_eq!(answer.headers.contains_key("retry-after"), expected.0 == 503, "{operation}");
        }
    });
    futures_util::future::join_all(answers).await;
}

/// Lambda kills a replay after 10 s, and then messages that were settled come back too.
#[tokio::test(flavor = "multi_thread")]
async fn whatever_hangs_a_replay_answers_in_time() {
    let stack = stack().await;
    let message = |event: Value| kept(&event, event["body"].as_str().unwrap());
    let update = |number| message(one("plain", &format!("c{number}x"), UPDATED));
    let unreadable = |_| kept(&one("plain", "c", UPDATED), r#"{"timestamp":"2026-11-20T12:00:00Z"}"#);
    // The events of one customer are written one after the other, so a batch takes all the time that it has.
    let batch = |number| {
        let changes = [1, 2, 3].map(|event| change(&format!("c{number}"), 0, event, UPDATED));
        message(deliver("smarterpay", &changes, signed_at()))
    };
    let (late, unread) = ("the table did not answer in time", "no time left");
    let failed = "the table cannot be used: timed out";
    let not_kept = "type is missing; the quarantine queue cannot be reached: timed out";
    let not_hidden = "comes back sooner: the inbox queue cannot be reached: timed out";
    let replays = [
        // What hangs, the messages, those that fail, and how many events or messages with which reasons.
        (vec![("", "")], (0..10).map(batch).collect::<Vec<_>>(), 0..10, [(late, 4), (unread, 6)]),
        (
            vec![("PutItem", "c3x"), ("ChangeMessageVisibility", "")],
            (0..6).map(update).collect(),
            3..4,
            [(failed, 1), (unread, 0)],
        ),
        // Events that are not understood go to quarantine.
        (
            vec![("SendMessage", ""), ("ChangeMessageVisibility", "")],
            (0..5).map(update).chain((0..5).map(unreadable)).collect(),
            5..10,
            [(not_kept, 5), (unread, 0)],
        ),
    ];
    let replays = replays.map(|(hanging, messages, failing, reasons)| {
        let stack = &stack;
        async move {
            let (aws, log) = (AwsStandIn::start(stack).await, CapturedLog::default());
            let replayer = replayer(&stack.environments, &aws.clients(), &log);
            aws.hang_if_contains(&hanging);
            let started = Instant::now();
            let answer = replayer.handle(sqs_event(messages), &invocation(signed_at())).await;
            let took = started.elapsed();
            assert!(took < FUNCTION_TIMEOUT, "{hanging:?}: {took:?}");
            let failed: BTreeSet<_> = answer.batch_item_failures.into_iter().map(|it| it.item_identifier).collect();
            assert_eq!(failed, failing.map(|number| format!("m{number}")).collect(), "{hanging:?}");
            let lines = json_lines(&log);
            for (reason, number) in reasons {
                let lines = lines.iter().filter(|line| line["reason"] == reason);
                assert_eq!(lines.filter(|line| line["warning"] == not_hidden).count(), number, "{hanging:?}: {reason}");
            }
        }
    });
    futures_util::future::join_all(replays).await;
}

/// A body as it is on the inbox, of the provider that a delivery is from.
fn kept(delivery: &Value, body: &str) -> String {
    let provider = delivery["rawPath"].as_str().unwrap().split('/').nth(2).unwrap();
    let (provider, verified) = (clientele_providers::find(provider).unwrap(), verified(body.as_bytes(), signed_at()));
    KeptDelivery::new(provider, &verified, "the table did not answer in time", KeptPart::Whole).to_message()
}

fn batch(events: u32) -> Value {
    let changes: Vec<_> = (0..events).map(|event| change(&format!("c{event}"), 0, event, UPDATED)).collect();
    deliver("smarterpay", &changes, signed_at())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_is_written_with_bounded_concurrency() {
    let stack = stack().await;
    let (aws, receivers) = AwsStandIn::with_receivers(&stack).await;
    // Few enough events for a debug build on a busy machine.
    let answer = handle(&receivers["smarterpay"], &batch(50), signed_at()).await;
    assert_eq!(answer.body.as_deref(), Some(r#"{"outcomes":{"applied":50}}"#));
    assert_eq!(all_items(&stack).await.len(), 50);
    assert!((2..=8).contains(&aws.concurrent_calls_max()), "{}", aws.concurrent_calls_max());
}

/// Deliveries that are verified but not understood, or too large for an item.
#[tokio::test]
async fn what_cannot_be_translated_is_quarantined() {
    let stack = stack().await;
    let mut event = one("metrifox", "c", UPDATED);
    for (body, reason) in [
        ("{", "the body is not JSON"),
        ("[]", "the body has an unexpected type or value"),
        (r#"{"type":"customer.updated"}"#, "id is missing"),
    ] {
        event["body"] = body.into();
        assert_outcome(&handle(&stack.receivers["metrifox"], &event, signed_at()).await, 202, "quarantined");
        let [kept] = &drain(&stack, "quarantine").await[..] else { panic!("one message") };
        assert_eq!(kept["reason"], reason);
    }
    // The item contains the id of the event twice.
    let mut body: Value = serde_json::from_str(one("metrifox", "c", UPDATED)["body"].as_str().unwrap()).unwrap();
    body["id"] = "i".repeat(220_000).into();
    event["body"] = body.to_string().into();
    assert_outcome(&handle(&stack.receivers["metrifox"], &event, signed_at()).await, 202, "quarantined");
    let [kept] = &drain(&stack, "quarantine").await[..] else { panic!("one message") };
    assert_eq!(kept["reason"], "the table cannot hold the item: it is larger than 400 KB");
    assert!(!kept.to_string().contains("CANARY"), "secrets are removed");
    assert_eq!(all_items(&stack).await, [] as [Value; 0]);
}

/// One bad event does not delay the others of its batch, and is kept alone.
#[tokio::test]
async fn a_bad_event_of_a_batch_is_quarantined_alone() {
    let stack = stack().await;
    let case = crate::support::case("smarterpay/batch-of-many-kinds");
    let mut body: Value = serde_json::from_str(&case.body().unwrap()).unwrap();
    body["events"][1].as_object_mut().unwrap().remove("status");
    let unsigned = UnsignedRequest { body: body.to_string(), message_id: String::new() };
    let event = signed(case.provider, &unsigned, signed_at());
    let answer = handle(&stack.receivers["smarterpay"], &event, signed_at()).await;
    let outcomes = r#"{"outcomes":{"applied":1,"ignored":2,"quarantined":1}}"#;
    assert_eq!((answer.status_code, answer.body.as_deref()), (202, Some(outcomes)));
    assert_eq!(all_items(&stack).await.len(), 1);
    let [kept] = &drain(&stack, "quarantine").await[..] else { panic!("one message") };
    let kept: Value = serde_json::from_str(kept["body"].as_str().unwrap()).unwrap();
    assert_eq!(kept["events"], json!([null, body["events"][1], null, null]));
}

/// A batch of more than a thousand events, whatever they are, makes one outcome, one log line and one message.
#[tokio::test]
async fn a_batch_of_too_many_events_is_quarantined_whole() {
    let stack = stack().await;
    let log = CapturedLog::default();
    let (_aws, receivers) = AwsStandIn::with_logging_receivers(&stack, &log).await;
    let provider = clientele_providers::find("smarterpay").unwrap();
    let v2 = r#""id":"OM1","idempotency_key":"k1","sent_at":"2026-11-20T12:00:00Z","client":{"id":"w_1"},"#;
    for (envelope, events, number, quarantined) in [
        (v2, "0", 130_000, 1),
        (v2, "{}", 1_001, 1),
        (v2, "null", 1_001, 1),
        (v2, "{}", 1_000, 1_000),
        (v2, "{},0", 52_000, 1),
    ] {
        let body = format!("{{{envelope}\"events\": [{}]}}", vec![events; number].join(","));
        let unsigned = UnsignedRequest { body: body.clone(), message_id: String::new() };
        let answer = handle(&receivers["smarterpay"], &signed(provider, &unsigned, signed_at()), signed_at()).await;
        let outcomes = format!(r#"{{"outcomes":{{"quarantined":{quarantined}}}}}"#);
        assert_eq!((answer.status_code, answer.body), (202, Some(outcomes)), "{number} {events}");
        let lines = json_lines(&log);
        assert_eq!(lines.len(), quarantined, "{number} {events}");
        let [kept] = &drain(&stack, "quarantine").await[..] else { panic!("one message") };
        assert_eq!(kept["body"], body.as_str(), "every byte");
        if quarantined == 1 {
            assert_eq!(lines[0]["reason"], "more than 1000 events in one delivery");
            assert_eq!(kept["reason"], lines[0]["reason"]);
        }
    }
}

/// When a batch fails in part, only that part is parked. Its events keep their places in the batch and so their ranks.
#[tokio::test]
async fn only_failed_events_of_a_batch_are_parked() {
    let (stack, healthy) = (stack().await, stack().await);
    let (aws, receivers) = AwsStandIn::with_receivers(&stack).await;
    let changes = ["a", "b", "a", "c", "b"].into_iter().zip(1..);
    let changes: Vec<_> = changes.map(|(customer, event)| change(customer, 0, event, UPDATED)).collect();
    let event = deliver("smarterpay", &changes, signed_at());
    aws.fail_if_contains(&[("PutItem", "#b")]);
    let answer = handle(&receivers["smarterpay"], &event, signed_at()).await;
    assert_eq!((answer.status_code, answer.body.as_deref()), (202, Some(r#"{"outcomes":{"applied":3,"parked":2}}"#)));
    let request = stack.clients.sqs.receive_message().queue_url(&stack.queue_urls["inbox"]).visibility_timeout(0);
    let messages = request.send().await.unwrap().messages.unwrap();
    let [message] = &messages[..] else { panic!("one message") };
    let kept: Value = serde_json::from_str(message.body().unwrap()).unwrap();
    let kept: Value = serde_json::from_str(kept["body"].as_str().unwrap()).unwrap();
    let places: Vec<_> = kept["events"].as_array().unwrap().iter().map(|event| !event.is_null()).collect();
    assert_eq!(places, [false, true, false, false, true]);
    aws.fail(&[]);
    assert_eq!(stack.event_source_mapping.as_ref().unwrap().run_until_empty().await.unwrap(), 1);
    handle(&healthy.receivers["smarterpay"], &event, signed_at()).await;
    assert_eq!(all_items(&stack).await, all_items(&healthy).await);
}

/// A message that is no kept delivery returns to the queue until its receives are used up, then moves to quarantine.
/// The other messages of its batch are settled.
#[tokio::test]
async fn an_unreadable_message_does_not_affect_others() {
    // Messages are visible again at once, and are received at most three times.
    let changes = [("VisibilityTimeout: 60", "VisibilityTimeout: 0"), ("maxReceiveCount: 200", "maxReceiveCount: 3")];
    let stack = stack_with_template(&changes).await;
    let send = async |body: &str| {
        let request = stack.clients.sqs.send_message().queue_url(&stack.queue_urls["inbox"]).message_body(body);
        request.send().await.unwrap();
    };
    let poison = [
        r#"{"schema":1}"#,
        "no JSON",
        r#"{"schema":1,"provider":"unknown","reason":"","received_at":"2026-11-20T12:00:00Z","delivery_id":null,"sent_at":null,"encoding":"json","body":"{}"}"#,
    ];
    let (aws, receivers) = AwsStandIn::with_receivers(&stack).await;
    aws.fail(&["PutItem"]);
    for (customer, poison) in poison.into_iter().enumerate() {
        handle(&receivers["plain"], &one("plain", &format!("c{customer}"), UPDATED), signed_at()).await;
        send(poison).await;
    }
    replay(&stack, 3).await;
    assert_eq!(all_items(&stack).await.len(), 3);
    let mut quarantined = BTreeMap::new();
    let request =
        stack.clients.sqs.receive_message().queue_url(&stack.queue_urls["quarantine"]).max_number_of_messages(10);
    for message in request.send().await.unwrap().messages.unwrap_or_default() {
        *quarantined.entry(message.body.unwrap()).or_insert(0) += 1;
    }
    assert_eq!(quarantined, poison.map(|poison| (poison.to_owned(), 1)).into());
}

/// An operator can move a message from quarantine to the inbox with the AWS console. No attempt can apply a message without
/// its body, so it goes back at once, and only once.
#[tokio::test]
async fn a_message_without_its_body_returns_to_quarantine() {
    let stack = stack().await;
    let mut event = one("metrifox", "c", UPDATED);
    event["body"] = r#"{"otp":"924117""#.into();
    assert_outcome(&handle(&stack.receivers["metrifox"], &event, signed_at()).await, 202, "quarantined");
    let [kept] = &drain(&stack, "quarantine").await[..] else { panic!("one message") };
    let request = stack.clients.sqs.send_message().queue_url(&stack.queue_urls["inbox"]).message_body(kept.to_string());
    request.send().await.unwrap();

    let (aws, _) = AwsStandIn::with_receivers(&stack).await;
    let log = CapturedLog::default();
    let replayer = replayer(&stack.environments, &aws.clients(), &log);
    aws.fail(&["SendMessage"]);
    let failed = replayer.handle(sqs_event([kept.to_string()]), &invocation(signed_at())).await;
    assert_eq!(failed.batch_item_failures.len(), 1, "it stays on the inbox");
    assert_eq!(json_lines(&log)[0]["outcome"], "unavailable");

    assert_eq!(stack.event_source_mapping.as_ref().unwrap().run_until_empty().await.unwrap(), 1);
    assert_eq!(drain(&stack, "inbox").await, [] as [Value; 0]);
    assert_eq!(drain(&stack, "quarantine").await, std::slice::from_ref(kept));
}

/// An update that was parked before its customer was deleted, and is replayed afterwards, brings nothing back.
#[tokio::test]
async fn a_parked_copy_does_not_restore_a_deleted_customer() {
    let stack = stack().await;
    let (aws, receivers) = AwsStandIn::with_receivers(&stack).await;
    aws.fail(&["PutItem"]);
    let update = deliver("plain", &[change("c", 9_000, 7, UPDATED)], signed_at());
    assert_outcome(&handle(&receivers["plain"], &update, signed_at()).await, 202, "parked");
    aws.fail(&[]);
    let delete = deliver("plain", &[change("c", 0, 5, DELETED)], signed_at());
    assert_outcome(&handle(&receivers["plain"], &delete, signed_at()).await, 200, "applied");
    let before = timeless(item(&stack, "plain#w_1#c").await.unwrap());
    assert_eq!(stack.event_source_mapping.as_ref().unwrap().run_until_empty().await.unwrap(), 1);
    assert_eq!(timeless(item(&stack, "plain#w_1#c").await.unwrap()), before);
    assert_eq!(before["status"], "deleted");
}
