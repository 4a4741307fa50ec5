//! Bodies that are unusual but valid end in the table, and every body that is accepted can be kept.

use aws_sdk_dynamodb::types::AttributeValue;
use clientele::events::signed_at;
use clientele::signing::UnsignedRequest;
use clientele::stack::LocalStack;
use clientele_model::{BODY_BYTES_MAX, MESSAGE_BYTES_MAX, SORT_KEY, parse_json};
use clientele_providers::{PROVIDERS, find};
use rstest::rstest;
use serde_json::{Value, json};

use crate::support::aws::AwsStandIn;
use crate::support::deliveries::{CREATED, DELETED, UPDATED, change, deliver, pk, signed};
use crate::support::{all_items, drain, handle, item, replay, stack, stack_with_template};

/// A delivery of a provider with that body.
fn with_body(provider: &str, body: &str) -> Value {
    let unsigned = UnsignedRequest { body: body.to_owned(), message_id: "msg_1".to_owned() };
    signed(find(provider).unwrap(), &unsigned, signed_at())
}

/// The body of a delivery that updates the customer `c`.
fn body(provider: &str) -> Value {
    let event = deliver(provider, &[change("c", 0, 1, UPDATED)], signed_at());
    parse_json(event["body"].as_str().unwrap().as_bytes()).unwrap()
}

/// The statuses and outcomes of the answers: while the table cannot be used, and afterwards.
async fn parked_and_applied(stack: &LocalStack, provider: &str, event: &Value) -> [(u16, String); 2] {
    let (aws, receivers) = AwsStandIn::with_receivers(stack).await;
    aws.fail(&["PutItem"]);
    let answers = [
        handle(&receivers[provider], event, signed_at()).await,
        handle(&stack.receivers[provider], event, signed_at()).await,
    ];
    answers.map(|answer| (answer.status_code, answer.body.unwrap()))
}

async fn delete(stack: &LocalStack, pk: &str) {
    let request = stack.clients.dynamodb.delete_item().table_name("customers").key("pk", AttributeValue::S(pk.into()));
    request.key("sk", AttributeValue::S(SORT_KEY.into())).send().await.unwrap();
}

/// The parser of the bodies, which is a part of the embedded DynamoDB too, gives these names a meaning.
#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn private_names_of_the_parser_are_stored(
    #[values("$serde_json::private::Number", "$serde_json::private::RawValue", "$other")] name: &str,
) {
    let stack = stack().await;
    for (number, value) in [json!("x"), json!("7"), json!("$7"), json!(7), json!({"a": [1.50]})].into_iter().enumerate()
    {
        let one = Value::Object([(name.to_owned(), value)].into_iter().collect());
        let mut several = one.clone();
        several["$a"] = json!("$");
        let metadata = json!({"one": one, "list": [one, [several]], "several": several, "text": one.to_string()});
        for (place, metadata) in [one, metadata].into_iter().enumerate() {
            let customer = format!("c{number}{place}");
            let mut body = body("metrifox");
            body["data"]["customer"]["id"] = json!(customer);
            body["data"]["customer"]["metadata"] = metadata.clone();
            let sent = body.to_string();
            let escaped = sent.replace("\"$", "\"\\u0024");
            let pk = pk("metrifox", &customer);

            let [parked, applied] = parked_and_applied(&stack, "metrifox", &with_body("metrifox", &escaped)).await;
            assert_eq!(parked, (202, r#"{"outcome":"parked"}"#.to_owned()), "{sent}");
            assert_eq!(applied, (200, r#"{"outcome":"applied"}"#.to_owned()), "{sent}");
            assert_eq!(item(&stack, &pk).await.unwrap()["profile"]["metadata"], metadata);
            delete(&stack, &pk).await;
            assert_eq!(stack.event_source_mapping.as_ref().unwrap().run_until_empty().await.unwrap(), 1);
            assert_eq!(item(&stack, &pk).await.unwrap()["profile"]["metadata"], metadata, "replayed");
            let again = handle(&stack.receivers["metrifox"], &with_body("metrifox", &sent), signed_at()).await;
            assert_eq!(again.body.as_deref(), Some(r#"{"outcome":"duplicate"}"#), "{sent}");
        }
    }
    let other = json!({"id": "e", "type": "invoice.created", "data": {"x": {name: "x"}}}).to_string();
    let answer = handle(&stack.receivers["metrifox"], &with_body("metrifox", &other), signed_at()).await;
    assert_eq!(answer.body.as_deref(), Some(r#"{"outcome":"ignored"}"#));
}

/// The signature is over the bytes as they were sent, which are also what is kept.
#[tokio::test(flavor = "multi_thread")]
async fn a_byte_order_mark_is_skipped() {
    for provider in PROVIDERS {
        let stack = stack().await;
        let event = with_body(provider.name, &format!("\u{feff}{}", body(provider.name)));
        let sent = event["body"].as_str().unwrap();
        assert!(sent.starts_with('\u{feff}'));
        let [parked, applied] = parked_and_applied(&stack, provider.name, &event).await;
        assert_eq!((parked.0, applied.0), (202, 200), "{}: {parked:?} {applied:?}", provider.name);
        assert!(item(&stack, &pk(provider.name, "c")).await.is_some());
        let [kept] = &drain(&stack, "inbox").await[..] else { panic!("one message") };
        if provider.credential_fields == clientele_model::CredentialFields::NONE {
            assert_eq!(kept["body"], sent);
        }
    }
}

/// The body with a text of so many units that it is as large as is accepted.
fn filled(mut body: Value, pointer: &str, unit: &str) -> String {
    *body.pointer_mut(pointer).unwrap() = json!("");
    let start = body.to_string();
    let escaped = json!(unit).to_string();
    let units = unit.repeat((BODY_BYTES_MAX - start.len()) / (escaped.len() - 2));
    *body.pointer_mut(pointer).unwrap() = units.into();
    body.to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_largest_bodies_are_parked_and_replayed() {
    // One message at a time, so that the events of one do not use up the time of another.
    let stack = stack_with_template(&[("BatchSize: 10", "BatchSize: 1")]).await;
    let [mut metrifox, mut plain, mut flexprice] = ["metrifox", "plain", "flexprice"].map(body);
    metrifox["data"]["customer"]["metadata"] = json!({"note": ""});
    plain["payload"]["customer"]["note"] = json!("");
    flexprice["customer"]["note"] = json!("");
    let batch = |events: u32| {
        let events: Vec<_> = (0..events).map(|event| change(&format!("c{event}"), 0, event, UPDATED)).collect();
        deliver("smarterpay", &events, signed_at())["body"].as_str().unwrap().to_owned()
    };
    let bytes_per_event = batch(500).len() / 500;
    let events = u32::try_from(BODY_BYTES_MAX / bytes_per_event).unwrap() - 5;
    let bodies = [
        ("metrifox", filled(metrifox.clone(), "/data/customer/metadata/note", "\"")),
        ("metrifox", filled(metrifox, "/data/customer/metadata/note", "\u{1}")),
        ("plain", filled(plain, "/payload/customer/note", "\\")),
        ("flexprice", filled(flexprice, "/customer/note", "x")),
        ("smarterpay", batch(events)),
    ];
    for (provider, body) in bodies {
        let bytes = body.len();
        assert!((BODY_BYTES_MAX - 20_000..=BODY_BYTES_MAX).contains(&bytes), "{provider}: {bytes}");
        let (aws, receivers) = AwsStandIn::with_receivers(&stack).await;
        aws.fail(&["PutItem"]);
        let answer = handle(&receivers[provider], &with_body(provider, &body), signed_at()).await;
        assert_eq!(answer.status_code, 202, "{provider}, {bytes} bytes: {:?}", answer.body);
        assert!(answer.body.unwrap().contains("parked"), "{provider}");
    }
    replay(&stack, 5).await;
    assert_eq!(all_items(&stack).await.len(), 3 + usize::try_from(events).unwrap());
    assert_eq!(drain(&stack, "quarantine").await, [] as [Value; 0]);
}

#[rstest]
#[case("\u{1}")]
#[case("\"")]
#[case("\u{fffe}")]
#[case("[")]
#[tokio::test(flavor = "multi_thread")]
async fn the_largest_bodies_are_quarantined(#[case] unit: &str) {
    let stack = stack().await;
    let body = unit.repeat(BODY_BYTES_MAX / unit.len());
    for provider in ["metrifox", "smarterpay", "flexprice"] {
        let answer = handle(&stack.receivers[provider], &with_body(provider, &body), signed_at()).await;
        assert_eq!(answer.status_code, 202, "{provider}: {:?}", answer.body);
        let [kept] = &drain(&stack, "quarantine").await[..] else { panic!("one message") };
        assert_eq!(kept["encoding"], if provider == "metrifox" { "omitted" } else { "base64" });
    }
}

/// The message contains every e-mail of the customer. It is also in the tombstone, so that it is never larger than an
/// item of the table.
#[tokio::test]
async fn the_largest_cleanup_message_fits() {
    let stack = stack().await;
    handle(&stack.receivers["metrifox"], &deliver("metrifox", &[change("c", 0, 1, CREATED)], signed_at()), signed_at())
        .await;
    let event = deliver("metrifox", &[change("c", 1, 2, DELETED)], signed_at());
    let mut body = parse_json(event["body"].as_str().unwrap().as_bytes()).unwrap();
    let emails: Vec<_> = (0..10_500).map(|number| json!({ "email": format!("\"{number:05}@e\"") })).collect();
    body["data"]["customer"]["email_addresses"] = json!(emails);
    let bytes = body.to_string().len();
    assert!((BODY_BYTES_MAX - 40_000..=BODY_BYTES_MAX).contains(&bytes), "{bytes}");
    let answer = handle(&stack.receivers["metrifox"], &with_body("metrifox", &body.to_string()), signed_at()).await;
    assert_eq!(answer.body.as_deref(), Some(r#"{"outcome":"applied"}"#));
    let [message] = &drain(&stack, "cleanup").await[..] else { panic!("one message") };
    assert!(message["identifiers"]["emails"].as_array().unwrap().len() >= 10_500);
    assert!(item(&stack, &pk("metrifox", "c")).await.unwrap().get("cleanup").is_none(), "sent");
}

/// As on AWS: the largest message that a queue takes, and one byte more.
#[tokio::test]
async fn a_queue_takes_the_largest_message() {
    let stack = stack().await;
    let url = &stack.queue_urls["inbox"];
    let largest = "x".repeat(MESSAGE_BYTES_MAX);
    let send = |body: String| stack.clients.sqs.send_message().queue_url(url).message_body(body).send();
    let receipt = send(largest.clone()).await.unwrap();
    assert!(send(format!("{largest}x")).await.is_err());
    let received = stack.clients.sqs.receive_message().queue_url(url).send().await.unwrap().messages.unwrap();
    let [message] = &received[..] else { panic!("one message") };
    assert_eq!(message.body(), Some(largest.as_str()));
    assert_eq!(message.md5_of_body(), receipt.md5_of_message_body());
}
