//! Deliveries that an independent library signs, sent over HTTP, and the reverse. Signatures recorded from Svix's own
//! libraries are in `shared/model/tests/signatures.rs`.

use clientele::stack::{LocalStack, StackOptions};
use clientele_providers::find;
use jiff::Timestamp;
use serde_json::json;

use crate::support::http::post;
use crate::support::{all_items, options};

const SECRETS: [&str; 2] = ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"];

async fn stack() -> LocalStack {
    let mut options: StackOptions = options();
    options.set(find("flexprice").unwrap(), "WEBHOOK_SECRETS", json!(SECRETS).to_string());
    LocalStack::start(options).await.unwrap()
}

fn body(id: &str) -> String {
    json!({ "customer": { "id": id, "name": format!("Customer {id}"), "environment_id": "env" }, "event_type": "customer.created" })
        .to_string()
}

#[tokio::test]
async fn standard_webhooks_signs_and_we_accept() {
    let stack = stack().await;
    for (number, secret) in SECRETS.iter().enumerate() {
        let webhook = standardwebhooks::Webhook::new(secret).unwrap();
        for family in ["svix", "webhook"] {
            let (id, body) = (format!("msg_{number}_{family}"), body(&format!("{number}-{family}")));
            let now = Timestamp::now().as_second();
            let signature = webhook.sign(&id, now, body.as_bytes()).unwrap();
            let headers = [("id", id), ("timestamp", now.to_string()), ("signature", format!("v1,AAAA {signature}"))];
            let headers = headers.map(|(name, value)| (format!("{family}-{name}"), value));
            let (status, answer) = post(&stack, "/webhooks/flexprice", &headers, &body).await;
            assert_eq!((status, answer.as_str()), (200, r#"{"outcome":"applied"}"#));
            let (status, _) = post(&stack, "/webhooks/flexprice", &headers, &format!("{body} ")).await;
            assert_eq!(status, 401);
        }
    }
    assert_eq!(all_items(&stack).await.len(), 4);
}

/// The other way round: `standardwebhooks` accepts what our signer makes.
#[test]
fn we_sign_and_standard_webhooks_accepts() {
    let case = crate::support::case("flexprice/customer-created");
    let event = case.sign(&crate::support::scheme(case), SECRETS[0], Timestamp::now()).unwrap();
    let mut headers = http::HeaderMap::new();
    for (name, value) in clientele::events::headers(&event) {
        let name = name.to_lowercase().replace("svix-", "webhook-");
        headers.insert(http::HeaderName::try_from(name).unwrap(), value.parse().unwrap());
    }
    let body = event["body"].as_str().unwrap();
    standardwebhooks::Webhook::new(SECRETS[0]).unwrap().verify(body.as_bytes(), &headers).unwrap();
}
