//! `clientele get` and `clientele list`: show the customers in the table.

use std::cmp::Reverse;

use anyhow::{Context, Result, bail};
use clap::Args;
use clientele_model::{CustomerKey, Id, Provider, email_key};
use comfy_table::Table;
use jiff::Timestamp;
use serde_json::Value;

use super::target::Target;
use crate::demonstration::shown_name;
use crate::text_table;

/// Show one customer.
#[derive(Args, Debug)]
pub struct Get {
    #[arg(value_parser = clientele_providers::parse, help = format!("The provider: {}", clientele_providers::names().join(", ")))]
    provider: &'static Provider,
    /// The provider's id of the customer
    id: String,
    /// The provider's account (tenant, client, workspace or environment). Without it, the whole table is scanned
    #[arg(long)]
    account: Option<String>,
    /// Print the item as JSON
    #[arg(long)]
    json: bool,
    /// Read this table on AWS instead of the stack's table
    #[arg(long, value_name = "NAME")]
    table: Option<String>,
    #[command(flatten)]
    target: Target,
}

/// List customers, those that changed last first.
#[derive(Args, Debug)]
pub struct List {
    /// Only customers of this provider
    #[arg(long, value_parser = clientele_providers::parse)]
    provider: Option<&'static Provider>,
    /// Only customers with this e-mail address, in any letter case and Unicode form; reads an index instead of the whole table
    #[arg(long, conflicts_with = "external_id")]
    email: Option<String>,
    /// Only customers with this external id; reads an index instead of the whole table
    #[arg(long, value_name = "ID")]
    external_id: Option<String>,
    /// Show at most this many customers. The limit applies before sorting
    #[arg(long, default_value_t = 100, value_name = "NUMBER")]
    limit: usize,
    /// Print the items as JSON, one per line
    #[arg(long)]
    json: bool,
    /// Read this table on AWS instead of the stack's table
    #[arg(long, value_name = "NAME")]
    table: Option<String>,
    #[command(flatten)]
    target: Target,
}

/// Runs `clientele get`.
///
/// # Errors
/// When there is no such customer, or the table cannot be read.
pub async fn get(get: Get) -> Result<()> {
    let table = get.target.customers_table(get.table.as_deref()).await?;
    let provider = get.provider.name;
    let found = match get.account {
        Some(account) => {
            let [account, id] = [account, get.id.clone()].map(Id::new);
            let (account, id) = account.ok().zip(id.ok()).context("an account or an id is blank")?;
            let key = CustomerKey::new(provider, account, id)?.to_string();
            table.item(&key).await.map(|item| item.into_iter().collect())
        }
        None => table.scan(&[("provider", provider), ("customer_id", &get.id)], usize::MAX).await,
    };
    let items = found.with_context(|| get.target.advice(get.table.as_deref()))?;
    if items.is_empty() {
        let hint = format!("`clientele list --provider {provider}` lists its customers");
        bail!("{provider} has no customer `{}` in this table; {hint}", get.id);
    }
    for item in items {
        if get.json {
            anstream::println!("{item}");
        } else {
            anstream::println!("{}", one_as_table(&item));
        }
    }
    Ok(())
}

/// Runs `clientele list`.
///
/// # Errors
/// When the table cannot be read.
pub async fn list(list: List) -> Result<()> {
    let table = list.target.customers_table(list.table.as_deref()).await?;
    let provider = list.provider.map(|provider| provider.name);
    let found = match (&list.email, &list.external_id) {
        (Some(email), _) => {
            let key = email_key(email).context("the e-mail address is blank")?;
            table.query("by-email", "email", &key).await
        }
        (_, Some(id)) => table.query("by-external-id", "external_id", id).await,
        _ => {
            let wanted = provider.map(|provider| ("provider", provider));
            table.scan(wanted.as_slice(), list.limit.saturating_add(1)).await
        }
    };
    let mut items = found.with_context(|| list.target.advice(list.table.as_deref()))?;
    items.retain(|item| provider.is_none_or(|provider| item["provider"] == provider));
    let has_more = items.len() > list.limit;
    items.truncate(list.limit);
    items.sort_by_cached_key(|item| (Reverse(changed_at(item).parse::<Timestamp>().ok()), text(item, "pk").to_owned()));
    if list.json {
        for item in &items {
            anstream::println!("{item}");
        }
    } else {
        anstream::println!("{}", as_table(&items));
    }
    if has_more {
        anstream::eprintln!("there are more than {} customers; --limit shows more", list.limit);
    }
    Ok(())
}

fn as_table(items: &[Value]) -> Table {
    let header = ["provider", "account", "customer", "status", "name", "e-mail", "external id", "updated"];
    let mut table = text_table::with_header(header);
    for item in items {
        let name = shown_name(item);
        let [provider, account, customer, status, email, external_id] =
            ["provider", "account", "customer_id", "status", "email", "external_id"].map(|name| text(item, name));
        table.add_row([provider, account, customer, status, &name, email, external_id, changed_at(item)]);
    }
    table
}

/// One item as a table with a row for each value.
fn one_as_table(item: &Value) -> Table {
    let mut table = text_table::with_header(["attribute", "value"]);
    add_values("", item, &mut table);
    table
}

fn add_values(path: &str, value: &Value, table: &mut Table) {
    let below = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
    match value {
        Value::Object(fields) => fields.iter().for_each(|(name, value)| add_values(&below(name), value, table)),
        Value::Array(elements) => {
            for (index, value) in elements.iter().enumerate() {
                add_values(&below(&index.to_string()), value, table);
            }
        }
        Value::String(text) => drop(table.add_row([path, text])),
        other => drop(table.add_row([path, &other.to_string()])),
    }
}

/// The time of the last change, or of the deletion.
fn changed_at(item: &Value) -> &str {
    text(item, if item["updated_at"].is_null() { "deleted_at" } else { "updated_at" })
}

fn text<'a>(item: &'a Value, name: &str) -> &'a str {
    item[name].as_str().unwrap_or_default()
}
