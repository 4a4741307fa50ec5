//! `clientele changes`: follows the changes of customers, and sends customers again.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand};
use clientele_flow::{EventSender, ResendCounts, ResendObserver, ResendOptions, SendError};
use clientele_model::Provider;
use jiff::Timestamp;
use serde_json::json;

use super::{changes_redrive, rate_of_events, time};
use crate::changes::access::ChangeFeedAccess;
use crate::changes::line;
use crate::changes::live::{LiveEvent, follow};
use crate::exit_code::ExitCode;
use crate::interruption::{stop_flag, wait_for_signal};
use crate::listings::outcome::Ended;
use crate::target::{OpenTarget, Target};
use crate::terminal::{self, visible};
use crate::text_table::TextTable;

/// So many customers that cannot be sent are listed.
const LISTED_MAX: usize = 1_000;

/// Follow the changes of customers, or send customers to the event bus again
///
/// Without a subcommand, this shows each change that the local stack puts on its event bus, until Ctrl-C: when it happened
/// (UTC), its type, the customer, the names of the fields that differ, and the event that brought it. It goes on after a
/// restart of the stack. EventBridge has no such stream: docs/consume.md shows how to receive the changes of a deployed stack.
#[derive(Args, Debug)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "\
Examples:
  clientele changes
  clientele changes --all --json
  clientele changes resend --provider plain
  clientele changes redrive

With --json, each line is an event as EventBridge delivers it; its `detail` has the field `data`, which \
docs/schema/change-data.json describes."
)]
pub struct Changes {
    #[command(subcommand)]
    action: Option<Action>,
    #[command(flatten)]
    follow: Follow,
}

#[derive(Debug, Subcommand)]
enum Action {
    Resend(Resend),
    Redrive(changes_redrive::Redrive),
}

#[derive(Args, Debug)]
struct Follow {
    /// Begin with the changes that the stack still has, at most 1,000
    #[arg(long)]
    all: bool,
    /// Print one JSON object per line
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    target: Target,
}

/// Send every customer to the event bus again
///
/// A consumer that starts, or starts again, gets everything that the table has: each customer as `customer.snapshot` and each
/// deleted one as `customer.deleted`. It can run at any time, also while webhooks arrive. Consumers that keep the greatest
/// `rank` of each customer ignore what they know already. Every consumer of the bus receives the events, and EventBridge
/// charges for them. An interrupted run starts again from the beginning.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  clientele changes resend
  clientele changes resend --provider plain --since 2026-11-28
  clientele changes resend --stack clientele --rate 100 --yes

With --json, the result is an object with `id` (each event has the id `<id>/<pk>`), `end` (`complete`, `stopped` or \
`failed`), `problem` (a text or null), `counts` and `not_sent`. `counts` has the numbers of items that were `read`, of \
`snapshots` and `deleted` customers that were sent, of those whose customer was `omitted` because of its size, of events \
that the bus `refused`, and of `unreadable` items. `not_sent` lists the first thousand customers that were refused or \
unreadable, each with `pk` and `reason`.

The exit code is 3 if it was interrupted, or if a customer could not be sent.")]
struct Resend {
    /// Only customers of this provider
    #[arg(long, value_parser = clientele_providers::parse)]
    provider: Option<&'static Provider>,
    /// Only customers whose last event arrived at this time or later, as in 2026-11-28T08:00:00Z or 2026-11-28 (UTC). An
    /// event that waited on a queue arrived earlier than it was written
    #[arg(long, value_name = "TIME", value_parser = time)]
    since: Option<Timestamp>,
    /// Send at most this many events per second. The smallest regions of EventBridge accept 400
    #[arg(long, default_value_t = 200.0, value_name = "NUMBER", value_parser = rate_of_events)]
    rate: f64,
    /// Do not ask for confirmation
    #[arg(long)]
    yes: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    target: Target,
}

/// Runs `clientele changes`.
///
/// # Errors
/// When the stack cannot be reached, has no change feed, or something is left.
pub async fn changes(changes: Changes) -> Result<()> {
    match changes.action {
        None => show(changes.follow).await,
        Some(Action::Resend(resend)) => self::resend(resend).await,
        Some(Action::Redrive(redrive)) => changes_redrive::redrive(redrive).await,
    }
}

async fn show(args: Follow) -> Result<()> {
    let url = match args.target {
        Target::Local(url) => url,
        Target::Deployed(name) => bail!(ExitCode::Usage.error(format!(
            "EventBridge has no stream of changes, so those of the stack {name} cannot be followed: docs/consume.md shows how \
             to receive them. --local follows the local stack"
        ))),
    };
    let (follow_url, all) = (url.clone(), args.all);
    let mut live = tokio::task::spawn_blocking(move || follow(&follow_url, all)).await??;
    let mut shown = 0_u64;
    let end = wait_for_signal();
    tokio::pin!(end);
    loop {
        let event = tokio::select! {
            event = live.recv() => event,
            result = &mut end => {
                result?;
                break;
            }
        };
        match event {
            Some(LiveEvent::Connected { is_restarted: false }) => {
                terminal::note(format!("Following the changes at {url}; times are in UTC. Ctrl-C ends this."));
            }
            Some(LiveEvent::Connected { is_restarted: true }) => terminal::note("The local stack was started again."),
            Some(LiveEvent::Lost) => terminal::note("The local stack does not answer. Waiting until it does."),
            Some(LiveEvent::Change(change)) if args.json => {
                shown += 1;
                terminal::json(&change);
            }
            Some(LiveEvent::Change(change)) => {
                shown += 1;
                let parts = line::parts(&change);
                let parts: Vec<_> = parts.iter().map(|(style, text)| (*style, text.as_str())).collect();
                terminal::styled_line(&parts);
            }
            None => break,
        }
        if terminal::is_output_closed() {
            return Ok(());
        }
    }
    terminal::note(match shown {
        1 => "1 change was shown.".to_owned(),
        shown => format!("{shown} changes were shown."),
    });
    Ok(())
}

/// The id of a run, such as `resend-20261120T120000Z-9f86d081`.
pub(super) fn run_id(what: &str) -> Result<String> {
    let mut random = [0; 4];
    getrandom::fill(&mut random).ok().context("the operating system returned no random bytes")?;
    Ok(format!("{what}-{}-{}", Timestamp::now().strftime("%Y%m%dT%H%M%SZ"), hex::encode(random)))
}

/// Says why events are sent again.
pub(super) fn note_waiting(why: &str, delay: Duration) {
    terminal::note(format!("The event bus cannot be used: {why}; trying again in {:.1} s", delay.as_secs_f64()));
}

/// Why a run ended early, with advice.
pub(super) fn send_error(error: &SendError, target: &OpenTarget) -> String {
    match error {
        SendError::Failed(_) if !target.is_local() => {
            format!("{error}: check the credentials and their permission for events:PutEvents")
        }
        _ => error.to_string(),
    }
}

async fn resend(args: Resend) -> Result<()> {
    let target = args.target.open().await?;
    let access = ChangeFeedAccess::open(&target)?;
    let total = target.item_count().await?;
    let provider = args.provider.map(|provider| provider.name);
    if !target.is_local() {
        let whose = provider.map(|name| format!(" of {name}")).unwrap_or_default();
        let since = args.since.map(|since| format!(" that changed since {since}")).unwrap_or_default();
        let question = format!(
            "Send every customer{whose}{since} of {} to its event bus again? The table has about {total} customers, and \
             every consumer of the bus receives the events.",
            target.announcement()
        );
        terminal::confirm(&question, args.yes)?;
    }
    let options = ResendOptions {
        id: run_id("resend")?,
        settings: access.settings.clone(),
        provider: provider.map(str::to_owned),
        since: args.since,
    };
    let stop = stop_flag("No further events are sent.");
    let sender = EventSender::new(&access.bus, Timestamp::now(), Some(args.rate), &stop, &note_waiting);
    let mut watch = ResendWatch::new(total, args.json);
    let table = target.clients.flow(target.resources.clone()).table;
    let report = clientele_flow::resend(&table, &sender, &options, &mut watch).await;
    let counts = &report.counts;
    let ended = match &report.error {
        None => Ended::Complete.except(not_sent(counts)),
        Some(SendError::Stopped) => Ended::Stopped,
        Some(error) => Ended::Failed(ExitCode::Unreachable, send_error(error, &target)),
    };
    let listed = watch.finish();
    if args.json {
        let result = json!({ "id": options.id, "counts": counts, "not_sent": listed });
        terminal::json(&ended.add_to(result));
    } else if counts.read > 0 || ended.has_reached_the_end() {
        terminal::line(as_table(counts));
    }
    ended.result("the resend", Some("the same command starts again from the beginning"))
}

fn not_sent(counts: &ResendCounts) -> Option<String> {
    match counts.refused + counts.unreadable {
        0 => None,
        1 => Some("1 customer could not be sent; all others were".to_owned()),
        number => Some(format!("{number} customers could not be sent; all others were")),
    }
}

fn as_table(counts: &ResendCounts) -> TextTable {
    let ResendCounts { read, snapshots, deleted, omitted, refused, unreadable } = counts;
    let rows = [
        ("read", read),
        ("sent as customer.snapshot", snapshots),
        ("  of these, without the customer: too large", omitted),
        ("sent as customer.deleted", deleted),
        ("not sent: the event bus refuses the event", refused),
        ("not sent: this version cannot read the item", unreadable),
    ];
    let mut table = TextTable::new(["customers", "number"]);
    for (index, (text, number)) in rows.into_iter().enumerate() {
        if [0, 1, 3].contains(&index) || *number > 0 {
            table.add_row([text, &number.to_string()]);
        }
    }
    table.align_right(1);
    table
}

/// Shows how far a resend has come, and who could not be sent.
struct ResendWatch {
    progress: terminal::Progress,
    total: u64,
    not_sent: Vec<serde_json::Value>,
    is_json: bool,
}

impl ResendWatch {
    fn new(total: u64, is_json: bool) -> Self {
        let progress = terminal::progress("customers read:", usize::try_from(total).ok());
        Self { progress, total, not_sent: vec![], is_json }
    }

    fn finish(self) -> Vec<serde_json::Value> {
        self.not_sent
    }
}

impl ResendObserver for ResendWatch {
    fn page_sent(&mut self, counts: &ResendCounts) {
        // The total may be six hours old.
        self.progress.show(counts.read, Some(self.total.max(counts.read)));
    }

    fn not_sent(&mut self, pk: &str, why: &str) {
        if self.not_sent.len() == LISTED_MAX {
            return;
        }
        self.not_sent.push(json!({ "pk": pk, "reason": why }));
        if !self.is_json {
            terminal::note(visible(&format!("Not sent: {pk}: {why}")));
        }
        if !self.is_json && self.not_sent.len() == LISTED_MAX {
            terminal::note("If more customers cannot be sent, they are not listed.");
        }
    }
}
