mod changing_list;

use clientele_model::{ChangeKind, Listed, SampleEvent, Untranslatable, Verb};
use rstest::rstest;

use super::*;
use crate::list_stand_in::LIST_STAND_IN;

/// When the walks of these tests begin, before the first request.
const NOW: &str = "2026-11-20T12:00:00.000Z";

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn sample(number: u32, name: &str, changed_at: Timestamp) -> Value {
    let change = ChangeKind::Snapshot(Verb::Updated);
    let event = SampleEvent { customer_id: format!("c_{number:03}"), name: name.into(), change, changed_at, number };
    (LIST_STAND_IN.record)(&event)
}

/// An answer with these customers, of as many as the slice has.
fn answer(customers: &[Value], counted: u64, next_cursor: Option<&str>) -> ApiAnswer {
    let edges: Vec<Value> = customers.iter().map(|customer| json!({ "node": customer })).collect();
    let page_info = json!({ "hasNextPage": next_cursor.is_some(), "endCursor": next_cursor });
    answer_of(&json!({
        "myWorkspace": { "id": "w_1" },
        "customers": { "totalCount": counted, "pageInfo": page_info, "edges": edges },
    }))
}

fn answer_of(data: &Value) -> ApiAnswer {
    ApiAnswer { status: 200, date: None, retry_after: None, body: json!({ "data": data }).to_string().into() }
}

fn walk() -> SliceWalk {
    SliceWalk::new(&WalkStart { now: at(NOW), ..WalkStart::default() })
}

fn variables(walk: &SliceWalk) -> Value {
    walk.next_request().unwrap().body.unwrap()["variables"].clone()
}

const OLD: &str = "2026-11-01T00:00:00.000Z";

#[test]
fn slices_are_halved_until_they_are_small_enough_and_grow_again() {
    let mut walk =
        SliceWalk::new(&WalkStart { since: Some(at("2026-11-20T00:00:00Z")), now: at(NOW), ..WalkStart::default() });
    let customers = [sample(1, "Ada", at("2026-11-20T00:00:00Z"))];
    let slices = [
        (1_001, Some("2026-11-20T00:00:00Z"), None),
        (1_001, Some("2026-11-20T00:00:00Z"), Some("2026-11-20T06:00:00Z")),
        (1, Some("2026-11-20T00:00:00Z"), Some("2026-11-20T03:00:00Z")),
        (1, Some("2026-11-20T03:00:00Z"), Some("2026-11-20T09:00:00Z")),
        (1, Some("2026-11-20T09:00:00Z"), None),
    ];
    for (counted, after, before) in slices {
        let sent = variables(&walk);
        let bounds = ["after", "before"].map(|name| sent["updatedAt"].get(name).and_then(Value::as_str));
        assert_eq!(bounds, [after, before]);
        assert_eq!((&sent["first"], sent.get("after")), (&json!(100), None));
        let page = walk.read(&answer(&customers, counted, None)).unwrap();
        // What is too much for a slice is read again in parts, so it is not returned.
        assert_eq!((page.listed.len(), page.total), (usize::from(counted == 1), Some(1_001)));
        let next = walk.slice.and_then(|slice| slice.start).map(Position::Time);
        assert_eq!(page.position, next.filter(|_| counted == 1));
    }
    assert_eq!((walk.next_request(), walk.completeness()), (None, Ok(())));
}

#[test]
fn the_first_request_for_all_customers_has_no_filter() {
    assert_eq!(variables(&walk()), json!({ "first": 100 }));
}

/// However many customers changed within a millisecond.
#[test]
fn a_slice_of_a_millisecond_is_not_halved() {
    let since = Some(at(OLD));
    let until = Some(at("2026-11-01T00:00:00.001Z"));
    let mut walk = SliceWalk::new(&WalkStart { since, until, now: at(NOW), ..WalkStart::default() });
    let page = walk.read(&answer(&[sample(1, "Ada", at(OLD))], 5_000, Some("cursor"))).unwrap();
    assert_eq!((page.listed.len(), &variables(&walk)["after"]), (1, &json!("cursor")));
}

#[test]
fn a_list_that_ends_early_is_incomplete_and_continues_at_the_slice_that_lacks_customers() {
    let customers = [sample(1, "Ada", at(OLD)), sample(2, "Bo", at(OLD))];
    let mut walk = walk();
    for _ in 0..3 {
        walk.read(&answer(&customers, 1_001, None)).unwrap();
    }
    let read = |walk: &mut SliceWalk, counted| walk.read(&answer(&customers, counted, None)).unwrap().position;
    let position = read(&mut walk, 2);
    let lacking = walk.slice.unwrap();
    assert_eq!(position, lacking.start.map(Position::Time));
    for _ in 0..READS_MAX {
        assert_eq!((walk.slice, walk.completeness()), (Some(lacking), Err(NOT_AT_THE_END)));
        assert_eq!(read(&mut walk, 3), None);
    }
    // The rest of the list is read, too.
    assert_eq!(walk.slice.unwrap().start, lacking.end);
    while walk.next_request().is_some() {
        assert_eq!(read(&mut walk, 2), None);
    }
    assert_eq!(walk.completeness(), Err(FEWER_THAN_COUNTED));
}

#[test]
fn a_slice_that_is_whole_when_it_is_read_again_is_complete() {
    let mut walk = walk();
    let [ada, bo] = [sample(1, "Ada", at(OLD)), sample(2, "Bo", at(OLD))];
    walk.read(&answer(std::slice::from_ref(&ada), 2, None)).unwrap();
    walk.read(&answer(&[ada, bo], 2, None)).unwrap();
    assert_eq!((walk.next_request(), walk.completeness()), (None, Ok(())));
}

/// A customer who is renamed between two pages can be on both of them.
#[test]
fn a_customer_who_comes_twice_does_not_stand_for_another_one() {
    let until = Some(at(NOW));
    let mut walk = SliceWalk::new(&WalkStart { until, now: at(NOW), ..WalkStart::default() });
    let ada = [sample(1, "Ada", at(OLD))];
    walk.read(&answer(&ada, 2, Some("cursor"))).unwrap();
    walk.read(&answer(&ada, 2, None)).unwrap();
    assert_eq!(walk.completeness(), Err(NOT_AT_THE_END));
}

fn page_info(end_cursor: Option<&str>) -> Value {
    json!({ "hasNextPage": true, "endCursor": end_cursor })
}

#[rstest]
#[case::no_workspace(json!({ "myWorkspace": null }), "data.myWorkspace.id")]
#[case::no_customers(json!({ "customers": null }), "data.customers.totalCount")]
#[case::no_total(json!({ "customers": { "totalCount": null } }), "data.customers.totalCount")]
#[case::negative_total(json!({ "customers": { "totalCount": -1 } }), "data.customers.totalCount")]
#[case::no_page_info(json!({ "customers": { "pageInfo": null } }), "data.customers.pageInfo.hasNextPage")]
#[case::no_flag(json!({ "customers": { "pageInfo": json!({ "hasNextPage": "no" }) } }), "data.customers.pageInfo.hasNextPage")]
#[case::no_cursor(json!({ "customers": { "pageInfo": page_info(None) } }), "data.customers.pageInfo.endCursor")]
#[case::same_cursor(json!({ "customers": { "pageInfo": page_info(Some("Ada")) } }), "data.customers.pageInfo.endCursor")]
#[case::no_edges(json!({ "customers": { "edges": null } }), "data.customers.edges")]
#[case::empty_page_before_others(
    json!({ "customers": { "pageInfo": page_info(Some("Bo")), "edges": [] } }),
    "data.customers.edges"
)]
#[case::no_node(json!({ "customers": { "edges": [{}] } }), "data.customers.edges.node")]
#[case::no_object(json!({ "customers": { "edges": [{ "node": "Ada" }] } }), "data.customers.edges.node")]
fn an_unexpected_answer_leaves_the_walk_where_it_is(#[case] change: Value, #[case] what: &'static str) {
    let mut walk = SliceWalk::new(&WalkStart { until: Some(at(NOW)), now: at(NOW), ..WalkStart::default() });
    walk.read(&answer(&[sample(1, "Ada", at(OLD))], 2, Some("Ada"))).unwrap();
    let request = walk.next_request();
    let last_page = answer(&[sample(2, "Bo", at(OLD))], 2, None);
    let mut body: Value = serde_json::from_slice(&last_page.body).unwrap();
    merge(&mut body["data"], &change);
    assert_eq!(walk.read(&answer_of(&body["data"])).map(drop), Err(ListingError::Unexpected(what)));
    assert_eq!((walk.next_request(), walk.completeness()), (request, Err(NOT_AT_THE_END)));
    let page = walk.read(&last_page).unwrap();
    assert_eq!((page.listed.len(), walk.completeness()), (1, Ok(())));
}

fn merge(value: &mut Value, change: &Value) {
    match (value, change) {
        (Value::Object(fields), Value::Object(changes)) => {
            changes.iter().for_each(|(name, change)| merge(&mut fields[name.as_str()], change));
        }
        (value, change) => *value = change.clone(),
    }
}

#[test]
fn errors_leave_the_walk_where_it_is() {
    let mut walk = walk();
    let request = walk.next_request();
    let body = r#"{"data":null,"errors":[{"message":"x","extensions":{"code":"INTERNAL_SERVER_ERROR"}}]}"#;
    let error = walk.read(&ApiAnswer { status: 200, date: None, retry_after: None, body: body.into() }).map(drop);
    assert_eq!(error, Err(ListingError::Temporary("INTERNAL_SERVER_ERROR".into())));
    assert_eq!((walk.next_request(), walk.completeness()), (request, Err(NOT_AT_THE_END)));
}

/// Records without an id or a time are reported, and the rest is read.
#[test]
fn a_record_that_is_not_understood_does_not_end_the_walk() {
    let mut broken = sample(1, "Ada", at(OLD));
    broken["updatedAt"] = Value::Null;
    let mut without_id = sample(2, "Bo", at(OLD));
    without_id["id"] = Value::Null;
    let mut walk = walk();
    let page = walk.read(&answer(&[broken, without_id, sample(3, "Cleo", at(OLD))], 3, None)).unwrap();
    let untranslatable = |id: Option<&str>, reason| Listed::Untranslatable {
        customer_id: id.map(|id| Id::new(id.into()).unwrap()),
        reason,
    };
    assert_eq!(page.listed[0], untranslatable(Some("c_001"), Untranslatable::Missing("updatedAt")));
    assert_eq!(page.listed[1], untranslatable(None, Untranslatable::Missing("customer.id")));
    assert!(matches!(page.listed[2], Listed::Customer(_)));
    assert_eq!((page.account, walk.completeness()), (Some(Id::new("w_1".into()).unwrap()), Ok(())));
}

#[test]
fn nothing_that_is_shown_or_saved_contains_a_name() {
    let customers: Vec<Value> = (1..4).map(|number| sample(number, "Ada", at(OLD))).collect();
    let mut walk = walk();
    let mut has_cursor = false;
    while let Some(request) = walk.next_request() {
        has_cursor |= request.body.as_ref().unwrap().to_string().contains("Ada");
        let page = walk.read(&(LIST_STAND_IN.answer)(&customers, &request, 1)).unwrap();
        let error = walk.read(&answer(&[], 1, Some("Ada"))).unwrap_err();
        let shown = format!("{request:?} {page:?} {error:?} {error} {:?}", page.position);
        assert!(!shown.contains("Ada") && !shown.contains("c_00"), "{shown}");
    }
    assert!(has_cursor);
}

#[test]
fn deleted_customers_are_not_listed() {
    let walk = SliceWalk::new(&WalkStart { scope: WalkScope::Deleted, now: at(NOW), ..WalkStart::default() });
    assert_eq!((walk.next_request(), walk.completeness()), (None, Err(NOT_LISTED)));
}
