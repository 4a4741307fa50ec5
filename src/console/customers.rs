//! Finding customers, and one customer with its explanation.

use std::ops::ControlFlow;
use std::sync::Arc;

use anyhow::Result;
use axum::Router;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::routing::get;
use clientele_model::email_key;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::problem::{Problem, limit};
use super::{Answer, Shown, ShownStack};
use crate::customer_search::{CustomerFilter, NewestCustomers};
use crate::erasure_state::ErasureState;
use crate::explanation;

/// How many customers are returned if the request does not say.
const LIMIT: usize = 50;
const LIMIT_MAX: usize = 1_000;
/// How many customers are read for a search that no index can answer. A table may have millions.
const READ_MAX: usize = 10_000;
/// How many other items of the same person are returned.
const SAME_PERSON_MAX: usize = 20;
/// The attributes of an item that a list shows.
const SUMMARY: [&str; 10] =
    ["pk", "provider", "account", "customer_id", "external_id", "status", "name", "email", "updated_at", "deleted_at"];

pub(super) fn router(stack: Arc<ShownStack>) -> Router {
    Router::new().route("/customers", get(search)).route("/customers/{pk}", get(one)).with_state(stack)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Search {
    email: Option<String>,
    external_id: Option<String>,
    name: Option<String>,
    provider: Option<String>,
    limit: Option<String>,
}

async fn search(State(stack): Shown, query: Result<Query<Search>, QueryRejection>) -> Answer {
    let Ok(Query(search)) = query else {
        let sentence = "Search by email, external_id, name or provider, each at most once, with a limit.";
        return Err(Problem::Invalid(sentence.to_owned()));
    };
    let limit = limit(search.limit.as_deref(), LIMIT, LIMIT_MAX)?;
    let email_key = match search.email.as_deref().map(email_key) {
        Some(None) => return Err(Problem::Invalid("The e-mail address is blank.".to_owned())),
        key => key.flatten(),
    };
    let Search { external_id, name, provider, .. } = search;
    if external_id.as_deref() == Some("") {
        return Err(Problem::Invalid("The external id is empty.".to_owned()));
    }
    let filter = CustomerFilter { provider, email_key, external_id, name, ..CustomerFilter::default() };
    let found = find(&stack, &filter, limit).await.map_err(|_| unreachable(&stack))?;
    Ok(super::respond(StatusCode::OK, &found))
}

/// The customers, and whether all of them are among those that were read.
async fn find(stack: &ShownStack, filter: &CustomerFilter, limit: usize) -> Result<Value> {
    let (table, mut newest) = (stack.table(), NewestCustomers::new(limit));
    let (mut read, mut is_complete) = (0, true);
    if filter.external_id.is_some() || filter.email_key.is_some() {
        let found = table.search(filter, limit, |_| {}).await?;
        return Ok(json!({ "items": summaries(&found.items), "total": found.total, "is_complete": true }));
    }
    let wanted: Vec<_> = filter.provider.as_deref().map(|provider| ("provider", provider)).into_iter().collect();
    let visit = |items: Vec<Value>, read_now| {
        items.into_iter().filter(|item| filter.matches(item)).for_each(|item| newest.add(item));
        read += read_now;
        is_complete = read < READ_MAX;
        if is_complete { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    };
    table.scan_pages(&wanted, visit).await?;
    let found = newest.into_found();
    let items = summaries(&found.items);
    Ok(json!({ "items": items, "total": found.total, "read": read, "is_complete": is_complete }))
}

async fn one(State(stack): Shown, path: Result<Path<String>, PathRejection>) -> Answer {
    let Ok(Path(pk)) = path else { return Err(Problem::Invalid("The key of the customer is not text.".to_owned())) };
    let item = stack.table().item(&pk).await.map_err(|_| unreachable(&stack))?;
    let item = item.ok_or_else(|| Problem::NotFound(format!("There is no customer with the key {pk}.")))?;
    let others = same_person(&stack, &item).await.map_err(|_| unreachable(&stack))?;
    let answer = json!({
        "why": explanation::why(&item, Timestamp::now()),
        "erasure": ErasureState::of(&item, &stack.erasure_systems).to_json(),
        "same_person": others,
        "item": item,
    });
    Ok(super::respond(StatusCode::OK, &answer))
}

/// The other items with the same external id or e-mail, each with which of them it has.
async fn same_person(stack: &ShownStack, item: &Value) -> Result<Vec<Value>> {
    let mut others = stack.table().items_of_same_person(item).await?;
    others.truncate(SAME_PERSON_MAX);
    let with_same = |other: &Value| {
        let mut summary = summary(other);
        let same =
            ["external_id", "email"].into_iter().filter(|name| item[name].is_string() && other[name] == item[name]);
        summary["same"] = same.collect();
        summary
    };
    Ok(others.iter().map(with_same).collect())
}

fn summaries(items: &[Value]) -> Vec<Value> {
    items.iter().map(summary).collect()
}

fn summary(item: &Value) -> Value {
    let attribute = |name: &&str| Some(((*name).to_owned(), item.get(*name)?.clone()));
    Value::Object(SUMMARY.iter().filter_map(attribute).collect::<Map<_, _>>())
}

fn unreachable(stack: &ShownStack) -> Problem {
    Problem::Unreachable(format!("The customers' table cannot be read. {}", stack.advice()))
}
