//! A customer event in our own words.

use crate::cleanup::Identifiers;
use crate::customer::Customer;
use crate::key::CustomerKey;
use crate::rank::{Micros, Rank, Sequence, Verb};
use crate::storable::holds;
use crate::time::Time;

/// What a provider's `translate` makes of one event of a delivery.
pub type Translation = Result<Translated, Untranslatable>;

/// One event, understood.
#[derive(Debug, PartialEq)]
pub enum Translated {
    /// It is about a customer.
    Event(Box<CustomerEvent>),
    /// It is about something else: its type as the provider names it.
    Ignored(String),
    /// There is no event in this place of the batch (any more).
    Blank,
}

/// What an event's type says of its customer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// The customer is as the record in the event says.
    Snapshot(Verb),
    /// The customer is gone.
    Deletion,
}

/// Why a proved delivery, or an event of it, is not understood. No variant carries what was sent: names of fields
/// come from the code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Untranslatable {
    /// No JSON.
    #[error("the body is not JSON")]
    NotJson,
    /// Some other type was expected.
    #[error("{0} is not of the expected type")]
    WrongType(&'static str),
    /// Something that every event has is not there, or not in a readable form.
    #[error("{0} is missing or unreadable")]
    Missing(&'static str),
    /// A part, which must not be taken for the whole: this field is absent.
    #[error("a partial snapshot: {0} is absent")]
    Partial(&'static str),
    /// The customer's key is longer than 2,048 bytes.
    #[error("the customer's key is too long for the table")]
    KeyTooLong,
    /// Nested deeper than the table can hold, or an empty name.
    #[error("nested too deep, or an empty field name")]
    NotStorable,
}

/// Facts of an event that are the same on every attempt to deliver it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// The provider's stable id.
    pub id: String,
    /// The type as the provider names it.
    pub kind: String,
    /// When the provider last changed the record.
    pub version: Time,
    /// When the event was raised, for ties.
    pub sequence: Sequence,
}

/// An event of a customer: which, where it stands in the order, and what the customer is after it.
#[derive(Clone, PartialEq)]
pub struct CustomerEvent {
    pub(crate) key: CustomerKey,
    pub(crate) event: Event,
    pub(crate) verb: Verb,
    pub(crate) change: Change,
}

/// What the customer is after an event.
#[derive(Clone, PartialEq)]
pub enum Change {
    /// As this snapshot says.
    Snapshot(Box<Customer>),
    /// Gone.
    Deletion(Deletion),
}

/// What other systems need to erase their copies.
#[derive(Clone, PartialEq, Eq)]
pub struct Deletion {
    /// When the provider deleted the customer.
    pub deleted_at: Time,
    /// Your own key for the customer.
    pub external_id: Option<String>,
    /// The customer's own e-mails and phones.
    pub identifiers: Identifiers,
}

crate::private::private_debug!(CustomerEvent, Change, Deletion);

impl CustomerEvent {
    /// An event after which the customer is as `customer` says.
    ///
    /// # Errors
    /// When the table cannot hold it.
    pub fn snapshot(key: CustomerKey, event: Event, verb: Verb, customer: Customer) -> Result<Self, Untranslatable> {
        // `metadata` is one level deeper than `extra`: it is inside `profile`.
        let extra = customer.extra.iter().chain(customer.extra_of_batch.iter());
        let holds_extra = extra.into_iter().all(|(name, value)| !name.is_empty() && holds(value, 1));
        if holds_extra && customer.profile.metadata.as_ref().is_none_or(|metadata| holds(metadata, 1)) {
            Ok(Self { key, event, verb, change: Change::Snapshot(Box::new(customer)) })
        } else {
            Err(Untranslatable::NotStorable)
        }
    }

    /// An event after which the customer, of whom `customer` was the last record, is gone.
    #[must_use]
    pub fn deletion(key: CustomerKey, event: Event, deleted_at: Time, customer: &Customer) -> Self {
        let identifiers = Identifiers::of(customer);
        let deletion = Deletion { deleted_at, external_id: customer.external_id.clone(), identifiers };
        Self { key, event, verb: Verb::Updated, change: Change::Deletion(deletion) }
    }

    /// Which customer.
    #[must_use]
    pub fn key(&self) -> &CustomerKey {
        &self.key
    }

    /// The provider's stable id of the event.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.event.id
    }

    /// The type as the provider names it.
    #[must_use]
    pub fn kind(&self) -> &str {
        &self.event.kind
    }

    /// When the event was raised.
    #[must_use]
    pub fn raised(&self) -> Micros {
        self.event.sequence.raised
    }

    /// What the customer is after it.
    #[must_use]
    pub fn change(&self) -> &Change {
        &self.change
    }

    /// Where the event stands in the order of the customer's events.
    #[must_use]
    pub fn rank(&self) -> Rank {
        Rank {
            erased: matches!(self.change, Change::Deletion(_)),
            version: Micros::from(self.event.version),
            verb: self.verb,
            sequence: self.event.sequence,
            event_id: self.event.id.clone(),
        }
    }
}
