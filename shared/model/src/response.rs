//! The outcome of a delivery, and the HTTP response that its provider gets.

use std::collections::BTreeMap;

use serde_json::json;

/// The outcome of one event, or of a whole delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Outcome {
    /// The event is now the customer's state.
    Applied,
    /// This event was already the customer's state.
    Duplicate,
    /// A greater event is the customer's state.
    Stale,
    /// The event is not about a customer.
    Ignored,
    /// The event is on the inbox queue until the table can be written.
    Parked,
    /// The event is on the quarantine queue until an operator has looked at it.
    Quarantined,
    /// The delivery was not proved to be the provider's.
    Rejected,
    /// The delivery is larger than the limit.
    TooLarge,
    /// Neither the table nor a queue could be reached.
    Unavailable,
    /// The secrets could not be fetched, so it is unknown whether the delivery is the provider's.
    Unverifiable,
}

impl Outcome {
    /// The word for the outcome in the response. All rejections share one, so that an unauthenticated caller cannot
    /// tell them apart.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Applied => "applied",
            Self::Duplicate => "duplicate",
            Self::Stale => "stale",
            Self::Ignored => "ignored",
            Self::Parked => "parked",
            Self::Quarantined => "quarantined",
            Self::Rejected | Self::TooLarge => "rejected",
            Self::Unavailable => "unavailable",
            Self::Unverifiable => "unverifiable",
        }
    }

    /// The HTTP status for a provider with these rules.
    #[must_use]
    pub fn status(self, rules: ResponseRules) -> u16 {
        match self {
            Self::Applied | Self::Duplicate | Self::Stale => 200,
            Self::Ignored => rules.ignored_status,
            Self::Parked | Self::Quarantined => 202,
            Self::Rejected => rules.rejected_status,
            Self::TooLarge => 413,
            Self::Unavailable | Self::Unverifiable => 503,
        }
    }

    /// The status of a batch is that of its event with the greatest precedence.
    fn precedence(self) -> u8 {
        match self {
            Self::Ignored => 0,
            Self::Applied | Self::Duplicate | Self::Stale => 1,
            Self::Parked | Self::Quarantined => 2,
            Self::Unavailable => 3,
            Self::TooLarge | Self::Rejected | Self::Unverifiable => 4,
        }
    }

    /// Whether the delivery was not verified, so that its events are unknown.
    fn is_unverified(self) -> bool {
        match self {
            Self::Rejected | Self::TooLarge | Self::Unverifiable => true,
            Self::Applied
            | Self::Duplicate
            | Self::Stale
            | Self::Ignored
            | Self::Parked
            | Self::Quarantined
            | Self::Unavailable => false,
        }
    }
}

/// What a provider expects of our responses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResponseRules {
    /// The status of a rejection.
    pub rejected_status: u16,
    /// The status when no event of the delivery is about a customer.
    pub ignored_status: u16,
    /// For a provider that sends batches: the field of the body that lists the events. The response counts outcomes.
    pub batch_field: Option<&'static str>,
}

/// An HTTP response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebhookResponse {
    /// The status.
    pub status: u16,
    /// The JSON body; none with 204.
    pub body: Option<String>,
    /// When the provider should try again, in seconds.
    pub retry_after_seconds: Option<u32>,
}

impl ResponseRules {
    /// The response to a delivery whose events had these outcomes.
    #[must_use]
    pub fn respond(self, outcomes: &[Outcome]) -> WebhookResponse {
        let decisive = outcomes.iter().copied().max_by_key(|outcome| outcome.precedence()).unwrap_or(Outcome::Ignored);
        let status = decisive.status(self);
        let body = if self.batch_field.is_some() && !decisive.is_unverified() {
            let mut counts = BTreeMap::new();
            for outcome in outcomes {
                *counts.entry(outcome.as_str()).or_insert(0_u32) += 1;
            }
            json!({ "outcomes": counts })
        } else {
            json!({ "outcome": decisive.as_str() })
        };
        WebhookResponse {
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

    const SINGLE: ResponseRules = ResponseRules { rejected_status: 401, ignored_status: 200, batch_field: None };
    const BATCH: ResponseRules =
        ResponseRules { rejected_status: 498, ignored_status: 204, batch_field: Some("events") };

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
    #[case(Unverifiable, 503, "unverifiable")]
    fn response_to_one_event(#[case] outcome: Outcome, #[case] status: u16, #[case] word: &str) {
        let response = SINGLE.respond(&[outcome]);
        assert_eq!((response.status, response.body), (status, Some(format!(r#"{{"outcome":"{word}"}}"#))));
        assert_eq!(response.retry_after_seconds.is_some(), status == 503);
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
    #[case(&[Unverifiable], 503, Some(r#"{"outcome":"unverifiable"}"#))]
    fn response_to_a_batch(#[case] outcomes: &[Outcome], #[case] status: u16, #[case] body: Option<&str>) {
        let response = BATCH.respond(outcomes);
        assert_eq!((response.status, response.body.as_deref()), (status, body));
    }
}
