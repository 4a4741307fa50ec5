//! What is shown of a deployed stack's queue that functions or other systems consume: how many messages it has and how old
//! the oldest is. The messages are not shown, since receiving them would count as one of the attempts after which a
//! message is given up.

use std::num::NonZeroUsize;

use anyhow::{Context, Result};
use serde_json::json;

use crate::duration_text::rounded_down;
use crate::queue_depth::QueueDepth;
use crate::target::OpenTarget;
use crate::terminal;
use crate::text_table::TextTable;

/// Prints depth and age of the queue with that local name.
///
/// # Errors
/// When the queue cannot be reached. An age that cannot be read is noted on standard error.
pub(super) async fn print(target: &OpenTarget, queue: &str, json: bool) -> Result<()> {
    let url = target.queue_url(queue)?;
    let depth = QueueDepth::read(&target.clients.sqs, url).await;
    let depth = depth.with_context(|| target.cannot_read(&format!("the {queue} queue")))?;
    let oldest_seconds = match target.deployed_stack() {
        Some(stack) => stack.oldest_messages.seconds(url, depth).await.unwrap_or_else(|error| {
            terminal::note(format!("Warning: {error}"));
            None
        }),
        None => None,
    };
    let QueueDepth { visible, in_flight, delayed } = depth;
    if json {
        terminal::json(&json!({
            "queue": queue,
            "visible": visible,
            "in_flight": in_flight,
            "delayed": delayed,
            "oldest_seconds": oldest_seconds,
        }));
        return Ok(());
    }
    let mut table = TextTable::new(["queue", "visible", "in flight", "delayed", "oldest"]);
    let counts = [visible, in_flight, delayed].map(|count| count.to_string());
    let oldest = oldest_seconds.map_or("-".to_owned(), rounded_down);
    table.add_row([queue.to_owned()].into_iter().chain(counts).chain([oldest]));
    table.align_right(1);
    terminal::line(table);
    Ok(())
}

/// What to say when no message of the queue can be received. The queue may still have some: a consumer, or a command that
/// was interrupted, hides those that it has received for a while.
pub(super) async fn nothing_to_receive(target: &OpenTarget, queue: &str) -> String {
    let depth = match target.queue_url(queue) {
        Ok(url) => QueueDepth::read(&target.clients.sqs, url).await.unwrap_or_default(),
        Err(_) => QueueDepth::default(),
    };
    match depth.total() {
        0 => format!("The {queue} queue is empty."),
        number => format!(
            "No message of the {queue} queue can be received now, but it has about {number}: another consumer, or a command \
             that was interrupted, has received them. Try again in a minute."
        ),
    }
}

/// Says that there may be more messages than are shown.
pub(super) fn note_limit(shown: usize, limit: NonZeroUsize) {
    if shown == limit.get() {
        terminal::note(format!("The limit of {limit} is reached; there may be more: --limit NUMBER"));
    }
}
