//! `clientele smoke`: sends one synthetic customer per provider through a deployed stack, from its URL to the cleanup
//! queue.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::Args;
use clientele_model::{Provider, Scheme, Secret, SecretEntry};
use clientele_providers::{PROVIDERS, local_secret};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::customers_table::CustomersTable;
use crate::deployed::DeployedStack;
use crate::events::{Case, EventFiles, Expected};
use crate::exit_code::ExitCode;
use crate::http;
use crate::queue_browser::{MESSAGES_MAX, QueueBrowser};
use crate::synthetic::SyntheticCustomer;
use crate::target::DeployedTarget;
use crate::terminal;
use crate::text_table::TextTable;

/// The pause before a delivery is tried again.
const RETRY: Duration = Duration::from_secs(5);
const REFUSED: &str = "a forged delivery is refused";
const ACCEPTED: &str = "a customer is accepted";

/// Prove that a deployed stack works.
///
/// A forged delivery must be refused. A synthetic customer must arrive in the table, be deleted, leave no personal data,
/// and have its cleanup message on the queue. All traces are removed afterwards.
///
/// For a provider without a secret, or one that needs a client certificate, only the refusal is tested.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  clientele smoke --stack clientele
  clientele smoke --stack clientele --provider plain --wait 0

Each step is reported on standard error when it is done. With --json, each line of the result is an object with \
`provider`, `step`, `passed`, `duration_ms` and `error` (null if the step passed). The exit code is 1 if a step \
fails.")]
pub struct Smoke {
    /// Test only this provider (repeatable)
    #[arg(long, value_parser = clientele_providers::parse)]
    provider: Vec<&'static Provider>,
    /// Keep trying for this many seconds: functions look for new secrets once a minute, and messages may be delayed
    #[arg(long, default_value_t = 70, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(0..=3_600))]
    wait: u64,
    /// Print one JSON object per step
    #[arg(long)]
    json: bool,
    /// A folder with event files to use instead of the embedded ones
    #[arg(long, value_name = "FOLDER")]
    events: Option<PathBuf>,
    #[command(flatten)]
    target: DeployedTarget,
}

/// A step that was tried.
struct Step {
    name: String,
    duration: Duration,
    error: Option<String>,
}

impl Step {
    fn print(&self, provider: &str) {
        let milliseconds = self.duration.as_millis();
        match &self.error {
            None => terminal::note(format!("✓ {provider:<11}{}, {milliseconds} ms", self.name)),
            Some(error) => terminal::note(format!("✗ {provider:<11}{}: {error}", self.name)),
        }
    }

    fn to_json(&self, provider: &str) -> Value {
        let Self { name, duration, error } = self;
        json!({
            "provider": provider, "step": name, "passed": error.is_none(),
            "duration_ms": u64::try_from(duration.as_millis()).unwrap_or(u64::MAX), "error": error,
        })
    }
}

/// Runs `clientele smoke`.
///
/// # Errors
/// When the stack cannot be read, or a step fails.
pub async fn smoke(smoke: Smoke) -> Result<()> {
    let stack = smoke.target.open().await?;
    let mut table = TextTable::new(["provider", "step", "", "ms"]);
    let mut failed = vec![];
    for &provider in PROVIDERS {
        let name = provider.name;
        if !smoke.provider.is_empty() && !smoke.provider.iter().any(|chosen| chosen.name == name) {
            continue;
        }
        let mut test = SmokeTest::new(&stack, provider, &smoke)?;
        if let Err(error) = test.run().await {
            test.failed(&error);
        }
        if let Err(error) = test.clean_up().await {
            test.begin("all traces are removed");
            test.failed(&error);
        }
        for step in &test.steps {
            let (mark, shown) = match &step.error {
                None => ("✓", step.name.clone()),
                Some(error) => ("✗", format!("{}: {error}", step.name)),
            };
            table.add_row([name, &shown, mark, &step.duration.as_millis().to_string()]);
            if smoke.json {
                terminal::json(&step.to_json(name));
            }
        }
        if test.has_failed() {
            failed.push(name);
        }
    }
    if !smoke.json {
        terminal::line(table);
    }
    if failed.is_empty() { Ok(()) } else { bail!("the smoke test failed for {}", failed.join(", ")) }
}

/// The smoke test of one provider.
struct SmokeTest<'a> {
    stack: &'a DeployedStack,
    provider: &'static Provider,
    table: CustomersTable,
    cleanup_queue: QueueBrowser,
    events: EventFiles,
    wait: Duration,
    started: Instant,
    steps: Vec<Step>,
    /// The step that is being tried, and since when.
    current: (String, Instant),
    /// The customer whose item was written.
    customer: Option<SyntheticCustomer>,
    /// Whether there may be a cleanup message.
    has_deleted: bool,
}

impl<'a> SmokeTest<'a> {
    fn new(stack: &'a DeployedStack, provider: &'static Provider, smoke: &Smoke) -> Result<Self> {
        let clients = &stack.clients;
        // Other messages stay hidden during the test, so that each is received only once.
        let hidden_seconds = i32::try_from(smoke.wait)?.saturating_add(30);
        Ok(Self {
            stack,
            provider,
            table: CustomersTable::new(&clients.dynamodb, stack.output("CustomersTableName")?),
            cleanup_queue: QueueBrowser::new(&clients.sqs, stack.output("CleanupQueueUrl")?, hidden_seconds),
            events: smoke.events.clone().into(),
            wait: Duration::from_secs(smoke.wait),
            started: Instant::now(),
            steps: vec![],
            current: ("the secrets and the event files are read".to_owned(), Instant::now()),
            customer: None,
            has_deleted: false,
        })
    }

    async fn run(&mut self) -> Result<()> {
        let (response_rules, scheme) = (self.provider.response_rules, self.stack.scheme(self.provider)?);
        let secrets = self.stack.secrets(self.provider).await?;
        let usable = secrets.iter().filter_map(SecretEntry::text).find(|text| Secret::parse(text, &scheme).is_ok());
        let created = self.events.load_one(self.provider, "customer-created")?;
        // Not every provider reports deletions.
        let deleted = match self.events.load_one(self.provider, "customer-deleted") {
            Err(error) if ExitCode::of(&error) == ExitCode::NotFound => None,
            deleted => Some(deleted?),
        };
        let customer = SyntheticCustomer::new(&[&created].into_iter().chain(&deleted).collect::<Vec<_>>())?;
        self.customer = Some(customer.clone());

        let forged = Expected { forged: true, ..created.expected.clone() };
        let forged = customer.substitute(&Case { expected: forged, ..created.clone() })?;
        let (secret, otherwise) = if self.stack.requires_domain_name(self.provider) {
            (None, "accepts only its own domain name, with a client certificate: nothing else to test")
        } else {
            (usable, "no secret yet: nothing else to test")
        };
        let Some(secret) = secret else {
            // The local secret has the form that the scheme needs, and no deployed function accepts it.
            self.deliver(REFUSED, &forged, &scheme, &local_secret(self.provider), response_rules.rejected_status)
                .await?;
            self.begin(otherwise);
            self.passed();
            return Ok(());
        };

        let created = customer.substitute(&created)?;
        // A function that looked for secrets a moment ago does not know one that was added since.
        while let Err(error) = self.deliver(ACCEPTED, &created, &scheme, &secret, 200).await {
            if self.started.elapsed() > self.wait {
                return Err(error);
            }
            terminal::note(format!("  {:<11}{error:#}; trying again in {} s", self.provider.name, RETRY.as_secs()));
            tokio::time::sleep(RETRY).await;
        }
        self.begin("the item is in the table");
        let item = self.item(customer.pk()).await?.context("the customer is not in the table")?;
        if item["status"] != "active" || item["customer_id"] != customer.id() {
            bail!("the item in the table is not that of the customer");
        }
        self.passed();
        self.deliver(REFUSED, &forged, &scheme, &secret, response_rules.rejected_status).await?;

        let Some(deleted) = deleted else { return Ok(()) };
        let deleted = customer.substitute(&deleted)?;
        self.has_deleted = true;
        self.deliver("the delete is accepted", &deleted, &scheme, &secret, 200).await?;
        self.begin("only a tombstone is left");
        let item = self.item(customer.pk()).await?.context("the tombstone is not in the table")?;
        if item["status"] != "deleted" {
            bail!("the item in the table is not a tombstone");
        }
        let personal = ["name", "email", "profile", "extra", "external_id"];
        if let Some(name) = personal.iter().find(|name| !item[name].is_null()) {
            bail!("the tombstone still has the attribute {name}");
        }
        self.passed();
        self.take_cleanup_message(customer.pk()).await
    }

    fn begin(&mut self, step: &str) {
        self.current = (step.to_owned(), Instant::now());
    }

    fn passed(&mut self) {
        self.end(None);
    }

    fn failed(&mut self, error: &anyhow::Error) {
        self.end(Some(format!("{error:#}")));
    }

    fn end(&mut self, error: Option<String>) {
        let (name, started) = &self.current;
        let step = Step { name: name.clone(), duration: started.elapsed(), error };
        step.print(self.provider.name);
        self.steps.push(step);
    }

    fn has_failed(&self) -> bool {
        self.steps.iter().any(|step| step.error.is_some())
    }

    async fn deliver(&mut self, step: &str, case: &Case, scheme: &Scheme, secret: &str, status: u16) -> Result<()> {
        self.begin(step);
        let url = self.stack.output("ApiUrl")?.to_owned();
        let event = case.sign(scheme, secret, Timestamp::now())?;
        let deliver = move || http::deliver(&url, &event, http::proxy_for(&url));
        let answer = tokio::task::spawn_blocking(deliver).await?;
        let answer = answer.context("check the network, and HTTPS_PROXY if you need a proxy")?;
        if answer.status != status {
            let advice = advice(answer.status);
            bail!("the answer is {} {}, expected {status}: {advice}", answer.status, answer.body);
        }
        self.passed();
        Ok(())
    }

    async fn item(&self, pk: &str) -> Result<Option<Value>> {
        self.table
            .item(pk)
            .await
            .context("the table cannot be read: docs/deploy.md lists the permissions that the smoke test needs")
    }

    /// Looks for the cleanup message and deletes it. If another consumer was faster, or many messages wait, the tombstone
    /// shows whether the message was sent.
    async fn take_cleanup_message(&mut self, cleanup_id: &str) -> Result<()> {
        self.begin("the cleanup message was on the queue");
        let started = Instant::now();
        let (mut found, mut others) = (None, vec![]);
        loop {
            let messages = self.cleanup_queue.receive(MESSAGES_MAX, 1).await;
            let messages = messages.context(
                "the cleanup queue cannot be read: docs/deploy.md lists the permissions that the smoke test needs",
            )?;
            for message in messages {
                let body: Value = serde_json::from_str(message.body().unwrap_or_default()).unwrap_or_default();
                if body["cleanup_id"] == cleanup_id { found = Some(message) } else { others.push(message) }
            }
            if found.is_some() || started.elapsed() >= self.wait {
                break;
            }
        }
        let deleted = match &found {
            Some(message) => self.cleanup_queue.delete(message).await,
            None => Ok(()),
        };
        self.cleanup_queue.put_back(&others).await;
        deleted.context("the cleanup message cannot be deleted")?;
        if found.is_some() {
            self.has_deleted = false;
            self.passed();
            return Ok(());
        }
        match self.item(cleanup_id).await? {
            Some(item) if item["cleanup"].is_null() => {
                let step =
                    "the cleanup message was sent, but not seen: another consumer took it, or it waits behind others";
                step.clone_into(&mut self.current.0);
                self.passed();
                Ok(())
            }
            _ => bail!(
                "no cleanup message within {} s: the sweep sends it later if SQS was unavailable; look at the alarms",
                self.wait.as_secs()
            ),
        }
    }

    /// Removes the item and the cleanup message, as far as they exist.
    async fn clean_up(&mut self) -> Result<()> {
        let Some(customer) = self.customer.take() else { return Ok(()) };
        if self.has_failed() && self.has_deleted {
            // The test has already failed, so a failure here adds nothing.
            drop(self.take_cleanup_message(customer.pk()).await);
        }
        self.table.delete(&customer).await.context("the synthetic customer cannot be removed from the table")
    }
}

/// What to check after an answer that was not expected.
fn advice(status: u16) -> &'static str {
    match status {
        200 => "a forged delivery must never be accepted",
        202 => "the delivery was parked or quarantined; the alarms and the function's log lines say why",
        401 | 498 => {
            "the function does not accept the secret; it looks for new ones once a minute, and `clientele secrets list` \
             shows what is set"
        }
        403 => "API Gateway or a firewall refuses the request",
        404 => "the API has no such route; was the stack deployed from this release's template?",
        429 => "API Gateway throttles the requests; try again later",
        _ => "the function's log lines in CloudWatch say why",
    }
}
