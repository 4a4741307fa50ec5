//! Sends the current state of all customers to the bus, so that a consumer can start at any time.

use clientele_model::{ChangeEvent, ChangeType, FeedSettings, Item};
use jiff::Timestamp;
use serde::Serialize;

use crate::event_sender::{EventSender, SendError, SendResult};
use crate::ports::{CustomerScan, EventBus};
use crate::record_write::read_table;

/// What is sent again.
#[derive(Clone, Debug)]
pub struct ResendOptions {
    /// The id of this run. The id of each event is this, a slash and the customer's `pk`.
    pub id: String,
    /// How items become events.
    pub settings: FeedSettings,
    /// Only customers of this provider.
    pub provider: Option<String>,
    /// Only customers whose last event arrived at this time or later.
    pub since: Option<Timestamp>,
}

/// How many customers were read and sent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ResendCounts {
    /// Items that were read, whether they are sent or not.
    pub read: u64,
    /// Customers who were sent as `customer.snapshot`.
    pub snapshots: u64,
    /// Tombstones that were sent as `customer.deleted`.
    pub deleted: u64,
    /// Of the snapshots, those without the customer because of its size.
    pub omitted: u64,
    /// Events that the bus refuses.
    pub refused: u64,
    /// Items that cannot be read by this version.
    pub unreadable: u64,
}

/// The result of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResendReport {
    /// What was done.
    pub counts: ResendCounts,
    /// Why the run ended before the last item.
    pub error: Option<SendError>,
}

/// Learns how far a run has come.
pub trait ResendObserver: Send {
    /// The items of a page are sent.
    fn page_sent(&mut self, counts: &ResendCounts) {
        let _ = counts;
    }

    /// A customer cannot be sent.
    fn not_sent(&mut self, pk: &str, why: &str) {
        let _ = (pk, why);
    }
}

impl ResendObserver for () {}

/// Sends every item of the table that the options select. It may run at any time, also several times at once: a consumer
/// that keeps the greatest rank of each customer ends with what the table has, whatever is written meanwhile.
pub async fn resend<B: EventBus>(
    table: &impl CustomerScan,
    sender: &EventSender<'_, B>,
    options: &ResendOptions,
    observer: &mut impl ResendObserver,
) -> ResendReport {
    let mut counts = ResendCounts::default();
    let mut after = None;
    loop {
        if sender.is_stopped() {
            return ResendReport { counts, error: Some(SendError::Stopped) };
        }
        let page = match read_table(sender.clock(), || table.items_after(after.clone())).await {
            Ok(page) => page,
            Err(error) => return ResendReport { counts, error: Some(SendError::Unreadable(error.to_string())) },
        };
        let (mut events, mut read) = (vec![], 0);
        for scanned in page.items {
            read += 1;
            match scanned {
                Ok(item) if options.select(&item) => events.push(options.event(&item, sender.now())),
                Ok(_) => {}
                Err(unreadable) => {
                    counts.unreadable += 1;
                    observer.not_sent(&unreadable.pk, &unreadable.why);
                }
            }
        }
        let sent = sender.send(&events).await;
        for (event, result) in events.iter().zip(sent.results) {
            counts.add(event, result, observer);
        }
        if sent.error.is_some() {
            return ResendReport { counts, error: sent.error };
        }
        counts.read += read;
        observer.page_sent(&counts);
        match page.next {
            Some(next) => after = Some(next),
            None => return ResendReport { counts, error: None },
        }
    }
}

impl ResendOptions {
    fn select(&self, item: &Item) -> bool {
        let (provider, last_event) = match item {
            Item::Customer(item) => (&item.provider, &item.last_event),
            Item::Tombstone(item) => (&item.provider, &item.last_event),
        };
        self.provider.as_ref().is_none_or(|only| only == provider)
            && self.since.is_none_or(|since| last_event.received_at.0 >= since)
    }

    fn event(&self, item: &Item, now: Timestamp) -> ChangeEvent {
        ChangeEvent::of_item(item, &format!("{}/{}", self.id, item.pk()), now, &self.settings)
    }
}

impl ResendCounts {
    fn add(&mut self, event: &ChangeEvent, result: SendResult, observer: &mut impl ResendObserver) {
        match result {
            SendResult::Sent if event.kind == ChangeType::Deleted => self.deleted += 1,
            SendResult::Sent => {
                self.snapshots += 1;
                self.omitted += u64::from(event.is_customer_omitted);
            }
            SendResult::Refused(why) => {
                self.refused += 1;
                observer.not_sent(&event.pk, &why);
            }
            SendResult::NotSent => {}
        }
    }
}
