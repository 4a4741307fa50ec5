//! The change feed: announces the writes to the table on an event bus.

use std::ops::ControlFlow;

use clientele_model::{ChangeEvent, FeedSettings, ItemWrite, RefusedChange};
use tokio::time::Instant;

use crate::call_size::CallSize;
use crate::ports::{BusError, EventBus, EventResult, RefusedChanges};

/// Announces changes on a bus, and names on a queue what the bus does not take.
#[derive(Clone, Debug)]
pub struct ChangeFeed<B, R> {
    /// The bus.
    pub bus: B,
    /// The queue.
    pub refused: R,
    /// How changes become events.
    pub settings: FeedSettings,
}

/// A record of the table's stream.
#[derive(Clone, Debug)]
pub struct FeedRecord {
    /// Its place in the shard.
    pub sequence_number: String,
    /// The write, or what is known of it if its images cannot be read.
    pub write: Result<ItemWrite, RefusedChange>,
}

/// The result of one batch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FeedReport {
    /// Events that the bus has accepted.
    pub sent: usize,
    /// How many of them are without the customer because of its size.
    pub omitted: usize,
    /// Writes that did not change a customer's state.
    pub unchanged: usize,
    /// Changes that are named on the queue: the bus refuses them, or they cannot be read.
    pub refused: usize,
    /// The sequence number of the first record that is neither on the bus nor on the queue. It and all later records must be
    /// tried again.
    pub failed_from: Option<String>,
    /// Why, or why the last change was refused.
    pub error: Option<String>,
}

/// An event of a record of the batch.
struct PendingEvent {
    sequence_number: String,
    event: ChangeEvent,
}

impl<B: EventBus, R: RefusedChanges> ChangeFeed<B, R> {
    /// Puts the changes on the bus, in the order of the batch. It may crash anywhere: when the batch is tried again, events
    /// with the same ids are put on the bus. No call starts after `stop_by`.
    pub async fn publish(&self, records: Vec<FeedRecord>, stop_by: Instant) -> FeedReport {
        let mut report = FeedReport::default();
        let mut call = vec![];
        let mut size = CallSize::default();
        for FeedRecord { sequence_number, write } in records {
            let event = match write.map(|write| ChangeEvent::of_write(&write, &self.settings)) {
                Ok(Some(event)) => event,
                Ok(None) => {
                    report.unchanged += 1;
                    continue;
                }
                Err(unreadable) => {
                    // Records are settled in their order, so that the first one that fails is known.
                    if self.put(std::mem::take(&mut call), stop_by, &mut report).await.is_break()
                        || self.refuse(&sequence_number, &unreadable, stop_by, &mut report).await.is_break()
                    {
                        return report;
                    }
                    size = CallSize::default();
                    continue;
                }
            };
            size = if let Some(larger) = size.with(&event) {
                larger
            } else {
                if self.put(std::mem::take(&mut call), stop_by, &mut report).await.is_break() {
                    return report;
                }
                CallSize::of(&event)
            };
            call.push(PendingEvent { sequence_number, event });
        }
        // Whether it fails is in the report.
        let _ = self.put(call, stop_by, &mut report).await;
        report
    }

    /// Puts the events on the bus with one call, or with one call each if the bus refuses them together. Breaks after a
    /// failure.
    async fn put(&self, call: Vec<PendingEvent>, stop_by: Instant, report: &mut FeedReport) -> ControlFlow<()> {
        let (sequence_numbers, events): (Vec<_>, Vec<_>) =
            call.into_iter().map(|PendingEvent { sequence_number, event }| (sequence_number, event)).unzip();
        let Some(first) = sequence_numbers.first() else { return ControlFlow::Continue(()) };
        if Instant::now() >= stop_by {
            return report.fail(first, "no time left");
        }
        match self.bus.put(&events).await {
            Ok(results) if results.len() != events.len() => {
                return report.fail(first, "the event bus did not say what became of each event");
            }
            Ok(results) => {
                for ((sequence_number, event), result) in sequence_numbers.iter().zip(&events).zip(results) {
                    self.finish(sequence_number, event, result, stop_by, report).await?;
                }
            }
            Err(error @ BusError::Unavailable(_)) => return report.fail(first, &error.to_string()),
            Err(BusError::Refused(_)) if events.len() > 1 => {
                for (sequence_number, event) in sequence_numbers.into_iter().zip(events) {
                    Box::pin(self.put(vec![PendingEvent { sequence_number, event }], stop_by, report)).await?;
                }
            }
            Err(BusError::Refused(why)) => {
                self.finish(first, &events[0], EventResult::Refused(why), stop_by, report).await?;
            }
        }
        ControlFlow::Continue(())
    }

    async fn finish(
        &self,
        sequence_number: &str,
        event: &ChangeEvent,
        result: EventResult,
        stop_by: Instant,
        report: &mut FeedReport,
    ) -> ControlFlow<()> {
        match result {
            EventResult::Accepted => {
                report.sent += 1;
                report.omitted += usize::from(event.is_customer_omitted);
                ControlFlow::Continue(())
            }
            EventResult::Failed(why) => report.fail(sequence_number, &why),
            EventResult::Refused(why) => {
                let ChangeEvent { id, pk, rank, .. } = event.clone();
                let message = RefusedChange::new(id, pk, Some(rank), &why);
                self.refuse(sequence_number, &message, stop_by, report).await
            }
        }
    }

    async fn refuse(
        &self,
        sequence_number: &str,
        message: &RefusedChange,
        stop_by: Instant,
        report: &mut FeedReport,
    ) -> ControlFlow<()> {
        if Instant::now() >= stop_by {
            return report.fail(sequence_number, "no time left");
        }
        match self.refused.keep(message).await {
            Ok(()) => {
                report.refused += 1;
                report.error = Some(message.reason.clone());
                ControlFlow::Continue(())
            }
            Err(why) => report.fail(sequence_number, &why),
        }
    }
}

impl FeedReport {
    fn fail(&mut self, sequence_number: &str, why: &str) -> ControlFlow<()> {
        self.failed_from = Some(sequence_number.to_owned());
        self.error = Some(why.to_owned());
        ControlFlow::Break(())
    }
}
