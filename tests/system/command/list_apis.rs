//! The stand-ins for the providers' list APIs: key, pages, failures, changes, and what the table knows at the start.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use axum::http::{Method, Request};
use bytes::Bytes;
use clientele::stack::LocalStack;
use clientele::stack::list_apis::ListApiOptions;
use clientele_model::{
    ApiAnswer, ApiMethod, ApiRequest, Change, ChangeKind, CustomerEvent, Id, Listed, SampleEvent, WalkStart,
};
use clientele_plain::{WebhookTargetState, WebhookTargets, webhook_targets_request};
use clientele_providers::{PROVIDERS, find, listing, local_api_key};
use http_body_util::{BodyExt, Full};
use jiff::Timestamp;
use rstest::rstest;
use serde_json::{Value, json};

use crate::support::deliveries::{CREATED, DELETED, UPDATED, pk};
use crate::support::http::http_client;
use crate::support::{all_items, item, options};

/// The providers that have a list API.
const LISTED: [&str; 3] = ["flexprice", "metrifox", "plain"];

async fn stack_with(list_apis: ListApiOptions) -> LocalStack {
    let mut options = options();
    options.list_apis = list_apis;
    LocalStack::start(options).await.unwrap()
}

/// Sends a request to the stand-in of a provider with that key.
async fn call(stack: &LocalStack, provider: &str, key: Option<&str>, request: &ApiRequest) -> ApiAnswer {
    let method = if request.method == ApiMethod::Get { Method::GET } else { Method::POST };
    let url = format!("http://{}/list-apis/{provider}{}", stack.admin, request.path);
    let mut http = Request::builder().method(method).uri(url);
    for (name, value) in &request.headers {
        http = http.header(*name, value);
    }
    if let Some(key) = key {
        let (name, value) = (listing(find(provider).unwrap()).api.as_ref().unwrap().key_header)(key);
        http = http.header(name, value);
    }
    let body = request.body.as_ref().map_or(Bytes::new(), |body| body.to_string().into());
    let answer = http_client().request(http.body(Full::new(body)).unwrap()).await.unwrap();
    let header = |name| answer.headers().get(name).map(|value| value.to_str().unwrap());
    ApiAnswer {
        status: answer.status().as_u16(),
        date: header("date").and_then(|date| jiff::fmt::rfc2822::parse(date).ok()).map(|date| date.timestamp()),
        retry_after: header("retry-after").map(|seconds| Duration::from_secs(seconds.parse().unwrap())),
        body: answer.into_body().collect().await.unwrap().to_bytes().to_vec(),
    }
}

fn walk(provider: &str) -> Box<dyn clientele_model::Walk> {
    let account = Some(Id::new(SampleEvent::ACCOUNT.to_owned()).unwrap());
    let start = WalkStart { account, now: Timestamp::now(), ..WalkStart::default() };
    (listing(find(provider).unwrap()).api.as_ref().unwrap().walk)(start)
}

fn key(provider: &str) -> String {
    local_api_key(find(provider).unwrap())
}

/// Walks through the list of a provider, trying each request again that fails. Returns every customer as it was last
/// listed, and the statuses of the answers.
async fn listed(stack: &LocalStack, provider: &str) -> (BTreeMap<String, CustomerEvent>, Vec<u16>) {
    let (mut walk, mut customers, mut statuses) = (walk(provider), BTreeMap::new(), vec![]);
    while let Some(request) = walk.next_request() {
        let answer = call(stack, provider, Some(&key(provider)), &request).await;
        statuses.push(answer.status);
        if answer.status != 200 {
            continue;
        }
        for listed in walk.read(&answer).unwrap().listed {
            if let Listed::Customer(event) = listed {
                customers.insert(event.key().to_string(), *event);
            }
        }
    }
    walk.completeness().unwrap();
    (customers, statuses)
}

/// Keys and names of the customers that the provider has not deleted.
fn existing(stack: &LocalStack, provider: &str) -> BTreeMap<String, String> {
    let customers = stack.list_apis.customers(provider).into_iter().filter(|last| last.change != DELETED);
    customers.map(|last| (pk(provider, &last.customer_id), last.name)).collect()
}

fn names(events: &BTreeMap<String, CustomerEvent>) -> BTreeMap<String, String> {
    let name = |event: &CustomerEvent| match event.change() {
        Change::Snapshot(_) => serde_json::to_value(event.item(Timestamp::now())).unwrap()["name"].clone(),
        Change::Deletion(_) => panic!("a delete"),
    };
    let name = |event| name(event).as_str().unwrap().to_owned();
    events.iter().map(|(key, event)| (key.clone(), name(event))).collect()
}

#[test]
fn every_provider_with_a_list_has_a_stand_in() {
    let with_list: BTreeSet<_> =
        PROVIDERS.iter().filter(|provider| listing(provider).api.is_some()).map(|provider| provider.name).collect();
    assert_eq!(with_list, BTreeSet::from(LISTED));
}

#[rstest]
#[tokio::test]
async fn a_walk_returns_every_customer(#[values("flexprice", "metrifox", "plain")] provider: &str) {
    let stack = stack_with(ListApiOptions::calm()).await;
    let (customers, statuses) = listed(&stack, provider).await;
    assert_eq!(names(&customers), existing(&stack, provider));
    assert!(customers.len() > 290 && statuses.len() > 5, "{} in {} pages", customers.len(), statuses.len());
}

/// Customers that change while they are read are listed as they are at the end, unless a walk had read them before.
#[rstest]
#[tokio::test]
async fn failures_and_changes_come_in_turn(#[values("flexprice", "metrifox", "plain")] provider: &str) {
    let stack = stack_with(ListApiOptions { retry_after_seconds: 7, ..ListApiOptions::default() }).await;
    let before = existing(&stack, provider);
    let (customers, statuses) = listed(&stack, provider).await;
    assert_eq!(statuses[..8], [200, 200, 200, 200, 429, 200, 500, 200]);
    let after = existing(&stack, provider);
    let created: Vec<_> = after.keys().filter(|key| !before.contains_key(*key)).collect();
    let deleted: Vec<_> = before.keys().filter(|key| !after.contains_key(*key)).collect();
    let renamed: Vec<_> = after.iter().filter(|(key, name)| before.get(*key).is_some_and(|old| old != *name)).collect();
    assert_eq!((created.len(), deleted.len(), renamed.len()), (1, 2, 2));
    let throughout = before.keys().filter(|key| after.contains_key(*key));
    assert!(throughout.into_iter().all(|key| customers.contains_key(key)));

    let request = walk(provider).next_request().unwrap();
    let throttled = loop {
        let answer = call(&stack, provider, Some(&key(provider)), &request).await;
        if answer.status == 429 {
            break answer;
        }
    };
    assert_eq!(throttled.retry_after, Some(Duration::from_secs(7)));
    assert_eq!(existing(&stack, provider), after, "only the first answers are followed by a change");
}

/// The changes while a list is read arrive as webhooks, if they are to.
#[rstest]
#[case(true, 5)]
#[case(false, 0)]
#[tokio::test]
async fn webhooks_report_changes(#[case] reports_changes: bool, #[case] customers: usize) {
    let stack = stack_with(ListApiOptions { reports_changes, ..ListApiOptions::default() }).await;
    listed(&stack, "flexprice").await;
    for _ in 0..100 {
        if stack.deliveries.recent().len() == 5 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(if reports_changes { 50 } else { 1 })).await;
    }
    assert_eq!(all_items(&stack).await.len(), customers);
}

#[rstest]
#[case::no_key(None)]
#[case::another_key(Some("flexprice-local-api-key-2"))]
#[case::of_another_provider(Some("plain-local-api-key"))]
#[case::empty(Some(""))]
#[tokio::test]
async fn only_the_key_opens_the_list(#[case] key: Option<&str>) {
    let stack = stack_with(ListApiOptions { throttle_every: 1, ..ListApiOptions::default() }).await;
    let request = walk("flexprice").next_request().unwrap();
    let answer = call(&stack, "flexprice", key, &request).await;
    assert_eq!((answer.status, answer.body.as_slice()), (401, br#"{"error":"Unauthorized"}"#.as_slice()));
    let answer = call(&stack, "flexprice", Some("flexprice-local-api-key"), &request).await;
    assert_eq!(answer.status, 429);
}

#[rstest]
#[case("smarterpay", ApiMethod::Get, "/customers", 404)]
#[case("nobody", ApiMethod::Get, "", 404)]
#[case("flexprice", ApiMethod::Get, "/nothing", 404)]
#[case("flexprice", ApiMethod::Post, "", 404)]
#[tokio::test]
async fn what_no_list_api_has(
    #[case] provider: &str,
    #[case] method: ApiMethod,
    #[case] path: &str,
    #[case] status: u16,
) {
    let stack = stack_with(ListApiOptions::calm()).await;
    let url = format!("http://{}/list-apis/{provider}{path}", stack.admin);
    let method = if method == ApiMethod::Get { Method::GET } else { Method::POST };
    let request = Request::builder().method(method).uri(url).header("x-api-key", "flexprice-local-api-key");
    let answer = http_client().request(request.body(Full::new(Bytes::from_static(b"{}"))).unwrap()).await.unwrap();
    assert_eq!(answer.status().as_u16(), status);
    let body: Value = serde_json::from_slice(&answer.into_body().collect().await.unwrap().to_bytes()).unwrap();
    assert!(body.is_object(), "{body}");
}

/// At the start the table knows four customers of each provider. Of one it has missed an update, and of one the delete.
#[tokio::test]
async fn an_update_and_a_delete_are_lost() {
    let stack = stack_with(ListApiOptions::calm()).await;
    assert_eq!(stack.deliver_past_webhooks().await.unwrap(), 3 * 5);
    assert_eq!(all_items(&stack).await.len(), 3 * 4);
    for provider in LISTED {
        let (listed, _) = listed(&stack, provider).await;
        let (mut same, mut behind, mut only_here) = (0, 0, 0);
        for last in stack.list_apis.customers(provider) {
            let key = pk(provider, &last.customer_id);
            let Some(item) = item(&stack, &key).await else { continue };
            match listed.get(&key).map(|event| serde_json::to_value(event.item(Timestamp::now())).unwrap()) {
                None => {
                    assert_eq!(last.change, DELETED);
                    only_here += 1;
                }
                Some(listed) if listed["name"] == item["name"] => same += 1,
                Some(listed) => {
                    assert_eq!(last.change, UPDATED);
                    assert!(listed["rank"].as_str() > item["rank"].as_str());
                    behind += 1;
                }
            }
        }
        assert_eq!((same, behind, only_here), (2, 1, 1), "{provider}");
    }
    // Some people are customers of several providers.
    let ids = |provider| stack.list_apis.customers(provider).into_iter().map(|last| last.customer_id);
    let [flexprice, metrifox, plain] = LISTED.map(|provider| ids(provider).collect::<BTreeSet<_>>());
    assert!(metrifox.intersection(&plain).any(|id| flexprice.contains(id)));
    assert!(flexprice.difference(&metrifox).any(|id| !plain.contains(id)));
}

/// Plain sends the stack every event that it needs.
#[tokio::test]
async fn plain_knows_where_to_send_webhooks() {
    let stack = stack_with(ListApiOptions::calm()).await;
    let answer = call(&stack, "plain", Some(&key("plain")), &webhook_targets_request()).await;
    let state = WebhookTargets::read(&answer).unwrap().state(&format!("{}/webhooks/plain", stack.url()));
    assert_eq!(state, WebhookTargetState::Ready);
}

/// A test lets anything happen to a customer.
#[tokio::test]
async fn any_change_can_be_made() {
    let stack = stack_with(ListApiOptions { customers: 0, ..ListApiOptions::calm() }).await;
    let change = |kind: ChangeKind, name: &str| {
        let changed_at = "2026-05-01T00:00:00Z".parse().unwrap();
        SampleEvent { customer_id: "c1".to_owned(), name: name.to_owned(), change: kind, changed_at, number: 1 }
    };
    for (kind, listed_name) in [(CREATED, Some("first")), (UPDATED, Some("second")), (DELETED, None)] {
        stack.list_apis.change("plain", change(kind, listed_name.unwrap_or_default()));
        let (customers, _) = listed(&stack, "plain").await;
        assert_eq!(names(&customers).into_values().next().as_deref(), listed_name);
    }
}

#[tokio::test]
async fn the_stack_says_where_they_are() {
    let stack = stack_with(ListApiOptions::calm()).await;
    let answer = ureq::get(format!("http://{}/stack", stack.admin));
    let answer = tokio::task::spawn_blocking(move || answer.call().unwrap().body_mut().read_to_string().unwrap());
    let description: Value = serde_json::from_str(&answer.await.unwrap()).unwrap();
    let access = |provider: &str| json!({ "url": format!("http://{}/list-apis/{provider}", stack.admin), "key": format!("{provider}-local-api-key") });
    let expected: BTreeMap<_, _> = LISTED.iter().map(|provider| (*provider, access(provider))).collect();
    assert_eq!(description["list_apis"], json!(expected));
}
