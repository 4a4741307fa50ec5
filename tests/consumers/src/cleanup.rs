//! Erases what this system knows about deleted customers.

use anyhow::Result;
use serde::Deserialize;

use crate::changes::copy_item;
use crate::customers::{Attribute, Table, email_key, text};
use crate::receipts::Receipts;
use crate::store::Store;

#[derive(Deserialize)]
pub struct CleanupMessage {
    /// The customer's pk.
    pub cleanup_id: String,
    pub external_id: Option<String>,
    pub identifiers: Identifiers,
}

#[derive(Deserialize)]
pub struct Identifiers {
    pub emails: Vec<String>,
}

/// Handles a message of the cleanup queue. It may come more than once, and erasing twice does no harm.
pub async fn handle_cleanup(
    table: &Table,
    store: &impl Store,
    receipts: Option<&Receipts>,
    message: CleanupMessage,
) -> Result<()> {
    let CleanupMessage { cleanup_id: pk, external_id, identifiers } = message;
    store.erase(&pk).await?;
    // A tombstone has a greater rank than all other changes, so none that is still on its way brings the data back.
    copy_item(table, store, &pk).await?;
    let external_ids = external_id.into_iter().map(|id| (Attribute::ExternalId, id));
    let emails = identifiers.emails.iter().map(|address| (Attribute::Email, email_key(address)));
    for (attribute, value) in external_ids.chain(emails) {
        // The same address may belong to a customer of another provider or account, who was not deleted.
        let customers = table.find(attribute, &value).await?;
        if customers.iter().all(|item| text(item, "pk") == Some(&pk)) {
            store.erase_copies(attribute, &value).await?;
        }
    }
    if let Some(receipts) = receipts {
        receipts.confirm(&pk).await?;
    }
    Ok(())
}
