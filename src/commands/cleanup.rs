//! `clientele cleanup`: shows the cleanup queue.

use anyhow::{Context, Result};
use clap::Args;
use comfy_table::Table;
use serde_json::Value;

use super::target::Target;
use crate::queue_browser::QueueBrowser;
use crate::text_table;

/// How long a message is hidden from other consumers while it is shown.
const HIDDEN_SECONDS: i32 = 60;

/// Show the messages on the cleanup queue without consuming them.
///
/// Each message is received and put back, which counts as one receive.
#[derive(Args, Debug)]
pub struct Cleanup {
    /// Show at most this many messages
    #[arg(long, default_value_t = 100, value_name = "NUMBER")]
    limit: usize,
    /// Print the messages as JSON, one per line
    #[arg(long)]
    json: bool,
    /// Show this queue on AWS instead of the stack's cleanup queue
    #[arg(long, value_name = "URL")]
    queue_url: Option<String>,
    #[command(flatten)]
    target: Target,
}

/// Runs `clientele cleanup`.
///
/// # Errors
/// When the queue cannot be read.
pub async fn cleanup(cleanup: Cleanup) -> Result<()> {
    let on_aws = cleanup.queue_url.as_deref();
    let (clients, url) = cleanup.target.cleanup_queue(on_aws).await?;
    let queue = QueueBrowser::new(&clients.sqs, &url, HIDDEN_SECONDS);
    let messages = queue.look(cleanup.limit, |_| true).await.with_context(|| cleanup.target.advice(on_aws))?;
    let bodies = messages.iter().filter_map(|message| message.body());
    if cleanup.json {
        bodies.for_each(|body| anstream::println!("{body}"));
    } else {
        anstream::println!("{}", as_table(bodies));
    }
    queue.put_back(&messages).await;
    Ok(())
}

fn as_table<'a>(bodies: impl Iterator<Item = &'a str>) -> Table {
    let mut table = text_table::with_header(["cleanup id", "external id", "e-mails", "phones", "deleted"]);
    for body in bodies {
        let message: Value = serde_json::from_str(body).unwrap_or_default();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let list = |value: &Value| value.as_array().into_iter().flatten().map(text).collect::<Vec<_>>().join("\n");
        table.add_row([
            text(&message["cleanup_id"]),
            text(&message["external_id"]),
            list(&message["identifiers"]["emails"]),
            list(&message["identifiers"]["phones"]),
            text(&message["deleted_at"]),
        ]);
    }
    table
}
