//! Metrifox' customer becomes ours.
//!
//! Older deliveries have a smaller record with `name` and `email`; `customer_type` and `tax_status` come as words or
//! as numbers that no page explains; `payment_terms` comes as an object or a list. Whatever is not understood stays
//! under its own name.

use clientele_model::{
    Address, Contact, Customer, CustomerEvent, CustomerKey, Email, Event, Extra, Fields, Kind, Meaning, Phone, Profile,
    Sequence, TaxId, Translated, Translation, Untranslatable, Verified,
};

use crate::payload::{DROPPED, Envelope, meaning, redact};

pub(crate) fn translate(verified: &Verified) -> Vec<Translation> {
    vec![event(verified.body())]
}

fn event(body: &[u8]) -> Translation {
    let mut body = Fields::parse(body, redact)?;
    let name = body.text("type").ok_or(Untranslatable::Missing("type"))?;
    let Some(meaning) = meaning(&name) else { return Ok(Translated::Ignored(name)) };
    let Envelope { event_id, raised } = Envelope::take(&mut body)?;
    let mut data = body.take_object("data").ok_or(Untranslatable::Missing("data"))?;
    let mut record = data.take_object("customer").ok_or(Untranslatable::Missing("data.customer"))?;
    let has_email = ["email_addresses", "primary_email", "email"].iter().any(|name| record.contains(name));
    let key = CustomerKey::new(crate::PROVIDER.name, record.id("tenant_id"), record.id("id"))?;
    let updated_at = record.time("updated_at");
    let event = |version| Event { id: event_id, kind: name, version, sequence: Sequence::at(raised) };
    Ok(Translated::Event(Box::new(match meaning {
        Meaning::Deletion => {
            let deleted_at = record.time("deleted_at").unwrap_or(raised);
            CustomerEvent::deletion(key, event(updated_at.unwrap_or(raised)), deleted_at, &customer(&mut record))
        }
        Meaning::Snapshot(verb) => {
            let version = updated_at.ok_or(Untranslatable::Partial("updated_at"))?;
            if !has_email {
                return Err(Untranslatable::Partial("email_addresses"));
            }
            let mut customer = customer(&mut record);
            let extra = Extra::new(DROPPED).keep("data.customer", record.rest());
            customer.extra = extra.keep("data", data.rest()).keep("", body.rest()).into_map();
            CustomerEvent::snapshot(key, event(version), verb, customer)?
        }
    })))
}

fn customer(record: &mut Fields) -> Customer {
    let emails = emails(record);
    let phones = record.list("phone_numbers", |phone| {
        Some(Phone {
            number: phone.text("phone_number")?,
            country_code: phone.text("country_code"),
            primary: phone.flag("is_primary"),
        })
    });
    let primary_phone = primary(record, "primary_phone", phones.iter().map(|phone| &phone.number));
    let primary_email = primary(record, "primary_email", emails.iter().map(|email| &email.email));
    let display_name = record.text("display_name").or_else(|| record.text("name"));
    Customer {
        external_id: record.id("customer_key"),
        created_at: record.time("created_at"),
        primary_email,
        primary_phone,
        profile: Profile {
            kind: record.word("customer_type", &KINDS),
            display_name,
            legal_name: record.text("legal_name"),
            first_name: record.text("first_name"),
            middle_name: record.text("middle_name"),
            last_name: record.text("last_name"),
            emails,
            phones,
            billing_address: billing_address(record),
            shipping_address: shipping_address(record),
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

/// The words of the SDKs and the REST API, and of the webhook pages. What the number 1 means nobody says.
const KINDS: [(&str, Kind); 4] = [
    ("INDIVIDUAL", Kind::Individual),
    ("BUSINESS", Kind::Business),
    ("individual", Kind::Individual),
    ("business", Kind::Business),
];

fn emails(record: &mut Fields) -> Vec<Email> {
    let mut emails = record.list("email_addresses", |email| {
        Some(Email { email: email.text("email")?, primary: email.flag("is_primary"), ..Email::default() })
    });
    if emails.is_empty() {
        emails.extend(record.text("email").or_else(|| record.peek_text("primary_email")).map(Email::only));
    }
    record.same_text("email", emails.iter().map(|email| email.email.as_str()));
    emails
}

/// The value of a primary field. Where the list has it too, the field only says again what the list says; else it
/// stays under its own name as well, since the list is all that the profile holds.
fn primary<'a>(record: &mut Fields, name: &str, listed: impl Iterator<Item = &'a String>) -> Option<String> {
    let listed: Vec<_> = listed.map(String::as_str).collect();
    let value = record.peek_text(name)?;
    record.same_text(name, listed);
    Some(value)
}

fn billing_address(record: &mut Fields) -> Option<Address> {
    let address = Address {
        line1: record.text("address_line1"),
        line2: record.text("address_line2"),
        city: record.text("city"),
        state: record.text("state"),
        postal_code: record.text("zip_code"),
        country: record.text("country"),
    };
    address.if_any()
}

fn shipping_address(record: &mut Fields) -> Option<Address> {
    let address = Address {
        line1: record.text("shipping_address_line1"),
        line2: record.text("shipping_address_line2"),
        city: record.text("shipping_city"),
        state: record.text("shipping_state"),
        postal_code: record.text("shipping_zip_code"),
        country: record.text("shipping_country"),
    };
    address.if_any()
}

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
