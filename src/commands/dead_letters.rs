//! `clientele dead-letters`: cleanup messages that no consumer has managed to process.

use std::num::NonZeroUsize;

use anyhow::{Context, Result, bail};
use aws_sdk_sqs::types::Message;
use clap::{Args, Subcommand};
use serde_json::json;

use super::cleanup::{content, print};
use super::positive;
use super::quarantine::counted;
use super::queue_depths;
use crate::exit_code::ExitCode;
use crate::queue_browser::{MESSAGES_MAX, QueueBrowser, id};
use crate::queue_depth::QueueDepth;
use crate::target::{OpenTarget, Target};
use crate::terminal;

/// How long a message is hidden while it is shown or moved, in seconds.
const HIDDEN_SECONDS: i32 = 120;

/// The name of the queue on the local stack.
const QUEUE: &str = "cleanup-dead-letter";

/// Cleanup messages that a consumer received five times and never deleted
#[derive(Args, Debug)]
pub struct DeadLetters {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    List(List),
    Redrive(Redrive),
}

/// Show the messages without removing them
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  clientele dead-letters list
  clientele dead-letters list --stack clientele --json

With --json, each line is a cleanup message as docs/schema/cleanup-message.json describes it.")]
struct List {
    /// Show at most this many messages
    #[arg(long, default_value = "100", value_name = "NUMBER", value_parser = positive)]
    limit: NonZeroUsize,
    /// Print the messages as JSON, one per line
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    target: Target,
}

/// Move the messages back to the cleanup queue
///
/// Repair the consumer first. A message is sent to the cleanup queue before it is deleted here, so a command that is
/// interrupted can send one twice. Consumers recognize that by its `cleanup_id`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  clientele dead-letters redrive --dry-run
  clientele dead-letters redrive --stack clientele --limit 1 --yes

With --json, each line is an object such as
  {\"id\":\"5f0c9a3e-…\",\"cleanup_id\":\"plain#w_1#c_1\",\"moved\":true}

The exit code is 3 if messages are left, for example because of --limit.")]
struct Redrive {
    /// Move at most this many messages
    #[arg(long, default_value = "10000", value_name = "NUMBER", value_parser = positive)]
    limit: NonZeroUsize,
    /// Change nothing; show which messages would be moved
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

/// Runs `clientele dead-letters`.
///
/// # Errors
/// When a queue cannot be reached, or messages are left.
pub async fn dead_letters(dead_letters: DeadLetters) -> Result<()> {
    match dead_letters.action {
        Action::List(list) => self::list(list).await,
        Action::Redrive(redrive) => self::redrive(redrive).await,
    }
}

/// The dead-letter queue of a stack.
struct DeadLetterQueue {
    queue: QueueBrowser,
    target: OpenTarget,
}

impl DeadLetterQueue {
    async fn open(target: &Target) -> Result<Self> {
        let target = target.open().await?;
        let queue = QueueBrowser::new(&target.clients.sqs, target.queue_url(QUEUE)?, HIDDEN_SECONDS);
        Ok(Self { queue, target })
    }

    async fn look(&self, limit: usize) -> Result<Vec<Message>> {
        let messages = self.queue.look(limit, |_| true).await;
        messages.with_context(|| self.target.cannot_read("the dead-letter queue"))
    }

    async fn receive(&self, limit: usize) -> Result<Vec<Message>> {
        let messages = self.queue.receive(limit.min(MESSAGES_MAX), 1).await;
        messages.with_context(|| self.target.cannot_read("the dead-letter queue"))
    }

    /// Sends a copy of the message to the cleanup queue, and then deletes the message.
    async fn move_one(&self, message: &Message) -> Result<()> {
        let request = self.target.clients.sqs.send_message().queue_url(&self.target.resources.cleanup_queue_url);
        let request = request.message_body(message.body().unwrap_or_default());
        let request = request.set_message_attributes(message.message_attributes().cloned());
        request.send().await.with_context(|| {
            let name = self.target.name();
            let advice = "only the functions and OperatorPrincipalArns may send to it";
            ExitCode::Unreachable.error(format!("no message can be sent to the cleanup queue of {name}: {advice}"))
        })?;
        self.queue.delete(message).await.with_context(|| {
            let error = format!("{} was sent, but is still on the dead-letter queue: redrive it again", id(message));
            ExitCode::Incomplete.error(error)
        })
    }
}

async fn list(list: List) -> Result<()> {
    let queue = DeadLetterQueue::open(&list.target).await?;
    let messages = queue.look(list.limit.get()).await?;
    print(&queue.target, QUEUE, &messages, list.json).await;
    queue_depths::note_limit(messages.len(), list.limit);
    queue.queue.put_back(&messages).await;
    Ok(())
}

async fn redrive(redrive: Redrive) -> Result<()> {
    let queue = DeadLetterQueue::open(&redrive.target).await?;
    if redrive.dry_run {
        return predict(&queue, &redrive).await;
    }
    let batch = queue.receive(redrive.limit.get()).await?;
    if batch.is_empty() {
        terminal::note(queue_depths::nothing_to_receive(&queue.target, QUEUE).await);
        return Ok(());
    }
    let depth = QueueDepth::read(&queue.target.clients.sqs, queue.target.queue_url(QUEUE)?).await;
    let depth = depth.with_context(|| queue.target.cannot_read("the dead-letter queue"))?.total();
    // SQS approximates the depth, which may not include the messages that were just received.
    let about = usize::try_from(depth)?.max(batch.len()).min(redrive.limit.get());
    let stack = queue.target.announcement();
    let question = format!("Move {} to the cleanup queue of {stack}?", counted(about));
    if let Err(refused) = terminal::confirm(&question, redrive.yes) {
        queue.queue.put_back(&batch).await;
        return Err(refused);
    }
    move_all(&queue, batch, about, &redrive).await
}

/// Moves messages, beginning with `batch`, until none is left or the limit is reached.
async fn move_all(queue: &DeadLetterQueue, mut batch: Vec<Message>, about: usize, redrive: &Redrive) -> Result<()> {
    let progress = terminal::progress("messages", Some(about));
    let mut moved = 0;
    while !batch.is_empty() {
        for (place, message) in batch.iter().enumerate() {
            if let Err(error) = queue.move_one(message).await {
                queue.queue.put_back(&batch[place..]).await;
                terminal::note(format!("{} moved to the cleanup queue.", counted(moved)));
                return Err(error);
            }
            moved += 1;
            print_moved(message, true, redrive.json);
            progress.advance(1);
        }
        let left = redrive.limit.get() - moved;
        batch = if left == 0 { vec![] } else { queue.receive(left).await? };
    }
    drop(progress);
    terminal::note(format!("{} moved to the cleanup queue.", counted(moved)));
    if moved == redrive.limit.get() {
        let more = queue.receive(1).await?;
        queue.queue.put_back(&more).await;
        if !more.is_empty() {
            let left = format!("the limit of {} is reached: there are more messages", counted(redrive.limit.get()));
            bail!(ExitCode::Incomplete.error(left));
        }
    }
    Ok(())
}

async fn predict(queue: &DeadLetterQueue, redrive: &Redrive) -> Result<()> {
    let messages = queue.look(redrive.limit.get()).await?;
    if redrive.json {
        for message in &messages {
            print_moved(message, false, true);
        }
    } else {
        print(&queue.target, QUEUE, &messages, false).await;
    }
    queue.queue.put_back(&messages).await;
    terminal::note(format!("{} would be moved.", counted(messages.len())));
    Ok(())
}

fn print_moved(message: &Message, is_moved: bool, json: bool) {
    if json {
        terminal::json(&json!({ "id": id(message), "cleanup_id": content(message)["cleanup_id"], "moved": is_moved }));
    }
}
