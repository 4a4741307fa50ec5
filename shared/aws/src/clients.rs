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

use aws_config::{BehaviorVersion, SdkConfig};
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
        Self::new(&aws_config::defaults(BehaviorVersion::latest()).http_client(http).load().await)
    }

    /// Clients with the timeouts of a function, for anything else as `config` says.
    #[must_use]
    pub fn new(config: &SdkConfig) -> Self {
        let with = |attempt_ms, operation_ms| {
            let timeouts = TimeoutConfig::builder()
                .connect_timeout(Duration::from_millis(500))
                .operation_attempt_timeout(Duration::from_millis(attempt_ms))
                .operation_timeout(Duration::from_millis(operation_ms));
            let retries = RetryConfig::standard().with_max_attempts(3).with_initial_backoff(Duration::from_millis(50));
            config.to_builder().timeout_config(timeouts.build()).retry_config(retries).build()
        };
        Self {
            dynamodb: aws_sdk_dynamodb::Client::new(&with(700, 1_800)),
            sqs: aws_sdk_sqs::Client::new(&with(600, 1_000)),
            secrets_manager: aws_sdk_secretsmanager::Client::new(&with(600, 600)),
        }
    }
}
