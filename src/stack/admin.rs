//! The admin port: faults, and the functions that no webhook calls, on demand.
//!
//! | call | |
//! |---|---|
//! | `GET /faults` | the faults that are on |
//! | `POST /faults` | `{"service":"dynamodb","mode":"throttle","rate":0.3,"for_seconds":30}` |
//! | `DELETE /faults` | all services are well again |
//! | `POST /replay` | replays what is visible on the inbox, now |
//! | `POST /sweep` | sweeps, now |

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Result;
use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use clientele_aws::Sweeper;
use serde::Deserialize;
use serde_json::{Value, json};

use super::faults::{Fault, Faults, Mode, Service};
use super::workers::{Mapping, invocation};

#[derive(Clone)]
pub(super) struct Admin {
    pub(super) faults: Faults,
    pub(super) mapping: Option<Mapping>,
    pub(super) sweeper: Option<Arc<Sweeper>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Order {
    service: Service,
    mode: Mode,
    rate: f64,
    for_seconds: f64,
}

pub(super) fn serve(address: SocketAddr, admin: Admin) -> Result<SocketAddr> {
    let router = Router::new()
        .route("/faults", get(faults).post(set_fault).delete(clear_faults))
        .route("/replay", post(replay))
        .route("/sweep", post(sweep))
        .with_state(admin);
    let listener = super::bind(address, "the admin port", "--admin-port")?;
    let bound = listener.local_addr()?;
    let listener = tokio::net::TcpListener::from_std(listener)?;
    tokio::spawn(async move { axum::serve(listener, router).await });
    Ok(bound)
}

async fn faults(State(admin): State<Admin>) -> Response {
    json_response(StatusCode::OK, &json!(admin.faults.on()))
}

async fn set_fault(State(admin): State<Admin>, body: String) -> Response {
    let order = serde_json::from_str::<Order>(&body).map_err(anyhow::Error::from);
    let set = order.and_then(|Order { service, mode, rate, for_seconds }| {
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
    let Some(mapping) = admin.mapping else { return no_such_function() };
    match mapping.run_until_empty().await {
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
    super::gateway::json_response(status, body.to_string()).into_response()
}
