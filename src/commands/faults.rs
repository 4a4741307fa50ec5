//! `clientele faults`: makes a service of the local stack fail for some time.

use std::time::Duration;

use anyhow::{Result, bail};
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use crate::stack::faults::{FaultMode, Service};
use crate::target::{LocalTarget, admin_answer, agent, not_an_admin_port};
use crate::terminal;
use crate::text_table::TextTable;

/// A fault ends after this time at the latest, so that a forgotten one does not mislead anybody the next day.
const HOURS_MAX: i64 = 12;

/// Make services of the local stack fail, to see that no delivery is lost.
#[derive(Args, Debug)]
pub struct ManageFaults {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    List(List),
    Set(Set),
    Clear(Clear),
}

/// Show the active faults.
#[derive(Args, Debug)]
#[command(after_help = "\
Example:
  clientele faults list

With --json, the result is an object with one entry per service, such as
  {\"dynamodb\":{\"mode\":\"throttle\",\"rate\":0.3,\"for_seconds\":120.0}}")]
struct List {
    #[command(flatten)]
    output: Output,
}

/// Make a service fail for some time.
///
/// Calls of the functions to the service fail; the SDK's timeouts and retries apply as usual. Deliveries that cannot be
/// written are parked on the inbox queue and replayed later. Commands are not affected: `customers list`, `import` and the
/// others keep working.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  clientele faults set dynamodb
  clientele faults set dynamodb --mode throttle --rate 0.3 --for 2m
  clientele faults set sqs --mode timeout

Prints the active faults. With --json, the result is an object with one entry per service, such as
  {\"dynamodb\":{\"mode\":\"throttle\",\"rate\":0.3,\"for_seconds\":120.0}}")]
struct Set {
    /// The service that fails
    service: Service,
    /// How its calls fail
    #[arg(long, default_value = "error")]
    mode: FaultMode,
    /// The share of its calls that fail, from 0 to 1
    #[arg(long, default_value_t = 1.0, value_name = "SHARE", value_parser = share)]
    rate: f64,
    /// How long it fails, as in 30s or 2m
    #[arg(long = "for", default_value = "30s", value_name = "TIME", value_parser = duration)]
    time: Duration,
    #[command(flatten)]
    output: Output,
}

/// Remove all faults.
#[derive(Args, Debug)]
#[command(after_help = "\
Example:
  clientele faults clear

Prints the faults that are left, as `faults list` does.")]
struct Clear {
    #[command(flatten)]
    output: Output,
}

#[derive(Args, Debug)]
struct Output {
    /// Print the active faults as a JSON object with one entry per service
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    target: LocalTarget,
}

fn duration(text: &str) -> Result<Duration, String> {
    let duration =
        text.parse::<jiff::SignedDuration>().map_err(|_| "expected a duration, as in 30s or 2m".to_owned())?;
    let is_allowed = duration.is_positive() && duration <= jiff::SignedDuration::from_hours(HOURS_MAX);
    let duration = Duration::try_from(duration).ok().filter(|_| is_allowed);
    duration.ok_or_else(|| format!("expected a duration of at most {HOURS_MAX} hours that is not 0"))
}

fn share(text: &str) -> Result<f64, String> {
    let share = text.parse().ok().filter(|share| (0.0..=1.0).contains(share));
    share.ok_or_else(|| "expected a number from 0 to 1".to_owned())
}

/// Runs `clientele faults`.
///
/// # Errors
/// When there is no local stack, or it rejects the fault.
pub fn faults(faults: ManageFaults) -> Result<()> {
    let url = |output: &Output| format!("{}/faults", output.target.url);
    let (answer, output) = match faults.action {
        Action::List(List { output }) => (agent().get(url(&output)).call(), output),
        Action::Clear(Clear { output }) => (agent().delete(url(&output)).call(), output),
        Action::Set(Set { service, mode, rate, time, output }) => {
            let request = json!({ "service": service, "mode": mode, "rate": rate, "for_seconds": time.as_secs_f64() });
            (agent().post(url(&output)).send(request.to_string()), output)
        }
    };
    let faults = admin_answer(answer, &output.target.url)?;
    if !faults.as_object().is_some_and(|faults| faults.values().all(|fault| fault["mode"].is_string())) {
        bail!(not_an_admin_port(&output.target.url));
    }
    if output.json {
        terminal::json(&faults);
    } else {
        terminal::line(shown(&faults));
    }
    Ok(())
}

fn shown(faults: &Value) -> String {
    let mut table = TextTable::new(["service", "fault", "failing calls", "seconds left"]);
    for (service, fault) in faults.as_object().into_iter().flatten() {
        let number = |name: &str, factor: f64| format!("{:.0}", fault[name].as_f64().unwrap_or_default() * factor);
        let mode = fault["mode"].as_str().unwrap_or_default();
        table.add_row([service, mode, &format!("{} %", number("rate", 100.0)), &number("for_seconds", 1.0)]);
    }
    if table.is_empty() { "No faults are active.".to_owned() } else { table.to_string() }
}
