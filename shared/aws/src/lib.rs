//! What talks to AWS, for every function: configuration, secrets, the table, the queues, the gateway, logs and
//! metrics.
//!
//! Nothing here knows a provider: each function's `main` hands its own [`Provider`] to [`run`], and all of them to
//! [`run_replay`]. The local stack and the tests make the same [`Receiver`], [`Replayer`] and [`Sweeper`], and call them
//! with the same events.

mod attributes;
mod clients;
mod config;
mod customers;
mod gateway;
mod queues;
mod receiver;
mod replayer;
mod secrets;
mod sweeper;
mod telemetry;

pub use attributes::{from_attributes, to_attributes};
pub use clients::{Budget, Clients, Endpoints, Surroundings, https};
pub use config::{Config, ConfigError, Resources, SecretSetting, WorkerConfig};
pub use customers::Customers;
pub use gateway::{HttpAnswer, HttpEvent, Invocation};
pub use queues::SqsQueues;
pub use receiver::Receiver;
pub use replayer::{Failure, Message, MessageAttributes, Replayer, SqsAnswer, SqsEvent, Unreadable, open};
pub use secrets::SecretStore;
pub use sweeper::Sweeper;
pub use telemetry::{Level, Lines, Naming};

use std::process::ExitCode;

use clientele_model::Provider;
use jiff::Timestamp;
use lambda_runtime::{Context, Error, LambdaEvent, service_fn};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// Runs the function of one provider: reads the environment, then answers one event after the other. When the
/// environment is not complete, one line names everything that is missing or unreadable.
pub async fn run(provider: &'static Provider) -> ExitCode {
    let start = async {
        let (config, surroundings) = Config::read_on_lambda(provider, variable)?;
        let clients = Clients::of_function(surroundings);
        Receiver::start(provider, config, &clients, stdout(), Timestamp::now()).await
    };
    serve(provider.name, start, async |receiver: &Receiver, event, invocation| {
        receiver.handle(event, &invocation).await
    })
    .await
}

/// Runs the function that replays what was kept on the inbox queue.
pub async fn run_replay(providers: &'static [&'static Provider]) -> ExitCode {
    let start = async {
        let (config, surroundings) = WorkerConfig::read_on_lambda("replay", variable)?;
        Ok::<_, ConfigError>(Replayer::new(providers, config, &Clients::of_function(surroundings), stdout()))
    };
    serve("replay", start, async |replayer: &Replayer, event, invocation| replayer.handle(event, &invocation).await)
        .await
}

/// Runs the function that sends cleanup messages which still wait.
pub async fn run_sweep() -> ExitCode {
    let start = async {
        let (config, surroundings) = WorkerConfig::read_on_lambda("sweep", variable)?;
        Ok::<_, ConfigError>(Sweeper::new(config, &Clients::of_function(surroundings), stdout()))
    };
    serve("sweep", start, async |sweeper: &Sweeper, Scheduled {}, invocation| {
        sweeper.handle(&invocation).await;
    })
    .await
}

/// What the schedule says does not matter.
#[derive(Deserialize)]
struct Scheduled {}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

fn stdout() -> Lines {
    Box::new(std::io::stdout())
}

/// Starts a function, then hands it one event after the other.
async fn serve<S, E, A, X>(
    name: &str,
    start: impl Future<Output = Result<S, X>>,
    handle: impl AsyncFn(&S, E, Invocation) -> A,
) -> ExitCode
where
    E: DeserializeOwned,
    A: Serialize,
    X: std::error::Error,
{
    let service = config::service_name(name, variable);
    telemetry::silence_others(service.clone());
    let started = match start.await {
        Ok(started) => started,
        Err(error) => {
            telemetry::trouble(&service, "cannot start", &error.to_string());
            return ExitCode::FAILURE;
        }
    };
    let (started, handle) = (&started, &handle);
    let served = lambda_runtime::run(service_fn(async |event: LambdaEvent<E>| {
        let Context { request_id, xray_trace_id, .. } = event.context;
        let invocation = Invocation { request_id, trace_id: xray_trace_id, received_at: Timestamp::now() };
        // Boxed, since the compiler has a limit for the depth of types.
        Ok::<_, Error>(Box::pin(handle(started, event.payload, invocation)).await)
    }));
    if served.await.is_err() {
        telemetry::trouble(&service, "ended", "the runtime interface of Lambda cannot be used");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}
