//! The command line.

use anyhow::Result;
use clap::{Parser, Subcommand};

use crate::commands::{cleanup, completions, cost, customers, events, faults, local, quarantine, secrets, smoke};

/// Keeps a current record of every customer in DynamoDB, fed by webhooks.
///
/// Without a subcommand, this runs the local stack: DynamoDB, SQS, the gateway and all functions in one process, created
/// from the same template.yaml that is deployed. It signs and delivers every event file once, shows the results, and
/// serves until Ctrl-C.
#[derive(Debug, Parser)]
#[command(
    name = "clientele",
    version,
    args_conflicts_with_subcommands = true,
    max_term_width = 100,
    after_help = "\
Examples:
  clientele                                        run the local stack
  clientele events send plain/customer-updated     send a webhook to it, in another terminal
  clientele customers list                         show the customers
  clientele customers list --stack clientele       the same of a deployed stack

Exit codes:
  0  success
  1  the command failed, or a result was not as expected
  2  the command line is wrong
  3  something is left that another run can do
  4  there is no such customer, message, event or stack
  5  the stack or a service cannot be reached, or does not let the caller in"
)]
pub struct Cli {
    /// The subcommand. Without one, the local stack runs.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// The options of the local stack.
    #[command(flatten)]
    pub local: local::Local,
}

/// The subcommands.
#[derive(Debug, Subcommand)]
#[expect(missing_docs, reason = "each is described where its arguments are")]
pub enum Command {
    Customers(customers::Customers),
    Events(events::Events),
    Cleanup(cleanup::Cleanup),
    Quarantine(quarantine::Quarantine),
    Secrets(secrets::ManageSecrets),
    Faults(faults::ManageFaults),
    Smoke(smoke::Smoke),
    Cost(cost::Cost),
    Completions(completions::Completions),
}

/// Runs the command.
///
/// # Errors
/// When it fails. [`ExitCode::of`](crate::exit_code::ExitCode::of) has the exit code of the error.
pub async fn run(cli: Cli) -> Result<()> {
    match cli.command {
        None => local::local(cli.local).await,
        Some(Command::Customers(customers)) => customers::customers(customers).await,
        Some(Command::Events(events)) => tokio::task::spawn_blocking(move || events::events(events)).await?,
        Some(Command::Cleanup(cleanup)) => cleanup::cleanup(cleanup).await,
        Some(Command::Quarantine(quarantine)) => quarantine::quarantine(quarantine).await,
        Some(Command::Secrets(secrets)) => secrets::secrets(secrets).await,
        Some(Command::Faults(faults)) => tokio::task::spawn_blocking(move || faults::faults(faults)).await?,
        Some(Command::Smoke(smoke)) => smoke::smoke(smoke).await,
        Some(Command::Cost(cost)) => cost::cost(cost).await,
        Some(Command::Completions(completions)) => {
            completions::completions(&completions);
            Ok(())
        }
    }
}
