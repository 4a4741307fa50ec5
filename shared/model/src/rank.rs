//! The total order of a customer's events, and its encoding as a string.
//!
//! A customer's state is the greatest of all its events under this order. Taking a maximum is commutative, associative
//! and idempotent, so any order of arrival and any repetition lead to the same state.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;

use crate::time::Time;

/// A moment in microseconds since the Unix epoch, the resolution of the order.
///
/// Nanoseconds are truncated. Displayed as RFC 3339 in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EpochMicros(i64);

impl From<Time> for EpochMicros {
    fn from(Time(moment): Time) -> Self {
        Self(moment.as_microsecond())
    }
}

impl EpochMicros {
    /// 1970-01-01T00:00:00Z.
    pub(crate) const EPOCH: Self = Self(0);
    /// Later than any time.
    pub(crate) const MAX: Self = Self(i64::MAX);

    /// The moment as a [`Timestamp`]. `None` is only possible for a value that was decoded from a string, which may be
    /// out of range.
    #[must_use]
    pub fn timestamp(self) -> Option<Timestamp> {
        Timestamp::from_microsecond(self.0).ok()
    }
}

impl fmt::Display for EpochMicros {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.timestamp() {
            Some(moment) => Time(moment).fmt(f),
            None => self.0.fmt(f),
        }
    }
}

/// What happened to the record. This orders an observation, a create and an update of the same version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verb {
    /// The record was read from the provider's list, so it is not known which event brought it into this state.
    Observed,
    /// The provider created the record.
    Created,
    /// The provider changed or deleted the record.
    Updated,
}

/// When the event was raised and, in a batch, its place there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Sequence {
    /// When the event was raised.
    pub raised: EpochMicros,
    /// Its place in the batch, from 0.
    pub place: u32,
}

/// An event's place in the total order. Fields are compared in the order of their declaration.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rank {
    /// A delete is greater than any other event, for ever.
    pub erased: bool,
    /// When the provider last changed the record.
    pub version: EpochMicros,
    /// An observation is less than a create, which is less than an update.
    pub verb: Verb,
    /// This decides when all of the above are equal.
    pub sequence: Sequence,
    /// The provider's stable id. It makes the order total and independent of when events arrive.
    pub event_id: String,
}

/// The sign bit. Flipping it makes the unsigned order of two's complement numbers equal to their signed order.
const SIGN: u64 = 1 << 63;

/// Encodes the rank so that the byte order of strings, which is DynamoDB's order, is the order of the ranks. Numbers
/// are hexadecimal with a fixed width. Only the id varies in length, so it is last.
impl fmt::Display for Rank {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { erased, version, verb, sequence, event_id } = self;
        let [version, raised] = [version.0, sequence.raised.0].map(|micros| micros.cast_unsigned() ^ SIGN);
        let (erased, verb, place) = (u8::from(*erased), *verb as u8, sequence.place);
        write!(f, "{erased}.{version:016x}.{verb}.{raised:016x}.{place:08x}.{event_id}")
    }
}

/// The text is not a rank.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a rank")]
pub struct RankError;

impl FromStr for Rank {
    type Err = RankError;

    fn from_str(text: &str) -> Result<Self, RankError> {
        let mut parts = text.splitn(6, '.');
        let mut next = || parts.next().ok_or(RankError);
        let erased = bit(next()?)?;
        let version = micros(next()?)?;
        let verb = verb(next()?)?;
        let raised = micros(next()?)?;
        let place = u32::try_from(hexadecimal(next()?, 8)?).map_err(|_| RankError)?;
        Ok(Self { erased, version, verb, sequence: Sequence { raised, place }, event_id: next()?.to_owned() })
    }
}

fn bit(text: &str) -> Result<bool, RankError> {
    match text {
        "0" => Ok(false),
        "1" => Ok(true),
        _ => Err(RankError),
    }
}

fn verb(text: &str) -> Result<Verb, RankError> {
    match text {
        "0" => Ok(Verb::Observed),
        "1" => Ok(Verb::Created),
        "2" => Ok(Verb::Updated),
        _ => Err(RankError),
    }
}

fn micros(text: &str) -> Result<EpochMicros, RankError> {
    Ok(EpochMicros((hexadecimal(text, 16)? ^ SIGN).cast_signed()))
}

fn hexadecimal(text: &str, width: usize) -> Result<u64, RankError> {
    let canonical = text.len() == width && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    if canonical { u64::from_str_radix(text, 16).map_err(|_| RankError) } else { Err(RankError) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rstest::rstest;

    prop_compose! {
        fn any_rank()(
            erased: bool,
            version in prop_oneof![any::<i64>(), -3i64..3],
            verb in prop_oneof![Just(Verb::Observed), Just(Verb::Created), Just(Verb::Updated)],
            raised in prop_oneof![any::<i64>(), -3i64..3],
            place in prop_oneof![any::<u32>(), 0u32..3],
            event_id in "\\PC{0,3}|[.a#]{0,3}",
        ) -> Rank {
            let sequence = Sequence { raised: EpochMicros(raised), place };
            Rank { erased, version: EpochMicros(version), verb, sequence, event_id }
        }
    }

    proptest! {
        #[test]
        fn strings_order_as_the_tuples_do(a in any_rank(), b in any_rank()) {
            prop_assert_eq!(a.to_string().as_bytes().cmp(b.to_string().as_bytes()), a.cmp(&b));
        }

        /// Compares ranks that differ in a single field, which arbitrary pairs hardly ever do.
        #[test]
        fn a_single_field_decides(a in any_rank(), b in any_rank(), field in 0..5) {
            let mut c = a.clone();
            match field {
                0 => c.erased = b.erased,
                1 => c.version = b.version,
                2 => c.verb = b.verb,
                3 => c.sequence = b.sequence,
                _ => c.event_id = b.event_id,
            }
            prop_assert_eq!(a.to_string().as_bytes().cmp(c.to_string().as_bytes()), a.cmp(&c));
        }

        #[test]
        fn encoded_ranks_decode(rank in any_rank()) {
            prop_assert_eq!(rank.to_string().parse(), Ok(rank));
        }

        #[test]
        fn any_text_decodes_without_panic(text in "\\PC{0,60}|[01].[0-9a-f]{16}.[0-2].[0-9a-f]{16}.[0-9a-f]{8}.a?") {
            if let Ok(rank) = text.parse::<Rank>() {
                prop_assert_eq!(rank.to_string(), text);
            }
        }
    }

    #[rstest]
    #[case("0.8000000000000000.0.8000000000000000.00000000.", true)]
    #[case("1.ffffffffffffffff.1.0000000000000000.ffffffff.e.1", true)]
    #[case("2.8000000000000000.0.8000000000000000.00000000.e", false)]
    #[case(".8000000000000000.0.8000000000000000.00000000.e", false)]
    #[case("0.800000000000000.0.8000000000000000.00000000.e", false)]
    #[case("0.08000000000000000.0.8000000000000000.00000000.e", false)]
    #[case("0.800000000000000A.0.8000000000000000.00000000.e", false)]
    #[case("0.+800000000000000.0.8000000000000000.00000000.e", false)]
    #[case("0.8000000000000000.2.8000000000000000.00000000.e", true)]
    #[case("0.8000000000000000.3.8000000000000000.00000000.e", false)]
    #[case("0.8000000000000000.0.8000000000000000.0000000.e", false)]
    #[case("0.8000000000000000.0.8000000000000000.000000000.e", false)]
    #[case("0.8000000000000000.0.8000000000000000.00000000", false)]
    #[case("", false)]
    fn only_canonical_strings_decode(#[case] text: &str, #[case] is_rank: bool) {
        let rank = text.parse::<Rank>();
        assert_eq!(rank.map(|rank| rank.to_string()), if is_rank { Ok(text.to_owned()) } else { Err(RankError) });
    }

    /// A moment that is out of range, which only a string can contain, is displayed as a number.
    #[rstest]
    #[case("8000000000000000", "1970-01-01T00:00:00Z", Some(Timestamp::UNIX_EPOCH))]
    #[case("7fffffffffffffff", "1969-12-31T23:59:59.999999Z", Some(Timestamp::constant(0, -1_000)))]
    #[case("ffffffffffffffff", "9223372036854775807", None)]
    #[case("0000000000000000", "-9223372036854775808", None)]
    fn moments_decode_and_are_displayed(
        #[case] encoded: &str,
        #[case] written: &str,
        #[case] moment: Option<Timestamp>,
    ) {
        let rank: Rank = format!("0.{encoded}.0.{encoded}.00000000.e").parse().unwrap();
        assert_eq!((rank.version.to_string().as_str(), rank.version.timestamp()), (written, moment));
        assert_eq!(rank.sequence, Sequence { raised: rank.version, place: 0 });
        if let Some(moment) = moment {
            assert_eq!(rank.version, Time(moment).into());
        }
    }

    #[test]
    fn the_encoding_is_pinned() {
        let version: Time = "2026-02-09T08:42:08.322145Z".parse().unwrap();
        let raised: Time = "1969-12-31T23:59:59.999999Z".parse().unwrap();
        let rank = Rank {
            erased: true,
            version: version.into(),
            verb: Verb::Updated,
            sequence: Sequence { raised: raised.into(), place: 24 },
            event_id: "evt.1".into(),
        };
        assert_eq!(rank.to_string(), "1.80064a601d402261.2.7fffffffffffffff.00000018.evt.1");
        assert_eq!(rank.version.to_string(), "2026-02-09T08:42:08.322145Z");
    }
}
