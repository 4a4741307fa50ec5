//! `clientele customers`: shows the customers in the table.

use std::num::NonZeroUsize;

use anyhow::{Context, Result, bail};
use clap::builder::NonEmptyStringValueParser;
use clap::{Args, Subcommand};
use clientele_model::{Provider, email_key};
use jiff::Timestamp;
use serde_json::Value;

use super::positive;
use crate::customer_card::{Section, sections};
use crate::customer_lookup::CustomerReference;
use crate::customer_search::{CustomerFilter, changed_at};
use crate::customers_table::CustomersTable;
use crate::demonstration::shown_name;
use crate::exit_code::{CommandError, ExitCode};
use crate::explanation::why;
use crate::target::{OpenTarget, Target};
use crate::terminal::{self, visible};
use crate::text_table::TextTable;

/// So many other items of a person are listed.
const OTHERS_LISTED_MAX: usize = 20;

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

/// List customers, those that changed last first.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  clientele customers list
  clientele customers list --email ada.lovelace@example.com
  clientele customers list --stack clientele --provider plain --json

With --json, each line is an item as docs/schema/customer-item.json describes it.")]
struct List {
    /// Only customers with this e-mail address, in any letter case and Unicode form; reads an index instead of the whole table
    #[arg(long)]
    email: Option<String>,
    /// Only customers with this external id; reads an index instead of the whole table
    #[arg(long, value_name = "ID", value_parser = NonEmptyStringValueParser::new())]
    external_id: Option<String>,
    /// Only customers whose name contains this text, in any letter case
    #[arg(long, value_name = "TEXT")]
    name: Option<String>,
    /// Only customers of this provider
    #[arg(long, value_parser = clientele_providers::parse)]
    provider: Option<&'static Provider>,
    /// Only customers with this status
    #[arg(long, value_parser = ["active", "inactive", "deleted"])]
    status: Option<String>,
    /// Show at most this many customers, those that changed last
    #[arg(long, default_value = "100", value_name = "NUMBER", value_parser = positive)]
    limit: NonZeroUsize,
    /// Print the items as JSON, one per line
    #[arg(long)]
    json: bool,
    /// Read this table in the account of the deployed stack instead of the stack's table, such as a restored one
    #[arg(long, value_name = "NAME")]
    table: Option<String>,
    #[command(flatten)]
    target: Target,
}

/// Show one customer: its record, why it is in this state, and which other items belong to the same person.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  clientele customers get plain#w_01KA9C5W0T7N3E8QZV4R6M2XHB#c_01KA9CDZ5Y8M2QW7R4T6V3X1NB
  clientele customers get plain c_01KA9CDZ5Y8M2QW7R4T6V3X1NB --account w_01KA9C5W0T7N3E8QZV4R6M2XHB
  clientele customers get plain c_01KA9CDZ5Y8M2QW7R4T6V3X1NB --json

A pk, or a provider and an id with --account, reads one item. A provider and an id without --account, or the customer \
of a log line, reads the whole table.

With --json, each line is an item as docs/schema/customer-item.json describes it. The exit code is 4 if there is no \
such customer, and 5 if the table cannot be read.")]
struct Get {
    /// The customer's pk, as in tables and messages; or the 16 hexadecimal digits that log lines have as `customer`; or
    /// the provider, followed by the provider's id
    #[arg(value_name = "CUSTOMER")]
    customer: String,
    /// The provider's id of the customer, after the provider
    id: Option<String>,
    /// The provider's account (tenant, client, workspace or environment) that the id belongs to
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

async fn list(list: List) -> Result<()> {
    let key_of = |email: &String| email_key(email).context(ExitCode::Usage.error("the e-mail address is blank"));
    let filter = CustomerFilter {
        provider: list.provider.map(|provider| provider.name.to_owned()),
        status: list.status,
        email_key: list.email.as_ref().map(key_of).transpose()?,
        external_id: list.external_id,
        name: list.name,
    };
    let target = list.target.open().await?;
    let table = table(&target, list.table.as_deref())?;
    let progress = terminal::progress("customers read:", None);
    let found = table.search(&filter, list.limit.get(), |read| progress.advance(read)).await;
    drop(progress);
    let found = found.with_context(|| target.cannot_read("the table"))?;
    if list.json {
        found.items.iter().for_each(terminal::json);
    } else if found.items.is_empty() {
        terminal::note("There are no such customers.");
    } else {
        terminal::line(as_table(&found.items));
    }
    if found.items.len() < found.total {
        let (shown, total) = (found.items.len(), found.total);
        terminal::note(format!("{shown} of {total} customers, those that changed last; --limit NUMBER shows more"));
    }
    Ok(())
}

fn as_table(items: &[Value]) -> TextTable {
    let mut table = TextTable::new(["pk", "status", "name", "e-mail", "external id", "changed"]);
    for item in items {
        let name = shown_name(item);
        let [pk, status, email, external_id] = ["pk", "status", "email", "external_id"].map(|name| text(item, name));
        table.add_row([pk, status, &name, email, external_id, changed_at(item)]);
    }
    table
}

async fn get(get: Get) -> Result<()> {
    let reference = CustomerReference::parse(&get.customer, get.id.as_deref(), get.account.as_deref());
    let reference = reference.map_err(|error| ExitCode::Usage.error(error.to_string()))?;
    let target = get.target.open().await?;
    let table = table(&target, get.table.as_deref())?;
    let progress = terminal::progress("customers read:", None);
    let mut read = 0;
    let found = table.find(&reference, |number| {
        read += number;
        progress.advance(number);
    });
    let found = found.await;
    drop(progress);
    let items = found.with_context(|| target.cannot_read("the table"))?;
    if items.is_empty() {
        bail!(not_found(&reference, read));
    }
    for (index, item) in items.iter().enumerate() {
        if get.json {
            terminal::json(item);
            continue;
        }
        if index > 0 {
            terminal::line("");
        }
        let others = table.items_of_same_person(item).await.with_context(|| target.cannot_read("the table"))?;
        print_card(item, &others, &target.erasure_systems);
    }
    let cheaper = match reference {
        CustomerReference::Key(_) => return Ok(()),
        CustomerReference::ProviderId(..) => format!("--account {}", text(&items[0], "account")),
        CustomerReference::LogHash(_) => format!("the pk {}", text(&items[0], "pk")),
    };
    terminal::note(format!("{read} customers were read to find this one; with {} only one is read", visible(&cheaper)));
    Ok(())
}

fn not_found(reference: &CustomerReference, read: usize) -> CommandError {
    ExitCode::NotFound.error(match reference {
        CustomerReference::Key(pk) => {
            format!("there is no customer `{pk}`; `clientele customers list` lists the customers")
        }
        CustomerReference::ProviderId(provider, id) => {
            let provider = provider.name;
            format!(
                "{provider} has no customer `{id}` among the {read} customers of all providers; \
                 `clientele customers list --provider {provider}` lists its customers"
            )
        }
        CustomerReference::LogHash(hash) => {
            format!(
                "none of the {read} customers has the hash {hash}; the event of the log line may not have been applied"
            )
        }
    })
}

fn print_card(item: &Value, others: &[Value], systems: &[String]) {
    let print = |line: String| terminal::line(visible(&line));
    for section in sections(item, systems) {
        section.lines().into_iter().for_each(print);
    }
    terminal::line("Why it is in this state");
    for sentence in why(item, Timestamp::now()) {
        print(format!("  {sentence}"));
    }
    if others.is_empty() {
        return;
    }
    let same = |other: &Value| {
        let names = [("external_id", "external id"), ("email", "e-mail")];
        let same =
            names.iter().filter(|(attribute, _)| item[*attribute].is_string() && item[*attribute] == other[*attribute]);
        same.map(|(_, name)| *name).collect::<Vec<_>>().join(" and ")
    };
    let row = |other: &Value| (text(other, "pk").to_owned(), format!("same {}", same(other)));
    let mut rows: Vec<_> = others.iter().take(OTHERS_LISTED_MAX).map(row).collect();
    if others.len() > OTHERS_LISTED_MAX {
        rows.push((format!("and at least {} more", others.len() - OTHERS_LISTED_MAX), String::new()));
    }
    Section::new("Other items of the same person", rows).lines().into_iter().for_each(print);
}

fn text<'a>(item: &'a Value, name: &str) -> &'a str {
    item[name].as_str().unwrap_or_default()
}
