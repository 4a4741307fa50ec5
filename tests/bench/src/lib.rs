//! Deliveries for benchmarks: event files, and larger deliveries made of them.
#![expect(clippy::missing_panics_doc, clippy::unwrap_used, clippy::panic, reason = "benchmarks")]

use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

use aws_smithy_runtime_api::client::http::{HttpConnector, HttpConnectorFuture, SharedHttpConnector, http_client_fn};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_types::body::SdkBody;
use clientele_aws::{
    CallTimeouts, ChangeClients, ChangePublisher, ChangesConfig, Clients, HttpEvent, Invocation, Receiver,
    ReceiverConfig,
};
use clientele_model::{CustomerEvent, Delivery, Provider, Scheme, Secrets, Translated, Translation, Verified};
use hmac::{Hmac, KeyInit, Mac};
use jiff::Timestamp;
use serde_json::{Value, json};
use sha2::Sha256;
use tokio::runtime::Runtime;

/// The samples. The larger ones are a customer with as many fields as fit into 256 KiB, batches of 25 and 200 events of
/// different customers, and batches of 500 and 1,000 events with only the required fields.
pub const NAMES: [&str; 10] = [
    "plain",
    "plain-delete",
    "plain-256k",
    "metrifox",
    "flexprice",
    "smarterpay",
    "smarterpay-25",
    "smarterpay-200",
    "smarterpay-500",
    "smarterpay-1000",
];
/// One more sample: a batch of as many events as fit into 256 KiB, none of which is an event of a customer.
pub const TOO_MANY_EVENTS: &str = "smarterpay-zeros";

/// How many changes are in a batch: `BatchSize` in template.yaml.
pub const CHANGES: usize = 100;
/// The answer of EventBridge to a call with ten events.
const TEN_EVENTS: &str = concat!(
    r#"{"FailedEntryCount":0,"Entries":["#,
    r#"{"EventId":"1"},{"EventId":"2"},{"EventId":"3"},{"EventId":"4"},{"EventId":"5"},"#,
    r#"{"EventId":"6"},{"EventId":"7"},{"EventId":"8"},{"EventId":"9"},{"EventId":"10"}]}"#
);

/// When all samples are signed and received: 2026-11-20T12:00:00Z.
const NOW: Timestamp = Timestamp::constant(1_795_176_000, 0);
/// The largest accepted body.
const BODY_BYTES_MAX: usize = 262_144;

/// A delivery, with its provider and secret.
pub struct Sample {
    provider: &'static Provider,
    secret: String,
    scheme: Scheme,
    secrets: Secrets,
    /// The API Gateway event, as JSON.
    event: String,
}

impl Sample {
    /// One of [`NAMES`], or [`TOO_MANY_EVENTS`].
    #[must_use]
    pub fn of(name: &str) -> Self {
        let provider = clientele_providers::find(name.split('-').next().unwrap()).unwrap();
        let secret = clientele_providers::local_secret(provider);
        let case = if name == "plain-delete" { "customer-deleted" } else { "customer-updated" };
        let mut event = read(&format!("{}/{case}.json", provider.name));
        match name {
            "plain-256k" => change(&mut event, &secret, "plain-request-signature", large),
            "smarterpay-25" => change(&mut event, &secret, "webhook-signature", |body| batch(body, 25)),
            "smarterpay-200" => change(&mut event, &secret, "webhook-signature", |body| batch(body, 200)),
            "smarterpay-500" => change(&mut event, &secret, "webhook-signature", |body| small_batch(body, 500)),
            "smarterpay-1000" => change(&mut event, &secret, "webhook-signature", |body| small_batch(body, 1_000)),
            TOO_MANY_EVENTS => change(&mut event, &secret, "webhook-signature", zeros),
            _ => {}
        }
        let scheme = (provider.scheme)(None).unwrap();
        let secrets = Secrets::parse(&secret, &scheme).unwrap();
        Self { provider, secret, scheme, secrets, event: event.to_string() }
    }

    /// The logical id of the function in template.yaml.
    #[must_use]
    pub fn function_id(&self) -> String {
        let is_function = |id: &&String| id.eq_ignore_ascii_case(&format!("{}Function", self.provider.name));
        read("env.json").as_object().unwrap().keys().find(is_function).unwrap().clone()
    }

    /// The API Gateway event, as JSON.
    #[must_use]
    pub fn event(&self) -> &str {
        &self.event
    }

    /// The secret that signs it.
    #[must_use]
    pub fn secret(&self) -> &str {
        &self.secret
    }

    /// The delivery in the API Gateway event.
    #[must_use]
    pub fn delivery(&self) -> Delivery<'_> {
        Delivery::accept(serde_json::from_str::<HttpEvent>(&self.event).unwrap().into(), BODY_BYTES_MAX).unwrap()
    }

    /// Verifies the signature.
    #[must_use]
    pub fn verify(&self, delivery: Delivery<'_>) -> Verified {
        clientele_model::verify(delivery, &self.scheme, &self.secrets, NOW, Duration::from_mins(5)).unwrap()
    }

    /// Translates the payload.
    #[must_use]
    pub fn translate(&self, verified: &Verified) -> Vec<Translation> {
        (self.provider.translate)(verified)
    }

    /// The customer events of the delivery.
    #[must_use]
    pub fn events(&self) -> Vec<CustomerEvent> {
        let translations = self.translate(&self.verify(self.delivery())).into_iter();
        translations
            .map(|translation| match translation {
                Ok(Translated::Event(event)) => *event,
                _ => panic!("not an event of a customer"),
            })
            .collect()
    }

    /// The function that receives the delivery, with services that answer at once.
    #[must_use]
    pub fn function(self) -> Function {
        let variables = HashMap::from([
            ("AWS_REGION", "eu-west-1"),
            ("AWS_ACCESS_KEY_ID", "local"),
            ("AWS_SECRET_ACCESS_KEY", "local"),
            ("CUSTOMERS_TABLE", "customers"),
            ("CLEANUP_QUEUE_URL", "http://127.0.0.1:9/0/cleanup"),
            ("INBOX_QUEUE_URL", "http://127.0.0.1:9/0/inbox"),
            ("QUARANTINE_QUEUE_URL", "http://127.0.0.1:9/0/quarantine"),
            ("WEBHOOK_SECRETS", &self.secret),
        ]);
        let config =
            ReceiverConfig::read(self.provider, |name| variables.get(name).map(|value| (*value).to_owned())).unwrap();
        let http = http_client_fn(|_, _| SharedHttpConnector::new(Services));
        let clients =
            Clients::local_with_http(http, "http://127.0.0.1:9", "http://127.0.0.1:9", CallTimeouts::Function);
        let runtime = runtime();
        let lines = Box::new(std::io::sink());
        let receiver = runtime.block_on(Receiver::start(self.provider, config, &clients, lines, NOW));
        let function = Function { runtime, receiver, event: self.event };
        // So that work of the first invocation is not measured.
        function.invoke();
        function
    }
}

/// A function that has started.
pub struct Function {
    runtime: Runtime,
    receiver: Receiver,
    event: String,
}

impl Function {
    /// Handles the event and returns the response.
    pub fn invoke(&self) -> String {
        let event = serde_json::from_str(&self.event).unwrap();
        let answer = self.runtime.block_on(self.receiver.handle(event, &invocation()));
        assert!(answer.status_code < 300, "{answer:?}");
        serde_json::to_string(&answer).unwrap()
    }
}

/// The event with which Lambda passes changes on to `changes`: that many updates of a customer of Plain.
#[must_use]
pub fn changes(number: usize) -> String {
    let mut event = read("changes/updated.json");
    let record = event["Records"][0].take();
    let another = |number: usize| {
        let mut record = record.clone();
        record["eventID"] = format!("{number:032x}").into();
        record["dynamodb"]["SequenceNumber"] = format!("4421584500000000017450{number:06}").into();
        record
    };
    event["Records"] = (0..number).map(another).collect();
    event.to_string()
}

/// The function `changes` after its start, with services that answer at once.
pub struct ChangesFunction {
    runtime: Runtime,
    publisher: ChangePublisher,
    event: String,
}

impl ChangesFunction {
    /// A function for that many changes.
    #[must_use]
    pub fn start(number: usize) -> Self {
        let variables = HashMap::from([
            ("AWS_REGION", "eu-west-1"),
            ("AWS_ACCESS_KEY_ID", "local"),
            ("AWS_SECRET_ACCESS_KEY", "local"),
            ("EVENT_BUS_NAME", "changes"),
            ("CHANGE_SOURCE", "/clientele/clientele"),
            ("REFUSED_CHANGES_QUEUE_URL", "http://127.0.0.1:9/0/refused-changes"),
        ]);
        let config = ChangesConfig::read(|name| variables.get(name).map(|value| (*value).to_owned())).unwrap();
        let http = http_client_fn(|_, _| SharedHttpConnector::new(Services));
        let (url, timeouts) = ("http://127.0.0.1:9", CallTimeouts::Function);
        let clients = ChangeClients::local_with_http(http, url, url, timeouts);
        let publisher = ChangePublisher::new(config, &clients, Box::new(std::io::sink()));
        let function = Self { runtime: runtime(), publisher, event: changes(number) };
        // So that work of the first invocation is not measured.
        function.invoke();
        function
    }

    /// Handles the event and returns the response.
    pub fn invoke(&self) -> String {
        let event = serde_json::from_str(&self.event).unwrap();
        let answer = self.runtime.block_on(self.publisher.handle(event, &invocation()));
        assert!(answer.batch_item_failures.is_empty(), "{answer:?}");
        serde_json::to_string(&answer).unwrap()
    }
}

fn invocation() -> Invocation {
    Invocation { request_id: "a-request".to_owned(), trace_id: None, received_at: NOW }
}

/// Time stands still, so that no deadline passes however slowly the benchmark runs: it would change what is done.
fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap()
}

/// How DynamoDB, SQS and EventBridge answer a call when they work and the table is empty.
#[must_use]
pub fn answer_to(target: &str) -> Option<&'static str> {
    Some(match target {
        "DynamoDB_20120810.PutItem" | "DynamoDB_20120810.UpdateItem" => {
            r#"{"ConsumedCapacity":{"TableName":"customers","CapacityUnits":1.0}}"#
        }
        "DynamoDB_20120810.Scan" => r#"{"Items":[],"Count":0,"ScannedCount":0}"#,
        "DynamoDB_20120810.GetItem" => "{}",
        "AWSEvents.PutEvents" => TEN_EVENTS,
        "AmazonSQS.SendMessage" => r#"{"MessageId":"a-message"}"#,
        _ => return None,
    })
}

#[derive(Debug)]
struct Services;

impl HttpConnector for Services {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let body = request.headers().get("x-amz-target").and_then(answer_to).unwrap();
        HttpConnectorFuture::ready(Ok(HttpResponse::new(http::StatusCode::OK.into(), SdkBody::from(body))))
    }
}

fn read(file: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../events").join(file);
    serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap()
}

/// Changes the body and updates the signature.
fn change(event: &mut Value, secret: &str, header: &str, change: impl FnOnce(&mut Value)) {
    let mut body = serde_json::from_str(event["body"].as_str().unwrap()).unwrap();
    change(&mut body);
    let body = body.to_string();
    assert!(body.len() <= BODY_BYTES_MAX, "{} bytes", body.len());
    let mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap().chain_update(&body);
    event["headers"][header] = hex::encode(mac.finalize().into_bytes()).into();
    event["body"] = body.into();
}

fn large(body: &mut Value) {
    for number in 0..1_000 {
        let field = json!({ "label": format!("Field {number}"), "values": [number, true, "x".repeat(180)] });
        body["payload"]["customer"][format!("custom_{number}")] = field;
    }
}

fn small_batch(body: &mut Value, events: usize) {
    let required = ["event_type", "email", "first_name", "last_name", "billing_address_line_1", "status", "edited_at"];
    let event = &mut body["events"][0];
    event.as_object_mut().unwrap().retain(|name, _| required.contains(&name.as_str()));
    for name in ["first_name", "last_name", "billing_address_line_1"] {
        event[name] = Value::Null;
    }
    batch(body, events);
}

fn zeros(body: &mut Value) {
    body["events"] = json!(vec![0; 130_000]);
}

fn batch(body: &mut Value, events: usize) {
    let one = body["events"][0].clone();
    let another = |number: usize| {
        let mut event = one.clone();
        event["id"] = format!("CA01{number:016}").into();
        event["event_id"] = format!("HI02{number:016}").into();
        event
    };
    body["events"] = (0..events).map(another).collect();
}
