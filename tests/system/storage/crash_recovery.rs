//! Nothing that was answered 2xx is lost when processes are killed with SIGKILL, again and again, under load and
//! faults.
//!
//! `CLIENTELE_KILLS=100 cargo test --workspace --test system nothing_answered_is_lost_by_a_kill -- --nocapture`

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use clientele::events::signed_at;
use clientele::stack::CapturedLog;
use clientele_aws::{CallTimeouts, Clients, from_attributes};
use futures_util::StreamExt;
use jiff::SignedDuration;
use serde_json::{Value, json};

use crate::support::aws::AwsStandIn;
use crate::support::cli::RunningStack;
use crate::support::deliveries::deliver;
use crate::support::http::{http_client, send, try_send};
use crate::support::random_deliveries::{RandomDelivery, customer_events, number, random_deliveries};
use crate::support::{
    Environments, handle, invocation, replayer, sqs_event, stack_with_template, start_receivers, sweeper,
};

/// The deliveries in one life of a process, which is killed before it has made all of them.
const DELIVERIES: usize = 400;
/// The environment variable with the settings of a process of functions, as JSON.
const ASSIGNMENT: &str = "CLIENTELE_FUNCTIONS_TO_KILL";

/// A process is killed after that many answers, while other deliveries are in progress. The number differs between
/// lives.
fn answers_before_kill(life: usize) -> usize {
    5 + life * 37 % 60
}

/// Receivers, `replay` and `sweep` run in a process that is killed. The table and the queues live on.
///
/// In every second life the writes of one customer in ten fail, and in every third the messages about them; in the
/// others what was kept is replayed and swept.
#[tokio::test(flavor = "multi_thread")]
#[expect(clippy::print_stderr, reason = "figures")]
async fn nothing_answered_is_lost_by_a_kill() {
    // What a killed process has received from a queue is visible again at once.
    let stack = stack_with_template(&[("VisibilityTimeout: 60", "VisibilityTimeout: 0")]).await;
    let aws = AwsStandIn::start(&stack).await;
    let kills = number("CLIENTELE_KILLS", 10);
    let (mut answered, mut statuses, started) = (vec![], BTreeMap::new(), Instant::now());
    for life in 0..kills {
        let failing = [(2, "PutItem"), (3, "SendMessage")].into_iter().filter(|(every, _)| life % every == 1);
        let failing: Vec<_> = failing.map(|(_, operation)| (operation, "7\"")).collect();
        aws.fail_if_contains(&failing);
        let assignment = json!({ "environments": stack.environments, "aws": aws.url, "life": life, "lives": kills,
            "is_healthy": failing.is_empty() });
        let deliveries = deliveries_of(life, kills);
        for (index, status) in tokio::task::spawn_blocking(move || run_until_killed(life, &assignment)).await.unwrap() {
            *statuses.entry(status).or_insert(0) += 1;
            if (200..300).contains(&status) {
                answered.push(deliveries[index].clone());
            }
        }
    }
    aws.fail(&[]);
    stack.event_source_mapping.as_ref().unwrap().run_until_empty().await.unwrap();
    let (customers, deleted) = assert_nothing_is_lost(&stack.clients, &answered).await;
    eprintln!(
        "{kills} kills of the functions in {:.1?}: {} answered 2xx, by status {statuses:?}; {customers} customers, \
         {deleted} deleted",
        started.elapsed(),
        answered.len(),
    );
    assert!(statuses.get(&202).is_some_and(|parked| *parked > 0), "{statuses:?}");
}

/// The deliveries of one life.
fn deliveries_of(life: usize, lives: usize) -> Vec<RandomDelivery> {
    random_deliveries(u32::try_from(lives * DELIVERIES).unwrap()).split_off(life * DELIVERIES)
}

/// Runs the functions in a process, kills it, and returns the index and the status of each answered delivery.
fn run_until_killed(life: usize, assignment: &Value) -> Vec<(usize, u16)> {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "storage::crash_recovery::functions_to_kill", "--ignored", "--nocapture"]);
    command.env_clear().env(ASSIGNMENT, assignment.to_string()).stdout(Stdio::piped());
    let mut process = command.spawn().unwrap();
    let lines = BufReader::new(process.stdout.take().unwrap()).lines();
    let mut answers = vec![];
    for text in lines.map(Result::unwrap) {
        // The test harness prints lines of its own.
        let Some((index, status)) = text.strip_prefix("answered ").and_then(|answer| answer.split_once(' ')) else {
            continue;
        };
        answers.push((index.parse().unwrap(), status.parse().unwrap()));
        if answers.len() == answers_before_kill(life) {
            // What it printed before it died was answered as well.
            process.kill().unwrap();
        }
    }
    process.wait().unwrap();
    assert!(answers.len() >= answers_before_kill(life), "the functions ended by themselves");
    answers
}

/// Not a test, but the process that `nothing_answered_is_lost_by_a_kill` starts and kills. It delivers, 16 deliveries
/// at a time, and prints which of them are answered.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "a part of `nothing_answered_is_lost_by_a_kill`"]
#[expect(clippy::print_stdout, reason = "the test reads it")]
async fn functions_to_kill() {
    let Ok(assignment) = std::env::var(ASSIGNMENT) else { return };
    let assignment: Value = serde_json::from_str(&assignment).unwrap();
    let environments: Environments = serde_json::from_value(assignment["environments"].clone()).unwrap();
    let aws = assignment["aws"].as_str().unwrap();
    let clients = Clients::local(aws, aws, CallTimeouts::Function);
    let receivers = start_receivers(&environments, &clients, &CapturedLog::default()).await;
    if assignment["is_healthy"] == true {
        tokio::spawn(replay_and_sweep(environments, clients));
    }
    let number = |name: &str| usize::try_from(assignment[name].as_u64().unwrap()).unwrap();
    let deliveries = deliveries_of(number("life"), number("lives"));
    let deliveries = deliveries.iter().take(DELIVERIES).enumerate();
    let one = async |(index, (provider, changes)): (usize, &RandomDelivery)| {
        let event = deliver(provider, changes, signed_at());
        let status = handle(&receivers[provider], &event, signed_at()).await.status_code;
        println!("answered {index} {status}");
        std::io::stdout().flush().unwrap();
    };
    futures_util::stream::iter(deliveries).map(one).buffer_unordered(16).collect::<()>().await;
    std::future::pending::<()>().await;
}

/// Invokes `replay` and `sweep`, as Lambda does, until the process is killed.
async fn replay_and_sweep(environments: Environments, clients: Clients) {
    let inbox = &environments["replay"]["INBOX_QUEUE_URL"];
    let (replayer, sweeper) = (
        replayer(&environments, &clients, &CapturedLog::default()),
        sweeper(&environments, &clients, &CapturedLog::default()),
    );
    let later = invocation(signed_at() + SignedDuration::from_mins(5));
    loop {
        let received = clients.sqs.receive_message().queue_url(inbox).max_number_of_messages(10).send().await;
        for message in received.unwrap().messages.unwrap_or_default() {
            let event = sqs_event([message.body().unwrap().to_owned()]);
            if replayer.handle(event, &later).await.batch_item_failures.is_empty() {
                let delete = clients.sqs.delete_message().queue_url(inbox);
                delete.receipt_handle(message.receipt_handle().unwrap()).send().await.unwrap();
            }
        }
        sweeper.handle(&later).await;
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// The whole local stack with `--data-dir` is killed, its table, queues and journal included.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_answered_is_lost_by_a_kill_of_the_whole_stack() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().to_string_lossy().into_owned();
    let mut answered = vec![];
    for life in 0..2 {
        let (running, [gateway, _, _, admin]) = start(data.clone()).await;
        let http = http_client();
        if life == 1 {
            let fault = r#"{"service":"dynamodb","mode":"error","rate":0.6,"for_seconds":60}"#;
            let set = try_send(&http, &format!("http://127.0.0.1:{admin}"), "/faults", &[], fault).await;
            assert_eq!(set.unwrap().0, 200);
        }
        let url = format!("http://127.0.0.1:{gateway}");
        let deliveries = deliveries_of(life, 2);
        let one = async |delivery: &RandomDelivery| (delivery.clone(), send(&http, &url, delivery).await);
        let mut answers = futures_util::stream::iter(&deliveries).map(one).buffer_unordered(16);
        for _ in 0..answers_before_kill(life) {
            let (delivery, status) = answers.next().await.unwrap();
            if (200..300).contains(&status.unwrap()) {
                answered.push(delivery);
            }
        }
        drop(running);
    }
    let (_running, [_, dynamodb, sqs, admin]) = start(data).await;
    let http = http_client();
    let replayed = try_send(&http, &format!("http://127.0.0.1:{admin}"), "/replay", &[], "").await.unwrap();
    assert_eq!(replayed.0, 200, "{}", replayed.1);
    let [dynamodb, sqs] = [dynamodb, sqs].map(|port| format!("http://127.0.0.1:{port}"));
    assert_nothing_is_lost(&Clients::local(&dynamodb, &sqs, CallTimeouts::Operator), &answered).await;
}

async fn start(data: String) -> (RunningStack, [u16; 4]) {
    tokio::task::spawn_blocking(move || RunningStack::start(&["--empty", "--data-dir", &data])).await.unwrap()
}

/// After everything that was kept is replayed: each customer has the greatest of the answered events, or a greater one
/// that was not answered. Each deleted one has its message on the queue, or waiting in its tombstone. Returns the
/// numbers of customers and of deleted ones.
async fn assert_nothing_is_lost(clients: &Clients, answered: &[RandomDelivery]) -> (usize, usize) {
    let pages = clients.dynamodb.scan().table_name("customers").into_paginator().items().send();
    let items = pages.collect::<Result<Vec<_>, _>>().await.unwrap().into_iter().map(from_attributes);
    let items: BTreeMap<_, _> =
        items.map(|item| (item["pk"].as_str().unwrap().to_owned(), Value::Object(item))).collect();
    let cleanups = cleanup_ids(clients).await;
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
