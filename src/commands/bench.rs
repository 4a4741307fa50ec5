//! `clientele bench`: how fast deliveries are settled here, and what a million events cost to write.

use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use clap::Args;
use comfy_table::{CellAlignment, Table, presets};
use indicatif::{ProgressBar, ProgressStyle};
use jiff::Timestamp;
use serde_json::Value;

use crate::events;
use crate::http;
use crate::prices::{AS_OF, PRICES};
use crate::stack::{Captured, Log, Options, Stack};
use crate::synthetic::Synthetic;
use clientele_model::Provider;
use clientele_providers::PROVIDERS;

/// Measure deliveries to the local stack.
///
/// Starts a stack of its own, and sends it customers who do not exist: each is created, then changed. Functions,
/// emulators and senders share this machine, so that the figures are good to be compared with one another, not with AWS.
#[derive(Args, Debug)]
pub struct Bench {
    /// Customers of each provider, with two deliveries each
    #[arg(long, default_value_t = 500, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..))]
    customers: u32,
    /// How many deliveries at a time
    #[arg(long, default_value_t = 16, value_name = "NUMBER", value_parser = clap::value_parser!(u16).range(1..=256))]
    concurrency: u16,
    /// This provider only (repeatable)
    #[arg(long, value_name = "NAME", value_parser = clientele_providers::parse)]
    provider: Vec<&'static Provider>,
    /// The template that says what to make
    #[arg(long, default_value = "template.yaml", value_name = "FILE")]
    template: PathBuf,
    /// The folder of the events
    #[arg(long, default_value = "events", value_name = "FOLDER")]
    events_folder: PathBuf,
}

/// What was seen of a provider.
struct Measured {
    deliveries: usize,
    took: Duration,
    /// Of each delivery, from the sender's side; sorted.
    latencies: Vec<Duration>,
    /// On average: how long the function worked on an event, and what it wrote.
    event_us: f64,
    write_units: f64,
}

/// Runs `clientele bench`.
///
/// # Errors
/// When the local stack cannot start, or a delivery is not accepted.
pub async fn bench(bench: Bench) -> Result<()> {
    let captured = Captured::default();
    let options = Options { log: Log::Memory(captured.clone()), ..Options::ephemeral(bench.template.clone()) };
    let stack = Stack::start(options).await?;
    let mut table = Table::new();
    table.load_style(presets::UTF8_BORDERS_ONLY);
    table.set_header(["", "deliveries", "a second", "p50 ms", "p99 ms", "us an event", "write units", "US$ a million"]);
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    let all = PROVIDERS.to_vec();
    for provider in if bench.provider.is_empty() { all } else { bench.provider.clone() } {
        let measured = tokio::task::block_in_place(|| measure(&bench, &stack, &captured, provider))?;
        table.add_row(row(provider, &measured));
    }
    anstream::println!("{table}");
    anstream::println!("{} at a time, over HTTP; functions, emulators and senders on this machine.", bench.concurrency);
    if cfg!(debug_assertions) {
        anstream::println!("This is a debug build: cargo run --release -- bench is several times as fast.");
    }
    anstream::println!("US$ for the writes alone, by list prices of {AS_OF}; clientele cost has all the rest.");
    Ok(())
}

fn row(provider: &Provider, measured: &Measured) -> [String; 8] {
    let count = |number: usize| f64::from(u32::try_from(number).unwrap_or(u32::MAX));
    let percentile = |percent: usize| {
        let at = (measured.latencies.len() * percent / 100).min(measured.latencies.len().saturating_sub(1));
        measured.latencies.get(at).map_or("-".to_owned(), |latency| format!("{:.2}", latency.as_secs_f64() * 1e3))
    };
    let usd = PRICES.iter().find(|price| price.name == "dynamodb-write").map_or(0.0, |price| price.usd / price.per);
    [
        provider.name.to_owned(),
        measured.deliveries.to_string(),
        format!("{:.0}", count(measured.deliveries) / measured.took.as_secs_f64()),
        percentile(50),
        percentile(99),
        format!("{:.0}", measured.event_us),
        format!("{:.2}", measured.write_units),
        format!("{:.2}", measured.write_units * usd * 1e6),
    ]
}

fn measure(bench: &Bench, stack: &Stack, captured: &Captured, provider: &'static Provider) -> Result<Measured> {
    let customers = customers(bench, stack, provider)?;
    let deliveries = customers.len() * 2;
    let bar = ProgressBar::new(u64::try_from(deliveries)?).with_prefix(provider.name);
    bar.set_style(ProgressStyle::with_template("{prefix:10} {bar:40} {pos}/{len} {per_sec}")?);
    drop(captured.take());

    let (url, next, started) = (stack.url(), AtomicUsize::new(0), Instant::now());
    let work = || {
        let mut latencies = vec![];
        while let Some(customer) = customers.get(next.fetch_add(1, Ordering::Relaxed)) {
            for event in customer {
                let sent = Instant::now();
                let answer = http::deliver(&url, event, None)?;
                ensure!(answer.status == 200, "{}: answered {} {}", provider.name, answer.status, answer.body);
                latencies.push(sent.elapsed());
                bar.inc(1);
            }
        }
        Ok(latencies)
    };
    let sent: Result<Vec<_>> = std::thread::scope(|scope| {
        let senders: Vec<_> = (0..bench.concurrency).map(|_| scope.spawn(work)).collect();
        let joined = senders.into_iter().map(|sender| sender.join().ok().context("a sender has crashed")?);
        joined.collect()
    });
    let took = started.elapsed();
    bar.finish_and_clear();
    let mut latencies = sent?.concat();
    latencies.sort_unstable();

    let (mut events, mut event_us, mut write_units) = (0.0, 0.0, 0.0);
    for line in captured.take().lines() {
        let line: Value = serde_json::from_str(line)?;
        let number = |name: &str| line[name].as_str().and_then(|text| text.parse::<f64>().ok()).unwrap_or_default();
        events += 1.0;
        event_us += number("duration_ms") * 1e3;
        write_units += number("write_units");
    }
    ensure!(events > 0.0, "{}: the function wrote no line", provider.name);
    let (event_us, write_units) = (event_us / events, write_units / events);
    Ok(Measured { deliveries, took, latencies, event_us, write_units })
}

/// The two events of each customer, signed.
fn customers(bench: &Bench, stack: &Stack, provider: &'static Provider) -> Result<Vec<[Value; 2]>> {
    let load = |name| events::load_one(&bench.events_folder, provider, name);
    let (created, updated) = (load("customer-created")?, load("customer-updated")?);
    let (scheme, secret) = stack.proof(provider)?;
    let now = Timestamp::now();
    let customer = |_| {
        let synthetic = Synthetic::of(&[&created, &updated])?;
        let event = |case| anyhow::Ok(synthetic.apply(case)?.fresh(&scheme, &secret, now)?.event);
        Ok([event(&created)?, event(&updated)?])
    };
    (0..bench.customers).map(customer).collect()
}
