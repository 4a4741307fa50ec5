//! The format of times.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A moment, written as RFC 3339 in UTC with 0, 3, 6 or 9 decimal places, as many as it needs. That is most likely how
/// the provider wrote it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time(pub Timestamp);

impl Time {
    /// 0001-01-01T00:00:00Z, which programs in Go write if there is no time.
    pub(crate) const ZERO_OF_GO: Self = Self(Timestamp::constant(-62_135_596_800, 0));

    /// The moment truncated to milliseconds. Times of our own clock are stored with this resolution.
    #[must_use]
    pub fn in_milliseconds(moment: Timestamp) -> Self {
        Self(Timestamp::from_millisecond(moment.as_millisecond()).unwrap_or(moment))
    }
}

impl FromStr for Time {
    type Err = jiff::Error;

    fn from_str(text: &str) -> Result<Self, jiff::Error> {
        text.parse().map(Self)
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nanos = self.0.subsec_nanosecond();
        let digits = match nanos {
            0 => 0,
            _ if nanos % 1_000_000 == 0 => 3,
            _ if nanos % 1_000 == 0 => 6,
            _ => 9,
        };
        write!(f, "{:.digits$}", self.0)
    }
}

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Timestamp::deserialize(deserializer).map(Self)
    }
}

#[cfg(feature = "schema")]
impl schemars::JsonSchema for Time {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Time".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "format": "date-time", "description": "RFC 3339 in UTC" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("2026-02-09T08:42:08Z", "2026-02-09T08:42:08Z")]
    #[case("2026-02-09T08:42:08.000Z", "2026-02-09T08:42:08Z")]
    #[case("2026-02-09T08:49:08.540Z", "2026-02-09T08:49:08.540Z")]
    #[case("2026-02-09T08:49:08.54Z", "2026-02-09T08:49:08.540Z")]
    #[case("2026-02-09T09:49:08.000120+01:00", "2026-02-09T08:49:08.000120Z")]
    #[case("2026-02-09T08:49:08.123456789Z", "2026-02-09T08:49:08.123456789Z")]
    #[case("1969-12-31T23:59:59.999Z", "1969-12-31T23:59:59.999Z")]
    fn has_only_the_decimal_places_it_needs(#[case] text: &str, #[case] written: &str) {
        let time: Time = text.parse().unwrap();
        assert_eq!(time.to_string(), written);
        assert_eq!(serde_json::to_string(&time).unwrap(), format!("\"{written}\""));
        assert_eq!(serde_json::from_str::<Time>(&format!("\"{text}\"")).unwrap(), time);
    }

    #[rstest]
    #[case("2026-02-09T08:42:08.123999999Z", "2026-02-09T08:42:08.123Z")]
    #[case("2026-02-09T08:42:08.123Z", "2026-02-09T08:42:08.123Z")]
    #[case("2026-02-09T08:42:08.000999Z", "2026-02-09T08:42:08Z")]
    fn times_of_arrival_are_truncated_to_milliseconds(#[case] now: &str, #[case] arrival: &str) {
        let now: Timestamp = now.parse().unwrap();
        assert_eq!(Time::in_milliseconds(now).to_string(), arrival);
    }
}
