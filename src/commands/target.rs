//! The stack that a command works on.

use std::net::{IpAddr, SocketAddr};

use anyhow::{Context, Result};
use clap::Args;
use clientele_aws::{CallTimeouts, Clients, Resources};

use crate::customers_table::CustomersTable;
use crate::deployed::{self, DeployedStack};

/// The local stack, unless a deployed one is named.
#[derive(Args, Clone, Debug)]
#[group(skip)]
#[command(next_help_heading = "Stack")]
pub(crate) struct Target {
    /// The address of the local stack
    #[arg(long, default_value = "127.0.0.1", value_name = "ADDRESS")]
    host: IpAddr,
    /// The DynamoDB port of the local stack
    #[arg(long, default_value_t = 8000, value_name = "PORT")]
    dynamodb_port: u16,
    /// The SQS port of the local stack
    #[arg(long, default_value_t = 9324, value_name = "PORT")]
    sqs_port: u16,
    /// Use the deployed stack of this name instead of the local one; region and credentials come from the AWS environment
    #[arg(long, env = "CLIENTELE_STACK", value_name = "NAME")]
    stack: Option<String>,
}

/// A deployed stack, for commands that make no sense locally.
#[derive(Args, Clone, Debug)]
#[group(skip)]
pub(crate) struct DeployedTarget {
    /// The name of the deployed stack; region and credentials come from the AWS environment
    #[arg(long = "stack", env = "CLIENTELE_STACK", value_name = "NAME")]
    name: String,
}

impl DeployedTarget {
    pub(crate) async fn open(&self) -> Result<DeployedStack> {
        DeployedStack::find(&self.name).await
    }
}

impl Target {
    /// The customers' table, or the table on AWS of the given name.
    pub(crate) async fn customers_table(&self, on_aws: Option<&str>) -> Result<CustomersTable> {
        let (clients, name) = match (on_aws, &self.stack) {
            (Some(name), _) => (deployed::clients(&deployed::aws_environment().await), name.to_owned()),
            (None, Some(stack)) => {
                let stack = DeployedStack::find(stack).await?;
                (stack.clients.clone(), stack.output("CustomersTableName")?.to_owned())
            }
            (None, None) => (self.local_clients(), "customers".to_owned()),
        };
        Ok(CustomersTable::new(&clients.dynamodb, &name))
    }

    /// The cleanup queue, or the queue on AWS with the given URL.
    pub(crate) async fn cleanup_queue(&self, on_aws: Option<&str>) -> Result<(Clients, String)> {
        match (on_aws, &self.stack) {
            (Some(url), _) => Ok((deployed::clients(&deployed::aws_environment().await), url.to_owned())),
            (None, Some(stack)) => {
                let stack = DeployedStack::find(stack).await?;
                Ok((stack.clients.clone(), stack.output("CleanupQueueUrl")?.to_owned()))
            }
            (None, None) => {
                let clients = self.local_clients();
                let url = self.local_queue_url(&clients, "cleanup").await?;
                Ok((clients, url))
            }
        }
    }

    /// The table and all queues.
    pub(crate) async fn resources(&self) -> Result<(Clients, Resources)> {
        if let Some(stack) = &self.stack {
            let stack = DeployedStack::find(stack).await?;
            let output = |name| stack.output(name).map(str::to_owned);
            let resources = Resources {
                customers_table: output("CustomersTableName")?,
                cleanup_queue_url: output("CleanupQueueUrl")?,
                inbox_queue_url: output("InboxQueueUrl")?,
                quarantine_queue_url: output("QuarantineQueueUrl")?,
            };
            return Ok((stack.clients, resources));
        }
        let clients = self.local_clients();
        let resources = Resources {
            customers_table: "customers".to_owned(),
            cleanup_queue_url: self.local_queue_url(&clients, "cleanup").await?,
            inbox_queue_url: self.local_queue_url(&clients, "inbox").await?,
            quarantine_queue_url: self.local_queue_url(&clients, "quarantine").await?,
        };
        Ok((clients, resources))
    }

    /// What to check when the target cannot be reached; `on_aws` as above.
    pub(crate) fn advice(&self, on_aws: Option<&str>) -> String {
        match on_aws.or(self.stack.as_deref()) {
            Some(name) => format!("{name} on AWS cannot be read: check the region, the credentials and the name"),
            None => format!(
                "no local stack at {} (DynamoDB on port {}, SQS on port {}): start it with `cargo run`, or name a \
                 deployed stack with --stack",
                self.host, self.dynamodb_port, self.sqs_port
            ),
        }
    }

    fn local_clients(&self) -> Clients {
        let url = |port| format!("http://{}", SocketAddr::from((self.host, port)));
        Clients::local(&url(self.dynamodb_port), &url(self.sqs_port), CallTimeouts::Operator)
    }

    async fn local_queue_url(&self, clients: &Clients, name: &str) -> Result<String> {
        let output = clients.sqs.get_queue_url().queue_name(name).send().await.with_context(|| self.advice(None))?;
        output.queue_url.context("SQS returned no URL for the queue")
    }
}
