//! What is read from a provider's list: its place in the order, and the items that it leads to.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs, reason = "tests")]

use clientele_model::{
    CleanupMessage, Customer, CustomerEvent, CustomerItem, CustomerKey, Deletion, EventFacts, EventTime, Id, Item,
    ItemError, Rank, Time, Untranslatable, Verb,
};
use jiff::Timestamp;
use rstest::rstest;
use serde_json::{Map, Value, json};

/// 2026-11-20T12:00:00.123456Z
const ARRIVED_AT: Timestamp = Timestamp::constant(1_795_176_000, 123_456_000);
const VERSION: &str = "2026-02-09T08:42:08.322145Z";
const EARLIEST: &str = "2000-01-01T00:00:00Z";

fn at(moment: &str) -> Time {
    moment.parse().unwrap()
}

fn event_time(moment: &str) -> EventTime {
    EventTime::new("f", at(moment), ARRIVED_AT).unwrap()
}

fn key() -> CustomerKey {
    CustomerKey::new("acme", Id::new("w#1".into()).unwrap(), Id::new("50%".into()).unwrap()).unwrap()
}

fn map(value: Value) -> Map<String, Value> {
    let Value::Object(fields) = value else { panic!("not an object: {value}") };
    fields
}

fn ada() -> Customer {
    let profile = json!({
        "display_name": "Ada Lovelace", "phones": [{"number": "+44 1"}],
        "emails": [{"email": "First@Example.com"}, {"email": "Ada@Example.com", "primary": true}],
    });
    Customer {
        external_id: Some("crm-1".into()),
        profile: serde_json::from_value(profile).unwrap(),
        extra: map(json!({"plan": "gold"})),
        ..Customer::default()
    }
}

/// An update of this version.
fn updated(version: &str, customer: Customer) -> CustomerEvent {
    let (version, raised) = (Ok(event_time(version)), Ok(event_time("2026-02-09T08:42:09Z")));
    let facts = EventFacts { id: "evt.1".into(), kind: "customer.updated".into(), version, raised, place: 24 };
    CustomerEvent::snapshot(key(), facts, Verb::Updated, customer).unwrap()
}

/// The provider's own delete of this version.
fn deleted(version: &str) -> CustomerEvent {
    let (version, raised) = (Ok(event_time(version)), Ok(event_time(EARLIEST)));
    let facts = EventFacts { id: "e".into(), kind: "customer.deleted".into(), version, raised, place: 0 };
    CustomerEvent::deletion(key(), facts, None, ARRIVED_AT, &Customer::default())
}

fn item(event: &CustomerEvent) -> Item {
    event.item(ARRIVED_AT)
}

/// An import shows the record of this version at `ARRIVED_AT`.
fn observation(version: &str, customer: Customer) -> CustomerEvent {
    CustomerEvent::observation(key(), event_time(version), customer).unwrap()
}

fn observed_deletion(version: &str, item: &CustomerItem) -> CustomerEvent {
    let deletion = Deletion::of_item(item, at("2026-02-10T00:00:00Z"));
    CustomerEvent::observed_deletion(key(), event_time(version).into(), deletion)
}

fn customer_item(customer: Customer) -> CustomerItem {
    let Item::Customer(item) = item(&updated(VERSION, customer)) else { panic!("a customer") };
    *item
}

/// Apart from the rank and the last event, it is the item that the webhook would have left.
#[test]
fn an_observation_is_written_as_an_event_is() {
    let mut expected = serde_json::to_value(item(&updated(VERSION, ada()))).unwrap();
    expected["rank"] = json!("0.80064a601d402261.0.8000000000000000.00000000.");
    expected["last_event"] = json!({"type": "import", "received_at": "2026-11-20T12:00:00.123Z"});
    let observed = observation(VERSION, ada());
    assert_eq!(serde_json::to_value(item(&observed)).unwrap(), expected);
    assert_eq!((observed.id(), observed.kind(), observed.raised_at()), ("", "import", None));
    assert_eq!(item(&observed).rank().parse::<Rank>(), Ok(observed.rank()));
}

/// Reading a list again changes nothing, and any event of the version replaces what was read.
#[test]
fn an_observation_is_less_than_every_event_of_its_version() {
    let observed = observation(VERSION, ada()).rank();
    assert_eq!(observation(VERSION, Customer::default()).rank(), observed, "two observations of a version are equal");
    // The least events that there can be: raised before anything else, at the first place.
    for verb in [Verb::Created, Verb::Updated] {
        let raised = Ok(EventTime::new("f", at(EARLIEST), ARRIVED_AT).unwrap());
        let facts =
            EventFacts { raised, place: 0, id: String::new(), version: Ok(event_time(VERSION)), kind: "k".into() };
        let event = CustomerEvent::snapshot(key(), facts, verb, Customer::default()).unwrap();
        assert!(observed < event.rank(), "{verb:?}");
        let next_version = observation("2026-02-09T08:42:08.322146Z", Customer::default());
        assert!(next_version.rank() > event.rank(), "an observation of a later version is greater");
    }
    let newest = observation("2026-11-20T12:00:00Z", Customer::default()).rank();
    assert!(newest < deleted(EARLIEST).rank(), "a delete is greater than any observation");
    assert!(newest < observed_deletion(EARLIEST, &customer_item(Customer::default())).rank());
}

/// It is less than the provider's own delete of that version, which replaces it if it still arrives.
#[test]
fn an_observed_deletion_is_written_as_a_tombstone_with_a_message() {
    let event = observed_deletion(VERSION, &customer_item(ada()));
    let message = concat!(
        r#"{"schema":1,"type":"customer.deleted","cleanup_id":"acme#w%231#50%25","provider":"acme","account":"w#1","#,
        r#""customer_id":"50%","external_id":"crm-1","identifiers":"#,
        r#"{"emails":["First@Example.com","Ada@Example.com"],"phones":["+44 1"],"external_ids":["crm-1"]},"#,
        r#""deleted_at":"2026-02-10T00:00:00Z"}"#,
    );
    let expected = json!({
        "pk": "acme#w%231#50%25",
        "sk": "customer",
        "provider": "acme",
        "account": "w#1",
        "customer_id": "50%",
        "status": "deleted",
        "deleted_at": "2026-02-10T00:00:00Z",
        "rank": "1.80064a601d402261.0.8000000000000000.00000000.",
        "last_event": {"type": "reconcile", "received_at": "2026-11-20T12:00:00.123Z"},
        "schema": 1,
        "receipts": {},
        "cleanup": message,
        "cleanup_due": "2026-11-20T12:00:00.123Z",
        "receipts": {},
    });
    assert_eq!(serde_json::to_value(item(&event)).unwrap(), expected);
    assert_eq!((event.id(), event.kind(), event.raised_at()), ("", "reconcile", None));
    assert!(event.rank() < deleted(VERSION).rank());
    let read: CleanupMessage = serde_json::from_str(message).unwrap();
    assert_eq!((read.event_id, read.cleanup_id.as_str()), (None, "acme#w%231#50%25"));
}

/// What the item says about the customer is all that is known.
#[rstest]
#[case::primary_email_only(json!({}), Some("p@x.y"), None, &["p@x.y"], None)]
#[case::listed_emails(
    json!({"emails": [{"email": "A@x.y"}, {"email": "b@x.y"}, {"email": "A@x.y"}]}), Some("a@x.y"), None, &["A@x.y", "b@x.y"], None
)]
#[case::nothing(json!({}), None, None, &[], None)]
#[case::external_id(json!({}), None, Some("crm-1"), &[], Some("crm-1"))]
#[case::long_external_id(json!({"external_id": "crm-2"}), None, None, &[], Some("crm-2"))]
#[case::contacts(json!({"contacts": [{"email": "c@x.y", "phone": "1"}]}), None, None, &[], None)]
fn identifiers_of_an_item(
    #[case] profile: Value,
    #[case] email: Option<&str>,
    #[case] external_id: Option<&str>,
    #[case] emails: &[&str],
    #[case] expected_id: Option<&str>,
) {
    let item = CustomerItem {
        profile: serde_json::from_value(profile).unwrap(),
        email: email.map(str::to_owned),
        external_id: external_id.map(str::to_owned),
        ..customer_item(Customer::default())
    };
    let Deletion { identifiers, external_id, .. } = Deletion::of_item(&item, at(VERSION));
    assert_eq!(
        (identifiers.emails, external_id.as_deref()),
        (emails.iter().map(|email| (*email).to_owned()).collect(), expected_id)
    );
    assert!(identifiers.phones.is_empty());
}

#[test]
fn an_observation_must_be_storable() {
    let nested = (0..31).fold(Value::Null, |inner, _| json!([inner]));
    let customer = Customer { extra: map(json!({"a": nested})), ..Customer::default() };
    let error = CustomerEvent::observation(key(), event_time(VERSION), customer).unwrap_err();
    assert_eq!(error, Untranslatable::NestedTooDeep);
}

/// Items are read as they were written, with every digit.
#[test]
fn items_are_read_as_they_were_written() {
    let mut customer = ada();
    customer.extra.insert("n".into(), serde_json::from_str("0.10000000000000000000000001").unwrap());
    for event in [updated(VERSION, customer), deleted(VERSION)] {
        let written = serde_json::to_value(item(&event)).unwrap();
        let read = Item::try_from(map(written.clone())).unwrap();
        assert_eq!(serde_json::to_value(&read).unwrap().to_string(), written.to_string());
    }
    for other in [json!({}), json!({"status": "deleted"}), json!({"status": "active", "more": 1})] {
        assert_eq!(Item::try_from(map(other)).err(), Some(ItemError));
    }
    let written = map(serde_json::to_value(item(&updated(VERSION, ada()))).unwrap());
    for (name, value) in [("extra", json!([])), ("extra", Value::Null), ("profile", json!("x")), ("more", json!(1))] {
        let other = written.clone().into_iter().chain([(name.to_owned(), value)]).collect::<Map<_, _>>();
        assert_eq!(Item::try_from(other).err(), Some(ItemError), "{name}");
    }
}

/// Names that are private to the parser may be anywhere in what has no place in the common model.
#[rstest]
fn items_may_have_any_names(
    #[values("$serde_json::private::Number", "$serde_json::private::RawValue")] name: &str,
    #[values(json!("x"), json!("7"), json!(7), Value::Null)] value: Value,
) {
    let object = Value::Object([(name.to_owned(), value)].into_iter().collect());
    let mut customer = ada();
    customer.extra.insert(name.to_owned(), object.clone());
    customer.profile.metadata = Some(json!({ "a": [&object], "b": object }));
    let written = serde_json::to_value(item(&updated(VERSION, customer))).unwrap();
    let read = Item::try_from(map(written.clone())).unwrap();
    assert_eq!(serde_json::to_value(&read).unwrap(), written);
}
