//! `clientele cleanup`: shows the cleanup queue.

use std::num::NonZeroUsize;

use anyhow::{Context, Result};
use aws_sdk_sqs::types::Message;
use clap::{Args, Subcommand};
use serde_json::Value;

use super::positive;
use super::queue_depths;
use crate::queue_browser::QueueBrowser;
use crate::target::{OpenTarget, Target};
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

/// Show the messages on the cleanup queue, or of a deployed stack how many there are and how old the oldest is
///
/// On the local stack, each message is received and put back, which counts as one receive. On a deployed stack, five
/// receives move a message to the dead-letter queue, so no message is received there.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  clientele cleanup list
  clientele cleanup list --json | jq .identifiers.emails
  clientele cleanup list --stack clientele

With --json, each line is a cleanup message as docs/schema/cleanup-message.json describes it, or of a deployed stack one \
object such as
  {\"queue\":\"cleanup\",\"visible\":2,\"in_flight\":1,\"delayed\":0,\"oldest_seconds\":4211}

`oldest_seconds` comes from CloudWatch, which measures it once a minute; it is null if there is no measurement.")]
struct List {
    /// Show at most this many messages
    #[arg(long, default_value = "100", value_name = "NUMBER", value_parser = positive)]
    limit: NonZeroUsize,
    /// Print JSON
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
    if !target.is_local() {
        return queue_depths::print(&target, "cleanup", list.json).await;
    }
    let queue = QueueBrowser::new(&target.clients.sqs, target.queue_url("cleanup")?, HIDDEN_SECONDS);
    let messages =
        queue.look(list.limit.get(), |_| true).await.with_context(|| target.cannot_read("the cleanup queue"))?;
    print(&target, "cleanup", &messages, list.json).await;
    queue_depths::note_limit(messages.len(), list.limit);
    queue.put_back(&messages).await;
    Ok(())
}

/// Prints the cleanup messages of a queue, or a note if there are none.
pub(super) async fn print(target: &OpenTarget, queue: &str, messages: &[Message], json: bool) {
    if json {
        messages.iter().map(content).for_each(|content| terminal::json(&content));
    } else if messages.is_empty() {
        terminal::note(queue_depths::nothing_to_receive(target, queue).await);
    } else {
        terminal::line(as_table(messages));
    }
}

/// The JSON of a message, or its text if it is not JSON.
pub(super) fn content(message: &Message) -> Value {
    let body = message.body().unwrap_or_default();
    serde_json::from_str(body).unwrap_or_else(|_| Value::from(body))
}

fn as_table(messages: &[Message]) -> TextTable {
    let mut table = TextTable::new(["cleanup id", "external id", "e-mails", "phones", "deleted"]);
    for message in messages.iter().map(content) {
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
