//! What operators rely on: every function has its alarms, every alarm is explained, limits fit together.

use std::collections::{BTreeMap, BTreeSet};

use clientele::events::signed_at;
use clientele::stack::{CapturedLog, LocalStack};
use clientele_aws::Receiver;
use clientele_function::role::Role;
use clientele_providers::{PROVIDERS, local_secret};
use serde_json::{Value, json};

use crate::support::aws::AwsStandIn;
use crate::support::deliveries::untranslatable;
use crate::support::list_apis::ListApis;
use crate::support::template::{dashboard, is_receiver, resources, template};
use crate::support::{
    cases, drain, handle, invocation, json_lines, metrics, reconciler, replayer, root, scheme, sqs_event, stack,
    start_receiver, sweeper,
};

fn text<'a>(value: &'a Value, what: &str) -> &'a str {
    value.as_str().unwrap_or_else(|| panic!("{what}: {value}"))
}

/// A metric as an alarm names it.
fn metric(namespace: &str, name: &str, dimensions: &[(&str, &str)]) -> Value {
    let dimensions = dimensions.iter().map(|(name, value)| json!({ "Name": name, "Value": value }));
    json!({ "Namespace": namespace, "MetricName": name, "Dimensions": dimensions.collect::<Vec<_>>() })
}

fn with(mut object: Value, mut fields: Value) -> Value {
    object.as_object_mut().unwrap().append(fields.as_object_mut().unwrap());
    object
}

/// The properties, without the description, of an alarm that fires when what it watches is above the threshold.
fn above(threshold: impl Into<Value>, watched: Value) -> Value {
    let topic = json!(["AlarmTopic"]);
    let properties = json!({
        "EvaluationPeriods": 1, "ComparisonOperator": "GreaterThanThreshold", "Threshold": threshold.into(),
        "TreatMissingData": "notBreaching", "AlarmActions": topic, "OKActions": topic,
    });
    with(watched, properties)
}

fn sum_above(threshold: impl Into<Value>, metric: Value) -> Value {
    above(threshold, with(metric, json!({ "Statistic": "Sum", "Period": 60 })))
}

/// An alarm that fires when nothing was counted for so many hours.
fn nothing_for(hours: impl Into<Value>, metric: Value) -> Value {
    let properties = json!({
        "Period": 3_600, "EvaluationPeriods": hours.into(),
        "ComparisonOperator": "LessThanThreshold", "TreatMissingData": "breaching",
    });
    with(sum_above(1, metric), properties)
}

/// What an alarm watches that combines metrics by id. CloudWatch accepts ten metrics, and one query that returns data.
fn combined(expression: &Value, statistic: &str, period: u64, metrics: BTreeMap<String, Value>) -> Value {
    assert!(metrics.len() <= 10, "too many for one alarm");
    let query = |(id, metric): (String, Value)| {
        let metric = json!({ "Metric": metric, "Stat": statistic, "Period": period });
        json!({ "Id": id, "ReturnData": false, "MetricStat": metric })
    };
    let expression = with(expression.clone(), json!({ "ReturnData": true }));
    let queries: Vec<_> = [expression].into_iter().chain(metrics.into_iter().map(query)).collect();
    json!({ "Metrics": queries })
}

/// A metric of each of these functions, by the id of an alarm's query.
fn of_lambda(name: &str, functions: &[String]) -> BTreeMap<String, Value> {
    let metric_of = |function: &String| {
        let id = function.strip_suffix("Function").unwrap().to_lowercase();
        (id, metric("AWS/Lambda", name, &[("FunctionName", function)]))
    };
    functions.iter().map(metric_of).collect()
}

/// A metric that the function of each provider counts, by the id of an alarm's query.
fn of_providers(name: &str, receivers: &[String]) -> BTreeMap<String, Value> {
    let metric_of = |function: &String| {
        let provider = function.strip_suffix("Function").unwrap().to_lowercase();
        let service = format!("clientele-{provider}");
        let dimensions = [("service", service.as_str()), ("provider", provider.as_str())];
        (provider.clone(), metric("AWS::StackName", name, &dimensions))
    };
    receivers.iter().map(metric_of).collect()
}

/// The metric `Deletes` of each provider that sends deletes, and of replay for that provider. `reconcile` has a metric of
/// its own.
fn deletes(receivers: &[String]) -> BTreeMap<String, Value> {
    let sends = |function: &&String| Role::of(function).calls.contains("sqs:SendMessage CleanupQueue");
    let deleting: Vec<_> = receivers.iter().filter(sends).cloned().collect();
    let own = of_providers("Deletes", &deleting);
    let by_replay = own.keys().map(|provider| {
        let dimensions = [("service", "clientele-replay"), ("provider", provider.as_str())];
        (format!("replay_{provider}"), metric("AWS::StackName", "Deletes", &dimensions))
    });
    let dimensions = [("service", "clientele-reconcile"), ("provider", "flexprice")];
    let by_reconcile = metric("AWS::StackName", "ReconcileDeletes", &dimensions);
    by_replay.chain(own.clone()).chain([("reconcile_flexprice".to_owned(), by_reconcile)]).collect()
}

fn alarms_of_functions() -> BTreeMap<String, Value> {
    let (mut alarms, mut all, mut receivers) = (BTreeMap::new(), vec![], vec![]);
    for (id, function) in resources("AWS::Serverless::Function") {
        let name = id.strip_suffix("Function").unwrap();
        let errors = metric("AWS/Lambda", "Errors", &[("FunctionName", &id)]);
        alarms.insert(format!("{name}ErrorsAlarm"), sum_above(0, errors));
        all.push(id.clone());
        if !is_receiver(&function) {
            continue;
        }
        receivers.push(id.clone());
        let service = text(&function["Environment"]["Variables"]["POWERTOOLS_SERVICE_NAME"], &id);
        let provider = name.to_lowercase();
        let of_provider = [("service", service), ("provider", provider.as_str())];
        let events =
            |outcome| metric("AWS::StackName", "Events", &[&of_provider[..], &[("outcome", outcome)]].concat());
        let verified = metric("AWS::StackName", "Verified", &of_provider);
        alarms.extend([
            (format!("{name}RefusedAlarm"), sum_above("RefusedPerMinute", events("rejected"))),
            (format!("{name}UnavailableAlarm"), sum_above(0, events("unavailable"))),
            (format!("{name}SilenceAlarm"), nothing_for(format!("{name}SilenceHours"), verified)),
        ]);
    }
    let timeout_ms = template()["Globals"]["Function"]["Timeout"].as_u64().unwrap() * 1_000;
    let sum = json!({ "Id": "all", "Label": "Throttles of all functions", "Expression": "SUM(METRICS())" });
    let max = json!({ "Id": "slowest", "Label": "p99 of the slowest function", "Expression": "MAX(METRICS())" });
    let throttles = above(0, combined(&sum, "Sum", 60, of_lambda("Throttles", &all)));
    let duration = above(timeout_ms * 8 / 10, combined(&max, "p99", 300, of_lambda("Duration", &receivers)));
    let sum = json!({ "Id": "all", "Label": "Deliveries with a problem of secrets", "Expression": "SUM(METRICS())" });
    let secrets = above(0, combined(&sum, "Sum", 300, of_providers("SecretProblems", &receivers)));
    // The next attempt often succeeds, so it takes two of the last six periods.
    let secrets = with(secrets, json!({ "EvaluationPeriods": 6, "DatapointsToAlarm": 2 }));
    let sum = json!({ "Id": "all", "Label": "Deletes of all providers", "Expression": "SUM(METRICS())" });
    let deletes = above("DeletesPerFiveMinutes", combined(&sum, "Sum", 300, deletes(&receivers)));
    let sum = json!({ "Id": "all", "Label": "Unknown fields of all providers", "Expression": "SUM(METRICS())" });
    let unknown = of_providers("UnknownFields", &receivers);
    let unknown = above("UnknownFieldsThreshold", combined(&sum, "Sum", 3_600, unknown));
    // With the threshold 0 there is no alarm.
    let unknown = with(unknown, json!({ "ComparisonOperator": "GreaterThanOrEqualToThreshold" }));
    let of_several = [("ThrottlesAlarm", throttles), ("DurationAlarm", duration), ("UnknownFieldsAlarm", unknown)];
    let of_several = of_several.into_iter().chain([("SecretsAlarm", secrets), ("DeletesAlarm", deletes)]);
    alarms.extend(of_several.map(|(id, alarm)| (id.to_owned(), alarm)));
    alarms
}

fn alarms_of_shared_resources() -> BTreeMap<String, Value> {
    let queue = |threshold: u64, name, queue: &str| {
        let metric = metric("AWS/SQS", name, &[("QueueName", &format!("{queue}.QueueName"))]);
        above(threshold, with(metric, json!({ "Statistic": "Maximum", "Period": 60 })))
    };
    let (visible, age) = ("ApproximateNumberOfMessagesVisible", "ApproximateAgeOfOldestMessage");
    let not_visible = queue(0, "ApproximateNumberOfMessagesNotVisible", "InboxQueue");
    let failed = sum_above(0, metric("AWS::StackName", "CleanupsFailed", &[("service", "clientele-sweep")]));
    // The next attempt often succeeds, so these wait for three periods.
    let for_a_quarter_of_an_hour = |alarm| with(alarm, json!({ "Period": 300, "EvaluationPeriods": 3 }));
    let invocations = |function| metric("AWS/Lambda", "Invocations", &[("FunctionName", function)]);
    let alarms = [
        ("QuarantineAlarm", queue(0, visible, "QuarantineQueue")),
        ("CleanupDeadLetterAlarm", queue(0, visible, "CleanupDeadLetterQueue")),
        ("InboxAgeAlarm", queue(900, age, "InboxQueue")),
        ("CleanupAgeAlarm", queue(3_600, age, "CleanupQueue")),
        ("ReplayFailedAlarm", for_a_quarter_of_an_hour(not_visible)),
        ("SweepFailedAlarm", for_a_quarter_of_an_hour(failed)),
        ("SweepStoppedAlarm", nothing_for(1, invocations("SweepFunction"))),
        ("ApiErrorsAlarm", sum_above(0, metric("AWS/ApiGateway", "5xx", &[("ApiId", "Api")]))),
    ];
    alarms.map(|(id, alarm)| (id.to_owned(), alarm)).into()
}

/// Each run writes the metrics of the first two, so these keep their state until the next one.
fn alarms_of_reconciliations() -> BTreeMap<String, Value> {
    let of_provider =
        |name, provider| metric("AWS::StackName", name, &[("service", "clientele-reconcile"), ("provider", provider)]);
    let until_the_next_run = |alarm| with(alarm, json!({ "TreatMissingData": "ignore" }));
    let failed = ["plain", "flexprice"].map(|it| (it.to_owned(), of_provider("ReconcileFailed", it)));
    let sum = json!({ "Id": "all", "Label": "Failed reconciliations", "Expression": "SUM(METRICS())" });
    let lost = with(of_provider("Recovered", "plain"), json!({ "Statistic": "Sum", "Period": 300 }));
    let invocations = metric("AWS/Lambda", "Invocations", &[("FunctionName", "ReconcileFunction")]);
    let hours = json!(["ReconcileStopped", "ReconcileIntervalMinutes", "Hours"]);
    let alarms = [
        ("ReconcileFailedAlarm", until_the_next_run(above(0, combined(&sum, "Sum", 300, failed.into())))),
        ("LostWebhooksAlarm", until_the_next_run(above("LostWebhooksThreshold", lost))),
        ("ReconcileStoppedAlarm", nothing_for(hours, invocations)),
    ];
    alarms.map(|(id, alarm)| (id.to_owned(), alarm)).into()
}

/// A change is retried for twelve hours, and these fire well before.
fn alarms_of_changes() -> BTreeMap<String, Value> {
    let queue = |queue: &str| {
        let queue = format!("{queue}.QueueName");
        let metric = metric("AWS/SQS", "ApproximateNumberOfMessagesVisible", &[("QueueName", &queue)]);
        above(0, with(metric, json!({ "Statistic": "Maximum", "Period": 60 })))
    };
    let age = metric("AWS/Lambda", "IteratorAge", &[("FunctionName", "ChangesFunction")]);
    let age_ms_max = 15 * 60 * 1_000;
    let failed = sum_above(0, metric("AWS::StackName", "ChangesFailed", &[("service", "clientele-changes")]));
    let alarms = [
        ("ChangesAgeAlarm", above(age_ms_max, with(age, json!({ "Statistic": "Maximum", "Period": 60 })))),
        ("ChangesFailedAlarm", with(failed, json!({ "Period": 300, "EvaluationPeriods": 3 }))),
        ("RefusedChangesAlarm", queue("RefusedChangesQueue")),
        ("DiscardedChangesAlarm", queue("DiscardedChangesQueue")),
    ];
    alarms.map(|(id, alarm)| (id.to_owned(), alarm)).into()
}

/// What an alarm watches. A query that exists only under a condition is that query, and the condition must be that of the
/// function whose metric it is.
fn queries(alarm: &Value) -> Option<Vec<Value>> {
    let unconditional = |query: &Value| {
        let Some(parts) = query.as_array() else { return query.clone() };
        assert!(["Reconciles", "AppliesDeletes", "FeedsChanges"].iter().any(|it| parts[0] == *it), "{query}");
        assert_eq!(parts[2], "AWS::NoValue");
        parts[1].clone()
    };
    Some(alarm["Metrics"].as_array()?.iter().map(unconditional).collect())
}

#[test]
fn every_function_has_every_alarm() {
    let mut expected = alarms_of_functions();
    expected.extend(alarms_of_shared_resources());
    expected.extend(alarms_of_reconciliations());
    expected.extend(alarms_of_changes());
    let alarms = resources("AWS::CloudWatch::Alarm");
    assert_eq!(alarms.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>());
    for (id, mut alarm) in alarms {
        alarm.as_object_mut().unwrap().remove("AlarmDescription").unwrap();
        if let Some(mut queries) = queries(&alarm) {
            // Any order of the functions, after the expression.
            queries[1..].sort_by_key(|query| query["Id"].to_string());
            alarm["Metrics"] = queries.into();
        }
        assert_eq!(alarm, expected[&id], "{id}");
    }
}

/// The description of every alarm names its section of docs/operate.md.
#[test]
fn every_alarm_is_explained() {
    let page = std::fs::read_to_string(root("docs/operate.md")).unwrap();
    let anchor = |heading: &str| heading.trim_start_matches('#').trim().to_lowercase().replace(' ', "-");
    let anchors: BTreeSet<_> = page.lines().filter(|line| line.starts_with('#')).map(anchor).collect();
    for (id, alarm) in resources("AWS::CloudWatch::Alarm") {
        let description = text(&alarm["AlarmDescription"], &id);
        let (_, link) = description.split_once("docs/operate.md#").unwrap_or_else(|| panic!("{id} names no section"));
        assert!(anchors.contains(link.trim_end_matches('.')), "{id}: docs/operate.md has no {link}");
        let says_which = ["which function", "which provider"].iter().any(|which| description.contains(which));
        assert!(alarm["Metrics"].is_null() || says_which, "{id}");
    }
}

/// The metrics that alarms and dashboard read are written under exactly these names.
#[tokio::test]
async fn metrics_that_are_read_are_written() {
    let written = written_metrics().await;
    // The function that writes these does not exist yet.
    let by_changes = |name: &String| name.starts_with("Changes") && !root("functions/changes").exists();
    let by_dashboard: BTreeSet<_> = metrics_of_dashboard().into_iter().filter(|name| !by_changes(name)).collect();
    let names: BTreeSet<_> = by_dashboard.iter().map(|metric| metric.split_once(' ').unwrap().0).collect();
    let of_events = ["Age", "CleanupsFailed", "CleanupsSent", "Deletes", "Events", "SecretProblems", "Verified"];
    let of_reconciliations = ["ReconcileChecked", "ReconcileDeletes", "ReconcileDifferent", "ReconcileFailed"];
    let more = ["ReconcileUntranslatable", "Recovered", "UnknownFields"];
    assert_eq!(names, of_events.into_iter().chain(of_reconciliations).chain(more).collect());
    let by_alarms = metrics_of_alarms().filter(|name| !by_changes(name));
    let read: BTreeSet<_> = by_alarms.chain(by_dashboard.clone()).collect();
    let deletes = |all: &BTreeSet<String>| all.iter().filter(|name| name.starts_with("Deletes ")).cloned().collect();
    let (deletes_read, deletes_written): (Vec<_>, Vec<_>) = (deletes(&read), deletes(&written));
    assert_eq!(deletes_read, deletes_written, "whoever deletes is watched");
    assert_eq!(read.difference(&written).collect::<Vec<_>>(), [] as [&String; 0]);
}

/// The metrics of all event files, during an outage as well, of a replay, of a sweep and of a reconciliation.
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
    let others = replays.into_iter().chain([sweep_lines(&stack).await, reconcile_lines(&stack).await]);
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

async fn sweep_lines(stack: &LocalStack) -> Vec<Value> {
    let lines = CapturedLog::default();
    sweeper(&stack.environments, &stack.clients, &lines).handle(&invocation(signed_at())).await;
    json_lines(&lines)
}

/// A reconciliation that fails writes all metrics, too.
async fn reconcile_lines(stack: &LocalStack) -> Vec<Value> {
    let lines = CapturedLog::default();
    let apis = ListApis::default();
    apis.fail("plain", 401);
    let reconciler = reconciler(&stack.environments, &[], &stack.clients, apis.connect(), &lines);
    reconciler.handle(&json!({}), &invocation(signed_at())).await.unwrap();
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
