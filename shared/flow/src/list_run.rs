//! A run through a list: a first walk, and closing walks through what has changed since the one before began.

use clientele_model::{AccountSource, EpochMicros, Id, ListApi, Listing, Position, Time, WalkScope, WalkStart};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::list_requests::{ListRunError, Requests};
use crate::list_walk::{RecordHandler, WalkEnd, WalkEvent, walk};
use crate::ports::ListClient;

/// The most closing walks.
pub const CLOSING_WALKS_MAX: u32 = 5;
/// A closing walk starts this long before the walk before it began. A provider's replicas may lag, and its clocks differ.
const CLOSING_OVERLAP: SignedDuration = SignedDuration::from_mins(10);

/// How far a run has come. It is saved between runs, and contains no customer's data.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// Which walk: 0 is the first one, the others are closing walks.
    pub walk: u32,
    /// The records that this walk lists: those that changed at this time or later. `None` for all records.
    pub since: Option<Timestamp>,
    /// Where this walk continues. `None` for its beginning.
    #[serde(with = "position_text", default)]
    pub position: Option<Position>,
    /// The provider's clock when this walk began.
    pub started_at: Timestamp,
    /// Whether this walk has found a change, so that another one must follow. It is not saved: of a closing walk that is
    /// continued it is not known.
    #[serde(skip)]
    pub has_changes: bool,
    /// Why an earlier walk may have missed records.
    pub incomplete: Option<String>,
    /// The account of the pages that were read, as far as they say so. Pages of another account do not continue them.
    pub account: Option<Id>,
    /// Whether a record was not understood, or cannot be stored.
    pub has_omissions: bool,
}

/// A position as text, and as `null` if there is none.
mod position_text {
    use clientele_model::Position;
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    #[expect(clippy::ref_option, reason = "serde passes the field by reference")]
    pub(super) fn serialize<S: Serializer>(position: &Option<Position>, serializer: S) -> Result<S::Ok, S::Error> {
        position.as_ref().map(Position::to_string).serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Position>, D::Error> {
        let text = Option::<String>::deserialize(deserializer)?;
        text.map(|text| text.parse().map_err(D::Error::custom)).transpose()
    }
}

/// The end of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RunEnd {
    /// Every record that existed throughout was handled.
    Complete,
    /// The end of the list was reached, but some records may be missing. The text says why.
    Incomplete(String),
    /// The run was to stop.
    Stopped,
    /// The run failed.
    Failed(ListRunError),
}

impl Progress {
    /// The beginning of the first walk.
    pub(crate) fn of_first_walk(since: Option<Timestamp>, started_at: Timestamp) -> Self {
        Self {
            walk: 0,
            since,
            position: None,
            started_at,
            has_changes: false,
            incomplete: None,
            account: None,
            has_omissions: false,
        }
    }

    /// The walk that closes this one, which has ended, unless none is needed or there were too many.
    fn next_walk(&self, can_list_changes: bool) -> Option<Self> {
        let is_closed = self.walk > 0 && !self.has_changes;
        if !can_list_changes || is_closed || self.walk >= CLOSING_WALKS_MAX {
            return None;
        }
        let since = self.started_at.saturating_sub(CLOSING_OVERLAP).unwrap_or(self.started_at);
        Some(Self { walk: self.walk + 1, since: Some(since), position: None, has_changes: false, ..self.clone() })
    }

    /// The end of the run after the last walk.
    fn end(&self) -> RunEnd {
        match &self.incomplete {
            Some(why) => RunEnd::Incomplete(why.clone()),
            None if self.walk > 0 && self.has_changes => {
                RunEnd::Incomplete("customers change faster than they can be read".to_owned())
            }
            None => RunEnd::Complete,
        }
    }

    /// Whether a record of this version is a change since the walk before this one began. In the first walk, no record is.
    pub(crate) fn is_change(&self, version: EpochMicros) -> bool {
        let began_before = self.since.and_then(|since| since.checked_add(CLOSING_OVERLAP).ok());
        self.walk > 0 && began_before.is_some_and(|began_before| version >= Time(began_before).into())
    }
}

/// What a run walks through.
pub(crate) struct ListRun<'a> {
    pub(crate) api: &'a ListApi,
    pub(crate) account: Option<&'a Id>,
    pub(crate) concurrency: usize,
}

impl<'a> ListRun<'a> {
    /// # Errors
    /// When there is no list API, or its account is not known.
    pub(crate) fn new(listing: &'a Listing, account: Option<&'a Id>, concurrency: usize) -> Result<Self, ListRunError> {
        let api = listing.api.as_ref().ok_or(ListRunError::NoListApi)?;
        match api.account {
            AccountSource::Operator if account.is_none() => Err(ListRunError::AccountUnknown),
            AccountSource::Operator | AccountSource::Answer => Ok(Self { api, account, concurrency }),
        }
    }

    /// The first walk, and closing walks until nothing has changed. `on_event` may note a change in the progress.
    pub(crate) async fn walks<C: ListClient, H: RecordHandler>(
        &self,
        requests: &Requests<'_, C>,
        handler: &H,
        mut progress: Progress,
        mut on_event: impl FnMut(WalkEvent<H::Outcome>, &mut Progress) -> Result<(), ListRunError> + Send,
    ) -> RunEnd {
        // The clock of a walk that is resumed is that of its beginning.
        let mut is_begun = progress.position.is_some();
        loop {
            let start = WalkStart {
                since: progress.since,
                until: None,
                position: progress.position,
                account: self.account.cloned(),
                scope: WalkScope::Customers,
                now: requests.clock.now(),
            };
            let account = self.account.or(progress.account.as_ref()).cloned();
            let note = |event| {
                match &event {
                    WalkEvent::Read(date) if !is_begun => (is_begun, progress.started_at) = (true, *date),
                    WalkEvent::PageDone(page) => {
                        progress.position = page.position.or(progress.position);
                        progress.account = progress.account.take().or_else(|| page.account.clone());
                    }
                    WalkEvent::Read(_) | WalkEvent::Record(_) => {}
                }
                on_event(event, &mut progress)
            };
            match walk((self.api.walk)(start), account, requests, handler, self.concurrency, note).await {
                WalkEnd::Finished(Ok(())) => {}
                WalkEnd::Finished(Err(why)) => drop(progress.incomplete.get_or_insert_with(|| why.to_owned())),
                WalkEnd::Stopped => return RunEnd::Stopped,
                WalkEnd::Failed(error) => return RunEnd::Failed(error),
            }
            match progress.next_walk(self.api.can_list_changes) {
                Some(next) => (progress, is_begun) = (next, false),
                None => return progress.end(),
            }
        }
    }
}
