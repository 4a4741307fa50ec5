//! `clientele doctor`: whether a stack is healthy, locally and deployed.

use clientele::stack::{LocalStack, StackOptions};
use clientele_model::Provider;
use clientele_plain::webhook_target_record;
use clientele_providers::PROVIDERS;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::command::console::{Page, stack};
use crate::command::deployed::{ANNOUNCED, Deployed, deploy};
use crate::support::cli::{clientele, run, with_local};
use crate::support::monitoring::{PLAIN_KEY, alarm_name};
use crate::support::{cases, options};

async fn local(stack: &LocalStack, flags: &[&str]) -> (i32, String, String) {
    let admin = format!("http://{}", stack.admin);
    let all: Vec<String> = with_local(&[&["doctor"], flags].concat(), &admin).into_iter().map(str::to_owned).collect();
    tokio::task::spawn_blocking(move || run(&all.iter().map(String::as_str).collect::<Vec<_>>())).await.unwrap()
}

async fn deployed(deployed: &Deployed, flags: &[&str]) -> (i32, String, String) {
    deployed.run(&[&["doctor", "--stack", "test"], flags].concat(), "").await
}

/// The report in `--json`, after a check of the exit code.
fn report((code, shown, _): &(i32, String, String)) -> Value {
    let report: Value = serde_json::from_str(shown).unwrap();
    assert_eq!(report["is_healthy"], *code == 0, "{report}");
    assert_eq!(report["findings"].as_array().unwrap().is_empty(), *code == 0);
    report
}

/// Part, name and problem of each finding.
fn findings(report: &Value) -> Vec<[&str; 3]> {
    let findings = report["findings"].as_array().unwrap().iter();
    findings.map(|finding| ["part", "name", "problem"].map(|name| finding[name].as_str().unwrap())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_local_stack_is_healthy_until_something_needs_a_person() {
    let stack = stack().await;
    let page = Page::of(&stack);
    page.send(&["plain/customer-created", "plain/tampered", "flexprice/customer-deleted"]).await;
    let (code, shown, errors) = local(&stack, &[]).await;
    assert_eq!((code, errors.as_str()), (0, ""), "{shown}");
    assert!(shown.ends_with("the local stack is healthy.\n"), "{shown}");
    for text in [
        "1 usable",
        "verified ",
        " s ago; refused ",
        "1 message",
        "ACTIVE, 4 of 4 indexes",
        "none pending",
        "enabled, with all types of events",
    ] {
        assert!(shown.contains(text), "no {text}: {shown}");
    }
    assert!(!shown.contains("Ada") && !shown.contains("secret-"), "{shown}");

    page.post("/faults", &json!({ "service": "dynamodb", "mode": "error", "rate": 1, "for_seconds": 600 })).await;
    page.send(&["plain/partial-snapshot"]).await;
    let (code, shown, errors) = local(&stack, &[]).await;
    assert_eq!((code, errors.as_str()), (1, "error: 2 findings need a person\n"), "{shown}");
    for text in [
        "! faults, dynamodb: a fault is injected for another 9 min\n    clientele faults clear\n",
        "! queues, quarantine: 1 delivery needs an operator\n    clientele quarantine list;",
    ] {
        assert!(shown.contains(text), "no {text}: {shown}");
    }
    let report = report(&local(&stack, &["--json"]).await);
    assert_eq!(findings(&report).iter().map(|[_, name, _]| *name).collect::<Vec<_>>(), ["dynamodb", "quarantine"]);
    assert_eq!(report["facts"]["queues"]["quarantine"]["depth"]["known"]["visible"], 1);
    assert_eq!(page.get("/doctor").await.1["findings"], report["findings"], "the page shows the same");
}

/// A provider without a secret is not used, until deliveries of it arrive.
#[tokio::test(flavor = "multi_thread")]
async fn a_missing_secret_matters_when_the_provider_is_used() {
    let mut some = StackOptions { cases: cases().to_vec(), ..options() };
    let plain = clientele_providers::find("plain").unwrap();
    some.set(plain, "WEBHOOK_SECRETS", "[]".to_owned());
    let stack = LocalStack::start(some).await.unwrap();
    let (code, shown, _) = local(&stack, &[]).await;
    assert!(code == 0 && shown.contains("none: every delivery is refused"), "{shown}");
    Page::of(&stack).send(&["plain/customer-created"]).await;
    let report = report(&local(&stack, &["--json"]).await);
    let problem = "plain sends deliveries, and all are refused, since it has no secret that can be used";
    assert_eq!(findings(&report), [["secrets", "plain", problem]]);

    let mut none = options();
    let empty = |provider: &&'static Provider| none.set(provider, "WEBHOOK_SECRETS", "[]".to_owned());
    PROVIDERS.iter().for_each(empty);
    let stack = LocalStack::start(none).await.unwrap();
    let report = self::report(&local(&stack, &["--json"]).await);
    let problem = "no provider has a secret that can be used, so every delivery is refused";
    assert_eq!(findings(&report), [["secrets", "", problem]]);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_stack_the_exit_code_is_5() {
    let (code, _, errors) = run(&["doctor", "--local", "http://127.0.0.1:1"]);
    assert!(code == 5 && errors.contains("no local stack answers"), "{errors}");
    let deployed = deploy(options()).await;
    let (code, _, errors) = deployed.run(&["doctor", "--stack", "nothing"], "").await;
    assert!(code == 4 && errors.contains("there is no stack nothing"), "{errors}");
}

/// The times of deliveries come from metrics, which know them the less exactly the longer ago they were.
#[tokio::test(flavor = "multi_thread")]
async fn a_deployed_stack_is_healthy() {
    let stack = deploy(options()).await;
    let ago = |minutes| Timestamp::now() - SignedDuration::from_mins(minutes);
    for (metric, dimension, minutes) in
        [("Verified", "plain", 4), ("Events", "clientele-flexprice", 30 * 60), ("Verified", "metrifox", 90 * 24 * 60)]
    {
        stack.aws.monitoring().count(metric, dimension, &[(ago(minutes), 1.0), (ago(minutes + 9), 3.0)]);
    }
    stack.aws.monitoring().count("Verified", "flexprice", &[(ago(31 * 60), 1.0)]);
    let (code, shown, errors) = deployed(&stack, &[]).await;
    assert_eq!((code, errors.as_str()), (0, ANNOUNCED), "{shown}");
    for text in [
        "verified at most 5 min ago; none refused for 45",
        "verified at most 3",
        "; refused at most 3",
        " h ago",
        "verified at most 91 days ago; none refused",
        " 0 of ",
        "NEW_AND_OLD_IMAGES",
        "on for 35 days",
        "off: ReconcileIntervalMinutes is 0",
        "test is healthy.\n",
    ] {
        assert!(shown.contains(text), "no {text}: {shown}");
    }
    let operations = stack.aws.take_calls().into_iter().map(|call| call.operation);
    let mut operations: Vec<_> = operations.map(|it| it.split_once('.').unwrap().1.to_owned()).collect();
    operations.sort();
    operations.dedup();
    let expected = [
        "DescribeContinuousBackups",
        "DescribeTable",
        "DescribeTimeToLive",
        "GetQueueAttributes",
        "GetSecretValue",
        "Scan",
    ];
    assert_eq!(operations, expected, "nothing is received or written");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_problem_of_a_deployed_stack_is_found() {
    let stack = deploy(options()).await;
    let ago = |minutes| Timestamp::now() - SignedDuration::from_mins(minutes);
    {
        let mut monitoring = stack.aws.monitoring();
        monitoring.count("Events", "clientele-plain", &[(ago(5), 1.0)]);
        monitoring.set_alarm("InboxAgeAlarm", Some(("ALARM", ago(5), true)));
        monitoring.set_alarm("QuarantineAlarm", Some(("INSUFFICIENT_DATA", ago(5), false)));
        monitoring.set_alarm("SweepStoppedAlarm", None);
        monitoring.table["DeletionProtectionEnabled"] = false.into();
        monitoring.table["SSEDescription"] = Value::Null;
        monitoring.table["StreamSpecification"] = Value::Null;
        monitoring.recovery = json!({ "PointInTimeRecoveryStatus": "DISABLED" });
        monitoring.time_to_live = json!({ "TimeToLiveStatus": "ENABLED", "AttributeName": "expires" });
    }
    stack.aws.set_secret("metrifox", r#"["canary", ""]"#);
    let queue = |name: &str| {
        stack.stack.clients.sqs.send_message().queue_url(&stack.stack.queue_urls[name]).message_body("canary").send()
    };
    queue("cleanup-dead-letter").await.unwrap();
    queue("inbox").await.unwrap();
    stack.aws.set_oldest_message("inbox", &[(ago(1), 4_211.0)]);
    let result = deployed(&stack, &["--json"]).await;
    let (report, errors) = (report(&result), &result.2);
    let expected = [
        ["secrets", "metrifox", "secret 2 of metrifox cannot be used"],
        ["secrets", "metrifox", "secret 1 of metrifox is weak"],
        ["deliveries", "plain", "the last delivery for plain was refused, and none was verified on the day before"],
        ["alarms", "InboxAgeAlarm", ""],
        ["alarms", "QuarantineAlarm", "the actions of the alarm are disabled, so it notifies nobody"],
        ["alarms", "SweepStoppedAlarm", "the alarm was deleted"],
        ["queues", "cleanup-dead-letter", "1 cleanup message was received five times and never deleted"],
        ["queues", "inbox", "a parked delivery has waited for 70 min"],
        ["table", "deletion protection", "deletion protection is off, but should be on"],
        ["table", "encryption", "encryption is off, but should be on"],
        ["table", "point-in-time recovery", "point-in-time recovery is off, but should be on for 35 days"],
        ["table", "stream", "stream is off, but should be NEW_AND_OLD_IMAGES"],
        ["table", "time to live", "time to live is on, but should be off"],
    ];
    let mut found = findings(&report);
    assert!(found[3][2].starts_with("active since ") && found[3][2].ends_with("See docs/operate.md#inbox-age."));
    found[3][2] = "";
    assert_eq!(found, expected);
    assert_eq!(*errors, format!("{ANNOUNCED}error: 13 findings need a person\n"));
    let disabled = &report["findings"][4]["advice"];
    let enable = format!("aws cloudwatch enable-alarm-actions --alarm-names {}", alarm_name("QuarantineAlarm"));
    assert_eq!(*disabled, enable);
    assert!(!report.to_string().contains("canary"), "a secret or a message: {report}");
}

/// What is not allowed is unknown, and everything else is still shown.
#[tokio::test(flavor = "multi_thread")]
async fn a_missing_permission_hides_nothing_else() {
    let stack = deploy(options()).await;
    let operations = [
        ("ListStackResources", "cloudformation:ListStackResources", 2),
        ("DescribeAlarms", "cloudwatch:DescribeAlarms", 1),
        ("GetMetricStatistics", "cloudwatch:GetMetricStatistics", 4),
        ("GetSecretValue", "secretsmanager:GetSecretValue", 4),
        ("GetQueueAttributes", "sqs:GetQueueAttributes", 8),
        ("Scan", "dynamodb:Scan", 1),
        ("DescribeTable", "dynamodb:DescribeTable", 4),
        ("DescribeContinuousBackups", "dynamodb:DescribeContinuousBackups", 1),
        ("DescribeTimeToLive", "dynamodb:DescribeTimeToLive", 1),
    ];
    let rows = deployed(&stack, &[]).await.1.lines().count();
    for (operation, action, count) in operations {
        stack.aws.deny(&[operation]);
        let report = report(&deployed(&stack, &["--json"]).await);
        let problem = format!("it cannot be read: {action} is not allowed");
        let problems: Vec<_> = findings(&report).into_iter().map(|[_, _, problem]| problem).collect();
        assert_eq!(problems, vec![problem.as_str(); count], "{report}");
        let advice = format!("Allow {action} to your role: docs/deploy.md#permissions-for-the-doctor");
        assert_eq!(report["findings"][0]["advice"], advice);
        let (_, shown, _) = deployed(&stack, &[]).await;
        assert!(
            shown.lines().count() + 1 >= rows && shown.contains(&format!("unknown: {action}: AccessDenied")),
            "{shown}"
        );
    }
    stack.aws.deny(&operations.map(|(operation, ..)| operation));
    let report = report(&deployed(&stack, &["--json"]).await);
    assert_eq!(findings(&report).len(), 2 + 4 + 4 + 8 + 1 + 4 + 2);
}

/// The last run of the scheduled function, from its metrics.
#[tokio::test(flavor = "multi_thread")]
async fn the_last_reconciliation_is_shown() {
    let stack = deploy(options()).await;
    let ago = |minutes| Timestamp::now() - SignedDuration::from_mins(minutes);
    stack.aws.set_parameter("ReconcileIntervalMinutes", "60");
    let count = |metric, counted: &[(Timestamp, f64)]| stack.aws.monitoring().count(metric, "plain", counted);
    let (_, shown, _) = deployed(&stack, &[]).await;
    assert!(shown.contains("off: ReconcileIntervalMinutes is 0"), "no function: {shown}");
    stack.aws.monitoring().add_function("ReconcileFunction");
    count("ReconcileChecked", &[(ago(50), 70.0), (ago(110), 1_000.0)]);
    count("Recovered", &[(ago(50), 2.0), (ago(110), 9.0)]);
    let (_, shown, _) = deployed(&stack, &[]).await;
    assert!(shown.contains("at most 51 min ago: 70 checked, 2 recovered"), "{shown}");
    count("ReconcileChecked", &[(ago(10 * 60), 5.0)]);
    count("ReconcileFailed", &[(ago(10 * 60), 1.0)]);
    let report = report(&deployed(&stack, &["--json"]).await);
    let mut found = findings(&report);
    found.retain(|[_, name, _]| *name == "plain");
    let expected = [
        ["reconciliation", "plain", "plain was not reconciled for 3 h"],
        ["reconciliation", "plain", "the last run for plain did not see all changes"],
    ];
    assert_eq!(found, expected);
}

/// With an API key, Plain says whether it sends webhooks to the stack.
#[tokio::test(flavor = "multi_thread")]
async fn the_webhook_target_of_plain_is_checked() {
    let stack = deploy(options()).await;
    let url = "not read by the command";
    let examine = async |key: &str| {
        let mut command = clientele(&["doctor", "--stack", "test", "--json"]);
        command.env("PLAIN_API_KEY", key).env("PLAIN_API_URL", format!("{}/plain-api", stack.aws.url));
        report(&stack.run_with(command, "").await)
    };
    let lacking =
        json!({ "url": url, "isEnabled": true, "eventSubscriptions": [{ "eventType": "customer.customer_changed" }] });
    let mut disabled = webhook_target_record(url);
    disabled["isEnabled"] = false.into();
    let of_others = webhook_target_record("https://hooks.example.com/webhooks/plain");
    for (target, problem) in [
        (of_others, format!("Plain has no webhook target with the URL {url}")),
        (disabled, format!("Plain's webhook target with the URL {url} is disabled")),
        (
            lacking,
            "Plain's webhook target does not subscribe to customer.customer_group_memberships_changed, \
             customer.customer_deleted"
                .to_owned(),
        ),
    ] {
        stack.aws.monitoring().webhook_targets = vec![target];
        assert_eq!(findings(&examine(PLAIN_KEY).await), [["webhook target", "plain", &problem]]);
    }
    stack.aws.monitoring().webhook_targets = vec![webhook_target_record(url)];
    assert_eq!(examine(PLAIN_KEY).await["facts"]["webhook_target"]["known"]["state"], "ready");
    for (key, problem) in [
        ("another-key-canary", "the API does not accept the key"),
        ("schlüssel-canary", "PLAIN_API_KEY cannot be used: it contains characters other than visible ASCII"),
    ] {
        let report = examine(key).await;
        let problem = format!("it cannot be read: webhookTarget:read: {problem}");
        assert_eq!(findings(&report), [["webhook target", "plain", &problem]]);
        assert!(!report.to_string().contains("canary"), "{report}");
    }
    assert_eq!(
        examine("").await["facts"]["webhook_target"],
        json!({ "not_applicable": "not checked: PLAIN_API_KEY is not set" })
    );
}
