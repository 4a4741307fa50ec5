//! Secrets of Secrets Manager: fetched at the start, kept for five minutes, and looked for once a minute after a
//! mismatch.

use clientele::events::signed_at;
use clientele::stack::{Captured, Stack};
use clientele_aws::{Config, Receiver};
use jiff::{SignedDuration, Timestamp};

use crate::support::aws::Manager;
use crate::support::{case, handle, json_lines, scheme, stack};

async fn start(stack: &Stack, manager: &Manager) -> Result<Receiver, String> {
    start_writing(stack, manager, &Captured::default()).await
}

async fn start_writing(stack: &Stack, manager: &Manager, written: &Captured) -> Result<Receiver, String> {
    let environment = |name: &str| match name {
        "WEBHOOK_SECRETS" => None,
        name => stack.environments["smarterpay"].get(name).cloned(),
    };
    let provider = case("smarterpay/customer-created").known.provider;
    let config = Config::read(provider, environment).unwrap();
    let clients = manager.clients(stack).await;
    Receiver::start(provider, config, &clients, written.lines(), signed_at()).await.map_err(|error| error.to_string())
}

/// Delivers an event that is signed with `secret`, so many seconds after the start.
async fn status(receiver: &Receiver, secret: &str, seconds: i64) -> u16 {
    let case = case("smarterpay/customer-created");
    let now: Timestamp = signed_at() + SignedDuration::from_secs(seconds);
    let event = case.fresh(&scheme(&case), secret, now).unwrap().event;
    handle(receiver, &event, now).await.status_code
}

#[tokio::test]
async fn secrets_are_rotated_without_losing_a_delivery() {
    let (stack, manager) = (stack().await, Manager::default());
    manager.set(Some("old"));
    let receiver = start(&stack, &manager).await.unwrap();
    assert_eq!(status(&receiver, "old", 1).await, 200);
    assert_eq!(manager.asked(), 1);

    // Both are valid; the operator has just set it, and the first delivery with the new one looks for it.
    manager.set(Some(r#"["new", "old"]"#));
    assert_eq!(status(&receiver, "new", 60).await, 498, "secrets are a minute old, not older");
    assert_eq!(manager.asked(), 1);
    assert_eq!(status(&receiver, "new", 61).await, 200);
    assert_eq!(status(&receiver, "old", 62).await, 200);
    assert_eq!(manager.asked(), 2);

    // The old one is gone at the next refresh, at the latest after five minutes.
    manager.set(Some("new"));
    assert_eq!(status(&receiver, "old", 361).await, 200);
    assert_eq!(status(&receiver, "old", 362).await, 498);
    assert_eq!(manager.asked(), 3);
}

#[tokio::test]
async fn forgers_cannot_make_us_call() {
    let (stack, manager) = (stack().await, Manager::default());
    manager.set(Some("right"));
    let receiver = start(&stack, &manager).await.unwrap();
    for seconds in 0..60 {
        assert_eq!(status(&receiver, "wrong", 100 + seconds).await, 498);
    }
    assert_eq!(manager.asked(), 2, "once at the start, once for the first mismatch");
    // Nor when Secrets Manager fails, which costs nothing but the refresh.
    manager.set(None);
    for seconds in 0..60 {
        assert_eq!(status(&receiver, "wrong", 200 + seconds).await, 498);
        assert_eq!(status(&receiver, "right", 200 + seconds).await, 200);
    }
    assert_eq!(manager.asked(), 3);
}

#[tokio::test]
async fn nothing_but_a_mismatch_looks_for_newer_secrets() {
    let (stack, manager) = (stack().await, Manager::default());
    manager.set(Some("right"));
    let receiver = start(&stack, &manager).await.unwrap();
    let now = signed_at() + SignedDuration::from_secs(200);
    assert_eq!(handle(&receiver, &serde_json::json!({}), now).await.status_code, 498);
    assert_eq!(manager.asked(), 1);
}

#[tokio::test]
async fn an_empty_secret_refuses_until_it_is_set() {
    let (stack, manager) = (stack().await, Manager::default());
    manager.set(Some("[]"));
    let receiver = start(&stack, &manager).await.unwrap();
    assert_eq!(status(&receiver, "set", 1).await, 498);
    manager.set(Some("set"));
    assert_eq!(status(&receiver, "set", 61).await, 200);
}

#[tokio::test]
async fn secrets_that_cannot_be_had_stop_the_start() {
    let (stack, manager) = (stack().await, Manager::default());
    assert_eq!(start(&stack, &manager).await.unwrap_err(), "Secrets Manager: DecryptionFailure");
    manager.set(Some(r#"["a", ""]"#));
    assert_eq!(start(&stack, &manager).await.unwrap_err(), "the secret in Secrets Manager: secret 2 is empty");
}

/// Which secret matches is what tells when the old one can go; that they cannot be fetched is on the line, too.
#[tokio::test]
async fn a_line_says_which_secret_matched() {
    let (stack, manager, written) = (stack().await, Manager::default(), Captured::default());
    manager.set(Some(r#"["new", "old"]"#));
    let receiver = start_writing(&stack, &manager, &written).await.unwrap();
    manager.set(None);
    for (secret, seconds) in [("old", 1), ("new", 2), ("wrong", 3), ("old", 400), ("wrong", 500)] {
        status(&receiver, secret, seconds).await;
    }
    let lines = json_lines(&written);
    let of = |name: &str| lines.iter().map(|line| line[name].as_str().unwrap_or("-").to_owned()).collect::<Vec<_>>();
    assert_eq!(of("secret"), ["2", "1", "-", "2", "-"]);
    let verified: Vec<_> = lines.iter().map(|line| line["Verified"].as_u64().unwrap_or_default()).collect();
    assert_eq!(verified, [1, 1, 0, 1, 0]);
    let not_refreshed = "secrets not refreshed: Secrets Manager: DecryptionFailure";
    assert_eq!(of("warning"), ["-", "-", "-", not_refreshed, not_refreshed]);
    assert_eq!(of("level"), ["INFO", "INFO", "WARNING", "WARNING", "WARNING"]);
}
