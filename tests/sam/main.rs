//! Runs the functions that `sam build` made: every event file through `sam local invoke`, and one delivery per provider
//! through `sam local start-api`. The results, items included, must be those in the file beside the event.
//!
//! These tests are ignored by default, because they need SAM, and Docker for the containers.
//!
//! ```sh
//! sam build
//! cargo test --workspace --test sam -- --ignored --nocapture --test-threads 1 docker
//! ```
//!
//! Without Docker, `emulator` instead of `docker` runs the same binaries under the runtime interface emulator of SAM,
//! whose path is in `LAMBDA_RIE`. Arguments for SAM are in `SAM_ARGS`.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stderr, missing_docs, reason = "tests")]

use std::collections::BTreeMap;
use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use aws_sdk_dynamodb::types::AttributeValue;
use clientele::demonstration;
use clientele::events::{self, Case};
use clientele::http::{self, Answer};
use clientele::stack::{LocalStack, StackOptions};
use serde_json::{Value, json};
use tempfile::NamedTempFile;

fn root(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// The ports of DynamoDB, SQS and the admin port in events/env.json.
const IN_ENV_FILE: [u16; 3] = [8000, 9324, 9010];

/// Addresses of a local stack that containers can reach, and of one that only this machine can reach.
const CONTAINERS: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
const THIS_MACHINE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

async fn stack(listen: IpAddr, [dynamodb_port, sqs_port, admin_port]: [u16; 3]) -> LocalStack {
    let template = StackOptions::ephemeral(root("template.yaml"));
    let options = StackOptions { listen, dynamodb_port, sqs_port, admin_port, ..template };
    LocalStack::start(options).await.unwrap()
}

/// events/env.json with the ports of that stack. The fixed ports may still be in use after another test.
fn environment(stack: &LocalStack) -> String {
    let mut text = std::fs::read_to_string(root("events/env.json")).unwrap();
    for (port, other) in IN_ENV_FILE.iter().zip([stack.dynamodb, stack.sqs, stack.admin]) {
        text = text.replace(&format!(":{port}"), &format!(":{}", other.port()));
    }
    text
}

fn env_file(stack: &LocalStack) -> NamedTempFile {
    let mut file = NamedTempFile::with_suffix(".json").unwrap();
    file.write_all(environment(stack).as_bytes()).unwrap();
    file
}

/// An unused port.
fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Every event file unchanged. events/env.json extends the tolerance for the age of their signatures.
fn deliveries() -> Vec<Case> {
    events::load(&root("events")).unwrap()
}

/// The logical id of a provider's function.
fn function_id(stack: &LocalStack, provider: &str) -> String {
    stack.template.functions.iter().find(|function| function.name == provider).unwrap().logical_id.clone()
}

fn sam(arguments: &[&str]) -> Command {
    let mut command = Command::new("sam");
    let more = std::env::var("SAM_ARGS").unwrap_or_default();
    command.arg("local").args(arguments).args(more.split_whitespace()).current_dir(root(""));
    command
}

/// Invokes a function that answers with JSON of its own.
fn invoke(id: &str, event: &str, env_file: &NamedTempFile) -> Value {
    let mut command = sam(&["invoke", id, "-e", event, "-n", env_file.path().to_str().unwrap()]);
    let Output { stdout, stderr, .. } = command.output().unwrap();
    serde_json::from_slice(&stdout).unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&stderr)))
}

/// The response in the output of a function.
fn answer(output: &[u8]) -> Result<Answer> {
    let text = String::from_utf8_lossy(output);
    let answer: Value = serde_json::from_str(text.trim()).with_context(|| format!("not JSON: {text}"))?;
    let status = answer["statusCode"].as_u64().with_context(|| format!("no status: {answer}"))?;
    Ok(Answer { status: u16::try_from(status)?, body: answer["body"].as_str().unwrap_or_default().to_owned() })
}

async fn every_event(stack: &LocalStack, invoke: impl Fn(&Case) -> Result<Answer> + Clone + Send + 'static) {
    let deliveries = deliveries();
    let (number, started) = (deliveries.len(), Instant::now());
    let rows = demonstration::deliver_through(stack, deliveries, invoke).await.unwrap();
    eprintln!("{}", demonstration::table(&rows));
    for row in &rows {
        assert_eq!(row.differences, Some(vec![]), "{}", row.title);
    }
    let items: Vec<_> = rows.iter().flat_map(|row| row.items.keys()).collect();
    assert!(number > 60 && rows.len() == number && items.len() > 40);
    eprintln!("{number} events as expected in {} s", started.elapsed().as_secs());
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs SAM and Docker"]
async fn docker_every_event_through_sam_local_invoke() {
    let stack = stack(CONTAINERS, IN_ENV_FILE).await;
    let ids = stack.receivers.keys().map(|provider| (*provider, function_id(&stack, provider)));
    let ids: BTreeMap<_, _> = ids.collect();
    every_event(&stack, move |delivery| {
        let id = &ids[delivery.provider.name];
        let path = format!("events/{}.json", delivery.title());
        let Output { stdout, stderr, .. } = sam(&["invoke", id, "-e", &path, "-n", "events/env.json"]).output()?;
        answer(&stdout).with_context(|| String::from_utf8_lossy(&stderr).into_owned())
    })
    .await;
}

/// A process that ends with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // When told to terminate, SAM removes its containers. It may ignore an interrupt: a shell's background jobs do.
        let terminated = Command::new("kill").args(["-TERM", &self.0.id().to_string()]).status();
        if !terminated.is_ok_and(|status| status.success()) {
            drop(self.0.kill());
        }
        drop(self.0.wait());
    }
}

/// `clientele events sign … | sam local invoke … -e -`: a freshly signed event is accepted within the normal tolerance.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs SAM and Docker"]
async fn docker_an_event_from_the_command() {
    let stack = stack(CONTAINERS, [0; 3]).await;
    let env_file = env_file(&stack);
    let mut event = Command::new(env!("CARGO_BIN_EXE_clientele"));
    event.args(["events", "sign", "plain/customer-updated"]).env_clear().stdout(Stdio::piped());
    let mut event = Running(event.spawn().unwrap());
    let mut invoke = sam(&["invoke", "PlainFunction", "-e", "-", "-n", env_file.path().to_str().unwrap()]);
    let Output { stdout, stderr, .. } = invoke.stdin(event.0.stdout.take().unwrap()).output().unwrap();
    let answer = answer(&stdout).with_context(|| String::from_utf8_lossy(&stderr).into_owned()).unwrap();
    assert_eq!((answer.status, answer.body.as_str()), (200, r#"{"outcome":"applied"}"#));
    let pk = events::load(&root("events")).unwrap().into_iter().find(|case| case.title() == "plain/customer-updated");
    let items = demonstration::items(&stack, pk.unwrap().expected.items.keys()).await.unwrap();
    assert_eq!(items.len(), 1);
}

/// `replay` returns only the unreadable message of a batch to the queue. `sweep` sends the cleanup message that waits
/// in a tombstone.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs SAM and Docker"]
async fn docker_replay_and_sweep() {
    let stack = stack(CONTAINERS, [0; 3]).await;
    let env_file = env_file(&stack);
    let answer = invoke("ReplayFunction", "events/replay/parked-and-poison.json", &env_file);
    let poison = "7be3b1a4-91a2-4b0e-8f54-6a1f0f4b9c11";
    assert_eq!(answer, json!({ "batchItemFailures": [{ "itemIdentifier": poison }] }));
    let created = events::load(&root("events")).unwrap().into_iter();
    let created = created.filter(|case| case.title() == "plain/customer-created");
    let keys: Vec<_> = created.flat_map(|case| case.expected.items.into_keys()).collect();
    assert_eq!(demonstration::items(&stack, keys.iter()).await.unwrap().len(), 1);

    let update = stack.clients.dynamodb.update_item().table_name("customers");
    let update = update.key("pk", AttributeValue::S(keys[0].clone()));
    let update = update.key("sk", AttributeValue::S("customer".to_owned()));
    let update = update.update_expression("SET cleanup = :message, cleanup_due = :since");
    let update = update.expression_attribute_values(":message", AttributeValue::S("{}".to_owned()));
    let since = AttributeValue::S("2026-11-20T12:00:00Z".to_owned());
    update.expression_attribute_values(":since", since).send().await.unwrap();
    assert_eq!(invoke("SweepFunction", "events/sweep/scheduled.json", &env_file), Value::Null);
    let received = stack.clients.sqs.receive_message().queue_url(&stack.queue_urls["cleanup"]).send().await.unwrap();
    assert_eq!(received.messages()[0].body(), Some("{}"));
    let items = demonstration::items(&stack, keys.iter()).await.unwrap();
    assert!(items.values().all(|item| item["cleanup"].is_null() && item["cleanup_due"].is_null()));
}

/// `receipts` adds a system's receipt to the tombstone of a deleted customer. As long as there is none, the message comes again.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs SAM and Docker"]
async fn docker_receipts() {
    let stack = stack(CONTAINERS, [0; 3]).await;
    let env_file = env_file(&stack);
    let invoke = || invoke("ReceiptsFunction", "events/receipts/receipt.json", &env_file);
    let message = "c2b1f1de-3d7f-4a0e-9f0e-52c9c0a64d17";
    assert_eq!(invoke(), json!({ "batchItemFailures": [{ "itemIdentifier": message }] }));
    let cases = events::load(&root("events")).unwrap().into_iter();
    let deleted = cases.filter(|case| case.title() == "plain/customer-deleted").flat_map(|case| case.expected.items);
    let (pk, tombstone) = deleted.last().unwrap();
    let put = stack.clients.dynamodb.put_item().table_name("customers");
    put.set_item(Some(clientele_aws::to_attributes(&tombstone).unwrap())).send().await.unwrap();
    assert_eq!(invoke(), json!({ "batchItemFailures": [] }));
    let items = demonstration::items(&stack, [&pk].into_iter()).await.unwrap();
    assert_eq!(items[&pk]["receipts"]["crm"]["erased_at"], "2026-11-20T12:00:30Z");
}

/// `reconcile` compares the customers with the stand-ins of the list APIs, and writes those that are missing. A second run
/// finds them. The interval is 0 in the template, and SAM builds and runs the function all the same.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs SAM and Docker"]
async fn docker_reconcile() {
    let stack = stack(CONTAINERS, [0; 3]).await;
    let env_file = env_file(&stack);
    let invoke = |event: &str| invoke("ReconcileFunction", event, &env_file);
    for recovers in [true, false] {
        let answer = invoke("events/reconcile/since.json");
        for provider in ["plain", "flexprice"] {
            let compared = &answer[provider]["compared"];
            assert_eq!(compared["failure"], Value::Null, "{answer}");
            assert!(compared["checked"].as_u64().unwrap() > 100, "{answer}");
            assert_eq!(compared["recovered"].as_u64().unwrap() > 0, recovers, "{answer}");
        }
    }
    assert!(invoke("events/reconcile/scheduled.json")["plain"]["compared"]["failure"].is_null());
}

/// The events of `changes`, in the order in which they are invoked.
const CHANGES: [&str; 4] = ["created", "updated", "deleted", "batch"];

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs SAM and Docker"]
async fn docker_changes() {
    let stack = stack(CONTAINERS, [0; 3]).await;
    let env_file = env_file(&stack);
    for name in CHANGES {
        let answer = invoke("ChangesFunction", &format!("events/changes/{name}.json"), &env_file);
        assert_eq!(answer, json!({ "batchItemFailures": [] }), "{name}");
    }
    assert_announced(&stack).await;
}

/// The bus has the events in the files beside [`CHANGES`], and the queue names what cannot be read.
async fn assert_announced(stack: &LocalStack) {
    let (mut announced, mut refused) = (vec![], vec![]);
    for name in CHANGES {
        let text = std::fs::read_to_string(root(&format!("events/changes/{name}.expected.json"))).unwrap();
        let expected: Value = serde_json::from_str(&text).unwrap();
        announced.extend(expected["keys"].as_array().unwrap().iter().map(|entry| entry["Detail"].clone()));
        refused.extend(expected["refused"].as_array().unwrap().clone());
    }
    let on_bus = ureq::get(format!("http://{}/changes", stack.admin)).call().unwrap().body_mut().read_to_vec().unwrap();
    let on_bus: Value = serde_json::from_slice(&on_bus).unwrap();
    let details: Vec<_> = on_bus.as_array().unwrap().iter().map(|event| event["detail"].clone()).collect();
    assert_eq!(details, announced);
    let queue = stack.clients.sqs.receive_message().queue_url(&stack.queue_urls["refused-changes"]);
    let messages = queue.max_number_of_messages(10).send().await.unwrap();
    let messages = messages.messages().iter().map(|message| serde_json::from_str::<Value>(message.body().unwrap()));
    assert_eq!(messages.map(Result::unwrap).collect::<Vec<_>>(), refused);
}

/// One delivery per provider over HTTP, through SAM's local API Gateway.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs SAM and Docker"]
async fn docker_start_api_serves_the_routes() {
    let stack = stack(CONTAINERS, [0; 3]).await;
    let env_file = env_file(&stack);
    let (env_file, port) = (env_file.path().to_str().unwrap(), free_port().to_string());
    let address = format!("127.0.0.1:{port}");
    let mut command = sam(&["start-api", "-n", env_file, "--port", &port, "--warm-containers", "EAGER"]);
    let _api = Running(command.stdout(Stdio::null()).spawn().unwrap());
    let deliveries: Vec<_> = deliveries().into_iter().filter(|case| case.name == "customer-created").collect();
    let started = Instant::now();
    while TcpStream::connect(&address).is_err() {
        assert!(started.elapsed() < Duration::from_mins(2), "sam local start-api does not listen");
        std::thread::sleep(Duration::from_millis(100));
    }
    let url = format!("http://{address}");
    let deliver = move |delivery: &Case| http::deliver(&url, &delivery.event, None);
    let rows = demonstration::deliver_through(&stack, deliveries, deliver).await.unwrap();
    eprintln!("{}", demonstration::table(&rows));
    assert_eq!(rows.len(), clientele_providers::PROVIDERS.len());
    for row in &rows {
        assert_eq!(row.differences, Some(vec![]), "{}", row.title);
    }
}

/// The binaries of `sam build` without a container, each under the runtime interface emulator.
#[derive(Default)]
struct Emulated {
    running: Vec<Running>,
    /// By the names of the functions.
    ports: BTreeMap<String, u16>,
}

impl Emulated {
    fn start<'a>(stack: &LocalStack, names: impl IntoIterator<Item = &'a str>) -> Self {
        let file: Value = serde_json::from_str(&environment(stack)).unwrap();
        let mut emulated = Self::default();
        for name in names {
            let (id, port) = (function_id(stack, name), free_port());
            let bootstrap = root(&format!(".aws-sam/build/{id}/bootstrap"));
            let mut command = Command::new(std::env::var("LAMBDA_RIE").unwrap());
            command.args(["--runtime-interface-emulator-address", &format!("127.0.0.1:{port}")]);
            command.args(["--runtime-api-address", &format!("127.0.0.1:{}", free_port())]).arg(bootstrap);
            command.env_clear().env("AWS_REGION", "us-east-1").envs(&stack.environments[name]);
            command.env("AWS_ACCESS_KEY_ID", "local").env("AWS_SECRET_ACCESS_KEY", "local");
            for values in [&file["Parameters"], &file[&id]] {
                for (name, value) in values.as_object().unwrap() {
                    command.env(name, value.as_str().unwrap().replace("host.docker.internal", "127.0.0.1"));
                }
            }
            command.stdout(Stdio::null()).stderr(Stdio::null());
            emulated.running.push(Running(command.spawn().unwrap()));
            emulated.ports.insert(name.to_owned(), port);
        }
        emulated
    }
}

/// What a function under the emulator at that port answers.
fn invoke_emulated(port: u16, event: &Value) -> Result<Vec<u8>> {
    let url = format!("http://127.0.0.1:{port}");
    let request = json!({ "rawPath": "/2015-03-31/functions/function/invocations", "body": event.to_string() });
    let started = Instant::now();
    loop {
        match http::deliver(&url, &request, None) {
            Ok(reply) => return Ok(reply.body.into_bytes()),
            // The emulator needs some time to start.
            Err(error) => ensure!(started.elapsed() < Duration::from_secs(20), error),
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs what `sam build` made, and SAM's runtime interface emulator"]
async fn emulator_every_event() {
    let stack = stack(THIS_MACHINE, [0; 3]).await;
    let emulated = Emulated::start(&stack, stack.receivers.keys().copied());
    let ports = emulated.ports.clone();
    every_event(&stack, move |delivery| answer(&invoke_emulated(ports[delivery.provider.name], &delivery.event)?))
        .await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs what `sam build` made, and SAM's runtime interface emulator"]
async fn emulator_changes() {
    let stack = stack(THIS_MACHINE, [0; 3]).await;
    let emulated = Emulated::start(&stack, ["changes"]);
    for name in CHANGES {
        let event = std::fs::read_to_string(root(&format!("events/changes/{name}.json"))).unwrap();
        let event = serde_json::from_str(&event).unwrap();
        let answer = invoke_emulated(emulated.ports["changes"], &event).unwrap();
        assert_eq!(serde_json::from_slice::<Value>(&answer).unwrap(), json!({ "batchItemFailures": [] }), "{name}");
    }
    assert_announced(&stack).await;
}
