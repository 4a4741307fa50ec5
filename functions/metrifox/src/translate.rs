//! Translates Metrifox's customers.
//!
//! Older deliveries have a smaller record with `name` and `email`. `customer_type` and `tax_status` are words or
//! undocumented numbers, and `payment_terms` is an object or a list. A value that is not understood is stored in
//! `extra` under its own name.

use clientele_model::{
    ChangeKind, Contact, Customer, CustomerEvent, CustomerKey, CustomerKind, Email, EventFacts, ExtraFields, Fields,
    Phone, Profile, TaxId, Translated, Translation, Untranslatable, Verified,
};

use crate::payload::{DROPPED, Envelope, FAMILY, REQUIRED, REQUIRED_EMAIL, account, change_kind};

pub(crate) fn translate(verified: &Verified) -> Vec<Translation> {
    vec![event(verified)]
}

fn event(verified: &Verified) -> Translation {
    let received_at = verified.received_at();
    let mut body = Fields::parse(verified, &crate::PROVIDER.credential_fields)?;
    let name = body.required("type", Fields::text)?;
    let Some(change) = change_kind(&name) else { return FAMILY.ignore(name) };
    let Envelope { event_id, raised } = Envelope::take(&mut body, verified)?;
    let mut data = body.required("data", Fields::take_object)?;
    let mut record = data.required("data.customer", Fields::take_object)?;
    let is_complete = check_complete(&record);
    let customer_id = record.required("customer.id", Fields::key_part)?;
    let key = CustomerKey::new(crate::PROVIDER.name, account(&mut record)?, customer_id)?;
    let version = record.event_time("updated_at", Fields::time, received_at);
    let event = EventFacts { id: event_id, kind: name, version, raised, place: 0 };
    Ok(Translated::Event(Box::new(match change {
        ChangeKind::Deletion => {
            let deleted_at = record.event_time("deleted_at", Fields::time, received_at).ok();
            CustomerEvent::deletion(key, event, deleted_at, received_at, &customer(&mut record))
        }
        ChangeKind::Snapshot(verb) => {
            is_complete?;
            CustomerEvent::snapshot(key, event, verb, whole_customer(record, [("data", data), ("", body)]))?
        }
    })))
}

/// Checks that the record has what a complete one has.
pub(crate) fn check_complete(record: &Fields) -> Result<(), Untranslatable> {
    record.require(REQUIRED)?;
    let has_email = REQUIRED_EMAIL.iter().any(|name| record.contains(name));
    if has_email { Ok(()) } else { Err(Untranslatable::PartialSnapshot(REQUIRED_EMAIL[0])) }
}

/// The customer of a record, with all fields of the record and of the objects around it, each with its path in the body.
pub(crate) fn whole_customer<const N: usize>(mut record: Fields, around: [(&str, Fields); N]) -> Customer {
    let customer = customer(&mut record);
    let extra = ExtraFields::new(DROPPED).keep("data.customer", record.rest());
    let extra = around.into_iter().fold(extra, |extra, (path, fields)| extra.keep(path, fields.rest()));
    Customer { extra: extra.into_map(), ..customer }
}

fn customer(record: &mut Fields) -> Customer {
    let (emails, primary_email) = emails(record);
    let (phones, primary_phone) = phones(record);
    let display_name = record.text("display_name").or_else(|| record.text("name"));
    Customer {
        external_id: record.id("customer_key"),
        created_at: record.time("created_at"),
        primary_email,
        primary_phone,
        profile: Profile {
            kind: record.known_word("customer_type", &KINDS),
            display_name,
            legal_name: record.text("legal_name"),
            first_name: record.text("first_name"),
            middle_name: record.text("middle_name"),
            last_name: record.text("last_name"),
            emails,
            phones,
            billing_address: record.address(BILLING_ADDRESS),
            shipping_address: record.address(SHIPPING_ADDRESS),
            billing_email: record.text("billing_email"),
            date_of_birth: record.text("date_of_birth"),
            legal_number: record.text("legal_number"),
            tax_id: record.text("tax_identification_number"),
            tax_ids: record.list("tax_identifications", tax_id),
            tax_status: record.text("tax_status"),
            timezone: record.text("timezone"),
            language: record.text("language"),
            currency: record.text("currency"),
            website_url: record.text("website_url"),
            logo_url: record.text("logo_url"),
            contacts: record.list("contact_people", contact),
            account_manager: record.text("account_manager"),
            source: record.text("source"),
            metadata: record.any("metadata"),
            ..Profile::default()
        },
        ..Customer::default()
    }
}

/// The words of the SDKs and the REST API, and of the webhook pages. The meaning of the number 1 is not documented.
const KINDS: [(&str, CustomerKind); 4] = [
    ("INDIVIDUAL", CustomerKind::Individual),
    ("BUSINESS", CustomerKind::Business),
    ("individual", CustomerKind::Individual),
    ("business", CustomerKind::Business),
];

/// All e-mails and the primary one: those of the list, and those of the single fields that are not in the list.
fn emails(record: &mut Fields) -> (Vec<Email>, Option<String>) {
    let mut emails = record.list("email_addresses", |email| {
        Some(Email { email: email.text("email")?, primary: email.flag("is_primary"), ..Email::default() })
    });
    let primary = record.text("primary_email");
    let single = record.text("email");
    let only = emails.is_empty() && primary.is_none();
    for (email, is_primary) in [(&primary, Some(true)), (&single, only.then_some(true))] {
        let listed = |email: &String| emails.iter().any(|listed| listed.email == *email);
        let email = email.clone().filter(|email| !listed(email));
        emails.extend(email.map(|email| Email { email, primary: is_primary, ..Email::default() }));
    }
    (emails, primary)
}

/// All phone numbers, and the primary one.
fn phones(record: &mut Fields) -> (Vec<Phone>, Option<String>) {
    let mut phones = record.list("phone_numbers", |phone| {
        Some(Phone {
            number: phone.text("phone_number")?,
            country_code: phone.text("country_code"),
            primary: phone.flag("is_primary"),
        })
    });
    let primary = record.text("primary_phone");
    let unlisted = primary.clone().filter(|number| phones.iter().all(|listed| listed.number != *number));
    phones.extend(unlisted.map(|number| Phone { number, primary: Some(true), ..Phone::default() }));
    (phones, primary)
}

const BILLING_ADDRESS: [&str; 6] = ["address_line1", "address_line2", "city", "state", "zip_code", "country"];
const SHIPPING_ADDRESS: [&str; 6] = [
    "shipping_address_line1",
    "shipping_address_line2",
    "shipping_city",
    "shipping_state",
    "shipping_zip_code",
    "shipping_country",
];

fn tax_id(entry: &mut Fields) -> Option<TaxId> {
    let tax_id = TaxId { kind: entry.text("type"), number: entry.text("number"), country: entry.text("country") };
    (tax_id != TaxId::default()).then_some(tax_id)
}

fn contact(entry: &mut Fields) -> Option<Contact> {
    let contact = Contact {
        first_name: entry.text("first_name"),
        last_name: entry.text("last_name"),
        email: entry.text("email_address"),
        phone: entry.text("phone_number"),
        designation: entry.text("designation"),
        department: entry.text("department"),
        primary: entry.flag("is_primary"),
    };
    (contact != Contact::default()).then_some(contact)
}
