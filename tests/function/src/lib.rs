//! Runs the binary of a function as Lambda does, with a stand-in for the Lambda Runtime API
//! (<https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html>), which also stands in for AWS.
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::missing_panics_doc, reason = "tests")]

pub mod calls;
mod http;
pub mod role;
pub mod runtime_interface;
pub mod tests;

use std::ffi::OsStr;
use std::io::Read;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

pub use http::{Request, Response};

/// The longest time until a function asks for an event or answers it.
const PATIENCE: Duration = Duration::from_secs(20);
/// The response of an AWS service that fails.
pub const FAILURE: Response = Response { status: 500, headers: "", body: String::new() };

/// A running function.
pub struct Function {
    process: Child,
    /// When the process was started.
    pub started: Instant,
    events: Sender<String>,
    requests: Receiver<Instant>,
    answers: Receiver<(Instant, Result<String, String>)>,
}

/// An event that the function has handled.
pub struct Invocation {
    /// When the function asked for an event.
    pub requested: Instant,
    /// When it got the event.
    pub sent: Instant,
    /// When it answered.
    pub answered: Instant,
    /// The response of the function, or the error that it reported to Lambda.
    pub result: Result<String, String>,
}

/// A command that has Lambda's environment, but not yet the function's own.
#[must_use]
pub fn command(binary: &Path) -> Command {
    let mut command = Command::new(binary);
    command.stdout(Stdio::null()).env_clear().envs([
        ("AWS_LAMBDA_FUNCTION_NAME", "test"),
        ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST"),
        ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256"),
        ("AWS_LAMBDA_LOG_GROUP_NAME", "/aws/lambda/test"),
        ("AWS_LAMBDA_LOG_STREAM_NAME", "test"),
        ("AWS_REGION", "eu-west-1"),
        ("AWS_ACCESS_KEY_ID", "local"),
        ("AWS_SECRET_ACCESS_KEY", "local"),
    ]);
    command
}

/// Lets the function use the Runtime API at that address, which also answers for AWS. Variables that the command sets
/// already stay. The secret may be empty.
pub(crate) fn connect(command: &mut Command, address: SocketAddr, secret: &str) {
    let url = format!("http://{address}");
    let variables = [
        ("AWS_LAMBDA_RUNTIME_API", address.to_string()),
        ("AWS_ENDPOINT_URL", url.clone()),
        ("CUSTOMERS_TABLE", "customers".to_owned()),
        ("CLEANUP_QUEUE_URL", url.clone()),
        ("INBOX_QUEUE_URL", url.clone()),
        ("QUARANTINE_QUEUE_URL", url.clone()),
        // The bus and the queue of `changes`.
        ("EVENT_BUS_NAME", "changes".to_owned()),
        ("CHANGE_SOURCE", "/clientele/test".to_owned()),
        ("REFUSED_CHANGES_QUEUE_URL", url.clone()),
        // The systems of `receipts`.
        ("ERASURE_SYSTEMS", "crm,mailing".to_owned()),
        // The list APIs, which only `reconcile` calls.
        ("PLAIN_API_URL", url.clone()),
        ("PLAIN_API_KEY", "key".to_owned()),
        ("FLEXPRICE_API_URL", url),
        ("FLEXPRICE_API_KEY", "key".to_owned()),
        ("WEBHOOK_SECRETS", secret.to_owned()),
        // The signatures of the event files are old.
        ("SIGNATURE_TOLERANCE_SECONDS", "3155760000".to_owned()),
    ];
    for (name, value) in variables {
        if command.get_envs().all(|(set, _)| set != OsStr::new(name)) {
            command.env(name, value);
        }
    }
}

/// The response of the Runtime API to a function that asks for an event.
pub(crate) fn next_event(body: String) -> Response {
    let headers = "lambda-runtime-aws-request-id: request-1\r\n\
                   lambda-runtime-deadline-ms: 4000000000000\r\n\
                   lambda-runtime-invoked-function-arn: arn:aws:lambda:eu-west-1:123456789012:function:test\r\n\
                   lambda-runtime-trace-id: Root=1-5bef4de7-ad49b0e87f6ef6c87fc2e700\r\n\
                   content-type: application/json\r\n";
    Response { status: 200, headers, body }
}

impl Function {
    /// Starts a function with a table and queues; `aws` answers its calls. The secret may be empty for a function that
    /// needs none.
    #[must_use]
    pub fn start(
        mut command: Command,
        secret: &str,
        aws: impl Fn(&Request) -> Response + Send + Sync + 'static,
    ) -> Self {
        let ((events, next), (request, requests), (answer, answers)) = (channel(), channel(), channel());
        let next = Mutex::new(next);
        // Sending and receiving fail only while the function is being stopped.
        let accepted = || Response { status: 202, headers: "", body: String::new() };
        let address = http::serve(move |received| {
            Some(match received.line.as_str() {
                "GET /2018-06-01/runtime/invocation/next HTTP/1.1" => {
                    request.send(Instant::now()).ok();
                    next_event(next.lock().unwrap().recv().unwrap_or_default())
                }
                "POST /2018-06-01/runtime/invocation/request-1/response HTTP/1.1" => {
                    answer.send((Instant::now(), Ok(received.body.clone()))).ok();
                    accepted()
                }
                "POST /2018-06-01/runtime/invocation/request-1/error HTTP/1.1" => {
                    answer.send((Instant::now(), Err(received.body.clone()))).ok();
                    accepted()
                }
                _ => aws(received),
            })
        });
        connect(&mut command, address, secret);
        let started = Instant::now();
        Self { process: command.spawn().unwrap(), started, events, requests, answers }
    }

    /// Waits until the function asks for an event.
    pub fn wait_until_ready(&mut self) -> Instant {
        self.requests.recv_timeout(PATIENCE).expect("the function does not ask for an event")
    }

    /// Sends an event, when the function asks for one, and waits for the answer.
    pub fn invoke(&mut self, event: &str) -> Invocation {
        let requested = self.wait_until_ready();
        let sent = Instant::now();
        self.events.send(event.to_owned()).unwrap();
        let (answered, result) = self.answers.recv_timeout(PATIENCE).expect("the function does not answer");
        Invocation { requested, sent, answered, result }
    }

    /// The id of the process.
    #[must_use]
    pub fn process_id(&self) -> u32 {
        self.process.id()
    }

    /// The most memory that the process has used so far, in MB; zero without /proc.
    #[must_use]
    pub fn peak_memory_mb(&self) -> f64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id())).unwrap_or_default();
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB"));
        peak.and_then(|kb| kb.parse::<f64>().ok()).unwrap_or_default() / 1024.0
    }

    /// Kills the function, and returns what it printed to the streams that are piped.
    #[must_use]
    pub fn kill(mut self) -> String {
        self.process.kill().unwrap();
        let mut printed = String::new();
        if let Some(mut stdout) = self.process.stdout.take() {
            stdout.read_to_string(&mut printed).unwrap();
        }
        if let Some(mut stderr) = self.process.stderr.take() {
            stderr.read_to_string(&mut printed).unwrap();
        }
        printed
    }
}

impl Drop for Function {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
    }
}
