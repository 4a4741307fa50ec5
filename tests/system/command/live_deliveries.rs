//! The records of what the functions of the local stack did.

use clientele::stack::LocalStack;
use clientele::stack::deliveries::{CUSTOMERS_MAX, DeliveryRecord, RECENT_MAX};
use clientele::stack::faults::{Fault, FaultMode, Service};
use clientele_providers::{find, local_secret};
use futures_util::StreamExt;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::support::deliveries::{DELETED, UPDATED, change, deliver, pk, signed};
use crate::support::http::{headers, http_client, post, send_to};
use crate::support::stack;

async fn send(stack: &LocalStack, event: &Value) -> u16 {
    let body = event["body"].as_str().unwrap();
    post(stack, event["rawPath"].as_str().unwrap(), &headers(event), body).await.0
}

async fn send_now(stack: &LocalStack, provider: &str, changes: &[clientele_model::SampleEvent]) -> u16 {
    send(stack, &deliver(provider, changes, Timestamp::now())).await
}

fn last(stack: &LocalStack) -> DeliveryRecord {
    stack.deliveries.recent().pop().unwrap()
}

fn shown(record: &DeliveryRecord) -> (&str, &str, usize, Option<u16>, &str) {
    let DeliveryRecord { function, provider, events, status, outcome, .. } = record;
    (function, provider, *events, *status, outcome)
}

#[tokio::test]
async fn a_delivery_is_recorded_with_its_customer() {
    let stack = stack().await;
    let mut live = stack.deliveries.subscribe();
    let before = Timestamp::now();
    assert_eq!(send_now(&stack, "plain", &[change("c\u{1b}[2J", 2, 1, UPDATED)]).await, 200);
    let record = last(&stack);
    assert_eq!(shown(&record), ("plain", "plain", 1, Some(200), "applied"));
    assert_eq!(record.customers, [pk("plain", "c\u{1b}[2J")]);
    assert_eq!(record.event_type.as_deref(), Some("customer.customer_updated"));
    assert_eq!((record.number, &record.reason, &record.warning), (1, &None, &None));
    assert!(record.at >= before && record.at <= Timestamp::now() && record.duration_ms > 0.0, "{record:?}");
    assert_eq!(live.recv().await.unwrap(), record);

    assert_eq!(send_now(&stack, "plain", &[change("c\u{1b}[2J", 1, 2, UPDATED)]).await, 200);
    let stale = last(&stack);
    assert_eq!((stale.number, shown(&stale)), (2, ("plain", "plain", 1, Some(200), "stale")));
    assert_eq!(stale.customers, record.customers, "the key of a write that the table refuses");
}

/// Refusals, and requests that reach no function. A path can contain a secret, so no record contains it.
#[tokio::test]
async fn a_refusal_is_recorded_with_its_reason() {
    let stack = stack().await;
    let event = deliver("metrifox", &[change("c", 1, 1, UPDATED)], Timestamp::now());
    let body = event["body"].as_str().unwrap();
    post(&stack, "/webhooks/metrifox/canary-canary-canary", &headers(&event), body).await;
    let refused = last(&stack);
    assert_eq!(shown(&refused), ("metrifox", "metrifox", 0, Some(401), "rejected"));
    assert_eq!((refused.reason.as_deref(), refused.event_type.as_ref()), (Some("mismatch"), None));
    let path = format!("{}/", event["rawPath"].as_str().unwrap());
    assert_eq!(post(&stack, &path, &headers(&event), body).await.0, 404);
    assert_eq!(shown(&last(&stack)), ("gateway", "", 0, Some(404), "not found"));
    let all = json!(stack.deliveries.recent()).to_string();
    assert!(!all.contains("canary") && !all.contains(&local_secret(find("metrifox").unwrap())), "{all}");
}

#[tokio::test]
async fn the_outcomes_of_a_batch_are_counted() {
    let stack = stack().await;
    send_now(&stack, "smarterpay", &[change("c0", 5_000, 0, UPDATED)]).await;
    let events: Vec<_> = (0..150).map(|number| change(&format!("c{number}"), 2_000, number + 1, UPDATED)).collect();
    assert_eq!(send_now(&stack, "smarterpay", &events).await, 200);
    let record = last(&stack);
    assert_eq!(shown(&record), ("smarterpay", "smarterpay", 150, Some(200), "149 applied, 1 stale"));
    assert_eq!(record.customers.len(), CUSTOMERS_MAX);
    let empty = json!({ "idempotency_key": "k", "events": [] }).to_string();
    let unsigned = clientele::signing::UnsignedRequest { body: empty, message_id: String::new() };
    assert_eq!(send(&stack, &signed(find("smarterpay").unwrap(), &unsigned, Timestamp::now())).await, 204);
    assert_eq!(shown(&last(&stack)), ("smarterpay", "smarterpay", 0, Some(204), "ignored"));
}

/// While the table is down, the key is known from the failed write.
#[tokio::test]
async fn parking_and_replay_are_recorded() {
    let stack = stack().await;
    let throttle = Fault { mode: FaultMode::Throttle, rate: 1.0, for_seconds: 60.0 };
    stack.faults.set(Service::Dynamodb, throttle).unwrap();
    assert_eq!(send_now(&stack, "flexprice", &[change("c", 1, 1, UPDATED)]).await, 202);
    let parked = last(&stack);
    assert_eq!(shown(&parked), ("flexprice", "flexprice", 1, Some(202), "parked"));
    assert_eq!(parked.customers, [pk("flexprice", "c")]);
    assert!(parked.reason.as_ref().unwrap().starts_with("the table cannot be used"), "{parked:?}");
    stack.faults.clear();
    let inbox = &stack.queue_urls["inbox"];
    stack.clients.sqs.send_message().queue_url(inbox).message_body("{}").send().await.unwrap();
    stack.event_source_mapping.as_ref().unwrap().run_until_empty().await.unwrap();
    let records = stack.deliveries.recent();
    let replayed =
        records.iter().find(|record| record.function == "replay" && record.events == 1 && !record.customers.is_empty());
    let replayed = replayed.unwrap_or_else(|| panic!("{records:?}"));
    assert_eq!(shown(replayed), ("replay", "flexprice", 1, None, "applied"));
    assert_eq!(replayed.customers, parked.customers);
    let unreadable = records.iter().find(|record| record.function == "replay" && record.customers.is_empty()).unwrap();
    assert_eq!(shown(unreadable), ("replay", "", 1, None, "unavailable"));
    assert_eq!(unreadable.reason.as_deref(), Some("the message is not a kept delivery"));
}

/// A sweep leaves a record only if it did something or failed.
#[tokio::test]
async fn a_sweep_is_recorded_if_it_had_work() {
    let stack = stack().await;
    let sweeper = stack.sweeper.as_ref().unwrap();
    let invocation = |at| crate::support::invocation(at);
    sweeper.handle(&invocation(Timestamp::now())).await;
    assert_eq!(stack.deliveries.recent(), []);
    let fault = Fault { mode: FaultMode::Error, rate: 1.0, for_seconds: 60.0 };
    stack.faults.set(Service::Sqs, fault).unwrap();
    send_now(&stack, "plain", &[change("c", 1, 1, DELETED)]).await;
    let deleted = last(&stack);
    assert_eq!(shown(&deleted), ("plain", "plain", 1, Some(200), "applied"));
    assert!(deleted.warning.as_ref().unwrap().contains("queue cannot be reached"), "{deleted:?}");
    let later = Timestamp::now() + jiff::SignedDuration::from_hours(1);
    sweeper.handle(&invocation(later)).await;
    assert_eq!(shown(&last(&stack)), ("sweep", "", 1, None, "failed"));
    assert!(last(&stack).reason.unwrap().contains("queue cannot be reached"));
    stack.faults.clear();
    sweeper.handle(&invocation(later)).await;
    assert_eq!(shown(&last(&stack)), ("sweep", "", 1, None, "sent"));
    assert_eq!(stack.deliveries.recent().len(), 3);
}

/// Concurrent deliveries do not mix their events, and only the last records are kept.
#[tokio::test]
async fn concurrent_deliveries_have_their_own_records() {
    let stack = stack().await;
    let http = http_client();
    let deliveries = (0..u32::try_from(RECENT_MAX).unwrap() + 10).map(|number| {
        let event = deliver("plain", &[change(&format!("c{number}"), 1, number, UPDATED)], Timestamp::now());
        let (http, stack) = (&http, &stack);
        async move {
            let body = event["body"].as_str().unwrap().to_owned();
            send_to(http, stack, "/webhooks/plain", &headers(&event), body).await.0
        }
    });
    let statuses: Vec<_> = futures_util::stream::iter(deliveries).buffer_unordered(16).collect().await;
    assert!(statuses.iter().all(|status| *status == 200));
    let records = stack.deliveries.recent();
    assert_eq!(records.len(), RECENT_MAX);
    let numbers: Vec<_> = records.iter().map(|record| record.number).collect();
    assert_eq!(numbers, (11..=u64::try_from(RECENT_MAX).unwrap() + 10).collect::<Vec<_>>());
    assert!(records.iter().all(|record| record.customers.len() == 1 && record.outcome == "applied"));
    let customers: std::collections::BTreeSet<_> = records.iter().map(|record| &record.customers[0]).collect();
    assert_eq!(customers.len(), RECENT_MAX);
}
