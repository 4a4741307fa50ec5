//! `clientele restore`: removes the tombstone of a customer who was deleted by mistake.

use anyhow::{Context, Result, bail};
use clap::Args;
use serde_json::{Value, json};

use crate::customer_lookup::customer_key;
use crate::customers_table::CustomersTable;
use crate::exit_code::ExitCode;
use crate::target::Target;
use crate::terminal;

/// Remove the tombstone of a customer who was deleted by mistake or by a forger
///
/// The customer's data is not in the tombstone: the customer comes back with the next import, or with its next event. A
/// cleanup message that was held back is removed as well. Systems that have got it have erased their copies already. If the
/// provider delivers its delete again, the customer is deleted again. Be sure that the person did not ask to be erased.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  clientele restore plain c_01KA9CDZ5Y8M2QW7R4T6V3X1NB --account w_01KA9C5W0T7N3E8QZV4R6M2XHB
  clientele restore plain#w_01KA9C5W0T7N3E8QZV4R6M2XHB#c_01KA9CDZ5Y8M2QW7R4T6V3X1NB --stack clientele --yes

With --json, the result is an object with `pk`, `rank` (of the tombstone that was removed) and `message`: `held_back` if the \
cleanup message was still in the tombstone, else `sent`. The exit code is 1 if the customer was deleted again meanwhile, or \
the tombstone has another rank than --rank says; and 4 if the customer is not deleted.")]
pub struct Restore {
    /// The customer's pk, as in tables and messages; or the provider, followed by the provider's id
    #[arg(value_name = "CUSTOMER")]
    customer: String,
    /// The provider's id of the customer, after the provider
    id: Option<String>,
    /// The provider's account (tenant, client, workspace or environment) that the id belongs to
    #[arg(long)]
    account: Option<String>,
    /// Only if the tombstone has this rank, as `clientele erasures --json` prints it: it is then still the one that you saw
    #[arg(long)]
    rank: Option<String>,
    /// Do not ask for confirmation
    #[arg(long)]
    yes: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    target: Target,
}

/// Runs `clientele restore`.
///
/// # Errors
/// When the customer is not deleted, its tombstone changes, or the stack cannot be reached.
pub async fn restore(restore: Restore) -> Result<()> {
    let key = customer_key(&restore.customer, restore.id.as_deref(), restore.account.as_deref());
    let key = key.map_err(|error| ExitCode::Usage.error(error.to_string()))?;
    let target = restore.target.open().await?;
    let table = CustomersTable::new(&target.clients.dynamodb, &target.resources.customers_table);
    let (key, item) = table.find_key(key).await.with_context(|| target.cannot_read("the table"))?;
    let pk = key.to_string();
    let tombstone = match item {
        Some(item) if item["status"] == "deleted" => item,
        Some(_) => bail!(ExitCode::NotFound.error(format!("the customer `{pk}` is not deleted"))),
        None => bail!(ExitCode::NotFound.error(format!("there is no customer `{pk}`, deleted or not"))),
    };
    let rank = tombstone["rank"].as_str().unwrap_or_default();
    if restore.rank.as_deref().is_some_and(|wanted| wanted != rank) {
        bail!(ExitCode::Failed.error(format!("nothing was changed: the tombstone has the rank {rank}")));
    }
    let cleanup = tombstone["cleanup"].as_str();
    terminal::confirm(&question(&pk, &tombstone, &target.announcement()), restore.yes)?;
    let removed = table.remove_tombstone(&pk, rank, cleanup).await;
    let is_removed = removed.with_context(|| target.cannot_read("the table"))?;
    if !is_removed {
        bail!(ExitCode::Failed.error("nothing was changed: the tombstone changed meanwhile; run the command again"));
    }
    let message = if cleanup.is_some() { "held_back" } else { "sent" };
    if restore.json {
        terminal::json(&json!({ "pk": pk, "rank": rank, "message": message }));
    } else {
        let provider = key.provider();
        terminal::line(format!(
            "The tombstone is removed. The customer comes back with `clientele import {provider}`, if the provider has a list, \
             or with its next event."
        ));
    }
    Ok(())
}

fn question(pk: &str, tombstone: &Value, stack: &str) -> String {
    let text = |value: &Value| value.as_str().unwrap_or("unknown").to_owned();
    let (kind, received_at) = (text(&tombstone["last_event"]["type"]), text(&tombstone["last_event"]["received_at"]));
    let message = if tombstone["cleanup"].is_string() {
        "Its cleanup message is held back and will be removed."
    } else {
        "Its cleanup message was sent, so other systems may have erased their copies."
    };
    format!("Remove the tombstone of {pk}, deleted at {received_at} by {kind}, at {stack}? {message}")
}
