//! The embedded DynamoDB and its tables. The engine is behind an HTTP front end, because its JSON parser gives two names a
//! meaning of their own.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;

use anyhow::{Context, Result, anyhow};
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, GlobalSecondaryIndex, KeySchemaElement, KeyType, Projection, ProjectionType,
    ScalarAttributeType,
};
use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::header::CONTENT_LENGTH;
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use clientele_model::{remove_one_dollar, with_one_more_dollar};
use hyper_util::client::legacy::Client as HttpClient;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;

use super::server;
use crate::template::{Index, KeyElement, Table};

/// Serves DynamoDB on its own thread with its own runtime, which is twice as fast as sharing one.
pub(super) fn serve(address: SocketAddr, data_dir: Option<&Path>) -> Result<SocketAddr> {
    let database = match data_dir {
        Some(dir) => dynoxide::Database::new(&dir.join("dynamodb.sqlite").to_string_lossy()),
        None => dynoxide::Database::memory(),
    };
    let database = database.map_err(|error| anyhow!("the embedded DynamoDB cannot open its database: {error}"))?;
    let listener = server::bind(address, "DynamoDB", "--dynamodb-port")?;
    let bound = listener.local_addr()?;
    server::spawn("local-dynamodb", async move {
        let listener = tokio::net::TcpListener::from_std(listener)?;
        let engine_listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let engine = Engine {
            address: engine_listener.local_addr()?,
            client: HttpClient::builder(TokioExecutor::new()).build_http(),
        };
        let router = Router::new().fallback(forward).with_state(engine);
        tokio::spawn(async move { axum::serve(listener, router).await });
        dynoxide::server::serve_with_shutdown(engine_listener, database, std::future::pending())
            .await
            .map_err(|error| anyhow!(error))
    })?;
    Ok(bound)
}

/// Where the engine listens.
#[derive(Clone)]
struct Engine {
    address: SocketAddr,
    client: HttpClient<HttpConnector, Body>,
}

/// Passes a request on to the engine. In it, each text that begins with `$` has one more `$`, which is removed from the
/// answer: so no attribute's name is private to the engine's JSON parser.
async fn forward(State(engine): State<Engine>, request: Request) -> Response {
    let bad_gateway = |error: axum::Error| (StatusCode::BAD_GATEWAY, error.to_string()).into_response();
    let (mut parts, body) = request.into_parts();
    let body = match to_bytes(body, usize::MAX).await {
        Ok(body) => marked(body),
        Err(error) => return bad_gateway(error),
    };
    let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
    parts.uri = Uri::try_from(format!("http://{}{path}", engine.address)).unwrap_or_default();
    parts.headers.remove(CONTENT_LENGTH);
    let response = match engine.client.request(Request::from_parts(parts, Body::from(body))).await {
        Ok(response) => response,
        Err(error) => return bad_gateway(axum::Error::new(error)),
    };
    let (mut parts, body) = response.into_parts();
    match to_bytes(Body::new(body), usize::MAX).await {
        Ok(body) => {
            // The checksum would be that of the engine's answer.
            parts.headers.remove("x-amz-crc32");
            parts.headers.remove(CONTENT_LENGTH);
            Response::from_parts(parts, Body::from(unmarked(body)))
        }
        Err(error) => bad_gateway(error),
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

/// Creates a table of the template unless it exists.
pub(super) async fn create(client: &Client, table: &Table) -> Result<()> {
    if client.describe_table().table_name(&table.name).send().await.is_ok() {
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
    request.send().await.with_context(|| format!("cannot create the table `{}`", table.name))?;
    Ok(())
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
