//! A delivery before and after verification.

use std::borrow::Cow;
use std::sync::{Mutex, PoisonError};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use jiff::Timestamp;
use serde_json::Value;

use crate::json;
use crate::rejection::Rejection;
use crate::time::Time;

/// The largest body that can be configured to be accepted. Whatever is accepted can be kept, as a message on a queue.
pub const BODY_BYTES_MAX: usize = 262_144;
/// The most events that a delivery may have to be settled on arrival. A batch of the largest body has fewer, unless its
/// events are much smaller than real ones.
pub const EVENTS_MAX: usize = 1_000;

/// A request as the gateway passes it on.
#[derive(Default)]
pub struct Request<'a> {
    /// Every header, in the sender's letter case; a name may come more than once.
    pub headers: Vec<(Cow<'a, str>, Cow<'a, str>)>,
    /// The `{token}` of the path, where the route has one.
    pub token: Option<String>,
    /// The body; absent when it was empty.
    pub body: Option<String>,
    /// Whether the body is base64 of the sender's bytes.
    pub is_base64: bool,
}

/// A request that has not been verified. Its bytes cannot be read:
///
/// ```compile_fail,E0616
/// # use clientele_model::{Delivery, Request};
/// let delivery = Delivery::accept(Request::default(), 1024).unwrap();
/// let bytes = delivery.body; // error: field `body` is private
/// ```
///
/// Only [`verify`](crate::verify) turns it into a [`Verified`], which can be read.
pub struct Delivery<'a> {
    pub(crate) headers: Vec<(Cow<'a, str>, Cow<'a, str>)>,
    pub(crate) token: Option<String>,
    pub(crate) body: Vec<u8>,
}

redacted_debug!(Request<'_>, Delivery<'_>, Verified);

impl<'a> Delivery<'a> {
    /// Takes a request: decodes base64 and limits the body to `body_bytes_max`.
    ///
    /// # Errors
    /// [`Rejection::TooLarge`], if possible before decoding the body, or [`Rejection::NotBase64`].
    pub fn accept(request: Request<'a>, body_bytes_max: usize) -> Result<Self, Rejection> {
        let Request { headers, token, body, is_base64 } = request;
        let body = body.unwrap_or_default().into_bytes();
        // Four characters of base64 hold three bytes, of which the last two may be padding.
        if (if is_base64 { body.len() / 4 * 3 } else { body.len() }) > body_bytes_max.saturating_add(2) {
            return Err(Rejection::TooLarge);
        }
        let body = if is_base64 { BASE64_STANDARD.decode(body).map_err(|_| Rejection::NotBase64)? } else { body };
        if body.len() > body_bytes_max { Err(Rejection::TooLarge) } else { Ok(Self { headers, token, body }) }
    }

    /// The values of all headers with that name, in any letter case.
    pub(crate) fn header<'b>(&'b self, name: &'b str) -> impl Iterator<Item = &'b str> {
        self.headers.iter().filter(move |(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| &**value)
    }
}

/// What the proof of an authentic delivery says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Proof {
    /// Which of the configured secrets matched, from 0. When the newest always matches, the older ones can be removed.
    pub secret_index: usize,
    /// The message's id, where the scheme signs one. It is the same on every attempt.
    pub message_id: Option<String>,
    /// When this attempt was sent, where the scheme signs it.
    pub sent_at: Option<Timestamp>,
}

/// A delivery whose sender has proved to know the secret. Only [`verify`](crate::verify) creates it, and
/// [`KeptDelivery::into_verified`](crate::KeptDelivery::into_verified) for a delivery that was verified before.
pub struct Verified {
    pub(crate) body: Vec<u8>,
    pub(crate) proof: Proof,
    pub(crate) received_at: Timestamp,
    /// The body as JSON, if verification parsed it for the time in it, until [`Self::json`] takes it.
    parsed: Mutex<Option<Value>>,
}

impl Verified {
    /// Truncates `now` as it is truncated when stored, so that a kept delivery has the same time of arrival later.
    pub(crate) fn new(body: Vec<u8>, proof: Proof, now: Timestamp, parsed: Option<Value>) -> Self {
        let Time(received_at) = Time::in_milliseconds(now);
        Self { body, proof, received_at, parsed: Mutex::new(parsed) }
    }

    /// The exact bytes of the body.
    #[must_use]
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    /// The body as JSON, parsed unless verification has done so already. `None` if it is not JSON.
    pub(crate) fn json(&self) -> Option<Value> {
        let parsed = self.parsed.lock().unwrap_or_else(PoisonError::into_inner).take();
        parsed.or_else(|| json::parse(&self.body))
    }

    /// What the proof says.
    #[must_use]
    pub fn proof(&self) -> &Proof {
        &self.proof
    }

    /// When the delivery arrived: the `now` of its verification, in milliseconds.
    #[must_use]
    pub fn received_at(&self) -> Timestamp {
        self.received_at
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn accept(body: &str, is_base64: bool, max: usize) -> Result<Vec<u8>, Rejection> {
        let request = Request { body: Some(body.into()), is_base64, ..Request::default() };
        Delivery::accept(request, max).map(|delivery| delivery.body)
    }

    #[rstest]
    #[case("12345", false, 5, Ok(b"12345".to_vec()))]
    #[case("123456", false, 5, Err(Rejection::TooLarge))]
    #[case("12345678", false, 5, Err(Rejection::TooLarge))]
    #[case("MTIzNDU=", true, 5, Ok(b"12345".to_vec()))]
    // Eight characters, of which two are padding, hold four bytes, which is allowed.
    #[case("MTIzNA==", true, 4, Ok(b"1234".to_vec()))]
    #[case("MTIzNDU2", true, 5, Err(Rejection::TooLarge))]
    #[case("gICA", true, 5, Ok(vec![0x80; 3]))]
    #[case("MTIzNDU", true, 5, Err(Rejection::NotBase64))]
    #[case("{\"a\":1}", true, 50, Err(Rejection::NotBase64))]
    #[case("!!!!!!!!!!!!!!!!", true, 5, Err(Rejection::TooLarge))]
    #[case("", false, 0, Ok(vec![]))]
    #[case("", true, usize::MAX, Ok(vec![]))]
    fn size_and_base64_are_checked(
        #[case] body: &str,
        #[case] base64: bool,
        #[case] max: usize,
        #[case] result: Result<Vec<u8>, Rejection>,
    ) {
        assert_eq!(accept(body, base64, max), result);
    }

    #[test]
    fn headers_are_found_in_any_letter_case() {
        let headers = [("Svix-Id", "a"), ("svix-id", "b"), ("SVIX-ID", "c"), ("svix-i", "d")];
        let headers = headers.map(|(name, value)| (name.into(), value.into())).to_vec();
        let delivery = Delivery::accept(Request { headers, ..Request::default() }, 0).unwrap();
        assert_eq!(delivery.header("svix-id").collect::<Vec<_>>(), ["a", "b", "c"]);
    }
}
