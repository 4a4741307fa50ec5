//! The local stack, as a process of its own.

use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;
use ureq::Agent;
use ureq::http::Request;

use crate::webdriver::wait_until;

/// `clientele --empty`, which ends with this value.
pub(crate) struct StackProcess {
    process: Child,
    /// Empty. The command needs no file.
    _folder: TempDir,
    /// The ports of the webhooks, of DynamoDB, of SQS and of the page.
    pub(crate) ports: [u16; 4],
}

impl Drop for StackProcess {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

impl StackProcess {
    pub(crate) fn start() -> Self {
        Self::start_on(unused_ports())
    }

    pub(crate) fn start_on(ports: [u16; 4]) -> Self {
        let folder = TempDir::new().unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_clientele"));
        command.env_clear().current_dir(folder.path()).arg("--empty").stdout(Stdio::null());
        for (option, port) in ["--port", "--dynamodb-port", "--sqs-port", "--admin-port"].into_iter().zip(ports) {
            command.args([option, &port.to_string()]);
        }
        let mut stack = Self { process: command.spawn().unwrap(), _folder: folder, ports };
        wait_until("the local stack", || match stack.process.try_wait() {
            Ok(Some(status)) => panic!("the local stack has ended: {status}"),
            _ => answer("GET", &stack.url("/stack"), "").map(drop),
        });
        stack
    }

    /// An address of the page.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.ports[3])
    }

    /// Status and body of the answer of the page's port.
    pub(crate) fn request(&self, method: &str, path: &str, body: &Value) -> (u16, Value) {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        answer(method, &self.url(path), &body).unwrap()
    }
}

impl StackProcess {
    /// Sends a message to a queue.
    pub(crate) fn send_message(&self, queue: &str, message: &Value) {
        let url = self.request("GET", "/stack", &Value::Null).1["queues"][queue].clone();
        let body = json!({ "QueueUrl": url, "MessageBody": message.to_string() });
        let request = ureq::post(format!("http://127.0.0.1:{}/", self.ports[2])).config().proxy(None).build();
        let request = request.header("x-amz-target", "AmazonSQS.SendMessage");
        let answer = request.header("content-type", "application/x-amz-json-1.0").send(body.to_string());
        assert_eq!(answer.unwrap().status(), 200);
    }
}

/// Four ports that nothing uses.
pub(crate) fn unused_ports() -> [u16; 4] {
    let listeners = [(); 4].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    listeners.map(|listener| listener.local_addr().unwrap().port())
}

/// Status and body of the answer to a request.
fn answer(method: &str, url: &str, body: &str) -> Result<(u16, Value), String> {
    let config = Agent::config_builder().http_status_as_error(false).proxy(None);
    let agent = Agent::new_with_config(config.timeout_global(Some(Duration::from_secs(20))).build());
    let request = Request::builder().method(method).uri(url);
    let answer = match method {
        "GET" | "DELETE" => agent.run(request.body(()).unwrap()),
        _ => agent.run(request.body(body.to_owned()).unwrap()),
    };
    let mut answer = answer.map_err(|error| error.to_string())?;
    let text = answer.body_mut().read_to_string().map_err(|error| error.to_string())?;
    Ok((answer.status().as_u16(), serde_json::from_str(&text).unwrap_or(Value::String(text))))
}
