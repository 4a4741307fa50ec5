//! The admin port: the page and its routes, see `src/console/mod.rs`, and what only a local stack can do: show deliveries,
//! send events, inject faults, and run `replay` and `sweep` on demand.
//!
//! | request | |
//! |---|---|
//! | `GET /deliveries` | the last deliveries, oldest first |
//! | `GET /deliveries/stream` | the same as server-sent events, and then each delivery as it arrives |
//! | `GET /events` | lists the event files |
//! | `POST /send` | signs an event file or an own event, and sends it through the gateway |
//! | `GET /faults` | lists the active faults |
//! | `POST /faults` | sets one: `{"service":"dynamodb","mode":"throttle","rate":0.3,"for_seconds":30}` |
//! | `DELETE /faults` | removes all |
//! | `POST /replay` | replays the messages on the inbox queue, also those that wait after a failure |
//! | `POST /sweep` | runs one sweep |
//! | `POST /publish-changes` | passes the records of the table's stream to `changes` |
//! | `GET /changes` | the last events on the bus, oldest first |
//! | `GET /changes/stream` | the same as server-sent events, and then each event as it arrives |
//! | `POST /event-bus` | EventBridge's `PutEvents`, for programs outside of the stack |
//! | `/list-apis/…` | the list APIs of the providers, see `list_apis/mod.rs` |

use std::convert::Infallible;
use std::future::ready;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use anyhow::Result;
use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::sse::{Event, KeepAlive};
use axum::response::{IntoResponse, Response, Sse};
use axum::routing::{get, post};
use clientele_aws::Sweeper;
use futures_util::{StreamExt, stream};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;

use super::change_stream::ChangeStream;
use super::deliveries::{Deliveries, DeliveryRecord};
use super::event_bus::{BusEvent, EventBus};
use super::faults::{Fault, FaultMode, Faults, Service};
use super::workers::{EventSourceMapping, invocation};
use crate::console::{self, ShownStack};
use crate::hosts::{AllowedHosts, ErrorFormat};
use crate::server::{self, Body};

#[derive(Clone)]
pub(super) struct Admin {
    pub(super) deliveries: Deliveries,
    /// When the stack was started.
    pub(super) started: Timestamp,
    pub(super) event_bus: EventBus,
    pub(super) faults: Faults,
    pub(super) event_source_mapping: Option<EventSourceMapping>,
    pub(super) change_stream: Option<ChangeStream>,
    pub(super) sweeper: Option<Arc<Sweeper>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FaultRequest {
    service: Service,
    mode: FaultMode,
    rate: f64,
    for_seconds: f64,
}

pub(super) fn serve(
    listener: TcpListener,
    stack: ShownStack,
    admin: Admin,
    others: Router,
    hosts: &AllowedHosts,
) -> Result<SocketAddr> {
    let router = console::router(stack).merge(others).merge(admin_router(admin));
    let router = hosts.protect(console::with_fallback(router), ErrorFormat::Admin);
    server::serve_on(console::with_headers(router), listener)
}

fn admin_router(admin: Admin) -> Router {
    Router::new()
        .route("/deliveries", get(deliveries))
        .route("/deliveries/stream", get(delivery_stream))
        .route("/changes", get(changes))
        .route("/changes/stream", get(change_stream))
        // The SDK adds a slash to the URL of an endpoint.
        .route("/event-bus", post(put_events))
        .route("/event-bus/", post(put_events))
        .route("/faults", get(faults).post(set_fault).delete(clear_faults))
        .route("/replay", post(replay))
        .route("/publish-changes", post(publish_changes))
        .route("/sweep", post(sweep))
        .with_state(admin)
}

async fn deliveries(State(admin): State<Admin>) -> Response {
    json_response(StatusCode::OK, &json!(admin.deliveries.recent()))
}

async fn delivery_stream(State(admin): State<Admin>) -> impl IntoResponse {
    let live = admin.deliveries.subscribe();
    let event = |record: &DeliveryRecord| (record.number, Event::default().data(json!(record).to_string()));
    event_stream(admin.started, admin.deliveries.recent(), live, event)
}

async fn changes(State(admin): State<Admin>) -> Response {
    let events: Vec<_> = admin.event_bus.recent().into_iter().map(|event| event.json).collect();
    server::json_response(StatusCode::OK, format!("[{}]", events.join(",")))
}

async fn change_stream(State(admin): State<Admin>) -> impl IntoResponse {
    let live = admin.event_bus.subscribe();
    let event = |event: &BusEvent| (event.number, Event::default().id(event.number.to_string()).data(&event.json));
    event_stream(admin.started, admin.event_bus.recent(), live, event)
}

/// First an event `run` that differs after each start of the stack, then one event per record, with the number by which
/// records are ordered. A reader that is too slow misses records.
fn event_stream<T: Clone + Send + 'static>(
    started: Timestamp,
    recent: impl IntoIterator<Item = T>,
    live: Receiver<T>,
    event: impl Fn(&T) -> (u64, Event) + Send + 'static,
) -> impl IntoResponse {
    let (numbers, recent): (Vec<_>, Vec<_>) = recent.into_iter().map(|record| event(&record)).unzip();
    // A record that arrives now may be in both.
    let last = numbers.last().copied().unwrap_or_default();
    let run = Event::default().event("run").data(started.as_nanosecond().to_string());
    let first = stream::iter([run].into_iter().chain(recent));
    let later = stream::unfold(live, async |mut live| {
        loop {
            match live.recv().await {
                Ok(record) => return Some((record, live)),
                Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return None,
            }
        }
    });
    let later = later.map(move |record| event(&record)).filter(move |(number, _)| ready(*number > last));
    let later = later.map(|(_, event)| event);
    Sse::new(first.chain(later).map(Ok::<_, Infallible>)).keep_alive(KeepAlive::default())
}

/// What `PutEvents` answers. The body may be as large as EventBridge takes, and what is around it.
async fn put_events(State(admin): State<Admin>, headers: HeaderMap, body: Body) -> Response {
    let (status, answer) = match body {
        Ok(_) if headers.get("x-amz-target").is_none_or(|target| target != "AWSEvents.PutEvents") => {
            (400, json!({ "__type": "UnknownOperationException", "message": "This bus only knows PutEvents." }))
        }
        Ok(body) => admin.event_bus.put_events(&body),
        Err(rejection) => return server::rejected(&rejection),
    };
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let content_type = [(header::CONTENT_TYPE, "application/x-amz-json-1.1")];
    (status, content_type, answer.to_string()).into_response()
}

async fn faults(State(admin): State<Admin>) -> Response {
    json_response(StatusCode::OK, &json!(admin.faults.active()))
}

async fn set_fault(State(admin): State<Admin>, body: Body) -> Response {
    let body = match body {
        Ok(body) => body,
        Err(rejection) => return server::rejected(&rejection),
    };
    let request = serde_json::from_slice::<FaultRequest>(&body).map_err(anyhow::Error::from);
    let set = request.and_then(|FaultRequest { service, mode, rate, for_seconds }| {
        admin.faults.set(service, Fault { mode, rate, for_seconds })
    });
    match set {
        Ok(()) => faults(State(admin)).await,
        Err(error) => json_response(StatusCode::BAD_REQUEST, &json!({ "error": error.to_string() })),
    }
}

async fn clear_faults(State(admin): State<Admin>) -> Response {
    admin.faults.clear();
    faults(State(admin)).await
}

async fn replay(State(admin): State<Admin>) -> Response {
    let Some(mapping) = admin.event_source_mapping else { return no_such_function() };
    match mapping.replay_now().await {
        Ok(replayed) => json_response(StatusCode::OK, &json!({ "replayed": replayed })),
        Err(error) => json_response(StatusCode::BAD_GATEWAY, &json!({ "error": error.to_string() })),
    }
}

async fn publish_changes(State(admin): State<Admin>) -> Response {
    let Some(stream) = admin.change_stream else { return no_such_function() };
    match stream.publish_now().await {
        Ok(records) => json_response(StatusCode::OK, &json!({ "records": records })),
        Err(error) => json_response(StatusCode::BAD_GATEWAY, &json!({ "error": error.to_string() })),
    }
}

async fn sweep(State(admin): State<Admin>) -> Response {
    let Some(sweeper) = admin.sweeper else { return no_such_function() };
    let swept = sweeper.handle(&invocation()).await;
    json_response(StatusCode::OK, &json!({ "sent": swept.sent, "failed": swept.failed }))
}

fn no_such_function() -> Response {
    json_response(StatusCode::NOT_FOUND, &json!({ "error": "the template has no such function" }))
}

fn json_response(status: StatusCode, body: &Value) -> Response {
    server::json_response(status, body.to_string())
}
