//! A stand-in for EventBridge and for the queue of refused changes. It records what it is sent, and answers as it is told.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use clientele::stack::CapturedLog;
use clientele_aws::{CallTimeouts, ChangeClients, ChangePublisher, ChangesConfig};
use serde_json::{Value, json};

/// How `PutEvents` is answered, given its entries: with a status and a body. Without a status, never.
type Answer = Box<dyn Fn(&[Value]) -> (Option<StatusCode>, Value) + Send>;

#[derive(Clone)]
pub(crate) struct EventBusStandIn {
    url: String,
    state: Arc<Mutex<Recorded>>,
}

struct Recorded {
    answer: Answer,
    calls: Vec<Value>,
    messages: Vec<Value>,
    is_queue_down: bool,
}

impl EventBusStandIn {
    /// Starts a bus that takes every event.
    pub(crate) async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let answer: Answer = Box::new(|entries| (Some(StatusCode::OK), accepted(entries)));
        let state = Recorded { answer, calls: vec![], messages: vec![], is_queue_down: false };
        let bus = Self { url, state: Arc::new(Mutex::new(state)) };
        let router = Router::new().fallback(answer_call).with_state(bus.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        bus
    }

    pub(crate) fn clients(&self) -> ChangeClients {
        ChangeClients::local(&self.url, &self.url, CallTimeouts::Function)
    }

    /// The function `changes` with this bus and its queue.
    pub(crate) fn publisher(&self, feed: &str, log: &CapturedLog) -> ChangePublisher {
        let variable = |name: &str| {
            Some(match name {
                "EVENT_BUS_NAME" => "clientele-changes".to_owned(),
                "CHANGE_SOURCE" => "/clientele/clientele".to_owned(),
                "CHANGE_FEED" => feed.to_owned(),
                "REFUSED_CHANGES_QUEUE_URL" => format!("{}/000000000000/refused-changes", self.url),
                "POWERTOOLS_METRICS_NAMESPACE" => "clientele".to_owned(),
                "AWS_REGION" | "AWS_ACCESS_KEY_ID" | "AWS_SECRET_ACCESS_KEY" => "local".to_owned(),
                _ => return None,
            })
        };
        ChangePublisher::new(ChangesConfig::read(variable).unwrap(), &self.clients(), log.writer())
    }

    /// From now on each call gets this answer.
    pub(crate) fn answer(&self, answer: impl Fn(&[Value]) -> (Option<StatusCode>, Value) + Send + 'static) {
        self.state.lock().unwrap().answer = Box::new(answer);
    }

    /// From now on the queue answers 500.
    pub(crate) fn stop_queue(&self) {
        self.state.lock().unwrap().is_queue_down = true;
    }

    /// The requests of `PutEvents` since this was last asked.
    pub(crate) fn take_calls(&self) -> Vec<Value> {
        std::mem::take(&mut self.state.lock().unwrap().calls)
    }

    /// The messages on the queue since this was last asked.
    pub(crate) fn take_messages(&self) -> Vec<Value> {
        std::mem::take(&mut self.state.lock().unwrap().messages)
    }
}

/// The answer when all entries are accepted.
pub(crate) fn accepted(entries: &[Value]) -> Value {
    let results: Vec<_> = (0..entries.len()).map(|number| json!({ "EventId": format!("e{number}") })).collect();
    json!({ "FailedEntryCount": 0, "Entries": results })
}

async fn answer_call(State(bus): State<EventBusStandIn>, headers: HeaderMap, body: Bytes) -> (StatusCode, String) {
    let request: Value = serde_json::from_slice(&body).unwrap();
    let answer = {
        let mut state = bus.state.lock().unwrap();
        match headers["x-amz-target"].to_str().unwrap() {
            "AWSEvents.PutEvents" => {
                let answer = (state.answer)(request["Entries"].as_array().unwrap());
                state.calls.push(request);
                answer
            }
            "AmazonSQS.SendMessage" if state.is_queue_down => (Some(StatusCode::INTERNAL_SERVER_ERROR), json!({})),
            "AmazonSQS.SendMessage" => {
                assert!(request["QueueUrl"].as_str().unwrap().ends_with("/refused-changes"));
                state.messages.push(serde_json::from_str(request["MessageBody"].as_str().unwrap()).unwrap());
                (Some(StatusCode::OK), json!({ "MessageId": "m" }))
            }
            other => panic!("{other}"),
        }
    };
    match answer {
        (Some(status), body) => (status, body.to_string()),
        (None, _) => std::future::pending().await,
    }
}
