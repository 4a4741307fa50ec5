//! Translates SmarterPay's customer accounts.

use std::sync::Arc;

use clientele_model::{
    Actor, Customer, CustomerEvent, CustomerKey, CustomerStatus, Email, EventFacts, EventTime, ExtraFields, Fields, Id,
    Profile, Translated, Translation, Untranslatable, Verb, Verified,
};
use serde_json::{Map, Value};

use crate::payload::{DROPPED, FAMILY, REQUIRED, account, events, is_v1_event, is_v2, verb};

pub(crate) fn translate(verified: &Verified) -> Vec<Translation> {
    batch(verified).unwrap_or_else(|error| vec![Err(error)])
}

fn batch(verified: &Verified) -> Result<Vec<Translation>, Untranslatable> {
    let mut body = Fields::parse(verified, &crate::PROVIDER.credential_fields)?;
    if !body.contains("events") && is_v1_event(&mut body) {
        return Ok(vec![Ok(v1())]);
    }
    let events = events(&mut body)?;
    let envelope = Envelope {
        is_v2: is_v2(&body),
        verified,
        sent_at: body.event_time("sent_at", Fields::time, verified.received_at()),
        account: account(&mut body),
        extra: extra_of_batch(body.rest()),
    };
    Ok((0..).zip(events).map(|(place, fields)| event(&envelope, place, fields)).collect())
}

/// The data that all events of a batch share.
struct Envelope<'a> {
    is_v2: bool,
    verified: &'a Verified,
    /// When the batch was sent. We assume that it is the same on every attempt, which is not documented. If it is not,
    /// the earlier of two changes within one second wins when it is delivered again after the later one.
    sent_at: Result<EventTime, Untranslatable>,
    /// The account of the events that do not name their own.
    account: Result<Option<Id>, Untranslatable>,
    extra: Arc<Map<String, Value>>,
}

fn event(envelope: &Envelope<'_>, place: u32, fields: Value) -> Translation {
    // In a kept batch, `null` stands for each event that was settled before, so that the others keep their places.
    if fields.is_null() {
        return Ok(Translated::AlreadySettled);
    }
    let mut record = Fields::try_from(fields)?;
    let kind = match record.required("event_type", Fields::text) {
        Ok(kind) => kind,
        Err(_) if !envelope.is_v2 && is_v1_event(&mut record) => return Ok(v1()),
        Err(error) => return Err(error),
    };
    let Some(verb) = verb(&kind) else { return FAMILY.ignore(kind) };
    record.require(REQUIRED)?;
    let id = record.required("event_id", Fields::id)?;
    let version = record.event_time("edited_at", Fields::time, envelope.verified.received_at());
    let account = match account(&mut record)? {
        Some(account) => account,
        None => envelope.account.clone()?.ok_or(Untranslatable::Missing("client.id"))?,
    };
    let key = CustomerKey::new(crate::PROVIDER.name, account, record.required("customer.id", Fields::key_part)?)?;
    let event = EventFacts { id, kind, version, raised: envelope.sent_at, place };
    snapshot(envelope, key, event, verb, record)
}

/// V1 sends the same changes in a format without versions, so only V2 is translated.
fn v1() -> Translated {
    Translated::Ignored("V1".to_owned())
}

fn snapshot(envelope: &Envelope<'_>, key: CustomerKey, event: EventFacts, verb: Verb, record: Fields) -> Translation {
    let event = CustomerEvent::snapshot(key, event, verb, whole_customer(record, envelope.extra.clone()))?;
    Ok(Translated::Event(Box::new(event)))
}

/// The customer that a record describes, with every field of it and of the rest of its batch.
pub(crate) fn whole_customer(mut record: Fields, extra_of_batch: Arc<Map<String, Value>>) -> Customer {
    let customer = customer(&mut record);
    let extra = ExtraFields::new(DROPPED).keep("events", record.rest()).into_map();
    Customer { extra, extra_of_batch, ..customer }
}

/// The fields of a batch that have no place in the common model.
pub(crate) fn extra_of_batch(rest_of_body: Map<String, Value>) -> Arc<Map<String, Value>> {
    Arc::new(ExtraFields::new(DROPPED).keep("", rest_of_body).into_map())
}

fn customer(record: &mut Fields) -> Customer {
    Customer {
        external_id: record.id("custom_reference"),
        status: record.known_word("status", &STATUSES).unwrap_or_default(),
        created_at: record.time("created_at"),
        profile: Profile {
            company_name: record.text("company_name"),
            title: record.text("title"),
            first_name: record.text("first_name"),
            last_name: record.text("last_name"),
            emails: record.text("email").map(Email::only).into_iter().collect(),
            billing_address: record.address(BILLING_ADDRESS),
            shipping_address: record.address(DELIVERY_ADDRESS),
            created_by: actor(record, "created_by"),
            updated_by: actor(record, "edited_by"),
            metadata: record.any("metadata"),
            ..Profile::default()
        },
        ..Customer::default()
    }
}

const STATUSES: [(&str, CustomerStatus); 2] =
    [("active", CustomerStatus::Active), ("inactive", CustomerStatus::Inactive)];

const BILLING_ADDRESS: [&str; 6] = [
    "billing_address_line_1",
    "billing_address_line_2",
    "billing_city",
    "billing_state",
    "billing_postal_code",
    "billing_country_code",
];
const DELIVERY_ADDRESS: [&str; 6] = [
    "delivery_address_line_1",
    "delivery_address_line_2",
    "delivery_city",
    "delivery_state",
    "delivery_postal_code",
    "delivery_country_code",
];

fn actor(record: &mut Fields, name: &str) -> Option<Actor> {
    record.object(name, |actor| Actor { kind: None, id: actor.id("id") }).and_then(Actor::if_any)
}
