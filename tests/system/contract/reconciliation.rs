//! The function `reconcile`: what it finds, what it writes, and what it reports. Which changes it looks at is tested in
//! `shared/aws/src/reconcile_event.rs`.

use std::collections::BTreeMap;

use clientele::demonstration;
use clientele::events::signed_at;
use clientele::stack::{CapturedLog, LocalStack};
use clientele_aws::{ProviderReconciliation, Receiver};
use clientele_model::SampleEvent;
use jiff::SignedDuration;
use rstest::rstest;
use serde_json::{Value, json};

use crate::support::aws::AwsStandIn;
use crate::support::deliveries::{CREATED, DELETED, UPDATED, change, deliver, pk};
use crate::support::list_apis::ListApis;
use crate::support::{drain, handle, invocation, json_lines, reconciler, stack};

const PROVIDERS: [&str; 2] = ["plain", "flexprice"];

/// A stack, the list APIs, and AWS between the stack and its functions.
struct World {
    stack: LocalStack,
    aws: AwsStandIn,
    receivers: BTreeMap<&'static str, Receiver>,
    lists: ListApis,
    log: CapturedLog,
}

impl World {
    async fn new() -> Self {
        let stack = stack().await;
        let (aws, receivers) = AwsStandIn::with_receivers(&stack).await;
        let (lists, log) = (ListApis::default(), CapturedLog::default());
        for provider in PROVIDERS {
            aws.set_api_key(provider, "key-of-this-test\n");
        }
        Self { stack, aws, receivers, lists, log }
    }

    /// Changes whose webhooks arrive.
    async fn arrive(&self, provider: &str, changes: &[SampleEvent]) {
        for change in changes {
            let event = deliver(provider, std::slice::from_ref(change), signed_at());
            assert_eq!(handle(&self.receivers[provider], &event, signed_at()).await.status_code, 200);
        }
    }

    /// Compares everything that changed in the last two days.
    async fn reconcile(&self, variables: &[(&str, &str)]) -> BTreeMap<&'static str, ProviderReconciliation> {
        let keys = [("PLAIN_API_KEY", ""), ("FLEXPRICE_API_KEY", "")];
        let variables = [&keys[..], variables].concat();
        let (environments, clients) = (&self.stack.environments, self.aws.clients());
        let reconciler = reconciler(environments, &variables, &clients, self.lists.connect(), &self.log);
        let since = signed_at() - SignedDuration::from_hours(48);
        self.aws.take_calls();
        reconciler.handle(&json!({ "since": since.to_string() }), &invocation(signed_at())).await.unwrap()
    }

    /// The names of the calls since the last reconciliation began, without those for API keys.
    fn calls(&self) -> Vec<String> {
        let calls = self.aws.take_calls().into_iter().map(|call| call.operation.split_once('.').unwrap().1.to_owned());
        calls.filter(|call| call != "GetSecretValue").collect()
    }

    async fn item(&self, provider: &str, customer: &str) -> Value {
        let pk = pk(provider, customer);
        let items = demonstration::items(&self.stack, [&pk].into_iter()).await.unwrap();
        items.get(&pk).cloned().unwrap_or_default()
    }
}

/// What a run found of a provider, as in the answer of the function.
fn compared(results: &BTreeMap<&'static str, ProviderReconciliation>, provider: &str) -> Value {
    serde_json::to_value(&results[provider]).unwrap()["compared"].clone()
}

fn customers(number: u32) -> Vec<SampleEvent> {
    (0..number).map(|number| change(&format!("c{number}"), 1_000 * i64::from(number), number, CREATED)).collect()
}

#[tokio::test]
async fn in_normal_operation_nothing_is_written() {
    let world = World::new().await;
    for provider in PROVIDERS {
        world.arrive(provider, &customers(8)).await;
        world.lists.set(provider, &customers(8));
    }
    let results = world.reconcile(&[]).await;
    for provider in PROVIDERS {
        let compared = compared(&results, provider);
        let expected = json!({ "checked": 8, "recovered": 0, "different": 0, "untranslatable": 0, "deletes": 0,
            "deletes_applied": 0, "deletes_unverified": 0, "failure": null });
        assert_eq!(compared, expected, "{provider}");
    }
    assert!(world.calls().iter().all(|call| call == "GetItem"));
}

/// Whether the customer's last change was lost, or its first one.
#[rstest]
#[case::an_update(true)]
#[case::a_customer(false)]
#[tokio::test]
async fn a_lost_webhook_is_recovered_once(#[case] is_known: bool) {
    let world = World::new().await;
    for provider in PROVIDERS {
        if is_known {
            world.arrive(provider, &customers(3)).await;
        } else {
            world.arrive(provider, &customers(2)).await;
        }
        let mut listed = customers(2);
        listed.push(change("c2", 60_000, 9, UPDATED));
        world.lists.set(provider, &listed);
    }
    for recovered in [1, 0] {
        let results = world.reconcile(&[]).await;
        let lines = json_lines(&world.log);
        for provider in PROVIDERS {
            let compared = compared(&results, provider);
            assert_eq!((&compared["checked"], &compared["recovered"]), (&json!(3), &json!(recovered)), "{provider}");
            let item = world.item(provider, "c2").await;
            assert_eq!(item["profile"]["display_name"], "c2 v60000 e9", "{provider}: {item}");
            assert_eq!(item["last_event"]["type"], "import");
            let line = lines.iter().find(|line| line["provider"] == provider).unwrap();
            assert_eq!((&line["Recovered"], &line["ReconcileFailed"]), (&json!(recovered), &json!(0)));
            assert_eq!(line["level"], if recovered == 1 { "WARNING" } else { "INFO" });
        }
    }
}

/// A webhook may still be on its way.
#[tokio::test]
async fn a_change_that_may_still_arrive_is_left_alone() {
    let world = World::new().await;
    let hour_before_the_event = 23 * 60 * 60 * 1_000;
    let changes =
        [change("early", hour_before_the_event - 1_000, 1, CREATED), change("late", hour_before_the_event, 2, CREATED)];
    for provider in PROVIDERS {
        world.lists.set(provider, &changes);
    }
    let results = world.reconcile(&[]).await;
    for provider in PROVIDERS {
        assert_eq!(compared(&results, provider)["recovered"], 1, "{provider}");
        assert_eq!(world.item(provider, "late").await, Value::Null);
    }
    let results = world.reconcile(&[("RECONCILE_SETTLE_MINUTES", "59")]).await;
    assert!(PROVIDERS.iter().all(|provider| compared(&results, provider)["recovered"] == 1));
}

/// Only Flexprice lists the customers that it has deleted.
#[tokio::test]
async fn lost_deletes_are_reported_or_applied() {
    let world = World::new().await;
    world.arrive("flexprice", &customers(3)).await;
    let mut listed = customers(2);
    listed.push(change("c2", 60_000, 9, DELETED));
    world.lists.set("flexprice", &listed);
    let counts = |results| {
        let compared = compared(&results, "flexprice");
        (compared["deletes"].as_u64().unwrap(), compared["deletes_applied"].as_u64().unwrap())
    };
    assert_eq!(counts(world.reconcile(&[]).await), (1, 0));
    assert!(world.calls().iter().all(|call| call == "GetItem"));
    assert_eq!(world.item("flexprice", "c2").await["status"], "active");

    let apply = [("RECONCILE_DELETES", "apply")];
    assert_eq!(counts(world.reconcile(&apply).await), (1, 1));
    assert_eq!(world.item("flexprice", "c2").await["status"], "deleted");
    let messages = drain(&world.stack, "cleanup").await;
    assert_eq!(messages.len(), 1);
    assert_eq!(messages[0]["cleanup_id"], pk("flexprice", "c2"));
    let lines = json_lines(&world.log);
    let deletes: Vec<_> = lines.iter().filter(|line| line["provider"] == "flexprice").collect();
    assert!(deletes.iter().all(|line| line["ReconcileDeletes"] == 1), "{lines:?}");

    assert_eq!(counts(world.reconcile(&apply).await), (0, 0));
    assert!(drain(&world.stack, "cleanup").await.is_empty());
}

/// A provider without a key is skipped, which is no failure.
#[rstest]
#[case("[]")]
#[case("")]
#[tokio::test]
async fn a_provider_without_a_key_is_skipped(#[case] nothing: &str) {
    let world = World::new().await;
    world.aws.set_api_key("plain", nothing);
    world.lists.set("flexprice", &customers(1));
    let results = world.reconcile(&[]).await;
    assert_eq!(results["plain"], ProviderReconciliation::NoApiKey);
    assert_eq!(compared(&results, "flexprice")["recovered"], 1);
    let lines = json_lines(&world.log);
    let line = lines.iter().find(|line| line["provider"] == "plain").unwrap();
    assert_eq!((&line["level"], &line["reason"]), (&json!("INFO"), &json!("no API key is set")));
    let metrics = (&line["ReconcileFailed"], &line["Recovered"], &line["ReconcileChecked"]);
    assert_eq!(metrics, (&json!(0), &json!(0), &Value::Null), "what an earlier run found is over: {line}");
}

/// A provider that fails does not affect the other one.
#[rstest]
#[case::wrong_key(401, "the API does not accept the key: is it right, with the permission customer:read?")]
#[case::refused(400, "the API refuses the request with status 400")]
#[tokio::test]
async fn a_provider_that_fails_does_not_affect_the_other(#[case] status: u16, #[case] failure: &str) {
    let world = World::new().await;
    world.lists.set("flexprice", &customers(1));
    world.lists.fail("plain", status);
    let results = world.reconcile(&[]).await;
    assert_eq!(compared(&results, "plain")["failure"], failure);
    assert_eq!(compared(&results, "flexprice")["recovered"], 1);
    let lines = json_lines(&world.log);
    let failed = |provider| lines.iter().find(|line| line["provider"] == provider).unwrap()["ReconcileFailed"].clone();
    assert_eq!((failed("plain"), failed("flexprice")), (json!(1), json!(0)));
    let line = lines.iter().find(|line| line["provider"] == "plain").unwrap();
    assert_eq!((&line["level"], &line["reason"]), (&json!("ERROR"), &json!(failure)));
    assert_eq!(line["Recovered"], Value::Null, "it is not known whether webhooks are being lost: {line}");
}

/// What is wrong with the key itself.
#[rstest]
#[case(r#"["one", "two"]"#, "the API key in Secrets Manager cannot be used: it is not one key as plain text")]
#[case("[one", "the API key in Secrets Manager cannot be used: it begins with `[` but is not a JSON array")]
#[tokio::test]
async fn a_key_that_cannot_be_used_is_a_failure(#[case] key: &str, #[case] failure: &str) {
    let world = World::new().await;
    world.aws.set_api_key("plain", key);
    assert_eq!(compared(&world.reconcile(&[]).await, "plain")["failure"], failure);
}

#[tokio::test]
async fn a_key_that_cannot_be_fetched_is_a_failure() {
    let world = World::new().await;
    world.aws.fail(&["GetSecretValue"]);
    let results = world.reconcile(&[]).await;
    for provider in PROVIDERS {
        let failure = compared(&results, provider)["failure"].as_str().unwrap().to_owned();
        assert!(failure.starts_with("the API key was not fetched: Secrets Manager: "), "{failure}");
    }
}

/// Nothing is lost: the next run finds the same changes.
#[tokio::test]
async fn a_table_that_fails_is_a_failure() {
    let world = World::new().await;
    for provider in PROVIDERS {
        world.lists.set(provider, &customers(1));
    }
    world.aws.fail(&["PutItem"]);
    let results = world.reconcile(&[]).await;
    for provider in PROVIDERS {
        let compared = compared(&results, provider);
        assert!(compared["failure"].as_str().unwrap().contains("the table cannot be used"), "{compared}");
        assert_eq!(compared["recovered"], 0);
    }
    world.aws.recover();
    let results = world.reconcile(&[]).await;
    assert!(PROVIDERS.iter().all(|provider| compared(&results, provider)["recovered"] == 1));
}

/// An alarm looks at the last minutes, and adds what the providers have in the same five. A run may take longer.
#[tokio::test]
async fn the_metrics_have_the_time_at_which_the_run_ended() {
    let world = World::new().await;
    let takes = std::time::Duration::from_millis(50);
    world.lists.slow_down("plain", takes);
    world.reconcile(&[]).await;
    let lines = json_lines(&world.log);
    let times: Vec<_> = lines.iter().map(|line| line["_aws"]["Timestamp"].as_i64().unwrap()).collect();
    assert_eq!(times.len(), 2);
    assert!(times[0] == times[1] && times[0] >= signed_at().as_millisecond() + 50, "{times:?}");
}

/// The line has only these keys, and nothing of a customer, a URL or a key.
#[tokio::test]
async fn a_line_describes_the_run() {
    let world = World::new().await;
    world.lists.set("plain", &customers(1));
    world.reconcile(&[]).await;
    let lines = json_lines(&world.log);
    let line = lines.iter().find(|line| line["provider"] == "plain").unwrap();
    let mut keys: Vec<_> = line.as_object().unwrap().keys().map(String::as_str).collect();
    keys.sort_unstable();
    let metrics = ["ReconcileChecked", "ReconcileDeletes", "ReconcileDifferent", "ReconcileFailed"];
    let more_metrics = ["ReconcileUntranslatable", "Recovered"];
    let described = ["_aws", "cold_start", "duration_ms", "function_request_id", "level", "message", "provider"];
    let more = ["service", "since", "timestamp", "until"];
    let mut expected: Vec<_> = metrics.into_iter().chain(more_metrics).chain(described).chain(more).collect();
    expected.sort_unstable();
    assert_eq!(keys, expected);
    assert_eq!((&line["service"], &line["message"]), (&json!("clientele-reconcile"), &json!("reconciliation")));
    let hours_ago = |hours| format!("{:.3}", signed_at() - SignedDuration::from_hours(hours));
    assert_eq!((&line["since"], &line["until"]), (&json!(hours_ago(48)), &json!(hours_ago(1))));
}
