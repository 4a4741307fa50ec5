//! The journal that carries messages over to the next run. Each message sent and each message deleted is one line of a
//! file, written before the call is acknowledged. In the next run, messages that were sent and not deleted are sent
//! again as soon as their queue is created.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, ErrorKind, Write};
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::sqs_requests::{list, queue_name, text};

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Line {
    Sent { id: String, queue: String, body: Value, attributes: Value },
    Deleted { id: String },
    Purged { queue: String },
}

pub(super) struct Journal(Mutex<State>);

struct State {
    file: File,
    /// Messages of earlier runs whose queue is not created yet, by queue.
    pending: BTreeMap<String, Vec<Line>>,
    /// By current message id: the journal id of a message that was sent again and got a new id.
    journal_ids: BTreeMap<String, String>,
    /// The message id of each receipt handle.
    receipts: BTreeMap<String, String>,
}

impl Journal {
    /// Opens the file and rewrites it without deleted messages. No other process may have it open.
    pub(super) fn open(path: &Path) -> Result<Self> {
        let pending = read(path)?;
        let compact = path.with_extension("jsonl.new");
        let mut file = File::create(&compact).with_context(|| format!("cannot write {}", compact.display()))?;
        for line in pending.values().flatten() {
            write!(file, "\n{}", serde_json::to_string(line)?)?;
        }
        file.sync_all()?;
        std::fs::rename(&compact, path)?;
        let file = OpenOptions::new().append(true).open(path)?;
        let state = State { file, pending, journal_ids: BTreeMap::new(), receipts: BTreeMap::new() };
        Ok(Self(Mutex::new(state)))
    }

    /// Records the effect of a successful call.
    pub(super) fn record(&self, operation: &str, request: &Value, answer: &[u8]) -> Result<()> {
        let answer: Value = serde_json::from_slice(answer).unwrap_or_default();
        let mut state = self.state();
        let queue = queue_name(&request["QueueUrl"]);
        match operation {
            "SendMessage" => state.sent(&queue, request, &answer)?,
            "SendMessageBatch" => {
                for done in list(&answer["Successful"]) {
                    let entry = list(&request["Entries"]).find(|entry| entry["Id"] == done["Id"]);
                    entry.map_or(Ok(()), |entry| state.sent(&queue, entry, done))?;
                }
            }
            "ReceiveMessage" => {
                for message in list(&answer["Messages"]) {
                    let id = text(&message["MessageId"]);
                    // A newer receipt handle invalidates the older ones of its message.
                    state.receipts.retain(|_, other| *other != id);
                    state.receipts.insert(text(&message["ReceiptHandle"]), id);
                }
            }
            "DeleteMessage" => state.deleted(&request["ReceiptHandle"])?,
            "DeleteMessageBatch" => {
                for done in list(&answer["Successful"]) {
                    let entry = list(&request["Entries"]).find(|entry| entry["Id"] == done["Id"]);
                    entry.map_or(Ok(()), |entry| state.deleted(&entry["ReceiptHandle"]))?;
                }
            }
            "ChangeMessageVisibility" if request["VisibilityTimeout"] == 0 => {
                state.receipts.remove(&text(&request["ReceiptHandle"]));
            }
            "PurgeQueue" => state.write(&Line::Purged { queue })?,
            _ => {}
        }
        Ok(())
    }

    /// Takes the messages of earlier runs for a queue that exists now: their journal ids, and requests that send them.
    pub(super) fn take_pending(&self, queue_url: &Value) -> Vec<(String, Value)> {
        let pending = self.state().pending.remove(&queue_name(queue_url)).unwrap_or_default();
        let requests = pending.into_iter().filter_map(|line| match line {
            Line::Sent { id, body, attributes, .. } => {
                Some((id, json!({ "QueueUrl": queue_url, "MessageBody": body, "MessageAttributes": attributes })))
            }
            Line::Deleted { .. } | Line::Purged { .. } => None,
        });
        requests.collect()
    }

    /// Notes the new id of a message of an earlier run.
    pub(super) fn restored(&self, journal_id: String, answer: &[u8]) {
        let answer: Value = serde_json::from_slice(answer).unwrap_or_default();
        self.state().journal_ids.insert(text(&answer["MessageId"]), journal_id);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn sent(&mut self, queue: &str, message: &Value, answer: &Value) -> Result<()> {
        let (id, queue) = (text(&answer["MessageId"]), queue.to_owned());
        let attributes = message.get("MessageAttributes").cloned().unwrap_or_else(|| json!({}));
        self.write(&Line::Sent { id, queue, body: message["MessageBody"].clone(), attributes })
    }

    fn deleted(&mut self, receipt: &Value) -> Result<()> {
        let Some(id) = self.receipts.remove(&text(receipt)) else { return Ok(()) };
        let id = self.journal_ids.remove(&id).unwrap_or(id);
        self.write(&Line::Deleted { id })
    }

    fn write(&mut self, line: &Line) -> Result<()> {
        // The line break comes first, so that a line that was cut off by a crash cannot damage this one.
        Ok(self.file.write_all(format!("\n{}", serde_json::to_string(line)?).as_bytes())?)
    }
}

/// The messages that were sent and not deleted, by queue.
fn read(path: &Path) -> Result<BTreeMap<String, Vec<Line>>> {
    let mut pending = BTreeMap::<String, Vec<Line>>::new();
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(pending),
        Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
    };
    for line in BufReader::new(file).split(b'\n') {
        // A crash may have cut off a line. Its call was not acknowledged, so the line can be ignored.
        match serde_json::from_slice(&line?) {
            Ok(Line::Sent { id, queue, body, attributes }) => {
                pending.entry(queue.clone()).or_default().push(Line::Sent { id, queue, body, attributes });
            }
            Ok(Line::Deleted { id }) => {
                let other = |line: &Line| !matches!(line, Line::Sent { id: sent, .. } if *sent == id);
                for lines in pending.values_mut() {
                    lines.retain(other);
                }
            }
            Ok(Line::Purged { queue }) => drop(pending.remove(&queue)),
            Err(_) => {}
        }
    }
    Ok(pending)
}
