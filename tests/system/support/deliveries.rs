//! Signed deliveries of any provider, customer and version.

use clientele::events::signed_at;
use clientele::signing::{UnsignedRequest, sign};
use clientele_model::{Provider, SampleDelivery, SampleEvent, Scheme, SignedTime, Verb};
use clientele_providers::{find, local_secret, sample};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::support::cases;

/// What happened to the customer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ChangeKind {
    Created,
    Updated,
    Deleted,
}

/// A change of a customer that a webhook reports, independent of the provider.
#[derive(Clone, Debug)]
pub(crate) struct CustomerChange {
    pub(crate) customer: String,
    /// When the record changed: milliseconds after a fixed time.
    pub(crate) version: i64,
    /// Unique per event, and the same on every attempt to deliver it.
    pub(crate) event_number: u32,
    pub(crate) kind: ChangeKind,
}

pub(crate) fn change(customer: &str, version: i64, event_number: u32, kind: ChangeKind) -> CustomerChange {
    CustomerChange { customer: customer.to_owned(), version, event_number, kind }
}

impl CustomerChange {
    /// The name of the customer after the change. It differs between events.
    pub(crate) fn name(&self) -> String {
        format!("{} v{} e{}", self.customer, self.version, self.event_number)
    }

    fn sample_event(&self) -> SampleEvent {
        SampleEvent {
            customer_id: self.customer.clone(),
            name: self.name(),
            change: match self.kind {
                ChangeKind::Created => clientele_model::ChangeKind::Snapshot(Verb::Created),
                ChangeKind::Updated => clientele_model::ChangeKind::Snapshot(Verb::Updated),
                ChangeKind::Deleted => clientele_model::ChangeKind::Deletion,
            },
            changed_at: signed_at() - SignedDuration::from_hours(24) + SignedDuration::from_millis(self.version),
            number: self.event_number,
        }
    }
}

/// A signed API Gateway event that reports these changes. Only a provider that sends batches takes more than one.
pub(crate) fn deliver(provider: &str, changes: &[CustomerChange], now: Timestamp) -> Value {
    let provider = find(provider).unwrap();
    let events: Vec<_> = changes.iter().map(CustomerChange::sample_event).collect();
    let SampleDelivery { body, message_id } = sample(provider, &events);
    signed(provider, &UnsignedRequest { body: body.to_string(), message_id }, now)
}

/// Whether a provider ever reports that a customer was deleted.
pub(crate) fn deletes(provider: &str) -> bool {
    cases().iter().any(|case| case.provider.name == provider && case.name == "customer-deleted")
}

/// The key of a customer of [`deliver`].
pub(crate) fn pk(provider: &str, customer: &str) -> String {
    format!("{provider}#{}#{customer}", SampleEvent::ACCOUNT)
}

/// A signed delivery that the provider's crate cannot translate.
pub(crate) fn untranslatable(provider: &Provider, now: Timestamp) -> Value {
    // Where the body has to contain the time of the attempt, a delivery without it would be rejected.
    let body = match (provider.scheme)(None) {
        Ok(Scheme::Hmac { signed_time: SignedTime::InBody(path), .. }) => {
            path.iter().rev().fold(json!("time"), |inner, name| json!({ *name: inner })).to_string()
        }
        _ => "{".to_owned(),
    };
    signed(provider, &UnsignedRequest { body, message_id: "msg_1".to_owned() }, now)
}

/// Any body, signed with the local secret.
pub(crate) fn signed(provider: &Provider, unsigned: &UnsignedRequest, now: Timestamp) -> Value {
    let scheme = (provider.scheme)(None).unwrap();
    let signed = sign(unsigned, &scheme, &local_secret(provider), now).unwrap();
    let path = format!("/webhooks/{}", provider.name);
    let path = signed.token.as_ref().map_or(path.clone(), |token| format!("{path}/{token}"));
    json!({
        "rawPath": path,
        "headers": signed.headers.into_iter().collect::<std::collections::BTreeMap<_, _>>(),
        "pathParameters": signed.token.map(|token| json!({ "token": token })),
        "body": signed.body,
        "isBase64Encoded": false,
    })
}
