//! An event about a customer, in our own terms.

use jiff::Timestamp;

use crate::cleanup::Deletion;
use crate::customer::Customer;
use crate::event_time::EventTime;
use crate::key::CustomerKey;
use crate::rank::{EpochMicros, Rank, Sequence, Verb};
use crate::table_limits::{check_field, check_value};
use crate::time::Time;
use crate::untranslatable::Untranslatable;

/// The result of a provider's `translate` for one event of a delivery.
pub type Translation = Result<Translated, Untranslatable>;

/// An event that was understood.
#[derive(Clone, Debug, PartialEq)]
pub enum Translated {
    /// It is about a customer.
    Event(Box<CustomerEvent>),
    /// It is about something else. This is its type, as the provider names it.
    Ignored(String),
    /// It was settled before the rest of its batch was kept, so that only its place is left.
    AlreadySettled,
}

/// How an event of some type changes its customer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChangeKind {
    /// The record in the event replaces the customer.
    Snapshot(Verb),
    /// The customer is deleted.
    Deletion,
}

/// Facts about an event that are the same on every attempt to deliver it. A snapshot needs both times, a delete neither.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventFacts {
    /// The provider's stable id.
    pub id: String,
    /// The type, as the provider names it.
    pub kind: String,
    /// When the provider last changed the record.
    pub version: Result<EventTime, Untranslatable>,
    /// When the event was raised. This decides between events with the same version.
    pub raised: Result<EventTime, Untranslatable>,
    /// Its place in the batch, from 0.
    pub place: u32,
}

/// The type of an observation in `last_event`.
const OBSERVATION: &str = "import";
/// The type of an observed delete in `last_event`.
const OBSERVED_DELETION: &str = "reconcile";
/// The type of an operator's delete in `last_event`.
const OPERATOR_DELETION: &str = "operator.erased";

/// An event about a customer: which customer, its place in the order, and the change.
#[derive(Clone, PartialEq)]
pub struct CustomerEvent {
    pub(crate) key: CustomerKey,
    pub(crate) id: String,
    pub(crate) kind: String,
    version: EpochMicros,
    verb: Verb,
    sequence: Sequence,
    pub(crate) change: Change,
}

/// The state of the customer after an event.
#[derive(Clone, PartialEq)]
pub enum Change {
    /// The customer is as in this snapshot.
    Snapshot(Box<Customer>),
    /// The customer is deleted.
    Deletion(Deletion),
}

redacted_debug!(CustomerEvent, Change);

impl CustomerEvent {
    /// An event after which the customer is as in `customer`.
    ///
    /// # Errors
    /// When a time that orders the event cannot be used, or the table cannot hold the customer.
    pub fn snapshot(
        key: CustomerKey,
        facts: EventFacts,
        verb: Verb,
        customer: Customer,
    ) -> Result<Self, Untranslatable> {
        check_storable(&customer)?;
        let EventFacts { id, kind, version, raised, place } = facts;
        let (version, sequence) = (version?.into(), Sequence { raised: raised?.into(), place });
        Ok(Self { key, id, kind, version, verb, sequence, change: Change::Snapshot(Box::new(customer)) })
    }

    /// An event after which the customer is deleted. `customer` is its last known record. A delete does not wait for an
    /// operator, so a time that cannot be used is replaced by another one of the event. If there is none, the delete is
    /// the least of all deletes, because its rank must not depend on when it arrived.
    #[must_use]
    pub fn deletion(
        key: CustomerKey,
        facts: EventFacts,
        deleted_at: Option<EventTime>,
        received_at: Timestamp,
        customer: &Customer,
    ) -> Self {
        let EventFacts { id, kind, version, raised, place } = facts;
        let (version, raised) = (version.ok(), raised.ok());
        let known = deleted_at.or(raised).or(version);
        let deleted_at = known.map_or(Time::in_milliseconds(received_at), Time::from);
        let raised = raised.or(known).unwrap_or(EventTime::EARLIEST);
        let sequence = Sequence { raised: raised.into(), place };
        let change = Change::Deletion(Deletion::of(customer, deleted_at));
        Self { key, id, kind, version: version.unwrap_or(raised).into(), verb: Verb::Updated, sequence, change }
    }

    /// The customer's key.
    #[must_use]
    pub fn key(&self) -> &CustomerKey {
        &self.key
    }

    /// The provider's stable id of the event; empty for an observation.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The type, as the provider names it.
    #[must_use]
    pub fn kind(&self) -> &str {
        &self.kind
    }

    /// When the event was raised, unless it is an observation, a delete without a usable time, or a delete by an operator.
    #[must_use]
    pub fn raised_at(&self) -> Option<Timestamp> {
        let raised = self.sequence.raised;
        if self.verb == Verb::Observed || raised <= EventTime::EARLIEST.into() { None } else { raised.timestamp() }
    }

    /// A record that was read from the provider's list. It is less than every event of the same version, so an event
    /// replaces it, and equal to every other observation of that version, so reading it again changes nothing.
    ///
    /// # Errors
    /// When the table cannot hold the customer.
    pub fn observation(key: CustomerKey, version: EventTime, customer: Customer) -> Result<Self, Untranslatable> {
        check_storable(&customer)?;
        Ok(Self::observed(key, OBSERVATION, version.into(), Change::Snapshot(Box::new(customer))))
    }

    /// A delete that was found by looking the customer up at the provider. `version` is that of the customer's item: the
    /// provider's own delete, if it still arrives, is greater.
    #[must_use]
    pub fn observed_deletion(key: CustomerKey, version: EpochMicros, deletion: Deletion) -> Self {
        Self::observed(key, OBSERVED_DELETION, version, Change::Deletion(deletion))
    }

    /// A delete by an operator, which is greater than every event of the provider. `reason` is a code of the operator's own, and
    /// the id of the event: with the same one, the delete is the same.
    #[must_use]
    pub fn operator_deletion(key: CustomerKey, reason: &str, deletion: Deletion) -> Self {
        let sequence = Sequence { raised: EpochMicros::EPOCH, place: 0 };
        let (id, kind) = (reason.to_owned(), OPERATOR_DELETION.to_owned());
        Self {
            key,
            id,
            kind,
            version: EpochMicros::MAX,
            verb: Verb::Updated,
            sequence,
            change: Change::Deletion(deletion),
        }
    }

    fn observed(key: CustomerKey, kind: &str, version: EpochMicros, change: Change) -> Self {
        let sequence = Sequence { raised: EpochMicros::EPOCH, place: 0 };
        Self { key, id: String::new(), kind: kind.to_owned(), version, verb: Verb::Observed, sequence, change }
    }

    /// The state of the customer after the event.
    #[must_use]
    pub fn change(&self) -> &Change {
        &self.change
    }

    /// The event's place in the order of the customer's events.
    #[must_use]
    pub fn rank(&self) -> Rank {
        Rank {
            erased: matches!(self.change, Change::Deletion(_)),
            version: self.version,
            verb: self.verb,
            sequence: self.sequence,
            event_id: self.id.clone(),
        }
    }
}

/// Checks the values of any depth. The fields of `extra` are one level deep in its map, and `metadata` is one level deep
/// in `profile`.
fn check_storable(customer: &Customer) -> Result<(), Untranslatable> {
    let mut extra = customer.extra.iter().chain(customer.extra_of_batch.iter());
    extra.try_for_each(|(name, value)| check_field(name, value, 1))?;
    customer.profile.metadata.as_ref().map_or(Ok(()), |metadata| check_value(metadata, 1))
}
