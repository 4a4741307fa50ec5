//! What happens while a list is read, for whoever watches.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use clientele_model::{CustomerKey, Id, Untranslatable};

/// Watches the reading of a list.
pub trait ListObserver: Send {
    /// A record was not understood.
    fn untranslatable(&mut self, customer_id: Option<&Id>, reason: &Untranslatable) {
        let _ = (customer_id, reason);
    }

    /// The table can never hold a record, or this version cannot read the item to compare with.
    fn left_out(&mut self, key: &CustomerKey, why: &str) {
        let _ = (key, why);
    }

    /// The list API failed. The request is sent again after this time.
    fn waiting(&mut self, why: &str, delay: Duration) {
        let _ = (why, delay);
    }
}

impl ListObserver for () {}

/// A hash of 64 bits. Among a million values, two have the same one with a probability of 1 in 30 million.
pub(crate) fn hash(value: &(impl Hash + ?Sized)) -> u64 {
    let mut hash = DefaultHasher::new();
    value.hash(&mut hash);
    hash.finish()
}

/// The records that were reported as not understood or not storable.
#[derive(Debug, Default)]
pub(crate) struct Reported(HashSet<u64>);

impl Reported {
    /// Whether the record is to be reported: in the first walk every one is, in a closing walk only one that was not
    /// reported before.
    pub(crate) fn add(&mut self, record: &impl Hash, is_first_walk: bool) -> bool {
        self.0.insert(hash(record)) || is_first_walk
    }
}
