//! What the system tests share.

pub(crate) mod aws;
pub(crate) mod cli;
pub(crate) mod deliveries;
pub(crate) mod event_bus;
pub(crate) mod http;
pub(crate) mod list_apis;
pub(crate) mod monitoring;
pub(crate) mod random_deliveries;
pub(crate) mod template;
pub(crate) mod translation;

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::{Arc, LazyLock};

use clientele::events::{self, Case};
use clientele::stack::{CapturedLog, LocalStack, StackOptions};
use clientele_aws::{
    Clients, Connect, HttpEvent, HttpResponse, Invocation, Receiver, ReceiverConfig, Reconciler, ReconcilerConfig,
    Replayer, SqsEvent, Sweeper, WorkerConfig,
};
use clientele_flow::ListClient;
use clientele_model::{Provider, Scheme};
use clientele_providers::PROVIDERS;
use jiff::Timestamp;
use serde_json::{Value, json};

/// The environment of each function, by the name of its folder.
pub(crate) type Environments = BTreeMap<String, BTreeMap<String, String>>;

pub(crate) fn root(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(path)
}

pub(crate) fn options() -> StackOptions {
    StackOptions::ephemeral(root("template.yaml"))
}

pub(crate) async fn stack() -> LocalStack {
    LocalStack::start(options()).await.unwrap()
}

/// A stack of template.yaml after these texts in it are replaced.
pub(crate) async fn stack_with_template(replacements: &[(&str, &str)]) -> LocalStack {
    let mut text = std::fs::read_to_string(root("template.yaml")).unwrap();
    for (from, to) in replacements {
        assert!(text.contains(from), "{from}");
        text = text.replace(from, to);
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("template.yaml");
    std::fs::write(&path, text).unwrap();
    LocalStack::start(StackOptions::ephemeral(path)).await.unwrap()
}

/// Replays until so many messages of the inbox are settled. A replay has a deadline, and what it does not settle in time
/// waits, so a busy machine may need several.
pub(crate) async fn replay(stack: &LocalStack, messages: usize) {
    let mut settled = 0;
    for _ in 0..20 {
        settled += stack.event_source_mapping.as_ref().unwrap().replay_now().await.unwrap();
        if settled >= messages {
            break;
        }
    }
    assert_eq!(settled, messages);
}

/// The event files, parsed once per process.
pub(crate) fn cases() -> &'static [Case] {
    static CASES: LazyLock<Vec<Case>> = LazyLock::new(|| events::load(&root("events")).unwrap());
    &CASES
}

pub(crate) fn case(title: &str) -> &'static Case {
    cases().iter().find(|case| case.title() == title).unwrap_or_else(|| panic!("no event {title}"))
}

/// The scheme that signs a case.
pub(crate) fn scheme(case: &Case) -> Scheme {
    (case.provider.scheme)(None).unwrap()
}

/// Starts the function of a provider with that environment; what it logs goes to `log`.
pub(crate) async fn start_receiver(
    provider: &'static Provider,
    environment: &BTreeMap<String, String>,
    clients: &Clients,
    log: &CapturedLog,
) -> Receiver {
    let config = ReceiverConfig::read(provider, |name| environment.get(name).cloned()).unwrap();
    Receiver::start(provider, config, clients, log.writer(), events::signed_at()).await
}

/// The functions of all providers.
pub(crate) async fn start_receivers(
    environments: &Environments,
    clients: &Clients,
    log: &CapturedLog,
) -> BTreeMap<&'static str, Receiver> {
    let mut receivers = BTreeMap::new();
    for &provider in PROVIDERS {
        let environment = &environments[provider.name];
        receivers.insert(provider.name, start_receiver(provider, environment, clients, log).await);
    }
    receivers
}

/// The function behind the inbox queue.
pub(crate) fn replayer(environments: &Environments, clients: &Clients, log: &CapturedLog) -> Replayer {
    Replayer::new(PROVIDERS, worker_config(environments, "replay"), clients, log.writer())
}

/// The function on a schedule.
pub(crate) fn sweeper(environments: &Environments, clients: &Clients, log: &CapturedLog) -> Sweeper {
    Sweeper::new(worker_config(environments, "sweep"), clients, log.writer())
}

/// The function that compares the customers with the providers' lists, whose clients `connect` makes. Variables of the
/// template are replaced by `variables`.
pub(crate) fn reconciler<C: ListClient>(
    environments: &Environments,
    variables: &[(&str, &str)],
    clients: &Clients,
    connect: Connect<C>,
    log: &CapturedLog,
) -> Reconciler<C> {
    let mut environment = environments["reconcile"].clone();
    let keys = [("PLAIN_API_KEY", "key"), ("FLEXPRICE_API_KEY", "key"), ("RECONCILE_INTERVAL_MINUTES", "60")];
    environment.extend(keys.iter().chain(variables).map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
    let listings = PROVIDERS.iter().map(|provider| clientele_providers::listing(provider));
    let config = ReconcilerConfig::read(listings, |name| environment.get(name).cloned()).unwrap();
    Reconciler::new(config, clients, connect, log.writer())
}

fn worker_config(environments: &Environments, function: &'static str) -> WorkerConfig {
    WorkerConfig::read(function, |name| environments[function].get(name).cloned()).unwrap()
}

/// The event with which Lambda passes a batch of messages to `replay`. Their ids are `m0`, `m1` and so on.
pub(crate) fn sqs_event(bodies: impl IntoIterator<Item = String>) -> SqsEvent {
    let record = |(number, body): (usize, String)| json!({ "messageId": format!("m{number}"), "receiptHandle": "r", "body": body });
    let records: Vec<_> = bodies.into_iter().enumerate().map(record).collect();
    serde_json::from_value(json!({ "Records": records })).unwrap()
}

pub(crate) fn invocation(received_at: Timestamp) -> Invocation {
    Invocation { request_id: "test".to_owned(), trace_id: None, received_at }
}

/// Invokes a function with an API Gateway event that is JSON text, as with Lambda.
pub(crate) async fn handle(receiver: &Receiver, event: &Value, now: Timestamp) -> HttpResponse {
    let event = event.to_string();
    let event: HttpEvent<'_> = serde_json::from_str(&event).unwrap();
    let trace_id = Some("Root=1-5bef4de7-ad49b0e87f6ef6c87fc2e700;Parent=53995c3f42cd8ad8;Sampled=1".to_owned());
    receiver.handle(event, &Invocation { trace_id, ..invocation(now) }).await
}

pub(crate) fn receiver(stack: &LocalStack, case: &Case) -> Arc<Receiver> {
    stack.receivers[case.provider.name].clone()
}

/// Every item of the table.
pub(crate) async fn all_items(stack: &LocalStack) -> Vec<Value> {
    let mut items = vec![];
    let visit = |page, _| {
        items.extend(page);
        ControlFlow::Continue(())
    };
    stack.customers_table().scan_pages(&[], visit).await.unwrap();
    items.sort_by_key(|item| item["pk"].as_str().unwrap().to_owned());
    items
}

/// An item without its time of arrival, which differs between deliveries of the same event.
pub(crate) fn timeless(mut item: Value) -> Value {
    item["last_event"].as_object_mut().unwrap().remove("received_at").unwrap();
    item
}

/// Takes every message from a queue.
pub(crate) async fn drain(stack: &LocalStack, queue: &str) -> Vec<Value> {
    let mut bodies = vec![];
    loop {
        let request = stack.clients.sqs.receive_message().queue_url(&stack.queue_urls[queue]);
        let messages = request.max_number_of_messages(10).send().await.unwrap().messages.unwrap_or_default();
        if messages.is_empty() {
            return bodies;
        }
        for message in messages {
            bodies.push(serde_json::from_str(message.body().unwrap()).unwrap());
            let request = stack.clients.sqs.delete_message().queue_url(&stack.queue_urls[queue]);
            request.receipt_handle(message.receipt_handle().unwrap()).send().await.unwrap();
        }
    }
}

/// The item with that key.
pub(crate) async fn item(stack: &LocalStack, pk: &str) -> Option<Value> {
    stack.customers_table().item(pk).await.unwrap()
}

/// The log lines of a function, as JSON. Those with metrics are what CloudWatch requires.
pub(crate) fn json_lines(captured: &CapturedLog) -> Vec<Value> {
    let lines: Vec<Value> = captured.take().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    lines.iter().filter(|line| !line["_aws"].is_null()).for_each(assert_embedded_metrics);
    lines
}

/// The line contains every metric and dimension that its directives name, and no dimension has many values
/// (<https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html>).
fn assert_embedded_metrics(line: &Value) {
    assert!(line["_aws"]["Timestamp"].is_u64(), "{line}");
    for directive in line["_aws"]["CloudWatchMetrics"].as_array().unwrap() {
        for metric in directive["Metrics"].as_array().unwrap() {
            let name = metric["Name"].as_str().unwrap();
            assert!(line[name].is_number(), "no metric {name}: {line}");
        }
        for set in directive["Dimensions"].as_array().unwrap() {
            for name in set.as_array().unwrap().iter().map(|name| name.as_str().unwrap()) {
                assert!(["service", "provider", "outcome", "secret"].contains(&name), "{name}: {line}");
                assert!(line[name].is_string(), "no dimension {name}: {line}");
            }
        }
    }
}

/// The metrics that CloudWatch extracts from a line, by name and values of dimensions.
pub(crate) fn metrics(line: &Value) -> BTreeMap<String, u64> {
    let mut metrics = BTreeMap::new();
    for directive in line["_aws"]["CloudWatchMetrics"].as_array().unwrap() {
        assert_eq!(directive["Namespace"], "clientele", "the name of the stack");
        for set in directive["Dimensions"].as_array().unwrap() {
            let names = set.as_array().unwrap().iter().map(|name| name.as_str().unwrap());
            let values: Vec<_> = names.map(|name| line[name].as_str().unwrap()).collect();
            for metric in directive["Metrics"].as_array().unwrap() {
                let name = metric["Name"].as_str().unwrap();
                let unit = if name == "Age" { "Milliseconds" } else { "Count" };
                assert_eq!(metric["Unit"], unit, "{name}");
                metrics.insert(format!("{name} {}", values.join(" ")), line[name].as_u64().unwrap());
            }
        }
    }
    metrics
}
