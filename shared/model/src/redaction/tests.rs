use super::*;
use proptest::prelude::*;
use rstest::rstest;
use serde_json::json;

const CREDENTIALS: CredentialFields =
    CredentialFields { name_prefixes: &["otp", "edit_token"], exempt_fields: &["metadata"] };

#[test]
fn credentials_are_removed_except_in_exempt_fields() {
    let mut payload = json!({"data": {
        "changes": {"otp": ["1", "2"], "edit_token": [null, "3"], "first_name": ["a", "b"]},
        "customer": {"OTP": "4", "otp_sent_at": "5", "edit_token_expires_at": "6", "option": 7,
            "contact_people": [{"otp": "8", "first_name": "c"}], "metadata": {"otp": "kept"}},
    }});
    assert!(CREDENTIALS.remove_from(&mut payload));
    let left = json!({"data": {
        "changes": {"first_name": ["a", "b"]},
        "customer": {"option": 7, "contact_people": [{"first_name": "c"}], "metadata": {"otp": "kept"}},
    }});
    assert_eq!(payload, left);
    assert!(!CREDENTIALS.remove_from(&mut payload));
    assert_eq!(payload, left);
}

/// JSON inside a string, however often it is encoded.
#[rstest]
#[case(json!(r#"{"otp":"924117","id":1}"#), json!(r#"{"id":1}"#))]
#[case(json!(" \n[{\"OTP\" : 924117}]"), json!("[{}]"))]
#[case(json!("\u{feff}{\"\\u006ftp\":924117}"), json!("{}"))]
#[case(json!(json!(json!({"otp": "924117"}).to_string()).to_string()), json!(json!("{}").to_string()))]
#[case(json!(r#"["otp","924117"]"#), json!(r#"["otp",null]"#))]
#[case(json!(r#"{"a":{"otp":"924117"},"a":{}}"#), json!(r#"{"a":{}}"#))]
#[case(json!(json!({"a": [json!({"otp": "924117"}).to_string()]}).to_string()), json!(json!({"a": ["{}"]}).to_string()))]
// Not JSON, so it is unknown where the credential ends.
#[case(json!(r#"{"name":"5" pipe","otp":"924117"}"#), json!(null))]
#[case(json!(r#"{"otp":"924117""#), json!(null))]
#[case(json!("{'otp':'924117'}"), json!(null))]
#[case(json!("[{\u{201c}OTP\u{201d}:\u{201c}924117\u{201d}}]"), json!(null))]
#[case(json!(r#"{"\u006ftp":"924117""#), json!(null))]
#[case(json!("\u{fffd}{\"a\":\"pipe,\"otp\":\"924117\"}"), json!(null))]
#[case(json!(r#"received {"otp":"924117"}"#), json!(null))]
#[case(json!(r#"received "otp" : "924117", and more"#), json!(null))]
#[case(json!("id=e1&otp_code=924117"), json!(null))]
#[case(json!("OTP: 924117"), json!(null))]
#[case(json!("id=e1&customer%5Botp%5d=924117"), json!(null))]
#[case(json!("%7B%22otp%22%3A924117%7D"), json!(null))]
#[case(json!("&quot;otp&quot;:&#34;924117&#34;"), json!(null))]
#[case(json!("<edit-token>924117</edit-token>"), json!(null))]
#[case(json!("editToken => 924117"), json!(null))]
#[case(json!("login --otp=924117"), json!(null))]
#[case(json!(r#"{"newOtp":"924117""#), json!(null))]
#[case(json!(r#"{"a":"\notp=924117","a":1}"#), json!(r#"{"a":1}"#))]
fn credentials_are_removed_from_json_in_a_string(#[case] value: Value, #[case] left: Value) {
    let mut payload = json!({"raw": value, "b": [value]});
    assert!(CREDENTIALS.remove_from(&mut payload));
    assert_eq!(payload, json!({"raw": left, "b": [left]}));
}

#[test]
fn json_that_is_encoded_too_often_is_removed() {
    let mut text = json!({"otp": "924117"}).to_string();
    for depth in 1..=TEXT_DEPTH_MAX + 2 {
        for mut payload in [json!(text), json!([text])] {
            assert!(CREDENTIALS.remove_from(&mut payload), "{depth}");
            assert!(!payload.to_string().contains("924117"), "{depth}");
        }
        text = json!(text).to_string();
    }
}

#[rstest]
#[case(json!({"name": "otp", "value": "924117"}), json!({"name": "otp"}))]
#[case(json!({"Key": "OTP", "Value": 924_117, "id": 1}), json!({"Key": "OTP", "id": 1}))]
#[case(json!({"field": "edit_token_hash", "old": "1", "new": ["2"]}), json!({"field": "edit_token_hash"}))]
#[case(json!({"attributeName": "otpCode", "oldValue": 1, "new_values": 2}), json!({"attributeName": "otpCode"}))]
#[case(json!({"property": " otp ", "from": null, "to": {"a": 1}}), json!({"property": " otp "}))]
#[case(json!({"op": "replace", "path": "/customer/otp/0", "value": 1}), json!({"op": "replace", "path": "/customer/otp/0"}))]
#[case(json!({"path": "data.customer.otp", "before": 1, "after": 2}), json!({"path": "data.customer.otp"}))]
#[case(json!({"label": "OTP", "val": 1}), json!({"label": "OTP"}))]
#[case(json!({"k": "otp", "v": 1}), json!({"k": "otp"}))]
#[case(json!({"id": "otp", "value": 7}), json!({"id": "otp"}))]
#[case(json!({"type": "edit-token", "value": 7}), json!({"type": "edit-token"}))]
#[case(json!({"field": {"name": "otp"}, "old": 1, "new": 2}), json!({"field": {"name": "otp"}}))]
#[case(json!(["otp", "924117"]), json!(["otp", null]))]
#[case(json!(["id", 1, "otp", 2]), json!(["id", 1, "otp", null]))]
#[case(json!(["otp", 1, 2, "id", 3]), json!(["otp", null, null, "id", 3]))]
#[case(json!({"a": 1, "customer.otp": 2}), json!({"a": 1}))]
#[case(json!({"a": 1, "/customer/otp/0": 2}), json!({"a": 1}))]
#[case(json!({"a": 1, "customer[edit_token]": 2}), json!({"a": 1}))]
#[case(json!({"a": 1, " otp": 2, "$otp": 3, "_otp": 4}), json!({"a": 1}))]
#[case(json!({"a": 1, "old_otp": 2, "newOtp": 3, "customer-edit-token": 4}), json!({"a": 1}))]
#[case(json!({"name": "new_otp", "value": 2}), json!({"name": "new_otp"}))]
#[case(json!({"a": 1, "edit-token": 2, "editTokenHash": 3, "EditToken": 4, "edit token": 5}), json!({"a": 1}))]
#[case(json!({"a": 1, r#"{"otp":"924117"}"#: ""}), json!({"a": 1}))]
#[case(json!({"a": 1, "id=e1&otp=924117": ""}), json!({"a": 1}))]
#[case(json!(["edit_token", null, {"a": 1}]), json!(["edit_token", null, null]))]
#[case(json!([["name", "Ada"], ["otp", "924117"]]), json!([["name", "Ada"], ["otp", null]]))]
fn values_beside_a_credentials_name_are_removed(#[case] pair: Value, #[case] left: Value) {
    let mut payload = json!({"changes": [pair]});
    assert!(CREDENTIALS.remove_from(&mut payload));
    assert_eq!(payload, json!({"changes": [left]}));
}

#[rstest]
#[case(json!({"display_name": "OTP", "email": "ada@example.org"}))]
#[case(json!({"name": "Otpal", "value": 7}))]
#[case(json!({"name": "OTPAL", "value": 7}))]
#[case(json!({"name": "OTP Bank", "value": 7}))]
#[case(json!({"company_name": "Hotpot", "value": "otp"}))]
#[case(json!({"status": "otp", "value": 7}))]
#[case(json!({"hotpot": 1, "option": 2, "credit_tokens": 3, "edit": 4, "edit_to": 5}))]
#[case(json!("100% of OTP"))]
#[case(json!("%zz OTP%"))]
#[case(json!(["Otpal", "x"]))]
#[case(json!(["otp"]))]
#[case(json!(["name", "otp"]))]
#[case(json!(["otp", null]))]
#[case(json!("about the otp, see [1]: a = b"))]
#[case(json!("Call at 10:30 about the OTP"))]
#[case(json!("Otpal: a shop"))]
#[case(json!("hotpot=1"))]
#[case(json!("[Hotpot] Ltd"))]
#[case(json!("\"OTP\" Consulting"))]
#[case(json!("{not JSON"))]
#[case(json!(r#"{"a" : 1, "a" : 2}"#))]
#[case(json!(r#"{ "metadata" : {"otp":1} }"#))]
#[case(json!(r#" { "option": "1" } "#))]
#[case(json!({"metadata": [{"name": "otp", "value": 1}, ["otp", 1], r#"{"otp":1}"#]}))]
fn other_values_remain(#[case] value: Value) {
    let mut payload = json!({"a": [value]});
    let before = payload.clone();
    assert!(!CREDENTIALS.remove_from(&mut payload));
    assert_eq!(payload, before);
}

#[test]
fn a_record_is_not_a_pair() {
    let fields = (2..PAIR_FIELDS_MAX).map(|number| (format!("f{number}"), json!(number)));
    let mut record: Map<String, Value> = fields.collect();
    record.extend([("name".to_owned(), json!("OTP")), ("value".to_owned(), json!(7))]);
    let mut longer = record.clone();
    longer.insert("more".to_owned(), json!(8));
    assert!(CREDENTIALS.remove_from(&mut Value::Object(record)));
    assert!(!CREDENTIALS.remove_from(&mut Value::Object(longer)));
}

#[test]
fn nothing_is_removed_without_credential_fields() {
    let mut payload = json!({"otp": 1, "a": r#"{"otp":1"#});
    let before = payload.clone();
    assert!(!CredentialFields::NONE.remove_from(&mut payload));
    assert_eq!(payload, before);
}

/// JSON in which a credential is a field, or anything else.
fn payloads() -> impl Strategy<Value = Value> {
    let text = || {
        prop::sample::select(vec![
            "a",
            "name",
            "value",
            "metadata",
            "otp",
            "OTP_at",
            "newOtp",
            "x otp",
            "Edit-Token",
            "editToken",
            "new_edittoken",
            "otp=1",
            "%6ftp=1",
            "{\"otp\":1}",
            "Otpal",
            "\u{e9}",
            "\n",
            "",
        ])
    };
    let leaf = prop_oneof![Just(Value::Null), (0..9_u8).prop_map(Value::from), text().prop_map(Value::from)];
    leaf.prop_recursive(4, 24, 4, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::Array),
            prop::collection::vec((text(), inner), 0..4)
                .prop_map(|fields| fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()),
        ]
    })
}

proptest! {
    #[test]
    fn a_usual_body_loses_the_same_fields(payload in payloads(), is_pretty: bool) {
        let body = if is_pretty { format!("{payload:#}") } else { payload.to_string() };
        let (mut fast, mut thorough) = (payload.clone(), payload);
        CREDENTIALS.remove_from_body(body.as_bytes(), &mut fast);
        CREDENTIALS.remove_from(&mut thorough);
        prop_assert_eq!(fast, thorough);
    }
}
