//! `clientele` without a subcommand: the local stack with the demonstration.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use clap::Args;
use clientele_model::{Scheme, TokenPlace};
use clientele_providers::PROVIDERS;

use super::local_secrets::{Assignment, assignment, check_exposure, secret_lists};
use crate::demonstration::{self, DeliveryResult};
use crate::events::EventFiles;
use crate::exit_code::ExitCode;
use crate::signing::token_path;
use crate::stack::hosts::Host;
use crate::stack::{LocalStack, LogOutput, StackOptions};
use crate::terminal;

/// The local stack.
#[derive(Args, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag")]
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
    /// The address to listen on. Whoever reaches it can read and change the table
    #[arg(long, default_value = "127.0.0.1", value_name = "ADDRESS")]
    listen: IpAddr,
    /// Listen on an address that others can reach, although they know the local secrets
    #[arg(long)]
    yes: bool,
    /// A host under which DynamoDB, SQS and the admin port can be used, in addition to localhost and
    /// host.docker.internal; repeatable
    #[arg(long, value_name = "HOST")]
    allow_host: Vec<Host>,
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
    /// Replace a provider's local secret by another one, or by a JSON array of several. If it is repeated, all are valid,
    /// and the first one signs
    #[arg(long, value_name = "PROVIDER=SECRET", value_parser = assignment)]
    secret: Vec<Assignment>,
    /// Replace a provider's signature scheme, as in metrifox=hmac-sha256-hex:X-Signature
    #[arg(long, value_name = "PROVIDER=SCHEME", value_parser = assignment)]
    signature: Vec<Assignment>,
    /// Print every line that the functions log, not only errors
    #[arg(long)]
    log: bool,
    /// A template to create the stack from instead of the embedded one
    #[arg(long, value_name = "FILE")]
    template: Option<PathBuf>,
    /// A folder with event files to use instead of the embedded ones
    #[arg(long, value_name = "FOLDER")]
    events: Option<PathBuf>,
}

impl Local {
    fn options(&self) -> Result<StackOptions> {
        let mut options = StackOptions {
            listen: self.listen,
            port: self.port,
            dynamodb_port: self.dynamodb_port,
            sqs_port: self.sqs_port,
            admin_port: self.admin_port,
            allow_hosts: self.allow_host.clone(),
            workers: true,
            data_dir: self.data_dir.clone(),
            cases: EventFiles::from(self.events.clone()).load()?,
            log: if self.log { LogOutput::Everything } else { LogOutput::Errors },
            ..StackOptions::ephemeral(self.template.clone())
        };
        let lists = secret_lists(&self.secret, &self.signature)?;
        check_exposure(self.listen, &lists, self.yes)?;
        for (provider, list) in lists {
            options.set(provider, "WEBHOOK_SECRETS", list);
        }
        for (provider, scheme) in &self.signature {
            let variable = provider.scheme_variable;
            let only_one = || ExitCode::Usage.error(format!("{} has only one scheme", provider.name));
            let variable = variable.with_context(only_one)?;
            options.set(provider, variable, scheme.clone());
        }
        Ok(options)
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
    terminal::line("");
    Ok(())
}

async fn demonstrate(stack: &LocalStack, local: &Local) -> Result<()> {
    let cases = EventFiles::from(local.events.clone()).load()?;
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
        terminal::line(format!("{}\n", demonstration::table(&results)));
        if local.once {
            bail!("the results cannot be judged: {obstacle}");
        }
        terminal::line(format!("The results are not compared with the expected ones: {obstacle}.\n"));
        return Ok(());
    }
    terminal::line(format!("{}\n", demonstration::table(&results)));
    judge(&results)?;
    let expected = cases.iter().flat_map(|case| case.expected.items.keys()).collect::<BTreeSet<_>>().len();
    let customers = stack.customers_table().count().await?;
    let cleanups = results.iter().map(|result| result.cleanup.len()).sum::<usize>();
    if customers != expected {
        bail!("there are {customers} customers in the table, expected {expected}");
    }
    terminal::line(format!(
        "{} deliveries as expected: {customers} customers in the table, {cleanups} cleanup messages on the queue.\n",
        results.len()
    ));
    Ok(())
}

fn judge(results: &[DeliveryResult]) -> Result<()> {
    let mut wrong = 0;
    for result in results {
        let differences = result.differences.as_deref().unwrap_or_default();
        if !differences.is_empty() {
            wrong += 1;
            terminal::note(format!("{}\n  {}", result.title, differences.join("\n  ")));
        }
    }
    if wrong == 0 { Ok(()) } else { bail!("{wrong} of {} deliveries were not as expected", results.len()) }
}

fn print_usage(stack: &LocalStack, local: &Local) {
    let (url, dynamodb, sqs) = (stack.url(), stack.dynamodb, stack.sqs);
    let queues = stack.queue_urls.keys().cloned().collect::<Vec<_>>().join(", ");
    terminal::line(format!("Webhooks   {url}"));
    for function in &stack.template.functions {
        for route in &function.routes {
            terminal::line(format!("           {} {url}{}", route.method, route.path));
        }
    }
    terminal::line(format!("DynamoDB   http://{dynamodb}   table customers"));
    terminal::line(format!("SQS        http://{sqs}   queues {queues}"));
    terminal::line(format!("Admin      http://{}   faults, replay and sweep on demand", stack.admin));
    terminal::line("\nSecrets (for this local stack only)");
    for provider in PROVIDERS {
        let (name, environment) = (provider.name, stack.environments.get(provider.name));
        let secrets = environment.and_then(|environment| environment.get("WEBHOOK_SECRETS"));
        terminal::line(format!("           {name:<11}{}", secrets.map_or("", String::as_str)));
    }
    terminal::line("\nTry");
    for provider in PROVIDERS {
        if let Ok((Scheme::Token(TokenPlace::Path), secret)) = stack.scheme_and_secret(provider) {
            let path = token_path(provider, &secret);
            terminal::line(format!("  curl -i {url}{path} -H 'content-type: application/json' -d '{BODY}'"));
        }
    }
    let admin = stack.admin;
    let target = if admin.port() == 9010 { String::new() } else { format!(" --local http://{admin}") };
    terminal::line(format!("  cargo run -q -- events send plain/customer-updated{target}"));
    terminal::line(format!("  cargo run -q -- customers list{target}"));
    terminal::line(format!("  cargo run -q -- cleanup list{target}"));
    terminal::line(format!("  cargo run -q -- faults set dynamodb --mode timeout --for 30s{target}"));
    let aws = "AWS_ACCESS_KEY_ID=local AWS_SECRET_ACCESS_KEY=local aws --region us-east-1";
    terminal::line(format!("  {aws} dynamodb scan --endpoint-url http://{dynamodb} --table-name customers"));
    let queue = stack.queue_urls.get("cleanup").map_or("", String::as_str);
    terminal::line(format!("  {aws} sqs receive-message --endpoint-url http://{sqs} --queue-url {queue}"));
    let data = if local.data_dir.is_some() { "keeps" } else { "deletes" };
    terminal::line(format!("\nCtrl-C stops the stack and {data} its data."));
}

/// A body for the provider whose token is in the path, which needs no signature.
const BODY: &str = concat!(
    r#"{"id":"e1","type":"customer.created","created_at":1704067200000,"data":{"customer":{"id":"1","name":"Ada","#,
    r#""email":"ada@example.com","tenant_id":"t","updated_at":"2024-01-01T00:00:00Z"}}}"#
);
