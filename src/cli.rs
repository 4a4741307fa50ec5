//! The command line.

use anyhow::Result;
use clap::{CommandFactory, Parser, Subcommand};

use crate::commands::{
    changes, cleanup, completions, console, cost, customers, dead_letters, doctor, erase, erasures, events, faults,
    import, inbox, local, quarantine, reconcile, restore, secrets, smoke, subject,
};
use crate::exit_code::MEANINGS;

const EXAMPLES: &str = "\
Examples:
  clientele                                        run the local stack
  clientele events send plain/customer-updated     send a webhook to it, in another terminal
  clientele customers list                         show the customers
  clientele customers list --stack clientele       the same of a deployed stack";

/// Help texts are at most this wide.
pub const MAX_WIDTH: usize = 100;

/// Keeps a current record of every customer in DynamoDB, fed by webhooks.
///
/// Without a subcommand, this runs the local stack: DynamoDB, SQS, the gateway and all functions in one process, created
/// from the same template.yaml that is deployed. It delivers some webhooks that show what the project does, and serves
/// until Ctrl-C.
#[derive(Debug, Parser)]
#[command(
    name = "clientele",
    version,
    args_conflicts_with_subcommands = true,
    max_term_width = MAX_WIDTH,
    after_help = examples_and_exit_codes()
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
    Changes(changes::Changes),
    Import(import::Import),
    Reconcile(reconcile::Reconcile),
    Erase(erase::Erase),
    Restore(restore::Restore),
    Erasures(erasures::Erasures),
    Subject(subject::Subject),
    Events(events::Events),
    Cleanup(cleanup::Cleanup),
    Inbox(inbox::Inbox),
    Quarantine(quarantine::Quarantine),
    DeadLetters(dead_letters::DeadLetters),
    Secrets(secrets::ManageSecrets),
    Faults(faults::ManageFaults),
    Doctor(doctor::Doctor),
    Smoke(smoke::Smoke),
    Cost(cost::Cost),
    Console(console::Console),
    Completions(completions::Completions),
}

fn examples_and_exit_codes() -> String {
    let codes: Vec<_> = MEANINGS.iter().map(|(code, meaning)| format!("  {code}  {meaning}")).collect();
    format!("{EXAMPLES}\n\nExit codes:\n{}", codes.join("\n"))
}

/// Runs the command.
///
/// # Errors
/// When it fails. [`ExitCode::of`](crate::exit_code::ExitCode::of) has the exit code of the error.
pub async fn run(cli: Cli) -> Result<()> {
    match cli.command {
        None => local::local(cli.local).await,
        Some(Command::Customers(customers)) => customers::customers(customers).await,
        Some(Command::Changes(changes)) => changes::changes(changes).await,
        Some(Command::Import(import)) => import::import(import).await,
        Some(Command::Reconcile(reconcile)) => reconcile::reconcile(reconcile).await,
        Some(Command::Erase(erase)) => erase::erase(erase).await,
        Some(Command::Restore(restore)) => restore::restore(restore).await,
        Some(Command::Erasures(erasures)) => erasures::erasures(erasures).await,
        Some(Command::Subject(subject)) => subject::subject(subject).await,
        Some(Command::Events(events)) => tokio::task::spawn_blocking(move || events::events(events)).await?,
        Some(Command::Cleanup(cleanup)) => cleanup::cleanup(cleanup).await,
        Some(Command::Inbox(inbox)) => inbox::inbox(inbox).await,
        Some(Command::DeadLetters(dead_letters)) => dead_letters::dead_letters(dead_letters).await,
        Some(Command::Quarantine(quarantine)) => quarantine::quarantine(quarantine).await,
        Some(Command::Secrets(secrets)) => secrets::secrets(secrets).await,
        Some(Command::Faults(faults)) => tokio::task::spawn_blocking(move || faults::faults(faults)).await?,
        Some(Command::Doctor(doctor)) => doctor::doctor(doctor).await,
        Some(Command::Smoke(smoke)) => smoke::smoke(smoke).await,
        Some(Command::Cost(cost)) => cost::cost(cost).await,
        Some(Command::Console(console)) => console::console(console).await,
        Some(Command::Completions(completions)) => {
            completions::completions(&completions, Cli::command());
            Ok(())
        }
    }
}
