//! A table and queues in memory for the proofs. They never fail. The storage contract's tests hold them to the same rules
//! as DynamoDB and SQS.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use clientele_model::{Item, ItemError, Receipt, Tombstone};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::ports::{
    CurrentItem, CustomerReader, CustomerScan, ItemPage, LiveItem, LiveItemPage, OpenErasure, OpenErasurePage,
    PendingCleanup, PendingCleanupPage, PutResult, Queue, QueueError, Queues, ReplaceResult, Table, TableError,
    Tombstones, UnreadableItem,
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
    writes: Vec<TableWrite>,
}

/// A write to the table, as its stream reports it: the item before and after.
#[derive(Clone, Debug, PartialEq)]
pub struct TableWrite {
    /// The item before; absent if there was none.
    pub old: Option<Map<String, Value>>,
    /// The item after; absent if it was removed.
    pub new: Option<Map<String, Value>>,
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

    /// All writes that had an effect since that many of them, in their order.
    #[must_use]
    pub fn writes_from(&self, number: usize) -> Vec<TableWrite> {
        self.contents().writes.get(number..).unwrap_or_default().to_vec()
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

    /// Removes the tombstone of that rank, as an operator does who restores a customer. Returns whether it did.
    #[must_use]
    pub fn remove_tombstone(&self, pk: &str, rank: &str) -> bool {
        let mut contents = self.contents();
        let is_same = contents.items.get(pk).is_some_and(|item| text(item, "rank").as_deref() == Some(rank));
        let removed = if is_same { contents.items.remove(pk) } else { None };
        let is_removed = removed.is_some();
        contents.writes.extend(removed.map(|old| TableWrite { old: Some(old), new: None }));
        is_removed
    }

    fn contents(&self) -> MutexGuard<'_, Contents> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table for InMemoryStorage {
    async fn put(&self, item: &Item) -> Result<PutResult, TableError> {
        let item = to_map(item)?;
        let mut contents = self.contents();
        let pk = text(&item, "pk").unwrap_or_default();
        match contents.items.get(&pk).and_then(current_item) {
            Some(current) if text(&item, "rank") <= Some(current.rank.clone()) => {
                Ok(PutResult::ConditionFailed(current))
            }
            _ => {
                let old = contents.items.insert(pk, item.clone());
                contents.writes.push(TableWrite { old, new: Some(item) });
                Ok(PutResult::Written(Some(1.0)))
            }
        }
    }

    async fn replace(&self, tombstone: &Tombstone, seen: Option<&Item>) -> Result<ReplaceResult, TableError> {
        let mut contents = self.contents();
        let current = contents.items.get(&tombstone.pk);
        let names: &[&str] = match seen {
            Some(Item::Tombstone(_)) => &["rank", "cleanup", "cleanup_due", "receipts", "erasure_open"],
            _ => &["rank"],
        };
        let seen = seen.map(to_map).transpose()?;
        let is_same = match (&seen, current) {
            (None, None) => true,
            (Some(seen), Some(current)) => names.iter().all(|name| seen.get(*name) == current.get(*name)),
            _ => false,
        };
        if !is_same {
            return Ok(ReplaceResult::Changed);
        }
        let item = to_map(tombstone)?;
        let old = contents.items.insert(tombstone.pk.clone(), item.clone());
        contents.writes.push(TableWrite { old, new: Some(item) });
        Ok(ReplaceResult::Written(Some(1.0)))
    }

    async fn item(&self, pk: &str) -> Result<Option<Result<Item, ItemError>>, TableError> {
        Ok(self.contents().items.get(pk).cloned().map(Item::try_from))
    }

    async fn clear_cleanup(&self, pk: &str, rank: &str, message: &str) -> Result<Option<f64>, TableError> {
        let mut contents = self.contents();
        let is_sent = |item: &Map<String, Value>| {
            (text(item, "rank").as_deref(), text(item, "cleanup").as_deref()) == (Some(rank), Some(message))
        };
        let Some(item) = contents.items.get_mut(pk).filter(|item| is_sent(item)) else { return Ok(None) };
        let old = item.clone();
        item.remove("cleanup");
        item.remove("cleanup_due");
        if *item != old {
            let new = Some(item.clone());
            contents.writes.push(TableWrite { old: Some(old), new });
        }
        Ok(Some(1.0))
    }

    async fn pending_cleanups(
        &self,
        due_by: Timestamp,
        after: Option<PendingCleanup>,
    ) -> Result<PendingCleanupPage, TableError> {
        let contents = self.contents();
        let later = contents.items.iter().filter(|(pk, _)| after.as_ref().is_none_or(|after| **pk > after.pk));
        let pending =
            |(pk, item): (&String, _)| Some(PendingCleanup { pk: pk.clone(), due: text(item, "cleanup_due")? });
        let is_due = |pending: &PendingCleanup| pending.due.parse::<Timestamp>().map_or(true, |due| due <= due_by);
        let mut pending: Vec<_> = later.filter_map(pending).take(PAGE).collect();
        let next = pending.last().filter(|_| pending.len() == PAGE).cloned();
        // As in DynamoDB, those that do not match take their place on the page.
        pending.retain(is_due);
        Ok(PendingCleanupPage { pending, next })
    }

    async fn current_item(&self, pk: &str) -> Result<Option<CurrentItem>, TableError> {
        Ok(self.contents().items.get(pk).and_then(current_item))
    }
}

impl Tombstones for InMemoryStorage {
    async fn add_receipt(&self, pk: &str, system: &str, receipt: Receipt) -> Result<Option<Tombstone>, TableError> {
        let Some(Ok(Item::Tombstone(mut tombstone))) = self.item(pk).await? else { return Ok(None) };
        tombstone.receipts.entry(system.to_owned()).or_insert(receipt);
        self.contents().items.insert(pk.to_owned(), to_map(&tombstone)?);
        Ok(Some(*tombstone))
    }

    async fn close_erasure(&self, pk: &str, systems: &[String]) -> Result<(), TableError> {
        if let Some(Ok(Item::Tombstone(tombstone))) = self.item(pk).await?
            && tombstone.missing_receipts(systems).is_empty()
            && let Some(item) = self.contents().items.get_mut(pk)
        {
            item.remove("erasure_open");
        }
        Ok(())
    }

    async fn open_erasures(&self, after: Option<OpenErasure>) -> Result<OpenErasurePage, TableError> {
        let contents = self.contents();
        let later = contents.items.iter().filter(|(pk, _)| after.as_ref().is_none_or(|after| **pk > after.pk));
        let open = |(pk, item): (&String, _)| Some(OpenErasure { pk: pk.clone(), since: text(item, "erasure_open")? });
        let open: Vec<_> = later.filter_map(open).take(PAGE).collect();
        let next = open.last().filter(|_| open.len() == PAGE).cloned();
        Ok(OpenErasurePage { open, next })
    }
}

impl CustomerReader for InMemoryStorage {
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
    Some(CurrentItem {
        rank: text(item, "rank")?,
        cleanup: text(item, "cleanup"),
        cleanup_due: text(item, "cleanup_due"),
    })
}

fn to_map(item: &impl Serialize) -> Result<Map<String, Value>, TableError> {
    match serde_json::to_value(item) {
        Ok(Value::Object(item)) => Ok(item),
        _ => Err(TableError::Unstorable("not an object".to_owned())),
    }
}

fn text(item: &Map<String, Value>, name: &str) -> Option<String> {
    item.get(name)?.as_str().map(str::to_owned)
}
