//! Who may use the page of a deployed stack. It acts with the operator's credentials, and every process and user of the
//! machine can reach its port, so each request for data needs a random token. Only the printed URL contains it, after the
//! `#`, which browsers send to no server.

use std::fmt;
use std::sync::Arc;

use anyhow::Result;
use axum::Router;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use serde_json::json;
use sha2::{Digest, Sha256};

use super::page::FILES;

/// The header in which the page sends the token.
const HEADER: &str = "x-clientele-token";

/// 128 random bits in hexadecimal.
#[derive(Clone)]
pub(super) struct Token(Arc<str>);

impl Token {
    /// A new token.
    ///
    /// # Errors
    /// When the system has no random numbers.
    pub(super) fn random() -> Result<Self> {
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes)?;
        Ok(Self(hex::encode(bytes).into()))
    }

    /// The token as text, for the URL.
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    /// Compares hashes, so that the time it takes says nothing about the token.
    fn is(&self, other: &[u8]) -> bool {
        Sha256::digest(self.0.as_bytes()) == Sha256::digest(other)
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

/// Requires the token for everything but the files of the page.
pub(super) fn require_token(router: Router, token: Token) -> Router {
    router.layer(from_fn_with_state(token, check))
}

async fn check(State(token): State<Token>, request: Request, next: Next) -> Response {
    let is_page = FILES.iter().any(|(path, ..)| *path == request.uri().path());
    let sent = request.headers().get(HEADER).is_some_and(|sent| token.is(sent.as_bytes()));
    if is_page || sent {
        return next.run(request).await;
    }
    let sentence = "This page needs the whole URL that `clientele console` printed, with the part after the #.";
    super::respond(StatusCode::FORBIDDEN, &json!({ "error": sentence }))
}
