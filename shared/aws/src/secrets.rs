//! The secrets that are valid now.

use std::time::Duration;

use aws_sdk_secretsmanager::config::timeout::TimeoutConfig;
use aws_sdk_secretsmanager::{Client, Config};
use clientele_flow::deadlines;
use clientele_model::{Scheme, Secrets};
use jiff::{SignedDuration, Timestamp};
use tokio::sync::Mutex;

use crate::config::SecretSetting;
use crate::telemetry;

/// Secrets are fetched again when they are older than this.
const AGE_MAX: SignedDuration = SignedDuration::from_mins(5);
/// A mismatch makes us look for newer secrets, but not more often than this: forgers must not be able to make us call
/// Secrets Manager.
const MISMATCH_INTERVAL: SignedDuration = SignedDuration::from_mins(1);

/// Why the secrets could not be had.
#[derive(Debug, thiserror::Error)]
pub enum SecretsError {
    /// Secrets Manager did not give them.
    #[error("Secrets Manager: {0}")]
    Unavailable(String),
    /// What it gave is no text.
    #[error("the secret in Secrets Manager is binary, and should be text")]
    Binary,
    /// What it gave cannot be used.
    #[error("the secret in Secrets Manager: {0}")]
    Unusable(#[from] clientele_model::SecretError),
}

/// Secrets from the environment, or from Secrets Manager and kept for a while.
#[derive(Debug)]
pub struct SecretStore {
    scheme: Scheme,
    source: Source,
}

#[derive(Debug)]
enum Source {
    Here(Secrets),
    Manager { client: Client, arn: String, cache: Mutex<Cache> },
}

#[derive(Debug)]
struct Cache {
    secrets: Secrets,
    /// When they were last asked for, whether or not that went well.
    asked_at: Timestamp,
}

impl SecretStore {
    /// Opens the store. Secrets of Secrets Manager are fetched now, so that a wrong ARN shows at once.
    ///
    /// # Errors
    /// When they cannot be fetched or used.
    pub async fn open(
        setting: SecretSetting,
        scheme: &Scheme,
        client: &Client,
        now: Timestamp,
    ) -> Result<Self, SecretsError> {
        let source = match setting {
            SecretSetting::Here(secrets) => Source::Here(secrets),
            SecretSetting::Manager(arn) => {
                let secrets = fetch(client, &arn, scheme, AT_START).await?;
                Source::Manager { client: client.clone(), arn, cache: Mutex::new(Cache { secrets, asked_at: now }) }
            }
        };
        Ok(Self { scheme: scheme.clone(), source })
    }

    /// The secrets, at most five minutes old. If they cannot be fetched again, the old ones stay valid.
    pub async fn current(&self, now: Timestamp) -> Known {
        self.no_older_than(AGE_MAX, now).await
    }

    /// The secrets for a delivery that did not match: at most a minute old.
    pub async fn after_mismatch(&self, now: Timestamp) -> Known {
        self.no_older_than(MISMATCH_INTERVAL, now).await
    }

    async fn no_older_than(&self, age_max: SignedDuration, now: Timestamp) -> Known {
        match &self.source {
            Source::Here(secrets) => Known { secrets: secrets.clone(), fetched: None },
            Source::Manager { client, arn, cache } => {
                let mut cache = cache.lock().await;
                let fetched = if now.duration_since(cache.asked_at) > age_max {
                    cache.asked_at = now;
                    let fetched = fetch(client, arn, &self.scheme, WHILE_A_PROVIDER_WAITS).await;
                    Some(fetched.map(|secrets| cache.secrets = secrets))
                } else {
                    None
                };
                Known { secrets: cache.secrets.clone(), fetched }
            }
        }
    }
}

/// What is known of the secrets.
#[derive(Debug)]
pub struct Known {
    /// Those that are valid.
    pub secrets: Secrets,
    /// Whether they were fetched for this, and what came of it.
    pub fetched: Option<Result<(), SecretsError>>,
}

/// How long one attempt and all attempts to fetch may take.
type Budget = [Duration; 2];
const AT_START: Budget = [deadlines::SECRETS_START_ATTEMPT_TIMEOUT, deadlines::SECRETS_START_TIMEOUT];
const WHILE_A_PROVIDER_WAITS: Budget = [deadlines::SECRETS_REFRESH_TIMEOUT, deadlines::SECRETS_REFRESH_TIMEOUT];

async fn fetch(client: &Client, arn: &str, scheme: &Scheme, [attempt, all]: Budget) -> Result<Secrets, SecretsError> {
    let timeouts = TimeoutConfig::builder().operation_attempt_timeout(attempt).operation_timeout(all).build();
    let request = client.get_secret_value().secret_id(arn).customize();
    let output = request.config_override(Config::builder().timeout_config(timeouts)).send().await;
    let output = output.map_err(|error| SecretsError::Unavailable(telemetry::sdk_error(&error)))?;
    Ok(Secrets::parse(output.secret_string().ok_or(SecretsError::Binary)?, scheme)?)
}
