//! The walk through the list of customers, in slices of the time of their last change.
//!
//! Plain sorts customers by name only, and its cursors contain a name. So the walk asks for the customers that changed in
//! some span of time, a slice, and uses cursors within a slice only: where a slice starts is not personal.
//!
//! A customer who does not change during the walk is never skipped. One who changes moves to a later slice. Customers who
//! change while the last slice is read can be skipped, since their names can change. The walk notices most of them by the
//! count, and a second walk through what has changed since the first one began returns all of them.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};

use clientele_model::{
    ApiAnswer, ApiRequest, EventTime, Id, ListingError, Page, Position, Time, Walk, WalkScope, WalkStart,
};
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::list_record::listed_node;
use crate::{graphql, listing};

#[cfg(test)]
mod tests;

/// The most customers of a page.
const PAGE_CUSTOMERS: usize = 100;
/// A slice of more customers is halved, so that little is read again after an interruption.
const SLICE_CUSTOMERS_MAX: u64 = 1000;
/// How often a slice is read that returns fewer customers than it has.
const READS_MAX: u32 = 3;

const NOT_LISTED: &str = "Plain does not list deleted customers";
const NOT_AT_THE_END: &str = "the list was not read to its end";
const FEWER_THAN_COUNTED: &str = "the list returned fewer customers than it counted";

/// A walk. It implements no `Debug`, because the cursor contains a customer's name.
pub(crate) struct SliceWalk {
    until: Option<Timestamp>,
    now: Timestamp,
    slice_customers_max: u64,
    /// The slice that is being read; `None` after the last one.
    slice: Option<Slice>,
    /// How often the slice has been read without success.
    failed_reads: u32,
    /// Where the next page of the slice begins, unless it is the first one.
    cursor: Option<String>,
    /// Hashes of the ids that the slice has returned. A customer who is renamed can be returned twice.
    returned: HashSet<u64>,
    /// The number of all customers of the walk.
    total: Option<u64>,
    /// Why the walk has not returned every customer, as far as it has come.
    incomplete: Option<&'static str>,
}

/// The customers that changed at or after the start and before the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Slice {
    start: Option<Timestamp>,
    end: Option<Timestamp>,
}

impl SliceWalk {
    pub(crate) fn new(start: &WalkStart) -> Self {
        let WalkStart { since, until, position, account: _, scope, now } = *start;
        let start = match position {
            Some(Position::Time(time)) => Some(time),
            Some(Position::Page(_)) | None => since,
        };
        let is_empty = start.zip(until).is_some_and(|(start, until)| start >= until);
        let is_listed = scope == WalkScope::Customers;
        Self {
            until,
            now,
            slice_customers_max: SLICE_CUSTOMERS_MAX,
            slice: (is_listed && !is_empty).then_some(Slice { start, end: until }),
            failed_reads: 0,
            cursor: None,
            returned: HashSet::new(),
            total: None,
            incomplete: (!is_listed).then_some(NOT_LISTED),
        }
    }

    /// A part of the slice to read instead, judging by the slice's first page.
    fn shorter(&self, slice: Slice, counted: u64, has_next_page: bool) -> Option<Slice> {
        let is_open = slice.end.is_none_or(|end| end > self.now);
        let (start, end) = (slice.concrete_start(), slice.end.filter(|_| !is_open).unwrap_or(self.now));
        let shorter_end = if counted > self.slice_customers_max { middle(start, end) } else { None };
        // Customers who change now are added to an open slice. They are left to a slice of their own.
        let shorter_end = shorter_end.or_else(|| (is_open && has_next_page && start < self.now).then_some(self.now));
        shorter_end.map(|end| Slice { end: Some(end), ..slice })
    }

    /// The slice that follows one with `returned` customers. It has the same length, or twice the length if there was room.
    fn following(&self, slice: Slice, returned: u64) -> Option<Slice> {
        let end = slice.end.filter(|end| self.until.is_none_or(|until| *end < until))?;
        let length_ms = (end.as_millisecond() - slice.concrete_start().as_millisecond()).max(1);
        let growth = if returned <= self.slice_customers_max / 2 { 2 } else { 1 };
        let next_end = Timestamp::from_millisecond(end.as_millisecond() + length_ms * growth).ok();
        let is_short = |next_end: &Timestamp| *next_end < self.now && self.until.is_none_or(|until| *next_end < until);
        Some(Slice { start: Some(end), end: next_end.filter(is_short).or(self.until) })
    }

    /// After the last page of a slice, which now has `counted` customers. Returns where the walk can continue from then on,
    /// which is never behind a slice that was not read completely.
    fn end_slice(&mut self, slice: Slice, counted: u64) -> Option<Position> {
        let returned = u64::try_from(self.returned.len()).unwrap_or(u64::MAX);
        self.returned.clear();
        self.cursor = None;
        if returned < counted {
            self.failed_reads += 1;
            if self.failed_reads < READS_MAX {
                return None;
            }
            self.incomplete = Some(FEWER_THAN_COUNTED);
        }
        self.failed_reads = 0;
        self.slice = self.following(slice, returned);
        self.slice.filter(|_| self.incomplete.is_none()).and_then(|slice| slice.start).map(Position::Time)
    }
}

impl Walk for SliceWalk {
    fn next_request(&self) -> Option<ApiRequest> {
        let Slice { start, end } = self.slice?;
        let bound = |name: &str, time: Option<Timestamp>| Some((name.to_owned(), Time(time?).to_string().into()));
        let updated_at: Map<String, Value> =
            [bound("after", start), bound("before", end)].into_iter().flatten().collect();
        let mut variables = json!({ "first": PAGE_CUSTOMERS });
        if !updated_at.is_empty() {
            variables["updatedAt"] = updated_at.into();
        }
        if let Some(cursor) = &self.cursor {
            variables["after"] = cursor.as_str().into();
        }
        Some(graphql::request(listing::CUSTOMERS, &variables))
    }

    fn read(&mut self, answer: &ApiAnswer) -> Result<Page, ListingError> {
        let CustomersPage { workspace, counted, next_cursor, nodes } = CustomersPage::read(answer)?;
        if next_cursor.is_some() && next_cursor == self.cursor {
            return Err(ListingError::Unexpected("data.customers.pageInfo.endCursor"));
        }
        let total = *self.total.get_or_insert(counted);
        let mut page = Page { listed: vec![], account: Some(workspace), total: Some(total), position: None };
        let Some(slice) = self.slice else { return Ok(page) };
        let is_first_page = self.cursor.is_none();
        if is_first_page && let Some(shorter) = self.shorter(slice, counted, next_cursor.is_some()) {
            self.slice = Some(shorter);
            return Ok(page);
        }
        self.returned.extend(nodes.iter().map(hash_of_id));
        page.listed = nodes.into_iter().map(|node| listed_node(node, page.account.as_ref(), self.now)).collect();
        match next_cursor {
            Some(_) => self.cursor = next_cursor,
            None => page.position = self.end_slice(slice, counted),
        }
        Ok(page)
    }

    fn completeness(&self) -> Result<(), &'static str> {
        match self.incomplete {
            Some(reason) => Err(reason),
            None if self.slice.is_some() => Err(NOT_AT_THE_END),
            None => Ok(()),
        }
    }
}

impl Slice {
    /// A slice without a start begins where plausible times begin, as far as its length is concerned.
    fn concrete_start(self) -> Timestamp {
        let Time(earliest) = EventTime::EARLIEST.into();
        self.start.unwrap_or(earliest)
    }
}

/// The middle of a span of time in whole milliseconds, which is the resolution of Plain's times.
fn middle(start: Timestamp, end: Timestamp) -> Option<Timestamp> {
    let (start_ms, end_ms) = (start.as_millisecond(), end.as_millisecond());
    let middle = Timestamp::from_millisecond(start_ms + (end_ms - start_ms) / 2).ok()?;
    (start < middle && middle < end).then_some(middle)
}

fn hash_of_id(node: &Value) -> u64 {
    let mut hasher = DefaultHasher::new();
    node.get("id").unwrap_or(node).hash(&mut hasher);
    hasher.finish()
}

/// An answer with a page of customers.
struct CustomersPage {
    workspace: Id,
    /// How many customers the slice has.
    counted: u64,
    /// The cursor of the next page, if there is one.
    next_cursor: Option<String>,
    nodes: Vec<Value>,
}

impl CustomersPage {
    fn read(answer: &ApiAnswer) -> Result<Self, ListingError> {
        let mut data = graphql::data(answer)?;
        let workspace = graphql::workspace(&data)?;
        let field = |pointer| data.pointer(pointer);
        let counted = field("/customers/totalCount").and_then(Value::as_u64);
        let counted = counted.ok_or(ListingError::Unexpected("data.customers.totalCount"))?;
        let has_next_page = field("/customers/pageInfo/hasNextPage").and_then(Value::as_bool);
        let has_next_page = has_next_page.ok_or(ListingError::Unexpected("data.customers.pageInfo.hasNextPage"))?;
        let end_cursor = field("/customers/pageInfo/endCursor").and_then(Value::as_str).map(str::to_owned);
        if has_next_page && end_cursor.is_none() {
            return Err(ListingError::Unexpected("data.customers.pageInfo.endCursor"));
        }
        let edges = data.pointer_mut("/customers/edges").and_then(Value::as_array_mut).map(std::mem::take);
        // A page without customers is the last one.
        let edges = edges.filter(|edges| !(has_next_page && edges.is_empty()));
        let edges = edges.ok_or(ListingError::Unexpected("data.customers.edges"))?;
        let node = |mut edge: Value| edge.get_mut("node").map(Value::take).filter(Value::is_object);
        let nodes = edges.into_iter().map(node).collect::<Option<_>>();
        let nodes = nodes.ok_or(ListingError::Unexpected("data.customers.edges.node"))?;
        Ok(Self { workspace, counted, next_cursor: end_cursor.filter(|_| has_next_page), nodes })
    }
}
