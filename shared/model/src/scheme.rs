//! How a provider signs its deliveries, as data. [`verify`](crate::verify) judges whether a signature is right.

use std::borrow::Cow;

/// How a provider proves that a delivery is its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// HMAC-SHA256 of the raw body in a header of its own. The key is the secret's UTF-8 bytes.
    Hmac {
        /// The header's name.
        header: Cow<'static, str>,
        /// How the 32 bytes are written.
        encoding: SignatureEncoding,
        /// Where the time of the attempt is.
        signed_time: SignedTime,
    },
    /// Svix: `id.timestamp.body` is signed; `svix-*` or `webhook-*` headers carry the id, the timestamp and one or more
    /// `v1,` signatures in base64; secrets begin with `whsec_`
    /// (<https://docs.svix.com/receiving/verifying-payloads/how-manual>).
    Svix,
    /// The secret itself is sent. This proves the sender, but not that the body is unchanged.
    Token(TokenPlace),
    /// `Authorization: Basic` with the secret `user:password`. This proves the sender, but not that the body is
    /// unchanged.
    Basic,
}

/// How the bytes of a signature are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignatureEncoding {
    /// Hexadecimal, in either letter case.
    Hex,
    /// Base64 with padding.
    Base64,
}

/// Where the signed time of an attempt is, for a scheme that signs only the body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignedTime {
    /// There is none, so the age of a delivery is not limited.
    None,
    /// RFC 3339 text in the JSON body, at this path of field names.
    InBody(&'static [&'static str]),
}

/// Where a token is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TokenPlace {
    /// The `{token}` of the path.
    Path,
    /// A header.
    Header(Cow<'static, str>),
}

/// The setting names no scheme that the provider supports.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected {expected}")]
pub struct SchemeError {
    /// The supported settings.
    pub expected: &'static str,
}

impl Scheme {
    /// Reads `hmac-sha256-hex:<header>`, `hmac-sha256-base64:<header>` or `token:<header>`.
    #[must_use]
    pub fn from_setting(setting: &str) -> Option<Self> {
        let (kind, header) = setting.split_once(':')?;
        let is_name = !header.is_empty() && header.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b));
        let header = Cow::Owned(is_name.then(|| header.to_owned())?);
        let hmac = |encoding, header| Self::Hmac { header, encoding, signed_time: SignedTime::None };
        match kind {
            "hmac-sha256-hex" => Some(hmac(SignatureEncoding::Hex, header)),
            "hmac-sha256-base64" => Some(hmac(SignatureEncoding::Base64, header)),
            "token" => Some(Self::Token(TokenPlace::Header(header))),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn hmac_in(header: &'static str, encoding: SignatureEncoding) -> Scheme {
        Scheme::Hmac { header: header.into(), encoding, signed_time: SignedTime::None }
    }

    #[rstest]
    #[case("hmac-sha256-hex:X-Signature", Some(hmac_in("X-Signature", SignatureEncoding::Hex)))]
    #[case("hmac-sha256-base64:x_signature-2", Some(hmac_in("x_signature-2", SignatureEncoding::Base64)))]
    #[case("token:x-api-key", Some(Scheme::Token(TokenPlace::Header("x-api-key".into()))))]
    #[case("token:_", Some(Scheme::Token(TokenPlace::Header("_".into()))))]
    #[case("token:", None)]
    #[case("token", None)]
    #[case("", None)]
    #[case(":x-api-key", None)]
    #[case("svix:x-api-key", None)]
    #[case("TOKEN:x-api-key", None)]
    #[case("token:x api key", None)]
    #[case("token:x:y", None)]
    #[case("token:é", None)]
    #[case("hmac-sha512-hex:x-signature", None)]
    fn scheme_from_a_setting(#[case] setting: &str, #[case] scheme: Option<Scheme>) {
        assert_eq!(Scheme::from_setting(setting), scheme);
    }
}
