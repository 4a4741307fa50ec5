//! `clientele cleanup`: shows the cleanup queue.

use anyhow::{Context, Result};
use clap::{Args, Subcommand};
use serde_json::Value;

use super::target::Target;
use crate::queue_browser::QueueBrowser;
use crate::terminal;
use crate::text_table::{Cell, TextTable};

/// How long a message is hidden from other consumers while it is shown.
const HIDDEN_SECONDS: i32 = 60;

/// The queue of messages that ask other systems to erase a customer.
#[derive(Args, Debug)]
pub struct Cleanup {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    List(List),
}

/// Show the messages on the cleanup queue without consuming them.
///
/// Each message is received and put back, which counts as one receive.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  clientele cleanup list
  clientele cleanup list --json | jq .identifiers.emails

With --json, each line is a cleanup message as docs/schema/cleanup-message.json describes it.")]
struct List {
    /// Show at most this many messages
    #[arg(long, default_value_t = 100, value_name = "NUMBER")]
    limit: usize,
    /// Print the messages as JSON, one per line
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    target: Target,
}

/// Runs `clientele cleanup`.
///
/// # Errors
/// When the queue cannot be read.
pub async fn cleanup(cleanup: Cleanup) -> Result<()> {
    match cleanup.action {
        Action::List(list) => self::list(list).await,
    }
}

async fn list(list: List) -> Result<()> {
    let target = list.target.open().await?;
    let queue = QueueBrowser::new(&target.clients.sqs, &target.resources.cleanup_queue_url, HIDDEN_SECONDS);
    let messages = queue.look(list.limit, |_| true).await.with_context(|| target.cannot_read("the cleanup queue"))?;
    let bodies = messages.iter().filter_map(|message| message.body());
    let bodies = bodies.map(|body| serde_json::from_str(body).unwrap_or_else(|_| Value::from(body)));
    if list.json {
        bodies.for_each(|body| terminal::json(&body));
    } else {
        terminal::line(as_table(bodies));
    }
    queue.put_back(&messages).await;
    Ok(())
}

fn as_table(messages: impl Iterator<Item = Value>) -> TextTable {
    let mut table = TextTable::new(["cleanup id", "external id", "e-mails", "phones", "deleted"]);
    for message in messages {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let list = |value: &Value| Cell::from(value.as_array().into_iter().flatten().map(text).collect::<Vec<_>>());
        table.add_row([
            text(&message["cleanup_id"]).into(),
            text(&message["external_id"]).into(),
            list(&message["identifiers"]["emails"]),
            list(&message["identifiers"]["phones"]),
            text(&message["deleted_at"]).into(),
        ]);
    }
    table
}
