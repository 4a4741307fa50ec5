//! The configuration of a function, which is its environment.

use std::ops::RangeInclusive;
use std::time::Duration;

use aws_sdk_dynamodb::config::Credentials;
use clientele_model::{BODY_BYTES_MAX, ErasureSettings, Provider, Scheme, Secrets};

use crate::environment::{ConfigError, Environment};
use crate::telemetry::{LogLevel, TelemetrySettings};

/// The values of `SIGNATURE_TOLERANCE_SECONDS`. template.yaml allows an hour; the event files, which are signed once, need
/// years on the local stack.
const TOLERANCE_SECONDS: RangeInclusive<u64> = 1..=3_155_760_000;

/// The values of `CLEANUP_HOLD_MINUTES`: up to 14 days.
const HOLD_MINUTES: RangeInclusive<u64> = 0..=20_160;

/// The configuration of a function that receives webhooks.
#[derive(Debug)]
pub struct ReceiverConfig {
    /// The table and the queues.
    pub resources: Resources,
    /// From the variable that the provider names, such as `METRIFOX_SIGNATURE`.
    pub scheme: Scheme,
    /// `WEBHOOK_SECRETS` or `WEBHOOK_SECRET_ARN`
    pub secrets: SecretSource,
    /// `SIGNATURE_TOLERANCE_SECONDS`, by default 300.
    pub tolerance: Duration,
    /// `MAX_BODY_BYTES`, by default 262,144.
    pub body_bytes_max: usize,
    /// `REQUIRED_DOMAIN_NAME`
    pub domain_names: DomainNames,
    /// How the function logs.
    pub telemetry: TelemetrySettings,
    /// What Lambda sets.
    pub lambda: LambdaEnvironment,
}

/// The domain names of the API by which a delivery may arrive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DomainNames {
    /// Every name that leads to the API.
    Any,
    /// Only this one, because a client certificate is required there.
    Only(String),
}

impl DomainNames {
    pub(crate) fn include(&self, name: Option<&str>) -> bool {
        match self {
            Self::Any => true,
            Self::Only(required) => name.is_some_and(|name| name.eq_ignore_ascii_case(required)),
        }
    }
}

/// The configuration of `replay` and `sweep`, the functions that receive no webhooks.
#[derive(Debug)]
pub struct WorkerConfig {
    /// The table and the queues.
    pub resources: Resources,
    /// How the function logs.
    pub telemetry: TelemetrySettings,
    /// What Lambda sets.
    pub lambda: LambdaEnvironment,
}

/// The table and the queues of a function, and how it erases customers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resources {
    /// `CUSTOMERS_TABLE`
    pub customers_table: String,
    /// `CLEANUP_QUEUE_URL`
    pub cleanup_queue_url: String,
    /// `INBOX_QUEUE_URL`
    pub inbox_queue_url: String,
    /// `QUARANTINE_QUEUE_URL`
    pub quarantine_queue_url: String,
    /// `AWAIT_RECEIPTS` and `CLEANUP_HOLD_MINUTES`
    pub erasure: ErasureSettings,
}

/// Where the secrets come from.
#[derive(Clone, Debug)]
pub enum SecretSource {
    /// From `WEBHOOK_SECRETS`, for local runs. It takes precedence over an ARN.
    Environment(Secrets),
    /// From Secrets Manager, under this ARN.
    SecretsManager(String),
}

/// What Lambda and SAM set for the SDK. A function consults no other source, such as profiles or a metadata service.
#[derive(Debug)]
pub struct LambdaEnvironment {
    /// `AWS_REGION`
    pub region: String,
    /// `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY` and `AWS_SESSION_TOKEN`
    pub credentials: Credentials,
    /// The endpoints of a local stack; none when deployed.
    pub endpoints: Endpoints,
    /// The root certificates in the file that `AWS_CA_BUNDLE` names. Without it Amazon's are used.
    pub ca_bundle: Option<String>,
}

/// URLs that replace those of the region. `AWS_ENDPOINT_URL` sets all of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Endpoints {
    /// `AWS_ENDPOINT_URL_DYNAMODB`
    pub dynamodb: Option<String>,
    /// `AWS_ENDPOINT_URL_EVENTBRIDGE`
    pub eventbridge: Option<String>,
    /// `AWS_ENDPOINT_URL_SQS`
    pub sqs: Option<String>,
    /// `AWS_ENDPOINT_URL_SECRETS_MANAGER`
    pub secrets_manager: Option<String>,
}

impl ReceiverConfig {
    /// Reads the environment of `provider`'s function. An empty value counts as not set.
    ///
    /// # Errors
    /// Names everything that is missing or unreadable.
    pub fn read(provider: &Provider, variable: impl Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        let mut environment = Environment::new(&variable);
        let resources = Resources::read(&mut environment);
        let tolerance = Duration::from_secs(environment.number("SIGNATURE_TOLERANCE_SECONDS", 300, &TOLERANCE_SECONDS));
        let body_bytes_max = environment.number("MAX_BODY_BYTES", BODY_BYTES_MAX, &(1..=BODY_BYTES_MAX));
        let domain_names = environment.optional("REQUIRED_DOMAIN_NAME").map_or(DomainNames::Any, DomainNames::Only);
        let telemetry = telemetry_settings(&mut environment, provider.name);
        let scheme = scheme(&mut environment, provider);
        let secrets = secrets(&mut environment, scheme.as_ref());
        let lambda = LambdaEnvironment::read(&mut environment);
        let config = scheme.zip(secrets).map(|(scheme, secrets)| Self {
            resources,
            scheme,
            secrets,
            tolerance,
            body_bytes_max,
            domain_names,
            telemetry,
            lambda,
        });
        environment.finish(config)
    }
}

impl WorkerConfig {
    /// Reads the environment of the function `name`. An empty value counts as not set.
    ///
    /// # Errors
    /// Names everything that is missing or unreadable.
    pub fn read(name: &str, variable: impl Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        let mut environment = Environment::new(&variable);
        let config = Self {
            resources: Resources::read(&mut environment),
            telemetry: telemetry_settings(&mut environment, name),
            lambda: LambdaEnvironment::read(&mut environment),
        };
        environment.finish(Some(config))
    }
}

impl Resources {
    pub(crate) fn read(environment: &mut Environment<'_>) -> Self {
        Self {
            customers_table: environment.required("CUSTOMERS_TABLE"),
            cleanup_queue_url: environment.required("CLEANUP_QUEUE_URL"),
            inbox_queue_url: environment.required("INBOX_QUEUE_URL"),
            quarantine_queue_url: environment.required("QUARANTINE_QUEUE_URL"),
            erasure: erasure(environment),
        }
    }
}

impl LambdaEnvironment {
    pub(crate) fn read(environment: &mut Environment<'_>) -> Self {
        let all = environment.optional("AWS_ENDPOINT_URL");
        let endpoint = |name| environment.optional(name).or_else(|| all.clone());
        let endpoints = Endpoints {
            dynamodb: endpoint("AWS_ENDPOINT_URL_DYNAMODB"),
            eventbridge: endpoint("AWS_ENDPOINT_URL_EVENTBRIDGE"),
            sqs: endpoint("AWS_ENDPOINT_URL_SQS"),
            secrets_manager: endpoint("AWS_ENDPOINT_URL_SECRETS_MANAGER"),
        };
        let (key, secret) = (environment.required("AWS_ACCESS_KEY_ID"), environment.required("AWS_SECRET_ACCESS_KEY"));
        let credentials = Credentials::new(key, secret, environment.optional("AWS_SESSION_TOKEN"), None, "environment");
        let ca_bundle = certificates(environment, "AWS_CA_BUNDLE");
        Self { region: environment.required("AWS_REGION"), credentials, endpoints, ca_bundle }
    }
}

/// The certificates in the file that a variable names.
fn certificates(environment: &mut Environment<'_>, name: &str) -> Option<String> {
    let path = environment.optional(name)?;
    let text = std::fs::read_to_string(&path).map_err(|error| error.to_string());
    let is_pem = |text: &String| text.contains("-----BEGIN CERTIFICATE-----");
    let text = text.and_then(|text| is_pem(&text).then_some(text).ok_or_else(|| "no certificates".to_owned()));
    environment.check(name, text.map_err(|error| format!("{path}: {error}")))
}

pub(crate) fn telemetry_settings(environment: &mut Environment<'_>, name: &str) -> TelemetrySettings {
    let level = environment.optional("POWERTOOLS_LOG_LEVEL").map(|word| LogLevel::parse(&word));
    if level == Some(None) {
        environment.problem("POWERTOOLS_LOG_LEVEL is not one of DEBUG, INFO, WARNING, ERROR, CRITICAL".to_owned());
    }
    TelemetrySettings {
        service: service_name(name, |variable| environment.optional(variable)),
        namespace: environment.optional("POWERTOOLS_METRICS_NAMESPACE").unwrap_or_else(|| "Clientele".to_owned()),
        level: level.flatten().unwrap_or_default(),
    }
}

fn erasure(environment: &mut Environment<'_>) -> ErasureSettings {
    let awaits_receipts = match environment.optional("AWAIT_RECEIPTS").as_deref() {
        None | Some("false") => false,
        Some("true") => true,
        Some(_) => {
            environment.problem("AWAIT_RECEIPTS is neither `true` nor `false`".to_owned());
            false
        }
    };
    let hold = Duration::from_mins(environment.number("CLEANUP_HOLD_MINUTES", 0, &HOLD_MINUTES));
    ErasureSettings { awaits_receipts, hold }
}

fn scheme(environment: &mut Environment<'_>, provider: &Provider) -> Option<Scheme> {
    let setting = provider.scheme_variable.and_then(|name| environment.optional(name));
    environment.check(provider.scheme_variable.unwrap_or("scheme"), (provider.scheme)(setting.as_deref()))
}

/// Where the scheme is unreadable, `WEBHOOK_SECRETS` is not checked, because the scheme decides what a secret looks like.
fn secrets(environment: &mut Environment<'_>, scheme: Option<&Scheme>) -> Option<SecretSource> {
    match (environment.optional("WEBHOOK_SECRETS"), environment.optional("WEBHOOK_SECRET_ARN")) {
        (Some(text), _) => {
            environment.check("WEBHOOK_SECRETS", Secrets::parse(&text, scheme?)).map(SecretSource::Environment)
        }
        (None, Some(arn)) => Some(SecretSource::SecretsManager(arn)),
        (None, None) => {
            environment.problem("WEBHOOK_SECRET_ARN is not set (nor WEBHOOK_SECRETS)".to_owned());
            None
        }
    }
}

/// The function's name in its log lines.
pub(crate) fn service_name(name: &str, variable: impl Fn(&str) -> Option<String>) -> String {
    variable("POWERTOOLS_SERVICE_NAME").unwrap_or_else(|| format!("clientele-{name}"))
}
