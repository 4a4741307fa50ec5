//! What talks to AWS, for every function: configuration, secrets, the table, the queues, the gateway, the log.
//!
//! Nothing here knows a provider: each function's `main` hands its own [`Provider`] to [`run`]. The local stack and
//! the tests make the same [`Receiver`] and call it with the same events.

mod attributes;
mod cleanup_queue;
mod clients;
mod config;
mod customers;
mod gateway;
mod log;
mod receiver;
mod secrets;

pub use attributes::{from_attributes, to_attributes};
pub use cleanup_queue::CleanupQueue;
pub use clients::{Budget, Clients};
pub use config::{Config, ConfigError, SecretSetting};
pub use customers::{Customers, Put, Standing, StoreError};
pub use gateway::{HttpAnswer, HttpEvent};
pub use log::subscriber;
pub use receiver::Receiver;
pub use secrets::SecretStore;

use clientele_model::Provider;
use jiff::Timestamp;
use lambda_runtime::{Error, LambdaEvent, service_fn};

/// Runs the function of one provider: reads the environment, then answers one event after the other.
///
/// # Errors
/// When the environment is not complete; the message names everything that is missing or unreadable.
pub async fn run(provider: &'static Provider) -> Result<(), Error> {
    let variable = |name: &str| std::env::var(name).ok();
    tracing::subscriber::set_global_default(log::subscriber(std::io::stdout, variable("POWERTOOLS_LOG_LEVEL")))?;
    let start = async {
        let config = Config::read(provider, variable)?;
        Receiver::start(provider, config, &Clients::from_environment(Budget::Function).await, Timestamp::now()).await
    };
    let receiver = match start.await {
        Ok(receiver) => receiver,
        Err(error) => {
            tracing::error!(target: log::TARGET, provider = provider.name, %error, "cannot start");
            return Err(error.into());
        }
    };
    let receiver = &receiver;
    lambda_runtime::run(service_fn(async |event: LambdaEvent<HttpEvent>| {
        let request_id = event.context.request_id;
        Ok::<_, Error>(receiver.handle(event.payload, &request_id, Timestamp::now()).await)
    }))
    .await
}
