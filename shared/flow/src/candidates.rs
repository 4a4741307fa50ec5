//! Customers whom a complete walk did not return. Absence proves nothing, so each is looked up.

use std::collections::HashSet;

use clientele_model::{
    CustomerKey, EpochMicros, Id, Item, ItemError, ListApi, ListingError, Lookup, Provider, Rank, Time,
};
use futures_util::stream::{StreamExt, iter};
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use crate::Flow;
use crate::list_observer::hash;
use crate::list_requests::{CallFailure, ListRunError, Requests};
use crate::ports::{CustomerReader, ListClient, LiveItem, Queues, Table};
use crate::record_write::VerifiedDelete;

/// How many customers are looked up at a time.
const CONCURRENT_LOOKUPS: usize = 4;
/// An item must not have changed for this long before the walk began, or a provider's replica may not have it yet.
const SETTLED_FOR: SignedDuration = SignedDuration::from_hours(1);
/// Without a limit by the operator, this percentage of an account's customers is deleted in one run at most.
const DELETES_PERCENT_MAX: u64 = 5;

/// What is known about a customer whom the list did not return.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Candidate {
    /// The provider has the customer. It was created during the walk, for example.
    Exists,
    /// The provider has verifiably deleted the customer.
    Deleted,
    /// The provider says that the customer is deleted, but the item has changed too recently to rely on it.
    DeletedRecently,
    /// The answer proves nothing. The text says why.
    Unknown(&'static str),
    /// An event changed or deleted the item meanwhile.
    Changed,
}

/// The customers whom the list did not return.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct CandidateCounts {
    /// All customers of the account in the table that are not deleted, whether the list returned them or not.
    pub customers: u64,
    /// Those that the list did not return.
    pub only_here: u64,
    /// Of those only here: the provider has them after all.
    pub exists: u64,
    /// Verifiably deleted by the provider.
    pub deleted: u64,
    /// Deleted by the provider, but changed too recently to rely on it.
    pub deleted_recently: u64,
    /// Nothing is proved.
    pub unknown: u64,
    /// Changed meanwhile.
    pub changed: u64,
    /// Of those verifiably deleted: deleted here, too.
    pub erased: u64,
    /// Of those verifiably deleted: not deleted here, because they are more than the limit.
    pub withheld: u64,
}

/// Whether an item of this version has not changed for long enough before the walk began.
pub(crate) fn is_settled(version: EpochMicros, walk_began_at: Timestamp) -> bool {
    walk_began_at.checked_sub(SETTLED_FOR).is_ok_and(|limit| version < Time(limit).into())
}

/// The most deletes in one run.
pub(crate) fn deletes_max(customers: u64, by_operator: Option<u64>) -> u64 {
    by_operator.unwrap_or(customers.saturating_mul(DELETES_PERCENT_MAX) / 100)
}

impl<T: Table + CustomerReader, Q: Queues> Flow<T, Q> {
    /// The customers in the table that the list did not return, by the hashes of the ids that it returned. Returns the
    /// number of all customers, too.
    pub(crate) async fn find_candidates<C: ListClient>(
        &self,
        provider: &Provider,
        account: &Id,
        listed: &HashSet<u64>,
        requests: &Requests<'_, C>,
    ) -> Result<(u64, Vec<MissingCustomer>), CallFailure> {
        let is_missing = |item: &LiveItem| !listed.contains(&hash(&item.customer_id));
        let (mut customers, mut candidates, mut after) = (0, vec![], None);
        loop {
            let page = self.read_live_items(provider.name, account.as_str(), after.as_ref(), &requests.clock).await?;
            customers += page.items.len() as u64;
            let missing = page.items.into_iter().filter(is_missing);
            candidates.extend(missing.filter_map(|item| MissingCustomer::new(provider, account, item)));
            after = page.next;
            if after.is_none() {
                return Ok((customers, candidates));
            }
            requests.check_stop()?;
        }
    }

    /// Looks up each candidate. Returns the verified deletes.
    pub(crate) async fn look_up_candidates<C: ListClient>(
        &self,
        api: &ListApi,
        requests: &Requests<'_, C>,
        candidates: Vec<MissingCustomer>,
        walk_began_at: Timestamp,
        mut on_result: impl FnMut(&CustomerKey, Candidate) + Send,
    ) -> Result<Vec<VerifiedDelete>, CallFailure> {
        let look_up = |customer| self.look_up(api, requests, customer, walk_began_at);
        // Boxed, because the compiler cannot see through its type that it can be sent to another thread.
        let mut results = iter(candidates).map(look_up).buffer_unordered(CONCURRENT_LOOKUPS).boxed();
        let mut verified = vec![];
        while let Some(result) = results.next().await {
            let LookedUp { key, candidate, verified: delete } = result?;
            on_result(&key, candidate);
            verified.extend(delete);
        }
        Ok(verified)
    }

    async fn look_up<C: ListClient>(
        &self,
        api: &ListApi,
        requests: &Requests<'_, C>,
        MissingCustomer { key, rank }: MissingCustomer,
        walk_began_at: Timestamp,
    ) -> Result<LookedUp, CallFailure> {
        requests.check_stop()?;
        let unverified = |key, candidate| Ok(LookedUp { key, candidate, verified: None });
        match self.read_item(&key.to_string(), &requests.clock).await? {
            Some(Ok(Item::Customer(item))) if item.rank == rank => {}
            Some(Ok(Item::Customer(_) | Item::Tombstone(_))) | None => return unverified(key, Candidate::Changed),
            Some(Err(ItemError)) => {
                return unverified(key, Candidate::Unknown("the item has attributes that this version does not know"));
            }
        }
        let read = |answer: &_| match ListingError::of_status(answer) {
            Err(error @ ListingError::Temporary(_)) => Err(error),
            _ => Ok((api.read_lookup)(&key, answer)),
        };
        let (lookup, _) = requests.call(&(api.lookup)(&key), read).await?;
        let is_settled = rank.parse::<Rank>().is_ok_and(|rank| is_settled(rank.version, walk_began_at));
        let (candidate, verified) = match lookup {
            Lookup::Exists => (Candidate::Exists, None),
            Lookup::Unknown(why) => (Candidate::Unknown(why), None),
            Lookup::Deleted(_) if !is_settled => (Candidate::DeletedRecently, None),
            Lookup::Deleted(deleted_at) => {
                (Candidate::Deleted, Some(VerifiedDelete { key: key.clone(), rank, deleted_at }))
            }
        };
        Ok(LookedUp { key, candidate, verified })
    }

    /// Deletes the customers. Returns how many were deleted: not those that changed meanwhile.
    pub(crate) async fn erase_all<C: ListClient>(
        &self,
        deletes: Vec<VerifiedDelete>,
        requests: &Requests<'_, C>,
        concurrency: usize,
        mut on_erased: impl FnMut() + Send,
    ) -> Result<(), CallFailure> {
        let erase = |delete: VerifiedDelete| async move {
            requests.check_stop()?;
            self.erase(&delete, &requests.clock).await.map_err(CallFailure::from)
        };
        let mut results = iter(deletes).map(erase).buffer_unordered(concurrency.max(1)).boxed();
        while let Some(is_erased) = results.next().await {
            if is_erased? {
                on_erased();
            }
        }
        Ok(())
    }
}

/// A customer whom the list did not return.
pub(crate) struct MissingCustomer {
    key: CustomerKey,
    rank: String,
}

impl MissingCustomer {
    /// `None` if the item is not one of ours, because it has another key than its customer.
    fn new(provider: &Provider, account: &Id, LiveItem { pk, customer_id, rank }: LiveItem) -> Option<Self> {
        let key = CustomerKey::new(provider.name, account.clone(), Id::new(customer_id).ok()?).ok()?;
        (key.to_string() == pk).then_some(Self { key, rank })
    }
}

/// The result of a lookup.
struct LookedUp {
    key: CustomerKey,
    candidate: Candidate,
    verified: Option<VerifiedDelete>,
}

impl From<ListRunError> for CallFailure {
    fn from(error: ListRunError) -> Self {
        Self::Failed(error)
    }
}
