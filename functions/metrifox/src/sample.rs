//! Invented events in Metrifox's format, for tests.

use clientele_model::{ChangeKind, SampleDelivery, SampleEvent, Verb};
use serde_json::json;

/// A delivery that reports the first of `events`.
#[must_use]
pub fn sample(events: &[SampleEvent]) -> SampleDelivery {
    let event = &events[0];
    let kind = match event.change {
        ChangeKind::Snapshot(Verb::Created) => "customer.created",
        ChangeKind::Snapshot(Verb::Observed | Verb::Updated) => "customer.updated",
        ChangeKind::Deletion => "customer.deleted",
    };
    let customer = json!({
        "id": event.customer_id, "tenant_id": SampleEvent::ACCOUNT, "customer_key": event.external_id(),
        "display_name": event.name, "primary_email": event.email(), "updated_at": format!("{:.3}", event.changed_at),
        "email_addresses": [{ "email": event.email(), "is_primary": true }],
        "otp": "CANARY-OTP", "edit_token": "CANARY-EDIT-TOKEN",
    });
    let body = json!({
        "id": format!("evt-{:08}", event.number), "type": kind, "created_at": event.changed_at.as_millisecond(),
        "data": { "customer": customer },
    });
    body.into()
}
