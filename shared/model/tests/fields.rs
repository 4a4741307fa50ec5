//! How fields are taken out of a payload.
#![allow(clippy::unwrap_used, missing_docs, reason = "tests")]

use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use clientele_model::{
    CredentialFields, Delivery, Fields, Id, Request, Scheme, Secrets, TokenPlace, Untranslatable, verify,
};
use jiff::Timestamp;
use rstest::rstest;
use serde_json::{Value, json};

fn parse(body: &[u8]) -> Result<Fields, Untranslatable> {
    let (scheme, body) = (Scheme::Token(TokenPlace::Path), Some(BASE64_STANDARD.encode(body)));
    let request = Request { token: Some("k".to_owned()), body, is_base64: true, ..Request::default() };
    let (delivery, secrets) = (Delivery::accept(request, usize::MAX).unwrap(), Secrets::parse("k", &scheme).unwrap());
    let verified = verify(delivery, &scheme, &secrets, Timestamp::UNIX_EPOCH, Duration::ZERO).unwrap();
    Fields::parse(&verified, &CredentialFields::NONE)
}

fn fields(value: &Value) -> Fields {
    parse(value.to_string().as_bytes()).unwrap()
}

#[rstest]
#[case(json!("x"), Some("x"), None)]
#[case(json!(""), None, None)]
#[case(json!(null), None, None)]
#[case(json!(7), None, Some(json!(7)))]
#[case(json!({"a": 1}), None, Some(json!({"a": 1})))]
fn text_is_taken_and_other_values_remain(
    #[case] value: Value,
    #[case] taken: Option<&str>,
    #[case] left: Option<Value>,
) {
    let mut fields = fields(&json!({ "f": value }));
    assert_eq!(fields.text("f").as_deref(), taken);
    assert_eq!(fields.rest().get("f"), left.as_ref());
}

#[rstest]
#[case("7", Some("7"))]
#[case("\"a\"", Some("a"))]
#[case("123456789012345678901234567890", Some("123456789012345678901234567890"))]
#[case("7.5", None)]
#[case("-7", None)]
#[case("true", None)]
fn ids_are_text_or_whole_numbers(#[case] value: &str, #[case] id: Option<&str>) {
    let mut fields = parse(format!("{{\"f\":{value}}}").as_bytes()).unwrap();
    assert_eq!(fields.id("f").as_deref(), id);
    assert_eq!(fields.contains("f"), id.is_none());
}

#[rstest]
#[case("\"a\"", Some("a"))]
#[case("\" a \"", Some(" a "))]
#[case("\"-\"", Some("-"))]
#[case("7", Some("7"))]
#[case("\" \\u3000\"", None)]
#[case("1.0", None)]
#[case("-1", None)]
#[case("1e3", None)]
#[case("true", None)]
#[case("[\"a\"]", None)]
#[case("{\"id\":\"a\"}", None)]
fn parts_of_a_key_are_ids(#[case] value: &str, #[case] part: Option<&str>) {
    let mut fields = parse(format!("{{\"f\":{value}}}").as_bytes()).unwrap();
    assert_eq!(fields.key_part("f"), part.map(|id| Id::new(id.into()).unwrap()));
    assert_eq!(fields.contains("f"), part.is_none());
}

#[rstest]
#[case("\"2024-01-01T01:00:00.5+01:00\"", Some("2024-01-01T00:00:00.5Z"))]
#[case("\"2024-01-01\"", None)]
#[case("\"yesterday\"", None)]
#[case("1704067320000", None)]
fn times_are_rfc_3339(#[case] value: &str, #[case] time: Option<&str>) {
    let mut fields = parse(format!("{{\"f\":{value}}}").as_bytes()).unwrap();
    assert_eq!(fields.time("f"), time.map(|time| time.parse().unwrap()));
    assert_eq!(fields.contains("f"), time.is_none());
}

#[rstest]
#[case("1704067320000", Some("2024-01-01T00:02:00Z"))]
#[case("1e400", None)]
#[case("9223372036854775807", None)]
#[case("-99999999999999999999999999", None)]
#[case("1704067320000.5", None)]
fn times_in_milliseconds(#[case] value: &str, #[case] time: Option<&str>) {
    let mut fields = parse(format!("{{\"f\":{value}}}").as_bytes()).unwrap();
    assert_eq!(fields.time_ms("f"), time.map(|time| time.parse().unwrap()));
    assert_eq!(fields.contains("f"), time.is_none());
}

#[rstest]
#[case("0001-01-01T00:00:00Z", None)]
#[case("0001-01-01T00:00:00.000Z", None)]
#[case("0001-01-01T00:00:00+00:00", None)]
#[case("0001-01-01T05:30:00+05:30", None)]
#[case("0001-01-01t00:00:00.000000000z", None)]
#[case("0001-01-01T00:00:00.000000001Z", Some("0001-01-01T00:00:00.000000001Z"))]
#[case("0000-12-31T23:59:59Z", Some("0000-12-31T23:59:59Z"))]
#[case("1970-01-01T00:00:00Z", Some("1970-01-01T00:00:00Z"))]
fn the_zero_time_of_go_is_no_time(#[case] text: &str, #[case] time: Option<&str>) {
    let mut fields = fields(&json!({"f": text, "ms": -62_135_596_800_000_i64, "g": text}));
    let time = time.map(|time| time.parse().unwrap());
    assert_eq!((fields.time("f"), fields.time_ms("ms")), (time, None));
    assert_eq!(fields.required("g", Fields::time), time.ok_or(Untranslatable::Missing("g")));
    assert!(fields.rest().is_empty());
}

#[test]
fn elements_remain_in_their_places() {
    let mut fields = fields(&json!({"l": [{"a": "1"}, 2, {"a": "3", "b": 4}, {"b": null}]}));
    assert_eq!(fields.list("l", |element| element.text("a")), ["1", "3"]);
    assert_eq!(Value::Object(fields.rest()), json!({"l": [{}, 2, {"b": 4}, {"b": null}]}));
}

/// The list remains if only an earlier element has fields left.
#[test]
fn a_list_remains_if_any_element_does() {
    let mut fields = fields(&json!({"l": [{"a": "1", "b": 2}, {"a": "3"}]}));
    assert_eq!(fields.list("l", |element| element.text("a")), ["1", "3"]);
    assert_eq!(Value::Object(fields.rest()), json!({"l": [{"b": 2}, {}]}));
}

#[rstest]
#[case(json!(true), Some(true), None)]
#[case(json!(false), Some(false), None)]
#[case(json!(null), None, None)]
#[case(json!("true"), Some(true), None)]
#[case(json!("False"), Some(false), None)]
#[case(json!("TRUE"), Some(true), None)]
#[case(json!("1"), Some(true), None)]
#[case(json!("0"), Some(false), None)]
#[case(json!(1), Some(true), None)]
#[case(json!(0), Some(false), None)]
#[case(json!(""), None, None)]
#[case(json!("yes"), None, Some(json!("yes")))]
#[case(json!(2), None, Some(json!(2)))]
#[case(json!(-1), None, Some(json!(-1)))]
#[case(json!(1.0), None, Some(json!(1.0)))]
#[case(json!({"a": true}), None, Some(json!({"a": true})))]
#[case(json!([true]), None, Some(json!([true])))]
fn flags_are_booleans_also_as_text_or_number(
    #[case] value: Value,
    #[case] taken: Option<bool>,
    #[case] left: Option<Value>,
) {
    let mut fields = fields(&json!({ "f": value }));
    assert_eq!(fields.flag("f"), taken);
    assert_eq!(fields.rest().get("f"), left.as_ref());
}

/// Except that a number which the table cannot hold becomes text.
#[rstest]
#[case("7", Some(json!(7)))]
#[case("[{\"a\":null}]", Some(json!([{"a": null}])))]
#[case("{\"n\":1e400}", Some(json!({"n": "1e+400"})))]
#[case("false", Some(json!(false)))]
#[case("null", None)]
#[case("[]", None)]
fn anything_is_taken_as_it_was_sent(#[case] value: &str, #[case] taken: Option<Value>) {
    let mut fields = parse(format!("{{\"f\":{value}}}").as_bytes()).unwrap();
    assert_eq!(fields.any("f"), taken);
    assert!(!fields.contains("f"));
}

#[rstest]
#[case(json!({"a": [1]}), Some(json!({"a": [1]})), None)]
#[case(json!({}), Some(json!({})), None)]
#[case(json!(null), None, None)]
#[case(json!([1]), None, Some(json!([1])))]
fn whole_objects_are_taken(#[case] value: Value, #[case] taken: Option<Value>, #[case] left: Option<Value>) {
    let mut fields = fields(&json!({ "f": value }));
    assert_eq!(fields.take_object("f").map(|object| Value::Object(object.rest())), taken);
    assert_eq!(fields.rest().get("f"), left.as_ref());
}

#[rstest]
#[case(json!([1, {"a": "b"}]), Some(json!([1, {"a": "b"}])), None)]
#[case(json!([]), Some(json!([])), None)]
#[case(json!(null), None, None)]
#[case(json!({"a": 1}), None, Some(json!({"a": 1})))]
fn whole_lists_are_taken(#[case] value: Value, #[case] taken: Option<Value>, #[case] left: Option<Value>) {
    let mut fields = fields(&json!({ "f": value }));
    assert_eq!(fields.take_list("f").map(Value::Array), taken);
    assert_eq!(fields.rest().get("f"), left.as_ref());
}

#[rstest]
#[case(json!({"a": 1}), Ok(json!({"a": 1})))]
#[case(json!([{"a": 1}]), Err(Untranslatable::Unreadable("an event")))]
#[case(json!(null), Err(Untranslatable::Unreadable("an event")))]
fn an_event_is_an_object(#[case] event: Value, #[case] fields: Result<Value, Untranslatable>) {
    assert_eq!(Fields::try_from(event).map(|fields| Value::Object(fields.rest())), fields);
}

#[test]
fn objects_and_lists_without_remaining_fields_are_removed() {
    let mut fields = fields(&json!({"l": [{"a": "1"}], "o": {"a": "1"}, "e": [], "n": null, "x": "y"}));
    assert_eq!(fields.list("l", |element| element.text("a")), ["1"]);
    assert_eq!(fields.object("o", |inner| inner.text("a")), Some(Some("1".into())));
    assert_eq!(fields.list("e", |element| element.text("a")).len(), 0);
    assert_eq!(fields.object("n", |_| ()), None);
    assert_eq!(fields.object("x", |_| ()), None);
    assert_eq!(Value::Object(fields.rest()), json!({"x": "y"}));
}

#[test]
fn unknown_words_and_other_texts_remain() {
    let mut fields = fields(&json!({"s": "active", "u": "paused", "same": "a", "other": "b"}));
    let known = [("active", 1), ("inactive", 2)];
    assert_eq!((fields.known_word("s", &known), fields.known_word("u", &known)), (Some(1), None));
    fields.drop_repeated_text("same", ["x", "a"]);
    fields.drop_repeated_text("other", ["x", "a"]);
    assert_eq!(Value::Object(fields.rest()), json!({"u": "paused", "other": "b"}));
}

#[test]
fn required_fields_may_be_null() {
    let fields = fields(&json!({"a": null, "b": 1}));
    assert_eq!(fields.require(&["a", "b"]), Ok(()));
    assert_eq!(fields.require(&["a", "c", "d"]), Err(Untranslatable::PartialSnapshot("c")));
}

#[rstest]
#[case("{}", Err(Untranslatable::Missing("customer.id")))]
#[case(r#"{"id":null}"#, Err(Untranslatable::Missing("customer.id")))]
#[case(r#"{"id":""}"#, Err(Untranslatable::Missing("customer.id")))]
#[case(r#"{"id":7}"#, Err(Untranslatable::Unreadable("customer.id")))]
#[case(r#"{"id":"7"}"#, Ok("7".to_owned()))]
fn a_required_field_is_missing_or_unreadable(#[case] body: &str, #[case] expected: Result<String, Untranslatable>) {
    assert_eq!(parse(body.as_bytes()).unwrap().required("customer.id", Fields::text), expected);
}

#[rstest]
#[case(b"{", Untranslatable::NotJson)]
#[case(b"", Untranslatable::NotJson)]
#[case(b"\xff", Untranslatable::NotJson)]
#[case(b"[]", Untranslatable::Unreadable("the body"))]
#[case(b"1", Untranslatable::Unreadable("the body"))]
fn the_body_is_an_object(#[case] body: &[u8], #[case] error: Untranslatable) {
    assert_eq!(parse(body).unwrap_err(), error);
}

#[test]
fn deep_nesting_is_an_error_and_not_a_crash() {
    let body = format!("{{\"a\":{}{}}}", "[".repeat(200_000), "]".repeat(200_000));
    assert_eq!(parse(body.as_bytes()).unwrap_err(), Untranslatable::NotJson);
}

/// RFC 8259 does not say which one counts.
#[test]
fn of_fields_with_the_same_name_the_last_counts() {
    let mut fields = parse(br#"{"f":"first","g":{"h":1,"h":2},"f":"last"}"#).unwrap();
    assert_eq!(fields.text("f").as_deref(), Some("last"));
    assert_eq!(Value::Object(fields.rest()), json!({ "g": { "h": 2 } }));
}
