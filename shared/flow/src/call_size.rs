//! How much fits into one call to the event bus.

use clientele_model::{ChangeEvent, REQUEST_BYTES_MAX};

/// The most events of one call to the bus
/// (<https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_PutEvents.html>).
const EVENTS_MAX: usize = 10;

/// How much of a call is used.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct CallSize {
    events: usize,
    bytes: usize,
}

impl CallSize {
    /// A call with this event alone, however large it is.
    pub(crate) fn of(event: &ChangeEvent) -> Self {
        Self { events: 1, bytes: event.bytes() }
    }

    /// The call with one more event, if that has room in it.
    #[must_use]
    pub(crate) fn with(self, event: &ChangeEvent) -> Option<Self> {
        let larger = Self { events: self.events + 1, bytes: self.bytes + event.bytes() };
        (larger.events <= EVENTS_MAX && larger.bytes <= REQUEST_BYTES_MAX).then_some(larger)
    }
}

/// The events of each call, in their order.
pub(crate) fn calls(events: &[ChangeEvent]) -> Vec<&[ChangeEvent]> {
    let (mut calls, mut start, mut size) = (vec![], 0, CallSize::default());
    for (place, event) in events.iter().enumerate() {
        size = size.with(event).unwrap_or_else(|| {
            calls.push(&events[start..place]);
            start = place;
            CallSize::of(event)
        });
    }
    calls.push(&events[start..]);
    calls.retain(|call| !call.is_empty());
    calls
}
