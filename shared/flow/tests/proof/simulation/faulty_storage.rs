//! Storage in memory whose calls can be interrupted before and after their effect, and fail according to a plan.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll};
use std::time::Duration;

use clientele_flow::{
    CurrentItem, CustomerReader, CustomerScan, ItemPage, LiveItemPage, OpenErasure, OpenErasurePage, PendingCleanup,
    PendingCleanupPage, PutResult, Queue, QueueError, Queues, ReplaceResult, Table, TableError, Tombstones,
};
use clientele_model::{CustomerEvent, ErasureSettings, Item, ItemError, Receipt, Tombstone};
use jiff::Timestamp;

use super::erasure::SimulatedStorage;
use super::history::{can_hold, event_ids};

/// A call to the table or a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Operation {
    Put,
    Replace,
    ClearCleanup,
    PendingCleanups,
    CurrentItem,
    Item,
    LiveItems,
    /// Reads a page of all items.
    Scan,
    AddReceipt,
    CloseErasure,
    OpenErasures,
    /// An operator's removal of a tombstone.
    Restore,
    Send(Queue),
    /// Reads the table's stream.
    ReadStream,
    PutEvents,
    KeepRefused,
    /// A consumer starts to receive the events of the bus.
    Subscribe,
}

/// What goes wrong with a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It has no effect, and fails.
    FailsBefore,
    /// It has its effect, and fails.
    FailsAfter,
    /// It has no effect, and never returns.
    HangsBefore,
    /// It has its effect, and never returns.
    HangsAfter,
    /// It succeeds after this time.
    Delayed(Duration),
    /// It succeeds after other actors have had this many turns.
    Yields(u8),
}

impl Fault {
    /// The faults that do not go away by waiting.
    pub(crate) const PERMANENT: [Self; 4] = [Self::FailsBefore, Self::FailsAfter, Self::HangsBefore, Self::HangsAfter];
}

/// The fault of each call. Calls are counted from 0.
type Plan = Box<dyn FnMut(usize, Operation) -> Option<Fault> + Send>;

/// The storage as one actor sees it. Clones share the plan and the number of calls.
#[derive(Clone)]
pub(crate) struct FaultyStorage {
    storage: SimulatedStorage,
    state: Arc<Mutex<State>>,
}

struct State {
    calls: usize,
    plan: Plan,
    /// Whether calls can be interrupted.
    yields: bool,
    /// How many calls are about to have their effect.
    before_effect: usize,
    /// A hash of all responses, if requested.
    responses: Option<DefaultHasher>,
    /// The greatest rank of each customer that the table has acknowledged, by `pk`.
    acknowledged: BTreeMap<String, String>,
    /// The messages to inbox and quarantine that were acknowledged.
    kept: Vec<String>,
}

impl Operation {
    /// Whether it writes an item.
    pub(crate) fn is_write(self) -> bool {
        matches!(self, Self::Put | Self::Replace)
    }
}

impl FaultyStorage {
    pub(crate) fn new(
        storage: &SimulatedStorage,
        plan: impl FnMut(usize, Operation) -> Option<Fault> + Send + 'static,
    ) -> Self {
        let state = State {
            calls: 0,
            plan: Box::new(plan),
            yields: true,
            before_effect: 0,
            responses: None,
            acknowledged: BTreeMap::new(),
            kept: vec![],
        };
        Self { storage: storage.clone(), state: Arc::new(Mutex::new(state)) }
    }

    /// Interruptible, without faults.
    pub(crate) fn reliable(storage: &SimulatedStorage) -> Self {
        Self::new(storage, |_, _| None)
    }

    /// Not interruptible, without faults: for steps that only prepare what a proof is about.
    pub(crate) fn atomic(storage: &SimulatedStorage) -> Self {
        let reliable = Self::reliable(storage);
        reliable.state().yields = false;
        reliable
    }

    /// As `reliable`, and hashes the responses.
    pub(crate) fn recording(storage: &SimulatedStorage) -> Self {
        let reliable = Self::reliable(storage);
        reliable.state().responses = Some(DefaultHasher::new());
        reliable
    }

    /// How the stack erases customers.
    pub(crate) fn erasure(&self) -> ErasureSettings {
        self.storage.erasure
    }

    /// How many calls there were.
    pub(crate) fn calls(&self) -> usize {
        self.state().calls
    }

    /// Whether the next step of the actor has an effect that others can observe. Otherwise it only handles a response.
    pub(crate) fn is_before_effect(&self) -> bool {
        self.state().before_effect > 0
    }

    /// A hash of all responses so far, in their order.
    pub(crate) fn responses_hash(&self) -> u64 {
        self.state().responses.as_ref().map_or(0, DefaultHasher::finish)
    }

    /// Whether the table has acknowledged that it has the event or a greater one.
    pub(crate) fn has_acknowledged(&self, event: &CustomerEvent) -> bool {
        let rank = self.state().acknowledged.get(&event.key().to_string()).cloned();
        rank >= Some(event.rank().to_string())
    }

    fn acknowledge(&self, pk: &str, rank: &str) {
        let mut state = self.state();
        let acknowledged = state.acknowledged.entry(pk.to_owned()).or_default();
        if acknowledged.as_str() < rank {
            rank.clone_into(acknowledged);
        }
    }

    /// The ids of events in messages that the inbox or the quarantine queue acknowledged.
    pub(crate) fn kept(&self) -> BTreeSet<String> {
        self.state().kept.iter().flat_map(|message| event_ids(message)).flatten().collect()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// A call: other actors may have their turn before its effect, and after.
    pub(crate) async fn call<T: Debug + Send, E: Debug + Send>(
        &self,
        operation: Operation,
        effect: impl Future<Output = Result<T, E>> + Send,
        failure: impl FnOnce(String) -> E + Send,
    ) -> Result<T, E> {
        let fault = self.next_fault(operation);
        self.state().before_effect += 1;
        self.turn_of_others().await;
        self.state().before_effect -= 1;
        match fault {
            Some(Fault::FailsBefore) => return self.record(operation, Err(failure("down".to_owned()))),
            Some(Fault::HangsBefore) => std::future::pending().await,
            Some(Fault::Delayed(time)) => tokio::time::sleep(time).await,
            Some(Fault::Yields(turns)) => {
                for _ in 0..turns {
                    yield_now().await;
                }
            }
            Some(Fault::FailsAfter | Fault::HangsAfter) | None => {}
        }
        let result = effect.await;
        self.turn_of_others().await;
        match fault {
            Some(Fault::FailsAfter) => self.record(operation, Err(failure("cut off".to_owned()))),
            Some(Fault::HangsAfter) => std::future::pending().await,
            _ => self.record(operation, result),
        }
    }

    async fn turn_of_others(&self) {
        let yields = self.state().yields;
        if yields {
            yield_now().await;
        }
    }

    fn next_fault(&self, operation: Operation) -> Option<Fault> {
        let mut state = self.state();
        let call = state.calls;
        state.calls += 1;
        (state.plan)(call, operation)
    }

    fn record<R: Debug>(&self, operation: Operation, response: R) -> R {
        if let Some(responses) = &mut self.state().responses {
            (operation, format!("{response:?}")).hash(responses);
        }
        response
    }
}

impl Table for FaultyStorage {
    async fn put(&self, item: &Item) -> Result<PutResult, TableError> {
        let effect = async {
            if can_hold(item) {
                self.storage.put(item).await
            } else {
                Err(TableError::Unstorable("too big".to_owned()))
            }
        };
        let result = self.call(Operation::Put, effect, TableError::Unavailable).await?;
        match &result {
            PutResult::Written(_) => self.acknowledge(item.pk(), item.rank()),
            PutResult::ConditionFailed(current) => self.acknowledge(item.pk(), &current.rank),
        }
        Ok(result)
    }

    async fn replace(&self, tombstone: &Tombstone, seen: Option<&Item>) -> Result<ReplaceResult, TableError> {
        let effect = async {
            let replaced = self.storage.item(&tombstone.pk).await?;
            let result = self.storage.replace(tombstone, seen).await?;
            if matches!(result, ReplaceResult::Written(_)) {
                self.storage.owe(tombstone, replaced.and_then(Result::ok).as_ref());
            }
            Ok(result)
        };
        let result = self.call(Operation::Replace, effect, TableError::Unavailable).await?;
        if matches!(result, ReplaceResult::Written(_)) {
            self.acknowledge(&tombstone.pk, &tombstone.rank);
        }
        Ok(result)
    }

    async fn item(&self, pk: &str) -> Result<Option<Result<Item, ItemError>>, TableError> {
        let item = self.call(Operation::Item, self.storage.item(pk), TableError::Unavailable).await?;
        if let Some(Ok(item)) = &item {
            self.acknowledge(pk, item.rank());
        }
        if let Some(responses) = &mut self.state().responses {
            // An item does not print what it contains.
            let item = item.as_ref().map(|item| item.as_ref().map_err(ToString::to_string));
            serde_json::to_string(&item).unwrap().hash(responses);
        }
        Ok(item)
    }

    async fn clear_cleanup(&self, pk: &str, rank: &str, message: &str) -> Result<Option<f64>, TableError> {
        let effect = self.storage.clear_cleanup(pk, rank, message);
        self.call(Operation::ClearCleanup, effect, TableError::Unavailable).await
    }

    async fn pending_cleanups(
        &self,
        due_by: Timestamp,
        after: Option<PendingCleanup>,
    ) -> Result<PendingCleanupPage, TableError> {
        let effect = self.storage.pending_cleanups(due_by, after);
        self.call(Operation::PendingCleanups, effect, TableError::Unavailable).await
    }

    async fn current_item(&self, pk: &str) -> Result<Option<CurrentItem>, TableError> {
        self.call(Operation::CurrentItem, self.storage.current_item(pk), TableError::Unavailable).await
    }
}

impl Tombstones for FaultyStorage {
    async fn add_receipt(&self, pk: &str, system: &str, receipt: Receipt) -> Result<Option<Tombstone>, TableError> {
        let effect = self.storage.add_receipt(pk, system, receipt);
        let tombstone = self.call(Operation::AddReceipt, effect, TableError::Unavailable).await?;
        if let Some(responses) = &mut self.state().responses {
            // A tombstone does not print what it contains.
            serde_json::to_string(&tombstone).unwrap().hash(responses);
        }
        Ok(tombstone)
    }

    async fn close_erasure(&self, pk: &str, systems: &[String]) -> Result<(), TableError> {
        let effect = self.storage.close_erasure(pk, systems);
        self.call(Operation::CloseErasure, effect, TableError::Unavailable).await
    }

    async fn open_erasures(&self, after: Option<OpenErasure>) -> Result<OpenErasurePage, TableError> {
        self.call(Operation::OpenErasures, self.storage.open_erasures(after), TableError::Unavailable).await
    }
}

impl FaultyStorage {
    /// Removes the tombstone of that rank.
    pub(crate) async fn restore(&self, pk: &str, rank: &str) -> Result<bool, TableError> {
        let effect = async { Ok(self.storage.remove_tombstone(pk, rank)) };
        self.call(Operation::Restore, effect, TableError::Unavailable).await
    }
}

impl CustomerReader for FaultyStorage {
    async fn live_items(
        &self,
        provider: &str,
        account: &str,
        after: Option<String>,
    ) -> Result<LiveItemPage, TableError> {
        let effect = self.storage.live_items(provider, account, after);
        self.call(Operation::LiveItems, effect, TableError::Unavailable).await
    }
}

impl CustomerScan for FaultyStorage {
    async fn items_after(&self, pk: Option<String>) -> Result<ItemPage, TableError> {
        let page = self.call(Operation::Scan, self.storage.items_after(pk), TableError::Unavailable).await?;
        if let Some(responses) = &mut self.state().responses {
            let items = page.items.iter().map(|item| serde_json::to_string(item.as_ref().unwrap()).unwrap());
            items.for_each(|item| item.hash(responses));
        }
        Ok(page)
    }
}

impl Queues for FaultyStorage {
    async fn send(&self, queue: Queue, provider: &str, message: &str) -> Result<(), QueueError> {
        let effect = self.storage.send(queue, provider, message);
        self.call(Operation::Send(queue), effect, |why| QueueError { queue, why }).await?;
        if queue != Queue::Cleanup {
            self.state().kept.push(message.to_owned());
        }
        Ok(())
    }
}

/// Gives others one turn. Unlike tokio's `yield_now`, it always takes the same number of polls.
pub(crate) async fn yield_now() {
    let mut has_yielded = false;
    let poll = |context: &mut Context<'_>| {
        if has_yielded {
            return Poll::Ready(());
        }
        has_yielded = true;
        context.waker().wake_by_ref();
        Poll::Pending
    };
    std::future::poll_fn(poll).await;
}
