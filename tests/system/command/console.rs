//! The page, its routes, and what else the admin port answers.

use aws_sdk_dynamodb::types::AttributeValue;
use clientele::stack::{LocalStack, StackOptions};
use jiff::Timestamp;
use rstest::rstest;
use serde_json::{Value, json};
use ureq::http::{HeaderMap, Request};

use super::event_bus::lines;
use crate::support::{case, cases, item, options};

/// The page may have at most this size, all of its files together.
const PAGE_BYTES_MAX: usize = 60 * 1024;

/// A stack that offers the event files.
pub(super) async fn stack() -> LocalStack {
    LocalStack::start(StackOptions { cases: cases().to_vec(), ..options() }).await.unwrap()
}

/// A server of the page.
#[derive(Clone)]
pub(super) struct Page {
    pub(super) url: String,
    /// Headers of every request.
    pub(super) headers: Vec<(&'static str, String)>,
}

impl Page {
    pub(super) fn of(stack: &LocalStack) -> Self {
        Self { url: format!("http://{}", stack.admin), headers: vec![] }
    }

    /// Status, headers and text of the answer.
    async fn request(&self, method: &'static str, path: &str, body: &str) -> (u16, HeaderMap, String) {
        let mut request = Request::builder().method(method).uri(format!("{}{path}", self.url));
        for (name, value) in &self.headers {
            request = request.header(*name, value);
        }
        let request = request.body(body.to_owned()).unwrap();
        let config = ureq::Agent::config_builder().http_status_as_error(false).allow_non_standard_methods(true);
        let agent = ureq::Agent::new_with_config(config.build());
        let send = move || {
            let mut answer = agent.run(request).unwrap();
            let text = answer.body_mut().read_to_string().unwrap();
            (answer.status().as_u16(), answer.headers().clone(), text)
        };
        tokio::task::spawn_blocking(send).await.unwrap()
    }

    pub(super) async fn get(&self, path: &str) -> (u16, Value) {
        let (status, _, text) = self.request("GET", path, "").await;
        (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
    }

    pub(super) async fn post(&self, path: &str, body: &Value) -> (u16, Value) {
        let (status, _, text) = self.request("POST", path, &body.to_string()).await;
        (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
    }

    /// Sends event files.
    pub(super) async fn send(&self, cases: &[&str]) {
        for case in cases {
            assert_eq!(self.post("/send", &json!({ "case": case })).await.0, 200, "{case}");
        }
    }
}

async fn get(stack: &LocalStack, path: &str) -> (u16, Value) {
    Page::of(stack).get(path).await
}

async fn post(stack: &LocalStack, path: &str, body: &Value) -> (u16, Value) {
    Page::of(stack).post(path, body).await
}

/// The names of the customers of an answer, in its order.
pub(super) fn names(answer: &Value) -> Vec<&str> {
    answer["items"].as_array().unwrap().iter().map(|item| item["name"].as_str().unwrap_or("-")).collect()
}

/// The text with each byte percent-encoded.
pub(super) fn encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect::<Vec<_>>().concat()
}

#[tokio::test]
async fn the_admin_port_describes_the_stack() {
    let stack = stack().await;
    let (status, mut description) = get(&stack, "/stack").await;
    for more in ["list_apis", "change_feed"] {
        assert!(description.as_object_mut().unwrap().remove(more).unwrap().is_object(), "{more}");
    }
    let ports = [stack.gateway, stack.dynamodb, stack.sqs, stack.admin].map(|address| address.port());
    let expected = json!({
        "kind": "local",
        "name": "clientele",
        "version": env!("CARGO_PKG_VERSION"),
        "ports": { "webhooks": ports[0], "dynamodb": ports[1], "sqs": ports[2], "admin": ports[3] },
        "table": "customers",
        "queues": stack.queue_urls,
        "providers": ["flexprice", "metrifox", "plain", "smarterpay"],
        "erasure": { "awaits_receipts": false, "hold_minutes": 0, "systems": [] },
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

/// Strict headers on every response, whatever it is.
#[rstest]
#[case("GET", "/", 200, "text/html; charset=utf-8")]
#[case("GET", "/console.css", 200, "text/css; charset=utf-8")]
#[case("GET", "/console.js", 200, "text/javascript; charset=utf-8")]
#[case("GET", "/customers", 200, "application/json")]
#[case("GET", "/customers/nobody", 404, "application/json")]
#[case("GET", "/nothing", 404, "application/json")]
#[case("POST", "/customers", 404, "application/json")]
#[case("DELETE", "/quarantine/x/redrive", 404, "application/json")]
#[tokio::test]
async fn every_response_has_strict_headers(
    #[case] method: &'static str,
    #[case] path: &str,
    #[case] status: u16,
    #[case] content_type: &str,
) {
    let stack = stack().await;
    let (actual, headers, text) = Page::of(&stack).request(method, path, "").await;
    assert_eq!((actual, headers["content-type"].to_str().unwrap()), (status, content_type), "{text}");
    let policy = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; \
                  base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
    for (name, value) in [
        ("content-security-policy", policy),
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "no-referrer"),
        ("cache-control", "no-store"),
    ] {
        assert_eq!(headers[name], value, "{name}");
    }
    assert!(!headers.contains_key("access-control-allow-origin"));
    // A request for another host, too.
    let page = Page { headers: vec![("host", "another.example".to_owned())], ..Page::of(&stack) };
    let (status, headers, text) = page.request(method, path, "").await;
    assert_eq!((status, headers["content-security-policy"].to_str().unwrap()), (403, policy), "{text}");
}

/// The page is small, has no inline script or style, and creates no HTML from text.
#[tokio::test]
async fn the_page_is_small_and_strict() {
    let stack = stack().await;
    let mut bytes = 0;
    for path in ["/", "/console.css", "/console.js"] {
        let (status, _, text) = Page::of(&stack).request("GET", path, "").await;
        assert_eq!(status, 200);
        bytes += text.len();
        let text = text.replace("http://www.w3.org/2000/svg", "");
        for forbidden in [
            "<style",
            " style=",
            " onclick",
            " onload",
            "javascript:",
            "innerHTML",
            "outerHTML",
            "insertAdjacentHTML",
            "document.write",
            "eval(",
            "https://",
            "@import",
            "url(",
        ] {
            assert!(!text.contains(forbidden), "{path} contains {forbidden}");
        }
    }
    assert!((10_000..=PAGE_BYTES_MAX).contains(&bytes), "{bytes} bytes");
}

#[tokio::test]
async fn customers_are_found() {
    let stack = stack().await;
    let page = Page::of(&stack);
    let (_, nobody) = page.get("/customers").await;
    assert_eq!(nobody, json!({ "items": [], "total": 0, "read": 0, "is_complete": true }));
    page.send(&["metrifox/customer-created", "smarterpay/customer-created", "plain/customer-created"]).await;
    page.send(&["plain/customer-updated", "flexprice/customer-created"]).await;
    let item = &case("plain/customer-updated").expected.items.values().next().unwrap();
    let (email, external_id) = (item["email"].as_str().unwrap(), item["external_id"].as_str().unwrap());

    let (status, all) = page.get("/customers").await;
    assert_eq!((status, &all["total"], &all["read"], &all["is_complete"]), (200, &json!(4), &json!(4), &json!(true)));
    let times: Vec<_> =
        all["items"].as_array().unwrap().iter().map(|item| item["updated_at"].as_str().unwrap()).collect();
    assert!(times.is_sorted_by(|one, other| one >= other), "the newest change first: {times:?}");
    let (_, two) = page.get("/customers?limit=2").await;
    assert_eq!((names(&two), &two["total"]), (names(&all)[..2].to_vec(), &json!(4)));
    let plain = all["items"].as_array().unwrap().iter().find(|item| item["provider"] == "plain").unwrap();
    assert!(plain.get("profile").is_none() && plain.get("extra").is_none(), "a list has no details: {plain}");

    let spaced = encoded(&format!(" {} ", email.to_uppercase()));
    for query in [format!("email={spaced}"), format!("external_id={}", encoded(external_id))] {
        let (status, found) = page.get(&format!("/customers?{query}")).await;
        assert_eq!((status, &found["total"], &found["is_complete"]), (200, &json!(4), &json!(true)), "{query}");
        let (_, found) = page.get(&format!("/customers?{query}&provider=plain")).await;
        assert_eq!(names(&found), [item["name"].as_str().unwrap()], "{query}");
    }
    let (_, found) = page.get("/customers?name=aDA+lOve&provider=plain").await;
    assert_eq!(names(&found), ["Ada Lovelace"]);
    for query in ["name=nobody", "external_id=nobody", "email=nobody@example.com", "provider=nobody"] {
        assert_eq!(names(&page.get(&format!("/customers?{query}")).await.1), [] as [&str; 0], "{query}");
    }
}

#[rstest]
#[case("/customers?limit=0", "The limit must be a number from 1 to 1000.")]
#[case("/customers?limit=1001", "The limit must be a number from 1 to 1000.")]
#[case("/customers?limit=-1", "The limit must be a number from 1 to 1000.")]
#[case("/customers?limit=many", "The limit must be a number from 1 to 1000.")]
#[case("/customers?limit=", "The limit must be a number from 1 to 1000.")]
#[case("/customers?email=%20", "The e-mail address is blank.")]
#[case("/customers?external_id=", "The external id is empty.")]
#[case("/customers?phone=1", "Search by email, external_id, name or provider, each at most once, with a limit.")]
#[case("/customers?name=a&name=b", "Search by email, external_id, name or provider, each at most once, with a limit.")]
#[case("/customers/%FF", "The key of the customer is not text.")]
#[case("/quarantine?limit=0", "The limit must be a number from 1 to 1000.")]
#[case("/quarantine?all=1", "The only parameter is limit, at most once.")]
#[case("/quarantine/%FF", "The id of the message is not text.")]
#[tokio::test]
async fn a_request_that_makes_no_sense_is_explained(#[case] path: &str, #[case] sentence: &str) {
    assert_eq!(get(&stack().await, path).await, (400, json!({ "error": sentence })));
}

/// A key may contain any character.
#[rstest]
#[case("plain#w#c")]
#[case("plain#w%23%25#a/b?c&d=e f+g")]
#[case("plain#w#../../stack")]
#[case("plain#w#\"<img src=x onerror=alert(1)>'")]
#[case("plain#wörk\u{202e}#\u{0}\u{1b}\u{1f469}")]
#[tokio::test]
async fn a_customer_is_found_by_any_key(#[case] pk: &str) {
    let stack = stack().await;
    let text = |value: &str| AttributeValue::S(value.to_owned());
    let put =
        stack.clients.dynamodb.put_item().table_name("customers").item("pk", text(pk)).item("sk", text("customer"));
    put.item("number", AttributeValue::N("12345678901234567890.5".to_owned())).send().await.unwrap();
    let (status, shown) = get(&stack, &format!("/customers/{}", encoded(pk))).await;
    assert_eq!((status, &shown["item"]["pk"], &shown["same_person"]), (200, &json!(pk), &json!([])));
    assert_eq!(shown["item"]["number"].to_string(), "12345678901234567890.5", "every digit");
    let (status, error) = get(&stack, &format!("/customers/{}", encoded(&format!("{pk}x")))).await;
    assert_eq!((status, error), (404, json!({ "error": format!("There is no customer with the key {pk}x.") })));
}

/// One person is a customer of all services. The explanation is that of the item.
#[tokio::test]
async fn a_customer_is_shown_with_the_same_person_elsewhere() {
    let stack = stack().await;
    let page = Page::of(&stack);
    page.send(&["metrifox/customer-created", "smarterpay/customer-created", "plain/customer-created"]).await;
    page.send(&["flexprice/customer-created", "plain/customer-updated"]).await;
    let pk = case("plain/customer-created").expected.items.keys().next().unwrap();
    let (status, shown) = page.get(&format!("/customers/{}", encoded(pk))).await;
    let stored = item(&stack, pk).await.unwrap();
    assert_eq!(
        (status, &shown["item"], &shown["why"]),
        (200, &stored, &json!(clientele::explanation::why(&stored, Timestamp::now())))
    );
    assert_eq!(shown["erasure"], json!([]));
    let others = shown["same_person"].as_array().unwrap();
    let mut providers: Vec<_> = others.iter().map(|other| other["provider"].as_str().unwrap()).collect();
    providers.sort_unstable();
    assert_eq!(providers, ["flexprice", "metrifox", "smarterpay"]);
    for other in others {
        assert_eq!(other["same"], json!(["external_id", "email"]), "{other}");
    }
    page.send(&["plain/to-be-deleted", "plain/customer-deleted"]).await;
    let pk = case("plain/customer-deleted").expected.items.keys().next().unwrap();
    let (_, shown) = page.get(&format!("/customers/{}", encoded(pk))).await;
    assert_eq!((&shown["item"]["status"], &shown["same_person"]), (&json!("deleted"), &json!([])));
    assert!(shown["why"][0].as_str().unwrap().ends_with("deleted the customer."), "{shown}");
}

#[tokio::test(flavor = "multi_thread")]
async fn deliveries_are_listed_and_streamed() {
    let stack = stack().await;
    let page = Page::of(&stack);
    assert_eq!(page.get("/deliveries").await, (200, json!([])));
    page.send(&["plain/customer-created", "plain/tampered"]).await;
    let (_, listed) = page.get("/deliveries").await;
    let outcomes = |records: &Value| {
        let records = records.as_array().unwrap().iter();
        records.map(|record| record["outcome"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(outcomes(&listed), ["applied", "rejected"]);

    let mut next = lines(format!("{}/deliveries/stream", page.url));
    assert_eq!(next().await, "event: run");
    assert!(next().await.strip_prefix("data: ").unwrap().parse::<i128>().is_ok());
    let record = |line: String| serde_json::from_str::<Value>(line.strip_prefix("data: ").unwrap()).unwrap();
    assert_eq!(json!([record(next().await), record(next().await)]), listed);
    page.send(&["plain/customer-updated"]).await;
    let live = record(next().await);
    assert_eq!((&live["number"], &live["outcome"]), (&json!(3), &json!("applied")));
}

/// A message stays in quarantine until its events can be settled.
#[tokio::test]
async fn queues_and_quarantine_are_shown_and_redriven() {
    let stack = stack().await;
    let page = Page::of(&stack);
    page.send(&["plain/partial-snapshot", "plain/to-be-deleted", "plain/customer-deleted"]).await;
    let (status, queues) = page.get("/queues").await;
    let depths: Vec<_> = queues
        .as_array()
        .unwrap()
        .iter()
        .map(|it| (it["name"].as_str().unwrap(), it["visible"].as_u64().unwrap()))
        .collect();
    assert_eq!(
        (status, depths),
        (
            200,
            [
                ("cleanup", 1),
                ("cleanup-dead-letter", 0),
                ("discarded-changes", 0),
                ("inbox", 0),
                ("quarantine", 1),
                ("receipts", 0),
                ("receipts-dead-letter", 0),
                ("refused-changes", 0)
            ]
            .into()
        )
    );
    let ages: Vec<_> = queues.as_array().unwrap().iter().map(|it| it["oldest_seconds"].is_u64()).collect();
    assert_eq!(ages, [true, false, false, false, true, false, false, false], "{queues}");

    let (_, held) = page.get("/quarantine").await;
    assert_eq!((held.as_array().unwrap().len(), &held[0]["provider"]), (1, &json!("plain")));
    assert!(held[0]["reason"].as_str().unwrap().contains("partial snapshot"), "{held}");
    let path = format!("/quarantine/{}", held[0]["id"].as_str().unwrap());
    let (status, shown) = page.get(&path).await;
    assert_eq!((status, &shown["problem"], &shown["message"]["provider"]), (200, &Value::Null, &json!("plain")));
    assert!(shown["message"]["body"]["payload"]["customer"].is_object(), "{shown}");
    let (status, redriven) = page.post(&format!("{path}/redrive"), &Value::Null).await;
    assert_eq!((status, &redriven["is_settled"], &redriven["outcomes"]), (200, &json!(false), &json!(["quarantined"])));
    assert_eq!(page.get("/quarantine").await.1.as_array().unwrap().len(), 1, "it stays");

    let body = shown["message"].clone();
    let mut kept: Value = serde_json::from_str(&message(&stack).await).unwrap();
    let mut repaired = body["body"].clone();
    repaired["payload"]["customer"]["fullName"] = json!("Repaired");
    kept["body"] = json!(repaired.to_string());
    let send = stack.clients.sqs.send_message().queue_url(&stack.queue_urls["quarantine"]);
    let id = send.message_body(kept.to_string()).send().await.unwrap().message_id.unwrap();
    let (status, redriven) = page.post(&format!("/quarantine/{id}/redrive"), &Value::Null).await;
    assert_eq!((status, &redriven["is_settled"], &redriven["outcomes"]), (200, &json!(true), &json!(["applied"])));
    let (status, error) = page.post(&format!("/quarantine/{id}/redrive"), &Value::Null).await;
    assert!(
        status == 404 && error["error"].as_str().unwrap().contains("is not on the quarantine queue now"),
        "{error}"
    );
}

/// The body of the one message in quarantine, which stays there.
async fn message(stack: &LocalStack) -> String {
    let request = stack.clients.sqs.receive_message().queue_url(&stack.queue_urls["quarantine"]).visibility_timeout(0);
    request.send().await.unwrap().messages.unwrap().remove(0).body.unwrap()
}

/// DynamoDB refuses to look for a key that is longer than any can be. That is no outage.
#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_cannot_exist_is_not_found() {
    let stack = stack().await;
    let long = "x".repeat(3_000);
    assert_eq!(get(&stack, &format!("/customers/{long}")).await.0, 404);
    for name in ["external_id", "email"] {
        let (status, found) = get(&stack, &format!("/customers?{name}={long}")).await;
        assert_eq!((status, &found["total"]), (200, &json!(0)), "{name} {found}");
    }
}
