//! Requests to Plain's GraphQL API, and what all of its answers have in common
//! (<https://www.plain.com/docs/graphql/introduction>, <https://www.plain.com/docs/graphql/error-handling>).

use clientele_model::{ApiAnswer, ApiMethod, ApiRequest, Id, ListingError, parse_json};
use serde_json::{Value, json};

/// The path of every request.
pub(crate) const PATH: &str = "/graphql/v1";

pub(crate) fn request(query: &str, variables: &Value) -> ApiRequest {
    let body = json!({ "query": query, "variables": variables });
    ApiRequest { method: ApiMethod::Post, path: PATH.to_owned(), headers: vec![], body: Some(body) }
}

/// The `data` of an answer without errors. A query that fails has `null` where it would have a result, so nothing may be
/// read from `data` if there are errors.
pub(crate) fn data(answer: &ApiAnswer) -> Result<Value, ListingError> {
    ListingError::of_status(answer)?;
    let mut answer = parse_json(&answer.body).ok_or(ListingError::Unexpected("the JSON body"))?;
    match answer.get("errors") {
        None | Some(Value::Null) => {}
        Some(errors) => return Err(error(errors)),
    }
    match answer.get_mut("data").map(Value::take) {
        Some(data @ Value::Object(_)) => Ok(data),
        _ => Err(ListingError::Unexpected("data")),
    }
}

/// The workspace that the API key belongs to.
pub(crate) fn workspace(data: &Value) -> Result<Id, ListingError> {
    let id = data.pointer("/myWorkspace/id").and_then(Value::as_str);
    id.and_then(|id| Id::new(id.to_owned()).ok()).ok_or(ListingError::Unexpected("data.myWorkspace.id"))
}

/// What the errors mean together. A request is sent again only if every one of them may be temporary.
fn error(errors: &Value) -> ListingError {
    let mut codes: Vec<&str> = errors.as_array().into_iter().flatten().map(code).collect();
    if codes.iter().any(|code| matches!(*code, "UNAUTHENTICATED" | "FORBIDDEN")) {
        return ListingError::Denied;
    }
    let temporary = codes.len();
    codes.retain(|code| *code != "INTERNAL_SERVER_ERROR");
    match codes.first() {
        Some(code) => ListingError::Refused((*code).to_owned()),
        None if temporary > 0 => ListingError::Temporary("INTERNAL_SERVER_ERROR".to_owned()),
        None => ListingError::Refused(UNKNOWN_CODE.to_owned()),
    }
}

const UNKNOWN_CODE: &str = "an error without a code";
/// More than twice as long as the longest documented code.
const CODE_BYTES_MAX: usize = 64;

/// The code of an error. The message is never used, because it can quote the request.
fn code(error: &Value) -> &str {
    let is_code = |text: &&str| {
        (1..=CODE_BYTES_MAX).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_uppercase() || b == b'_')
    };
    error.pointer("/extensions/code").and_then(Value::as_str).filter(is_code).unwrap_or(UNKNOWN_CODE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn answer(status: u16, body: &str) -> ApiAnswer {
        ApiAnswer { status, date: None, retry_after: None, body: body.into() }
    }

    fn temporary(what: &str) -> ListingError {
        ListingError::Temporary(what.into())
    }

    fn refused(what: &str) -> ListingError {
        ListingError::Refused(what.into())
    }

    #[rstest]
    #[case(401, "", ListingError::Denied)]
    #[case(403, r#"{"data":{}}"#, ListingError::Denied)]
    #[case(400, r#"{"errors":[{"extensions":{"code":"BAD_USER_INPUT"}}]}"#, refused("status 400"))]
    #[case(404, "", refused("status 404"))]
    #[case(429, "", temporary("status 429"))]
    #[case(500, "", temporary("status 500"))]
    #[case(200, "", ListingError::Unexpected("the JSON body"))]
    #[case(200, "<html></html>", ListingError::Unexpected("the JSON body"))]
    #[case(200, "[]", ListingError::Unexpected("data"))]
    #[case(200, "{}", ListingError::Unexpected("data"))]
    #[case(200, r#"{"data":null}"#, ListingError::Unexpected("data"))]
    #[case(200, r#"{"data":[]}"#, ListingError::Unexpected("data"))]
    fn an_answer_without_data(#[case] status: u16, #[case] body: &str, #[case] error: ListingError) {
        assert_eq!(data(&answer(status, body)), Err(error));
    }

    #[rstest]
    #[case(&["UNAUTHENTICATED"], ListingError::Denied)]
    #[case(&["FORBIDDEN"], ListingError::Denied)]
    #[case(&["INTERNAL_SERVER_ERROR", "FORBIDDEN"], ListingError::Denied)]
    #[case(&["INTERNAL_SERVER_ERROR"], temporary("INTERNAL_SERVER_ERROR"))]
    #[case(&["INTERNAL_SERVER_ERROR", "INTERNAL_SERVER_ERROR"], temporary("INTERNAL_SERVER_ERROR"))]
    #[case(&["INTERNAL_SERVER_ERROR", "BAD_USER_INPUT"], refused("BAD_USER_INPUT"))]
    #[case(&["GRAPHQL_PARSE_FAILED"], refused("GRAPHQL_PARSE_FAILED"))]
    #[case(&["GRAPHQL_VALIDATION_FAILED"], refused("GRAPHQL_VALIDATION_FAILED"))]
    #[case(&["ada@example.com"], refused(UNKNOWN_CODE))]
    #[case(&[""], refused(UNKNOWN_CODE))]
    fn errors_in_an_answer_with_data(#[case] codes: &[&str], #[case] error: ListingError) {
        let errors = |code: &&str| json!({ "message": "Ada Lovelace", "extensions": { "code": code } });
        let body = json!({ "data": { "customer": null }, "errors": codes.iter().map(errors).collect::<Vec<_>>() });
        assert_eq!(data(&answer(200, &body.to_string())), Err(error));
    }

    #[rstest]
    #[case(json!([]))]
    #[case(json!({}))]
    #[case(json!("Forbidden"))]
    #[case(json!([{ "message": "Ada Lovelace" }]))]
    #[case(json!([null]))]
    #[case(json!([{ "extensions": { "code": 7 } }]))]
    fn errors_without_a_code(#[case] errors: Value) {
        let body = json!({ "data": { "customer": null }, "errors": errors }).to_string();
        assert_eq!(data(&answer(200, &body)), Err(refused(UNKNOWN_CODE)));
    }

    #[rstest]
    #[case(r#"{"data":{"a":1}}"#)]
    #[case(r#"{"data":{"a":1},"errors":null,"extensions":{}}"#)]
    fn an_answer_with_data(#[case] body: &str) {
        assert_eq!(data(&answer(200, body)), Ok(json!({ "a": 1 })));
    }

    #[rstest]
    #[case(json!({}))]
    #[case(json!({ "myWorkspace": null }))]
    #[case(json!({ "myWorkspace": { "id": 7 } }))]
    #[case(json!({ "myWorkspace": { "id": " " } }))]
    fn an_answer_without_a_workspace(#[case] data: Value) {
        assert_eq!(workspace(&data), Err(ListingError::Unexpected("data.myWorkspace.id")));
    }
}
