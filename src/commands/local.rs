//! `clientele` alone: the local stack, with the demonstration.

use std::net::IpAddr;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use aws_sdk_dynamodb::types::Select;
use clap::Args;

use crate::demonstration::{self, Row};
use crate::events;
use crate::providers::{self, Known, PROVIDERS};
use crate::stack::{Options, Stack};

/// The local stack.
#[derive(Args, Debug)]
pub struct Local {
    /// Start with an empty table, without the demonstration
    #[arg(long)]
    empty: bool,
    /// End after the demonstration; the exit code is 1 if anything was not as expected
    #[arg(long, conflicts_with = "empty")]
    once: bool,
    /// Keep the table and the queues in this folder between runs
    #[arg(long, value_name = "FOLDER")]
    data_dir: Option<PathBuf>,
    /// The address to listen on
    #[arg(long, default_value = "127.0.0.1", value_name = "ADDRESS")]
    listen: IpAddr,
    /// The port of the gateway (0: any)
    #[arg(long, default_value_t = 9000)]
    port: u16,
    /// The port of DynamoDB (0: any)
    #[arg(long, default_value_t = 8000, value_name = "PORT")]
    dynamodb_port: u16,
    /// The port of SQS (0: any)
    #[arg(long, default_value_t = 9324, value_name = "PORT")]
    sqs_port: u16,
    /// Replace a provider's local secrets: one, or a JSON array of several
    #[arg(long, value_name = "PROVIDER=SECRET", value_parser = assignment)]
    secret: Vec<(&'static Known, String)>,
    /// Replace a provider's signature scheme, as in metrifox=hmac-sha256-hex:X-Signature
    #[arg(long, value_name = "PROVIDER=SCHEME", value_parser = assignment)]
    signature: Vec<(&'static Known, String)>,
    /// The template that says what to make
    #[arg(long, default_value = "template.yaml", value_name = "FILE")]
    template: PathBuf,
    /// The folder of the events
    #[arg(long, default_value = "events", value_name = "FOLDER")]
    events: PathBuf,
}

fn assignment(text: &str) -> Result<(&'static Known, String), String> {
    let (provider, value) = text.split_once('=').ok_or("expected <provider>=<value>")?;
    Ok((providers::parse(provider)?, value.to_owned()))
}

impl Local {
    fn options(&self) -> Result<Options> {
        let mut options = Options {
            listen: self.listen,
            port: self.port,
            dynamodb_port: self.dynamodb_port,
            sqs_port: self.sqs_port,
            data_dir: self.data_dir.clone(),
            ..Options::ephemeral(self.template.clone())
        };
        for (known, secret) in &self.secret {
            options.set(known, "WEBHOOK_SECRETS", secret.clone());
        }
        for (known, scheme) in &self.signature {
            let name = known.provider.name;
            let variable = known.provider.scheme_variable.with_context(|| format!("{name} has one scheme only"))?;
            options.set(known, variable, scheme.clone());
        }
        Ok(options)
    }

    /// Whether the demonstration can be judged: it is made for the local secrets and schemes.
    fn is_standard(&self) -> bool {
        self.secret.is_empty() && self.signature.is_empty()
    }
}

/// Runs the local stack until Ctrl-C, or until the demonstration is over.
///
/// # Errors
/// When it cannot start, or the demonstration was not as expected.
pub async fn local(local: Local) -> Result<()> {
    let stack = Stack::start(local.options()?).await?;
    if !local.empty && !local.is_standard() {
        anstream::println!("No demonstration: its events are signed with the local secrets and schemes.\n");
    } else if !local.empty {
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

async fn demonstrate(stack: &Stack, local: &Local) -> Result<()> {
    let cases = events::load(&local.events)?;
    let was_empty = count(stack).await? == 0;
    let rows = demonstration::run(stack, &cases).await?;
    anstream::println!("{}\n", demonstration::table(&rows));
    if !was_empty {
        anstream::println!("The table held customers already: outcomes are shown, not judged.\n");
        return Ok(());
    }
    let wrong: Vec<&Row> = rows.iter().filter(|row| !row.differences.is_empty()).collect();
    for row in &wrong {
        anstream::eprintln!("{}\n  {}", row.title, row.differences.join("\n  "));
    }
    if !wrong.is_empty() {
        bail!("{} of {} deliveries were not as expected", wrong.len(), rows.len());
    }
    let (customers, cleanups) = (count(stack).await?, rows.iter().map(|row| row.cleanup.len()).sum::<usize>());
    anstream::println!(
        "{} deliveries as expected: {customers} customers in the table, {cleanups} cleanup messages on the queue.\n",
        rows.len()
    );
    Ok(())
}

async fn count(stack: &Stack) -> Result<i32> {
    let pages = stack.clients.dynamodb.scan().table_name("customers").select(Select::Count).into_paginator().send();
    let pages = pages.try_collect().await?;
    Ok(pages.iter().map(|page| page.count).sum())
}

fn print_usage(stack: &Stack, local: &Local) {
    let (url, dynamodb, sqs) = (stack.url(), stack.dynamodb, stack.sqs);
    anstream::println!("Webhooks   {url}");
    for function in &stack.template.functions {
        for route in &function.routes {
            anstream::println!("           {} {url}{}", route.method, route.path);
        }
    }
    anstream::println!("DynamoDB   http://{dynamodb}   table customers");
    anstream::println!("SQS        http://{sqs}   queues {}", names(stack));
    anstream::println!("\nSecrets (local, good for nothing else)");
    for known in &PROVIDERS {
        let own = local.secret.iter().rev().find(|(other, _)| std::ptr::eq(*other, known));
        let secret = own.map_or(known.local_secret, |(_, secret)| secret);
        anstream::println!("           {:<11}{secret}", known.provider.name);
    }
    let body = r#"{"id":"e1","type":"customer.created","created_at":1704067200000,"data":{"customer":{"id":"1","name":"Ada","email":"ada@example.com","tenant_id":"t","updated_at":"2024-01-01T00:00:00Z"}}}"#;
    anstream::println!(
        "\nTry\n  curl -i {url}/webhooks/metrifox/metrifox-local-secret -H 'content-type: application/json' -d '{body}'"
    );
    anstream::println!("  cargo run -q -- send plain customer-updated --to {url}");
    anstream::println!("  cargo run -q -- list --dynamodb-port {}", dynamodb.port());
    anstream::println!("  cargo run -q -- cleanup --sqs-port {}", sqs.port());
    let aws = "AWS_ACCESS_KEY_ID=local AWS_SECRET_ACCESS_KEY=local aws --region us-east-1";
    anstream::println!("  {aws} dynamodb scan --endpoint-url http://{dynamodb} --table-name customers");
    let queue = stack.queue_urls.get("cleanup").map_or("", String::as_str);
    anstream::println!("  {aws} sqs receive-message --endpoint-url http://{sqs} --queue-url {queue}");
    anstream::println!(
        "\nCtrl-C ends it{}.",
        if local.data_dir.is_some() { "; the data stays" } else { " and forgets everything" }
    );
}

fn names(stack: &Stack) -> String {
    stack.queue_urls.keys().cloned().collect::<Vec<_>>().join(", ")
}
