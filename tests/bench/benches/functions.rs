//! Measures the functions that `sam build` made: how long they take to start, and what a delivery costs.
//!
//! ```sh
//! sam build
//! taskset -c 1 cargo bench --package clientele-bench --features tools --bench functions -- \
//!   [service-ms=N] [rounds=N] [BOOTSTRAP …]
//! ```
//!
//! Each function gets one event after the other from a stand-in for the Lambda Runtime API in this process. The
//! stand-in also answers for DynamoDB, SQS and EventBridge, after `service-ms` milliseconds (0 by default). So the times are those
//! of the function and of the loopback interface, without a microVM, a download, TLS or an emulator. Other bootstraps
//! are measured with Plain's event. There are `rounds` interleaved rounds (5 by default), and each figure is their
//! median. `replay` gets two messages, one of which is unreadable; `sweep` finds nothing to do; `changes` gets a batch of
//! 100 updates of a customer.

#![expect(clippy::unwrap_used, clippy::print_stdout, clippy::print_stderr, reason = "a command")]

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clientele_bench::{CHANGES, NAMES, Sample, TOO_MANY_EVENTS, answer_to, changes};
use clientele_function::{Function, Invocation, Request, Response};
use serde_json::Value;

/// How often each function is started per round.
const STARTS: usize = 5;
/// How long a function gets events before the measurement.
const WARM_UP: Duration = Duration::from_millis(200);
/// How long events are measured per round: long, because the system counts processor time in hundredths of a second.
const MEASURED: Duration = Duration::from_secs(1);

/// A function to measure.
struct Row {
    name: String,
    bootstrap: PathBuf,
    event: String,
    secret: String,
    /// How many records of the event each answer must report as failed.
    failures: usize,
    /// The [`FIGURES`] of each round.
    rounds: Vec<[f64; FIGURES.len()]>,
}

/// Times are in milliseconds, processor time per event in microseconds.
const FIGURES: [&str; 6] = ["init", "first answer", "p50", "p99", "CPU us", "RSS MB"];

fn main() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut rows = rows(&root);
    let (mut service_ms, mut rounds) = (0, 5);
    // `cargo bench` adds an argument of its own.
    for argument in std::env::args().skip(1).filter(|argument| argument != "--bench") {
        match argument.split_once('=') {
            Some(("service-ms", number)) => service_ms = natural(number),
            Some(("rounds", number)) => rounds = natural(number).max(1),
            _ => {
                let (event, secret) = (rows[0].event.clone(), rows[0].secret.clone());
                // Relative to the root of the repository.
                let bootstrap = root.join(&argument);
                rows.push(Row { bootstrap, name: argument, event, secret, failures: 0, rounds: vec![] });
            }
        }
    }
    if let Some(missing) = rows.iter().find(|row| !row.bootstrap.exists()) {
        give_up(&format!("there is no {}: `sam build` makes the functions", missing.bootstrap.display()));
    }
    for _ in 0..rounds {
        for row in &mut rows {
            let figures = measure(row, Duration::from_millis(service_ms));
            row.rounds.push(figures);
        }
    }
    println!("| | {} |\n|---|{}", FIGURES.join(" | "), "---|".repeat(FIGURES.len()));
    for row in &rows {
        let figures = (0..FIGURES.len()).map(|figure| {
            let median = percentile(row.rounds.iter().map(|round| round[figure]).collect(), 50);
            format!("{median:.*}", if figure == 4 { 0 } else { 2 })
        });
        println!("| {} | {} |", row.name, figures.collect::<Vec<_>>().join(" | "));
    }
}

fn natural(number: &str) -> u64 {
    number.parse().unwrap_or_else(|_| give_up(&format!("not a whole number: {number}")))
}

/// Every sample, `replay`, `sweep` and `changes`.
fn rows(root: &Path) -> Vec<Row> {
    let row = |name: &str, function: &str, event: &str, secret: &str| Row {
        name: name.to_owned(),
        bootstrap: root.join(".aws-sam/build").join(function).join("bootstrap"),
        event: event.to_owned(),
        secret: secret.to_owned(),
        failures: usize::from(name == "replay"),
        rounds: vec![],
    };
    let event = |name: &str| std::fs::read_to_string(root.join("events").join(name)).unwrap();
    let samples = NAMES.into_iter().chain([TOO_MANY_EVENTS]).map(|name| {
        let sample = Sample::of(name);
        row(name, &sample.function_id(), sample.event(), sample.secret())
    });
    samples
        .chain([
            row("replay", "ReplayFunction", &event("replay/parked-and-poison.json"), ""),
            row("sweep", "SweepFunction", &event("sweep/scheduled.json"), ""),
            row("changes", "ChangesFunction", &changes(CHANGES), ""),
        ])
        .collect()
}

fn measure(row: &Row, delay: Duration) -> [f64; FIGURES.len()] {
    let (mut inits, mut firsts, mut took) = (vec![], vec![], vec![]);
    for _ in 0..STARTS {
        let mut function = start(row, delay);
        let Invocation { requested, answered, .. } = invoke(&mut function, row);
        inits.push(milliseconds(requested - function.started));
        firsts.push(milliseconds(answered - function.started));
    }
    let mut function = start(row, delay);
    let begun = Instant::now();
    while begun.elapsed() < WARM_UP {
        invoke(&mut function, row);
    }
    let process = function.process_id();
    let (before, begun) = (processor_time(process), Instant::now());
    while begun.elapsed() < MEASURED {
        let Invocation { sent, answered, .. } = invoke(&mut function, row);
        took.push(milliseconds(answered - sent));
    }
    let used = processor_time(process).saturating_sub(before);
    let processor = milliseconds(used) * 1e3 / f64::from(u32::try_from(took.len()).unwrap());
    let [p50, p99] = [50, 99].map(|percent| percentile(took.clone(), percent));
    [percentile(inits, 50), percentile(firsts, 50), p50, p99, processor, function.peak_memory_mb()]
}

fn percentile(mut figures: Vec<f64>, percent: usize) -> f64 {
    figures.sort_unstable_by(f64::total_cmp);
    figures[(figures.len() * percent / 100).min(figures.len() - 1)]
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// Starts a function whose calls to DynamoDB and SQS are answered after a delay.
fn start(row: &Row, delay: Duration) -> Function {
    let mut command = clientele_function::command(&row.bootstrap);
    // For other bootstraps.
    command.env("TABLE_NAME", "customers");
    Function::start(command, &row.secret, move |request: &Request| {
        std::thread::sleep(delay);
        let target = request.headers.get("x-amz-target");
        let answer = target.and_then(|target| answer_to(target));
        let answer = answer.unwrap_or_else(|| give_up(&format!("not expected: {} {target:?}", request.line)));
        Response { status: 200, headers: "", body: answer.to_owned() }
    })
}

/// Only settled and quarantined deliveries are measured, not refused or parked ones.
fn invoke(function: &mut Function, row: &Row) -> Invocation {
    let invocation = function.invoke(&row.event);
    let text = invocation.result.as_ref().unwrap_or_else(|error| give_up(error));
    let answer: Value = serde_json::from_str(text).unwrap_or_else(|_| give_up(text));
    let is_quarantined = answer["body"] == r#"{"outcomes":{"quarantined":1}}"#;
    let is_settled = is_quarantined || answer.get("statusCode").is_none_or(|status| *status == 200);
    let failures = answer.get("batchItemFailures");
    if !is_settled || failures.is_some_and(|failures| failures.as_array().map(Vec::len) != Some(row.failures)) {
        give_up(text);
    }
    invocation
}

/// User and system time until now; zero without /proc.
fn processor_time(process: u32) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    // The fields after the name, which is in parentheses.
    let after_name = stat.rsplit(')').next().unwrap_or_default();
    let ticks = after_name.split_whitespace().skip(11).take(2).filter_map(|ticks| ticks.parse::<u64>().ok());
    Duration::from_millis(ticks.sum::<u64>() * 10)
}

fn give_up(why: &str) -> ! {
    eprintln!("{why}");
    std::process::exit(1)
}
