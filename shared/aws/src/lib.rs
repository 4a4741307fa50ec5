//! Everything that runs on AWS for every function: configuration, secrets, the table, the queues, API Gateway events,
//! logs and metrics.
//!
//! This crate knows no provider: the `main` of each function passes its [`Provider`] to [`run_receiver`], or all
//! providers to [`run_replay`]. The local stack and the tests call the same [`Receiver`], [`Replayer`] and [`Sweeper`]
//! with the same events.

mod api_keys;
mod attributes;
mod attributes_json;
mod change_clients;
mod change_publisher;
mod changes_config;
mod changes_line;
mod clients;
mod config;
mod customers;
mod directives;
mod environment;
mod event_bridge;
mod gateway;
mod invocation;
mod lazy_client;
mod put_request;
mod queues;
mod receipt_recorder;
mod receipts_config;
mod receipts_line;
mod receiver;
mod reconcile_event;
mod reconcile_line;
mod reconciler;
mod reconciler_config;
mod refused_changes;
mod replayer;
mod sdk_error;
mod secrets;
mod sqs_event;
mod stream_attributes;
mod stream_event;
mod sweeper;
mod telemetry;
mod tombstones;
mod user_agent;

pub use api_keys::ApiKeySource;
pub use attributes::{from_attributes, to_attributes};
pub use attributes_json::write_attributes;
pub use change_clients::ChangeClients;
pub use change_publisher::ChangePublisher;
pub use changes_config::ChangesConfig;
pub use clients::{CallTimeouts, Clients, https_with_system_roots, local_config};
pub use config::{DomainNames, Endpoints, LambdaEnvironment, ReceiverConfig, Resources, SecretSource, WorkerConfig};
pub use customers::Customers;
pub use environment::ConfigError;
pub use event_bridge::EventBridgeBus;
pub use gateway::{HttpEvent, HttpResponse};
pub use invocation::Invocation;
pub use lazy_client::LazyClient;
pub use queues::SqsQueues;
pub use receipt_recorder::ReceiptRecorder;
pub use receipts_config::ReceiptsConfig;
pub use receiver::Receiver;
pub use reconcile_event::ReconcileEventError;
pub use reconciler::{Comparisons, Connect, ProviderReconciliation, Reconciler};
pub use reconciler_config::{ListSource, ReconcilerConfig};
pub use refused_changes::SqsRefusedChanges;
pub use replayer::{Replayer, UnreadableMessage, read_kept_message};
pub use sdk_error::describe as describe_sdk_error;
pub use sqs_event::{BatchItemFailure, SqsBatchResponse, SqsEvent, SqsMessage, SqsSystemAttributes};
pub use stream_event::{StreamBatchResponse, StreamEvent, StreamRecord};
pub use sweeper::Sweeper;
pub use telemetry::{CUSTOMER_HASH_DIGITS, LogLevel, LogWriter, TelemetrySettings, customer_hash};

use std::fmt::Display;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use clientele_flow::{ListClient, deadlines};
use clientele_model::{Listing, Provider};
use futures_util::future::join;
use hyper_util::client::legacy::Error as HttpClientError;
use jiff::Timestamp;
use lambda_runtime::tower::util::{MapRequestLayer, MapResultLayer};
use lambda_runtime::{Context, Error, LambdaEvent, LambdaInvocation, Runtime, service_fn};
use mimalloc::MiMalloc;
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::time::sleep;

#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// Runs the function that receives one provider's webhooks. If the environment is incomplete, one log line names every
/// variable that is missing or unreadable.
pub async fn run_receiver(provider: &'static Provider) -> ExitCode {
    let start = async {
        let config = ReceiverConfig::read(provider, variable)?;
        let clients = Clients::of_function(&config.lambda);
        let table = Customers::new(clients.dynamodb.clone(), config.resources.customers_table.clone());
        let start = Receiver::start(provider, config, &clients, stdout(), Timestamp::now());
        let (receiver, ()) = Box::pin(join(start, table.connect(provider.name))).await;
        Ok::<_, ConfigError>(receiver)
    };
    let handle = |receiver: &'static Receiver, event: Bytes, invocation| async move {
        Ok(receiver.handle(parse(&event)?, &invocation).await)
    };
    serve(provider.name, start, handle).await
}

/// Runs the function that replays what was kept on the inbox queue.
pub async fn run_replay(providers: &'static [&'static Provider]) -> ExitCode {
    let start = async {
        let config = WorkerConfig::read("replay", variable)?;
        let clients = Clients::of_function(&config.lambda);
        Ok::<_, ConfigError>(Replayer::new(providers, config, &clients, stdout()))
    };
    let handle = |replayer: &'static Replayer, event: Bytes, invocation| async move {
        Ok(replayer.handle(parse(&event)?, &invocation).await)
    };
    serve("replay", start, handle).await
}

/// Runs the function that sends pending cleanup messages.
pub async fn run_sweep() -> ExitCode {
    let start = async {
        let config = WorkerConfig::read("sweep", variable)?;
        let clients = Clients::of_function(&config.lambda);
        Ok::<_, ConfigError>(Sweeper::new(config, &clients, stdout()))
    };
    // The content of the schedule's event does not matter.
    let handle = |sweeper: &'static Sweeper, _, invocation| async move {
        sweeper.handle(&invocation).await;
        Ok(())
    };
    serve("sweep", start, handle).await
}

/// Runs the function that compares the customers with those of the providers' lists. `connect` makes the client of a list
/// API.
pub async fn run_reconcile<C: ListClient + Send + 'static>(
    listings: impl IntoIterator<Item = &'static Listing>,
    connect: Connect<C>,
) -> ExitCode {
    let start = async {
        let config = ReconcilerConfig::read(listings, variable)?;
        let clients = Clients::of_function(&config.lambda);
        Ok::<_, ConfigError>(Reconciler::new(config, &clients, connect, stdout()))
    };
    let handle = |reconciler: &'static Reconciler<C>, event: Bytes, invocation| async move {
        Ok(reconciler.handle(&parse::<Value>(&event)?, &invocation).await?)
    };
    serve("reconcile", start, handle).await
}

/// Runs the function that records the receipts of systems that have erased their copies of a deleted customer.
pub async fn run_receipts() -> ExitCode {
    let start = async {
        let config = ReceiptsConfig::read(variable)?;
        let clients = Clients::of_function(&config.lambda);
        Ok::<_, ConfigError>(ReceiptRecorder::new(config, &clients, stdout()))
    };
    let handle = |recorder: &'static ReceiptRecorder, event: Bytes, invocation| async move {
        Ok(recorder.handle(parse(&event)?, &invocation).await)
    };
    serve("receipts", start, handle).await
}

/// Runs the function that announces changes of customers on the event bus.
pub async fn run_changes() -> ExitCode {
    let start = async {
        let config = ChangesConfig::read(variable)?;
        let clients = ChangeClients::of_function(&config.lambda);
        Ok::<_, ConfigError>(ChangePublisher::new(config, &clients, stdout()))
    };
    let handle = |publisher: &'static ChangePublisher, event: Bytes, invocation| async move {
        Ok(publisher.handle(parse(&event)?, &invocation).await)
    };
    serve("changes", start, handle).await
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

fn stdout() -> LogWriter {
    Box::new(std::io::stdout())
}

/// Parses an event of the function.
fn parse<'a, E: Deserialize<'a>>(event: &'a [u8]) -> Result<E, Error> {
    // The parser's error may quote the event.
    serde_json::from_slice(event).map_err(|_| Error::from("the event is not one of those that invoke this function"))
}

/// Starts a function, then handles its events one after the other. An error that it returns is that of the invocation.
async fn serve<F: Sync + 'static, A, R>(
    name: &str,
    start: impl Future<Output = Result<F, impl Display>>,
    handle: impl Fn(&'static F, Bytes, Invocation) -> R + Send + 'static,
) -> ExitCode
where
    A: Serialize + Send + 'static,
    R: Future<Output = Result<A, Error>> + Send + 'static,
{
    let service = config::service_name(name, variable);
    telemetry::log_only_places_of_panics(service.clone());
    let function: &'static F = match start.await {
        // It lives as long as the process.
        Ok(function) => Box::leak(Box::new(function)),
        Err(error) => {
            telemetry::log_error(&service, "cannot start", &error.to_string());
            return ExitCode::FAILURE;
        }
    };
    // The runtime would deserialize the event through a wrapper that records the path of each field, for error messages. That
    // takes longer than the parsing, so the runtime gets `null` instead, and the handler parses the event. There is one
    // invocation at a time.
    let body = Arc::new(Mutex::new(Bytes::new()));
    let body_of_invocation = body.clone();
    let take_body = MapRequestLayer::new(move |mut invocation: LambdaInvocation| {
        let body = std::mem::replace(&mut invocation.body, "null".into());
        *body_of_invocation.lock().unwrap_or_else(PoisonError::into_inner) = body;
        invocation
    });
    let handler = service_fn(move |event: LambdaEvent<IgnoredAny>| {
        let Context { request_id, xray_trace_id, .. } = event.context;
        let invocation = Invocation { request_id, trace_id: xray_trace_id, received_at: Timestamp::now() };
        let body = std::mem::take(&mut *body.lock().unwrap_or_else(PoisonError::into_inner));
        // Boxed, because the compiler limits the depth of types.
        Box::pin(handle(function, body, invocation))
    });
    // A timer that is due before all others wakes the thread with a system call when it is set, and then takes another one to
    // wait again. The timeouts of calls are never due before this one, because it is always set. While no event is handled,
    // Lambda freezes the process.
    tokio::spawn(async {
        loop {
            sleep(deadlines::TIMER_INTERVAL).await;
        }
    });
    let has_answered = Arc::new(AtomicBool::new(false));
    let answers = has_answered.clone();
    let note_answer = MapResultLayer::new(move |answer: Result<(), Error>| {
        answers.store(answer.is_ok(), Ordering::Relaxed);
        answer
    });
    // As a task of its own: waking a task queues it on its thread, whereas waking the thread's main future takes a system
    // call each time.
    let serving = tokio::spawn(Runtime::new(handler).layer(take_body).layer(note_answer).run());
    match serving.await {
        Ok(Ok(())) => ExitCode::SUCCESS,
        // After an answer the function only waits for the next event. That is when `sam local invoke` stops.
        Ok(Err(error)) if has_answered.load(Ordering::Relaxed) && error.is::<HttpClientError>() => ExitCode::SUCCESS,
        _ => {
            telemetry::log_error(&service, "ended", "the runtime interface of Lambda cannot be used");
            ExitCode::FAILURE
        }
    }
}
