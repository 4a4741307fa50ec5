//! `clientele get` and `clientele list`: the customers in the table.

use std::cmp::Reverse;
use std::collections::HashMap;

use anyhow::{Context, Result, bail};
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::AttributeValue;
use clap::Args;
use clientele_aws::from_attributes;
use clientele_model::{CustomerKey, Provider, SORT_KEY};
use comfy_table::{Table, presets};
use jiff::Timestamp;
use serde_json::{Map, Value};

use super::services::TableService;
use crate::demonstration::shown_name;

type Attributes = HashMap<String, AttributeValue>;

/// Show one customer.
#[derive(Args, Debug)]
pub struct Get {
    /// metrifox, smarterpay, plain or flexprice
    #[arg(value_parser = clientele_providers::parse)]
    provider: &'static Provider,
    /// The provider's id of the customer
    id: String,
    /// The provider's account (tenant, client, workspace, environment). Without it the table is searched, which reads
    /// all of it
    #[arg(long)]
    account: Option<String>,
    /// Print the item as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    service: TableService,
}

/// List customers; of those that are shown, the newest change comes first.
#[derive(Args, Debug)]
pub struct List {
    /// Only those of this provider
    #[arg(long, value_parser = clientele_providers::parse)]
    provider: Option<&'static Provider>,
    /// Only those with this e-mail (any letter case), by the index
    #[arg(long, conflicts_with = "external_id")]
    email: Option<String>,
    /// Only those with this key of yours, by the index
    #[arg(long, value_name = "KEY")]
    external_id: Option<String>,
    /// Show at most so many
    #[arg(long, default_value_t = 100)]
    limit: usize,
    /// Print the items as JSON, one a line
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    service: TableService,
}

/// Runs `clientele get`.
///
/// # Errors
/// When there is no such customer, or the table cannot be read.
pub async fn get(get: Get) -> Result<()> {
    let (clients, table) = get.service.open().await?;
    let provider = get.provider.name;
    let items = match get.account {
        Some(account) => {
            let key = CustomerKey::new(provider, Some(account), Some(get.id.clone()))?.to_string();
            read(&clients.dynamodb, &table, &key).await.with_context(|| get.service.hint())?.into_iter().collect()
        }
        None => search(&clients.dynamodb, &table, provider, Some(&get.id), usize::MAX)
            .await
            .with_context(|| get.service.hint())?,
    };
    if items.is_empty() {
        bail!(
            "{provider} has no customer `{}` here; `clientele list --provider {provider}` shows those it has",
            get.id
        );
    }
    for item in items {
        if get.json {
            anstream::println!("{}", serde_json::to_string(&item)?);
        } else {
            anstream::println!("{}", one_as_table(item));
        }
    }
    Ok(())
}

/// Runs `clientele list`.
///
/// # Errors
/// When the table cannot be read.
pub async fn list(list: List) -> Result<()> {
    let (clients, table) = list.service.open().await?;
    let client = &clients.dynamodb;
    let provider = list.provider.map_or("", |provider| provider.name);
    let found = match (&list.email, &list.external_id) {
        (Some(email), _) => query(client, &table, "by-email", "email", &email.to_lowercase()).await,
        (_, Some(id)) => query(client, &table, "by-external-id", "external_id", id).await,
        _ => search(client, &table, provider, None, list.limit.saturating_add(1)).await,
    };
    let mut items = found.with_context(|| list.service.hint())?;
    items.retain(|item| provider.is_empty() || item["provider"] == provider);
    let more = items.len() > list.limit;
    items.truncate(list.limit);
    items.sort_by_cached_key(|item| (Reverse(changed(item).parse::<Timestamp>().ok()), text(item, "pk").to_owned()));
    if list.json {
        for item in &items {
            anstream::println!("{}", serde_json::to_string(item)?);
        }
    } else {
        anstream::println!("{}", as_table(&items));
    }
    if more {
        anstream::eprintln!("there are more than {}; see them with --limit", list.limit);
    }
    Ok(())
}

/// Items as a table to look at.
fn as_table(items: &[Map<String, Value>]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::UTF8_BORDERS_ONLY);
    table.set_header(["provider", "account", "customer", "status", "name", "e-mail", "external id", "updated"]);
    for item in items {
        let name = shown_name(&Value::Object(item.clone()));
        let [provider, account, customer, status, email, external_id] =
            ["provider", "account", "customer_id", "status", "email", "external_id"].map(|name| text(item, name));
        table.add_row([provider, account, customer, status, &name, email, external_id, changed(item)]);
    }
    table
}

/// One item as a table: a line for each value, with the path to it.
fn one_as_table(item: Map<String, Value>) -> Table {
    let mut table = Table::new();
    table.load_style(presets::UTF8_BORDERS_ONLY);
    table.set_header(["attribute", "value"]);
    add_values("", &Value::Object(item), &mut table);
    table
}

fn add_values(path: &str, value: &Value, table: &mut Table) {
    let below = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
    match value {
        Value::Object(fields) => fields.iter().for_each(|(name, value)| add_values(&below(name), value, table)),
        Value::Array(elements) => {
            for (place, value) in elements.iter().enumerate() {
                add_values(&below(&place.to_string()), value, table);
            }
        }
        Value::String(text) => drop(table.add_row([path, text])),
        other => drop(table.add_row([path, &other.to_string()])),
    }
}

/// When the customer was changed last, or deleted.
fn changed(item: &Map<String, Value>) -> &str {
    text(item, if item.contains_key("updated_at") { "updated_at" } else { "deleted_at" })
}

fn text<'a>(item: &'a Map<String, Value>, name: &str) -> &'a str {
    item.get(name).and_then(Value::as_str).unwrap_or_default()
}

async fn read(client: &Client, table: &str, pk: &str) -> Result<Option<Map<String, Value>>> {
    let request = client.get_item().table_name(table).key("pk", AttributeValue::S(pk.to_owned()));
    let output = request.key("sk", AttributeValue::S(SORT_KEY.to_owned())).send().await?;
    Ok(output.item.map(from_attributes))
}

/// The items of an index's key: the index holds keys only, the rest is read from the table.
async fn query(client: &Client, table: &str, index: &str, name: &str, value: &str) -> Result<Vec<Map<String, Value>>> {
    let request = client.query().table_name(table).index_name(index).key_condition_expression("#name = :value");
    let request = request.expression_attribute_names("#name", name);
    let request = request.expression_attribute_values(":value", AttributeValue::S(value.to_owned()));
    let keys: Vec<Attributes> = request.into_paginator().items().send().collect::<Result<_, _>>().await?;
    let mut items = vec![];
    for key in keys {
        let pk = key.get("pk").and_then(|pk| pk.as_s().ok());
        items.extend(read(client, table, pk.map_or("", String::as_str)).await?);
    }
    Ok(items)
}

/// Reads through the table until `limit` items are found.
async fn search(
    client: &Client,
    table: &str,
    provider: &str,
    id: Option<&str>,
    limit: usize,
) -> Result<Vec<Map<String, Value>>> {
    let mut request = client.scan().table_name(table);
    let conditions = [("provider", Some(provider).filter(|name| !name.is_empty())), ("customer_id", id)];
    let mut filter = vec![];
    for (name, value) in conditions.into_iter().filter_map(|(name, value)| Some((name, value?))) {
        filter.push(format!("#{name} = :{name}"));
        request = request.expression_attribute_names(format!("#{name}"), name);
        request = request.expression_attribute_values(format!(":{name}"), AttributeValue::S(value.to_owned()));
    }
    if !filter.is_empty() {
        request = request.filter_expression(filter.join(" AND "));
    }
    let mut pages = request.into_paginator().items().send();
    let mut items = vec![];
    while items.len() < limit {
        let Some(item) = pages.next().await else { break };
        items.push(from_attributes(item?));
    }
    Ok(items)
}
