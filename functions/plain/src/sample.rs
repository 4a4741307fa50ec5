//! Invented events in Plain's format, for tests.

use clientele_model::{ChangeKind, SampleDelivery, SampleEvent, Verb};
use serde_json::{Value, json};

/// A delivery that reports the first of `events`.
#[must_use]
pub fn sample(events: &[SampleEvent]) -> SampleDelivery {
    let event = &events[0];
    let changed_at = format!("{:.3}", event.changed_at);
    let (kind, record) = match event.change {
        ChangeKind::Snapshot(Verb::Created) => ("customer.customer_created", "customer"),
        ChangeKind::Snapshot(Verb::Observed | Verb::Updated) => ("customer.customer_updated", "customer"),
        ChangeKind::Deletion => ("customer.customer_deleted", "previousCustomer"),
    };
    let body = json!({
        "id": format!("pEv_{:08}", event.number), "type": kind, "timestamp": changed_at,
        "workspaceId": SampleEvent::ACCOUNT, "payload": { "eventType": kind, record: customer(event) },
        "webhookMetadata": { "webhookDeliveryAttemptTimestamp": "0000-00-00T00:00:00.000Z" },
    });
    body.into()
}

/// The customer object of the event.
pub(crate) fn customer(event: &SampleEvent) -> Value {
    let changed_at = format!("{:.3}", event.changed_at);
    let email = json!({ "email": event.email(), "isVerified": true, "verifiedAt": changed_at });
    json!({
        "id": event.customer_id, "fullName": event.name, "externalId": event.external_id(), "email": email,
        "updatedAt": changed_at, "createdAt": "2026-01-01T00:00:00.000Z",
    })
}
