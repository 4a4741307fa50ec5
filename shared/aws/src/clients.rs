//! The SDK's clients. Their timeouts are in [`deadlines`].

use std::time::Duration;

use aws_sdk_dynamodb::config::retry::RetryConfig;
use aws_sdk_dynamodb::config::timeout::TimeoutConfig;
use aws_sdk_dynamodb::config::{
    BehaviorVersion, Credentials, IdentityCache, Region, SharedCredentialsProvider, SharedHttpClient,
    StalledStreamProtectionConfig,
};
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore, rustls_provider::CryptoMode};
use aws_types::SdkConfig;
use clientele_flow::{Flow, deadlines};

use crate::config::{Reader, Resources};
use crate::customers::Customers;
use crate::queues::SqsQueues;

/// Clients of the three services that a function calls.
#[derive(Clone, Debug)]
pub struct Clients {
    /// The table.
    pub dynamodb: aws_sdk_dynamodb::Client,
    /// The queues.
    pub sqs: aws_sdk_sqs::Client,
    /// The secrets.
    pub secrets_manager: aws_sdk_secretsmanager::Client,
}

/// Where the services are, if not where the region says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Endpoints {
    /// `AWS_ENDPOINT_URL_DYNAMODB`
    pub dynamodb: Option<String>,
    /// `AWS_ENDPOINT_URL_SQS`
    pub sqs: Option<String>,
    /// `AWS_ENDPOINT_URL_SECRETS_MANAGER`
    pub secrets_manager: Option<String>,
}

/// What Lambda's environment says of AWS. A function asks nothing else: no profile, no metadata service.
#[derive(Debug)]
pub struct Surroundings {
    /// `AWS_REGION`
    pub region: String,
    /// `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY` and `AWS_SESSION_TOKEN`
    pub credentials: Credentials,
    /// Empty when deployed.
    pub endpoints: Endpoints,
    /// The root certificates in the file of `AWS_CA_BUNDLE`, where they are not Amazon's.
    pub ca_bundle: Option<String>,
}

/// The roots that AWS' endpoints have: <https://www.amazontrust.com/repository/>. Reading the 140 of a system costs a
/// cold start more than everything else that it does.
const AMAZON_ROOTS: &str = include_str!("amazon-trust-services.pem");

impl Surroundings {
    pub(crate) fn read<V: Fn(&str) -> Option<String>>(read: &mut Reader<V>) -> Self {
        let every = read.optional("AWS_ENDPOINT_URL");
        let endpoint = |name| read.optional(name).or_else(|| every.clone());
        let endpoints = Endpoints {
            dynamodb: endpoint("AWS_ENDPOINT_URL_DYNAMODB"),
            sqs: endpoint("AWS_ENDPOINT_URL_SQS"),
            secrets_manager: endpoint("AWS_ENDPOINT_URL_SECRETS_MANAGER"),
        };
        let (key, secret) = (read.text("AWS_ACCESS_KEY_ID"), read.text("AWS_SECRET_ACCESS_KEY"));
        let credentials = Credentials::new(key, secret, read.optional("AWS_SESSION_TOKEN"), None, "environment");
        let ca_bundle = read.certificates("AWS_CA_BUNDLE");
        Self { region: read.text("AWS_REGION"), credentials, endpoints, ca_bundle }
    }
}

impl Clients {
    /// Clients of a function.
    #[must_use]
    pub fn of_function(surroundings: Surroundings) -> Self {
        let Surroundings { region, credentials, endpoints, ca_bundle } = surroundings;
        let roots = ca_bundle.unwrap_or_else(|| AMAZON_ROOTS.to_owned());
        let config = config(Region::new(region), credentials, https(TrustStore::empty().with_pem_certificate(roots)));
        Self::new(&config, Budget::Function, &endpoints)
    }

    /// Clients for a table and queues at these URLs, with any credentials: the local stack. The environment has no say
    /// in where they point.
    #[must_use]
    pub fn local(dynamodb_url: &str, sqs_url: &str, budget: Budget) -> Self {
        Self::local_through(aws_smithy_http_client::Builder::new().build_http(), dynamodb_url, sqs_url, budget)
    }

    /// The same, through that HTTP client.
    #[must_use]
    pub fn local_through(http: SharedHttpClient, dynamodb_url: &str, sqs_url: &str, budget: Budget) -> Self {
        let credentials = Credentials::new("local", "local", None, None, "local");
        let [dynamodb, sqs] = [dynamodb_url, sqs_url].map(|url| Some(url.to_owned()));
        let endpoints = Endpoints { dynamodb, sqs, secrets_manager: None };
        Self::new(&config(Region::from_static("us-east-1"), credentials, http), budget, &endpoints)
    }

    /// Clients of that configuration.
    #[must_use]
    pub fn new(config: &SdkConfig, budget: Budget, endpoints: &Endpoints) -> Self {
        let within = |attempt: Duration| {
            let factor = match budget {
                Budget::Function => 1,
                Budget::Operator => deadlines::OPERATOR_FACTOR,
            };
            // All attempts together are bounded by the flow, which knows what is left of the time of the delivery or
            // sweep; secrets.rs bounds its own.
            let timeouts = TimeoutConfig::builder()
                .connect_timeout(deadlines::CONNECT_TIMEOUT * factor)
                .operation_attempt_timeout(attempt * factor);
            let retries = RetryConfig::standard()
                .with_max_attempts(deadlines::ATTEMPTS_MAX)
                .with_initial_backoff(deadlines::FIRST_BACKOFF);
            config.to_builder().timeout_config(timeouts.build()).retry_config(retries).build()
        };
        let mut dynamodb = aws_sdk_dynamodb::config::Builder::from(&within(deadlines::DYNAMODB_ATTEMPT_TIMEOUT));
        let mut sqs = aws_sdk_sqs::config::Builder::from(&within(deadlines::SQS_ATTEMPT_TIMEOUT));
        let mut secrets_manager =
            aws_sdk_secretsmanager::config::Builder::from(&within(deadlines::SECRETS_REFRESH_TIMEOUT));
        if let Some(url) = &endpoints.dynamodb {
            dynamodb = dynamodb.endpoint_url(url);
        }
        if let Some(url) = &endpoints.sqs {
            sqs = sqs.endpoint_url(url);
        }
        if let Some(url) = &endpoints.secrets_manager {
            secrets_manager = secrets_manager.endpoint_url(url);
        }
        Self {
            dynamodb: aws_sdk_dynamodb::Client::from_conf(dynamodb.build()),
            sqs: aws_sdk_sqs::Client::from_conf(sqs.build()),
            secrets_manager: aws_sdk_secretsmanager::Client::from_conf(secrets_manager.build()),
        }
    }
}

impl Clients {
    /// The way of events into that table and those queues.
    #[must_use]
    pub fn flow(&self, resources: Resources) -> Flow<Customers, SqsQueues> {
        let queues = SqsQueues::new(self.sqs.clone(), &resources);
        Flow { table: Customers::new(self.dynamodb.clone(), resources.customers_table), queues }
    }
}

/// HTTPS by ring, for operators: with the roots of their system.
#[must_use]
pub fn https_of_system() -> SharedHttpClient {
    https(TrustStore::default())
}

fn https(roots: TrustStore) -> SharedHttpClient {
    #[expect(clippy::expect_used, reason = "it has no way to fail")]
    let tls = TlsContext::builder().with_trust_store(roots).build().expect("a trust store alone");
    let ring = Provider::Rustls(CryptoMode::Ring);
    aws_smithy_http_client::Builder::new().tls_provider(ring).tls_context(tls).build_https()
}

fn config(region: Region, credentials: Credentials, http: SharedHttpClient) -> SdkConfig {
    SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(region)
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        // They are at hand: nothing to keep or to refresh.
        .identity_cache(IdentityCache::no_cache())
        // Bodies are small, and every attempt has its timeout.
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
        .http_client(http)
        .build()
}

/// How long a call may take.
#[derive(Clone, Copy, Debug)]
pub enum Budget {
    /// A provider waits for the answer.
    Function,
    /// A person waits, perhaps while credentials are being fetched.
    Operator,
}
