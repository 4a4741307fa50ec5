//! What tells other systems to erase a customer.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};

use crate::customer::Customer;
use crate::time::Time;

#[cfg(feature = "schema")]
use schemars::JsonSchema;

/// The message on the cleanup queue: erase your copies of this customer.
///
/// It may come more than once, always with the same `cleanup_id`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct CleanupMessage {
    /// The version of this shape: 1.
    pub schema: u8,
    /// Always `customer.deleted`.
    #[serde(rename = "type")]
    pub kind: CleanupType,
    /// One for each customer ever: deduplicate by it. The `pk` of the customer's item.
    pub cleanup_id: String,
    /// The provider's name.
    pub provider: String,
    /// The provider's account, `-` where it has none.
    pub account: String,
    /// The provider's id of the customer.
    pub customer_id: String,
    /// Your own key for the customer.
    pub external_id: Option<String>,
    /// What other systems may know the customer by.
    pub identifiers: Identifiers,
    /// When the provider deleted the customer.
    pub deleted_at: Time,
    /// The provider's id of the delete event.
    pub event_id: String,
}

/// The one type of message on the cleanup queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
pub enum CleanupType {
    /// A customer was deleted.
    #[serde(rename = "customer.deleted")]
    CustomerDeleted,
}

impl CleanupType {
    /// The type as text: the message attribute `type`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::CustomerDeleted => "customer.deleted",
        }
    }
}

/// The customer's own e-mails and phones, not its contacts'; as they came, each once.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Identifiers {
    /// E-mail addresses.
    pub emails: Vec<String>,
    /// Phone numbers.
    pub phones: Vec<String>,
}

crate::private::private_debug!(CleanupMessage, Identifiers);

impl Identifiers {
    pub(crate) fn of(customer: &Customer) -> Self {
        let profile = &customer.profile;
        let emails = profile.emails.iter().map(|email| &email.email).chain(&customer.primary_email);
        let phones = profile.phones.iter().map(|phone| &phone.number).chain(&customer.primary_phone);
        Self { emails: each_once(emails), phones: each_once(phones) }
    }
}

fn each_once<'a>(values: impl Iterator<Item = &'a String>) -> Vec<String> {
    let mut seen = HashSet::new();
    values.filter(|value| seen.insert(*value)).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The message attribute is what the body says.
    #[test]
    fn the_type_has_one_name() {
        let kind = CleanupType::CustomerDeleted;
        assert_eq!(kind.name(), "customer.deleted");
        assert_eq!(serde_json::to_string(&kind).unwrap(), "\"customer.deleted\"");
    }
}
