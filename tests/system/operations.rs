//! What an operator relies on: every function is watched, every alarm is explained, limits fit one another.

use std::collections::BTreeSet;

use clientele::events::signed_at;
use clientele::stack::Captured;
use serde_json::{Value, json};

use crate::door::Door;
use crate::lines::metrics;
use crate::support::{cases, handle, json_lines, root, scheme, stack};
use crate::the_template::{dashboard, resources, template};

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
        assert_eq!((&alarm["Period"], &alarm["EvaluationPeriods"]), (&json!(self.period), &json!(1)), "{id}");
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
        let provider = id.strip_suffix("Function").unwrap();
        let service = text(&function["Environment"]["Variables"]["POWERTOOLS_SERVICE_NAME"], id);
        let by_provider = [format!("service={service}"), format!("provider={}", provider.to_lowercase())];
        let outcome = |outcome: &str| by_provider.iter().cloned().chain([format!("outcome={outcome}")]).collect();
        let of_lambda = || vec![format!("FunctionName={id}")];
        let alarm = |kind: &str, namespace, metric, dimensions, statistic, period, over| {
            let id = format!("{provider}{kind}Alarm");
            Alarm { id, namespace, metric, dimensions, statistic, period, over }
        };
        let ours = "AWS::StackName";
        expected.extend([
            alarm("Errors", "AWS/Lambda", "Errors", of_lambda(), "Sum", 60, json!(0)),
            alarm("Throttles", "AWS/Lambda", "Throttles", of_lambda(), "Sum", 60, json!(0)),
            alarm("Duration", "AWS/Lambda", "Duration", of_lambda(), "p99", 300, json!(timeout_ms * 8 / 10)),
            alarm("Refused", ours, "Events", outcome("rejected"), "Sum", 60, json!("RefusedPerMinute")),
            alarm("Unavailable", ours, "Events", outcome("unavailable"), "Sum", 60, json!(0)),
        ]);
        // The one that fires when nothing is there.
        let silence = &alarms[&format!("{provider}SilenceAlarm")];
        let fields = ["Namespace", "MetricName", "Statistic", "Period", "EvaluationPeriods", "Threshold"];
        let is = fields.map(|field| silence[field].clone());
        let hours = format!("{provider}SilenceHours");
        assert_eq!(is, [json!(ours), json!("Verified"), json!("Sum"), json!(3_600), json!(hours), json!(1)]);
        assert_eq!(dimensions(silence), by_provider);
        assert_eq!(silence["ComparisonOperator"], "LessThanThreshold");
        assert_eq!(silence["TreatMissingData"], "breaching");
        // A new version that makes one of these goes back.
        let [errors, unavailable] = ["Errors", "Unavailable"].map(|kind| format!("{provider}{kind}Alarm"));
        let rolls_back = &function["DeploymentPreference"]["Alarms"];
        assert_eq!(rolls_back, &json!(["RollsBackOnUnavailable", [&errors, unavailable], [errors]]), "{id}");
    }
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
    expected.extend([
        queue("QuarantineAlarm", visible, "QuarantineQueue", 0),
        queue("CleanupDeadLetterAlarm", visible, "CleanupDeadLetterQueue", 0),
        queue("InboxAgeAlarm", age, "InboxQueue", 900),
        queue("CleanupAgeAlarm", age, "CleanupQueue", 3_600),
        Alarm {
            id: "ApiErrorsAlarm".to_owned(),
            namespace: "AWS/ApiGateway",
            metric: "5xx",
            dimensions: vec!["ApiId=Api".to_owned()],
            statistic: "Sum",
            period: 60,
            over: json!(0),
        },
    ]);
    for alarm in &expected {
        alarm.check(&alarms);
    }
    let known: BTreeSet<_> = expected.into_iter().map(|alarm| alarm.id).collect();
    let others: Vec<_> = alarms.keys().filter(|id| !known.contains(*id) && !id.ends_with("SilenceAlarm")).collect();
    assert_eq!(others, [] as [&String; 0]);
    let topic = json!(["AlarmTopic"]);
    for (id, alarm) in &alarms {
        assert_eq!((&alarm["AlarmActions"], &alarm["OKActions"]), (&topic, &topic), "{id}");
    }
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
    let (door, receivers) = Door::before_writing(&stack, &captured).await;
    for outage in [None, Some("PutItem")] {
        door.fail(outage);
        for case in cases() {
            let fresh = case.fresh(&scheme(&case), case.known.local_secret, signed_at()).unwrap();
            handle(&receivers[case.known.provider.name], &fresh.event, signed_at()).await;
        }
    }
    let written: BTreeSet<_> = json_lines(&captured).iter().flat_map(metrics).map(|(name, _)| name).collect();
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
            assert_eq!(dimensions, "service,provider,secret");
            let provider = search.split('"').nth(1).unwrap();
            let metric = search.split(' ').next().unwrap();
            read.insert(format!("{metric} clientele-{provider} {provider} 1"));
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
    assert_eq!(names, BTreeSet::from(["Age", "Events", "Verified"].map(str::to_owned)));
    // Nothing is parked or quarantined yet.
    let missing: BTreeSet<_> = read.difference(&written).filter_map(|name| name.split(' ').nth(3)).collect();
    assert_eq!(missing, BTreeSet::from(["parked", "quarantined"]));
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
    let timeout = template()["Globals"]["Function"]["Timeout"].as_u64().unwrap();
    let queues = resources("AWS::SQS::Queue");
    for (id, queue) in &queues {
        assert_eq!(queue["VisibilityTimeout"], 6 * timeout, "{id}");
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
