//! `clientele` without a subcommand: the local stack with its story.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::PathBuf;

use anyhow::{Context, Result, anyhow, bail};
use clap::{Args, ValueEnum, value_parser};

use super::local_secrets::{Assignment, assignment, check_exposure, secret_lists};
use crate::events::{Case, EventFiles};
use crate::exit_code::ExitCode;
use crate::hosts::Host;
use crate::stack::{LocalStack, LogOutput, StackOptions};
use crate::story::{self, Story};
use crate::{delivery_line, demonstration, local_usage, terminal};

/// The local stack.
#[derive(Args, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag")]
pub struct Local {
    /// Skip the story: deliver nothing
    #[arg(long)]
    empty: bool,
    /// Deliver every event file, not only those of the story
    #[arg(long, conflicts_with = "empty")]
    all: bool,
    /// Deliver every event file and exit, with code 1 if a result was not as expected or could not be judged
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
    /// The admin port: the page, and what the other commands use to find the stack (0: any free port)
    #[arg(long, default_value_t = 9010, value_name = "PORT")]
    admin_port: u16,
    /// Replace a provider's local secret by another one, or by a JSON array of several. If it is repeated, all are valid,
    /// and the first one signs
    #[arg(long, value_name = "PROVIDER=SECRET", value_parser = assignment)]
    secret: Vec<Assignment>,
    /// Replace a provider's signature scheme, as in metrifox=hmac-sha256-hex:X-Signature
    #[arg(long, value_name = "PROVIDER=SCHEME", value_parser = assignment)]
    signature: Vec<Assignment>,
    /// Whether changes contain the customer; without it, as the template says
    #[arg(long, value_enum, value_name = "CONTENT")]
    change_feed: Option<ChangeFeed>,
    /// Create a queue of this name, to which every change is sent, as to the target of a rule
    #[arg(long, value_name = "NAME", value_parser = queue_name)]
    changes_queue: Option<String>,
    /// The systems that confirm each erasure on the queue receipts, separated by commas
    #[arg(long, value_name = "SYSTEMS", value_parser = erasure_systems)]
    erasure_systems: Option<String>,
    /// For how many minutes the message about a deleted customer is held back
    #[arg(long, value_name = "MINUTES", value_parser = value_parser!(u32).range(0..=20_160))]
    cleanup_hold_minutes: Option<u32>,
    /// What to print of each delivery
    #[arg(long, value_enum, default_value_t = LogFormat::Text, value_name = "FORMAT")]
    log: LogFormat,
    /// A template to create the stack from instead of the embedded one
    #[arg(long, value_name = "FILE")]
    template: Option<PathBuf>,
    /// A folder with event files to use instead of the embedded ones
    #[arg(long, value_name = "FOLDER")]
    events: Option<PathBuf>,
}

/// What is printed of each delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum LogFormat {
    /// A line for people
    Text,
    /// The lines that the functions log, as JSON on standard error
    Json,
}

/// What changes contain.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum ChangeFeed {
    /// Ids, and the names of changed fields
    Keys,
    /// The whole customer as well
    Full,
}

impl ChangeFeed {
    /// The value of the function's variable.
    fn as_str(self) -> &'static str {
        match self {
            Self::Keys => "keys",
            Self::Full => "full",
        }
    }
}

/// A name that SQS accepts.
fn queue_name(text: &str) -> Result<String, String> {
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    let is_name = (1..=80).contains(&text.len()) && text.chars().all(is_allowed);
    is_name.then(|| text.to_owned()).ok_or_else(|| "expected at most 80 letters, digits, - and _".to_owned())
}

/// Names that the parameter `ErasureSystems` accepts.
fn erasure_systems(text: &str) -> Result<String, String> {
    let is_allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let is_name = |name: &str| name.starts_with(|c: char| c.is_ascii_lowercase()) && name.chars().all(is_allowed);
    let error = "expected names of lower-case letters, digits and hyphens, separated by commas";
    if text.split(',').all(is_name) { Ok(text.to_owned()) } else { Err(error.to_owned()) }
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
            data_dir: self.data_dir.clone(),
            cases: EventFiles::from(self.events.clone()).load()?,
            changes_queue: self.changes_queue.clone(),
            log: if self.log == LogFormat::Json { LogOutput::Everything } else { LogOutput::Nothing },
            ..StackOptions::ephemeral(self.template.clone())
        };
        if let Some(content) = self.change_feed {
            options.set_of("changes", "CHANGE_FEED", content.as_str().to_owned());
        }
        options.parameters.extend(self.erasure_systems.clone().map(|systems| ("ErasureSystems", systems)));
        let hold = self.cleanup_hold_minutes.map(|minutes| ("CleanupHoldMinutes", minutes.to_string()));
        options.parameters.extend(hold);
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
/// When it cannot start, or with `--once` when a result was not as expected.
pub async fn local(local: Local) -> Result<()> {
    let options = local.options()?;
    let cases = options.cases.clone();
    let stack = LocalStack::start(options).await?;
    if !local.empty {
        demonstrate(&stack, &local, &cases).await?;
    }
    if local.once {
        return Ok(());
    }
    stack.start_workers();
    let program = if std::env::var_os("CARGO_MANIFEST_DIR").is_some() { "cargo run -q --" } else { "clientele" };
    let lines = [local_usage::addresses(&stack), vec![String::new()], local_usage::what_to_try(&stack, program)];
    terminal::line(lines.concat().join("\n"));
    let data = if local.data_dir.is_some() { "keeps" } else { "deletes" };
    let live = match local.log {
        LogFormat::Text => "Each delivery is shown here, with its time in UTC.",
        LogFormat::Json => "The log lines of the functions go to standard error.",
    };
    terminal::line(format!("\n{live} Ctrl-C stops the stack and {data} its data."));
    if local.log == LogFormat::Text {
        delivery_line::print_from_now_on(&stack.deliveries)?;
    }
    tokio::signal::ctrl_c().await?;
    terminal::line("");
    Ok(())
}

/// Tells the story, or delivers every event.
async fn demonstrate(stack: &LocalStack, local: &Local, cases: &[Case]) -> Result<()> {
    let was_empty = stack.customers_table().count().await? == 0;
    // The expected results assume an empty table and the default schemes.
    let obstacle = match () {
        () if !was_empty => Some("the table already contained customers"),
        () if !local.signature.is_empty() => Some("--signature changes a scheme"),
        () if local.erasure_systems.is_some() => Some("--erasure-systems changes tombstones"),
        () if local.cleanup_hold_minutes.is_some_and(|minutes| minutes > 0) => {
            Some("--cleanup-hold-minutes holds cleanup messages back")
        }
        () => None,
    };
    if !local.once {
        // Before the story, so that the page shows the story above these deliveries.
        stack.deliver_past_webhooks().await?;
    }
    let is_all = local.all || local.once;
    let story = if is_all { None } else { story::tell(stack, cases, obstacle.is_none()).await? };
    let result = match &story {
        Some(story) => show_story(story),
        None => show_all(stack, cases, obstacle).await?,
    };
    match (result, obstacle) {
        (_, Some(obstacle)) if local.once => bail!("the results cannot be judged: {obstacle}"),
        (_, Some(obstacle)) => {
            terminal::line(format!("The results are not compared with the expected ones: {obstacle}.\n"));
        }
        (Err(error), None) if local.once => return Err(error),
        (Err(error), None) => terminal::error(&error),
        (Ok(()), None) => {}
    }
    Ok(())
}

/// Prints the story. The result is an error if a step was not as expected.
fn show_story(story: &Story) -> Result<()> {
    terminal::line(format!("{}\n", story.table()));
    let wrong = story.unexpected().map(|(event, differences)| report(event, differences)).count();
    let lines = [story.customers(), vec![String::new()], story.finished_item()].concat();
    terminal::line(format!("{}\n", lines.join("\n")));
    if wrong == 0 { Ok(()) } else { bail!("{wrong} steps were not as expected") }
}

/// Delivers every event and prints the results. The inner result is an error if one was not as expected.
async fn show_all(stack: &LocalStack, cases: &[Case], obstacle: Option<&str>) -> Result<Result<()>> {
    let customers_before = stack.customers_table().count().await?;
    let mut results = demonstration::run(stack, cases).await?;
    if obstacle.is_some() {
        for result in &mut results {
            result.differences = None;
        }
    }
    terminal::line(format!("{}\n", demonstration::table(&results)));
    if obstacle.is_some() {
        return Ok(Ok(()));
    }
    let wrong = results.iter().filter(|result| result.differences.as_ref().is_some_and(|it| !it.is_empty()));
    let wrong = wrong.map(|result| report(&result.title, result.differences.as_deref().unwrap_or_default())).count();
    if wrong > 0 {
        return Ok(Err(anyhow!("{wrong} of {} deliveries were not as expected", results.len())));
    }
    let expected = cases.iter().flat_map(|case| case.expected.items.keys()).collect::<BTreeSet<_>>().len();
    let expected = customers_before + expected;
    let customers = stack.customers_table().count().await?;
    let cleanups = results.iter().map(|result| result.cleanup.len()).sum::<usize>();
    if customers != expected {
        return Ok(Err(anyhow!("there are {customers} customers in the table, expected {expected}")));
    }
    terminal::line(format!(
        "{} deliveries as expected: {customers} customers in the table, {cleanups} cleanup messages on the queue.\n",
        results.len()
    ));
    Ok(Ok(()))
}

fn report(title: &str, differences: &[String]) {
    terminal::note(format!("{title}\n  {}", differences.join("\n  ")));
}
