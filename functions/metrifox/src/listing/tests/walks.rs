use std::collections::{BTreeMap, BTreeSet};

use clientele_model::{ApiAnswer, ApiRequest, Listed, Position, Walk, WalkStart};
use jiff::Timestamp;
use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::{Value, json};

use super::super::PASSES_MAX;
use super::{NOW, walk};
use crate::LIST_STAND_IN;

const PAGE_RECORDS: usize = 3;

/// A change of the list between two requests. Nothing is known about its order, so a record may move anywhere when it is
/// updated, for example because it is renamed, and even when it is not.
#[derive(Clone, Debug)]
enum Change {
    Insert(Index),
    Delete(Index),
    Update { from: Index, to: Index },
    Move { from: Index, to: Index },
}

/// How often each record was updated, by its id.
type Versions = BTreeMap<u32, u32>;

struct List {
    /// The id and the version of each record.
    records: Vec<(u32, u32)>,
    next_id: u32,
    /// The ids of the records that have existed since the beginning.
    permanent: BTreeSet<u32>,
}

impl List {
    fn new(records: u32) -> Self {
        Self { records: (0..records).map(|id| (id, 0)).collect(), next_id: records, permanent: (0..records).collect() }
    }

    fn apply(&mut self, change: &Change) {
        let len = self.records.len();
        match change {
            Change::Insert(at) => {
                self.records.insert(at.index(len + 1), (self.next_id, 0));
                self.next_id += 1;
            }
            _ if len == 0 => {}
            Change::Delete(at) => {
                let (id, _) = self.records.remove(at.index(len));
                self.permanent.remove(&id);
            }
            Change::Update { from, to } | Change::Move { from, to } => {
                let (id, version) = self.records.remove(from.index(len));
                let version = version + u32::from(matches!(change, Change::Update { .. }));
                self.records.insert(to.index(len), (id, version));
            }
        }
    }

    fn versions(&self) -> Versions {
        self.records.iter().copied().collect()
    }

    /// Records of one version have the same `updated_at`.
    fn answer(&self, request: &ApiRequest) -> ApiAnswer {
        let record = |(id, version): &(u32, u32)| {
            let updated_at = Timestamp::from_second(1_790_000_000 + i64::from(*version)).unwrap();
            json!({ "id": id, "updated_at": updated_at.to_string(), "email": "a@example.com", "metadata": version })
        };
        let records: Vec<Value> = self.records.iter().map(record).collect();
        (LIST_STAND_IN.answer)(&records, request, PAGE_RECORDS)
    }
}

/// What a walk has returned.
#[derive(Default)]
struct Walked {
    /// The latest version of each record.
    returned: Versions,
    /// The list when the last pass began.
    at_last_pass: Versions,
    passes: usize,
    positions: Vec<Position>,
}

/// Walks through the list. `change` is called before each request, with the number of the pass and of the request.
fn run(walk: &mut dyn Walk, list: &mut List, mut change: impl FnMut(usize, usize, &mut List)) -> Walked {
    let mut walked = Walked::default();
    let first = walk.next_request();
    for number in 0.. {
        let Some(request) = walk.next_request() else { break };
        let begins_pass = Some(&request) == first.as_ref();
        walked.passes += usize::from(begins_pass);
        change(walked.passes, number, list);
        if begins_pass {
            walked.at_last_pass = list.versions();
        }
        let page = walk.read(&list.answer(&request)).unwrap();
        walked.positions.extend(page.position);
        walked.returned.extend(page.listed.iter().map(version));
    }
    walked
}

fn version(listed: &Listed) -> (u32, u32) {
    let Listed::Customer(event) = listed else { panic!("{listed:?}") };
    let clientele_model::Change::Snapshot(customer) = event.change() else { panic!("a deletion") };
    let version = customer.profile.metadata.as_ref().unwrap().as_u64().unwrap();
    (event.key().customer_id().parse().unwrap(), version.try_into().unwrap())
}

fn starting_at(page: Option<u64>) -> Box<dyn Walk> {
    walk(&WalkStart { position: page.map(Position::Page), ..WalkStart::default() })
}

fn any_change() -> impl Strategy<Value = Change> {
    let index = any::<Index>;
    prop_oneof![
        index().prop_map(Change::Insert),
        index().prop_map(Change::Delete),
        (index(), index()).prop_map(|(from, to)| Change::Update { from, to }),
        (index(), index()).prop_map(|(from, to)| Change::Move { from, to }),
    ]
}

/// Changes of the list, each with the number of the request that it precedes.
fn any_changes() -> impl Strategy<Value = Vec<(usize, Change)>> {
    proptest::collection::vec((0..12_usize, any_change()), 0..=5)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, ..ProptestConfig::default() })]

    #[test]
    fn a_complete_walk_has_lost_nothing(
        records in 0..12_u32, page in proptest::option::of(0..6_u64), changes in any_changes(),
    ) {
        let (mut list, mut walk) = (List::new(records), starting_at(page));
        let walked = run(&mut *walk, &mut list, |_, number, list| {
            changes.iter().filter(|(before, _)| *before == number).for_each(|(_, change)| list.apply(change));
        });
        prop_assert!(walked.passes <= PASSES_MAX);
        if walk.completeness().is_ok() {
            for id in &list.permanent {
                prop_assert!(walked.returned.get(id) >= walked.at_last_pass.get(id), "{} is missing or old", id);
            }
        }
    }

    /// The last two passes are the same.
    #[test]
    fn a_list_that_stops_changing_is_read_completely(
        records in 0..12_u32, page in proptest::option::of(0..6_u64), changes in any_changes(),
    ) {
        let (mut list, mut walk) = (List::new(records), starting_at(page));
        run(&mut *walk, &mut list, |pass, number, list| {
            if pass <= PASSES_MAX - 2 {
                changes.iter().filter(|(before, _)| *before == number).for_each(|(_, change)| list.apply(change));
            }
        });
        prop_assert_eq!(walk.completeness(), Ok(()));
    }
}

/// Every pass returns the same records, and as many as the list has, but one of them twice.
#[test]
fn a_record_that_is_skipped_by_every_pass_is_noticed() {
    let (mut list, mut walk) = (List::new(6), starting_at(None));
    let walked = run(&mut *walk, &mut list, |_, number, list| {
        let at = list.records.iter().position(|(id, _)| *id == 5).unwrap();
        let record = list.records.remove(at);
        list.records.insert(if number % 2 == 0 { 5 } else { 0 }, record);
    });
    assert_eq!(walked.passes, PASSES_MAX);
    assert_eq!(walked.returned.get(&5), None);
    assert_eq!(walk.completeness(), Err("the list did not return as many different customers as it says it has"));
}

#[test]
fn a_list_that_changes_before_each_pass_is_incomplete() {
    let (mut list, mut walk) = (List::new(2), starting_at(None));
    let walked = run(&mut *walk, &mut list, |_, _, list| list.records[0].1 += 1);
    assert_eq!(walked.passes, PASSES_MAX);
    assert_eq!(walked.returned, list.versions());
    assert_eq!(walk.completeness(), Err("the list changed each time it was read"));
}

#[test]
fn a_walk_continues_at_its_position_and_reads_what_is_before_it_last() {
    let pages = |page| run(&mut *starting_at(page), &mut List::new(10), |_, _, _| {}).positions;
    assert_eq!(pages(None), [2, 3, 4, 1, 2, 3, 4, 1].map(Position::Page));
    assert_eq!(pages(Some(0)), pages(None));
    assert_eq!(pages(Some(3)), [4, 1, 2, 3, 4, 1, 2, 3].map(Position::Page));
    assert_eq!(pages(Some(9)), [1, 2, 3, 4, 9, 1, 2, 3, 4, 9].map(Position::Page));
}

#[test]
fn a_walk_always_reads_the_whole_list() {
    let position = Some(Position::Time(NOW));
    let start = WalkStart { since: Some(NOW), until: Some(NOW), position, ..WalkStart::default() };
    let walked = run(&mut *walk(&start), &mut List::new(4), |_, _, _| {});
    assert_eq!(walked.returned.len(), 4);
}
