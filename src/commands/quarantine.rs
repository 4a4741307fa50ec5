//! `clientele quarantine`: shows the quarantine queue and settles its messages.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use aws_sdk_sqs::types::{Message, MessageSystemAttributeName};
use clap::{Args, Subcommand};
use clientele_aws::{Clients, Resources, read_kept_message};
use clientele_flow::Deadlines;
use clientele_model::{
    CustomerEvent, Item, KeptDelivery, Outcome, Provider, Translated, Translation, Verified, parse_json,
};
use clientele_providers::PROVIDERS;
use futures_util::StreamExt;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::target::Target;
use crate::customers_table::CustomersTable;
use crate::json_diff::{self, Difference};
use crate::queue_browser::{QueueBrowser, id, number};
use crate::text_table;

/// How long a message is hidden from other consumers while a command works on it.
const HIDDEN_SECONDS: i32 = 120;
/// Attributes that differ between any two items of a customer, so that listing them says nothing.
const ALWAYS_DIFFERENT: [&str; 3] = ["rank", "updated_at", "last_event"];
/// A message with more events is summarized instead of printing a line for each event.
const LINES_MAX: usize = 20;
/// How many items are read at a time.
const CONCURRENT_READS: usize = 8;

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
async fn open_queue(target: &Target) -> Result<(QueueBrowser, Clients, Resources)> {
    let (clients, resources) = target.resources().await?;
    let queue = QueueBrowser::new(&clients.sqs, &resources.quarantine_queue_url, HIDDEN_SECONDS);
    Ok((queue, clients, resources))
}

async fn list(list: List) -> Result<()> {
    let (queue, ..) = open_queue(&list.target).await?;
    let messages = queue.look(list.limit, |_| true).await.with_context(|| list.target.advice(None))?;
    let mut table = text_table::with_header(["id", "provider", "reason", "received", "events", "bytes", "receives"]);
    for message in &messages {
        let summary = summary(message);
        if list.json {
            anstream::println!("{summary}");
        } else {
            let names = ["id", "provider", "reason", "received_at", "events", "bytes", "receives"];
            table.add_row(names.map(|name| match &summary[name] {
                Value::String(text) => text.clone(),
                other => other.to_string(),
            }));
        }
    }
    if !list.json {
        anstream::println!("{table}");
    }
    queue.put_back(&messages).await;
    Ok(())
}

/// What a message says without personal data.
fn summary(message: &Message) -> Value {
    let body = message.body().unwrap_or_default();
    let receives = number(message, &MessageSystemAttributeName::ApproximateReceiveCount);
    let mut summary = json!({ "id": id(message), "bytes": body.len(), "receives": receives });
    match KeptDelivery::from_message(body) {
        Ok(kept) => {
            summary["provider"] = kept.provider.clone().into();
            summary["reason"] = kept.reason.clone().into();
            summary["received_at"] = kept.received_at.to_string().into();
            let events =
                read_kept_message(body, PROVIDERS).map(|(provider, verified)| unsettled_events(provider, &verified));
            summary["events"] = events.map_or(Value::Null, Value::from);
        }
        Err(error) => {
            summary["provider"] = "-".into();
            summary["reason"] = error.to_string().into();
        }
    }
    summary
}

fn unsettled_events(provider: &Provider, verified: &Verified) -> usize {
    let translations = (provider.translate)(verified);
    translations.iter().filter(|translation| !matches!(translation, Ok(Translated::AlreadySettled))).count()
}

async fn show(show: Show) -> Result<()> {
    let (queue, ..) = open_queue(&show.target).await?;
    let messages = queue.look(usize::MAX, |_| true).await.with_context(|| show.target.advice(None))?;
    queue.put_back(&messages).await;
    let message = find(&messages, &show.id)?;
    let mut shown: Value = serde_json::from_str(message.body().unwrap_or_default()).unwrap_or(Value::Null);
    // A JSON body is easier to read when it is not a string.
    if let Some(body) = shown["body"].as_str().and_then(|body| parse_json(body.as_bytes())) {
        shown["body"] = body;
    }
    if shown.is_null() {
        anstream::println!("{}", message.body().unwrap_or_default());
    } else {
        anstream::println!("{}", serde_json::to_string_pretty(&shown)?);
    }
    if let Err(error) = read_kept_message(message.body().unwrap_or_default(), PROVIDERS) {
        anstream::eprintln!("{error}");
    }
    Ok(())
}

/// The one message whose id begins with `prefix`.
fn find<'a>(messages: &'a [Message], prefix: &str) -> Result<&'a Message> {
    let found: Vec<_> = messages.iter().filter(|message| id(message).starts_with(prefix)).collect();
    match found[..] {
        [message] => Ok(message),
        [] => bail!("no message {prefix} on the quarantine queue: `clientele quarantine list` shows the messages"),
        [..] => bail!("the ids of {} messages begin with {prefix}: write more of the id", found.len()),
    }
}

async fn redrive(redrive: Redrive) -> Result<()> {
    if !(redrive.rate > 0.0 && redrive.rate.is_finite()) {
        bail!("--rate must be a number of messages per second greater than 0");
    }
    let (queue, clients, resources) = open_queue(&redrive.target).await?;
    let is_wanted =
        |message: &Message| redrive.ids.is_empty() || redrive.ids.iter().any(|prefix| id(message).starts_with(prefix));
    let messages = queue.look(redrive.limit, is_wanted).await.with_context(|| redrive.target.advice(None))?;
    if let Some(error) = redrive.ids.iter().find_map(|prefix| find(&messages, prefix).err()) {
        queue.put_back(&messages).await;
        return Err(error);
    }
    let bar = ProgressBar::new(u64::try_from(messages.len())?);
    bar.set_style(ProgressStyle::with_template("{bar:30} {pos}/{len} messages, {eta} left")?);
    let mut ticks = interval(Duration::from_secs_f64(1.0 / redrive.rate));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let settler = Settler { clients, resources };
    let (mut counts, mut kept, mut unsettled) = (BTreeMap::<&str, usize>::new(), vec![], 0);
    for message in messages {
        ticks.tick().await;
        let result = match read_kept_message(message.body().unwrap_or_default(), PROVIDERS) {
            Err(error) => MessageResult { text: format!("  {error}"), ..MessageResult::default() },
            Ok((provider, verified)) if redrive.dry_run => settler.predict(provider, &verified).await,
            Ok((provider, verified)) => settler.settle(provider, &verified).await,
        };
        bar.suspend(|| anstream::println!("{}\n{}", id(&message), result.text));
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
        bar.inc(1);
    }
    bar.finish_and_clear();
    queue.put_back(&kept).await;
    let counts: Vec<_> = counts.into_iter().map(|(word, count)| format!("{count} {word}")).collect();
    let verb = if redrive.dry_run { "Would be" } else { "Settled" };
    anstream::println!("{verb}: {}", if counts.is_empty() { "nothing".to_owned() } else { counts.join(", ") });
    match unsettled {
        0 => Ok(()),
        1 => bail!("1 message cannot be settled yet and stays on the queue"),
        number => bail!("{number} messages cannot be settled yet and stay on the queue"),
    }
}

/// The outcomes of a message's events.
#[derive(Default)]
struct MessageResult {
    outcomes: Vec<Outcome>,
    /// One line per event, or one per outcome if there are many.
    text: String,
    /// Whether the message could be read at all.
    is_readable: bool,
}

impl MessageResult {
    fn of(events: impl IntoIterator<Item = (Outcome, String)>) -> Self {
        let events: Vec<_> = events.into_iter().collect();
        let line = |outcome: Outcome, detail: &str| format!("  {:<12}{detail}", outcome.as_str());
        let lines: Vec<_> = if events.len() <= LINES_MAX {
            events.iter().map(|(outcome, detail)| line(*outcome, detail)).collect()
        } else {
            let mut counts = BTreeMap::<_, usize>::new();
            for (outcome, detail) in &events {
                // The detail of an event that is not settled is the reason, and there are few different ones.
                let reason = if is_open(*outcome) { format!(": {detail}") } else { String::new() };
                *counts.entry((*outcome, reason)).or_default() += 1;
            }
            counts.iter().map(|((outcome, reason), count)| line(*outcome, &format!("{count} events{reason}"))).collect()
        };
        let outcomes = events.iter().map(|(outcome, _)| *outcome).collect();
        Self { outcomes, text: lines.join("\n"), is_readable: true }
    }

    fn is_settled(&self) -> bool {
        self.is_readable && !self.outcomes.iter().copied().any(is_open)
    }
}

/// Whether the message of an event with this outcome must stay on the queue.
fn is_open(outcome: Outcome) -> bool {
    match outcome {
        Outcome::Applied | Outcome::Duplicate | Outcome::Stale | Outcome::Ignored => false,
        Outcome::Parked
        | Outcome::Quarantined
        | Outcome::Unavailable
        | Outcome::Rejected
        | Outcome::TooLarge
        | Outcome::Unverifiable => true,
    }
}

/// Settles messages, or predicts what settling would do.
struct Settler {
    clients: Clients,
    resources: Resources,
}

impl Settler {
    async fn settle(&self, provider: &Provider, verified: &Verified) -> MessageResult {
        let mut predictions = self.predictions(provider, verified).await;
        let flow = self.clients.flow(self.resources.clone());
        let settled = flow.settle(provider, verified, Deadlines::of_redrive(Instant::now())).await;
        MessageResult::of(settled.into_iter().map(|event| {
            let predicted = predictions.remove(&event.place).and_then(Result::ok).map(|(_, detail)| detail);
            (event.outcome, event.reason.or(predicted).unwrap_or_default())
        }))
    }

    async fn predict(&self, provider: &Provider, verified: &Verified) -> MessageResult {
        let predictions = self.predictions(provider, verified).await.into_values();
        let unavailable = |error| (Outcome::Unavailable, format!("{error:#}"));
        MessageResult::of(predictions.map(|prediction| prediction.unwrap_or_else(unavailable)))
    }

    /// By position: the outcome of each event that is not settled yet, and what it changes.
    async fn predictions(
        &self,
        provider: &Provider,
        verified: &Verified,
    ) -> BTreeMap<usize, Result<(Outcome, String)>> {
        let predict = async |(position, translation): (usize, Translation)| {
            let prediction = match translation {
                Ok(Translated::Event(event)) => self.prediction(&event, verified).await,
                Ok(Translated::Ignored(kind)) => Ok((Outcome::Ignored, kind)),
                Ok(Translated::AlreadySettled) => return None,
                Err(error) => Ok((Outcome::Quarantined, error.to_string())),
            };
            Some((position, prediction))
        };
        let events = futures_util::stream::iter((provider.translate)(verified)).enumerate();
        events.map(predict).buffer_unordered(CONCURRENT_READS).filter_map(std::future::ready).collect().await
    }

    /// The outcome of an event if nothing else is written meanwhile, with the names of the fields that it changes.
    async fn prediction(&self, event: &CustomerEvent, verified: &Verified) -> Result<(Outcome, String)> {
        let item = event.item(verified.received_at());
        let pk = event.key().to_string();
        let table = CustomersTable::new(&self.clients.dynamodb, &self.resources.customers_table);
        let current = table.item(&pk).await.context("the table cannot be read")?;
        match current.as_ref().and_then(|current| current["rank"].as_str()) {
            Some(rank) if rank == item.rank() => return Ok((Outcome::Duplicate, pk)),
            Some(rank) if rank > item.rank() => return Ok((Outcome::Stale, pk)),
            _ => {}
        }
        let change = match (&item, &current) {
            (Item::Tombstone(_), _) => "erased".to_owned(),
            (Item::Customer(_), None) => "new".to_owned(),
            (Item::Customer(_), Some(current)) => changed_fields(current, &serde_json::to_value(&item)?),
        };
        Ok((Outcome::Applied, format!("{pk}  {change}")))
    }
}

/// The names of the fields that change, without values; `+` marks added and `-` removed fields.
fn changed_fields(current: &Value, new: &Value) -> String {
    let differences = json_diff::differences(current, new).into_iter();
    let names = differences
        .filter(|difference| !ALWAYS_DIFFERENT.contains(&difference.path.split('.').next().unwrap_or_default()));
    let names = names.map(|Difference { path, old, new }| match (old, new) {
        (None, _) => format!("+{path}"),
        (_, None) => format!("-{path}"),
        _ => path,
    });
    names.collect::<Vec<_>>().join(", ")
}
