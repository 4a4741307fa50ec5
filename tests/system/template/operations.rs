//! What operators rely on: the metrics that alarms and the dashboard read are written, and limits fit together.

use std::collections::{BTreeMap, BTreeSet};

use clientele::events::signed_at;
use clientele::stack::{CapturedLog, LocalStack};
use clientele_aws::{
    CallTimeouts, ChangeClients, ChangePublisher, ChangesConfig, ReceiptRecorder, ReceiptsConfig, Receiver,
};
use clientele_providers::{PROVIDERS, local_secret};
use serde_json::{Value, json};

use super::alarms::queries;
use crate::support::aws::AwsStandIn;
use crate::support::deliveries::untranslatable;
use crate::support::list_apis::ListApis;
use crate::support::template::{dashboard, resources, template};
use crate::support::{
    cases, drain, handle, invocation, json_lines, metrics, reconciler, replayer, scheme, sqs_event, stack,
    start_receiver, sweeper,
};

pub(super) fn text<'a>(value: &'a Value, what: &str) -> &'a str {
    value.as_str().unwrap_or_else(|| panic!("{what}: {value}"))
}

/// The metrics that alarms and dashboard read are written under exactly these names.
#[tokio::test]
async fn metrics_that_are_read_are_written() {
    let written = written_metrics().await;
    let by_dashboard = metrics_of_dashboard();
    let names: BTreeSet<_> = by_dashboard.iter().map(|metric| metric.split_once(' ').unwrap().0).collect();
    let of_events = ["Age", "CleanupsFailed", "CleanupsSent", "Deletes", "Events", "SecretProblems", "Verified"];
    let of_reconciliations = ["ReconcileChecked", "ReconcileDeletes", "ReconcileDifferent", "ReconcileFailed"];
    let more = ["ReconcileUntranslatable", "Recovered", "UnknownFields"];
    let of_changes = ["ChangesFailed", "ChangesOmitted", "ChangesRefused", "ChangesSent"];
    let of_erasures = ["OpenErasureAgeDays", "ReceiptsFailed", "ReceiptsRecorded"];
    let all = [&of_events[..], &of_reconciliations, &more, &of_changes, &of_erasures].concat();
    assert_eq!(names, all.into_iter().collect());
    let read: BTreeSet<_> = metrics_of_alarms().chain(by_dashboard.clone()).collect();
    let deletes = |all: &BTreeSet<String>| all.iter().filter(|name| name.starts_with("Deletes ")).cloned().collect();
    let (deletes_read, deletes_written): (Vec<_>, Vec<_>) = (deletes(&read), deletes(&written));
    assert_eq!(deletes_read, deletes_written, "whoever deletes is watched");
    assert_eq!(read.difference(&written).collect::<Vec<_>>(), [] as [&String; 0]);
}

/// The metrics of all event files, during an outage as well, of a replay, of a sweep, of a reconciliation and of a batch of
/// changes and one of receipts.
async fn written_metrics() -> BTreeSet<String> {
    let captured = CapturedLog::default();
    let stack = stack().await;
    let (aws, receivers) = AwsStandIn::with_logging_receivers(&stack, &captured).await;
    for outage in [&[][..], &["PutItem"], &["PutItem", "SendMessage"]] {
        aws.fail(outage);
        deliver_all(&receivers).await;
    }
    // Of each provider a delivery that is not understood, and one that cannot be verified.
    for &provider in PROVIDERS {
        let event = untranslatable(provider, signed_at());
        aws.fail(&[]);
        handle(&receivers[provider.name], &event, signed_at()).await;
        aws.fail(&["GetSecretValue"]);
        let mut environment = stack.environments[provider.name].clone();
        environment.remove("WEBHOOK_SECRETS");
        let receiver = start_receiver(provider, &environment, &aws.clients(), &captured).await;
        handle(&receiver, &event, signed_at()).await;
    }
    let replays = [replay_lines(&stack).await, first_replay_lines().await];
    let others = [sweep_lines(&stack).await, reconcile_lines(&stack).await, changes_lines(&stack).await];
    let others = replays.into_iter().chain(others).chain([receipts_lines(&stack).await]);
    let written = json_lines(&captured).into_iter().chain(others.flatten());
    written.flat_map(|line| metrics(&line)).map(|(name, _)| name).collect()
}

async fn deliver_all(receivers: &BTreeMap<&'static str, Receiver>) {
    for case in cases() {
        let signed = case.sign(&scheme(case), &local_secret(case.provider), signed_at()).unwrap();
        handle(&receivers[case.provider.name], &signed, signed_at()).await;
    }
}

/// Our metrics that alarms watch, named as [`metrics`] does.
fn metrics_of_alarms() -> impl Iterator<Item = String> {
    let watched = resources("AWS::CloudWatch::Alarm").into_values().flat_map(|alarm| match queries(&alarm) {
        Some(queries) => queries.iter().map(|query| query["MetricStat"]["Metric"].clone()).collect(),
        None => vec![alarm],
    });
    watched.filter(|metric| metric["Namespace"] == "AWS::StackName").map(|metric| {
        let dimensions = metric["Dimensions"].as_array().unwrap().iter();
        let values: Vec<_> = dimensions.map(|dimension| text(&dimension["Value"], "value")).collect();
        format!("{} {}", text(&metric["MetricName"], "metric"), values.join(" "))
    })
}

/// Our metrics that the dashboard shows, named as [`metrics`] does.
fn metrics_of_dashboard() -> BTreeSet<String> {
    let mut shown = BTreeSet::new();
    for widget in dashboard()["widgets"].as_array().unwrap() {
        let mut previous: Vec<String> = vec![];
        for metric in widget["properties"]["metrics"].as_array().into_iter().flatten() {
            if let Some(search) = metric[0]["expression"].as_str() {
                shown.insert(found_by_search(search));
                continue;
            }
            let parts: Vec<_> = metric.as_array().unwrap().iter().filter_map(Value::as_str).collect();
            // `...` repeats the parts of the previous metric in these positions, and `.` the one in its position.
            let repeated = if parts[0] == "..." { previous.len() + 1 - parts.len() } else { 0 };
            let own = parts.iter().skip(usize::from(repeated > 0)).enumerate();
            let own = own.map(|(place, part)| if *part == "." { previous[place].clone() } else { (*part).to_owned() });
            let parts: Vec<String> = previous[..repeated].iter().cloned().chain(own).collect();
            if parts[0] == "AWS::StackName" {
                let values: Vec<_> = parts[2..].iter().skip(1).step_by(2).map(String::as_str).collect();
                shown.insert(format!("{} {}", parts[1], values.join(" ")));
            }
            previous = parts;
        }
    }
    shown
}

/// One of the metrics that `SEARCH('{"namespace",dimensions…} metric provider="…"', …)` finds.
fn found_by_search(search: &str) -> String {
    let (_, search) = search.split_once("{\"AWS::StackName\",").unwrap();
    let (dimensions, search) = search.split_once("} ").unwrap();
    let of = search.split('"').nth(1).unwrap_or_default();
    let metric = search.split([' ', '\'']).next().unwrap();
    match dimensions {
        "service,provider,secret" => format!("{metric} clientele-{of} {of} 1"),
        "service,provider,outcome" => format!("{metric} {of} plain duplicate"),
        "service,provider" => format!("{metric} clientele-plain plain"),
        other => panic!("{other}"),
    }
}

/// The lines that a replay of the inbox writes.
async fn replay_lines(stack: &LocalStack) -> Vec<Value> {
    let lines = CapturedLog::default();
    let replayer = replayer(&stack.environments, &stack.clients, &lines);
    let event = sqs_event(drain(stack, "inbox").await.iter().map(Value::to_string));
    assert_eq!(replayer.handle(event, &invocation(signed_at())).await.batch_item_failures, []);
    json_lines(&lines)
}

/// The lines of a replay that writes all events for the first time.
async fn first_replay_lines() -> Vec<Value> {
    let stack = stack().await;
    let (aws, receivers) = AwsStandIn::with_receivers(&stack).await;
    aws.fail(&["PutItem"]);
    deliver_all(&receivers).await;
    replay_lines(&stack).await
}

/// A sweep of a stack that awaits receipts.
async fn sweep_lines(stack: &LocalStack) -> Vec<Value> {
    let lines = CapturedLog::default();
    let mut environments = stack.environments.clone();
    environments.get_mut("sweep").unwrap().insert("AWAIT_RECEIPTS".to_owned(), "true".to_owned());
    sweeper(&environments, &stack.clients, &lines).handle(&invocation(signed_at())).await;
    json_lines(&lines)
}

/// Only a reconciliation that has seen all changes says how many webhooks were lost.
async fn reconcile_lines(stack: &LocalStack) -> Vec<Value> {
    let lines = CapturedLog::default();
    let apis = ListApis::default();
    let reconciler = reconciler(&stack.environments, &[], &stack.clients, apis.connect(), &lines);
    reconciler.handle(&json!({}), &invocation(signed_at())).await.unwrap();
    json_lines(&lines)
}

/// Every batch writes all metrics, also one without changes, for which nothing is called.
async fn changes_lines(stack: &LocalStack) -> Vec<Value> {
    let lines = CapturedLog::default();
    let config = ChangesConfig::read(|name| stack.environments["changes"].get(name).cloned()).unwrap();
    let clients = ChangeClients::local(&stack.url(), &stack.url(), CallTimeouts::Function);
    let publisher = ChangePublisher::new(config, &clients, lines.writer());
    let empty = serde_json::from_value(json!({ "Records": [] })).unwrap();
    publisher.handle(empty, &invocation(signed_at())).await;
    json_lines(&lines)
}

/// Every batch writes all metrics, as for changes.
async fn receipts_lines(stack: &LocalStack) -> Vec<Value> {
    let lines = CapturedLog::default();
    let mut environment = stack.environments["receipts"].clone();
    environment.insert("ERASURE_SYSTEMS".to_owned(), "crm".to_owned());
    let config = ReceiptsConfig::read(|name| environment.get(name).cloned()).unwrap();
    let recorder = ReceiptRecorder::new(config, &stack.clients, lines.writer());
    recorder.handle(sqs_event([]), &invocation(signed_at())).await;
    json_lines(&lines)
}

/// The path contains the token, and the query string anything a sender puts there.
#[test]
fn the_access_log_has_no_path() {
    let (_, api) = resources("AWS::Serverless::HttpApi").pop_first().unwrap();
    let format = text(&api["AccessLogSettings"]["Format"], "Format");
    let format: Value = serde_json::from_str(format).unwrap();
    let variables: BTreeSet<_> = format.as_object().unwrap().values().map(|it| text(it, "variable")).collect();
    for forbidden in ["path", "queryString", "authorizer", "header"] {
        assert!(!variables.iter().any(|variable| variable.to_lowercase().contains(&forbidden.to_lowercase())));
    }
    assert!(variables.contains("$context.routeKey") && variables.contains("$context.requestId"));
}

#[test]
fn queues_fit_the_functions() {
    let queues = resources("AWS::SQS::Queue");
    for (id, queue) in &queues {
        assert_eq!(queue["MessageRetentionPeriod"], 14 * 24 * 60 * 60, "{id}");
        let is_last = ["DeadLetter", "Quarantine", "Changes"].iter().any(|part| id.contains(part));
        assert_eq!(queue["RedrivePolicy"].is_null(), is_last, "{id}");
    }
    let policies = resources("AWS::SQS::QueuePolicy").into_values();
    let with_policy: BTreeSet<_> = policies
        .flat_map(|policy| policy["Queues"].as_array().unwrap().clone())
        .map(|it| text(&it, "queue").to_owned())
        .collect();
    assert_eq!(with_policy, queues.keys().cloned().collect(), "every queue requires TLS");
}

/// Widgets neither overlap nor exceed the width of the dashboard, and all unconditional alarms are shown.
#[test]
fn the_dashboard_is_laid_out() {
    let mut taken = BTreeSet::new();
    for widget in dashboard()["widgets"].as_array().unwrap() {
        let number = |name: &str| widget[name].as_u64().unwrap();
        assert!(number("x") + number("width") <= 24);
        for x in number("x")..number("x") + number("width") {
            for y in number("y")..number("y") + number("height") {
                assert!(taken.insert((x, y)), "two widgets at {x}, {y}");
            }
        }
    }
    let shown: BTreeSet<_> = dashboard()["widgets"][1]["properties"]["alarms"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| text(it, "alarm").to_owned())
        .collect();
    let is_conditional = |id: &String| !template()["Resources"][id]["Condition"].is_null();
    let always = resources("AWS::CloudWatch::Alarm").into_keys().filter(|id| !is_conditional(id));
    assert_eq!(shown, always.map(|id| format!("{id}.Arn")).collect());
}
