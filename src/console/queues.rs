//! The queues, and the quarantined deliveries.

use std::sync::Arc;

use aws_sdk_sqs::types::Message;
use axum::Router;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::routing::{get, post};
use serde::Deserialize;
use serde_json::json;

use super::problem::{Problem, limit};
use super::{Answer, Shown, ShownStack};
use crate::queue_browser::{QueueBrowser, id};
use crate::queue_depth::QueueDepth;
use crate::redrive::{HIDDEN_SECONDS, Settler, content, problem, summary};

/// How many quarantined deliveries are returned if the request does not say.
const LIMIT: usize = 100;
const LIMIT_MAX: usize = 1_000;

pub(super) fn router(stack: Arc<ShownStack>) -> Router {
    Router::new()
        .route("/queues", get(queues))
        .route("/quarantine", get(list))
        .route("/quarantine/{id}", get(one))
        .route("/quarantine/{id}/redrive", post(redrive))
        .with_state(stack)
}

async fn queues(State(stack): Shown) -> Answer {
    let mut queues = vec![];
    for (name, url) in &stack.queue_urls {
        let depth = QueueDepth::read(&stack.clients.sqs, url).await;
        let depth = depth.map_err(|_| unreachable(&stack, &format!("queue {name}")))?;
        let mut queue = json!(depth);
        queue["name"] = name.as_str().into();
        // Without the age, the numbers are still worth showing.
        queue["oldest_seconds"] = stack.oldest_messages.seconds(url, depth).await.ok().flatten().into();
        queues.push(queue);
    }
    Ok(super::respond(StatusCode::OK, &json!(queues)))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct List {
    limit: Option<String>,
}

async fn list(State(stack): Shown, query: Result<Query<List>, QueryRejection>) -> Answer {
    let Ok(Query(list)) = query else {
        return Err(Problem::Invalid("The only parameter is limit, at most once.".to_owned()));
    };
    let limit = limit(list.limit.as_deref(), LIMIT, LIMIT_MAX)?;
    let queue = quarantine(&stack);
    let messages = queue.look(limit, |_| true).await.map_err(|_| unreachable(&stack, "quarantine queue"))?;
    let summaries: Vec<_> = messages.iter().map(summary).collect();
    queue.put_back(&messages).await;
    Ok(super::respond(StatusCode::OK, &json!(summaries)))
}

async fn one(State(stack): Shown, path: Result<Path<String>, PathRejection>) -> Answer {
    let queue = quarantine(&stack);
    let message = find(&stack, &queue, path).await?;
    queue.put_back(std::slice::from_ref(&message)).await;
    let answer = json!({ "summary": summary(&message), "message": content(&message), "problem": problem(&message) });
    Ok(super::respond(StatusCode::OK, &answer))
}

/// Settles one message and deletes it if all of its events are settled.
async fn redrive(State(stack): Shown, path: Result<Path<String>, PathRejection>) -> Answer {
    let queue = quarantine(&stack);
    let message = find(&stack, &queue, path).await?;
    let settler = Settler::new(stack.clients.clone(), stack.resources.clone());
    let result = settler.settle(&message).await;
    if !result.is_settled() {
        queue.put_back(std::slice::from_ref(&message)).await;
    } else if queue.delete(&message).await.is_err() {
        let sentence = "The delivery is settled, but its message could not be deleted. Redrive it again: settling it a \
                        second time changes nothing.";
        return Err(Problem::Unreachable(sentence.to_owned()));
    }
    let outcomes: Vec<_> = result.outcomes.iter().map(|outcome| outcome.as_str()).collect();
    let answer = json!({ "is_settled": result.is_settled(), "outcomes": outcomes, "text": result.text });
    Ok(super::respond(StatusCode::OK, &answer))
}

async fn find(
    stack: &ShownStack,
    queue: &QueueBrowser,
    path: Result<Path<String>, PathRejection>,
) -> Result<Message, Problem> {
    let Ok(Path(wanted)) = path else { return Err(Problem::Invalid("The id of the message is not text.".to_owned())) };
    let found = queue.look(1, |message| id(message) == wanted).await;
    let found = found.map_err(|_| unreachable(stack, "quarantine queue"))?.into_iter().next();
    found.ok_or_else(|| {
        Problem::NotFound(format!(
            "The message {wanted} is not on the quarantine queue now. It may be settled already, or somebody else may be \
             looking at it."
        ))
    })
}

fn quarantine(stack: &ShownStack) -> QueueBrowser {
    QueueBrowser::new(&stack.clients.sqs, &stack.resources.quarantine_queue_url, HIDDEN_SECONDS)
}

fn unreachable(stack: &ShownStack, what: &str) -> Problem {
    Problem::Unreachable(format!("The {what} cannot be read. {}", stack.advice()))
}
