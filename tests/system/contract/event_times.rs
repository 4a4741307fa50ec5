//! The times that order events: only plausible ones, and the same on every attempt.

use Untranslatable::{AfterArrival, Before2000, Missing};
use clientele::events::signed_at;
use clientele::signing::UnsignedRequest;
use clientele_model::{
    EpochMicros, Item, KeptDelivery, KeptPart, SampleEvent, Sequence, Time, Translated, Translation, Untranslatable,
};
use clientele_providers::find;
use jiff::SignedDuration;
use rstest::rstest;
use serde_json::{Value, json};

use crate::support::deliveries::{UPDATED, change, deliver, pk, signed};
use crate::support::translation::{changed, changed_body, verified};
use crate::support::{case, drain, handle, item, stack};

const FAR_FUTURE: &str = "2999-01-01T00:00:00.000Z";
const ZERO_OF_GO: &str = "0001-01-01T00:00:00Z";

fn error(translation: Translation) -> Result<(), Untranslatable> {
    translation.map(|translated| assert!(matches!(translated, Translated::Event(_))))
}

/// Version and sequence of a delete, and the time in its tombstone.
fn times_of_delete(translation: Translation) -> (EpochMicros, Sequence, Time) {
    let Ok(Translated::Event(event)) = translation else { panic!("an event") };
    let Item::Tombstone(tombstone) = event.item(signed_at()) else { panic!("a tombstone") };
    (event.rank().version, event.rank().sequence, tombstone.deleted_at)
}

/// The time of a Svix message is that in its id, however late it is sent again.
#[tokio::test]
async fn an_old_message_is_stale_whenever_it_is_sent_again() {
    let stack = stack().await;
    let [old, new] = [change("ada", 0, 1, UPDATED), change("ada", 7_000, 2, UPDATED)];
    let send = async |change: &SampleEvent, days: i64| {
        let now = signed_at() + SignedDuration::from_hours(days * 24);
        let event = deliver("flexprice", std::slice::from_ref(change), now);
        handle(&stack.receivers["flexprice"], &event, now).await.body.unwrap()
    };
    assert_eq!(send(&old, 0).await, r#"{"outcome":"applied"}"#);
    assert_eq!(send(&new, 0).await, r#"{"outcome":"applied"}"#);
    for days in [1, 29, 30, 31, 200, 4_000] {
        assert_eq!(send(&old, days).await, r#"{"outcome":"stale"}"#, "after {days} days");
    }
    assert_eq!(send(&new, 31).await, r#"{"outcome":"duplicate"}"#);
    assert_eq!(item(&stack, &pk("flexprice", "ada")).await.unwrap()["name"], new.name.as_str());
}

/// The deliveries arrive at 2026-11-20T12:00:00Z.
#[rstest]
#[case("metrifox/customer-updated", "/data/customer/updated_at", "updated_at")]
#[case("plain/customer-updated", "/payload/customer/updatedAt", "updatedAt")]
#[case("plain/customer-updated", "/timestamp", "timestamp")]
#[case("smarterpay/customer-updated", "/events/0/edited_at", "edited_at")]
#[case("smarterpay/customer-updated", "/sent_at", "sent_at")]
#[case("flexprice/older-shape", "/customer/updated_at", "updated_at")]
fn an_implausible_time_is_quarantined(#[case] title: &str, #[case] pointer: &str, #[case] name: &'static str) {
    for (time, expected) in [
        ("2026-11-21T12:00:00Z", Ok(())),
        ("2026-11-21T12:00:00.000001Z", Err(AfterArrival(name))),
        (FAR_FUTURE, Err(AfterArrival(name))),
        ("2000-01-01T00:00:00Z", Ok(())),
        ("1999-12-31T23:59:59.999999Z", Err(Before2000(name))),
        ("1970-01-01T00:00:00Z", Err(Before2000(name))),
        // Flexprice's newer bodies have no such time.
        (ZERO_OF_GO, if name == "updated_at" && title.starts_with("flexprice") { Ok(()) } else { Err(Missing(name)) }),
    ] {
        assert_eq!(error(changed(title, pointer, Some(json!(time)))), expected, "{time}");
    }
}

#[rstest]
#[case(1_795_262_400_000, Ok(()))]
#[case(1_795_262_400_001, Err(AfterArrival("created_at")))]
#[case(946_684_800_000, Ok(()))]
#[case(946_684_799_999, Err(Before2000("created_at")))]
// Seconds, which mean a time in 1970.
#[case(1_795_176_000, Err(Before2000("created_at")))]
#[case(0, Err(Before2000("created_at")))]
#[case(-62_135_596_800_000, Err(Missing("created_at")))]
#[case(i64::MAX, Err(Untranslatable::Unreadable("created_at")))]
fn an_implausible_time_in_milliseconds_is_quarantined(
    #[case] millis: i64,
    #[case] expected: Result<(), Untranslatable>,
) {
    assert_eq!(error(changed("metrifox/customer-updated", "/created_at", Some(json!(millis)))), expected);
}

/// A delete does not wait for an operator: a time that cannot be used counts as absent.
#[rstest]
#[case("metrifox/customer-deleted", "/created_at")]
#[case("metrifox/customer-deleted", "/data/customer/updated_at")]
#[case("metrifox/customer-deleted", "/data/customer/deleted_at")]
#[case("plain/customer-deleted", "/timestamp")]
#[case("plain/customer-deleted", "/payload/previousCustomer/updatedAt")]
#[case("flexprice/customer-deleted", "/customer/updated_at")]
fn in_a_delete_an_unusable_time_counts_as_absent(#[case] title: &str, #[case] pointer: &str) {
    let absent = times_of_delete(changed(title, pointer, None));
    let times = [FAR_FUTURE, "1999-12-31T23:59:59Z", "1970-01-01T00:00:00Z", ZERO_OF_GO, "yesterday", ""];
    let times = times.map(|time| json!(time)).into_iter();
    for time in times.chain([json!(null), json!(1_795_176_000), json!(32_472_144_000_000_i64), json!({"at": 1})]) {
        assert_eq!(times_of_delete(changed(title, pointer, Some(time.clone()))), absent, "{time}");
    }
}

/// Without any time, a delete has the same rank on every attempt, and the time of its arrival.
#[rstest]
#[case("metrifox", json!({"id": "e", "type": "customer.deleted", "created_at": 1_795_176_000,
    "data": {"customer": {"id": "c", "tenant_id": "t", "deleted_at": FAR_FUTURE, "updated_at": ZERO_OF_GO}}}))]
#[case("plain", json!({"id": "e", "type": "customer.customer_deleted", "workspaceId": "w",
    "payload": {"previousCustomer": {"id": "c", "updatedAt": FAR_FUTURE}}}))]
fn a_delete_without_a_time_is_applied(#[case] provider: &str, #[case] body: Value) {
    // In the body of Metrifox, the time of the event has seconds instead of milliseconds.
    let [first, second] = ["2026-11-20T12:00:00Z", "2026-11-21T12:00:00Z"].map(|arrival| {
        let verified = verified(body.to_string().as_bytes(), arrival.parse().unwrap());
        let Ok(Translated::Event(event)) = (find(provider).unwrap().translate)(&verified).remove(0) else {
            panic!("an event")
        };
        let Item::Tombstone(tombstone) = event.item(verified.received_at()) else { panic!("a tombstone") };
        assert_eq!(tombstone.deleted_at.to_string(), arrival);
        event.rank()
    });
    assert_eq!(first, second);
    assert_eq!(first.version.to_string(), "2000-01-01T00:00:00Z");
}

/// A kept delivery is judged by its first arrival, so that replaying it later has the same result.
#[rstest]
#[case("2026-11-21T12:00:00Z", Ok(()))]
#[case("2026-11-21T12:00:01Z", Err(AfterArrival("updatedAt")))]
fn a_kept_delivery_is_judged_by_its_arrival(#[case] time: &str, #[case] expected: Result<(), Untranslatable>) {
    let body = changed_body("plain/customer-updated", "/payload/customer/updatedAt", Some(json!(time)));
    let verified = verified(body.as_bytes(), signed_at());
    let provider = find("plain").unwrap();
    let message = KeptDelivery::new(provider, &verified, "", KeptPart::Whole).to_message();
    let again = KeptDelivery::from_message(&message).unwrap().into_verified().unwrap();
    assert_eq!(again.received_at(), signed_at());
    assert_eq!(error((provider.translate)(&again).remove(0)), expected);
}

/// The signed time of an attempt is close to the arrival, so only a message that others put on a queue can be so wrong.
#[test]
fn the_time_of_a_flexprice_message_is_plausible() {
    let body = case("flexprice/customer-updated").body().unwrap();
    let kept =
        KeptDelivery::new(find("flexprice").unwrap(), &verified(body.as_bytes(), signed_at()), "", KeptPart::Whole);
    let kept = KeptDelivery { delivery_id: Some("m".into()), sent_at: Some(FAR_FUTURE.parse().unwrap()), ..kept };
    let translated = (find("flexprice").unwrap().translate)(&kept.into_verified().unwrap()).remove(0);
    assert_eq!(error(translated), Err(AfterArrival("the time of the message")));
}

/// Times that do not order events never fail. Go's zero time is none, the others are stored as they were sent.
#[rstest]
#[case("metrifox/customer-updated", "/data/customer/created_at")]
#[case("plain/customer-updated", "/payload/customer/createdAt")]
#[case("smarterpay/customer-updated", "/events/0/created_at")]
#[case("flexprice/older-shape", "/customer/created_at")]
fn other_times_are_stored_as_sent(#[case] title: &str, #[case] pointer: &str) {
    for (time, stored) in [
        (FAR_FUTURE, json!("2999-01-01T00:00:00Z")),
        ("1970-01-01T00:00:00Z", json!("1970-01-01T00:00:00Z")),
        (ZERO_OF_GO, json!(null)),
    ] {
        let Ok(Translated::Event(event)) = changed(title, pointer, Some(json!(time))) else { panic!("an event") };
        let item = serde_json::to_value(event.item(signed_at())).unwrap();
        assert_eq!(item["created_at"], stored, "{time}");
        assert!(stored.is_null() || !item["extra"].to_string().contains(time));
    }
}

/// With Go's zero time, the time of the message orders the event, as without any.
#[test]
fn the_zero_time_of_flexprice_is_no_version() {
    let [zero, absent] = [Some(json!(ZERO_OF_GO)), None].map(|time| {
        let Ok(Translated::Event(event)) = changed("flexprice/older-shape", "/customer/updated_at", time) else {
            panic!("an event")
        };
        event.rank().version
    });
    assert_eq!(zero, absent);
    assert_eq!(zero.timestamp(), Some(signed_at()));
}

/// A wrong clock does not freeze a record: the right events after it are applied.
#[rstest]
#[case("metrifox/customer-updated", "/data/customer/updated_at", "updated_at")]
#[case("smarterpay/customer-updated", "/events/0/edited_at", "edited_at")]
#[case("plain/customer-updated", "/payload/customer/updatedAt", "updatedAt")]
#[case("flexprice/older-shape", "/customer/updated_at", "updated_at")]
#[tokio::test]
async fn a_wrong_clock_does_not_freeze_a_record(#[case] title: &str, #[case] pointer: &str, #[case] name: &str) {
    let (stack, right) = (stack().await, case(title));
    let provider = right.provider;
    let send = async |body: String| {
        let event = signed(provider, &UnsignedRequest { body, message_id: "msg_1".to_owned() }, signed_at());
        handle(&stack.receivers[provider.name], &event, signed_at()).await
    };
    let answer = send(changed_body(title, pointer, Some(json!(FAR_FUTURE)))).await;
    assert_eq!(answer.status_code, 202);
    let [kept] = &drain(&stack, "quarantine").await[..] else { panic!("one message") };
    assert_eq!(kept["reason"], format!("{name} is more than a day after it was received"));
    let answer = send(right.body().unwrap()).await;
    assert!(answer.status_code == 200 && answer.body.unwrap().contains("applied"));
    let (pk, expected) = right.expected.items.iter().next().unwrap();
    assert_eq!(item(&stack, pk).await.unwrap()["updated_at"], expected["updated_at"]);
}
