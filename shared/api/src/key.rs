//! An API key.

use std::fmt;

use http::HeaderValue;
use zeroize::Zeroizing;

use crate::KeyHeader;

/// An API key. It is sent to its provider's API and appears nowhere else.
#[derive(Clone)]
pub struct ApiKey(Zeroizing<String>);

/// Why a text cannot be an API key. No error contains the text or a part of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ApiKeyError {
    /// There is nothing but blanks.
    #[error("it is empty")]
    Empty,
    /// A header cannot contain it.
    #[error("it contains characters other than visible ASCII")]
    NotForHeader,
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ApiKey(..)")
    }
}

impl ApiKey {
    /// Reads an API key. Blanks and line ends around it are not part of it.
    ///
    /// # Errors
    /// When it is empty, or contains characters that no API key has.
    pub fn parse(text: &str) -> Result<Self, ApiKeyError> {
        let text = text.trim();
        if text.is_empty() {
            return Err(ApiKeyError::Empty);
        }
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(ApiKeyError::NotForHeader);
        }
        Ok(Self(Zeroizing::new(text.to_owned())))
    }

    /// The header that carries the key, which is marked as sensitive: `Debug` does not print its value.
    pub(crate) fn header(&self, key_header: KeyHeader) -> Result<(&'static str, HeaderValue), ApiKeyError> {
        let (name, value) = key_header(&self.0);
        let value = Zeroizing::new(value);
        let mut value = HeaderValue::from_str(&value).map_err(|_| ApiKeyError::NotForHeader)?;
        value.set_sensitive(true);
        Ok((name, value))
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::usual("key-of-this-test", Ok("key-of-this-test"))]
    #[case::with_a_line_end(" key-of-this-test\r\n", Ok("key-of-this-test"))]
    #[case::empty("", Err(ApiKeyError::Empty))]
    #[case::blank(" \n", Err(ApiKeyError::Empty))]
    #[case::two_lines("key\nof-this-test", Err(ApiKeyError::NotForHeader))]
    #[case::a_blank_inside("key of-this-test", Err(ApiKeyError::NotForHeader))]
    #[case::not_ascii("schlüssel", Err(ApiKeyError::NotForHeader))]
    fn parsed(#[case] text: &str, #[case] expected: Result<&str, ApiKeyError>) {
        assert_eq!(ApiKey::parse(text).as_ref().map(|key| key.0.as_str()), expected.as_ref().copied());
    }

    #[test]
    fn neither_the_key_nor_its_header_is_printed() {
        let key = ApiKey::parse("key-of-this-test").unwrap();
        let header = key.header(|key| ("authorization", format!("Bearer {key}"))).unwrap();
        assert_eq!(header.1.as_bytes(), b"Bearer key-of-this-test");
        assert_eq!(format!("{key:?} {header:?}"), r#"ApiKey(..) ("authorization", Sensitive)"#);
    }
}
