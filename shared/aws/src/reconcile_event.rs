//! What starts a reconciliation: a schedule, or an operator who names the beginning of the window.

use std::time::Duration;

use clientele_flow::deadlines::RECONCILE_WINDOW_INTERVALS;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

/// Why an event does not start a reconciliation. It is an error of the invocation, which whoever invokes the function gets
/// to see.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReconcileEventError {
    /// Neither a schedule nor an operator sends this.
    #[error(
        r#"expected the event of a schedule, or {{"since": "2026-11-20T00:00:00Z"}} to compare what has changed since then"#
    )]
    Unknown,
    /// `since` cannot be read.
    #[error(
        r#"`since` is not a time: expected one with its offset from UTC, as "2026-11-20T00:00:00Z", or a day in UTC, as "2026-11-20""#
    )]
    NotATime,
    /// Webhooks of what has changed since then may still be on their way.
    #[error("`since` is too late: expected a time before {0}, because the webhooks of later changes may still arrive")]
    TooLate(Timestamp),
}

/// The changes that a reconciliation looks at: from a moment until another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Window {
    pub(crate) since: Timestamp,
    pub(crate) until: Timestamp,
}

impl Window {
    /// The window of an event that arrived now: the intervals that end before a webhook may still be on its way, or
    /// everything since the moment that an operator names.
    pub(crate) fn of_event(
        event: &Value,
        now: Timestamp,
        interval: Duration,
        settle: Duration,
    ) -> Result<Self, ReconcileEventError> {
        let until = before(now, settle);
        let since = since(event)?.unwrap_or_else(|| before(until, interval * RECONCILE_WINDOW_INTERVALS));
        if since >= until {
            return Err(ReconcileEventError::TooLate(until));
        }
        Ok(Self { since, until })
    }
}

fn before(time: Timestamp, duration: Duration) -> Timestamp {
    let duration = SignedDuration::try_from(duration).unwrap_or(SignedDuration::MAX);
    time.saturating_sub(duration).unwrap_or(Timestamp::MIN)
}

/// The time in an operator's event. In that event nothing else is accepted, because a misspelt `since` would go unnoticed.
fn since(event: &Value) -> Result<Option<Timestamp>, ReconcileEventError> {
    let Value::Object(fields) = event else { return Err(ReconcileEventError::Unknown) };
    // <https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-run-lambda-schedule.html>
    if fields.contains_key("detail-type") || fields.is_empty() {
        return Ok(None);
    }
    let Some(since) = fields.get("since").filter(|_| fields.len() == 1) else {
        return Err(ReconcileEventError::Unknown);
    };
    let text = since.as_str().ok_or(ReconcileEventError::NotATime)?;
    // A date is also read from a time without an offset, whose hours would not count.
    let day = |text: &str| text.parse::<Date>().ok().filter(|_| !text.contains(':'))?.to_zoned(TimeZone::UTC).ok();
    let time = text.parse().ok().or_else(|| day(text).map(|day| day.timestamp()));
    time.map(Some).ok_or(ReconcileEventError::NotATime)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const NOW: &str = "2026-11-20T12:00:00Z";

    fn window(event: &Value) -> Result<[String; 2], ReconcileEventError> {
        let [interval, settle] = [30, 60].map(Duration::from_mins);
        let window = Window::of_event(event, NOW.parse().unwrap(), interval, settle)?;
        Ok([window.since.to_string(), window.until.to_string()])
    }

    #[test]
    fn a_schedule_compares_three_intervals_that_end_before_webhooks_may_be_on_their_way() {
        let expected = ["2026-11-20T09:30:00Z", "2026-11-20T11:00:00Z"].map(str::to_owned);
        let scheduled = json!({ "source": "aws.events", "detail-type": "Scheduled Event", "detail": {} });
        for event in [scheduled, json!({})] {
            assert_eq!(window(&event), Ok(expected.clone()));
        }
    }

    #[test]
    fn an_operator_names_the_beginning() {
        for (since, expected) in [
            ("2026-11-01T00:00:00Z", "2026-11-01T00:00:00Z"),
            ("2026-11-01T02:00:00+02:00", "2026-11-01T00:00:00Z"),
            ("2026-11-01", "2026-11-01T00:00:00Z"),
            ("2026-11-20T10:59:59Z", "2026-11-20T10:59:59Z"),
        ] {
            let expected = [expected.to_owned(), "2026-11-20T11:00:00Z".to_owned()];
            assert_eq!(window(&json!({ "since": since })), Ok(expected), "{since}");
        }
    }

    #[test]
    fn what_is_expected_instead_is_said() {
        let end = "2026-11-20T11:00:00Z".parse().unwrap();
        for (event, expected) in [
            (json!({ "since": "yesterday" }), ReconcileEventError::NotATime),
            (json!({ "since": "" }), ReconcileEventError::NotATime),
            (json!({ "since": "2026-11-20T00:00:00" }), ReconcileEventError::NotATime),
            (json!({ "since": 1_763_596_800 }), ReconcileEventError::NotATime),
            (json!({ "since": null }), ReconcileEventError::NotATime),
            (json!({ "since": "2026-11-20T11:00:00Z" }), ReconcileEventError::TooLate(end)),
            (json!({ "since": "2027-01-01" }), ReconcileEventError::TooLate(end)),
            (json!({ "sicne": "2026-11-01" }), ReconcileEventError::Unknown),
            (json!({ "since": "2026-11-01", "until": "2026-11-02" }), ReconcileEventError::Unknown),
            (json!("2026-11-01"), ReconcileEventError::Unknown),
            (json!(null), ReconcileEventError::Unknown),
            (json!([]), ReconcileEventError::Unknown),
        ] {
            assert_eq!(window(&event), Err(expected), "{event}");
        }
        let examples = [ReconcileEventError::Unknown, ReconcileEventError::NotATime].map(|error| error.to_string());
        assert!(examples.iter().all(|text| text.contains("\"2026-11-20T00:00:00Z\"")), "{examples:?}");
    }
}
