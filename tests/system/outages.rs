//! When something cannot be reached: 503, in time, and nothing half-done that a redelivery does not mend.

use std::time::{Duration, Instant};

use clientele::events::signed_at;
use clientele_aws::HttpAnswer;
use serde_json::{Value, json};

use crate::door::Door;
use crate::generate::{Said, What, deliver};
use crate::support::{all_items, drain, handle, item, stack};

fn said(what: What) -> Said {
    Said { customer: "c".into(), version: 0, event: 1, what }
}

fn assert_unavailable(answer: &HttpAnswer) {
    assert_eq!(answer.status_code, 503);
    assert_eq!(answer.body.as_deref(), Some(r#"{"outcome":"unavailable"}"#));
    assert_eq!(answer.headers["retry-after"], "5");
}

#[tokio::test]
async fn an_outage_answers_503_and_a_redelivery_mends_it() {
    let stack = stack().await;
    let (door, receivers) = Door::before(&stack).await;
    for operation in ["PutItem", "SendMessage"] {
        let delete = deliver("plain", &[said(What::Deleted)], signed_at());
        door.fail(Some(operation));
        assert_unavailable(&handle(&receivers["plain"], &delete, signed_at()).await);
        assert_eq!(drain(&stack, "cleanup").await, [] as [Value; 0]);
        if operation == "SendMessage" {
            // Written, with the message that waits.
            assert!(item(&stack, "plain#w_1#c").await.unwrap()["cleanup"].is_string());
        }
        door.fail(None);
    }
    let delete = deliver("plain", &[said(What::Deleted)], signed_at());
    assert_eq!(handle(&receivers["plain"], &delete, signed_at()).await.status_code, 200);
    assert_eq!(drain(&stack, "cleanup").await.len(), 1);
    assert!(item(&stack, "plain#w_1#c").await.unwrap().get("cleanup").is_none());
}

/// The message is sent: that its mark stays is no reason to have the delete delivered again.
#[tokio::test]
async fn a_mark_that_stays_is_no_failure() {
    let stack = stack().await;
    let (door, receivers) = Door::before(&stack).await;
    door.fail(Some("UpdateItem"));
    let delete = deliver("plain", &[said(What::Deleted)], signed_at());
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
        let (door, receivers) = Door::before(&stack).await;
        door.hang(Some(operation));
        let said = Said { customer: operation.into(), ..said(What::Deleted) };
        let delete = deliver("plain", &[said], signed_at());
        let started = Instant::now();
        let answer = handle(&receivers["plain"], &delete, signed_at()).await;
        let took = started.elapsed();
        assert!(took < Duration::from_secs(5), "{operation}: {took:?}");
        assert_eq!(answer.status_code, if operation == "UpdateItem" { 200 } else { 503 }, "{operation}");
    }
    // A large batch as well, every event of which hangs.
    let (door, receivers) = Door::before(&stack).await;
    door.hang(Some("PutItem"));
    let started = Instant::now();
    let answer = handle(&receivers["smarterpay"], &batch(200), signed_at()).await;
    let took = started.elapsed();
    assert!(took < Duration::from_secs(5), "{took:?}");
    assert_eq!((answer.status_code, answer.body.as_deref()), (503, Some(r#"{"outcomes":{"unavailable":200}}"#)));
}

fn batch(events: u32) -> Value {
    let said = |event| Said { customer: format!("c{event}"), version: 0, event, what: What::Updated };
    deliver("smarterpay", &(0..events).map(said).collect::<Vec<_>>(), signed_at())
}

/// The events of a batch are written several at a time, but not all at once.
#[tokio::test(flavor = "multi_thread")]
async fn a_batch_is_written_side_by_side_and_bounded() {
    let stack = stack().await;
    let (door, receivers) = Door::before(&stack).await;
    let answer = handle(&receivers["smarterpay"], &batch(200), signed_at()).await;
    assert_eq!(answer.body.as_deref(), Some(r#"{"outcomes":{"applied":200}}"#));
    assert_eq!(all_items(&stack).await.len(), 200);
    assert!((2..=8).contains(&door.at_once_max()), "{}", door.at_once_max());
}

/// Proved, but not understood; and understood, but more than an item can hold.
#[tokio::test]
async fn what_cannot_be_translated_answers_500() {
    let stack = stack().await;
    let not_kept = json!({ "outcome": "unavailable" }).to_string();
    let mut event = deliver("metrifox", &[said(What::Updated)], signed_at());
    for body in ["{", "[]", r#"{"type":"customer.updated"}"#] {
        event["body"] = body.into();
        let answer = handle(&stack.receivers["metrifox"], &event, signed_at()).await;
        assert_eq!((answer.status_code, answer.body.as_ref()), (500, Some(&not_kept)), "{body}");
    }
    // The event's id is in the item twice.
    let mut body: Value =
        serde_json::from_str(deliver("metrifox", &[said(What::Updated)], signed_at())["body"].as_str().unwrap())
            .unwrap();
    body["id"] = "i".repeat(250_000).into();
    event["body"] = body.to_string().into();
    let answer = handle(&stack.receivers["metrifox"], &event, signed_at()).await;
    assert_eq!(answer.status_code, 500);
    assert_eq!(all_items(&stack).await, [] as [Value; 0]);
}

/// One bad event does not hold up its batch, nor is it lost silently.
#[tokio::test]
async fn a_batch_with_a_bad_event_is_applied_but_for_that() {
    let stack = stack().await;
    let case = crate::support::case("smarterpay/batch-of-many-kinds");
    let mut body: Value = serde_json::from_str(&case.body().unwrap()).unwrap();
    body["events"][1].as_object_mut().unwrap().remove("status");
    let unsigned = clientele::signing::Unsigned { body: body.to_string(), message_id: String::new() };
    let event = crate::generate::signed(case.known, &unsigned, signed_at());
    let answer = handle(&stack.receivers["smarterpay"], &event, signed_at()).await;
    let outcomes = r#"{"outcomes":{"applied":1,"ignored":2,"unavailable":1}}"#;
    assert_eq!((answer.status_code, answer.body.as_deref()), (500, Some(outcomes)));
    assert_eq!(all_items(&stack).await.len(), 1);
}
