//! `clientele quarantine`: what waits for an operator, and settling it.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use aws_sdk_sqs::types::Message;
use clap::{Args, Subcommand};
use clientele_aws::{Clients, Resources, read_kept_message};
use clientele_flow::Deadlines;
use clientele_model::{CustomerEvent, Item, KeptDelivery, Outcome, Provider, Translated, Verified};
use comfy_table::{Table, presets};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::services::StackService;
use crate::demonstration;
use crate::difference;

/// For how long a message that was looked at is hidden from others, in seconds, if it is not put back before.
const HIDDEN_SECONDS: i32 = 120;
/// SQS gives at most so many messages at a time.
const MESSAGES_MAX: i32 = 10;

/// Verified deliveries that wait for an operator: not understood, or not storable
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

/// List them, without anything personal
#[derive(Args, Debug)]
struct List {
    /// Show at most so many messages
    #[arg(long, default_value_t = 100)]
    limit: usize,
    /// Print one JSON object a line
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    service: StackService,
}

/// Print one of them whole: it may hold personal data
#[derive(Args, Debug)]
struct Show {
    /// Its id, or how it begins
    id: String,
    #[command(flatten)]
    service: StackService,
}

/// Settle them, and take from the queue what is settled
///
/// Each event goes through the same conditional write as a delivery: the greater event stays, a deleted customer stays
/// deleted, and what was settled before changes nothing. A message with an event that still cannot be settled stays.
#[derive(Args, Debug)]
struct Redrive {
    /// Only these: their ids, or how they begin
    ids: Vec<String>,
    /// Change nothing: show what would come of it
    #[arg(long)]
    dry_run: bool,
    /// At most so many messages a second
    #[arg(long, default_value_t = 10.0, value_name = "NUMBER")]
    rate: f64,
    /// Look at no more than so many messages
    #[arg(long, default_value_t = 10_000)]
    limit: usize,
    #[command(flatten)]
    service: StackService,
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

async fn list(list: List) -> Result<()> {
    let queue = Queue::open(&list.service).await?;
    let messages = queue.look(list.limit, &[]).await?;
    let mut table = Table::new();
    table.load_style(presets::UTF8_BORDERS_ONLY);
    table.set_header(["id", "provider", "reason", "received", "events", "bytes", "receives"]);
    for message in &messages {
        let row = row(message);
        if list.json {
            anstream::println!("{row}");
        } else {
            let names = ["id", "provider", "reason", "received_at", "events", "bytes", "receives"];
            table.add_row(names.map(|name| row[name].as_str().map_or_else(|| row[name].to_string(), str::to_owned)));
        }
    }
    if !list.json {
        anstream::println!("{table}");
    }
    queue.put_back(&messages).await;
    Ok(())
}

/// What may be shown of a message to anybody.
fn row(message: &Message) -> Value {
    let body = message.body().unwrap_or_default();
    let mut row =
        json!({ "id": id(message), "bytes": body.len(), "receives": number(message, "ApproximateReceiveCount") });
    match KeptDelivery::from_message(body) {
        Ok(kept) => {
            let (provider, reason, at) = (kept.provider.clone(), kept.reason.clone(), kept.received_at.to_string());
            let events = read_kept_message(body, clientele_providers::PROVIDERS)
                .map(|(provider, verified)| events(provider, &verified));
            (row["provider"], row["reason"], row["received_at"]) = (provider.into(), reason.into(), at.into());
            row["events"] = events.map_or(Value::Null, Value::from);
        }
        Err(error) => (row["provider"], row["reason"]) = ("-".into(), error.to_string().into()),
    }
    row
}

/// How many events there are in a kept delivery.
fn events(provider: &Provider, verified: &Verified) -> usize {
    let translations = (provider.translate)(verified);
    translations.iter().filter(|translation| !matches!(translation, Ok(Translated::AlreadySettled))).count()
}

async fn show(show: Show) -> Result<()> {
    let queue = Queue::open(&show.service).await?;
    let messages = queue.look(usize::MAX, &[]).await?;
    queue.put_back(&messages).await;
    let message = one(&messages, &show.id)?;
    let mut shown: Value = serde_json::from_str(message.body().unwrap_or_default()).unwrap_or(Value::Null);
    // JSON in JSON is hard to read.
    if let Some(body) = shown["body"].as_str().and_then(|body| serde_json::from_str::<Value>(body).ok()) {
        shown["body"] = body;
    }
    if shown.is_null() {
        anstream::println!("{}", message.body().unwrap_or_default());
    } else {
        anstream::println!("{}", serde_json::to_string_pretty(&shown)?);
    }
    Ok(())
}

/// The message whose id begins like this.
fn one<'a>(messages: &'a [Message], start: &str) -> Result<&'a Message> {
    let found: Vec<_> = messages.iter().filter(|message| id(message).starts_with(start)).collect();
    match found[..] {
        [message] => Ok(message),
        [] => bail!("no message {start} on the quarantine queue: `clientele quarantine list` shows what there is"),
        [..] => bail!("{} messages begin with {start}: write more of the id", found.len()),
    }
}

async fn redrive(redrive: Redrive) -> Result<()> {
    if !(redrive.rate > 0.0 && redrive.rate.is_finite()) {
        bail!("--rate is a number of messages a second, greater than 0");
    }
    let queue = Queue::open(&redrive.service).await?;
    let messages = queue.look(redrive.limit, &redrive.ids).await?;
    for start in &redrive.ids {
        if let Err(error) = one(&messages, start) {
            queue.put_back(&messages).await;
            return Err(error);
        }
    }
    let bar = ProgressBar::new(u64::try_from(messages.len())?);
    bar.set_style(ProgressStyle::with_template("{bar:30} {pos}/{len} messages, {eta} left")?);
    let mut ticks = interval(Duration::from_secs_f64(1.0 / redrive.rate));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut counts, mut left) = (BTreeMap::<&str, usize>::new(), vec![]);
    for message in messages {
        ticks.tick().await;
        let done = queue.settle(&message, redrive.dry_run).await;
        bar.suspend(|| anstream::println!("{}\n{}", id(&message), done.text));
        for outcome in done.outcomes {
            *counts.entry(outcome.as_str()).or_default() += 1;
        }
        if done.is_settled && !redrive.dry_run {
            queue.delete(&message).await?;
        } else {
            left.push((done.is_settled, message));
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    let messages: Vec<_> = left.iter().map(|(_, message)| message.clone()).collect();
    queue.put_back(&messages).await;
    let counts: Vec<_> = counts.into_iter().map(|(word, count)| format!("{count} {word}")).collect();
    let unsettled = left.iter().filter(|(is_settled, _)| !is_settled).count();
    let told = if redrive.dry_run { "Would be" } else { "Settled" };
    anstream::println!("{told}: {}", if counts.is_empty() { "nothing".to_owned() } else { counts.join(", ") });
    match unsettled {
        0 => Ok(()),
        1 => bail!("1 message cannot be settled yet, and stays on the queue"),
        number => bail!("{number} messages cannot be settled yet, and stay on the queue"),
    }
}

/// What came of a message.
struct Done {
    /// Whether nothing of it is left to do.
    is_settled: bool,
    outcomes: Vec<Outcome>,
    /// A line for each event.
    text: String,
}

/// The quarantine queue, and where its messages belong.
struct Queue {
    clients: Clients,
    resources: Resources,
    hint: String,
}

impl Queue {
    async fn open(service: &StackService) -> Result<Self> {
        let (clients, resources) = service.open().await?;
        Ok(Self { clients, resources, hint: service.hint() })
    }

    /// Receives messages until there are no more that were not seen, or enough of them, oldest first. All are hidden from
    /// others then.
    async fn look(&self, limit: usize, starts: &[String]) -> Result<Vec<Message>> {
        let (mut seen, mut others) = (BTreeMap::<String, Message>::new(), vec![]);
        while seen.len() < limit {
            let request = self.clients.sqs.receive_message().queue_url(&self.resources.quarantine_queue_url);
            let request = request.visibility_timeout(HIDDEN_SECONDS).max_number_of_messages(MESSAGES_MAX);
            let request = request.message_system_attribute_names("All".into());
            // Waiting asks all of a queue's servers; not waiting, only some.
            let answer = request.wait_time_seconds(1).send().await.with_context(|| self.hint.clone())?;
            let messages = answer.messages.unwrap_or_default();
            let before = seen.len() + others.len();
            for message in messages {
                let id = id(&message).to_owned();
                if starts.is_empty() || starts.iter().any(|start| id.starts_with(start)) {
                    seen.insert(id, message);
                } else if !others.iter().any(|other: &Message| self::id(other) == id) {
                    others.push(message);
                }
            }
            if seen.len() + others.len() == before {
                break;
            }
        }
        self.put_back(&others).await;
        let mut messages: Vec<_> = seen.into_values().collect();
        messages.sort_by_key(|message| number(message, "SentTimestamp"));
        self.put_back(messages.get(limit..).unwrap_or_default()).await;
        messages.truncate(limit);
        Ok(messages)
    }

    async fn put_back(&self, messages: &[Message]) {
        for message in messages {
            let receipt = message.receipt_handle().unwrap_or_default();
            let request = self.clients.sqs.change_message_visibility().visibility_timeout(0);
            let request = request.queue_url(&self.resources.quarantine_queue_url).receipt_handle(receipt);
            if request.send().await.is_err() {
                anstream::eprintln!("some messages stay hidden for up to {HIDDEN_SECONDS} s");
                return;
            }
        }
    }

    async fn delete(&self, message: &Message) -> Result<()> {
        let request = self.clients.sqs.delete_message().queue_url(&self.resources.quarantine_queue_url);
        let request = request.receipt_handle(message.receipt_handle().unwrap_or_default());
        request.send().await.context("a settled message could not be deleted; settling it again changes nothing")?;
        Ok(())
    }

    /// Settles every event of a message, or says what would come of each.
    async fn settle(&self, message: &Message, dry_run: bool) -> Done {
        let (provider, verified) =
            match read_kept_message(message.body().unwrap_or_default(), clientele_providers::PROVIDERS) {
                Ok(opened) => opened,
                Err(error) => return Done { is_settled: false, outcomes: vec![], text: format!("  {error}") },
            };
        let flow = self.clients.flow(self.resources.clone());
        let (mut outcomes, mut lines, mut changes) = (vec![], vec![], BTreeMap::new());
        for (place, translation) in (provider.translate)(&verified).into_iter().enumerate() {
            if let Ok(Translated::Event(event)) = &translation {
                changes.insert(place, self.foreseen(event, &verified).await);
            } else if dry_run {
                match translation {
                    Ok(Translated::Ignored(kind)) => changes.insert(place, Ok((Outcome::Ignored, kind))),
                    Err(error) => changes.insert(place, Ok((Outcome::Quarantined, error.to_string()))),
                    Ok(Translated::Event(_) | Translated::AlreadySettled) => None,
                };
            }
        }
        if dry_run {
            for change in changes.into_values() {
                let (outcome, line) =
                    change.unwrap_or_else(|error: anyhow::Error| (Outcome::Unavailable, format!("{error:#}")));
                lines.push(format!("  {:<12}{line}", outcome.as_str()));
                outcomes.push(outcome);
            }
        } else {
            for settled in flow.settle(provider, &verified, Deadlines::of_replay(Instant::now())).await {
                let foreseen = changes.remove(&settled.place).and_then(Result::ok).map(|(_, line)| line);
                let line = settled.reason.or(foreseen).unwrap_or_default();
                lines.push(format!("  {:<12}{line}", settled.outcome.as_str()));
                outcomes.push(settled.outcome);
            }
        }
        let is_open = |outcome: &Outcome| match outcome {
            Outcome::Applied | Outcome::Duplicate | Outcome::Stale | Outcome::Ignored => false,
            Outcome::Parked | Outcome::Quarantined | Outcome::Unavailable | Outcome::Rejected | Outcome::TooLarge => {
                true
            }
        };
        Done { is_settled: !outcomes.iter().any(is_open), outcomes, text: lines.join("\n") }
    }

    /// What comes of an event if nothing else happens meanwhile: the names of the fields that change, no values.
    async fn foreseen(&self, event: &CustomerEvent, verified: &Verified) -> Result<(Outcome, String)> {
        let item = event.item(verified.received_at());
        let pk = event.key().to_string();
        let standing = demonstration::item(&self.clients, &self.resources.customers_table, &pk).await;
        let standing = standing.context("the table cannot be read")?;
        let outcome = match standing.as_ref().and_then(|standing| standing["rank"].as_str()) {
            Some(rank) if rank == item.rank() => Outcome::Duplicate,
            Some(rank) if rank > item.rank() => Outcome::Stale,
            _ => Outcome::Applied,
        };
        if outcome != Outcome::Applied {
            return Ok((outcome, pk));
        }
        let change = match (&item, &standing) {
            (Item::Tombstone(_), _) => "erased".to_owned(),
            (Item::Customer(_), None) => "new".to_owned(),
            (Item::Customer(_), Some(standing)) => {
                difference::names(standing, &serde_json::to_value(&item)?).join(", ")
            }
        };
        Ok((outcome, format!("{pk}  {change}")))
    }
}

fn id(message: &Message) -> &str {
    message.message_id().unwrap_or_default()
}

/// What SQS says of a message, as a number.
fn number(message: &Message, attribute: &str) -> u64 {
    let value = message.attributes().and_then(|all| all.get(&attribute.into()));
    value.and_then(|value| value.parse().ok()).unwrap_or_default()
}
