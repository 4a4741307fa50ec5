//! Requests to a list API: not too many in a second, and again after failures that may be temporary.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use clientele_model::{ApiAnswer, ApiRequest, ListingError};
use jiff::{SignedDuration, Timestamp};
use tokio::time::{Instant, sleep, sleep_until};

use crate::deadlines::{LIST_ATTEMPTS_MAX, LIST_BACKOFF_MAX, LIST_FIRST_BACKOFF};
use crate::ports::{ApiUnreachable, ListClient};

/// How often a pause looks whether the run is to stop.
const STOP_CHECK: Duration = Duration::from_millis(100);

/// Why a run failed. Everything that was applied before stays applied.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ListRunError {
    /// The provider has no list API.
    #[error("nothing reliable is known about a list API of this provider")]
    NoListApi,
    /// No attempt of a request was answered.
    #[error("the list API cannot be reached: {0}")]
    Unreachable(String),
    /// An answer that cannot be used, in the last attempt.
    #[error(transparent)]
    Answer(#[from] ListingError),
    /// The answers belong to another account than the one that the operator named.
    #[error("the API key belongs to another account than the given one")]
    OtherAccount,
    /// The answers do not contain the account, and the operator named none.
    #[error("the API does not say to which account its customers belong: name the account")]
    AccountUnknown,
    /// The table cannot be used.
    #[error("{0}")]
    Table(String),
}

/// Why there is no answer that can be used.
#[derive(Debug)]
pub(crate) enum CallFailure {
    /// The run is to stop.
    Stopped,
    Failed(ListRunError),
}

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

/// What a run waits for, and for how long.
pub(crate) type Waiting<'a> = &'a (dyn Fn(&str, Duration) + Sync);

/// Sends the requests of one run.
pub(crate) struct Requests<'a, C> {
    client: &'a C,
    pub(crate) clock: Clock,
    stop: &'a AtomicBool,
    waiting: Waiting<'a>,
    /// The run stops at this time.
    end_by: Option<Instant>,
    pace: Pace,
}

/// When the next request may start.
struct Pace {
    interval: Duration,
    next: Mutex<Instant>,
}

impl Pace {
    fn new(requests_per_second: Option<f64>) -> Self {
        let interval = requests_per_second.and_then(|rate| Duration::try_from_secs_f64(rate.recip()).ok());
        Self { interval: interval.unwrap_or_default(), next: Mutex::new(Instant::now()) }
    }

    /// Reserves the next start.
    fn reserve(&self) -> Instant {
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        let start = (*next).max(Instant::now());
        *next = start + self.interval;
        start
    }
}

impl<'a, C: ListClient> Requests<'a, C> {
    pub(crate) fn new(
        client: &'a C,
        clock: Clock,
        requests_per_second: Option<f64>,
        stop: &'a AtomicBool,
        waiting: Waiting<'a>,
    ) -> Self {
        Self { client, clock, stop, waiting, end_by: None, pace: Pace::new(requests_per_second) }
    }

    /// Stops at this time, too.
    pub(crate) fn ending_by(self, end_by: Instant) -> Self {
        Self { end_by: Some(end_by), ..self }
    }

    /// Sends the request until `read` accepts an answer. Returns what was read, and the provider's clock.
    pub(crate) async fn call<T>(
        &self,
        request: &ApiRequest,
        mut read: impl FnMut(&ApiAnswer) -> Result<T, ListingError> + Send,
    ) -> Result<(T, Timestamp), CallFailure> {
        let mut attempt = 1;
        loop {
            self.pause_until(self.pace.reserve()).await?;
            let (error, retry_after) = match self.client.call(request).await {
                Err(ApiUnreachable(why)) => (ListRunError::Unreachable(why), None),
                Ok(answer) => match read(&answer) {
                    Ok(read) => return Ok((read, answer.date.unwrap_or_else(|| self.clock.now()))),
                    Err(error @ ListingError::Temporary(_)) => (error.into(), answer.retry_after),
                    Err(error) => return Err(CallFailure::Failed(error.into())),
                },
            };
            if attempt == LIST_ATTEMPTS_MAX {
                return Err(CallFailure::Failed(error));
            }
            let delay = retry_delay(&self.clock, attempt, retry_after);
            (self.waiting)(&error.to_string(), delay);
            self.pause_until(Instant::now() + delay).await?;
            attempt += 1;
        }
    }

    /// Whether the run is to stop.
    pub(crate) fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed) || self.end_by.is_some_and(|end_by| Instant::now() >= end_by)
    }

    /// Fails if the run is to stop.
    pub(crate) fn check_stop(&self) -> Result<(), CallFailure> {
        if self.is_stopped() { Err(CallFailure::Stopped) } else { Ok(()) }
    }

    /// Waits, unless the run is to stop.
    pub(crate) async fn pause_until(&self, end: Instant) -> Result<(), CallFailure> {
        loop {
            self.check_stop()?;
            let now = Instant::now();
            if now >= end {
                return Ok(());
            }
            sleep_until(end.min(now + STOP_CHECK)).await;
        }
    }
}

/// The pause after a failed attempt: as long as the API asks for, within a limit, and never less than a random part of a
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
