//! An example of a system that uses the customers of Clientele.

use std::env;

use anyhow::{Context, Result, bail};
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use clientele_consumers::changes::handle_change;
use clientele_consumers::cleanup::handle_cleanup;
use clientele_consumers::customers::{Attribute, Item, Table, email_key, text};
use clientele_consumers::receipts::Receipts;
use clientele_consumers::store::FileStore;
use clientele_consumers::worker::{Until, consume};

const USAGE: &str = "\
clientele-consumer email ADDRESS | external-id ID    prints the customers
clientele-consumer changes | cleanup [--until-idle]  consumes a queue
clientele-consumer copy ADDRESS                      adds an address to the copies without a pk
clientele-consumer show                              prints what this system knows";

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    // Without this client, the default features of aws-config are needed.
    let http = aws_smithy_http_client::Builder::new();
    let http = http.tls_provider(Provider::Rustls(CryptoMode::Ring)).build_https();
    let config = aws_config::from_env().http_client(http).load().await;
    let sqs = aws_sdk_sqs::Client::new(&config);
    let table = Table { client: aws_sdk_dynamodb::Client::new(&config), name: variable("CUSTOMERS_TABLE")? };
    let store = FileStore::open(variable("STORE")?.into())?;

    let arguments: Vec<_> = env::args().skip(1).collect();
    let until = if arguments.iter().any(|it| it == "--until-idle") { Until::Idle } else { Until::Stopped };
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["email", address] => print_keys(&table.find(Attribute::Email, &email_key(address)).await?),
        ["external-id", id] => print_keys(&table.find(Attribute::ExternalId, id).await?),
        ["changes", ..] => {
            let handle = async |event| handle_change(&table, &store, event).await;
            consume(&sqs, &variable("CHANGES_QUEUE_URL")?, until, handle).await?;
        }
        ["cleanup", ..] => {
            let receipts = receipts(&sqs)?;
            let handle = async |message| handle_cleanup(&table, &store, receipts.as_ref(), message).await;
            consume(&sqs, &variable("CLEANUP_QUEUE_URL")?, until, handle).await?;
        }
        ["copy", address] => store.add_copy(Attribute::Email, &email_key(address)).await?,
        ["show"] => println!("{}", store.to_json().await?),
        _ => bail!(USAGE),
    }
    Ok(())
}

fn print_keys(items: &[Item]) {
    println!("{:?}", items.iter().filter_map(|item| text(item, "pk")).collect::<Vec<_>>());
}

/// `None` if the stack awaits no receipts.
fn receipts(sqs: &aws_sdk_sqs::Client) -> Result<Option<Receipts>> {
    let Ok(queue_url) = env::var("RECEIPTS_QUEUE_URL") else { return Ok(None) };
    Ok(Some(Receipts { sqs: sqs.clone(), queue_url, system: variable("ERASURE_SYSTEM")? }))
}

fn variable(name: &str) -> Result<String> {
    env::var(name).with_context(|| format!("{name} is not set"))
}
