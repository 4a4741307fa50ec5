//! `clientele fault`: makes a service of the local stack fail for some time.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum};
use serde_json::{Value, json};
use ureq::Agent;

use crate::stack::faults::{FaultMode, Service};
use crate::text_table;

/// Make a service of the local stack fail for some time, to see that no delivery is lost
///
/// Calls of the functions to the service fail; the SDK's timeouts and retries apply as usual. Deliveries that cannot be
/// written are parked on the inbox queue and replayed later. `list` and the other commands keep working.
///
///   clientele fault dynamodb --mode throttle --rate 0.3 --for 30s
///   clientele fault                    show the active faults
///   clientele fault off                remove all faults
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub struct Fault {
    /// The service that fails. Without it, the active faults are shown
    service: Option<ServiceOrOff>,
    /// How its calls fail
    #[arg(long, default_value = "error")]
    mode: FaultMode,
    /// The share of its calls that fail, from 0 to 1
    #[arg(long, default_value_t = 1.0, value_name = "SHARE")]
    rate: f64,
    /// How long it fails, as in 30s or 2m
    #[arg(long = "for", default_value = "30s", value_name = "TIME", value_parser = duration)]
    time: Duration,
    /// The address of the local stack
    #[arg(long, default_value = "127.0.0.1", value_name = "ADDRESS")]
    host: IpAddr,
    /// The admin port of the local stack
    #[arg(long, default_value_t = 9010, value_name = "PORT")]
    admin_port: u16,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum ServiceOrOff {
    /// The table
    Dynamodb,
    /// The queues
    Sqs,
    /// Secrets Manager
    Secrets,
    /// Remove all faults
    Off,
}

fn duration(text: &str) -> Result<Duration, String> {
    let duration =
        text.parse::<jiff::SignedDuration>().map_err(|_| "expected a duration, as in 30s or 2m".to_owned())?;
    Duration::try_from(duration).map_err(|_| "the duration is negative".to_owned())
}

/// Runs `clientele fault`.
///
/// # Errors
/// When there is no local stack, or it rejects the fault.
pub fn fault(fault: &Fault) -> Result<()> {
    let address = SocketAddr::from((fault.host, fault.admin_port));
    let url = format!("http://{address}/faults");
    let config = Agent::config_builder().http_status_as_error(false).proxy(None);
    let agent = Agent::new_with_config(config.timeout_global(Some(Duration::from_secs(10))).build());
    let service = match fault.service {
        None => None,
        Some(ServiceOrOff::Off) => {
            agent.delete(&url).call().with_context(|| no_local_stack(address))?;
            None
        }
        Some(ServiceOrOff::Dynamodb) => Some(Service::Dynamodb),
        Some(ServiceOrOff::Sqs) => Some(Service::Sqs),
        Some(ServiceOrOff::Secrets) => Some(Service::Secrets),
    };
    let answer = match service {
        None => agent.get(&url).call(),
        Some(service) => {
            let (mode, rate, seconds) = (fault.mode, fault.rate, fault.time.as_secs_f64());
            let request = json!({ "service": service, "mode": mode, "rate": rate, "for_seconds": seconds });
            agent.post(&url).send(request.to_string())
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
    let mut table = text_table::with_header(["service", "fault", "failing calls", "seconds left"]);
    for (service, fault) in faults.as_object().into_iter().flatten() {
        let number = |name: &str, factor: f64| format!("{:.0}", fault[name].as_f64().unwrap_or_default() * factor);
        let mode = fault["mode"].as_str().unwrap_or_default();
        table.add_row([service, mode, &format!("{} %", number("rate", 100.0)), &number("for_seconds", 1.0)]);
    }
    if table.is_empty() { "No faults are active.".to_owned() } else { table.to_string() }
}

fn no_local_stack(address: SocketAddr) -> String {
    format!("no local stack at {address}: start it with `cargo run`, or set --admin-port")
}
