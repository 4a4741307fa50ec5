//! The page, and the routes from which it reads a stack: its customers and its queues. The local stack serves it on the
//! admin port, together with routes that only a local stack has. `clientele console` serves it for a deployed stack.
//!
//! | request | |
//! |---|---|
//! | `GET /`, `GET /console.css`, `GET /console.js` | the page |
//! | `GET /stack` | describes the stack |
//! | `GET /customers?email=&external_id=&name=&provider=&limit=` | finds customers, the newest change first |
//! | `GET /customers/{pk}` | one customer, why it is in its state, its erasure in other systems, and the same person in other services |
//! | `GET /doctor` | whether the stack is healthy, and what to do if not |
//! | `GET /queues` | how many messages are on each queue, and how old the oldest is |
//! | `GET /quarantine?limit=` | the quarantined deliveries without personal data |
//! | `GET /quarantine/{id}` | one of them |
//! | `POST /quarantine/{id}/redrive` | settles it |

mod access;
mod customers;
mod doctor;
mod page;
mod problem;
mod queues;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::{Context, Result};
use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::middleware::map_response;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use clientele_aws::{Clients, Resources};
use serde_json::{Value, json};

use crate::customers_table::CustomersTable;
use crate::doctor::deployed;
use crate::hosts::{AllowedHosts, ErrorFormat};
use crate::oldest_message::OldestMessages;
use crate::server;
use crate::target::OpenTarget;
use access::{Token, require_token};
pub use doctor::router as doctor_router;
use problem::Problem;

/// The stack that the page shows, local or deployed.
#[derive(Clone, Debug)]
pub struct ShownStack {
    /// What `GET /stack` answers. `kind` is `local` or `deployed`.
    pub description: Value,
    /// Clients that may read the table and the queues.
    pub clients: Clients,
    /// The table, and the queues that functions use.
    pub resources: Resources,
    /// The systems that confirm that they have erased a deleted customer.
    pub erasure_systems: Vec<String>,
    /// The URLs of all queues by role.
    pub queue_urls: BTreeMap<String, String>,
    /// How old the oldest messages on its queues are.
    pub oldest_messages: OldestMessages,
}

impl ShownStack {
    fn table(&self) -> CustomersTable {
        CustomersTable::new(&self.clients.dynamodb, &self.resources.customers_table)
    }

    /// What to do when the table or the queues cannot be reached.
    fn advice(&self) -> &'static str {
        if self.description["kind"] == "local" {
            "Is the local stack still running?"
        } else {
            "Check the network, your credentials, and what they allow."
        }
    }
}

/// Serves the page of a deployed stack until the process ends. Returns its URL, with the token that every request needs.
///
/// # Errors
/// When the target is not a deployed stack, or the address is in use.
pub fn serve_deployed(target: &OpenTarget, address: SocketAddr) -> Result<String> {
    let stack = target.deployed_stack().context("the local stack serves its page itself")?;
    let description = json!({
        "kind": "deployed",
        "name": stack.name,
        "version": env!("CARGO_PKG_VERSION"),
        "region": stack.region,
        "account": stack.account,
        "table": target.resources.customers_table,
        "queues": target.queue_urls,
        "providers": clientele_providers::names(),
    });
    let (clients, resources) = (target.clients.clone(), target.resources.clone());
    let (queue_urls, oldest_messages) = (target.queue_urls.clone(), stack.oldest_messages.clone());
    let erasure_systems = target.erasure_systems.clone();
    let shown = ShownStack { description, clients, resources, erasure_systems, queue_urls, oldest_messages };
    let token = Token::random()?;
    let target = target.clone();
    let examination = doctor_router(move || {
        let target = target.clone();
        async move { deployed::facts(&target).await }
    });
    let router = require_token(with_fallback(router(shown).merge(examination)), token.clone());
    let router = AllowedHosts::new(address.ip(), &[]).protect(router, ErrorFormat::Console);
    let address = server::serve(with_headers(router), address, "the page", "--port")?;
    Ok(format!("http://{address}/#token={}", token.as_str()))
}

/// The routes that every stack has.
pub fn router(stack: ShownStack) -> Router {
    let stack = Arc::new(stack);
    let description = stack.description.to_string();
    Router::new()
        .route("/stack", get(async move || respond(StatusCode::OK, &description)))
        .merge(customers::router(stack.clone()))
        .merge(queues::router(stack))
        .merge(page::router())
}

/// Adds an answer for unknown routes to a router that has all others.
pub fn with_fallback(router: Router) -> Router {
    let unknown = async || Problem::NotFound("There is no such route.".to_owned());
    router.fallback(unknown).method_not_allowed_fallback(unknown)
}

/// Adds headers to all responses of a router that keep browsers from interpreting or keeping them.
pub fn with_headers(router: Router) -> Router {
    router.layer(map_response(page::with_headers))
}

/// A JSON response.
fn respond(status: StatusCode, body: &impl ToString) -> Response {
    (status, [(header::CONTENT_TYPE, "application/json")], body.to_string()).into_response()
}

type Shown = State<Arc<ShownStack>>;
type Answer = Result<Response, Problem>;
