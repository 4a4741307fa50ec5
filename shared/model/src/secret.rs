//! A webhook secret: which a scheme can use, and how strong it must be. A weak one is refused where it is set, but a
//! function that has it uses it.

use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use base64::{Engine, alphabet};
use zeroize::Zeroizing;

use crate::scheme::{Scheme, TokenPlace};

/// The fewest characters of a token or of an HMAC key that is text.
const CHARS_MIN: usize = 16;
/// The fewest bytes of a Svix key, which the specification limits as well
/// (<https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md>).
const SVIX_KEY_BYTES_MIN: usize = 24;

/// Accepts what other decoders of base64 accept. Padding is removed before.
const LENIENT_BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::RequireNone)
        .with_decode_allow_trailing_bits(true),
);

/// A secret that a scheme can use.
pub struct Secret {
    key: Zeroizing<Vec<u8>>,
    weakness: Option<Weakness>,
}

redacted_debug!(Secret);

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

/// Why a usable secret is weak. No text contains the secret or a part of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Weakness {
    /// It can be guessed.
    #[error("at least {CHARS_MIN} characters are required")]
    FewCharacters,
    /// It can be guessed.
    #[error("a key of at least {SVIX_KEY_BYTES_MIN} bytes is required")]
    FewBytes,
    /// Characters that must be encoded in a URL, which not everybody does in the same way (RFC 3986, section 2.3).
    #[error("in a URL only the letters a to z and A to Z, digits, `-`, `.`, `_` and `~` are allowed")]
    NotForUrl,
    /// Characters that a header cannot contain, or that are lost on the way.
    #[error("in a header only visible ASCII characters are allowed")]
    NotForHeader,
    /// A secret for basic authentication lacks one of its parts.
    #[error("a user and a password are required")]
    NoUserOrNoPassword,
}

impl Secret {
    /// Reads a secret. Blanks and line ends around it are not part of it.
    ///
    /// # Errors
    /// When the scheme cannot use it.
    pub fn parse(text: &str, scheme: &Scheme) -> Result<Self, SecretError> {
        let text = trimmed(text);
        if text.is_empty() {
            return Err(SecretError::Empty);
        }
        let key = match scheme {
            Scheme::Svix => svix_key(text).ok_or(SecretError::NotWhsec)?,
            Scheme::Basic if user_and_password(text) == (false, false) => return Err(SecretError::NotUserPassword),
            Scheme::Basic | Scheme::Hmac { .. } | Scheme::Token(_) => text.as_bytes().to_vec(),
        };
        let key = Zeroizing::new(key);
        if key.is_empty() {
            return Err(SecretError::Empty);
        }
        let weakness = weakness(text, &key, scheme);
        Ok(Self { key, weakness })
    }

    /// The key. Different spellings of one secret have the same one.
    #[must_use]
    pub fn key(&self) -> &[u8] {
        &self.key
    }

    /// Why it should be replaced.
    #[must_use]
    pub fn weakness(&self) -> Option<Weakness> {
        self.weakness
    }

    pub(crate) fn into_key(self) -> Zeroizing<Vec<u8>> {
        self.key
    }
}

/// Editors and shells add line ends, and some of them a byte order mark.
pub(crate) fn trimmed(text: &str) -> &str {
    text.trim_matches(|character: char| character.is_whitespace() || character == '\u{feff}')
}

/// The key in `whsec_` followed by base64. The prefix is optional, as in Svix's own libraries, and so is the padding; the
/// alphabet may be the one for URLs; and some dashboards show the version of the signature before it.
fn svix_key(secret: &str) -> Option<Vec<u8>> {
    let secret = secret.strip_prefix("v1,").unwrap_or(secret).trim_start();
    // The prefixes of asymmetric keys. Whoever knows the public key could sign with it.
    if ["whpk_", "whsk_"].iter().any(|prefix| secret.starts_with(prefix)) {
        return None;
    }
    let standard = |character| match character {
        '-' => '+',
        '_' => '/',
        other => other,
    };
    let text = secret.strip_prefix("whsec_").unwrap_or(secret).trim_end_matches('=');
    let text = Zeroizing::new(text.chars().map(standard).collect::<String>());
    LENIENT_BASE64.decode(text.as_bytes()).ok()
}

/// Whether there is a user before the first colon, and whether there is a password after it. Without a colon there is
/// neither.
fn user_and_password(text: &str) -> (bool, bool) {
    let is_present = |part: &str| !part.trim().is_empty();
    text.split_once(':').map(|(user, password)| (is_present(user), is_present(password))).unwrap_or_default()
}

/// The weakness of a secret with this text, of which the scheme uses `key`.
fn weakness(text: &str, key: &[u8], scheme: &Scheme) -> Option<Weakness> {
    let is_unreserved = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    let is_short = text.chars().count() < CHARS_MIN;
    match scheme {
        Scheme::Token(TokenPlace::Path) if !text.bytes().all(is_unreserved) => Some(Weakness::NotForUrl),
        Scheme::Token(TokenPlace::Header(_)) if !text.bytes().all(|byte| byte.is_ascii_graphic()) => {
            Some(Weakness::NotForHeader)
        }
        Scheme::Token(_) | Scheme::Hmac { .. } => is_short.then_some(Weakness::FewCharacters),
        Scheme::Svix => (key.len() < SVIX_KEY_BYTES_MIN).then_some(Weakness::FewBytes),
        Scheme::Basic => (user_and_password(text) != (true, true)).then_some(Weakness::NoUserOrNoPassword),
    }
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use super::Weakness::*;
    use super::*;
    use crate::scheme::{SignatureEncoding, SignedTime};
    use rstest::rstest;

    const PATH: Scheme = Scheme::Token(TokenPlace::Path);
    const HEADER: Scheme = Scheme::Token(TokenPlace::Header(Cow::Borrowed("x-api-key")));
    const HMAC: Scheme = Scheme::Hmac {
        header: Cow::Borrowed("x-signature"),
        encoding: SignatureEncoding::Hex,
        signed_time: SignedTime::None,
    };

    #[rstest]
    #[case(PATH, "0123456789abcdef", None)]
    #[case(PATH, "0123456789abcde", Some(FewCharacters))]
    #[case(PATH, "AZaz09-._~AZaz09", None)]
    #[case(PATH, "a", Some(FewCharacters))]
    #[case(PATH, "a/b", Some(NotForUrl))]
    #[case(PATH, "a?b", Some(NotForUrl))]
    #[case(PATH, "0123456789abcdef%20", Some(NotForUrl))]
    #[case(PATH, "0123456789abcdef#", Some(NotForUrl))]
    #[case(PATH, "0123456789abcdef+=", Some(NotForUrl))]
    #[case(PATH, "0123456789 abcdef", Some(NotForUrl))]
    #[case(PATH, "0123456789abcdefé", Some(NotForUrl))]
    #[case(HEADER, "!23456789/?&\"~:=", None)]
    #[case(HEADER, "!23456789/?&\"~:", Some(FewCharacters))]
    #[case(HEADER, "01234567 89abcdef", Some(NotForHeader))]
    #[case(HEADER, "01234567\u{7f}9abcdef", Some(NotForHeader))]
    #[case(HEADER, "01234567\n89abcdef", Some(NotForHeader))]
    #[case(HEADER, "01234567é9abcdef", Some(NotForHeader))]
    #[case(HMAC, "0123456789abcdef", None)]
    #[case(HMAC, "0123456789abcde", Some(FewCharacters))]
    #[case(HMAC, "éééééééééééééééé", None)]
    #[case(HMAC, "ééééééééééééééé", Some(FewCharacters))]
    #[case(Scheme::Svix, "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3", None)]
    #[case(Scheme::Svix, "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY=", Some(FewBytes))]
    #[case(Scheme::Basic, "u:p", None)]
    #[case(Scheme::Basic, "user:pass:word", None)]
    #[case(Scheme::Basic, "u:", Some(NoUserOrNoPassword))]
    #[case(Scheme::Basic, ":p", Some(NoUserOrNoPassword))]
    #[case(Scheme::Basic, "u: \t", Some(NoUserOrNoPassword))]
    #[case(Scheme::Basic, "\u{a0}:p", Some(NoUserOrNoPassword))]
    fn strength_depends_on_the_scheme(#[case] scheme: Scheme, #[case] text: &str, #[case] weakness: Option<Weakness>) {
        assert_eq!(Secret::parse(text, &scheme).unwrap().weakness(), weakness);
    }

    #[test]
    fn a_weakness_says_what_is_required() {
        let texts = [FewCharacters, FewBytes, NotForUrl, NotForHeader, NoUserOrNoPassword].map(|it| it.to_string());
        assert_eq!(texts[0], "at least 16 characters are required");
        assert_eq!(texts[1], "a key of at least 24 bytes is required");
        assert!(texts.iter().all(|text| text.contains(" required") || text.contains(" allowed")));
    }

    #[test]
    fn debug_prints_no_secret() {
        assert_eq!(format!("{:?}", Secret::parse("hunter2", &HMAC).unwrap()), "Secret(..)");
    }
}
