//! A delivery: every event is settled or kept.

use std::collections::BTreeMap;
use std::time::Duration;

use clientele_model::{CustomerKey, KeptDelivery, KeptPart, Outcome, Provider, Translated, Translation, Verified};
use futures_util::StreamExt;
use futures_util::future::join_all;
use tokio::time::{Instant, timeout_at};

use crate::Flow;
use crate::apply::Applied;
use crate::ports::{Queue, Queues, Table};

/// How many customers of a batch are written at a time: enough to hide the latency of a write, few enough that a cold
/// function on a fraction of a core can open the connections, and that a batch at the size limit fits into memory.
const CONCURRENT_WRITES: usize = 8;
/// The most characters of the reasons in a kept message.
const REASON_CHARS_MAX: usize = 1_024;

/// Until when things may take.
#[derive(Clone, Copy, Debug)]
pub struct Budget {
    /// Counted from here.
    pub started: Instant,
    /// Writes end by then. What is not written is kept.
    pub write_by: Instant,
    /// Messages are sent by then.
    pub send_by: Instant,
}

impl Budget {
    /// A provider waits, perhaps for no more than 5 s.
    #[must_use]
    pub fn of_delivery(started: Instant) -> Self {
        Self::within(started, 2_500, 3_600)
    }

    /// Lambda waits, for the 10 s of a function.
    #[must_use]
    pub fn of_replay(started: Instant) -> Self {
        Self::within(started, 5_000, 6_500)
    }

    fn within(started: Instant, write_ms: u64, send_ms: u64) -> Self {
        let after = |ms| started + Duration::from_millis(ms);
        Self { started, write_by: after(write_ms), send_by: after(send_ms) }
    }
}

/// An event, and what came of it.
#[derive(Debug)]
pub struct Settled {
    /// Its place in the delivery, from 0.
    pub place: usize,
    /// The event.
    pub translation: Translation,
    /// What came of it.
    pub outcome: Outcome,
    /// Why, where that is not plain: from the code, never from what was sent.
    pub reason: Option<String>,
    /// What went wrong without changing the outcome.
    pub warning: Option<String>,
    /// The write units that it cost, as far as they are known.
    pub write_units: Option<f64>,
    /// How long it took, counted from the start of the budget.
    pub duration: Duration,
}

impl<T: Table, Q: Queues> Flow<T, Q> {
    /// Settles every event of a delivery. What the table cannot take now goes to the inbox queue, what it can never take
    /// as it is to the quarantine queue: only those events, in one message each. What could not be kept either is
    /// `Unavailable`, and must be delivered again.
    pub async fn receive(&self, provider: &Provider, verified: &Verified, budget: Budget) -> Vec<Settled> {
        let mut settled = self.settle(provider, verified, budget).await;
        let keep = [(Outcome::Parked, Queue::Inbox), (Outcome::Quarantined, Queue::Quarantine)];
        let kept = keep.map(|(outcome, queue)| self.keep(provider, verified, &settled, outcome, queue, budget));
        for ((outcome, _), kept) in keep.into_iter().zip(join_all(kept).await) {
            if let Err(why) = kept {
                not_kept(&mut settled, outcome, &why);
            }
        }
        settled
    }

    /// Settles every event of a delivery that was kept. When all are settled or quarantined the message is done with;
    /// as long as one is `Parked` or `Unavailable` it must stay on its queue, and be replayed again.
    pub async fn replay(&self, provider: &Provider, verified: &Verified, budget: Budget) -> Vec<Settled> {
        let mut settled = self.settle(provider, verified, budget).await;
        if settled.iter().any(|event| event.outcome == Outcome::Parked) {
            // What cannot be understood goes to quarantine once, with the last attempt.
            for event in settled.iter_mut().filter(|event| event.outcome == Outcome::Quarantined) {
                event.outcome = Outcome::Parked;
            }
            return settled;
        }
        let (outcome, queue) = (Outcome::Quarantined, Queue::Quarantine);
        if let Err(why) = self.keep(provider, verified, &settled, outcome, queue, budget).await {
            not_kept(&mut settled, outcome, &why);
        }
        settled
    }

    /// Applies every event. Their order does not matter, so customers are served side by side; events of one customer go
    /// one after the other, since they would only contend for its item. What is `Parked` or `Quarantined` then belongs
    /// there, and is kept nowhere yet.
    pub async fn settle(&self, provider: &Provider, verified: &Verified, budget: Budget) -> Vec<Settled> {
        let lanes = by_customer((provider.translate)(verified));
        let received_at = verified.received_at();
        let settle = async |lane: Vec<(usize, Translation)>| {
            let mut settled = Vec::with_capacity(lane.len());
            for (place, translation) in lane {
                let applied = match &translation {
                    Ok(Translated::Event(event)) => self.apply(event, received_at, budget).await,
                    Ok(Translated::Ignored(_)) => Applied::of(Outcome::Ignored),
                    // Settled before the rest was kept: nothing of it is left.
                    Ok(Translated::AlreadySettled) => continue,
                    Err(error) => Applied::because(Outcome::Quarantined, error),
                };
                let Applied { outcome, reason, warning, write_units } = applied;
                let duration = budget.started.elapsed();
                settled.push(Settled { place, translation, outcome, reason, warning, write_units, duration });
            }
            settled
        };
        futures_util::stream::iter(lanes).map(settle).buffer_unordered(CONCURRENT_WRITES).concat().await
    }

    /// Sends the events of that outcome to their queue, if there are any: in one message, without the others.
    async fn keep(
        &self,
        provider: &Provider,
        verified: &Verified,
        settled: &[Settled],
        outcome: Outcome,
        queue: Queue,
        budget: Budget,
    ) -> Result<(), String> {
        let (kept, others): (Vec<_>, Vec<_>) = settled.iter().partition(|event| event.outcome == outcome);
        if kept.is_empty() {
            return Ok(());
        }
        let places: Vec<_> = kept.iter().map(|event| event.place).collect();
        let part = if others.is_empty() { KeptPart::Whole } else { KeptPart::Events(&places) };
        let message = KeptDelivery::new(provider, verified, &reasons(&kept), part).to_message();
        match timeout_at(budget.send_by, self.queues.send(queue, provider.name, &message)).await {
            Ok(sent) => sent.map_err(|error| error.to_string()),
            Err(_) => Err(format!("the {} queue did not answer in time", queue.name())),
        }
    }
}

/// Those events were neither settled nor kept.
fn not_kept(settled: &mut [Settled], outcome: Outcome, why: &str) {
    for event in settled.iter_mut().filter(|event| event.outcome == outcome) {
        let before = event.reason.take().unwrap_or_default();
        (event.outcome, event.reason) = (Outcome::Unavailable, Some(format!("{before}; {why}")));
    }
}

/// Each reason once.
fn reasons(events: &[&Settled]) -> String {
    let mut reasons: Vec<_> = events.iter().filter_map(|event| event.reason.as_deref()).collect();
    reasons.sort_unstable();
    reasons.dedup();
    reasons.join("; ").chars().take(REASON_CHARS_MAX).collect()
}

/// The events of each customer in their order, and everything that is of none; each with its place.
fn by_customer(translations: Vec<Translation>) -> Vec<Vec<(usize, Translation)>> {
    let mut lanes = BTreeMap::<Option<CustomerKey>, Vec<(usize, Translation)>>::new();
    for (place, translation) in translations.into_iter().enumerate() {
        let key = match &translation {
            Ok(Translated::Event(event)) => Some(event.key().clone()),
            Ok(Translated::Ignored(_) | Translated::AlreadySettled) | Err(_) => None,
        };
        lanes.entry(key).or_default().push((place, translation));
    }
    lanes.into_values().collect()
}
