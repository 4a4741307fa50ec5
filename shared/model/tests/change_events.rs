//! The events that announce changes: their exact form, their size, and what they do not contain.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs, reason = "tests")]

use clientele_model::{
    ChangeData, ChangeEvent, ChangeType, DATA_SCHEMA, FeedContent, FeedSettings, Item, ItemWrite, REQUEST_BYTES_MAX,
    RefusedChange, parse_json,
};
use jiff::Timestamp;
use rstest::rstest;
use serde_json::{Map, Value, json};

/// 2026-11-20T12:00:00.123456Z
const AT: Timestamp = Timestamp::constant(1_795_176_000, 123_456_000);
const CANARY: &str = "canary";

fn settings(content: FeedContent) -> FeedSettings {
    FeedSettings { source: "/clientele/prod".to_owned(), content }
}

fn item(attributes: &Value) -> Item {
    Item::try_from(attributes.as_object().unwrap().clone()).unwrap()
}

/// A customer after an update of a version.
fn ada(version: u8) -> Value {
    json!({
        "pk": "acme#w%231#c_1", "sk": "customer", "provider": "acme", "account": "w#1", "customer_id": "c_1",
        "external_id": "crm-1", "status": "active", "name": "Ada", "email": "ada@example.com",
        "profile": {"display_name": "Ada", "title": format!("Dr {version}")}, "extra": {"plan": version},
        "created_at": "2026-01-01T00:00:00Z", "updated_at": "2026-02-09T08:42:08Z",
        "rank": format!("0.000000000000000{version}.2.8000000000000000.00000000.e{version}"),
        "last_event": {"id": format!("e{version}"), "type": "acme.updated", "received_at": "2026-02-09T08:42:09Z"},
        "schema": 1,
    })
}

/// The same customer, deleted. The message with its data is not sent yet.
fn deleted() -> Value {
    json!({
        "pk": "acme#w%231#c_1", "sk": "customer", "provider": "acme", "account": "w#1", "customer_id": "c_1",
        "status": "deleted", "deleted_at": "2026-02-10T00:00:00Z",
        "rank": "1.0000000000000003.2.8000000000000000.00000000.d3",
        "last_event": {"id": "d3", "type": "acme.deleted", "received_at": "2026-02-10T00:00:01Z"},
        "schema": 1, "cleanup": "{\"identifiers\":\"ada@example.com\"}", "cleanup_due": "2026-02-10T00:00:01Z",
    })
}

fn written(old: Option<&Value>, new: Option<&Value>, content: FeedContent) -> ChangeEvent {
    let write =
        ItemWrite { id: "c4ca4238a0b923820dcc509a6f75849b".to_owned(), at: AT, old: old.map(item), new: new.map(item) };
    ChangeEvent::of_write(&write, &settings(content)).unwrap()
}

/// The data of the event. The rest of it is what is expected.
fn data(event: &ChangeEvent, kind: &str, id: &str) -> String {
    let start = format!(
        concat!(
            r#"{{"specversion":"1.0","id":"{}","source":"/clientele/prod","type":"{}","subject":"acme#w%231#c_1","#,
            r#""time":"2026-11-20T12:00:00.123Z","datacontenttype":"application/json","dataschema":"{}","data":"#,
        ),
        id, kind, DATA_SCHEMA
    );
    let ChangeEvent { id: event_id, pk, source, kind: event_kind, at, .. } = event;
    assert_eq!((event_id.as_str(), pk.as_str(), source.as_str()), (id, "acme#w%231#c_1", "/clientele/prod"));
    assert_eq!((event_kind.as_str(), *at), (kind, AT));
    assert_eq!(event.bytes(), 14 + "/clientele/prod".len() + kind.len() + event.detail.len());
    let data = event.detail.strip_prefix(&start).unwrap_or_else(|| panic!("{}", event.detail));
    data.strip_suffix('}').unwrap().to_owned()
}

const KEY: &str = r#"{"schema":1,"provider":"acme","account":"w#1","customer_id":"c_1""#;
const RANK_2: &str = "0.0000000000000002.2.8000000000000000.00000000.e2";
const RANK_3: &str = "1.0000000000000003.2.8000000000000000.00000000.d3";
const LAST_EVENT_2: &str = r#""last_event":{"id":"e2","type":"acme.updated","received_at":"2026-02-09T08:42:09Z"}"#;
const LAST_EVENT_3: &str = r#""last_event":{"id":"d3","type":"acme.deleted","received_at":"2026-02-10T00:00:01Z"}"#;

/// What `full` adds: the external id, and the item as it is in the table.
fn full() -> String {
    let item = serde_json::to_string(&item(&ada(2))).unwrap();
    format!(r#","external_id":"crm-1","customer":{item}"#)
}

#[rstest]
fn a_new_customer(#[values(None, Some(deleted()))] old: Option<Value>) {
    let expected = format!(r#"{KEY},"status":"active","rank":"{RANK_2}",{LAST_EVENT_2}"#);
    for (content, rest) in [(FeedContent::Keys, String::new()), (FeedContent::Full, full())] {
        let event = written(old.as_ref(), Some(&ada(2)), content);
        assert_eq!(data(&event, "customer.created", &event.id), format!("{expected}{rest}}}"));
        assert_eq!((event.rank.as_str(), event.is_customer_omitted), (RANK_2, false));
    }
}

#[test]
fn a_changed_customer() {
    let changed = r#""changed":["extra.plan","profile.title"]"#;
    let expected = format!(r#"{KEY},"status":"active","rank":"{RANK_2}",{changed},{LAST_EVENT_2}"#);
    for (content, rest) in [(FeedContent::Keys, String::new()), (FeedContent::Full, full())] {
        let event = written(Some(&ada(1)), Some(&ada(2)), content);
        assert_eq!(data(&event, "customer.updated", &event.id), format!("{expected}{rest}}}"));
    }
}

/// With `full`, too, it has keys only.
#[rstest]
fn a_deleted_customer(
    #[values(None, Some(ada(2)))] old: Option<Value>,
    #[values(FeedContent::Keys, FeedContent::Full)] content: FeedContent,
) {
    let event = written(old.as_ref(), Some(&deleted()), content);
    let expected = format!(r#"{KEY},"status":"deleted","rank":"{RANK_3}",{LAST_EVENT_3}}}"#);
    assert_eq!(data(&event, "customer.deleted", &event.id), expected);
    assert_eq!(event.rank, RANK_3);
}

/// It has neither a status nor an event, because nothing is known of the customer any more.
#[rstest]
#[case(ada(2), RANK_2)]
#[case(deleted(), RANK_3)]
fn a_removed_item(
    #[case] old: Value,
    #[case] rank: &str,
    #[values(FeedContent::Keys, FeedContent::Full)] content: FeedContent,
) {
    let event = written(Some(&old), None, content);
    assert_eq!(data(&event, "customer.removed", &event.id), format!(r#"{KEY},"rank":"{rank}"}}"#));
    assert_eq!((event.rank.as_str(), event.is_customer_omitted), (rank, false));
    let again = ChangeEvent::of_removed(&event.pk, rank, &event.id, event.at, &settings(content));
    assert_eq!(again.map(|again| again == event), Some(true), "the same without the item");
}

#[test]
fn an_imported_customer() {
    let mut observed = ada(2);
    observed["rank"] = json!("0.0000000000000002.0.8000000000000000.00000000.");
    observed["last_event"] = json!({"type": "import", "received_at": "2026-02-09T08:42:09Z"});
    let event = written(None, Some(&observed), FeedContent::Keys);
    let expected = concat!(
        r#","status":"active","rank":"0.0000000000000002.0.8000000000000000.00000000.","#,
        r#""last_event":{"type":"import","received_at":"2026-02-09T08:42:09Z"}}"#,
    );
    assert_eq!(data(&event, "customer.snapshot", &event.id), format!("{KEY}{expected}"));
}

/// What is sent again is not news: a snapshot, or a delete that consumers know by its rank.
#[test]
fn an_item_that_is_sent_again() {
    let id = "r1/acme#w%231#c_1";
    for (content, rest) in [(FeedContent::Keys, String::new()), (FeedContent::Full, full())] {
        let event = ChangeEvent::of_item(&item(&ada(2)), id, AT, &settings(content));
        let expected = format!(r#"{KEY},"status":"active","rank":"{RANK_2}",{LAST_EVENT_2}{rest}}}"#);
        assert_eq!(data(&event, "customer.snapshot", id), expected);
        let event = ChangeEvent::of_item(&item(&deleted()), id, AT, &settings(content));
        let expected = format!(r#"{KEY},"status":"deleted","rank":"{RANK_3}",{LAST_EVENT_3}}}"#);
        assert_eq!(data(&event, "customer.deleted", id), expected);
    }
}

#[test]
fn a_write_that_changes_nothing_is_no_event() {
    let mut sent = deleted();
    sent.as_object_mut().unwrap().retain(|name, _| !name.starts_with("cleanup"));
    for (old, new) in [(Some(&deleted()), Some(&sent)), (Some(&ada(1)), Some(&ada(1))), (None, None)] {
        let write = ItemWrite { id: "1".to_owned(), at: AT, old: old.map(item), new: new.map(item) };
        assert!(ChangeEvent::of_write(&write, &settings(FeedContent::Full)).is_none());
    }
}

/// An event with a customer of `padding` more bytes.
fn padded(padding: usize, content: FeedContent) -> ChangeEvent {
    let mut customer = ada(2);
    customer["extra"] = json!({"padding": "x".repeat(padding)});
    written(None, Some(&customer), content)
}

/// The time, the source and the type count, too.
#[test]
fn the_size_limit_is_exact() {
    assert_eq!(REQUEST_BYTES_MAX, 262_144);
    let largest = REQUEST_BYTES_MAX - padded(0, FeedContent::Full).bytes();
    let event = padded(largest, FeedContent::Full);
    assert_eq!((event.bytes(), event.is_customer_omitted), (262_144, false));
    assert!(!event.detail.contains("customer_omitted"));
    let event = padded(largest + 1, FeedContent::Full);
    assert!(event.is_customer_omitted);
    let rest = r#""external_id":"crm-1","customer_omitted":"too_large"}"#;
    let expected = format!(r#"{KEY},"status":"active","rank":"{RANK_2}",{LAST_EVENT_2},{rest}"#);
    assert_eq!(data(&event, "customer.created", &event.id), expected);
    // Without the customer its size does not matter.
    let event = padded(largest + 1, FeedContent::Keys);
    assert_eq!((event.is_customer_omitted, &event), (false, &written(None, Some(&ada(2)), FeedContent::Keys)));
}

/// A profile in which every field has a value with the canary, except for those that have no place for it.
fn profile_of_canaries(canary: &str) -> Value {
    let address = json!({
        "line1": canary, "line2": canary, "city": canary, "state": canary, "postal_code": canary, "country": canary,
    });
    let contact = json!({
        "first_name": canary, "last_name": canary, "email": canary, "phone": canary, "designation": canary,
        "department": canary,
    });
    let texts = [
        "display_name",
        "legal_name",
        "company_name",
        "title",
        "first_name",
        "middle_name",
        "last_name",
        "short_name",
        "billing_email",
        "date_of_birth",
        "legal_number",
        "tax_id",
        "tax_status",
        "timezone",
        "language",
        "currency",
        "website_url",
        "logo_url",
        "account_manager",
        "source",
        "external_id",
    ];
    let mut profile: Map<_, _> = texts.into_iter().map(|name| (name.to_owned(), json!(canary))).collect();
    let actor = json!({"type": canary, "id": canary});
    let others = json!({
        "emails": [{"email": canary}], "phones": [{"number": canary, "country_code": canary}],
        "billing_address": address, "shipping_address": address, "contacts": [contact],
        "tax_ids": [{"type": canary, "number": canary, "country": canary}],
        "groups": [{"id": canary, "key": canary, "name": canary}],
        "spam": {"marked_at": "2026-01-01T00:00:00Z", "marked_by": actor}, "created_by": actor, "updated_by": actor,
        "metadata": {canary: canary},
    });
    profile.extend(others.as_object().unwrap().clone());
    profile.into()
}

/// Two versions of a customer that differ in every personal field.
#[test]
fn events_with_keys_contain_nothing_personal() {
    let with_canaries = |version: u8| {
        let canary = format!("{CANARY} {version}");
        let mut customer = ada(version);
        for name in ["external_id", "name", "email"] {
            customer[name] = json!(canary);
        }
        customer["profile"] = profile_of_canaries(&canary);
        customer["extra"] = json!({&canary: canary, "plan": canary});
        customer
    };
    let mut deleted = deleted();
    deleted["cleanup"] = json!(CANARY);
    let (one, two) = (with_canaries(1), with_canaries(2));
    let writes = [
        (None, Some(&two)),
        (Some(&one), Some(&two)),
        (Some(&two), Some(&deleted)),
        (Some(&deleted), Some(&two)),
        (Some(&two), None),
        (Some(&deleted), None),
    ];
    for (old, new) in writes {
        let event = written(old, new, FeedContent::Keys);
        assert!(!event.detail.contains(CANARY), "{}", event.detail);
        assert!(!format!("{event:?}").contains(CANARY));
        if event.kind == ChangeType::Updated {
            let profile = profile_of_canaries(CANARY);
            let profile = profile.as_object().unwrap().keys().map(|name| format!("profile.{name}"));
            let changed: Vec<_> =
                ["email", "external_id", "extra", "name"].map(str::to_owned).into_iter().chain(profile).collect();
            assert_eq!(parse_json(event.detail.as_bytes()).unwrap()["data"]["changed"], json!(changed));
            assert!(written(old, new, FeedContent::Full).detail.contains(CANARY));
        }
    }
    let again = ChangeEvent::of_item(&item(&two), "r1", AT, &settings(FeedContent::Keys));
    assert!(!again.detail.contains(CANARY));
    // Deletes and removals have none with `full`, either.
    for (old, new) in [(Some(&two), Some(&deleted)), (Some(&two), None), (Some(&deleted), None)] {
        assert!(!written(old, new, FeedContent::Full).detail.contains(CANARY));
    }
}

#[test]
fn private_names_of_the_parser_are_names_like_others() {
    let private = json!({"$serde_json::private::Number": "7"});
    let mut customer = ada(2);
    customer["extra"] = json!({"plan": private, "$serde_json::private::RawValue": "x"});
    customer["profile"]["metadata"] = private;
    let event = written(Some(&ada(1)), Some(&customer), FeedContent::Full);
    let detail = parse_json(event.detail.as_bytes()).unwrap();
    assert_eq!(detail["data"]["customer"], customer);
    assert_eq!(detail["data"]["changed"], json!(["extra", "profile.metadata", "profile.title"]));
}

#[test]
fn data_is_read_as_it_was_written() {
    for (old, new) in
        [(None, Some(&ada(2))), (Some(&ada(1)), Some(&ada(2))), (None, Some(&deleted())), (Some(&ada(1)), None)]
    {
        let event = written(old, new, FeedContent::Full);
        let written = data(&event, event.kind.as_str(), &event.id);
        let read: ChangeData = serde_json::from_str(&written).unwrap();
        assert_eq!(serde_json::to_string(&read).unwrap(), written);
    }
}

#[test]
fn the_message_about_a_refused_change() {
    let message = |rank: Option<&str>| {
        RefusedChange::new("1".into(), "acme#w%231#c_1".into(), rank.map(str::to_owned), "the event is too large")
    };
    let expected = r#"{"schema":1,"id":"1","pk":"acme#w%231#c_1","rank":"0.1","reason":"the event is too large"}"#;
    assert_eq!(serde_json::to_string(&message(Some("0.1"))).unwrap(), expected);
    assert_eq!(serde_json::to_string(&message(None)).unwrap(), expected.replace(r#""rank":"0.1","#, ""));
    assert_eq!(serde_json::from_str::<RefusedChange>(expected).unwrap(), message(Some("0.1")));
}
