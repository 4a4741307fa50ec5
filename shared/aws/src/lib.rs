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

pub use attributes::{NoItem, from_attributes, to_attributes};
pub use clients::{Budget, Clients, Endpoints, Surroundings, https_of_system};
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
use futures_util::future::join;
use jiff::Timestamp;
use lambda_runtime::{Context, Error, LambdaEvent, service_fn};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// Runs the function of one provider: reads the environment, then answers one event after the other. When the
/// environment is not complete, one line names everything that is missing or unreadable.
pub async fn run(provider: &'static Provider) -> ExitCode {
    serve(provider.name, async {
        let (config, surroundings) = Config::read_on_lambda(provider, variable)?;
        let clients = Clients::of_function(surroundings);
        let table = Customers::new(clients.dynamodb.clone(), config.resources.customers_table.clone());
        let start = Receiver::start(provider, config, &clients, stdout(), Timestamp::now());
        let (receiver, ()) = Box::pin(join(start, table.connect())).await;
        receiver
    })
    .await
}

/// Runs the function that replays what was kept on the inbox queue.
pub async fn run_replay(providers: &'static [&'static Provider]) -> ExitCode {
    serve("replay", async {
        let (config, surroundings) = WorkerConfig::read_on_lambda("replay", variable)?;
        Ok::<_, ConfigError>(Replayer::new(providers, config, &Clients::of_function(surroundings), stdout()))
    })
    .await
}

/// Runs the function that sends cleanup messages which still wait.
pub async fn run_sweep() -> ExitCode {
    serve("sweep", async {
        let (config, surroundings) = WorkerConfig::read_on_lambda("sweep", variable)?;
        Ok::<_, ConfigError>(Sweeper::new(config, &Clients::of_function(surroundings), stdout()))
    })
    .await
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

fn stdout() -> Lines {
    Box::new(std::io::stdout())
}

/// A function that has started.
trait Function: Send + Sync + 'static {
    type Event: DeserializeOwned + Send + 'static;
    type Answer: Serialize + Send + 'static;

    fn answer(&self, event: Self::Event, invocation: Invocation) -> impl Future<Output = Self::Answer> + Send;
}

impl Function for Receiver {
    type Event = HttpEvent;
    type Answer = HttpAnswer;

    async fn answer(&self, event: HttpEvent, invocation: Invocation) -> HttpAnswer {
        self.handle(event, &invocation).await
    }
}

impl Function for Replayer {
    type Event = SqsEvent;
    type Answer = SqsAnswer;

    async fn answer(&self, event: SqsEvent, invocation: Invocation) -> SqsAnswer {
        self.handle(event, &invocation).await
    }
}

impl Function for Sweeper {
    type Event = Scheduled;
    type Answer = ();

    async fn answer(&self, Scheduled {}: Scheduled, invocation: Invocation) {
        self.handle(&invocation).await;
    }
}

/// What the schedule says does not matter.
#[derive(Deserialize)]
struct Scheduled {}

/// Starts a function, then hands it one event after the other.
async fn serve<F: Function, X: std::error::Error>(name: &str, start: impl Future<Output = Result<F, X>>) -> ExitCode {
    let service = config::service_name(name, variable);
    telemetry::silence_panics(service.clone());
    let function: &'static F = match start.await {
        // For as long as the process lives.
        Ok(function) => Box::leak(Box::new(function)),
        Err(error) => {
            telemetry::trouble(&service, "cannot start", &error.to_string());
            return ExitCode::FAILURE;
        }
    };
    let serving = lambda_runtime::run(service_fn(async move |event: LambdaEvent<F::Event>| {
        let Context { request_id, xray_trace_id, .. } = event.context;
        let invocation = Invocation { request_id, trace_id: xray_trace_id, received_at: Timestamp::now() };
        // Boxed, since the compiler has a limit for the depth of types.
        Ok::<_, Error>(Box::pin(function.answer(event.payload, invocation)).await)
    }));
    // A task of its own: what wakes it is one more entry in the queue of its thread. What wakes the thread's first
    // future is a system call each time.
    if !matches!(tokio::spawn(serving).await, Ok(Ok(()))) {
        telemetry::trouble(&service, "ended", "the runtime interface of Lambda cannot be used");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}
