//! `clientele erasures`: lists deleted customers, and which systems have not confirmed that they erased their copies.

use std::cmp::Reverse;
use std::num::NonZeroUsize;
use std::ops::ControlFlow;

use anyhow::{Context, Result, bail};
use clap::Args;
use clap::builder::NonEmptyStringValueParser;
use futures_util::{StreamExt, TryStreamExt, stream};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;

use super::{positive, time};
use crate::customers_table::CustomersTable;
use crate::duration_text;
use crate::erasure_state::ErasureState;
use crate::exit_code::ExitCode;
use crate::target::{OpenTarget, Target};
use crate::terminal;
use crate::text_table::{Cell, TextTable};

/// The sparse index of tombstones that wait for receipts.
const OPEN_INDEX: &str = "erasure-open";
/// How many items are read at a time.
const CONCURRENT_READS: usize = 8;
/// How many erasures a table has.
const SHOWN_MAX: usize = 100;

/// List deleted customers, and which systems have not confirmed yet that they erased their copies
///
/// Nothing personal is shown, except for ids of customers. Without --open the whole table is read.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  clientele erasures --open
  clientele erasures --since 2026-11-20 --stack clientele
  clientele erasures --since 2026-11-20 --json --stack clientele > erasures.json

With --json, each line is an object with `pk`, `provider`, `account`, `customer_id`, `deleted_at` (as the provider says), \
`erased_at` (when the delete arrived here), `event_type`, `event_id`, `rank`, `cleanup_due` (when the cleanup message will be \
sent; null if it was sent), `receipts` (by system), `missing` (systems without a receipt; empty if none is waited for) and \
`open_since` (since when a receipt is missing, or null). `clientele erase --from FILE` reads these lines, which is how a table is \
brought up to date that was restored from a backup.")]
pub struct Erasures {
    /// Only those for which a receipt is missing; reads an index instead of the whole table
    #[arg(long)]
    open: bool,
    /// Only deletes that arrived at this time or later, as in 2026-11-28T08:00:00Z or 2026-11-28 (UTC)
    #[arg(long, value_name = "TIME", value_parser = time)]
    since: Option<Timestamp>,
    /// Show at most this many erasures, by default 100: with --open the oldest, otherwise the newest. With --json, all are printed
    #[arg(long, value_name = "NUMBER", value_parser = positive, conflicts_with = "json")]
    limit: Option<NonZeroUsize>,
    /// Print one JSON object per line
    #[arg(long)]
    json: bool,
    /// Read this table in the account of the deployed stack instead of the stack's table, such as a restored one
    #[arg(long, value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    table: Option<String>,
    #[command(flatten)]
    target: Target,
}

/// What is shown of a tombstone.
#[derive(Debug, Serialize)]
struct Erasure {
    pk: Value,
    provider: Value,
    account: Value,
    customer_id: Value,
    deleted_at: Value,
    erased_at: Value,
    event_type: Value,
    event_id: Value,
    rank: Value,
    cleanup_due: Value,
    receipts: Value,
    missing: Vec<String>,
    open_since: Value,
}

impl Erasure {
    fn new(mut item: Value, systems: &[String]) -> Self {
        let mut event = item["last_event"].take();
        let ErasureState { missing, .. } = ErasureState::of(&item, systems);
        let [receipts, open_since] = ["receipts", "erasure_open"].map(|name| item[name].take());
        let [pk, provider, account, customer_id, deleted_at, rank, cleanup_due] =
            ["pk", "provider", "account", "customer_id", "deleted_at", "rank", "cleanup_due"]
                .map(|name| item[name].take());
        let [erased_at, event_type, event_id] = ["received_at", "type", "id"].map(|name| event[name].take());
        Self {
            pk,
            provider,
            account,
            customer_id,
            deleted_at,
            erased_at,
            event_type,
            event_id,
            rank,
            cleanup_due,
            receipts,
            missing,
            open_since,
        }
    }

    /// Since when a receipt is missing, otherwise when the delete arrived.
    fn began_at(&self) -> Option<Timestamp> {
        let time = if self.open_since.is_string() { &self.open_since } else { &self.erased_at };
        time.as_str()?.parse().ok()
    }

    fn arrived_since(&self, since: Option<Timestamp>) -> bool {
        let erased_at: Option<Timestamp> = self.erased_at.as_str().and_then(|time| time.parse().ok());
        since.is_none_or(|since| erased_at.is_none_or(|erased_at| erased_at >= since))
    }
}

/// Runs `clientele erasures`.
///
/// # Errors
/// When the table cannot be read.
pub async fn erasures(erasures: Erasures) -> Result<()> {
    let target = erasures.target.open().await?;
    if erasures.table.is_some() && target.is_local() {
        bail!(ExitCode::Usage.error("--table is for tables on AWS: add --stack NAME"));
    }
    let name = erasures.table.as_deref().unwrap_or(&target.resources.customers_table);
    let table = CustomersTable::new(&target.clients.dynamodb, name);
    let mut found = vec![];
    let visit = |item: Value| {
        let erasure = Erasure::new(item, &target.erasure_systems);
        if !erasure.arrived_since(erasures.since) {
            return;
        }
        if erasures.json { terminal::json(&erasure) } else { found.push(erasure) }
    };
    let read = if erasures.open { read_open(&table, visit).await } else { read_all(&table, visit).await };
    read.with_context(|| target.cannot_read("the table"))?;
    if !erasures.json {
        print(&erasures, &target, found);
    }
    Ok(())
}

async fn read_all(table: &CustomersTable, mut visit: impl FnMut(Value)) -> Result<()> {
    let progress = terminal::progress("customers read:", None);
    let visit_page = |items: Vec<Value>, read| {
        items.into_iter().for_each(&mut visit);
        progress.advance(read);
        ControlFlow::Continue(())
    };
    table.scan_pages(&[("status", "deleted")], visit_page).await
}

/// The index may lag behind the table, so the items decide.
async fn read_open(table: &CustomersTable, mut visit: impl FnMut(Value)) -> Result<()> {
    let pks = table.keys_of_index(OPEN_INDEX).await?;
    let progress = terminal::progress("erasures read", Some(pks.len()));
    let mut items = stream::iter(pks).map(async |pk| table.item(&pk).await).buffered(CONCURRENT_READS);
    while let Some(item) = items.try_next().await? {
        progress.advance(1);
        item.into_iter().filter(|item| item["erasure_open"].is_string()).for_each(&mut visit);
    }
    Ok(())
}

fn print(erasures: &Erasures, target: &OpenTarget, mut found: Vec<Erasure>) {
    if found.is_empty() {
        terminal::note("There are no such erasures.");
        return;
    }
    if erasures.open {
        found.sort_by_key(Erasure::began_at);
    } else {
        found.sort_by_key(|erasure| Reverse(erasure.began_at()));
    }
    let (total, limit) = (found.len(), erasures.limit.map_or(SHOWN_MAX, NonZeroUsize::get));
    found.truncate(limit);
    terminal::line(as_table(&found, Timestamp::now()));
    if found.len() < total {
        let which = if erasures.open { "the oldest" } else { "the newest" };
        terminal::note(format!("{limit} of {total} erasures, {which}; --limit NUMBER shows more"));
    }
    if erasures.open && target.erasure_systems.is_empty() {
        terminal::note(
            "The stack names no systems that confirm erasures any more, so it is not known which are missing.",
        );
    }
}

fn as_table(erasures: &[Erasure], now: Timestamp) -> TextTable {
    let mut table = TextTable::new(["pk", "arrived", "event", "cleanup message", "missing", "age"]);
    for erasure in erasures {
        let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
        let message = erasure.cleanup_due.as_str().map_or("sent".to_owned(), |due| format!("not sent, due {due}"));
        let age = erasure.began_at().map(|time| u64::try_from(now.duration_since(time).as_secs()).unwrap_or_default());
        table.add_row([
            Cell::from(text(&erasure.pk)),
            text(&erasure.erased_at).into(),
            text(&erasure.event_type).into(),
            message.into(),
            erasure.missing.join(", ").into(),
            age.map(duration_text::rounded_down).unwrap_or_default().into(),
        ]);
    }
    table
}
