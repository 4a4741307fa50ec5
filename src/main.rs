//! The `clientele` command.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use clientele::commands::{cleanup, cost, customers, deliver, fault, local, quarantine, secret, smoke};

/// Keeps a current record of every customer in DynamoDB, fed by webhooks.
///
/// Without a subcommand, this runs the local stack: DynamoDB, SQS, the gateway and all functions in one process, created
/// from template.yaml. It signs and delivers every event file once, shows the results, and serves until Ctrl-C.
#[derive(Debug, Parser)]
#[command(name = "clientele", version, args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    local: local::Local,
}

#[derive(Debug, Subcommand)]
enum Command {
    Send(deliver::Send),
    Event(deliver::Event),
    Get(customers::Get),
    List(customers::List),
    Cleanup(cleanup::Cleanup),
    Quarantine(quarantine::Quarantine),
    Fault(fault::Fault),
    Secret(secret::ManageSecrets),
    Cost(cost::Cost),
    Smoke(smoke::Smoke),
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(Cli::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            anstream::eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(cli: Cli) -> anyhow::Result<()> {
    match cli.command {
        None => local::local(cli.local).await,
        Some(Command::Send(send)) => tokio::task::spawn_blocking(move || deliver::send(&send)).await?,
        Some(Command::Event(event)) => deliver::event(&event),
        Some(Command::Get(get)) => customers::get(get).await,
        Some(Command::List(list)) => customers::list(list).await,
        Some(Command::Cleanup(cleanup)) => cleanup::cleanup(cleanup).await,
        Some(Command::Quarantine(quarantine)) => quarantine::quarantine(quarantine).await,
        Some(Command::Fault(fault)) => tokio::task::spawn_blocking(move || fault::fault(&fault)).await?,
        Some(Command::Secret(secret)) => secret::secret(secret).await,
        Some(Command::Cost(cost)) => cost::cost(cost).await,
        Some(Command::Smoke(smoke)) => smoke::smoke(smoke).await,
    }
}
