//! Thousands of deliveries over HTTP: each is answered 200, the final state is exact, and memory does not grow.
//!
//! `CLIENTELE_DELIVERIES=100000 cargo test --workspace --test system thousands_of_deliveries -- --nocapture`

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
use std::time::Instant;

use clientele::events::signed_at;
use clientele_model::CustomerEvent;
use futures_util::StreamExt;
use serde_json::Value;

use crate::support::http::{http_client, send};
use crate::support::random_deliveries::{RandomDelivery, customer_events, number, random_deliveries};
use crate::support::{all_items, drain, stack, timeless};

/// The items after the deliveries in the order of their ranks.
fn sorted_state(deliveries: &[RandomDelivery]) -> Vec<Value> {
    let item = |event: &CustomerEvent| {
        let mut item = serde_json::to_value(event.item(signed_at())).unwrap();
        // The cleanup messages are sent by then.
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

/// Deliveries in random order, a quarter of them repeats, 16 at a time, end in the state of the sorted order.
#[tokio::test(flavor = "multi_thread")]
#[expect(clippy::print_stderr, reason = "figures")]
async fn thousands_of_deliveries() {
    let number = number("CLIENTELE_DELIVERIES", 5_000);
    let deliveries = random_deliveries(u32::try_from(number * 3 / 4).unwrap());
    let repeats: Vec<_> = deliveries.iter().step_by(3).cloned().collect();
    let mut deliveries: Vec<_> = deliveries.into_iter().chain(repeats).collect();
    // A fixed shuffle. A repeat may come long before or after its original.
    let place = |index: usize| BuildHasherDefault::<DefaultHasher>::default().hash_one(index);
    let mut places: Vec<_> = (0..deliveries.len()).collect();
    places.sort_by_key(|index| place(*index));
    deliveries = places.into_iter().map(|index| deliveries[index].clone()).collect();
    assert_eq!(deliveries.len(), number);
    let should = sorted_state(&deliveries);

    let stack = stack().await;
    let url = stack.url();
    let http = http_client();
    let (mut statuses, mut memory, started) = (BTreeMap::<_, usize>::new(), vec![], Instant::now());
    let one = async |delivery| send(&http, &url, delivery).await.unwrap();
    // With more at a time the emulators would exceed the timeouts on a busy machine.
    let mut answers = futures_util::stream::iter(&deliveries).map(one).buffer_unordered(16).enumerate();
    while let Some((answered, status)) = answers.next().await {
        *statuses.entry(status).or_default() += 1;
        if (answered + 1).is_multiple_of(number.div_ceil(10)) {
            memory.push(memory_mb());
        }
    }
    let took = started.elapsed();
    eprintln!("{number} deliveries in {took:.1?}: by status {statuses:?}; memory in MB at each tenth: {memory:?}");
    assert_eq!(statuses, BTreeMap::from([(200, number)]));
    let (third, last) = (memory[memory.len() / 3], memory[memory.len() - 1]);
    assert!(last <= third + third / 4 + 16, "memory grows: {memory:?}");

    let is: Vec<_> = all_items(&stack).await.into_iter().map(timeless).collect();
    assert!(is.len() >= clientele_providers::PROVIDERS.len() * 60 - 10, "{} customers", is.len());
    assert_eq!(is, should);
    let deleted = is.iter().filter(|item| item["status"] == "deleted").count();
    let cleanups = drain(&stack, "cleanup").await;
    let cleanups: BTreeSet<_> = cleanups.iter().map(|message| message["cleanup_id"].to_string()).collect();
    assert!(deleted > 20);
    assert_eq!(cleanups.len(), deleted);
}
