//! The gateway: turns an HTTP request into an API Gateway event, calls the function, and turns its answer into the HTTP
//! response.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

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
use clientele_aws::{HttpEvent, Invocation, Receiver};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::server;
use crate::template::{Route, Template};

/// API Gateway limits a request body to this size.
const BODY_BYTES_MAX: usize = 10 * 1024 * 1024;

/// Serves the routes of the template.
pub(super) fn serve(
    address: SocketAddr,
    template: &Template,
    receivers: &BTreeMap<&'static str, Arc<Receiver>>,
) -> Result<SocketAddr> {
    let mut router = Router::new();
    for function in &template.functions {
        let Some(receiver) = receivers.get(function.name.as_str()) else { continue };
        for route in &function.routes {
            let method = MethodFilter::try_from(Method::from_bytes(route.method.as_bytes())?)
                .with_context(|| format!("{}: {} is not a method", function.logical_id, route.method))?;
            let (route, receiver) = (route.clone(), receiver.clone());
            let state = Arc::new(Integration { route, receiver, requests: AtomicU64::new(0) });
            router = router.route(&state.route.path, on(method, invoke).with_state(state.clone()));
        }
    }
    let router =
        router.fallback(not_found).method_not_allowed_fallback(not_found).layer(DefaultBodyLimit::max(BODY_BYTES_MAX));
    server::serve(router, address, "the gateway", "--port")
}

struct Integration {
    route: Route,
    receiver: Arc<Receiver>,
    requests: AtomicU64,
}

async fn not_found() -> Response {
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
    let Ok(event) = serde_json::from_value::<HttpEvent>(event) else {
        let body = r#"{"message":"Internal Server Error"}"#.to_owned();
        return server::json_response(StatusCode::INTERNAL_SERVER_ERROR, body);
    };
    let invocation = Invocation { request_id, trace_id: None, received_at: now };
    let answer = integration.receiver.handle(event, &invocation).await;
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
