//! Translates Flexprice's customers.

use clientele_model::{
    Actor, Address, ChangeKind, Customer, CustomerEvent, CustomerKey, CustomerStatus, Email, EventFacts, EventTime,
    ExtraFields, Fields, Id, Profile, Time, Translated, Translation, Untranslatable, Verified,
};
use serde_json::{Map, Value};

use crate::message::Message;
use crate::payload::{DROPPED, FAMILY, REQUIRED, account, change_kind};

pub(crate) fn translate(verified: &Verified) -> Vec<Translation> {
    vec![event(verified)]
}

fn event(verified: &Verified) -> Translation {
    let mut body = Fields::parse(verified, &crate::PROVIDER.credential_fields)?;
    let name = body.required("event_type", Fields::text)?;
    let Some(change) = change_kind(&name) else { return FAMILY.ignore(name) };
    let mut record = body.required("customer", Fields::take_object)?;
    if matches!(change, ChangeKind::Snapshot(_)) {
        record.require(REQUIRED)?;
    }
    let customer_id = record.required("customer.id", Fields::key_part)?;
    let key = key(&mut record, customer_id)?;
    let Message { id, created_at } = Message::of(verified, &name);
    let received_at = verified.received_at();
    let raised = EventTime::new("the time of the message", Time(created_at), received_at);
    // Only bodies before 2026-08-10 say when the record changed.
    let updated_at = record.time("updated_at");
    let version = updated_at.map_or(raised, |time| EventTime::new("updated_at", time, received_at));
    let event = EventFacts { id, kind: name, version, raised, place: 0 };
    Ok(Translated::Event(Box::new(match change {
        ChangeKind::Deletion => CustomerEvent::deletion(key, event, None, received_at, &customer(&mut record)),
        ChangeKind::Snapshot(verb) => CustomerEvent::snapshot(key, event, verb, whole_customer(record, body.rest()))?,
    })))
}

/// The key of the customer with that id. Takes the account out of the record.
pub(crate) fn key(record: &mut Fields, customer_id: Id) -> Result<CustomerKey, Untranslatable> {
    CustomerKey::new(crate::PROVIDER.name, account(record)?, customer_id)
}

/// The customer that a record describes, with every field of it and of the rest of its body.
pub(crate) fn whole_customer(mut record: Fields, rest_of_body: Map<String, Value>) -> Customer {
    let customer = customer(&mut record);
    let extra = ExtraFields::new(DROPPED).keep("customer", record.rest()).keep("", rest_of_body).into_map();
    Customer { extra, ..customer }
}

fn customer(record: &mut Fields) -> Customer {
    let address = Address {
        line1: record.text("address_line1"),
        line2: record.text("address_line2"),
        city: record.text("address_city"),
        state: record.text("address_state"),
        postal_code: record.text("address_postal_code"),
        country: record.text("address_country"),
    };
    Customer {
        external_id: record.id("external_id"),
        status: record.known_word("status", &STATUSES).unwrap_or_default(),
        created_at: record.time("created_at"),
        profile: Profile {
            display_name: record.text("name"),
            emails: record.text("email").map(Email::only).into_iter().collect(),
            billing_address: address.if_any(),
            timezone: record.text("timezone"),
            metadata: record.any("metadata"),
            created_by: actor(record, "created_by"),
            updated_by: actor(record, "updated_by"),
            ..Profile::default()
        },
        ..Customer::default()
    }
}

/// Flexprice's code has a third status, `deleted`, which a delete does not send. It is not interpreted.
const STATUSES: [(&str, CustomerStatus); 2] =
    [("published", CustomerStatus::Active), ("archived", CustomerStatus::Inactive)];

fn actor(record: &mut Fields, name: &str) -> Option<Actor> {
    Actor { kind: None, id: record.id(name) }.if_any()
}
