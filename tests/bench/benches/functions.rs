//! The functions as `sam build` made them: how they start, and what a delivery costs.
//!
//! ```sh
//! sam build
//! taskset -c 1 cargo bench --package clientele-bench --features tools --bench functions -- \
//!   [service-ms=N] [rounds=N] [BOOTSTRAP …]
//! ```
//!
//! Each runs as Lambda runs it, one event after the other, under a stand-in for the Lambda Runtime API in this process.
//! That takes the place of DynamoDB and SQS as well, and answers after that many milliseconds, or at once. So the times
//! are the function's own and those of this machine's loopback: no microVM, no download, no TLS, no emulator. Other
//! bootstraps are measured beside Plain's, with its event. Rounds, five unless told, are interleaved, and of each figure
//! the median is told. `replay` gets two messages, one of which cannot be read; `sweep` finds nothing to do.

#![expect(clippy::unwrap_used, clippy::print_stdout, clippy::print_stderr, reason = "a command")]

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use axum::routing::{get, post};
use clientele_bench::{NAMES, Sample, answer_to};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::{Mutex, mpsc};
use tokio::time::timeout;

/// How often a row's function is started in each round.
const STARTS: usize = 5;
/// How long it gets events before those that are measured.
const WARM_UP: Duration = Duration::from_millis(200);
/// How long events are measured in a round. The system counts processor time in hundredths of a second.
const MEASURED: Duration = Duration::from_secs(1);

/// A function that has not started or answered by then does not.
const TO_ANSWER: Duration = Duration::from_secs(20);

/// What is measured.
struct Row {
    name: String,
    bootstrap: PathBuf,
    event: Arc<str>,
    secret: String,
    /// What each round found: [`FIGURES`].
    rounds: Vec<[f64; FIGURES.len()]>,
}

/// Times in milliseconds, but for the processor's in microseconds.
const FIGURES: [&str; 6] = ["init", "first answer", "p50", "p99", "CPU us", "RSS MB"];

#[tokio::main(flavor = "current_thread")]
async fn main() {
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
                // As seen from the root, where `cargo bench` is called.
                rows.push(Row { bootstrap: root.join(&argument), name: argument, event, secret, rounds: vec![] });
            }
        }
    }
    if let Some(missing) = rows.iter().find(|row| !row.bootstrap.exists()) {
        give_up(&format!("there is no {}: `sam build` makes the functions", missing.bootstrap.display()));
    }
    for _ in 0..rounds {
        for row in &mut rows {
            let figures = measure(row, Duration::from_millis(service_ms)).await;
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

/// Every sample, and the functions that no webhook calls.
fn rows(root: &Path) -> Vec<Row> {
    let row = |name: &str, function: &str, event: &str, secret: &str| Row {
        name: name.to_owned(),
        bootstrap: root.join(".aws-sam/build").join(function).join("bootstrap"),
        event: event.into(),
        secret: secret.to_owned(),
        rounds: vec![],
    };
    let event = |name: &str| std::fs::read_to_string(root.join("events").join(name)).unwrap();
    let samples = NAMES.map(|name| (name, Sample::of(name)));
    let samples =
        samples.iter().map(|(name, sample)| row(name, &sample.function_id(), sample.event(), sample.secret()));
    samples
        .chain([
            row("replay", "ReplayFunction", &event("replay/parked-and-poison.json"), ""),
            row("sweep", "SweepFunction", &event("sweep/scheduled.json"), ""),
        ])
        .collect()
}

async fn measure(row: &Row, delay: Duration) -> [f64; FIGURES.len()] {
    let (mut inits, mut firsts, mut took) = (vec![], vec![], vec![]);
    for _ in 0..STARTS {
        let mut function = Function::start(row, delay).await;
        let [asked, _, answered] = function.invoke(&row.event).await;
        inits.push(milliseconds(asked - function.started));
        firsts.push(milliseconds(answered - function.started));
    }
    let mut function = Function::start(row, delay).await;
    let begun = Instant::now();
    while begun.elapsed() < WARM_UP {
        function.invoke(&row.event).await;
    }
    let (before, begun) = (function.processor_time(), Instant::now());
    while begun.elapsed() < MEASURED {
        let [_, handed, answered] = function.invoke(&row.event).await;
        took.push(milliseconds(answered - handed));
    }
    let used = function.processor_time().saturating_sub(before);
    let processor = milliseconds(used) * 1e3 / f64::from(u32::try_from(took.len()).unwrap());
    let [p50, p99] = [50, 99].map(|percent| percentile(took.clone(), percent));
    [percentile(inits, 50), percentile(firsts, 50), p50, p99, processor, function.memory_mb()]
}

fn percentile(mut figures: Vec<f64>, percent: usize) -> f64 {
    figures.sort_unstable_by(f64::total_cmp);
    figures[(figures.len() * percent / 100).min(figures.len() - 1)]
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// A function that runs, and the services around it.
struct Function {
    process: Child,
    started: Instant,
    /// Events for it.
    events: mpsc::UnboundedSender<Arc<str>>,
    /// When it asked for an event, and when it answered one.
    asked: mpsc::UnboundedReceiver<Instant>,
    answered: mpsc::UnboundedReceiver<Instant>,
    services: tokio::task::JoinHandle<()>,
}

impl Drop for Function {
    fn drop(&mut self) {
        self.services.abort();
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

impl Function {
    async fn start(row: &Row, delay: Duration) -> Self {
        let ((events, next), (asks, asked), (answers, answered)) =
            (mpsc::unbounded_channel(), mpsc::unbounded_channel(), mpsc::unbounded_channel());
        let services = Arc::new(Services { next: Mutex::new(next), asks, answers, delay });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new()
            .route("/2018-06-01/runtime/invocation/next", get(next_event))
            .route("/2018-06-01/runtime/invocation/{id}/response", post(response))
            .fallback(taken)
            .with_state(services);
        let services = tokio::spawn(async { axum::serve(listener, router).await.unwrap() });

        let (url, address) = (format!("http://{address}"), address.to_string());
        let mut command = Command::new(&row.bootstrap);
        command.env_clear().stdout(Stdio::null()).stderr(Stdio::inherit());
        command.envs([
            ("AWS_LAMBDA_FUNCTION_NAME", "bench"),
            ("AWS_LAMBDA_FUNCTION_VERSION", "1"),
            ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256"),
            ("AWS_LAMBDA_RUNTIME_API", &address),
            ("AWS_REGION", "eu-west-1"),
            ("AWS_ACCESS_KEY_ID", "local"),
            ("AWS_SECRET_ACCESS_KEY", "local"),
            ("AWS_ENDPOINT_URL", &url),
            ("CUSTOMERS_TABLE", "customers"),
            ("WEBHOOK_SECRETS", &row.secret),
            // What the bootstraps that ours is compared with may call it.
            ("TABLE_NAME", "customers"),
            // The events were signed once and for all.
            ("SIGNATURE_TOLERANCE_SECONDS", "4000000000"),
        ]);
        command.envs(["CLEANUP_QUEUE_URL", "INBOX_QUEUE_URL", "QUARANTINE_QUEUE_URL"].map(|name| (name, &url)));
        let started = Instant::now();
        let process = command.spawn().unwrap();
        Self { process, started, events, asked, answered, services }
    }

    /// When it asked for the event, got it, and answered.
    async fn invoke(&mut self, event: &Arc<str>) -> [Instant; 3] {
        let asked = next(&mut self.asked).await;
        let handed = Instant::now();
        self.events.send(event.clone()).unwrap();
        [asked, handed, next(&mut self.answered).await]
    }

    /// User and system time so far; nothing where there is no /proc.
    fn processor_time(&self) -> Duration {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.process.id())).unwrap_or_default();
        // After the name, in parentheses; counted from the state.
        let after_name = stat.rsplit(')').next().unwrap_or_default();
        let ticks = after_name.split_whitespace().skip(11).take(2).filter_map(|ticks| ticks.parse::<u64>().ok());
        Duration::from_millis(ticks.sum::<u64>() * 10)
    }

    /// The most memory that it had; nothing where there is no /proc.
    fn memory_mb(&self) -> f64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id())).unwrap_or_default();
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB"));
        peak.and_then(|kb| kb.parse::<f64>().ok()).unwrap_or_default() / 1024.0
    }
}

async fn next(instants: &mut mpsc::UnboundedReceiver<Instant>) -> Instant {
    let instant = timeout(TO_ANSWER, instants.recv()).await;
    instant.unwrap_or_else(|_| give_up("a function does not start, or does not answer")).unwrap()
}

struct Services {
    next: Mutex<mpsc::UnboundedReceiver<Arc<str>>>,
    asks: mpsc::UnboundedSender<Instant>,
    answers: mpsc::UnboundedSender<Instant>,
    delay: Duration,
}

async fn next_event(State(services): State<Arc<Services>>) -> Response {
    // Nobody listens any more when the function is about to be ended.
    services.asks.send(Instant::now()).ok();
    let event = services.next.lock().await.recv().await.unwrap_or_else(|| "".into());
    let headers = [
        ("lambda-runtime-aws-request-id", "8476a536-e9f4-11e8-9739-2dfe598c3fcd"),
        ("lambda-runtime-deadline-ms", "4000000000000"),
        ("lambda-runtime-invoked-function-arn", "arn:aws:lambda:eu-west-1:123456789012:function:bench"),
    ];
    let response = headers.iter().fold(Response::builder(), |response, (name, value)| response.header(*name, *value));
    response.body(Body::from(event.to_string())).unwrap()
}

async fn response(State(services): State<Arc<Services>>, answer: String) -> StatusCode {
    services.answers.send(Instant::now()).ok();
    // What is measured is the way of what is settled: not refused, and not parked.
    let answer: Value = serde_json::from_str(&answer).unwrap_or_else(|_| give_up(&answer));
    let is_settled = answer.get("statusCode").is_none_or(|status| *status == 200);
    let failures = answer.get("batchItemFailures");
    if !is_settled || failures.is_some_and(|failures| failures.as_array().map(Vec::len) != Some(1)) {
        give_up(&answer.to_string());
    }
    StatusCode::ACCEPTED
}

/// What DynamoDB or SQS says.
async fn taken(State(services): State<Arc<Services>>, headers: HeaderMap) -> (StatusCode, &'static str) {
    if !services.delay.is_zero() {
        tokio::time::sleep(services.delay).await;
    }
    let target = headers.get("x-amz-target").and_then(|target| target.to_str().ok());
    let answer = target.and_then(answer_to).unwrap_or_else(|| give_up(&format!("asked for {target:?}")));
    (StatusCode::OK, answer)
}

fn give_up(why: &str) -> ! {
    eprintln!("{why}");
    std::process::exit(1)
}
