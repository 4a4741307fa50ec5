//! Walks through a list that changes meanwhile.

use std::collections::{BTreeMap, HashMap};

use clientele_model::Change;
use jiff::ToSpan;
use proptest::prelude::*;

use super::*;

/// More requests than any of these walks needs.
const REQUESTS_MAX: usize = 2_000;

/// A workspace whose customers change.
struct Workspace {
    customers: Vec<Value>,
    /// The provider's clock, which goes on by a millisecond with each request.
    clock: Timestamp,
    page_customers: usize,
    created: u32,
}

/// What happens in the workspace before a request is answered.
#[derive(Clone, Debug)]
enum Op {
    Insert(&'static str),
    Update(usize),
    Rename(usize, &'static str),
    Delete(usize),
}

impl Workspace {
    fn apply(&mut self, op: &Op) {
        if let Op::Insert(name) = op {
            self.created += 1;
            self.customers.push(sample(500 + self.created, name, self.clock));
        }
        let (Op::Update(index) | Op::Rename(index, _) | Op::Delete(index)) = op else { return };
        let Some(place) = index.checked_rem(self.customers.len()) else { return };
        if matches!(op, Op::Delete(_)) {
            self.customers.swap_remove(place);
            return;
        }
        let customer = &mut self.customers[place];
        // A change makes a customer newer, even one whose time is in the future.
        let changed_at = self.clock.max(updated_at(customer).checked_add(1.millisecond()).unwrap());
        customer["updatedAt"]["iso8601"] = json!(format!("{changed_at:.3}"));
        if let Op::Rename(_, name) = op {
            customer["fullName"] = json!(name);
        }
    }

    fn answer(&mut self, request: &ApiRequest, ops: &[Op]) -> ApiAnswer {
        self.clock = self.clock.checked_add(1.millisecond()).unwrap();
        for op in ops {
            self.apply(op);
        }
        (LIST_STAND_IN.answer)(&self.customers, request, self.page_customers)
    }

    fn versions(&self) -> BTreeMap<String, Timestamp> {
        self.customers
            .iter()
            .map(|customer| (customer["id"].as_str().unwrap().to_owned(), updated_at(customer)))
            .collect()
    }
}

fn updated_at(customer: &Value) -> Timestamp {
    at(customer["updatedAt"]["iso8601"].as_str().unwrap())
}

/// What the walks have returned: the greatest version of each customer.
#[derive(Default)]
struct Seen {
    versions: BTreeMap<String, Timestamp>,
    changed: usize,
}

impl Seen {
    fn add(&mut self, page: &Page) {
        for listed in &page.listed {
            let Listed::Customer(event) = listed else { panic!("{listed:?}") };
            assert!(matches!(event.change(), Change::Snapshot(_)));
            let version = event.rank().version.timestamp().unwrap();
            let known = self.versions.insert(event.key().customer_id().to_owned(), version);
            self.changed += usize::from(known != Some(version));
            assert!(known.is_none_or(|known| known <= version), "an older version after a newer one");
        }
    }
}

/// The operations before each request; none after the last of them.
type Ops = HashMap<usize, Vec<Op>>;

struct Run<'a> {
    workspace: &'a mut Workspace,
    ops: &'a Ops,
    requests: usize,
    seen: Seen,
}

impl Run<'_> {
    /// Walks until the end or for a number of requests. Returns whether the walk was complete, the last position, and the
    /// provider's clock at the first answer.
    fn walk(
        &mut self,
        mut walk: SliceWalk,
        requests_max: usize,
    ) -> (Result<(), &'static str>, Option<Position>, Timestamp) {
        let (mut position, mut first_answer) = (None, None);
        for _ in 0..requests_max {
            let Some(request) = walk.next_request() else { break };
            assert_eq!(walk.next_request().as_ref(), Some(&request), "the request changes before its answer is read");
            let ops = self.ops.get(&self.requests).map_or(&[][..], Vec::as_slice);
            let answer = self.workspace.answer(&request, ops);
            self.requests += 1;
            assert!(self.requests < REQUESTS_MAX, "the walk does not end");
            first_answer.get_or_insert(self.workspace.clock);
            let page = walk.read(&answer).unwrap();
            self.seen.add(&page);
            position = page.position.or(position);
        }
        (walk.completeness(), position, first_answer.unwrap_or(self.workspace.clock))
    }
}

fn slice_walk(start: &WalkStart, slice_customers_max: u64) -> SliceWalk {
    SliceWalk { slice_customers_max, ..SliceWalk::new(start) }
}

fn name() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["Ada", "Bo", "Cleo", "Dan", "Eve"])
}

/// Times of which many are equal, some a millisecond apart, and some in the future.
fn time() -> impl Strategy<Value = Timestamp> {
    prop::sample::select(vec![
        "2025-11-20T12:00:00.000Z",
        "2026-11-01T00:00:00.000Z",
        "2026-11-01T00:00:00.001Z",
        "2026-11-20T11:59:59.999Z",
        "2026-11-20T12:00:00.000Z",
        "2026-11-20T12:00:05.000Z",
    ])
    .prop_map(at)
}

fn workspace() -> impl Strategy<Value = Workspace> {
    let customers = prop::collection::vec((name(), time()), 0..24);
    (customers, 1..5_usize).prop_map(|(customers, page_customers)| {
        let customers = (0..).zip(&customers).map(|(number, (name, time))| sample(number, name, *time)).collect();
        Workspace { customers, clock: at(NOW), page_customers, created: 0 }
    })
}

impl std::fmt::Debug for Workspace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "pages of {}: {:#?}", self.page_customers, self.versions())
    }
}

fn ops(requests: usize) -> impl Strategy<Value = Ops> {
    let op = prop_oneof![
        name().prop_map(Op::Insert),
        any::<usize>().prop_map(Op::Update),
        (any::<usize>(), name()).prop_map(|(index, name)| Op::Rename(index, name)),
        any::<usize>().prop_map(Op::Delete),
    ];
    prop::collection::vec((0..requests, op), 0..16).prop_map(|ops| {
        let mut by_request = Ops::new();
        for (request, op) in ops {
            by_request.entry(request).or_default().push(op);
        }
        by_request
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// Walks follow each other as an import runs them: the next one begins with the first answer of the one before, until
    /// one of them returns nothing new. The first one may be interrupted several times.
    #[test]
    fn walks_lose_no_customer_that_existed_throughout(
        mut workspace in workspace(),
        ops in ops(40),
        slice_customers_max in 1..6_u64,
        interruptions in prop::collection::vec(1..8_usize, 0..3),
    ) {
        let existed = workspace.versions();
        let mut run = Run { workspace: &mut workspace, ops: &ops, requests: 0, seen: Seen::default() };
        let mut start = WalkStart { now: at(NOW), ..WalkStart::default() };
        let mut since = None;
        for requests in interruptions {
            let (_, position, first_answer) = run.walk(slice_walk(&start, slice_customers_max), requests);
            since.get_or_insert(first_answer);
            start = WalkStart { now: run.workspace.clock, position: position.or(start.position), ..start };
        }
        let (mut complete, _, first_answer) = run.walk(slice_walk(&start, slice_customers_max), REQUESTS_MAX);
        since.get_or_insert(first_answer);
        loop {
            run.seen.changed = 0;
            start = WalkStart { since, now: run.workspace.clock, ..WalkStart::default() };
            let (closing, _, first_answer) = run.walk(slice_walk(&start, slice_customers_max), REQUESTS_MAX);
            complete = complete.and(closing);
            since = Some(first_answer);
            if run.seen.changed == 0 && run.requests > 40 {
                break;
            }
        }
        let seen = run.seen.versions;
        if complete.is_ok() {
            for (id, version) in workspace.versions().into_iter().filter(|(id, _)| existed.contains_key(id)) {
                prop_assert_eq!(seen.get(&id), Some(&version), "{}", id);
            }
        }
    }

    /// Whatever the size of pages and slices, and wherever it starts and ends.
    #[test]
    fn a_walk_through_a_quiet_list_returns_exactly_the_customers_within_its_bounds(
        mut workspace in workspace(),
        slice_customers_max in 1..6_u64,
        since in prop::option::of(time()),
        until in prop::option::of(time()),
        interruption in prop::option::of(1..20_usize),
    ) {
        let is_within = |time: &Timestamp| since.is_none_or(|since| since <= *time) && until.is_none_or(|until| *time < until);
        let expected: BTreeMap<_, _> = workspace.versions().into_iter().filter(|(_, time)| is_within(time)).collect();
        let ops = Ops::new();
        let mut run = Run { workspace: &mut workspace, ops: &ops, requests: 0, seen: Seen::default() };
        let mut start = WalkStart { since, until, now: at(NOW), ..WalkStart::default() };
        if let Some(requests) = interruption {
            start.position = run.walk(slice_walk(&start, slice_customers_max), requests).1;
        }
        let (complete, ..) = run.walk(slice_walk(&start, slice_customers_max), REQUESTS_MAX);
        prop_assert_eq!(complete, Ok(()));
        prop_assert_eq!(run.seen.versions, expected);
    }
}

/// Each request finds one more new customer, whose name is before all others.
#[test]
fn customers_who_arrive_during_the_walk_do_not_make_it_incomplete() {
    let customers = (0..30).map(|number| sample(number, "Bo", at(OLD))).collect();
    let mut workspace = Workspace { customers, clock: at(NOW), page_customers: 10, created: 0 };
    let ops = (0..100).map(|request| (request, vec![Op::Insert("Ada")])).collect();
    let mut run = Run { workspace: &mut workspace, ops: &ops, requests: 0, seen: Seen::default() };
    let start = WalkStart { now: at(NOW), ..WalkStart::default() };
    assert_eq!(run.walk(SliceWalk::new(&start), REQUESTS_MAX).0, Ok(()));
    assert_eq!(run.requests, 5);
}
