//! The secrets that webhooks are currently signed with.

use std::sync::Arc;
use std::time::Duration;

use aws_sdk_secretsmanager::config::retry::RetryConfig;
use aws_sdk_secretsmanager::{Client, Config};
use clientele_flow::deadlines;
use clientele_model::{Scheme, SecretProblems, Secrets};
use jiff::{SignedDuration, Timestamp};
use tokio::sync::Mutex;
use tokio::time::timeout;

use crate::config::SecretSource;
use crate::lazy_client::LazyClient;
use crate::sdk_error;

/// Secrets that were requested longer ago are requested again.
const AGE_MAX: SignedDuration = SignedDuration::from_mins(5);
/// The maximum age after a delivery that matches none of them, and after a request that failed. Without this limit,
/// forged deliveries could make the function call Secrets Manager at any rate.
const AGE_MAX_IN_DOUBT: SignedDuration = SignedDuration::from_mins(1);
/// The time between two requests as long as there are no secrets, since nothing can be accepted without them.
const AGE_MAX_WITHOUT_SECRETS: SignedDuration = SignedDuration::from_secs(1);
/// Secrets that could not be fetched again for this long are no longer used, so that a removed one stops working even if
/// Secrets Manager fails.
const USABLE_FOR: SignedDuration = SignedDuration::from_hours(1);

/// Why the secrets could not be fetched.
#[derive(Debug, thiserror::Error)]
enum FetchError {
    /// Secrets Manager did not return them.
    #[error("Secrets Manager: {0}")]
    Unavailable(String),
    /// The secret is not a text.
    #[error("the secret in Secrets Manager is binary, and should be text")]
    Binary,
    /// The scheme can use none of the secrets.
    #[error("the secret in Secrets Manager: {0}")]
    Unusable(#[from] SecretProblems),
}

/// The secrets of a function, from the environment or from Secrets Manager. The latter are cached.
#[derive(Debug)]
pub(crate) struct SecretStore {
    scheme: Scheme,
    source: Source,
}

#[derive(Debug)]
enum Source {
    Environment(Arc<Secrets>),
    SecretsManager { client: LazyClient<Client>, arn: String, cache: Mutex<Cache> },
}

/// The secrets that were fetched, if there are any, and the result of the last request.
#[derive(Debug, Default)]
struct Cache {
    /// The secrets that were fetched last, and when they were requested.
    fetched: Option<(Arc<Secrets>, Timestamp)>,
    /// When secrets were last requested, successfully or not.
    requested_at: Option<Timestamp>,
    /// Why the last request failed.
    failure: Option<FetchError>,
}

/// The secrets to verify a delivery with.
#[derive(Debug)]
pub(crate) struct CurrentSecrets {
    /// The secrets that were fetched last; none if there are none that may still be used.
    pub(crate) secrets: Arc<Secrets>,
    /// Whether there may be newer ones, because the last request failed.
    pub(crate) may_be_outdated: bool,
    /// What an operator should correct.
    pub(crate) warning: Option<String>,
}

impl SecretStore {
    /// Opens the store, and fetches the secrets from Secrets Manager. If that fails or takes too long, the first delivery
    /// fetches them.
    pub(crate) async fn open(
        source: SecretSource,
        scheme: &Scheme,
        client: &LazyClient<Client>,
        now: Timestamp,
    ) -> Self {
        let source = match source {
            SecretSource::Environment(secrets) => Source::Environment(Arc::new(secrets)),
            SecretSource::SecretsManager(arn) => {
                let mut cache = Cache::default();
                let fetched = fetch(client, &arn, scheme, deadlines::START_WITHIN, deadlines::ATTEMPTS_MAX).await;
                if fetched.is_ok() {
                    cache.set(fetched, now);
                }
                Source::SecretsManager { client: client.clone(), arn, cache: Mutex::new(cache) }
            }
        };
        Self { scheme: scheme.clone(), source }
    }

    /// The secrets, at most five minutes old. Older ones are used for up to an hour if they cannot be fetched again.
    pub(crate) async fn current(&self, now: Timestamp) -> CurrentSecrets {
        self.no_older_than(AGE_MAX, now).await
    }

    /// The secrets, at most one minute old, for a delivery that matched none.
    pub(crate) async fn after_mismatch(&self, now: Timestamp) -> CurrentSecrets {
        self.no_older_than(AGE_MAX_IN_DOUBT, now).await
    }

    async fn no_older_than(&self, age_max: SignedDuration, now: Timestamp) -> CurrentSecrets {
        let (client, arn, cache) = match &self.source {
            Source::SecretsManager { client, arn, cache } => (client, arn, cache),
            Source::Environment(secrets) => {
                return CurrentSecrets {
                    secrets: secrets.clone(),
                    may_be_outdated: false,
                    warning: problems_of(secrets),
                };
            }
        };
        let mut cache = cache.lock().await;
        cache.fetched.take_if(|(_, requested_at)| age(*requested_at, now) > USABLE_FOR);
        if cache.is_due(age_max, now) {
            let fetched = fetch(client, arn, &self.scheme, deadlines::SECRETS_REFRESH_TIMEOUT, 1).await;
            cache.set(fetched, now);
        }
        cache.current()
    }
}

impl Cache {
    fn is_due(&self, age_max: SignedDuration, now: Timestamp) -> bool {
        let age_max = match (&self.fetched, &self.failure) {
            (None, _) => AGE_MAX_WITHOUT_SECRETS,
            (Some(_), Some(_)) => AGE_MAX_IN_DOUBT,
            (Some(_), None) => age_max,
        };
        self.requested_at.is_none_or(|requested_at| age(requested_at, now) > age_max)
    }

    fn set(&mut self, fetched: Result<Secrets, FetchError>, now: Timestamp) {
        self.requested_at = Some(now);
        match fetched {
            Ok(secrets) => (self.fetched, self.failure) = (Some((Arc::new(secrets), now)), None),
            Err(error) => self.failure = Some(error),
        }
    }

    fn current(&self) -> CurrentSecrets {
        let secrets = self.fetched.as_ref().map(|(secrets, _)| secrets.clone()).unwrap_or_default();
        let failure = self.failure.as_ref().map(|error| format!("secrets not fetched: {error}"));
        let may_be_outdated = failure.is_some();
        CurrentSecrets { warning: failure.or_else(|| problems_of(&secrets)), secrets, may_be_outdated }
    }
}

/// How long ago a time was. If the clock was set back since, it is the difference, so that secrets do not stay valid until
/// the clock has caught up.
fn age(time: Timestamp, now: Timestamp) -> SignedDuration {
    now.duration_since(time).abs()
}

fn problems_of(secrets: &Secrets) -> Option<String> {
    let problems = secrets.problems();
    (!problems.0.is_empty()).then(|| format!("secrets: {problems}"))
}

async fn fetch(
    client: &Client,
    arn: &str,
    scheme: &Scheme,
    within: Duration,
    attempts: u32,
) -> Result<Secrets, FetchError> {
    let retries = RetryConfig::standard().with_max_attempts(attempts).with_initial_backoff(deadlines::FIRST_BACKOFF);
    let request = client.get_secret_value().secret_id(arn).customize();
    let request = request.config_override(Config::builder().retry_config(retries)).send();
    let output = timeout(within, request).await.map_err(|_| FetchError::Unavailable("timed out".to_owned()))?;
    let output = output.map_err(|error| FetchError::Unavailable(sdk_error::describe(&error)))?;
    Ok(Secrets::parse(output.secret_string().ok_or(FetchError::Binary)?, scheme)?)
}
