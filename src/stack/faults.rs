//! Faults on demand: calls of the functions to DynamoDB, SQS and Secrets Manager that go wrong. They are injected
//! below the SDK, so that its own timeouts and retries are at work; the emulators themselves stay well, and so do the
//! operator's commands.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
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
}

/// How a call goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// It is refused for there being too many
    Throttle,
    /// It is never answered
    Timeout,
    /// It is answered with 500
    Error,
    /// Its connection is cut
    Reset,
}

/// A fault of a service.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Fault {
    /// How its calls go wrong.
    pub mode: Mode,
    /// How many of them, from 0 to 1.
    pub rate: f64,
    /// For how long, in seconds from now.
    pub for_seconds: f64,
}

/// The faults of all services, and the secrets of the local Secrets Manager. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct Faults(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    faults: BTreeMap<Service, (Fault, Instant)>,
    secrets: BTreeMap<String, Secret>,
}

struct Secret(String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

impl Faults {
    /// Sets the fault of a service, instead of the one that it may have.
    ///
    /// # Errors
    /// When rate or time are out of range.
    pub fn set(&self, service: Service, fault: Fault) -> Result<()> {
        ensure!((0.0..=1.0).contains(&fault.rate), "the rate is from 0 to 1");
        let time = Duration::try_from_secs_f64(fault.for_seconds);
        let until = time.ok().and_then(|time| Instant::now().checked_add(time));
        let Some(until) = until else { anyhow::bail!("the time is not a number of seconds") };
        self.state().faults.insert(service, (fault, until));
        Ok(())
    }

    /// All services are well again.
    pub fn clear(&self) {
        self.state().faults.clear();
    }

    /// The faults that are on, with the time that is left of each.
    #[must_use]
    pub fn on(&self) -> BTreeMap<Service, Fault> {
        let now = Instant::now();
        let mut state = self.state();
        state.faults.retain(|_, (_, until)| *until > now);
        let left = |(fault, until): &(Fault, Instant)| Fault { for_seconds: (*until - now).as_secs_f64(), ..*fault };
        state.faults.iter().map(|(service, fault)| (*service, left(fault))).collect()
    }

    /// Sets a secret of the local Secrets Manager.
    pub(super) fn set_secret(&self, arn: String, text: String) {
        self.state().secrets.insert(arn, Secret(text));
    }

    /// An HTTP client whose calls go wrong as they should.
    pub(super) fn http(&self) -> SharedHttpClient {
        let inner = aws_smithy_http_client::Builder::new().build_http();
        SharedHttpClient::new(Faulty { faults: self.clone(), inner })
    }

    /// What goes wrong with the next call to a service.
    fn strikes(&self, service: Service) -> Option<Mode> {
        let fault = *self.on().get(&service)?;
        let random = getrandom::u32().unwrap_or_default();
        (f64::from(random) < fault.rate * f64::from(u32::MAX)).then_some(fault.mode)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Secrets Manager, as far as the functions need it.
    fn get_secret_value(&self, request: &HttpRequest) -> HttpResponse {
        let asked: Value = serde_json::from_slice(request.body().bytes().unwrap_or_default()).unwrap_or_default();
        let arn = asked["SecretId"].as_str().unwrap_or_default();
        match self.state().secrets.get(arn) {
            Some(Secret(text)) => answer(200, &json!({ "ARN": arn, "Name": arn, "SecretString": text })),
            None => answer(400, &json!({ "__type": "ResourceNotFoundException", "message": "no such secret" })),
        }
    }
}

#[derive(Debug)]
struct Faulty<I> {
    faults: Faults,
    inner: I,
}

impl HttpClient for Faulty<SharedHttpClient> {
    fn http_connector(&self, settings: &HttpConnectorSettings, components: &RuntimeComponents) -> SharedHttpConnector {
        let inner = self.inner.http_connector(settings, components);
        SharedHttpConnector::new(Faulty { faults: self.faults.clone(), inner })
    }
}

impl HttpConnector for Faulty<SharedHttpConnector> {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let target = request.headers().get("x-amz-target").unwrap_or_default();
        let service = match target.split('.').next() {
            Some("AmazonSQS") => Service::Sqs,
            Some("secretsmanager") => Service::Secrets,
            _ => Service::Dynamodb,
        };
        match (self.faults.strikes(service), service) {
            (Some(Mode::Throttle), _) => HttpConnectorFuture::ready(Ok(throttled(service))),
            (Some(Mode::Timeout), _) => HttpConnectorFuture::new(std::future::pending()),
            (Some(Mode::Error), _) => {
                HttpConnectorFuture::ready(Ok(answer(500, &json!({ "__type": "InternalServerError" }))))
            }
            (Some(Mode::Reset), _) => {
                let error = std::io::Error::from(std::io::ErrorKind::ConnectionReset);
                HttpConnectorFuture::ready(Err(ConnectorError::io(error.into())))
            }
            (None, Service::Secrets) => HttpConnectorFuture::ready(Ok(self.faults.get_secret_value(&request))),
            (None, _) => self.inner.call(request),
        }
    }
}

fn throttled(service: Service) -> HttpResponse {
    let code = match service {
        Service::Dynamodb => "ProvisionedThroughputExceededException",
        Service::Sqs => "RequestThrottled",
        Service::Secrets => "ThrottlingException",
    };
    answer(400, &json!({ "__type": code, "message": "injected" }))
}

fn answer(status: u16, body: &Value) -> HttpResponse {
    let status = aws_smithy_runtime_api::http::StatusCode::try_from(status);
    let status = status.unwrap_or_else(|_| http::StatusCode::INTERNAL_SERVER_ERROR.into());
    HttpResponse::new(status, SdkBody::from(body.to_string()))
}
