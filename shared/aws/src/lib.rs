//! What talks to AWS, for every function: configuration, secrets, the table, the queues, the gateway, logs and
//! metrics.
//!
//! Nothing here knows a provider: each function's `main` hands its own [`Provider`] to [`run`]. The local stack and
//! the tests make the same [`Receiver`] and call it with the same events.

mod attributes;
mod cleanup_queue;
mod clients;
mod config;
mod customers;
mod gateway;
mod receiver;
mod secrets;
mod telemetry;

pub use attributes::{from_attributes, to_attributes};
pub use cleanup_queue::CleanupQueue;
pub use clients::{Budget, Clients, Endpoints, Surroundings, https};
pub use config::{Config, ConfigError, SecretSetting};
pub use customers::{Customers, Put, Standing, StoreError};
pub use gateway::{HttpAnswer, HttpEvent, Invocation};
pub use receiver::Receiver;
pub use secrets::SecretStore;
pub use telemetry::{Level, Lines, Naming};

use std::process::ExitCode;

use clientele_model::Provider;
use jiff::Timestamp;
use lambda_runtime::{Context, Error, LambdaEvent, service_fn};

/// Runs the function of one provider: reads the environment, then answers one event after the other. When the
/// environment is not complete, one line names everything that is missing or unreadable.
pub async fn run(provider: &'static Provider) -> ExitCode {
    let variable = |name: &str| std::env::var(name).ok();
    let service = config::service_name(provider, variable);
    telemetry::silence_others(service.clone());
    let start = async {
        let (config, surroundings) = Config::read_on_lambda(provider, variable)?;
        let lines = Box::new(std::io::stdout());
        Receiver::start(provider, config, &Clients::of_function(surroundings), lines, Timestamp::now()).await
    };
    let receiver = match start.await {
        Ok(receiver) => receiver,
        Err(error) => {
            telemetry::trouble(&service, "cannot start", &error.to_string());
            return ExitCode::FAILURE;
        }
    };
    let receiver = &receiver;
    let served = lambda_runtime::run(service_fn(async |event: LambdaEvent<HttpEvent>| {
        let Context { request_id, xray_trace_id, .. } = event.context;
        let invocation = Invocation { request_id, trace_id: xray_trace_id, received_at: Timestamp::now() };
        Ok::<_, Error>(receiver.handle(event.payload, &invocation).await)
    }));
    if served.await.is_err() {
        telemetry::trouble(&service, "ended", "the runtime interface of Lambda cannot be used");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}
