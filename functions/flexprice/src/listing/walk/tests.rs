//! Tests of requests, answers and their order, and of lists that are not as documented.

use clientele_model::{
    ApiAnswer, ApiMethod, ApiRequest, Id, Listed, ListingError, Page, Position, Walk, WalkScope, WalkStart,
};
use jiff::{SignedDuration, Timestamp};
use rstest::rstest;
use serde_json::{Value, json};

use crate::listing::LISTING;
use crate::listing::tests::record;

/// 2026-11-20T12:00:00Z.
const NOW: Timestamp = Timestamp::constant(1_795_176_000, 0);

pub(super) fn walk(start: WalkStart) -> Box<dyn Walk> {
    (LISTING.api.as_ref().unwrap().walk)(WalkStart { now: NOW, ..start })
}

pub(super) fn time(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// A time of the list, in microseconds after 11:00.
pub(super) fn micros(micros: u32) -> Timestamp {
    time("2026-11-20T11:00:00Z") + SignedDuration::from_micros(i64::from(micros))
}

pub(super) fn customer(id: u32, changed_at: Timestamp) -> Value {
    record(&json!({"id": format!("cust_{id:03}"), "updated_at": changed_at.to_string()}))
}

fn answer(status: u16, body: &Value) -> ApiAnswer {
    ApiAnswer { status, date: None, retry_after: None, body: body.to_string().into_bytes() }
}

fn page(items: &[Value], total: usize, limit: usize) -> ApiAnswer {
    answer(200, &json!({"items": items, "pagination": {"total": total, "limit": limit, "offset": limit}}))
}

pub(super) fn ids(page: &Page) -> Vec<&str> {
    let ids = page.listed.iter().map(|listed| match listed {
        Listed::Customer(event) => event.key().customer_id().trim_start_matches("cust_"),
        other => panic!("{other:?}"),
    });
    ids.collect()
}

/// The filters of a request, as operator and time, and its offset.
type PageStart = (Vec<(String, Timestamp)>, u64);

fn next_page(walk: &dyn Walk) -> Option<PageStart> {
    let body = walk.next_request()?.body.unwrap();
    let filters = body["filters"].as_array().unwrap().iter().map(|filter| {
        assert_eq!((&filter["field"], &filter["data_type"]), (&json!("updated_at"), &json!("date")));
        let time = time(filter["value"]["date"].as_str().unwrap());
        (filter["operator"].as_str().unwrap().to_owned(), time)
    });
    Some((filters.collect(), body["offset"].as_u64().unwrap()))
}

fn after(time: Timestamp) -> PageStart {
    (vec![("after".to_owned(), time)], 0)
}

#[test]
fn the_first_request() {
    let request = walk(WalkStart::default()).next_request().unwrap();
    let body = json!({
        "status": "published", "limit": 1000, "offset": 0, "filters": [],
        "sort": [{"field": "updated_at", "direction": "asc"}, {"field": "id", "direction": "asc"}],
    });
    let path = "/v1/customers/search".to_owned();
    assert_eq!(request, ApiRequest { method: ApiMethod::Post, path, headers: vec![], body: Some(body) });
}

#[test]
fn a_request_for_what_was_deleted_within_a_time_in_one_environment() {
    let start = WalkStart {
        since: Some(time("2026-11-01T00:00:00Z")),
        until: Some(time("2026-11-02T00:00:00Z")),
        account: Some(Id::new("env_1".to_owned()).unwrap()),
        scope: WalkScope::Deleted,
        ..WalkStart::default()
    };
    let request = walk(start).next_request().unwrap();
    let filter = |operator: &str, date: &str| json!({"field": "updated_at", "operator": operator, "data_type": "date", "value": {"date": date}});
    let filters = [filter("after", "2026-10-31T23:59:59.999000Z"), filter("before", "2026-11-02T00:00:00.000000Z")];
    let body = request.body.unwrap();
    assert_eq!((&body["status"], &body["filters"]), (&json!("archived"), &json!(filters)));
    assert_eq!(request.headers, [("X-Environment-ID", "env_1".to_owned())]);
}

#[rstest]
#[case(None, None, (vec![], 0))]
#[case(Some(micros(5000)), None, after(micros(4000)))]
#[case(Some(micros(5000)), Some(Position::Time(micros(7000))), after(micros(6000)))]
#[case(Some(micros(5000)), Some(Position::Page(3)), after(micros(4000)))]
fn an_interrupted_walk_continues_at_its_position(
    #[case] since: Option<Timestamp>,
    #[case] position: Option<Position>,
    #[case] expected: PageStart,
) {
    assert_eq!(next_page(&*walk(WalkStart { since, position, ..WalkStart::default() })), Some(expected));
}

/// With an offset, the record that takes the place of a changed one would be skipped.
#[test]
fn the_next_page_starts_at_a_time_instead_of_an_offset() {
    let mut walk = walk(WalkStart::default());
    let [a, b, c, d] = [(1, 0), (2, 5000), (3, 9000), (4, 12_000)].map(|(id, at)| customer(id, micros(at)));
    let first = walk.read(&page(&[a, b, c.clone()], 4, 3)).unwrap();
    assert_eq!((ids(&first), first.total), (vec!["001", "002", "003"], Some(4)));
    assert_eq!(first.position, Some(Position::Time(micros(9000))));
    assert_eq!(first.account, Id::new("env_1".to_owned()).ok());
    assert_eq!(next_page(&*walk), Some(after(micros(8000))));
    let last = walk.read(&page(&[c, d], 2, 3)).unwrap();
    assert_eq!((ids(&last), last.total, last.position), (vec!["004"], Some(4), Some(Position::Time(micros(12_000)))));
    assert_eq!((next_page(&*walk), walk.completeness()), (None, Ok(())));
}

/// A page whose records changed within the margin of a millisecond leaves only an offset, with one record in ten again.
#[rstest]
#[case(&[0, 1000], after(micros(0)))]
#[case(&[1, 1000], (vec![], 1))]
#[case(&[7, 7], (vec![], 1))]
#[case(&[0; 20], (vec![], 18))]
#[case(&[0; 29], (vec![], 27))]
#[case(&[0; 30], (vec![], 27))]
fn only_within_the_margin_offsets_lead_further(#[case] times: &[u32], #[case] expected: PageStart) {
    let mut walk = walk(WalkStart::default());
    let items: Vec<_> = (0..).zip(times).map(|(id, time)| customer(id, micros(*time))).collect();
    walk.read(&page(&items, 100, times.len())).unwrap();
    assert_eq!(next_page(&*walk), Some(expected));
}

/// A page without a record of the page before shows that records have moved, so some may be missing in between.
#[test]
fn a_walk_whose_pages_do_not_overlap_goes_back() {
    let mut walk = walk(WalkStart::default());
    let customers: Vec<_> = (0..8).map(|id| customer(id, micros(7))).collect();
    walk.read(&page(&customers[..3], 8, 3)).unwrap();
    assert_eq!(next_page(&*walk), Some((vec![], 2)));
    let moved = walk.read(&page(&customers[3..6], 7, 3)).unwrap();
    assert_eq!((ids(&moved), moved.position), (vec![], Some(Position::Time(micros(7)))));
    assert_eq!(next_page(&*walk), Some(after(micros(7) - SignedDuration::from_millis(1))));
}

#[test]
fn a_walk_whose_pages_never_overlap_ends_incomplete() {
    let mut walk = walk(WalkStart::default());
    let customers: Vec<_> = (0..8).map(|id| customer(id, micros(7))).collect();
    let mut pages = 0;
    while let Some(request) = walk.next_request().filter(|_| pages < 100) {
        let offset = request.body.unwrap()["offset"].as_u64().unwrap();
        let items = if offset == 0 { &customers[..3] } else { &customers[3..6] };
        walk.read(&page(items, 8, 3)).unwrap();
        pages += 1;
    }
    assert_eq!(pages, 22);
    assert_eq!(walk.completeness(), Err("records that changed at the same time kept changing during the walk"));
}

#[test]
fn a_walk_whose_offsets_are_ignored_ends_incomplete() {
    let mut walk = walk(WalkStart::default());
    let customers: Vec<_> = (0..3).map(|id| customer(id, micros(7))).collect();
    let mut pages = 0;
    while walk.next_request().is_some() && pages < 100 {
        walk.read(&page(&customers, 8, 3)).unwrap();
        pages += 1;
    }
    assert_eq!(pages, 22);
    assert_eq!(walk.completeness(), Err("records that changed at the same time kept changing during the walk"));
}

/// The last page has fewer records than the total promises, whatever is tried.
#[test]
fn a_list_that_ends_early_is_incomplete() {
    let mut walk = walk(WalkStart::default());
    assert_eq!(walk.completeness(), Err("the walk has not reached its end"));
    let (mut returned, mut pages) = (vec![], 0);
    while walk.next_request().is_some() && pages < 100 {
        pages += 1;
        let page = walk.read(&page(&[customer(1, micros(8500)), customer(2, micros(9000))], 3, 1000)).unwrap();
        returned.extend(ids(&page).into_iter().map(str::to_owned));
    }
    assert_eq!((returned, pages), (vec!["001".to_owned(), "002".to_owned()], 11));
    assert_eq!(walk.completeness(), Err("the list ended before its total was reached"));
}

/// The total was counted before a record was deleted, which the next answer shows.
#[test]
fn an_end_that_was_early_only_once_is_complete() {
    let mut walk = walk(WalkStart::default());
    walk.read(&page(&[customer(1, micros(0))], 2, 1000)).unwrap();
    assert_eq!(next_page(&*walk), Some(after(micros(0) - SignedDuration::from_millis(1))));
    walk.read(&page(&[customer(1, micros(0))], 1, 1000)).unwrap();
    assert_eq!((next_page(&*walk), walk.completeness()), (None, Ok(())));
}

#[test]
fn an_empty_list_is_complete() {
    let mut walk = walk(WalkStart::default());
    let page = walk.read(&page(&[], 0, 1000)).unwrap();
    assert_eq!((ids(&page), &page.account, page.total, page.position), (vec![], &None, Some(0), None));
    assert_eq!((next_page(&*walk), walk.completeness()), (None, Ok(())));
}

/// Records that are not understood do not stop the walk.
#[test]
fn records_without_an_id_or_a_time_are_listed_with_the_others() {
    let mut walk = walk(WalkStart::default());
    let without_time = record(&json!({"id": "cust_9", "updated_at": null}));
    let items = [json!(7), without_time, customer(1, micros(0)), json!({}), customer(2, micros(4000))];
    let page = walk.read(&page(&items, 6, 5)).unwrap();
    let kinds = page.listed.iter().map(|listed| matches!(listed, Listed::Customer(_)));
    assert_eq!(kinds.collect::<Vec<_>>(), [false, false, true, false, true]);
    assert_eq!(next_page(&*walk), Some(after(micros(3000))));
}

/// An archived record is never imported, whichever filter was asked for.
#[rstest]
fn archived_records_are_deleted_customers(#[values(WalkScope::Customers, WalkScope::Deleted)] scope: WalkScope) {
    let mut walk = walk(WalkStart { scope, ..WalkStart::default() });
    let archived = record(&json!({"status": "archived"}));
    let page = walk.read(&page(&[archived], 1, 1000)).unwrap();
    let [Listed::Deleted { key, deleted_at }] = &page.listed[..] else { panic!("{:?}", page.listed) };
    assert_eq!(key.to_string(), "flexprice#env_1#cust_1");
    assert_eq!(*deleted_at, Some("2026-11-02T11:00:00.5Z".parse().unwrap()));
}

#[rstest]
#[case(401, json!({"error": "Unauthorized"}), ListingError::Denied)]
#[case(403, json!({"error": "Access denied"}), ListingError::Denied)]
#[case(429, json!({"code": "too_many_requests"}), ListingError::Temporary("status 429".into()))]
#[case(500, json!(null), ListingError::Temporary("status 500".into()))]
#[case(503, json!({"items": []}), ListingError::Temporary("status 503".into()))]
#[case(400, json!({"code": "validation_error"}), ListingError::Refused("status 400".into()))]
#[case(404, json!({"code": "not_found"}), ListingError::Refused("status 404".into()))]
#[case(301, json!(null), ListingError::Refused("status 301".into()))]
#[case(200, json!([]), ListingError::Unexpected("pagination.total"))]
#[case(200, json!({"items": []}), ListingError::Unexpected("pagination.total"))]
#[case(200, json!({"items": [], "pagination": {"total": "3", "limit": 9}}), ListingError::Unexpected("pagination.total"))]
#[case(200, json!({"items": [], "pagination": {"total": -1, "limit": 9}}), ListingError::Unexpected("pagination.total"))]
#[case(200, json!({"items": [], "pagination": {"total": 3}}), ListingError::Unexpected("pagination.limit"))]
#[case(200, json!({"items": [], "pagination": {"total": 3, "limit": 1}}), ListingError::Unexpected("pagination.limit"))]
#[case(200, json!({"pagination": {"total": 3, "limit": 9}}), ListingError::Unexpected("items"))]
#[case(200, json!({"items": null, "pagination": {"total": 0, "limit": 9}}), ListingError::Unexpected("items"))]
#[case(200, json!({"items": {}, "pagination": {"total": 0, "limit": 9}}), ListingError::Unexpected("items"))]
fn after_an_error_the_walk_stays_where_it_is(#[case] status: u16, #[case] body: Value, #[case] expected: ListingError) {
    let mut walk = walk(WalkStart::default());
    walk.read(&page(&[customer(1, micros(0)), customer(2, micros(9000))], 3, 2)).unwrap();
    let request = walk.next_request();
    assert_eq!(walk.read(&answer(status, &body)).unwrap_err(), expected);
    assert_eq!(walk.next_request(), request);
    walk.read(&page(&[customer(2, micros(9000))], 1, 2)).unwrap();
    assert_eq!(walk.completeness(), Ok(()));
}

#[rstest]
#[case(b"<html>")]
#[case(b"")]
#[case(b"\xff")]
fn an_answer_that_is_not_json(#[case] body: &[u8]) {
    let answer = ApiAnswer { status: 200, date: None, retry_after: None, body: body.to_vec() };
    assert_eq!(walk(WalkStart::default()).read(&answer).unwrap_err(), ListingError::Unexpected("the body"));
}

/// Flexprice drops what it does not understand of a request without an error. The walk would skip records then.
#[rstest]
#[case(&[5000, 4000], "the order by updated_at")]
#[case(&[4000, 6000, 4001], "the order by updated_at")]
#[case(&[2998, 6000], "the filter by updated_at")]
#[case(&[4000, 8001], "the filter by updated_at")]
fn a_server_that_ignores_filters_or_order_is_noticed(#[case] times: &[u32], #[case] name: &'static str) {
    let (since, until) = (Some(micros(5000)), Some(micros(7000)));
    let mut walk = walk(WalkStart { since, until, ..WalkStart::default() });
    let items: Vec<_> = (0..).zip(times).map(|(id, time)| customer(id, micros(*time))).collect();
    assert_eq!(walk.read(&page(&items, 9, 9)).unwrap_err(), ListingError::Unexpected(name));
}
