//! Every deadline of the system, with the reason for each and the relations between them.
//!
//! The relations between constants are checked at compile time, at the end of this file. `template.yaml` states some
//! of the numbers again, such as `Timeout`, `VisibilityTimeout` and the sweep's rate; tests compare them with these
//! constants.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::Range;
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

/// The shortest time that a provider waits for an answer, as far as they document it: Flexprice Cloud's.
pub const PROVIDER_TIMEOUT: Duration = Duration::from_secs(5);
/// A delivery is answered within this time, whatever hangs. The difference to [`SEND_WITHIN`] is for processing.
pub const ANSWER_WITHIN: Duration = Duration::from_secs(4);
/// Time from the arrival of a delivery to the end of its last write. Events not written by then are kept on a queue.
pub const WRITE_WITHIN: Duration = Duration::from_millis(2_500);
/// Time from the arrival of a delivery to the end of its last call, which sends a message.
pub const SEND_WITHIN: Duration = Duration::from_millis(3_600);
/// Attempts to write a delete. Each reads the item first, and fails if the item changes in between.
pub const DELETE_ATTEMPTS_MAX: u32 = 3;
/// Time to remove a cleanup message from its tombstone. Once the message is sent, a failure is harmless: the message is
/// sent again later.
pub const CLEAR_WITHIN: Duration = Duration::from_millis(500);

/// As [`WRITE_WITHIN`], for a batch of the inbox. No provider waits, so it may take most of [`FUNCTION_TIMEOUT`]. A message
/// that has not been read by then is not read in this batch.
pub const REPLAY_WRITE_WITHIN: Duration = Duration::from_secs(5);
/// As [`SEND_WITHIN`], for a batch of the inbox.
pub const REPLAY_SEND_WITHIN: Duration = Duration::from_millis(6_500);
/// As [`ANSWER_WITHIN`], for a batch of the inbox: time from its arrival to the end of its last call, which hides a failed
/// message. What is not hidden by then is reported as failed all the same. The difference to [`FUNCTION_TIMEOUT`] is for
/// processing.
pub const REPLAY_END_WITHIN: Duration = Duration::from_secs(9);
/// A message of the inbox is hidden for at least this long after its first failed replay, and for twice as long after each
/// further one, so that an outage does not use up the message's receives.
pub const REPLAY_DELAY_MIN: Duration = Duration::from_mins(1);
/// The longest that a message of the inbox is hidden: after an outage, the inbox is empty within this time.
pub const REPLAY_DELAY_MAX: Duration = Duration::from_mins(15);

/// Time for an operator to redrive one message. Every call has its own timeout, so this only has to be long enough for the
/// largest batch, whose events may be all of one customer.
pub const REDRIVE_WITHIN: Duration = Duration::from_hours(1);

/// As [`WRITE_WITHIN`], for a record of a list. Nobody waits, and the table may be throttled by the import itself.
pub const RECORD_WRITE_WITHIN: Duration = Duration::from_mins(1);
/// Time for one attempt to read an item that is compared with a record of a list, or a page of them.
pub const RECORD_READ_WITHIN: Duration = Duration::from_mins(1);
/// As [`SEND_WITHIN`], for a customer whom a reconciliation deletes.
pub const RECORD_SEND_WITHIN: Duration = Duration::from_secs(90);
/// Attempts to write a record of a list before the run stops.
pub const RECORD_ATTEMPTS_MAX: u32 = 3;
/// Attempts of a request to a list API.
pub const LIST_ATTEMPTS_MAX: u32 = 6;
/// The longest pause before the second attempt of a request to a list API, of the write of a record, or of a call to the
/// event bus for an operator. It doubles with each further one.
pub const LIST_FIRST_BACKOFF: Duration = Duration::from_secs(1);
/// The longest pause before an attempt of a request to a list API, also if the API asks for a longer one.
pub const LIST_BACKOFF_MAX: Duration = Duration::from_mins(1);

/// Time between two sweeps: the rate of `SweepFunction`.
pub const SWEEP_INTERVAL: Duration = Duration::from_mins(5);
/// A sweep starts on no further tombstone after this time.
pub const SWEEP_START_WITHIN: Duration = Duration::from_secs(6);
/// A sweep ends within this time. What is unfinished by then counts as failed.
pub const SWEEP_END_WITHIN: Duration = Duration::from_secs(9);
/// Tombstones younger than this are not swept, because the function that wrote them may still be sending the message.
pub const SWEEP_GRACE: Duration = Duration::from_mins(1);

/// The function `receipts` ends within this time. A receipt that is not in its tombstone by then is reported as failed. The
/// difference to [`FUNCTION_TIMEOUT`] is for processing.
pub const RECEIPTS_END_WITHIN: Duration = Duration::from_secs(9);

/// `Timeout` of the function `reconcile`, the longest that Lambda allows
/// (<https://docs.aws.amazon.com/lambda/latest/dg/configuration-timeout.html>). Nobody waits, a list API may be slow, and
/// `since` may be long ago.
pub const RECONCILE_TIMEOUT: Duration = Duration::from_mins(15);
/// The shortest time between two scheduled reconciliations.
pub const RECONCILE_INTERVAL_MIN: Duration = Duration::from_mins(15);
/// The longest time between two scheduled reconciliations, and the longest that a webhook may take.
pub const RECONCILE_INTERVAL_MAX: Duration = Duration::from_hours(24);
/// A reconciliation looks at the changes of so many intervals, so that two runs in a row may fail.
pub const RECONCILE_WINDOW_INTERVALS: u32 = 3;
/// A reconciliation reads no further page of a list after this time.
pub const RECONCILE_STOP_WITHIN: Duration = Duration::from_mins(12);
/// A reconciliation ends within this time. What is unfinished by then is cancelled.
pub const RECONCILE_END_WITHIN: Duration = Duration::from_mins(14);
/// Time to fetch an API key from Secrets Manager, with all attempts.
pub const API_KEY_WITHIN: Duration = Duration::from_secs(5);

/// `Timeout` of the function `changes`. A batch of it may need a call per event, if one of them is refused.
pub const CHANGES_TIMEOUT: Duration = Duration::from_mins(1);
/// The function `changes` starts no further call after this time. What is not on the bus by then is reported as failed.
pub const CHANGES_STOP_WITHIN: Duration = Duration::from_secs(45);
/// Attempts of an operator's call to the event bus before the run stops, counted from the last one in which the bus accepted
/// an event.
pub const RESEND_ATTEMPTS_MAX: u32 = 6;
/// Time for one attempt of a call to EventBridge.
pub const EVENTBRIDGE_ATTEMPT_TIMEOUT: Duration = Duration::from_secs(2);
/// How long a change is tried before it is given up, and only its position is kept (`MaximumRecordAgeInSeconds`). The stream
/// keeps it for 24 hours, so an operator has half a day left.
pub const CHANGE_AGE_MAX: Duration = Duration::from_hours(12);

/// How often a function wakes while it handles an event. All timeouts of calls are longer.
pub const TIMER_INTERVAL: Duration = Duration::from_millis(250);
/// Time for the SDK to open a connection.
pub const CONNECT_TIMEOUT: Duration = Duration::from_millis(500);
/// Time for one attempt of a call to DynamoDB. The deadlines above limit all attempts together.
pub const DYNAMODB_ATTEMPT_TIMEOUT: Duration = Duration::from_millis(700);
/// Time for one attempt of a call to SQS.
pub const SQS_ATTEMPT_TIMEOUT: Duration = Duration::from_millis(600);
/// Attempts of a call to AWS.
pub const ATTEMPTS_MAX: u32 = 3;
/// The longest pause before the second attempt. It doubles with each further one. The SDK waits for a random part of it.
pub const FIRST_BACKOFF: Duration = Duration::from_millis(50);
/// Operators wait longer than providers, perhaps while their credentials are fetched: the SDK's timeouts times this.
pub const OPERATOR_FACTOR: u32 = 20;

/// Time to fetch newer secrets while a provider waits for its answer: one attempt.
pub const SECRETS_REFRESH_TIMEOUT: Duration = Duration::from_millis(600);
/// Time to fetch the secrets and to open the connection to the table when a function starts, concurrently and with all
/// attempts. A function starts without what has not succeeded by then.
pub const START_WITHIN: Duration = Duration::from_secs(1);

/// `Timeout` of every function but `reconcile` and `changes`.
pub const FUNCTION_TIMEOUT: Duration = Duration::from_secs(10);
/// `VisibilityTimeout` of every queue.
pub const VISIBILITY_TIMEOUT: Duration = Duration::from_mins(1);
/// How long an HTTP API waits for a function, unless the template says less
/// (<https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-quotas.html>).
pub const GATEWAY_TIMEOUT: Duration = Duration::from_secs(30);

/// Deadlines for settling one delivery, or one batch of the inbox.
#[derive(Clone, Copy, Debug)]
pub struct Deadlines {
    /// When it arrived.
    pub started: Instant,
    /// The same on the clock of the wall.
    pub started_at: Timestamp,
    /// Writes end by then. Events that are not written are kept.
    pub write_by: Instant,
    /// Messages are sent by then.
    pub send_by: Instant,
}

impl Deadlines {
    /// While a provider waits for the answer.
    #[must_use]
    pub fn of_delivery(started: Instant, started_at: Timestamp) -> Self {
        Self { started, started_at, write_by: started + WRITE_WITHIN, send_by: started + SEND_WITHIN }
    }

    /// While Lambda waits for the replay of a batch.
    #[must_use]
    pub fn of_replay(started: Instant, started_at: Timestamp) -> Self {
        Self { started, started_at, write_by: started + REPLAY_WRITE_WITHIN, send_by: started + REPLAY_SEND_WITHIN }
    }

    /// While a record of a list is written.
    #[must_use]
    pub fn of_record(started: Instant, started_at: Timestamp) -> Self {
        Self { started, started_at, write_by: started + RECORD_WRITE_WITHIN, send_by: started + RECORD_SEND_WITHIN }
    }

    /// The time on the clock of the wall.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.started_at.saturating_add(self.started.elapsed()).unwrap_or(self.started_at)
    }

    /// While an operator waits for the redrive of a message.
    #[must_use]
    pub fn of_redrive(started: Instant, started_at: Timestamp) -> Self {
        Self { started, started_at, write_by: started + REDRIVE_WITHIN, send_by: started + REDRIVE_WITHIN }
    }
}

/// How long a message of the inbox is hidden after its replay has failed, given how often it was received. Messages that
/// failed together are spread over [`replay_delay_range`], so that they do not come back together. A hash of the message
/// spreads them as well as a random number.
#[must_use]
pub fn replay_delay(message_id: &str, receives: u32) -> Duration {
    let Range { start, end } = replay_delay_range(receives);
    let mut hash = DefaultHasher::new();
    (message_id, receives).hash(&mut hash);
    let seconds = end.saturating_sub(start).as_secs().max(1);
    start + Duration::from_secs(hash.finish() % seconds)
}

/// The shortest and the longest time that a message of the inbox is hidden, given how often it was received.
#[must_use]
pub fn replay_delay_range(receives: u32) -> Range<Duration> {
    let longest = REPLAY_DELAY_MIN.saturating_mul(2_u32.saturating_pow(receives.max(1))).min(REPLAY_DELAY_MAX);
    longest / 2..longest
}

/// The longest time that this number of attempts takes, with the pauses between them.
const fn attempts(number: u32, timeout: Duration) -> Duration {
    let backoffs = FIRST_BACKOFF.saturating_mul(2_u32.pow(number - 1) - 1);
    timeout.saturating_mul(number).saturating_add(backoffs)
}

/// Whether the sum of the durations is shorter than `within`.
const fn fit<const N: usize>(durations: [Duration; N], within: Duration) -> bool {
    let (mut sum, mut index) = (Duration::ZERO, 0);
    while index < N {
        sum = sum.saturating_add(durations[index]);
        index += 1;
    }
    sum.as_millis() < within.as_millis()
}

// A delivery.
const _: () = {
    assert!(fit([CONNECT_TIMEOUT], SQS_ATTEMPT_TIMEOUT) && fit([CONNECT_TIMEOUT], DYNAMODB_ATTEMPT_TIMEOUT));
    assert!(fit([attempts(ATTEMPTS_MAX, DYNAMODB_ATTEMPT_TIMEOUT)], WRITE_WITHIN), "a write has all its attempts");
    assert!(
        fit([SECRETS_REFRESH_TIMEOUT, attempts(2, DYNAMODB_ATTEMPT_TIMEOUT)], WRITE_WITHIN),
        "a write has two attempts even after a slow refresh of the secrets"
    );
    assert!(
        fit([attempts(2, DYNAMODB_ATTEMPT_TIMEOUT), DYNAMODB_ATTEMPT_TIMEOUT], WRITE_WITHIN),
        "a delete, which reads the item first, has a second attempt for one of its two calls"
    );
    assert!(fit([WRITE_WITHIN, SQS_ATTEMPT_TIMEOUT], SEND_WITHIN), "what is not written can still be kept");
    assert!(fit([CLEAR_WITHIN], SEND_WITHIN));
    assert!(fit([SEND_WITHIN], ANSWER_WITHIN));
    assert!(fit([ANSWER_WITHIN], PROVIDER_TIMEOUT));
    assert!(fit([SECRETS_REFRESH_TIMEOUT], START_WITHIN), "a start has time for a second attempt");
    assert!(
        fit([START_WITHIN, SEND_WITHIN], PROVIDER_TIMEOUT),
        "a delivery that starts a function is answered while the provider waits"
    );
    assert!(fit([START_WITHIN, ANSWER_WITHIN], FUNCTION_TIMEOUT));
    assert!(fit([FUNCTION_TIMEOUT], GATEWAY_TIMEOUT));
};

// Timers.
const _: () = {
    assert!(fit([TIMER_INTERVAL], CONNECT_TIMEOUT) && fit([TIMER_INTERVAL], CLEAR_WITHIN));
};

// A replay.
const _: () = {
    assert!(fit([attempts(ATTEMPTS_MAX, DYNAMODB_ATTEMPT_TIMEOUT)], REPLAY_WRITE_WITHIN));
    assert!(fit([REPLAY_WRITE_WITHIN, SQS_ATTEMPT_TIMEOUT], REPLAY_SEND_WITHIN));
    assert!(
        fit([REPLAY_SEND_WITHIN, attempts(ATTEMPTS_MAX, SQS_ATTEMPT_TIMEOUT)], REPLAY_END_WITHIN),
        "after the last send there is time to hide the message"
    );
    assert!(fit([REPLAY_END_WITHIN], FUNCTION_TIMEOUT));
    assert!(
        VISIBILITY_TIMEOUT.as_secs() >= 6 * FUNCTION_TIMEOUT.as_secs(),
        "AWS recommends six times the timeout: https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html"
    );
    assert!(
        VISIBILITY_TIMEOUT.as_secs() <= REPLAY_DELAY_MIN.as_secs(),
        "a message that could not be hidden comes back no later"
    );
    assert!(REPLAY_DELAY_MIN.as_secs() <= REPLAY_DELAY_MAX.as_secs() / 2);
    assert!(fit([REPLAY_DELAY_MAX], Duration::from_hours(12)), "the longest that SQS hides a message");
};

// A sweep.
const _: () = {
    assert!(
        fit([SWEEP_START_WITHIN, DYNAMODB_ATTEMPT_TIMEOUT, SQS_ATTEMPT_TIMEOUT, CLEAR_WITHIN], SWEEP_END_WITHIN),
        "the last tombstone has time for a read, a message and a removal"
    );
    assert!(fit([SWEEP_END_WITHIN], FUNCTION_TIMEOUT));
    assert!(fit([FUNCTION_TIMEOUT], SWEEP_GRACE), "who wrote the tombstone is done or has died");
    assert!(fit([FUNCTION_TIMEOUT], SWEEP_INTERVAL), "scheduled sweeps do not overlap");
};

// A batch of receipts.
const _: () = {
    let call = attempts(ATTEMPTS_MAX, DYNAMODB_ATTEMPT_TIMEOUT);
    assert!(fit([call, call], RECEIPTS_END_WITHIN), "each receipt has all attempts of its two calls");
    assert!(fit([RECEIPTS_END_WITHIN], FUNCTION_TIMEOUT));
};

// A reconciliation.
const _: () = {
    assert!(fit([API_KEY_WITHIN], RECONCILE_STOP_WITHIN));
    assert!(fit([attempts(ATTEMPTS_MAX, SECRETS_REFRESH_TIMEOUT)], API_KEY_WITHIN));
    assert!(fit([RECONCILE_STOP_WITHIN], RECONCILE_END_WITHIN));
    assert!(fit([RECONCILE_END_WITHIN], RECONCILE_TIMEOUT));
    assert!(fit([RECONCILE_END_WITHIN], RECONCILE_INTERVAL_MIN), "scheduled reconciliations do not overlap");
};

// The change feed.
const _: () = {
    assert!(
        fit([CHANGES_STOP_WITHIN, attempts(ATTEMPTS_MAX, EVENTBRIDGE_ATTEMPT_TIMEOUT)], CHANGES_TIMEOUT),
        "the last call has all its attempts"
    );
    assert!(fit([CHANGE_AGE_MAX], Duration::from_hours(24)), "the time that the stream keeps a change");
};

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn a_failed_replay_waits_twice_as_long_each_time() {
        let ranges = [0, 1, 2, 3, 4, 5, u32::MAX].map(replay_delay_range);
        let seconds = ranges.map(|Range { start, end }| (start.as_secs(), end.as_secs()));
        assert_eq!(seconds, [(60, 120), (60, 120), (120, 240), (240, 480), (450, 900), (450, 900), (450, 900)]);
    }

    /// In no second do more than three times as many messages come back as on average.
    #[test]
    fn messages_that_failed_together_do_not_come_back_together() {
        for receives in [1, 2, 3, 4, 5, 100] {
            let range = replay_delay_range(receives);
            let mut messages = BTreeMap::<u64, u64>::new();
            for number in 0..9_000 {
                let delay = replay_delay(&format!("message-{number}"), receives);
                assert!(range.contains(&delay), "{delay:?}");
                *messages.entry(delay.as_secs()).or_default() += 1;
            }
            let average = 9_000 / range.end.saturating_sub(range.start).as_secs();
            assert!(messages.values().all(|number| *number <= 3 * average), "{messages:?}");
        }
    }

    #[test]
    fn durations_that_only_just_fit_do_not() {
        assert_eq!(attempts(3, Duration::from_millis(700)), Duration::from_millis(3 * 700 + 50 + 100));
        let second = Duration::from_secs(1);
        assert!(fit([second, second], Duration::from_millis(2_001)));
        assert!(!fit([second, second], 2 * second));
    }
}
