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

use clientele_model::Provider;
use jiff::Timestamp;
use lambda_runtime::{Context, Error, LambdaEvent, service_fn};

/// Runs the function of one provider: reads the environment, then answers one event after the other.
///
/// # Errors
/// When the environment is not complete; the message names everything that is missing or unreadable.
pub async fn run(provider: &'static Provider) -> Result<(), Error> {
    let variable = |name: &str| std::env::var(name).ok();
    let start = async {
        let (config, surroundings) = Config::read_on_lambda(provider, variable)?;
        let lines = Box::new(std::io::stdout());
        Receiver::start(provider, config, &Clients::of_function(surroundings), lines, Timestamp::now()).await
    };
    let receiver = match start.await {
        Ok(receiver) => receiver,
        Err(error) => {
            let service = config::service_name(provider, variable);
            telemetry::cannot_start(std::io::stdout(), &service, &error.to_string(), Timestamp::now());
            return Err(error.into());
        }
    };
    let receiver = &receiver;
    lambda_runtime::run(service_fn(async |event: LambdaEvent<HttpEvent>| {
        let Context { request_id, xray_trace_id, .. } = event.context;
        let invocation = Invocation { request_id, trace_id: xray_trace_id, received_at: Timestamp::now() };
        Ok::<_, Error>(receiver.handle(event.payload, &invocation).await)
    }))
    .await
}
