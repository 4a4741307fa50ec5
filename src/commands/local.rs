//! `clientele` without a subcommand: the local stack with the demonstration.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use clap::Args;
use clientele_model::{Provider, Scheme, SecretEntry, TokenPlace};
use clientele_providers::PROVIDERS;

use super::secret;
use crate::demonstration::{self, DeliveryResult};
use crate::events;
use crate::signing::token_path;
use crate::stack::{LocalStack, LogOutput, StackOptions};

/// The local stack.
#[derive(Args, Debug)]
pub struct Local {
    /// Skip the demonstration
    #[arg(long)]
    empty: bool,
    /// Exit after the demonstration, with code 1 if a result was not as expected or could not be judged
    #[arg(long, conflicts_with = "empty")]
    once: bool,
    /// Keep the table and the queues in this folder between runs
    #[arg(long, value_name = "FOLDER")]
    data_dir: Option<PathBuf>,
    /// The address to listen on
    #[arg(long, default_value = "127.0.0.1", value_name = "ADDRESS")]
    listen: IpAddr,
    /// The port of the gateway (0: any free port)
    #[arg(long, default_value_t = 9000)]
    port: u16,
    /// The port of DynamoDB (0: any free port)
    #[arg(long, default_value_t = 8000, value_name = "PORT")]
    dynamodb_port: u16,
    /// The port of SQS (0: any free port)
    #[arg(long, default_value_t = 9324, value_name = "PORT")]
    sqs_port: u16,
    /// The admin port, for faults, replay and sweep on demand (0: any free port)
    #[arg(long, default_value_t = 9010, value_name = "PORT")]
    admin_port: u16,
    /// Replace a provider's local secret by another one, or by a JSON array of several
    #[arg(long, value_name = "PROVIDER=SECRET", value_parser = assignment)]
    secret: Vec<(&'static Provider, String)>,
    /// Replace a provider's signature scheme, as in metrifox=hmac-sha256-hex:X-Signature
    #[arg(long, value_name = "PROVIDER=SCHEME", value_parser = assignment)]
    signature: Vec<(&'static Provider, String)>,
    /// Print every line that the functions log, not only errors
    #[arg(long)]
    log: bool,
    /// The template to create the stack from
    #[arg(long, default_value = "template.yaml", value_name = "FILE")]
    template: PathBuf,
    /// The folder with the event files
    #[arg(long, default_value = "events", value_name = "FOLDER")]
    events: PathBuf,
}

fn assignment(text: &str) -> Result<(&'static Provider, String), String> {
    let (provider, value) = text.split_once('=').ok_or("expected <provider>=<value>")?;
    Ok((clientele_providers::parse(provider)?, value.to_owned()))
}

impl Local {
    fn options(&self) -> Result<StackOptions> {
        let mut options = StackOptions {
            listen: self.listen,
            port: self.port,
            dynamodb_port: self.dynamodb_port,
            sqs_port: self.sqs_port,
            admin_port: self.admin_port,
            workers: true,
            data_dir: self.data_dir.clone(),
            cases: events::load(&self.events)?,
            log: if self.log { LogOutput::Everything } else { LogOutput::Errors },
            ..StackOptions::ephemeral(self.template.clone())
        };
        for (provider, secret) in &self.secret {
            self.check(provider, secret)?;
            options.set(provider, "WEBHOOK_SECRETS", secret.clone());
        }
        for (provider, scheme) in &self.signature {
            let variable = provider.scheme_variable;
            let variable = variable.with_context(|| format!("{} has only one scheme", provider.name))?;
            options.set(provider, variable, scheme.clone());
        }
        Ok(options)
    }

    /// Checks the secrets that a flag sets for a provider.
    fn check(&self, provider: &'static Provider, secrets: &str) -> Result<()> {
        let setting = self.signature.iter().rev().find(|(other, _)| other.name == provider.name);
        let scheme = (provider.scheme)(setting.map(|(_, scheme)| scheme.as_str())).context("--signature")?;
        let entries =
            SecretEntry::list(secrets).with_context(|| format!("--secret: the value for {}", provider.name))?;
        if entries.is_empty() {
            bail!("--secret: the secret for {} is empty", provider.name);
        }
        for entry in entries {
            let text = entry.text().with_context(|| format!("--secret: a secret for {} is not text", provider.name))?;
            secret::check(&text, provider, &scheme).context("--secret")?;
        }
        Ok(())
    }
}

/// Runs the local stack until Ctrl-C, or with `--once` until the demonstration is over.
///
/// # Errors
/// When it cannot start, or a result of the demonstration was not as expected.
pub async fn local(local: Local) -> Result<()> {
    let stack = LocalStack::start(local.options()?).await?;
    if !local.empty {
        demonstrate(&stack, &local).await?;
    }
    if local.once {
        return Ok(());
    }
    print_usage(&stack, &local);
    tokio::signal::ctrl_c().await?;
    anstream::println!();
    Ok(())
}

async fn demonstrate(stack: &LocalStack, local: &Local) -> Result<()> {
    let cases = events::load(&local.events)?;
    let was_empty = stack.customers_table().count().await? == 0;
    let mut results = demonstration::run(stack, &cases).await?;
    // The expected results assume an empty table and the default schemes.
    let obstacle = match (was_empty, local.signature.is_empty()) {
        (false, _) => Some("the table already contained customers"),
        (_, false) => Some("--signature changes a scheme"),
        (true, true) => None,
    };
    if let Some(obstacle) = obstacle {
        for result in &mut results {
            result.differences = None;
        }
        anstream::println!("{}\n", demonstration::table(&results));
        if local.once {
            bail!("the results cannot be judged: {obstacle}");
        }
        anstream::println!("The results are not compared with the expected ones: {obstacle}.\n");
        return Ok(());
    }
    anstream::println!("{}\n", demonstration::table(&results));
    judge(&results)?;
    let expected = cases.iter().flat_map(|case| case.expected.items.keys()).collect::<BTreeSet<_>>().len();
    let customers = stack.customers_table().count().await?;
    let cleanups = results.iter().map(|result| result.cleanup.len()).sum::<usize>();
    if customers != expected {
        bail!("there are {customers} customers in the table, expected {expected}");
    }
    anstream::println!(
        "{} deliveries as expected: {customers} customers in the table, {cleanups} cleanup messages on the queue.\n",
        results.len()
    );
    Ok(())
}

fn judge(results: &[DeliveryResult]) -> Result<()> {
    let mut wrong = 0;
    for result in results {
        let differences = result.differences.as_deref().unwrap_or_default();
        if !differences.is_empty() {
            wrong += 1;
            anstream::eprintln!("{}\n  {}", result.title, differences.join("\n  "));
        }
    }
    if wrong == 0 { Ok(()) } else { bail!("{wrong} of {} deliveries were not as expected", results.len()) }
}

fn print_usage(stack: &LocalStack, local: &Local) {
    let (url, dynamodb, sqs) = (stack.url(), stack.dynamodb, stack.sqs);
    let queues = stack.queue_urls.keys().cloned().collect::<Vec<_>>().join(", ");
    anstream::println!("Webhooks   {url}");
    for function in &stack.template.functions {
        for route in &function.routes {
            anstream::println!("           {} {url}{}", route.method, route.path);
        }
    }
    anstream::println!("DynamoDB   http://{dynamodb}   table customers");
    anstream::println!("SQS        http://{sqs}   queues {queues}");
    anstream::println!("Admin      http://{}   faults, replay and sweep on demand", stack.admin);
    anstream::println!("\nSecrets (for this local stack only)");
    for provider in PROVIDERS {
        let (name, environment) = (provider.name, stack.environments.get(provider.name));
        let secrets = environment.and_then(|environment| environment.get("WEBHOOK_SECRETS"));
        anstream::println!("           {name:<11}{}", secrets.map_or("", String::as_str));
    }
    anstream::println!("\nTry");
    for provider in PROVIDERS {
        if let Ok((Scheme::Token(TokenPlace::Path), secret)) = stack.scheme_and_secret(provider) {
            let path = token_path(provider, &secret);
            anstream::println!("  curl -i {url}{path} -H 'content-type: application/json' -d '{BODY}'");
        }
    }
    let secret = local.secret.iter().any(|(provider, _)| provider.name == "plain");
    let secret = if secret { " --secret SECRET" } else { "" };
    anstream::println!("  cargo run -q -- send plain customer-updated --to {url}{secret}");
    let host =
        if local.listen == IpAddr::from([127, 0, 0, 1]) { String::new() } else { format!(" --host {}", local.listen) };
    anstream::println!("  cargo run -q -- list{host} --dynamodb-port {}", dynamodb.port());
    anstream::println!("  cargo run -q -- cleanup{host} --sqs-port {}", sqs.port());
    let port = stack.admin.port();
    anstream::println!("  cargo run -q -- fault dynamodb --mode timeout --for 30s{host} --admin-port {port}");
    let aws = "AWS_ACCESS_KEY_ID=local AWS_SECRET_ACCESS_KEY=local aws --region us-east-1";
    anstream::println!("  {aws} dynamodb scan --endpoint-url http://{dynamodb} --table-name customers");
    let queue = stack.queue_urls.get("cleanup").map_or("", String::as_str);
    anstream::println!("  {aws} sqs receive-message --endpoint-url http://{sqs} --queue-url {queue}");
    let data = if local.data_dir.is_some() { "keeps" } else { "deletes" };
    anstream::println!("\nCtrl-C stops the stack and {data} its data.");
}

/// A body for the provider whose token is in the path, which needs no signature.
const BODY: &str = concat!(
    r#"{"id":"e1","type":"customer.created","created_at":1704067200000,"data":{"customer":{"id":"1","name":"Ada","#,
    r#""email":"ada@example.com","tenant_id":"t","updated_at":"2024-01-01T00:00:00Z"}}}"#
);
