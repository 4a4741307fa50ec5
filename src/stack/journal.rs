//! Messages between runs: each message sent and each message deleted is a line of a file, written before the caller is
//! told. What was sent and not deleted is sent again when its queue is created in the next run.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, ErrorKind, Write};
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Line {
    Sent { id: String, queue: String, body: Value, attributes: Value },
    Deleted { id: String },
    Purged { queue: String },
}

pub(super) struct Journal(Mutex<State>);

struct State {
    file: File,
    /// Messages of earlier runs, by queue, whose queue is not created yet.
    waiting: BTreeMap<String, Vec<Line>>,
    /// The id in the journal of a message that was sent again under another id.
    journal_ids: BTreeMap<String, String>,
    /// The message of a receipt handle.
    receipts: BTreeMap<String, String>,
}

impl Journal {
    /// Opens the file, and rewrites it without what is settled. Nobody else may have it open.
    pub(super) fn open(path: &Path) -> Result<Self> {
        let waiting = read(path)?;
        let compact = path.with_extension("jsonl.new");
        let mut file = File::create(&compact).with_context(|| format!("cannot write {}", compact.display()))?;
        for line in waiting.values().flatten() {
            write!(file, "\n{}", serde_json::to_string(line)?)?;
        }
        file.sync_all()?;
        std::fs::rename(&compact, path)?;
        let file = OpenOptions::new().append(true).open(path)?;
        let state = State { file, waiting, journal_ids: BTreeMap::new(), receipts: BTreeMap::new() };
        Ok(Self(Mutex::new(state)))
    }

    /// Writes down what a successful call did.
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
                    // A newer receipt makes the older ones of its message worthless.
                    let id = text(&message["MessageId"]);
                    state.receipts.retain(|_, other| *other != id);
                    state.receipts.insert(text(&message["ReceiptHandle"]), text(&message["MessageId"]));
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

    /// The messages of earlier runs for a queue that is there now: their journal ids and the calls that send them.
    pub(super) fn take_waiting(&self, queue_url: &Value) -> Vec<(String, Value)> {
        let waiting = self.state().waiting.remove(&queue_name(queue_url)).unwrap_or_default();
        let again = waiting.into_iter().filter_map(|line| match line {
            Line::Sent { id, body, attributes, .. } => {
                Some((id, json!({ "QueueUrl": queue_url, "MessageBody": body, "MessageAttributes": attributes })))
            }
            Line::Deleted { .. } | Line::Purged { .. } => None,
        });
        again.collect()
    }

    /// A message of an earlier run has a new id.
    pub(super) fn sent_again(&self, journal_id: String, answer: &[u8]) {
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
        // One call a line, begun with an end of line: whatever was cut off before stays alone.
        Ok(self.file.write_all(format!("\n{}", serde_json::to_string(line)?).as_bytes())?)
    }
}

/// What was sent and not deleted, by queue.
fn read(path: &Path) -> Result<BTreeMap<String, Vec<Line>>> {
    let mut waiting = BTreeMap::<String, Vec<Line>>::new();
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(waiting),
        Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
    };
    for line in BufReader::new(file).split(b'\n') {
        // A line may be cut off, where the process or the disk ended: nobody was told that it was done.
        match serde_json::from_slice(&line?) {
            Ok(Line::Sent { id, queue, body, attributes }) => {
                waiting.entry(queue.clone()).or_default().push(Line::Sent { id, queue, body, attributes });
            }
            Ok(Line::Deleted { id }) => {
                let other = |line: &Line| !matches!(line, Line::Sent { id: sent, .. } if *sent == id);
                for lines in waiting.values_mut() {
                    lines.retain(other);
                }
            }
            Ok(Line::Purged { queue }) => drop(waiting.remove(&queue)),
            Err(_) => {}
        }
    }
    Ok(waiting)
}

fn queue_name(url: &Value) -> String {
    url.as_str().and_then(|url| url.rsplit('/').next()).unwrap_or_default().to_owned()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}
