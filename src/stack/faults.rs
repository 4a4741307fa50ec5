//! Injected faults: calls of the functions to DynamoDB, SQS, Secrets Manager and EventBridge that fail on demand.
//!
//! They are injected below the SDK, so that its own timeouts and retries apply. The emulators themselves keep working,
//! and so do the operator's commands.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::deliveries::Deliveries;
use super::event_bus::EventBus;
use super::secrets_manager::SecretsManager;

/// A service that the functions call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Service {
    /// The table.
    Dynamodb,
    /// The queues.
    Sqs,
    /// Secrets Manager.
    Secrets,
    /// The event bus of the change feed.
    Eventbridge,
}

/// How a call fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum FaultMode {
    /// The service throttles the call
    Throttle,
    /// The service never responds
    Timeout,
    /// The service responds with status 500
    Error,
    /// The connection is reset
    Reset,
}

/// A fault of one service.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Fault {
    /// How its calls fail.
    pub mode: FaultMode,
    /// The share of its calls that fail, from 0 to 1.
    pub rate: f64,
    /// How long the fault stays active, in seconds from now.
    pub for_seconds: f64,
}

/// The active faults of all services, each with the time at which it ends. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct Faults(Arc<Mutex<BTreeMap<Service, (Fault, Instant)>>>);

impl Faults {
    /// Sets the fault of a service, replacing any fault that it has.
    ///
    /// # Errors
    /// When rate or duration are out of range.
    pub fn set(&self, service: Service, fault: Fault) -> Result<()> {
        ensure!((0.0..=1.0).contains(&fault.rate), "the rate must be between 0 and 1");
        let duration = Duration::try_from_secs_f64(fault.for_seconds).ok();
        let ends = duration.and_then(|duration| Instant::now().checked_add(duration));
        self.faults().insert(service, (fault, ends.context("the duration must be a number of seconds, 0 or more")?));
        Ok(())
    }

    /// Removes all faults.
    pub fn clear(&self) {
        self.faults().clear();
    }

    /// The active faults, with the seconds that each has left.
    #[must_use]
    pub fn active(&self) -> BTreeMap<Service, Fault> {
        let now = Instant::now();
        let mut faults = self.faults();
        faults.retain(|_, (_, ends)| *ends > now);
        let left = |(fault, ends): &(Fault, Instant)| Fault { for_seconds: (*ends - now).as_secs_f64(), ..*fault };
        faults.iter().map(|(service, fault)| (*service, left(fault))).collect()
    }

    /// An HTTP client that injects the faults, that has `secrets` respond for Secrets Manager and `event_bus` for
    /// EventBridge, and that reports the keys of written items to `deliveries`.
    pub(super) fn http_client(
        &self,
        secrets: SecretsManager,
        event_bus: EventBus,
        deliveries: Deliveries,
    ) -> SharedHttpClient {
        let inner = aws_smithy_http_client::Builder::new().build_http();
        SharedHttpClient::new(FaultInjector { faults: self.clone(), secrets, event_bus, deliveries, inner })
    }

    /// How the next call to a service fails, if it fails.
    fn next_failure(&self, service: Service) -> Option<FaultMode> {
        let fault = *self.active().get(&service)?;
        let random = getrandom::u32().unwrap_or_default();
        (f64::from(random) < fault.rate * f64::from(u32::MAX)).then_some(fault.mode)
    }

    fn faults(&self) -> MutexGuard<'_, BTreeMap<Service, (Fault, Instant)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Debug)]
struct FaultInjector<I> {
    faults: Faults,
    secrets: SecretsManager,
    event_bus: EventBus,
    deliveries: Deliveries,
    inner: I,
}

impl HttpClient for FaultInjector<SharedHttpClient> {
    fn http_connector(&self, settings: &HttpConnectorSettings, components: &RuntimeComponents) -> SharedHttpConnector {
        let inner = self.inner.http_connector(settings, components);
        let Self { faults, secrets, event_bus, deliveries, .. } = self;
        let (faults, secrets, event_bus) = (faults.clone(), secrets.clone(), event_bus.clone());
        SharedHttpConnector::new(FaultInjector { faults, secrets, event_bus, deliveries: deliveries.clone(), inner })
    }
}

impl HttpConnector for FaultInjector<SharedHttpConnector> {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let target = request.headers().get("x-amz-target").unwrap_or_default();
        if let Some(pk) = written_key(target, request.body().bytes().unwrap_or_default()) {
            self.deliveries.learn_key(pk);
        }
        let service = match target.split('.').next() {
            Some("AmazonSQS") => Service::Sqs,
            Some("secretsmanager") => Service::Secrets,
            Some("AWSEvents") => Service::Eventbridge,
            _ => Service::Dynamodb,
        };
        let result = match (self.faults.next_failure(service), service) {
            (Some(FaultMode::Timeout), _) => return HttpConnectorFuture::new(std::future::pending()),
            (Some(FaultMode::Reset), _) => {
                let error = std::io::Error::from(std::io::ErrorKind::ConnectionReset);
                Err(ConnectorError::io(error.into()))
            }
            (Some(FaultMode::Throttle), _) => {
                Ok(response(400, &json!({ "__type": throttling_code(service), "message": "injected" })))
            }
            (Some(FaultMode::Error), _) => Ok(response(500, &json!({ "__type": "InternalServerError" }))),
            (None, Service::Secrets) => {
                let body = request.body().bytes().unwrap_or_default();
                let (status, body) = self.secrets.get_secret_value(&serde_json::from_slice(body).unwrap_or_default());
                Ok(response(status, &body))
            }
            (None, Service::Eventbridge) => {
                let (status, body) = self.event_bus.put_events(request.body().bytes().unwrap_or_default());
                Ok(response(status, &body))
            }
            (None, Service::Dynamodb | Service::Sqs) => return self.inner.call(request),
        };
        HttpConnectorFuture::ready(result)
    }
}

/// The `pk` of the item that a request writes.
fn written_key(target: &str, body: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Write {
        #[serde(alias = "Key")]
        item: Key,
    }
    #[derive(Deserialize)]
    struct Key {
        pk: Text,
    }
    #[derive(Deserialize)]
    struct Text {
        #[serde(rename = "S")]
        text: String,
    }
    let is_write = target.ends_with(".PutItem") || target.ends_with(".UpdateItem");
    is_write.then(|| serde_json::from_slice::<Write>(body).ok())?.map(|write| write.item.pk.text)
}

fn throttling_code(service: Service) -> &'static str {
    match service {
        Service::Dynamodb => "ProvisionedThroughputExceededException",
        Service::Sqs => "RequestThrottled",
        Service::Secrets | Service::Eventbridge => "ThrottlingException",
    }
}

fn response(status: u16, body: &Value) -> HttpResponse {
    let status = aws_smithy_runtime_api::http::StatusCode::try_from(status);
    let status = status.unwrap_or_else(|_| http::StatusCode::INTERNAL_SERVER_ERROR.into());
    HttpResponse::new(status, SdkBody::from(body.to_string()))
}
