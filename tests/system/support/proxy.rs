//! A door before the emulators that counts what goes through, and can be told to fail.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, Request, Response, StatusCode};
use clientele::providers;
use clientele::stack::{Captured, Stack};
use clientele_aws::{Budget, Clients, Config, Receiver};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use jiff::Timestamp;
use serde_json::Value;

#[derive(Clone, Default)]
pub(crate) struct EmulatorProxy(Arc<Mutex<Seen>>);

#[derive(Default)]
struct Seen {
    calls: Vec<(String, Value)>,
    answers: Vec<Value>,
    failing: Vec<(&'static str, &'static str)>,
    hanging: Option<&'static str>,
    at_once: usize,
    at_once_max: usize,
}

impl EmulatorProxy {
    /// Functions as the stack has them, but with a door before its emulators.
    pub(crate) async fn before(stack: &Stack) -> (Self, BTreeMap<&'static str, Receiver>) {
        Self::before_writing(stack, &Captured::default()).await
    }

    /// The same, with the lines of the functions.
    pub(crate) async fn before_writing(stack: &Stack, written: &Captured) -> (Self, BTreeMap<&'static str, Receiver>) {
        let proxy = Self::default();
        let clients = proxy.clients(stack);
        let mut receivers = BTreeMap::new();
        for known in &providers::PROVIDERS {
            let environment = &stack.environments[known.provider.name];
            let config = Config::read(known.provider, |name| environment.get(name).cloned()).unwrap();
            let receiver = Receiver::start(known.provider, config, &clients, written.lines(), Timestamp::now());
            let receiver = receiver.await.unwrap();
            receivers.insert(known.provider.name, receiver);
        }
        (proxy, receivers)
    }

    /// Clients that go through the door.
    pub(crate) fn clients(&self, stack: &Stack) -> Clients {
        let [dynamodb, sqs] = [stack.dynamodb, stack.sqs].map(|address| self.clone().serve(address));
        Clients::local(&dynamodb, &sqs, Budget::Function)
    }

    fn serve(self, before: SocketAddr) -> String {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let client = Client::builder(TokioExecutor::new()).build_http();
        let router = Router::new().fallback(pass).with_state((self, before, client));
        let listener = tokio::net::TcpListener::from_std(listener).unwrap();
        tokio::spawn(async move { axum::serve(listener, router).await });
        url
    }

    /// Calls to operations that end like this answer 500 from now on; none if `None`.
    pub(crate) fn fail(&self, operation: Option<&'static str>) {
        self.0.lock().unwrap().failing = operation.into_iter().map(|operation| (operation, "")).collect();
    }

    /// Calls to operations that end like one of these answer 500 from now on.
    pub(crate) fn fail_all(&self, operations: &[&'static str]) {
        self.0.lock().unwrap().failing = operations.iter().map(|operation| (*operation, "")).collect();
    }

    /// Calls to operations that end like this answer 500 from now on, if this is in the body.
    pub(crate) fn fail_only(&self, operation: &'static str, body: &'static str) {
        self.0.lock().unwrap().failing = vec![(operation, body)];
    }

    /// Calls to operations that end like this are never answered from now on.
    pub(crate) fn hang(&self, operation: Option<&'static str>) {
        self.0.lock().unwrap().hanging = operation;
    }

    /// The most calls that were under way at one time.
    pub(crate) fn at_once_max(&self) -> usize {
        self.0.lock().unwrap().at_once_max
    }

    pub(crate) fn forget(&self) {
        let mut seen = self.0.lock().unwrap();
        (seen.calls, seen.answers) = (vec![], vec![]);
    }

    /// The operations that were called.
    pub(crate) fn calls(&self) -> Vec<String> {
        self.0.lock().unwrap().calls.iter().map(|(operation, _)| operation.clone()).collect()
    }

    /// The bodies of the calls.
    pub(crate) fn requests(&self) -> Vec<Value> {
        self.0.lock().unwrap().calls.iter().map(|(_, request)| request.clone()).collect()
    }

    /// The write units of each answer that tells them.
    pub(crate) fn write_units(&self) -> Vec<f64> {
        let units = |answer: &Value| answer["ConsumedCapacity"]["CapacityUnits"].as_f64();
        self.0.lock().unwrap().answers.iter().filter_map(units).collect()
    }
}

/// A call, until it is answered or given up.
struct UnderWay(EmulatorProxy);

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.0.lock().unwrap().at_once -= 1;
    }
}

type Emulator = (EmulatorProxy, SocketAddr, Client<HttpConnector, Full<Bytes>>);

async fn pass(State((proxy, before, client)): State<Emulator>, headers: HeaderMap, body: Bytes) -> Response<Body> {
    let operation = headers["x-amz-target"].to_str().unwrap().to_owned();
    let (failing, hanging) = {
        let mut seen = proxy.0.lock().unwrap();
        seen.calls.push((operation.clone(), serde_json::from_slice(&body).unwrap()));
        seen.at_once += 1;
        seen.at_once_max = seen.at_once_max.max(seen.at_once);
        let text = String::from_utf8_lossy(&body);
        let fails = |(ending, part): &(&str, &str)| operation.ends_with(ending) && text.contains(part);
        (seen.failing.iter().any(fails), seen.hanging.is_some_and(|ending| operation.ends_with(ending)))
    };
    let _under_way = UnderWay(proxy.clone());
    if hanging {
        std::future::pending::<()>().await;
    }
    if failing {
        return Response::builder().status(StatusCode::INTERNAL_SERVER_ERROR).body(Body::empty()).unwrap();
    }
    let mut request = Request::post(format!("http://{before}/"));
    for name in ["x-amz-target", "content-type", "authorization", "x-amz-date"] {
        request = request.header(name, headers[name].clone());
    }
    let answer = client.request(request.body(Full::new(body)).unwrap()).await.unwrap();
    let status = answer.status();
    let bytes = answer.into_body().collect().await.unwrap().to_bytes();
    proxy.0.lock().unwrap().answers.push(serde_json::from_slice(&bytes).unwrap_or_default());
    Response::builder()
        .status(status)
        .header("content-type", "application/x-amz-json-1.0")
        .body(Body::from(bytes))
        .unwrap()
}
