//! `clientele smoke`: one synthetic customer a provider through a deployed stack, from its URL to the cleanup queue.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use aws_sdk_dynamodb::types::AttributeValue;
use clap::Args;
use clientele_model::{Provider, SORT_KEY, Scheme};
use clientele_providers::{PROVIDERS, local_secret};
use comfy_table::{Table, presets};
use jiff::Timestamp;
use serde_json::Value;

use super::secret::{InStack, Store};
use crate::demonstration;
use crate::deployed::Deployed;
use crate::events::{self, Case, Expected};
use crate::http;
use crate::synthetic::Synthetic;

/// SQS gives at most so many messages at a time.
const MESSAGES_MAX: i32 = 10;
/// How long to wait before a delivery is tried again.
const RETRY: Duration = Duration::from_secs(5);

/// Prove that a deployed stack works: a forged delivery is refused; a synthetic customer arrives in the table, is
/// deleted, leaves no personal data, and its cleanup message is on the queue. All traces are removed afterwards.
///
/// A provider without a secret is only checked to refuse. The exit code is 1 if anything is not as it should be.
#[derive(Args, Debug)]
pub struct Smoke {
    #[command(flatten)]
    stack: InStack,
    /// Only this provider (repeatable)
    #[arg(long, value_parser = clientele_providers::parse)]
    provider: Vec<&'static Provider>,
    /// For how many seconds to try: functions look for a new secret once a minute, and a message may take a while
    #[arg(long, default_value_t = 70, value_name = "SECONDS")]
    wait: u64,
    /// The folder of the events
    #[arg(long, default_value = "events", value_name = "FOLDER")]
    events: PathBuf,
}

/// Runs `clientele smoke`.
///
/// # Errors
/// When the stack cannot be read, or does not do what it should.
pub async fn smoke(smoke: Smoke) -> Result<()> {
    let store = Store::open(&smoke.stack).await?;
    let mut table = Table::new();
    table.load_style(presets::UTF8_BORDERS_ONLY).set_header(["provider", "step", "", "ms"]);
    let mut failed = vec![];
    for &provider in PROVIDERS {
        let name = provider.name;
        if !smoke.provider.is_empty() && !smoke.provider.iter().any(|chosen| chosen.name == name) {
            continue;
        }
        let mut run = Run {
            store: &store,
            provider,
            smoke: &smoke,
            started: Instant::now(),
            steps: vec![],
            pk: None,
            is_sent: false,
        };
        let result = run.all().await;
        let tidied = run.tidy(result.is_err()).await;
        for (step, took) in &run.steps {
            table.add_row([name, step, "✓", &took.as_millis().to_string()]);
        }
        for error in [result, tidied].into_iter().filter_map(Result::err) {
            table.add_row([name, &format!("{error:#}"), "✗", ""]);
            failed.push(name);
        }
    }
    anstream::println!("{table}");
    failed.dedup();
    if failed.is_empty() { Ok(()) } else { bail!("not as it should be: {}", failed.join(", ")) }
}

/// The way of one provider's synthetic customer.
struct Run<'a> {
    store: &'a Store,
    provider: &'static Provider,
    smoke: &'a Smoke,
    started: Instant,
    steps: Vec<(String, Duration)>,
    /// Of the item that was written.
    pk: Option<String>,
    /// Whether there may be a cleanup message.
    is_sent: bool,
}

impl Run<'_> {
    async fn all(&mut self) -> Result<()> {
        let (response_rules, scheme) = (self.provider.response_rules, self.stack().scheme(self.provider)?);
        let secrets = self.store.read(self.provider).await?;
        let created = events::load_one(&self.smoke.events, self.provider, "customer-created")?;
        // Not every provider deletes.
        let deleted = events::load_one(&self.smoke.events, self.provider, "customer-deleted").ok();
        let synthetic = Synthetic::of(&[&created].into_iter().chain(&deleted).collect::<Vec<_>>())?;
        self.pk = Some(synthetic.pk.clone());

        let forged = Expected { forged: true, ..created.expected.clone() };
        let forged = synthetic.apply(&Case { expected: forged, ..created.clone() })?;
        let refused = "a forged delivery is refused";
        let Some(secret) = secrets.first() else {
            // Nobody's secret, but one in the form of the scheme.
            self.deliver(refused, &forged, &scheme, &local_secret(self.provider), response_rules.rejected_status)
                .await?;
            self.steps.push(("no secret yet: nothing else to try".to_owned(), Duration::ZERO));
            return Ok(());
        };

        let customer = synthetic.apply(&created)?;
        // A function that has just looked for secrets does not know yet one that was added since.
        while self.deliver("a customer is taken", &customer, &scheme, secret, 200).await.is_err() {
            if self.started.elapsed() > self.patience() {
                return self.deliver("a customer is taken", &customer, &scheme, secret, 200).await;
            }
            tokio::time::sleep(RETRY).await;
        }
        let item = self.item(&synthetic.pk).await?.context("the customer is not in the table")?;
        if item["status"] != "active" || item["customer_id"] != synthetic.id.as_str() {
            bail!("the item is not that of the customer");
        }
        self.step("it is in the table", Instant::now());
        self.deliver(refused, &forged, &scheme, secret, response_rules.rejected_status).await?;

        let Some(deleted) = deleted else { return Ok(()) };
        let deleted = synthetic.apply(&deleted)?;
        self.is_sent = true;
        self.deliver("its delete is taken", &deleted, &scheme, secret, 200).await?;
        let started = Instant::now();
        let item = self.item(&synthetic.pk).await?.context("the tombstone is not in the table")?;
        if item["status"] != "deleted" {
            bail!("the item is no tombstone");
        }
        if let Some(personal) =
            ["name", "email", "profile", "extra", "external_id"].iter().find(|it| !item[it].is_null())
        {
            bail!("the tombstone has its {personal} still");
        }
        self.step("only a tombstone is left", started);
        self.cleanup(&synthetic.pk).await
    }

    fn stack(&self) -> &Deployed {
        &self.store.stack
    }

    fn step(&mut self, step: &str, started: Instant) {
        self.steps.push((step.to_owned(), started.elapsed()));
    }

    async fn deliver(&mut self, step: &str, case: &Case, scheme: &Scheme, secret: &str, status: u16) -> Result<()> {
        let (url, started) = (self.stack().output("ApiUrl")?.to_owned(), Instant::now());
        let event = case.fresh(scheme, secret, Timestamp::now())?.event;
        let deliver = move || http::deliver(&url, &event, http::proxy_for(&url));
        let answer = tokio::task::spawn_blocking(deliver).await??;
        if answer.status != status {
            bail!("{step}: the answer is {} {}, and should be {status}", answer.status, answer.body);
        }
        self.step(step, started);
        Ok(())
    }

    async fn item(&self, pk: &str) -> Result<Option<Value>> {
        let table = self.stack().output("CustomersTableName")?;
        demonstration::item(&self.store.clients, table, pk).await.context("the table cannot be read")
    }

    /// Looks for the cleanup message and takes it. One of your systems may be faster, or many messages wait: then the
    /// tombstone tells that the queue has had it.
    async fn cleanup(&mut self, cleanup_id: &str) -> Result<()> {
        let started = Instant::now();
        let (sqs, url) = (&self.store.clients.sqs, self.stack().output("CleanupQueueUrl")?.to_owned());
        // Messages of others are hidden while this looks, so that each is received once, and then put back: a receive
        // counts towards the dead-letter queue.
        let hidden = i32::try_from(self.smoke.wait)?.saturating_add(30);
        let (mut found, mut others) = (None, vec![]);
        loop {
            let request = sqs.receive_message().queue_url(&url).max_number_of_messages(MESSAGES_MAX);
            let output = request.wait_time_seconds(1).visibility_timeout(hidden).send().await;
            for message in output.context("the cleanup queue cannot be read")?.messages.unwrap_or_default() {
                let receipt = message.receipt_handle.unwrap_or_default();
                let body: Value = serde_json::from_str(&message.body.unwrap_or_default()).unwrap_or_default();
                if body["cleanup_id"] == cleanup_id { found = Some(receipt) } else { others.push(receipt) }
            }
            if found.is_some() || started.elapsed() >= self.patience() {
                break;
            }
        }
        let removed = match &found {
            Some(receipt) => Some(sqs.delete_message().queue_url(&url).receipt_handle(receipt).send().await),
            None => None,
        };
        for receipt in others {
            let request = sqs.change_message_visibility().queue_url(&url).receipt_handle(receipt);
            // It is back by itself a little later.
            drop(request.visibility_timeout(0).send().await);
        }
        if let Some(removed) = removed {
            removed.context("the cleanup message cannot be removed")?;
            self.is_sent = false;
            self.step("its cleanup message was on the queue", started);
            return Ok(());
        }
        match self.item(cleanup_id).await? {
            Some(item) if item["cleanup"].is_null() => {
                self.step(
                    "its cleanup message was sent, but not seen: somebody else took it, or it waits behind others",
                    started,
                );
                Ok(())
            }
            _ => bail!("no cleanup message within {} s", self.smoke.wait),
        }
    }

    fn patience(&self) -> Duration {
        Duration::from_secs(self.smoke.wait)
    }

    /// Takes away what is left, tombstone or not.
    async fn tidy(&mut self, has_failed: bool) -> Result<()> {
        let Some(pk) = self.pk.take() else { return Ok(()) };
        if has_failed && self.is_sent {
            // It failed already: what is still to be seen here changes nothing.
            drop(self.cleanup(&pk).await);
        }
        let request = self.store.clients.dynamodb.delete_item().table_name(self.stack().output("CustomersTableName")?);
        let request = request.key("pk", AttributeValue::S(pk)).key("sk", AttributeValue::S(SORT_KEY.to_owned()));
        request.send().await.context("the synthetic customer cannot be removed from the table")?;
        Ok(())
    }
}
