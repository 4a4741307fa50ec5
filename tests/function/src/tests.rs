//! The tests that all functions share. Each function calls them with its binary.

use std::path::Path;
use std::process::{Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;
use std::thread::sleep;
use std::time::Duration;

use serde_json::{Value, json};

use crate::{FAILURE, Function, Response, command};

/// Defines the tests of the binary `clientele-<provider>`, given its local secret and event files that need no table.
#[macro_export]
macro_rules! function_tests {
    ($provider:literal, $secret:literal, $cases:expr) => {
        const BINARY: &str = env!(concat!("CARGO_BIN_EXE_clientele-", $provider));

        #[test]
        fn refuses_to_start_without_settings() {
            $crate::tests::refuses_to_start_without_settings(BINARY, &["WEBHOOK_SECRET_ARN"]);
        }

        #[test]
        fn nothing_of_a_broken_event_is_printed() {
            $crate::tests::nothing_of_a_broken_event_is_printed(BINARY, $secret);
        }

        #[test]
        fn connects_while_it_starts() {
            $crate::tests::connects_while_it_starts(BINARY, $provider, $secret);
        }

        #[test]
        fn starts_without_secrets_manager() {
            $crate::tests::starts_without_secrets_manager(BINARY, $provider, $secret, &$cases);
        }

        #[test]
        fn answers_events() {
            $crate::tests::answers_events(BINARY, $provider, $secret, &$cases);
        }

        #[test]
        fn a_role_allows_exactly_what_is_called() {
            let events = $crate::tests::event_files($provider);
            $crate::calls::a_role_allows_exactly_what_is_called(BINARY, $provider, $secret, &events);
        }

        #[test]
        fn ends_quietly_only_while_waiting() {
            $crate::runtime_interface::ends_quietly_only_while_waiting(BINARY, $secret);
        }
    };
}

/// Without settings the function ends immediately, and one log line names everything that is missing: the table, the queues,
/// and its own settings.
pub fn refuses_to_start_without_settings(binary: &str, own_settings: &[&str]) {
    let settings_of_all = ["CUSTOMERS_TABLE", "CLEANUP_QUEUE_URL", "INBOX_QUEUE_URL", "QUARANTINE_QUEUE_URL"];
    names_missing_settings(binary, &[&settings_of_all, own_settings].concat());
}

/// The same for a function that uses neither the table nor these queues.
pub fn names_missing_settings(binary: &str, settings: &[&str]) {
    let Output { status, stdout, .. } = command(Path::new(binary)).stdout(Stdio::piped()).output().unwrap();
    assert!(!status.success());
    let line: Value = serde_json::from_slice(&stdout).unwrap();
    let error = line["error"].as_str().unwrap();
    for name in settings {
        assert!(error.contains(name), "{error}");
    }
}

/// While it starts, a function opens its connection to the table by a write whose condition never holds.
pub fn connects_while_it_starts(binary: &str, provider: &str, secret: &str) {
    let (call, calls) = channel();
    let mut function = Function::start(command(Path::new(binary)), secret, move |request| {
        call.send((request.line.clone(), request.body.clone())).unwrap();
        let error = r#"{"__type":"com.amazonaws.dynamodb.v20120810#ConditionalCheckFailedException"}"#;
        Response { status: 400, headers: "", body: error.to_owned() }
    });
    function.wait_until_ready();
    let (line, body) = calls.try_recv().unwrap();
    assert_eq!(line, "POST / HTTP/1.1");
    let no_customer = json!({ "pk": { "S": format!("{provider}#") }, "sk": { "S": "customer" } });
    let write = json!({ "TableName": "customers", "Item": no_customer, "ConditionExpression": "attribute_exists(pk)" });
    assert_eq!(serde_json::from_str::<Value>(&body).unwrap(), write);
    assert!(calls.try_recv().is_err(), "one call");
}

/// The function's response to an event, while no call to AWS succeeds.
#[must_use]
pub fn response_to(binary: &str, event: &Value) -> Value {
    let mut function = Function::start(command(Path::new(binary)), "", |_| FAILURE);
    serde_json::from_str(&function.invoke(&event.to_string()).result.unwrap()).unwrap()
}

/// An event that no AWS service sends is an error of the invocation. It is reported to Lambda only; the function prints
/// nothing.
pub fn nothing_of_a_broken_event_is_printed(binary: &str, secret: &str) {
    let mut command = command(Path::new(binary));
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut function = Function::start(command, secret, |_| FAILURE);
    let invocation = function.invoke(r#"{"headers":"canary","body":["canary"],"Records":"canary"}"#);
    assert!(invocation.result.is_err(), "{:?}", invocation.result);
    // When the function asks for the next event, it has printed everything.
    function.wait_until_ready();
    assert_eq!(function.kill(), "");
}

/// The event files in a folder.
#[must_use]
pub fn event_files(folder: &str) -> Vec<Value> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../events").join(folder);
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let events = files.filter(|path| !path.to_string_lossy().ends_with(".expected.json"));
    events.map(|path| serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()).collect()
}

/// While Secrets Manager fails or hangs, a function starts and answers 503 before a provider gives up, which is after 5 s.
/// Afterwards it answers as usual.
pub fn starts_without_secrets_manager(binary: &str, provider: &str, secret: &str, cases: &[&str]) {
    for hangs in [false, true] {
        let is_over = Arc::new(AtomicBool::new(false));
        let (is_over_for_aws, text) = (is_over.clone(), secret.to_owned());
        let mut command = command(Path::new(binary));
        command.env("WEBHOOK_SECRET_ARN", "arn");
        let mut function = Function::start(command, "", move |request| {
            let is_for_secrets = request.headers.get("x-amz-target").is_some_and(|it| it.ends_with("GetSecretValue"));
            match (is_for_secrets, is_over_for_aws.load(Ordering::SeqCst)) {
                (true, true) => {
                    let body = json!({ "SecretString": text }).to_string();
                    return Response { status: 200, headers: "", body };
                }
                (true, false) if hangs => sleep(Duration::from_mins(1)),
                _ => {}
            }
            FAILURE
        });
        let response = function.invoke(&read(provider, &format!("{}.json", cases[0]))).result.unwrap();
        assert!(function.started.elapsed() < Duration::from_secs(5), "{:?}", function.started.elapsed());
        let response: Value = serde_json::from_str(&response).unwrap();
        assert_eq!(response["statusCode"], 503);
        assert_eq!(response["headers"]["retry-after"], "5");
        assert_eq!(response["body"], r#"{"outcome":"unverifiable"}"#);

        is_over.store(true, Ordering::SeqCst);
        // It asks at most once a second.
        sleep(Duration::from_secs(1));
        assert_answers(&mut function, provider, cases);
    }
}

/// Answers event files that need no table as the `.expected.json` next to them says.
pub fn answers_events(binary: &str, provider: &str, secret: &str, cases: &[&str]) {
    assert_answers(&mut Function::start(command(Path::new(binary)), secret, |_| FAILURE), provider, cases);
}

fn assert_answers(function: &mut Function, provider: &str, cases: &[&str]) {
    for case in cases {
        let response = function.invoke(&read(provider, &format!("{case}.json"))).result.unwrap();
        let response: Value = serde_json::from_str(&response).unwrap();
        let expected: Value = serde_json::from_str(&read(provider, &format!("{case}.expected.json"))).unwrap();
        assert_eq!(response["statusCode"], expected["status"], "{case}");
        let body = response["body"].as_str().map(|body| serde_json::from_str(body).unwrap());
        assert_eq!(body.unwrap_or(Value::Null), expected["answer"], "{case}");
        assert_eq!(response["isBase64Encoded"], false);
    }
}

fn read(provider: &str, file: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../events").join(provider);
    std::fs::read_to_string(folder.join(file)).unwrap()
}
