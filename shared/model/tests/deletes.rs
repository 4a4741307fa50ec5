//! What a delete makes of the customer's current item.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs, reason = "tests")]

use std::time::Duration;

use clientele_model::{
    CleanupMessage, Customer, CustomerEvent, CustomerKey, DeleteDecision, Deletion, Email, ErasureSettings, EventFacts,
    EventTime, Id, Item, Outcome, Phone, Profile, Rank, Receipt, Time, Tombstone, Verb,
};
use jiff::Timestamp;
use rstest::rstest;
use serde_json::{Value, json};

/// 2026-11-20T12:00:00Z
const ARRIVED_AT: Timestamp = Timestamp::constant(1_795_176_000, 0);
/// When the delete is applied: a delivery that was parked is replayed later than it arrived.
const NOW: Timestamp = Timestamp::constant(1_795_176_060, 0);
/// The most bytes of an item in DynamoDB.
const ITEM_BYTES_MAX: usize = 400 * 1024;

const AT_ONCE: ErasureSettings = ErasureSettings { awaits_receipts: false, hold: Duration::ZERO };
const AWAITING: ErasureSettings = ErasureSettings { awaits_receipts: true, hold: Duration::from_mins(30) };

fn time(moment: Timestamp) -> Time {
    Time(moment)
}

fn key() -> CustomerKey {
    CustomerKey::new("acme", Id::new("w_1".into()).unwrap(), Id::new("c_1".into()).unwrap()).unwrap()
}

fn facts(id: &str, version: i64) -> EventFacts {
    let version = Timestamp::from_second(ARRIVED_AT.as_second() - 100 + version).unwrap();
    let version = EventTime::new("version", time(version), ARRIVED_AT).unwrap();
    EventFacts { id: id.into(), kind: "deleted".into(), version: Ok(version), raised: Ok(version), place: 0 }
}

/// A customer with these identifiers, separated by blanks: e-mails have an `@`, phones begin with `+`, the key with neither.
fn customer(identifiers: &str) -> Customer {
    let all = || identifiers.split_whitespace();
    let email = |email: &str| Email { email: email.to_owned(), ..Email::only("x".into()) };
    let phone = |number: &str| Phone { number: number.to_owned(), country_code: None, primary: None };
    let profile = Profile {
        emails: all().filter(|it| it.contains('@')).map(email).collect(),
        phones: all().filter(|it| it.starts_with('+')).map(phone).collect(),
        ..Profile::default()
    };
    let external_id = all().find(|it| !it.contains('@') && !it.starts_with('+')).map(str::to_owned);
    Customer { external_id, profile, ..Customer::default() }
}

fn updated(identifiers: &str) -> Item {
    CustomerEvent::snapshot(key(), facts("u", 1), Verb::Updated, customer(identifiers)).unwrap().item(ARRIVED_AT)
}

fn delete(id: &str, version: i64, identifiers: &str) -> CustomerEvent {
    CustomerEvent::deletion(key(), facts(id, version), None, ARRIVED_AT, &customer(identifiers))
}

fn erased_by_operator(reason: &str) -> CustomerEvent {
    CustomerEvent::operator_deletion(key(), reason, Deletion::at(time(NOW)))
}

fn decide(event: &CustomerEvent, current: Option<&Item>, settings: ErasureSettings) -> (Option<Tombstone>, Outcome) {
    match event.decide_delete(current, ARRIVED_AT, NOW, &settings).unwrap() {
        DeleteDecision::Write(tombstone, outcome) => (Some(*tombstone), outcome),
        DeleteDecision::Keep(outcome) => (None, outcome),
    }
}

/// The tombstone that the delete writes.
fn written(event: &CustomerEvent, current: Option<&Item>) -> Tombstone {
    decide(event, current, AT_ONCE).0.unwrap()
}

/// A tombstone of version 5 with a receipt, for which one is still missing.
fn tombstone(cleanup: Option<&str>) -> Tombstone {
    let mut tombstone = written(&delete("d5", 5, cleanup.unwrap_or_default()), None);
    let erased_at = "2026-11-20T10:00:00Z".parse().unwrap();
    tombstone.receipts.insert("crm".into(), Receipt { erased_at, received_at: erased_at });
    tombstone.erasure_open = Some("2026-11-20T09:00:00Z".parse().unwrap());
    tombstone.cleanup_due = Some("2026-11-20T09:30:00Z".parse().unwrap());
    if cleanup.is_none() {
        (tombstone.cleanup, tombstone.cleanup_due) = (None, None);
    }
    tombstone
}

fn boxed(tombstone: &Tombstone) -> Item {
    Item::Tombstone(Box::new(tombstone.clone()))
}

fn message(tombstone: &Tombstone) -> CleanupMessage {
    serde_json::from_str(tombstone.cleanup.as_ref().unwrap()).unwrap()
}

/// The identifiers of the message as JSON, and `external_id`.
fn identifiers(tombstone: &Tombstone) -> Value {
    let CleanupMessage { external_id, identifiers, .. } = message(tombstone);
    let mut json = serde_json::to_value(identifiers).unwrap();
    json["external_id"] = external_id.into();
    json
}

fn bytes(tombstone: &Tombstone) -> usize {
    let attributes = serde_json::to_value(tombstone).unwrap();
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string().len(), str::len);
    attributes.as_object().unwrap().iter().map(|(name, value)| name.len() + text(value)).sum()
}

/// A delete without an item, and one that finds the customer: what the delete says comes first.
#[rstest]
#[case::no_item("k1 a@x.y +1", None, json!({"external_id": "k1", "external_ids": ["k1"], "emails": ["a@x.y"], "phones": ["+1"]}))]
#[case::trimmed(
    "",
    Some("k1 a@x.y b@x.y +1"),
    json!({"external_id": "k1", "external_ids": ["k1"], "emails": ["a@x.y", "b@x.y"], "phones": ["+1"]})
)]
#[case::same(
    "k1 a@x.y +1",
    Some("k1 a@x.y +1"),
    json!({"external_id": "k1", "external_ids": ["k1"], "emails": ["a@x.y"], "phones": ["+1"]})
)]
#[case::different(
    "k2 c@x.y b@x.y +2",
    Some("k1 a@x.y b@x.y +1"),
    json!({"external_id": "k2", "external_ids": ["k2", "k1"], "emails": ["c@x.y", "b@x.y", "a@x.y"], "phones": ["+2", "+1"]})
)]
#[case::nothing_known("", Some(""), json!({"external_id": null, "external_ids": [], "emails": [], "phones": []}))]
fn a_first_delete_says_what_the_item_said(#[case] delete: &str, #[case] item: Option<&str>, #[case] expected: Value) {
    let (item, event) = (item.map(updated), self::delete("d5", 5, delete));
    let (tombstone, outcome) = decide(&event, item.as_ref(), AT_ONCE);
    let tombstone = tombstone.unwrap();
    assert_eq!((identifiers(&tombstone), outcome), (expected, Outcome::Applied));
    assert_eq!(message(&tombstone).event_id.as_deref(), Some("d5"));
    assert_eq!((tombstone.rank.as_str(), tombstone.receipts.len()), (event.rank().to_string().as_str(), 0));
    assert_eq!((tombstone.cleanup_due, tombstone.erasure_open), (Some(time(NOW)), None));
}

/// A key that is too long for its index is in the profile.
#[test]
fn a_long_key_is_an_identifier_too() {
    let key = "k".repeat(3_000);
    let tombstone = written(&delete("d5", 5, ""), Some(&updated(&key)));
    assert_eq!(identifiers(&tombstone)["external_id"], json!(key));
    assert_eq!(identifiers(&tombstone)["external_ids"], json!([key]));
}

/// An item has the address in `email` only if the profile has it as well. Without one in the profile, the attribute counts.
#[test]
fn the_indexed_address_is_an_identifier_if_there_is_no_other() {
    let Item::Customer(mut item) = updated("a@x.y") else { panic!("a customer") };
    item.email = Some("indexed@x.y".into());
    let with = |item| identifiers(&written(&delete("d5", 5, ""), Some(&Item::Customer(item))))["emails"].clone();
    assert_eq!(with(item.clone()), json!(["a@x.y"]));
    item.profile.emails.clear();
    assert_eq!(with(item), json!(["indexed@x.y"]));
}

/// The hold counts from the write, not from the arrival; a tombstone is open only if systems confirm erasures.
#[rstest]
#[case(AT_ONCE, "2026-11-20T12:01:00Z", None)]
#[case(AWAITING, "2026-11-20T12:31:00Z", Some("2026-11-20T12:01:00Z"))]
#[case(
    ErasureSettings { hold: Duration::from_millis(1), awaits_receipts: false },
    "2026-11-20T12:01:00.001Z",
    None
)]
#[case(
    ErasureSettings { hold: Duration::MAX, awaits_receipts: false },
    "9999-12-30T22:00:00.999999999Z",
    None
)]
fn hold_and_receipts(#[case] settings: ErasureSettings, #[case] due: &str, #[case] open: Option<&str>) {
    let item = updated("a@x.y");
    for current in [None, Some(&item)] {
        let tombstone = decide(&delete("d5", 5, ""), current, settings).0.unwrap();
        assert_eq!(tombstone.cleanup_due.unwrap().to_string(), due);
        assert_eq!(tombstone.erasure_open.map(|open| open.to_string()).as_deref(), open);
        assert_eq!(tombstone.last_event.received_at, time(ARRIVED_AT));
    }
}

/// A greater delete keeps the unsent message's identifiers and its due time, and in any case the receipts.
#[test]
fn a_greater_delete_of_an_unsent_message_unites_both() {
    let current = tombstone(Some("k1 a@x.y b@x.y +1"));
    let event = delete("d6", 6, "k2 b@x.y c@x.y");
    let (tombstone, outcome) = decide(&event, Some(&boxed(&current)), AWAITING);
    let tombstone = tombstone.unwrap();
    assert_eq!(outcome, Outcome::Applied);
    let expected = json!({
        "external_id": "k2", "external_ids": ["k2", "k1"], "emails": ["b@x.y", "c@x.y", "a@x.y"], "phones": ["+1"],
    });
    assert_eq!(identifiers(&tombstone), expected);
    assert_eq!(message(&tombstone).event_id.as_deref(), Some("d6"));
    assert_eq!((tombstone.rank.clone(), tombstone.last_event.id.as_deref()), (event.rank().to_string(), Some("d6")));
    assert_eq!((&tombstone.receipts, tombstone.erasure_open), (&current.receipts, current.erasure_open));
    assert_eq!(tombstone.cleanup_due, current.cleanup_due);
}

#[test]
fn a_greater_delete_after_sending_has_a_message_of_its_own() {
    let current = tombstone(None);
    for (settings, due) in [(AT_ONCE, "2026-11-20T12:01:00Z"), (AWAITING, "2026-11-20T12:31:00Z")] {
        let (tombstone, outcome) = decide(&delete("d6", 6, "a@x.y"), Some(&boxed(&current)), settings);
        let tombstone = tombstone.unwrap();
        assert_eq!(outcome, Outcome::Applied);
        let expected = json!({"external_id": null, "external_ids": [], "emails": ["a@x.y"], "phones": []});
        assert_eq!(identifiers(&tombstone), expected);
        assert_eq!(tombstone.cleanup_due.unwrap().to_string(), due);
        assert_eq!((&tombstone.receipts, tombstone.erasure_open), (&current.receipts, current.erasure_open));
    }
}

/// The same delete again, and a lesser one. Only what a lesser one knows and the unsent message does not is added.
#[rstest]
#[case::same_unsent(Some("k1 a@x.y"), 5, "k1 a@x.y", Outcome::Duplicate, None)]
#[case::same_sent(None, 5, "", Outcome::Duplicate, None)]
#[case::lesser_unsent(Some("k1 a@x.y"), 4, "a@x.y", Outcome::Stale, None)]
#[case::lesser_sent(None, 4, "k1 a@x.y +1", Outcome::Stale, None)]
#[case::lesser_with_more(
    Some("k1 a@x.y"),
    4,
    "k2 b@x.y +1",
    Outcome::Stale,
    Some(json!({"external_id": "k1", "external_ids": ["k1", "k2"], "emails": ["a@x.y", "b@x.y"], "phones": ["+1"]}))
)]
#[case::lesser_with_a_key(
    Some("a@x.y"),
    4,
    "k2",
    Outcome::Stale,
    Some(json!({"external_id": "k2", "external_ids": ["k2"], "emails": ["a@x.y"], "phones": []}))
)]
fn other_deletes_keep_the_tombstone(
    #[case] cleanup: Option<&str>,
    #[case] version: i64,
    #[case] identifiers: &str,
    #[case] outcome: Outcome,
    #[case] grown: Option<Value>,
) {
    let current = tombstone(cleanup);
    let event = delete(&format!("d{version}"), version, identifiers);
    let decision = decide(&event, Some(&boxed(&current)), AWAITING);
    assert_eq!(decision.1, outcome);
    let written = decision.0;
    assert_eq!(written.as_ref().map(self::identifiers), grown);
    if let Some(written) = written {
        // Nothing but the message has changed, and in the message nothing but the identifiers.
        assert_eq!(message(&written).event_id.as_deref(), Some("d5"));
        assert!(Tombstone { cleanup: None, ..written } == Tombstone { cleanup: None, ..current });
    }
}

/// Everything that a merge adds is added once: the same delete again finds it there.
#[test]
fn a_lesser_delete_adds_once() {
    let lesser = delete("d4", 4, "k2 b@x.y +1");
    let grown = written(&lesser, Some(&boxed(&tombstone(Some("a@x.y")))));
    assert_eq!(decide(&lesser, Some(&boxed(&grown)), AT_ONCE), (None, Outcome::Stale));
}

/// An operator's delete is greater than any delete of a provider. With the same reason it is the same delete.
#[test]
fn an_operators_delete_is_the_greatest() {
    let late = delete("z", 86_400, "b@x.y");
    let operators = erased_by_operator("request-17");
    assert!(late.rank() < operators.rank());
    let current = boxed(&tombstone(Some("k1 a@x.y")));
    let (written, outcome) = decide(&operators, Some(&current), AT_ONCE);
    let written = written.unwrap();
    assert_eq!(outcome, Outcome::Applied);
    assert_eq!(identifiers(&written)["emails"], json!(["a@x.y"]));
    assert_eq!(
        (written.last_event.kind.as_str(), written.last_event.id.as_deref()),
        ("operator.erased", Some("request-17"))
    );
    assert_eq!(message(&written).event_id.as_deref(), Some("request-17"));
    assert_eq!(written.deleted_at, time(NOW));
    assert_eq!(decide(&operators, Some(&boxed(&written)), AT_ONCE), (None, Outcome::Duplicate));
    let (grown, outcome) = decide(&late, Some(&boxed(&written)), AT_ONCE);
    assert_eq!((identifiers(&grown.unwrap())["emails"].clone(), outcome), (json!(["a@x.y", "b@x.y"]), Outcome::Stale));
    // The reasons order deletes of operators, so that the same two deletes in any order leave the same tombstone.
    assert_eq!(decide(&erased_by_operator("request-18"), Some(&boxed(&written)), AT_ONCE).1, Outcome::Applied);
    assert_eq!(decide(&erased_by_operator("request-16"), Some(&boxed(&written)), AT_ONCE).1, Outcome::Stale);
}

/// Its version is no moment, and nothing that reads a rank fails because of it.
#[test]
fn the_rank_of_an_operators_delete_can_be_read() {
    let event = erased_by_operator("request-17");
    let text = event.rank().to_string();
    assert_eq!(text, "1.ffffffffffffffff.2.8000000000000000.00000000.request-17");
    let rank: Rank = text.parse().unwrap();
    assert_eq!((rank.clone(), rank.version.timestamp()), (event.rank(), None));
    assert_eq!(rank.version.to_string(), "9223372036854775807");
    assert_eq!(event.raised_at(), None);
    // A reconciliation that takes over the version of such an item stays below it.
    let observed = CustomerEvent::observed_deletion(key(), rank.version, Deletion::at(time(NOW)));
    assert!(observed.rank() < event.rank());
}

/// An event that is not a delete decides nothing.
#[test]
fn an_update_is_no_delete() {
    let update = CustomerEvent::snapshot(key(), facts("u", 1), Verb::Updated, customer("")).unwrap();
    assert!(update.decide_delete(None, ARRIVED_AT, NOW, &AT_ONCE).is_none());
}

/// Whatever the customer has, and in whatever order deletes come, the tombstone with its message fits into the table. The
/// message says that some identifiers are missing. Characters that SQS does not take are longer in a message.
#[rstest]
#[case::addresses("a@x.y", 16_000)]
#[case::escaped("\u{fffe}@x.y", 16_000)]
#[case::quotes("\"\"\"\"\"\"\"\"@", 16_000)]
#[case::long("a-very-very-very-long-address@example.com", 4_000)]
fn a_message_always_fits_into_its_tombstone(#[case] address: &str, #[case] count: usize) {
    let many = |prefix: &str| {
        let all: Vec<_> = (0..count).map(|number| format!("{prefix}{number}{address}")).collect();
        format!("{}-{prefix} {}", "\u{fffe}".repeat(30_000), all.join(" "))
    };
    let first = written(&delete("d5", 5, "first@x.y"), Some(&updated(&many("a"))));
    let only_delete = written(&delete("d5", 5, &many("a")), None);
    let greater = written(&delete("d6", 6, &many("b")), Some(&boxed(&first)));
    let lesser = decide(&delete("d4", 4, &many("c")), Some(&boxed(&greater)), AT_ONCE).0.unwrap_or(greater.clone());
    for (name, tombstone) in [("first", &first), ("only", &only_delete), ("greater", &greater), ("lesser", &lesser)] {
        let bytes = bytes(tombstone);
        assert!((240_000..ITEM_BYTES_MAX * 7 / 10).contains(&bytes), "{name}: {bytes}");
        assert_eq!(identifiers(tombstone)["truncated"], true, "{name}");
    }
    assert_eq!(identifiers(&first)["emails"][0], "first@x.y");
}

/// A value that does not fit leaves room for the smaller ones after it.
#[test]
fn one_large_identifier_does_not_displace_the_others() {
    let item = updated(&format!("{} a@x.y +1", "k".repeat(200_000)));
    let tombstone = written(&delete("d5", 5, "k2"), Some(&item));
    let CleanupMessage { external_id, identifiers, .. } = message(&tombstone);
    assert_eq!((external_id.as_deref(), identifiers.external_ids.len(), identifiers.truncated), (Some("k2"), 2, false));
    let tombstone = written(&delete("d5", 5, ""), Some(&item));
    let CleanupMessage { external_id, identifiers, .. } = message(&tombstone);
    // The key would be in the message twice.
    assert_eq!((external_id.map(|id| id.len()), identifiers.external_ids.len()), (Some(200_000), 0));
    assert_eq!((&identifiers.emails[..], &identifiers.phones[..]), (&["a@x.y".to_owned()][..], &["+1".to_owned()][..]));
    assert!(identifiers.truncated);
}

#[test]
fn missing_receipts() {
    let systems = ["crm", "mailing"].map(str::to_owned);
    let mut tombstone = tombstone(None);
    assert_eq!(tombstone.missing_receipts(&systems), ["mailing"]);
    tombstone.receipts.clear();
    assert_eq!(tombstone.missing_receipts(&systems), ["crm", "mailing"]);
    assert_eq!(tombstone.missing_receipts(&[]), [""; 0]);
}
