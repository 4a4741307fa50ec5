//! The write of a record that was read from a list.

use clientele_model::{CustomerEvent, Outcome};
use tokio::time::Instant;

use crate::Flow;
use crate::apply::EventResult;
use crate::deadlines::{Deadlines, RECORD_ATTEMPTS_MAX};
use crate::list_requests::{Clock, pause_before_write};
use crate::ports::{Queues, Table};

impl<T: Table, Q: Queues> Flow<T, Q> {
    /// Writes a record by the same write as an event. It is never kept on a queue, because it can be read again: if the
    /// table cannot be used after several attempts, the outcome remains `Parked`, and the run has to stop.
    pub(crate) async fn write_record(&self, event: &CustomerEvent, clock: &Clock) -> EventResult {
        let mut attempt = 1;
        loop {
            let result = self.apply(event, clock.now(), Deadlines::of_record(Instant::now())).await;
            if result.outcome != Outcome::Parked || attempt == RECORD_ATTEMPTS_MAX {
                return result;
            }
            pause_before_write(clock, attempt).await;
            attempt += 1;
        }
    }
}
