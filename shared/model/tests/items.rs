//! The items that are written to the table, and the cleanup messages in them.
#![allow(clippy::unwrap_used, missing_docs, reason = "tests")]

use std::sync::Arc;
use std::time::Duration;

use clientele_model::{
    Change, Contact, CredentialFields, Customer, CustomerEvent, CustomerKey, CustomerStatus, Delivery, Email,
    EventFacts, EventTime, ExtraFields, Fields, Id, Item, Phone, Profile, Provider, Request, ResponseRules, Scheme,
    Secrets, Time, TokenPlace, Translated, Untranslatable, Verb, verify,
};
use jiff::Timestamp;
use rstest::rstest;
use serde_json::{Map, Value, json};

/// 2026-11-20T12:00:00.123456Z
const ARRIVED_AT: Timestamp = Timestamp::constant(1_795_176_000, 123_456_000);

fn at(moment: &str) -> Time {
    moment.parse().unwrap()
}

fn key() -> CustomerKey {
    CustomerKey::new("acme", Id::new("w#1".into()).unwrap(), Id::new("50%".into()).unwrap()).unwrap()
}

fn event_time(moment: &str) -> EventTime {
    EventTime::new("f", at(moment), ARRIVED_AT).unwrap()
}

fn event(kind: &str) -> EventFacts {
    let (version, raised) = (event_time("2026-02-09T08:42:08.322145999Z"), event_time("2026-02-09T08:42:09Z"));
    EventFacts { id: "evt.1".into(), kind: kind.into(), version: Ok(version), raised: Ok(raised), place: 24 }
}

fn snapshot(customer: Customer) -> Result<CustomerEvent, Untranslatable> {
    CustomerEvent::snapshot(key(), event("customer.created"), Verb::Created, customer)
}

fn deletion(customer: &Customer) -> CustomerEvent {
    let deleted_at = Some(event_time("2026-02-09T08:42:07.500Z"));
    CustomerEvent::deletion(key(), event("customer.gone"), deleted_at, ARRIVED_AT, customer)
}

/// The item of an event that arrived shortly after noon. Only the milliseconds are kept.
fn item(event: &CustomerEvent) -> Item {
    event.item(ARRIVED_AT)
}

fn written(customer: Customer) -> Value {
    serde_json::to_value(item(&snapshot(customer).unwrap())).unwrap()
}

fn map(value: Value) -> Map<String, Value> {
    serde_json::from_value(value).unwrap()
}

/// A profile in which every field has a value, as it is written.
fn written_profile() -> Value {
    let address = |city| {
        json!({
            "line1": "1 High Street", "line2": "Flat 2", "city": city, "state": "Kent", "postal_code": "CT1 1AA",
            "country": "GB",
        })
    };
    let when = "2026-01-02T03:04:05Z";
    let email = |email, primary| json!({"email": email, "primary": primary, "verified": true, "verified_at": when});
    let actor = |id| json!({"type": "user", "id": id});
    let contact = json!({
        "first_name": "Charles", "last_name": "Babbage", "email": "charles@example.com", "phone": "+44 2",
        "designation": "Engineer", "department": "Engines", "primary": true,
    });
    let names = json!({
        "kind": "business", "display_name": "Ada Lovelace", "legal_name": "Lovelace Ltd", "company_name": "Lovelace",
        "title": "Dr", "first_name": "Ada", "middle_name": "King", "last_name": "Noel", "short_name": "A.",
    });
    let rest = json!({
        "emails": [email("First@Example.com", false), email("Ada@Example.com", true)],
        "phones": [{"number": "+44 1", "country_code": "44", "primary": true}],
        "billing_address": address("Canterbury"), "shipping_address": address("Dover"),
        "billing_email": "bills@example.com", "date_of_birth": "1815-12-10", "legal_number": "0042",
        "tax_id": "GB1", "tax_ids": [{"type": "vat", "number": "GB2", "country": "UK"}], "tax_status": "taxable",
        "timezone": "Europe/London", "language": "en", "currency": "GBP", "website_url": "https://example.com",
        "logo_url": "https://example.com/logo", "contacts": [contact],
        "groups": [{"id": "g_1", "key": "vip", "name": "Important"}],
        "spam": {"marked_at": when, "marked_by": actor("u_1")}, "account_manager": "Grace", "source": "import",
        "created_by": actor("u_2"), "updated_by": actor("u_3"), "metadata": {"any": ["thing", null]},
    });
    map(names).into_iter().chain(map(rest)).collect::<Map<_, _>>().into()
}

fn complete_customer() -> Customer {
    Customer {
        external_id: Some("crm-1".into()),
        status: CustomerStatus::Inactive,
        primary_email: None,
        primary_phone: Some("+44 3".into()),
        created_at: Some(at("2025-01-01T00:00:00.5Z")),
        profile: serde_json::from_value(written_profile()).unwrap(),
        extra: map(json!({"plan": "gold", "seats": 1})),
        extra_of_batch: Arc::new(map(json!({"plan": "of the batch", "region": "eu"}))),
    }
}

#[test]
fn a_snapshot_is_written_completely() {
    let expected = json!({
        "pk": "acme#w%231#50%25",
        "sk": "customer",
        "provider": "acme",
        "account": "w#1",
        "customer_id": "50%",
        "external_id": "crm-1",
        "status": "inactive",
        "name": "Ada Lovelace",
        "email": "ada@example.com",
        "profile": written_profile(),
        "extra": {"plan": "gold", "seats": 1, "body.plan": "of the batch", "region": "eu"},
        "created_at": "2025-01-01T00:00:00.500Z",
        "updated_at": "2026-02-09T08:42:08.322145Z",
        "rank": "0.80064a601d402261.1.80064a601d4a7a40.00000018.evt.1",
        "last_event": {"id": "evt.1", "type": "customer.created", "received_at": "2026-11-20T12:00:00.123Z"},
        "schema": 1,
    });
    assert_eq!(written(complete_customer()), expected);
}

#[test]
fn unknown_attributes_are_absent() {
    let expected = json!({
        "pk": "acme#w%231#50%25",
        "sk": "customer",
        "provider": "acme",
        "account": "w#1",
        "customer_id": "50%",
        "status": "active",
        "profile": {},
        "extra": {},
        "updated_at": "2026-02-09T08:42:08.322145Z",
        "rank": "0.80064a601d402261.1.80064a601d4a7a40.00000018.evt.1",
        "last_event": {"id": "evt.1", "type": "customer.created", "received_at": "2026-11-20T12:00:00.123Z"},
        "schema": 1,
    });
    assert_eq!(written(Customer::default()), expected);
}

/// The keys of an index have a limit too. A longer value stays in the item, but not as a key.
#[rstest]
#[case(1, true)]
#[case(2047, true)]
#[case(2048, true)]
#[case(2049, false)]
#[case(4000, false)]
fn values_too_long_for_an_index_are_not_indexed(#[case] bytes: usize, #[case] is_indexed: bool) {
    let value = "x".repeat(bytes);
    let profile = Profile { emails: vec![Email::only(value.clone())], ..Profile::default() };
    let item = written(Customer { external_id: Some(value.clone()), profile, ..Customer::default() });
    let (key, not_key) = if is_indexed { (json!(value), Value::Null) } else { (Value::Null, json!(value)) };
    assert_eq!((&item["external_id"], &item["profile"]["external_id"]), (&key, &not_key));
    assert_eq!((&item["email"], &item["name"]), (&key, &json!(value)));
    assert_eq!(item["profile"]["emails"], json!([{"email": value, "primary": true}]));
}

#[test]
fn a_deletion_is_written_as_a_tombstone_with_the_message() {
    let mut customer = complete_customer();
    customer.primary_email = Some("PRIMARY@Example.com".into());
    let message = concat!(
        r#"{"schema":1,"type":"customer.deleted","cleanup_id":"acme#w%231#50%25","provider":"acme","account":"w#1","#,
        r#""customer_id":"50%","external_id":"crm-1","identifiers":"#,
        r#"{"emails":["First@Example.com","Ada@Example.com","PRIMARY@Example.com"],"phones":["+44 1","+44 3"],"#,
        r#""external_ids":["crm-1"]},"#,
        r#""deleted_at":"2026-02-09T08:42:07.500Z","event_id":"evt.1"}"#,
    );
    let expected = json!({
        "pk": "acme#w%231#50%25",
        "sk": "customer",
        "provider": "acme",
        "account": "w#1",
        "customer_id": "50%",
        "status": "deleted",
        "deleted_at": "2026-02-09T08:42:07.500Z",
        "rank": "1.80064a601d402261.2.80064a601d4a7a40.00000018.evt.1",
        "last_event": {"id": "evt.1", "type": "customer.gone", "received_at": "2026-11-20T12:00:00.123Z"},
        "schema": 1,
        "cleanup": message,
        "cleanup_due": "2026-11-20T12:00:00.123Z",
        "receipts": {},
    });
    assert_eq!(serde_json::to_value(item(&deletion(&customer))).unwrap(), expected);
}

#[rstest]
#[case(&[], None, &[])]
#[case(&["a", "b", "a"], None, &["a", "b"])]
#[case(&["a", "b"], Some("b"), &["a", "b"])]
#[case(&["a"], Some("A"), &["a", "A"])]
#[case(&[], Some("p"), &["p"])]
fn identifiers_have_no_duplicates(#[case] listed: &[&str], #[case] primary: Option<&str>, #[case] expected: &[&str]) {
    let primary = primary.map(str::to_owned);
    let emails = listed.iter().map(|email| Email { email: (*email).into(), ..Email::default() }).collect();
    let phones = listed.iter().map(|number| Phone { number: (*number).into(), ..Phone::default() }).collect();
    // The identifiers of its contacts belong to other people.
    let contacts = vec![Contact { email: Some("c@x.y".into()), phone: Some("+1".into()), ..Contact::default() }];
    let profile = Profile { emails, phones, contacts, ..Profile::default() };
    let customer = Customer { primary_email: primary.clone(), primary_phone: primary, profile, ..Customer::default() };
    let Change::Deletion(deletion) = deletion(&customer).change().clone() else { panic!("a deletion") };
    assert_eq!((deletion.identifiers.emails, deletion.identifiers.phones), (owned(expected), owned(expected)));
}

fn owned(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

/// SQS accepts neither of the two characters. In JSON both can be escapes.
#[test]
fn sqs_accepts_the_cleanup_message() {
    let customer = Customer { primary_email: Some("a\u{fffe}b\u{ffff}c".into()), ..Customer::default() };
    let Item::Tombstone(tombstone) = item(&deletion(&customer)) else { panic!("a tombstone") };
    let message = tombstone.cleanup.unwrap();
    assert_eq!(
        message,
        concat!(
            r#"{"schema":1,"type":"customer.deleted","cleanup_id":"acme#w%231#50%25","provider":"acme","#,
            r#""account":"w#1","customer_id":"50%","external_id":null,"#,
            r#""identifiers":{"emails":["a\ufffeb\uffffc"],"phones":[],"external_ids":[]},"#,
            r#""deleted_at":"2026-02-09T08:42:07.500Z","event_id":"evt.1"}"#,
        )
    );
    let read: Value = serde_json::from_str(&message).unwrap();
    assert_eq!(read["identifiers"]["emails"], json!(["a\u{fffe}b\u{ffff}c"]));
}

#[test]
fn accessors_return_the_facts_of_an_event() {
    let (created, deleted) = (snapshot(complete_customer()).unwrap(), deletion(&complete_customer()));
    for (event, kind) in [(&created, "customer.created"), (&deleted, "customer.gone")] {
        assert_eq!((event.key(), event.id(), event.kind()), (&key(), "evt.1", kind));
        assert_eq!(event.raised_at(), Some(at("2026-02-09T08:42:09Z").0));
        assert_eq!(item(event).rank(), event.rank().to_string());
    }
    assert!(*created.change() == Change::Snapshot(Box::new(complete_customer())));
    assert_eq!(created.rank().to_string(), "0.80064a601d402261.1.80064a601d4a7a40.00000018.evt.1");
    assert_eq!(deleted.rank().to_string(), "1.80064a601d402261.2.80064a601d4a7a40.00000018.evt.1");
    assert_eq!((key().provider(), key().account(), key().customer_id()), ("acme", "w#1", "50%"));
}

const CHANGED: &str = "2026-02-01T00:00:00.000Z";
const RAISED: &str = "2026-02-02T00:00:00.000Z";
const DELETED: &str = "2026-02-03T00:00:00.000Z";
const EARLIEST: &str = "2000-01-01T00:00:00Z";

/// A time that cannot be used is replaced by another one of the delete. Only `deleted_at`, which is no part of the order,
/// may become the time of arrival.
#[rstest]
#[case(Some(CHANGED), Some(RAISED), Some(DELETED), [CHANGED, RAISED, DELETED])]
#[case(None, Some(RAISED), Some(DELETED), [RAISED, RAISED, DELETED])]
#[case(Some(CHANGED), None, Some(DELETED), [CHANGED, DELETED, DELETED])]
#[case(Some(CHANGED), Some(RAISED), None, [CHANGED, RAISED, RAISED])]
#[case(None, None, Some(DELETED), [DELETED, DELETED, DELETED])]
#[case(None, Some(RAISED), None, [RAISED, RAISED, RAISED])]
#[case(Some(CHANGED), None, None, [CHANGED, CHANGED, CHANGED])]
#[case(None, None, None, [EARLIEST, EARLIEST, "2026-11-20T12:00:00.123Z"])]
fn a_delete_needs_no_time(
    #[case] changed: Option<&str>,
    #[case] raised: Option<&str>,
    #[case] deleted: Option<&str>,
    #[case] expected: [&str; 3],
) {
    let fact = |time: Option<&str>| time.map(event_time).ok_or(Untranslatable::Missing("f"));
    let facts = EventFacts { version: fact(changed), raised: fact(raised), ..event("customer.gone") };
    let deleted_at = deleted.map(event_time);
    let event = CustomerEvent::deletion(key(), facts.clone(), deleted_at, ARRIVED_AT, &Customer::default());
    let Item::Tombstone(tombstone) = item(&event) else { panic!("a tombstone") };
    let [version, raised, deleted_at] = expected.map(at);
    assert_eq!((event.rank().version, event.rank().sequence.raised), (version.into(), raised.into()));
    assert_eq!(tombstone.deleted_at, deleted_at);
    assert_eq!(event.raised_at(), (raised != at(EARLIEST)).then_some(raised.0));
    // It has the same rank on every attempt, and is greater than every other event.
    let later = ARRIVED_AT + jiff::SignedDuration::from_hours(1);
    let again = CustomerEvent::deletion(key(), facts, deleted.map(event_time), later, &Customer::default());
    assert_eq!(again.rank(), event.rank());
    assert!(event.rank() > snapshot(Customer::default()).unwrap().rank());
}

#[rstest]
#[case(Err(Untranslatable::Before2000("v")), Err(Untranslatable::Missing("r")), Untranslatable::Before2000("v"))]
#[case(Ok(event_time(CHANGED)), Err(Untranslatable::AfterArrival("r")), Untranslatable::AfterArrival("r"))]
fn a_snapshot_needs_its_times(
    #[case] version: Result<EventTime, Untranslatable>,
    #[case] raised: Result<EventTime, Untranslatable>,
    #[case] error: Untranslatable,
) {
    let facts = EventFacts { version, raised, ..event("customer.updated") };
    assert_eq!(CustomerEvent::snapshot(key(), facts, Verb::Updated, Customer::default()).unwrap_err(), error);
}

/// Lists nested in each other to this many levels.
fn nested(levels: usize) -> Value {
    (0..levels).fold(Value::Null, |inner, _| json!([inner]))
}

#[rstest]
#[case::nothing(json!({}), json!({}), None, Ok(()))]
#[case::flat(json!({"a": 1}), json!({"b": 2}), Some(json!("c")), Ok(()))]
#[case::just_not_too_deep(json!({"a": nested(30)}), json!({"b": nested(30)}), Some(nested(30)), Ok(()))]
#[case::extra_too_deep(json!({"a": nested(31)}), json!({}), None, Err(Untranslatable::NestedTooDeep))]
#[case::extra_of_batch_too_deep(json!({}), json!({"b": nested(31)}), None, Err(Untranslatable::NestedTooDeep))]
#[case::metadata_too_deep(json!({}), json!({}), Some(nested(31)), Err(Untranslatable::NestedTooDeep))]
#[case::extra_and_metadata_too_deep(
    json!({"a": nested(31)}), json!({}), Some(json!("c")), Err(Untranslatable::NestedTooDeep)
)]
#[case::empty_name(json!({"": 1}), json!({}), None, Err(Untranslatable::EmptyName))]
#[case::empty_name_of_batch(json!({"a": 1}), json!({"": 1}), None, Err(Untranslatable::EmptyName))]
#[case::empty_name_in_metadata(json!({}), json!({}), Some(json!({"": 1})), Err(Untranslatable::EmptyName))]
fn customers_that_cannot_be_stored_are_refused(
    #[case] extra: Value,
    #[case] extra_of_batch: Value,
    #[case] metadata: Option<Value>,
    #[case] result: Result<(), Untranslatable>,
) {
    let profile = Profile { metadata, ..Profile::default() };
    let extra_of_batch = Arc::new(map(extra_of_batch));
    let customer = Customer { extra: map(extra), extra_of_batch, profile, ..Customer::default() };
    assert_eq!(snapshot(customer).map(drop), result);
}

const PROVIDER: Provider = Provider {
    name: "acme",
    scheme_variable: None,
    scheme: |_| Ok(Scheme::Token(TokenPlace::Path)),
    accepts_weak_secrets: false,
    response_rules: ResponseRules { rejected_status: 401, ignored_status: 200, batch_field: None },
    translate: |_| vec![],
    credential_fields: CredentialFields::NONE,
    dropped_paths: &[],
    known_extra: &[],
};

#[test]
fn debug_prints_nothing_personal() {
    let customer = complete_customer();
    let profile = customer.profile.clone();
    let (created, deleted) = (snapshot(complete_customer()).unwrap(), deletion(&customer));
    let request = || Request { token: Some("token-1".into()), body: Some("Ada".into()), ..Request::default() };
    let delivery = || Delivery::accept(request(), 1024).unwrap();
    let scheme = Scheme::Token(TokenPlace::Path);
    let verified_with = |secret| {
        let secrets = Secrets::parse(secret, &scheme).unwrap();
        verify(delivery(), &scheme, &secrets, at("2026-11-20T12:00:00Z").0, Duration::ZERO)
    };
    let printed = [
        (format!("{customer:?}"), "Customer(..)"),
        (format!("{profile:?}"), "Profile(..)"),
        (format!("{:?}", profile.emails), "[Email(..), Email(..)]"),
        (format!("{:?}", profile.phones), "[Phone(..)]"),
        (format!("{:?}", profile.billing_address), "Some(Address(..))"),
        (format!("{:?}", profile.tax_ids), "[TaxId(..)]"),
        (format!("{:?}", profile.contacts), "[Contact(..)]"),
        (format!("{:?}", profile.groups), "[Group(..)]"),
        (format!("{:?}", profile.spam), "Some(SpamMark(..))"),
        (format!("{:?}", profile.created_by), "Some(Actor(..))"),
        (format!("{:?}", created.key()), "CustomerKey(..)"),
        (format!("{:?}", created.change()), "Change(..)"),
        (format!("{:?}", item(&created)), "Item(..)"),
        (format!("{:?}", item(&deleted)), "Item(..)"),
        (format!("{deleted:?}"), "CustomerEvent(..)"),
        (format!("{:?}", Translated::Event(Box::new(created))), "Event(CustomerEvent(..))"),
        (format!("{:?}", ExtraFields::new(&[]).keep("", map(json!({"name": "Ada"})))), "ExtraFields(..)"),
        (format!("{:?}", Fields::try_from(json!({"name": "Ada"})).unwrap()), "Fields(..)"),
        (format!("{:?}", request()), "Request(..)"),
        (format!("{:?}", delivery()), "Delivery(..)"),
        (format!("{:?}", verified_with("token-1").unwrap()), "Verified(..)"),
        (
            format!("{:?}", verified_with("token-2").unwrap_err()),
            "RejectedDelivery { reason: Mismatch, delivery: Delivery(..) }",
        ),
        (format!("{PROVIDER:?}"), "acme"),
    ];
    for (text, expected) in printed {
        assert_eq!(text, expected);
    }
    let Change::Deletion(deletion) = deleted.change() else { panic!("a deletion") };
    assert_eq!(format!("{deletion:?} {:?}", deletion.identifiers), "Deletion(..) Identifiers(..)");
    let Item::Tombstone(tombstone) = item(&deleted) else { panic!("a tombstone") };
    assert_eq!(format!("{tombstone:?}"), "Tombstone(..)");
    let Item::Customer(customer) = item(&snapshot(complete_customer()).unwrap()) else { panic!("a customer") };
    assert_eq!(format!("{customer:?}"), "CustomerItem(..)");
}
