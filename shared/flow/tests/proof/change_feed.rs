//! The change feed loses no change, wherever calls fail and wherever it crashes, tried again as Lambda does.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use clientele_flow::deadlines::{CHANGES_STOP_WITHIN, CHANGES_TIMEOUT};
use clientele_flow::memory::{InMemoryStorage, TableWrite};
use clientele_flow::{BusError, ChangeFeed, EventBus, EventResult, FeedRecord, RefusedChanges, Table};
use clientele_model::{ChangeEvent, Item, RefusedChange};
use serde_json::json;
use tokio::time::{Instant, timeout};

use crate::is_full;
use crate::simulation::actors::{reproducible, run};
use crate::simulation::feed::{Bus, REFUSED, REFUSED_WITH_ITS_CALL, consume, customers, is_change, records, settings};

/// The records of a batch.
const BATCH: usize = 100;

/// What goes wrong with one call. Entries are counted from 0.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fault {
    /// It has no effect, and fails.
    FailsBefore,
    /// It has its effect, and fails.
    FailsAfter,
    /// The function dies before the effect.
    CrashesBefore,
    /// The function dies after the effect, and before it knows.
    CrashesAfter,
    /// The results are too few.
    LosesResults,
    /// The whole call of several events is refused.
    RefusedWhole,
    /// One entry fails.
    EntryFails(usize),
}

/// The faults of some calls to the bus and the queue, counted from 0.
type Faults<'a> = &'a [(usize, Fault)];

/// The bus and the queue of refused changes, with faults.
struct Outside<'a> {
    bus: Bus,
    faults: Faults<'a>,
    calls: AtomicUsize,
}

impl Outside<'_> {
    fn next_fault(&self) -> Option<Fault> {
        let call = self.calls.fetch_add(1, Ordering::Relaxed);
        self.faults.iter().find(|(at, _)| *at == call).map(|(_, fault)| *fault)
    }
}

impl EventBus for &Outside<'_> {
    async fn put(&self, events: &[ChangeEvent]) -> Result<Vec<EventResult>, BusError> {
        let fault = self.next_fault();
        match fault {
            Some(Fault::FailsBefore) => return Err(BusError::Unavailable("down".to_owned())),
            Some(Fault::CrashesBefore) => std::future::pending().await,
            Some(Fault::RefusedWhole) if events.len() > 1 => return Err(BusError::Refused("no JSON".to_owned())),
            Some(Fault::EntryFails(failing)) if !Bus::refuses_call(events) => {
                let put = |(entry, event)| {
                    if entry == failing { EventResult::Failed("throttled".to_owned()) } else { self.bus.put(event) }
                };
                return Ok(events.iter().enumerate().map(put).collect());
            }
            _ => {}
        }
        let mut results = self.bus.put_all(events)?;
        match fault {
            Some(Fault::FailsAfter) => Err(BusError::Unavailable("cut off".to_owned())),
            Some(Fault::CrashesAfter) => std::future::pending().await,
            Some(Fault::LosesResults) => {
                results.pop();
                Ok(results)
            }
            _ => Ok(results),
        }
    }
}

impl RefusedChanges for &Outside<'_> {
    async fn keep(&self, message: &RefusedChange) -> Result<(), String> {
        match self.next_fault() {
            None | Some(Fault::LosesResults) => {}
            Some(Fault::FailsAfter) => {
                self.bus.keep(message);
                return Err("cut off".to_owned());
            }
            Some(Fault::CrashesBefore) => std::future::pending().await,
            Some(Fault::CrashesAfter) => {
                self.bus.keep(message);
                std::future::pending::<()>().await;
            }
            Some(_) => return Err("down".to_owned()),
        }
        self.bus.keep(message);
        Ok(())
    }
}

/// What an operator or an event does to a customer.
fn item(customer: &str, number: usize, is_deleted: bool) -> Item {
    let mut item = json!({
        "pk": format!("acme#w_1#{customer}"), "sk": "customer", "provider": "acme", "account": "w_1",
        "customer_id": customer, "schema": 1,
        "last_event": {"id": format!("e{number}"), "type": "updated", "received_at": "2026-01-01T00:00:00Z"},
    });
    let others = if is_deleted {
        json!({
            "status": "deleted", "deleted_at": "2026-01-01T00:00:00Z", "cleanup": "{}",
            "cleanup_due": "2026-01-01T00:00:00Z", "rank": format!("1.{number:016x}.2.8000000000000000.00000000.e"),
        })
    } else {
        json!({
            "status": "active", "profile": {}, "extra": {"number": number}, "updated_at": "2026-01-01T00:00:00Z",
            "rank": format!("0.{number:016x}.2.8000000000000000.00000000.e"),
        })
    };
    item.as_object_mut().unwrap().extend(others.as_object().unwrap().clone());
    Item::try_from(item.as_object().unwrap().clone()).unwrap()
}

/// A hundred writes to a table: creates, updates and deletes of nine customers, messages that are cleared, and three items
/// that an operator removes, of which two come back. The bus does not take the events of two customers.
async fn hundred_writes() -> Vec<TableWrite> {
    let table = InMemoryStorage::default();
    let names = ["ada", "bob", REFUSED, "cleo", "dan", REFUSED_WITH_ITS_CALL, "fay", "gus", "hal"];
    for number in 0..2 * BATCH {
        let customer = names[number % names.len()];
        let last = match customer {
            "hal" => 26,
            REFUSED | REFUSED_WITH_ITS_CALL => 40,
            _ => usize::MAX,
        };
        if number > last {
            continue;
        }
        let item = item(customer, number, matches!(number, 11 | 30 | 39 | 57 | 61));
        table.put(&item).await.unwrap();
        table.clear_cleanup(item.pk(), item.rank(), "{}").await.unwrap();
        if matches!(number, 26 | 39 | 72) {
            assert!(table.remove_tombstone(item.pk(), item.rank()));
        }
    }
    let mut writes = table.writes_from(0);
    assert!(writes.len() >= BATCH, "{}", writes.len());
    writes.truncate(BATCH);
    writes
}

fn pk(write: &TableWrite) -> &str {
    write.new.as_ref().or(write.old.as_ref()).unwrap()["pk"].as_str().unwrap()
}

/// The stream of the writes. The first record of a customer whom the bus refuses cannot be read.
fn stream(writes: &[TableWrite]) -> Vec<FeedRecord> {
    let mut records = records(0, writes.to_vec());
    if let Some(at) = writes.iter().position(|write| pk(write).ends_with(REFUSED)) {
        let FeedRecord { sequence_number, write } = &mut records[at];
        *write = Err(RefusedChange::new(sequence_number.clone(), pk(&writes[at]).to_owned(), None, "not an item"));
    }
    records
}

/// Whether every record is on the bus or on the queue, or no change.
fn assert_settled(records: &[FeedRecord], writes: &[TableWrite], bus: &Bus) {
    let settled = bus.settled_ids();
    for FeedRecord { sequence_number, .. } in records {
        let is_settled =
            settled.contains(sequence_number) || !is_change(&writes[sequence_number.parse::<usize>().unwrap()]);
        assert!(is_settled, "record {sequence_number} is lost");
    }
}

/// Runs the feed as Lambda does: a batch that failed is tried again from the record that the function names, one whose
/// function died as a whole, and with bisection in halves, one after the other. Returns the number of calls.
async fn run_as_lambda(writes: &[TableWrite], stream: &[FeedRecord], faults: Faults<'_>, bisects: bool) -> usize {
    let outside = Outside { bus: Bus::default(), faults, calls: AtomicUsize::default() };
    let mut batches = vec![stream.to_vec()];
    while let Some(mut batch) = batches.pop() {
        let feed = ChangeFeed { bus: &outside, refused: &outside, settings: settings() };
        let publish = feed.publish(batch.clone(), Instant::now() + CHANGES_STOP_WITHIN);
        if let Ok(report) = timeout(CHANGES_TIMEOUT, publish).await {
            let place = |number: &String| batch.iter().position(|record| record.sequence_number == *number).unwrap();
            let settled = report.failed_from.as_ref().map_or(batch.len(), place);
            assert_settled(&batch[..settled], writes, &outside.bus);
            batch.drain(..settled);
        }
        if bisects && batch.len() > 1 {
            batches.push(batch.split_off(batch.len() / 2));
        }
        if !batch.is_empty() {
            batches.push(batch);
        }
    }
    assert_settled(stream, writes, &outside.bus);
    check(writes, &outside.bus);
    outside.calls.into_inner()
}

/// Only what the bus does not take is refused, and a consumer knows what the table has.
fn check(writes: &[TableWrite], bus: &Bus) {
    let is_taken = |pk: &str| !pk.ends_with(REFUSED) && !pk.ends_with(REFUSED_WITH_ITS_CALL);
    for id in bus.refused_ids() {
        assert!(!is_taken(pk(&writes[id.parse::<usize>().unwrap()])), "{id} is refused");
    }
    let mut items = BTreeMap::new();
    for write in writes {
        match &write.new {
            Some(item) => drop(items.insert(pk(write).to_owned(), item.clone())),
            None => drop(items.remove(pk(write))),
        }
    }
    items.retain(|pk, _| is_taken(pk));
    assert_eq!(consume(&bus.events_from(0), &BTreeMap::new()), customers(&items));
}

fn run_with(writes: &[TableWrite], stream: &[FeedRecord], faults: Faults<'_>, bisects: bool) -> usize {
    let how = || format!("{faults:?} in {} records, bisection {bisects}", writes.len());
    reproducible(how, || run(run_as_lambda(writes, stream, faults, bisects)))
}

fn all_faults(entries: usize) -> impl Iterator<Item = Fault> {
    use Fault::{CrashesAfter, CrashesBefore, EntryFails, FailsAfter, FailsBefore, LosesResults, RefusedWhole};
    let of_calls = [FailsBefore, FailsAfter, CrashesBefore, CrashesAfter, LosesResults, RefusedWhole];
    of_calls.into_iter().chain((0..entries).map(EntryFails))
}

/// Every call of a batch of a hundred records fails in every way, so every event of it fails alone, too.
#[test]
fn no_change_is_lost_in_a_batch_of_a_hundred() {
    let writes = run(hundred_writes());
    let stream = stream(&writes);
    let calls = run_with(&writes, &stream, &[], false);
    assert!(calls > 20, "{calls}");
    for call in 0..calls {
        for (number, fault) in all_faults(10).enumerate() {
            let bisects = (number + call) % 2 == 0;
            run_with(&writes, &stream, &[(call, fault)], bisects);
            if is_full() {
                run_with(&writes, &stream, &[(call, fault)], !bisects);
            }
        }
    }
}

/// Two faults, one after the other, in batches with all kinds of records.
#[test]
fn no_change_is_lost_by_two_faults() {
    let writes = run(hundred_writes());
    let mut runs = 0;
    for some in [&writes[..8], &writes[36..48]] {
        let stream = stream(some);
        for first in 0..run_with(some, &stream, &[], false) {
            for fault in all_faults(2) {
                for second in first + 1..run_with(some, &stream, &[(first, fault)], true) {
                    for other in all_faults(2) {
                        run_with(some, &stream, &[(first, fault), (second, other)], true);
                        runs += 1;
                    }
                }
            }
        }
    }
    assert!(runs > 1_000, "{runs}");
}
