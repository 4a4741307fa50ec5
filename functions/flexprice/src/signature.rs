//! How Flexprice authenticates its deliveries. Flexprice Cloud signs them by Svix. Self-hosted installations do not
//! sign, but their operators can add a header with a token.

use clientele_model::{Scheme, SchemeError, TokenPlace};

pub(crate) fn scheme(setting: Option<&str>) -> Result<Scheme, SchemeError> {
    let token = |scheme: &Scheme| matches!(scheme, Scheme::Token(TokenPlace::Header(_)));
    match setting {
        None | Some("svix") => Ok(Scheme::Svix),
        Some(other) => {
            Scheme::from_setting(other).filter(token).ok_or(SchemeError { expected: "`svix` or `token:<header>`" })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings() {
        assert_eq!(scheme(None), Ok(Scheme::Svix));
        assert_eq!(scheme(Some("svix")), Ok(Scheme::Svix));
        assert_eq!(scheme(Some("token:X-Api-Key")), Ok(Scheme::Token(TokenPlace::Header("X-Api-Key".into()))));
        for setting in ["", "none", "token:", "hmac-sha256-hex:X-Signature"] {
            assert_eq!(scheme(Some(setting)), Err(SchemeError { expected: "`svix` or `token:<header>`" }), "{setting}");
        }
    }
}
