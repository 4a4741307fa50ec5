//! Deliveries by the thousand: of any provider, any customer, any version.

use clientele::events::signed_at;
use clientele::providers::{Known, known};
use clientele::signing::{Unsigned, sign};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use svix_ksuid::KsuidMs;

/// What an event says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ChangeKind {
    Created,
    Updated,
    Deleted,
}

/// An event of a customer, in no provider's words yet.
#[derive(Clone, Debug)]
pub(crate) struct CustomerChange {
    pub(crate) customer: String,
    /// Milliseconds after a fixed moment: when the record changed.
    pub(crate) version: i64,
    /// Unique for the event, the same on every attempt.
    pub(crate) event_number: u32,
    pub(crate) kind: ChangeKind,
}

pub(crate) fn change(customer: &str, version: i64, event_number: u32, kind: ChangeKind) -> CustomerChange {
    CustomerChange { customer: customer.to_owned(), version, event_number, kind }
}

impl CustomerChange {
    /// The name that the customer has after the change, different for each event.
    pub(crate) fn name(&self) -> String {
        format!("{} v{} e{}", self.customer, self.version, self.event_number)
    }

    fn changed_at(&self) -> Timestamp {
        signed_at() - SignedDuration::from_hours(24) + SignedDuration::from_millis(self.version)
    }
}

/// The providers that deliveries are made of.
pub(crate) const PROVIDERS: [&str; 4] = ["metrifox", "smarterpay", "plain", "flexprice"];

/// A signed API Gateway event that says all of these. Only `SmarterPay` takes more than one.
pub(crate) fn deliver(provider: &str, changes: &[CustomerChange], now: Timestamp) -> Value {
    let known = known(provider).unwrap();
    let (body, message_id) = match provider {
        "plain" => (plain(&changes[0]), String::new()),
        "metrifox" => (metrifox(&changes[0]), String::new()),
        "flexprice" => flexprice(&changes[0]),
        "smarterpay" => (smarterpay(changes), String::new()),
        other => panic!("no deliveries of {other} by the thousand yet"),
    };
    signed(known, &Unsigned { body: body.to_string(), message_id }, now)
}

/// Any body, signed with the local secret.
pub(crate) fn signed(known: &Known, unsigned: &Unsigned, now: Timestamp) -> Value {
    let scheme = (known.provider.scheme)(None).unwrap();
    let signed = sign(unsigned, &scheme, known.local_secret, now).unwrap();
    let path = format!("/webhooks/{}", known.provider.name);
    let path = signed.token.as_ref().map_or(path.clone(), |token| format!("{path}/{token}"));
    json!({
        "rawPath": path,
        "headers": signed.headers.into_iter().collect::<std::collections::BTreeMap<_, _>>(),
        "pathParameters": signed.token.map(|token| json!({ "token": token })),
        "body": signed.body,
        "isBase64Encoded": false,
    })
}

fn plain(change: &CustomerChange) -> Value {
    let at = format!("{:.3}", change.changed_at());
    let (kind, record) = match change.kind {
        ChangeKind::Created => ("customer.customer_created", "customer"),
        ChangeKind::Updated => ("customer.customer_updated", "customer"),
        ChangeKind::Deleted => ("customer.customer_deleted", "previousCustomer"),
    };
    let customer = json!({ "id": change.customer, "fullName": change.name(), "externalId": format!("x-{}", change.customer),
        "email": { "email": format!("{}@example.com", change.customer), "isVerified": true, "verifiedAt": at },
        "updatedAt": at, "createdAt": "2026-01-01T00:00:00.000Z" });
    let mut payload = json!({ "eventType": kind });
    payload[record] = customer;
    json!({ "id": format!("pEv_{:08}", change.event_number), "type": kind, "timestamp": at, "workspaceId": "w_1", "payload": payload,
        "webhookMetadata": { "webhookDeliveryAttemptTimestamp": "0000-00-00T00:00:00.000Z" } })
}

fn metrifox(change: &CustomerChange) -> Value {
    let at = format!("{:.3}", change.changed_at());
    let kind = match change.kind {
        ChangeKind::Created => "customer.created",
        ChangeKind::Updated => "customer.updated",
        ChangeKind::Deleted => "customer.deleted",
    };
    let email = format!("{}@example.com", change.customer);
    json!({ "id": format!("evt-{:08}", change.event_number), "type": kind, "created_at": change.changed_at().as_millisecond(),
        "data": { "customer": { "id": change.customer, "tenant_id": "t_1", "customer_key": format!("x-{}", change.customer),
            "display_name": change.name(), "primary_email": email, "updated_at": at,
            "email_addresses": [{ "email": email, "is_primary": true }],
            "otp": "CANARY-OTP", "edit_token": "CANARY-EDIT-TOKEN" } } })
}

/// The time is in the message's id, with a resolution of 4 ms.
fn flexprice(change: &CustomerChange) -> (Value, String) {
    let kind = match change.kind {
        ChangeKind::Created => "customer.created",
        ChangeKind::Updated => "customer.updated",
        ChangeKind::Deleted => "customer.deleted",
    };
    let made = change.changed_at().as_millisecond();
    let mut random = [7; 15];
    random[..4].copy_from_slice(&change.event_number.to_be_bytes());
    let body = json!({ "event_type": kind, "customer": { "id": change.customer, "environment_id": "env_1",
        "external_id": format!("x-{}", change.customer), "name": change.name(), "email": format!("{}@example.com", change.customer) } });
    (body, format!("msg_{}", KsuidMs::from_millis(Some(made), Some(&random))))
}

/// There is no delete, and the record's time has whole seconds.
fn smarterpay(changes: &[CustomerChange]) -> Value {
    let event = |change: &CustomerChange| {
        let kind =
            if change.kind == ChangeKind::Created { "customer_account.create" } else { "customer_account.update" };
        json!({ "event_id": format!("HI{:08}", change.event_number), "event_type": kind, "id": change.customer,
            "client": { "id": "CL_1" }, "email": format!("{}@example.com", change.customer), "first_name": change.name(),
            "last_name": null, "billing_address_line_1": null, "status": "active", "custom_reference": null,
            "edited_at": format!("{:.0}", change.changed_at()) })
    };
    let events: Vec<_> = changes.iter().map(event).collect();
    let sent = changes.iter().map(|change| change.event_number).max().unwrap();
    json!({ "id": format!("OM{sent}"), "idempotency_key": format!("key-{sent}"), "sent_at": "2026-11-20T12:00:00Z",
        "client": { "id": "CL_1" }, "events": events })
}
