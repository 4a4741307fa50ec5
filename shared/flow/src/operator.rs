//! An operator's delete of a customer.

use clientele_model::{CustomerEvent, CustomerKey, Deletion, Item, Outcome, Time};
use jiff::Timestamp;
use tokio::time::Instant;

use crate::Flow;
use crate::apply::EventResult;
use crate::deadlines::Deadlines;
use crate::deletion::ItemCondition;
use crate::ports::{Queues, Table};

/// Whether a customer may be erased who is not in the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnseenCustomers {
    /// Nothing is written. The customer may be misspelled.
    Skip,
    /// A tombstone is written, so that the customer never appears.
    Erase,
}

/// What became of an operator's delete.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EraseResult {
    /// The customer is erased now. With a warning if its message could not be sent; the sweep sends it then.
    Erased(Option<String>),
    /// The customer was erased before. Nothing is written.
    AlreadyErased,
    /// The table has no item of the customer. Nothing is written.
    NotInTable,
    /// It is not known that the customer is erased. With the reason.
    Failed(String),
}

impl<T: Table, Q: Queues> Flow<T, Q> {
    /// Erases a customer as a delete of its provider does, for a reason that is a code of the operator's own. No event of the
    /// provider brings the customer back.
    pub async fn erase_by_operator(
        &self,
        key: &CustomerKey,
        reason: &str,
        unseen: UnseenCustomers,
        now: Timestamp,
    ) -> EraseResult {
        match self.table.item(&key.to_string()).await {
            Ok(None) if unseen == UnseenCustomers::Skip => return EraseResult::NotInTable,
            Ok(Some(Ok(Item::Tombstone(_)))) => return EraseResult::AlreadyErased,
            Ok(_) => {}
            Err(error) => return EraseResult::Failed(error.to_string()),
        }
        let event = CustomerEvent::operator_deletion(key.clone(), reason, Deletion::at(Time::in_milliseconds(now)));
        let deadlines = Deadlines::of_record(Instant::now(), now);
        let EventResult { outcome, reason, warning, .. } =
            self.apply_delete(&event, now, ItemCondition::Any, deadlines).await;
        match outcome {
            Outcome::Applied => EraseResult::Erased(warning),
            // Another operator was faster.
            Outcome::Duplicate | Outcome::Stale => EraseResult::AlreadyErased,
            _ => EraseResult::Failed(reason.unwrap_or_default()),
        }
    }
}
