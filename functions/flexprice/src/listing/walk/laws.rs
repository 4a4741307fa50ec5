//! Laws of walks through lists that stay as they are or change.

use std::collections::{BTreeMap, BTreeSet};

use clientele_model::{ApiAnswer, ApiRequest, Listed, Position, WalkStart};
use jiff::SignedDuration;
use proptest::prelude::*;
use serde_json::Value;

use super::tests::{customer, ids, micros, time, walk};
use crate::LIST_STAND_IN;

/// More pages than any of these walks needs. A walk that never ends is a failure, too.
const PAGES_MAX: usize = 1000;

/// How a list changes between two requests.
#[derive(Clone, Debug)]
enum Event {
    /// The clock goes on.
    Microseconds(u32),
    /// A customer is created.
    Insert,
    /// The record at this place, modulo their number, changes or is renamed.
    Update(usize),
    Rename(usize),
    /// It is archived, or removed from the database.
    Archive(usize),
    Remove(usize),
}

/// A list at the provider, with its clock.
struct List {
    records: Vec<Value>,
    clock: u32,
    created: u32,
    /// The ids of the customers that have existed throughout.
    lasting: BTreeSet<String>,
}

impl List {
    /// A list whose records changed that many microseconds after each other.
    fn new(gaps: &[u32]) -> Self {
        let mut list = Self { records: vec![], clock: 0, created: 0, lasting: BTreeSet::new() };
        for gap in gaps {
            list.clock += gap;
            list.change(&Event::Insert);
        }
        list.lasting = list.records.iter().map(id).collect();
        list
    }

    fn change(&mut self, event: &Event) {
        let count = self.records.len().max(1);
        match event {
            Event::Microseconds(micros) => self.clock += micros,
            Event::Insert => {
                // In no order of the ids.
                self.created += 1;
                self.records.push(customer(self.created * 617 % 1000, micros(self.clock)));
            }
            Event::Update(place) | Event::Rename(place) | Event::Archive(place) => {
                let Some(record) = self.records.get_mut(place % count) else { return };
                record["updated_at"] = micros(self.clock).to_string().into();
                match event {
                    Event::Rename(_) => record["name"] = "AAA".into(),
                    Event::Archive(_) => {
                        record["status"] = "archived".into();
                        self.lasting.remove(&id(record));
                    }
                    _ => {}
                }
            }
            Event::Remove(place) if place % count < self.records.len() => {
                let removed = self.records.remove(place % count);
                self.lasting.remove(&id(&removed));
            }
            Event::Remove(_) => {}
        }
    }

    fn answer(&self, request: &ApiRequest, page_records_max: usize) -> ApiAnswer {
        (LIST_STAND_IN.answer)(&self.records, request, page_records_max)
    }
}

fn id(record: &Value) -> String {
    record["id"].as_str().unwrap().to_owned()
}

/// Walks to the end, or for that many pages, and returns the last position.
fn walk_through(
    list: &mut List,
    start: WalkStart,
    pages_max: usize,
    page_records_max: usize,
    events: &mut impl Iterator<Item = Vec<Event>>,
    returned: &mut BTreeSet<String>,
) -> (Option<Position>, Result<(), &'static str>) {
    let mut position = start.position;
    let mut walk = walk(start);
    for _ in 0..pages_max {
        let Some(request) = walk.next_request() else { break };
        let page = walk.read(&list.answer(&request, page_records_max)).unwrap();
        returned.extend(page.listed.iter().filter_map(|listed| match listed {
            Listed::Customer(event) => Some(event.key().customer_id().to_owned()),
            _ => None,
        }));
        position = page.position.or(position);
        events.next().into_iter().flatten().for_each(|event| list.change(&event));
    }
    (position, walk.completeness())
}

fn any_event() -> impl Strategy<Value = Event> {
    prop_oneof![
        4 => prop_oneof![Just(0u32), 1u32..3, 400u32..1600, 5000u32..9000].prop_map(Event::Microseconds),
        1 => Just(Event::Insert),
        3 => any::<usize>().prop_map(Event::Update),
        1 => any::<usize>().prop_map(Event::Rename),
        1 => any::<usize>().prop_map(Event::Archive),
        1 => any::<usize>().prop_map(Event::Remove),
    ]
}

/// The microseconds between the changes of the records: many at the same time, or close to each other, or far apart.
fn any_gaps() -> impl Strategy<Value = Vec<u32>> {
    let gap = prop_oneof![4 => Just(0u32), 2 => 1u32..4, 1 => 300u32..1500, 1 => 2000u32..9000];
    prop_oneof![prop::collection::vec(gap, 0..40), prop::collection::vec(Just(0u32), 0..40)]
}

proptest! {
    #[test]
    fn a_list_that_changes_never_loses_a_record_that_existed_throughout(
        gaps in any_gaps(),
        events in prop::collection::vec(prop::collection::vec(any_event(), 0..4), 0..10),
        page_records_max in 2usize..12,
        interrupted_after in prop::option::of(0usize..6),
    ) {
        let (mut list, mut returned) = (List::new(&gaps), BTreeSet::new());
        let mut events = events.into_iter();
        let mut start = WalkStart::default();
        if let Some(pages) = interrupted_after {
            let (position, _) =
                walk_through(&mut list, start.clone(), pages, page_records_max, &mut events, &mut returned);
            // The position is saved as text.
            start.position = position.map(|position| position.to_string().parse().unwrap());
        }
        let (_, completeness) =
            walk_through(&mut list, start, PAGES_MAX, page_records_max, &mut events, &mut returned);
        prop_assert_eq!(completeness, Ok(()));
        let lost: Vec<_> = list.lasting.difference(&returned).collect();
        prop_assert!(lost.is_empty(), "lost {lost:?}");
    }

    /// Without changes, every record comes exactly once, and the first page knows how many there are.
    #[test]
    fn a_list_that_does_not_change_is_returned_once(gaps in any_gaps(), page_records_max in 2usize..12) {
        let list = List::new(&gaps);
        let mut walk = walk(WalkStart::default());
        let mut times = BTreeMap::<String, u32>::new();
        let mut requests = 0;
        while let Some(request) = walk.next_request() {
            let page = walk.read(&list.answer(&request, page_records_max)).unwrap();
            prop_assert_eq!(page.total, Some(gaps.len() as u64));
            for id in ids(&page) {
                *times.entry(format!("cust_{id}")).or_default() += 1;
            }
            requests += 1;
            // Each page but the last has at least one new record.
            prop_assert!(requests <= gaps.len() + 1);
        }
        prop_assert_eq!(walk.completeness(), Ok(()));
        prop_assert!(times.values().all(|times| *times == 1));
        prop_assert_eq!(times.into_keys().collect::<BTreeSet<_>>(), list.lasting);
    }

    /// Of the records of a time, all are listed, and none that changed more than a millisecond earlier.
    #[test]
    fn a_walk_since_a_time_lists_what_changed_then_or_later(
        gaps in any_gaps(),
        page_records_max in 2usize..12,
        place in any::<prop::sample::Index>(),
    ) {
        prop_assume!(!gaps.is_empty());
        let mut list = List::new(&gaps);
        let changed_at = |record: &Value| time(record["updated_at"].as_str().unwrap());
        let since = changed_at(place.get(&list.records));
        let mut returned = BTreeSet::new();
        let start = WalkStart { since: Some(since), ..WalkStart::default() };
        let nothing = &mut std::iter::empty();
        walk_through(&mut list, start, PAGES_MAX, page_records_max, nothing, &mut returned).1.unwrap();
        for record in &list.records {
            let age = changed_at(record).duration_since(since);
            let is_returned = returned.contains(&id(record));
            prop_assert!(is_returned || age.is_negative(), "{age:?}");
            prop_assert!(!is_returned || age > SignedDuration::from_millis(-1), "{age:?}");
        }
    }
}
