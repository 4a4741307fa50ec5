//! Measures the functions that `sam build` made: how long they take to start, and what a delivery costs. Receivers are
//! compared with `tests/bench/floor`, the least that a receiver can cost with the AWS SDK.
//!
//! ```sh
//! sam build
//! cargo lambda build --release --locked --manifest-path tests/bench/floor/Cargo.toml
//! taskset -c 1 cargo bench --package clientele-bench --features tools --bench functions -- \
//!   [service-ms=N] [rounds=N] [rows=NAME,…] [BOOTSTRAP …]
//! ```
//!
//! Each function gets one event after the other from a stand-in for the Lambda Runtime API in this process. The
//! stand-in also answers for DynamoDB, SQS and EventBridge, after `service-ms` milliseconds (0 by default). So the times
//! are those of the function and of the loopback interface, without a microVM, a download, TLS or an emulator. Other
//! bootstraps are measured with Plain's event. There are `rounds` interleaved rounds (5 by default), and each figure is
//! their median. A round runs a copy of each bootstrap. The ratios are those of the figures of one round. `rows` selects
//! rows by their names. `replay` gets two messages, one of which is unreadable; `sweep` finds nothing to do; `changes` gets
//! a batch of 100 updates of a customer.

#![expect(clippy::unwrap_used, clippy::print_stdout, clippy::print_stderr, reason = "a command")]

use std::path::{Path, PathBuf};
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use clientele_bench::{CHANGES, NAMES, Sample, TOO_MANY_EVENTS, answer_to, changes};
use clientele_function::{Function, Invocation, Request, Response};
use serde_json::Value;

/// How often each function is started per round.
const STARTS: usize = 5;
/// How long a function gets events before the measurement.
const WARM_UP: Duration = Duration::from_millis(200);
/// How long events are measured per round.
const MEASURED: Duration = Duration::from_secs(1);

/// What makes the floor. `sam build` makes everything else.
const BUILD_FLOOR: &str = "cargo lambda build --release --locked --manifest-path tests/bench/floor/Cargo.toml";
const FLOOR_BOOTSTRAP: &str = "tests/bench/floor/target/lambda/clientele-floor/bootstrap";

/// The copy of a bootstrap that is measured.
const COPY: &str = concat!(env!("CARGO_TARGET_TMPDIR"), "/bootstrap");

/// A function to measure.
struct Row {
    name: String,
    bootstrap: PathBuf,
    event: String,
    secret: String,
    /// How many records of the event each answer must report as failed.
    failures: usize,
    /// How many events the delivery has, if the function is compared with the floor.
    compared_events: Option<f64>,
    /// The [`FIGURES`] of each round.
    rounds: Vec<[f64; FIGURES.len()]>,
}

/// Times are in milliseconds, processor time per event in microseconds.
const FIGURES: [&str; 6] = ["init", "first answer", "p50", "p99", "CPU us", "RSS MB"];
const P50: usize = 2;
const CPU: usize = 4;
/// Those that are compared with the floor's.
const COMPARED: [usize; 5] = [0, 1, P50, CPU, 5];

fn main() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let (mut rows, mut others) = (rows(&root), vec![]);
    let (mut service_ms, mut rounds) = (0, 5);
    // `cargo bench` adds an argument of its own.
    for argument in std::env::args().skip(1).filter(|argument| argument != "--bench") {
        match argument.split_once('=') {
            Some(("service-ms", number)) => service_ms = natural(number),
            Some(("rounds", number)) => rounds = natural(number).max(1),
            Some(("rows", names)) => rows = selected(rows, names),
            _ => {
                let plain = Sample::of("plain");
                // Relative to the root of the repository.
                let bootstrap = root.join(&argument);
                let row = Row::new(&argument, bootstrap, plain.event(), plain.secret());
                others.push(Row { compared_events: Some(1.0), ..row });
            }
        }
    }
    rows.extend(others);
    if let Some(missing) = rows.iter().find(|row| !row.bootstrap.exists()) {
        let build = if missing.name == "floor" { BUILD_FLOOR } else { "sam build" };
        give_up(&format!("there is no {}: `{build}` makes it", missing.bootstrap.display()));
    }
    check_floor(&rows);
    for _ in 0..rounds {
        for row in &mut rows {
            let original = std::mem::replace(&mut row.bootstrap, PathBuf::from(COPY));
            copy(&original);
            let figures = measure(row, Duration::from_millis(service_ms));
            row.bootstrap = original;
            row.rounds.push(figures);
        }
    }
    print_medians(&rows);
    print_ratios(&rows);
}

/// Each round runs another copy: where the system has put a file in its memory changes the speed of the function by some
/// percent.
fn copy(bootstrap: &Path) {
    std::fs::remove_file(COPY).ok();
    std::fs::copy(bootstrap, COPY).unwrap();
}

fn print_medians(rows: &[Row]) {
    println!("| | {} |\n|---|{}", FIGURES.join(" | "), "---|".repeat(FIGURES.len()));
    for row in rows {
        let figures = (0..FIGURES.len()).map(|figure| {
            let median = percentile(row.rounds.iter().map(|round| round[figure]).collect(), 50);
            format!("{median:.*}", if figure == CPU { 0 } else { 2 })
        });
        println!("| {} | {} |", row.name, figures.collect::<Vec<_>>().join(" | "));
    }
}

fn print_ratios(rows: &[Row]) {
    let Some(floor) = rows.iter().find(|row| row.name == "floor") else { return };
    println!("\nTimes the floor, within each round: median (minimum to maximum). p50 and CPU are per event.\n");
    println!("| | {} |\n|---|{}", COMPARED.map(|figure| FIGURES[figure]).join(" | "), "---|".repeat(COMPARED.len()));
    for (row, events) in rows.iter().filter_map(|row| Some((row, row.compared_events?))) {
        let ratios = COMPARED.map(|figure| {
            let events = if [P50, CPU].contains(&figure) { events } else { 1.0 };
            let rounds = row.rounds.iter().zip(&floor.rounds);
            let ratios: Vec<_> = rounds.map(|(round, floor)| round[figure] / events / floor[figure]).collect();
            let [least, median, most] = [0, 50, 100].map(|percent| percentile(ratios.clone(), percent));
            format!("{median:.2} ({least:.2} to {most:.2})")
        });
        println!("| {} | {} |", row.name, ratios.join(" | "));
    }
}

fn natural(number: &str) -> u64 {
    number.parse().unwrap_or_else(|_| give_up(&format!("not a whole number: {number}")))
}

impl Row {
    fn new(name: &str, bootstrap: PathBuf, event: &str, secret: &str) -> Self {
        Self {
            name: name.to_owned(),
            bootstrap,
            event: event.to_owned(),
            secret: secret.to_owned(),
            failures: usize::from(name == "replay"),
            compared_events: None,
            rounds: vec![],
        }
    }
}

/// The floor, every sample, `replay`, `sweep` and `changes`.
fn rows(root: &Path) -> Vec<Row> {
    let row = |name: &str, function: &str, event: &str, secret: &str| {
        let compared_events = match name {
            "plain" | "metrifox" => Some(1.0),
            "smarterpay-25" => Some(25.0),
            _ => None,
        };
        let bootstrap = root.join(".aws-sam/build").join(function).join("bootstrap");
        Row { compared_events, ..Row::new(name, bootstrap, event, secret) }
    };
    let event = |name: &str| std::fs::read_to_string(root.join("events").join(name)).unwrap();
    let floor = Row::new("floor", root.join(FLOOR_BOOTSTRAP), Sample::of("plain").event(), "");
    let samples = NAMES.into_iter().chain([TOO_MANY_EVENTS]).map(|name| {
        let sample = Sample::of(name);
        row(name, &sample.function_id(), sample.event(), sample.secret())
    });
    [floor]
        .into_iter()
        .chain(samples)
        .chain([
            row("replay", "ReplayFunction", &event("replay/parked-and-poison.json"), ""),
            row("sweep", "SweepFunction", &event("sweep/scheduled.json"), ""),
            row("changes", "ChangesFunction", &changes(CHANGES), ""),
        ])
        .collect()
}

/// The rows with these names.
fn selected(mut rows: Vec<Row>, names: &str) -> Vec<Row> {
    if let Some(unknown) = names.split(',').find(|name| rows.iter().all(|row| row.name != *name)) {
        give_up(&format!("there is no row {unknown}"));
    }
    rows.retain(|row| names.split(',').any(|name| row.name == name));
    rows
}

/// The ratios mean something only as long as the floor writes what Plain's receiver writes.
fn check_floor(rows: &[Row]) {
    let find = |name: &str| rows.iter().find(|row| row.name == name);
    let (Some(floor), Some(plain)) = (find("floor"), find("plain")) else { return };
    let ((floor, floor_bytes), (mut plain, plain_bytes)) = (last_write(floor), last_write(plain));
    // The floor does not ask for these.
    for name in ["ReturnConsumedCapacity", "ReturnValuesOnConditionCheckFailure"] {
        plain.as_object_mut().unwrap().remove(name);
    }
    if floor != plain || floor_bytes.abs_diff(plain_bytes) > plain_bytes / 50 {
        give_up(&format!("the floor writes {floor_bytes} bytes: {floor}\nand Plain's {plain_bytes}: {plain}"));
    }
}

/// The request with which a function writes the item of its event, without the item's values, and the size of the item.
fn last_write(row: &Row) -> (Value, usize) {
    let (send, requests) = channel();
    let mut function = start(row, move |request| {
        send.send(request.body.clone()).ok();
        answer(request)
    });
    invoke(&mut function, row);
    let mut request: Value = serde_json::from_str(&requests.try_iter().last().unwrap()).unwrap();
    let bytes = request["Item"].to_string().len();
    blank(&mut request["Item"]);
    blank(&mut request["ExpressionAttributeValues"]);
    (request, bytes)
}

fn blank(value: &mut Value) {
    match value {
        Value::Object(values) => values.values_mut().for_each(blank),
        Value::Array(values) => values.iter_mut().for_each(blank),
        value => *value = Value::Null,
    }
}

fn measure(row: &Row, delay: Duration) -> [f64; FIGURES.len()] {
    let (mut inits, mut firsts, mut took) = (vec![], vec![], vec![]);
    for _ in 0..STARTS {
        let mut function = start_delayed(row, delay);
        let Invocation { requested, answered, .. } = invoke(&mut function, row);
        inits.push(milliseconds(requested - function.started));
        firsts.push(milliseconds(answered - function.started));
    }
    let mut function = start_delayed(row, delay);
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

fn start(row: &Row, aws: impl Fn(&Request) -> Response + Send + Sync + 'static) -> Function {
    let mut command = clientele_function::command(&row.bootstrap);
    // For the floor and other bootstraps.
    command.env("TABLE_NAME", "customers");
    Function::start(command, &row.secret, aws)
}

/// Starts a function whose calls to DynamoDB, SQS and EventBridge are answered after a delay.
fn start_delayed(row: &Row, delay: Duration) -> Function {
    start(row, move |request| {
        std::thread::sleep(delay);
        answer(request)
    })
}

fn answer(request: &Request) -> Response {
    let target = request.headers.get("x-amz-target");
    let answer = target.and_then(|target| answer_to(target));
    let answer = answer.unwrap_or_else(|| give_up(&format!("not expected: {} {target:?}", request.line)));
    // DynamoDB returns the consumed capacity only to those who ask for it.
    let is_asked = !answer.starts_with(r#"{"ConsumedCapacity""#) || request.body.contains("ReturnConsumedCapacity");
    Response { status: 200, headers: "", body: if is_asked { answer } else { "{}" }.to_owned() }
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

/// How long the threads of a process have run until now, as Linux counts it in nanoseconds; zero elsewhere.
fn processor_time(process: u32) -> Duration {
    let threads = std::fs::read_dir(format!("/proc/{process}/task")).into_iter().flatten().flatten();
    let times = threads.filter_map(|thread| {
        let schedstat = std::fs::read_to_string(thread.path().join("schedstat")).ok()?;
        schedstat.split(' ').next()?.parse::<u64>().ok()
    });
    Duration::from_nanos(times.sum())
}

fn give_up(why: &str) -> ! {
    eprintln!("{why}");
    std::process::exit(1)
}
