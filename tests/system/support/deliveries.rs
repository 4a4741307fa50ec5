//! Signed deliveries of any provider, customer and version.

use clientele::events::signed_at;
use clientele::signing::{UnsignedRequest, sign};
use clientele_model::{ChangeKind, Provider, SampleDelivery, SampleEvent, Scheme, SignedTime, Verb};
use clientele_providers::{find, local_secret, sample};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::support::cases;

pub(crate) const CREATED: ChangeKind = ChangeKind::Snapshot(Verb::Created);
pub(crate) const UPDATED: ChangeKind = ChangeKind::Snapshot(Verb::Updated);
pub(crate) const DELETED: ChangeKind = ChangeKind::Deletion;

/// A change of a customer, so many milliseconds after a fixed time. The name differs between events.
pub(crate) fn change(customer: &str, version: i64, number: u32, change: ChangeKind) -> SampleEvent {
    let changed_at = signed_at() - SignedDuration::from_hours(24) + SignedDuration::from_millis(version);
    let name = format!("{customer} v{version} e{number}");
    SampleEvent { customer_id: customer.to_owned(), name, change, changed_at, number }
}

/// A signed API Gateway event that reports these changes. Only a provider that sends batches takes more than one.
pub(crate) fn deliver(provider: &str, changes: &[SampleEvent], now: Timestamp) -> Value {
    let provider = find(provider).unwrap();
    let SampleDelivery { body, message_id } = sample(provider, changes);
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
