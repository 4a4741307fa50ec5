//! What an operator relies on: every function is watched, every alarm is explained, limits fit one another.

use std::collections::BTreeSet;

use clientele::events::signed_at;
use clientele::providers::PROVIDERS;
use clientele::signing::Unsigned;
use clientele::stack::{Captured, Stack};
use serde_json::{Value, json};

use crate::support::aws::AwsStandIn;
use crate::support::deliveries::{ChangeKind, change, deliver, signed};
use crate::support::template::{dashboard, resources, template};
use crate::support::{
    cases, drain, handle, invocation, json_lines, metrics, replayer, root, scheme, sqs_event, stack, sweeper,
};

fn text<'a>(value: &'a Value, what: &str) -> &'a str {
    value.as_str().unwrap_or_else(|| panic!("{what}: {value}"))
}

/// The dimensions of an alarm, or of a metric, as `name=value`.
fn dimensions(alarm: &Value) -> Vec<String> {
    let dimension = |it: &Value| format!("{}={}", text(&it["Name"], "name"), text(&it["Value"], "value"));
    alarm["Dimensions"].as_array().unwrap().iter().map(dimension).collect()
}

/// An alarm but for its description and whom it tells, which all have.
struct Alarm {
    id: String,
    namespace: &'static str,
    metric: &'static str,
    dimensions: Vec<String>,
    statistic: &'static str,
    period: u64,
    over: Value,
}

impl Alarm {
    fn check(&self, alarms: &std::collections::BTreeMap<String, Value>) {
        let Self { id, .. } = self;
        let alarm = alarms.get(id).unwrap_or_else(|| panic!("no {id}"));
        assert_eq!((&alarm["Namespace"], &alarm["MetricName"]), (&json!(self.namespace), &json!(self.metric)), "{id}");
        assert_eq!(dimensions(alarm), self.dimensions, "{id}");
        let statistic = if self.statistic == "p99" { &alarm["ExtendedStatistic"] } else { &alarm["Statistic"] };
        assert_eq!(statistic, self.statistic, "{id}");
        // What mends itself with the next attempt has three.
        let periods = if ["ReplayFailedAlarm", "SweepFailedAlarm"].contains(&id.as_str()) { 3 } else { 1 };
        assert_eq!((&alarm["Period"], &alarm["EvaluationPeriods"]), (&json!(self.period), &json!(periods)), "{id}");
        assert_eq!(
            (&alarm["ComparisonOperator"], &alarm["Threshold"]),
            (&json!("GreaterThanThreshold"), &self.over),
            "{id}"
        );
        assert_eq!(alarm["TreatMissingData"], "notBreaching", "{id}");
    }
}

#[test]
fn every_function_has_every_alarm() {
    let (alarms, functions) = (resources("AWS::CloudWatch::Alarm"), resources("AWS::Serverless::Function"));
    let timeout_ms = template()["Globals"]["Function"]["Timeout"].as_u64().unwrap() * 1_000;
    let mut expected = vec![];
    for (id, function) in &functions {
        let name = id.strip_suffix("Function").unwrap();
        let service = text(&function["Environment"]["Variables"]["POWERTOOLS_SERVICE_NAME"], id);
        let by_provider = [format!("service={service}"), format!("provider={}", name.to_lowercase())];
        let outcome = |outcome: &str| by_provider.iter().cloned().chain([format!("outcome={outcome}")]).collect();
        let of_lambda = || vec![format!("FunctionName={id}")];
        let alarm = |kind: &str, namespace, metric, dimensions, statistic, period, over| {
            let id = format!("{name}{kind}Alarm");
            Alarm { id, namespace, metric, dimensions, statistic, period, over }
        };
        let ours = "AWS::StackName";
        expected.extend([
            alarm("Errors", "AWS/Lambda", "Errors", of_lambda(), "Sum", 60, json!(0)),
            alarm("Throttles", "AWS/Lambda", "Throttles", of_lambda(), "Sum", 60, json!(0)),
        ]);
        // A new version that makes one of these goes back.
        let [errors, unavailable] = ["Errors", "Unavailable"].map(|kind| format!("{name}{kind}Alarm"));
        let rolls_back = &function["DeploymentPreference"]["Alarms"];
        if !is_receiver(function) {
            assert_eq!(rolls_back, &json!([errors]), "{id}");
            continue;
        }
        assert_eq!(rolls_back, &json!(["RollsBackOnUnavailable", [&errors, unavailable], [errors]]), "{id}");
        expected.extend([
            alarm("Duration", "AWS/Lambda", "Duration", of_lambda(), "p99", 300, json!(timeout_ms * 8 / 10)),
            alarm("Refused", ours, "Events", outcome("rejected"), "Sum", 60, json!("RefusedPerMinute")),
            alarm("Unavailable", ours, "Events", outcome("unavailable"), "Sum", 60, json!(0)),
        ]);
        // The one that fires when nothing is there.
        let (silence, hours) = (format!("{name}SilenceAlarm"), json!(format!("{name}SilenceHours")));
        fires_when_nothing_is_there(&alarms[&silence], [ours, "Verified"], &by_provider, &hours);
    }
    let stopped = &alarms["SweepStoppedAlarm"];
    fires_when_nothing_is_there(
        stopped,
        ["AWS/Lambda", "Invocations"],
        &["FunctionName=SweepFunction".to_owned()],
        &json!(1),
    );
    expected.extend(alarms_of_shared_resources());
    for alarm in &expected {
        alarm.check(&alarms);
    }
    let known: BTreeSet<_> = expected.into_iter().map(|alarm| alarm.id).collect();
    let is_known = |id: &&String| known.contains(*id) || id.ends_with("SilenceAlarm") || *id == "SweepStoppedAlarm";
    let others: Vec<_> = alarms.keys().filter(|id| !is_known(id)).collect();
    assert_eq!(others, [] as [&String; 0]);
    let topic = json!(["AlarmTopic"]);
    for (id, alarm) in &alarms {
        assert_eq!((&alarm["AlarmActions"], &alarm["OKActions"]), (&topic, &topic), "{id}");
    }
}

/// Whether webhooks come to the function.
fn is_receiver(function: &Value) -> bool {
    function["Events"].as_object().unwrap().values().any(|event| event["Type"] == "HttpApi")
}

/// Looks at whole hours, as many as there must be.
fn fires_when_nothing_is_there(alarm: &Value, [namespace, metric]: [&str; 2], of: &[String], hours: &Value) {
    let fields = ["Namespace", "MetricName", "Statistic", "Period", "EvaluationPeriods", "Threshold"];
    let is = fields.map(|field| alarm[field].clone());
    assert_eq!(is, [json!(namespace), json!(metric), json!("Sum"), json!(3_600), hours.clone(), json!(1)]);
    assert_eq!(dimensions(alarm), of);
    assert_eq!(alarm["ComparisonOperator"], "LessThanThreshold");
    assert_eq!(alarm["TreatMissingData"], "breaching");
}

fn alarms_of_shared_resources() -> Vec<Alarm> {
    let queue = |id: &str, metric, queue: &str, over| Alarm {
        id: id.to_owned(),
        namespace: "AWS/SQS",
        metric,
        dimensions: vec![format!("QueueName={queue}.QueueName")],
        statistic: "Maximum",
        period: 60,
        over: json!(over),
    };
    let (visible, age) = ("ApproximateNumberOfMessagesVisible", "ApproximateAgeOfOldestMessage");
    vec![
        queue("QuarantineAlarm", visible, "QuarantineQueue", 0),
        queue("CleanupDeadLetterAlarm", visible, "CleanupDeadLetterQueue", 0),
        queue("InboxAgeAlarm", age, "InboxQueue", 900),
        queue("CleanupAgeAlarm", age, "CleanupQueue", 3_600),
        Alarm { period: 300, ..queue("ReplayFailedAlarm", "ApproximateNumberOfMessagesNotVisible", "InboxQueue", 0) },
        Alarm {
            id: "SweepFailedAlarm".to_owned(),
            namespace: "AWS::StackName",
            metric: "CleanupsFailed",
            dimensions: vec!["service=clientele-sweep".to_owned()],
            statistic: "Sum",
            period: 300,
            over: json!(0),
        },
        Alarm {
            id: "ApiErrorsAlarm".to_owned(),
            namespace: "AWS/ApiGateway",
            metric: "5xx",
            dimensions: vec!["ApiId=Api".to_owned()],
            statistic: "Sum",
            period: 60,
            over: json!(0),
        },
    ]
}

/// An alarm that leads to no page is a riddle in the night.
#[test]
fn every_alarm_is_explained() {
    let page = std::fs::read_to_string(root("docs/operate.md")).unwrap();
    let anchor = |heading: &str| heading.trim_start_matches('#').trim().to_lowercase().replace(' ', "-");
    let anchors: BTreeSet<_> = page.lines().filter(|line| line.starts_with('#')).map(anchor).collect();
    for (id, alarm) in resources("AWS::CloudWatch::Alarm") {
        let description = text(&alarm["AlarmDescription"], &id);
        let (_, link) = description.split_once("docs/operate.md#").unwrap_or_else(|| panic!("{id} leads nowhere"));
        assert!(anchors.contains(link.trim_end_matches('.')), "{id}: docs/operate.md has no {link}");
    }
}

/// The metrics that alarms and dashboard read are written under these very names.
#[tokio::test]
async fn metrics_that_are_read_are_written() {
    let captured = Captured::default();
    let stack = stack().await;
    let (aws, receivers) = AwsStandIn::with_logging_receivers(&stack, &captured).await;
    for outage in [&[][..], &["PutItem"], &["PutItem", "SendMessage"]] {
        aws.fail(outage);
        for case in cases() {
            let fresh = case.fresh(&scheme(case), case.known.local_secret, signed_at()).unwrap();
            handle(&receivers[case.known.provider.name], &fresh.event, signed_at()).await;
        }
    }
    // Not understood, of each provider.
    aws.fail(&[]);
    for known in &PROVIDERS {
        let event = deliver(known.provider.name, &[change("c", 0, 1, ChangeKind::Updated)], signed_at());
        let body = event["body"].as_str().unwrap();
        let body = body.replace("email", "mail").replace("fullName", "full_name").replace("\"name\"", "\"called\"");
        let unsigned = Unsigned { body, message_id: "msg_1".to_owned() };
        handle(&receivers[known.provider.name], &signed(known, &unsigned, signed_at()), signed_at()).await;
    }
    let others = [replay_lines(&stack).await, sweep_lines(&stack).await].into_iter().flatten();
    let written = json_lines(&captured).into_iter().chain(others);
    let written: BTreeSet<_> = written.flat_map(|line| metrics(&line)).map(|(name, _)| name).collect();
    let mut read = BTreeSet::new();
    for (_, alarm) in resources("AWS::CloudWatch::Alarm") {
        if alarm["Namespace"] == "AWS::StackName" {
            let values = dimensions(&alarm).into_iter().map(|it| it.split_once('=').unwrap().1.to_owned());
            read.insert(format!("{} {}", text(&alarm["MetricName"], "metric"), values.collect::<Vec<_>>().join(" ")));
        }
    }
    let mut names = BTreeSet::new();
    for widget in dashboard()["widgets"].as_array().unwrap() {
        let mut before: Vec<String> = vec![];
        let expression = &widget["properties"]["metrics"][0][0]["expression"];
        if let Some(search) = expression.as_str() {
            // SEARCH('{"namespace",dimensions…} metric provider="…"', …): one line for each value of the others.
            let (_, search) = search.split_once("{\"AWS::StackName\",").unwrap();
            let (dimensions, search) = search.split_once("} ").unwrap();
            let of = search.split('"').nth(1).unwrap();
            let metric = search.split(' ').next().unwrap();
            read.insert(match dimensions {
                "service,provider,secret" => format!("{metric} clientele-{of} {of} 1"),
                "service,provider,outcome" => format!("{metric} {of} plain duplicate"),
                other => panic!("{other}"),
            });
            names.insert(metric.to_owned());
        }
        for metric in widget["properties"]["metrics"].as_array().into_iter().flatten() {
            let parts: Vec<_> = metric.as_array().unwrap().iter().filter_map(Value::as_str).collect();
            // `...` stands for what the metric before has in those places.
            let parts: Vec<String> = match parts.split_first() {
                Some((&"...", rest)) => {
                    let kept = before.len() - rest.len();
                    before[..kept].iter().cloned().chain(rest.iter().map(|part| (*part).to_owned())).collect()
                }
                _ => parts.iter().map(|part| (*part).to_owned()).collect(),
            };
            if parts.first().is_some_and(|namespace| namespace == "AWS::StackName") {
                let values: Vec<_> = parts[2..].iter().skip(1).step_by(2).map(String::as_str).collect();
                read.insert(format!("{} {}", parts[1], values.join(" ")));
                names.insert(parts[1].clone());
            }
            before = parts;
        }
    }
    let ours = ["Age", "CleanupsFailed", "CleanupsSent", "Events", "Verified"];
    assert_eq!(names, BTreeSet::from(ours.map(str::to_owned)));
    assert_eq!(read.difference(&written).collect::<Vec<_>>(), [] as [&String; 0]);
}

/// The lines of a replay of all that is on the inbox.
async fn replay_lines(stack: &Stack) -> Vec<Value> {
    let lines = Captured::default();
    let replayer = replayer(&stack.environments, &stack.clients, &lines);
    let event = sqs_event(drain(stack, "inbox").await.iter().map(Value::to_string));
    assert_eq!(replayer.handle(event, &invocation(signed_at())).await.batch_item_failures, []);
    json_lines(&lines)
}

async fn sweep_lines(stack: &Stack) -> Vec<Value> {
    let lines = Captured::default();
    sweeper(&stack.environments, &stack.clients, &lines).handle(&invocation(signed_at())).await;
    json_lines(&lines)
}

/// The path holds the token, and the query string whatever somebody puts there.
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
        let is_last = id.contains("DeadLetter") || id == "QuarantineQueue";
        assert_eq!(queue["RedrivePolicy"].is_null(), is_last, "{id}");
    }
    let (_, policy) = resources("AWS::SQS::QueuePolicy").pop_first().unwrap();
    let with_policy: BTreeSet<_> =
        policy["Queues"].as_array().unwrap().iter().map(|it| text(it, "queue").to_owned()).collect();
    assert_eq!(with_policy, queues.keys().cloned().collect(), "every queue is for TLS only");
}

/// A new value of a parameter reaches the alias only if it is in the description of the version.
#[test]
fn parameters_of_a_function_are_in_its_version() {
    let globals = &template()["Globals"]["Function"];
    let parameters: BTreeSet<_> = template()["Parameters"].as_object().unwrap().keys().cloned().collect();
    for (id, function) in resources("AWS::Serverless::Function") {
        let description = text(&function["VersionDescription"], &id);
        let variables = [&globals["Environment"]["Variables"], &function["Environment"]["Variables"]];
        let values = variables.into_iter().flat_map(|it| it.as_object().unwrap().values());
        let values = values.chain([&globals["Architectures"][0], &globals["Tracing"]]);
        for parameter in values.filter_map(Value::as_str).filter(|value| parameters.contains(*value)) {
            assert!(description.contains(&format!("${{{parameter}}}")), "{id}: {parameter}");
        }
    }
}

/// Nothing secret is in the environment of a deployed function, and everything that costs or keeps data is asked for.
#[test]
fn parameters_are_explained() {
    let template = template();
    assert_eq!(template["Globals"]["Function"]["Environment"]["Variables"]["WEBHOOK_SECRETS"], "");
    let interface = &template["Metadata"]["AWS::CloudFormation::Interface"];
    let grouped: Vec<_> = interface["ParameterGroups"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|group| group["Parameters"].as_array().unwrap())
        .map(|name| text(name, "parameter"))
        .collect();
    let page = std::fs::read_to_string(root("docs/deploy.md")).unwrap();
    for (name, parameter) in template["Parameters"].as_object().unwrap() {
        assert!(parameter["Description"].is_string() && interface["ParameterLabels"][name].is_object(), "{name}");
        assert_eq!(grouped.iter().filter(|grouped| *grouped == name).count(), 1, "{name}");
        assert!(page.contains(&format!("`{name}`")), "docs/deploy.md does not explain {name}");
    }
    for (name, _) in template["Outputs"].as_object().unwrap() {
        assert!(page.contains(&format!("`{name}`")), "docs/deploy.md does not name the output {name}");
    }
}

/// Widgets are side by side: none over another, none over the edge.
#[test]
fn the_dashboard_has_room() {
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
    let always = resources("AWS::CloudWatch::Alarm").into_keys().filter(|id| !id.ends_with("SilenceAlarm"));
    assert_eq!(shown, always.map(|id| format!("{id}.Arn")).collect());
}
