//! Whatever body is accepted can be kept: its message is never larger than SQS accepts.

#![allow(clippy::unwrap_used, missing_docs, reason = "tests")]

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use clientele_model::{
    BODY_BYTES_MAX, BodyEncoding, CredentialFields, KeptDelivery, KeptPart, MESSAGE_BYTES_MAX, Provider, ResponseRules,
    Scheme, Time, TokenPlace, Verified,
};
use jiff::Timestamp;
use proptest::prelude::*;
use rstest::rstest;

/// Sends credentials in batches.
const PROVIDER: Provider = Provider {
    name: "acme",
    scheme_variable: None,
    scheme: |_| Ok(Scheme::Token(TokenPlace::Path)),
    accepts_weak_secrets: false,
    response_rules: ResponseRules { rejected_status: 401, ignored_status: 200, batch_field: Some("events") },
    translate: |_| vec![],
    credential_fields: CredentialFields { name_prefixes: &["otp"], exempt_fields: &[] },
    dropped_paths: &[],
    known_extra: &[],
};
const WITHOUT_CREDENTIALS: Provider = Provider { credential_fields: CredentialFields::NONE, ..PROVIDER };

/// The size of the message that keeps a body.
fn message_bytes(provider: &Provider, body: &[u8], part: KeptPart<'_>, id: &str, reason: &str) -> usize {
    let verified: Verified = KeptDelivery {
        schema: 1,
        provider: String::new(),
        reason: String::new(),
        received_at: Time(Timestamp::MAX),
        delivery_id: Some(id.to_owned()),
        sent_at: Some(Time(Timestamp::MAX)),
        encoding: BodyEncoding::Base64,
        body: Some(BASE64_STANDARD.encode(body)),
        fingerprint: None,
    }
    .into_verified()
    .unwrap();
    KeptDelivery::new(provider, &verified, reason, part).to_message().len()
}

/// The unit is repeated until the body is as large as can be accepted. Headers and reason are as large as can be, too.
#[rstest]
#[case("", "x", "")]
#[case("", "\"", "")]
#[case("", "\u{1}", "")]
#[case("{\"a\":\"", r#"\""#, "\"}")]
#[case("{\"a\":\"", r"\\", "\"}")]
#[case("{\"a\":\"", r"\u0001", "\"}")]
#[case("{\"a\":\"", r"\ud83d", "\"}")]
#[case("{\"a\":\"", "\u{fffe}", "\"}")]
#[case("{\"a\":\"", r#"{\"otp\":1}"#, "\"}")]
#[case("{\"a\":1", "\n", "}")]
#[case("{\"otp\":1,\"a\":[", "1e1,", "2]}")]
#[case("{\"otp\":1,\"a\":[", "\"\u{fffe}\",", "2]}")]
#[case("{\"a\":[", "[\"otp\",1,1],", "2]}")]
#[case("{\"a\":[", "[\"otp\",\"\",0],", "2]}")]
#[case("{\"a\":[", r#""{otp","#, "2]}")]
#[case("{\"events\":[", "0,", "2]}")]
#[case("{\"events\":[", "{},", "2]}")]
#[case("{\"events\":[", "\"\",", "2]}")]
fn the_largest_bodies_fit(
    #[case] start: &str,
    #[case] unit: &str,
    #[case] end: &str,
    #[values(PROVIDER, WITHOUT_CREDENTIALS)] provider: Provider,
    #[values(KeptPart::Whole, KeptPart::Events(&[0]))] part: KeptPart<'_>,
) {
    let units = unit.repeat((BODY_BYTES_MAX - start.len() - end.len()) / unit.len());
    let body = [start, &units, end].concat();
    assert!(BODY_BYTES_MAX - body.len() < unit.len());
    let bytes = message_bytes(&provider, body.as_bytes(), part, &"\u{1}".repeat(10_240), &"\u{1}".repeat(1_024));
    assert!(bytes <= MESSAGE_BYTES_MAX, "{bytes}");
}

const UNITS: [&str; 22] = [
    "0,",
    "{},",
    "\"\",",
    "1e1,",
    "\"",
    r"\",
    r#"\""#,
    r"\\",
    r"\u0001",
    r"\ud83d",
    "\u{fffe}",
    "\u{ffff}",
    "\n",
    "\u{1}",
    "{\"otp\":1},",
    "[\"otp\",1,1],",
    "\"{otp\",",
    "[",
    "]",
    "{",
    "}",
    "\u{1f600}",
];

proptest! {
    #[test]
    fn a_body_takes_at_most_two_and_a_half_times_its_size(
        units in prop::collection::vec(prop::sample::select(&UNITS[..]), 0..60),
        shape in 0..4,
    ) {
        let units = units.concat();
        let body = match shape {
            0 => units,
            1 => format!("{{\"a\":\"{units}\"}}"),
            2 => format!("{{\"events\":[\"{units}\"]}}"),
            _ => format!("{{\"events\":[{units}0]}}"),
        };
        for provider in [PROVIDER, WITHOUT_CREDENTIALS] {
            for part in [KeptPart::Whole, KeptPart::Events(&[3])] {
                // What the form takes whatever the body is: names, padding and a fingerprint.
                let bytes = message_bytes(&provider, body.as_bytes(), part, "", "");
                prop_assert!(bytes <= 400 + body.len() * 5 / 2, "{bytes}: {body}");
            }
        }
    }
}
