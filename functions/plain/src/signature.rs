//! How Plain signs: HMAC-SHA256 of the raw body in lower-case hex, and the time of the attempt inside the body
//! (<https://www.plain.com/docs/request-signing>; its SDK allows 300 s).

use std::borrow::Cow;

use clientele_model::{Scheme, SchemeError, SignatureEncoding, SignedTime};

/// Plain has only one scheme, so there is no setting.
#[expect(clippy::unnecessary_wraps, reason = "the signature of `Provider::scheme`")]
pub(crate) fn scheme(_setting: Option<&str>) -> Result<Scheme, SchemeError> {
    Ok(Scheme::Hmac {
        header: Cow::Borrowed("plain-request-signature"),
        encoding: SignatureEncoding::Hex,
        signed_time: SignedTime::InBody(&["webhookMetadata", "webhookDeliveryAttemptTimestamp"]),
    })
}
