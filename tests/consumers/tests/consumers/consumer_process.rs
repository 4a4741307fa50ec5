//! A consumer, which is a process for each command, and the local stack that it works on.

use std::path::{Path, PathBuf};
use std::process::Command;

use aws_sdk_sqs::types::QueueAttributeName;
use clientele::events::{self, Case};
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
    /// A queue for receipts, from which no function takes them.
    pub(crate) receipts_queue_url: String,
    /// The names of all event files.
    pub(crate) cases: Vec<String>,
    folder: TempDir,
}

impl Consumer {
    /// The stack announces no change unless it is asked to.
    pub(crate) async fn start(language: Language) -> Self {
        Self::start_with_feed(language, "keys").await
    }

    /// With this `ChangeFeed`.
    pub(crate) async fn start_with_feed(language: Language, content: &str) -> Self {
        let mut options = StackOptions::ephemeral(package("../../template.yaml"));
        options.cases = events::load(&package("../../events")).unwrap();
        options.changes_queue = Some("changes".to_owned());
        options.set_of("changes", "CHANGE_FEED", content.to_owned());
        let cases = options.cases.iter().map(Case::title).collect();
        let stack = LocalStack::start(options).await.unwrap();
        let queue = stack.clients.sqs.create_queue().queue_name("confirmations").send().await.unwrap();
        let receipts_queue_url = queue.queue_url.unwrap();
        Self { language, stack, receipts_queue_url, cases, folder: TempDir::new().unwrap() }
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
        command.env("CHANGES_QUEUE_URL", self.changes_queue_url());
        command.env("CLEANUP_QUEUE_URL", &self.stack.queue_urls["cleanup"]);
        command.env("RECEIPTS_QUEUE_URL", &self.receipts_queue_url).env("ERASURE_SYSTEM", "crm");
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

    pub(crate) fn changes_queue_url(&self) -> &str {
        &self.stack.queue_urls["changes"]
    }

    pub(crate) async fn send(&self, queue_url: &str, body: &str) {
        self.stack.clients.sqs.send_message().queue_url(queue_url).message_body(body).send().await.unwrap();
    }

    pub(crate) async fn send_change(&self, event: &Value) {
        self.send(self.changes_queue_url(), &envelope(event).to_string()).await;
    }

    /// How many messages a queue has, also those that were received and not deleted.
    pub(crate) async fn messages(&self, queue_url: &str) -> usize {
        let request = self.stack.clients.sqs.get_queue_attributes().queue_url(queue_url);
        let answer = request.attribute_names(QueueAttributeName::All).send().await.unwrap();
        let number = |name| answer.attributes().unwrap()[&name].parse::<usize>().unwrap();
        number(QueueAttributeName::ApproximateNumberOfMessages)
            + number(QueueAttributeName::ApproximateNumberOfMessagesNotVisible)
    }

    /// Removes all changes from their queue.
    pub(crate) async fn purge_changes(&self) {
        self.stack.clients.sqs.purge_queue().queue_url(self.changes_queue_url()).send().await.unwrap();
    }

    /// Sends event files of the providers as webhooks.
    pub(crate) fn receive_webhooks(&self, cases: &[impl AsRef<str>]) {
        let url = format!("http://{}/send", self.stack.admin);
        for case in cases {
            let request = ureq::post(&url).config().proxy(None).build();
            let answer = request.send(json!({ "case": case.as_ref() }).to_string()).unwrap();
            assert_eq!(answer.status(), 200, "{}", case.as_ref());
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
