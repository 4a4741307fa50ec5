//! Deliveries by the thousand, over HTTP: no 5xx, the exact final state, and memory that does not grow.
//!
//! `CLIENTELE_DELIVERIES=100000 cargo test --workspace --test system deliveries_by_the_thousand -- --nocapture`

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
use std::time::Instant;

use clientele::events::signed_at;
use clientele::stack::Stack;
use clientele_aws::Invocation;
use clientele_model::CustomerEvent;
use futures_util::StreamExt;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use crate::support::deliveries::CustomerChange;
use crate::support::http::{Http, send};
use crate::support::random_deliveries::{customer_events, events, number};
use crate::support::{all_items, drain, stack, timeless};

/// The state of the sorted order.
fn sorted_state(deliveries: &[(&'static str, Vec<CustomerChange>)]) -> Vec<Value> {
    let item = |event: &CustomerEvent| {
        let mut item = serde_json::to_value(event.item(signed_at())).unwrap();
        // Cleanups are sent by now.
        item.as_object_mut().unwrap().retain(|name, _| !name.starts_with("cleanup"));
        timeless(item)
    };
    customer_events(deliveries).values().map(|event| item(event)).collect()
}

/// The memory of this process, in MB.
fn memory_mb() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok()).unwrap_or_default() / 1_024
}

/// What was parked is replayed, and what was not told is swept.
async fn settle(stack: &Stack) {
    stack.mapping.as_ref().unwrap().run_until_empty().await.unwrap();
    let received_at = Timestamp::now() + SignedDuration::from_mins(5);
    let invocation = Invocation { request_id: "test".to_owned(), trace_id: None, received_at };
    assert_eq!(stack.sweeper.as_ref().unwrap().handle(&invocation).await.failed, 0);
}

/// Deliveries in random order, a quarter of them repeats, 64 at a time, end in the state of the sorted order.
#[tokio::test(flavor = "multi_thread")]
#[expect(clippy::print_stderr, reason = "figures")]
async fn deliveries_by_the_thousand() {
    let number = number("CLIENTELE_DELIVERIES", 10_000);
    let events = events(u32::try_from(number * 3 / 4).unwrap());
    let repeats: Vec<_> = events.iter().step_by(3).cloned().collect();
    let mut deliveries: Vec<_> = events.into_iter().chain(repeats).collect();
    // A fixed shuffle; the repeats come at any distance from their first.
    let place = |index: usize| BuildHasherDefault::<DefaultHasher>::default().hash_one(index);
    let mut places: Vec<_> = (0..deliveries.len()).collect();
    places.sort_by_key(|index| place(*index));
    deliveries = places.into_iter().map(|index| deliveries[index].clone()).collect();
    assert_eq!(deliveries.len(), number);
    let should = sorted_state(&deliveries);

    let stack = stack().await;
    let url = stack.url();
    let http: Http = Client::builder(TokioExecutor::new()).build_http();
    let (mut statuses, mut memory, started) = (BTreeMap::new(), vec![], Instant::now());
    let one = async |(provider, change): &(&'static str, Vec<CustomerChange>)| {
        send(&http, &url, provider, change).await.unwrap()
    };
    let one = async |delivery| (delivery, one(delivery).await);
    let mut answers = futures_util::stream::iter(&deliveries).map(one).buffer_unordered(64);
    let mut again = vec![];
    while let Some((delivery, status)) = answers.next().await {
        let answered: &mut usize = statuses.entry(status).or_default();
        *answered += 1;
        if status == 200 && answered.is_multiple_of(number.div_ceil(10)) {
            memory.push(memory_mb());
        }
        if status == 503 {
            again.push(delivery);
        }
    }
    let took = started.elapsed();
    eprintln!("{number} deliveries in {took:.1?}: by status {statuses:?}; memory in MB at each tenth: {memory:?}");
    // Beside all other tests, on a busy machine, the emulators may be too slow now and then.
    let unavailable_max = if std::env::var_os("CLIENTELE_DELIVERIES").is_some() { 0 } else { number / 100 };
    assert!(again.len() <= unavailable_max && statuses.keys().all(|status| [200, 202, 503].contains(status)));
    for (provider, change) in again {
        assert!(send(&http, &url, provider, change).await.unwrap() < 300);
    }
    settle(&stack).await;
    let (third, last) = (memory[memory.len() / 3], memory[memory.len() - 1]);
    assert!(last <= third + third / 4 + 16, "memory grows: {memory:?}");

    let is: Vec<_> = all_items(&stack).await.into_iter().map(timeless).collect();
    assert!(is.len() >= 230, "{} customers", is.len());
    assert_eq!(is, should);
    let deleted = is.iter().filter(|item| item["status"] == "deleted").count();
    let cleanups = drain(&stack, "cleanup").await;
    let cleanups: BTreeSet<_> = cleanups.iter().map(|message| message["cleanup_id"].to_string()).collect();
    assert!(deleted > 20);
    assert_eq!(cleanups.len(), deleted);
}
