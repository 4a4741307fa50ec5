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
    pub async fn from_environment(budget: Budget) -> Self {
        let tls = Provider::Rustls(CryptoMode::Ring);
        let http = aws_smithy_http_client::Builder::new().tls_provider(tls).build_https();
        Self::build(&aws_config::defaults(BehaviorVersion::latest()).http_client(http).load().await, budget, None)
    }

    /// Clients for a table and queues at these URLs, with any credentials: the local stack. The environment has no say
    /// in where they point.
    pub async fn local(dynamodb_url: &str, sqs_url: &str, budget: Budget) -> Self {
        let config = aws_config::defaults(BehaviorVersion::latest())
            .region(Region::from_static("us-east-1"))
            .use_fips(false)
            .use_dual_stack(false)
            .credentials_provider(Credentials::new("local", "local", None, None, "local"))
            .http_client(aws_smithy_http_client::Builder::new().build_http());
        Self::build(&config.load().await, budget, Some((dynamodb_url, sqs_url)))
    }

    fn build(config: &SdkConfig, budget: Budget, urls: Option<(&str, &str)>) -> Self {
        let within = |attempt_ms: u64, operation_ms: u64| {
            let factor = match budget {
                Budget::Function => 1,
                Budget::Operator => 20,
            };
            let timeouts = TimeoutConfig::builder()
                .connect_timeout(Duration::from_millis(500 * factor))
                .operation_attempt_timeout(Duration::from_millis(attempt_ms * factor))
                .operation_timeout(Duration::from_millis(operation_ms * factor));
            let retries = RetryConfig::standard().with_max_attempts(3).with_initial_backoff(Duration::from_millis(50));
            config.to_builder().timeout_config(timeouts.build()).retry_config(retries).build()
        };
        let mut dynamodb = aws_sdk_dynamodb::config::Builder::from(&within(700, 1_800));
        let mut sqs = aws_sdk_sqs::config::Builder::from(&within(600, 1_000));
        // On the service's own configuration, which goes before AWS_ENDPOINT_URL and its kind.
        if let Some((dynamodb_url, sqs_url)) = urls {
            dynamodb = dynamodb.endpoint_url(dynamodb_url);
            sqs = sqs.endpoint_url(sqs_url);
        }
        Self {
            dynamodb: aws_sdk_dynamodb::Client::from_conf(dynamodb.build()),
            sqs: aws_sdk_sqs::Client::from_conf(sqs.build()),
            secrets_manager: aws_sdk_secretsmanager::Client::new(&within(600, 600)),
        }
    }
}

/// How long a call may take.
#[derive(Clone, Copy, Debug)]
pub enum Budget {
    /// A provider waits for the answer.
    Function,
    /// A person waits, perhaps while credentials are being fetched.
    Operator,
}
