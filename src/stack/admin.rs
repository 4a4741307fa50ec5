//! The admin port: describes the stack, sends events, injects faults, and runs `replay` and `sweep` on demand.
//!
//! | request | |
//! |---|---|
//! | `GET /stack` | describes the stack: its ports, table, queues and providers |
//! | `GET /events` | lists the event files |
//! | `POST /send` | signs an event file or an own event, and sends it through the gateway |
//! | `GET /faults` | lists the active faults |
//! | `POST /faults` | sets one: `{"service":"dynamodb","mode":"throttle","rate":0.3,"for_seconds":30}` |
//! | `DELETE /faults` | removes all |
//! | `POST /replay` | replays the messages on the inbox queue, also those that wait after a failure |
//! | `POST /sweep` | runs one sweep |

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use anyhow::Result;
use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::{get, post};
use clientele_aws::Sweeper;
use serde::Deserialize;
use serde_json::{Value, json};

use super::faults::{Fault, FaultMode, Faults, Service};
use super::hosts::{AllowedHosts, ErrorFormat};
use super::sending::Sender;
use super::server;
use super::workers::{EventSourceMapping, invocation};

#[derive(Clone)]
pub(super) struct Admin {
    /// The answer to `GET /stack`.
    pub(super) description: Value,
    pub(super) faults: Faults,
    pub(super) event_source_mapping: Option<EventSourceMapping>,
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

pub(super) fn serve(listener: TcpListener, admin: Admin, sender: Sender, hosts: &AllowedHosts) -> Result<SocketAddr> {
    let router = Router::new()
        .route("/stack", get(stack))
        .route("/faults", get(faults).post(set_fault).delete(clear_faults))
        .route("/replay", post(replay))
        .route("/sweep", post(sweep))
        .with_state(admin)
        .merge(sender.router());
    server::serve_on(hosts.protect(router, ErrorFormat::Admin), listener)
}

async fn stack(State(admin): State<Admin>) -> Response {
    json_response(StatusCode::OK, &admin.description)
}

async fn faults(State(admin): State<Admin>) -> Response {
    json_response(StatusCode::OK, &json!(admin.faults.active()))
}

async fn set_fault(State(admin): State<Admin>, body: String) -> Response {
    let request = serde_json::from_str::<FaultRequest>(&body).map_err(anyhow::Error::from);
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
