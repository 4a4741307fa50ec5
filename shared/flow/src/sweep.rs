//! The sweep: sends the cleanup messages that are still in their tombstones.

use std::time::Duration;

use futures_util::StreamExt;
use jiff::{SignedDuration, Timestamp};
use tokio::time::{Instant, timeout_at};

use crate::Flow;
use crate::apply::ForwardResult;
use crate::deadlines::{SWEEP_END_WITHIN, SWEEP_GRACE, SWEEP_START_WITHIN};
use crate::ports::{CurrentItem, PendingCleanup, Queues, Table};

/// How many messages are sent at a time.
const CONCURRENT_SENDS: usize = 8;
/// The most tombstones in one sweep.
const TOMBSTONES_MAX: usize = 10_000;

/// The limits of one sweep. The next sweep continues with what is left.
#[derive(Clone, Copy, Debug)]
pub struct SweepLimits {
    /// No page is read and no tombstone started after this time.
    pub start_by: Instant,
    /// What is unfinished by then is cancelled, and counts as failed.
    pub end_by: Instant,
    /// The most tombstones.
    pub tombstones_max: usize,
    /// Messages that have been due for less than this are skipped, because the function that wrote them may still be sending the message.
    pub grace: Duration,
}

impl SweepLimits {
    /// The limits of the sweep function.
    #[must_use]
    pub fn of_function(started: Instant) -> Self {
        Self {
            start_by: started + SWEEP_START_WITHIN,
            end_by: started + SWEEP_END_WITHIN,
            tombstones_max: TOMBSTONES_MAX,
            grace: SWEEP_GRACE,
        }
    }
}

/// The result of a sweep.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SweepReport {
    /// Messages that were sent and removed from their tombstones.
    pub sent: usize,
    /// Tombstones that could not be read or cleared, or whose message could not be sent, and other failures of the sweep.
    /// The next sweep tries again.
    pub failed: usize,
    /// Whether a limit ended the sweep before the last tombstone.
    pub is_cut_short: bool,
    /// The first failure.
    pub error: Option<String>,
}

impl<T: Table, Q: Queues> Flow<T, Q> {
    /// Sends pending cleanup messages and removes them from their tombstones. It may crash anywhere and may run twice at
    /// the same time: a message is then sent twice but never lost, because it is removed only from the very tombstone
    /// whose message was sent.
    pub async fn sweep(&self, now: Timestamp, limits: SweepLimits) -> SweepReport {
        let mut report = SweepReport::default();
        let grace = SignedDuration::try_from(limits.grace).unwrap_or_default();
        let due_by = now.saturating_sub(grace).unwrap_or(now);
        let mut tombstones = 0;
        let mut after = None;
        loop {
            let page = match timeout_at(limits.end_by, self.table.pending_cleanups(due_by, after)).await {
                Ok(Ok(page)) => page,
                Ok(Err(error)) => {
                    report.fail(&error.to_string());
                    return report;
                }
                Err(_) => {
                    report.fail("the table did not answer in time");
                    return report;
                }
            };
            let left = limits.tombstones_max.saturating_sub(tombstones);
            let mut due = page.pending;
            due.retain(|pending| is_due(&pending.due, due_by));
            report.is_cut_short |= due.len() > left;
            due.truncate(left);
            tombstones += due.len();
            let sweep_tombstone = async |pending: PendingCleanup| {
                if Instant::now() >= limits.start_by {
                    return TombstoneResult::NotStarted;
                }
                let result = timeout_at(limits.end_by, self.sweep_tombstone(&pending.pk, now)).await;
                result.unwrap_or_else(|_| TombstoneResult::Failed("no time left".to_owned()))
            };
            let mut results = futures_util::stream::iter(due).map(sweep_tombstone).buffer_unordered(CONCURRENT_SENDS);
            while let Some(result) = results.next().await {
                match result {
                    TombstoneResult::Sent => report.sent += 1,
                    TombstoneResult::NothingPending => {}
                    TombstoneResult::NotStarted => report.is_cut_short = true,
                    TombstoneResult::Failed(why) => report.fail(&why),
                }
            }
            after = page.next;
            report.is_cut_short |= after.is_some() && Instant::now() >= limits.start_by;
            if after.is_none() || report.is_cut_short {
                return report;
            }
        }
    }

    /// The index may lag behind the table, so this reads the tombstone itself.
    async fn sweep_tombstone(&self, pk: &str, now: Timestamp) -> TombstoneResult {
        let (rank, message) = match self.table.current_item(pk).await {
            Ok(Some(CurrentItem { rank, cleanup: Some(message), cleanup_due }))
                if cleanup_due.as_deref().is_none_or(|due| is_due(due, now)) =>
            {
                (rank, message)
            }
            Ok(_) => return TombstoneResult::NothingPending,
            Err(error) => return TombstoneResult::Failed(error.to_string()),
        };
        let provider = pk.split('#').next().unwrap_or_default();
        match self.forward(pk, &rank, provider, &message).await {
            ForwardResult::SentAndCleared(_) => TombstoneResult::Sent,
            ForwardResult::SentNotCleared(why) | ForwardResult::NotSent(why) => TombstoneResult::Failed(why),
        }
    }
}

enum TombstoneResult {
    Sent,
    NothingPending,
    NotStarted,
    Failed(String),
}

impl SweepReport {
    /// Counts a failure.
    pub fn fail(&mut self, why: &str) {
        self.failed += 1;
        self.error.get_or_insert_with(|| why.to_owned());
    }
}

/// Whether a message may be sent at that time. One whose time is unreadable may.
fn is_due(due: &str, now: Timestamp) -> bool {
    due.parse::<Timestamp>().map_or(true, |due| due <= now)
}
