//! The admin port's routes for the page and for commands.

use clientele::stack::{LocalStack, StackOptions};
use serde_json::{Value, json};

use crate::support::{case, cases, item, options};

/// A stack that offers the event files.
async fn stack() -> LocalStack {
    LocalStack::start(StackOptions { cases: cases().to_vec(), ..options() }).await.unwrap()
}

/// Status and JSON of the answer of the admin port.
async fn get(stack: &LocalStack, path: &str) -> (u16, Value) {
    let url = format!("http://{}{path}", stack.admin);
    tokio::task::spawn_blocking(move || answer(ureq::get(url).config().http_status_as_error(false).build().call()))
        .await
        .unwrap()
}

async fn post(stack: &LocalStack, path: &str, body: &Value) -> (u16, Value) {
    let (url, body) = (format!("http://{}{path}", stack.admin), body.to_string());
    tokio::task::spawn_blocking(move || answer(ureq::post(url).config().http_status_as_error(false).build().send(body)))
        .await
        .unwrap()
}

fn answer(response: Result<ureq::http::Response<ureq::Body>, ureq::Error>) -> (u16, Value) {
    let response = response.unwrap();
    let status = response.status().as_u16();
    let text = response.into_body().read_to_string().unwrap();
    (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
}

#[tokio::test]
async fn the_admin_port_describes_the_stack() {
    let stack = stack().await;
    let (status, description) = get(&stack, "/stack").await;
    let ports = [stack.gateway, stack.dynamodb, stack.sqs, stack.admin].map(|address| address.port());
    let expected = json!({
        "kind": "local",
        "name": "clientele",
        "version": env!("CARGO_PKG_VERSION"),
        "ports": { "webhooks": ports[0], "dynamodb": ports[1], "sqs": ports[2], "admin": ports[3] },
        "table": "customers",
        "queues": stack.queue_urls,
        "providers": ["flexprice", "metrifox", "plain", "smarterpay"],
    });
    assert_eq!((status, description), (200, expected));
}

/// Every event file can be sent by its name, after those that it comes after, and is answered as expected.
#[tokio::test]
async fn every_event_file_can_be_sent() {
    let stack = stack().await;
    let (status, events) = get(&stack, "/events").await;
    let events = events.as_array().unwrap();
    assert_eq!((status, events.len()), (200, cases().len()));
    let mut sent = vec![];
    for event in events {
        let name = event["name"].as_str().unwrap();
        let case = case(name);
        assert_eq!(event["forged"], case.expected.forged, "{name}");
        assert!(event["after"].as_array().unwrap().iter().all(|before| sent.contains(before)), "{name}");
        let (status, answer) = post(&stack, "/send", &json!({ "case": name })).await;
        let body = case.expected.answer.as_ref().map_or(String::new(), Value::to_string);
        assert_eq!((status, answer), (200, json!({ "status": case.expected.status, "body": body })), "{name}");
        sent.push(event["name"].clone());
    }
}

/// The stack signs with its own secret, whatever it is, and the provider follows from the path.
#[tokio::test]
async fn an_own_event_can_be_sent() {
    let mut options = options();
    let plain = clientele_providers::find("plain").unwrap();
    options.set(plain, "WEBHOOK_SECRETS", "another secret of 32 characters!".to_owned());
    let stack = LocalStack::start(options).await.unwrap();
    let event = &case("plain/customer-created").event;
    let (_, forged) = post(&stack, "/send", &json!({ "event": event, "forged": true })).await;
    assert_eq!(forged["status"], 401);
    let pk = case("plain/customer-created").expected.items.keys().next().unwrap();
    assert_eq!(item(&stack, pk).await, None);
    let (_, sent) = post(&stack, "/send", &json!({ "event": event })).await;
    assert_eq!(sent, json!({ "status": 200, "body": r#"{"outcome":"applied"}"# }));
    assert!(item(&stack, pk).await.is_some());
}

#[tokio::test]
async fn what_cannot_be_sent_is_refused_with_the_reason() {
    let stack = stack().await;
    let mut no_headers = case("plain/customer-created").event.clone();
    no_headers["headers"] = json!([]);
    let bad_path = json!({ "rawPath": "/webhooks/kafka", "headers": {} });
    for (request, status, reason) in [
        (json!({ "case": "plain/none" }), 404, "there is no event plain/none"),
        (json!({ "event": bad_path }), 400, "rawPath of the event is not the path of a webhook"),
        (json!({ "event": 1 }), 400, "rawPath of the event is not the path of a webhook"),
        (json!({ "event": no_headers }), 400, "is not an API Gateway event"),
        (json!({}), 400, "expected {\"case\":"),
        (json!("x"), 400, "expected {\"case\":"),
    ] {
        let (actual, answer) = post(&stack, "/send", &request).await;
        assert!(actual == status && answer["error"].as_str().unwrap().contains(reason), "{request}: {answer}");
    }
}
