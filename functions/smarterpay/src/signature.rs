//! How SmarterPay signs: HMAC-SHA256 of the raw body in lower-case hex, without a time. Subscriptions of type Basic
//! send `user:password` instead.

use std::borrow::Cow;

use clientele_model::{Scheme, SchemeError, SignatureEncoding, SignedTime};

pub(crate) fn scheme(setting: Option<&str>) -> Result<Scheme, SchemeError> {
    match setting {
        None | Some("signature") => Ok(Scheme::Hmac {
            header: Cow::Borrowed("webhook-signature"),
            encoding: SignatureEncoding::Hex,
            signed_time: SignedTime::None,
        }),
        Some("basic") => Ok(Scheme::Basic),
        Some(_) => Err(SchemeError { expected: "`signature` or `basic`" }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings() {
        assert_eq!(scheme(None), scheme(Some("signature")));
        assert_eq!(scheme(Some("basic")), Ok(Scheme::Basic));
        assert_eq!(scheme(Some("oauth")), Err(SchemeError { expected: "`signature` or `basic`" }));
    }
}
