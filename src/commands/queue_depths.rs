//! What is shown of a deployed stack's queue that functions or other systems consume: how many messages it has, and not
//! which, since receiving them would count as one of the attempts after which a message is given up.

use anyhow::{Context, Result};
use serde_json::json;

use super::target::OpenTarget;
use crate::queue_depth::QueueDepth;
use crate::terminal;
use crate::text_table::TextTable;

/// Prints the depth of the queue with that local name.
///
/// # Errors
/// When the queue cannot be reached.
pub(super) async fn print(target: &OpenTarget, queue: &str, json: bool) -> Result<()> {
    let url = target.queue_url(queue)?;
    let depth = QueueDepth::read(&target.clients.sqs, url).await;
    let depth = depth.with_context(|| target.cannot_read(&format!("the {queue} queue")))?;
    let QueueDepth { visible, in_flight, delayed } = depth;
    if json {
        terminal::json(&json!({ "queue": queue, "visible": visible, "in_flight": in_flight, "delayed": delayed }));
        return Ok(());
    }
    let mut table = TextTable::new(["queue", "visible", "in flight", "delayed"]);
    table.add_row([queue.to_owned(), visible.to_string(), in_flight.to_string(), delayed.to_string()]);
    table.align_right(1);
    terminal::line(table);
    // SQS does not return the age of messages.
    if let Some(stack) = target.deployed_stack() {
        let dashboard = stack.output("DashboardUrl")?;
        terminal::note(format!("The dashboard shows how old the oldest message is: {dashboard}"));
    }
    Ok(())
}
