//! A consumer, which is a process for each command, and the local stack that it works on.

use std::path::{Path, PathBuf};
use std::process::Command;

use clientele::events;
use clientele::stack::{LAMBDA_VARIABLES, LocalStack, StackOptions};
use serde_json::{Value, json};
use tempfile::TempDir;

#[derive(Clone, Copy)]
pub(crate) enum Language {
    Rust,
    TypeScript,
    Python,
}

pub(crate) fn package(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// A consumer with its store, and a local stack.
pub(crate) struct Consumer {
    language: Language,
    pub(crate) stack: LocalStack,
    pub(crate) changes_queue_url: String,
    folder: TempDir,
}

impl Consumer {
    pub(crate) async fn start(language: Language) -> Self {
        let mut options = StackOptions::ephemeral(package("../../template.yaml"));
        options.cases = events::load(&package("../../events")).unwrap();
        let stack = LocalStack::start(options).await.unwrap();
        let queue = stack.clients.sqs.create_queue().queue_name("changes").send().await.unwrap();
        let changes_queue_url = queue.queue_url.unwrap();
        Self { language, stack, changes_queue_url, folder: TempDir::new().unwrap() }
    }

    /// What a command prints. It must succeed.
    pub(crate) fn run(&self, arguments: &[&str]) -> String {
        let mut command = match self.language {
            Language::Rust => Command::new(env!("CARGO_BIN_EXE_clientele-consumer")),
            Language::TypeScript => Command::new("node"),
            Language::Python => Command::new("python3"),
        };
        let program = match self.language {
            Language::Rust => None,
            Language::TypeScript => Some(package("typescript/dist/main.js")),
            Language::Python => Some(package("python/main.py")),
        };
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap()).envs(LAMBDA_VARIABLES);
        // boto3 does not read AWS_REGION.
        command.env("AWS_DEFAULT_REGION", "us-east-1").env("PYTHONDONTWRITEBYTECODE", "1");
        command.env("AWS_ENDPOINT_URL_DYNAMODB", format!("http://{}", self.stack.dynamodb));
        command.env("AWS_ENDPOINT_URL_SQS", format!("http://{}", self.stack.sqs));
        command.env("CUSTOMERS_TABLE", "customers").env("STORE", self.folder.path().join("store"));
        command.env("CHANGES_QUEUE_URL", &self.changes_queue_url);
        command.env("CLEANUP_QUEUE_URL", &self.stack.queue_urls["cleanup"]);
        let output = command.args(program).args(arguments).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// The `pk` of the customers that a command prints, in alphabetical order.
    pub(crate) fn keys(&self, arguments: &[&str]) -> Vec<String> {
        let mut keys: Vec<String> = serde_json::from_str(&self.run(arguments)).unwrap();
        keys.sort();
        keys
    }

    /// What the consumer knows: `customers` and `copies`.
    pub(crate) fn knowledge(&self) -> Value {
        serde_json::from_str(&self.run(&["show"])).unwrap()
    }

    /// Consumes all changes.
    pub(crate) fn consume_changes(&self) {
        self.run(&["changes", "--until-idle"]);
    }

    pub(crate) async fn send(&self, queue_url: &str, body: &str) {
        self.stack.clients.sqs.send_message().queue_url(queue_url).message_body(body).send().await.unwrap();
    }

    pub(crate) async fn send_change(&self, event: &Value) {
        self.send(&self.changes_queue_url, &envelope(event).to_string()).await;
    }

    /// Sends event files of the providers as webhooks.
    pub(crate) fn receive_webhooks(&self, cases: &[&str]) {
        let url = format!("http://{}/send", self.stack.admin);
        for case in cases {
            let request = ureq::post(&url).config().proxy(None).build();
            assert_eq!(request.send(json!({ "case": case }).to_string()).unwrap().status(), 200, "{case}");
        }
    }

    /// Every item of the table.
    pub(crate) async fn items(&self) -> Vec<Value> {
        let mut items = vec![];
        let visit = |page, _| {
            items.extend(page);
            std::ops::ControlFlow::Continue(())
        };
        self.stack.customers_table().scan_pages(&[], visit).await.unwrap();
        items
    }

    /// What a consumer that knows everything knows.
    pub(crate) async fn everything(&self) -> Value {
        let known = self.items().await.into_iter().map(|item| {
            let data = json!({ "name": item["name"], "email": item["email"], "external_id": item["external_id"] });
            let customer = if item["status"] == "deleted" { Value::Null } else { data };
            (item["pk"].as_str().unwrap().to_owned(), json!({ "rank": item["rank"], "customer": customer }))
        });
        Value::Object(known.collect())
    }
}

/// A CloudEvent about a change.
pub(crate) fn change(kind: &str, pk: &str, rank: &str, customer: Option<Value>) -> Value {
    let mut data = json!({ "schema": 1, "provider": "plain", "account": "w_1", "customer_id": "c_1", "rank": rank });
    if let Some(customer) = customer {
        data["customer"] = customer;
    }
    json!({ "specversion": "1.0", "id": "1", "source": "/clientele/clientele", "type": kind, "subject": pk,
            "time": "2026-11-20T12:00:00.000Z", "datacontenttype": "application/json", "data": data })
}

/// How EventBridge passes an event to a queue.
fn envelope(event: &Value) -> Value {
    json!({ "version": "0", "id": "3f9d3f3c-0000-4000-8000-000000000001", "detail-type": event["type"],
            "source": event["source"], "account": "000000000000", "time": event["time"], "region": "us-east-1",
            "resources": [], "detail": event })
}
