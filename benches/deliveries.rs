//! Measures deliveries to the local stack: `cargo bench --package clientele --bench deliveries -- --help`.
//!
//! Each synthetic customer is created and then changed. Functions, emulators and senders share this machine, so the
//! figures can be compared with one another, but not with AWS.

#![allow(dead_code, reason = "a test includes this file, to keep it working")]

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use clap::Parser;
use clientele::events::EventFiles;
use clientele::http;
use clientele::prices::{AS_OF, PRICES};
use clientele::stack::{CapturedLog, LocalStack, LogOutput, StackOptions};
use clientele::synthetic::SyntheticCustomer;
use clientele::template::TemplateSource;
use clientele::terminal;
use clientele::text_table::TextTable;
use clientele_model::Provider;
use clientele_providers::PROVIDERS;
use indicatif::{ProgressBar, ProgressStyle};
use jiff::Timestamp;
use serde_json::Value;

/// Measure deliveries to a local stack.
#[derive(Debug, Parser)]
pub(crate) struct Options {
    /// Passed by `cargo bench`
    #[arg(long, hide = true)]
    bench: bool,
    /// Customers per provider, with two deliveries each
    #[arg(long, default_value_t = 500, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..))]
    customers: u32,
    /// Number of concurrent deliveries
    #[arg(long, default_value_t = 16, value_name = "NUMBER", value_parser = clap::value_parser!(u16).range(1..=256))]
    concurrency: u16,
    /// Measure only this provider (repeatable)
    #[arg(long, value_name = "NAME", value_parser = clientele_providers::parse)]
    provider: Vec<&'static Provider>,
}

/// The figures of one provider.
struct Measured {
    deliveries: usize,
    took: Duration,
    /// The latency of each delivery as the sender sees it, sorted.
    latencies: Vec<Duration>,
    /// The average time that the function takes per event, in microseconds.
    event_us: f64,
    /// The average number of write units per event.
    write_units: f64,
}

#[tokio::main]
async fn main() -> Result<()> {
    terminal::line(run(&Options::parse()).await?);
    Ok(())
}

/// Measures, and returns the report.
///
/// # Errors
/// When the local stack cannot start, or a delivery is not accepted.
pub(crate) async fn run(options: &Options) -> Result<String> {
    let captured = CapturedLog::default();
    let log = LogOutput::Memory(captured.clone());
    let stack = LocalStack::start(StackOptions { log, ..StackOptions::ephemeral(TemplateSource::Embedded) }).await?;
    let header = ["", "deliveries", "per second", "p50 ms", "p99 ms", "us per event", "write units", "US$ per million"];
    let mut table = TextTable::new(header);
    table.align_right(1);
    let providers = if options.provider.is_empty() { PROVIDERS } else { &options.provider[..] };
    for &provider in providers {
        let measured = tokio::task::block_in_place(|| measure(options, &stack, &captured, provider))?;
        table.add_row(row(provider, &measured));
    }
    Ok(format!(
        "{table}\n{} concurrent deliveries over HTTP; functions, emulators and senders share this machine.\nUS$ for the \
         writes alone, at list prices of {AS_OF}; `clientele cost` has the rest.",
        options.concurrency
    ))
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

fn measure(
    options: &Options,
    stack: &LocalStack,
    captured: &CapturedLog,
    provider: &'static Provider,
) -> Result<Measured> {
    let customers = customers(options, stack, provider)?;
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
                ensure!(answer.status == 200, "{}: the answer is {} {}", provider.name, answer.status, answer.body);
                latencies.push(sent.elapsed());
                bar.inc(1);
            }
        }
        Ok(latencies)
    };
    let sent: Result<Vec<_>> = std::thread::scope(|scope| {
        let senders: Vec<_> = (0..options.concurrency).map(|_| scope.spawn(work)).collect();
        let joined = senders.into_iter().map(|sender| sender.join().ok().context("a sender panicked")?);
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
    ensure!(events > 0.0, "{}: the function logged nothing", provider.name);
    let (event_us, write_units) = (event_us / events, write_units / events);
    Ok(Measured { deliveries, took, latencies, event_us, write_units })
}

/// The two signed events of each customer.
fn customers(options: &Options, stack: &LocalStack, provider: &'static Provider) -> Result<Vec<[Value; 2]>> {
    let load = |name| EventFiles::default().load_one(provider, name);
    let (created, updated) = (load("customer-created")?, load("customer-updated")?);
    let (scheme, secret) = stack.scheme_and_secret(provider)?;
    let now = Timestamp::now();
    let customer = |_| {
        let synthetic = SyntheticCustomer::new(&[&created, &updated])?;
        let event = |case| synthetic.substitute(case)?.sign(&scheme, &secret, now);
        Ok([event(&created)?, event(&updated)?])
    };
    (0..options.customers).map(customer).collect()
}
