//! The SDK's clients of the change feed. They are apart from [`crate::Clients`], so that no other function contains
//! EventBridge's client.

use aws_smithy_http_client::Builder;
use aws_types::SdkConfig;
use clientele_flow::deadlines::EVENTBRIDGE_ATTEMPT_TIMEOUT;

use aws_sdk_dynamodb::config::SharedHttpClient;

use crate::clients::{self, CallTimeouts};
use crate::config::{Endpoints, LambdaEnvironment};
use crate::lazy_client::LazyClient;
use crate::user_agent::UserAgent;

/// Clients of the services that the change feed calls.
#[derive(Clone, Debug)]
pub struct ChangeClients {
    /// The bus.
    pub eventbridge: aws_sdk_eventbridge::Client,
    /// The queue of changes that the bus refuses.
    pub sqs: LazyClient<aws_sdk_sqs::Client>,
}

impl ChangeClients {
    /// Clients of a function on Lambda.
    #[must_use]
    pub fn of_function(environment: &LambdaEnvironment) -> Self {
        let config = clients::config_of_function(environment);
        Self::new(&config, CallTimeouts::Function, &environment.endpoints)
    }

    /// Clients of a local stack with its bus and queues at these URLs. Environment variables do not affect them.
    #[must_use]
    pub fn local(eventbridge_url: &str, sqs_url: &str, timeouts: CallTimeouts) -> Self {
        Self::local_with_http(Builder::new().build_http(), eventbridge_url, sqs_url, timeouts)
    }

    /// As [`ChangeClients::local`], with a given HTTP client.
    #[must_use]
    pub fn local_with_http(
        http: SharedHttpClient,
        eventbridge_url: &str,
        sqs_url: &str,
        timeouts: CallTimeouts,
    ) -> Self {
        let [eventbridge, sqs] = [eventbridge_url, sqs_url].map(|url| Some(url.to_owned()));
        let endpoints = Endpoints { eventbridge, sqs, ..Endpoints::default() };
        Self::new(&clients::local_config(http), timeouts, &endpoints)
    }

    /// Clients with a given configuration of the SDK.
    #[must_use]
    pub fn new(config: &SdkConfig, timeouts: CallTimeouts, endpoints: &Endpoints) -> Self {
        let with_timeout = clients::with_timeout(config, timeouts, EVENTBRIDGE_ATTEMPT_TIMEOUT);
        let mut eventbridge = aws_sdk_eventbridge::config::Builder::from(&with_timeout).interceptor(UserAgent);
        if let Some(url) = &endpoints.eventbridge {
            eventbridge = eventbridge.endpoint_url(url);
        }
        Self {
            eventbridge: aws_sdk_eventbridge::Client::from_conf(eventbridge.build()),
            sqs: clients::sqs_client(config, timeouts, endpoints),
        }
    }
}
