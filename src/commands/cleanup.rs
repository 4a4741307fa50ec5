//! `clientele cleanup`: what waits on the cleanup queue.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use clap::Args;
use comfy_table::{Table, presets};
use serde_json::Value;

use super::services::QueueService;

/// For how long a message that was looked at is hidden from others, in seconds, if it is not put back before.
const HIDDEN_SECONDS: i32 = 60;
/// SQS gives at most so many messages at a time.
const MESSAGES_MAX: usize = 10;

/// Show the cleanup queue, without taking anything from it.
#[derive(Args, Debug)]
pub struct Cleanup {
    /// Show at most so many messages
    #[arg(long, default_value_t = 100)]
    limit: usize,
    /// Print the messages as JSON, one a line
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    service: QueueService,
}

/// Runs `clientele cleanup`. Each message is received and put back, which counts as one receive.
///
/// # Errors
/// When the queue cannot be read.
pub async fn cleanup(cleanup: Cleanup) -> Result<()> {
    let (clients, url) = cleanup.service.open().await?;
    let mut seen = BTreeMap::new();
    while seen.len() < cleanup.limit {
        let wanted = MESSAGES_MAX.min(cleanup.limit - seen.len());
        let request = clients.sqs.receive_message().queue_url(&url).visibility_timeout(HIDDEN_SECONDS);
        // Waiting asks all of a queue's servers; not waiting, only some.
        let request = request.wait_time_seconds(1).max_number_of_messages(i32::try_from(wanted)?);
        let messages = request.send().await.with_context(|| cleanup.service.hint())?.messages.unwrap_or_default();
        let seen_before = seen.len();
        for message in messages {
            let body = message.body.unwrap_or_default();
            seen.insert(message.message_id.unwrap_or_default(), (message.receipt_handle.unwrap_or_default(), body));
        }
        if seen.len() == seen_before {
            break;
        }
    }
    if cleanup.json {
        for (_, body) in seen.values() {
            anstream::println!("{body}");
        }
    } else {
        anstream::println!("{}", as_table(seen.values().map(|(_, body)| body)));
    }
    for (receipt, _) in seen.values() {
        let request = clients.sqs.change_message_visibility().queue_url(&url).receipt_handle(receipt);
        if request.visibility_timeout(0).send().await.is_err() {
            anstream::eprintln!("some messages stay hidden for up to {HIDDEN_SECONDS} s");
            break;
        }
    }
    Ok(())
}

fn as_table<'a>(bodies: impl Iterator<Item = &'a String>) -> Table {
    let mut table = Table::new();
    table.load_style(presets::UTF8_BORDERS_ONLY);
    table.set_header(["cleanup id", "external id", "e-mails", "phones", "deleted"]);
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
