//! Translates Plain's customers.

use clientele_model::{
    Actor, ChangeKind, Customer, CustomerEvent, CustomerKey, Email, EventFacts, ExtraFields, Fields, Group, Profile,
    SpamMark, Translated, Translation, Verified,
};

use crate::payload::{DROPPED, Envelope, FAMILY, REQUIRED, account, change_kind, record_path};

pub(crate) fn translate(verified: &Verified) -> Vec<Translation> {
    vec![event(verified)]
}

fn event(verified: &Verified) -> Translation {
    let received_at = verified.received_at();
    let mut body = Fields::parse(verified, &crate::PROVIDER.credential_fields)?;
    let kind = body.required("type", Fields::text)?;
    let mut payload = body.required("payload", Fields::take_object);
    let Some(change) = change_kind(&kind, &mut payload)? else { return FAMILY.ignore(kind) };
    let Envelope { event_id: id, raised } = Envelope::take(&mut body, verified)?;
    let mut payload = payload?;
    let mut record = payload.required(record_path(change), Fields::take_object)?;
    if matches!(change, ChangeKind::Snapshot(_)) {
        record.require(REQUIRED)?;
    }
    let customer_id = record.required("customer.id", Fields::key_part)?;
    let key = CustomerKey::new(crate::PROVIDER.name, account(&mut body)?, customer_id)?;
    let version = record.event_time("updatedAt", Fields::time, received_at);
    let event = EventFacts { id, kind, version, raised, place: 0 };
    Ok(Translated::Event(Box::new(match change {
        ChangeKind::Deletion => {
            let customer = customer(&mut record, key.customer_id());
            CustomerEvent::deletion(key, event, None, received_at, &customer)
        }
        ChangeKind::Snapshot(verb) => {
            let customer = whole_customer(record, key.customer_id(), [("payload", payload), ("", body)]);
            CustomerEvent::snapshot(key, event, verb, customer)?
        }
    })))
}

/// The customer of a record, with all fields of the record and of the objects around it, each with its path in the body.
pub(crate) fn whole_customer<const N: usize>(mut record: Fields, id: &str, around: [(&str, Fields); N]) -> Customer {
    let customer = customer(&mut record, id);
    let extra = ExtraFields::new(DROPPED).keep("payload.customer", record.rest());
    let extra = around.into_iter().fold(extra, |extra, (path, fields)| extra.keep(path, fields.rest()));
    Customer { extra: extra.into_map(), ..customer }
}

fn customer(record: &mut Fields, id: &str) -> Customer {
    let email = record.object("email", |email| {
        Some(Email {
            email: email.text("email")?,
            primary: Some(true),
            verified: email.flag("isVerified"),
            verified_at: email.time("verifiedAt"),
        })
    });
    let spam = SpamMark { marked_at: record.time("markedAsSpamAt"), marked_by: actor(record, "markedAsSpamBy") };
    Customer {
        external_id: record.text("externalId"),
        created_at: record.time("createdAt"),
        profile: Profile {
            display_name: record.text("fullName"),
            short_name: record.text("shortName"),
            emails: email.flatten().into_iter().collect(),
            spam: spam.if_any(),
            groups: record.list("customerGroupMemberships", |membership| group(membership, id)),
            created_by: actor(record, "createdBy"),
            updated_by: actor(record, "updatedBy"),
            ..Profile::default()
        },
        ..Customer::default()
    }
}

/// An actor has an `actorType`, and its id in a field that depends on that type. The type `UNKNOWN` has no id.
fn actor(record: &mut Fields, name: &str) -> Option<Actor> {
    let actor = record.object(name, |actor| {
        let kind = actor.text("actorType");
        let id = match kind.as_deref() {
            Some("user") => actor.id("userId"),
            Some("machineUser") => actor.id("machineUserId"),
            Some("system") => actor.id("system"),
            Some("customer") => actor.id("customerId"),
            _ => None,
        };
        Actor { kind, id }.if_any()
    });
    actor.flatten()
}

/// A membership repeats the ids of its customer and its group, which are not kept twice.
fn group(membership: &mut Fields, customer_id: &str) -> Option<Group> {
    let group = membership.object("customerGroup", |group| Group {
        id: group.id("id"),
        key: group.text("key"),
        name: group.text("name"),
    })?;
    membership.drop_repeated_text("customerId", [customer_id]);
    membership.drop_repeated_text("customerGroupId", group.id.as_deref());
    Some(group)
}
