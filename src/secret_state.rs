//! What an operator may know of a secret.

use clientele_model::{Scheme, Secret, SecretEntry, SecretError};

/// The state of one entry of a provider's list of secrets, without the secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretState {
    /// Whether the function verifies deliveries with it.
    pub is_used: bool,
    /// Why it is not used, or why it is weak.
    pub problem: Option<String>,
}

impl SecretState {
    /// The state of an entry under the provider's scheme.
    #[must_use]
    pub fn of(entry: &SecretEntry, scheme: &Scheme) -> Self {
        match entry.text().ok_or(SecretError::NotText).and_then(|text| Secret::parse(&text, scheme)) {
            Ok(secret) => Self { is_used: true, problem: secret.weakness().map(|weakness| weakness.to_string()) },
            Err(error) => Self { is_used: false, problem: Some(error.to_string()) },
        }
    }

    /// The same in words.
    #[must_use]
    pub fn text(&self) -> String {
        match (&self.problem, self.is_used) {
            (None, _) => "strong".to_owned(),
            (Some(weakness), true) => format!("weak: {weakness}"),
            (Some(error), false) => format!("not used: it {error}"),
        }
    }
}
