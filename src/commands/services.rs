//! Which table and queue a command looks at.

use std::net::{IpAddr, SocketAddr};

use anyhow::{Context, Result};
use aws_config::{BehaviorVersion, SdkConfig};
use clap::Args;
use clientele_aws::{CallTimeouts, Clients, Endpoints, Resources, https_with_system_roots};

use crate::deployed::Deployed;

const AWS: &str = "AWS instead of the local stack";

/// The customers' table: the local stack's, unless one on AWS is named.
#[derive(Args, Clone, Debug)]
pub(crate) struct TableService {
    /// The local stack's address
    #[arg(long, default_value = "127.0.0.1", value_name = "ADDRESS")]
    host: IpAddr,
    /// The local stack's DynamoDB
    #[arg(long, default_value_t = 8000, value_name = "PORT")]
    dynamodb_port: u16,
    /// The customers' table on AWS, whatever the stack, in the ordinary AWS environment (region, profile, credentials)
    #[arg(long, value_name = "NAME", help_heading = AWS)]
    table: Option<String>,
    /// The table of a deployed stack, in the ordinary AWS environment
    #[arg(long, env = "CLIENTELE_STACK", value_name = "NAME", help_heading = AWS)]
    stack: Option<String>,
}

impl TableService {
    /// Clients, and the table's name.
    ///
    /// # Errors
    /// When there is no such stack.
    pub(crate) async fn open(&self) -> Result<(Clients, String)> {
        Ok(match (&self.table, &self.stack) {
            (Some(table), _) => (on_aws(&configuration().await), table.clone()),
            (None, Some(stack)) => {
                let (clients, stack) = deployed(stack).await?;
                (clients, stack.output("CustomersTableName")?.to_owned())
            }
            (None, None) => (local(self.host, self.dynamodb_port, 0), "customers".to_owned()),
        })
    }

    /// What to do when the table cannot be read.
    pub(crate) fn hint(&self) -> String {
        match self.table.as_ref().or(self.stack.as_ref()) {
            Some(name) => unreadable(name),
            None => format!("{}, or name a deployed stack with --stack", no_local_stack(self.host, self.dynamodb_port)),
        }
    }
}

/// The cleanup queue: the local stack's, unless one on AWS is named.
#[derive(Args, Clone, Debug)]
pub(crate) struct QueueService {
    /// The local stack's address
    #[arg(long, default_value = "127.0.0.1", value_name = "ADDRESS")]
    host: IpAddr,
    /// The local stack's SQS
    #[arg(long, default_value_t = 9324, value_name = "PORT")]
    sqs_port: u16,
    /// Any such queue on AWS, whatever the stack, in the ordinary AWS environment (region, profile, credentials)
    #[arg(long, value_name = "URL", help_heading = AWS)]
    queue_url: Option<String>,
    /// The cleanup queue of a deployed stack, in the ordinary AWS environment
    #[arg(long, env = "CLIENTELE_STACK", value_name = "NAME", help_heading = AWS)]
    stack: Option<String>,
}

impl QueueService {
    /// Clients, and the queue's URL.
    pub(crate) async fn open(&self) -> Result<(Clients, String)> {
        if let Some(url) = &self.queue_url {
            return Ok((on_aws(&configuration().await), url.clone()));
        }
        if let Some(stack) = &self.stack {
            let (clients, stack) = deployed(stack).await?;
            return Ok((clients, stack.output("CleanupQueueUrl")?.to_owned()));
        }
        let clients = local(self.host, 0, self.sqs_port);
        let output = clients.sqs.get_queue_url().queue_name("cleanup").send().await.with_context(|| self.hint())?;
        let url = output.queue_url.context("the queue has no URL")?;
        Ok((clients, url))
    }

    /// What to do when the queue cannot be read.
    pub(crate) fn hint(&self) -> String {
        match self.queue_url.as_ref().or(self.stack.as_ref()) {
            Some(name) => unreadable(name),
            None => format!("{}, or name a deployed stack with --stack", no_local_stack(self.host, self.sqs_port)),
        }
    }
}

/// The table and all queues: the local stack's, unless a deployed one is named.
#[derive(Args, Clone, Debug)]
pub(crate) struct StackService {
    /// The local stack's address
    #[arg(long, default_value = "127.0.0.1", value_name = "ADDRESS")]
    host: IpAddr,
    /// The local stack's DynamoDB
    #[arg(long, default_value_t = 8000, value_name = "PORT")]
    dynamodb_port: u16,
    /// The local stack's SQS
    #[arg(long, default_value_t = 9324, value_name = "PORT")]
    sqs_port: u16,
    /// A deployed stack, in the ordinary AWS environment (region, profile, credentials)
    #[arg(long, env = "CLIENTELE_STACK", value_name = "NAME", help_heading = AWS)]
    stack: Option<String>,
}

impl StackService {
    /// Clients, and where everything is.
    pub(crate) async fn open(&self) -> Result<(Clients, Resources)> {
        if let Some(stack) = &self.stack {
            let (clients, stack) = deployed(stack).await?;
            let output = |name| stack.output(name).map(str::to_owned);
            let resources = Resources {
                customers_table: output("CustomersTableName")?,
                cleanup_queue_url: output("CleanupQueueUrl")?,
                inbox_queue_url: output("InboxQueueUrl")?,
                quarantine_queue_url: output("QuarantineQueueUrl")?,
            };
            return Ok((clients, resources));
        }
        let clients = local(self.host, self.dynamodb_port, self.sqs_port);
        let url = async |name: &str| {
            let output = clients.sqs.get_queue_url().queue_name(name).send().await.with_context(|| self.hint())?;
            output.queue_url.context("the queue has no URL")
        };
        let resources = Resources {
            customers_table: "customers".to_owned(),
            cleanup_queue_url: url("cleanup").await?,
            inbox_queue_url: url("inbox").await?,
            quarantine_queue_url: url("quarantine").await?,
        };
        Ok((clients, resources))
    }

    /// What to do when something cannot be reached.
    pub(crate) fn hint(&self) -> String {
        match &self.stack {
            Some(name) => unreadable(name),
            None => format!("{}, or name a deployed stack with --stack", no_local_stack(self.host, self.sqs_port)),
        }
    }
}

/// A deployed stack, and clients for where it is.
///
/// # Errors
/// When there is no such stack.
pub(crate) async fn deployed(name: &str) -> Result<(Clients, Deployed)> {
    let configuration = configuration().await;
    let stack = Deployed::find(&configuration, name).await?;
    Ok((on_aws(&configuration), stack))
}

/// Clients for wherever the ordinary AWS environment points.
fn on_aws(configuration: &SdkConfig) -> Clients {
    Clients::new(configuration, CallTimeouts::Operator, &Endpoints::default())
}

/// The ordinary AWS environment: region, profile, credentials, endpoints.
async fn configuration() -> SdkConfig {
    aws_config::defaults(BehaviorVersion::latest()).http_client(https_with_system_roots()).load().await
}

fn local(host: IpAddr, dynamodb_port: u16, sqs_port: u16) -> Clients {
    let url = |port| format!("http://{}", SocketAddr::from((host, port)));
    Clients::local(&url(dynamodb_port), &url(sqs_port), CallTimeouts::Operator)
}

fn unreadable(name: &str) -> String {
    format!("{name} on AWS cannot be read: look at the region, the credentials and the name")
}

fn no_local_stack(host: IpAddr, port: u16) -> String {
    format!("no local stack at {}: start it with `cargo run`", SocketAddr::from((host, port)))
}
