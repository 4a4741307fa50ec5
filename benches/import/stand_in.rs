//! A list API and a table that answer at once, on one port: for the benchmark, and for measuring the commands with any
//! number of customers. Neither keeps customers. Each is computed from its number when it is asked for.

use std::collections::HashMap;
use std::net::{Ipv4Addr, TcpListener};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result};
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use clientele_aws::Resources;
use clientele_model::{
    ChangeKind, ErasureSettings, Item, Listed, Provider, RecordContext, SORT_KEY, SampleEvent, Verb, parse_json,
};
use clientele_providers::{find, list_stand_in, listing};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value, json};

/// The name of the table.
pub(crate) const TABLE: &str = "customers";
/// The only list: it can be read by value, and has pages of 1,000 customers.
const PROVIDER: &str = "flexprice";
/// Where the list is.
pub(crate) const LIST_PATH: &str = "/list-apis/flexprice";
/// The most customers of a page, as in the provider's documentation.
const PAGE_MAX: u64 = 1_000;
/// The keys of a page of a scan.
const SCANNED_MAX: u32 = 5_000;
/// When the first customer changed: 2025-01-01T00:00:00Z. The others follow, one per second.
const FIRST_CHANGE: Timestamp = Timestamp::constant(1_735_689_600, 0);

/// How many customers there are, and who has them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StandIn {
    pub(crate) customers: u32,
    /// Whether the table contains them.
    pub(crate) is_full: bool,
    /// Whether an answer of the list is kept, so that the same request is answered without any work.
    pub(crate) keeps_answers: bool,
}

#[derive(Clone)]
struct Server {
    stand_in: StandIn,
    url: String,
    answers: Arc<Mutex<HashMap<Bytes, Bytes>>>,
}

/// The provider of the list.
pub(crate) fn provider() -> Result<&'static Provider> {
    find(PROVIDER).context("no provider of that name")
}

/// The resources of a stack at that URL. Nothing is sent to its queues.
pub(crate) fn resources(url: &str) -> Resources {
    let queue = |name: &str| format!("{url}/{name}");
    Resources {
        customers_table: TABLE.to_owned(),
        cleanup_queue_url: queue("cleanup"),
        inbox_queue_url: queue("inbox"),
        quarantine_queue_url: queue("quarantine"),
        erasure: ErasureSettings::default(),
    }
}

impl StandIn {
    /// Starts on a free port, and on a thread of its own. Returns the URL.
    pub(crate) fn start(self) -> Result<String> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        listener.set_nonblocking(true)?;
        let url = format!("http://{}", listener.local_addr()?);
        let server = Server { stand_in: self, url: url.clone(), answers: Arc::default() };
        let router = Router::new()
            .route("/stack", get(stack))
            .route(&format!("{LIST_PATH}/{{*path}}"), post(list))
            .fallback(dynamodb)
            .with_state(server);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        std::thread::spawn(move || {
            runtime.block_on(async { axum::serve(tokio::net::TcpListener::from_std(listener)?, router).await })
        });
        Ok(url)
    }
}

/// Describes a local stack, so that the commands find list and table.
async fn stack(State(server): State<Server>) -> Response {
    let port = server.url.rsplit(':').next().and_then(|port| port.parse::<u16>().ok());
    let resources = resources(&server.url);
    let queues = json!({
        "cleanup": resources.cleanup_queue_url,
        "cleanup-dead-letter": format!("{}/cleanup-dead-letter", server.url),
        "inbox": resources.inbox_queue_url,
        "quarantine": resources.quarantine_queue_url,
    });
    let list_apis = json!({ PROVIDER: { "url": format!("{}{LIST_PATH}", server.url), "key": "key" } });
    let ports = json!({ "webhooks": port, "dynamodb": port, "sqs": port, "admin": port });
    respond(&json!({ "kind": "local", "ports": ports, "table": TABLE, "queues": queues, "list_apis": list_apis }))
}

/// A page of the list: the customers that changed after the time in the request.
async fn list(State(server): State<Server>, body: Bytes) -> Response {
    let kept = |answers: &HashMap<Bytes, Bytes>| answers.get(&body).cloned();
    if let Some(answer) = kept(&server.answers.lock().unwrap_or_else(PoisonError::into_inner)) {
        return json_response(answer);
    }
    let request = parse_json(&body).unwrap_or_default();
    let answer = Bytes::from(page(server.stand_in.customers, &request).to_string());
    if server.stand_in.keeps_answers {
        server.answers.lock().unwrap_or_else(PoisonError::into_inner).insert(body, answer.clone());
    }
    json_response(answer)
}

fn page(customers: u32, request: &Value) -> Value {
    let limit = request["limit"].as_u64().unwrap_or(PAGE_MAX).min(PAGE_MAX);
    let offset = request["offset"].as_u64().unwrap_or_default();
    let after = request["filters"].as_array().into_iter().flatten().find(|filter| filter["operator"] == "after");
    let after = after.and_then(|filter| filter["value"]["date"].as_str()?.parse::<Timestamp>().ok());
    let place = u64::from(after.map_or(0, |after| first_after(after, customers))) + offset;
    let end = (place + limit).min(u64::from(customers));
    let items: Vec<_> = (place..end).filter_map(|number| record(number.try_into().ok()?)).collect();
    let total = u64::from(customers).saturating_sub(place - offset);
    json!({ "items": items, "pagination": { "total": total, "limit": limit, "offset": offset + limit } })
}

/// The number of the first customer that changed later than that.
fn first_after(time: Timestamp, customers: u32) -> u32 {
    let seconds = time.duration_since(FIRST_CHANGE);
    if seconds.is_negative() {
        return 0;
    }
    u32::try_from(seconds.as_secs() + 1).unwrap_or(customers).min(customers)
}

/// The customer with that number, as the API lists it.
fn record(number: u32) -> Option<Value> {
    let event = SampleEvent {
        customer_id: format!("cust-{number:07}"),
        name: format!("Customer {number}"),
        change: ChangeKind::Snapshot(Verb::Created),
        changed_at: FIRST_CHANGE + SignedDuration::from_secs(i64::from(number)),
        number,
    };
    Some((list_stand_in(provider().ok()?)?.record)(&event))
}

/// The item of the customer with that number, as an import writes it.
pub(crate) fn item(number: u32) -> Option<Item> {
    let context = RecordContext { account: None, received_at: Timestamp::now() };
    match (listing(provider().ok()?).read_file_entry)(record(number)?, &context).pop()? {
        Listed::Customer(event) => Some(event.item(context.received_at)),
        _ => None,
    }
}

/// A table that accepts every write. If it is full, it contains every customer of the list.
async fn dynamodb(State(server): State<Server>, headers: HeaderMap, body: Bytes) -> Response {
    let operation = headers.get("x-amz-target").and_then(|target| target.to_str().ok()).unwrap_or_default();
    let customers = if server.stand_in.is_full { server.stand_in.customers } else { 0 };
    match operation.rsplit('.').next() {
        Some("PutItem") => json_response(Bytes::from_static(b"{}")),
        Some("GetItem") => {
            let request = parse_json(&body).unwrap_or_default();
            let number = request.pointer("/Key/pk/S").and_then(number_of).filter(|number| *number < customers);
            let item = number.and_then(item).and_then(|item| serde_json::to_value(item).ok());
            respond(&item.map_or(json!({}), |item| json!({ "Item": attributes(&item)["M"] })))
        }
        Some("Scan") => scan(customers, &parse_json(&body).unwrap_or_default()),
        _ => (StatusCode::BAD_REQUEST, json!({ "__type": "ValidationException" }).to_string()).into_response(),
    }
}

/// Keys and ranks of a page. Every rank is that of the first customer, since nothing compares them.
fn scan(customers: u32, request: &Value) -> Response {
    let first = request.pointer("/ExclusiveStartKey/pk/S").and_then(number_of).map_or(0, |last| last + 1);
    let end = (first + SCANNED_MAX).min(customers);
    let rank = item(0).map_or(String::new(), |item| item.rank().to_owned());
    let key = |number: u32| json!({ "S": format!("{PROVIDER}#{}#cust-{number:07}", SampleEvent::ACCOUNT) });
    let items: Vec<_> = (first..end).map(|number| json!({ "pk": key(number), "rank": { "S": rank } })).collect();
    let mut page = json!({ "Count": items.len(), "ScannedCount": items.len(), "Items": items });
    if end < customers {
        page["LastEvaluatedKey"] = json!({ "pk": key(end - 1), "sk": { "S": SORT_KEY } });
    }
    respond(&page)
}

/// The number in the key of a customer.
fn number_of(pk: &Value) -> Option<u32> {
    pk.as_str()?.rsplit('-').next()?.parse().ok()
}

/// The value as DynamoDB writes it.
fn attributes(value: &Value) -> Value {
    match value {
        Value::Null => json!({ "NULL": true }),
        Value::Bool(value) => json!({ "BOOL": value }),
        Value::Number(number) => json!({ "N": number.to_string() }),
        Value::String(text) => json!({ "S": text }),
        Value::Array(elements) => json!({ "L": elements.iter().map(attributes).collect::<Vec<_>>() }),
        Value::Object(fields) => {
            let fields = fields.iter().map(|(name, value)| (name.clone(), attributes(value)));
            json!({ "M": fields.collect::<Map<_, _>>() })
        }
    }
}

fn respond(body: &Value) -> Response {
    json_response(body.to_string().into())
}

fn json_response(body: Bytes) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], body).into_response()
}
