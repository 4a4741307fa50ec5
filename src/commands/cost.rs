//! `clientele cost`: estimates what a month of events costs on AWS, from what they consume locally and from list prices.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use clap::Args;
use clientele_aws::{HttpEvent, Invocation};
use clientele_model::Provider;
use clientele_providers::PROVIDERS;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::change_feed_consumption::ChangeFeedConsumption;
use crate::events::{Case, EventFiles, signed_at};
use crate::exit_code::ExitCode;
use crate::log_consumption::{LINE_OVERHEAD_BYTES, LineConsumption};
use crate::prices::{AS_OF, PRICES, Price};
use crate::stack::{CapturedLog, LocalStack, LogOutput, StackOptions};
use crate::template::Template;
use crate::terminal::{self, Progress};
use crate::text_table::TextTable;

/// Size of a line of the access log with typical values.
const ACCESS_LOG_BYTES: f64 = 420.0;
/// Send, receive and delete.
const REQUESTS_PER_MESSAGE: f64 = 3.0;
/// Lambda traces the first request of every second, and this share of the others.
const TRACED_SHARE: f64 = 0.05;
const SECONDS_PER_MONTH: f64 = 30.0 * 24.0 * 60.0 * 60.0;

/// Estimate what a month of events costs on AWS.
///
/// The event files are delivered to a local stack, which counts what they consume: write units as DynamoDB reports them,
/// bytes of log, messages and metrics. The change feed is computed as if every change were a batch of its own. The prices
/// are list prices of one region; set your own with --price.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  clientele cost --events 200000
  clientele cost --arm --price dynamodb-write=0.7051 --json

With --json, the result is an object with `events` (per month and provider), `prices_as_of`, `consumption` (per \
provider and kind of event: `write_units`, `log_bytes`), `monthly_usd` (per provider: the cost of each service, and \
`total`) and `fixed_usd` (the cost of each kind of resource, and `total`). With --prices, each line is an object with \
`name`, `usd`, `per`, `unit` and `source`.")]
pub struct Cost {
    /// Events per month and provider
    #[arg(long, default_value_t = 1_000_000, value_name = "NUMBER")]
    events: u64,
    /// Percentage of events that create a customer
    #[arg(long, default_value_t = 10, value_name = "PERCENT")]
    created: u8,
    /// Percentage of events that delete a customer; all others are updates
    #[arg(long, default_value_t = 2, value_name = "PERCENT")]
    deleted: u8,
    /// How long a function takes per event on AWS, in milliseconds. This cannot be measured locally; the dashboard
    /// shows it
    #[arg(long, default_value_t = 15.0, value_name = "MS")]
    duration_ms: f64,
    /// Use the prices of arm64 functions
    #[arg(long)]
    arm: bool,
    /// Replace a price, as in dynamodb-write=0.7051 (repeatable; --prices lists the names)
    #[arg(long, value_name = "NAME=USD", value_parser = price)]
    price: Vec<(&'static str, f64)>,
    /// List the prices and their sources
    #[arg(long)]
    prices: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// A template to create the stack from instead of the embedded one
    #[arg(long, value_name = "FILE")]
    template: Option<PathBuf>,
    /// A folder with event files to use instead of the embedded ones
    #[arg(long = "events-folder", value_name = "FOLDER")]
    events_folder: Option<PathBuf>,
}

fn price(text: &str) -> Result<(&'static str, f64), String> {
    let (name, usd) = text.split_once('=').ok_or("expected <name>=<US dollars>")?;
    let price = PRICES.iter().find(|price| price.name == name);
    let price = price.ok_or_else(|| {
        format!("there is no price `{name}`; there are {}", PRICES.map(|price| price.name).join(", "))
    })?;
    match usd.parse() {
        Ok(usd) if usd >= 0.0 => Ok((price.name, usd)),
        _ => Err(format!("`{usd}` is not a price")),
    }
}

/// What one event consumes.
#[derive(Clone, Copy, Debug, Default)]
struct Consumption {
    write_units: f64,
    log_bytes: f64,
    messages: f64,
}

impl Consumption {
    fn add(self, share: f64, other: Self) -> Self {
        Self {
            write_units: self.write_units + share * other.write_units,
            log_bytes: self.log_bytes + share * other.log_bytes,
            messages: self.messages + share * other.messages,
        }
    }
}

/// What the events of a provider consume.
#[derive(Debug)]
struct ProviderConsumption {
    provider: &'static Provider,
    created: Consumption,
    updated: Consumption,
    /// Not every provider reports deletions.
    deleted: Option<Consumption>,
    /// Every metric with its dimensions, as text.
    metrics: BTreeSet<String>,
}

/// What everything consumes.
struct Measured<'a> {
    providers: Vec<ProviderConsumption>,
    /// Absent if the template has no change feed by default.
    feed: Option<ChangeFeedConsumption>,
    template: &'a Template,
}

/// Runs `clientele cost`.
///
/// # Errors
/// When the local stack cannot start, or the percentages exceed 100.
pub async fn cost(cost: Cost) -> Result<()> {
    if cost.prices {
        print_prices(cost.json);
        return Ok(());
    }
    if cost.created.saturating_add(cost.deleted) > 100 {
        bail!(ExitCode::Usage.error("--created and --deleted together exceed 100 percent"));
    }
    let captured = CapturedLog::default();
    let log = LogOutput::Memory(captured.clone());
    let options = StackOptions { log, ..StackOptions::ephemeral(cost.template.clone()) };
    let stack = LocalStack::start(options).await?;
    let cases = EventFiles::from(cost.events_folder.clone()).load()?;
    let progress = terminal::progress("events measured", Some(cases.len()));
    let feed = ChangeFeedConsumption::measure(&stack, &captured).await?;
    let mut providers = vec![];
    for &provider in PROVIDERS {
        providers.push(measure(&stack, &captured, provider, &cases, &progress).await?);
    }
    drop(progress);
    let measured = Measured { providers, feed, template: &stack.template };
    if cost.json {
        terminal::json(&as_json(&cost, &measured));
        return Ok(());
    }
    terminal::line(format!("Consumption per event\n{}\n", consumption(&measured.providers)));
    let monthly = monthly(&cost, &measured);
    terminal::line(format!("Cost per month of {} events per provider, in US$\n{monthly}\n", cost.events));
    terminal::line(format!("Fixed cost per month, in US$\n{}\n", fixed(&cost, &measured)));
    terminal::line(format!("List prices of {AS_OF}. --prices lists them, --price replaces one."));
    terminal::line("Not included: storage of table, backups and logs, reads by your systems, your own KMS keys.");
    Ok(())
}

async fn measure(
    stack: &LocalStack,
    captured: &CapturedLog,
    provider: &'static Provider,
    cases: &[Case],
    progress: &Progress,
) -> Result<ProviderConsumption> {
    let (mut by_case, mut metrics) = (BTreeMap::new(), BTreeSet::new());
    for case in cases.iter().filter(|case| case.provider.name == provider.name) {
        let event = HttpEvent::deserialize(&case.event)?;
        let invocation = Invocation {
            request_id: "00000000-0000-0000-0000-000000000000".into(),
            trace_id: None,
            received_at: signed_at(),
        };
        stack.receivers[provider.name].handle(event, &invocation).await;
        let text = captured.take();
        let mut consumed =
            Consumption { messages: f64::from(u32::try_from(case.expected.cleanup.len())?), ..Consumption::default() };
        for line in text.lines() {
            let json: Value = serde_json::from_str(line)?;
            let units = json["write_units"].as_str().and_then(|units| units.parse::<f64>().ok());
            consumed.write_units += units.unwrap_or_default();
            let of_line = LineConsumption::of(line, &json)?;
            consumed.log_bytes += of_line.bytes;
            // CloudWatch charges for a metric only in the hours in which it is written, and unknown fields are rare.
            if json["UnknownFields"].is_null() {
                metrics.extend(of_line.metrics);
            }
        }
        by_case.insert(case.name.as_str(), consumed);
        progress.advance(1);
    }
    let optional = |name: &str| by_case.get(name).copied();
    let required = |name: &str| optional(name).with_context(|| format!("{} has no event {name}", provider.name));
    Ok(ProviderConsumption {
        provider,
        created: required("customer-created")?,
        updated: required("customer-updated")?,
        deleted: optional("customer-deleted"),
        metrics,
    })
}

impl Cost {
    /// The price of that many units in US dollars.
    fn usd(&self, name: &str, units: f64) -> f64 {
        let Some(price) = PRICES.iter().find(|price| price.name == name) else { return 0.0 };
        let replaced = self.price.iter().rev().find(|(other, _)| *other == name);
        replaced.map_or(price.usd, |(_, usd)| *usd) * units / price.per
    }

    /// What an event consumes on average.
    fn average(&self, measured: &ProviderConsumption) -> Consumption {
        let share = |percent: u8| f64::from(percent) / 100.0;
        let (created, deleted) = (share(self.created), measured.deleted.map_or(0.0, |_| share(self.deleted)));
        Consumption::default()
            .add(created, measured.created)
            .add(deleted, measured.deleted.unwrap_or_default())
            .add(1.0 - created - deleted, measured.updated)
    }

    /// The cost of a provider's events by service.
    fn lines(&self, of: &Measured<'_>, measured: &ProviderConsumption) -> [(&'static str, f64); 8] {
        #[expect(clippy::cast_precision_loss, reason = "exact up to 2^53 events")]
        let events = self.events as f64;
        let consumed = self.average(measured);
        let memory_mb = of.template.memory_mb;
        // A delete writes twice: the tombstone, and the end of its cleanup, which changes nothing that is announced.
        let batches = events * (1.0 + consumed.messages);
        let feed = of.feed.as_ref().map_or(0.0, |feed| {
            self.usd("custom-events", events) + self.usd_of_calls(batches, feed.log_bytes, memory_mb)
        });
        let access_log_bytes = ACCESS_LOG_BYTES + LINE_OVERHEAD_BYTES;
        [
            ("API Gateway", self.usd("api-requests", events)),
            ("Lambda, calls", self.usd("lambda-requests", events)),
            ("Lambda, time", self.usd_of_time(events, memory_mb)),
            ("DynamoDB, writes", self.usd("dynamodb-write", events * consumed.write_units)),
            ("SQS, cleanup", self.usd("sqs-requests", events * consumed.messages * REQUESTS_PER_MESSAGE)),
            ("CloudWatch, logs", self.usd_of_logs(events, consumed.log_bytes + access_log_bytes)),
            ("X-Ray, traces", self.usd_of_traces(events)),
            ("Change feed", feed),
        ]
    }

    /// The cost of a function that is called so often and writes a line each time.
    fn usd_of_calls(&self, calls: f64, log_bytes: f64, memory_mb: u32) -> f64 {
        self.usd("lambda-requests", calls)
            + self.usd_of_time(calls, memory_mb)
            + self.usd_of_logs(calls, log_bytes)
            + self.usd_of_traces(calls)
    }

    fn usd_of_time(&self, calls: f64, memory_mb: u32) -> f64 {
        let gb_seconds = calls * self.duration_ms / 1e3 * f64::from(memory_mb) / 1024.0;
        self.usd(if self.arm { "lambda-arm" } else { "lambda-x86" }, gb_seconds)
    }

    fn usd_of_logs(&self, calls: f64, bytes: f64) -> f64 {
        self.usd("logs", calls * bytes / f64::from(1 << 30))
    }

    fn usd_of_traces(&self, calls: f64) -> f64 {
        let rate = calls / SECONDS_PER_MONTH;
        // The share of seconds with at least one call, if calls come at random times.
        let first_of_a_second = 1.0 - (-rate).exp();
        self.usd("traces", (first_of_a_second + TRACED_SHARE * (rate - first_of_a_second)) * SECONDS_PER_MONTH)
    }
}

/// A table with a column for each provider.
fn table_by_provider(measured: &[ProviderConsumption]) -> TextTable {
    let names = measured.iter().map(|measured| measured.provider.name);
    let mut table = TextTable::new([""].into_iter().chain(names).collect::<Vec<_>>());
    table.align_right(1);
    table
}

fn consumption(measured: &[ProviderConsumption]) -> TextTable {
    let mut table = table_by_provider(measured);
    let kinds = ["created", "updated", "deleted"];
    for (number, kind) in kinds.into_iter().enumerate() {
        let cells = |what: fn(Consumption) -> f64| {
            measured.iter().map(move |measured| {
                let of_kind = [Some(measured.created), Some(measured.updated), measured.deleted][number];
                of_kind.map_or("-".to_owned(), |it| what(it).to_string())
            })
        };
        table.add_row([format!("{kind}: write units")].into_iter().chain(cells(|it| it.write_units)));
        table.add_row([format!("{kind}: bytes of log")].into_iter().chain(cells(|it| it.log_bytes)));
    }
    table
}

fn monthly(cost: &Cost, measured: &Measured<'_>) -> TextTable {
    let mut table = table_by_provider(&measured.providers);
    let columns: Vec<_> = measured.providers.iter().map(|provider| cost.lines(measured, provider)).collect();
    for row in 0..columns.first().map_or(0, |column| column.len()) {
        let cells = columns.iter().map(|column| format!("{:.2}", column[row].1));
        table.add_row([columns[0][row].0.to_owned()].into_iter().chain(cells));
    }
    let sums = columns.iter().map(|column| format!("{:.2}", column.iter().map(|(_, usd)| usd).sum::<f64>()));
    table.add_row(["total".to_owned()].into_iter().chain(sums));
    table
}

/// What is paid for every month: what it is, how many there are, and their cost in US dollars.
fn fixed_lines(cost: &Cost, measured: &Measured<'_>) -> [(&'static str, usize, f64); 4] {
    let resources = |kind: &str| measured.template.resources.get(kind).copied().unwrap_or_default();
    let of_feed = measured.feed.iter().map(|feed| feed.metrics.len());
    let metrics: usize = measured.providers.iter().map(|provider| provider.metrics.len()).chain(of_feed).sum();
    let lines = [
        ("metrics of alarms", measured.template.alarm_metrics, "alarms"),
        ("secrets", resources("AWS::SecretsManager::Secret"), "secrets"),
        ("dashboards", resources("AWS::CloudWatch::Dashboard"), "dashboards"),
        // Metrics are charged by the hours in which they are written. Rare outcomes are not in the event files.
        ("metrics, about", metrics, "metrics"),
    ];
    lines.map(|(what, number, price)| {
        (what, number, cost.usd(price, f64::from(u32::try_from(number).unwrap_or(u32::MAX))))
    })
}

fn fixed(cost: &Cost, measured: &Measured<'_>) -> TextTable {
    let lines = fixed_lines(cost, measured);
    let mut table = TextTable::new(["", "number", "US$"]);
    for (what, number, usd) in lines {
        table.add_row([what.to_owned(), number.to_string(), format!("{usd:.2}")]);
    }
    let sum: f64 = lines.iter().map(|(.., usd)| usd).sum();
    table.add_row(["total".to_owned(), String::new(), format!("{sum:.2}")]);
    table.align_right(1);
    table
}

/// The same results for programs.
fn as_json(cost: &Cost, measured: &Measured<'_>) -> Value {
    let with_total = |lines: Vec<(&str, f64)>| {
        let total = lines.iter().map(|(_, usd)| usd).sum();
        lines
            .into_iter()
            .chain([("total", total)])
            .map(|(name, usd)| (name.to_owned(), Value::from(usd)))
            .collect::<Value>()
    };
    let by_provider = |of: &dyn Fn(&ProviderConsumption) -> Value| {
        measured.providers.iter().map(|it| (it.provider.name.to_owned(), of(it))).collect::<Value>()
    };
    let consumption = |measured: &ProviderConsumption| {
        let kinds =
            [("created", Some(measured.created)), ("updated", Some(measured.updated)), ("deleted", measured.deleted)];
        let kinds = kinds.into_iter().filter_map(|(kind, consumed)| Some((kind.to_owned(), consumed?)));
        kinds.map(|(kind, it)| (kind, json!({ "write_units": it.write_units, "log_bytes": it.log_bytes }))).collect()
    };
    json!({
        "events": cost.events,
        "prices_as_of": AS_OF,
        "consumption": by_provider(&consumption),
        "monthly_usd": by_provider(&|provider| with_total(cost.lines(measured, provider).to_vec())),
        "fixed_usd": with_total(fixed_lines(cost, measured).map(|(what, _, usd)| (what, usd)).to_vec()),
    })
}

fn print_prices(json: bool) {
    let mut table = TextTable::new(["price", "US$", "per", "unit", "source"]);
    for Price { name, usd, per, unit, source } in &PRICES {
        if json {
            terminal::json(&json!({ "name": name, "usd": usd, "per": per, "unit": unit, "source": source }));
        }
        table.add_row([*name, &usd.to_string(), &per.to_string(), unit, source]);
    }
    if !json {
        terminal::line(format!("{table}\n{AS_OF}"));
    }
}
