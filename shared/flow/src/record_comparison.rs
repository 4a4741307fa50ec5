//! The comparison of one listed record with its item. What the table lacks is written.

use clientele_model::{
    Comparison, CustomerEvent, CustomerKey, EpochMicros, Id, Item, ItemError, Listed, Outcome, Untranslatable,
};

use crate::Flow;
use crate::list_walk::RecordHandler;
use crate::pacing::Clock;
use crate::ports::{CustomerReader, Queues, Table};

/// The result of one record.
pub(crate) enum Compared {
    Customer { key: CustomerKey, version: EpochMicros, comparison: Comparison, is_written: bool },
    DeletedThere,
    Untranslatable { customer_id: Option<Id>, reason: Untranslatable },
    Unstorable { key: CustomerKey, why: String },
    Unreadable { key: CustomerKey },
    Ignored,
    Failed(String),
}

/// Compares records, and writes those that the table lacks.
pub(crate) struct ComparingHandler<'a, T, Q> {
    pub(crate) flow: &'a Flow<T, Q>,
    pub(crate) clock: Clock,
    pub(crate) different_in_list: &'static [&'static str],
    pub(crate) is_dry_run: bool,
    /// Records that changed at this time or later are ignored: their events may still be on the way.
    pub(crate) until: Option<EpochMicros>,
}

impl<T: Table + CustomerReader, Q: Queues> RecordHandler for ComparingHandler<'_, T, Q> {
    type Outcome = Compared;

    async fn handle(&self, listed: Listed) -> Compared {
        match listed {
            Listed::Customer(event) => match self.until {
                Some(until) if event.rank().version >= until => Compared::Ignored,
                _ => self.compare(&event).await,
            },
            Listed::Deleted { .. } => Compared::DeletedThere,
            Listed::Untranslatable { customer_id, reason } => Compared::Untranslatable { customer_id, reason },
            Listed::Ignored => Compared::Ignored,
        }
    }
}

impl<T: Table + CustomerReader, Q: Queues> ComparingHandler<'_, T, Q> {
    async fn compare(&self, event: &CustomerEvent) -> Compared {
        let (key, version) = (event.key().clone(), event.rank().version);
        let stored = match self.flow.read_item(&key.to_string(), &self.clock).await {
            Ok(Some(Err(ItemError))) => return Compared::Unreadable { key },
            Ok(Some(Ok(stored))) => Some(stored),
            Ok(None) => None,
            Err(error) => return Compared::Failed(error.to_string()),
        };
        let Item::Customer(observed) = event.item(self.clock.now()) else { return Compared::Ignored };
        let comparison = Comparison::of(&observed, stored.as_ref(), self.different_in_list);
        let is_missing = matches!(comparison, Comparison::Behind(_) | Comparison::OnlyThere);
        if !is_missing || self.is_dry_run {
            return Compared::Customer { key, version, comparison, is_written: false };
        }
        let result = self.flow.write_record(event, &self.clock).await;
        let reason = result.reason.unwrap_or_default();
        match result.outcome {
            // It was not in the table a moment ago, so it is a duplicate of an attempt of our own that seemed to fail.
            Outcome::Applied | Outcome::Duplicate => Compared::Customer { key, version, comparison, is_written: true },
            // An event came in between, so nothing was missing.
            Outcome::Stale => Compared::Customer { key, version, comparison: Comparison::Same, is_written: false },
            Outcome::Quarantined => Compared::Unstorable { key, why: reason },
            _ => Compared::Failed(reason),
        }
    }
}
