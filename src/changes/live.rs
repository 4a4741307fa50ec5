//! Reads the changes that a local stack streams, also across its restarts.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::Value;
use tokio::sync::mpsc::{Sender, channel};
use ureq::Agent;

use crate::target::{admin_answer, agent, not_an_admin_port};

/// How long to wait before the next attempt to connect again.
const RECONNECT_AFTER: Duration = Duration::from_millis(500);
/// How long an attempt to connect may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How many changes may wait to be printed.
const WAITING_MAX: usize = 100;

/// What happens while a stack is followed.
#[derive(Clone, Debug, PartialEq)]
pub enum LiveEvent {
    /// The stream is open: from now on every change is seen. Whether it is another run of the stack than before.
    Connected {
        /// The stack was started again.
        is_restarted: bool,
    },
    /// A change, in EventBridge's envelope.
    Change(Value),
    /// The stack does not answer any more.
    Lost,
}

/// A message of the stream of server-sent events.
#[derive(Debug, Default, PartialEq)]
struct Message {
    event: String,
    id: String,
    data: String,
}

/// What was seen.
struct Follower {
    admin_url: String,
    sender: Sender<LiveEvent>,
    /// The ids of the changes that were there before, and are not shown.
    known: BTreeSet<String>,
    run: Option<String>,
    last_number: u64,
}

/// Follows the changes of the stack with that admin port, with those that it still has if `all`. A thread reads them until
/// the receiver is dropped, or the process ends.
///
/// # Errors
/// When no local stack answers.
pub fn follow(admin_url: &str, all: bool) -> Result<tokio::sync::mpsc::Receiver<LiveEvent>> {
    let known = if all { BTreeSet::new() } else { kept_changes(admin_url)? };
    let (sender, receiver) = channel(WAITING_MAX);
    let mut follower = Follower { admin_url: admin_url.to_owned(), sender, known, run: None, last_number: 0 };
    let first = connect(admin_url)?;
    // Not one of the runtime's threads, which would have to end before the command does.
    thread::Builder::new().name("changes".to_owned()).spawn(move || follower.run(first))?;
    Ok(receiver)
}

/// The ids of the changes that the stack still has.
fn kept_changes(admin_url: &str) -> Result<BTreeSet<String>> {
    let changes = admin_answer(agent().get(format!("{admin_url}/changes")).call(), admin_url)?;
    let changes = changes.as_array().context(not_an_admin_port(admin_url))?;
    Ok(changes.iter().filter_map(|change| change["id"].as_str().map(str::to_owned)).collect())
}

fn connect(admin_url: &str) -> Result<impl BufRead + use<>> {
    let config = Agent::config_builder().proxy(None).timeout_connect(Some(CONNECT_TIMEOUT));
    let agent = Agent::new_with_config(config.timeout_recv_response(Some(CONNECT_TIMEOUT)).build());
    let answer = agent.get(format!("{admin_url}/changes/stream")).call();
    let answer = answer.with_context(|| not_an_admin_port(admin_url))?;
    Ok(BufReader::new(answer.into_body().into_reader()))
}

impl Follower {
    fn run(&mut self, first: impl BufRead) {
        let mut is_followed = self.read(first).is_ok();
        while is_followed && self.sender.blocking_send(LiveEvent::Lost).is_ok() {
            let stream = loop {
                thread::sleep(RECONNECT_AFTER);
                match connect(&self.admin_url) {
                    Ok(stream) => break stream,
                    Err(_) if self.sender.is_closed() => return,
                    Err(_) => {}
                }
            };
            is_followed = self.read(stream).is_ok();
        }
    }

    /// Reads until the stream ends. Fails if nobody is interested any more.
    fn read(&mut self, mut stream: impl BufRead) -> Result<()> {
        while let Some(message) = next_message(&mut stream) {
            if let Some(event) = self.event(message) {
                self.sender.blocking_send(event)?;
            }
        }
        Ok(())
    }

    /// What a message means. Nothing if it was seen before.
    fn event(&mut self, message: Message) -> Option<LiveEvent> {
        if message.event == "run" {
            let is_restarted = self.run.as_ref().is_some_and(|run| *run != message.data);
            if is_restarted {
                self.last_number = 0;
                self.known.clear();
            }
            self.run = Some(message.data);
            return Some(LiveEvent::Connected { is_restarted });
        }
        let number: u64 = message.id.parse().ok()?;
        let change: Value = serde_json::from_str(&message.data).ok()?;
        let is_new = number > self.last_number;
        self.last_number = self.last_number.max(number);
        let is_known = change["id"].as_str().is_some_and(|id| self.known.remove(id));
        (is_new && !is_known).then_some(LiveEvent::Change(change))
    }
}

/// The next message (<https://html.spec.whatwg.org/multipage/server-sent-events.html>), or nothing at the end of the stream.
fn next_message(stream: &mut impl BufRead) -> Option<Message> {
    let mut message = Message::default();
    let mut line = String::new();
    loop {
        line.clear();
        if stream.read_line(&mut line).ok()? == 0 {
            return None;
        }
        let text = line.trim_end_matches(['\r', '\n']);
        if text.is_empty() {
            if message != Message::default() {
                return Some(message);
            }
            continue;
        }
        let (name, value) = text.split_once(':').unwrap_or((text, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match name {
            "event" => value.clone_into(&mut message.event),
            "id" => value.clone_into(&mut message.id),
            "data" => message.data.push_str(value),
            // Comments keep the connection open.
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// What a follower makes of the streams of several connections.
    fn events(known: &[&str], streams: &[&str]) -> Vec<LiveEvent> {
        let (sender, mut receiver) = channel(100);
        let known = known.iter().map(|id| (*id).to_owned()).collect();
        let mut follower = Follower { admin_url: String::new(), sender, known, run: None, last_number: 0 };
        for stream in streams {
            follower.read(stream.as_bytes()).unwrap();
        }
        drop(follower);
        std::iter::from_fn(|| receiver.blocking_recv()).collect()
    }

    fn stream(run: &str, changes: &[(u64, &str)]) -> String {
        let changes = changes.iter().map(|(number, id)| format!("id: {number}\ndata: {{\"id\":\"{id}\"}}\n\n:\n\n"));
        format!("event: run\ndata: {run}\n\n{}", changes.collect::<String>())
    }

    fn change(id: &str) -> LiveEvent {
        LiveEvent::Change(json!({ "id": id }))
    }

    const CONNECTED: LiveEvent = LiveEvent::Connected { is_restarted: false };
    const RESTARTED: LiveEvent = LiveEvent::Connected { is_restarted: true };

    #[test]
    fn changes_from_before_are_not_shown() {
        let first = stream("1", &[(1, "a"), (2, "b"), (3, "c")]);
        assert_eq!(events(&[], &[&first]), [CONNECTED, change("a"), change("b"), change("c")]);
        assert_eq!(events(&["a", "b"], &[&first]), [CONNECTED, change("c")]);
    }

    #[test]
    fn after_a_lost_connection_no_change_is_missed_or_shown_twice() {
        let (first, second) = (stream("1", &[(1, "a"), (2, "b")]), stream("1", &[(1, "a"), (2, "b"), (3, "c")]));
        assert_eq!(events(&["a"], &[&first, &second]), [CONNECTED, change("b"), CONNECTED, change("c")]);
    }

    #[test]
    fn after_a_restart_every_change_is_new() {
        let (first, second) = (stream("1", &[(1, "a"), (2, "b")]), stream("2", &[(1, "c"), (2, "d")]));
        let expected = [CONNECTED, change("b"), RESTARTED, change("c"), change("d")];
        assert_eq!(events(&["a"], &[&first, &second]), expected);
    }

    #[test]
    fn a_message_that_is_cut_off_is_not_shown() {
        assert_eq!(events(&[], &["id: 1\ndata: {\"id\":\"a\"}\n"]), []);
        assert_eq!(events(&[], &["id: 1\ndata: {\"id\":\ndata: \"a\"}\r\n\r\nid: x\ndata: {}\n\n"]), [change("a")]);
    }
}
