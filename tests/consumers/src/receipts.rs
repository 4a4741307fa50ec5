//! Confirms that this system has erased a customer.

use std::time::SystemTime;

use anyhow::Result;
use aws_sdk_dynamodb::primitives::{DateTime, DateTimeFormat};
use aws_sdk_sqs::Client;
use serde_json::json;

pub struct Receipts {
    pub sqs: Client,
    pub queue_url: String,
    /// The name of this system in the parameter `ErasureSystems`.
    pub system: String,
}

impl Receipts {
    /// Call this only after everything is erased. The first receipt of a system counts, so another one does no harm.
    pub async fn confirm(&self, cleanup_id: &str) -> Result<()> {
        let erased_at = DateTime::from(SystemTime::now()).fmt(DateTimeFormat::DateTime)?;
        let receipt = json!({ "schema": 1, "cleanup_id": cleanup_id, "system": self.system, "erased_at": erased_at });
        self.sqs.send_message().queue_url(&self.queue_url).message_body(receipt.to_string()).send().await?;
        Ok(())
    }
}
