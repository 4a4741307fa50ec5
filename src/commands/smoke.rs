//! `clientele smoke`: sends one synthetic customer per provider through a deployed stack, from its URL to the cleanup
//! queue.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::Args;
use clientele_model::{Provider, Scheme, Secret, SecretEntry};
use clientele_providers::{PROVIDERS, local_secret};
use jiff::Timestamp;
use serde_json::Value;

use super::target::DeployedTarget;
use crate::customers_table::CustomersTable;
use crate::deployed::DeployedStack;
use crate::events::{Case, EventFiles, Expected};
use crate::http;
use crate::queue_browser::{MESSAGES_MAX, QueueBrowser};
use crate::synthetic::SyntheticCustomer;
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
/// For a provider without a secret, or one that needs a client certificate, only the refusal is tested. The exit code is 1 if a step fails.
#[derive(Args, Debug)]
pub struct Smoke {
    #[command(flatten)]
    target: DeployedTarget,
    /// Test only this provider (repeatable)
    #[arg(long, value_parser = clientele_providers::parse)]
    provider: Vec<&'static Provider>,
    /// Keep trying for this many seconds: functions look for new secrets once a minute, and messages may be delayed
    #[arg(long, default_value_t = 70, value_name = "SECONDS")]
    wait: u64,
    /// A folder with event files to use instead of the embedded ones
    #[arg(long, value_name = "FOLDER")]
    events: Option<PathBuf>,
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
        let result = test.run().await;
        let cleaned_up = test.clean_up(result.is_err()).await;
        for (step, duration) in &test.steps {
            table.add_row([name, step, "✓", &duration.as_millis().to_string()]);
        }
        for error in [result, cleaned_up].into_iter().filter_map(Result::err) {
            table.add_row([name, &format!("{error:#}"), "✗", ""]);
            failed.push(name);
        }
    }
    terminal::line(table);
    failed.dedup();
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
    steps: Vec<(String, Duration)>,
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
        let deleted = self.events.load_one(self.provider, "customer-deleted").ok();
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
            self.steps.push((otherwise.to_owned(), Duration::ZERO));
            return Ok(());
        };

        let created = customer.substitute(&created)?;
        // A function that looked for secrets a moment ago does not know one that was added since.
        while let Err(error) = self.deliver(ACCEPTED, &created, &scheme, &secret, 200).await {
            if self.started.elapsed() > self.wait {
                return Err(error);
            }
            tokio::time::sleep(RETRY).await;
        }
        let started = Instant::now();
        let item = self.item(customer.pk()).await?.context("the customer is not in the table")?;
        if item["status"] != "active" || item["customer_id"] != customer.id() {
            bail!("the item in the table is not that of the customer");
        }
        self.passed("the item is in the table", started);
        self.deliver(REFUSED, &forged, &scheme, &secret, response_rules.rejected_status).await?;

        let Some(deleted) = deleted else { return Ok(()) };
        let deleted = customer.substitute(&deleted)?;
        self.has_deleted = true;
        self.deliver("the delete is accepted", &deleted, &scheme, &secret, 200).await?;
        let started = Instant::now();
        let item = self.item(customer.pk()).await?.context("the tombstone is not in the table")?;
        if item["status"] != "deleted" {
            bail!("the item in the table is not a tombstone");
        }
        let personal = ["name", "email", "profile", "extra", "external_id"];
        if let Some(name) = personal.iter().find(|name| !item[name].is_null()) {
            bail!("the tombstone still has the attribute {name}");
        }
        self.passed("only a tombstone is left", started);
        self.take_cleanup_message(customer.pk()).await
    }

    fn passed(&mut self, step: &str, started: Instant) {
        self.steps.push((step.to_owned(), started.elapsed()));
    }

    async fn deliver(&mut self, step: &str, case: &Case, scheme: &Scheme, secret: &str, status: u16) -> Result<()> {
        let (url, started) = (self.stack.output("ApiUrl")?.to_owned(), Instant::now());
        let event = case.sign(scheme, secret, Timestamp::now())?;
        let deliver = move || http::deliver(&url, &event, http::proxy_for(&url));
        let answer = tokio::task::spawn_blocking(deliver).await??;
        if answer.status != status {
            bail!("{step}: the answer is {} {}, expected {status}", answer.status, answer.body);
        }
        self.passed(step, started);
        Ok(())
    }

    async fn item(&self, pk: &str) -> Result<Option<Value>> {
        self.table.item(pk).await.context("the table cannot be read")
    }

    /// Looks for the cleanup message and deletes it. If another consumer was faster, or many messages wait, the tombstone
    /// shows whether the message was sent.
    async fn take_cleanup_message(&mut self, cleanup_id: &str) -> Result<()> {
        let started = Instant::now();
        let (mut found, mut others) = (None, vec![]);
        loop {
            let messages = self.cleanup_queue.receive(MESSAGES_MAX, 1).await;
            for message in messages.context("the cleanup queue cannot be read")? {
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
            self.passed("the cleanup message was on the queue", started);
            return Ok(());
        }
        match self.item(cleanup_id).await? {
            Some(item) if item["cleanup"].is_null() => {
                let step =
                    "the cleanup message was sent, but not seen: another consumer took it, or it waits behind others";
                self.passed(step, started);
                Ok(())
            }
            _ => bail!("no cleanup message within {} s", self.wait.as_secs()),
        }
    }

    /// Removes the item and the cleanup message, as far as they exist.
    async fn clean_up(&mut self, has_failed: bool) -> Result<()> {
        let Some(customer) = self.customer.take() else { return Ok(()) };
        if has_failed && self.has_deleted {
            // The test has already failed, so a failure here adds nothing.
            drop(self.take_cleanup_message(customer.pk()).await);
        }
        self.table.delete(&customer).await.context("the synthetic customer cannot be removed from the table")
    }
}
