//! Every signature scheme that a function can be configured with, from its variable to the response.

use clientele::events::signed_at;
use clientele::stack::{CapturedLog, LocalStack, LogOutput, StackOptions};
use clientele_model::Secret;
use clientele_providers::{PROVIDERS, find, local_secret};
use rstest::rstest;

use crate::support::{case, handle, json_lines, metrics, options, scheme};

#[rstest]
#[case("metrifox/customer-created", "METRIFOX_SIGNATURE", "hmac-sha256-hex:X-Metrifox-Signature", "secret")]
#[case("metrifox/customer-created", "METRIFOX_SIGNATURE", "hmac-sha256-base64:X-Metrifox-Signature", "secret")]
#[case("metrifox/customer-created", "METRIFOX_SIGNATURE", "token:X-Api-Key", "secret")]
#[case("metrifox/customer-created", "METRIFOX_SIGNATURE", "url-token", "secret")]
#[case("smarterpay/customer-created", "SMARTERPAY_SIGNATURE", "signature", "secret")]
#[case("smarterpay/customer-created", "SMARTERPAY_SIGNATURE", "basic", "user:password")]
#[case("flexprice/customer-created", "FLEXPRICE_SIGNATURE", "svix", "whsec_c2VjcmV0")]
#[case("flexprice/customer-created", "FLEXPRICE_SIGNATURE", "token:X-Api-Key", "secret")]
#[tokio::test]
async fn schemes_are_settings(
    #[case] title: &str,
    #[case] variable: &str,
    #[case] setting: &str,
    #[case] secret: &str,
) {
    let mut options = options();
    let provider = find(title.split('/').next().unwrap()).unwrap();
    options.set(provider, variable, setting.to_owned());
    options.set(provider, "WEBHOOK_SECRETS", secret.to_owned());
    let stack = LocalStack::start(options).await.unwrap();
    let (case, receiver) = (case(title), &stack.receivers[provider.name]);

    let (set, first) = stack.scheme_and_secret(provider).unwrap();
    assert_eq!(first, secret);
    let rejected = provider.response_rules.rejected_status;
    let default = case.sign(&scheme(case), &local_secret(provider), signed_at()).unwrap();
    assert_eq!(handle(receiver, &default, signed_at()).await.status_code, rejected);
    let mut forged = case.clone();
    forged.expected.forged = true;
    let forged = forged.sign(&set, secret, signed_at()).unwrap();
    assert_eq!(handle(receiver, &forged, signed_at()).await.status_code, rejected);
    let signed = case.sign(&set, secret, signed_at()).unwrap();
    assert_eq!(handle(receiver, &signed, signed_at()).await.status_code, 200);
}

/// A secret that would be refused today still verifies, and the log line and a metric name it.
#[rstest]
#[case("metrifox/customer-created", "METRIFOX_SIGNATURE", "url-token", "a/b?c", "in a URL only the letters")]
#[case("metrifox/customer-created", "METRIFOX_SIGNATURE", "url-token", "a", "at least 16 characters are required")]
#[case("metrifox/customer-created", "METRIFOX_SIGNATURE", "token:X-Api-Key", "a b", "in a header only visible ASCII")]
#[case("smarterpay/customer-created", "SMARTERPAY_SIGNATURE", "signature", "short", "at least 16 characters")]
#[case("smarterpay/customer-created", "SMARTERPAY_SIGNATURE", "basic", "user:", "a user and a password are required")]
#[case(
    "smarterpay/customer-created",
    "SMARTERPAY_SIGNATURE",
    "basic",
    ":password",
    "a user and a password are required"
)]
#[case("flexprice/customer-created", "FLEXPRICE_SIGNATURE", "svix", "whsec_c2VjcmV0", "a key of at least 24 bytes")]
#[tokio::test]
async fn a_weak_secret_verifies_and_is_reported(
    #[case] title: &str,
    #[case] variable: &str,
    #[case] setting: &str,
    #[case] secret: &str,
    #[case] weakness: &str,
) {
    let log = CapturedLog::default();
    let mut options = StackOptions { log: LogOutput::Memory(log.clone()), ..options() };
    let provider = find(title.split('/').next().unwrap()).unwrap();
    options.set(provider, variable, setting.to_owned());
    options.set(provider, "WEBHOOK_SECRETS", secret.to_owned());
    let stack = LocalStack::start(options).await.unwrap();
    let (scheme, _) = stack.scheme_and_secret(provider).unwrap();
    let signed = case(title).sign(&scheme, secret, signed_at()).unwrap();
    assert_eq!(handle(&stack.receivers[provider.name], &signed, signed_at()).await.status_code, 200);
    let lines = json_lines(&log);
    let [line] = &lines[..] else { panic!("one line: {lines:?}") };
    let warning = line["warning"].as_str().unwrap();
    assert!(warning.starts_with(&format!("secrets: secret 1 is weak: {weakness}")), "{warning}");
    assert_eq!(line["level"], "WARNING");
    let name = provider.name;
    assert_eq!(metrics(line)[&format!("SecretProblems clientele-{name} {name}")], 1);
}

/// The secrets of the local stack would not be refused.
#[test]
fn local_secrets_are_strong() {
    for provider in PROVIDERS {
        let secret = Secret::parse(&local_secret(provider), &(provider.scheme)(None).unwrap()).unwrap();
        assert_eq!(secret.weakness(), None, "{}", provider.name);
    }
}
