//! The embedded SQS: a queue engine behind an HTTP front end. The front end enforces AWS's limits on messages, which the
//! engine lacks, and keeps a journal so that messages survive restarts.

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};
use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::QueueAttributeName;
use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, HeaderValue};
use axum::response::Response;
use jiff::Timestamp;
use rustack_sqs_core::config::SqsConfig;
use rustack_sqs_core::handler::RustackSqsHandler;
use rustack_sqs_core::provider::RustackSqs;
use rustack_sqs_http::dispatch::dispatch_operation;
use rustack_sqs_http::response::error_to_response;
use rustack_sqs_http::router::resolve_operation;
use serde_json::{Value, json};

use super::journal::Journal;
use super::large_messages::LargeMessages;
use crate::hosts::{AllowedHosts, ErrorFormat};
use crate::message_ages::MessageAges;
use crate::server;
use crate::template::{Queue, Redrive};

/// SQS limits a message, and all messages of a batch together, to this size.
pub(super) const MESSAGE_BYTES_MAX: usize = 1 << 20;

/// Serves SQS on its own thread with its own runtime.
pub(super) fn serve(
    address: SocketAddr,
    data_dir: Option<&Path>,
    hosts: &AllowedHosts,
    message_ages: MessageAges,
) -> Result<SocketAddr> {
    let listener = server::bind(address, "SQS", "--sqs-port")?;
    let journal = data_dir.map(|dir| Journal::open(&dir.join("sqs.jsonl"))).transpose()?;
    let (address, hosts) = (server::address(&listener)?, hosts.clone());
    server::spawn("local-sqs", async move {
        let config = SqsConfig { host: host(address.ip()), port: address.port(), ..SqsConfig::default() };
        let engine = RustackSqsHandler::new(Arc::new(RustackSqs::new(config)));
        let large_messages = LargeMessages::default();
        let front_end = FrontEnd { engine, large_messages, journal, message_ages };
        let router = Router::new()
            .fallback(respond)
            .layer(DefaultBodyLimit::max(4 * MESSAGE_BYTES_MAX))
            .with_state(Arc::new(front_end));
        let router = hosts.protect(router, ErrorFormat::Aws);
        Ok(axum::serve(tokio::net::TcpListener::from_std(listener)?, router).await?)
    })?;
    Ok(address)
}

/// Creates those queues of the template that do not exist yet. Returns the URLs of all by name.
pub(super) async fn create(client: &Client, queues: &[Queue]) -> Result<BTreeMap<String, String>> {
    let mut urls = BTreeMap::<String, String>::new();
    // A dead-letter queue must exist before the queues that use it.
    let (with_dead_letters, others): (Vec<_>, Vec<_>) = queues.iter().partition(|queue| queue.redrive.is_some());
    for queue in others.into_iter().chain(with_dead_letters) {
        let mut attributes: HashMap<_, _> = queue
            .attributes
            .iter()
            .map(|(name, value)| (QueueAttributeName::from(name.as_str()), value.clone()))
            .collect();
        if let Some(Redrive { dead_letter_queue, receives_max }) = &queue.redrive {
            let other = queues.iter().find(|other| other.logical_id == *dead_letter_queue);
            let other = other.with_context(|| format!("no queue {dead_letter_queue}"))?;
            let url =
                urls.get(&other.name).with_context(|| format!("{dead_letter_queue} has a dead-letter queue itself"))?;
            let policy = json!({ "deadLetterTargetArn": arn(client, url).await?, "maxReceiveCount": receives_max });
            attributes.insert(QueueAttributeName::RedrivePolicy, policy.to_string());
        }
        let request = client.create_queue().queue_name(&queue.name).set_attributes(Some(attributes));
        let output = request.send().await.with_context(|| format!("cannot create the queue `{}`", queue.name))?;
        urls.insert(queue.name.clone(), output.queue_url.context("SQS returned no URL for the new queue")?);
    }
    Ok(urls)
}

async fn arn(client: &Client, url: &str) -> Result<String> {
    let request = client.get_queue_attributes().queue_url(url).attribute_names(QueueAttributeName::QueueArn);
    let attributes = request.send().await?.attributes.unwrap_or_default();
    attributes.get(&QueueAttributeName::QueueArn).cloned().context("SQS returned no ARN for the queue")
}

/// The address as the host of a URL.
fn host(address: IpAddr) -> String {
    match address {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => format!("[{address}]"),
    }
}

struct FrontEnd {
    engine: RustackSqsHandler,
    large_messages: LargeMessages,
    journal: Option<Journal>,
    message_ages: MessageAges,
}

async fn respond(State(front_end): State<Arc<FrontEnd>>, headers: HeaderMap, body: Bytes) -> Response {
    let target = headers.get("x-amz-target").and_then(|value| value.to_str().ok());
    let operation = target.and_then(|target| target.strip_prefix("AmazonSQS.")).unwrap_or_default();
    let (status, answer) = front_end.call(operation, body).await;
    let mut response = Response::new(Body::from(answer));
    *response.status_mut() = status.try_into().unwrap_or_default();
    response.headers_mut().insert("content-type", HeaderValue::from_static("application/x-amz-json-1.0"));
    response
}

impl FrontEnd {
    async fn call(&self, operation: &str, body: Bytes) -> (u16, Bytes) {
        let request = serde_json::from_slice::<Value>(&body).unwrap_or_default();
        if let Some((code, message)) = violated_limit(operation, &request) {
            let error = json!({ "__type": format!("com.amazonaws.sqs#{code}"), "message": message });
            return (400, error.to_string().into());
        }
        let (status, answer) = self.engine(operation, &request, body).await;
        if status == 200 {
            self.message_ages.record(operation, &request, &answer, Timestamp::now());
        }
        if let Some(journal) = self.journal.as_ref().filter(|_| status == 200) {
            if let Err(error) = journal.record(operation, &request, &answer) {
                // A message that is not durable must not be acknowledged.
                return (500, json!({ "__type": "InternalError", "message": error.to_string() }).to_string().into());
            }
            if operation == "CreateQueue" {
                self.restore(journal, &answer).await;
            }
        }
        (status, answer)
    }

    /// Sends the messages of earlier runs to the queue that was just created.
    async fn restore(&self, journal: &Journal, created: &[u8]) {
        let created = serde_json::from_slice::<Value>(created).unwrap_or_default();
        for (journal_id, request) in journal.take_pending(&created["QueueUrl"]) {
            let (_, answer) = self.engine("SendMessage", &request, request.to_string().into()).await;
            self.message_ages.record("SendMessage", &request, &answer, Timestamp::now());
            journal.restored(journal_id, &answer);
        }
    }

    async fn engine(&self, operation: &str, request: &Value, body: Bytes) -> (u16, Bytes) {
        let body = self.large_messages.replace(operation, request).unwrap_or(body);
        let mut headers = HeaderMap::new();
        if let Ok(target) = HeaderValue::try_from(format!("AmazonSQS.{operation}")) {
            headers.insert("x-amz-target", target);
        }
        let response = match resolve_operation(&headers) {
            Ok(operation) => dispatch_operation(&self.engine, operation, body).await,
            Err(error) => Err(error),
        };
        let response = response.unwrap_or_else(|error| error_to_response(&error, "local"));
        let status = response.status().as_u16();
        let answer = to_bytes(Body::new(response.into_body()), usize::MAX).await.unwrap_or_default();
        (status, self.large_messages.restore(operation, request, answer))
    }
}

/// Code and message of the error with which AWS rejects the request. The engine would accept it.
fn violated_limit(operation: &str, request: &Value) -> Option<(&'static str, &'static str)> {
    let messages: Vec<&Value> = match operation {
        "SendMessage" => vec![request],
        "SendMessageBatch" => request["Entries"].as_array().into_iter().flatten().collect(),
        "ReceiveMessage" => {
            let number = request["MaxNumberOfMessages"].as_i64().unwrap_or(1);
            let error = ("InvalidParameterValue", "MaxNumberOfMessages must be between 1 and 10.");
            return (!(1..=10).contains(&number)).then_some(error);
        }
        _ => return None,
    };
    let bodies = || messages.iter().filter_map(|message| message["MessageBody"].as_str());
    let allowed =
        |c: char| matches!(c, '\t' | '\n' | '\r' | ' '..='\u{D7FF}' | '\u{E000}'..='\u{FFFD}' | '\u{10000}'..);
    if !bodies().all(|body| body.chars().all(allowed)) {
        return Some(("InvalidMessageContents", "Invalid characters in the message body."));
    }
    let too_long = bodies().map(str::len).sum::<usize>() > MESSAGE_BYTES_MAX;
    too_long.then_some(("InvalidParameterValue", "A message must be shorter than 1048576 bytes."))
}
