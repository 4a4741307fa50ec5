//! The embedded DynamoDB and its tables.

use std::net::SocketAddr;
use std::path::Path;

use anyhow::{Context, Result, anyhow};
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, GlobalSecondaryIndex, KeySchemaElement, KeyType, Projection, ProjectionType,
    ScalarAttributeType,
};

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
        dynoxide::server::serve_with_shutdown(listener, database, std::future::pending())
            .await
            .map_err(|error| anyhow!(error))
    })?;
    Ok(bound)
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
