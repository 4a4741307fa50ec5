//! Why an authentic delivery was not understood.

/// Why an authentic delivery, or one of its events, was not understood. No variant contains what was sent: field names
/// come from the code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Untranslatable {
    /// The body is not JSON.
    #[error("the body is not JSON")]
    NotJson,
    /// The delivery is a batch of more events than are settled on arrival.
    #[error("more than {} events in one delivery", crate::EVENTS_MAX)]
    TooManyEvents,
    /// A value that every event has is absent, `null` or empty.
    #[error("{0} is missing")]
    Missing(&'static str),
    /// A value that every event has is present, but not of the documented type or format.
    #[error("{0} has an unexpected type or value")]
    Unreadable(&'static str),
    /// A time that orders events is more than a day after the event or record was received.
    #[error("{0} is more than a day after it was received")]
    AfterArrival(&'static str),
    /// A time that orders events is before the year 2000.
    #[error("{0} is before the year 2000")]
    Before2000(&'static str),
    /// The customer belongs to another account than the one that the operator named.
    #[error("the customer belongs to another account than the given one")]
    OtherAccount,
    /// An event about customers, of a type that is not known.
    #[error("an event about customers, of an unknown type")]
    UnknownType,
    /// The record lacks this field, so it must not replace the whole record.
    #[error("a partial snapshot: {0} is absent")]
    PartialSnapshot(&'static str),
    /// The customer's key is longer than the table allows.
    #[error("the customer's key is too long for the table")]
    KeyTooLong,
    /// The record is nested more deeply than the table allows.
    #[error("a field is nested too deep for the table")]
    NestedTooDeep,
    /// A field of the record has no name, which the table does not allow.
    #[error("the name of a field is empty")]
    EmptyName,
}
