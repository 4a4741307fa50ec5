//! One delivery: every event is settled or kept.

use std::collections::BTreeMap;
use std::time::Duration;

use clientele_model::{
    CustomerKey, EVENTS_MAX, KeptDelivery, KeptPart, Outcome, Provider, Translated, Translation, Untranslatable,
    Verified,
};
use futures_util::StreamExt;
use futures_util::future::join_all;
use tokio::time::timeout_at;

use crate::Flow;
use crate::apply::EventResult;
use crate::deadlines::Deadlines;
use crate::ports::{Queue, Queues, Table};

/// How many customers of a batch are written at a time: enough to hide the latency of a write, few enough that a cold
/// function on a fraction of a core can open the connections, and that a batch at the size limit fits into memory.
const CONCURRENT_WRITES: usize = 8;
/// Outcomes of events that are kept, each with its queue.
const PARK: (Outcome, Queue) = (Outcome::Parked, Queue::Inbox);
const QUARANTINE: (Outcome, Queue) = (Outcome::Quarantined, Queue::Quarantine);
/// The most characters of the reasons in a kept message.
const REASON_CHARS_MAX: usize = 1_024;

/// An event and its outcome.
#[derive(Debug)]
pub struct SettledEvent {
    /// Its place in the delivery, counted from 0.
    pub place: usize,
    /// The event.
    pub translation: Translation,
    /// The outcome.
    pub outcome: Outcome,
    /// The reason for an outcome that needs one. Its text comes from the code, never from the payload.
    pub reason: Option<String>,
    /// A failure that did not change the outcome.
    pub warning: Option<String>,
    /// The write units that it cost, if the service reported them.
    pub write_units: Option<f64>,
    /// The time from the arrival of the delivery to the outcome.
    pub duration: Duration,
}

impl<T: Table, Q: Queues> Flow<T, Q> {
    /// Settles every event of a delivery. Events that cannot be written now go to the inbox queue, and events that cannot
    /// be written or translated at all go to the quarantine queue, in one message per queue. Events that could not be
    /// kept either are `Unavailable`: the provider must deliver them again. A batch of more than [`EVENTS_MAX`] events is
    /// quarantined as a whole.
    pub async fn receive(&self, provider: &Provider, verified: &Verified, deadlines: Deadlines) -> Vec<SettledEvent> {
        let events = events_within_limit(provider, verified);
        let mut settled = self.settle_events(events, verified, deadlines).await;
        self.keep(provider, verified, &mut settled, &[PARK, QUARANTINE], deadlines).await;
        settled
    }

    /// Settles every event of a delivery that was kept. As long as one of them is `Parked` or `Unavailable`, the message
    /// must stay on its queue and be replayed again; otherwise it can be deleted.
    pub async fn replay(&self, provider: &Provider, verified: &Verified, deadlines: Deadlines) -> Vec<SettledEvent> {
        let events = events_within_limit(provider, verified);
        let mut settled = self.settle_events(events, verified, deadlines).await;
        if settled.iter().any(|event| event.outcome == Outcome::Parked) {
            // The message comes back, so its bad events go to quarantine with the last attempt only, and thus only once.
            for event in settled.iter_mut().filter(|event| event.outcome == Outcome::Quarantined) {
                event.outcome = Outcome::Parked;
            }
            return settled;
        }
        self.keep(provider, verified, &mut settled, &[QUARANTINE], deadlines).await;
        settled
    }

    /// Applies every event, however many there are, without keeping those whose outcome is `Parked` or `Quarantined`.
    pub async fn settle(&self, provider: &Provider, verified: &Verified, deadlines: Deadlines) -> Vec<SettledEvent> {
        self.settle_events((provider.translate)(verified), verified, deadlines).await
    }

    /// The order of events does not matter, so several customers are written concurrently. Events of one customer are
    /// written one after the other, because they would only contend for its item.
    async fn settle_events(
        &self,
        events: Vec<Translation>,
        verified: &Verified,
        deadlines: Deadlines,
    ) -> Vec<SettledEvent> {
        let customers = by_customer(events);
        let received_at = verified.received_at();
        let settle = async |events: Vec<(usize, Translation)>| {
            let mut settled = Vec::with_capacity(events.len());
            for (place, translation) in events {
                let result = match &translation {
                    Ok(Translated::Event(event)) => self.apply(event, received_at, deadlines).await,
                    Ok(Translated::Ignored(_)) => EventResult::new(Outcome::Ignored),
                    Ok(Translated::AlreadySettled) => continue,
                    Err(error) => EventResult::because(Outcome::Quarantined, error),
                };
                let EventResult { outcome, reason, warning, write_units, .. } = result;
                let duration = deadlines.started.elapsed();
                settled.push(SettledEvent { place, translation, outcome, reason, warning, write_units, duration });
            }
            settled
        };
        futures_util::stream::iter(customers).map(settle).buffer_unordered(CONCURRENT_WRITES).concat().await
    }

    /// Sends a message to a queue.
    ///
    /// # Errors
    /// The reason, when the queue did not take the message in time.
    pub async fn send(&self, queue: Queue, provider: &str, message: &str, deadlines: Deadlines) -> Result<(), String> {
        match timeout_at(deadlines.send_by, self.queues.send(queue, provider, message)).await {
            Ok(sent) => sent.map_err(|error| error.to_string()),
            Err(_) => Err(format!("the {} queue did not answer in time", queue.name())),
        }
    }

    /// Sends the events of each outcome to its queue. Events that cannot be kept become `Unavailable`.
    async fn keep(
        &self,
        provider: &Provider,
        verified: &Verified,
        settled: &mut [SettledEvent],
        queues: &[(Outcome, Queue)],
        deadlines: Deadlines,
    ) {
        let send = async |(outcome, queue): &(Outcome, Queue)| {
            let (kept, others): (Vec<_>, Vec<_>) = settled.iter().partition(|event| event.outcome == *outcome);
            if kept.is_empty() {
                return Ok(());
            }
            let places: Vec<_> = kept.iter().map(|event| event.place).collect();
            let part = if others.is_empty() { KeptPart::Whole } else { KeptPart::Events(&places) };
            let message = KeptDelivery::new(provider, verified, &reasons(&kept), part).to_message();
            self.send(*queue, provider.name, &message, deadlines).await
        };
        let results = join_all(queues.iter().map(send)).await;
        for ((outcome, _), result) in queues.iter().zip(results) {
            let Err(why) = result else { continue };
            for event in settled.iter_mut().filter(|event| event.outcome == *outcome) {
                let before = event.reason.take().unwrap_or_default();
                (event.outcome, event.reason) = (Outcome::Unavailable, Some(format!("{before}; {why}")));
            }
        }
    }
}

/// The events of a delivery. If there are too many, the delivery counts as one event that is not understood.
fn events_within_limit(provider: &Provider, verified: &Verified) -> Vec<Translation> {
    let events = (provider.translate)(verified);
    if events.len() > EVENTS_MAX { vec![Err(Untranslatable::TooManyEvents)] } else { events }
}

/// The reasons of the events, each once.
fn reasons(events: &[&SettledEvent]) -> String {
    let mut reasons: Vec<_> = events.iter().filter_map(|event| event.reason.as_deref()).collect();
    reasons.sort_unstable();
    reasons.dedup();
    reasons.join("; ").chars().take(REASON_CHARS_MAX).collect()
}

/// The events of each customer, each with its place. Everything that is about no customer is one more list.
fn by_customer(translations: Vec<Translation>) -> Vec<Vec<(usize, Translation)>> {
    let mut customers = BTreeMap::<Option<CustomerKey>, Vec<(usize, Translation)>>::new();
    for (place, translation) in translations.into_iter().enumerate() {
        let key = match &translation {
            Ok(Translated::Event(event)) => Some(event.key().clone()),
            Ok(Translated::Ignored(_) | Translated::AlreadySettled) | Err(_) => None,
        };
        customers.entry(key).or_default().push((place, translation));
    }
    customers.into_values().collect()
}
