//! Invented events in Flexprice's format, for tests.

use clientele_model::{ChangeKind, SampleDelivery, SampleEvent, Verb};
use serde_json::json;
use svix_ksuid::KsuidMs;

/// A delivery that reports the first of `events`. The message's id contains the time, with a resolution of 4 ms.
#[must_use]
pub fn sample(events: &[SampleEvent]) -> SampleDelivery {
    let event = &events[0];
    let kind = match event.change {
        ChangeKind::Snapshot(Verb::Created) => "customer.created",
        ChangeKind::Snapshot(Verb::Observed | Verb::Updated) => "customer.updated",
        ChangeKind::Deletion => "customer.deleted",
    };
    let mut random = [7; 15];
    random[..4].copy_from_slice(&event.number.to_be_bytes());
    let id = KsuidMs::from_millis(Some(event.changed_at.as_millisecond()), Some(&random));
    let customer = json!({
        "id": event.customer_id, "environment_id": SampleEvent::ACCOUNT, "external_id": event.external_id(),
        "name": event.name, "email": event.email(),
    });
    SampleDelivery { body: json!({ "event_type": kind, "customer": customer }), message_id: format!("msg_{id}") }
}
