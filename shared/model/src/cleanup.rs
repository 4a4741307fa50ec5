//! The message that makes other systems erase a deleted customer.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};

use crate::customer::Customer;
use crate::item::CustomerItem;
use crate::json::sqs_message;
use crate::key::CustomerKey;
use crate::schema_version::SCHEMA_VERSION;
use crate::time::Time;

#[cfg(feature = "schema")]
use schemars::JsonSchema;

/// The most bytes that identifiers take in a message, so that it fits into its tombstone, which is at most 400 KB.
const IDENTIFIERS_BYTES_MAX: usize = 256 * 1024;

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

/// What the delete and the customer's item say that other systems may know the customer by: its own e-mails and phones,
/// without those of its contacts, and your keys for it. As they were sent, without duplicates, those of the delete first.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Identifiers {
    /// E-mail addresses.
    pub emails: Vec<String>,
    /// Phone numbers.
    pub phones: Vec<String>,
    /// Your own keys for the customer: `external_id`, and the one of the item if it was another one.
    #[serde(default)]
    pub external_ids: Vec<String>,
    /// Whether some are left out, because there are more than a message can hold.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub truncated: bool,
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
        let external_id = customer.external_id.clone();
        let known = Self::knowing(deleted_at, external_id, emails.cloned().collect(), phones.cloned().collect());
        Self::at(deleted_at).with(known)
    }

    /// A delete of which nothing is known but its time.
    #[must_use]
    pub fn at(deleted_at: Time) -> Self {
        Self { deleted_at, external_id: None, identifiers: Identifiers::default() }
    }

    /// A delete of which nothing is known but the customer's item.
    #[must_use]
    pub fn of_item(item: &CustomerItem, deleted_at: Time) -> Self {
        let profile = &item.profile;
        let emails = profile.emails.iter().map(|email| &email.email);
        let indexed = item.email.as_ref().filter(|_| profile.emails.is_empty());
        let phones = profile.phones.iter().map(|phone| &phone.number);
        let external_id = item.external_id.clone().or_else(|| profile.external_id.clone());
        Self::knowing(deleted_at, external_id, emails.chain(indexed).cloned().collect(), phones.cloned().collect())
    }

    fn knowing(deleted_at: Time, external_id: Option<String>, emails: Vec<String>, phones: Vec<String>) -> Self {
        let external_ids = external_id.iter().cloned().collect();
        let (emails, phones) = (without_duplicates(emails), without_duplicates(phones));
        let identifiers = Identifiers { emails, phones, external_ids, truncated: false };
        Self { deleted_at, external_id, identifiers }
    }

    /// This delete with what another source knows of the customer as well, without duplicates and as far as it fits. The keys
    /// come first, because other systems are most likely to find their copies by them.
    #[must_use]
    pub(crate) fn with(mut self, other: Self) -> Self {
        let Identifiers { emails, phones, external_ids, truncated } = other.identifiers;
        let mine = &mut self.identifiers;
        mine.truncated |= truncated;
        let known = [&mine.emails, &mine.phones, &mine.external_ids].into_iter().flatten().chain(&self.external_id);
        let mut room = IDENTIFIERS_BYTES_MAX.saturating_sub(known.map(message_bytes).sum());
        if let (None, Some(external_id)) = (&self.external_id, other.external_id) {
            match room.checked_sub(message_bytes(&external_id)) {
                Some(left) => (room, self.external_id) = (left, Some(external_id)),
                None => mine.truncated = true,
            }
        }
        for (all, more) in
            [(&mut mine.external_ids, external_ids), (&mut mine.emails, emails), (&mut mine.phones, phones)]
        {
            let mut seen: HashSet<_> = all.iter().cloned().collect();
            for value in more {
                if seen.contains(&value) {
                    continue;
                }
                let Some(left) = room.checked_sub(message_bytes(&value)) else {
                    mine.truncated = true;
                    continue;
                };
                room = left;
                seen.insert(value.clone());
                all.push(value);
            }
        }
        self
    }
}

fn without_duplicates(values: Vec<String>) -> Vec<String> {
    let mut seen = HashSet::new();
    values.into_iter().filter(|value| seen.insert(value.clone())).collect()
}

/// How much a value and the comma after it take in a message.
fn message_bytes(value: &String) -> usize {
    sqs_message(value).len() + 1
}

impl CleanupMessage {
    /// The delete that the message announces.
    pub(crate) fn deletion(&self) -> Deletion {
        let Self { external_id, identifiers, deleted_at, .. } = self.clone();
        Deletion { deleted_at, external_id, identifiers }
    }

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
