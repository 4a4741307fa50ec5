//! Why a request of the page cannot be answered, in sentences for a person.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::json;

/// What is wrong, by who can do something about it.
#[derive(Debug)]
pub(super) enum Problem {
    /// The request makes no sense.
    Invalid(String),
    /// There is no such thing.
    NotFound(String),
    /// The table or a queue does not answer.
    Unreachable(String),
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let (status, sentence) = match self {
            Self::Invalid(sentence) => (StatusCode::BAD_REQUEST, sentence),
            Self::NotFound(sentence) => (StatusCode::NOT_FOUND, sentence),
            Self::Unreachable(sentence) => (StatusCode::BAD_GATEWAY, sentence),
        };
        super::respond(status, &json!({ "error": sentence }))
    }
}

/// Reads the parameter `limit`.
pub(super) fn limit(text: Option<&str>, default: usize, max: usize) -> Result<usize, Problem> {
    let Some(text) = text else { return Ok(default) };
    let limit = text.parse().ok().filter(|limit| (1..=max).contains(limit));
    limit.ok_or_else(|| Problem::Invalid(format!("The limit must be a number from 1 to {max}.")))
}
