//! One walk through a list: while the records of a page are handled, the next page is already read.

use std::collections::VecDeque;
use std::pin::pin;
use std::sync::{Mutex, MutexGuard, PoisonError};

use clientele_model::{Id, Listed, Page, Position, Walk};
use futures_util::future::{Either, FutureExt, select};
use futures_util::stream::{Stream, StreamExt, iter, unfold};
use jiff::Timestamp;
use tokio::sync::mpsc;

use crate::list_requests::{CallFailure, ListRunError, Requests};
use crate::ports::ListClient;

/// How many pages wait between the reading of the list and the handling of its records.
const PAGES_READ_AHEAD: usize = 1;

/// Handles the records of a walk.
pub(crate) trait RecordHandler: Sync {
    /// The result of one record.
    type Outcome: Send;

    /// Handles one record, while others are handled.
    fn handle(&self, listed: Listed) -> impl Future<Output = Self::Outcome> + Send;
}

/// What happened in a walk.
pub(crate) enum WalkEvent<O> {
    /// A page was read. With the provider's clock.
    Read(Timestamp),
    /// A record was handled.
    Record(O),
    /// All records of a page and of all pages before it were handled.
    PageDone(PageInfo),
}

/// What is left of a page once its records are handled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PageInfo {
    pub(crate) account: Option<Id>,
    pub(crate) total: Option<u64>,
    pub(crate) position: Option<Position>,
}

/// How a walk ended.
#[derive(Debug)]
pub(crate) enum WalkEnd {
    /// After the last page. With the reason if some records may be missing.
    Finished(Result<(), &'static str>),
    /// It was to stop.
    Stopped,
    Failed(ListRunError),
}

impl From<CallFailure> for WalkEnd {
    fn from(failure: CallFailure) -> Self {
        match failure {
            CallFailure::Stopped => Self::Stopped,
            CallFailure::Failed(error) => Self::Failed(error),
        }
    }
}

/// A page whose records have not all been handled.
struct OpenPage {
    left: usize,
    info: PageInfo,
}

/// Walks through a list. All answers must belong to the same account: the given one, if there is one.
pub(crate) async fn walk<C: ListClient, H: RecordHandler>(
    walk: Box<dyn Walk>,
    account: Option<Id>,
    requests: &Requests<'_, C>,
    handler: &H,
    concurrency: usize,
    mut on_event: impl FnMut(WalkEvent<H::Outcome>) -> Result<(), ListRunError> + Send,
) -> WalkEnd {
    let (sender, receiver) = mpsc::channel(PAGES_READ_AHEAD);
    // Boxed, because the compiler cannot see through their types that they can be sent to another thread.
    let reading = read_pages(walk, account, requests, sender).boxed();
    let pages = unfold(receiver, |mut pages| async {
        let page = pages.recv().await.filter(|_| !requests.is_stopped());
        page.map(|page| (page, pages))
    });
    let handling = handle_pages(pages.boxed(), handler, concurrency, &mut on_event).boxed();
    let (read, result) = match select(reading, handling).await {
        Either::Left((read, handling)) => (Some(read), handling.await),
        Either::Right((result, _)) => (None, result),
    };
    match (result, read) {
        (Err(error), _) => WalkEnd::Failed(error),
        // The pages that were read before are handled. If not all of them were, the walk is not finished.
        (Ok(()), Some(WalkEnd::Finished(_))) if requests.is_stopped() => WalkEnd::Stopped,
        (Ok(()), Some(end)) => end,
        (Ok(()), None) => WalkEnd::Stopped,
    }
}

/// A page, and the provider's clock.
type ReadPage = (Page, Timestamp);

async fn read_pages<C: ListClient>(
    mut walk: Box<dyn Walk>,
    mut account: Option<Id>,
    requests: &Requests<'_, C>,
    pages: mpsc::Sender<ReadPage>,
) -> WalkEnd {
    while let Some(request) = walk.next_request() {
        let page = match requests.call(&request, |answer| walk.read(answer)).await {
            Ok(page) => page,
            Err(failure) => return failure.into(),
        };
        account = match (account, &page.0.account) {
            (Some(expected), Some(actual)) if expected != *actual => {
                return WalkEnd::Failed(ListRunError::OtherAccount { actual: actual.clone(), expected });
            }
            (account, actual) => account.or_else(|| actual.clone()),
        };
        if pages.send(page).await.is_err() {
            return WalkEnd::Stopped;
        }
    }
    WalkEnd::Finished(walk.completeness())
}

/// Handles the records of all pages. The pages are done in their order.
pub(crate) async fn handle_pages<H: RecordHandler>(
    pages: impl Stream<Item = ReadPage> + Send,
    handler: &H,
    concurrency: usize,
    on_event: &mut (impl FnMut(WalkEvent<H::Outcome>) -> Result<(), ListRunError> + Send),
) -> Result<(), ListRunError> {
    let open_pages = Mutex::new(OpenPages::default());
    let records = pages.flat_map(|(page, date)| {
        let Page { listed, account, total, position } = page;
        let number = locked(&open_pages).open(listed.len() + 1, PageInfo { account, total, position });
        // The date comes as a record of its own, so that an empty page is noticed, too.
        let records = listed.into_iter().map(move |listed| (number, Part::Record(listed)));
        iter(std::iter::once((number, Part::Date(date))).chain(records))
    });
    let handle = |(number, part)| async move {
        match part {
            Part::Date(date) => (number, WalkEvent::Read(date)),
            Part::Record(listed) => (number, WalkEvent::Record(handler.handle(listed).await)),
        }
    };
    let mut events = pin!(records.map(handle).buffer_unordered(concurrency.max(1)));
    while let Some((number, event)) = events.next().await {
        on_event(event)?;
        let done = locked(&open_pages).close_one(number);
        for info in done {
            on_event(WalkEvent::PageDone(info))?;
        }
    }
    Ok(())
}

enum Part {
    Date(Timestamp),
    Record(Listed),
}

/// The pages that have been started and are not done, in their order.
#[derive(Default)]
struct OpenPages {
    first: usize,
    pages: VecDeque<OpenPage>,
}

impl OpenPages {
    /// Adds a page, and returns its number.
    fn open(&mut self, left: usize, info: PageInfo) -> usize {
        self.pages.push_back(OpenPage { left, info });
        self.first + self.pages.len() - 1
    }

    /// One part of that page was handled. Returns the pages that are done now.
    fn close_one(&mut self, number: usize) -> Vec<PageInfo> {
        if let Some(page) = self.pages.get_mut(number - self.first) {
            page.left -= 1;
        }
        let mut done = vec![];
        while let Some(page) = self.pages.pop_front_if(|page| page.left == 0) {
            self.first += 1;
            done.push(page.info);
        }
        done
    }
}

fn locked(pages: &Mutex<OpenPages>) -> MutexGuard<'_, OpenPages> {
    pages.lock().unwrap_or_else(PoisonError::into_inner)
}
