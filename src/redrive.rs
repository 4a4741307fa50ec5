//! Settles messages of the quarantine queue, for `clientele quarantine` and the page.
//!
//! Each event goes through the same conditional write as a delivery, so settling it again changes nothing.

use std::collections::BTreeMap;
use std::fmt::Display;

use anyhow::{Context, Result};
use aws_sdk_sqs::types::{Message, MessageSystemAttributeName};
use clientele_aws::{Clients, Resources, read_kept_message};
use clientele_flow::Deadlines;
use clientele_model::{
    CustomerEvent, Item, KeptDelivery, Outcome, Provider, Translated, Translation, Verified, parse_json,
};
use clientele_providers::PROVIDERS;
use futures_util::StreamExt;
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::customers_table::CustomersTable;
use crate::json_diff::{self, Difference};
use crate::queue_browser::{id, number};
use crate::terminal::visible;

/// How long a message is hidden from other consumers while it is worked on, in seconds.
pub const HIDDEN_SECONDS: i32 = 120;
/// Attributes that differ between any two items of a customer, so that listing them says nothing.
const ALWAYS_DIFFERENT: [&str; 3] = ["rank", "updated_at", "last_event"];
/// A message with more events is summarized instead of printing a line for each event.
const LINES_MAX: usize = 20;
/// How many items are read at a time.
const CONCURRENT_READS: usize = 8;

/// What a message says without personal data.
#[must_use]
pub fn summary(message: &Message) -> Value {
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

/// The kept delivery of a message, for people: a body that is JSON is JSON instead of text.
#[must_use]
pub fn content(message: &Message) -> Value {
    let text = message.body().unwrap_or_default();
    let mut content: Value = serde_json::from_str(text).unwrap_or_else(|_| text.into());
    if let Some(body) = content.get("body").and_then(Value::as_str).and_then(|body| parse_json(body.as_bytes())) {
        content["body"] = body;
    }
    content
}

/// Why a message cannot be read, if it cannot.
#[must_use]
pub fn problem(message: &Message) -> Option<String> {
    let kept = read_kept_message(message.body().unwrap_or_default(), PROVIDERS);
    kept.err().map(|error| error.to_string())
}

fn unsettled_events(provider: &Provider, verified: &Verified) -> usize {
    let translations = (provider.translate)(verified);
    translations.iter().filter(|translation| !matches!(translation, Ok(Translated::AlreadySettled))).count()
}

/// The outcomes of a message's events.
#[derive(Debug)]
pub struct MessageResult {
    /// One per event; none if the message cannot be read.
    pub outcomes: Vec<Outcome>,
    /// One line per event, or one per outcome if there are many.
    pub text: String,
    /// Whether the message could be read at all.
    is_readable: bool,
}

impl MessageResult {
    fn of(events: impl IntoIterator<Item = (Outcome, String)>) -> Self {
        let events: Vec<_> = events.into_iter().collect();
        let line = |outcome: Outcome, detail: &str| format!("  {:<12}{}", outcome.as_str(), visible(detail));
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

    fn unreadable(error: &impl Display) -> Self {
        Self { outcomes: vec![], text: format!("  {error}"), is_readable: false }
    }

    /// Whether the message can be deleted.
    #[must_use]
    pub fn is_settled(&self) -> bool {
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
#[derive(Debug)]
pub struct Settler {
    clients: Clients,
    resources: Resources,
}

impl Settler {
    /// A settler for that stack.
    #[must_use]
    pub fn new(clients: Clients, resources: Resources) -> Self {
        Self { clients, resources }
    }

    /// Settles the events of a message. The message stays on the queue.
    pub async fn settle(&self, message: &Message) -> MessageResult {
        let (provider, verified) = match read_kept_message(message.body().unwrap_or_default(), PROVIDERS) {
            Ok(kept) => kept,
            Err(error) => return MessageResult::unreadable(&error),
        };
        let mut predictions = self.predictions(provider, &verified).await;
        let flow = self.clients.flow(self.resources.clone());
        let settled = flow.settle(provider, &verified, Deadlines::of_redrive(Instant::now(), Timestamp::now())).await;
        MessageResult::of(settled.into_iter().map(|event| {
            let predicted = predictions.remove(&event.place).and_then(Result::ok).map(|(_, detail)| detail);
            (event.outcome, event.reason.or(predicted).unwrap_or_default())
        }))
    }

    /// Changes nothing, and predicts what settling would do.
    pub async fn predict(&self, message: &Message) -> MessageResult {
        let (provider, verified) = match read_kept_message(message.body().unwrap_or_default(), PROVIDERS) {
            Ok(kept) => kept,
            Err(error) => return MessageResult::unreadable(&error),
        };
        let predictions = self.predictions(provider, &verified).await.into_values();
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
