//! The gateway: turns an HTTP request into an API Gateway event, calls the function, and turns its answer into the HTTP
//! response.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use anyhow::{Context, Result};
use axum::Router;
use axum::body::Bytes;
use axum::extract::rejection::PathRejection;
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodFilter, on};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use clientele_aws::{HttpEvent, HttpResponse, Invocation, Receiver};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

use super::deliveries::{Deliveries, DeliveryRecord};
use crate::http::Answer;
use crate::server;
use crate::template::{Route, Template};

/// API Gateway limits a request body to this size.
const BODY_BYTES_MAX: usize = 10 * 1024 * 1024;

/// Serves the routes of the template.
pub(super) fn serve(
    address: SocketAddr,
    template: &Template,
    receivers: &BTreeMap<&'static str, Arc<Receiver>>,
    deliveries: &Deliveries,
) -> Result<SocketAddr> {
    let mut router = Router::<Deliveries>::new();
    for function in &template.functions {
        let Some(receiver) = receivers.get(function.name.as_str()) else { continue };
        for route in &function.routes {
            let method = MethodFilter::try_from(Method::from_bytes(route.method.as_bytes())?)
                .with_context(|| format!("{}: {} is not a method", function.logical_id, route.method))?;
            let (function, route) = (function.name.clone(), route.clone());
            let (receiver, deliveries) = (receiver.clone(), deliveries.clone());
            let state = Arc::new(Integration { function, route, receiver, deliveries, requests: AtomicU64::new(0) });
            router = router.route(&state.route.path, on(method, invoke).with_state(state.clone()));
        }
    }
    let router =
        router.fallback(not_found).method_not_allowed_fallback(not_found).layer(DefaultBodyLimit::max(BODY_BYTES_MAX));
    server::serve(router.with_state(deliveries.clone()), address, "the gateway", "--port")
}

struct Integration {
    function: String,
    route: Route,
    receiver: Arc<Receiver>,
    deliveries: Deliveries,
    requests: AtomicU64,
}

impl Integration {
    /// Calls the function and records the delivery.
    async fn call(&self, event: HttpEvent<'_>, invocation: Invocation) -> HttpResponse {
        let started = Instant::now();
        let delivery = self.deliveries.open(&self.function, &invocation.request_id);
        let response = self.receiver.handle(event, &invocation).await;
        let answer = Answer { status: response.status_code, body: response.body.clone().unwrap_or_default() };
        delivery.finish(invocation.received_at, Some((answer.status, started.elapsed())), &answer.outcome());
        response
    }
}

fn internal_server_error() -> Response {
    let body = r#"{"message":"Internal Server Error"}"#.to_owned();
    server::json_response(StatusCode::INTERNAL_SERVER_ERROR, body)
}

/// The record says nothing of the path, which may contain a secret.
async fn not_found(State(deliveries): State<Deliveries>) -> Response {
    deliveries.record(DeliveryRecord {
        number: 0,
        at: Timestamp::now(),
        function: "gateway".to_owned(),
        provider: String::new(),
        event_type: None,
        events: 0,
        status: Some(404),
        outcome: "not found".to_owned(),
        customers: vec![],
        duration_ms: 0.0,
        reason: Some("no such route".to_owned()),
        warning: None,
    });
    server::json_response(StatusCode::NOT_FOUND, r#"{"message":"Not Found"}"#.to_owned())
}

async fn invoke(
    State(integration): State<Arc<Integration>>,
    parameters: Result<Path<BTreeMap<String, String>>, PathRejection>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    // If the path cannot be decoded, the function sees no token and refuses the delivery.
    let parameters = parameters.map(|Path(parameters)| parameters).unwrap_or_default();
    let now = Timestamp::now();
    let number = integration.requests.fetch_add(1, Ordering::Relaxed);
    let request_id = format!("local-{:x}-{number:x}", now.as_microsecond());
    let event = event(&integration.route, &parameters, &uri, &headers, &body, &request_id, now);
    let invocation = Invocation { request_id, trace_id: None, received_at: now };
    // In a task of its own: a function finishes its work even if the sender closes the connection.
    let handled = tokio::spawn(async move {
        let event = HttpEvent::deserialize(&event).ok()?;
        Some(integration.call(event, invocation).await)
    });
    let Ok(Some(answer)) = handled.await else { return internal_server_error() };
    let status = StatusCode::from_u16(answer.status_code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = Response::builder().status(status);
    for (name, value) in &answer.headers {
        response = response.header(name, value);
    }
    let response = response.body(answer.body.unwrap_or_default().into());
    response.unwrap_or_else(|_| StatusCode::INTERNAL_SERVER_ERROR.into_response())
}

/// The event that API Gateway creates for a request, in payload format 2.0. Values of a repeated header are joined with
/// commas, and a body that is not text is encoded as base64.
fn event(
    route: &Route,
    parameters: &BTreeMap<String, String>,
    uri: &Uri,
    headers: &HeaderMap,
    body: &Bytes,
    request_id: &str,
    now: Timestamp,
) -> Value {
    let mut joined = BTreeMap::<&str, String>::new();
    for (name, value) in headers {
        let value = String::from_utf8_lossy(value.as_bytes());
        let joined = joined.entry(name.as_str());
        joined.and_modify(|values| *values = format!("{values},{value}")).or_insert_with(|| value.to_string());
    }
    let text = std::str::from_utf8(body).ok();
    let key = format!("{} {}", route.method, route.path);
    let mut event = json!({
        "version": "2.0",
        "routeKey": key,
        "rawPath": uri.path(),
        "rawQueryString": uri.query().unwrap_or_default(),
        "headers": joined,
        "requestContext": {
            "accountId": "000000000000",
            "apiId": "local",
            "domainName": "localhost",
            "domainPrefix": "local",
            "http": { "method": route.method, "path": uri.path(), "protocol": "HTTP/1.1", "sourceIp": "127.0.0.1", "userAgent": joined.get("user-agent").map_or("", String::as_str) },
            "requestId": request_id,
            "routeKey": key,
            "stage": "$default",
            "time": now.strftime("%d/%b/%Y:%H:%M:%S +0000").to_string(),
            "timeEpoch": now.as_millisecond(),
        },
        "isBase64Encoded": text.is_none(),
    });
    if !body.is_empty() {
        event["body"] = text.map_or_else(|| BASE64_STANDARD.encode(body), str::to_owned).into();
    }
    if !parameters.is_empty() {
        event["pathParameters"] = json!(parameters);
    }
    event
}
