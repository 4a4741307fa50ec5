//! Over HTTP: routes, repeated headers, odd bytes, and ten thousand deliveries.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
use std::time::Duration;

use axum::http::Request;
use bytes::Bytes;
use clientele::events::signed_at;
use clientele::providers::known;
use clientele::stack::Stack;
use clientele_aws::HttpEvent;
use clientele_model::{CustomerEvent, Delivery, Secrets, Translated, verify};
use futures_util::StreamExt;
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use jiff::Timestamp;
use proptest::strategy::{Strategy, ValueTree};
use serde_json::Value;

use crate::generate::{PROVIDERS, Said, What, deliver};
use crate::support::{all_items, case, drain, scheme, stack, timeless};

type Http = Client<HttpConnector, Full<Bytes>>;

async fn send(
    http: &Http,
    stack: &Stack,
    path: &str,
    headers: &[(String, String)],
    body: impl Into<Bytes>,
) -> (u16, String) {
    let mut request = Request::post(format!("{}{path}", stack.url()));
    for (name, value) in headers {
        request = request.header(name, value);
    }
    let answer = http.request(request.body(Full::new(body.into())).unwrap()).await.unwrap();
    let status = answer.status().as_u16();
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

pub(crate) async fn post(stack: &Stack, path: &str, headers: &[(String, String)], body: &str) -> (u16, String) {
    send(&Client::builder(TokioExecutor::new()).build_http(), stack, path, headers, body.to_owned()).await
}

fn headers(event: &Value) -> Vec<(String, String)> {
    clientele::events::headers(event).map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

#[tokio::test]
async fn routes() {
    let stack = stack().await;
    let not_found = (404, r#"{"message":"Not Found"}"#.to_owned());
    for path in ["/", "/webhooks", "/webhooks/other", "/webhooks/plain/", "/webhooks/metrifox/a/b"] {
        assert_eq!(post(&stack, path, &[], "{}").await, not_found, "{path}");
    }
    let http: Http = Client::builder(TokioExecutor::new()).build_http();
    let get = Request::get(format!("{}/webhooks/plain", stack.url())).body(Full::default()).unwrap();
    assert_eq!(http.request(get).await.unwrap().status(), 404);
    let rejected = r#"{"outcome":"rejected"}"#.to_owned();
    assert_eq!(post(&stack, "/webhooks/metrifox", &[], "{}").await, (401, rejected.clone()));
    assert_eq!(post(&stack, "/webhooks/metrifox/guess", &[], "{}").await, (401, rejected.clone()));
    assert_eq!(post(&stack, "/webhooks/smarterpay", &[], "{}").await, (498, rejected.clone()));
    assert_eq!(post(&stack, "/webhooks/plain", &[], &"x".repeat(300_000)).await, (413, rejected));
}

#[tokio::test]
async fn a_proof_given_twice_is_refused() {
    let stack = stack().await;
    for (title, name) in [
        ("plain/customer-created", "Plain-Request-Signature"),
        ("smarterpay/customer-created", "Webhook-Signature"),
        ("flexprice/customer-created", "Svix-Id"),
        ("flexprice/customer-created", "Svix-Timestamp"),
        ("flexprice/customer-created", "Svix-Signature"),
    ] {
        let case = case(title);
        let event = case.fresh(&scheme(&case), case.known.local_secret, Timestamp::now()).unwrap().event;
        let (path, body) = (event["rawPath"].as_str().unwrap(), event["body"].as_str().unwrap());
        let mut headers = headers(&event);
        let twice = headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).unwrap().clone();
        headers.push(twice);
        let refused = post(&stack, path, &headers, body).await;
        assert_eq!(refused.0, case.known.provider.dialect.rejected_status, "{title} {name}");
        headers.pop();
        assert_eq!(post(&stack, path, &headers, body).await.0, 200, "{title}");
    }
}

#[tokio::test]
async fn odd_bytes_are_no_fault_of_ours() {
    let stack = stack().await;
    let http: Http = Client::builder(TokioExecutor::new()).build_http();
    let deep = vec![b'['; 100_000];
    for bytes in [&b"\xff\xfe\0"[..], b"", b"{", &deep] {
        for (path, status) in [("/webhooks/plain", 401), ("/webhooks/smarterpay", 498), ("/webhooks/flexprice", 401)] {
            assert_eq!(send(&http, &stack, path, &[], bytes.to_vec()).await.0, status);
        }
        // Proved, and still not understood: ours to keep, nobody's to crash.
        let path = "/webhooks/metrifox/metrifox-local-secret";
        assert_eq!(
            send(&http, &stack, path, &[], bytes.to_vec()).await,
            (202, r#"{"outcome":"quarantined"}"#.to_owned())
        );
    }
    assert_eq!(post(&stack, "/webhooks/metrifox/%FF", &[], "{}").await.0, 401);
    let request = Request::post(format!("{}/webhooks/plain", stack.url()))
        .header("x-odd", http::HeaderValue::from_bytes(b"\xe9\xff").unwrap());
    assert_eq!(http.request(request.body(Full::default()).unwrap()).await.unwrap().status(), 401);
    // The token is decoded as the gateway decodes it.
    assert_eq!(post(&stack, "/webhooks/metrifox/metrifox%2Dlocal-secret", &[], r#"{"type":"x"}"#).await.0, 200);
}

/// Random events of each provider: customers, versions and kinds collide often.
fn events(number: u32) -> Vec<(&'static str, Vec<Said>)> {
    let rng = proptest::test_runner::TestRng::deterministic_rng(proptest::test_runner::RngAlgorithm::ChaCha);
    let mut runner = proptest::test_runner::TestRunner::new_with_rng(proptest::test_runner::Config::default(), rng);
    let any = (0..4usize, 0..60u32, 0..40i64, 0..20u32, 1..4usize);
    let one = |event: u32| {
        let (provider, customer, version, what, batch) = any.new_tree(&mut runner).unwrap().current();
        let provider = PROVIDERS[provider];
        let batch = if provider == "smarterpay" { u32::try_from(batch).unwrap() } else { 1 };
        let said = (0..batch).map(|place| Said {
            customer: format!("{provider}-{}", (customer + place) % 60),
            version: version * 400,
            event: event * 4 + place,
            // One in twenty deletes: enough to meet everything else, few enough to leave customers.
            what: [What::Created, What::Deleted].get(what as usize).copied().unwrap_or(What::Updated),
        });
        (provider, said.collect())
    };
    (0..number).map(one).collect()
}

async fn send_all(stack: &Stack, deliveries: Vec<(&'static str, Vec<Said>)>, at_once: usize) -> BTreeMap<u16, usize> {
    let http: Http = Client::builder(TokioExecutor::new()).build_http();
    let one = async |(provider, said): (&'static str, Vec<Said>)| {
        let event = deliver(provider, &said, Timestamp::now());
        let body = event["body"].as_str().unwrap().to_owned();
        send(&http, stack, event["rawPath"].as_str().unwrap(), &headers(&event), body).await.0
    };
    let mut statuses = BTreeMap::new();
    let mut answers = futures_util::stream::iter(deliveries).map(one).buffer_unordered(at_once);
    while let Some(status) = answers.next().await {
        *statuses.entry(status).or_default() += 1;
    }
    statuses
}

/// The state of the sorted order, without a table: of each customer's events, in the order of their ranks, the last.
fn sorted_state(deliveries: &[(&'static str, Vec<Said>)]) -> Vec<Value> {
    let mut last = BTreeMap::<String, Box<CustomerEvent>>::new();
    for (provider, said) in deliveries {
        let event = deliver(provider, said, signed_at());
        let request = serde_json::from_value::<HttpEvent>(event).unwrap().into();
        let delivery = Delivery::accept(request, usize::MAX).unwrap();
        let known = known(provider).unwrap();
        let scheme = (known.provider.scheme)(None).unwrap();
        let secrets = Secrets::parse(known.local_secret, &scheme).unwrap();
        let verified = verify(delivery, &scheme, &secrets, signed_at(), Duration::ZERO).unwrap();
        for translation in (known.provider.translate)(&verified) {
            let Ok(Translated::Event(event)) = translation else { panic!("an event") };
            let key = event.key().to_string();
            if last.get(&key).is_none_or(|last| last.rank() < event.rank()) {
                last.insert(key, event);
            }
        }
    }
    let item = |event: &CustomerEvent| {
        let mut item = serde_json::to_value(event.item(signed_at())).unwrap();
        // Cleanups are sent by now.
        item.as_object_mut().unwrap().retain(|name, _| !name.starts_with("cleanup"));
        timeless(item)
    };
    last.values().map(|event| item(event)).collect()
}

/// Ten thousand deliveries in random order, with repeats, 32 at a time, end in the state of the sorted order.
#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_deliveries() {
    let events = events(7_500);
    let repeats: Vec<_> = events.iter().step_by(3).cloned().collect();
    let mut deliveries: Vec<_> = events.into_iter().chain(repeats).collect();
    // A fixed shuffle; the repeats come at any distance from their first.
    let place = |index: usize| BuildHasherDefault::<DefaultHasher>::default().hash_one(index);
    let mut places: Vec<_> = (0..deliveries.len()).collect();
    places.sort_by_key(|index| place(*index));
    deliveries = places.into_iter().map(|index| deliveries[index].clone()).collect();
    assert_eq!(deliveries.len(), 10_000);
    let should = sorted_state(&deliveries);

    let stack = stack().await;
    assert_eq!(send_all(&stack, deliveries, 32).await, BTreeMap::from([(200, 10_000)]));
    let is: Vec<_> = all_items(&stack).await.into_iter().map(timeless).collect();
    assert!(is.len() >= 230, "{} customers", is.len());
    assert_eq!(is, should);
    let deleted = is.iter().filter(|item| item["status"] == "deleted").count();
    let cleanups = drain(&stack, "cleanup").await;
    let cleanups: BTreeSet<_> = cleanups.iter().map(|message| message["cleanup_id"].to_string()).collect();
    assert!(deleted > 20);
    assert_eq!(cleanups.len(), deleted);
}
