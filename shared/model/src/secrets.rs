//! The list of webhook secrets. Several can be valid at once. They are redacted in `Debug` and wiped from memory when
//! dropped.

use std::fmt;

use serde_json::value::RawValue;
use zeroize::Zeroizing;

use crate::scheme::Scheme;
use crate::secret::{Secret, SecretError, Weakness, trimmed};

/// The most problems that a text lists.
const PROBLEMS_LISTED_MAX: usize = 5;

/// The keys of all secrets that are valid now, in the order in which they were configured, and what is wrong with the
/// list. The default has none, so every delivery is rejected.
#[derive(Clone, Default)]
pub struct Secrets {
    /// Each with its index in the configured list.
    keys: Vec<(usize, Zeroizing<Vec<u8>>)>,
    problems: SecretProblems,
}

/// An entry of a configured list, as it was written.
#[derive(Clone)]
pub struct SecretEntry {
    /// A string, unless somebody made a mistake.
    json: Zeroizing<String>,
}

redacted_debug!(Secrets, SecretEntry);

/// Something that an operator should correct. Positions count from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SecretProblem {
    /// The text begins with `[` but is not a JSON array, so none of it can be read.
    #[error("begins with `[` but is not a JSON array")]
    NotAList,
    /// The secret at that position is not used. The others are.
    #[error("secret {0} {1}")]
    Unusable(usize, SecretError),
    /// The secret at that position is used, but could be guessed or lost on the way.
    #[error("secret {0} is weak: {1}")]
    Weak(usize, Weakness),
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
    /// used is skipped, and is one of [`Self::problems`]. Of several spellings of one key, the first counts.
    ///
    /// # Errors
    /// When there are entries, but `scheme` can use none of them. This is a mistake, whereas an empty list is a decision.
    pub fn parse(text: &str, scheme: &Scheme) -> Result<Self, SecretProblems> {
        let entries = SecretEntry::list(text).map_err(|problem| SecretProblems(vec![problem]))?;
        let mut secrets = Self::default();
        for (index, entry) in entries.iter().enumerate() {
            match entry.text().ok_or(SecretError::NotText).and_then(|text| Secret::parse(&text, scheme)) {
                Ok(secret) if secrets.keys().any(|(_, known)| known == secret.key()) => {}
                Ok(secret) => {
                    let weak = secret.weakness().map(|weakness| SecretProblem::Weak(index + 1, weakness));
                    secrets.problems.0.extend(weak);
                    secrets.keys.push((index, secret.into_key()));
                }
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

    /// The JSON array of these entries, each as it was written.
    #[must_use]
    pub fn array(entries: &[Self]) -> String {
        format!("[{}]", entries.iter().map(|entry| entry.json.as_str()).collect::<Vec<_>>().join(","))
    }
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

    /// The keys with the indexes of their secrets, and the problems other than weakness.
    fn parsed(text: &str, scheme: &Scheme) -> (Vec<(usize, String)>, Vec<SecretProblem>) {
        let secrets = Secrets::parse(text, scheme).unwrap();
        let key = |(index, key): (usize, &[u8])| (index, String::from_utf8(key.to_vec()).unwrap());
        let is_unusable = |problem: &&SecretProblem| !matches!(problem, SecretProblem::Weak(..));
        (secrets.keys().map(key).collect(), secrets.problems().0.iter().filter(is_unusable).copied().collect())
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
    #[case(":", Scheme::Basic, SecretProblem::Unusable(1, SecretError::NotUserPassword))]
    #[case(" : ", Scheme::Basic, SecretProblem::Unusable(1, SecretError::NotUserPassword))]
    #[case("whsec_====", Scheme::Svix, SecretProblem::Unusable(1, SecretError::Empty))]
    #[case(
        "whpk_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=",
        Scheme::Svix,
        SecretProblem::Unusable(1, SecretError::NotWhsec)
    )]
    #[case(
        "whsk_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=",
        Scheme::Svix,
        SecretProblem::Unusable(1, SecretError::NotWhsec)
    )]
    #[case("whsec_", Scheme::Svix, SecretProblem::Unusable(1, SecretError::Empty))]
    #[case("whsec_!", Scheme::Svix, SecretProblem::Unusable(1, SecretError::NotWhsec))]
    #[case("up", Scheme::Basic, SecretProblem::Unusable(1, SecretError::NotUserPassword))]
    #[case(r#"[""]"#, Scheme::Basic, SecretProblem::Unusable(1, SecretError::Empty))]
    #[case(r#"[" "]"#, Scheme::Token(TokenPlace::Path), SecretProblem::Unusable(1, SecretError::Empty))]
    fn nothing_usable_is_an_error(#[case] text: &str, #[case] scheme: Scheme, #[case] problem: SecretProblem) {
        assert_eq!(Secrets::parse(text, &scheme).unwrap_err(), SecretProblems(vec![problem]));
    }

    /// The bytes of the key contain every character that the two alphabets of base64 write differently.
    #[rstest]
    #[case("whsec_++//MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NQ==")]
    #[case("whsec_++//MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NQ")]
    #[case("whsec_++//MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NQ=")]
    #[case("whsec_--__MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NQ==")]
    #[case("whsec_--__MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NQ")]
    #[case("whsec_++//MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NR")]
    #[case("++//MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NQ==")]
    #[case("--__MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NQ")]
    #[case("v1,whsec_++//MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NQ==")]
    #[case("v1, whsec_--__MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NQ")]
    #[case(" whsec_++//MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NQ==\r\n")]
    fn spellings_of_one_svix_key(#[case] spelling: &str) {
        let key = Secret::parse("whsec_++//MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NQ==", &Scheme::Svix).unwrap();
        assert_eq!(key.key(), b"\xfb\xef\xff0123456789abcdef012345");
        let list = serde_json::json!([spelling, "whsec_++//MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NQ==", "whsec_!"]).to_string();
        let secrets = Secrets::parse(&list, &Scheme::Svix).unwrap();
        assert_eq!(secrets.keys().collect::<Vec<_>>(), [(0, key.key())], "once");
        assert_eq!(secrets.problems().0, [SecretProblem::Unusable(3, SecretError::NotWhsec)]);
    }

    /// A weak secret still verifies.
    #[test]
    fn weak_secrets_are_used_and_reported() {
        let secrets = Secrets::parse(r#"["short", "0123456789abcdef", "a"]"#, &HMAC).unwrap();
        assert_eq!(secrets.keys().map(|(index, _)| index).collect::<Vec<_>>(), [0, 1, 2]);
        let weak = |position| SecretProblem::Weak(position, Weakness::FewCharacters);
        assert_eq!(secrets.problems().0, [weak(1), weak(3)]);
        assert_eq!(weak(3).to_string(), "secret 3 is weak: at least 16 characters are required");
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
        let mut entries = SecretEntry::list(r#"[ "a\n" , 1.50, {"b":[]} ]"#).unwrap();
        entries.insert(0, SecretEntry::new("a\""));
        assert_eq!(SecretEntry::array(&entries), r#"["a\"","a\n",1.50,{"b":[]}]"#);
    }

    #[test]
    fn debug_prints_no_secret() {
        assert_eq!(format!("{:?}", Secrets::parse("hunter2", &HMAC).unwrap()), "Secrets(..)");
        assert_eq!(format!("{:?}", SecretEntry::new("hunter2")), "SecretEntry(..)");
    }
}
