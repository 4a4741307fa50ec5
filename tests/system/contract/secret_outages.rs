//! Secrets that cannot be fetched or used: a function starts without them, uses the old ones for up to an hour, and never
//! refuses a delivery because of it.

use std::collections::BTreeMap;
use std::time::Instant;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use clientele::events::signed_at;
use clientele::stack::{CapturedLog, LocalStack};
use clientele_aws::{HttpResponse, Receiver};
use clientele_flow::deadlines::{PROVIDER_TIMEOUT, SECRETS_REFRESH_TIMEOUT, START_WITHIN};
use jiff::{SignedDuration, Timestamp};
use rstest::rstest;
use serde_json::{Value, json};

use crate::support::aws::AwsStandIn;
use crate::support::{case, handle, json_lines, metrics, scheme, stack, start_receiver};

const RIGHT: &str = "the-right-secret-of-plain";
const OTHER: &str = "another-secret-of-plain";

/// What is wrong with Secrets Manager, or with the secret in it.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Outage {
    Failing,
    Hanging,
    Denied,
    Binary,
    BrokenJson,
    NothingUsable,
}

/// Plain's function, which reads its secret from Secrets Manager.
struct Plain {
    aws: AwsStandIn,
    environment: BTreeMap<String, String>,
    log: CapturedLog,
    _stack: LocalStack,
}

impl Plain {
    async fn new() -> Self {
        let stack = stack().await;
        let aws = AwsStandIn::start(&stack).await;
        aws.set_secret("plain", RIGHT);
        let mut environment = stack.environments["plain"].clone();
        environment.remove("WEBHOOK_SECRETS");
        Self { aws, environment, log: CapturedLog::default(), _stack: stack }
    }

    async fn start(&self) -> Receiver {
        let provider = case("plain/customer-created").provider;
        start_receiver(provider, &self.environment, &self.aws.clients(), &self.log).await
    }

    fn begin(&self, outage: Outage) {
        match outage {
            Outage::Failing => self.aws.fail(&["GetSecretValue"]),
            Outage::Hanging => self.aws.hang("GetSecretValue"),
            Outage::Denied => self.aws.remove_secret("plain"),
            Outage::Binary => self.aws.set_binary_secret("plain"),
            Outage::BrokenJson => self.aws.set_secret("plain", &format!(r#"["{RIGHT}""#)),
            Outage::NothingUsable => self.aws.set_secret("plain", r#"["", 1]"#),
        }
    }

    fn end(&self) {
        self.aws.recover();
        self.aws.set_secret("plain", RIGHT);
    }

    /// How often the secret was read since this was last asked.
    fn reads(&self) -> usize {
        self.aws.take_calls().iter().filter(|call| call.operation == "secretsmanager.GetSecretValue").count()
    }
}

fn after(milliseconds: i64) -> Timestamp {
    signed_at() + SignedDuration::from_millis(milliseconds)
}

/// The answer to an event that is signed with `secret` at a time after the start.
async fn answer(receiver: &Receiver, secret: &str, now: Timestamp) -> HttpResponse {
    let case = case("plain/customer-created");
    let event = case.sign(&scheme(case), secret, now).unwrap();
    handle(receiver, &event, now).await
}

async fn status(receiver: &Receiver, secret: &str, seconds: i64) -> u16 {
    answer(receiver, secret, after(seconds * 1_000)).await.status_code
}

fn assert_unverifiable(answer: &HttpResponse) {
    assert_eq!((answer.status_code, answer.body.as_deref()), (503, Some(r#"{"outcome":"unverifiable"}"#)));
    assert_eq!(answer.headers["retry-after"], "5");
}

/// A function starts without its secrets, and a delivery fetches them as soon as that is possible.
#[rstest]
#[case(Outage::Failing)]
#[case(Outage::Hanging)]
#[case(Outage::Denied)]
#[case(Outage::Binary)]
#[case(Outage::BrokenJson)]
#[case(Outage::NothingUsable)]
#[tokio::test(flavor = "multi_thread")]
async fn a_function_starts_without_secrets(#[case] outage: Outage) {
    let plain = Plain::new().await;
    plain.begin(outage);
    let started = Instant::now();
    let receiver = plain.start().await;
    assert!(started.elapsed() < START_WITHIN + SECRETS_REFRESH_TIMEOUT, "{:?}", started.elapsed());
    plain.reads();
    assert_unverifiable(&answer(&receiver, RIGHT, after(1)).await);
    assert!(started.elapsed() < PROVIDER_TIMEOUT, "{:?}", started.elapsed());
    assert_eq!(plain.reads(), 1, "the first delivery does not wait");

    plain.end();
    assert_unverifiable(&answer(&receiver, RIGHT, after(1_001)).await);
    assert_eq!(plain.reads(), 0, "within a second after the last attempt");
    assert_eq!(answer(&receiver, RIGHT, after(1_002)).await.status_code, 200);
    assert_eq!(status(&receiver, OTHER, 2).await, 401);
    assert_eq!(plain.reads(), 1);
}

#[tokio::test]
async fn a_function_that_failed_at_its_start_fetches_at_once() {
    let plain = Plain::new().await;
    plain.begin(Outage::Failing);
    let receiver = plain.start().await;
    plain.end();
    assert_eq!(answer(&receiver, RIGHT, signed_at()).await.status_code, 200);
}

/// Secrets that are five minutes old are fetched again, and a failure is repeated after a minute.
#[rstest]
#[case(Outage::Failing)]
#[case(Outage::Hanging)]
#[case(Outage::Denied)]
#[case(Outage::Binary)]
#[case(Outage::BrokenJson)]
#[case(Outage::NothingUsable)]
#[tokio::test(flavor = "multi_thread")]
async fn old_secrets_are_used_during_an_outage(#[case] outage: Outage) {
    let plain = Plain::new().await;
    let receiver = plain.start().await;
    plain.begin(outage);
    assert_eq!(status(&receiver, RIGHT, 300).await, 200);
    assert_eq!(plain.reads(), 1, "at the start");
    for seconds in [301, 302, 361] {
        assert_eq!(status(&receiver, RIGHT, seconds).await, 200);
        assert_unverifiable(&answer(&receiver, OTHER, after(seconds * 1_000)).await);
    }
    assert_eq!(plain.reads(), 1, "one attempt in a minute");
    plain.end();
    plain.aws.set_secret("plain", OTHER);
    assert_eq!(status(&receiver, RIGHT, 362).await, 401, "removed");
    assert_eq!(status(&receiver, OTHER, 363).await, 200);
    assert_eq!(plain.reads(), 1);
}

/// A delivery that matches no secret is not refused while newer secrets cannot be fetched. What newer secrets could not
/// change is refused.
#[rstest]
#[case(Outage::Failing)]
#[case(Outage::Hanging)]
#[case(Outage::Denied)]
#[case(Outage::Binary)]
#[case(Outage::BrokenJson)]
#[case(Outage::NothingUsable)]
#[tokio::test(flavor = "multi_thread")]
async fn a_mismatch_during_an_outage_is_not_refused(#[case] outage: Outage) {
    let plain = Plain::new().await;
    let receiver = plain.start().await;
    assert_eq!(status(&receiver, OTHER, 60).await, 401, "the secrets are not older than a minute");
    plain.begin(outage);
    plain.reads();
    for seconds in 61..=65 {
        assert_unverifiable(&answer(&receiver, OTHER, after(seconds * 1_000)).await);
        assert_eq!(status(&receiver, RIGHT, seconds).await, 200);
    }
    assert_eq!(plain.reads(), 1);
    assert_eq!(handle(&receiver, &json!({ "body": "{}" }), after(66_000)).await.status_code, 401, "not signed");
    let case = case("plain/customer-created");
    let old = case.sign(&scheme(case), RIGHT, signed_at() - SignedDuration::from_mins(5)).unwrap();
    assert_eq!(handle(&receiver, &old, after(66_000)).await.status_code, 401, "too old");
    plain.end();
    assert_eq!(status(&receiver, OTHER, 122).await, 401);
}

/// A secret that was removed stops working within an hour, even if that cannot be noticed.
#[rstest]
#[case(Outage::Failing)]
#[case(Outage::BrokenJson)]
#[tokio::test]
async fn secrets_are_used_for_an_hour_at_most(#[case] outage: Outage) {
    let plain = Plain::new().await;
    let receiver = plain.start().await;
    plain.begin(outage);
    for minutes in 1..=60 {
        assert_eq!(status(&receiver, RIGHT, minutes * 60).await, 200, "after {minutes} minutes");
    }
    assert_unverifiable(&answer(&receiver, RIGHT, after(3_600_001)).await);
    plain.end();
    assert_eq!(status(&receiver, RIGHT, 3_602).await, 200);
}

/// A clock that was set back does not extend the time for which old secrets are used.
#[tokio::test]
async fn a_clock_that_was_set_back_does_not_keep_secrets_valid() {
    let plain = Plain::new().await;
    let receiver = plain.start().await;
    plain.aws.set_secret("plain", OTHER);
    assert_eq!(status(&receiver, RIGHT, -301).await, 401);
    plain.begin(Outage::Failing);
    assert_unverifiable(&answer(&receiver, OTHER, after(-301_000 - 3_600_001)).await);
}

/// The limit holds however many deliveries arrive, forged or not.
#[tokio::test]
async fn without_secrets_they_are_requested_once_a_second() {
    let plain = Plain::new().await;
    plain.begin(Outage::Failing);
    let receiver = plain.start().await;
    plain.reads();
    for tenths in 0..50 {
        assert_unverifiable(&answer(&receiver, OTHER, after(tenths * 100)).await);
    }
    assert_eq!(plain.reads(), 5);
}

/// "No secret" is a decision of the operator, and no outage.
#[rstest]
#[case("")]
#[case(" \n")]
#[case("[]")]
#[tokio::test]
async fn an_empty_list_is_no_outage(#[case] text: &str) {
    let plain = Plain::new().await;
    plain.aws.set_secret("plain", text);
    let receiver = plain.start().await;
    assert_eq!(status(&receiver, RIGHT, 1).await, 401);
    let lines = json_lines(&plain.log);
    assert_eq!((&lines[0]["reason"], &lines[0]["warning"]), (&json!("no_secret"), &Value::Null));
}

/// The log line and a metric name the secret that cannot be used.
#[tokio::test]
async fn an_unusable_secret_of_several_is_reported() {
    let plain = Plain::new().await;
    plain.aws.set_secret("plain", &json!(["", RIGHT, 7]).to_string());
    let receiver = plain.start().await;
    assert_eq!((status(&receiver, RIGHT, 1).await, status(&receiver, OTHER, 2).await), (200, 401));
    plain.aws.set_secret("plain", RIGHT);
    assert_eq!(status(&receiver, RIGHT, 302).await, 200);
    let problems = |line: &Value| metrics(line).remove("SecretProblems clientele-plain plain");
    let lines = json_lines(&plain.log);
    let seen: Vec<_> = lines.iter().map(|line| (line["warning"].as_str(), problems(line))).collect();
    let reported = (Some("secrets: secret 1 is empty; secret 3 is not text"), Some(1));
    assert_eq!(seen, [reported, reported, (None, None)]);
    assert_eq!(lines[0]["secret"], "2", "the position in the list");
    let outcomes = |line: &Value| line["outcome"].as_str().unwrap().to_owned();
    assert_eq!(lines.iter().map(outcomes).collect::<Vec<_>>(), ["applied", "rejected", "duplicate"]);
}

/// `unavailable` and `rejected` do not count what could not be verified.
#[tokio::test]
async fn what_could_not_be_verified_has_its_own_metric() {
    let plain = Plain::new().await;
    plain.begin(Outage::Failing);
    let receiver = plain.start().await;
    assert_unverifiable(&answer(&receiver, OTHER, after(1)).await);
    let lines = json_lines(&plain.log);
    let [line] = &lines[..] else { panic!("one line: {lines:?}") };
    let metrics = metrics(line).into_keys().collect::<Vec<_>>();
    let expected = ["ColdStart clientele-plain plain", "Events clientele-plain plain"];
    let expected =
        [&expected[..], &["Events clientele-plain plain unverifiable", "SecretProblems clientele-plain plain"]];
    assert_eq!(metrics, expected.concat());
    assert_eq!(line["level"], "ERROR");
    assert_eq!(line["reason"], "secrets_not_fetched");
    assert_eq!(line["warning"], "secrets not fetched: Secrets Manager: an error without a code");
}

/// Anybody could present an empty secret.
#[rstest]
#[case("metrifox", "", "", 503)]
#[case("metrifox", "", " ", 503)]
#[case("metrifox", "a-good-secret-of-metrifox", "", 401)]
#[case("metrifox", "a-good-secret-of-metrifox", " ", 401)]
#[case("smarterpay", "", ":", 503)]
#[case("smarterpay", "user:password", ":", 498)]
#[case("smarterpay", "user:password", "user:", 498)]
#[tokio::test]
async fn nothing_is_accepted_with_an_empty_secret(
    #[case] provider: &str,
    #[case] good: &str,
    #[case] presented: &str,
    #[case] status: u16,
) {
    let stack = stack().await;
    let aws = AwsStandIn::start(&stack).await;
    let secrets: Vec<_> =
        ["", " ", ":", " : ", good].into_iter().filter(|it| provider != "metrifox" || !it.contains(':')).collect();
    aws.set_secret(provider, &json!(secrets).to_string());
    let mut environment = stack.environments[provider].clone();
    environment.remove("WEBHOOK_SECRETS");
    environment.insert("SMARTERPAY_SIGNATURE".to_owned(), "basic".to_owned());
    let provider = clientele_providers::find(provider).unwrap();
    let receiver = start_receiver(provider, &environment, &aws.clients(), &CapturedLog::default()).await;
    let authorization = format!("Basic {}", BASE64_STANDARD.encode(presented));
    let event = json!({ "headers": { "authorization": authorization }, "pathParameters": { "token": presented }, "body": "{}" });
    assert_eq!(handle(&receiver, &event, signed_at()).await.status_code, status);
}
