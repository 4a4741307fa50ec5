//! `clientele cost`: what a month of events costs, from what they consume here and a table of list prices.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use clap::Args;
use clientele_aws::{HttpEvent, Invocation};
use clientele_model::Provider;
use clientele_providers::PROVIDERS;
use comfy_table::{CellAlignment, Table, presets};
use serde_json::Value;

use crate::events::{self, Case, signed_at};
use crate::prices::{AS_OF, PRICES};
use crate::stack::{Captured, Log, Options, Stack};

/// A line of the access log, with typical values; and what CloudWatch adds to each line.
const ACCESS_LOG_BYTES: f64 = 420.0;
const LINE_OVERHEAD_BYTES: f64 = 26.0;
const DURATION_DIGITS: usize = "12.345".len();
/// A send, and what a consumer of the message does: receive and delete.
const REQUESTS_OF_A_MESSAGE: f64 = 3.0;
/// Lambda traces the first request of every second, and of the others this share.
const TRACED: f64 = 0.05;
const SECONDS_OF_A_MONTH: f64 = 30.0 * 24.0 * 60.0 * 60.0;

/// Show what a month of events costs on AWS.
///
/// The event files are delivered to the local stack, and what they consume is counted: write units as DynamoDB tells
/// them, bytes of log, messages, metrics. Prices are list prices of one region; say yours with --price.
#[derive(Args, Debug)]
pub struct Cost {
    /// Events a month, of each provider
    #[arg(long, default_value_t = 1_000_000, value_name = "NUMBER")]
    events: u64,
    /// How many of 100 events create a customer
    #[arg(long, default_value_t = 10, value_name = "PERCENT")]
    created: u8,
    /// How many of 100 events delete one; all others are updates
    #[arg(long, default_value_t = 2, value_name = "PERCENT")]
    deleted: u8,
    /// How long a function works on an event on AWS, in milliseconds: the one thing that is not measured here. The
    /// dashboard has it
    #[arg(long, default_value_t = 15.0, value_name = "MS")]
    duration_ms: f64,
    /// Functions on arm64
    #[arg(long)]
    arm: bool,
    /// Another price, as in dynamodb-write=0.7051 (repeatable; --prices has the names)
    #[arg(long, value_name = "NAME=USD", value_parser = price)]
    price: Vec<(&'static str, f64)>,
    /// Show the table of prices and where they are from
    #[arg(long)]
    prices: bool,
    /// The template that says what to make
    #[arg(long, default_value = "template.yaml", value_name = "FILE")]
    template: PathBuf,
    /// The folder of the events
    #[arg(long, default_value = "events", value_name = "FOLDER")]
    events_folder: PathBuf,
}

fn price(text: &str) -> Result<(&'static str, f64), String> {
    let (name, usd) = text.split_once('=').ok_or("expected <name>=<US dollars>")?;
    let known = PRICES.iter().find(|price| price.name == name);
    let known = known.ok_or_else(|| {
        format!("there is no price `{name}`; there are {}", PRICES.map(|price| price.name).join(", "))
    })?;
    match usd.parse() {
        Ok(usd) if usd >= 0.0 => Ok((known.name, usd)),
        _ => Err(format!("`{usd}` is no price")),
    }
}

/// What one event consumes.
#[derive(Clone, Copy, Debug, Default)]
struct Consumed {
    write_units: f64,
    log_bytes: f64,
    messages: f64,
}

impl Consumed {
    fn plus(self, share: f64, other: Self) -> Self {
        Self {
            write_units: self.write_units + share * other.write_units,
            log_bytes: self.log_bytes + share * other.log_bytes,
            messages: self.messages + share * other.messages,
        }
    }
}

/// What the events of a provider consume.
#[derive(Debug)]
struct Measured {
    provider: &'static Provider,
    created: Consumed,
    updated: Consumed,
    /// Not every provider deletes.
    deleted: Option<Consumed>,
    /// Every metric with its dimensions.
    metrics: BTreeSet<String>,
}

/// Runs `clientele cost`.
///
/// # Errors
/// When the local stack cannot start, or the shares are more than the whole.
pub async fn cost(cost: Cost) -> Result<()> {
    if cost.prices {
        anstream::println!("{}\n{AS_OF}", price_table());
        return Ok(());
    }
    if cost.created.saturating_add(cost.deleted) > 100 {
        bail!("--created and --deleted are more than 100 percent");
    }
    let captured = Captured::default();
    let options = Options { log: Log::Memory(captured.clone()), ..Options::ephemeral(cost.template.clone()) };
    let stack = Stack::start(options).await?;
    let cases = events::load(&cost.events_folder)?;
    let mut measured = vec![];
    for &provider in PROVIDERS {
        measured.push(measure(&stack, &captured, provider, &cases).await?);
    }
    anstream::println!("What an event consumes\n{}\n", consumption(&measured));
    anstream::println!(
        "A month with {} events of each provider, in US$\n{}\n",
        cost.events,
        monthly(&cost, &measured, &stack)
    );
    anstream::println!("A month without any event, in US$\n{}\n", fixed(&cost, &measured, &stack));
    anstream::println!("List prices of {AS_OF}: --prices shows them, --price sets others.");
    anstream::println!("Not in it: storage of table, backups and logs, what your systems read, keys of your own.");
    Ok(())
}

async fn measure(stack: &Stack, captured: &Captured, provider: &'static Provider, cases: &[Case]) -> Result<Measured> {
    let (mut by_case, mut metrics) = (BTreeMap::new(), BTreeSet::new());
    for case in cases.iter().filter(|case| case.provider.name == provider.name) {
        let event: HttpEvent = serde_json::from_value(case.event.clone())?;
        let invocation = Invocation {
            request_id: "00000000-0000-0000-0000-000000000000".into(),
            trace_id: None,
            received_at: signed_at(),
        };
        stack.receivers[provider.name].handle(event, &invocation).await;
        let text = captured.take();
        let mut consumed =
            Consumed { messages: f64::from(u32::try_from(case.expected.cleanup.len())?), ..Consumed::default() };
        for line in text.lines() {
            let json: Value = serde_json::from_str(line)?;
            let units = json["write_units"].as_str().and_then(|units| units.parse::<f64>().ok());
            consumed.write_units += units.unwrap_or_default();
            // How long it took is not the same twice, nor how many digits that has.
            let digits = json["duration_ms"].as_str().map_or(0, str::len);
            consumed.log_bytes +=
                f64::from(u32::try_from(line.len() - digits + DURATION_DIGITS)?) + LINE_OVERHEAD_BYTES;
            metrics.extend(metrics_of(&json));
        }
        by_case.insert(case.name.as_str(), consumed);
    }
    let of = |name: &str| by_case.get(name).copied();
    let needed = |name: &str| of(name).with_context(|| format!("{} has no event {name}", provider.name));
    Ok(Measured {
        provider,
        created: needed("customer-created")?,
        updated: needed("customer-updated")?,
        deleted: of("customer-deleted"),
        metrics,
    })
}

/// The metrics that CloudWatch makes of a line: each name once for each set of dimensions.
fn metrics_of(line: &Value) -> Vec<String> {
    let mut metrics = vec![];
    for directive in line["_aws"]["CloudWatchMetrics"].as_array().into_iter().flatten() {
        for set in directive["Dimensions"].as_array().into_iter().flatten() {
            let names = set.as_array().into_iter().flatten().filter_map(Value::as_str);
            let Some(values) = names.map(|name| line[name].as_str()).collect::<Option<Vec<_>>>() else { continue };
            let listed = directive["Metrics"].as_array().into_iter().flatten();
            let present = listed.filter_map(|metric| metric["Name"].as_str()).filter(|name| line[*name].is_number());
            metrics.extend(present.map(|name| format!("{name} {}", values.join(" "))));
        }
    }
    metrics
}

impl Cost {
    /// US dollars for so many units.
    fn usd(&self, name: &str, units: f64) -> f64 {
        let Some(price) = PRICES.iter().find(|price| price.name == name) else { return 0.0 };
        let other = self.price.iter().rev().find(|(known, _)| *known == name);
        other.map_or(price.usd, |(_, usd)| *usd) * units / price.per
    }

    /// What an event consumes on average.
    fn average(&self, measured: &Measured) -> Consumed {
        let share = |percent: u8| f64::from(percent) / 100.0;
        let (created, deleted) = (share(self.created), measured.deleted.map_or(0.0, |_| share(self.deleted)));
        Consumed::default()
            .plus(created, measured.created)
            .plus(deleted, measured.deleted.unwrap_or_default())
            .plus(1.0 - created - deleted, measured.updated)
    }

    /// What the events of a provider cost, line by line.
    fn lines(&self, measured: &Measured, memory_mb: u32) -> [(&'static str, f64); 7] {
        #[expect(clippy::cast_precision_loss, reason = "nobody has so many events")]
        let events = self.events as f64;
        let consumed = self.average(measured);
        let gb_seconds = events * self.duration_ms / 1e3 * f64::from(memory_mb) / 1024.0;
        let log_gb = events * (consumed.log_bytes + ACCESS_LOG_BYTES + LINE_OVERHEAD_BYTES) / f64::from(1 << 30);
        let rate = events / SECONDS_OF_A_MONTH;
        // Seconds in which there is an event, if they come when they like.
        let first_of_a_second = 1.0 - (-rate).exp();
        let traces = (first_of_a_second + TRACED * (rate - first_of_a_second)) * SECONDS_OF_A_MONTH;
        [
            ("API Gateway", self.usd("api-requests", events)),
            ("Lambda, calls", self.usd("lambda-requests", events)),
            ("Lambda, time", self.usd(if self.arm { "lambda-arm" } else { "lambda-x86" }, gb_seconds)),
            ("DynamoDB, writes", self.usd("dynamodb-write", events * consumed.write_units)),
            ("SQS, cleanup", self.usd("sqs-requests", events * consumed.messages * REQUESTS_OF_A_MESSAGE)),
            ("CloudWatch, logs", self.usd("logs", log_gb)),
            ("X-Ray, traces", self.usd("traces", traces)),
        ]
    }
}

fn new_table<'a>(measured: &'a [Measured]) -> Table {
    let mut table = Table::new();
    let names = measured.iter().map(|measured| measured.provider.name);
    table.load_style(presets::UTF8_BORDERS_ONLY).set_header([""].into_iter().chain(names).collect::<Vec<&'a str>>());
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

fn consumption(measured: &[Measured]) -> Table {
    let mut table = new_table(measured);
    let kinds = ["created", "updated", "deleted"];
    for (number, kind) in kinds.into_iter().enumerate() {
        let cells = |what: fn(Consumed) -> f64| {
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

fn monthly(cost: &Cost, measured: &[Measured], stack: &Stack) -> Table {
    let mut table = new_table(measured);
    let columns: Vec<_> = measured.iter().map(|measured| cost.lines(measured, stack.template.memory_mb)).collect();
    for row in 0..columns.first().map_or(0, |column| column.len()) {
        let cells = columns.iter().map(|column| format!("{:.2}", column[row].1));
        table.add_row([columns[0][row].0.to_owned()].into_iter().chain(cells));
    }
    let sums = columns.iter().map(|column| format!("{:.2}", column.iter().map(|(_, usd)| usd).sum::<f64>()));
    table.add_row(["together".to_owned()].into_iter().chain(sums));
    table
}

fn fixed(cost: &Cost, measured: &[Measured], stack: &Stack) -> Table {
    let resources = |kind: &str| stack.template.resources.get(kind).copied().unwrap_or_default();
    let metrics: usize = measured.iter().map(|measured| measured.metrics.len()).sum();
    let lines = [
        ("metrics of alarms", stack.template.alarm_metrics, "alarms"),
        ("secrets", resources("AWS::SecretsManager::Secret"), "secrets"),
        ("dashboards", resources("AWS::CloudWatch::Dashboard"), "dashboards"),
        // Charged for the hours in which they are written; some outcomes are rare, and not in the event files.
        ("metrics, about", metrics, "metrics"),
    ];
    let mut table = Table::new();
    table.load_style(presets::UTF8_BORDERS_ONLY).set_header(["", "number", "US$"]);
    let mut sum = 0.0;
    for (what, number, price) in lines {
        let usd = cost.usd(price, f64::from(u32::try_from(number).unwrap_or(u32::MAX)));
        sum += usd;
        table.add_row([what.to_owned(), number.to_string(), format!("{usd:.2}")]);
    }
    table.add_row(["together".to_owned(), String::new(), format!("{sum:.2}")]);
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

fn price_table() -> Table {
    let mut table = Table::new();
    table.load_style(presets::UTF8_BORDERS_ONLY).set_header(["price", "US$", "for", "of", "source"]);
    for price in &PRICES {
        let (usd, per) = (price.usd.to_string(), price.per.to_string());
        table.add_row([price.name, &usd, &per, price.unit, price.source]);
    }
    table
}
