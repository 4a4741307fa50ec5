//! Measures imports against stand-ins that answer at once: `cargo bench --package clientele --bench import -- --help`.
//!
//! Import, stand-ins and the calls that it is compared with share this machine, so only the ratio is meaningful.

#![allow(dead_code, reason = "a test includes this file, to keep it working")]

mod stand_in;

use std::collections::HashMap;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use aws_sdk_dynamodb::types::AttributeValue;
use clap::{Parser, Subcommand};
use clientele::terminal;
use clientele::text_table::TextTable;
use clientele_api::{ApiKey, ApiUrl, HttpListApi, Limits};
use clientele_aws::{CallTimeouts, Clients, to_attributes};
use clientele_flow::{ImportOptions, RunEnd};
use clientele_providers::listing;
use futures_util::{StreamExt, TryStreamExt, stream};
use jiff::Timestamp;

use stand_in::{StandIn, TABLE};

/// Measure imports.
#[derive(Debug, Parser)]
pub(crate) struct Options {
    /// Passed by `cargo bench`
    #[arg(long, hide = true, global = true)]
    bench: bool,
    #[command(subcommand)]
    command: Option<Command>,
    /// Customers on the list
    #[arg(long, default_value_t = 20_000, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..))]
    customers: u32,
    /// Number of concurrent writes
    #[arg(long, default_value_t = 32, value_name = "NUMBER", value_parser = clap::value_parser!(u16).range(1..=256))]
    concurrency: u16,
    /// How often both are measured
    #[arg(long, default_value_t = 5, value_name = "NUMBER", value_parser = clap::value_parser!(u8).range(1..))]
    rounds: u8,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve list and table until Ctrl-C, for measuring the commands
    Serve {
        /// Customers on the list
        #[arg(long, default_value_t = 1_000_000, value_name = "NUMBER")]
        customers: u32,
        /// The table contains them, too
        #[arg(long)]
        full: bool,
    },
}

#[tokio::main]
async fn main() -> Result<()> {
    let options = Options::parse();
    match options.command {
        None => terminal::line(run(&options).await?),
        Some(Command::Serve { customers, full }) => {
            let stand_in = StandIn { customers, is_full: full, keeps_answers: false };
            terminal::line(format!("Serving {customers} customers. Name them with --local {}", stand_in.start()?));
            tokio::signal::ctrl_c().await?;
        }
    }
    Ok(())
}

/// Measures, and returns the report.
///
/// # Errors
/// When an import is not complete, or a write fails.
pub(crate) async fn run(options: &Options) -> Result<String> {
    let (customers, concurrency) = (options.customers, usize::from(options.concurrency));
    let stand_in = StandIn { customers, is_full: false, keeps_answers: true };
    let item = |number| anyhow::Ok(to_attributes(&stand_in::item(number).context("the record is not a customer")?)?);
    let items: Vec<_> = (0..customers).map(item).collect::<Result<_>>()?;
    let url = stand_in.start()?;
    let clients = Clients::local(&url, &url, CallTimeouts::Operator);
    // Opens the connections, and has the stand-in prepare its answers.
    import(&url, &clients, concurrency, customers).await?;
    let mut table = TextTable::new(["round", "import: customers per second", "PutItem: items per second", "ratio"]);
    table.align_right(1);
    let mut ratios = vec![];
    for round in 1..=options.rounds {
        let imported = import(&url, &clients, concurrency, customers).await?;
        let written = write(&clients, concurrency, items.clone()).await?;
        let rate = |took: Duration| format!("{:.0}", f64::from(customers) / took.as_secs_f64());
        let ratio = written.as_secs_f64() / imported.as_secs_f64();
        table.add_row([round.to_string(), rate(imported), rate(written), format!("{ratio:.2}")]);
        ratios.push(ratio);
    }
    ratios.sort_by(f64::total_cmp);
    let median = ratios.get(ratios.len() / 2).context("no rounds")?;
    Ok(format!("{table}\nMedian of the ratios: {median:.2}. {customers} customers, {concurrency} writes at a time."))
}

/// Imports the whole list.
async fn import(url: &str, clients: &Clients, concurrency: usize, customers: u32) -> Result<Duration> {
    let listing = listing(stand_in::provider()?);
    let api = listing.api.as_ref().context("no list API")?;
    let (api_url, key) = (format!("{url}{}", stand_in::LIST_PATH).parse::<ApiUrl>()?, ApiKey::parse("key")?);
    let client = HttpListApi::new(api_url, &key, api.key_header, Limits::default())?;
    let flow = clients.flow(stand_in::resources(url));
    let options = ImportOptions { concurrency, ..ImportOptions::starting_at(Timestamp::now()) };
    let started = Instant::now();
    let report = flow.import(listing, &client, options, &mut (), &AtomicBool::new(false)).await;
    let took = started.elapsed();
    ensure!(report.end == RunEnd::Complete, "the import ended: {:?}", report.end);
    ensure!(report.counts.written == u64::from(customers), "{:?}", report.counts);
    Ok(took)
}

/// Writes the items with nothing but the SDK.
async fn write(clients: &Clients, concurrency: usize, items: Vec<HashMap<String, AttributeValue>>) -> Result<Duration> {
    let started = Instant::now();
    let write = async |item: HashMap<String, AttributeValue>| {
        let rank = item["rank"].clone();
        let request = clients.dynamodb.put_item().table_name(TABLE).set_item(Some(item));
        let request = request.condition_expression("attribute_not_exists(pk) OR #rank < :rank");
        let request = request.expression_attribute_names("#rank", "rank").expression_attribute_values(":rank", rank);
        request.send().await.map(drop)
    };
    stream::iter(items).map(write).buffer_unordered(concurrency).try_collect::<()>().await?;
    Ok(started.elapsed())
}
