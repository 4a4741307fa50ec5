//! What came of a delivery, and how its sender hears of it.

use std::collections::BTreeMap;

use serde_json::json;

/// What came of one event, or of a whole delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Outcome {
    /// The event is now the customer's state.
    Applied,
    /// The very same event is the customer's state already.
    Duplicate,
    /// A greater event is the customer's state.
    Stale,
    /// Not about a customer.
    Ignored,
    /// Kept on the inbox queue until the table can be written.
    Parked,
    /// Kept on the quarantine queue until an operator has looked at it.
    Quarantined,
    /// Not proved to be the provider's.
    Rejected,
    /// Larger than the limit.
    TooLarge,
    /// Neither table nor queue could be reached.
    Unavailable,
}

impl Outcome {
    /// The word in the answer. A caller who has proved nothing cannot tell one refusal from another.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Applied => "applied",
            Self::Duplicate => "duplicate",
            Self::Stale => "stale",
            Self::Ignored => "ignored",
            Self::Parked => "parked",
            Self::Quarantined => "quarantined",
            Self::Rejected | Self::TooLarge => "rejected",
            Self::Unavailable => "unavailable",
        }
    }

    /// The HTTP status for a provider.
    #[must_use]
    pub fn status(self, dialect: Dialect) -> u16 {
        match self {
            Self::Applied | Self::Duplicate | Self::Stale => 200,
            Self::Ignored => dialect.ignored_status,
            Self::Parked | Self::Quarantined => 202,
            Self::Rejected => dialect.rejected_status,
            Self::TooLarge => 413,
            Self::Unavailable => 503,
        }
    }

    /// Which outcome of a batch's events decides its status: the greatest.
    fn weight(self) -> u8 {
        match self {
            Self::Ignored => 0,
            Self::Applied | Self::Duplicate | Self::Stale => 1,
            Self::Parked | Self::Quarantined => 2,
            Self::Unavailable => 3,
            Self::TooLarge | Self::Rejected => 4,
        }
    }
}

/// How a provider wants to be answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dialect {
    /// The status of a refusal.
    pub rejected_status: u16,
    /// The status when nothing in the delivery was about a customer.
    pub ignored_status: u16,
    /// Where deliveries are batches: the name of the list of events in the body. They are answered with counts.
    pub batch: Option<&'static str>,
}

/// An HTTP answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The JSON body; none with 204.
    pub body: Option<String>,
    /// When the provider should try again, in seconds.
    pub retry_after_seconds: Option<u32>,
}

impl Dialect {
    /// The answer to a delivery whose events had these outcomes.
    #[must_use]
    pub fn answer(self, outcomes: &[Outcome]) -> Answer {
        let decisive = outcomes.iter().copied().max_by_key(|outcome| outcome.weight()).unwrap_or(Outcome::Ignored);
        let status = decisive.status(self);
        // A refusal is one for the whole delivery, and says no more than that.
        let refused = decisive.word() == Outcome::Rejected.word();
        let body = if self.batch.is_some() && !refused {
            let mut counts = BTreeMap::new();
            for outcome in outcomes {
                *counts.entry(outcome.word()).or_insert(0_u32) += 1;
            }
            json!({ "outcomes": counts })
        } else {
            json!({ "outcome": decisive.word() })
        };
        Answer {
            status,
            body: (status != 204).then(|| body.to_string()),
            retry_after_seconds: (status == 503).then_some(5),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Outcome::*;
    use super::*;
    use rstest::rstest;

    const SINGLE: Dialect = Dialect { rejected_status: 401, ignored_status: 200, batch: None };
    const BATCH: Dialect = Dialect { rejected_status: 498, ignored_status: 204, batch: Some("events") };

    #[rstest]
    #[case(Applied, 200, "applied")]
    #[case(Duplicate, 200, "duplicate")]
    #[case(Stale, 200, "stale")]
    #[case(Ignored, 200, "ignored")]
    #[case(Parked, 202, "parked")]
    #[case(Quarantined, 202, "quarantined")]
    #[case(Rejected, 401, "rejected")]
    #[case(TooLarge, 413, "rejected")]
    #[case(Unavailable, 503, "unavailable")]
    fn one_event(#[case] outcome: Outcome, #[case] status: u16, #[case] word: &str) {
        let answer = SINGLE.answer(&[outcome]);
        assert_eq!((answer.status, answer.body), (status, Some(format!(r#"{{"outcome":"{word}"}}"#))));
        assert_eq!(answer.retry_after_seconds.is_some(), status == 503);
    }

    #[rstest]
    #[case(&[], 204, None)]
    #[case(&[Ignored, Ignored], 204, None)]
    #[case(&[Applied], 200, Some(r#"{"outcomes":{"applied":1}}"#))]
    #[case(&[Applied, Ignored, Applied, Stale], 200, Some(r#"{"outcomes":{"applied":2,"ignored":1,"stale":1}}"#))]
    #[case(&[Parked, Applied, Ignored], 202, Some(r#"{"outcomes":{"applied":1,"ignored":1,"parked":1}}"#))]
    #[case(&[Applied, Quarantined], 202, Some(r#"{"outcomes":{"applied":1,"quarantined":1}}"#))]
    #[case(&[Unavailable, Parked], 503, Some(r#"{"outcomes":{"parked":1,"unavailable":1}}"#))]
    #[case(&[Rejected], 498, Some(r#"{"outcome":"rejected"}"#))]
    #[case(&[TooLarge], 413, Some(r#"{"outcome":"rejected"}"#))]
    fn a_batch(#[case] outcomes: &[Outcome], #[case] status: u16, #[case] body: Option<&str>) {
        let answer = BATCH.answer(outcomes);
        assert_eq!((answer.status, answer.body.as_deref()), (status, body));
    }
}
