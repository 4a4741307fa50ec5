//! How long erasures have waited for the receipts of all systems.

use jiff::{SignedDuration, Timestamp};
use tokio::time::{Instant, timeout_at};

use crate::Flow;
use crate::ports::Tombstones;

impl<T: Tombstones, Q> Flow<T, Q> {
    /// For how long the oldest tombstone has lacked a system's receipt; zero if none does. `None` if the stack awaits no
    /// receipts.
    ///
    /// # Errors
    /// With the reason, when the tombstones cannot be read in time.
    pub async fn open_erasure_age(&self, now: Timestamp, end_by: Instant) -> Result<Option<SignedDuration>, String> {
        if !self.erasure.awaits_receipts {
            return Ok(None);
        }
        let (mut oldest, mut after) = (now, None);
        loop {
            let page = timeout_at(end_by, self.table.open_erasures(after)).await;
            let page = page.map_err(|_| "the open erasures could not be read in time".to_owned())?;
            let page = page.map_err(|error| error.to_string())?;
            let times = page.open.iter().filter_map(|erasure| erasure.since.parse::<Timestamp>().ok());
            oldest = times.fold(oldest, Timestamp::min);
            after = page.next;
            if after.is_none() {
                return Ok(Some(now.duration_since(oldest)));
            }
        }
    }
}
