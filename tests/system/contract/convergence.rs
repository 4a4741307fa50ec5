//! Every order, repetition and interleaving of events ends in the same items and the same set of cleanup ids.

use std::collections::BTreeSet;
use std::pin::pin;
use std::task::{Context, Waker};

use clientele::events::signed_at;
use clientele::stack::LocalStack;
use clientele_model::SampleEvent;
use clientele_providers::names;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, TestRunner};
use serde_json::Value;

use crate::support::deliveries::{CREATED, DELETED, UPDATED, change, deletes, deliver, pk};
use crate::support::{all_items, drain, handle, stack, timeless};

/// Events of two customers, with equal versions, and a delete that older and newer updates surround.
fn history(run: usize) -> Vec<SampleEvent> {
    let change = |customer: &str, version, number, kind| change(&format!("{customer}-{run}"), version, number, kind);
    vec![
        change("ada", 0, 1, CREATED),
        change("ada", 0, 2, UPDATED),
        change("ada", 7_000, 3, UPDATED),
        change("ada", 7_000, 4, UPDATED),
        change("bob", 0, 5, CREATED),
        change("bob", 3_000, 6, DELETED),
        change("bob", 9_000, 7, UPDATED),
    ]
}

/// The expected end of the history, worked out by hand: Ada is as in event 4, and Bob is deleted.
fn assert_final(items: &[Value], provider: &str, run: usize) {
    let find = |customer: &str| {
        let id = format!("{customer}-{run}");
        items.iter().find(|item| item["provider"] == provider && item["customer_id"] == id.as_str()).unwrap()
    };
    let name = find("ada")["name"].as_str().unwrap();
    assert_eq!(name, format!("ada-{run} v7000 e4"), "{provider}");
    let bob = find("bob");
    if deletes(provider) {
        assert_eq!((bob["status"].as_str(), bob.get("name")), (Some("deleted"), None), "{provider}");
    } else {
        // Event 6 is one more update.
        assert_eq!(bob["name"], format!("bob-{run} v9000 e7"));
    }
}

async fn deliver_to(stack: &LocalStack, provider: &str, change: &SampleEvent) {
    let event = deliver(provider, std::slice::from_ref(change), signed_at());
    let answer = handle(&stack.receivers[provider], &event, signed_at()).await;
    assert_eq!(answer.status_code, 200, "{answer:?}");
}

/// Indexes into the history: every event at least once, in any order, with repetitions.
fn any_schedule() -> impl Strategy<Value = Vec<usize>> {
    let length = history(0).len();
    let repeats = prop::collection::vec(0..length, 0..6);
    repeats.prop_map(move |repeats| (0..length).chain(repeats).collect::<Vec<_>>()).prop_shuffle()
}

fn schedules(number: u32) -> Vec<Vec<usize>> {
    let mut runner = TestRunner::new_with_rng(
        Config::default(),
        proptest::test_runner::TestRng::deterministic_rng(proptest::test_runner::RngAlgorithm::ChaCha),
    );
    (0..number).map(|_| any_schedule().new_tree(&mut runner).unwrap().current()).collect()
}

/// For each provider: every permutation of the first four events, and random schedules of all with repetitions.
#[tokio::test]
async fn converges_in_any_order() {
    let stack = stack().await;
    let mut orders = permutations(&[0, 1, 2, 3]);
    for order in &mut orders {
        order.extend(4..history(0).len());
    }
    orders.extend(schedules(60));
    let mut expected_cleanups = BTreeSet::new();
    for provider in names() {
        for (run, order) in orders.iter().enumerate() {
            let history = history(run);
            for index in order {
                deliver_to(&stack, provider, &history[*index]).await;
            }
            if deletes(provider) {
                expected_cleanups.insert(pk(provider, &format!("bob-{run}")));
            }
        }
    }
    let items = all_items(&stack).await;
    for provider in names() {
        // All runs end in the same attributes, apart from the ids of the customers.
        let of_run = |run: usize| {
            let of_run = |item: &&Value| {
                let id = item["customer_id"].as_str().unwrap();
                item["provider"] == provider && id.ends_with(&format!("-{run}"))
            };
            let alike = |item: &Value| {
                timeless(item.clone())
                    .to_string()
                    .replace(&format!("ada-{run}"), "ada")
                    .replace(&format!("bob-{run}"), "bob")
            };
            items.iter().filter(of_run).map(alike).collect::<Vec<_>>()
        };
        assert_eq!(of_run(0).len(), 2);
        for (run, order) in orders.iter().enumerate() {
            assert_final(&items, provider, run);
            assert_eq!(of_run(run), of_run(0), "{provider}: {order:?}");
        }
    }
    assert_eq!(cleanup_ids(&stack).await, expected_cleanups);
}

/// All events of many histories concurrently, each several times.
#[tokio::test(flavor = "multi_thread")]
async fn converges_concurrently() {
    let stack = stack().await;
    for (run, schedule) in schedules(40).iter().enumerate() {
        let history = history(run);
        for provider in names() {
            let deliveries =
                schedule.iter().chain(schedule).map(|index| deliver_to(&stack, provider, &history[*index]));
            futures_util::future::join_all(deliveries).await;
        }
    }
    let items = all_items(&stack).await;
    for run in 0..40 {
        for provider in names() {
            assert_final(&items, provider, run);
        }
    }
    let deleting = names().into_iter().filter(|provider| deletes(provider)).count();
    assert_eq!(cleanup_ids(&stack).await.len(), 40 * deleting);
    assert!(items.iter().all(|item| item.get("cleanup").is_none()));
}

/// A function dies at any await, and its deliveries are repeated afterwards.
#[tokio::test]
async fn converges_after_a_crash_at_any_await() {
    let stack = stack().await;
    for polls in 0..60 {
        for change in &history(polls) {
            let event = deliver("plain", std::slice::from_ref(change), signed_at());
            // Requests that the dead function had sent may still arrive.
            die_after(polls, handle(&stack.receivers["plain"], &event, signed_at())).await;
        }
    }
    // Some died before the write, and some after it.
    let deleted = all_items(&stack).await.iter().filter(|item| item["status"] == "deleted").count();
    assert!((1..60).contains(&deleted), "{deleted} deleted");
    for polls in 0..60 {
        for change in &history(polls) {
            deliver_to(&stack, "plain", change).await;
        }
    }
    let items = all_items(&stack).await;
    for run in 0..60 {
        assert_final(&items, "plain", run);
    }
    assert!(items.iter().all(|item| item.get("cleanup").is_none() && item.get("cleanup_due").is_none()));
    assert_eq!(cleanup_ids(&stack).await.len(), 60);
}

/// Drops a future after that many polls.
async fn die_after<F: Future>(polls: usize, future: F) {
    let mut future = pin!(future);
    for _ in 0..polls {
        if future.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready() {
            return;
        }
        // Sockets need time for progress between two polls.
        tokio::time::sleep(std::time::Duration::from_micros(200)).await;
    }
}

async fn cleanup_ids(stack: &LocalStack) -> BTreeSet<String> {
    let messages = drain(stack, "cleanup").await;
    messages.iter().map(|message| message["cleanup_id"].as_str().unwrap().to_owned()).collect()
}

fn permutations(of: &[usize]) -> Vec<Vec<usize>> {
    if of.is_empty() {
        return vec![vec![]];
    }
    let with_first = |index: usize| {
        let rest: Vec<_> = of.iter().copied().filter(|other| *other != of[index]).collect();
        permutations(&rest).into_iter().map(move |rest| [vec![of[index]], rest].concat())
    };
    (0..of.len()).flat_map(with_first).collect()
}
