//! What the functions of the local stack did, for its terminal and its page.
//!
//! A record combines what the gateway knows of a delivery, which is its status and duration, with what the function logs
//! about its events. Log lines contain only a hash of the customer's key. The local stack learns the keys from the
//! functions' writes to the table.

use std::collections::{BTreeMap, VecDeque};
use std::io::{Result, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use clientele_aws::{LogWriter, customer_hash};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::sync::broadcast;

use crate::http::summary;

/// How many records are kept.
pub const RECENT_MAX: usize = 500;
/// How many customers of one delivery are named.
pub const CUSTOMERS_MAX: usize = 100;
/// How many keys are remembered, to find the one that belongs to a hash: more than the deliveries have that are processed
/// at the same time.
const KEYS_MAX: usize = 10_000;
/// How many deliveries may be open. More are processed, but leave no record.
const OPEN_MAX: usize = 10_000;

/// One delivery to the gateway, one replayed message, or one sweep.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct DeliveryRecord {
    /// Counts the records from 1.
    pub number: u64,
    /// When the delivery arrived, or the function was called.
    pub at: Timestamp,
    /// The function, such as `plain`, `replay` or `sweep`; `gateway` if no function was called.
    pub function: String,
    /// The provider. Empty if there is none or it is unknown.
    pub provider: String,
    /// The type of the events. If there are several, the first one and how many others there are.
    pub event_type: Option<String>,
    /// How many events it had, as far as they could be read. For a sweep, the number of cleanup messages.
    pub events: usize,
    /// The status of the response.
    pub status: Option<u16>,
    /// The outcome, such as `applied`; of several events the number of each outcome, as in `23 applied, 2 stale`.
    pub outcome: String,
    /// The `pk` of each customer, as far as known; at most [`CUSTOMERS_MAX`].
    pub customers: Vec<String>,
    /// How long it took, in milliseconds.
    pub duration_ms: f64,
    /// The first reason that the function logged.
    pub reason: Option<String>,
    /// The first warning that the function logged.
    pub warning: Option<String>,
}

/// The records of the local stack. Clones share them.
#[derive(Clone, Debug)]
pub struct Deliveries {
    state: Arc<Mutex<State>>,
    records: broadcast::Sender<DeliveryRecord>,
}

#[derive(Debug, Default)]
struct State {
    last_number: u64,
    recent: VecDeque<DeliveryRecord>,
    open: BTreeMap<(String, String), LoggedEvents>,
    keys: Keys,
}

impl Default for Deliveries {
    fn default() -> Self {
        Self { state: Arc::default(), records: broadcast::Sender::new(RECENT_MAX) }
    }
}

impl Deliveries {
    /// The last records, oldest first.
    #[must_use]
    pub fn recent(&self) -> Vec<DeliveryRecord> {
        self.state().recent.iter().cloned().collect()
    }

    /// Receives all records from now on. A receiver that falls behind by more than [`RECENT_MAX`] misses the oldest.
    #[must_use]
    pub fn subscribe(&self) -> broadcast::Receiver<DeliveryRecord> {
        self.records.subscribe()
    }

    /// A writer for the log lines of a function, which passes them on to `inner`.
    pub(super) fn writer(&self, function: &str, inner: LogWriter) -> LogWriter {
        Box::new(ObservedLog { deliveries: self.clone(), function: function.to_owned(), inner })
    }

    /// Begins a delivery to a function, whose log lines will have that correlation id.
    pub(super) fn open(&self, function: &str, correlation_id: &str) -> OpenDelivery {
        let key = (function.to_owned(), correlation_id.to_owned());
        let mut state = self.state();
        if state.open.len() < OPEN_MAX {
            state.open.insert(key.clone(), LoggedEvents::default());
        }
        OpenDelivery { deliveries: self.clone(), key }
    }

    /// Remembers the key of an item that a function writes.
    pub(super) fn learn_key(&self, pk: String) {
        self.state().keys.insert(pk);
    }

    /// Adds a record and numbers it. Subscribers get the records in the order of their numbers.
    pub(super) fn record(&self, mut record: DeliveryRecord) {
        let mut state = self.state();
        state.last_number += 1;
        record.number = state.last_number;
        if state.recent.len() == RECENT_MAX {
            state.recent.pop_front();
        }
        state.recent.push_back(record.clone());
        // Fails if nobody has subscribed.
        drop(self.records.send(record));
    }

    fn observe(&self, function: &str, line: &LogLine) {
        if let Some(record) = line.sweep_record(function) {
            return self.record(record);
        }
        let mut state = self.state();
        let State { open, keys, .. } = &mut *state;
        let key = (function.to_owned(), line.correlation_id.clone().unwrap_or_default());
        if let Some(events) = open.get_mut(&key) {
            events.add(line, keys);
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A delivery that a function processes. Without a call of [`OpenDelivery::finish`] it leaves no record.
#[derive(Debug)]
pub(super) struct OpenDelivery {
    deliveries: Deliveries,
    key: (String, String),
}

impl OpenDelivery {
    /// Makes the record, of a webhook with the status of its response and its duration, of a replayed message without. If
    /// the function logged no outcome, it is `otherwise`.
    pub(super) fn finish(self, at: Timestamp, response: Option<(u16, Duration)>, otherwise: &str) {
        let Some(logged) = self.deliveries.state().open.remove(&self.key) else { return };
        let outcome = summary(logged.outcomes.iter().map(|(outcome, count)| (outcome.as_str(), *count)));
        let duration_ms = response.map_or(logged.duration_ms, |(_, duration)| duration.as_secs_f64() * 1e3);
        self.deliveries.record(DeliveryRecord {
            number: 0,
            at,
            function: self.key.0.clone(),
            provider: logged.provider.unwrap_or(if response.is_some() { self.key.0.clone() } else { String::new() }),
            event_type: logged.types.first().map(|first| match logged.types.len() {
                1 => first.clone(),
                types => format!("{first} +{}", types - 1),
            }),
            events: logged.events,
            status: response.map(|(status, _)| status),
            outcome: if outcome.is_empty() { otherwise.to_owned() } else { outcome },
            customers: logged.customers,
            duration_ms,
            reason: logged.reason,
            warning: logged.warning,
        });
    }
}

impl Drop for OpenDelivery {
    fn drop(&mut self) {
        self.deliveries.state().open.remove(&self.key);
    }
}

/// What a function logged about the events of one delivery.
#[derive(Debug, Default)]
struct LoggedEvents {
    provider: Option<String>,
    /// Each type once, in the order of the lines.
    types: Vec<String>,
    events: usize,
    outcomes: BTreeMap<String, u64>,
    customers: Vec<String>,
    duration_ms: f64,
    reason: Option<String>,
    warning: Option<String>,
}

impl LoggedEvents {
    fn add(&mut self, line: &LogLine, keys: &Keys) {
        self.provider = self.provider.take().or_else(|| line.provider.clone().filter(|name| name != "unknown"));
        if let Some(outcome) = &line.outcome {
            *self.outcomes.entry(outcome.clone()).or_default() += 1;
            // The events of a delivery that is not verified are unknown.
            self.events += usize::from(!["rejected", "unverifiable"].contains(&outcome.as_str()));
        }
        if let Some(event_type) = line.event_type.as_ref().filter(|it| !self.types.contains(it)) {
            self.types.push(event_type.clone());
        }
        let pk = line.customer.as_ref().and_then(|hash| keys.find(hash));
        if let Some(pk) = pk.filter(|pk| self.customers.len() < CUSTOMERS_MAX && !self.customers.contains(pk)) {
            self.customers.push(pk.clone());
        }
        self.duration_ms = self.duration_ms.max(line.duration_ms());
        self.reason = self.reason.take().or_else(|| line.reason.clone());
        self.warning = self.warning.take().or_else(|| line.warning.clone());
    }
}

/// The fields of a log line that a record needs.
#[derive(Debug, Deserialize)]
struct LogLine {
    correlation_id: Option<String>,
    provider: Option<String>,
    outcome: Option<String>,
    event_type: Option<String>,
    customer: Option<String>,
    reason: Option<String>,
    warning: Option<String>,
    duration_ms: Option<String>,
    timestamp: Option<Timestamp>,
    is_cut_short: Option<String>,
    #[serde(rename = "CleanupsSent")]
    sent: Option<u64>,
    #[serde(rename = "CleanupsFailed")]
    failed: Option<u64>,
}

impl LogLine {
    fn duration_ms(&self) -> f64 {
        self.duration_ms.as_deref().and_then(|text| text.parse().ok()).unwrap_or_default()
    }

    /// The record of a sweep; `None` for other lines, and for a sweep that had nothing to do.
    fn sweep_record(&self, function: &str) -> Option<DeliveryRecord> {
        let (sent, failed) = (self.sent?, self.failed?);
        let is_cut_short = self.is_cut_short.as_deref() == Some("true");
        if sent + failed == 0 && !is_cut_short {
            return None;
        }
        let counts = [("sent", sent), ("failed", failed), ("cut short", u64::from(sent + failed == 0))];
        let counts = counts.into_iter().filter(|(_, count)| *count > 0);
        Some(DeliveryRecord {
            number: 0,
            at: self.timestamp.unwrap_or_else(Timestamp::now),
            function: function.to_owned(),
            provider: String::new(),
            event_type: None,
            events: usize::try_from(sent + failed).unwrap_or(usize::MAX),
            status: None,
            outcome: summary(counts),
            customers: vec![],
            duration_ms: self.duration_ms(),
            reason: self.reason.clone(),
            warning: is_cut_short.then(|| "the sweep was cut short; the next one continues".to_owned()),
        })
    }
}

/// The keys of customers by their hash in log lines.
#[derive(Debug, Default)]
struct Keys {
    by_hash: BTreeMap<String, String>,
    oldest_first: VecDeque<String>,
}

impl Keys {
    fn insert(&mut self, pk: String) {
        let hash = customer_hash(&pk);
        if self.by_hash.insert(hash.clone(), pk).is_some() {
            return;
        }
        self.oldest_first.push_back(hash);
        if self.oldest_first.len() > KEYS_MAX
            && let Some(oldest) = self.oldest_first.pop_front()
        {
            self.by_hash.remove(&oldest);
        }
    }

    fn find(&self, hash: &str) -> Option<&String> {
        self.by_hash.get(hash)
    }
}

/// Reads each log line on its way.
struct ObservedLog {
    deliveries: Deliveries,
    function: String,
    inner: LogWriter,
}

impl Write for ObservedLog {
    /// Each call gets one whole line.
    fn write(&mut self, line: &[u8]) -> Result<usize> {
        if let Ok(line) = serde_json::from_slice(line) {
            self.deliveries.observe(&self.function, &line);
        }
        self.inner.write_all(line)?;
        Ok(line.len())
    }

    fn flush(&mut self) -> Result<()> {
        self.inner.flush()
    }
}
