//! The headers of an answer that say when.

use std::time::Duration;

use http::HeaderMap;
use http::header::{DATE, RETRY_AFTER};
use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimeParser;

/// The header `Retry-After` (RFC 9110, section 10.2.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RetryAfter {
    Delay(Duration),
    Time(Timestamp),
}

impl RetryAfter {
    /// How long after `now` the request may be sent again.
    pub(crate) fn after(self, now: Timestamp) -> Duration {
        match self {
            Self::Delay(delay) => delay,
            Self::Time(time) => time.duration_since(now).try_into().unwrap_or_default(),
        }
    }
}

/// The time of the header `Date`.
pub(crate) fn date(headers: &HeaderMap) -> Option<Timestamp> {
    http_date(headers.get(DATE)?.to_str().ok()?)
}

pub(crate) fn retry_after(headers: &HeaderMap) -> Option<RetryAfter> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    match text.parse() {
        Ok(seconds) => Some(RetryAfter::Delay(Duration::from_secs(seconds))),
        Err(_) => http_date(text).map(RetryAfter::Time),
    }
}

/// A date as HTTP writes it: `Sun, 06 Nov 1994 08:49:37 GMT`. It is a date of RFC 2822, too.
fn http_date(text: &str) -> Option<Timestamp> {
    DateTimeParser::new().parse_timestamp(text.trim()).ok()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    const NOW: &str = "Sat, 01 Mar 2025 12:00:00 GMT";

    #[rstest]
    #[case::seconds("7", Some(Duration::from_secs(7)))]
    #[case::at_once("0", Some(Duration::ZERO))]
    #[case::a_date("Sat, 01 Mar 2025 12:01:30 GMT", Some(Duration::from_secs(90)))]
    #[case::a_date_in_the_past("Sat, 01 Mar 2025 11:00:00 GMT", Some(Duration::ZERO))]
    #[case::negative("-1", None)]
    #[case::a_fraction("1.5", None)]
    #[case::a_word("soon", None)]
    #[case::empty("", None)]
    fn delays(#[case] text: &'static str, #[case] expected: Option<Duration>) {
        let mut headers = HeaderMap::new();
        assert_eq!(retry_after(&headers), None);
        headers.insert(RETRY_AFTER, text.parse().unwrap());
        headers.insert(DATE, NOW.parse().unwrap());
        let now = date(&headers).unwrap();
        assert_eq!(retry_after(&headers).map(|it| it.after(now)), expected);
    }

    #[test]
    fn a_date_that_cannot_be_read_is_none() {
        let mut headers = HeaderMap::new();
        assert_eq!(date(&headers), None);
        headers.insert(DATE, "yesterday".parse().unwrap());
        assert_eq!(date(&headers), None);
        headers.insert(DATE, NOW.parse().unwrap());
        assert_eq!(date(&headers), Some("2025-03-01T12:00:00Z".parse().unwrap()));
    }
}
