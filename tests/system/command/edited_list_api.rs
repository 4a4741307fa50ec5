//! A server between a command and the stand-in of a list API, which edits some of the answers.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{Response, StatusCode};
use bytes::Bytes;
use clientele::stack::LocalStack;
use http_body_util::{BodyExt, Full};
use serde_json::Value;

use crate::support::http::{Http, http_client};

/// What happens to the answer of the request with a number, counted from 1.
type Edit = Box<dyn Fn(usize, &mut Value) + Send + Sync>;

#[derive(Clone)]
pub(super) struct EditedListApi {
    /// For `--api-url`.
    pub(super) url: String,
    state: Arc<EditorState>,
}

struct EditorState {
    http: Http,
    stand_in: String,
    edit: Mutex<Option<Edit>>,
    requests: Mutex<Vec<String>>,
}

impl EditedListApi {
    /// Starts in front of a provider's stand-in.
    pub(super) async fn start(
        stack: &LocalStack,
        provider: &str,
        edit: impl Fn(usize, &mut Value) + Send + Sync + 'static,
    ) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address: SocketAddr = listener.local_addr().unwrap();
        let stand_in = format!("http://{}/list-apis/{provider}", stack.admin);
        let (edit, requests) = (Mutex::new(Some(Box::new(edit) as Edit)), Mutex::default());
        let state = Arc::new(EditorState { http: http_client(), stand_in, edit, requests });
        let router = Router::new().fallback(answer).with_state(state.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { url: format!("http://{address}"), state }
    }

    /// From now on, answers stay as they are.
    pub(super) fn stop_editing(&self) {
        *self.state.edit.lock().unwrap() = None;
    }

    /// The requests since the last call: path and body.
    pub(super) fn take_requests(&self) -> Vec<String> {
        std::mem::take(&mut self.state.requests.lock().unwrap())
    }
}

async fn answer(State(state): State<Arc<EditorState>>, request: Request) -> Response<Body> {
    let (mut head, body) = request.into_parts();
    let body = to_bytes(body, usize::MAX).await.unwrap();
    let path = head.uri.path_and_query().unwrap().to_string();
    let number = {
        let mut requests = state.requests.lock().unwrap();
        requests.push(format!("{path} {}", String::from_utf8_lossy(&body)));
        requests.len()
    };
    head.uri = format!("{}{}", state.stand_in, path.trim_end_matches('/')).parse().unwrap();
    head.headers.remove("host");
    let answer = state.http.request(Request::from_parts(head, Full::new(body))).await.unwrap();
    let status: StatusCode = answer.status();
    let body: Bytes = answer.into_body().collect().await.unwrap().to_bytes();
    let mut json: Value = serde_json::from_slice(&body).unwrap();
    if let Some(edit) = state.edit.lock().unwrap().as_ref() {
        edit(number, &mut json);
    }
    Response::builder().status(status).body(Body::from(json.to_string())).unwrap()
}
