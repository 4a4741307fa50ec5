//! Lets the embedded SQS take messages of up to 1 MiB, as AWS does. Its engine takes at most 256 KiB, so it gets a short
//! text in place of a larger body.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use axum::body::Bytes;
use md5::{Digest, Md5};
use serde_json::Value;

use super::sqs::MESSAGE_BYTES_MAX;
use crate::sqs_requests::queue_name;

/// The largest message that the engine takes, and the largest `MaximumMessageSize` of a queue.
const ENGINE_BYTES_MAX: usize = 262_144;

#[derive(Default)]
pub(super) struct LargeMessages(Mutex<State>);

#[derive(Default)]
struct State {
    /// The large bodies, by the short texts that the engine has in their place. They stay until the stack ends.
    bodies: BTreeMap<String, String>,
    /// `MaximumMessageSize` of each queue for which it is larger than the engine allows, by the queue's name.
    limits: BTreeMap<String, usize>,
}

impl LargeMessages {
    /// The request for the engine, if it has to differ.
    pub(super) fn replace(&self, operation: &str, request: &Value) -> Option<Bytes> {
        let mut state = self.state();
        let mut replaced = request.clone();
        match operation {
            "CreateQueue" | "SetQueueAttributes" => {
                let limit = request["Attributes"]["MaximumMessageSize"].as_str()?.parse().ok()?;
                if !(ENGINE_BYTES_MAX + 1..=MESSAGE_BYTES_MAX).contains(&limit) {
                    return None;
                }
                state.limits.insert(queue(request), limit);
                replaced["Attributes"]["MaximumMessageSize"] = ENGINE_BYTES_MAX.to_string().into();
            }
            "SendMessage" | "SendMessageBatch" => {
                let limit = *state.limits.get(&queue(request))?;
                let is_large = |body: &Value| {
                    body.as_str().is_some_and(|body| (ENGINE_BYTES_MAX + 1..=limit).contains(&body.len()))
                };
                let bodies = bodies_of(&mut replaced).filter(|body| is_large(body));
                let mut is_replaced = false;
                for body in bodies {
                    let short = format!("large-message-{}", state.bodies.len());
                    let Value::String(large) = std::mem::replace(body, short.clone().into()) else { continue };
                    state.bodies.insert(short, large);
                    is_replaced = true;
                }
                if !is_replaced {
                    return None;
                }
            }
            _ => return None,
        }
        Some(replaced.to_string().into())
    }

    /// The answer as AWS would give it to the request.
    pub(super) fn restore(&self, operation: &str, request: &Value, answer: Bytes) -> Bytes {
        let state = self.state();
        if state.limits.is_empty() {
            return answer;
        }
        let Ok(mut restored) = serde_json::from_slice::<Value>(&answer) else { return answer };
        match operation {
            "GetQueueAttributes" => match (state.limits.get(&queue(request)), restored.pointer_mut(LIMIT)) {
                (Some(limit), Some(attribute)) => *attribute = limit.to_string().into(),
                _ => return answer,
            },
            "ReceiveMessage" => {
                for message in restored["Messages"].as_array_mut().into_iter().flatten() {
                    if let Some(body) = message["Body"].as_str().and_then(|short| state.bodies.get(short)) {
                        message["MD5OfBody"] = md5(body).into();
                        message["Body"] = body.clone().into();
                    }
                }
            }
            "SendMessage" => set_md5(&mut restored, &request["MessageBody"]),
            "SendMessageBatch" => {
                for done in restored["Successful"].as_array_mut().into_iter().flatten() {
                    let entries = request["Entries"].as_array().into_iter().flatten();
                    if let Some(entry) = entries.into_iter().find(|entry| entry["Id"] == done["Id"]) {
                        set_md5(done, &entry["MessageBody"]);
                    }
                }
            }
            _ => return answer,
        }
        restored.to_string().into()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The JSON pointer to the limit of a queue in an answer.
const LIMIT: &str = "/Attributes/MaximumMessageSize";

/// The name of the queue that a request is about.
fn queue(request: &Value) -> String {
    request["QueueName"].as_str().map_or_else(|| queue_name(&request["QueueUrl"]), str::to_owned)
}

/// The bodies that a request sends.
fn bodies_of(request: &mut Value) -> Box<dyn Iterator<Item = &mut Value> + '_> {
    if request["Entries"].is_array() {
        let entries = request["Entries"].as_array_mut().into_iter().flatten();
        Box::new(entries.map(|entry| &mut entry["MessageBody"]))
    } else {
        Box::new(std::iter::once(&mut request["MessageBody"]))
    }
}

fn set_md5(answer: &mut Value, body: &Value) {
    if let (Some(body), true) = (body.as_str(), answer["MD5OfMessageBody"].is_string()) {
        answer["MD5OfMessageBody"] = md5(body).into();
    }
}

fn md5(body: &str) -> String {
    hex::encode(Md5::digest(body))
}
