//! A stand-in for Secrets Manager.

use std::sync::{Arc, Mutex};

use aws_sdk_secretsmanager::config::{BehaviorVersion, Credentials, Region};
use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use clientele::stack::Stack;
use clientele_aws::Clients;

/// A stand-in for Secrets Manager: the secret it holds (`None`: it fails), and for which it was asked.
#[derive(Clone, Default)]
pub(crate) struct Manager(Arc<Mutex<(Option<String>, Vec<String>)>>);

impl Manager {
    pub(crate) fn set(&self, secret: Option<&str>) {
        self.0.lock().unwrap().0 = secret.map(str::to_owned);
    }

    pub(crate) fn asked(&self) -> usize {
        self.asked_for().len()
    }

    pub(crate) fn asked_for(&self) -> Vec<String> {
        self.0.lock().unwrap().1.clone()
    }

    pub(crate) async fn clients(&self, stack: &Stack) -> Clients {
        let router = Router::new().fallback(get_secret_value).with_state(self.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await });
        let config = aws_sdk_secretsmanager::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::from_static("us-east-1"))
            .credentials_provider(Credentials::new("local", "local", None, None, "test"))
            .http_client(aws_smithy_http_client::Builder::new().build_http())
            .endpoint_url(url);
        let secrets_manager = aws_sdk_secretsmanager::Client::from_conf(config.build());
        Clients { secrets_manager, ..stack.clients.clone() }
    }
}

async fn get_secret_value(
    State(Manager(state)): State<Manager>,
    headers: HeaderMap,
    body: String,
) -> (StatusCode, String) {
    assert_eq!(headers["x-amz-target"], "secretsmanager.GetSecretValue");
    let asked: serde_json::Value = serde_json::from_str(&body).unwrap();
    let mut state = state.lock().unwrap();
    state.1.push(asked["SecretId"].as_str().unwrap().to_owned());
    match &state.0 {
        Some(secret) => (StatusCode::OK, serde_json::json!({ "SecretString": secret }).to_string()),
        None => (StatusCode::BAD_REQUEST, r#"{"__type":"DecryptionFailure"}"#.to_owned()),
    }
}
