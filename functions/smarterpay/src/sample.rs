//! Invented events in SmarterPay's format, for tests.

use clientele_model::{ChangeKind, SampleDelivery, SampleEvent, Verb};
use serde_json::{Value, json};

/// A batch of `events`. Times have whole seconds. There are no deletes: an update stands in for each.
#[must_use]
pub fn sample(events: &[SampleEvent]) -> SampleDelivery {
    let number = events.iter().map(|event| event.number).max().unwrap_or_default();
    let body = json!({
        "id": format!("OM{number}"), "idempotency_key": format!("key-{number}"), "sent_at": "2026-11-20T12:00:00Z",
        "client": { "id": SampleEvent::ACCOUNT }, "events": events.iter().map(record).collect::<Vec<_>>(),
    });
    body.into()
}

fn record(event: &SampleEvent) -> Value {
    let kind = match event.change {
        ChangeKind::Snapshot(Verb::Created) => "customer_account.create",
        ChangeKind::Snapshot(Verb::Observed | Verb::Updated) | ChangeKind::Deletion => "customer_account.update",
    };
    json!({
        "event_id": format!("HI{:08}", event.number), "event_type": kind, "id": event.customer_id,
        "client": { "id": SampleEvent::ACCOUNT }, "email": event.email(), "first_name": event.name, "last_name": null,
        "billing_address_line_1": null, "status": "active", "custom_reference": null,
        "edited_at": format!("{:.0}", event.changed_at),
    })
}
