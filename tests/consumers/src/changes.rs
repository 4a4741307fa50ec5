//! Follows the change feed.

use anyhow::Result;
use serde::Deserialize;

use crate::customers::{Customer, Table, text};
use crate::store::Store;

/// An event of EventBridge.
#[derive(Deserialize)]
pub struct Envelope {
    pub detail: CloudEvent,
}

#[derive(Deserialize)]
pub struct CloudEvent {
    #[serde(rename = "type")]
    pub kind: String,
    /// The customer's pk.
    pub subject: String,
    pub data: ChangeData,
}

#[derive(Deserialize)]
pub struct ChangeData {
    pub rank: String,
    pub customer: Option<Customer>,
}

/// Handles a change. Changes may come in any order and more than once.
pub async fn handle_change(table: &Table, store: &impl Store, envelope: Envelope) -> Result<()> {
    let CloudEvent { kind, subject: pk, data: ChangeData { rank, customer } } = envelope.detail;
    match (kind.as_str(), customer) {
        ("customer.deleted", _) => {
            store.put(&pk, &rank, None).await?;
        }
        ("customer.removed", _) => {
            store.forget(&pk, &rank).await?;
            // The customer may have come back, and that event may have been handled first.
            copy_item(table, store, &pk).await?;
        }
        (_, Some(customer)) => {
            store.put(&pk, &rank, Some(customer)).await?;
        }
        // The feed contains only keys, or the customer is too large for an event.
        (_, None) => copy_item(table, store, &pk).await?,
    }
    Ok(())
}

/// Stores the customer's item, which may be newer than the event.
pub async fn copy_item(table: &Table, store: &impl Store, pk: &str) -> Result<()> {
    if let Some(item) = table.get(pk).await? {
        let is_deleted = text(&item, "status") == Some("deleted");
        let customer = (!is_deleted).then(|| Customer::from(&item));
        store.put(pk, text(&item, "rank").unwrap_or_default(), customer).await?;
    }
    Ok(())
}
