//! The walk through Flexprice's list, in the order of `updated_at` and `id`.
//!
//! Offsets alone are not safe: a record that changes during the walk moves to the end, every record behind it moves one
//! place forward, and one record is skipped. So a page normally starts shortly before the time that the page before has
//! reached, whatever the places are now. If more records than a page holds changed within that short time, only an offset
//! leads further. Such a page overlaps the page before, which shows whether records have moved. If it has no record in
//! common with the page before, the walk goes back.

#[cfg(test)]
mod laws;
#[cfg(test)]
mod tests;

use std::collections::HashSet;

use clientele_model::{
    ApiAnswer, ApiMethod, ApiRequest, Id, ListingError, Page, Position, RecordContext, Walk, WalkScope, WalkStart,
    parse_json,
};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::{ARCHIVED, ENVIRONMENT_HEADER, listed};

/// The most records of a page that Flexprice allows.
const RECORDS_MAX: u64 = 1000;
/// How far before the time that was reached a page starts. It covers every rounding of times between here and the database.
const MARGIN: SignedDuration = SignedDuration::from_millis(1);
/// One in this many records of a page is read again by the page at the next offset.
const OVERLAP_DIVISOR: u64 = 10;
/// How often the walk may go back without reaching a later time.
const SETBACKS_MAX: u32 = 10;

const ENDED_EARLY: &str = "the list ended before its total was reached";
const KEPT_CHANGING: &str = "records that changed at the same time kept changing during the walk";

pub(super) fn start(start: WalkStart) -> Box<dyn Walk> {
    let WalkStart { since, until, position, account, scope, now } = start;
    let from = match position {
        Some(Position::Time(time)) => Some(time),
        // Not a position of this list.
        Some(Position::Page(_)) | None => since,
    };
    let after = from.map(with_margin);
    let context = RecordContext { account, received_at: now };
    Box::new(ByTime {
        until,
        scope,
        context,
        after,
        offset: 0,
        page_before: HashSet::new(),
        reached: None,
        returned: 0,
        setbacks: 0,
        end: None,
    })
}

/// A walk in the order in which the records last changed.
struct ByTime {
    until: Option<Timestamp>,
    scope: WalkScope,
    context: RecordContext,
    /// The next page has records that changed after this time.
    after: Option<Timestamp>,
    /// How many of them the next page leaves out at its beginning.
    offset: u64,
    /// Which records were in the page before.
    page_before: HashSet<RecordKey>,
    /// The greatest time of a page. Everything that changed earlier has been returned.
    reached: Option<Timestamp>,
    /// How many records have been returned.
    returned: u64,
    /// How often the walk has gone back since it reached that time.
    setbacks: u32,
    /// Set after the last page.
    end: Option<Result<(), &'static str>>,
}

impl Walk for ByTime {
    fn next_request(&self) -> Option<ApiRequest> {
        if self.end.is_some() {
            return None;
        }
        let filter = |operator: &str, time: Timestamp| {
            let date = format!("{time:.6}");
            json!({"field": "updated_at", "operator": operator, "data_type": "date", "value": {"date": date}})
        };
        let filters = self.after.map(|time| filter("after", time)).into_iter();
        let filters = filters.chain(self.until.map(|time| filter("before", time)));
        let body = json!({
            "status": match self.scope { WalkScope::Customers => "published", WalkScope::Deleted => ARCHIVED },
            "limit": RECORDS_MAX,
            "offset": self.offset,
            "filters": filters.collect::<Vec<_>>(),
            "sort": [{"field": "updated_at", "direction": "asc"}, {"field": "id", "direction": "asc"}],
        });
        let account = self.context.account.iter();
        Some(ApiRequest {
            method: ApiMethod::Post,
            path: "/v1/customers/search".to_owned(),
            headers: account.map(|account| (ENVIRONMENT_HEADER, account.as_str().to_owned())).collect(),
            body: Some(body),
        })
    }

    fn read(&mut self, answer: &ApiAnswer) -> Result<Page, ListingError> {
        ListingError::of_status(answer)?;
        let found = Found::read(answer)?;
        found.check(self.after, self.until)?;
        if self.offset > 0 && !found.records.iter().any(|record| self.page_before.contains(&record.key)) {
            self.go_back(KEPT_CHANGING);
            return Ok(Page { listed: vec![], account: None, total: None, position: self.position() });
        }
        let account =
            found.records.iter().find_map(|record| Id::new(record.value["environment_id"].as_str()?.into()).ok());
        let times = Times::of(&found.records);
        let (count, limit, total) = (found.records.len() as u64, found.limit, found.total);
        let keys = found.records.iter().map(|record| record.key.clone()).collect();
        let is_new = |record: &Record| !self.page_before.contains(&record.key);
        let new = found.records.into_iter().filter(is_new).map(|record| listed(record.value, &self.context));
        let listed: Vec<_> = new.collect();
        let repeated = count - listed.len() as u64;
        let expected = self.returned + total.saturating_sub(self.offset + repeated);
        self.returned += listed.len() as u64;
        self.page_before = keys;
        if times.is_some_and(|times| self.reached.is_none_or(|reached| reached < times.last)) {
            self.reached = times.map(|times| times.last);
            self.setbacks = 0;
        }
        if self.offset > 0 && count >= limit && repeated == count {
            // Records have moved back, or the server ignores the offset.
            self.go_back(KEPT_CHANGING);
        } else if count >= limit {
            self.go_on(times, count);
        } else if self.offset + count < total {
            self.go_back(ENDED_EARLY);
        } else {
            self.end = Some(Ok(()));
        }
        Ok(Page { listed, account, total: Some(expected), position: self.position() })
    }

    fn completeness(&self) -> Result<(), &'static str> {
        self.end.unwrap_or(Err("the walk has not reached its end"))
    }
}

impl ByTime {
    /// Goes on after a full page of `count` records.
    fn go_on(&mut self, times: Option<Times>, count: u64) {
        let next = times.map(|times| with_margin(times.last));
        // Of a page that begins before the margin, the next one repeats only a part.
        let begins_before = |next: &Timestamp| times.is_some_and(|times| times.first <= *next);
        match next.filter(|next| begins_before(next) && self.after.is_none_or(|after| after < *next)) {
            Some(next) => {
                self.after = Some(next);
                self.offset = 0;
            }
            None => self.offset += count - (count / OVERLAP_DIVISOR).max(1),
        }
    }

    /// Goes back to the time that was reached, or gives up.
    fn go_back(&mut self, why: &'static str) {
        self.setbacks += 1;
        if self.setbacks > SETBACKS_MAX {
            self.end = Some(Err(why));
        }
        self.after = self.reached.map(with_margin).or(self.after);
        self.offset = 0;
    }

    fn position(&self) -> Option<Position> {
        self.reached.map(Position::Time)
    }
}

/// A page as Flexprice returns it.
struct Found {
    records: Vec<Record>,
    /// How many records match the filters.
    total: u64,
    /// The most records of a page. A server may allow less than was requested.
    limit: u64,
}

struct Record {
    key: RecordKey,
    changed_at: Option<Timestamp>,
    value: Value,
}

/// Id and time of a record. A record that changes gets another key, so that it is returned again.
type RecordKey = (String, String);

impl Found {
    fn read(answer: &ApiAnswer) -> Result<Self, ListingError> {
        let mut body = parse_json(&answer.body).ok_or(ListingError::Unexpected("the body"))?;
        let number = |pointer: &'static str, name: &'static str| {
            body.pointer(pointer).and_then(Value::as_u64).ok_or(ListingError::Unexpected(name))
        };
        let (total, limit) =
            (number("/pagination/total", "pagination.total")?, number("/pagination/limit", "pagination.limit")?);
        // Pages of a single record could not overlap.
        if limit < 2 {
            return Err(ListingError::Unexpected("pagination.limit"));
        }
        let Some(Value::Array(items)) = body.get_mut("items").map(Value::take) else {
            return Err(ListingError::Unexpected("items"));
        };
        Ok(Self { records: items.into_iter().map(Record::new).collect(), total, limit })
    }

    /// Flexprice ignores a filter or an order that it does not understand. The walk would skip records then.
    fn check(&self, after: Option<Timestamp>, until: Option<Timestamp>) -> Result<(), ListingError> {
        let times = || self.records.iter().filter_map(|record| record.changed_at);
        let is_before = |time| after.is_some_and(|after| time < with_margin(after));
        let is_later = |time| until.is_some_and(|until| with_margin(time) > until);
        if times().any(|time| is_before(time) || is_later(time)) {
            Err(ListingError::Unexpected("the filter by updated_at"))
        } else if !times().is_sorted() {
            Err(ListingError::Unexpected("the order by updated_at"))
        } else {
            Ok(())
        }
    }
}

impl Record {
    fn new(value: Value) -> Self {
        let text = |name: &str| value.get(name).map(Value::to_string).unwrap_or_default();
        let changed_at = value.get("updated_at").and_then(Value::as_str).and_then(|time| time.parse().ok());
        Self { key: (text("id"), text("updated_at")), changed_at, value }
    }
}

/// The least and the greatest time of a page.
#[derive(Clone, Copy)]
struct Times {
    first: Timestamp,
    last: Timestamp,
}

impl Times {
    fn of(records: &[Record]) -> Option<Self> {
        let mut times = records.iter().filter_map(|record| record.changed_at);
        let first = times.next()?;
        Some(Self { first, last: times.next_back().unwrap_or(first) })
    }
}

fn with_margin(time: Timestamp) -> Timestamp {
    time.checked_sub(MARGIN).unwrap_or(Timestamp::MIN)
}
