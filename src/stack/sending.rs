//! Signs events with the local stack's own schemes and secrets, and sends them through its gateway: for the page, for
//! `clientele events send`, and for the stand-ins of the list APIs.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::{Result, anyhow};
use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::{get, post};
use clientele_model::{Provider, SampleDelivery, SampleEvent, Scheme};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::events::{Case, Expected};
use crate::http;
use crate::server::{self, Body};

/// What the local stack needs to send an event to itself.
#[derive(Clone)]
pub(super) struct Sender(Arc<Parts>);

struct Parts {
    gateway: String,
    cases: Vec<Case>,
    /// How to sign, by provider.
    signing: BTreeMap<&'static str, (Scheme, String)>,
}

#[derive(Deserialize)]
#[serde(untagged, deny_unknown_fields)]
enum SendRequest {
    Case {
        case: String,
    },
    Event {
        event: Value,
        #[serde(default)]
        forged: bool,
    },
}

impl Sender {
    pub(super) fn new(
        gateway: SocketAddr,
        cases: Vec<Case>,
        signing: BTreeMap<&'static str, (Scheme, String)>,
    ) -> Self {
        Self(Arc::new(Parts { gateway: format!("http://{gateway}"), cases, signing }))
    }

    /// Whether the template has the provider's function.
    pub(super) fn can_sign_for(&self, provider: &Provider) -> bool {
        self.0.signing.contains_key(provider.name)
    }

    /// Delivers the webhook that reports an invented event.
    pub(super) async fn deliver_sample(
        &self,
        provider: &'static Provider,
        sample: &SampleEvent,
    ) -> Result<http::Answer> {
        let SampleDelivery { body, message_id } = clientele_providers::sample(provider, std::slice::from_ref(sample));
        let path = format!("/webhooks/{}", provider.name);
        let event = json!({ "rawPath": path, "headers": { "svix-id": message_id }, "body": body.to_string() });
        let case = Case { provider, name: "invented event".to_owned(), event, expected: Expected::default() };
        self.deliver(&case).await.map_err(|(_, error)| anyhow!(error))
    }

    /// Signs an event now and delivers it.
    async fn deliver(&self, case: &Case) -> Result<http::Answer, (StatusCode, String)> {
        let no_function = || (StatusCode::NOT_FOUND, format!("the template has no function of {}", case.provider.name));
        let (scheme, secret) = self.0.signing.get(case.provider.name).ok_or_else(no_function)?;
        let signed = case.sign(scheme, secret, Timestamp::now());
        let event =
            signed.map_err(|error| (StatusCode::BAD_REQUEST, format!("the event cannot be signed: {error:#}")))?;
        let gateway = self.0.gateway.clone();
        let delivered = tokio::task::spawn_blocking(move || http::deliver(&gateway, &event, None)).await;
        match delivered {
            Ok(Ok(answer)) => Ok(answer),
            _ => Err((StatusCode::BAD_GATEWAY, "the gateway of the local stack did not answer".to_owned())),
        }
    }

    pub(super) fn router(self) -> Router {
        Router::new().route("/events", get(events)).route("/send", post(send)).with_state(self)
    }

    /// The case to send, or why there is none.
    fn case(&self, request: SendRequest) -> Result<Case, (StatusCode, String)> {
        match request {
            SendRequest::Case { case: title } => {
                let found = self.0.cases.iter().find(|case| case.title() == title);
                found.cloned().ok_or_else(|| (StatusCode::NOT_FOUND, format!("there is no event {title}")))
            }
            SendRequest::Event { event, forged } => {
                let provider = http::provider_of(&event).ok_or_else(|| {
                    let message = "rawPath of the event is not the path of a webhook, as in /webhooks/plain";
                    (StatusCode::BAD_REQUEST, message.to_owned())
                })?;
                let expected = Expected { forged, ..Expected::default() };
                Ok(Case { provider, name: "own event".to_owned(), event, expected })
            }
        }
    }
}

async fn events(State(sender): State<Sender>) -> Response {
    let event = |case: &Case| {
        let after = case.expected.after.iter().map(|name| format!("{}/{name}", case.provider.name));
        json!({ "name": case.title(), "forged": case.expected.forged, "after": after.collect::<Vec<_>>() })
    };
    let events: Vec<_> = sender.0.cases.iter().map(event).collect();
    server::json_response(StatusCode::OK, json!(events).to_string())
}

async fn send(State(sender): State<Sender>, body: Body) -> Response {
    let body = match body {
        Ok(body) => body,
        Err(rejection) => return server::rejected(&rejection),
    };
    match answer(&sender, &body).await {
        Ok(answer) => {
            server::json_response(StatusCode::OK, json!({ "status": answer.status, "body": answer.body }).to_string())
        }
        Err((status, error)) => server::json_response(status, json!({ "error": error }).to_string()),
    }
}

async fn answer(sender: &Sender, body: &[u8]) -> Result<http::Answer, (StatusCode, String)> {
    let request = serde_json::from_slice(body).map_err(|_| {
        let expected = r#"expected {"case":"plain/customer-updated"}, or {"event":…,"forged":false}"#;
        (StatusCode::BAD_REQUEST, expected.to_owned())
    })?;
    sender.deliver(&sender.case(request)?).await
}
