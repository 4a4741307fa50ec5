//! Which payloads are ignored or not understood, and the exact error, for each provider.

use clientele_model::{Translated, Translation, Untranslatable};
use clientele_providers::{PROVIDERS, find};
use rstest::rstest;
use serde_json::{Value, json};

use crate::support::case;
use crate::support::translation::{changed, translate, verified};

fn variant(translation: Translation) -> Result<&'static str, Untranslatable> {
    translation.map(|translated| match translated {
        Translated::Event(_) => "event",
        Translated::Ignored(_) => "ignored",
        Translated::AlreadySettled => "blank",
    })
}

use Untranslatable::{Missing, PartialSnapshot, Unreadable};

#[rstest]
#[case("plain/customer-updated", "/payload/customer/email", None, Err(PartialSnapshot("email")))]
#[case("plain/customer-updated", "/payload/customer/fullName", None, Err(PartialSnapshot("fullName")))]
#[case("plain/customer-updated", "/payload/customer/email", Some(json!(null)), Ok("event"))]
#[case("plain/customer-updated", "/payload/customer/externalId", None, Ok("event"))]
#[case("plain/customer-updated", "/payload/customer/id", Some(json!("x".repeat(2048))), Err(Untranslatable::KeyTooLong))]
#[case("plain/customer-updated", "/payload/previousCustomer", None, Ok("event"))]
#[case("plain/changed-added", "/payload/changeType", Some(json!("REMOVED")), Err(Unreadable("payload.changeType")))]
#[case("plain/changed-added", "/payload/changeType", Some(json!("UPDATED")), Ok("event"))]
#[case("plain/changed-added", "/payload", None, Err(Missing("payload")))]
#[case("plain/unrelated-thread", "/payload", None, Ok("ignored"))]
#[case("plain/unrelated-thread", "/timestamp", None, Ok("ignored"))]
#[case("plain/customer-deleted", "/payload/previousCustomer/updatedAt", None, Ok("event"))]
#[case("plain/customer-deleted", "/payload/previousCustomer/email", None, Ok("event"))]
#[case("plain/customer-deleted", "/timestamp", None, Ok("event"))]
#[case("metrifox/customer-created", "/data/customer/email_addresses", None, Ok("event"))]
#[case("metrifox/older-shape", "/data/customer/email", None, Err(PartialSnapshot("email_addresses")))]
#[case("metrifox/older-shape", "/data/customer/email", Some(json!(null)), Ok("event"))]
#[case("metrifox/older-shape", "/data/customer/id", Some(json!(731)), Ok("event"))]
#[case("metrifox/customer-deleted", "/data/customer/updated_at", None, Ok("event"))]
#[case("metrifox/customer-deleted", "/created_at", None, Ok("event"))]
#[case("metrifox/customer-deleted", "/data/customer/deleted_at", None, Ok("event"))]
#[case("metrifox/unrelated-invoice", "/data", None, Ok("ignored"))]
#[case("flexprice/customer-updated", "/customer/name", None, Err(PartialSnapshot("name")))]
#[case("flexprice/customer-updated", "/customer/name", Some(json!("")), Ok("event"))]
#[case("flexprice/customer-deleted", "/customer/name", None, Ok("event"))]
#[case("flexprice/unrelated-subscription", "/subscription", None, Ok("ignored"))]
#[case("smarterpay/customer-updated", "/events/0/email", None, Err(PartialSnapshot("email")))]
#[case("smarterpay/customer-updated", "/events/0/first_name", None, Err(PartialSnapshot("first_name")))]
#[case("smarterpay/customer-updated", "/events/0/last_name", None, Err(PartialSnapshot("last_name")))]
#[case(
    "smarterpay/customer-updated",
    "/events/0/billing_address_line_1",
    None,
    Err(PartialSnapshot("billing_address_line_1"))
)]
#[case("smarterpay/customer-updated", "/events/0/status", None, Err(PartialSnapshot("status")))]
#[case("smarterpay/customer-updated", "/events/0/status", Some(json!(null)), Ok("event"))]
#[case("smarterpay/customer-updated", "/events", None, Err(Missing("events")))]
#[case("smarterpay/customer-updated", "/events", Some(json!([7])), Err(Unreadable("an event")))]
#[case("smarterpay/customer-updated", "/events", Some(json!("x")), Err(Unreadable("events")))]
#[case("smarterpay/unrelated-payment", "/sent_at", None, Ok("ignored"))]
fn changed_payloads(
    #[case] title: &str,
    #[case] pointer: &str,
    #[case] value: Option<Value>,
    #[case] expected: Result<&'static str, Untranslatable>,
) {
    assert_eq!(variant(changed(title, pointer, value)), expected);
}

/// A part of the key is never replaced by another value: the customer would have two keys, and a delete could miss it.
#[rstest]
#[case("metrifox/customer-updated", "/data/customer/tenant_id", "tenant_id")]
#[case("metrifox/customer-updated", "/data/customer/id", "customer.id")]
#[case("metrifox/customer-deleted", "/data/customer/tenant_id", "tenant_id")]
#[case("metrifox/customer-deleted", "/data/customer/id", "customer.id")]
#[case("plain/customer-updated", "/workspaceId", "workspaceId")]
#[case("plain/customer-updated", "/payload/customer/id", "customer.id")]
#[case("plain/customer-deleted", "/workspaceId", "workspaceId")]
#[case("plain/customer-deleted", "/payload/previousCustomer/id", "customer.id")]
#[case("flexprice/customer-updated", "/customer/environment_id", "environment_id")]
#[case("flexprice/customer-updated", "/customer/id", "customer.id")]
#[case("flexprice/customer-deleted", "/customer/environment_id", "environment_id")]
#[case("flexprice/customer-deleted", "/customer/id", "customer.id")]
#[case("smarterpay/customer-updated", "/events/0/id", "customer.id")]
fn no_part_of_a_key_has_a_default(#[case] title: &str, #[case] pointer: &str, #[case] label: &'static str) {
    for value in [None, Some(json!(null)), Some(json!("")), Some(json!({})), Some(json!([]))] {
        assert_eq!(variant(changed(title, pointer, value.clone())), Err(Missing(label)), "{value:?}");
    }
    for value in json!([" ", "\u{a0}\n", 1.0, 1e3, -1, true, ["a"], { "id": "a" }]).as_array().unwrap() {
        assert_eq!(variant(changed(title, pointer, Some(value.clone()))), Err(Unreadable(label)), "{value}");
    }
    assert_eq!(variant(changed(title, pointer, Some(json!(731)))), Ok("event"));
}

/// The batch's account counts only where an event names none.
#[rstest]
#[case(json!({"id": "CL1"}), json!({"id": "CL2"}), Ok("CL2"))]
#[case(json!({"id": "CL1"}), json!({"id": null}), Ok("CL1"))]
#[case(json!({"id": "CL1"}), json!({}), Ok("CL1"))]
#[case(json!({"id": "CL1"}), json!(null), Ok("CL1"))]
#[case(json!({"id": "CL1"}), json!({"id": ""}), Err(Missing("client.id")))]
#[case(json!({"id": "CL1"}), json!({"id": 1.0}), Err(Unreadable("client.id")))]
#[case(json!({"id": "CL1"}), json!("CL2"), Err(Unreadable("client")))]
#[case(json!({"id": "CL1"}), json!(""), Err(Unreadable("client")))]
#[case(json!({"id": "CL1"}), json!([]), Err(Unreadable("client")))]
#[case(json!({"id": " "}), json!({"id": "CL2"}), Ok("CL2"))]
#[case(json!("CL1"), json!({"id": "CL2"}), Ok("CL2"))]
#[case(json!({"id": " "}), json!(null), Err(Unreadable("client.id")))]
#[case(json!("CL1"), json!(null), Err(Unreadable("client")))]
#[case(json!({}), json!({}), Err(Missing("client.id")))]
#[case(json!(null), json!(null), Err(Missing("client.id")))]
fn the_account_of_a_batch(
    #[case] of_batch: Value,
    #[case] of_event: Value,
    #[case] expected: Result<&str, Untranslatable>,
) {
    let mut body: Value = serde_json::from_str(&case("smarterpay/customer-updated").body().unwrap()).unwrap();
    body["client"] = of_batch;
    body["events"][0]["client"] = of_event;
    let account = translate("smarterpay", body.to_string().as_bytes()).remove(0).map(|translated| match translated {
        Translated::Event(event) => event.key().account().to_owned(),
        other => panic!("{other:?}"),
    });
    assert_eq!(account.as_deref(), expected.as_ref().copied());
}

/// The reason says whether a required field is missing or has an unexpected value, which an operator has to know. `null`
/// and `""` count as missing, except that a record with them is not partial.
#[rstest]
#[case("plain/customer-updated", "/type", "type")]
#[case("plain/customer-updated", "/id", "id")]
#[case("plain/customer-updated", "/timestamp", "timestamp")]
#[case("plain/customer-updated", "/payload", "payload")]
#[case("plain/customer-updated", "/payload/customer", "payload.customer")]
#[case("plain/customer-updated", "/payload/customer/updatedAt", "updatedAt")]
#[case("plain/changed-added", "/payload/changeType", "payload.changeType")]
#[case("plain/customer-deleted", "/id", "id")]
#[case("plain/customer-deleted", "/payload/previousCustomer", "payload.previousCustomer")]
#[case("metrifox/customer-created", "/type", "type")]
#[case("metrifox/customer-created", "/id", "id")]
#[case("metrifox/customer-created", "/created_at", "created_at")]
#[case("metrifox/customer-created", "/data", "data")]
#[case("metrifox/customer-created", "/data/customer", "data.customer")]
#[case("metrifox/customer-created", "/data/customer/updated_at", "updated_at")]
#[case("metrifox/customer-deleted", "/id", "id")]
#[case("flexprice/customer-updated", "/event_type", "event_type")]
#[case("flexprice/customer-updated", "/customer", "customer")]
#[case("smarterpay/customer-updated", "/sent_at", "sent_at")]
#[case("smarterpay/customer-updated", "/events/0/event_id", "event_id")]
#[case("smarterpay/customer-updated", "/events/0/event_type", "event_type")]
#[case("smarterpay/customer-updated", "/events/0/edited_at", "edited_at")]
fn a_reason_names_the_cause(#[case] title: &str, #[case] pointer: &str, #[case] name: &'static str) {
    let is_of_record = ["updatedAt", "updated_at", "edited_at"].contains(&name);
    let absent = if is_of_record { PartialSnapshot(name) } else { Missing(name) };
    assert_eq!(variant(changed(title, pointer, None)), Err(absent));
    for empty in [json!(null), json!("")] {
        assert_eq!(variant(changed(title, pointer, Some(empty))), Err(Missing(name)));
    }
    let is_time = is_of_record || ["timestamp", "created_at", "sent_at"].contains(&name);
    let times = ["2026-11-20", "2026-11-20T12:00:00", "9999-12-31T23:59:59Z", "2026-11-20T12:00:00.1234567891Z"];
    let unreadable_times = times.iter().filter(|_| is_time).map(|time| json!(time));
    for unreadable in [json!(true), json!(["x"]), json!(-1.5)].into_iter().chain(unreadable_times) {
        assert_eq!(variant(changed(title, pointer, Some(unreadable.clone()))), Err(Unreadable(name)), "{unreadable}");
    }
}

#[rstest]
#[case(b"", Untranslatable::NotJson)]
#[case(b"\xff", Untranslatable::NotJson)]
// Compressed with gzip.
#[case(
    b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\x03\xab\xae\x05\x00\x43\xbf\xa6\xa3\x02\x00\x00\x00",
    Untranslatable::NotJson
)]
#[case(b"[]", Unreadable("the body"))]
fn bodies_that_are_no_object(#[case] body: &[u8], #[case] error: Untranslatable) {
    for &provider in PROVIDERS {
        let translated: Vec<_> = translate(provider.name, body).into_iter().map(variant).collect();
        assert_eq!(translated, [Err(error)], "{}", provider.name);
    }
}

/// Nesting that a recursive parser could not follow without a limit.
#[rstest]
#[case(200)]
#[case(120_000)]
fn bodies_that_are_nested_deeply(#[case] levels: usize) {
    let body = format!("{{\"type\":\"customer.created\",\"x\":{}{}}}", "[".repeat(levels), "]".repeat(levels));
    for &provider in PROVIDERS {
        let translated: Vec<_> = translate(provider.name, body.as_bytes()).into_iter().map(variant).collect();
        assert_eq!(translated, [Err(Untranslatable::NotJson)], "{}", provider.name);
    }
}

/// Half an emoji becomes a replacement character. The event is not lost.
#[test]
fn a_lone_surrogate_loses_no_event() {
    let body = br#"{"event_type":"customer.updated","customer":{"id":"c","environment_id":"e","name":"Ada \ud83d","email":"a@x.y"}}"#;
    let Ok(Translated::Event(event)) = translate("flexprice", body).remove(0) else { panic!("an event") };
    let item = serde_json::to_value(event.item("2026-11-20T12:00:00Z".parse().unwrap())).unwrap();
    assert_eq!(item["name"], "Ada \u{fffd}");
}

/// DynamoDB limits the nesting of values, JSON does not.
#[rstest]
#[case(31, Ok("event"))]
#[case(32, Err(Untranslatable::NestedTooDeep))]
#[case(120, Err(Untranslatable::NestedTooDeep))]
fn nesting(#[case] levels: usize, #[case] expected: Result<&'static str, Untranslatable>) {
    let nested = (1..levels).fold(json!(1), |value, _| json!([value]));
    let field = changed("plain/customer-updated", "/payload/customer/nested", Some(nested));
    assert_eq!(variant(field), expected);
}

#[rstest]
#[case("metrifox/customer-created", "/data/customer/metadata")]
#[case("flexprice/customer-created", "/customer/metadata")]
fn unstorable_metadata(#[case] title: &str, #[case] pointer: &str) {
    let error = Err(Untranslatable::EmptyName);
    assert_eq!(variant(changed(title, pointer, Some(json!({ "": 1 })))), error);
}

/// For every provider: its customers' family is what stands before the first dot in the type of an update.
#[rstest]
#[case("merged")]
#[case("updated_v2")]
#[case("customer_anonymized")]
#[case("")]
fn unknown_types_are_ignored_only_in_other_families(#[case] ending: &str) {
    for &provider in PROVIDERS {
        let body = case(&format!("{}/customer-updated", provider.name)).body().unwrap();
        let Ok(Translated::Event(event)) = translate(provider.name, body.as_bytes()).remove(0) else {
            panic!("an event")
        };
        let with = |kind: &str| {
            let body = body.replace(&format!("\"{}\"", event.kind()), &format!("\"{kind}\""));
            variant(translate(provider.name, body.as_bytes()).remove(0))
        };
        let family = event.kind().split_once('.').unwrap().0;
        let unknown = Err(Untranslatable::UnknownType);
        assert_eq!(with(&format!("{family}.{ending}")), unknown, "{}", provider.name);
        assert_eq!(with(&format!("{}.{ending}", family.to_uppercase())), unknown, "{}", provider.name);
        assert_eq!(with(&format!("invoice.{ending}")), Ok("ignored"), "{}", provider.name);
    }
}

/// V1 is recognized by what it contains. Any other envelope could contain a customer, so it is not ignored.
#[rstest]
#[case(r#"{"events":[{"resource_type":"mandate","id":"EV1"},{"resource_type":"payment"}]}"#, &[Ok("ignored"), Ok("ignored")])]
#[case(r#"{"resource_type":"customer_account","reference":"C1","Email":"a@x.y"}"#, &[Ok("ignored")])]
#[case(r#"{"idempotency_key":"k","events":[]}"#, &[])]
#[case(r#"{"idempotency_key":"k","events":null}"#, &[])]
#[case(r#"{"events":[]}"#, &[Err(Missing("idempotency_key"))])]
#[case(r#"{"events":null}"#, &[Err(Missing("idempotency_key"))])]
#[case("{}", &[Err(Missing("events"))])]
#[case(r#"{"type":"ping"}"#, &[Err(Missing("events"))])]
#[case(r#"{"resource_type":null}"#, &[Err(Missing("events"))])]
#[case(r#"{"resource_type":{"name":"customer"}}"#, &[Err(Missing("events"))])]
#[case(r#"{"ResourceType":"customer_account","Reference":"C1"}"#, &[Err(Missing("events"))])]
#[case(r#"{"IdempotencyKey":"k","Events":[{"event_type":"customer_account.update"}]}"#, &[Err(Missing("events"))])]
#[case(r#"{"idempotency_key":"k","events":{}}"#, &[Err(Missing("events"))])]
#[case(r#"{"idempotency_key":"k","events":{"0":{}}}"#, &[Err(Unreadable("events"))])]
#[case(r#"{"events":[{"eventType":"customer_account.update"}]}"#, &[Err(Missing("event_type"))])]
#[case(r#"{"events":[{}]}"#, &[Err(Missing("event_type"))])]
#[case(r#"{"events":[{"resource_type":""}]}"#, &[Err(Missing("event_type"))])]
#[case(r#"{"events":[{"resource_type":7}]}"#, &[Err(Missing("event_type"))])]
#[case(r#"{"events":[{"resource_type":"mandate","event_type":7}]}"#, &[Err(Unreadable("event_type"))])]
#[case(r#"{"idempotency_key":"k","events":[{"resource_type":"customer_account"}]}"#, &[Err(Missing("event_type"))])]
fn envelopes_of_smarterpay(#[case] body: &str, #[case] expected: &[Result<&'static str, Untranslatable>]) {
    let translated: Vec<_> = translate("smarterpay", body.as_bytes()).into_iter().map(variant).collect();
    assert_eq!(translated, expected);
}

/// One bad event does not affect the others of its batch.
#[test]
fn a_batch_is_judged_event_by_event() {
    let case = case("smarterpay/batch-of-many-kinds");
    let mut body: Value = serde_json::from_str(&case.body().unwrap()).unwrap();
    body["events"][1].as_object_mut().unwrap().remove("status");
    let translated: Vec<_> = translate("smarterpay", body.to_string().as_bytes()).into_iter().map(variant).collect();
    assert_eq!(translated, [Ok("ignored"), Err(PartialSnapshot("status")), Ok("ignored"), Ok("event")]);
}

/// Self-hosted Flexprice sends neither id nor time, so only the arrival orders its events. The contract says so.
#[test]
fn unsigned_flexprice_is_ordered_by_arrival() {
    let body = br#"{"event_type":"customer.updated","customer":{"id":"c","environment_id":"e","name":"n"}}"#;
    let at = |now: &str| {
        let verified = verified(body, now.parse().unwrap());
        let Ok(Translated::Event(event)) = (find("flexprice").unwrap().translate)(&verified).remove(0) else {
            panic!("an event")
        };
        event.rank()
    };
    let [first, second] = ["2026-11-20T12:00:00Z", "2026-11-20T12:00:00.001Z"].map(at);
    assert!(first < second);
    assert_eq!(first.event_id, second.event_id);
    assert_eq!(first.event_id.len(), 64);
}

/// SQS accepts the cleanup message, whatever characters an id has.
#[test]
fn cleanup_messages_can_be_sent() {
    let customer = json!({ "id": "a\u{ffff}", "environment_id": "e", "external_id": "\0\u{fffe}" });
    let body = json!({ "event_type": "customer.deleted", "customer": customer }).to_string();
    let Ok(Translated::Event(event)) = translate("flexprice", body.as_bytes()).remove(0) else { panic!("an event") };
    let clientele_model::Item::Tombstone(tombstone) = event.item("2026-11-20T12:00:00Z".parse().unwrap()) else {
        panic!("a tombstone")
    };
    let message = tombstone.cleanup.unwrap();
    let sendable = |c: char| matches!(c, ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..);
    assert!(message.chars().all(sendable), "{message:?}");
    let message: Value = serde_json::from_str(&message).unwrap();
    assert_eq!((&message["customer_id"], &message["external_id"]), (&json!("a\u{ffff}"), &json!("\0\u{fffe}")));
}

/// A flag may change its type. Without a flag that can be read, the first address that does not say otherwise counts.
#[rstest]
#[case(json!("false"), json!("true"), "main@x.y")]
#[case(json!("False"), json!("TRUE"), "main@x.y")]
#[case(json!(0), json!(1), "main@x.y")]
#[case(json!("0"), json!("1"), "main@x.y")]
#[case(json!(0), json!("yes"), "main@x.y")]
#[case(json!("no"), json!(true), "main@x.y")]
#[case(json!("no"), json!("yes"), "other@x.y")]
#[case(json!(false), json!({}), "main@x.y")]
#[case(json!(0), json!(false), "other@x.y")]
fn the_primary_address_says_so(#[case] other: Value, #[case] main: Value, #[case] indexed: &str) {
    let addresses = json!([
        { "email": "Other@x.y", "is_primary": other },
        { "email": " Main@x.y ", "is_primary": main },
    ]);
    let mut body: Value = serde_json::from_str(&case("metrifox/customer-created").body().unwrap()).unwrap();
    body["data"]["customer"]["email_addresses"] = addresses;
    body["data"]["customer"].as_object_mut().unwrap().remove("primary_email");
    let Ok(Translated::Event(event)) = translate("metrifox", body.to_string().as_bytes()).remove(0) else {
        panic!("an event")
    };
    let item = serde_json::to_value(event.item("2026-11-20T12:00:00Z".parse().unwrap())).unwrap();
    assert_eq!(item["email"], indexed);
    assert_eq!(item["profile"]["emails"][1]["email"], " Main@x.y ");
}

/// A delete has every e-mail address and phone number of the customer, wherever the record has them.
#[test]
fn identifiers_are_complete() {
    let case = case("metrifox/customer-deleted");
    let mut body: Value = serde_json::from_str(&case.body().unwrap()).unwrap();
    body["data"]["customer"]["email"] = json!("single@northwind.example");
    body["data"]["customer"]["primary_email"] = json!("primary@northwind.example");
    body["data"]["customer"]["phone_numbers"] = json!([]);
    let Ok(Translated::Event(event)) = translate("metrifox", body.to_string().as_bytes()).remove(0) else {
        panic!("an event")
    };
    let clientele_model::Change::Deletion(deletion) = event.change() else { panic!("a deletion") };
    let emails = [
        "Accounts@Northwind.example",
        "ops@northwind.example",
        "primary@northwind.example",
        "single@northwind.example",
    ];
    assert_eq!(deletion.identifiers.emails, emails);
    assert_eq!(deletion.identifiers.phones, ["+442071838750"]);
}
