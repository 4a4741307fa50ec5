//! Deliveries by the thousand: of any provider, any customer, any version.

use clientele::events::signed_at;
use clientele::providers::{Known, known};
use clientele::signing::{Unsigned, sign};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use svix_ksuid::KsuidMs;

/// What an event says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum What {
    Created,
    Updated,
    Deleted,
}

/// An event of a customer, in no provider's words yet.
#[derive(Clone, Debug)]
pub(crate) struct Said {
    pub(crate) customer: String,
    /// Milliseconds after a fixed moment: when the record changed.
    pub(crate) version: i64,
    /// Unique for the event, the same on every attempt.
    pub(crate) event: u32,
    pub(crate) what: What,
}

impl Said {
    /// The name that tells which event it was.
    pub(crate) fn name(&self) -> String {
        format!("{} v{} e{}", self.customer, self.version, self.event)
    }

    fn changed_at(&self) -> Timestamp {
        signed_at() - SignedDuration::from_hours(24) + SignedDuration::from_millis(self.version)
    }
}

/// The providers that deliveries are made of.
pub(crate) const PROVIDERS: [&str; 4] = ["metrifox", "smarterpay", "plain", "flexprice"];

/// A signed API Gateway event that says all of these. Only `SmarterPay` takes more than one.
pub(crate) fn deliver(provider: &str, said: &[Said], now: Timestamp) -> Value {
    let known = known(provider).unwrap();
    let (body, message_id) = match provider {
        "plain" => (plain(&said[0]), String::new()),
        "metrifox" => (metrifox(&said[0]), String::new()),
        "flexprice" => flexprice(&said[0]),
        "smarterpay" => (smarterpay(said), String::new()),
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

fn plain(said: &Said) -> Value {
    let at = format!("{:.3}", said.changed_at());
    let (kind, record) = match said.what {
        What::Created => ("customer.customer_created", "customer"),
        What::Updated => ("customer.customer_updated", "customer"),
        What::Deleted => ("customer.customer_deleted", "previousCustomer"),
    };
    let customer = json!({ "id": said.customer, "fullName": said.name(), "externalId": format!("x-{}", said.customer),
        "email": { "email": format!("{}@example.com", said.customer), "isVerified": true, "verifiedAt": at },
        "updatedAt": at, "createdAt": "2026-01-01T00:00:00.000Z" });
    let mut payload = json!({ "eventType": kind });
    payload[record] = customer;
    json!({ "id": format!("pEv_{:08}", said.event), "type": kind, "timestamp": at, "workspaceId": "w_1", "payload": payload,
        "webhookMetadata": { "webhookDeliveryAttemptTimestamp": "0000-00-00T00:00:00.000Z" } })
}

fn metrifox(said: &Said) -> Value {
    let at = format!("{:.3}", said.changed_at());
    let kind = match said.what {
        What::Created => "customer.created",
        What::Updated => "customer.updated",
        What::Deleted => "customer.deleted",
    };
    let email = format!("{}@example.com", said.customer);
    json!({ "id": format!("evt-{:08}", said.event), "type": kind, "created_at": said.changed_at().as_millisecond(),
        "data": { "customer": { "id": said.customer, "tenant_id": "t_1", "customer_key": format!("x-{}", said.customer),
            "display_name": said.name(), "primary_email": email, "updated_at": at,
            "email_addresses": [{ "email": email, "is_primary": true }],
            "otp": "CANARY-OTP", "edit_token": "CANARY-EDIT-TOKEN" } } })
}

/// The time is in the message's id, with a resolution of 4 ms.
fn flexprice(said: &Said) -> (Value, String) {
    let kind = match said.what {
        What::Created => "customer.created",
        What::Updated => "customer.updated",
        What::Deleted => "customer.deleted",
    };
    let made = said.changed_at().as_millisecond();
    let mut random = [7; 15];
    random[..4].copy_from_slice(&said.event.to_be_bytes());
    let body = json!({ "event_type": kind, "customer": { "id": said.customer, "environment_id": "env_1",
        "external_id": format!("x-{}", said.customer), "name": said.name(), "email": format!("{}@example.com", said.customer) } });
    (body, format!("msg_{}", KsuidMs::from_millis(Some(made), Some(&random))))
}

/// There is no delete, and the record's time has whole seconds.
fn smarterpay(said: &[Said]) -> Value {
    let event = |said: &Said| {
        let kind = if said.what == What::Created { "customer_account.create" } else { "customer_account.update" };
        json!({ "event_id": format!("HI{:08}", said.event), "event_type": kind, "id": said.customer,
            "client": { "id": "CL_1" }, "email": format!("{}@example.com", said.customer), "first_name": said.name(),
            "last_name": null, "billing_address_line_1": null, "status": "active", "custom_reference": null,
            "edited_at": format!("{:.0}", said.changed_at()) })
    };
    let events: Vec<_> = said.iter().map(event).collect();
    let sent = said.iter().map(|said| said.event).max().unwrap();
    json!({ "id": format!("OM{sent}"), "idempotency_key": format!("key-{sent}"), "sent_at": "2026-11-20T12:00:00Z",
        "client": { "id": "CL_1" }, "events": events })
}
