//! The message that makes other systems erase a deleted customer.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};

use crate::customer::Customer;
use crate::item::CustomerItem;
use crate::key::CustomerKey;
use crate::schema_version::SCHEMA_VERSION;
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
    /// The version of this schema: 1.
    pub schema: u8,
    /// Always `customer.deleted`.
    #[serde(rename = "type")]
    pub kind: CleanupType,
    /// The `pk` of the customer's item, the same in every message about it.
    pub cleanup_id: String,
    /// The provider's name.
    pub provider: String,
    /// The provider's account.
    pub account: String,
    /// The provider's id of the customer.
    pub customer_id: String,
    /// Your own key for the customer.
    pub external_id: Option<String>,
    /// What other systems may know the customer by.
    pub identifiers: Identifiers,
    /// When the provider deleted the customer.
    pub deleted_at: Time,
    /// The provider's id of the delete event. Absent if the delete was found by looking the customer up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event_id: Option<String>,
}

/// The only type of message on the cleanup queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
pub enum CleanupType {
    /// A customer was deleted.
    #[serde(rename = "customer.deleted")]
    CustomerDeleted,
}

impl CleanupType {
    /// The type as text, for the message attribute `type`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::CustomerDeleted => "customer.deleted",
        }
    }
}

/// The customer's own e-mails and phones, without those of its contacts, as they were sent and without duplicates.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Identifiers {
    /// E-mail addresses.
    pub emails: Vec<String>,
    /// Phone numbers.
    pub phones: Vec<String>,
}

/// What other systems need to know to erase their copies.
#[derive(Clone, PartialEq, Eq)]
pub struct Deletion {
    /// When the provider deleted the customer.
    pub deleted_at: Time,
    /// Your own key for the customer.
    pub external_id: Option<String>,
    /// The customer's own e-mails and phones.
    pub identifiers: Identifiers,
}

redacted_debug!(CleanupMessage, Identifiers, Deletion);

impl Deletion {
    pub(crate) fn of(customer: &Customer, deleted_at: Time) -> Self {
        let profile = &customer.profile;
        let emails = profile.emails.iter().map(|email| &email.email).chain(&customer.primary_email);
        let phones = profile.phones.iter().map(|phone| &phone.number).chain(&customer.primary_phone);
        let identifiers = Identifiers { emails: without_duplicates(emails), phones: without_duplicates(phones) };
        Self { deleted_at, external_id: customer.external_id.clone(), identifiers }
    }
}

impl Deletion {
    /// A delete of which nothing is known but the customer's item.
    #[must_use]
    pub fn of_item(item: &CustomerItem, deleted_at: Time) -> Self {
        let profile = &item.profile;
        let mut emails = without_duplicates(profile.emails.iter().map(|email| &email.email));
        if emails.is_empty() {
            emails.extend(item.email.clone());
        }
        let phones = without_duplicates(profile.phones.iter().map(|phone| &phone.number));
        let external_id = item.external_id.clone().or_else(|| profile.external_id.clone());
        Self { deleted_at, external_id, identifiers: Identifiers { emails, phones } }
    }
}

fn without_duplicates<'a>(values: impl Iterator<Item = &'a String>) -> Vec<String> {
    let mut seen = HashSet::new();
    values.filter(|value| seen.insert(*value)).cloned().collect()
}

impl CleanupMessage {
    pub(crate) fn new(key: &CustomerKey, deletion: &Deletion, event_id: Option<String>) -> Self {
        let Deletion { deleted_at, external_id, identifiers } = deletion.clone();
        Self {
            schema: SCHEMA_VERSION,
            kind: CleanupType::CustomerDeleted,
            cleanup_id: key.to_string(),
            provider: key.provider().to_owned(),
            account: key.account().to_owned(),
            customer_id: key.customer_id().to_owned(),
            external_id,
            identifiers,
            deleted_at,
            event_id,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn message_attribute_and_body_name_the_same_type() {
        let kind = CleanupType::CustomerDeleted;
        assert_eq!(kind.as_str(), "customer.deleted");
        assert_eq!(serde_json::to_string(&kind).unwrap(), "\"customer.deleted\"");
    }
}
