//! Webhook secrets: several at once, redacted, wiped from memory when dropped.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use zeroize::Zeroizing;

use crate::signature::Scheme;

/// The key bytes of every secret that is valid now, in the order in which they were configured.
///
/// An empty list refuses every delivery.
#[derive(Clone)]
pub struct Secrets(Vec<Zeroizing<Vec<u8>>>);

crate::private::private_debug!(Secrets);

/// Why a configured secret cannot be used. Positions count from 1; no error carries the secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    /// The text begins as a JSON array but is none of strings.
    #[error("begins with `[` but is not a JSON array of strings")]
    NotAList,
    /// An empty secret would accept what anybody can sign.
    #[error("secret {0} is empty")]
    Empty(usize),
    /// Svix secrets are `whsec_` and base64.
    #[error("secret {0} is not `whsec_` followed by base64")]
    NotWhsec(usize),
    /// Basic credentials are `user:password`.
    #[error("secret {0} is not `user:password`")]
    NotUserPassword(usize),
}

impl Secrets {
    /// Reads a JSON array of secrets, or one secret as plain text; empty text is no secret at all.
    ///
    /// # Errors
    /// When a secret cannot be used with `scheme`.
    pub fn parse(text: &str, scheme: &Scheme) -> Result<Self, SecretError> {
        let secrets = Self::texts(text)?;
        let keys = secrets.iter().enumerate().map(|(index, secret)| key(secret, scheme, index + 1));
        keys.collect::<Result<_, _>>().map(Self)
    }

    /// The secrets of a text, as they were written: whether they can be used is not asked.
    ///
    /// # Errors
    /// When the text begins as a JSON array but is none of strings.
    pub fn texts(text: &str) -> Result<Vec<Zeroizing<String>>, SecretError> {
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

    /// Whether there is none, so that nothing can be accepted.
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
        // The prefix is optional in Svix' own libraries too.
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
    use crate::signature::{Encoding, SignedTime, TokenPlace};
    use rstest::rstest;

    const HMAC: Scheme = Scheme::Hmac {
        header: std::borrow::Cow::Borrowed("x-signature"),
        encoding: Encoding::Hex,
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
    fn parsed(#[case] text: &str, #[case] scheme: Scheme, #[case] keys: &[&str]) {
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
    fn refused(#[case] text: &str, #[case] scheme: Scheme, #[case] error: SecretError) {
        assert_eq!(Secrets::parse(text, &scheme).unwrap_err(), error);
    }

    #[test]
    fn debug_prints_no_secret() {
        assert_eq!(format!("{:?}", Secrets::parse("hunter2", &HMAC).unwrap()), "Secrets(..)");
    }
}
