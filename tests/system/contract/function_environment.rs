//! The environment of a function. Everything that is missing or unreadable is reported at once.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use aws_sdk_dynamodb::error::SdkError;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use clientele_aws::{
    ChangesConfig, Clients, ConfigError, DomainNames, Endpoints, LambdaEnvironment, ReceiptsConfig, ReceiverConfig,
    SecretSource,
};
use clientele_model::{FeedContent, Scheme};
use clientele_providers::find;
use rstest::rstest;
use sha2::{Digest, Sha256};

use crate::support::template::template;

const AMAZON_ROOTS: &str = include_str!("../../../shared/aws/src/amazon-trust-services.pem");

fn complete() -> BTreeMap<&'static str, &'static str> {
    BTreeMap::from([
        ("CUSTOMERS_TABLE", "customers"),
        ("CLEANUP_QUEUE_URL", "http://cleanup"),
        ("INBOX_QUEUE_URL", "http://inbox"),
        ("QUARANTINE_QUEUE_URL", "http://quarantine"),
        ("WEBHOOK_SECRET_ARN", "arn:aws:secretsmanager:eu-west-1:123456789012:secret:flexprice"),
        ("AWS_ACCESS_KEY_ID", "id"),
        ("AWS_SECRET_ACCESS_KEY", "hunter2"),
        ("AWS_REGION", "eu-west-1"),
    ])
}

/// Reads the environment of Flexprice's function.
fn read(variables: &BTreeMap<&str, &str>) -> Result<ReceiverConfig, ConfigError> {
    let variable = |name: &str| variables.get(name).map(|value| (*value).to_owned());
    ReceiverConfig::read(find("flexprice").unwrap(), variable)
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
    assert!(matches!(config.secrets, SecretSource::SecretsManager(arn) if arn.ends_with(":flexprice")));
}

#[test]
fn everything_that_is_missing_is_named_at_once() {
    let missing = [
        "CUSTOMERS_TABLE is not set",
        "CLEANUP_QUEUE_URL is not set",
        "INBOX_QUEUE_URL is not set",
        "QUARANTINE_QUEUE_URL is not set",
        "WEBHOOK_SECRET_ARN is not set (nor WEBHOOK_SECRETS)",
        "AWS_ACCESS_KEY_ID is not set",
        "AWS_SECRET_ACCESS_KEY is not set",
        "AWS_REGION is not set",
    ];
    let error = read(&BTreeMap::new()).unwrap_err();
    assert_eq!(error, ConfigError(missing.map(str::to_owned).to_vec()));
    assert!(error.to_string().starts_with("the environment is not complete: CUSTOMERS_TABLE is not set; CLEANUP"));
    // An empty variable counts as not set.
    let empty = complete().into_keys().map(|name| (name, "")).collect();
    assert_eq!(read(&empty).unwrap_err(), error);
}

#[rstest]
#[case(&[("MAX_BODY_BYTES", "256k")], &["MAX_BODY_BYTES is not a whole number from 1 to 262144"])]
#[case(&[("MAX_BODY_BYTES", "0")], &["MAX_BODY_BYTES is not a whole number from 1 to 262144"])]
#[case(&[("MAX_BODY_BYTES", "262145")], &["MAX_BODY_BYTES is not a whole number from 1 to 262144"])]
#[case(&[("MAX_BODY_BYTES", "99999999999999999999")], &["MAX_BODY_BYTES is not a whole number from 1 to 262144"])]
#[case(&[("SIGNATURE_TOLERANCE_SECONDS", "-1")], &["SIGNATURE_TOLERANCE_SECONDS is not a whole number from 1 to 3155760000"])]
#[case(&[("SIGNATURE_TOLERANCE_SECONDS", "0")], &["SIGNATURE_TOLERANCE_SECONDS is not a whole number from 1 to 3155760000"])]
#[case(&[("SIGNATURE_TOLERANCE_SECONDS", "3155760001")], &["SIGNATURE_TOLERANCE_SECONDS is not a whole number from 1 to 3155760000"])]
#[case(&[("FLEXPRICE_SIGNATURE", "none")], &["FLEXPRICE_SIGNATURE: expected `svix` or `token:<header>`"])]
#[case(&[("POWERTOOLS_LOG_LEVEL", "LOUD")], &["POWERTOOLS_LOG_LEVEL is not one of DEBUG, INFO, WARNING, ERROR, CRITICAL"])]
#[case(&[("WEBHOOK_SECRETS", "[1]")], &["WEBHOOK_SECRETS: secret 1 is not text"])]
#[case(&[("WEBHOOK_SECRETS", "[\"hunter2")], &["WEBHOOK_SECRETS: begins with `[` but is not a JSON array"])]
#[case(&[("WEBHOOK_SECRETS", "[\"\"]")], &["WEBHOOK_SECRETS: secret 1 is empty"])]
#[case(
    &[("CUSTOMERS_TABLE", ""), ("MAX_BODY_BYTES", "x"), ("WEBHOOK_SECRETS", "whsec_!")],
    &["CUSTOMERS_TABLE is not set", "MAX_BODY_BYTES is not a whole number from 1 to 262144", "WEBHOOK_SECRETS: secret 1 is not `whsec_` followed by base64"]
)]
fn what_is_unreadable_is_named(#[case] changes: &[(&'static str, &'static str)], #[case] wrong: &[&str]) {
    let mut variables = complete();
    variables.extend(changes.iter().copied());
    let wrong = wrong.iter().map(|wrong| (*wrong).to_owned()).collect();
    assert_eq!(read(&variables).unwrap_err(), ConfigError(wrong));
}

/// Every value that template.yaml allows is accepted by the functions.
#[rstest]
#[case("MaxBodyBytes", "MAX_BODY_BYTES")]
#[case("SignatureToleranceSeconds", "SIGNATURE_TOLERANCE_SECONDS")]
fn limits_of_parameters_are_within_those_of_the_functions(#[case] parameter: &str, #[case] variable: &'static str) {
    let parameter = &template()["Parameters"][parameter];
    for limit in ["MinValue", "MaxValue"] {
        let value = parameter[limit].as_u64().unwrap().to_string();
        let mut variables = complete();
        variables.insert(variable, &value);
        assert!(read(&variables).is_ok(), "{variable}={value}");
    }
    let [least, most] = ["MinValue", "MaxValue"].map(|limit| parameter[limit].as_u64().unwrap());
    assert_eq!(parameter["ConstraintDescription"], format!("{least} to {most}"));
}

#[test]
fn all_settings_are_read() {
    let mut variables = complete();
    variables.extend([
        ("SIGNATURE_TOLERANCE_SECONDS", "60"),
        ("MAX_BODY_BYTES", "1000"),
        ("FLEXPRICE_SIGNATURE", "token:X-Api-Key"),
        ("WEBHOOK_SECRETS", "hunter2"),
        ("REQUIRED_DOMAIN_NAME", "own.example.com"),
    ]);
    let config = read(&variables).unwrap();
    assert_eq!((config.tolerance, config.body_bytes_max), (Duration::from_mins(1), 1_000));
    assert!(matches!(config.scheme, Scheme::Token(_)));
    assert_eq!(config.domain_names, DomainNames::Only("own.example.com".to_owned()));
    assert_eq!(read(&complete()).unwrap().domain_names, DomainNames::Any);
    // The variable takes precedence over the ARN, and its value is never printed.
    assert!(matches!(&config.secrets, SecretSource::Environment(_)));
    assert!(!format!("{config:?}").contains("hunter2"));
    // A secret that cannot be used does not affect the others.
    variables.insert("WEBHOOK_SECRETS", r#"["", "hunter2"]"#);
    assert!(matches!(read(&variables).unwrap().secrets, SecretSource::Environment(secrets) if !secrets.is_empty()));
}

#[test]
fn variables_that_lambda_and_sam_set() {
    let mut variables = complete();
    // template.yaml sets both, and both are empty when deployed.
    variables.extend([("AWS_ENDPOINT_URL_DYNAMODB", ""), ("AWS_ENDPOINT_URL_SQS", "http://sqs")]);
    let LambdaEnvironment { region, credentials, endpoints, ca_bundle } = read(&variables).unwrap().lambda;
    assert_eq!((region.as_str(), credentials.access_key_id(), ca_bundle), ("eu-west-1", "id", None));
    let sqs = Some("http://sqs".to_owned());
    assert_eq!(endpoints, Endpoints { sqs: sqs.clone(), ..Endpoints::default() });
    assert!(!format!("{credentials:?}").contains("hunter2"));

    variables.extend([("AWS_ENDPOINT_URL", "http://all"), ("AWS_SESSION_TOKEN", "token")]);
    let LambdaEnvironment { credentials, endpoints, .. } = read(&variables).unwrap().lambda;
    let all = Some("http://all".to_owned());
    assert_eq!(endpoints, Endpoints { dynamodb: all.clone(), eventbridge: all.clone(), sqs, secrets_manager: all });
    assert_eq!(credentials.session_token(), Some("token"));
}

/// Your own root certificates come from a file. A file without certificates is named like every other problem.
#[test]
fn a_bundle_of_certificates_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name).to_string_lossy().into_owned();
    let (bundle, other, missing) = (file("bundle.pem"), file("other"), file("none"));
    std::fs::write(&bundle, AMAZON_ROOTS).unwrap();
    std::fs::write(&other, "text").unwrap();
    let with = |path: &str| {
        let mut variables = complete();
        variables.insert("AWS_CA_BUNDLE", path);
        read(&variables).map(|config| config.lambda.ca_bundle)
    };
    assert_eq!(with(&bundle).unwrap().as_deref(), Some(AMAZON_ROOTS));
    assert_eq!(with("").unwrap(), None);
    let problems = |path: &str| with(path).unwrap_err().0.join("; ");
    assert_eq!(problems(&other), format!("AWS_CA_BUNDLE: {other}: no certificates"));
    assert!(problems(&missing).ends_with("No such file or directory (os error 2)"), "{}", problems(&missing));
}

/// The fingerprints are those of <https://www.amazontrust.com/repository/>.
#[test]
fn the_root_certificates_are_those_of_amazon() {
    let certificates = AMAZON_ROOTS.split("-----BEGIN CERTIFICATE-----").skip(1);
    let fingerprint = |certificate: &str| {
        let text: String = certificate.split("-----END").next().unwrap().split_whitespace().collect();
        hex::encode(Sha256::digest(BASE64_STANDARD.decode(text).unwrap()))
    };
    assert_eq!(
        certificates.map(fingerprint).collect::<Vec<_>>(),
        [
            "8ecde6884f3d87b1125ba31ac3fcb13d7016de7f57cc904fe1cb97c6ae98196e",
            "1ba5b2aa8c65401a82960118f80bec4f62304d83cec4713a19c39c011ea46db4",
            "18ce6cfe7bf14e60b2e347b8dfe868cb31d02ebb3ada271569f50343b46db3a4",
            "e35d28419ed02025cfa69038cd623962458da5c695fbdea3c22b0bfb25897092",
            "568d6905a2c88708a4b3025190edcfedb1974a606a13c6e5290fcb2ae63edab5",
        ]
    );
}

/// Nothing listens at this address, but the certificates are read before the connection fails.
#[tokio::test]
async fn functions_can_use_amazons_roots() {
    let mut variables = complete();
    variables.insert("AWS_ENDPOINT_URL", "https://127.0.0.1:1");
    let clients = Clients::of_function(&read(&variables).unwrap().lambda);
    let listed = clients.dynamodb.list_tables().send().await;
    assert!(matches!(listed, Err(SdkError::DispatchFailure(failure)) if failure.is_io()));
}

const OF_CHANGES: [(&str, &str); 6] = [
    ("EVENT_BUS_NAME", "bus"),
    ("CHANGE_SOURCE", "/clientele/test"),
    ("REFUSED_CHANGES_QUEUE_URL", "http://refused"),
    ("AWS_ACCESS_KEY_ID", "id"),
    ("AWS_SECRET_ACCESS_KEY", "hunter2"),
    ("AWS_REGION", "eu-west-1"),
];

/// Events have only keys unless more is asked for.
#[rstest]
#[case("", Ok(FeedContent::Keys))]
#[case("keys", Ok(FeedContent::Keys))]
#[case("full", Ok(FeedContent::Full))]
#[case("Full", Err("CHANGE_FEED is neither `keys` nor `full`"))]
#[case("off", Err("CHANGE_FEED is neither `keys` nor `full`"))]
fn what_changes_say_about_a_customer(#[case] feed: &'static str, #[case] expected: Result<FeedContent, &str>) {
    let variables = BTreeMap::from(OF_CHANGES).into_iter().chain([("CHANGE_FEED", feed)]).collect::<BTreeMap<_, _>>();
    let config = ChangesConfig::read(|name| variables.get(name).map(|value| (*value).to_owned()));
    let content = config.map(|ChangesConfig { event_bus_name, refused_changes_queue_url, feed, .. }| {
        assert_eq!((event_bus_name.as_str(), refused_changes_queue_url.as_str()), ("bus", "http://refused"));
        assert_eq!(feed.source, "/clientele/test");
        feed.content
    });
    assert_eq!(content, expected.map_err(|wrong| ConfigError(vec![wrong.to_owned()])));
}

#[rstest]
#[case("crm", &["crm"])]
#[case("crm,mailing", &["crm", "mailing"])]
fn systems_that_confirm_erasures(#[case] systems: &str, #[case] expected: &[&str]) {
    let variables: BTreeMap<_, _> = OF_CHANGES[3..].iter().copied().collect();
    let own = [("CUSTOMERS_TABLE", "customers"), ("ERASURE_SYSTEMS", systems)];
    let variables: BTreeMap<_, _> = variables.into_iter().chain(own).collect();
    let config = ReceiptsConfig::read(|name| variables.get(name).map(|value| (*value).to_owned())).unwrap();
    assert_eq!(
        (config.customers_table.as_str(), config.systems),
        ("customers", expected.iter().map(|it| (*it).to_owned()).collect())
    );
    let ConfigError(missing) = ReceiptsConfig::read(|_| None).unwrap_err();
    let aws = ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION"];
    let expected =
        ["CUSTOMERS_TABLE", "ERASURE_SYSTEMS"].into_iter().chain(aws).map(|name| format!("{name} is not set"));
    assert_eq!(BTreeSet::from_iter(missing), expected.collect());
}

#[test]
fn everything_that_changes_misses_is_named() {
    let ConfigError(missing) = ChangesConfig::read(|_| None).unwrap_err();
    let expected = OF_CHANGES.map(|(name, _)| format!("{name} is not set"));
    assert_eq!(BTreeSet::from_iter(missing), BTreeSet::from(expected));
}
