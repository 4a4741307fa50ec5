//! `clientele quarantine`: shows the quarantine queue and settles its messages.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use aws_sdk_sqs::types::Message;
use clap::{Args, Subcommand};
use clientele_aws::read_kept_message;
use clientele_model::parse_json;
use clientele_providers::PROVIDERS;
use serde_json::Value;
use tokio::time::{MissedTickBehavior, interval};

use super::target::{OpenTarget, Target};
use crate::exit_code::ExitCode;
use crate::queue_browser::{QueueBrowser, id};
use crate::redrive::{HIDDEN_SECONDS, Settler, summary};
use crate::terminal;
use crate::text_table::TextTable;

/// Verified deliveries that need an operator, because they could not be translated or stored
#[derive(Args, Debug)]
pub struct Quarantine {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand, Debug)]
enum Action {
    List(List),
    Show(Show),
    Redrive(Redrive),
}

/// List the messages without personal data
#[derive(Args, Debug)]
struct List {
    /// Show at most this many messages
    #[arg(long, default_value_t = 100, value_name = "NUMBER")]
    limit: usize,
    /// Print one JSON object per line
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    target: Target,
}

/// Print one message completely, which may include personal data
#[derive(Args, Debug)]
struct Show {
    /// The id of the message, or its first characters
    id: String,
    #[command(flatten)]
    target: Target,
}

/// Settle messages, and delete those that are settled
///
/// Each event goes through the same conditional write as a delivery: newer data is never overwritten, a deleted customer
/// stays deleted, and settling an event a second time changes nothing. A message stays on the queue if one of its events
/// still cannot be settled.
#[derive(Args, Debug)]
struct Redrive {
    /// Only messages with these ids, or with ids that begin like this
    ids: Vec<String>,
    /// Change nothing; show what would happen
    #[arg(long)]
    dry_run: bool,
    /// Settle at most this many messages per second
    #[arg(long, default_value_t = 10.0, value_name = "NUMBER")]
    rate: f64,
    /// Settle at most this many messages
    #[arg(long, default_value_t = 10_000, value_name = "NUMBER")]
    limit: usize,
    #[command(flatten)]
    target: Target,
}

/// Runs `clientele quarantine`.
///
/// # Errors
/// When the queue or the table cannot be reached, there is no such message, or some could not be settled.
pub async fn quarantine(quarantine: Quarantine) -> Result<()> {
    match quarantine.action {
        Action::List(list) => self::list(list).await,
        Action::Show(show) => self::show(show).await,
        Action::Redrive(redrive) => self::redrive(redrive).await,
    }
}

/// Opens the quarantine queue.
async fn open_queue(target: &Target) -> Result<(QueueBrowser, OpenTarget)> {
    let target = target.open().await?;
    let queue = QueueBrowser::new(&target.clients.sqs, &target.resources.quarantine_queue_url, HIDDEN_SECONDS);
    Ok((queue, target))
}

async fn list(list: List) -> Result<()> {
    let (queue, target) = open_queue(&list.target).await?;
    let messages =
        queue.look(list.limit, |_| true).await.with_context(|| target.cannot_read("the quarantine queue"))?;
    let mut table = TextTable::new(["id", "provider", "reason", "received", "events", "bytes", "receives"]);
    for message in &messages {
        let summary = summary(message);
        if list.json {
            terminal::json(&summary);
        } else {
            let names = ["id", "provider", "reason", "received_at", "events", "bytes", "receives"];
            table.add_row(names.map(|name| match &summary[name] {
                Value::String(text) => text.clone(),
                other => other.to_string(),
            }));
        }
    }
    if !list.json {
        terminal::line(table);
    }
    queue.put_back(&messages).await;
    Ok(())
}

async fn show(show: Show) -> Result<()> {
    let (queue, target) = open_queue(&show.target).await?;
    let messages =
        queue.look(usize::MAX, |_| true).await.with_context(|| target.cannot_read("the quarantine queue"))?;
    queue.put_back(&messages).await;
    let message = find(&messages, &show.id)?;
    let mut shown: Value = serde_json::from_str(message.body().unwrap_or_default()).unwrap_or(Value::Null);
    // A JSON body is easier to read when it is not a string.
    if let Some(body) = shown["body"].as_str().and_then(|body| parse_json(body.as_bytes())) {
        shown["body"] = body;
    }
    if shown.is_null() {
        terminal::line(terminal::visible(message.body().unwrap_or_default()));
    } else {
        terminal::json_pretty(&shown);
    }
    if let Err(error) = read_kept_message(message.body().unwrap_or_default(), PROVIDERS) {
        terminal::note(error);
    }
    Ok(())
}

/// The one message whose id begins with `prefix`.
fn find<'a>(messages: &'a [Message], prefix: &str) -> Result<&'a Message> {
    let found: Vec<_> = messages.iter().filter(|message| id(message).starts_with(prefix)).collect();
    match found[..] {
        [message] => Ok(message),
        [] => bail!(ExitCode::NotFound.error(format!(
            "no message {prefix} on the quarantine queue: `clientele quarantine list` shows the messages"
        ))),
        [..] => bail!("the ids of {} messages begin with {prefix}: write more of the id", found.len()),
    }
}

async fn redrive(redrive: Redrive) -> Result<()> {
    if !(redrive.rate > 0.0 && redrive.rate.is_finite()) {
        bail!(ExitCode::Usage.error("--rate must be a number of messages per second greater than 0"));
    }
    let (queue, target) = open_queue(&redrive.target).await?;
    let is_wanted =
        |message: &Message| redrive.ids.is_empty() || redrive.ids.iter().any(|prefix| id(message).starts_with(prefix));
    let messages =
        queue.look(redrive.limit, is_wanted).await.with_context(|| target.cannot_read("the quarantine queue"))?;
    if let Some(error) = redrive.ids.iter().find_map(|prefix| find(&messages, prefix).err()) {
        queue.put_back(&messages).await;
        return Err(error);
    }
    let progress = terminal::progress("messages", Some(messages.len()));
    let mut ticks = interval(Duration::from_secs_f64(1.0 / redrive.rate));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let settler = Settler::new(target.clients, target.resources);
    let (mut counts, mut kept, mut unsettled) = (BTreeMap::<&str, usize>::new(), vec![], 0);
    for message in messages {
        ticks.tick().await;
        let result = if redrive.dry_run { settler.predict(&message).await } else { settler.settle(&message).await };
        terminal::line(format!("{}\n{}", id(&message), result.text));
        for outcome in &result.outcomes {
            *counts.entry(outcome.as_str()).or_default() += 1;
        }
        unsettled += usize::from(!result.is_settled());
        if result.is_settled() && !redrive.dry_run {
            let deleted = queue.delete(&message).await;
            deleted.context("a settled message could not be deleted; settling it again changes nothing")?;
        } else {
            kept.push(message);
        }
        progress.advance(1);
    }
    drop(progress);
    queue.put_back(&kept).await;
    let counts: Vec<_> = counts.into_iter().map(|(word, count)| format!("{count} {word}")).collect();
    let verb = if redrive.dry_run { "Would be" } else { "Settled" };
    terminal::line(format!("{verb}: {}", if counts.is_empty() { "nothing".to_owned() } else { counts.join(", ") }));
    match unsettled {
        0 => Ok(()),
        1 => bail!(ExitCode::Incomplete.error("1 message cannot be settled yet and stays on the queue")),
        number => {
            bail!(ExitCode::Incomplete.error(format!("{number} messages cannot be settled yet and stay on the queue")))
        }
    }
}
