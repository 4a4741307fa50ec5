//! Webhook secrets. Several can be valid at once. They are redacted in `Debug` and wiped from memory when dropped.

use std::fmt;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::value::RawValue;
use zeroize::Zeroizing;

use crate::scheme::Scheme;

/// The most problems that a text lists.
const PROBLEMS_LISTED_MAX: usize = 5;

/// The keys of all secrets that are valid now, in the order in which they were configured, and what is wrong with the
/// others. The default has none, so every delivery is rejected.
#[derive(Clone, Default)]
pub struct Secrets {
    /// Each with its index in the configured list.
    keys: Vec<(usize, Zeroizing<Vec<u8>>)>,
    problems: SecretProblems,
}

/// An entry of a configured list, as it was written.
pub struct SecretEntry {
    /// A string, unless somebody made a mistake.
    json: Zeroizing<String>,
}

redacted_debug!(Secrets, SecretEntry);

/// Why a secret cannot be used. No error contains the secret or a part of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    /// An entry of the list is a number, for example.
    #[error("is not text")]
    NotText,
    /// It is empty, so that anybody could sign with it.
    #[error("is empty")]
    Empty,
    /// A Svix secret is not `whsec_` followed by base64.
    #[error("is not `whsec_` followed by base64")]
    NotWhsec,
    /// A secret for basic authentication is not `user:password`.
    #[error("is not `user:password`")]
    NotUserPassword,
}

/// Something that an operator should correct. Positions count from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SecretProblem {
    /// The text begins with `[` but is not a JSON array, so none of it can be read.
    #[error("begins with `[` but is not a JSON array")]
    NotAList,
    /// The secret at that position is not used. The others are.
    #[error("secret {0} {1}")]
    Unusable(usize, SecretError),
}

/// Everything that an operator should correct.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SecretProblems(pub Vec<SecretProblem>);

impl fmt::Display for SecretProblems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.0.iter().take(PROBLEMS_LISTED_MAX).enumerate() {
            write!(f, "{}{problem}", if index == 0 { "" } else { "; " })?;
        }
        match self.0.len().saturating_sub(PROBLEMS_LISTED_MAX) {
            0 => Ok(()),
            more => write!(f, "; and {more} more"),
        }
    }
}

impl std::error::Error for SecretProblems {}

impl Secrets {
    /// Reads a JSON array of secrets, or one secret as plain text. Empty text contains no secret. An entry that cannot be
    /// used is skipped, and is one of [`Self::problems`].
    ///
    /// # Errors
    /// When there are entries, but `scheme` can use none of them. This is a mistake, whereas an empty list is a decision.
    pub fn parse(text: &str, scheme: &Scheme) -> Result<Self, SecretProblems> {
        let entries = SecretEntry::list(text).map_err(|problem| SecretProblems(vec![problem]))?;
        let mut secrets = Self::default();
        for (index, entry) in entries.iter().enumerate() {
            match entry.text().ok_or(SecretError::NotText).and_then(|text| key(&text, scheme)) {
                Ok(key) => secrets.keys.push((index, key)),
                Err(error) => secrets.problems.0.push(SecretProblem::Unusable(index + 1, error)),
            }
        }
        if secrets.is_empty() && !secrets.problems.0.is_empty() { Err(secrets.problems) } else { Ok(secrets) }
    }

    /// Whether there are no secrets, so that no delivery can be accepted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// What is wrong with the configured list.
    #[must_use]
    pub fn problems(&self) -> &SecretProblems {
        &self.problems
    }

    /// The keys, each with the index of its secret in the configured list.
    pub(crate) fn keys(&self) -> impl Iterator<Item = (usize, &[u8])> {
        self.keys.iter().map(|(index, key)| (*index, key.as_slice()))
    }
}

impl SecretEntry {
    /// The entries of a JSON array, or one secret as plain text. Empty text contains none.
    ///
    /// # Errors
    /// When the text begins with `[` but is not a JSON array.
    pub fn list(text: &str) -> Result<Vec<Self>, SecretProblem> {
        let text = trimmed(text);
        if text.starts_with('[') {
            let entries: Vec<&RawValue> = serde_json::from_str(text).map_err(|_| SecretProblem::NotAList)?;
            Ok(entries.into_iter().map(|entry| Self { json: Zeroizing::new(entry.get().to_owned()) }).collect())
        } else if text.is_empty() {
            Ok(vec![])
        } else {
            Ok(vec![Self::new(text)])
        }
    }

    /// An entry for a secret.
    #[must_use]
    pub fn new(secret: &str) -> Self {
        Self { json: Zeroizing::new(serde_json::Value::from(secret).to_string()) }
    }

    /// The secret, unless the entry is not text. Blanks and line ends around it are not part of it.
    #[must_use]
    pub fn text(&self) -> Option<Zeroizing<String>> {
        let text = Zeroizing::new(serde_json::from_str::<String>(&self.json).ok()?);
        Some(Zeroizing::new(trimmed(&text).to_owned()))
    }

    /// The entry in a JSON array.
    #[must_use]
    pub fn json(&self) -> &str {
        &self.json
    }
}

/// Editors and shells add line ends, and some of them a byte order mark.
fn trimmed(text: &str) -> &str {
    text.trim_matches(|character: char| character.is_whitespace() || character == '\u{feff}')
}

fn key(secret: &str, scheme: &Scheme) -> Result<Zeroizing<Vec<u8>>, SecretError> {
    if secret.is_empty() {
        return Err(SecretError::Empty);
    }
    let key = match scheme {
        // The prefix is optional, as in Svix's own libraries.
        Scheme::Svix => BASE64_STANDARD
            .decode(secret.strip_prefix("whsec_").unwrap_or(secret))
            .map_err(|_| SecretError::NotWhsec)?,
        Scheme::Basic if !secret.contains(':') => return Err(SecretError::NotUserPassword),
        Scheme::Basic | Scheme::Hmac { .. } | Scheme::Token(_) => secret.as_bytes().to_vec(),
    };
    if key.is_empty() { Err(SecretError::Empty) } else { Ok(Zeroizing::new(key)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scheme::{SignatureEncoding, SignedTime, TokenPlace};
    use rstest::rstest;

    const HMAC: Scheme = Scheme::Hmac {
        header: std::borrow::Cow::Borrowed("x-signature"),
        encoding: SignatureEncoding::Hex,
        signed_time: SignedTime::None,
    };

    /// The keys with the indexes of their secrets, and the problems.
    fn parsed(text: &str, scheme: &Scheme) -> (Vec<(usize, String)>, Vec<SecretProblem>) {
        let secrets = Secrets::parse(text, scheme).unwrap();
        let key = |(index, key): (usize, &[u8])| (index, String::from_utf8(key.to_vec()).unwrap());
        (secrets.keys().map(key).collect(), secrets.problems().0.clone())
    }

    #[rstest]
    #[case("", HMAC, &[])]
    #[case("  \n", HMAC, &[])]
    #[case("\u{feff}", HMAC, &[])]
    #[case("[]", HMAC, &[])]
    #[case("\u{feff}[ ]\r\n", HMAC, &[])]
    #[case("one", HMAC, &["one"])]
    #[case("one\n", HMAC, &["one"])]
    #[case("\u{feff}one\r\n", HMAC, &["one"])]
    #[case(r#" ["one", "two"] "#, HMAC, &["one", "two"])]
    #[case(r#"["one\n", " two\r\n", "\ufeffthree"]"#, HMAC, &["one", "two", "three"])]
    #[case("whsec_b25l", Scheme::Svix, &["one"])]
    #[case("b25l", Scheme::Svix, &["one"])]
    #[case("user:pass:word", Scheme::Basic, &["user:pass:word"])]
    #[case(r#"["user:pass word\n"]"#, Scheme::Basic, &["user:pass word"])]
    #[case("one", Scheme::Token(TokenPlace::Path), &["one"])]
    fn usable_secrets_are_parsed(#[case] text: &str, #[case] scheme: Scheme, #[case] keys: &[&str]) {
        let keys: Vec<_> = keys.iter().map(|key| (*key).to_owned()).enumerate().collect();
        assert_eq!(Secrets::parse(text, &scheme).unwrap().is_empty(), keys.is_empty());
        assert_eq!(parsed(text, &scheme), (keys, vec![]));
    }

    /// The others are used, under their own positions.
    #[rstest]
    #[case(r#"["a", "", "b"]"#, HMAC, &[(0, "a"), (2, "b")], &[(2, SecretError::Empty)])]
    #[case(r#"[" \n", "a"]"#, HMAC, &[(1, "a")], &[(1, SecretError::Empty)])]
    #[case(r#"[1, "a", null]"#, HMAC, &[(1, "a")], &[(1, SecretError::NotText), (3, SecretError::NotText)])]
    #[case(r#"["a", ["b"], {"c": "d"}, true]"#, HMAC, &[(0, "a")],
        &[(2, SecretError::NotText), (3, SecretError::NotText), (4, SecretError::NotText)])]
    #[case(r#"["a", "\ud800"]"#, HMAC, &[(0, "a")], &[(2, SecretError::NotText)])]
    #[case(r#"[{"$serde_json::private::Number": "x"}, "a"]"#, HMAC, &[(1, "a")], &[(1, SecretError::NotText)])]
    #[case(r#"["whsec_!", "whsec_b25l"]"#, Scheme::Svix, &[(1, "one")], &[(1, SecretError::NotWhsec)])]
    #[case(r#"["u:p", "up"]"#, Scheme::Basic, &[(0, "u:p")], &[(2, SecretError::NotUserPassword)])]
    fn an_unusable_secret_does_not_affect_the_others(
        #[case] text: &str,
        #[case] scheme: Scheme,
        #[case] keys: &[(usize, &str)],
        #[case] problems: &[(usize, SecretError)],
    ) {
        let keys = keys.iter().map(|(index, key)| (*index, (*key).to_owned())).collect();
        let problems = problems.iter().map(|(position, error)| SecretProblem::Unusable(*position, *error)).collect();
        assert_eq!(parsed(text, &scheme), (keys, problems));
    }

    #[rstest]
    #[case("[\"a\"", HMAC, SecretProblem::NotAList)]
    #[case("[\"a\"] x", HMAC, SecretProblem::NotAList)]
    #[case("['a']", HMAC, SecretProblem::NotAList)]
    #[case("[1]", HMAC, SecretProblem::Unusable(1, SecretError::NotText))]
    #[case("whsec_", Scheme::Svix, SecretProblem::Unusable(1, SecretError::Empty))]
    #[case("whsec_!", Scheme::Svix, SecretProblem::Unusable(1, SecretError::NotWhsec))]
    #[case("up", Scheme::Basic, SecretProblem::Unusable(1, SecretError::NotUserPassword))]
    #[case(r#"[""]"#, Scheme::Basic, SecretProblem::Unusable(1, SecretError::Empty))]
    #[case(r#"[" "]"#, Scheme::Token(TokenPlace::Path), SecretProblem::Unusable(1, SecretError::Empty))]
    fn nothing_usable_is_an_error(#[case] text: &str, #[case] scheme: Scheme, #[case] problem: SecretProblem) {
        assert_eq!(Secrets::parse(text, &scheme).unwrap_err(), SecretProblems(vec![problem]));
    }

    /// However many there are, since the text is part of a log line.
    #[test]
    fn problems_are_described_without_the_secrets() {
        let error = |secrets: &[&str]| {
            Secrets::parse(&serde_json::json!(secrets).to_string(), &Scheme::Svix).unwrap_err().to_string()
        };
        assert_eq!(error(&["", "hunter2!"]), "secret 1 is empty; secret 2 is not `whsec_` followed by base64");
        let many = error(&[""; 1_000]);
        assert!(
            many.starts_with("secret 1 is empty; ") && many.ends_with("; secret 5 is empty; and 995 more"),
            "{many}"
        );
        assert_eq!(
            Secrets::parse("[hunter2]", &HMAC).unwrap_err().to_string(),
            "begins with `[` but is not a JSON array"
        );
    }

    #[test]
    fn an_entry_is_written_as_it_was_read() {
        let entries = SecretEntry::list(r#"[ "a\n" , 1.50, {"b":[]} ]"#).unwrap();
        assert_eq!(entries.iter().map(SecretEntry::json).collect::<Vec<_>>(), [r#""a\n""#, "1.50", r#"{"b":[]}"#]);
        assert_eq!(SecretEntry::new("a\"").json(), r#""a\"""#);
    }

    #[test]
    fn debug_prints_no_secret() {
        assert_eq!(format!("{:?}", Secrets::parse("hunter2", &HMAC).unwrap()), "Secrets(..)");
        assert_eq!(format!("{:?}", SecretEntry::new("hunter2")), "SecretEntry(..)");
    }
}
