//! Webhook secrets. Several can be valid at once. They are redacted in `Debug` and wiped from memory when dropped.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use zeroize::Zeroizing;

use crate::scheme::Scheme;

/// The keys of all secrets that are valid now, in the order in which they were configured.
///
/// Without secrets every delivery is rejected.
#[derive(Clone)]
pub struct Secrets(Vec<Zeroizing<Vec<u8>>>);

redacted_debug!(Secrets);

/// Why a configured secret cannot be used. Positions count from 1. No error contains the secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    /// The text begins with `[` but is not a JSON array of strings.
    #[error("begins with `[` but is not a JSON array of strings")]
    NotAList,
    /// A secret is empty, so that anybody could sign with it.
    #[error("secret {0} is empty")]
    Empty(usize),
    /// A Svix secret is not `whsec_` followed by base64.
    #[error("secret {0} is not `whsec_` followed by base64")]
    NotWhsec(usize),
    /// A secret for basic authentication is not `user:password`.
    #[error("secret {0} is not `user:password`")]
    NotUserPassword(usize),
}

impl Secrets {
    /// Reads a JSON array of secrets, or one secret as plain text. Empty text contains no secret.
    ///
    /// # Errors
    /// When a secret cannot be used with `scheme`.
    pub fn parse(text: &str, scheme: &Scheme) -> Result<Self, SecretError> {
        let secrets = Self::split(text)?;
        let keys = secrets.iter().enumerate().map(|(index, secret)| key(secret, scheme, index + 1));
        keys.collect::<Result<_, _>>().map(Self)
    }

    /// The secrets in the text, as they were written. Whether a scheme can use them is not checked.
    ///
    /// # Errors
    /// When the text begins with `[` but is not a JSON array of strings.
    pub fn split(text: &str) -> Result<Vec<Zeroizing<String>>, SecretError> {
        let text = text.trim();
        if text.starts_with('[') {
            let list: Vec<String> = serde_json::from_str(text).map_err(|_| SecretError::NotAList)?;
            Ok(list.into_iter().map(Zeroizing::new).collect())
        } else if text.is_empty() {
            Ok(vec![])
        } else {
            Ok(vec![Zeroizing::new(text.to_owned())])
        }
    }

    /// Whether there are no secrets, so that no delivery can be accepted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn keys(&self) -> impl Iterator<Item = &[u8]> {
        self.0.iter().map(|key| key.as_slice())
    }
}

fn key(secret: &str, scheme: &Scheme, position: usize) -> Result<Zeroizing<Vec<u8>>, SecretError> {
    let bytes = match scheme {
        // The prefix is optional, as in Svix's own libraries.
        Scheme::Svix => BASE64_STANDARD
            .decode(secret.strip_prefix("whsec_").unwrap_or(secret))
            .map_err(|_| SecretError::NotWhsec(position))?,
        Scheme::Basic if !secret.is_empty() && !secret.contains(':') => {
            return Err(SecretError::NotUserPassword(position));
        }
        Scheme::Basic | Scheme::Hmac { .. } | Scheme::Token(_) => secret.as_bytes().to_vec(),
    };
    if bytes.is_empty() { Err(SecretError::Empty(position)) } else { Ok(Zeroizing::new(bytes)) }
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

    #[rstest]
    #[case("", HMAC, &[])]
    #[case("  \n", HMAC, &[])]
    #[case("[]", HMAC, &[])]
    #[case("one", HMAC, &["one"])]
    #[case("one\n", HMAC, &["one"])]
    #[case(r#" ["one", "two"] "#, HMAC, &["one", "two"])]
    #[case("whsec_b25l", Scheme::Svix, &["one"])]
    #[case("b25l", Scheme::Svix, &["one"])]
    #[case("user:pass:word", Scheme::Basic, &["user:pass:word"])]
    #[case("one", Scheme::Token(TokenPlace::Path), &["one"])]
    fn usable_secrets_are_parsed(#[case] text: &str, #[case] scheme: Scheme, #[case] keys: &[&str]) {
        let secrets = Secrets::parse(text, &scheme).unwrap();
        assert_eq!(secrets.keys().collect::<Vec<_>>(), keys.iter().map(|k| k.as_bytes()).collect::<Vec<_>>());
        assert_eq!(secrets.is_empty(), keys.is_empty());
    }

    #[rstest]
    #[case("[1]", HMAC, SecretError::NotAList)]
    #[case("[\"a\"", HMAC, SecretError::NotAList)]
    #[case(r#"["a", ""]"#, HMAC, SecretError::Empty(2))]
    #[case("whsec_", Scheme::Svix, SecretError::Empty(1))]
    #[case("whsec_!", Scheme::Svix, SecretError::NotWhsec(1))]
    #[case(r#"["u:p", "up"]"#, Scheme::Basic, SecretError::NotUserPassword(2))]
    #[case(r#"[""]"#, Scheme::Basic, SecretError::Empty(1))]
    fn unusable_secrets_are_refused(#[case] text: &str, #[case] scheme: Scheme, #[case] error: SecretError) {
        assert_eq!(Secrets::parse(text, &scheme).unwrap_err(), error);
    }

    #[test]
    fn debug_prints_no_secret() {
        assert_eq!(format!("{:?}", Secrets::parse("hunter2", &HMAC).unwrap()), "Secrets(..)");
    }
}
