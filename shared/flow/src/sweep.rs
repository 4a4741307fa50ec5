//! The sweep: cleanup messages that still wait in their tombstones are sent.

use std::time::Duration;

use futures_util::StreamExt;
use jiff::{SignedDuration, Timestamp};
use tokio::time::{Instant, timeout_at};

use crate::Flow;
use crate::apply::Forwarded;
use crate::ports::{Queues, Standing, Table, Waiting};

/// How many messages are sent at a time.
const CONCURRENT_SENDS: usize = 8;
/// The function has 10 s, and what is begun last has 3 of them: a read, a message sent, a mark cleared.
const BEGIN_WITHIN: Duration = Duration::from_secs(6);
const END_WITHIN: Duration = Duration::from_secs(9);
/// The most tombstones that one sweep looks at.
const TOMBSTONES_MAX: usize = 10_000;
/// Whoever wrote the tombstone is at it for 4 s, or parked the delete and replays it.
const GRACE: Duration = Duration::from_mins(1);

/// How far a sweep goes. What is left waits for the next one.
#[derive(Clone, Copy, Debug)]
pub struct SweepLimits {
    /// Nothing is begun after that time.
    pub begin_by: Instant,
    /// What is not done by then is given up, and counts as failed.
    pub end_by: Instant,
    /// The most tombstones that are looked at.
    pub tombstones_max: usize,
    /// How long a message waits before it is swept: whoever wrote the tombstone is still at it.
    pub grace: Duration,
}

impl SweepLimits {
    /// Those of the function.
    #[must_use]
    pub fn of_function(started: Instant) -> Self {
        Self {
            begin_by: started + BEGIN_WITHIN,
            end_by: started + END_WITHIN,
            tombstones_max: TOMBSTONES_MAX,
            grace: GRACE,
        }
    }
}

/// What a sweep did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// Messages that were sent.
    pub sent: usize,
    /// Messages that were not sent, or whose tombstone could not be read or cleared. They are tried again.
    pub failed: usize,
    /// Whether a limit ended the sweep before all were looked at.
    pub is_cut_short: bool,
    /// The first thing that went wrong.
    pub error: Option<String>,
}

impl<T: Table, Q: Queues> Flow<T, Q> {
    /// Sends what waits, and takes it out of its tombstone. May be cut off anywhere and may run twice at once: a message
    /// is then sent twice, never lost, and a mark is cleared only from the tombstone whose message was sent.
    pub async fn sweep(&self, now: Timestamp, limits: SweepLimits) -> Swept {
        let mut swept = Swept::default();
        let mut looked_at = 0;
        let mut after = None;
        loop {
            let page = match timeout_at(limits.end_by, self.table.due(after)).await {
                Ok(Ok(page)) => page,
                Ok(Err(error)) => {
                    swept.fail(&error.to_string());
                    return swept;
                }
                Err(_) => {
                    swept.fail("the table did not answer in time");
                    return swept;
                }
            };
            let left = limits.tombstones_max.saturating_sub(looked_at);
            let due: Vec<_> = page.waiting.into_iter().filter(|waiting| is_due(waiting, now, limits.grace)).collect();
            swept.is_cut_short |= due.len() > left;
            looked_at += due.len().min(left);
            let sweep_one = async |waiting: Waiting| {
                if Instant::now() >= limits.begin_by {
                    return One::NotBegun;
                }
                let one = timeout_at(limits.end_by, self.sweep_one(&waiting.pk)).await;
                one.unwrap_or_else(|_| One::Failed("no time left".to_owned()))
            };
            let due = due.into_iter().take(left);
            let mut ones = futures_util::stream::iter(due).map(sweep_one).buffer_unordered(CONCURRENT_SENDS);
            while let Some(one) = ones.next().await {
                match one {
                    One::Sent => swept.sent += 1,
                    One::Nothing => {}
                    One::NotBegun => swept.is_cut_short = true,
                    One::Failed(why) => swept.fail(&why),
                }
            }
            after = page.next;
            swept.is_cut_short |= after.is_some() && Instant::now() >= limits.begin_by;
            if after.is_none() || swept.is_cut_short {
                return swept;
            }
        }
    }

    /// The index may lag behind the table, so the tombstone itself is asked.
    async fn sweep_one(&self, pk: &str) -> One {
        let (rank, message) = match self.table.standing(pk).await {
            Ok(Some(Standing { rank, cleanup: Some(message) })) => (rank, message),
            Ok(_) => return One::Nothing,
            Err(error) => return One::Failed(error.to_string()),
        };
        let provider = pk.split('#').next().unwrap_or_default();
        match self.forward(pk, &rank, provider, &message).await {
            Forwarded::Cleared(_) => One::Sent,
            Forwarded::Sent(why) | Forwarded::Waits(why) => One::Failed(why),
        }
    }
}

enum One {
    Sent,
    Nothing,
    NotBegun,
    Failed(String),
}

impl Swept {
    fn fail(&mut self, why: &str) {
        self.failed += 1;
        self.error.get_or_insert_with(|| why.to_owned());
    }
}

/// What has no readable time is due.
fn is_due(waiting: &Waiting, now: Timestamp, grace: Duration) -> bool {
    let grace = SignedDuration::try_from(grace).unwrap_or_default();
    waiting.since.parse::<Timestamp>().map_or(true, |since| now.duration_since(since) >= grace)
}
