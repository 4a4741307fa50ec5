//! When something cannot be reached: what was verified is kept, the answer comes in time, and nothing is half-done that a
//! replay, a sweep or a redelivery does not mend.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use clientele::events::signed_at;
use clientele_aws::HttpAnswer;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::support::deliveries::{ChangeKind, CustomerChange, deliver};
use crate::support::proxy::EmulatorProxy;
use crate::support::{all_items, drain, handle, item, stack, timeless};

fn change(kind: ChangeKind) -> CustomerChange {
    CustomerChange { customer: "c".into(), version: 0, event_number: 1, kind }
}

fn assert_outcome(answer: &HttpAnswer, status: u16, outcome: &str) {
    assert_eq!(answer.status_code, status);
    assert_eq!(answer.body.as_deref(), Some(format!(r#"{{"outcome":"{outcome}"}}"#).as_str()));
    assert_eq!(answer.headers.get("retry-after").map(String::as_str), (status == 503).then_some("5"));
}

/// What the table cannot take goes to the inbox and is answered 202; the replay brings it into the table, and leaves the
/// inbox empty. With every provider, a delete included: the item is that of a delivery which was never parked.
#[tokio::test]
async fn an_outage_of_the_table_parks() {
    let (stack, healthy) = (stack().await, stack().await);
    let (proxy, receivers) = EmulatorProxy::before(&stack).await;
    for (provider, kind) in [
        ("plain", ChangeKind::Updated),
        ("plain", ChangeKind::Deleted),
        ("metrifox", ChangeKind::Created),
        ("smarterpay", ChangeKind::Updated),
        ("flexprice", ChangeKind::Deleted),
    ] {
        let change = CustomerChange { customer: format!("{provider}-{kind:?}"), ..change(kind) };
        let event = deliver(provider, &[change], signed_at());
        proxy.fail(Some("PutItem"));
        let answer = handle(&receivers[provider], &event, signed_at()).await;
        assert_eq!(answer.status_code, 202, "{provider}");
        assert!(answer.body.unwrap().contains("parked"));
        proxy.fail(None);
        assert_eq!(handle(&healthy.receivers[provider], &event, signed_at()).await.status_code, 200);
    }
    assert_eq!(all_items(&stack).await, [] as [Value; 0]);
    assert_eq!(stack.mapping.as_ref().unwrap().run_until_empty().await.unwrap(), 5);
    let [is, should] = [all_items(&stack).await, all_items(&healthy).await];
    assert_eq!(is.len(), 5);
    assert_eq!(is, should, "the times of arrival included");
    assert_eq!(drain(&stack, "inbox").await, [] as [Value; 0]);
    // Messages are replayed side by side.
    let cleanups = async |stack| drain(stack, "cleanup").await.iter().map(Value::to_string).collect::<BTreeSet<_>>();
    assert_eq!(cleanups(&stack).await, cleanups(&healthy).await);
}

/// Neither table nor queue: only then the provider has to send it again.
#[tokio::test]
async fn without_table_and_queue_it_is_unavailable() {
    let stack = stack().await;
    let (proxy, receivers) = EmulatorProxy::before(&stack).await;
    proxy.fail_all(&["PutItem", "SendMessage"]);
    let delete = deliver("plain", &[change(ChangeKind::Deleted)], signed_at());
    assert_outcome(&handle(&receivers["plain"], &delete, signed_at()).await, 503, "unavailable");
    let mut unreadable = deliver("metrifox", &[change(ChangeKind::Updated)], signed_at());
    unreadable["body"] = "{".into();
    assert_outcome(&handle(&receivers["metrifox"], &unreadable, signed_at()).await, 503, "unavailable");
    proxy.fail(None);
    assert_outcome(&handle(&receivers["plain"], &delete, signed_at()).await, 200, "applied");
    assert_eq!(drain(&stack, "cleanup").await.len(), 1);
}

/// A written delete is settled: its message waits in the tombstone, and the sweep sends it, or a redelivery before.
#[tokio::test]
async fn a_delete_whose_message_cannot_be_sent_is_left_to_the_sweep() {
    let stack = stack().await;
    let (proxy, receivers) = EmulatorProxy::before(&stack).await;
    for sweeps in [true, false] {
        let change = CustomerChange { customer: format!("sweeps-{sweeps}"), ..change(ChangeKind::Deleted) };
        let pk = format!("plain#w_1#{}", change.customer);
        let delete = deliver("plain", &[change], signed_at());
        proxy.fail(Some("SendMessage"));
        assert_outcome(&handle(&receivers["plain"], &delete, signed_at()).await, 200, "applied");
        proxy.fail(None);
        assert_eq!(drain(&stack, "cleanup").await, [] as [Value; 0]);
        let message = item(&stack, &pk).await.unwrap()["cleanup"].as_str().unwrap().to_owned();
        if sweeps {
            let swept = stack.sweeper.as_ref().unwrap().handle(&invocation(signed_at())).await;
            assert_eq!((swept.sent, swept.failed), (0, 0), "whoever wrote it is still at it");
            let later = invocation(signed_at() + jiff::SignedDuration::from_secs(61));
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

fn invocation(now: Timestamp) -> clientele_aws::Invocation {
    clientele_aws::Invocation { request_id: "test".to_owned(), trace_id: None, received_at: now }
}

/// The message is sent: that its mark stays is no reason to have the delete delivered again.
#[tokio::test]
async fn a_mark_that_stays_is_no_failure() {
    let stack = stack().await;
    let (proxy, receivers) = EmulatorProxy::before(&stack).await;
    proxy.fail(Some("UpdateItem"));
    let delete = deliver("plain", &[change(ChangeKind::Deleted)], signed_at());
    assert_eq!(handle(&receivers["plain"], &delete, signed_at()).await.status_code, 200);
    assert_eq!(drain(&stack, "cleanup").await.len(), 1);
    assert!(item(&stack, "plain#w_1#c").await.unwrap()["cleanup"].is_string());
}

/// Providers give up after five seconds: whatever hangs, the answer is there before. (The budget is 3.6 s; a busy machine
/// may need some more.)
#[tokio::test(flavor = "multi_thread")]
async fn whatever_hangs_the_answer_comes_in_time() {
    let stack = stack().await;
    for operation in ["PutItem", "SendMessage", "UpdateItem"] {
        let (proxy, receivers) = EmulatorProxy::before(&stack).await;
        proxy.hang(Some(operation));
        let change = CustomerChange { customer: operation.into(), ..change(ChangeKind::Deleted) };
        let delete = deliver("plain", &[change], signed_at());
        let started = Instant::now();
        let answer = handle(&receivers["plain"], &delete, signed_at()).await;
        let took = started.elapsed();
        assert!(took < Duration::from_secs(5), "{operation}: {took:?}");
        assert_eq!(answer.status_code, if operation == "PutItem" { 202 } else { 200 }, "{operation}");
    }
    let (proxy, receivers) = EmulatorProxy::before(&stack).await;
    proxy.hang(Some(""));
    let started = Instant::now();
    let answer =
        handle(&receivers["plain"], &deliver("plain", &[change(ChangeKind::Created)], signed_at()), signed_at()).await;
    let took = started.elapsed();
    assert!(took < Duration::from_secs(5), "{took:?}");
    assert_outcome(&answer, 503, "unavailable");
    // A large batch as well, every event of which hangs.
    let (proxy, receivers) = EmulatorProxy::before(&stack).await;
    proxy.hang(Some("PutItem"));
    let started = Instant::now();
    let answer = handle(&receivers["smarterpay"], &batch(200), signed_at()).await;
    let took = started.elapsed();
    assert!(took < Duration::from_secs(5), "{took:?}");
    assert_eq!((answer.status_code, answer.body.as_deref()), (202, Some(r#"{"outcomes":{"parked":200}}"#)));
}

fn batch(events: u32) -> Value {
    let change = |event| CustomerChange {
        customer: format!("c{event}"),
        version: 0,
        event_number: event,
        kind: ChangeKind::Updated,
    };
    deliver("smarterpay", &(0..events).map(change).collect::<Vec<_>>(), signed_at())
}

/// The events of a batch are written several at a time, but not all at once.
#[tokio::test(flavor = "multi_thread")]
async fn a_batch_is_written_side_by_side_and_bounded() {
    let stack = stack().await;
    let (proxy, receivers) = EmulatorProxy::before(&stack).await;
    // Few enough for a busy machine and a debug build.
    let answer = handle(&receivers["smarterpay"], &batch(50), signed_at()).await;
    assert_eq!(answer.body.as_deref(), Some(r#"{"outcomes":{"applied":50}}"#));
    assert_eq!(all_items(&stack).await.len(), 50);
    assert!((2..=8).contains(&proxy.at_once_max()), "{}", proxy.at_once_max());
}

/// Proved, but not understood; and understood, but more than an item can hold.
#[tokio::test]
async fn what_cannot_be_translated_is_quarantined() {
    let stack = stack().await;
    let mut event = deliver("metrifox", &[change(ChangeKind::Updated)], signed_at());
    for (body, reason) in [
        ("{", "the body is not JSON"),
        ("[]", "the body is not of the expected type"),
        (r#"{"type":"customer.updated"}"#, "id is missing or unreadable"),
    ] {
        event["body"] = body.into();
        assert_outcome(&handle(&stack.receivers["metrifox"], &event, signed_at()).await, 202, "quarantined");
        let [kept] = &drain(&stack, "quarantine").await[..] else { panic!("one message") };
        assert_eq!(kept["reason"], reason);
    }
    // The event's id is in the item twice.
    let mut body: Value = serde_json::from_str(
        deliver("metrifox", &[change(ChangeKind::Updated)], signed_at())["body"].as_str().unwrap(),
    )
    .unwrap();
    body["id"] = "i".repeat(220_000).into();
    event["body"] = body.to_string().into();
    assert_outcome(&handle(&stack.receivers["metrifox"], &event, signed_at()).await, 202, "quarantined");
    let [kept] = &drain(&stack, "quarantine").await[..] else { panic!("one message") };
    assert_eq!(kept["reason"], "the table cannot hold the item: ValidationException");
    assert!(!kept.to_string().contains("CANARY"), "secrets are removed");
    assert_eq!(all_items(&stack).await, [] as [Value; 0]);
}

/// One bad event does not hold up its batch, nor is it lost: it alone is kept.
#[tokio::test]
async fn a_batch_with_a_bad_event_is_applied_but_for_that() {
    let stack = stack().await;
    let case = crate::support::case("smarterpay/batch-of-many-kinds");
    let mut body: Value = serde_json::from_str(&case.body().unwrap()).unwrap();
    body["events"][1].as_object_mut().unwrap().remove("status");
    let unsigned = clientele::signing::Unsigned { body: body.to_string(), message_id: String::new() };
    let event = crate::support::deliveries::signed(case.known, &unsigned, signed_at());
    let answer = handle(&stack.receivers["smarterpay"], &event, signed_at()).await;
    let outcomes = r#"{"outcomes":{"applied":1,"ignored":2,"quarantined":1}}"#;
    assert_eq!((answer.status_code, answer.body.as_deref()), (202, Some(outcomes)));
    assert_eq!(all_items(&stack).await.len(), 1);
    let [kept] = &drain(&stack, "quarantine").await[..] else { panic!("one message") };
    let kept: Value = serde_json::from_str(kept["body"].as_str().unwrap()).unwrap();
    assert_eq!(kept["events"], json!([null, body["events"][1], null, null]));
}

/// Of a batch that fails in part only that part is parked; its events stand where they stood, so their ranks are the
/// same.
#[tokio::test]
async fn of_a_batch_only_what_failed_is_parked() {
    let (stack, healthy) = (stack().await, stack().await);
    let (proxy, receivers) = EmulatorProxy::before(&stack).await;
    let change: Vec<_> = ["a", "b", "a", "c", "b"]
        .into_iter()
        .zip(1..)
        .map(|(customer, event)| CustomerChange {
            customer: customer.into(),
            version: 0,
            event_number: event,
            kind: ChangeKind::Updated,
        })
        .collect();
    let event = deliver("smarterpay", &change, signed_at());
    proxy.fail_only("PutItem", "#b");
    let answer = handle(&receivers["smarterpay"], &event, signed_at()).await;
    assert_eq!((answer.status_code, answer.body.as_deref()), (202, Some(r#"{"outcomes":{"applied":3,"parked":2}}"#)));
    let request = stack.clients.sqs.receive_message().queue_url(&stack.queue_urls["inbox"]).visibility_timeout(0);
    let messages = request.send().await.unwrap().messages.unwrap();
    let [message] = &messages[..] else { panic!("one message") };
    let kept: Value = serde_json::from_str(message.body().unwrap()).unwrap();
    let kept: Value = serde_json::from_str(kept["body"].as_str().unwrap()).unwrap();
    let places: Vec<_> = kept["events"].as_array().unwrap().iter().map(|event| !event.is_null()).collect();
    assert_eq!(places, [false, true, false, false, true]);
    proxy.fail(None);
    assert_eq!(stack.mapping.as_ref().unwrap().run_until_empty().await.unwrap(), 1);
    handle(&healthy.receivers["smarterpay"], &event, signed_at()).await;
    assert_eq!(all_items(&stack).await, all_items(&healthy).await);
}

/// A message that is none of ours comes back, and moves on after the queue's limit. Its neighbours are settled.
#[tokio::test]
async fn one_poison_record_never_touches_its_neighbours() {
    let text = std::fs::read_to_string(crate::support::root("template.yaml")).unwrap();
    // Visible again at once, and at most three times.
    let text = text
        .replace("VisibilityTimeout: 60", "VisibilityTimeout: 0")
        .replace("maxReceiveCount: 100", "maxReceiveCount: 3");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("template.yaml");
    std::fs::write(&path, text).unwrap();
    let stack = clientele::stack::Stack::start(clientele::stack::Options::ephemeral(path)).await.unwrap();
    let send = async |body: &str| {
        let request = stack.clients.sqs.send_message().queue_url(&stack.queue_urls["inbox"]).message_body(body);
        request.send().await.unwrap();
    };
    let poison = [
        r#"{"schema":1}"#,
        "no JSON",
        r#"{"schema":1,"provider":"acme","reason":"","received_at":"2026-11-20T12:00:00Z","delivery_id":null,"sent_at":null,"encoding":"json","body":"{}"}"#,
    ];
    let (proxy, receivers) = EmulatorProxy::before(&stack).await;
    proxy.fail(Some("PutItem"));
    for (customer, poison) in poison.into_iter().enumerate() {
        let change = CustomerChange { customer: format!("c{customer}"), ..change(ChangeKind::Updated) };
        handle(&receivers["plain"], &deliver("plain", &[change], signed_at()), signed_at()).await;
        send(poison).await;
    }
    assert_eq!(stack.mapping.as_ref().unwrap().run_until_empty().await.unwrap(), 3);
    assert_eq!(all_items(&stack).await.len(), 3);
    let mut quarantined = BTreeMap::new();
    let request =
        stack.clients.sqs.receive_message().queue_url(&stack.queue_urls["quarantine"]).max_number_of_messages(10);
    for message in request.send().await.unwrap().messages.unwrap_or_default() {
        *quarantined.entry(message.body.unwrap()).or_insert(0) += 1;
    }
    assert_eq!(quarantined, poison.map(|poison| (poison.to_owned(), 1)).into());
}

/// A replay of an older copy brings nothing back: parked before the delete, replayed after it.
#[tokio::test]
async fn a_parked_copy_of_a_deleted_customer_does_no_harm() {
    let stack = stack().await;
    let (proxy, receivers) = EmulatorProxy::before(&stack).await;
    proxy.fail(Some("PutItem"));
    let newer = CustomerChange { version: 9_000, event_number: 7, ..change(ChangeKind::Updated) };
    assert_outcome(
        &handle(&receivers["plain"], &deliver("plain", &[newer], signed_at()), signed_at()).await,
        202,
        "parked",
    );
    proxy.fail(None);
    let delete = CustomerChange { event_number: 5, ..change(ChangeKind::Deleted) };
    assert_outcome(
        &handle(&receivers["plain"], &deliver("plain", &[delete], signed_at()), signed_at()).await,
        200,
        "applied",
    );
    let before = timeless(item(&stack, "plain#w_1#c").await.unwrap());
    assert_eq!(stack.mapping.as_ref().unwrap().run_until_empty().await.unwrap(), 1);
    assert_eq!(timeless(item(&stack, "plain#w_1#c").await.unwrap()), before);
    assert_eq!(before["status"], "deleted");
}
