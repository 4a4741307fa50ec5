//! The SDK's clients. Their timeouts are in [`deadlines`].

use std::time::Duration;

use aws_sdk_dynamodb::config::retry::RetryConfig;
use aws_sdk_dynamodb::config::timeout::TimeoutConfig;
use aws_sdk_dynamodb::config::{
    BehaviorVersion, Credentials, IdentityCache, Region, SharedCredentialsProvider, SharedHttpClient,
    StalledStreamProtectionConfig,
};
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore, rustls_provider::CryptoMode};
use aws_smithy_runtime_api::client::http::{HttpClient, http_client_fn};
use aws_types::SdkConfig;
use clientele_flow::{Flow, deadlines};

use crate::config::{Endpoints, LambdaEnvironment, Resources};
use crate::customers::Customers;
use crate::lazy_client::LazyClient;
use crate::queues::SqsQueues;
use crate::user_agent::UserAgent;

/// Clients of the three services that a function calls.
#[derive(Clone, Debug)]
pub struct Clients {
    /// The table.
    pub dynamodb: aws_sdk_dynamodb::Client,
    /// The queues.
    pub sqs: LazyClient<aws_sdk_sqs::Client>,
    /// The secrets.
    pub secrets_manager: LazyClient<aws_sdk_secretsmanager::Client>,
}

/// The timeouts of calls.
#[derive(Clone, Copy, Debug)]
pub enum CallTimeouts {
    /// Short, because a provider is waiting for the response.
    Function,
    /// Longer, because only a person is waiting, perhaps while credentials are fetched.
    Operator,
}

/// The root certificates of AWS endpoints, from <https://www.amazontrust.com/repository/>. To read the 140 of a system
/// takes longer than the rest of a cold start.
const AMAZON_ROOTS: &str = include_str!("amazon-trust-services.pem");

impl Clients {
    /// Clients of a function on Lambda.
    #[must_use]
    pub fn of_function(environment: &LambdaEnvironment) -> Self {
        Self::new(&config_of_function(environment), CallTimeouts::Function, &environment.endpoints)
    }

    /// Clients of a local stack with its table and queues at these URLs. Environment variables do not affect them.
    #[must_use]
    pub fn local(dynamodb_url: &str, sqs_url: &str, timeouts: CallTimeouts) -> Self {
        Self::local_with_http(aws_smithy_http_client::Builder::new().build_http(), dynamodb_url, sqs_url, timeouts)
    }

    /// As [`Clients::local`], with a given HTTP client.
    #[must_use]
    pub fn local_with_http(http: SharedHttpClient, dynamodb_url: &str, sqs_url: &str, timeouts: CallTimeouts) -> Self {
        let [dynamodb, sqs] = [dynamodb_url, sqs_url].map(|url| Some(url.to_owned()));
        let endpoints = Endpoints { dynamodb, sqs, ..Endpoints::default() };
        Self::new(&local_config(http), timeouts, &endpoints)
    }

    /// Clients with a given configuration of the SDK.
    #[must_use]
    pub fn new(config: &SdkConfig, timeouts: CallTimeouts, endpoints: &Endpoints) -> Self {
        let dynamodb = with_timeout(config, timeouts, deadlines::DYNAMODB_ATTEMPT_TIMEOUT);
        let mut dynamodb = aws_sdk_dynamodb::config::Builder::from(&dynamodb).interceptor(UserAgent);
        if let Some(url) = &endpoints.dynamodb {
            dynamodb = dynamodb.endpoint_url(url);
        }
        Self {
            dynamodb: aws_sdk_dynamodb::Client::from_conf(dynamodb.build()),
            sqs: sqs_client(config, timeouts, endpoints),
            secrets_manager: secrets_manager_client(config, timeouts, endpoints),
        }
    }

    /// The flow with a function's table and queues.
    #[must_use]
    pub fn flow(&self, resources: Resources) -> Flow<Customers, SqsQueues> {
        let queues = SqsQueues::new(self.sqs.clone(), &resources);
        let Resources { customers_table, erasure, .. } = resources;
        Flow { table: Customers::new(self.dynamodb.clone(), customers_table), queues, erasure }
    }
}

/// HTTPS with the root certificates of the operator's system.
#[must_use]
pub fn https_with_system_roots() -> SharedHttpClient {
    https(TrustStore::default())
}

fn https(roots: TrustStore) -> SharedHttpClient {
    #[expect(clippy::expect_used, reason = "a trust store alone is always valid")]
    let tls = TlsContext::builder().with_trust_store(roots).build().expect("a valid trust store");
    let ring = Provider::Rustls(CryptoMode::Ring);
    aws_smithy_http_client::Builder::new().tls_provider(ring).tls_context(tls).build_https()
}

/// The SDK's configuration on Lambda.
pub(crate) fn config_of_function(environment: &LambdaEnvironment) -> SdkConfig {
    let LambdaEnvironment { region, credentials, ca_bundle, .. } = environment;
    let roots = TrustStore::empty().with_pem_certificate(ca_bundle.as_deref().unwrap_or(AMAZON_ROOTS));
    config(Region::new(region.clone()), credentials.clone(), https(roots))
}

/// The SDK's configuration for a local stack.
#[must_use]
pub fn local_config(http: SharedHttpClient) -> SdkConfig {
    let credentials = Credentials::new("local", "local", None, None, "local");
    config(Region::from_static("us-east-1"), credentials, http)
}

/// The configuration for a service whose calls may take this time per attempt. Callers limit the time of all attempts
/// together.
pub(crate) fn with_timeout(config: &SdkConfig, timeouts: CallTimeouts, attempt: Duration) -> SdkConfig {
    let factor = match timeouts {
        CallTimeouts::Function => 1,
        CallTimeouts::Operator => deadlines::OPERATOR_FACTOR,
    };
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(deadlines::CONNECT_TIMEOUT * factor)
        .operation_attempt_timeout(attempt * factor);
    let retries = RetryConfig::standard()
        .with_max_attempts(deadlines::ATTEMPTS_MAX)
        .with_initial_backoff(deadlines::FIRST_BACKOFF);
    config.to_builder().timeout_config(timeouts.build()).retry_config(retries).build()
}

pub(crate) fn sqs_client(
    config: &SdkConfig,
    timeouts: CallTimeouts,
    endpoints: &Endpoints,
) -> LazyClient<aws_sdk_sqs::Client> {
    let config = with_timeout(config, timeouts, deadlines::SQS_ATTEMPT_TIMEOUT);
    let url = endpoints.sqs.clone();
    LazyClient::new(move || {
        let mut sqs = aws_sdk_sqs::config::Builder::from(&config).interceptor(UserAgent);
        if let Some(url) = url {
            sqs.set_endpoint_url(Some(url));
        }
        aws_sdk_sqs::Client::from_conf(sqs.build())
    })
}

fn secrets_manager_client(
    config: &SdkConfig,
    timeouts: CallTimeouts,
    endpoints: &Endpoints,
) -> LazyClient<aws_sdk_secretsmanager::Client> {
    let config = with_timeout(config, timeouts, deadlines::SECRETS_REFRESH_TIMEOUT);
    let url = endpoints.secrets_manager.clone();
    LazyClient::new(move || {
        let mut secrets_manager = aws_sdk_secretsmanager::config::Builder::from(&config).interceptor(UserAgent);
        if let Some(url) = url {
            secrets_manager.set_endpoint_url(Some(url));
        }
        aws_sdk_secretsmanager::Client::from_conf(secrets_manager.build())
    })
}

fn config(region: Region, credentials: Credentials, http: SharedHttpClient) -> SdkConfig {
    SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(region)
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        // The credentials never change, so caching them gains nothing.
        .identity_cache(IdentityCache::no_cache())
        // Bodies are small, and every attempt has a timeout.
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
        // Without the SDK's check that a connector can be made, for which each client would read the certificates once more.
        .http_client(http_client_fn(move |settings, components| http.http_connector(settings, components)))
        .build()
}
