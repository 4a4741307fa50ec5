//! A small provider for the proofs, with everything that a provider can have: batches, secrets, places without an event,
//! and events that are unreadable or not about a customer.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::LazyLock;
use std::time::Duration;

use clientele_model::{
    CredentialFields, Customer, CustomerEvent, CustomerKey, Deletion, Delivery, Email, EventFacts, EventTime, Fields,
    Profile, Provider, Request, ResponseRules, Scheme, Secrets, Time, TokenPlace, Translated, Translation,
    Untranslatable, Verb, Verified, verify,
};
use jiff::Timestamp;
use serde_json::{Value, json};

/// When every delivery arrives.
pub(crate) const ARRIVED_AT: Timestamp = Timestamp::constant(1_795_176_000, 0);
/// A secret in every payload that must never be stored or sent.
pub(crate) const CANARY: &str = "924117";
/// The name of a customer that is too big for the table.
pub(crate) const OVERSIZED: &str = "oversized";

/// The account of all customers.
pub(crate) const ACCOUNT: &str = "w_1";

/// The most bodies whose translations are cached.
const CACHE_MAX: usize = 1_000;

const SCHEME: Scheme = Scheme::Token(TokenPlace::Path);
const TOKEN: &str = "token";
const CREDENTIALS: CredentialFields = CredentialFields { name_prefixes: &["otp"], exempt_fields: &[] };

pub(crate) static ACME: Provider = Provider {
    name: "acme",
    scheme_variable: None,
    scheme: |_| Ok(SCHEME),
    accepts_weak_secrets: false,
    response_rules: ResponseRules { rejected_status: 401, ignored_status: 200, batch_field: Some("events") },
    translate,
    credential_fields: CREDENTIALS,
    dropped_paths: &["sent_at"],
    known_extra: &[],
};

static SECRETS: LazyLock<Secrets> = LazyLock::new(|| Secrets::parse(TOKEN, &SCHEME).unwrap());

thread_local! {
    static CACHE: RefCell<HashMap<Vec<u8>, Vec<Translation>>> = RefCell::default();
}

/// Cached, because the proofs deliver the same few bodies a million times.
fn translate(verified: &Verified) -> Vec<Translation> {
    CACHE.with_borrow_mut(|cache| {
        if cache.len() == CACHE_MAX {
            cache.clear();
        }
        let translations = || events(verified).unwrap_or_else(|error| vec![Err(error)]);
        cache.entry(verified.body().to_vec()).or_insert_with(translations).clone()
    })
}

fn events(verified: &Verified) -> Result<Vec<Translation>, Untranslatable> {
    let mut body = Fields::parse(verified, &CREDENTIALS)?;
    let raised = body.event_time("sent_at", Fields::time, verified.received_at())?;
    let events = body.take_list("events").unwrap_or_default();
    Ok((0..).zip(events).map(|(place, fields)| event(verified, raised, place, fields)).collect())
}

fn event(verified: &Verified, raised: EventTime, place: u32, fields: Value) -> Translation {
    if fields.is_null() {
        return Ok(Translated::AlreadySettled);
    }
    let mut fields = Fields::try_from(fields)?;
    let kind = fields.required("kind", Fields::text)?;
    if kind == "invoiced" {
        return Ok(Translated::Ignored(kind));
    }
    let id = fields.required("id", Fields::id)?;
    let version = fields.event_time("version", Fields::time, verified.received_at());
    let account = fields.required("account", Fields::key_part)?;
    let key = CustomerKey::new(ACME.name, account, fields.required("customer", Fields::key_part)?)?;
    let customer = customer(fields);
    let event = EventFacts { id, kind, version, raised: Ok(raised), place };
    let event = match event.kind.as_str() {
        "created" => CustomerEvent::snapshot(key, event, Verb::Created, customer)?,
        "updated" => CustomerEvent::snapshot(key, event, Verb::Updated, customer)?,
        "deleted" => CustomerEvent::deletion(key, event, None, verified.received_at(), &customer),
        "erased" => CustomerEvent::operator_deletion(key, &event.id, Deletion::at(Time(verified.received_at()))),
        _ => return Err(Untranslatable::Unreadable("kind")),
    };
    Ok(Translated::Event(Box::new(event)))
}

/// The customer by the fields that are left of an event or of a listed record.
pub(crate) fn customer(mut fields: Fields) -> Customer {
    let profile = Profile {
        display_name: fields.text("name"),
        emails: fields.text("email").map(Email::only).into_iter().collect(),
        ..Profile::default()
    };
    Customer { profile, extra: fields.rest(), ..Customer::default() }
}

/// Versions that are too far from the arrival for an update, in seconds. A delete is accepted with them.
pub(crate) const IMPLAUSIBLE_VERSIONS: [i64; 2] = [-2_000_000_000, 2_000_000_000];

/// The kind of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Created,
    Updated,
    Deleted,
    /// A delete by an operator. It takes the same way as one of the provider, so here it is delivered like one.
    Erased,
    /// An update that is too big for the table.
    Oversized,
    /// An event that cannot be translated.
    Unreadable,
    /// An event that is not about a customer.
    Ignored,
}

/// An event, from which the provider makes JSON.
#[derive(Clone, Debug)]
pub(crate) struct EventSpec {
    pub(crate) id: String,
    pub(crate) customer: String,
    /// When the record was changed, in seconds.
    pub(crate) version: i64,
    pub(crate) kind: Kind,
}

impl EventSpec {
    pub(crate) fn new(id: &str, customer: &str, version: i64, kind: Kind) -> Self {
        Self { id: id.to_owned(), customer: customer.to_owned(), version, kind }
    }

    fn json(&self) -> Value {
        let kind = match self.kind {
            Kind::Created => "created",
            Kind::Updated | Kind::Oversized => "updated",
            Kind::Deleted => "deleted",
            Kind::Erased => "erased",
            Kind::Unreadable => "merged",
            Kind::Ignored => "invoiced",
        };
        let mut event = self.record();
        event["id"] = json!(self.id);
        event["kind"] = json!(kind);
        event["otp"] = json!(CANARY);
        event
    }

    /// The customer after the event, as the provider's list shows it.
    pub(crate) fn record(&self) -> Value {
        let name = if self.kind == Kind::Oversized { OVERSIZED.to_owned() } else { format!("Ada {}", self.id) };
        json!({
            "account": ACCOUNT, "customer": self.customer, "version": time(self.version), "name": name,
            "email": format!("{}@example.com", self.id), "city": "Turin",
        })
    }
}

/// The body of a delivery; `None` is a place without an event.
pub(crate) fn body(sent_at: i64, events: &[Option<EventSpec>]) -> String {
    let events: Vec<_> = events.iter().map(|event| event.as_ref().map(EventSpec::json)).collect();
    json!({ "sent_at": time(sent_at), "events": events, "otp_of_batch": CANARY }).to_string()
}

/// The body as it is after verification.
pub(crate) fn verified(body: &str) -> Verified {
    let request = Request { token: Some(TOKEN.to_owned()), body: Some(body.to_owned()), ..Request::default() };
    let delivery = Delivery::accept(request, 256 << 10).unwrap();
    verify(delivery, &SCHEME, &SECRETS, ARRIVED_AT, Duration::ZERO).unwrap()
}

/// A version, from a number of seconds.
pub(crate) fn time(seconds: i64) -> Time {
    Time(Timestamp::from_second(ARRIVED_AT.as_second() - 86_400 + seconds).unwrap())
}
