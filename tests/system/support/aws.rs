//! A stand-in for AWS, in front of a local stack. It passes the calls of DynamoDB and SQS on to the emulators, answers
//! for Secrets Manager, CloudWatch and CloudFormation itself, records all calls but CloudFormation's, and fails or hangs on demand.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};

use aws_smithy_cbor::Encoder;
use aws_smithy_types::DateTime;
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, Request, Response, StatusCode, Uri};
use clientele::stack::{CapturedLog, LocalStack};
use clientele_aws::{CallTimeouts, Clients, Receiver};
use clientele_model::parse_json;
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::support::monitoring::{self, Monitoring};
use crate::support::start_receivers;
use crate::support::template::template;

/// The ARN of the stack `test`.
pub(crate) const STACK_ARN: &str = "arn:aws:cloudformation:eu-central-1:123456789012:stack/test/5ac9c8e0-1";

#[derive(Clone)]
pub(crate) struct AwsStandIn {
    pub(crate) url: String,
    emulators: Client<HttpConnector, Full<Bytes>>,
    dynamodb: SocketAddr,
    sqs: SocketAddr,
    admin: SocketAddr,
    /// The ARN of each provider's secret.
    secret_arns: BTreeMap<&'static str, String>,
    stack_description: Arc<Mutex<String>>,
    state: Arc<Mutex<Behaviour>>,
    monitoring: Arc<Mutex<Monitoring>>,
}

/// The recorded calls, and how to answer the next ones.
#[derive(Default)]
struct Behaviour {
    calls: Vec<Call>,
    /// Which calls fail: the end of the name of the operation, and a text in the request.
    failing: Vec<(&'static str, &'static str)>,
    /// The same for calls that are never answered.
    hanging: Vec<(&'static str, &'static str)>,
    /// Which operations are not allowed.
    denied: Vec<&'static str>,
    /// The operation that is answered with an error, and the error's code.
    error: Option<(&'static str, &'static str)>,
    concurrent: usize,
    concurrent_max: usize,
    /// Secrets by ARN, as `GetSecretValue` returns them.
    secrets: BTreeMap<String, Value>,
    /// The age in seconds of the oldest message by the queue's name, at several times, as CloudWatch measured it.
    oldest_messages: BTreeMap<String, Vec<(Timestamp, f64)>>,
}

/// A call of a service. It has no response until it is answered.
#[derive(Clone)]
pub(crate) struct Call {
    /// As in `DynamoDB_20120810.PutItem`.
    pub(crate) operation: String,
    /// The region that the call is signed for.
    pub(crate) region: String,
    pub(crate) request: Value,
    response: Value,
}

impl AwsStandIn {
    /// Starts in front of that stack, with the secrets of its functions.
    pub(crate) async fn start(stack: &LocalStack) -> Self {
        let (mut secret_arns, mut state) = (BTreeMap::new(), Behaviour::default());
        for name in clientele_providers::names() {
            let environment = &stack.environments[name];
            secret_arns.insert(name, environment["WEBHOOK_SECRET_ARN"].clone());
            let secret = json!({ "SecretString": environment["WEBHOOK_SECRETS"] });
            state.secrets.insert(environment["WEBHOOK_SECRET_ARN"].clone(), secret);
        }
        for provider in ["plain", "flexprice"] {
            state.secrets.insert(api_key_arn(provider).to_owned(), json!({ "SecretString": "[]" }));
        }
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let aws = Self {
            url: format!("http://{}", listener.local_addr().unwrap()),
            emulators: Client::builder(TokioExecutor::new()).build_http(),
            dynamodb: stack.dynamodb,
            sqs: stack.sqs,
            admin: stack.admin,
            secret_arns,
            stack_description: Arc::new(Mutex::new(describe(stack))),
            state: Arc::new(Mutex::new(state)),
            monitoring: Arc::new(Mutex::new(Monitoring::healthy())),
        };
        let router = Router::new().fallback(answer).with_state(aws.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        aws
    }

    /// Starts, with functions that call it.
    pub(crate) async fn with_receivers(stack: &LocalStack) -> (Self, BTreeMap<&'static str, Receiver>) {
        Self::with_logging_receivers(stack, &CapturedLog::default()).await
    }

    /// Starts, with functions that call it and log to `log`.
    pub(crate) async fn with_logging_receivers(
        stack: &LocalStack,
        log: &CapturedLog,
    ) -> (Self, BTreeMap<&'static str, Receiver>) {
        let aws = Self::start(stack).await;
        let receivers = start_receivers(&stack.environments, &aws.clients(), log).await;
        (aws, receivers)
    }

    /// Clients with the timeouts of a function.
    pub(crate) fn clients(&self) -> Clients {
        let clients = Clients::local(&self.url, &self.url, CallTimeouts::Function);
        let config = clients.secrets_manager.config().to_builder().endpoint_url(&self.url).build();
        Clients { secrets_manager: aws_sdk_secretsmanager::Client::from_conf(config).into(), ..clients }
    }

    /// From now on calls are answered 500 if the name of their operation ends in one of these. The others succeed.
    pub(crate) fn fail(&self, operations: &[&'static str]) {
        self.state.lock().unwrap().failing = operations.iter().map(|operation| (*operation, "")).collect();
    }

    /// The same, but such a call fails only if its request contains the text beside the operation.
    pub(crate) fn fail_if_contains(&self, operations: &[(&'static str, &'static str)]) {
        self.state.lock().unwrap().failing = operations.to_vec();
    }

    /// From now on calls are never answered if the name of their operation ends like this.
    pub(crate) fn hang(&self, operation: &'static str) {
        self.hang_if_contains(&[(operation, "")]);
    }

    /// The same, but such a call hangs only if its request contains the text beside the operation.
    pub(crate) fn hang_if_contains(&self, operations: &[(&'static str, &'static str)]) {
        self.state.lock().unwrap().hanging = operations.to_vec();
    }

    /// From now on this parameter of the stack has that value.
    pub(crate) fn set_parameter(&self, name: &str, value: &str) {
        self.set_member("Parameter", name, value);
    }

    fn set_member(&self, kind: &str, name: &str, value: &str) {
        let mut description = self.stack_description.lock().unwrap();
        let start = format!("<{kind}Key>{name}</{kind}Key><{kind}Value>");
        let (before, rest) = description.split_once(&start).unwrap();
        let (_, after) = rest.split_once(&format!("</{kind}Value>")).unwrap();
        *description = format!("{before}{start}{value}</{kind}Value>{after}");
    }

    /// From now on these operations are not allowed.
    pub(crate) fn deny(&self, operations: &[&'static str]) {
        self.state.lock().unwrap().denied = operations.to_vec();
    }

    /// From now on this operation is answered with an error of that code.
    pub(crate) fn answer_with_error(&self, operation: &'static str, code: &'static str) {
        self.state.lock().unwrap().error = Some((operation, code));
    }

    /// From now on this output of the stack has that value.
    pub(crate) fn set_output(&self, name: &str, value: &str) {
        self.set_member("Output", name, value);
    }

    fn is_denied(&self, operation: &str) -> bool {
        self.state.lock().unwrap().denied.contains(&operation)
    }

    /// What is known of the deployed stack besides its contents.
    pub(crate) fn monitoring(&self) -> MutexGuard<'_, Monitoring> {
        self.monitoring.lock().unwrap()
    }

    /// From now on no call fails or hangs, and every one is allowed.
    pub(crate) fn recover(&self) {
        let mut state = self.state.lock().unwrap();
        state.denied.clear();
        state.error = None;
        state.failing.clear();
        state.hanging.clear();
    }

    /// What was called since the start, or since this was last asked.
    pub(crate) fn take_calls(&self) -> Vec<Call> {
        std::mem::take(&mut self.state.lock().unwrap().calls)
    }

    /// The largest number of calls that were open at the same time.
    pub(crate) fn concurrent_calls_max(&self) -> usize {
        self.state.lock().unwrap().concurrent_max
    }

    pub(crate) fn secret(&self, provider: &str) -> String {
        let secret = &self.state.lock().unwrap().secrets[&self.secret_arns[provider]];
        secret["SecretString"].as_str().unwrap().to_owned()
    }

    /// The text in the place for the key of a provider's API.
    pub(crate) fn api_key(&self, provider: &str) -> String {
        let secret = &self.state.lock().unwrap().secrets[api_key_arn(provider)];
        secret["SecretString"].as_str().unwrap().to_owned()
    }

    pub(crate) fn set_api_key(&self, provider: &str, text: &str) {
        let secret = json!({ "SecretString": text });
        self.state.lock().unwrap().secrets.insert(api_key_arn(provider).to_owned(), secret);
    }

    pub(crate) fn set_secret(&self, provider: &str, text: &str) {
        self.insert_secret(provider, json!({ "SecretString": text }));
    }

    pub(crate) fn set_binary_secret(&self, provider: &str) {
        self.insert_secret(provider, json!({ "SecretBinary": "AAAA" }));
    }

    fn insert_secret(&self, provider: &str, secret: Value) {
        self.state.lock().unwrap().secrets.insert(self.secret_arns[provider].clone(), secret);
    }

    /// Reading the secret fails until it is set again.
    pub(crate) fn remove_secret(&self, provider: &str) {
        self.state.lock().unwrap().secrets.remove(&self.secret_arns[provider]);
    }

    /// From now on CloudWatch has these measurements of the age of a queue's oldest message.
    pub(crate) fn set_oldest_message(&self, queue: &str, measured: &[(Timestamp, f64)]) {
        self.state.lock().unwrap().oldest_messages.insert(queue.to_owned(), measured.to_vec());
    }

    /// Answers in CBOR. There are no measurements unless they are set, and it fails if the operation is to fail.
    fn cloudwatch(&self, operation: &str, request: &[u8]) -> (StatusCode, Bytes) {
        let request = monitoring::decode(request);
        let state = self.state.lock().unwrap();
        if state.failing.iter().any(|(failing, _)| *failing == operation) || state.denied.contains(&operation) {
            let mut error = Encoder::new(vec![]);
            error.map(1).str("__type").str("AccessDenied");
            return (StatusCode::FORBIDDEN, error.into_writer().into());
        }
        match (operation, request["Namespace"].as_str()) {
            ("DescribeAlarms", _) => return (StatusCode::OK, self.monitoring().describe_alarms(&request).into()),
            (_, Some("AWS/SQS")) => {}
            _ => return (StatusCode::OK, self.monitoring().metric_statistics(&request).into()),
        }
        let has = |text: &str| request.to_string().contains(&format!("\"{text}\""));
        assert!(["AWS/SQS", "ApproximateAgeOfOldestMessage", "QueueName", "Maximum"].into_iter().all(has));
        let found = state.oldest_messages.iter().find(|(queue, _)| has(queue));
        let measured = found.map(|(_, measured)| measured.as_slice()).unwrap_or_default();
        let mut answer = Encoder::new(vec![]);
        answer.map(1).str("Datapoints").array(measured.len());
        for (time, seconds) in measured {
            let time = DateTime::from_secs(time.as_second());
            answer.map(2).str("Timestamp").timestamp(&time).str("Maximum").double(*seconds);
        }
        (StatusCode::OK, answer.into_writer().into())
    }

    async fn emulator(&self, address: SocketAddr, path: &str, headers: &HeaderMap, body: Bytes) -> (StatusCode, Bytes) {
        let mut request = Request::post(format!("http://{address}/{path}"));
        for name in ["x-amz-target", "content-type", "authorization", "x-amz-date"] {
            request = request.header(name, headers[name].clone());
        }
        let answer = self.emulators.request(request.body(Full::new(body)).unwrap()).await.unwrap();
        (answer.status(), answer.into_body().collect().await.unwrap().to_bytes())
    }

    fn secrets_manager(&self, operation: &str, request: &Value) -> (StatusCode, Bytes) {
        let secrets = &mut self.state.lock().unwrap().secrets;
        let arn = request["SecretId"].as_str().unwrap();
        let answer = match (operation, secrets.get(arn)) {
            ("GetSecretValue", Some(secret)) => secret.clone(),
            ("GetSecretValue", None) => {
                return (StatusCode::BAD_REQUEST, r#"{"__type":"DecryptionFailure"}"#.into());
            }
            ("PutSecretValue", _) => {
                secrets.insert(arn.to_owned(), json!({ "SecretString": request["SecretString"] }));
                json!({})
            }
            (other, _) => panic!("no stand-in for {other}"),
        };
        (StatusCode::OK, answer.to_string().into())
    }

    fn cloudformation(&self, request: &str) -> (StatusCode, Bytes) {
        if request.contains("Action=ListStackResources") {
            if self.is_denied("ListStackResources") {
                let error = "<ErrorResponse><Error><Code>AccessDenied</Code></Error></ErrorResponse>";
                return (StatusCode::FORBIDDEN, error.into());
            }
            return (StatusCode::OK, self.monitoring().list_stack_resources(request).into());
        }
        let arn = STACK_ARN.replace(':', "%3A").replace('/', "%2F");
        let names = ["StackName=test".to_owned(), format!("StackName={arn}")];
        if request.split('&').any(|parameter| names.iter().any(|name| name == parameter)) {
            return (StatusCode::OK, self.stack_description.lock().unwrap().clone().into());
        }
        let error = "<ErrorResponse><Error><Code>ValidationError</Code><Message>no</Message></Error></ErrorResponse>";
        (StatusCode::BAD_REQUEST, error.into())
    }
}

/// The ARN of the key of a provider's API.
fn api_key_arn(provider: &str) -> &'static str {
    match provider {
        "plain" => "local:PlainApiKeySecret",
        _ => "local:FlexpriceApiKeySecret",
    }
}

impl Call {
    /// The write units of the response, if it has them.
    pub(crate) fn write_units(&self) -> Option<f64> {
        self.response["ConsumedCapacity"]["CapacityUnits"].as_f64()
    }
}

/// A call that is neither answered nor cancelled yet.
struct OpenCall(Arc<Mutex<Behaviour>>);

impl Drop for OpenCall {
    fn drop(&mut self) {
        self.0.lock().unwrap().concurrent -= 1;
    }
}

async fn answer(State(aws): State<AwsStandIn>, uri: Uri, headers: HeaderMap, body: Bytes) -> Response<Body> {
    if headers.contains_key("smithy-protocol") {
        let (status, answer) = aws.cloudwatch(uri.path().rsplit('/').next().unwrap(), &body);
        let response = Response::builder().status(status).header("smithy-protocol", "rpc-v2-cbor");
        return response.header("content-type", "application/cbor").body(Body::from(answer)).unwrap();
    }
    if let Some(path) = uri.path().strip_prefix("/plain-api") {
        let (key, request) = (headers["authorization"].to_str().unwrap(), serde_json::from_slice(&body).unwrap());
        let (status, answer) = aws.monitoring().plain_api(key, path, request);
        return Response::builder().status(status).body(Body::from(answer)).unwrap();
    }
    let (status, answer) = match headers.get("x-amz-target") {
        Some(operation) => call(&aws, operation.to_str().unwrap(), &headers, body).await,
        None => aws.cloudformation(&String::from_utf8_lossy(&body)),
    };
    let response = Response::builder().status(status).header("content-type", "application/x-amz-json-1.0");
    response.body(Body::from(answer)).unwrap()
}

async fn call(aws: &AwsStandIn, operation: &str, headers: &HeaderMap, body: Bytes) -> (StatusCode, Bytes) {
    let request = parse_json(&body).unwrap();
    let (place, fails, hangs) = {
        let mut state = aws.state.lock().unwrap();
        let (region, request) = (region(headers), request.clone());
        state.calls.push(Call { operation: operation.to_owned(), region, request, response: Value::Null });
        state.concurrent += 1;
        state.concurrent_max = state.concurrent_max.max(state.concurrent);
        let text = String::from_utf8_lossy(&body);
        let is_listed = |(ending, part): &(&str, &str)| operation.ends_with(ending) && text.contains(part);
        (state.calls.len() - 1, state.failing.iter().any(is_listed), state.hanging.iter().any(is_listed))
    };
    let _open = OpenCall(aws.state.clone());
    if hangs {
        std::future::pending::<()>().await;
    }
    if fails {
        return (StatusCode::INTERNAL_SERVER_ERROR, Bytes::new());
    }
    let (service, name) = operation.split_once('.').unwrap();
    if aws.is_denied(name) {
        return (StatusCode::BAD_REQUEST, r#"{"__type":"AccessDeniedException"}"#.into());
    }
    let error = aws.state.lock().unwrap().error.filter(|(operation, _)| *operation == name);
    if let Some((_, code)) = error {
        return (StatusCode::BAD_REQUEST, json!({ "__type": code }).to_string().into());
    }
    let (status, answer) = match (service, name) {
        ("secretsmanager", operation) => aws.secrets_manager(operation, &request),
        ("AmazonSQS", _) => aws.emulator(aws.sqs, "", headers, body).await,
        // The emulator does not know backups.
        (_, "DescribeContinuousBackups") => (StatusCode::OK, Bytes::new()),
        ("AWSEvents", _) => aws.emulator(aws.admin, "event-bus", headers, body).await,
        _ => aws.emulator(aws.dynamodb, "", headers, body).await,
    };
    let described = aws.monitoring().describe_table(name, &answer);
    let answer = described.map_or(answer, |answer| answer.to_string().into());
    // The calls may have been taken in the meantime.
    if let Some(call) = aws.state.lock().unwrap().calls.get_mut(place) {
        call.response = serde_json::from_slice(&answer).unwrap_or_default();
    }
    (status, answer)
}

/// The region in the credential of a signature: `Credential=<key>/<date>/<region>/<service>/aws4_request`.
fn region(headers: &HeaderMap) -> String {
    let signature = headers.get("authorization").map_or("", |value| value.to_str().unwrap());
    signature.split('/').nth(2).unwrap_or_default().to_owned()
}

/// What CloudFormation says about a deployed stack named `test`, which is the local one. Outputs and parameters have
/// the names that template.yaml gives them.
fn describe(stack: &LocalStack) -> String {
    let output = |name: &str| match name {
        "ApiUrl" => stack.url(),
        "CustomersTableName" => "customers".to_owned(),
        "CleanupQueueUrl" => stack.queue_urls["cleanup"].clone(),
        "CleanupDeadLetterQueueUrl" => stack.queue_urls["cleanup-dead-letter"].clone(),
        "InboxQueueUrl" => stack.queue_urls["inbox"].clone(),
        "QuarantineQueueUrl" => stack.queue_urls["quarantine"].clone(),
        "RefusedChangesQueueUrl" => stack.queue_urls["refused-changes"].clone(),
        "DiscardedChangesQueueUrl" => stack.queue_urls["discarded-changes"].clone(),
        "ReceiptsQueueUrl" => stack.queue_urls["receipts"].clone(),
        "ReceiptsDeadLetterQueueUrl" => stack.queue_urls["receipts-dead-letter"].clone(),
        "ChangeFeed" => "keys".to_owned(),
        "ChangesBusName" => "test-changes".to_owned(),
        name => match name.strip_suffix("Arn") {
            Some(secret) => format!("local:{secret}"),
            None => "not read by the command".to_owned(),
        },
    };
    let members = |kind: &str, members: Vec<(&String, String)>| {
        let member =
            |(name, value)| format!("<member><{kind}Key>{name}</{kind}Key><{kind}Value>{value}</{kind}Value></member>");
        members.into_iter().map(member).collect::<Vec<_>>().concat()
    };
    let outputs = template()["Outputs"].as_object().unwrap().keys().map(|name| (name, output(name))).collect();
    let parameters = stack.template.parameters.iter().map(|(name, value)| (name, value.clone())).collect();
    let (outputs, parameters) = (members("Output", outputs), members("Parameter", parameters));
    format!(
        "<DescribeStacksResponse><DescribeStacksResult><Stacks><member><StackName>test</StackName><StackId>{STACK_ARN}</StackId>\
         <CreationTime>2026-11-20T12:00:00Z</CreationTime><StackStatus>CREATE_COMPLETE</StackStatus>\
         <Outputs>{outputs}</Outputs><Parameters>{parameters}</Parameters>\
         </member></Stacks></DescribeStacksResult></DescribeStacksResponse>"
    )
}
