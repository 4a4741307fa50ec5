//! The times by which events are ordered.

use jiff::Timestamp;

use crate::rank::EpochMicros;
use crate::time::Time;
use crate::untranslatable::Untranslatable;

/// A time that is plausible enough to order events by it. With any other, a wrong clock could freeze a record: after one
/// event in the far future, all correct events would be stale.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventTime(Time);

impl EventTime {
    /// 2000-01-01T00:00:00Z. An earlier time is a default value or in another unit: no record is that old.
    pub const EARLIEST: Self = Self(Time(Timestamp::constant(946_684_800, 0)));
    /// The greatest plausible difference between the clocks of the provider and of this system.
    const AHEAD_MICROS_MAX: i64 = 24 * 60 * 60 * 1_000_000;

    /// Checks the time that is called `name`, of a delivery that arrived at `received_at`. That is the time of the first
    /// arrival if the delivery was kept since, so every attempt to settle it has the same result.
    ///
    /// # Errors
    /// [`Untranslatable::Before2000`] or [`Untranslatable::AfterArrival`].
    pub fn new(name: &'static str, time: Time, received_at: Timestamp) -> Result<Self, Untranslatable> {
        let Self(Time(earliest)) = Self::EARLIEST;
        let micros = time.0.as_microsecond();
        if micros < earliest.as_microsecond() {
            Err(Untranslatable::Before2000(name))
        } else if micros - received_at.as_microsecond() > Self::AHEAD_MICROS_MAX {
            Err(Untranslatable::AfterArrival(name))
        } else {
            Ok(Self(time))
        }
    }
}

impl From<EventTime> for Time {
    fn from(EventTime(time): EventTime) -> Self {
        time
    }
}

impl From<EventTime> for EpochMicros {
    fn from(EventTime(time): EventTime) -> Self {
        time.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    const RECEIVED_AT: Timestamp = Timestamp::constant(1_795_176_000, 0);

    /// The moments at which a plausible time becomes implausible, at the resolution of the order.
    #[rstest]
    #[case("2026-11-20T12:00:00Z", None)]
    #[case("2026-11-21T12:00:00Z", None)]
    #[case("2026-11-21T12:00:00.000000999Z", None)]
    #[case("2026-11-21T12:00:00.000001Z", Some(Untranslatable::AfterArrival("f")))]
    #[case("9999-12-30T22:00:00.999999999Z", Some(Untranslatable::AfterArrival("f")))]
    #[case("2000-01-01T00:00:00Z", None)]
    #[case("1999-12-31T23:59:59.999999999Z", Some(Untranslatable::Before2000("f")))]
    #[case("1999-12-31T23:59:59.999999Z", Some(Untranslatable::Before2000("f")))]
    #[case("1970-01-21T18:39:36Z", Some(Untranslatable::Before2000("f")))]
    #[case("-009999-01-02T01:59:59Z", Some(Untranslatable::Before2000("f")))]
    fn plausible_times(#[case] time: Time, #[case] error: Option<Untranslatable>) {
        assert_eq!(EventTime::new("f", time, RECEIVED_AT), error.map_or(Ok(EventTime(time)), Err));
    }

    /// Whatever the clock of this system says.
    #[rstest]
    #[case(Timestamp::MIN, Time(Timestamp::MAX), Err(Untranslatable::AfterArrival("f")))]
    #[case(Timestamp::MIN, Time(Timestamp::MIN), Err(Untranslatable::Before2000("f")))]
    #[case(Timestamp::MAX, Time(Timestamp::MAX), Ok(EventTime(Time(Timestamp::MAX))))]
    #[case(Timestamp::MAX, Time(Timestamp::MIN), Err(Untranslatable::Before2000("f")))]
    #[case(Timestamp::UNIX_EPOCH, Time(RECEIVED_AT), Err(Untranslatable::AfterArrival("f")))]
    fn no_clock_causes_an_overflow(
        #[case] received_at: Timestamp,
        #[case] time: Time,
        #[case] result: Result<EventTime, Untranslatable>,
    ) {
        assert_eq!(EventTime::new("f", time, received_at), result);
    }
}
