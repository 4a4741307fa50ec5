//! A provider's list API, as data and pure functions: which requests to send, and what their answers mean.
//!
//! Nothing here uses HTTP. Whoever walks a list sends each [`ApiRequest`] and passes the [`ApiAnswer`] back.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;

use crate::event::CustomerEvent;
use crate::key::{CustomerKey, Id};
use crate::provider::Provider;
use crate::time::Time;
use crate::untranslatable::Untranslatable;

/// How to read the customers of one provider without webhooks. Each provider's crate defines one as a constant.
pub struct Listing {
    /// The provider.
    pub provider: &'static Provider,
    /// The provider's list API, unless nothing reliable is known about it.
    pub api: Option<ListApi>,
    /// Reads one JSON value of a file: a record as the API lists it, a whole answer of the API, or the body of a webhook.
    pub read_file_entry: fn(Value, &RecordContext) -> Vec<Listed>,
    /// The fields of a listed record that no webhook has, as dotted paths into the record. They are not stored, because
    /// the next webhook would remove them again.
    pub only_in_list: &'static [&'static str],
    /// The attributes of an item that differ between a webhook and the list, as dotted paths into the item. A comparison
    /// ignores them.
    pub different_in_list: &'static [&'static str],
}

/// A provider's list API.
pub struct ListApi {
    /// The URLs that the provider serves it at; the first one is the default.
    pub urls: &'static [&'static str],
    /// The environment variable that holds the API key.
    pub key_variable: &'static str,
    /// The least permission that the API key needs, as the provider calls it.
    pub key_permission: &'static str,
    /// The header that carries the API key: its name and its value.
    pub key_header: fn(&str) -> (&'static str, String),
    /// Where the account of the listed customers comes from.
    pub account: AccountSource,
    /// Whether the API can list only what has changed since a moment. If it cannot, every walk is a complete one.
    pub can_list_changes: bool,
    /// Whether the API can list deleted customers ([`WalkScope::Deleted`]).
    pub can_list_deleted: bool,
    /// Starts a walk through the list.
    pub walk: fn(WalkStart) -> Box<dyn Walk>,
    /// The request that looks up one customer.
    pub lookup: fn(&CustomerKey) -> ApiRequest,
    /// Reads the answer to that request.
    pub read_lookup: fn(&CustomerKey, &ApiAnswer) -> Lookup,
}

/// Where the account of the listed customers comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccountSource {
    /// From the answers.
    Answer,
    /// The answers do not contain it, so the operator has to say it.
    Operator,
}

impl fmt::Debug for Listing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the listing of {:?}", self.provider)
    }
}

/// A request to a list API. Whoever sends it adds the API key. It can contain a cursor, and a cursor can contain a
/// customer's name.
#[derive(Clone, PartialEq, Eq)]
pub struct ApiRequest {
    /// The method.
    pub method: ApiMethod,
    /// The path and the query, as they follow the URL of the API.
    pub path: String,
    /// Headers besides that of the API key and `Content-Type`.
    pub headers: Vec<(&'static str, String)>,
    /// The JSON body of a `POST`.
    pub body: Option<Value>,
}

/// The method of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ApiMethod {
    /// `GET`
    Get,
    /// `POST`
    Post,
}

impl ApiRequest {
    /// A text as one segment of a path: percent-encoded, except for letters, digits, `-`, `_` and `~`. A segment of dots
    /// would lead elsewhere.
    #[must_use]
    pub fn path_segment(text: &str) -> String {
        let encoded = |byte: u8| match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'~' => char::from(byte).to_string(),
            _ => format!("%{byte:02X}"),
        };
        text.bytes().map(encoded).collect()
    }
}

/// The answer to a request.
#[derive(Clone, PartialEq, Eq)]
pub struct ApiAnswer {
    /// The status code.
    pub status: u16,
    /// The header `Date`: the provider's clock.
    pub date: Option<Timestamp>,
    /// The header `Retry-After`.
    pub retry_after: Option<Duration>,
    /// The body.
    pub body: Vec<u8>,
}

redacted_debug!(ApiRequest, ApiAnswer);

/// Where a walk starts and ends.
#[derive(Clone, Debug, Default)]
pub struct WalkStart {
    /// Only records that changed at this time or later. `None` for all records.
    pub since: Option<Timestamp>,
    /// Only records that changed before this time. `None` for no limit.
    pub until: Option<Timestamp>,
    /// Where an interrupted walk continues.
    pub position: Option<Position>,
    /// The account, if the operator named one.
    pub account: Option<Id>,
    /// Which records.
    pub scope: WalkScope,
    /// The current time. Records that changed long after it are not plausible.
    pub now: Timestamp,
}

/// Which records a walk lists.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WalkScope {
    /// The customers.
    #[default]
    Customers,
    /// The records that the provider keeps of deleted customers. Only if [`ListApi::can_list_deleted`].
    Deleted,
}

/// How far a walk has come. It contains nothing personal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Position {
    /// Everything that changed before this time has been read.
    Time(Timestamp),
    /// This page is the next one.
    Page(u64),
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Time(time) => write!(f, "{time}"),
            Self::Page(page) => write!(f, "page {page}"),
        }
    }
}

/// The text is not a position.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("neither a time nor a page")]
pub struct PositionError;

impl FromStr for Position {
    type Err = PositionError;

    fn from_str(text: &str) -> Result<Self, PositionError> {
        match text.strip_prefix("page ") {
            Some(page) => page.parse().map(Self::Page).map_err(|_| PositionError),
            None => text.parse().map(Self::Time).map_err(|_| PositionError),
        }
    }
}

/// A walk through a list: a state machine that says which request is next, and reads the answers.
pub trait Walk: Send {
    /// The next request, or `None` after the last page. Until its answer has been read, the request stays the same, so it
    /// can be sent again.
    fn next_request(&self) -> Option<ApiRequest>;

    /// Reads the answer to the next request, and goes on to the following one. After an error the walk stays where it is.
    ///
    /// # Errors
    /// When the answer is an error, or differs from what is known about the API.
    fn read(&mut self, answer: &ApiAnswer) -> Result<Page, ListingError>;

    /// After the last page: whether the walk has returned every record that existed throughout.
    ///
    /// # Errors
    /// When some may be missing. The text says why.
    fn completeness(&self) -> Result<(), &'static str>;
}

/// The records of one answer.
#[derive(Debug)]
pub struct Page {
    /// The records.
    pub listed: Vec<Listed>,
    /// The account that the answer belongs to, if it says so.
    pub account: Option<Id>,
    /// How many records the walk will return, as far as the API says so. Later pages may say more or less.
    pub total: Option<u64>,
    /// Where the walk can continue once this page and all pages before it have been applied. `None` if only where it could
    /// have continued before.
    pub position: Option<Position>,
}

/// A record of a list.
#[derive(Clone, Debug, PartialEq)]
pub enum Listed {
    /// A customer, as an [observation](CustomerEvent::observation).
    Customer(Box<CustomerEvent>),
    /// A record that the provider keeps of a customer whom it has deleted. It is never imported.
    Deleted {
        /// The customer's key.
        key: CustomerKey,
        /// When the provider deleted the customer.
        deleted_at: Option<Time>,
    },
    /// A record that was not understood.
    Untranslatable {
        /// The provider's id of the customer, if it can be read.
        customer_id: Option<Id>,
        /// Why.
        reason: Untranslatable,
    },
    /// Something that is not about a customer. Only files contain such entries.
    Ignored,
}

/// What a record does not say.
#[derive(Clone, Debug)]
pub struct RecordContext {
    /// The account, if the operator named one.
    pub account: Option<Id>,
    /// When the record was read. Records that changed long after it are not plausible.
    pub received_at: Timestamp,
}

/// What the provider says about one customer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lookup {
    /// The customer exists.
    Exists,
    /// The provider has verifiably deleted the customer, perhaps at the given time.
    Deleted(Option<Time>),
    /// The answer proves neither. The text says why.
    Unknown(&'static str),
}

/// Why an answer of a list API cannot be used. No variant contains text of the answer, other than a code in capitals.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ListingError {
    /// The API key is missing, wrong, or lacks a permission.
    #[error("the API does not accept the key")]
    Denied,
    /// A failure that may be over when the request is sent again.
    #[error("the API failed with {0}")]
    Temporary(String),
    /// The API refuses the request.
    #[error("the API refuses the request with {0}")]
    Refused(String),
    /// The answer is not what the API is documented to return.
    #[error("the answer of the API differs from its documentation: {0} is missing or not as expected")]
    Unexpected(&'static str),
}

impl ListingError {
    /// What an answer with an HTTP status other than 2xx means.
    ///
    /// # Errors
    /// Always, unless the status is 2xx.
    pub fn of_status(answer: &ApiAnswer) -> Result<(), Self> {
        match answer.status {
            200..=299 => Ok(()),
            401 | 403 => Err(Self::Denied),
            429 | 500.. => Err(Self::Temporary(format!("status {}", answer.status))),
            status => Err(Self::Refused(format!("status {status}"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("3f8a1C70-5b_2d~", "3f8a1C70-5b_2d~")]
    #[case("a/b?c=1#d", "a%2Fb%3Fc%3D1%23d")]
    #[case("..", "%2E%2E")]
    #[case("é 100%", "%C3%A9%20100%25")]
    fn segments_of_a_path(#[case] text: &str, #[case] segment: &str) {
        assert_eq!(ApiRequest::path_segment(text), segment);
    }
}
