//! When the next request of a run may start: not too many in a second, after a pause if one has failed, and none once the
//! run is to stop.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::time::{Instant, sleep, sleep_until};

use crate::deadlines::{LIST_BACKOFF_MAX, LIST_FIRST_BACKOFF};

/// How often a pause looks whether the run is to stop.
pub(crate) const STOP_CHECK: Duration = Duration::from_millis(100);

/// What a run waits for, and for how long.
pub(crate) type Waiting<'a> = &'a (dyn Fn(&str, Duration) + Sync);

/// The current time of our own clock, in a run that started at a known time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    started_at: Timestamp,
    started: Instant,
}

impl Clock {
    pub(crate) fn starting_at(started_at: Timestamp) -> Self {
        Self { started_at, started: Instant::now() }
    }

    pub(crate) fn now(&self) -> Timestamp {
        let elapsed = SignedDuration::try_from(self.started.elapsed()).unwrap_or_default();
        self.started_at.saturating_add(elapsed).unwrap_or(self.started_at)
    }
}

/// When the next request may start.
pub(crate) struct Pace {
    interval: Duration,
    next: Mutex<Instant>,
}

impl Pace {
    pub(crate) fn new(per_second: Option<f64>) -> Self {
        let interval = per_second.and_then(|rate| Duration::try_from_secs_f64(rate.recip()).ok());
        Self { interval: interval.unwrap_or_default(), next: Mutex::new(Instant::now()) }
    }

    /// Reserves the next start, of a request that counts as so many.
    pub(crate) fn reserve(&self, number: u32) -> Instant {
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        let start = (*next).max(Instant::now());
        *next = start + self.interval.saturating_mul(number);
        start
    }
}

/// The run is to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stopped;

/// Waits, unless the run is to stop.
pub(crate) async fn pause_until(end: Instant, is_stopped: impl Fn() -> bool) -> Result<(), Stopped> {
    loop {
        if is_stopped() {
            return Err(Stopped);
        }
        let now = Instant::now();
        if now >= end {
            return Ok(());
        }
        sleep_until(end.min(now + STOP_CHECK)).await;
    }
}

/// The pause after a failed attempt: as long as the service asks for, within a limit, and never less than a random part of a
/// time that doubles with each attempt. A hash of the time serves as a random number.
pub(crate) fn retry_delay(clock: &Clock, attempt: u32, retry_after: Option<Duration>) -> Duration {
    let longest = LIST_FIRST_BACKOFF.saturating_mul(2_u32.saturating_pow(attempt - 1)).min(LIST_BACKOFF_MAX);
    let mut hash = DefaultHasher::new();
    (clock.now().as_nanosecond(), attempt).hash(&mut hash);
    let half = longest / 2;
    let random = Duration::from_millis(hash.finish() % u64::try_from(half.as_millis()).unwrap_or(u64::MAX).max(1));
    let backoff = half + random;
    retry_after.map_or(backoff, |asked| asked.min(LIST_BACKOFF_MAX) + random / 4)
}

/// The pause before the write of a record is tried again.
pub(crate) async fn pause_before_write(clock: &Clock, attempt: u32) {
    sleep(retry_delay(clock, attempt, None)).await;
}
