//! The local stack with `--data-dir`, killed with SIGKILL again and again under load and faults: nothing that was answered
//! 2xx is lost.
//!
//! `CLIENTELE_KILLS=100 cargo test --workspace --test system nothing_answered_is_lost_by_a_kill -- --nocapture`

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use clientele_aws::{Budget, Clients, from_attributes};
use futures_util::StreamExt;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;

use crate::support::cli::Running;
use crate::support::deliveries::CustomerChange;
use crate::support::http::send;
use crate::support::http::{Http, try_send};
use crate::support::random_deliveries::{customer_events, events, number};

type Delivered = (&'static str, Vec<CustomerChange>);

#[tokio::test(flavor = "multi_thread")]
#[expect(clippy::print_stderr, reason = "figures")]
async fn nothing_answered_is_lost_by_a_kill() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().to_string_lossy().into_owned();
    let kills = number("CLIENTELE_KILLS", 5);
    let deliveries = events(u32::try_from(kills * 400).unwrap());
    let (mut answered, mut statuses, started) = (vec![], BTreeMap::new(), Instant::now());
    for (kill, deliveries) in deliveries.chunks(400).enumerate() {
        let (running, [gateway, _, _, admin]) = start(data.clone()).await;
        let http: Http = Client::builder(TokioExecutor::new()).build_http();
        // Every second life has a table that fails now and then, every third a queue that does.
        for (service, rate, every) in [("dynamodb", 0.6, 2), ("sqs", 0.3, 3)] {
            if kill % every == 1 {
                let order = format!(r#"{{"service":"{service}","mode":"error","rate":{rate},"for_seconds":60}}"#);
                let set = try_send(&http, &format!("http://127.0.0.1:{admin}"), "/faults", &[], order).await;
                assert_eq!(set.unwrap().0, 200);
            }
        }
        let url = format!("http://127.0.0.1:{gateway}");
        let one = async |delivery: &Delivered| (delivery.clone(), send(&http, &url, delivery.0, &delivery.1).await);
        let mut answers = futures_util::stream::iter(deliveries).map(one).buffer_unordered(16);
        // After another number of answers each time, while others are under way.
        for _ in 0..5 + kill * 37 % 60 {
            let (delivery, status) = answers.next().await.unwrap();
            let status = status.unwrap();
            *statuses.entry(status).or_insert(0) += 1;
            if (200..300).contains(&status) {
                answered.push(delivery);
            }
        }
        drop(running);
    }
    let (customers, deleted) = assert_nothing_is_lost(data, &answered).await;
    eprintln!(
        "{kills} kills in {:.1?}: {} answered 2xx, by status {statuses:?}; {customers} customers, {deleted} deleted",
        started.elapsed(),
        answered.len(),
    );
    assert!(statuses.get(&202).is_some_and(|parked| *parked > 0), "{statuses:?}");
}

async fn start(data: String) -> (Running, [u16; 4]) {
    tokio::task::spawn_blocking(move || Running::start(&["--empty", "--data-dir", &data])).await.unwrap()
}

/// In a last life without faults, everything that was kept is settled: then each customer is as the greatest of the
/// events that were answered says, or a greater one that was not; and each deleted one has its message on the queue, or
/// waiting in its tombstone. Gives the numbers of customers and of deleted ones.
async fn assert_nothing_is_lost(data: String, answered: &[Delivered]) -> (usize, usize) {
    let (_running, [_, dynamodb, sqs, admin]) = start(data).await;
    let http: Http = Client::builder(TokioExecutor::new()).build_http();
    let replayed = try_send(&http, &format!("http://127.0.0.1:{admin}"), "/replay", &[], "").await.unwrap();
    assert_eq!(replayed.0, 200, "{}", replayed.1);
    let url = |port| format!("http://127.0.0.1:{port}");
    let clients = Clients::local(&url(dynamodb), &url(sqs), Budget::Operator);
    let pages = clients.dynamodb.scan().table_name("customers").into_paginator().items().send();
    let items = pages.collect::<Result<Vec<_>, _>>().await.unwrap().into_iter().map(from_attributes);
    let items: BTreeMap<_, _> =
        items.map(|item| (item["pk"].as_str().unwrap().to_owned(), Value::Object(item))).collect();
    let cleanups = cleanup_ids(&clients).await;
    let mut deleted = 0;
    for (pk, event) in customer_events(answered) {
        let item = items.get(&pk).unwrap_or_else(|| panic!("{pk} is lost"));
        let (is, answered) = (item["rank"].as_str().unwrap(), event.rank().to_string());
        assert!(is >= answered.as_str(), "{pk}: {is} is before {answered}");
        if item["status"] == "deleted" {
            deleted += 1;
            assert!(cleanups.contains(&pk) || item["cleanup"].is_string(), "{pk}: no cleanup message");
        }
    }
    (items.len(), deleted)
}

async fn cleanup_ids(clients: &Clients) -> BTreeSet<String> {
    let url = clients.sqs.get_queue_url().queue_name("cleanup").send().await.unwrap().queue_url.unwrap();
    let mut ids = BTreeSet::new();
    loop {
        let request = clients.sqs.receive_message().queue_url(&url).max_number_of_messages(10);
        let messages = request.send().await.unwrap().messages.unwrap_or_default();
        if messages.is_empty() {
            return ids;
        }
        for message in messages {
            let message: Value = serde_json::from_str(message.body().unwrap()).unwrap();
            ids.insert(message["cleanup_id"].as_str().unwrap().to_owned());
        }
    }
}
