//! Refusals: without a secret everything is refused, all refusals are the same bytes, and no input causes a panic.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use clientele::events::{Case, signed_at};
use clientele::signing::UnsignedRequest;
use clientele::stack::{CapturedLog, LocalStack};
use clientele_aws::HttpResponse;
use clientele_model::{CredentialFields, Provider, ResponseRules, Scheme, SignedTime, TokenPlace, Verified};
use clientele_providers::PROVIDERS;
use jiff::SignedDuration;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::support::deliveries::{signed, untranslatable};
use crate::support::{all_items, case, cases, handle, json_lines, options, receiver, scheme, stack, start_receiver};

/// A provider whose code fails the test if it runs.
static UNREACHABLE: Provider = Provider {
    name: "unreachable",
    scheme_variable: None,
    scheme: |_| Ok(Scheme::Token(TokenPlace::Path)),
    accepts_weak_secrets: false,
    response_rules: ResponseRules { rejected_status: 401, ignored_status: 200, batch_field: None },
    translate: |_: &Verified| panic!("provider code ran for an unproved delivery"),
    credential_fields: CredentialFields::NONE,
    dropped_paths: &[],
    known_extra: &[],
};

/// Without a secret or a matching token a delivery is refused, and the code of the provider does not run.
#[tokio::test]
async fn closed_by_default() {
    let stack = stack().await;
    for (secrets, token) in [("[]", "x"), ("[]", ""), ("secret", ""), ("secret", "secre"), ("secret", "[]")] {
        let mut environment = stack.environments["plain"].clone();
        environment.insert("WEBHOOK_SECRETS".to_owned(), secrets.to_owned());
        let log = CapturedLog::default();
        let receiver = start_receiver(&UNREACHABLE, &environment, &stack.clients, &log).await;
        let event = json!({ "pathParameters": { "token": token }, "body": "{}" });
        assert_eq!(handle(&receiver, &event, signed_at()).await.status_code, 401, "{secrets} {token}");
    }

    // Without a configured secret, every provider refuses deliveries that are signed with the local one.
    let mut options = options();
    for &provider in PROVIDERS {
        options.set(provider, "WEBHOOK_SECRETS", "[]".into());
    }
    let closed = LocalStack::start(options).await.unwrap();
    for case in cases() {
        let answer = handle(&receiver(&closed, case), &case.event, signed_at()).await;
        assert_eq!(answer.status_code, case.provider.response_rules.rejected_status, "{}", case.title());
    }
    assert_eq!(all_items(&closed).await, [] as [Value; 0]);
}

/// With a required domain name, a delivery that arrives by another one is refused like every other, though its signature
/// is valid.
#[tokio::test]
async fn only_the_required_domain_name_is_accepted() {
    let stack = stack().await;
    for &provider in PROVIDERS {
        let case = case(&format!("{}/customer-created", provider.name));
        let refused = handle(&receiver(&stack, case), &json!({}), signed_at()).await;
        for (required, name, is_accepted) in [
            ("", json!({}), true),
            ("", json!({ "domainName": "a1b2c3.execute-api.eu-west-1.amazonaws.com" }), true),
            ("own.example.com", json!({ "domainName": "own.example.com" }), true),
            ("own.example.com", json!({ "domainName": "OWN.Example.com" }), true),
            ("Own.example.com", json!({ "domainName": "own.example.com" }), true),
            ("own.example.com", json!({}), false),
            ("own.example.com", json!({ "domainName": null }), false),
            ("own.example.com", json!({ "domainName": "" }), false),
            ("own.example.com", json!({ "domainName": "a1b2c3.execute-api.eu-west-1.amazonaws.com" }), false),
            ("own.example.com", json!({ "domainName": "webhooks.example.com" }), false),
            ("own.example.com", json!({ "domainName": "own.example.com.example.org" }), false),
            ("own.example.com", json!({ "domainName": "example.com" }), false),
        ] {
            let mut environment = stack.environments[provider.name].clone();
            environment.insert("REQUIRED_DOMAIN_NAME".to_owned(), required.to_owned());
            let log = CapturedLog::default();
            let receiver = start_receiver(provider, &environment, &stack.clients, &log).await;
            let mut event = case.event.clone();
            event["requestContext"] = name.clone();
            let answer = handle(&receiver, &event, signed_at()).await;
            let reason = &json_lines(&log)[0]["reason"];
            if is_accepted {
                assert_eq!((answer.status_code, reason), (200, &Value::Null), "{required} {name}");
            } else {
                assert_eq!((&answer, reason), (&refused, &json!("other_domain_name")), "{required} {name}");
            }
        }
    }
}

/// For each provider and each reason, a refusal has the same bytes. Only the status depends on the provider.
#[tokio::test]
async fn all_refusals_are_the_same_bytes() {
    let stack = stack().await;
    let mut bodies = BTreeSet::new();
    for title in PROVIDERS.iter().map(|provider| format!("{}/customer-created", provider.name)) {
        let case = case(&title);
        let scheme_of_case = scheme(case);
        let name = scheme_header(&scheme_of_case);
        let mut refused = vec![];
        let mut attempt = async |event: &Value, now| {
            let HttpResponse { status_code, headers, body, .. } = handle(&receiver(&stack, case), event, now).await;
            refused.push((status_code, headers, body));
        };
        let change = |change: &dyn Fn(&mut Value)| {
            let mut event = case.event.clone();
            change(&mut event);
            event
        };
        let long_after = signed_at() + SignedDuration::from_secs(301);
        attempt(&json!({}), signed_at()).await;
        attempt(&change(&|event| event["headers"] = json!({})), signed_at() + SignedDuration::from_secs(1)).await;
        attempt(&change(&|event| event["pathParameters"] = json!(null)), long_after).await;
        attempt(&change(&|event| event["headers"][name] = json!("garbled é\u{0}")), long_after).await;
        attempt(&change(&|event| event["headers"][name.to_uppercase()] = json!("again")), long_after).await;
        attempt(&change(&|event| event["isBase64Encoded"] = json!(true)), long_after).await;
        attempt(&change(&|event| event["body"] = json!("x".repeat(262_145))), signed_at()).await;
        let forged = case.sign(&scheme(case), "whsec_b3RoZXI=", signed_at()).unwrap();
        attempt(&forged, signed_at()).await;
        if signs_time(case.provider) {
            attempt(&case.event, long_after).await;
            attempt(&case.event, signed_at() - SignedDuration::from_secs(301)).await;
        }
        if matches!(scheme_of_case, Scheme::Hmac { signed_time: SignedTime::InBody(_), .. }) {
            let mut event = untranslatable(case.provider, signed_at());
            event["body"] = json!(event["body"].as_str().unwrap().replace("2026-", "x"));
            attempt(&event, signed_at()).await;
        }
        let wanted = case.provider.response_rules.rejected_status;
        // The path's token proves nothing about headers, and headers prove nothing about the path: where no time is
        // signed, what is left of those attempts is a good delivery.
        let good = refused.iter().filter(|(status, ..)| *status == 200).count();
        let without_time = if scheme_of_case == Scheme::Token(TokenPlace::Path) { 3 } else { 1 };
        assert_eq!(good, if signs_time(case.provider) { 0 } else { without_time }, "{title}");
        for (status, headers, body) in refused.into_iter().filter(|(status, ..)| *status != 200) {
            assert!(status == wanted || status == 413, "{title}: {status}");
            bodies.insert((format!("{headers:?}"), body));
        }
    }
    assert_eq!(bodies.len(), 1, "{bodies:?}");
    assert_eq!(bodies.first().unwrap().1.as_deref(), Some(r#"{"outcome":"rejected"}"#));
}

fn scheme_header(scheme: &Scheme) -> &str {
    match scheme {
        Scheme::Hmac { header, .. } | Scheme::Token(TokenPlace::Header(header)) => header,
        Scheme::Svix => "svix-signature",
        Scheme::Token(TokenPlace::Path) | Scheme::Basic => "authorization",
    }
}

fn signs_time(provider: &Provider) -> bool {
    match (provider.scheme)(None).unwrap() {
        Scheme::Hmac { signed_time, .. } => signed_time != SignedTime::None,
        Scheme::Svix => true,
        Scheme::Token(_) | Scheme::Basic => false,
    }
}

/// The deliveries are correctly signed; only their age differs.
#[tokio::test]
async fn old_deliveries_are_refused() {
    let stack = stack().await;
    for provider in PROVIDERS {
        let case = case(&format!("{}/customer-created", provider.name));
        let rejected = provider.response_rules.rejected_status;
        let attempts = if signs_time(provider) {
            vec![(300, 200), (301, rejected), (-300, 200), (-301, rejected)]
        } else {
            vec![(1_000_000, 200)]
        };
        for (seconds, status) in attempts {
            let now = signed_at() + SignedDuration::from_secs(seconds);
            let answer = handle(&receiver(&stack, case), &case.event, now).await;
            assert_eq!(answer.status_code, status, "{} {seconds}", provider.name);
        }
    }
}

/// A delivery at the limit is accepted, and one byte more is refused, both as text and as base64.
#[tokio::test]
async fn the_size_limit_is_exact() {
    let stack = stack().await;
    let case = case("smarterpay/unrelated-payment");
    for (bytes, status) in [(262_144, 204), (262_145, 413)] {
        let body = case.body().unwrap();
        let body = format!("{body}{}", " ".repeat(bytes - body.len()));
        let mut event =
            signed(case.provider, &UnsignedRequest { body: body.clone(), message_id: String::new() }, signed_at());
        assert_eq!(handle(&receiver(&stack, case), &event, signed_at()).await.status_code, status);
        event["body"] = BASE64_STANDARD.encode(body).into();
        event["isBase64Encoded"] = true.into();
        assert_eq!(handle(&receiver(&stack, case), &event, signed_at()).await.status_code, status);
    }
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "\\PC{0,12}".prop_map(Value::from),
        Just(json!("2026-11-20T12:00:00Z")),
        "-?[1-9][0-9]{0,50}(\\.[0-9]{1,50})?(e[+-]?[0-9]{1,12})?".prop_map(|text| serde_json::from_str(&text).unwrap()),
    ];
    let names =
        "id|type|event_type|customer|events|email|fullName|updatedAt|updated_at|data|payload|name|status|[a-z]{0,3}";
    leaf.prop_recursive(5, 60, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::btree_map(names, inner, 0..6).prop_map(|map| json!(map)),
        ]
    })
}

/// Event files, each with the JSON pointer of the record of a customer in its body.
static RECORDS: LazyLock<Vec<(&Case, String)>> = LazyLock::new(|| {
    let records = cases().iter().filter_map(|case| {
        let body: Value = serde_json::from_str(&case.body().unwrap()).ok()?;
        let id = &case.expected.items.values().next()?["customer_id"];
        Some((case, object_with(&body, id, "")?))
    });
    let records: Vec<_> = records.collect();
    let providers: BTreeSet<_> = records.iter().map(|(case, _)| case.provider.name).collect();
    assert_eq!(providers.len(), PROVIDERS.len());
    records
});

/// The pointer of the outermost object that has a field with this value.
fn object_with(value: &Value, field: &Value, pointer: &str) -> Option<String> {
    let within = |name: &str, inner: &Value| object_with(inner, field, &format!("{pointer}/{name}"));
    match value {
        Value::Object(fields) if fields.values().any(|value| value == field) => Some(pointer.to_owned()),
        Value::Object(fields) => fields.iter().find_map(|(name, inner)| within(name, inner)),
        Value::Array(elements) => elements.iter().enumerate().find_map(|(at, inner)| within(&at.to_string(), inner)),
        _ => None,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// Translation never panics, whatever the payload, and its result can be serialized.
    #[test]
    fn bounded_for_any_payload(json in any_json(), whole in any::<bool>(), place in any::<prop::sample::Index>(), bytes in prop::collection::vec(any::<u8>(), 0..60)) {
        let (case, pointer) = place.get(&RECORDS[..]);
        let mut body: Value = serde_json::from_str(&case.body().unwrap()).unwrap();
        // Replaces either the whole body, or fields of the customer under the names that the provider uses.
        if whole {
            body = json;
        } else if let (Some(fields), Some(record)) = (json.as_object(), body.pointer_mut(pointer).and_then(Value::as_object_mut)) {
            record.extend(fields.clone());
            let names: Vec<_> = record.keys().cloned().collect();
            for (name, value) in names.iter().zip(fields.values()) {
                record.insert(name.clone(), value.clone());
            }
        }
        for body in [body.to_string().into_bytes(), bytes] {
            for translation in crate::support::translation::translate(case.provider.name, &body) {
                if let Ok(clientele_model::Translated::Event(event)) = translation {
                    serde_json::to_string(&event.item(signed_at())).unwrap();
                }
            }
        }
    }
}
