//! What each scheme accepts, and why it rejects everything else.
#![allow(clippy::unwrap_used, missing_docs, reason = "tests")]

use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use clientele_model::{
    CredentialFields, Delivery, Fields, Proof, Rejection, Request, Scheme, Secrets, SignatureEncoding, SignedTime,
    TokenPlace, Untranslatable, Verified, verify,
};
use hmac::{Hmac, KeyInit, Mac};
use jiff::Timestamp;
use rstest::rstest;
use serde_json::Value;
use sha2::Sha256;

const BODY: &str = r#"{"a": {"sent": "2026-11-20T12:00:00.500Z"}, "b": 1}"#;
const TOLERANCE: Duration = Duration::from_mins(5);

fn now() -> Timestamp {
    "2026-11-20T12:00:00Z".parse().unwrap()
}

fn at(moment: &str) -> Timestamp {
    moment.parse().unwrap()
}

fn mac(key: &[u8], message: &str) -> Vec<u8> {
    Hmac::<Sha256>::new_from_slice(key).unwrap().chain_update(message).finalize().into_bytes().to_vec()
}

fn hex_mac(key: &str, message: &str) -> String {
    hex::encode(mac(key.as_bytes(), message))
}

/// A delivery, with what differs between cases.
struct Attempt<'a> {
    headers: Vec<(&'a str, String)>,
    token: Option<&'a str>,
    body: &'a str,
    now: Timestamp,
}

impl Default for Attempt<'_> {
    fn default() -> Self {
        Self { headers: vec![], token: None, body: BODY, now: now() }
    }
}

impl Attempt<'_> {
    fn verify(self, scheme: &Scheme, secrets: &str) -> Result<Verified, Rejection> {
        let headers = self.headers.into_iter().map(|(name, value)| (name.into(), value.into())).collect();
        let token = self.token.map(str::to_owned);
        let request = Request { headers, token, body: Some(self.body.to_owned()), is_base64: false };
        let delivery = Delivery::accept(request, 1024)?;
        let secrets = Secrets::parse(secrets, scheme).unwrap();
        verify(delivery, scheme, &secrets, self.now, TOLERANCE).map_err(|rejected| rejected.reason)
    }
}

fn verify_headers(headers: Vec<(&str, String)>, scheme: &Scheme, secrets: &str) -> Result<Verified, Rejection> {
    Attempt { headers, ..Attempt::default() }.verify(scheme, secrets)
}

/// The index of the secret that matched.
fn secret_index(verdict: Result<Verified, Rejection>) -> Result<usize, Rejection> {
    verdict.map(|verified| verified.proof().secret_index)
}

fn hmac_scheme(encoding: SignatureEncoding, signed_time: SignedTime) -> Scheme {
    Scheme::Hmac { header: "X-Signature".into(), encoding, signed_time }
}

#[rstest]
#[case::right(&[hex_mac("k", BODY)], Ok(0))]
#[case::upper_case(&[hex_mac("k", BODY).to_uppercase()], Ok(0))]
#[case::second_secret(&[hex_mac("k2", BODY)], Ok(1))]
#[case::wrong_key(&[hex_mac("other", BODY)], Err(Rejection::Mismatch))]
#[case::re_serialised(&[hex_mac("k", r#"{"a":{"sent":"2026-11-20T12:00:00.500Z"},"b":1}"#)], Err(Rejection::Mismatch))]
#[case::changed_white_space(&[hex_mac("k", &format!("{BODY}\n"))], Err(Rejection::Mismatch))]
#[case::truncated(&[hex_mac("k", BODY)[..62].to_owned()], Err(Rejection::Mismatch))]
#[case::odd(&[hex_mac("k", BODY)[..63].to_owned()], Err(Rejection::ProofMalformed))]
#[case::longer(&[hex_mac("k", BODY) + "00"], Err(Rejection::Mismatch))]
#[case::prefixed(&["sha256=".to_owned() + &hex_mac("k", BODY)], Err(Rejection::ProofMalformed))]
#[case::not_hex(&["g".repeat(64)], Err(Rejection::ProofMalformed))]
#[case::base64(&[BASE64_STANDARD.encode(mac(b"k", BODY))], Err(Rejection::ProofMalformed))]
#[case::empty(&[String::new()], Err(Rejection::ProofMissing))]
#[case::missing(&[], Err(Rejection::ProofMissing))]
#[case::twice_the_same(&[hex_mac("k", BODY), hex_mac("k", BODY)], Err(Rejection::ProofRepeated))]
#[case::twice_one_wrong(&["00".to_owned(), hex_mac("k", BODY)], Err(Rejection::ProofRepeated))]
#[case::joined_by_the_gateway(&[format!("{0},{0}", hex_mac("k", BODY))], Err(Rejection::ProofMalformed))]
fn hmac_in_hex(#[case] signatures: &[String], #[case] verdict: Result<usize, Rejection>) {
    // A repeated header is in another letter case, which JSON allows.
    let names = ["x-signature", "X-SIGNATURE"];
    let headers = names.into_iter().zip(signatures.iter().cloned()).collect();
    let scheme = hmac_scheme(SignatureEncoding::Hex, SignedTime::None);
    assert_eq!(secret_index(verify_headers(headers, &scheme, r#"["k", "k2"]"#)), verdict);
}

fn base64_mac(key: &str, message: &str) -> String {
    BASE64_STANDARD.encode(mac(key.as_bytes(), message))
}

#[rstest]
#[case::right(&[base64_mac("k", BODY)], Ok(0))]
#[case::second_secret(&[base64_mac("k2", BODY)], Ok(1))]
#[case::wrong_key(&[base64_mac("other", BODY)], Err(Rejection::Mismatch))]
#[case::upper_case(&[base64_mac("k", BODY).to_uppercase()], Err(Rejection::Mismatch))]
#[case::re_serialised(&[base64_mac("k", r#"{"a":{"sent":"2026-11-20T12:00:00.500Z"},"b":1}"#)], Err(Rejection::Mismatch))]
#[case::changed_white_space(&[base64_mac("k", &format!("{BODY} "))], Err(Rejection::Mismatch))]
#[case::truncated(&[base64_mac("k", BODY)[..40].to_owned()], Err(Rejection::Mismatch))]
#[case::without_padding(&[base64_mac("k", BODY).trim_end_matches('=').to_owned()], Err(Rejection::ProofMalformed))]
#[case::url_safe(&["-_-_".repeat(11)], Err(Rejection::ProofMalformed))]
#[case::hex(&[hex_mac("k", BODY)], Err(Rejection::Mismatch))]
#[case::empty(&[String::new()], Err(Rejection::ProofMissing))]
#[case::missing(&[], Err(Rejection::ProofMissing))]
#[case::twice(&[base64_mac("k", BODY), base64_mac("k", BODY)], Err(Rejection::ProofRepeated))]
#[case::joined_by_the_gateway(&[format!("{0},{0}", base64_mac("k", BODY))], Err(Rejection::ProofMalformed))]
fn hmac_in_base64(#[case] signatures: &[String], #[case] verdict: Result<usize, Rejection>) {
    let headers = ["x-signature", "X-Signature"].into_iter().zip(signatures.iter().cloned()).collect();
    let scheme = hmac_scheme(SignatureEncoding::Base64, SignedTime::None);
    assert_eq!(secret_index(verify_headers(headers, &scheme, r#"["k", "k2"]"#)), verdict);
}

/// The time of the attempt is in the signed body: 12:00:00.500.
#[rstest]
#[case::fresh("2026-11-20T12:00:00.5Z", "k", Ok(at("2026-11-20T12:00:00.500Z")))]
#[case::just_not_too_old("2026-11-20T12:05:00.5Z", "k", Ok(at("2026-11-20T12:00:00.500Z")))]
#[case::too_old("2026-11-20T12:05:00.500001Z", "k", Err(Rejection::TooOld))]
#[case::just_not_too_new("2026-11-20T11:55:00.5Z", "k", Ok(at("2026-11-20T12:00:00.500Z")))]
#[case::too_new("2026-11-20T11:55:00.499999Z", "k", Err(Rejection::TooNew))]
#[case::old_and_forged("2026-11-20T13:00:00Z", "other", Err(Rejection::Mismatch))]
#[case::end_of_time("9999-12-30T22:00:00Z", "k", Err(Rejection::TooOld))]
fn time_in_the_body(#[case] now: &str, #[case] key: &str, #[case] verdict: Result<Timestamp, Rejection>) {
    let attempt = Attempt { headers: vec![("x-signature", hex_mac(key, BODY))], now: at(now), ..Attempt::default() };
    let scheme = hmac_scheme(SignatureEncoding::Hex, SignedTime::InBody(&["a", "sent"]));
    assert_eq!(attempt.verify(&scheme, "k").map(|verified| verified.proof().sent_at.unwrap()), verdict);
}

/// Verification parses a body that has a time in it. A translation gets the same fields, and so does a second one.
#[test]
fn a_body_with_a_time_is_translated_as_it_was_sent() {
    let scheme = hmac_scheme(SignatureEncoding::Hex, SignedTime::InBody(&["a", "sent"]));
    let attempt = Attempt { headers: vec![("x-signature", hex_mac("k", BODY))], ..Attempt::default() };
    let verified = attempt.verify(&scheme, "k").unwrap();
    for _ in 0..2 {
        let fields = Fields::parse(&verified, &CredentialFields::NONE).unwrap();
        assert_eq!(Value::Object(fields.rest()), serde_json::from_str::<Value>(BODY).unwrap());
    }
}

/// A body that cannot be parsed is kept for an operator, and not delivered again and again.
#[test]
fn a_time_is_found_in_a_body_that_is_nested_too_deeply() {
    let scheme = hmac_scheme(SignatureEncoding::Hex, SignedTime::InBody(&["a", "sent"]));
    let body = format!(r#"{{"n":{}{},"a":{{"sent":"2026-11-20T12:00:00Z"}}}}"#, "[".repeat(200), "]".repeat(200));
    let attempt = Attempt { headers: vec![("x-signature", hex_mac("k", &body))], body: &body, ..Attempt::default() };
    let verified = attempt.verify(&scheme, "k").unwrap();
    assert_eq!(verified.proof().sent_at, Some(now()));
    assert_eq!(Fields::parse(&verified, &CredentialFields::NONE).unwrap_err(), Untranslatable::NotJson);
}

#[rstest]
#[case::absent(r#"{"a": {}}"#)]
#[case::no_object(r#"{"a": 1}"#)]
#[case::a_number(r#"{"a": {"sent": 1795176000}}"#)]
#[case::no_time(r#"{"a": {"sent": "noon"}}"#)]
#[case::without_zone(r#"{"a": {"sent": "2026-11-20T12:00:00"}}"#)]
#[case::no_json("hello-world")]
#[case::nothing("")]
fn a_time_in_the_body_must_be_readable(#[case] body: &str) {
    let scheme = hmac_scheme(SignatureEncoding::Hex, SignedTime::InBody(&["a", "sent"]));
    let attempt = |key| Attempt { headers: vec![("x-signature", hex_mac(key, body))], body, ..Attempt::default() };
    assert_eq!(attempt("k").verify(&scheme, "k").unwrap_err(), Rejection::TimeUnreadable);
    // For a forged delivery not even the log says whether there is a time.
    assert_eq!(attempt("other").verify(&scheme, "k").unwrap_err(), Rejection::Mismatch);
}

const KEY: &str = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3";
const KEY_2: &str = "whsec_ZmVkY2JhOTg3NjU0MzIxMGZlZGNiYTk4";

fn svix_signature(key: &str, id: &str, timestamp: &str, body: &str) -> String {
    let key = BASE64_STANDARD.decode(key.trim_start_matches("whsec_")).unwrap();
    format!("v1,{}", BASE64_STANDARD.encode(mac(&key, &format!("{id}.{timestamp}.{body}"))))
}

fn svix_headers<'a>(family: [&'a str; 3], id: &str, timestamp: &str, signature: String) -> Vec<(&'a str, String)> {
    let [id_name, timestamp_name, signature_name] = family;
    vec![(id_name, id.to_owned()), (timestamp_name, timestamp.to_owned()), (signature_name, signature)]
}

const SVIX: [&str; 3] = ["svix-id", "svix-timestamp", "svix-signature"];
const WEBHOOK: [&str; 3] = ["Webhook-Id", "Webhook-Timestamp", "Webhook-Signature"];
const NOW: &str = "1795176000";

fn good() -> String {
    svix_signature(KEY, "msg_1", NOW, BODY)
}

/// In upper case, except for the version and the end, whose unused bits must be zero in valid base64.
fn upper_case(signature: &str) -> String {
    let (start, end) = signature.split_at(signature.len() - 4);
    format!("v1,{}{end}", start["v1,".len()..].to_uppercase())
}

#[rstest]
#[case::right(good(), Ok(0))]
#[case::second_secret(svix_signature(KEY_2, "msg_1", NOW, BODY), Ok(1))]
#[case::list_with_the_good_one_last(format!("{} v2,abc= nonsense {}", svix_signature(KEY, "x", NOW, BODY), good()), Ok(0))]
#[case::list_with_the_good_one_first(format!("{} v1,AAAA", good()), Ok(0))]
#[case::wrong_key(svix_signature("whsec_b3RoZXI=", "msg_1", NOW, BODY), Err(Rejection::Mismatch))]
#[case::upper_case(upper_case(&good()), Err(Rejection::Mismatch))]
#[case::re_serialised(
    svix_signature(KEY, "msg_1", NOW, r#"{"a":{"sent":"2026-11-20T12:00:00.500Z"},"b":1}"#),
    Err(Rejection::Mismatch)
)]
#[case::other_id(svix_signature(KEY, "msg_2", NOW, BODY), Err(Rejection::Mismatch))]
#[case::other_timestamp(svix_signature(KEY, "msg_1", "1795176001", BODY), Err(Rejection::Mismatch))]
#[case::other_body(svix_signature(KEY, "msg_1", NOW, "{}"), Err(Rejection::Mismatch))]
#[case::changed_white_space(svix_signature(KEY, "msg_1", NOW, &BODY.replace(' ', "")), Err(Rejection::Mismatch))]
#[case::v2_only(good().replace("v1,", "v2,"), Err(Rejection::ProofMalformed))]
#[case::v1a_only(good().replace("v1,", "v1a,"), Err(Rejection::ProofMalformed))]
#[case::without_version(good().replace("v1,", ""), Err(Rejection::ProofMalformed))]
#[case::truncated(good()[..20].to_owned(), Err(Rejection::ProofMalformed))]
#[case::short_but_base64("v1,AAAA".to_owned(), Err(Rejection::Mismatch))]
#[case::without_padding(good().trim_end_matches('=').to_owned(), Err(Rejection::ProofMalformed))]
#[case::in_hex(format!("v1,{}", hex::encode(mac(b"0123456789abcdef01234567", &format!("msg_1.{NOW}.{BODY}")))), Err(Rejection::Mismatch))]
#[case::joined_by_the_gateway(format!("{0},{0}", good()), Err(Rejection::ProofMalformed))]
#[case::empty(String::new(), Err(Rejection::ProofMissing))]
fn svix(#[case] signature: String, #[case] verdict: Result<usize, Rejection>) {
    for family in [SVIX, WEBHOOK] {
        let headers = svix_headers(family, "msg_1", NOW, signature.clone());
        let verified = verify_headers(headers, &Scheme::Svix, &format!("[{KEY:?}, {KEY_2:?}]"));
        assert_eq!(secret_index(verified), verdict);
    }
}

#[rstest]
#[case::fresh(NOW, Ok(()))]
#[case::just_not_too_old("1795175700", Ok(()))]
#[case::too_old("1795175699", Err(Rejection::TooOld))]
#[case::just_not_too_new("1795176300", Ok(()))]
#[case::too_new("1795176301", Err(Rejection::TooNew))]
#[case::least("-9223372036854775808", Err(Rejection::TimeUnreadable))]
#[case::greatest("9223372036854775807", Err(Rejection::TimeUnreadable))]
#[case::beyond("99999999999999999999", Err(Rejection::TimeUnreadable))]
#[case::long_ago("-62135596800", Err(Rejection::TooOld))]
#[case::no_number("now", Err(Rejection::TimeUnreadable))]
#[case::fraction("1795176000.5", Err(Rejection::TimeUnreadable))]
#[case::spaces(" 1795176000", Err(Rejection::TimeUnreadable))]
#[case::empty("", Err(Rejection::ProofMissing))]
fn svix_timestamps(#[case] timestamp: &str, #[case] verdict: Result<(), Rejection>) {
    let headers = svix_headers(SVIX, "msg_1", timestamp, svix_signature(KEY, "msg_1", timestamp, BODY));
    let verified = verify_headers(headers, &Scheme::Svix, KEY);
    assert_eq!(verified.map(drop), verdict);
    // The age is checked only if the delivery is authentic.
    if timestamp.is_empty() {
        return;
    }
    let headers = svix_headers(SVIX, "msg_1", timestamp, svix_signature(KEY_2, "msg_1", timestamp, BODY));
    assert_eq!(verify_headers(headers, &Scheme::Svix, KEY).unwrap_err(), Rejection::Mismatch);
}

#[test]
fn svix_proof_has_the_message_id() {
    let headers = svix_headers(SVIX, "msg_1", NOW, good());
    let verified = verify_headers(headers, &Scheme::Svix, KEY).unwrap();
    let proof = Proof { secret_index: 0, message_id: Some("msg_1".into()), sent_at: Some(now()) };
    assert_eq!(*verified.proof(), proof);
    assert_eq!((verified.body(), verified.received_at()), (BODY.as_bytes(), now()));
}

#[rstest]
#[case::no_id(&[1, 2], &[], Rejection::ProofMissing)]
#[case::no_timestamp(&[0, 2], &[], Rejection::ProofMissing)]
#[case::no_signature(&[0, 1], &[], Rejection::ProofMissing)]
#[case::nothing(&[], &[], Rejection::ProofMissing)]
#[case::id_twice(&[0, 0, 1, 2], &[], Rejection::ProofRepeated)]
#[case::timestamp_twice(&[0, 1, 1, 2], &[], Rejection::ProofRepeated)]
#[case::signature_twice(&[0, 1, 2, 2], &[], Rejection::ProofRepeated)]
#[case::families_mixed(&[0, 1], &[2], Rejection::ProofMissing)]
fn svix_headers_must_come_once_and_be_of_one_family(
    #[case] svix: &[usize],
    #[case] webhook: &[usize],
    #[case] reason: Rejection,
) {
    let values = ["msg_1".to_owned(), NOW.to_owned(), good()];
    let family = |names: [&'static str; 3], chosen: &[usize]| {
        chosen.iter().map(|index| (names[*index], values[*index].clone())).collect::<Vec<_>>()
    };
    let headers = [family(SVIX, svix), family(WEBHOOK, webhook)].concat();
    assert_eq!(verify_headers(headers, &Scheme::Svix, KEY).unwrap_err(), reason);
}

#[test]
fn svix_ids_with_a_dot_are_rejected() {
    let headers = svix_headers(SVIX, "msg.1", NOW, svix_signature(KEY, "msg.1", NOW, BODY));
    let verdict = verify_headers(headers, &Scheme::Svix, KEY);
    assert_eq!(verdict.unwrap_err(), Rejection::ProofMalformed);
}

#[rstest]
#[case::right(Some("token-1"), Ok(0))]
#[case::second(Some("token-2"), Ok(1))]
#[case::prefix(Some("token-"), Err(Rejection::Mismatch))]
#[case::longer(Some("token-11"), Err(Rejection::Mismatch))]
#[case::upper_case(Some("TOKEN-1"), Err(Rejection::Mismatch))]
#[case::empty(Some(""), Err(Rejection::ProofMissing))]
#[case::missing(None, Err(Rejection::ProofMissing))]
fn tokens(#[case] token: Option<&str>, #[case] verdict: Result<usize, Rejection>) {
    let secrets = r#"["token-1", "token-2"]"#;
    let path = Scheme::Token(TokenPlace::Path);
    assert_eq!(secret_index(Attempt { token, ..Attempt::default() }.verify(&path, secrets)), verdict);
    let header = Scheme::Token(TokenPlace::Header("X-Api-Key".into()));
    let headers: Vec<_> = token.map(|token| ("x-api-key", token.to_owned())).into_iter().collect();
    let in_header = |headers| verify_headers(headers, &header, secrets);
    assert_eq!(secret_index(in_header(headers.clone())), verdict);
    // A token in another place does not count.
    assert_eq!(Attempt { token, ..Attempt::default() }.verify(&header, secrets).unwrap_err(), Rejection::ProofMissing);
    if verdict.is_ok() {
        assert_eq!(in_header([headers.clone(), headers].concat()).unwrap_err(), Rejection::ProofRepeated);
    }
}

fn basic(credentials: &str) -> String {
    format!("Basic {}", BASE64_STANDARD.encode(credentials))
}

#[rstest]
#[case::right(vec![basic("user:pass")], Ok(0))]
#[case::second(vec![basic("other:pa:ss")], Ok(1))]
#[case::scheme_in_lower_case(vec![basic("user:pass").replace("Basic", "basic")], Ok(0))]
#[case::wrong_password(vec![basic("user:wrong")], Err(Rejection::Mismatch))]
#[case::no_password(vec![basic("user:")], Err(Rejection::Mismatch))]
#[case::truncated(vec![basic("user:pas")], Err(Rejection::Mismatch))]
#[case::upper_case(vec![basic("USER:PASS")], Err(Rejection::Mismatch))]
#[case::bearer(vec![basic("user:pass").replace("Basic", "Bearer")], Err(Rejection::ProofMalformed))]
#[case::not_base64(vec!["Basic user:pass".to_owned()], Err(Rejection::ProofMalformed))]
#[case::without_scheme(vec![BASE64_STANDARD.encode("user:pass")], Err(Rejection::ProofMalformed))]
#[case::empty(vec![String::new()], Err(Rejection::ProofMissing))]
#[case::missing(vec![], Err(Rejection::ProofMissing))]
#[case::twice(vec![basic("user:pass"), basic("user:pass")], Err(Rejection::ProofRepeated))]
fn basic_credentials(#[case] values: Vec<String>, #[case] verdict: Result<usize, Rejection>) {
    let headers = values.into_iter().map(|value| ("Authorization", value)).collect();
    let verified = verify_headers(headers, &Scheme::Basic, r#"["user:pass", "other:pa:ss"]"#);
    assert_eq!(secret_index(verified), verdict);
}

#[test]
fn without_a_secret_everything_is_rejected() {
    let schemes = [
        hmac_scheme(SignatureEncoding::Hex, SignedTime::None),
        Scheme::Svix,
        Scheme::Token(TokenPlace::Path),
        Scheme::Token(TokenPlace::Header("x".into())),
        Scheme::Basic,
    ];
    for scheme in schemes {
        for secrets in ["", "[]"] {
            assert_eq!(Attempt::default().verify(&scheme, secrets).unwrap_err(), Rejection::NoSecret, "{scheme:?}");
        }
    }
}

/// From Plain's own tests: <https://github.com/team-plain/sdk>, `verify-plain-webhook.test.ts`.
#[test]
fn known_answer_of_plain() {
    let signature = "1bff4699de4fb5202a4b1e6cefd7b5fdfb02d19a67a1eb371dd417a45b0a47df".to_owned();
    let attempt = Attempt { headers: vec![("x-signature", signature)], body: "hello-world", ..Attempt::default() };
    assert!(attempt.verify(&hmac_scheme(SignatureEncoding::Hex, SignedTime::None), "secret").is_ok());
}

/// The key and message are from the signature page of the `SmarterPay` wiki. The page shows no signature; this one was
/// made with openssl.
#[test]
fn known_answer_of_smarterpay() {
    let body = concat!(
        r#"{ "events" :[ {  "id" : "0" ,  "created_at" : "2021-08-25T17:18:03.000Z", "resource_type": "mandate","#,
        r#"  "event_source" : "10044000",  "customer_account" : "",  "AUDDIS" : "0",  "status" : "new_instruction","#,
        r#"  "description" : "Test for webhook Mandate Subscription",  "bacs_reason_code" : "200 OK","#,
        r#"  "bacs_description" : "Test",  "bacs_reference" : "",  "bacs_filename" : "" } ] }"#,
    );
    let signature = "4b4811c67d7c7a307c347d5bc0c426d024f77f24e68b0f4df4ae5b3cffea12ae".to_owned();
    let attempt = Attempt { headers: vec![("x-signature", signature)], body, ..Attempt::default() };
    assert!(attempt.verify(&hmac_scheme(SignatureEncoding::Hex, SignedTime::None), "ssecretwebhookkey").is_ok());
}

/// Svix's published example: <https://docs.svix.com/receiving/verifying-payloads/how-manual>.
#[test]
fn known_answer_of_svix() {
    let signature = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=".to_owned();
    let attempt = Attempt {
        headers: svix_headers(SVIX, "msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", signature),
        body: r#"{"test": 2432232314}"#,
        now: Timestamp::from_second(1_614_265_330).unwrap(),
        ..Attempt::default()
    };
    assert!(attempt.verify(&Scheme::Svix, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").is_ok());
}

/// Recorded from Svix's own libraries: `svix` 2.9.1 for Python and 1.99.1 for JavaScript both make this signature.
#[test]
fn known_answer_of_the_svix_libraries() {
    let signature = "v1,wnvmB3fPfEPkY0/sMzKDdcpe8fCxXRp7cqOB9DODjPg=".to_owned();
    let body = concat!(
        r#"{"event_type":"customer.updated","customer":{"id":"cust_01K","name":"Zoë 5\" \u2028 Ω","#,
        r#""environment_id":"env_7"}}"#,
    );
    for family in [SVIX, WEBHOOK] {
        let attempt = Attempt {
            headers: svix_headers(family, "msg_2kXbQm4TjYc", "1795176000", signature.clone()),
            body,
            now: Timestamp::from_second(1_795_176_000).unwrap(),
            ..Attempt::default()
        };
        assert!(attempt.verify(&Scheme::Svix, "whsec_Q2xpZW50ZWxlIHJlY29yZGVkIHZlY3Rvcjo6AAECAwQ=").is_ok());
    }
}
