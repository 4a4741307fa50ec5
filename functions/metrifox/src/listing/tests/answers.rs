use clientele_model::{
    ApiAnswer, ApiMethod, CustomerKey, Id, Listed, ListingError, Lookup, Position, Untranslatable, WalkStart,
};
use rstest::rstest;
use serde_json::{Value, json};

use super::super::PASSES_MAX;
use super::{api, walk};

fn answer(status: u16, body: &str) -> ApiAnswer {
    ApiAnswer { status, date: None, retry_after: None, body: body.into() }
}

fn page(meta: &Value, data: &Value) -> ApiAnswer {
    let body = json!({ "statusCode": 200, "message": "Customers Fetched", "meta": meta, "data": data, "errors": {} });
    answer(200, &body.to_string())
}

#[test]
fn requests() {
    let request = walk(&WalkStart::default()).next_request().unwrap();
    assert_eq!((request.method, &*request.path), (ApiMethod::Get, "/customers?page=1&per_page=100"));
    assert_eq!((request.headers, request.body), (vec![], None));
    assert_eq!((api().key_header)("k-1"), ("x-api-key", "k-1".to_owned()));
}

#[rstest]
#[case("3f8a1c70-5b2d", "/customers/3f8a1c70-5b2d")]
#[case("a/b", "/customers/a%2Fb")]
fn a_lookup_proves_nothing(#[case] id: &str, #[case] path: &str) {
    let [account, id] = ["t_1", id].map(|id| Id::new(id.into()).unwrap());
    let key = CustomerKey::new("metrifox", account, id).unwrap();
    assert_eq!((api().lookup)(&key).path, path);
    for (status, body) in [(200, r#"{"statusCode":200,"data":{"id":"1"}}"#), (404, "{}"), (200, "null")] {
        let lookup = (api().read_lookup)(&key, &answer(status, body));
        assert_eq!(lookup, Lookup::Unknown("Metrifox does not document what it answers about a deleted customer"));
    }
}

#[rstest]
#[case::wrong_key(401, "{}", ListingError::Denied)]
#[case::no_permission(403, "<html>", ListingError::Denied)]
#[case::throttled(429, "", ListingError::Temporary("status 429".into()))]
#[case::failure(500, r#"{"statusCode":500,"data":null}"#, ListingError::Temporary("status 500".into()))]
#[case::only_in_the_body(200, r#"{"statusCode":500,"data":[]}"#, ListingError::Temporary("status 500".into()))]
#[case::denied_in_the_body(200, r#"{"statusCode":401,"data":[]}"#, ListingError::Denied)]
#[case::wrong_url(404, r#"{"statusCode":404,"data":null}"#, ListingError::Refused("status 404".into()))]
#[case::refused(422, r#"{"errors":{"page":["is too large"]}}"#, ListingError::Refused("status 422".into()))]
#[case::not_json(200, "<html>", ListingError::Unexpected("the body"))]
#[case::not_an_object(200, "[]", ListingError::Unexpected("meta.total_count"))]
fn errors(#[case] status: u16, #[case] body: &str, #[case] error: ListingError) {
    check_error(&answer(status, body), &error);
}

#[rstest]
#[case(json!({"current_page": 1, "next_page": null}), json!([]), "meta.total_count")]
#[case(json!({"total_count": -1, "current_page": 1, "next_page": null}), json!([]), "meta.total_count")]
#[case(json!({"total_count": 0, "next_page": null}), json!([]), "meta.current_page")]
#[case(json!({"total_count": 0, "current_page": 2, "next_page": null}), json!([]), "meta.current_page")]
#[case(json!({"total_count": 0, "current_page": 1}), json!([]), "meta.next_page")]
#[case(json!({"total_count": 9, "current_page": 1, "next_page": 1}), json!([]), "meta.next_page")]
#[case(json!({"total_count": 0, "current_page": 1, "next_page": null}), json!(null), "data")]
#[case(json!({"total_count": 0, "current_page": 1, "next_page": null}), json!({}), "data")]
fn differences_from_the_documentation(#[case] meta: Value, #[case] data: Value, #[case] name: &'static str) {
    check_error(&page(&meta, &data), &ListingError::Unexpected(name));
}

/// After an error, the walk stays where it is.
fn check_error(answer: &ApiAnswer, error: &ListingError) {
    let mut walk = walk(&WalkStart::default());
    let request = walk.next_request();
    assert_eq!(walk.read(answer).unwrap_err(), *error);
    assert_eq!(walk.next_request(), request);
    assert_eq!(walk.completeness(), Err("the list was not read to its end"));
}

/// Of a server that allows fewer records per page, with two records that are not understood.
#[test]
fn a_walk_of_two_passes() {
    let customer = |id: u32| json!({ "id": id, "updated_at": "2026-11-01T08:00:00Z", "email": "a@example.com" });
    let meta = |page: u64| {
        let next_page = (page == 1).then_some(2);
        json!({ "total_count": 4, "current_page": page, "next_page": next_page, "limit_value": 2 })
    };
    let pages = [
        page(&meta(1), &json!([customer(1), { "id": 2, "email": "a@example.com" }])),
        page(&meta(2), &json!([customer(3), "a text"])),
    ];
    let mut walk = walk(&WalkStart::default());
    let mut read = |answer: &ApiAnswer| {
        let page = walk.read(answer).unwrap();
        (page.listed, page.position, page.total, walk.next_request().map(|request| request.path))
    };
    let (first, second) = ("/customers?page=1&per_page=100".to_owned(), "/customers?page=2&per_page=100".to_owned());
    let (to_first, to_second) = (Some(Position::Page(1)), Some(Position::Page(2)));

    let (mut listed, position, total, next) = read(&pages[0]);
    let (id, reason) = (Id::new("2".into()).unwrap(), Untranslatable::PartialSnapshot("updated_at"));
    assert_eq!(listed.pop(), Some(Listed::Untranslatable { customer_id: Some(id), reason }));
    assert!(matches!(&listed[..], [Listed::Customer(_)]));
    assert_eq!((position, total, next), (to_second, Some(4), Some(second.clone())));

    let (mut listed, position, total, next) = read(&pages[1]);
    let reason = Untranslatable::Unreadable("a record");
    assert_eq!(listed.pop(), Some(Listed::Untranslatable { customer_id: None, reason }));
    assert!(matches!(&listed[..], [Listed::Customer(_)]));
    assert_eq!((position, total, next), (to_first, Some(4), Some(first)));

    assert_eq!(read(&pages[0]), (vec![], to_second, Some(4), Some(second)));
    assert_eq!(read(&pages[1]), (vec![], to_first, Some(4), None));
    assert_eq!(walk.completeness(), Ok(()));
}

#[test]
fn a_list_that_ends_early_is_incomplete() {
    let meta = json!({ "total_count": 2, "current_page": 1, "next_page": null });
    let answer = page(&meta, &json!([{ "id": 1, "updated_at": "2026-11-01T08:00:00Z", "email": "a@example.com" }]));
    let mut walk = walk(&WalkStart::default());
    let mut passes = 0;
    while walk.next_request().is_some() {
        walk.read(&answer).unwrap();
        passes += 1;
    }
    assert_eq!(passes, PASSES_MAX);
    assert_eq!(walk.completeness(), Err("the list did not return as many different customers as it says it has"));
}
