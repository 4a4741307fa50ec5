//! What an operator relies on: every function is watched, every alarm is explained, limits fit one another.

use std::collections::BTreeSet;

use clientele::events::signed_at;
use clientele::stack::{Captured, Log, Options};
use serde_json::{Value, json};

use crate::lines::metrics;
use crate::support::{cases, handle, json_lines, options, root, scheme};
use crate::the_template::{dashboard, resources, template};

fn text<'a>(value: &'a Value, what: &str) -> &'a str {
    value.as_str().unwrap_or_else(|| panic!("{what}: {value}"))
}

/// The dimensions of an alarm, or of a metric, as `name=value`.
fn dimensions(alarm: &Value) -> Vec<String> {
    let dimension = |it: &Value| format!("{}={}", text(&it["Name"], "name"), text(&it["Value"], "value"));
    alarm["Dimensions"].as_array().unwrap().iter().map(dimension).collect()
}

#[test]
fn every_function_has_every_alarm() {
    let (alarms, functions) = (resources("AWS::CloudWatch::Alarm"), resources("AWS::Serverless::Function"));
    let mut of_functions = BTreeSet::new();
    for (id, function) in &functions {
        let provider = id.strip_suffix("Function").unwrap();
        let service = text(&function["Environment"]["Variables"]["POWERTOOLS_SERVICE_NAME"], id);
        let ours = |more: &[&str]| {
            let name = service.strip_prefix("clientele-").unwrap();
            let mut dimensions = vec![format!("service={service}"), format!("provider={name}")];
            dimensions.extend(more.iter().map(|it| (*it).to_owned()));
            dimensions
        };
        let of_lambda = vec![format!("FunctionName={id}")];
        let timeout_ms = template()["Globals"]["Function"]["Timeout"].as_u64().unwrap() * 1_000;
        let alarm = |kind: &str, namespace: &str, metric: &str, dimensions_are: Vec<String>, threshold: Value| {
            let id = format!("{provider}{kind}Alarm");
            let alarm = alarms.get(&id).unwrap_or_else(|| panic!("no {id}"));
            assert_eq!((&alarm["Namespace"], &alarm["MetricName"]), (&json!(namespace), &json!(metric)), "{id}");
            assert_eq!((dimensions(alarm), &alarm["Threshold"]), (dimensions_are, &threshold), "{id}");
            id
        };
        let ids = [
            alarm("Errors", "AWS/Lambda", "Errors", of_lambda.clone(), json!(0)),
            alarm("Throttles", "AWS/Lambda", "Throttles", of_lambda.clone(), json!(0)),
            alarm("Duration", "AWS/Lambda", "Duration", of_lambda, json!(timeout_ms * 8 / 10)),
            alarm("Refused", "AWS::StackName", "Events", ours(&["outcome=rejected"]), json!("RefusedPerMinute")),
            alarm("Unavailable", "AWS::StackName", "Events", ours(&["outcome=unavailable"]), json!(0)),
            alarm("Silence", "AWS::StackName", "Verified", ours(&[]), json!(1)),
        ];
        // A new version that makes one of these goes back.
        let rolls_back = &function["DeploymentPreference"]["Alarms"];
        assert_eq!(rolls_back, &json!([ids[0], ids[4]]), "{id}");
        assert_eq!(alarms[&ids[5]]["EvaluationPeriods"], format!("{provider}SilenceHours"));
        assert_eq!(alarms[&ids[5]]["TreatMissingData"], "breaching");
        of_functions.extend(ids);
    }
    let others: BTreeSet<_> = alarms.keys().filter(|id| !of_functions.contains(*id)).map(String::as_str).collect();
    let expected = ["ApiErrorsAlarm", "CleanupAgeAlarm", "CleanupDeadLetterAlarm", "InboxAgeAlarm", "QuarantineAlarm"];
    assert_eq!(others, BTreeSet::from(expected));
    for (id, alarm) in &alarms {
        assert_eq!(
            (&alarm["AlarmActions"], &alarm["OKActions"]),
            (&json!(["AlarmTopic"]), &json!(["AlarmTopic"])),
            "{id}"
        );
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
    let options = Options { log: Log::Memory(captured.clone()), ..options() };
    let stack = clientele::stack::Stack::start(options).await.unwrap();
    for case in cases() {
        let fresh = case.fresh(&scheme(&case), case.known.local_secret, signed_at()).unwrap();
        handle(&stack.receivers[case.known.provider.name], &fresh.event, signed_at()).await;
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
    assert_eq!(names, BTreeSet::from(["Age".to_owned(), "Events".to_owned()]));
    // Outcomes that do not occur in the event files, or not of every provider.
    let rare = ["parked", "quarantined", "unavailable", "duplicate", "stale", "ignored"];
    let missing: Vec<_> =
        read.iter().filter(|name| !written.contains(*name) && !rare.iter().any(|rare| name.ends_with(rare))).collect();
    assert_eq!(missing, [] as [&String; 0]);
    assert!(read.iter().any(|name| written.contains(name) && name.ends_with("stale")));
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
