//! Secrets in Secrets Manager: read at the start, refreshed after five minutes, and after a mismatch at most once a
//! minute.

use clientele::events::signed_at;
use clientele::stack::{CapturedLog, LocalStack};
use clientele_aws::Receiver;
use jiff::SignedDuration;
use serde_json::json;

use crate::support::aws::AwsStandIn;
use crate::support::{case, handle, json_lines, metrics, scheme, stack, start_receiver};

const OLD: &str = "the-old-secret-of-smarterpay";
const NEW: &str = "the-new-secret-of-smarterpay";
const RIGHT: &str = "the-right-secret";
const WRONG: &str = "the-wrong-secret";
const SET: &str = "a-secret-that-is-set";
const PROBLEMS: &str = "SecretProblems clientele-smarterpay smarterpay";

/// A stack, and Secrets Manager with that secret of SmarterPay.
async fn stack_with_secret(secret: &str) -> (LocalStack, AwsStandIn) {
    let stack = stack().await;
    let aws = AwsStandIn::start(&stack).await;
    aws.set_secret("smarterpay", secret);
    (stack, aws)
}

/// Starts SmarterPay's function so that it reads its secret from Secrets Manager.
async fn start(stack: &LocalStack, aws: &AwsStandIn, log: &CapturedLog) -> Receiver {
    let mut environment = stack.environments["smarterpay"].clone();
    environment.remove("WEBHOOK_SECRETS");
    let provider = case("smarterpay/customer-created").provider;
    start_receiver(provider, &environment, &aws.clients(), log).await
}

/// How often the secret was read since this was last asked.
fn reads(aws: &AwsStandIn) -> usize {
    aws.take_calls().iter().filter(|call| call.operation == "secretsmanager.GetSecretValue").count()
}

/// The status of an event that is signed with `secret`, and delivered so many seconds after the start.
async fn status(receiver: &Receiver, secret: &str, seconds: i64) -> u16 {
    let case = case("smarterpay/customer-created");
    let now = signed_at() + SignedDuration::from_secs(seconds);
    let event = case.sign(&scheme(case), secret, now).unwrap();
    handle(receiver, &event, now).await.status_code
}

#[tokio::test]
async fn secrets_are_rotated_without_losing_a_delivery() {
    let (stack, aws) = stack_with_secret(OLD).await;
    let receiver = start(&stack, &aws, &CapturedLog::default()).await;
    assert_eq!(status(&receiver, OLD, 1).await, 200);
    assert_eq!(reads(&aws), 1);

    // Both are valid. The first delivery that is signed with the new one makes the function read the secrets again.
    aws.set_secret("smarterpay", &json!([NEW, OLD]).to_string());
    assert_eq!(status(&receiver, NEW, 60).await, 498, "the secrets are not older than a minute");
    assert_eq!(reads(&aws), 0);
    assert_eq!(status(&receiver, NEW, 61).await, 200);
    assert_eq!(status(&receiver, OLD, 62).await, 200);
    assert_eq!(reads(&aws), 1);

    // The old one is refused from the next refresh on, at the latest after five minutes.
    aws.set_secret("smarterpay", NEW);
    assert_eq!(status(&receiver, OLD, 361).await, 200);
    assert_eq!(status(&receiver, OLD, 362).await, 498);
    assert_eq!(reads(&aws), 1);
}

#[tokio::test]
async fn forged_deliveries_read_the_secret_at_most_once_a_minute() {
    let (stack, aws) = stack_with_secret(RIGHT).await;
    let receiver = start(&stack, &aws, &CapturedLog::default()).await;
    for seconds in 0..60 {
        assert_eq!(status(&receiver, WRONG, 100 + seconds).await, 498);
    }
    assert_eq!(reads(&aws), 2, "once at the start, once for the first mismatch");
    // The same while Secrets Manager fails. The secrets that were read before stay valid.
    aws.remove_secret("smarterpay");
    for seconds in 0..60 {
        assert_eq!(status(&receiver, WRONG, 200 + seconds).await, 503);
        assert_eq!(status(&receiver, RIGHT, 200 + seconds).await, 200);
    }
    assert_eq!(reads(&aws), 1);
}

#[tokio::test]
async fn a_delivery_without_a_signature_reads_no_secret() {
    let (stack, aws) = stack_with_secret(RIGHT).await;
    let receiver = start(&stack, &aws, &CapturedLog::default()).await;
    let now = signed_at() + SignedDuration::from_secs(200);
    assert_eq!(handle(&receiver, &json!({}), now).await.status_code, 498);
    assert_eq!(reads(&aws), 1);
}

#[tokio::test]
async fn an_empty_secret_refuses_until_it_is_set() {
    let (stack, aws) = stack_with_secret("[]").await;
    let receiver = start(&stack, &aws, &CapturedLog::default()).await;
    assert_eq!(status(&receiver, SET, 1).await, 498);
    aws.set_secret("smarterpay", SET);
    assert_eq!(status(&receiver, SET, 61).await, 200);
}

/// Operators can remove the old secret once it no longer matches. A failed refresh is a warning on the same line.
#[tokio::test]
async fn the_log_says_which_secret_matched() {
    let log = CapturedLog::default();
    let (stack, aws) = stack_with_secret(&json!([NEW, OLD]).to_string()).await;
    let receiver = start(&stack, &aws, &log).await;
    aws.remove_secret("smarterpay");
    for (secret, seconds) in [(OLD, 1), (NEW, 2), (WRONG, 3), (OLD, 400), (WRONG, 500)] {
        status(&receiver, secret, seconds).await;
    }
    let lines = json_lines(&log);
    let of = |name: &str| lines.iter().map(|line| line[name].as_str().unwrap_or("-").to_owned()).collect::<Vec<_>>();
    assert_eq!(of("secret"), ["2", "1", "-", "2", "-"]);
    let verified: Vec<_> = lines.iter().map(|line| line["Verified"].as_u64().unwrap_or_default()).collect();
    assert_eq!(verified, [1, 1, 0, 1, 0]);
    let not_fetched = "secrets not fetched: Secrets Manager: DecryptionFailure";
    assert_eq!(of("warning"), ["-", "-", "-", not_fetched, not_fetched]);
    assert_eq!(of("reason"), ["-", "-", "mismatch", "-", "secrets_not_fetched"]);
    assert_eq!(of("level"), ["INFO", "INFO", "WARNING", "WARNING", "ERROR"]);
    let problems: Vec<_> = lines.iter().map(|line| metrics(line).contains_key(PROBLEMS)).collect();
    assert_eq!(problems, [false, false, false, true, true]);
}
