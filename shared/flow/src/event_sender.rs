//! Sends events to the bus because an operator wants them there. Nobody waits, so what fails is tried again for a while, and
//! what the bus refuses is reported.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use clientele_model::ChangeEvent;
use jiff::Timestamp;
use tokio::time::Instant;

use crate::call_size::calls;
use crate::deadlines::RESEND_ATTEMPTS_MAX;
use crate::pacing::{Clock, Pace, Stopped, Waiting, pause_until, retry_delay};
use crate::ports::{BusError, EventBus, EventResult};

/// Sends events in calls as large as the bus takes them, one call after the other.
pub struct EventSender<'a, B> {
    bus: &'a B,
    clock: Clock,
    pace: Pace,
    stop: &'a AtomicBool,
    waiting: Waiting<'a>,
}

/// What became of some events.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SendReport {
    /// The result of each event, in their order.
    pub results: Vec<SendResult>,
    /// Why some of them were not sent.
    pub error: Option<SendError>,
}

/// What became of one event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SendResult {
    /// It is on the bus.
    Sent,
    /// The bus will never take it. With the reason, which contains nothing of the event.
    Refused(String),
    /// It is not known to be on the bus.
    NotSent,
}

/// Why events were not sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// The run was to stop.
    #[error("it was stopped")]
    Stopped,
    /// The bus took nothing in many attempts. With the reason of the last failure.
    #[error("the event bus cannot be used: {0}")]
    Failed(String),
    /// The customers could not be read. With the reason.
    #[error("{0}")]
    Unreadable(String),
}

impl<'a, B: EventBus> EventSender<'a, B> {
    /// A sender for a run that starts `now`. It starts no call once `stop` is set, and calls `waiting` before each pause with
    /// the reason for it.
    pub fn new(
        bus: &'a B,
        now: Timestamp,
        events_per_second: Option<f64>,
        stop: &'a AtomicBool,
        waiting: &'a (dyn Fn(&str, Duration) + Sync),
    ) -> Self {
        Self { bus, clock: Clock::starting_at(now), pace: Pace::new(events_per_second), stop, waiting }
    }

    /// The current time.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    pub(crate) fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Whether the run is to stop.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Sends the events. After an error the remaining ones are not sent.
    pub async fn send(&self, events: &[ChangeEvent]) -> SendReport {
        let mut report = SendReport { results: Vec::with_capacity(events.len()), error: None };
        for call in calls(events) {
            if report.error.is_some() {
                report.results.extend(call.iter().map(|_| SendResult::NotSent));
                continue;
            }
            let sent = self.send_call(call).await;
            report.results.extend(sent.results);
            report.error = sent.error;
        }
        report
    }

    /// Sends the events of one call. Those that fail are sent again, until the bus has accepted none of them for several
    /// attempts.
    async fn send_call(&self, events: &[ChangeEvent]) -> SendReport {
        let mut report = SendReport { results: vec![SendResult::NotSent; events.len()], error: None };
        let mut open: Vec<usize> = (0..events.len()).collect();
        let mut attempt = 0;
        loop {
            if self.pause_until(self.pace.reserve(u32::try_from(open.len()).unwrap_or(u32::MAX))).await.is_err() {
                report.error = Some(SendError::Stopped);
                return report;
            }
            let call: Vec<_> = open.iter().map(|place| events[*place].clone()).collect();
            let why = match self.bus.put(&call).await {
                Ok(results) if results.len() != call.len() => {
                    "the event bus did not say what became of each event".to_owned()
                }
                Ok(results) => {
                    let failed = settle(&mut report.results, &open, results);
                    if failed.len() < open.len() {
                        attempt = 0;
                    }
                    let Some((_, why)) = failed.last().cloned() else { return report };
                    open = failed.into_iter().map(|(place, _)| place).collect();
                    why
                }
                Err(BusError::Unavailable(why)) => why,
                Err(BusError::Refused(_)) if call.len() > 1 => {
                    self.send_one_by_one(events, &open, &mut report).await;
                    return report;
                }
                Err(BusError::Refused(why)) => {
                    report.results[open[0]] = SendResult::Refused(why);
                    return report;
                }
            };
            attempt += 1;
            if attempt == RESEND_ATTEMPTS_MAX {
                report.error = Some(SendError::Failed(why));
                return report;
            }
            let delay = retry_delay(&self.clock, attempt, None);
            (self.waiting)(&why, delay);
            if self.pause_until(Instant::now() + delay).await.is_err() {
                report.error = Some(SendError::Stopped);
                return report;
            }
        }
    }

    /// Finds the event for which the bus refuses a whole call.
    async fn send_one_by_one(&self, events: &[ChangeEvent], open: &[usize], report: &mut SendReport) {
        for place in open {
            let sent = Box::pin(self.send_call(&events[*place..=*place])).await;
            report.results[*place] = sent.results.into_iter().next().unwrap_or(SendResult::NotSent);
            report.error = sent.error;
            if report.error.is_some() {
                return;
            }
        }
    }

    async fn pause_until(&self, end: Instant) -> Result<(), Stopped> {
        pause_until(end, || self.is_stopped()).await
    }
}

/// Enters the results of a call. Returns the places of the events that failed, each with the reason.
fn settle(results: &mut [SendResult], open: &[usize], answers: Vec<EventResult>) -> Vec<(usize, String)> {
    let mut failed = vec![];
    for (place, answer) in open.iter().zip(answers) {
        match answer {
            EventResult::Accepted => results[*place] = SendResult::Sent,
            EventResult::Refused(why) => results[*place] = SendResult::Refused(why),
            EventResult::Failed(why) => failed.push((*place, why)),
        }
    }
    failed
}
