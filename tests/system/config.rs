//! The environment of a function: everything that is missing or unreadable is named at once.

use std::collections::BTreeMap;
use std::time::Duration;

use clientele::providers::known;
use clientele_aws::{Config, ConfigError, Endpoints, SecretSetting};
use clientele_model::Scheme;
use rstest::rstest;

fn complete() -> BTreeMap<&'static str, &'static str> {
    BTreeMap::from([
        ("CUSTOMERS_TABLE", "customers"),
        ("CLEANUP_QUEUE_URL", "http://cleanup"),
        ("INBOX_QUEUE_URL", "http://inbox"),
        ("QUARANTINE_QUEUE_URL", "http://quarantine"),
        ("WEBHOOK_SECRET_ARN", "arn:aws:secretsmanager:eu-west-1:123456789012:secret:flexprice"),
    ])
}

/// Reads the environment of Flexprice's function.
fn read(variables: &BTreeMap<&str, &str>) -> Result<Config, ConfigError> {
    let variable = |name: &str| variables.get(name).map(|value| (*value).to_owned());
    Config::read(known("flexprice").unwrap().provider, variable)
}

#[test]
fn a_complete_environment() {
    let config = read(&complete()).unwrap();
    assert_eq!(
        (config.resources.customers_table.as_str(), config.resources.cleanup_queue_url.as_str()),
        ("customers", "http://cleanup")
    );
    assert_eq!(
        (config.resources.inbox_queue_url.as_str(), config.resources.quarantine_queue_url.as_str()),
        ("http://inbox", "http://quarantine")
    );
    assert_eq!((config.tolerance, config.body_bytes_max), (Duration::from_mins(5), 262_144));
    assert_eq!(config.scheme, Scheme::Svix);
    assert!(matches!(config.secrets, SecretSetting::Manager(arn) if arn.ends_with(":flexprice")));
}

#[test]
fn everything_that_is_missing_is_named_at_once() {
    let missing = [
        "CUSTOMERS_TABLE is not set",
        "CLEANUP_QUEUE_URL is not set",
        "INBOX_QUEUE_URL is not set",
        "QUARANTINE_QUEUE_URL is not set",
        "WEBHOOK_SECRET_ARN is not set (nor WEBHOOK_SECRETS)",
    ];
    let error = read(&BTreeMap::new()).unwrap_err();
    assert_eq!(error, ConfigError(missing.map(str::to_owned).to_vec()));
    assert!(error.to_string().starts_with("the environment is not complete: CUSTOMERS_TABLE is not set; CLEANUP"));
    // Empty counts as not set.
    let empty = complete().into_keys().map(|name| (name, "")).collect();
    assert_eq!(read(&empty).unwrap_err(), error);
}

#[rstest]
#[case(&[("MAX_BODY_BYTES", "256k")], &["MAX_BODY_BYTES is not a whole number"])]
#[case(&[("SIGNATURE_TOLERANCE_SECONDS", "-1")], &["SIGNATURE_TOLERANCE_SECONDS is not a whole number"])]
#[case(&[("FLEXPRICE_SIGNATURE", "none")], &["FLEXPRICE_SIGNATURE: expected `svix` or `token:<header>`"])]
#[case(&[("POWERTOOLS_LOG_LEVEL", "LOUD")], &["POWERTOOLS_LOG_LEVEL is not one of DEBUG, INFO, WARNING, ERROR, CRITICAL"])]
#[case(&[("WEBHOOK_SECRETS", "[1]")], &["WEBHOOK_SECRETS: begins with `[` but is not a JSON array of strings"])]
#[case(&[("WEBHOOK_SECRETS", "[\"\"]")], &["WEBHOOK_SECRETS: secret 1 is empty"])]
#[case(
    &[("CUSTOMERS_TABLE", ""), ("MAX_BODY_BYTES", "x"), ("WEBHOOK_SECRETS", "whsec_!")],
    &["CUSTOMERS_TABLE is not set", "MAX_BODY_BYTES is not a whole number", "WEBHOOK_SECRETS: secret 1 is not `whsec_` followed by base64"]
)]
fn what_is_unreadable_is_named(#[case] changes: &[(&'static str, &'static str)], #[case] wrong: &[&str]) {
    let mut variables = complete();
    variables.extend(changes.iter().copied());
    let wrong = wrong.iter().map(|wrong| (*wrong).to_owned()).collect();
    assert_eq!(read(&variables).unwrap_err(), ConfigError(wrong));
}

#[test]
fn settings() {
    let mut variables = complete();
    variables.extend([
        ("SIGNATURE_TOLERANCE_SECONDS", "60"),
        ("MAX_BODY_BYTES", "1000"),
        ("FLEXPRICE_SIGNATURE", "token:X-Api-Key"),
        ("WEBHOOK_SECRETS", "hunter2"),
    ]);
    let config = read(&variables).unwrap();
    assert_eq!((config.tolerance, config.body_bytes_max), (Duration::from_mins(1), 1_000));
    assert!(matches!(config.scheme, Scheme::Token(_)));
    // The variable goes before the ARN, and nothing prints what it holds.
    assert!(matches!(&config.secrets, SecretSetting::Here(_)));
    assert!(!format!("{config:?}").contains("hunter2"));
}

/// What Lambda itself sets is missing only where the function does not run on Lambda; it is named with the rest.
#[test]
fn what_lambda_sets_is_read_as_well() {
    let on_lambda = |variables: &BTreeMap<&str, &str>| {
        let variable = |name: &str| variables.get(name).map(|value| (*value).to_owned());
        Config::read_on_lambda(known("flexprice").unwrap().provider, variable)
    };
    let mut variables = complete();
    variables.remove("CUSTOMERS_TABLE");
    let missing = ["CUSTOMERS_TABLE", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION"];
    let missing = missing.map(|name| format!("{name} is not set")).to_vec();
    assert_eq!(on_lambda(&variables).unwrap_err(), ConfigError(missing));

    variables = complete();
    variables.extend([("AWS_ACCESS_KEY_ID", "id"), ("AWS_SECRET_ACCESS_KEY", "hunter2"), ("AWS_REGION", "eu-west-1")]);
    // As template.yaml has them where SAM does not set them.
    variables.extend([("AWS_ENDPOINT_URL_DYNAMODB", ""), ("AWS_ENDPOINT_URL_SQS", "http://sqs")]);
    let (_, surroundings) = on_lambda(&variables).unwrap();
    assert_eq!((surroundings.region.as_str(), surroundings.credentials.access_key_id()), ("eu-west-1", "id"));
    let sqs = Some("http://sqs".to_owned());
    assert_eq!(surroundings.endpoints, Endpoints { sqs: sqs.clone(), ..Endpoints::default() });
    assert!(!format!("{surroundings:?}").contains("hunter2"));

    variables.extend([("AWS_ENDPOINT_URL", "http://all"), ("AWS_SESSION_TOKEN", "token")]);
    let (_, surroundings) = on_lambda(&variables).unwrap();
    let all = Some("http://all".to_owned());
    assert_eq!(surroundings.endpoints, Endpoints { dynamodb: all.clone(), sqs, secrets_manager: all });
    assert_eq!(surroundings.credentials.session_token(), Some("token"));
}
