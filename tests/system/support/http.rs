//! An HTTP client for the gateway of the local stack.

use axum::http::Request;
use bytes::Bytes;
use clientele::stack::LocalStack;
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use jiff::Timestamp;
use serde_json::Value;

use crate::support::deliveries::deliver;
use crate::support::random_deliveries::RandomDelivery;

pub(crate) type Http = Client<HttpConnector, Full<Bytes>>;

pub(crate) fn http_client() -> Http {
    Client::builder(TokioExecutor::new()).build_http()
}

pub(crate) async fn send_to(
    http: &Http,
    stack: &LocalStack,
    path: &str,
    headers: &[(String, String)],
    body: impl Into<Bytes>,
) -> (u16, String) {
    try_send(http, &stack.url(), path, headers, body).await.unwrap()
}

/// Status and body of the response; nothing if there is none.
pub(crate) async fn try_send(
    http: &Http,
    url: &str,
    path: &str,
    headers: &[(String, String)],
    body: impl Into<Bytes>,
) -> Option<(u16, String)> {
    let mut request = Request::post(format!("{url}{path}"));
    for (name, value) in headers {
        request = request.header(name, value);
    }
    let answer = http.request(request.body(Full::new(body.into())).unwrap()).await.ok()?;
    let status = answer.status().as_u16();
    let body = answer.into_body().collect().await.ok()?.to_bytes();
    Some((status, String::from_utf8(body.to_vec()).ok()?))
}

pub(crate) async fn post(stack: &LocalStack, path: &str, headers: &[(String, String)], body: &str) -> (u16, String) {
    send_to(&http_client(), stack, path, headers, body.to_owned()).await
}

pub(crate) fn headers(event: &Value) -> Vec<(String, String)> {
    clientele::events::headers(event).map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// Signs a delivery now and sends it. Returns the status; nothing if there is no answer.
pub(crate) async fn send(http: &Http, url: &str, (provider, changes): &RandomDelivery) -> Option<u16> {
    let event = deliver(provider, changes, Timestamp::now());
    let body = event["body"].as_str().unwrap().to_owned();
    let answer = try_send(http, url, event["rawPath"].as_str().unwrap(), &headers(&event), body).await;
    answer.map(|(status, _)| status)
}
