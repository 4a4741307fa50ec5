//! `clientele changes redrive`: sends the customers again whose changes are not on the event bus.

use std::collections::BTreeSet;
use std::num::NonZeroUsize;

use anyhow::{Context, Result, bail};
use aws_sdk_sqs::types::Message;
use clap::Args;
use clientele_flow::{EventSender, SendError};
use jiff::Timestamp;
use serde_json::json;

use super::changes::{note_waiting, run_id, send_error};
use super::quarantine::counted;
use super::{positive, queue_depths, rate_of_events};
use crate::changes::access::{ChangeFeedAccess, DISCARDED_CHANGES, REFUSED_CHANGES};
use crate::changes::redrive::{RedriveResult, Redriven, Redriver};
use crate::exit_code::ExitCode;
use crate::interruption::stop_flag;
use crate::queue_browser::{MESSAGES_MAX, QueueBrowser, id};
use crate::queue_depth::QueueDepth;
use crate::target::{OpenTarget, Target};
use crate::terminal::{self, visible};

/// How long a message is hidden while it is redriven, in seconds.
const HIDDEN_SECONDS: i32 = 120;

/// Send customers again whose changes are not on the event bus
///
/// Repair the cause first. Two queues name such changes: what the bus refuses, and positions in the table's stream that could
/// not be processed for 12 hours. For each message, the current items of its customers are sent: `customer.snapshot`,
/// `customer.deleted`, or `customer.removed` if the table has no item any more. A message is deleted once its events are on
/// the bus, so a command that is interrupted can send some twice. The stream keeps its records for 24 hours. When it no longer
/// has those of a message, `clientele changes resend` sends everything, and --delete-expired removes such messages afterwards.
#[derive(Args, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag")]
#[command(after_help = "\
Examples:
  clientele changes redrive --dry-run
  clientele changes redrive --stack clientele --yes
  clientele changes redrive --stack clientele --delete-expired

With --json, each line is an object with `queue`, the `id` of the message, `result` (`sent`, `left`, `expired`, or \
`deleted` if an expired one was deleted), `customers` (the `pk` of each) and `reason` (a text, or null).

The exit code is 3 if a message is left on a queue.")]
pub(super) struct Redrive {
    /// Delete messages that cannot be redriven any more: the stream no longer has the changes, or EventBridge could not
    /// encrypt the event. Run `clientele changes resend` before
    #[arg(long)]
    delete_expired: bool,
    /// Send at most this many events per second
    #[arg(long, default_value_t = 200.0, value_name = "NUMBER", value_parser = rate_of_events)]
    rate: f64,
    /// Redrive at most this many messages
    #[arg(long, default_value = "10000", value_name = "NUMBER", value_parser = positive)]
    limit: NonZeroUsize,
    /// Send and delete nothing; show what would be sent
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

/// How many messages had which result.
#[derive(Default)]
struct Counts {
    sent: usize,
    left: usize,
    expired: usize,
    deleted: usize,
}

impl Counts {
    fn total(&self) -> usize {
        self.sent + self.left + self.expired + self.deleted
    }
}

/// Redrives the messages of both queues.
pub(super) async fn redrive(args: Redrive) -> Result<()> {
    let target = args.target.open().await?;
    let access = ChangeFeedAccess::open(&target)?;
    if !args.dry_run && !target.is_local() {
        let about = depth(&target, REFUSED_CHANGES).await? + depth(&target, DISCARDED_CHANGES).await?;
        if about > 0 {
            let stack = target.announcement();
            let question = format!("Send the customers of about {} of {stack} to its event bus again?", counted(about));
            terminal::confirm(&question, args.yes)?;
        }
    }
    let stop = stop_flag("No further messages are redriven.");
    let sender = EventSender::new(&access.bus, Timestamp::now(), Some(args.rate), &stop, &note_waiting);
    let mut run = Run {
        redriver: Redriver::new(&target, &access, sender, run_id("redrive")?),
        target: &target,
        args: &args,
        progress: terminal::progress("messages:", None),
        counts: Counts::default(),
        is_limited: false,
    };
    let mut result = Ok(None);
    for queue in [REFUSED_CHANGES, DISCARDED_CHANGES] {
        result = run.redrive_queue(queue).await;
        if !matches!(result, Ok(None)) {
            break;
        }
    }
    run.finish(result).await
}

/// About how many messages a queue has.
async fn depth(target: &OpenTarget, queue: &str) -> Result<usize> {
    let depth = QueueDepth::read(&target.clients.sqs, target.queue_url(queue)?).await;
    let depth = depth.with_context(|| target.cannot_read(&format!("the {queue} queue")))?;
    Ok(usize::try_from(depth.total())?)
}

struct Run<'a> {
    redriver: Redriver<'a>,
    target: &'a OpenTarget,
    args: &'a Redrive,
    progress: terminal::Progress,
    counts: Counts,
    is_limited: bool,
}

impl Run<'_> {
    /// Redrives the messages of a queue. Those that are left become visible again at the end, so that none is received twice.
    async fn redrive_queue(&mut self, name: &'static str) -> Result<Option<SendError>> {
        let queue = QueueBrowser::new(&self.target.clients.sqs, self.target.queue_url(name)?, HIDDEN_SECONDS);
        let (mut seen, mut left) = (BTreeSet::new(), vec![]);
        let result = loop {
            let limit = self.args.limit.get() - self.counts.total();
            if limit == 0 {
                self.is_limited = true;
                break Ok(None);
            }
            let received = queue.receive(limit.min(MESSAGES_MAX), 1).await;
            let received = received.with_context(|| self.target.cannot_read(&format!("the {name} queue")));
            let mut messages = match received {
                Ok(messages) => messages,
                Err(error) => break Err(error),
            };
            messages.retain(|message| seen.insert(id(message).to_owned()));
            if messages.is_empty() {
                break Ok(None);
            }
            match self.redrive_messages(name, &queue, &messages).await {
                Ok((some_left, error)) => {
                    left.extend(some_left);
                    if error.is_some() {
                        break Ok(error);
                    }
                }
                Err(error) => {
                    left.extend(messages);
                    break Err(error);
                }
            }
        };
        queue.put_back(&left).await;
        result
    }

    /// Redrives some messages, and returns those that are left.
    async fn redrive_messages(
        &mut self,
        queue_name: &str,
        queue: &QueueBrowser,
        messages: &[Message],
    ) -> Result<(Vec<Message>, Option<SendError>)> {
        let (redriven, error) = if self.args.dry_run {
            (self.redriver.predict(messages).await?, None)
        } else {
            self.redriver.send(messages).await?
        };
        let mut left = vec![];
        for (message, redriven) in messages.iter().zip(redriven) {
            let (word, reason) = self.settle(queue, message, &redriven).await;
            if self.args.dry_run || !["sent", "deleted"].contains(&word) {
                left.push(message.clone());
            }
            self.print(queue_name, message, &redriven, word, reason.as_deref());
            self.progress.advance(1);
        }
        Ok((left, error))
    }

    /// Deletes the message if it is done. Returns its result as a word, and the reason if it is left.
    async fn settle(
        &mut self,
        queue: &QueueBrowser,
        message: &Message,
        redriven: &Redriven,
    ) -> (&'static str, Option<String>) {
        let is_deleted = match &redriven.result {
            RedriveResult::Left(why) => {
                self.counts.left += 1;
                return ("left", Some(why.clone()));
            }
            RedriveResult::Expired(why) if !self.args.delete_expired => {
                self.counts.expired += 1;
                return ("expired", Some((*why).to_owned()));
            }
            RedriveResult::Sent | RedriveResult::Expired(_) => self.args.dry_run || queue.delete(message).await.is_ok(),
        };
        match &redriven.result {
            RedriveResult::Sent if is_deleted => {
                self.counts.sent += 1;
                ("sent", None)
            }
            RedriveResult::Expired(why) if is_deleted => {
                self.counts.deleted += 1;
                ("deleted", Some((*why).to_owned()))
            }
            _ => {
                self.counts.left += 1;
                ("left", Some("the message could not be deleted: redrive it again".to_owned()))
            }
        }
    }

    fn print(&self, queue: &str, message: &Message, redriven: &Redriven, word: &str, reason: Option<&str>) {
        let (id, customers) = (id(message), &redriven.customers);
        if self.args.json {
            return terminal::json(&json!({
                "queue": queue,
                "id": id,
                "result": word,
                "customers": customers,
                "reason": reason,
            }));
        }
        let detail = match (reason, customers.as_slice()) {
            (Some(reason), _) => reason.to_owned(),
            (None, [customer]) => customer.clone(),
            (None, customers) => format!("{} customers", customers.len()),
        };
        terminal::line(visible(&format!("{id}  {word:<7}  {detail}")));
    }

    async fn finish(self, result: Result<Option<SendError>>) -> Result<()> {
        let Self { target, args, progress, counts, is_limited, .. } = self;
        drop(progress);
        let Counts { sent, left, expired, deleted } = counts;
        let error = result?;
        if counts.total() == 0 && error.is_none() {
            for queue in [REFUSED_CHANGES, DISCARDED_CHANGES] {
                terminal::note(queue_depths::nothing_to_receive(target, queue).await);
            }
            return Ok(());
        }
        let parts = [(sent, "sent"), (left, "left"), (expired, "expired"), (deleted, "deleted")];
        let parts =
            parts.into_iter().filter(|(number, _)| *number > 0).map(|(number, word)| format!("{number} {word}"));
        let would = if args.dry_run { "Messages would be" } else { "Messages" };
        terminal::note(format!("{would}: {}", parts.collect::<Vec<_>>().join(", ")));
        match error {
            Some(SendError::Stopped) => bail!(ExitCode::Incomplete.error("the redrive was stopped")),
            Some(error) => bail!(ExitCode::Unreachable.error(send_error(&error, target))),
            None => {}
        }
        let advice = if expired > 0 {
            "; for those that are expired, send every customer with `clientele changes resend`, and then remove them with \
             --delete-expired"
        } else {
            ""
        };
        match left + expired {
            0 if is_limited => {
                let limit = counted(args.limit.get());
                bail!(ExitCode::Incomplete.error(format!("the limit of {limit} is reached; there may be more")))
            }
            0 => Ok(()),
            1 => bail!(ExitCode::Incomplete.error(format!("1 message stays on its queue{advice}"))),
            number => bail!(ExitCode::Incomplete.error(format!("{number} messages stay on their queues{advice}"))),
        }
    }
}
