//! `clientele changes`: follows the changes of a local stack.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use clientele::stack::LocalStack;
use clientele_model::SampleEvent;
use serde_json::Value;

use crate::support::cli::{RunningStack, clientele, run, with_local};
use crate::support::deliveries::{CREATED, DELETED, UPDATED, change};
use crate::support::http::{http_client, send};
use crate::support::stack;

/// A command that runs in another process, with the lines that it prints. Dropping it kills it.
pub(super) struct Running {
    process: Child,
    shown: Receiver<String>,
    errors: Receiver<String>,
}

impl Running {
    pub(super) fn start(mut command: Command) -> Self {
        let mut process = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let shown = lines(process.stdout.take().unwrap());
        let errors = lines(process.stderr.take().unwrap());
        Self { process, shown, errors }
    }

    /// `clientele changes`, once it follows that stack.
    fn follow(admin: &str, arguments: &[&str]) -> Self {
        let running = Self::start(clientele(&with_local(&[&["changes"], arguments].concat(), admin)));
        running.await_note("Following the changes at http://127.0.0.1:");
        running
    }

    /// Reads standard error up to a line that begins like this.
    pub(super) fn await_note(&self, beginning: &str) {
        while !self.errors.recv_timeout(Duration::from_secs(20)).unwrap().starts_with(beginning) {}
    }

    fn line(&self) -> String {
        self.shown.recv_timeout(Duration::from_secs(20)).unwrap()
    }

    /// Ctrl-C. Returns the exit code, and what is left of standard error.
    pub(super) fn interrupt(&mut self) -> (i32, String) {
        let id = self.process.id().to_string();
        assert!(Command::new("kill").args(["-INT", &id]).status().unwrap().success());
        let code = self.process.wait().unwrap().code().unwrap();
        (code, self.errors.iter().collect::<Vec<_>>().join("\n"))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended.
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

fn lines(output: impl std::io::Read + Send + 'static) -> Receiver<String> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        let lines = BufReader::new(output).lines().map_while(Result::ok);
        lines.take_while(|line| sender.send(line.clone()).is_ok()).for_each(drop);
    });
    receiver
}

/// Exit code, standard output, standard error of `changes` with a local stack.
pub(super) async fn changes(stack: &LocalStack, arguments: &[&str]) -> (i32, String, String) {
    let admin = format!("http://{}", stack.admin);
    let all: Vec<String> =
        with_local(&[&["changes"], arguments].concat(), &admin).into_iter().map(str::to_owned).collect();
    tokio::task::spawn_blocking(move || run(&all.iter().map(String::as_str).collect::<Vec<_>>())).await.unwrap()
}

pub(super) fn objects(output: &str) -> Vec<Value> {
    output.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

pub(super) async fn deliver(stack: &LocalStack, provider: &'static str, changes: Vec<SampleEvent>) {
    assert_eq!(send(&http_client(), &stack.url(), &(provider, changes)).await, Some(200));
}

/// The events on the bus of a stack.
pub(super) fn announced(stack: &LocalStack) -> Vec<Value> {
    stack.event_bus.recent().iter().map(|event| serde_json::from_str(&event.json).unwrap()).collect()
}

/// Type, customer and id of each event after the first so many.
pub(super) fn announced_after(stack: &LocalStack, number: usize) -> Vec<[String; 3]> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let event = |event: &Value| ["type", "subject", "id"].map(|name| text(&event["detail"][name]));
    announced(stack)[number..].iter().map(event).collect()
}

/// Each change shows within a second, a duplicate shows nothing, and a delete shows no more than keys.
#[tokio::test(flavor = "multi_thread")]
async fn changes_are_shown_as_they_are_announced() {
    let stack = stack().await;
    stack.start_workers();
    deliver(&stack, "plain", vec![change("before", 1_000, 1, CREATED)]).await;
    stack.publish_changes_now().await.unwrap();
    let admin = format!("http://{}", stack.admin);
    let (mut text, json) = (Running::follow(&admin, &[]), Running::follow(&admin, &["--all", "--json"]));
    let kept: Value = serde_json::from_str(&json.line()).unwrap();
    assert_eq!(kept, announced(&stack)[0], "--all shows what was announced before");

    let mut waited = vec![];
    for version in 2..12 {
        let sent = Instant::now();
        deliver(&stack, "plain", vec![change("c\u{1b}[2J", i64::from(version) * 1_000, version, UPDATED)]).await;
        let line = text.line();
        waited.push(sent.elapsed());
        let what = if version == 2 { "customer.created " } else { "customer.updated " };
        assert!(line.contains(what) && line.contains(r"c\u{1b}[2J") && !line.contains('\u{1b}'), "{line}");
        assert_eq!(line.contains("  name"), version > 2, "{line}");
        assert!(line.ends_with("(customer.customer_updated)"), "{line}");
    }
    waited.sort();
    assert!(waited[5] < Duration::from_secs(1), "a busy machine delays a few: {waited:?}");

    deliver(&stack, "plain", vec![change("c\u{1b}[2J", 11_000, 11, UPDATED)]).await;
    deliver(&stack, "plain", vec![change("c\u{1b}[2J", 12_000, 12, DELETED)]).await;
    assert!(text.line().contains("customer.deleted "), "the duplicate is not shown");
    let later: Vec<_> = (0..11).map(|_| json.line()).collect();
    let deleted: Value = serde_json::from_str(&later[10]).unwrap();
    assert_eq!(deleted["detail-type"], "customer.deleted");
    let data = deleted["detail"]["data"].as_object().unwrap();
    let names: Vec<_> = data.keys().map(String::as_str).collect();
    assert_eq!(names, ["account", "customer_id", "last_event", "provider", "rank", "schema", "status"]);
    assert_eq!(text.interrupt(), (0, "11 changes were shown.".to_owned()));
}

/// The command goes on after a restart of the stack, and shows everything that the new one announces.
#[test]
fn following_goes_on_after_a_restart() {
    let (stack, [_, _, _, admin]) = RunningStack::start(&["--empty"]);
    let url = format!("http://127.0.0.1:{admin}");
    let mut follower = Running::follow(&url, &[]);
    let deliver = || assert_eq!(run(&["events", "send", "plain/customer-created", "--local", &url]).0, 0);
    deliver();
    assert!(follower.line().contains("customer.created"));
    drop(stack);
    follower.await_note("The local stack does not answer.");
    let admin = admin.to_string();
    let ports = ["--empty", "--port", "0", "--dynamodb-port", "0", "--sqs-port", "0", "--admin-port", &admin];
    let (_stack, _, _) = RunningStack::start_command(&mut clientele(&ports));
    follower.await_note("The local stack was started again.");
    deliver();
    assert!(follower.line().contains("customer.created"));
    assert_eq!(follower.interrupt(), (0, "2 changes were shown.".to_owned()));
}

/// `clientele changes | head -1` ends.
#[tokio::test(flavor = "multi_thread")]
async fn following_ends_with_its_reader() {
    let stack = stack().await;
    let mut follower = Running::start(clientele(&["changes", "--local", &format!("http://{}", stack.admin)]));
    follower.await_note("Following");
    // The thread that reads its output ends with the next line, and closes it.
    drop(std::mem::replace(&mut follower.shown, channel().1));
    let mut end = None;
    for version in 1..100 {
        deliver(&stack, "plain", vec![change("c", i64::from(version) * 1_000, version, UPDATED)]).await;
        stack.publish_changes_now().await.unwrap();
        tokio::time::sleep(Duration::from_millis(50)).await;
        end = follower.process.try_wait().unwrap();
        if end.is_some() {
            break;
        }
    }
    assert_eq!(end.unwrap().code(), Some(0));
}

#[test]
fn there_must_be_a_stack_to_follow() {
    let (code, shown, errors) = run(&["changes", "--local", "http://127.0.0.1:9"]);
    assert!(code == 5 && errors.contains("no local stack answers at http://127.0.0.1:9"), "{errors}");
    assert_eq!(shown, "");
    let (code, _, errors) = run(&["changes", "--stack", "test"]);
    assert!(code == 2 && errors.contains("docs/consume.md shows how to receive them"), "{errors}");
    for wrong in [
        &["--all", "resend"][..],
        &["resend", "--rate", "0"],
        &["resend", "--since", "yesterday"],
        &["resend", "--since", "2999-01-01"],
    ] {
        assert_eq!(run(&[&["changes"], wrong].concat()).0, 2, "{wrong:?}");
    }
}
