//! A table and queues in memory, which do exactly what the ports ask for and never fail. The storage contract's tests
//! hold them to the same rules as DynamoDB and SQS.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use clientele_model::Item;
use serde_json::{Map, Value};

use crate::ports::{Due, Put, Queue, QueueError, Queues, Standing, Table, TableError, Waiting};

/// How many tombstones are on a page.
const PAGE: usize = 3;

/// A table and queues in memory. Clones share what is in them.
#[derive(Clone, Debug, Default)]
pub struct Memory(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    items: BTreeMap<String, Map<String, Value>>,
    messages: Vec<Message>,
    sent: usize,
}

/// A message on a queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Unique, and growing.
    pub id: usize,
    /// Its queue.
    pub queue: Queue,
    /// Whose it is.
    pub provider: String,
    /// What was sent.
    pub body: String,
}

impl Memory {
    /// Every item, by `pk`.
    #[must_use]
    pub fn items(&self) -> BTreeMap<String, Map<String, Value>> {
        self.state().items.clone()
    }

    /// The rank of a customer's item.
    #[must_use]
    pub fn rank(&self, pk: &str) -> Option<String> {
        text(self.state().items.get(pk)?, "rank")
    }

    /// The messages of a queue, oldest first.
    #[must_use]
    pub fn messages(&self, queue: Queue) -> Vec<Message> {
        self.state().messages.iter().filter(|message| message.queue == queue).cloned().collect()
    }

    /// Takes a message from its queue, if it is still there.
    pub fn delete(&self, id: usize) {
        self.state().messages.retain(|message| message.id != id);
    }

    /// Moves a message to another queue, if it is still there.
    pub fn move_to(&self, id: usize, queue: Queue) {
        if let Some(message) = self.state().messages.iter_mut().find(|message| message.id == id) {
            message.queue = queue;
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table for Memory {
    async fn put(&self, item: &Item) -> Result<Put, TableError> {
        let Ok(Value::Object(item)) = serde_json::to_value(item) else {
            return Err(TableError::Unstorable("not an object".to_owned()));
        };
        let mut state = self.state();
        let pk = text(&item, "pk").unwrap_or_default();
        match state.items.get(&pk).and_then(standing) {
            Some(standing) if text(&item, "rank") <= Some(standing.rank.clone()) => Ok(Put::Refused(standing)),
            _ => {
                state.items.insert(pk, item);
                Ok(Put::Written(Some(1.0)))
            }
        }
    }

    async fn clear_cleanup(&self, pk: &str, rank: &str) -> Result<Option<f64>, TableError> {
        let mut state = self.state();
        let Some(item) = state.items.get_mut(pk).filter(|item| text(item, "rank").as_deref() == Some(rank)) else {
            return Ok(None);
        };
        item.remove("cleanup");
        item.remove("cleanup_due");
        Ok(Some(1.0))
    }

    async fn due(&self, after: Option<Waiting>) -> Result<Due, TableError> {
        let state = self.state();
        let later = state.items.iter().filter(|(pk, _)| after.as_ref().is_none_or(|after| **pk > after.pk));
        let waiting =
            later.filter_map(|(pk, item)| Some(Waiting { pk: pk.clone(), since: text(item, "cleanup_due")? }));
        let waiting: Vec<_> = waiting.take(PAGE).collect();
        let next = waiting.last().filter(|_| waiting.len() == PAGE).cloned();
        Ok(Due { waiting, next })
    }

    async fn standing(&self, pk: &str) -> Result<Option<Standing>, TableError> {
        Ok(self.state().items.get(pk).and_then(standing))
    }
}

impl Queues for Memory {
    async fn send(&self, queue: Queue, provider: &str, message: &str) -> Result<(), QueueError> {
        let mut state = self.state();
        state.sent += 1;
        let id = state.sent;
        state.messages.push(Message { id, queue, provider: provider.to_owned(), body: message.to_owned() });
        Ok(())
    }
}

fn standing(item: &Map<String, Value>) -> Option<Standing> {
    Some(Standing { rank: text(item, "rank")?, cleanup: text(item, "cleanup") })
}

fn text(item: &Map<String, Value>, name: &str) -> Option<String> {
    item.get(name)?.as_str().map(str::to_owned)
}
