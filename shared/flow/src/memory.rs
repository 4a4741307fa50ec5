//! A table and queues in memory for the proofs. They never fail. The storage contract's tests hold them to the same rules
//! as DynamoDB and SQS.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use clientele_model::{Item, ItemError};
use serde_json::{Map, Value};

use crate::ports::{
    CurrentItem, CustomerReader, CustomerScan, ItemPage, LiveItem, LiveItemPage, PendingCleanup, PendingCleanupPage,
    PutResult, Queue, QueueError, Queues, Table, TableError, UnreadableItem,
};

/// How many items are on a page.
const PAGE: usize = 3;

/// A table and queues in memory. Clones share the contents.
#[derive(Clone, Debug, Default)]
pub struct InMemoryStorage(Arc<Mutex<Contents>>);

#[derive(Debug, Default)]
struct Contents {
    items: BTreeMap<String, Map<String, Value>>,
    messages: Vec<QueuedMessage>,
    sent: usize,
}

/// A message on a queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueuedMessage {
    /// Unique and ascending.
    pub id: usize,
    /// The queue that it is on.
    pub queue: Queue,
    /// The name of the provider.
    pub provider: String,
    /// The message as it was sent.
    pub body: String,
}

impl InMemoryStorage {
    /// Every item, by `pk`.
    #[must_use]
    pub fn items(&self) -> BTreeMap<String, Map<String, Value>> {
        self.contents().items.clone()
    }

    /// The messages of a queue, oldest first.
    #[must_use]
    pub fn messages(&self, queue: Queue) -> Vec<QueuedMessage> {
        self.contents().messages.iter().filter(|message| message.queue == queue).cloned().collect()
    }

    /// Puts an attribute into an item, as a later version may.
    pub fn set_attribute(&self, pk: &str, name: &str, value: Value) {
        if let Some(item) = self.contents().items.get_mut(pk) {
            item.insert(name.to_owned(), value);
        }
    }

    /// Deletes a message from its queue, if it is still there.
    pub fn delete(&self, id: usize) {
        self.contents().messages.retain(|message| message.id != id);
    }

    /// Moves a message to another queue, if it still exists.
    pub fn move_to(&self, id: usize, queue: Queue) {
        if let Some(message) = self.contents().messages.iter_mut().find(|message| message.id == id) {
            message.queue = queue;
        }
    }

    fn contents(&self) -> MutexGuard<'_, Contents> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table for InMemoryStorage {
    async fn put(&self, item: &Item) -> Result<PutResult, TableError> {
        let Ok(Value::Object(item)) = serde_json::to_value(item) else {
            return Err(TableError::Unstorable("not an object".to_owned()));
        };
        let mut contents = self.contents();
        let pk = text(&item, "pk").unwrap_or_default();
        match contents.items.get(&pk).and_then(current_item) {
            Some(current) if text(&item, "rank") <= Some(current.rank.clone()) => {
                Ok(PutResult::ConditionFailed(current))
            }
            _ => {
                contents.items.insert(pk, item);
                Ok(PutResult::Written(Some(1.0)))
            }
        }
    }

    async fn clear_cleanup(&self, pk: &str, rank: &str) -> Result<Option<f64>, TableError> {
        let mut contents = self.contents();
        let Some(item) = contents.items.get_mut(pk).filter(|item| text(item, "rank").as_deref() == Some(rank)) else {
            return Ok(None);
        };
        item.remove("cleanup");
        item.remove("cleanup_due");
        Ok(Some(1.0))
    }

    async fn pending_cleanups(&self, after: Option<PendingCleanup>) -> Result<PendingCleanupPage, TableError> {
        let contents = self.contents();
        let later = contents.items.iter().filter(|(pk, _)| after.as_ref().is_none_or(|after| **pk > after.pk));
        let pending =
            |(pk, item): (&String, _)| Some(PendingCleanup { pk: pk.clone(), since: text(item, "cleanup_due")? });
        let pending: Vec<_> = later.filter_map(pending).take(PAGE).collect();
        let next = pending.last().filter(|_| pending.len() == PAGE).cloned();
        Ok(PendingCleanupPage { pending, next })
    }

    async fn current_item(&self, pk: &str) -> Result<Option<CurrentItem>, TableError> {
        Ok(self.contents().items.get(pk).and_then(current_item))
    }
}

impl CustomerReader for InMemoryStorage {
    async fn item(&self, pk: &str) -> Result<Option<Result<Item, ItemError>>, TableError> {
        Ok(self.contents().items.get(pk).cloned().map(Item::try_from))
    }

    async fn live_items(
        &self,
        provider: &str,
        account: &str,
        after: Option<String>,
    ) -> Result<LiveItemPage, TableError> {
        let contents = self.contents();
        let is_of = |item: &Map<String, Value>| {
            let text = |name| item.get(name).and_then(Value::as_str);
            (text("provider"), text("account")) == (Some(provider), Some(account)) && text("status") != Some("deleted")
        };
        let later = contents.items.iter().filter(|(pk, _)| after.as_ref().is_none_or(|after| *pk > after));
        let live = later.filter(|(_, item)| is_of(item)).filter_map(|(pk, item)| {
            Some(LiveItem { pk: pk.clone(), customer_id: text(item, "customer_id")?, rank: text(item, "rank")? })
        });
        let items: Vec<_> = live.take(PAGE).collect();
        let next = items.last().filter(|_| items.len() == PAGE).map(|item| item.pk.clone());
        Ok(LiveItemPage { items, next })
    }
}

impl CustomerScan for InMemoryStorage {
    async fn items_after(&self, pk: Option<String>) -> Result<ItemPage, TableError> {
        let contents = self.contents();
        let later = contents.items.iter().filter(|(key, _)| pk.as_ref().is_none_or(|pk| *key > pk)).take(PAGE);
        let read = |(pk, item): (&String, &Map<String, Value>)| {
            Item::try_from(item.clone()).map_err(|error| UnreadableItem { pk: pk.clone(), why: error.to_string() })
        };
        let next = later.clone().last().map(|(pk, _)| pk.clone());
        let items: Vec<_> = later.map(read).collect();
        Ok(ItemPage { next: next.filter(|_| items.len() == PAGE), items })
    }
}

impl Queues for InMemoryStorage {
    async fn send(&self, queue: Queue, provider: &str, message: &str) -> Result<(), QueueError> {
        let mut contents = self.contents();
        contents.sent += 1;
        let id = contents.sent;
        contents.messages.push(QueuedMessage { id, queue, provider: provider.to_owned(), body: message.to_owned() });
        Ok(())
    }
}

fn current_item(item: &Map<String, Value>) -> Option<CurrentItem> {
    Some(CurrentItem { rank: text(item, "rank")?, cleanup: text(item, "cleanup") })
}

fn text(item: &Map<String, Value>, name: &str) -> Option<String> {
    item.get(name)?.as_str().map(str::to_owned)
}
