//! Invented events, which each provider's crate can write in the provider's format. Tests deliver them by the thousand.

use jiff::Timestamp;
use serde_json::Value;

use crate::event::ChangeKind;
use crate::listing::{ApiAnswer, ApiRequest};

/// An event of an invented customer, in no provider's format yet.
#[derive(Clone, Debug)]
pub struct SampleEvent {
    /// The provider's id of the customer.
    pub customer_id: String,
    /// The customer's name.
    pub name: String,
    /// What happened. A provider without deletes sends an update instead of a delete.
    pub change: ChangeKind,
    /// When the record changed.
    pub changed_at: Timestamp,
    /// Unique for the event, and the same on every attempt. Ids made of greater numbers must order later.
    pub number: u32,
}

impl SampleEvent {
    /// The account of every invented customer.
    pub const ACCOUNT: &str = "w_1";

    /// The customer's only e-mail.
    #[must_use]
    pub fn email(&self) -> String {
        format!("{}@example.com", self.customer_id)
    }

    /// The operator's own key for the customer.
    #[must_use]
    pub fn external_id(&self) -> String {
        format!("x-{}", self.customer_id)
    }
}

/// A stand-in for a provider's list API, for the local stack and the tests. It has no state: whoever uses it owns the
/// records, and may change them between two requests.
#[derive(Clone, Copy, Debug)]
pub struct ListStandIn {
    /// The invented customer after that event, as the API lists it. It leads to the same item as the sample delivery of the
    /// event.
    pub record: fn(&SampleEvent) -> Value,
    /// Answers a request, given all records in any order and the most records of a page.
    pub answer: fn(&[Value], &ApiRequest, usize) -> ApiAnswer,
}

/// A delivery that is not signed yet.
#[derive(Clone, Debug)]
pub struct SampleDelivery {
    /// The JSON body.
    pub body: Value,
    /// The id in the headers, for a provider that signs as Svix does; otherwise empty.
    pub message_id: String,
}

impl From<Value> for SampleDelivery {
    fn from(body: Value) -> Self {
        Self { body, message_id: String::new() }
    }
}
