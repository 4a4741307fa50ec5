//! Which table and queue a command looks at.

use anyhow::{Context, Result};
use clap::Args;
use clientele_aws::Clients;

/// The local stack, unless a table or queue is named: then AWS.
#[derive(Args, Clone, Debug)]
pub(crate) struct Services {
    /// The customers' table on AWS, in the ordinary AWS environment (region, profile, credentials)
    #[arg(long, env = "CUSTOMERS_TABLE", value_name = "NAME", help_heading = "AWS instead of the local stack")]
    pub table: Option<String>,
    /// The cleanup queue on AWS
    #[arg(long, env = "CLEANUP_QUEUE_URL", value_name = "URL", help_heading = "AWS instead of the local stack")]
    pub queue_url: Option<String>,
}

/// The ports of a local stack that runs in another process.
#[derive(Args, Clone, Copy, Debug)]
pub(crate) struct LocalPorts {
    /// The local stack's DynamoDB
    #[arg(long, default_value_t = 8000, value_name = "PORT")]
    pub dynamodb_port: u16,
    /// The local stack's SQS
    #[arg(long, default_value_t = 9324, value_name = "PORT")]
    pub sqs_port: u16,
}

impl Services {
    /// Clients, and the table's name.
    pub(crate) async fn table(&self, ports: LocalPorts) -> (Clients, String) {
        match &self.table {
            Some(table) => (Clients::from_environment().await, table.clone()),
            None => (local(ports).await, "customers".to_owned()),
        }
    }

    /// Clients, and the cleanup queue's URL.
    ///
    /// # Errors
    /// When there is no local stack.
    pub(crate) async fn cleanup_queue(&self, ports: LocalPorts) -> Result<(Clients, String)> {
        if let Some(url) = &self.queue_url {
            return Ok((Clients::from_environment().await, url.clone()));
        }
        let clients = local(ports).await;
        let output = clients.sqs.get_queue_url().queue_name("cleanup").send().await.with_context(|| self.hint())?;
        let url = output.queue_url.context("the queue has no URL")?;
        Ok((clients, url))
    }

    /// What to do when nothing can be reached.
    #[must_use]
    pub(crate) fn hint(&self) -> &'static str {
        match (&self.table, &self.queue_url) {
            (None, None) => {
                "the local stack cannot be reached: start it with `cargo run`, or name a table (--table) or queue \
                 (--queue-url) on AWS"
            }
            _ => "AWS refused, or cannot be reached: look at the region, the credentials and the name",
        }
    }
}

async fn local(ports: LocalPorts) -> Clients {
    let url = |port| format!("http://127.0.0.1:{port}");
    Clients::local(&url(ports.dynamodb_port), &url(ports.sqs_port)).await
}
