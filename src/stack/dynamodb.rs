//! The embedded DynamoDB and its tables. The engine is behind an HTTP front end, because its JSON parser gives two names a
//! meaning of their own.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context, Result, anyhow, bail};
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, GlobalSecondaryIndex, KeySchemaElement, KeyType, Projection, ProjectionType,
    ScalarAttributeType, StreamSpecification, StreamViewType, TableDescription,
};
use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::header::CONTENT_LENGTH;
use axum::http::response::Parts;
use axum::http::{Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use clientele_model::{remove_one_dollar, with_one_more_dollar};
use dynoxide::Database;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Mutex;

use super::stream_records;
use crate::hosts::{AllowedHosts, ErrorFormat};
use crate::server;
use crate::template::{Index, KeyElement, Table};

/// DynamoDB's limit on a request.
const REQUEST_BYTES_MAX: usize = 16 * 1024 * 1024;

/// The headers that mean something to the engine. It must not see `Origin`, which it would answer with permission for
/// pages of every site.
const FORWARDED_HEADERS: [&str; 5] = ["authorization", "content-type", "date", "x-amz-date", "x-amz-target"];

/// Serves DynamoDB on its own thread with its own runtime, which is twice as fast as sharing one.
pub(super) fn serve(address: SocketAddr, data_dir: Option<&Path>, hosts: &AllowedHosts) -> Result<SocketAddr> {
    let name = match data_dir {
        Some(dir) => dir.join("dynamodb.sqlite").to_string_lossy().into_owned(),
        None => database_in_memory(),
    };
    let database =
        Database::new(&name).map_err(|error| anyhow!("the embedded DynamoDB cannot open its database: {error}"))?;
    stream_records::prepare(&name)?;
    let listener = server::bind(address, "DynamoDB", "--dynamodb-port")?;
    let (address, hosts) = (server::address(&listener)?, hosts.clone());
    server::spawn("local-dynamodb", async move {
        let connection = Mutex::new(connect(&database).await?);
        let router = Router::new().fallback(forward).with_state(Arc::new(Engine { database, connection }));
        let router = hosts.protect(router, ErrorFormat::Aws);
        Ok(axum::serve(tokio::net::TcpListener::from_std(listener)?, router).await?)
    })?;
    Ok(address)
}

/// A database of this process only. It has a name, so that it can be opened twice.
fn database_in_memory() -> String {
    static DATABASES: AtomicU64 = AtomicU64::new(0);
    format!("file:clientele-{}?mode=memory&cache=shared", DATABASES.fetch_add(1, Ordering::Relaxed))
}

/// The engine, and the only connection to it. One is enough, because the engine handles one request at a time.
struct Engine {
    database: Database,
    connection: Mutex<SendRequest<Body>>,
}

/// Connects to the engine. It can only be served on a TCP port, where any page could use it, since it checks neither
/// `Host` nor `Origin`. So its port closes as soon as the connection is in use, less than a millisecond after it opened.
async fn connect(database: &Database) -> Result<SendRequest<Body>> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let stream = TcpStream::connect(listener.local_addr()?).await?;
    stream.set_nodelay(true)?;
    let (mut sender, connection) = handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    tokio::select! {
        response = sender.send_request(Request::new(Body::empty())) => {
            to_bytes(Body::new(response?.into_body()), usize::MAX).await?;
            Ok(sender)
        }
        // The server is dropped with its listener, but goes on serving the connections that it has accepted.
        stopped = dynoxide::server::serve_with_shutdown(listener, database.clone(), std::future::pending()) => {
            bail!("the engine stopped: {stopped:?}")
        }
    }
}

impl Engine {
    async fn call(&self, request: Request) -> Result<(Parts, Bytes)> {
        let mut connection = self.connection.lock().await;
        if connection.ready().await.is_err() {
            *connection = connect(&self.database).await?;
        }
        let (parts, body) = connection.send_request(request).await?.into_parts();
        Ok((parts, to_bytes(Body::new(body), usize::MAX).await?))
    }
}

/// Passes a request on to the engine. In it, each text that begins with `$` has one more `$`, which is removed from the
/// answer: so no attribute's name is private to the engine's JSON parser.
async fn forward(State(engine): State<Arc<Engine>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    if ![Method::GET, Method::POST].contains(&parts.method) {
        return StatusCode::METHOD_NOT_ALLOWED.into_response();
    }
    let Ok(body) = to_bytes(body, REQUEST_BYTES_MAX).await else {
        return StatusCode::PAYLOAD_TOO_LARGE.into_response();
    };
    let mut request = Request::new(Body::from(marked(body)));
    *request.method_mut() = parts.method;
    *request.uri_mut() = parts.uri.path_and_query().map_or_else(Uri::default, |path| path.clone().into());
    for (name, value) in parts.headers.iter().filter(|(name, _)| FORWARDED_HEADERS.contains(&name.as_str())) {
        request.headers_mut().append(name, value.clone());
    }
    // A task of its own, because a client that gives up must not break the connection.
    match tokio::spawn(async move { engine.call(request).await }).await {
        Ok(Ok((mut parts, body))) => {
            // The checksum would be that of the engine's answer.
            parts.headers.remove("x-amz-crc32");
            parts.headers.remove(CONTENT_LENGTH);
            Response::from_parts(parts, Body::from(unmarked(body)))
        }
        Ok(Err(error)) => (StatusCode::BAD_GATEWAY, error.to_string()).into_response(),
        Err(error) => (StatusCode::BAD_GATEWAY, error.to_string()).into_response(),
    }
}

fn marked(request: Bytes) -> Bytes {
    match std::str::from_utf8(&request).ok().and_then(with_one_more_dollar) {
        Some(marked) => marked.into(),
        None => request,
    }
}

fn unmarked(answer: Bytes) -> Bytes {
    let has_marks = std::str::from_utf8(&answer).is_ok_and(|json| json.contains("\"$"));
    let Some(mut value) = has_marks.then(|| serde_json::from_slice(&answer).ok()).flatten() else { return answer };
    remove_one_dollar(&mut value);
    value.to_string().into()
}

/// Creates a table of the template unless it exists. A table of an earlier version gets its stream.
pub(super) async fn create(client: &Client, table: &Table) -> Result<()> {
    let stream = table.stream.as_deref().map(|view_type| {
        let view_type = StreamViewType::from(view_type);
        StreamSpecification::builder().stream_enabled(true).stream_view_type(view_type).build()
    });
    let stream = stream.transpose()?;
    if let Ok(described) = client.describe_table().table_name(&table.name).send().await {
        if let Some(stream) = stream.filter(|stream| !has_stream(described.table(), stream)) {
            let request = client.update_table().table_name(&table.name).stream_specification(stream);
            request.send().await.with_context(|| format!("cannot add the stream of the table `{}`", table.name))?;
        }
        return Ok(());
    }
    let mut request = client.create_table().table_name(&table.name).billing_mode(BillingMode::PayPerRequest);
    for attribute in &table.properties.attribute_definitions {
        let definition = AttributeDefinition::builder()
            .attribute_name(&attribute.attribute_name)
            .attribute_type(ScalarAttributeType::from(attribute.attribute_type.as_str()));
        request = request.attribute_definitions(definition.build()?);
    }
    for element in &table.properties.key_schema {
        request = request.key_schema(key(element)?);
    }
    for index in &table.properties.global_secondary_indexes {
        request = request.global_secondary_indexes(self::index(index)?);
    }
    let request = request.set_stream_specification(stream);
    request.send().await.with_context(|| format!("cannot create the table `{}`", table.name))?;
    Ok(())
}

fn has_stream(table: Option<&TableDescription>, stream: &StreamSpecification) -> bool {
    let current = table.and_then(TableDescription::stream_specification);
    current.is_some_and(|current| current.stream_enabled && current.stream_view_type == stream.stream_view_type)
}

fn key(element: &KeyElement) -> Result<KeySchemaElement> {
    let key_type = KeyType::from(element.key_type.as_str());
    Ok(KeySchemaElement::builder().attribute_name(&element.attribute_name).key_type(key_type).build()?)
}

fn index(index: &Index) -> Result<GlobalSecondaryIndex> {
    let kind = ProjectionType::from(index.projection.projection_type.as_str());
    let keys = index.key_schema.iter().map(key).collect::<Result<_>>()?;
    let projection = Projection::builder().projection_type(kind).build();
    let index = GlobalSecondaryIndex::builder().index_name(&index.index_name).set_key_schema(Some(keys));
    Ok(index.projection(projection).build()?)
}
