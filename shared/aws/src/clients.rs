//! The SDK's clients, with the time budget of a delivery in their timeouts.
//!
//! Flexprice Cloud gives up after 5 s; a delivery is answered within 4 s whatever fails:
//!
//! | step | at most |
//! |---|---|
//! | secrets fetched again after a mismatch | 0.6 s |
//! | the table written, its retries included | 1.8 s |
//! | a message sent, its retries included | 1.0 s |
//! | a mark cleared | 0.5 s |

use std::time::Duration;

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_dynamodb::config::Credentials;
use aws_sdk_dynamodb::config::retry::RetryConfig;
use aws_sdk_dynamodb::config::timeout::TimeoutConfig;
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};

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

impl Clients {
    /// Clients for wherever the ordinary AWS environment points.
    pub async fn from_environment() -> Self {
        let http =
            aws_smithy_http_client::Builder::new().tls_provider(Provider::Rustls(CryptoMode::Ring)).build_https();
        Self::build(&aws_config::defaults(BehaviorVersion::latest()).http_client(http).load().await, None, None)
    }

    /// Clients for a table and queues at these URLs, with any credentials: the local stack.
    pub async fn local(dynamodb_url: &str, sqs_url: &str) -> Self {
        let config = aws_config::defaults(BehaviorVersion::latest())
            .region(Region::from_static("us-east-1"))
            .credentials_provider(Credentials::new("local", "local", None, None, "local"))
            .http_client(aws_smithy_http_client::Builder::new().build_http());
        Self::build(&config.load().await, Some(dynamodb_url), Some(sqs_url))
    }

    fn build(config: &SdkConfig, dynamodb_url: Option<&str>, sqs_url: Option<&str>) -> Self {
        let with = |attempt_ms, operation_ms, url: Option<&str>| {
            let timeouts = TimeoutConfig::builder()
                .connect_timeout(Duration::from_millis(500))
                .operation_attempt_timeout(Duration::from_millis(attempt_ms))
                .operation_timeout(Duration::from_millis(operation_ms));
            let retries = RetryConfig::standard().with_max_attempts(3).with_initial_backoff(Duration::from_millis(50));
            let config = config.to_builder().timeout_config(timeouts.build()).retry_config(retries);
            let config = match url {
                Some(url) => config.endpoint_url(url),
                None => config,
            };
            config.build()
        };
        Self {
            dynamodb: aws_sdk_dynamodb::Client::new(&with(700, 1_800, dynamodb_url)),
            sqs: aws_sdk_sqs::Client::new(&with(600, 1_000, sqs_url)),
            secrets_manager: aws_sdk_secretsmanager::Client::new(&with(600, 600, None)),
        }
    }
}
