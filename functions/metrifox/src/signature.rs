//! How Metrifox authenticates its deliveries. This is not documented, and an operator can set only the URL in
//! Metrifox's dashboard. The default is therefore a secret in the path. The other schemes can be used if Metrifox signs
//! one day.

use clientele_model::{Scheme, SchemeError, TokenPlace};

pub(crate) fn scheme(setting: Option<&str>) -> Result<Scheme, SchemeError> {
    match setting {
        None | Some("url-token") => Ok(Scheme::Token(TokenPlace::Path)),
        Some(other) => Scheme::from_setting(other).ok_or(SchemeError {
            expected: "`url-token`, `hmac-sha256-hex:<header>`, `hmac-sha256-base64:<header>` or `token:<header>`",
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clientele_model::{SignatureEncoding, SignedTime};
    use rstest::rstest;

    fn hmac(encoding: SignatureEncoding) -> Scheme {
        Scheme::Hmac { header: "X-Signature".into(), encoding, signed_time: SignedTime::None }
    }

    #[rstest]
    #[case(None, Scheme::Token(TokenPlace::Path))]
    #[case(Some("url-token"), Scheme::Token(TokenPlace::Path))]
    #[case(Some("hmac-sha256-hex:X-Signature"), hmac(SignatureEncoding::Hex))]
    #[case(Some("hmac-sha256-base64:X-Signature"), hmac(SignatureEncoding::Base64))]
    #[case(Some("token:X-Api-Key"), Scheme::Token(TokenPlace::Header("X-Api-Key".into())))]
    fn understood(#[case] setting: Option<&str>, #[case] expected: Scheme) {
        assert_eq!(scheme(setting), Ok(expected));
    }

    #[rstest]
    #[case("")]
    #[case("none")]
    #[case("token:")]
    #[case("token:X Api Key")]
    #[case("hmac-sha256-hex")]
    #[case("hmac-sha1-hex:X-Signature")]
    fn not_understood(#[case] setting: &str) {
        assert!(scheme(Some(setting)).unwrap_err().expected.starts_with("`url-token`"));
    }
}
