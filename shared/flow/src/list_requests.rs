//! Requests to a list API: not too many in a second, and again after failures that may be temporary.

use std::sync::atomic::{AtomicBool, Ordering};

use clientele_model::{ApiAnswer, ApiRequest, Id, ListingError};
use jiff::Timestamp;
use tokio::time::Instant;

use crate::deadlines::LIST_ATTEMPTS_MAX;
use crate::pacing::{Clock, Pace, Stopped, Waiting, pause_until, retry_delay};
use crate::ports::{ApiUnreachable, ListClient};

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
    /// The answers belong to another account than the one that the operator named, or that the run has read before.
    #[error("the API key belongs to the account {}, not to {}", actual.as_str(), expected.as_str())]
    OtherAccount {
        /// The account of the answers.
        actual: Id,
        /// The account that the run is about.
        expected: Id,
    },
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
            self.pause_until(self.pace.reserve(1)).await?;
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
        pause_until(end, || self.is_stopped()).await.map_err(|Stopped| CallFailure::Stopped)
    }
}
