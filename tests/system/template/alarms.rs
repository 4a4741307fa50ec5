//! Every function has its alarms, and every alarm is explained.

use std::collections::{BTreeMap, BTreeSet};

use clientele_function::role::Role;
use serde_json::{Value, json};

use super::operations::text;
use crate::support::root;
use crate::support::template::{is_receiver, resources, template};

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

/// A receipt is retried for an hour. Each sweep writes the age of open erasures, so that alarm keeps its state until the next.
fn alarms_of_receipts() -> BTreeMap<String, Value> {
    let queue =
        metric("AWS/SQS", "ApproximateNumberOfMessagesVisible", &[("QueueName", "ReceiptsDeadLetterQueue.QueueName")]);
    let failed = sum_above(0, metric("AWS::StackName", "ReceiptsFailed", &[("service", "clientele-receipts")]));
    let age = metric("AWS::StackName", "OpenErasureAgeDays", &[("service", "clientele-sweep")]);
    let age = above("OpenErasureDays", with(age, json!({ "Statistic": "Maximum", "Period": 300 })));
    let alarms = [
        ("ReceiptsFailedAlarm", with(failed, json!({ "Period": 300, "EvaluationPeriods": 3 }))),
        ("ReceiptsDeadLetterAlarm", above(0, with(queue, json!({ "Statistic": "Maximum", "Period": 60 })))),
        (
            "OpenErasuresAlarm",
            with(age, json!({ "TreatMissingData": "ignore", "ComparisonOperator": "GreaterThanOrEqualToThreshold" })),
        ),
    ];
    alarms.map(|(id, alarm)| (id.to_owned(), alarm)).into()
}

/// What an alarm watches. A query that exists only under a condition is that query, and the condition must be that of the
/// function whose metric it is.
pub(super) fn queries(alarm: &Value) -> Option<Vec<Value>> {
    let unconditional = |query: &Value| {
        let Some(parts) = query.as_array() else { return query.clone() };
        assert!(
            ["Reconciles", "AppliesDeletes", "FeedsChanges", "AwaitsReceipts"].iter().any(|it| parts[0] == *it),
            "{query}"
        );
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
    expected.extend(alarms_of_receipts());
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
