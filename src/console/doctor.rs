//! Whether the stack is healthy.

use std::future::Future;

use anyhow::Result;
use axum::Router;
use axum::http::StatusCode;
use axum::routing::get;
use serde_json::json;

use super::problem::Problem;
use crate::doctor::{Facts, Report};

/// The route `/doctor`. `read` reads the facts, which takes a while and is done for each request.
pub fn router<F>(read: impl Fn() -> F + Clone + Send + Sync + 'static) -> Router
where
    F: Future<Output = Result<Facts>> + Send,
{
    let answer = async move || match read().await {
        Ok(facts) => Ok(super::respond(StatusCode::OK, &json!(Report::of(&facts)))),
        Err(error) => Err(Problem::Unreachable(format!("The stack cannot be examined: {error:#}"))),
    };
    Router::new().route("/doctor", get(answer))
}
