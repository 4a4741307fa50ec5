//! `clientele quarantine`: shows the messages of the quarantine queue, settles them or deletes them.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use aws_sdk_sqs::types::Message;
use clap::builder::NonEmptyStringValueParser;
use clap::{Args, Subcommand};
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::time::{MissedTickBehavior, interval};

use super::positive;
use super::queue_depths;
use crate::exit_code::ExitCode;
use crate::queue_browser::{QueueBrowser, id};
use crate::redrive::{HIDDEN_SECONDS, MessageResult, Settler, content, problem, summary};
use crate::target::{OpenTarget, Target};
use crate::terminal::{self, visible};
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
    Delete(Delete),
}

/// List the messages without personal data
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  clientele quarantine list
  clientele quarantine list --stack clientele --json

With --json, each line is an object with `id`, `provider`, `reason`, `received_at`, `events` (how many are not \
settled; null if the message cannot be read), `bytes` and `receives`. Listing counts as a receive.")]
struct List {
    /// Show at most this many messages
    #[arg(long, default_value = "100", value_name = "NUMBER", value_parser = positive)]
    limit: NonZeroUsize,
    /// Print one JSON object per line
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    target: Target,
}

/// Print one message completely, which may include personal data
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  clientele quarantine show 5f0c9a3e
  clientele quarantine show 5f0c9a3e --json

With --json, the result is an object with the fields of `list`, `problem` (why the message cannot be read, or null), \
and `message`: a kept delivery as docs/contract.md describes it, with a JSON body as JSON instead of text. The exit \
code is 4 if there is no such message.")]
struct Show {
    /// The id of the message, or its first characters
    #[arg(value_parser = NonEmptyStringValueParser::new())]
    id: String,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    target: Target,
}

/// Settle messages, and remove those that are settled from the queue
///
/// Each event goes through the same conditional write as a delivery: newer data is never overwritten, a deleted customer
/// stays deleted, and settling an event a second time changes nothing. A message stays on the queue if one of its events
/// still cannot be settled.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  clientele quarantine redrive --dry-run
  clientele quarantine redrive 5f0c9a3e
  clientele quarantine redrive --stack clientele --yes

With --json, each line is an object with the `id` of a message, `settled`, `outcomes` (how many events have each \
outcome) and `details` (a text per event: the customer and the names of the fields that change, or the reason). The \
exit code is 3 if a message stays on the queue, and 4 if there is no message with one of the ids.")]
struct Redrive {
    /// Only messages with these ids, or with ids that begin like this; otherwise all
    #[arg(value_parser = NonEmptyStringValueParser::new())]
    ids: Vec<String>,
    /// Settle at most this many messages per second
    #[arg(long, default_value_t = 10.0, value_name = "NUMBER", value_parser = rate)]
    rate: f64,
    /// Settle at most this many messages
    #[arg(long, default_value = "10000", value_name = "NUMBER", value_parser = positive)]
    limit: NonZeroUsize,
    #[command(flatten)]
    change: ChangeArgs,
}

/// Delete messages without settling them
///
/// Their events are lost unless the provider sends them again. SQS deletes messages by itself after 14 days.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  clientele quarantine delete 5f0c9a3e
  clientele quarantine delete 5f0c9a3e 77b1d6f0 --stack clientele --yes

With --json, each line is an object with the fields of `list` and `deleted`. The exit code is 4 if there is no \
message with one of the ids; then none is deleted. It is 3 if a message could not be deleted.")]
struct Delete {
    /// The ids of the messages, or their first characters
    #[arg(required = true, value_parser = NonEmptyStringValueParser::new())]
    ids: Vec<String>,
    #[command(flatten)]
    change: ChangeArgs,
}

/// What commands have in common that change the queue.
#[derive(Args, Debug)]
struct ChangeArgs {
    /// Change nothing; show what would happen
    #[arg(long)]
    dry_run: bool,
    /// Do not ask for confirmation
    #[arg(long)]
    yes: bool,
    /// Print one JSON object per line
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    target: Target,
}

fn rate(text: &str) -> Result<f64, String> {
    let rate = text.parse().ok().filter(|rate: &f64| *rate > 0.0 && rate.is_finite());
    rate.ok_or_else(|| "expected a number of messages per second greater than 0".to_owned())
}

/// Runs `clientele quarantine`.
///
/// # Errors
/// When the queue or the table cannot be reached, there is no such message, or some are left.
pub async fn quarantine(quarantine: Quarantine) -> Result<()> {
    match quarantine.action {
        Action::List(list) => self::list(list).await,
        Action::Show(show) => self::show(show).await,
        Action::Redrive(redrive) => self::redrive(redrive).await,
        Action::Delete(delete) => self::delete(delete).await,
    }
}

/// The quarantine queue of a stack.
struct QuarantineQueue {
    queue: QueueBrowser,
    target: OpenTarget,
}

impl QuarantineQueue {
    async fn open(target: &Target) -> Result<Self> {
        let target = target.open().await?;
        let queue = QueueBrowser::new(&target.clients.sqs, &target.resources.quarantine_queue_url, HIDDEN_SECONDS);
        Ok(Self { queue, target })
    }

    /// Receives at most `limit` messages with ids that begin like one of these, or any messages.
    async fn receive(&self, ids: &[String], limit: usize) -> Result<Vec<Message>> {
        let is_wanted = |message: &Message| ids.is_empty() || ids.iter().any(|prefix| id(message).starts_with(prefix));
        let progress = terminal::progress("messages received:", None);
        let messages = self.queue.look_with(limit, is_wanted, |number| progress.advance(number)).await;
        drop(progress);
        let messages = messages.with_context(|| self.target.cannot_read("the quarantine queue"))?;
        if let Some(error) = ids.iter().find_map(|prefix| find(&messages, prefix).err()) {
            self.queue.put_back(&messages).await;
            return Err(error);
        }
        Ok(messages)
    }

    /// Asks before messages are changed. They are put back if the answer is no.
    async fn confirm(&self, verb: &str, messages: &[Message], consequence: &str, yes: bool) -> Result<()> {
        let number = counted(messages.len());
        let stack = self.target.announcement();
        let question = format!("{verb} {number} in quarantine at {stack}?{consequence}");
        let confirmed = terminal::confirm(&question, yes);
        if confirmed.is_err() {
            self.queue.put_back(messages).await;
        }
        confirmed
    }
}

pub(super) fn counted(messages: usize) -> String {
    if messages == 1 { "1 message".to_owned() } else { format!("{messages} messages") }
}

/// The one message whose id begins with `prefix`.
fn find<'a>(messages: &'a [Message], prefix: &str) -> Result<&'a Message> {
    let found: Vec<_> = messages.iter().filter(|message| id(message).starts_with(prefix)).collect();
    let (code, error) = match found[..] {
        [message] => return Ok(message),
        [] => (
            ExitCode::NotFound,
            format!("no message {prefix} on the quarantine queue: `clientele quarantine list` shows the messages"),
        ),
        [..] => {
            (ExitCode::Usage, format!("the ids of {} messages begin with {prefix}: write more of the id", found.len()))
        }
    };
    bail!(code.error(error))
}

async fn list(list: List) -> Result<()> {
    let queue = QuarantineQueue::open(&list.target).await?;
    let messages = queue.receive(&[], list.limit.get()).await?;
    let summaries: Vec<_> = messages.iter().map(summary).collect();
    if list.json {
        summaries.iter().for_each(terminal::json);
    } else if summaries.is_empty() {
        terminal::note(queue_depths::nothing_to_receive(&queue.target, "quarantine").await);
    } else {
        terminal::line(as_table(&summaries));
    }
    queue_depths::note_limit(messages.len(), list.limit);
    queue.queue.put_back(&messages).await;
    Ok(())
}

pub(super) fn as_table(summaries: &[Value]) -> TextTable {
    let mut table = TextTable::new(["id", "provider", "reason", "received", "age", "events"]);
    for summary in summaries {
        let [id, provider, reason, received, events] =
            ["id", "provider", "reason", "received_at", "events"].map(|name| shown(&summary[name]));
        table.add_row([id, provider, reason, received, age(summary, Timestamp::now()), events]);
    }
    table
}

fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => "-".to_owned(),
        other => other.to_string(),
    }
}

/// For how long the delivery of a message has been waiting.
fn age(summary: &Value, now: Timestamp) -> String {
    let received: Option<Timestamp> = summary["received_at"].as_str().and_then(|time| time.parse().ok());
    let Some(received) = received else { return "-".to_owned() };
    let minutes = now.duration_since(received).as_mins().max(0);
    match minutes {
        0..120 => format!("{minutes} min"),
        120..2_880 => format!("{} h", minutes / 60),
        _ => format!("{} days", minutes / 1_440),
    }
}

async fn show(show: Show) -> Result<()> {
    let queue = QuarantineQueue::open(&show.target).await?;
    let messages = queue.receive(std::slice::from_ref(&show.id), usize::MAX).await?;
    queue.queue.put_back(&messages).await;
    let message = find(&messages, &show.id)?;
    let (content, problem) = (content(message), problem(message));
    let mut summary = summary(message);
    if show.json {
        summary["problem"] = problem.into();
        summary["message"] = content;
        terminal::json(&summary);
        return Ok(());
    }
    terminal::line(as_table(&[summary]));
    match content {
        Value::String(text) => terminal::line(visible(&text)),
        content => terminal::line(serde_json::to_string_pretty(&content)?),
    }
    if let Some(problem) = problem {
        terminal::note(problem);
    }
    Ok(())
}

async fn redrive(redrive: Redrive) -> Result<()> {
    let ChangeArgs { dry_run, yes, json, target } = &redrive.change;
    let queue = QuarantineQueue::open(target).await?;
    let messages = queue.receive(&redrive.ids, redrive.limit.get()).await?;
    let is_limited = redrive.ids.is_empty() && messages.len() == redrive.limit.get();
    if messages.is_empty() {
        terminal::note(queue_depths::nothing_to_receive(&queue.target, "quarantine").await);
        return Ok(());
    }
    if !dry_run {
        queue.confirm("Settle", &messages, "", *yes).await?;
    }
    let progress = terminal::progress("messages", Some(messages.len()));
    let mut ticks = interval(Duration::from_secs_f64(1.0 / redrive.rate));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let settler = Settler::new(queue.target.clients.clone(), queue.target.resources.clone());
    let (mut counts, mut kept, mut unsettled) = (BTreeMap::<&str, usize>::new(), vec![], 0);
    for message in messages {
        ticks.tick().await;
        let result = if *dry_run { settler.predict(&message).await } else { settler.settle(&message).await };
        let mut is_settled = result.is_settled();
        if is_settled && !dry_run && queue.queue.delete(&message).await.is_err() {
            terminal::note(format!("{} is settled but could not be removed: redrive it again", id(&message)));
            is_settled = false;
        }
        print_result(&message, &result, is_settled, *json);
        for outcome in &result.outcomes {
            *counts.entry(outcome.as_str()).or_default() += 1;
        }
        unsettled += usize::from(!is_settled);
        if !is_settled || *dry_run {
            kept.push(message);
        }
        progress.advance(1);
    }
    drop(progress);
    queue.queue.put_back(&kept).await;
    let counts: Vec<_> = counts.into_iter().map(|(word, count)| format!("{count} {word}")).collect();
    let counts = if counts.is_empty() { "none".to_owned() } else { counts.join(", ") };
    let summary = format!("{}: {counts}", if *dry_run { "The events would be" } else { "Events" });
    if *json {
        terminal::note(summary);
    } else {
        terminal::line(summary);
    }
    let left = match unsettled {
        0 if is_limited => format!("the limit of {} is reached; there may be more", counted(redrive.limit.get())),
        0 => return Ok(()),
        1 => "1 message cannot be settled yet and stays on the queue".to_owned(),
        number => format!("{number} messages cannot be settled yet and stay on the queue"),
    };
    bail!(ExitCode::Incomplete.error(left))
}

fn print_result(message: &Message, result: &MessageResult, is_settled: bool, json: bool) {
    if !json {
        return terminal::line(format!("{}\n{}", id(message), result.text));
    }
    let mut outcomes = BTreeMap::<&str, usize>::new();
    for outcome in &result.outcomes {
        *outcomes.entry(outcome.as_str()).or_default() += 1;
    }
    let details: Vec<_> = result.text.lines().map(str::trim).collect();
    terminal::json(&json!({ "id": id(message), "settled": is_settled, "outcomes": outcomes, "details": details }));
}

async fn delete(delete: Delete) -> Result<()> {
    let ChangeArgs { dry_run, yes, json, target } = &delete.change;
    let queue = QuarantineQueue::open(target).await?;
    let messages = queue.receive(&delete.ids, usize::MAX).await?;
    let summaries: Vec<_> = messages.iter().map(summary).collect();
    if !json {
        terminal::line(as_table(&summaries));
    }
    if !dry_run {
        let consequence = " Their events are lost unless the provider sends them again.";
        queue.confirm("Delete", &messages, consequence, *yes).await?;
    }
    let (total, mut kept) = (messages.len(), vec![]);
    for (message, mut summary) in messages.into_iter().zip(summaries) {
        let is_deleted = !dry_run && queue.queue.delete(&message).await.is_ok();
        if *json {
            summary["deleted"] = is_deleted.into();
            terminal::json(&summary);
        }
        if !is_deleted {
            kept.push(message);
        }
    }
    queue.queue.put_back(&kept).await;
    match (dry_run, kept.len()) {
        (true, _) => terminal::note(format!("{} would be deleted.", counted(total))),
        (false, 0) => terminal::note(format!("{} deleted.", counted(total))),
        (false, number) => {
            bail!(ExitCode::Incomplete.error(format!("{} could not be deleted: try again", counted(number))))
        }
    }
    Ok(())
}
