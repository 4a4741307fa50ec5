//! Why a delivery was rejected.

use crate::response::Outcome;

/// Why a delivery was rejected. This goes to the operator's log; the sender never learns it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rejection {
    /// The delivery arrived by another domain name than the required one.
    OtherDomainName,
    /// The body is larger than the limit.
    TooLarge,
    /// The gateway marked the body as base64, but it is not.
    NotBase64,
    /// No secret is configured.
    NoSecret,
    /// The secrets could not be fetched, or not fetched again, so it is unknown whether one of them matches.
    SecretsNotFetched,
    /// The header or path token that carries the proof is missing or empty.
    ProofMissing,
    /// A header that carries the proof came more than once.
    ProofRepeated,
    /// The proof does not have the form that its scheme prescribes.
    ProofMalformed,
    /// No secret matches.
    Mismatch,
    /// The delivery is authentic, but the time of the attempt is missing or unreadable.
    TimeUnreadable,
    /// The delivery is authentic, but older than the tolerance.
    TooOld,
    /// The delivery is authentic, but further in the future than the tolerance.
    TooNew,
}

impl Rejection {
    /// The reason as a log field.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::OtherDomainName => "other_domain_name",
            Self::TooLarge => "too_large",
            Self::NotBase64 => "not_base64",
            Self::NoSecret => "no_secret",
            Self::SecretsNotFetched => "secrets_not_fetched",
            Self::ProofMissing => "proof_missing",
            Self::ProofRepeated => "proof_repeated",
            Self::ProofMalformed => "proof_malformed",
            Self::Mismatch => "mismatch",
            Self::TimeUnreadable => "time_unreadable",
            Self::TooOld => "too_old",
            Self::TooNew => "too_new",
        }
    }

    /// The outcome that decides the response.
    #[must_use]
    pub fn outcome(self) -> Outcome {
        match self {
            Self::TooLarge => Outcome::TooLarge,
            Self::SecretsNotFetched => Outcome::Unverifiable,
            Self::OtherDomainName
            | Self::NotBase64
            | Self::NoSecret
            | Self::ProofMissing
            | Self::ProofRepeated
            | Self::ProofMalformed
            | Self::Mismatch
            | Self::TimeUnreadable
            | Self::TooOld
            | Self::TooNew => Outcome::Rejected,
        }
    }

    /// Whether the delivery might be accepted with other secrets, so that it is worth fetching them again.
    #[must_use]
    pub fn newer_secrets_may_help(self) -> bool {
        matches!(self, Self::NoSecret | Self::Mismatch)
    }

    /// The same rejection, unless newer secrets may help. Then the sender is not at fault, because they could not be
    /// fetched.
    #[must_use]
    pub fn with_outdated_secrets(self) -> Self {
        if self.newer_secrets_may_help() { Self::SecretsNotFetched } else { self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case(Rejection::OtherDomainName, "other_domain_name", Outcome::Rejected, false)]
    #[case(Rejection::TooLarge, "too_large", Outcome::TooLarge, false)]
    #[case(Rejection::NotBase64, "not_base64", Outcome::Rejected, false)]
    #[case(Rejection::NoSecret, "no_secret", Outcome::Rejected, true)]
    #[case(Rejection::SecretsNotFetched, "secrets_not_fetched", Outcome::Unverifiable, false)]
    #[case(Rejection::ProofMissing, "proof_missing", Outcome::Rejected, false)]
    #[case(Rejection::ProofRepeated, "proof_repeated", Outcome::Rejected, false)]
    #[case(Rejection::ProofMalformed, "proof_malformed", Outcome::Rejected, false)]
    #[case(Rejection::Mismatch, "mismatch", Outcome::Rejected, true)]
    #[case(Rejection::TimeUnreadable, "time_unreadable", Outcome::Rejected, false)]
    #[case(Rejection::TooOld, "too_old", Outcome::Rejected, false)]
    #[case(Rejection::TooNew, "too_new", Outcome::Rejected, false)]
    fn each_rejection(
        #[case] rejection: Rejection,
        #[case] text: &str,
        #[case] outcome: Outcome,
        #[case] newer_secrets_may_help: bool,
    ) {
        assert_eq!((rejection.as_str(), rejection.outcome()), (text, outcome));
        assert_eq!(rejection.newer_secrets_may_help(), newer_secrets_may_help);
        let with_outdated_secrets = if newer_secrets_may_help { Rejection::SecretsNotFetched } else { rejection };
        assert_eq!(rejection.with_outdated_secrets(), with_outdated_secrets);
    }
}
