//! A function's own binary, run as Lambda runs it: a stand-in for the Lambda Runtime API hands out event files, and the
//! answers must be those beside them. Shared by the tests of the four functions; uses nothing but the standard library.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
#![allow(dead_code, unused_macros, reason = "not every function is asked everything")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

/// The tests of the binary `clientele-<provider>`: with its local secret, and event files that need no table.
macro_rules! function_tests {
    ($provider:literal, $secret:literal, $cases:expr) => {
        const BINARY: &str = env!(concat!("CARGO_BIN_EXE_clientele-", $provider));

        #[test]
        fn refuses_to_start_without_settings() {
            runtime::refuses_to_start_without_settings(BINARY, &["WEBHOOK_SECRET_ARN"]);
        }

        #[test]
        fn nothing_of_a_broken_event_is_printed() {
            runtime::nothing_of_a_broken_event_is_printed(BINARY, $secret);
        }

        #[test]
        fn connects_while_it_starts() {
            runtime::connects_while_it_starts(BINARY, $secret);
        }

        #[test]
        fn answers_as_lambda_asks() {
            runtime::answers_as_lambda_asks(BINARY, $provider, $secret, &$cases);
        }
    };
}

/// Starts as Lambda does, but for the settings of the function itself.
fn function(binary: &str) -> Command {
    let mut command = Command::new(binary);
    command.env_clear().stdout(Stdio::piped()).stderr(Stdio::piped());
    let of_lambda = [
        ("AWS_LAMBDA_FUNCTION_NAME", "test"),
        ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST"),
        ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256"),
        ("AWS_LAMBDA_LOG_GROUP_NAME", "/aws/lambda/test"),
        ("AWS_LAMBDA_LOG_STREAM_NAME", "test"),
        ("AWS_REGION", "eu-west-1"),
        ("AWS_ACCESS_KEY_ID", "local"),
        ("AWS_SECRET_ACCESS_KEY", "local"),
    ];
    command.envs(of_lambda);
    command
}

/// Without settings the function ends at once, and one line of its log names everything that is missing.
pub(crate) fn refuses_to_start_without_settings(binary: &str, own: &[&str]) {
    let Output { status, stdout, .. } = function(binary).output().unwrap();
    assert!(!status.success());
    let line: Value = serde_json::from_slice(&stdout).unwrap();
    let error = line["error"].as_str().unwrap();
    let all = ["CUSTOMERS_TABLE", "CLEANUP_QUEUE_URL", "INBOX_QUEUE_URL", "QUARANTINE_QUEUE_URL"];
    for name in all.iter().chain(own) {
        assert!(error.contains(name), "{error}");
    }
}

/// A function that asks the Runtime API, with its local secret and no table.
fn start(binary: &str, secret: &str) -> Api {
    let listener = listener();
    let function = spawn(binary, secret, &listener, "http://127.0.0.1:1");
    Api { listener, function }
}

fn listener() -> TcpListener {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    listener
}

fn spawn(binary: &str, secret: &str, api: &TcpListener, aws: &str) -> Child {
    let mut command = function(binary);
    command.env("AWS_LAMBDA_RUNTIME_API", api.local_addr().unwrap().to_string());
    for name in ["CUSTOMERS_TABLE", "CLEANUP_QUEUE_URL", "INBOX_QUEUE_URL", "QUARANTINE_QUEUE_URL"] {
        command.env(name, "http://127.0.0.1:1");
    }
    command.env("AWS_ENDPOINT_URL", aws);
    // The files were signed once and for all.
    command.env("WEBHOOK_SECRETS", secret).env("SIGNATURE_TOLERANCE_SECONDS", "4000000000");
    command.spawn().unwrap()
}

/// While it starts, a function opens its connection to the table, by a write that changes nothing.
pub(crate) fn connects_while_it_starts(binary: &str, secret: &str) {
    let (api, table) = (listener(), listener());
    let function = spawn(binary, secret, &api, &format!("http://{}", table.local_addr().unwrap()));
    let mut all = Api { listener: table, function };
    let refused = r#"{"__type":"com.amazonaws.dynamodb.v20120810#ConditionalCheckFailedException"}"#;
    let (asked, body) = all.serve("400 Bad Request", refused);
    assert_eq!(asked, "POST / HTTP/1.1\r\n");
    let body: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(body["Key"]["pk"]["S"], "-", "no customer has that key");
    assert_eq!(body["ConditionExpression"], "#rank = :rank");
    all.listener = api;
    let (asked, _) = all.serve("200 OK", "{}");
    assert!(asked.starts_with("GET /2018-06-01/runtime/invocation/next"), "{asked}");
}

/// What the function answers to an event.
pub(crate) fn answer_to(binary: &str, event: &Value) -> Value {
    let mut api = start(binary, "");
    api.serve("200 OK", &event.to_string());
    let (answered, answer) = api.serve("202 Accepted", "");
    assert!(answered.starts_with("POST /2018-06-01/runtime/invocation/request-1/response"), "{answered}");
    serde_json::from_str(&answer).unwrap()
}

/// What no gateway sends is an error of the invocation, told to Lambda alone.
pub(crate) fn nothing_of_a_broken_event_is_printed(binary: &str, secret: &str) {
    let mut api = start(binary, secret);
    api.serve("200 OK", r#"{"headers":"canary","body":["canary"],"Records":"canary"}"#);
    let (answered, _) = api.serve("202 Accepted", "");
    assert!(answered.starts_with("POST /2018-06-01/runtime/invocation/request-1/error"), "{answered}");
    // It asks for the next one, so that all is written. If that is taken from it, it ends, and says so.
    let next = api.accept();
    api.function.kill().unwrap();
    drop(next);
    let mut printed = String::new();
    api.function.stdout.take().unwrap().read_to_string(&mut printed).unwrap();
    api.function.stderr.take().unwrap().read_to_string(&mut printed).unwrap();
    assert_eq!(printed, "");
}

/// Answers event files that need no table as the files beside them say.
pub(crate) fn answers_as_lambda_asks(binary: &str, provider: &str, secret: &str, cases: &[&str]) {
    let mut api = start(binary, secret);
    for case in cases {
        let read = |ending: &str| {
            let path = format!("../../events/{provider}/{case}{ending}");
            std::fs::read_to_string(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
        };
        let (asked, _) = api.serve("200 OK", &read(".json"));
        assert!(asked.starts_with("GET /2018-06-01/runtime/invocation/next"), "{asked}");
        let (answered, answer) = api.serve("202 Accepted", "");
        assert!(answered.starts_with("POST /2018-06-01/runtime/invocation/request-1/response"), "{answered}");
        let expected: Value = serde_json::from_str(&read(".expected.json")).unwrap();
        let answer: Value = serde_json::from_str(&answer).unwrap();
        assert_eq!(answer["statusCode"], expected["status"], "{case}");
        let body = answer["body"].as_str().map(|body| serde_json::from_str(body).unwrap());
        assert_eq!(body.unwrap_or(Value::Null), expected["answer"], "{case}");
        assert_eq!(answer["isBase64Encoded"], false);
    }
}

/// How long the function may take to ask or answer.
const PATIENCE: Duration = Duration::from_secs(20);

/// The Runtime API, and the function that uses it. Each request comes on a connection of its own.
struct Api {
    listener: TcpListener,
    function: Child,
}

impl Drop for Api {
    fn drop(&mut self) {
        drop(self.function.kill());
        drop(self.function.wait());
    }
}

impl Api {
    /// The next connection; fails if the function ends or takes too long.
    fn accept(&mut self) -> TcpStream {
        let started = Instant::now();
        loop {
            if let Ok((stream, _)) = self.listener.accept() {
                stream.set_nonblocking(false).unwrap();
                stream.set_read_timeout(Some(PATIENCE)).unwrap();
                return stream;
            }
            assert!(self.function.try_wait().unwrap().is_none(), "the function has ended");
            assert!(started.elapsed() < PATIENCE, "the function asks for nothing");
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Answers one request, and gives its first line and its body.
    fn serve(&mut self, status: &str, body: &str) -> (String, String) {
        let mut stream = BufReader::new(self.accept());
        let (mut first, mut line, mut length) = (String::new(), String::new(), 0);
        // A connection that was opened and not used is closed again.
        while stream.read_line(&mut first).unwrap() == 0 {
            stream = BufReader::new(self.accept());
        }
        while line != "\r\n" {
            line.clear();
            stream.read_line(&mut line).unwrap();
            let lower = line.to_lowercase();
            assert!(!lower.starts_with("transfer-encoding"), "not expected of the runtime");
            length = lower.strip_prefix("content-length:").map_or(length, |length| length.trim().parse().unwrap());
        }
        let mut asked = vec![0; length];
        stream.read_exact(&mut asked).unwrap();
        let headers = "lambda-runtime-aws-request-id: request-1\r\nlambda-runtime-deadline-ms: 4000000000000\r\n\
                       lambda-runtime-invoked-function-arn: arn:aws:lambda:eu-west-1:123456789012:function:test\r\n\
                       lambda-runtime-trace-id: Root=1-5bef4de7-ad49b0e87f6ef6c87fc2e700\r\n\
                       content-type: application/json\r\nconnection: close\r\n";
        let answer = format!("HTTP/1.1 {status}\r\n{headers}content-length: {}\r\n\r\n{body}", body.len());
        stream.get_mut().write_all(answer.as_bytes()).unwrap();
        (first, String::from_utf8(asked).unwrap())
    }
}
