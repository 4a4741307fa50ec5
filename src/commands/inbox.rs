//! `clientele inbox`: shows the deliveries that wait for the table.

use std::num::NonZeroUsize;

use anyhow::{Context, Result};
use clap::{Args, Subcommand};
use serde_json::Value;

use super::positive;
use super::quarantine::as_table;
use super::queue_depths;
use crate::queue_browser::QueueBrowser;
use crate::redrive::summary;
use crate::target::Target;
use crate::terminal;

/// How long a message is hidden from `replay` while it is shown, in seconds.
const HIDDEN_SECONDS: i32 = 60;

/// Verified deliveries that wait until the table can be written again
#[derive(Args, Debug)]
pub struct Inbox {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    List(List),
}

/// Show the messages on the inbox queue without personal data, or of a deployed stack how many there are and how old
/// the oldest is
///
/// On the local stack, each message is received and put back, which counts as one receive. On a deployed stack no
/// message is received, because `replay` does that and gives up after a number of receives.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  clientele inbox list
  clientele inbox list --stack clientele --json

With --json, each line is an object with `id`, `provider`, `reason`, `received_at`, `events` (how many are not \
settled; null if the message cannot be read), `bytes` and `receives`, or of a deployed stack one object such as
  {\"queue\":\"inbox\",\"visible\":2,\"in_flight\":1,\"delayed\":0,\"oldest_seconds\":4211}

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

/// Runs `clientele inbox`.
///
/// # Errors
/// When the queue cannot be read.
pub async fn inbox(inbox: Inbox) -> Result<()> {
    match inbox.action {
        Action::List(list) => self::list(list).await,
    }
}

async fn list(list: List) -> Result<()> {
    let target = list.target.open().await?;
    if !target.is_local() {
        return queue_depths::print(&target, "inbox", list.json).await;
    }
    let queue = QueueBrowser::new(&target.clients.sqs, target.queue_url("inbox")?, HIDDEN_SECONDS);
    let messages =
        queue.look(list.limit.get(), |_| true).await.with_context(|| target.cannot_read("the inbox queue"))?;
    let summaries: Vec<Value> = messages.iter().map(summary).collect();
    if list.json {
        summaries.iter().for_each(terminal::json);
    } else if summaries.is_empty() {
        terminal::note(queue_depths::nothing_to_receive(&target, "inbox").await);
    } else {
        terminal::line(as_table(&summaries));
    }
    queue_depths::note_limit(messages.len(), list.limit);
    queue.put_back(&messages).await;
    Ok(())
}
