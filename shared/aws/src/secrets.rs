//! The secrets that webhooks are currently signed with.

use aws_sdk_secretsmanager::config::timeout::TimeoutConfig;
use aws_sdk_secretsmanager::{Client, Config};
use clientele_flow::deadlines;
use clientele_model::{Scheme, Secrets};
use jiff::{SignedDuration, Timestamp};
use tokio::sync::Mutex;

use crate::config::SecretSource;
use crate::sdk_error;

/// Older secrets are fetched again.
const AGE_MAX: SignedDuration = SignedDuration::from_mins(5);
/// Secrets older than this are fetched again when a delivery matches none of them. Without this limit, forged deliveries
/// could make the function call Secrets Manager at any rate.
const AGE_MAX_AFTER_MISMATCH: SignedDuration = SignedDuration::from_mins(1);

/// Why the secrets could not be fetched.
#[derive(Debug, thiserror::Error)]
pub enum SecretsError {
    /// Secrets Manager did not return them.
    #[error("Secrets Manager: {0}")]
    Unavailable(String),
    /// The secret is not a text.
    #[error("the secret in Secrets Manager is binary, and should be text")]
    Binary,
    /// The text does not fit the scheme.
    #[error("the secret in Secrets Manager: {0}")]
    Unusable(#[from] clientele_model::SecretError),
}

/// The secrets of a function, from the environment or from Secrets Manager. The latter are cached.
#[derive(Debug)]
pub(crate) struct SecretStore {
    scheme: Scheme,
    source: Source,
}

#[derive(Debug)]
enum Source {
    Environment(Secrets),
    SecretsManager { client: Client, arn: String, cache: Mutex<Cache> },
}

#[derive(Debug)]
struct Cache {
    secrets: Secrets,
    /// When they were last requested, successfully or not.
    requested_at: Timestamp,
}

/// The secrets to verify a delivery with.
#[derive(Debug)]
pub(crate) struct CurrentSecrets {
    /// The newest secrets that could be fetched.
    pub(crate) secrets: Secrets,
    /// The result, if they were fetched again for this delivery.
    pub(crate) refresh: Option<Result<(), SecretsError>>,
}

impl SecretStore {
    /// Opens the store. Secrets are fetched from Secrets Manager immediately, so that a wrong ARN fails the start.
    ///
    /// # Errors
    /// When they cannot be fetched or used.
    pub(crate) async fn open(
        source: SecretSource,
        scheme: &Scheme,
        client: &Client,
        now: Timestamp,
    ) -> Result<Self, SecretsError> {
        let source = match source {
            SecretSource::Environment(secrets) => Source::Environment(secrets),
            SecretSource::SecretsManager(arn) => {
                let timeouts = TimeoutConfig::builder()
                    .operation_attempt_timeout(deadlines::SECRETS_START_ATTEMPT_TIMEOUT)
                    .operation_timeout(deadlines::SECRETS_START_TIMEOUT);
                let secrets = fetch(client, &arn, scheme, timeouts.build()).await?;
                let cache = Mutex::new(Cache { secrets, requested_at: now });
                Source::SecretsManager { client: client.clone(), arn, cache }
            }
        };
        Ok(Self { scheme: scheme.clone(), source })
    }

    /// The secrets, at most five minutes old. The old ones stay valid if they cannot be fetched again.
    pub(crate) async fn current(&self, now: Timestamp) -> CurrentSecrets {
        self.no_older_than(AGE_MAX, now).await
    }

    /// The secrets, at most one minute old, for a delivery that matched none.
    pub(crate) async fn after_mismatch(&self, now: Timestamp) -> CurrentSecrets {
        self.no_older_than(AGE_MAX_AFTER_MISMATCH, now).await
    }

    async fn no_older_than(&self, age_max: SignedDuration, now: Timestamp) -> CurrentSecrets {
        match &self.source {
            Source::Environment(secrets) => CurrentSecrets { secrets: secrets.clone(), refresh: None },
            Source::SecretsManager { client, arn, cache } => {
                let mut cache = cache.lock().await;
                let refresh = if now.duration_since(cache.requested_at) > age_max {
                    cache.requested_at = now;
                    let timeouts = TimeoutConfig::builder()
                        .operation_attempt_timeout(deadlines::SECRETS_REFRESH_TIMEOUT)
                        .operation_timeout(deadlines::SECRETS_REFRESH_TIMEOUT);
                    let fetched = fetch(client, arn, &self.scheme, timeouts.build()).await;
                    Some(fetched.map(|secrets| cache.secrets = secrets))
                } else {
                    None
                };
                CurrentSecrets { secrets: cache.secrets.clone(), refresh }
            }
        }
    }
}

async fn fetch(client: &Client, arn: &str, scheme: &Scheme, timeouts: TimeoutConfig) -> Result<Secrets, SecretsError> {
    let request = client.get_secret_value().secret_id(arn).customize();
    let output = request.config_override(Config::builder().timeout_config(timeouts)).send().await;
    let output = output.map_err(|error| SecretsError::Unavailable(sdk_error::describe(&error)))?;
    Ok(Secrets::parse(output.secret_string().ok_or(SecretsError::Binary)?, scheme)?)
}
