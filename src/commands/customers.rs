//! `clientele customers`: shows the customers in the table.

use std::cmp::Reverse;

use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand};
use clientele_model::{CustomerKey, Id, Provider, email_key};
use jiff::Timestamp;
use serde_json::Value;

use super::target::{OpenTarget, Target};
use crate::customers_table::CustomersTable;
use crate::demonstration::shown_name;
use crate::exit_code::ExitCode;
use crate::terminal;
use crate::text_table::TextTable;

/// The customers in the table.
#[derive(Args, Debug)]
pub struct Customers {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    List(List),
    Get(Get),
}

/// Show one customer.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  clientele customers get plain c_01KA9CDZ5Y8M2QW7R4T6V3X1NB
  clientele customers get plain c_01KA9CDZ5Y8M2QW7R4T6V3X1NB --account w_01KA9C5W0T7N3E8QZV4R6M2XHB --json

With --json, each line is an item as docs/schema/customer-item.json describes it. The exit code is 4 if there is no such
customer.")]
struct Get {
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
    /// Read this table in the account of the deployed stack instead of the stack's table, such as a restored one
    #[arg(long, value_name = "NAME")]
    table: Option<String>,
    #[command(flatten)]
    target: Target,
}

/// List customers, those that changed last first.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  clientele customers list
  clientele customers list --email ada.lovelace@example.com
  clientele customers list --stack clientele --provider plain --json

With --json, each line is an item as docs/schema/customer-item.json describes it.")]
struct List {
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
    /// Read this table in the account of the deployed stack instead of the stack's table, such as a restored one
    #[arg(long, value_name = "NAME")]
    table: Option<String>,
    #[command(flatten)]
    target: Target,
}

/// Runs `clientele customers`.
///
/// # Errors
/// When there is no such customer, or the table cannot be read.
pub async fn customers(customers: Customers) -> Result<()> {
    match customers.action {
        Action::List(list) => self::list(list).await,
        Action::Get(get) => self::get(get).await,
    }
}

/// The stack's table, or the one of that name in the same account and region.
fn table(target: &OpenTarget, name: Option<&str>) -> Result<CustomersTable> {
    if name.is_some() && target.is_local() {
        bail!(ExitCode::Usage.error("--table is for tables on AWS: add --stack NAME"));
    }
    Ok(CustomersTable::new(&target.clients.dynamodb, name.unwrap_or(&target.resources.customers_table)))
}

async fn get(get: Get) -> Result<()> {
    let target = get.target.open().await?;
    let table = table(&target, get.table.as_deref())?;
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
    let items = found.with_context(|| target.cannot_read("the table"))?;
    if items.is_empty() {
        bail!(ExitCode::NotFound.error(format!(
            "{provider} has no customer `{}` in this table; `clientele customers list --provider {provider}` lists its \
             customers",
            get.id
        )));
    }
    for item in items {
        if get.json {
            terminal::json(&item);
        } else {
            terminal::line(one_as_table(&item));
        }
    }
    Ok(())
}

async fn list(list: List) -> Result<()> {
    let target = list.target.open().await?;
    let table = table(&target, list.table.as_deref())?;
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
    let mut items = found.with_context(|| target.cannot_read("the table"))?;
    items.retain(|item| provider.is_none_or(|provider| item["provider"] == provider));
    let has_more = items.len() > list.limit;
    items.truncate(list.limit);
    items.sort_by_cached_key(|item| (Reverse(changed_at(item).parse::<Timestamp>().ok()), text(item, "pk").to_owned()));
    if list.json {
        for item in &items {
            terminal::json(item);
        }
    } else {
        terminal::line(as_table(&items));
    }
    if has_more {
        terminal::note(format!("there are more than {} customers; --limit shows more", list.limit));
    }
    Ok(())
}

fn as_table(items: &[Value]) -> TextTable {
    let header = ["provider", "account", "customer", "status", "name", "e-mail", "external id", "updated"];
    let mut table = TextTable::new(header);
    for item in items {
        let name = shown_name(item);
        let [provider, account, customer, status, email, external_id] =
            ["provider", "account", "customer_id", "status", "email", "external_id"].map(|name| text(item, name));
        table.add_row([provider, account, customer, status, &name, email, external_id, changed_at(item)]);
    }
    table
}

/// One item as a table with a row for each value.
fn one_as_table(item: &Value) -> TextTable {
    let mut table = TextTable::new(["attribute", "value"]);
    add_values("", item, &mut table);
    table
}

fn add_values(path: &str, value: &Value, table: &mut TextTable) {
    let below = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
    match value {
        Value::Object(fields) => fields.iter().for_each(|(name, value)| add_values(&below(name), value, table)),
        Value::Array(elements) => {
            for (index, value) in elements.iter().enumerate() {
                add_values(&below(&index.to_string()), value, table);
            }
        }
        Value::String(text) => table.add_row([path, text]),
        other => table.add_row([path, &other.to_string()]),
    }
}

/// The time of the last change, or of the deletion.
fn changed_at(item: &Value) -> &str {
    text(item, if item["updated_at"].is_null() { "deleted_at" } else { "updated_at" })
}

fn text<'a>(item: &'a Value, name: &str) -> &'a str {
    item[name].as_str().unwrap_or_default()
}
