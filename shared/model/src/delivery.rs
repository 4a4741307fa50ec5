//! What arrived, before and after it was proved.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use jiff::Timestamp;

use crate::signature::Rejected;
use crate::time::Time;

/// A request as the gateway hands it over.
#[derive(Default)]
pub struct Request {
    /// Every header, in the sender's letter case; a name may come more than once.
    pub headers: Vec<(String, String)>,
    /// The `{token}` of the path, where the route has one.
    pub token: Option<String>,
    /// The body; absent when it was empty.
    pub body: Option<String>,
    /// Whether the body is base64 of the sender's bytes.
    pub is_base64: bool,
}

/// A request that nobody has vouched for yet. Its bytes cannot be read:
///
/// ```compile_fail,E0616
/// # use clientele_model::{Delivery, Request};
/// let delivery = Delivery::accept(Request::default(), 1024).unwrap();
/// let bytes = delivery.body; // error: field `body` is private
/// ```
///
/// Only [`verify`](crate::verify) opens it, and gives [`Verified`] in exchange.
pub struct Delivery {
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) token: Option<String>,
    pub(crate) body: Vec<u8>,
}

crate::private::private_debug!(Request, Delivery, Verified);

impl Delivery {
    /// Takes a request: undoes base64 and bounds the body to `body_bytes_max`.
    ///
    /// # Errors
    /// [`Rejected::TooLarge`], before anything is decoded that would be too large, or [`Rejected::NotBase64`].
    pub fn accept(request: Request, body_bytes_max: usize) -> Result<Self, Rejected> {
        let Request { headers, token, body, is_base64 } = request;
        let body = body.unwrap_or_default().into_bytes();
        // Four characters of base64 hold three bytes.
        if (if is_base64 { body.len() / 4 * 3 } else { body.len() }) > body_bytes_max.saturating_add(2) {
            return Err(Rejected::TooLarge);
        }
        let body = if is_base64 { BASE64_STANDARD.decode(body).map_err(|_| Rejected::NotBase64)? } else { body };
        if body.len() > body_bytes_max { Err(Rejected::TooLarge) } else { Ok(Self { headers, token, body }) }
    }

    /// The values of the headers of that name, whatever their letter case.
    pub(crate) fn header<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.headers.iter().filter(move |(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }
}

/// What the proof of a delivery says beyond "authentic".
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Proof {
    /// Which of the configured secrets matched, from 0. When the newest always matches, the older can go.
    pub secret: usize,
    /// The message's id, where the scheme signs one. The same on every attempt.
    pub message_id: Option<String>,
    /// When this attempt was sent, where the scheme signs it.
    pub sent_at: Option<Timestamp>,
}

/// A delivery whose sender has proved to know the secret. Made by [`verify`](crate::verify) alone, and by
/// [`Kept::open`](crate::Kept::open) of what was verified before it was kept.
pub struct Verified {
    pub(crate) body: Vec<u8>,
    pub(crate) proof: Proof,
    pub(crate) received_at: Timestamp,
}

impl Verified {
    /// `now` is kept as exactly as it is stored, so that what is kept for later comes out the same.
    pub(crate) fn new(body: Vec<u8>, proof: Proof, now: Timestamp) -> Self {
        let Time(received_at) = Time::of_arrival(now);
        Self { body, proof, received_at }
    }

    /// The exact bytes of the body.
    #[must_use]
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    /// What the proof says.
    #[must_use]
    pub fn proof(&self) -> &Proof {
        &self.proof
    }

    /// When the delivery arrived: the `now` it was verified with, in milliseconds.
    #[must_use]
    pub fn received_at(&self) -> Timestamp {
        self.received_at
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn accept(body: &str, is_base64: bool, max: usize) -> Result<Vec<u8>, Rejected> {
        let request = Request { body: Some(body.into()), is_base64, ..Request::default() };
        Delivery::accept(request, max).map(|delivery| delivery.body)
    }

    #[rstest]
    #[case("12345", false, 5, Ok(b"12345".to_vec()))]
    #[case("123456", false, 5, Err(Rejected::TooLarge))]
    #[case("12345678", false, 5, Err(Rejected::TooLarge))]
    #[case("MTIzNDU=", true, 5, Ok(b"12345".to_vec()))]
    // Eight characters, of which two are padding: no more than is allowed.
    #[case("MTIzNA==", true, 4, Ok(b"1234".to_vec()))]
    #[case("MTIzNDU2", true, 5, Err(Rejected::TooLarge))]
    #[case("gICA", true, 5, Ok(vec![0x80; 3]))]
    #[case("MTIzNDU", true, 5, Err(Rejected::NotBase64))]
    #[case("{\"a\":1}", true, 50, Err(Rejected::NotBase64))]
    #[case("!!!!!!!!!!!!!!!!", true, 5, Err(Rejected::TooLarge))]
    #[case("", false, 0, Ok(vec![]))]
    #[case("", true, usize::MAX, Ok(vec![]))]
    fn accepted(
        #[case] body: &str,
        #[case] base64: bool,
        #[case] max: usize,
        #[case] result: Result<Vec<u8>, Rejected>,
    ) {
        assert_eq!(accept(body, base64, max), result);
    }

    #[test]
    fn headers_are_found_in_any_letter_case() {
        let headers = [("Svix-Id", "a"), ("svix-id", "b"), ("SVIX-ID", "c"), ("svix-i", "d")];
        let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
        let delivery = Delivery::accept(Request { headers, ..Request::default() }, 0).unwrap();
        assert_eq!(delivery.header("svix-id").collect::<Vec<_>>(), ["a", "b", "c"]);
    }
}
