//! `clientele fault`: makes a service of the local stack fail for a while.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum};
use comfy_table::{Table, presets};
use serde_json::{Value, json};
use ureq::Agent;

use crate::stack::faults::{Mode, Service};

/// Make a service of the local stack fail for a while, and see that nothing is lost
///
/// The functions' calls go wrong below the SDK, so that its timeouts and retries are at work. What cannot be written is
/// parked on the inbox and replayed; `list` and the other commands go on working.
///
///   clientele fault dynamodb --mode throttle --rate 0.3 --for 30s
///   clientele fault                    shows what is on
///   clientele fault off                all services are well again
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub struct Fault {
    /// Which service; without it, the faults that are on are shown
    service: Option<Target>,
    /// How its calls go wrong
    #[arg(long, default_value = "error")]
    mode: Mode,
    /// How many of its calls, from 0 to 1
    #[arg(long, default_value_t = 1.0)]
    rate: f64,
    /// For how long, as in 30s or 2m
    #[arg(long = "for", default_value = "30s", value_name = "TIME", value_parser = duration)]
    time: Duration,
    /// The local stack's address
    #[arg(long, default_value = "127.0.0.1", value_name = "ADDRESS")]
    host: IpAddr,
    /// The local stack's admin port
    #[arg(long, default_value_t = 9010, value_name = "PORT")]
    admin_port: u16,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Target {
    /// The table
    Dynamodb,
    /// The queues
    Sqs,
    /// Secrets Manager
    Secrets,
    /// All are well again
    Off,
}

fn duration(text: &str) -> Result<Duration, String> {
    let duration = text.parse::<jiff::SignedDuration>().map_err(|_| "expected a time as in 30s or 2m".to_owned())?;
    Duration::try_from(duration).map_err(|_| "the time is negative".to_owned())
}

/// Runs `clientele fault`.
///
/// # Errors
/// When there is no local stack, or it does not take the fault.
pub fn fault(fault: &Fault) -> Result<()> {
    let address = SocketAddr::from((fault.host, fault.admin_port));
    let url = format!("http://{address}/faults");
    let config = Agent::config_builder().http_status_as_error(false).proxy(None);
    let agent = Agent::new_with_config(config.timeout_global(Some(Duration::from_secs(10))).build());
    let service = match fault.service {
        None => None,
        Some(Target::Off) => {
            agent.delete(&url).call().with_context(|| no_local_stack(address))?;
            None
        }
        Some(Target::Dynamodb) => Some(Service::Dynamodb),
        Some(Target::Sqs) => Some(Service::Sqs),
        Some(Target::Secrets) => Some(Service::Secrets),
    };
    let answer = match service {
        None => agent.get(&url).call(),
        Some(service) => {
            let (mode, rate, seconds) = (fault.mode, fault.rate, fault.time.as_secs_f64());
            let order = json!({ "service": service, "mode": mode, "rate": rate, "for_seconds": seconds });
            agent.post(&url).send(order.to_string())
        }
    };
    let mut answer = answer.with_context(|| no_local_stack(address))?;
    let body = answer.body_mut().read_to_string()?;
    let body: Value = serde_json::from_str(&body).with_context(|| no_local_stack(address))?;
    if let Some(error) = body["error"].as_str() {
        bail!("{error}");
    }
    anstream::println!("{}", shown(&body));
    Ok(())
}

fn shown(faults: &Value) -> String {
    let mut table = Table::new();
    table.load_style(presets::UTF8_BORDERS_ONLY).set_header(["service", "fault", "calls", "seconds left"]);
    let faults = faults.as_object().into_iter().flatten();
    for (service, fault) in faults {
        let number = |name: &str, factor: f64| format!("{:.0}", fault[name].as_f64().unwrap_or_default() * factor);
        let mode = fault["mode"].as_str().unwrap_or_default();
        table.add_row([service, mode, &format!("{} %", number("rate", 100.0)), &number("for_seconds", 1.0)]);
    }
    if table.is_empty() { "All services are well.".to_owned() } else { table.to_string() }
}

fn no_local_stack(address: SocketAddr) -> String {
    format!("no local stack's admin port at {address}: start it with `cargo run`")
}
