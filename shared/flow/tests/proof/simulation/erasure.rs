//! Erasures in a simulation: what the sent messages must contain, receipts of other systems, a hold that ends, and an operator
//! who restores a customer.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash};
use std::ops::Deref;
use std::sync::{Arc, Mutex};

use clientele_flow::deadlines::FUNCTION_TIMEOUT;
use clientele_flow::memory::InMemoryStorage;
use clientele_flow::{Queue, ReceiptOutcome, Table};
use clientele_model::{CleanupMessage, ErasureSettings, Item, ReceiptMessage, Tombstone};
use jiff::{SignedDuration, Timestamp};
use tokio::time::timeout;

use super::faulty_storage::FaultyStorage;
use super::list::key;
use super::provider::{ARRIVED_AT, time};
use super::{Simulation, flow, read};

/// The systems that confirm erasures.
pub(crate) const SYSTEMS: [&str; 2] = ["crm", "mailing"];

/// The storage of a simulation. Clones share the contents.
#[derive(Clone, Default)]
pub(crate) struct SimulatedStorage {
    memory: InMemoryStorage,
    /// How the stack erases customers.
    pub(crate) erasure: ErasureSettings,
    /// E-mail addresses that other systems must get to know, each with the `pk` of its customer.
    owed: Arc<Mutex<BTreeSet<(String, String)>>>,
}

impl Deref for SimulatedStorage {
    type Target = InMemoryStorage;

    fn deref(&self) -> &InMemoryStorage {
        &self.memory
    }
}

impl SimulatedStorage {
    pub(crate) fn with(erasure: ErasureSettings) -> Self {
        Self { erasure, ..Self::default() }
    }

    /// Notes what a tombstone announces and what it has replaced: a customer, or a message that was not sent.
    pub(crate) fn owe(&self, tombstone: &Tombstone, replaced: Option<&Item>) {
        let of_message = |tombstone: &Tombstone| tombstone.cleanup.iter().flat_map(|it| emails(it)).collect::<Vec<_>>();
        let of_replaced = match replaced {
            Some(Item::Customer(item)) => item.profile.emails.iter().map(|email| email.email.clone()).collect(),
            Some(Item::Tombstone(replaced)) => of_message(replaced),
            None => vec![],
        };
        let owed = of_message(tombstone).into_iter().chain(of_replaced);
        self.owed.lock().unwrap().extend(owed.map(|email| (tombstone.pk.clone(), email)));
    }
}

fn emails(message: &str) -> Vec<String> {
    serde_json::from_str::<CleanupMessage>(message).unwrap().identifiers.emails
}

/// What happened to erasures so far.
#[derive(Clone, Debug, Hash)]
pub(crate) struct Erasures {
    /// The wall's clock where messages are held back.
    pub(crate) clock: Timestamp,
    /// Receipts that SQS delivers again: system, and when it erased its copies.
    pub(crate) unconfirmed: BTreeSet<(String, i64)>,
    /// The receipts that were recorded, as they were in the tombstone, by `pk` and system.
    recorded: BTreeMap<(String, String), String>,
    pub(crate) may_be_restored: bool,
}

impl Default for Erasures {
    fn default() -> Self {
        Self { clock: ARRIVED_AT, unconfirmed: BTreeSet::new(), recorded: BTreeMap::new(), may_be_restored: false }
    }
}

impl Simulation<'_> {
    pub(crate) fn holds(&self) -> bool {
        !self.storage.erasure.hold.is_zero()
    }

    /// Handles the receipt of a system for Ada, as the event source mapping and the receipts function do: if it is not
    /// recorded, it is delivered again later.
    pub(crate) async fn confirm(&self, storage: &FaultyStorage, system: &str, second: i64) -> Option<ReceiptOutcome> {
        let receipt = (system.to_owned(), second);
        self.erasures.borrow_mut().unconfirmed.insert(receipt.clone());
        let (pk, erased_at) = (key("ada").to_string(), time(second));
        let message = ReceiptMessage { schema: 1, cleanup_id: pk.clone(), system: system.to_owned(), erased_at };
        let systems = SYSTEMS.map(str::to_owned);
        let flow = flow(storage);
        let recorded = timeout(FUNCTION_TIMEOUT, flow.record_receipt(&systems, &message, ARRIVED_AT)).await;
        let outcome = recorded.ok()?.ok()?;
        if matches!(outcome, ReceiptOutcome::Recorded { .. }) {
            self.erasures.borrow_mut().unconfirmed.remove(&receipt);
            let stored = self.storage.items()[&pk]["receipts"][system].to_string();
            let mut erasures = self.erasures.borrow_mut();
            let first = erasures.recorded.entry((pk, system.to_owned())).or_insert_with(|| stored.clone());
            assert_eq!(*first, stored, "the first receipt of a system stays");
        }
        Some(outcome)
    }

    /// The hold ends. Until then nothing was sent.
    pub(crate) fn end_hold(&self) {
        assert!(self.storage.messages(Queue::Cleanup).is_empty(), "a message was sent although it was held back");
        let hold = SignedDuration::try_from(self.storage.erasure.hold).unwrap();
        self.erasures.borrow_mut().clock = ARRIVED_AT + hold;
    }

    /// An operator restores Ada.
    pub(crate) async fn restore(&self, storage: &FaultyStorage) {
        let pk = key("ada").to_string();
        let Ok(Some(current)) = storage.current_item(&pk).await else { return };
        // It may crash right after its effect.
        self.erasures.borrow_mut().may_be_restored = true;
        _ = storage.restore(&pk, &current.rank).await;
    }

    /// Receipts are delivered again, and the clock advances until no message is held back any more.
    pub(crate) async fn settle_erasures(&self) {
        let unconfirmed = self.erasures.borrow().unconfirmed.clone();
        for (system, second) in unconfirmed {
            self.confirm(&self.atomic(), &system, second).await;
        }
        if self.holds() {
            self.erasures.borrow_mut().clock = ARRIVED_AT + SignedDuration::from_hours(3);
        }
    }

    /// What other systems must know was sent, and all receipts are there.
    pub(crate) fn assert_erased(&self) {
        let messages: Vec<_> = self.storage.messages(Queue::Cleanup).into_iter().map(|sent| read(&sent.body)).collect();
        for (pk, email) in self.storage.owed.lock().unwrap().iter() {
            let says = |sent: &CleanupMessage| sent.cleanup_id == *pk && sent.identifiers.emails.contains(email);
            assert!(messages.iter().any(says), "{email} of {pk} is in no message");
        }
        let (items, erasures) = (self.storage.items(), self.erasures.borrow());
        for ((pk, system), stored) in &erasures.recorded {
            assert_eq!(items[pk]["receipts"][system].to_string(), *stored, "the receipt of {system}");
        }
        for tombstone in items.values().filter(|item| item["status"] == "deleted") {
            let receipts = tombstone["receipts"].as_object().unwrap();
            let is_missing = SYSTEMS.iter().any(|system| !receipts.contains_key(*system));
            let is_open = tombstone.contains_key("erasure_open");
            assert_eq!(is_open, self.storage.erasure.awaits_receipts && is_missing, "{receipts:?}");
            let is_ada = tombstone["customer_id"] == "ada";
            let left = erasures.unconfirmed.iter().filter(|(system, _)| SYSTEMS.contains(&system.as_str()));
            assert!(!is_ada || left.count() == 0, "receipts are left: {erasures:?}");
        }
    }

    /// Within the hold, an operator may have restored the customer. A message was sent only if a delete came again afterwards.
    pub(crate) fn assert_restored(&self) {
        let is_deleted = self.storage.items().get(&key("ada").to_string()).is_some_and(|it| it["status"] == "deleted");
        assert_eq!(!self.storage.messages(Queue::Cleanup).is_empty(), is_deleted, "a message of a restored customer");
    }

    pub(crate) fn hash_erasures_into(&self, state: &mut DefaultHasher) {
        self.erasures.borrow().hash(state);
        self.storage.owed.lock().unwrap().hash(state);
    }
}
