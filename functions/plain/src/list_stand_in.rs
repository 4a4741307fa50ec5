//! A stand-in for Plain's API, for the local stack and the tests.

use std::cmp::Ordering;

use clientele_model::{ApiAnswer, ApiMethod, ApiRequest, ListStandIn, SampleEvent, Time};
use serde_json::{Map, Value, json};

use crate::payload::REQUIRED_EVENT_TYPES;
use crate::{graphql, listing, sample, webhook_targets};

/// Plain's API without a state. Its records are customers, and webhook targets as [`webhook_target_record`] makes them. All
/// of them belong to the workspace [`SampleEvent::ACCOUNT`].
pub const LIST_STAND_IN: ListStandIn = ListStandIn { record, answer };

/// A webhook target with that URL, enabled and with all the events it needs, as the API returns it.
#[must_use]
pub fn webhook_target_record(url: &str) -> Value {
    let subscriptions: Vec<Value> = REQUIRED_EVENT_TYPES.iter().map(|kind| json!({ "eventType": kind })).collect();
    json!({ "url": url, "isEnabled": true, "eventSubscriptions": subscriptions })
}

/// The customer of the sample delivery.
fn record(event: &SampleEvent) -> Value {
    let mut customer = sample::customer(event);
    customer["customerGroupMemberships"] = json!([]);
    node(customer)
}

/// The customer object of a webhook as the API returns it.
pub(crate) fn node(value: Value) -> Value {
    match value {
        Value::Object(fields) if fields.contains_key("actorType") => actor(&fields),
        Value::Object(fields) => fields.into_iter().filter_map(|(name, value)| field(name, value)).collect(),
        other => other,
    }
}

/// Memberships and groups of the API do not say to which workspace they belong.
fn field(name: String, value: Value) -> Option<(String, Value)> {
    let value = match (name.as_str(), value) {
        ("workspaceId" | "customerGroupId", _) => return None,
        (time, Value::String(text)) if time.ends_with("At") => json!({ "iso8601": text }),
        ("customerGroupMemberships", Value::Array(elements)) => connection(elements.into_iter().map(node), None, false),
        (_, value) => node(value),
    };
    Some((name, value))
}

fn actor(fields: &Map<String, Value>) -> Value {
    let (kind, name, id) = match fields["actorType"].as_str() {
        Some("user") => ("UserActor", "userId", "userId"),
        Some("machineUser") => ("MachineUserActor", "machineUserId", "machineUserId"),
        Some("system") => ("SystemActor", "systemId", "system"),
        Some("customer") => ("CustomerActor", "customerId", "customerId"),
        _ => return json!({ "__typename": "AnotherActor" }),
    };
    json!({ "__typename": kind, name: fields.get(id) })
}

fn connection(nodes: impl Iterator<Item = Value>, end_cursor: Option<&str>, has_next_page: bool) -> Value {
    let edges: Vec<Value> = nodes.map(|node| json!({ "node": node })).collect();
    json!({ "edges": edges, "pageInfo": { "hasNextPage": has_next_page, "endCursor": end_cursor } })
}

fn answer(records: &[Value], request: &ApiRequest, page_records_max: usize) -> ApiAnswer {
    if (request.method, request.path.as_str()) != (ApiMethod::Post, graphql::PATH) {
        return answer_of(404, &json!({}));
    }
    let body = request.body.as_ref();
    let query = body.and_then(|body| body.get("query")?.as_str());
    let variables = body.and_then(|body| body.get("variables")).unwrap_or(&Value::Null);
    let (targets, customers): (Vec<&Value>, Vec<&Value>) =
        records.iter().partition(|record| record.get("eventSubscriptions").is_some());
    let result = match query {
        Some(listing::CUSTOMERS) => customers_page(customers, variables, page_records_max),
        Some(listing::CUSTOMER) => Ok(json!({ "customer": customer(&customers, variables) })),
        Some(webhook_targets::QUERY) => {
            Ok(json!({ "webhookTargets": connection(targets.into_iter().cloned(), None, false) }))
        }
        _ => Err("GRAPHQL_VALIDATION_FAILED"),
    };
    match result {
        Ok(mut data) => {
            data["myWorkspace"] = json!({ "id": SampleEvent::ACCOUNT });
            answer_of(200, &json!({ "data": data }))
        }
        Err(code) => answer_of(200, &json!({ "data": null, "errors": [{ "extensions": { "code": code } }] })),
    }
}

fn answer_of(status: u16, body: &Value) -> ApiAnswer {
    ApiAnswer { status, date: None, retry_after: None, body: body.to_string().into() }
}

/// The customers by full name and id. A cursor names the last customer of a page by both, so it stays valid while others
/// are added or removed.
fn customers_page(customers: Vec<&Value>, variables: &Value, records_max: usize) -> Result<Value, &'static str> {
    let bound = |name| variables.get("updatedAt").and_then(|filter| filter.get(name)).and_then(Value::as_str);
    let time = |text: &str| text.parse::<Time>().map_err(|_| "BAD_USER_INPUT");
    let (after, before) = (bound("after").map(time).transpose()?, bound("before").map(time).transpose()?);
    let updated_at = |customer: &Value| customer.pointer("/updatedAt/iso8601")?.as_str()?.parse::<Time>().ok();
    let is_listed = |customer: &&Value| match updated_at(customer) {
        Some(time) => after.is_none_or(|after| after <= time) && before.is_none_or(|before| time < before),
        None => after.is_none() && before.is_none(),
    };
    let mut listed: Vec<&Value> = customers.into_iter().filter(is_listed).collect();
    let total = listed.len();
    if let Some(cursor) = variables.get("after").and_then(Value::as_str) {
        let cursor: [String; 2] = serde_json::from_str(cursor).map_err(|_| "BAD_USER_INPUT")?;
        listed.retain(|customer| place(customer).cmp(&[&cursor[0], &cursor[1]]) == Ordering::Greater);
    }
    listed.sort_unstable_by_key(|customer| place(customer));
    let first = variables.get("first").and_then(Value::as_u64).and_then(|first| first.try_into().ok()).unwrap_or(25);
    let page = &listed[..listed.len().min(first).min(records_max.max(1))];
    let end_cursor = page.last().map(|customer| json!(place(customer)).to_string());
    let mut connection = connection(page.iter().copied().cloned(), end_cursor.as_deref(), page.len() < listed.len());
    connection["totalCount"] = total.into();
    Ok(json!({ "customers": connection }))
}

fn place(customer: &Value) -> [&str; 2] {
    ["fullName", "id"].map(|name| customer.get(name).and_then(Value::as_str).unwrap_or_default())
}

fn customer<'a>(customers: &[&'a Value], variables: &Value) -> Option<&'a Value> {
    customers.iter().copied().find(|customer| customer.get("id") == variables.get("customerId"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clientele_model::{ChangeKind, Verb};
    use rstest::rstest;

    fn customers(list: &[(&str, &str, &str)]) -> Vec<Value> {
        let customer = |(id, name, changed_at): &(&str, &str, &str)| {
            let (customer_id, name, change) = (id.to_string(), name.to_string(), ChangeKind::Snapshot(Verb::Updated));
            record(&SampleEvent { customer_id, name, change, changed_at: changed_at.parse().unwrap(), number: 1 })
        };
        list.iter().map(customer).collect()
    }

    fn answered(records: &[Value], query: &str, variables: &Value, records_max: usize) -> Value {
        let answer = answer(records, &graphql::request(query, variables), records_max);
        assert_eq!(answer.status, 200);
        serde_json::from_slice(&answer.body).unwrap()
    }

    /// The ids on all pages.
    fn pages(records: &[Value], mut variables: Value, records_max: usize) -> String {
        let mut pages = vec![];
        loop {
            let answer = answered(records, listing::CUSTOMERS, &variables, records_max);
            let list = &answer["data"]["customers"];
            let ids = list["edges"].as_array().unwrap().iter().map(|edge| edge["node"]["id"].as_str().unwrap());
            pages.push(ids.collect::<Vec<_>>().join(" "));
            if list["pageInfo"]["hasNextPage"] == json!(false) {
                return pages.join(", ");
            }
            variables["after"] = list["pageInfo"]["endCursor"].clone();
        }
    }

    const TIMES: [&str; 3] = ["2026-11-01T00:00:00.000Z", "2026-11-01T00:00:00.001Z", "2026-11-02T00:00:00.000Z"];

    #[rstest]
    #[case::capped(json!({ "first": 100 }), 2, "c_3 c_1, c_2 c_4")]
    #[case::first(json!({ "first": 3 }), 100, "c_3 c_1 c_2, c_4")]
    #[case::at_or_after(json!({ "first": 9, "updatedAt": { "after": TIMES[1] } }), 100, "c_2 c_4")]
    #[case::before(json!({ "first": 9, "updatedAt": { "before": TIMES[1] } }), 100, "c_3 c_1")]
    #[case::between(json!({ "first": 9, "updatedAt": { "after": TIMES[1], "before": TIMES[2] } }), 100, "c_2")]
    #[case::none(json!({ "first": 9, "updatedAt": { "after": "2026-12-01T00:00:00Z" } }), 100, "")]
    fn customers_come_by_name_and_id(#[case] variables: Value, #[case] records_max: usize, #[case] ids: &str) {
        let list =
            [("c_4", "Cleo", TIMES[2]), ("c_1", "Bo", TIMES[0]), ("c_2", "Bo", TIMES[1]), ("c_3", "Ada", TIMES[0])];
        assert_eq!(pages(&customers(&list), variables, records_max), ids);
    }

    /// The total is that of the filter, on every page.
    #[test]
    fn the_total_does_not_depend_on_the_page() {
        let list = customers(&[("c_1", "Ada", TIMES[0]), ("c_2", "Bo", TIMES[0]), ("c_3", "Cleo", TIMES[2])]);
        let variables = json!({ "first": 1, "updatedAt": { "before": TIMES[2] }, "after": "[\"Ada\",\"c_1\"]" });
        let answer = answered(&list, listing::CUSTOMERS, &variables, 10);
        assert_eq!(answer["data"]["customers"]["totalCount"], json!(2));
        assert_eq!(answer["data"]["myWorkspace"]["id"], json!("w_1"));
    }

    #[rstest]
    #[case("query { customers { totalCount } }", json!({}), "GRAPHQL_VALIDATION_FAILED")]
    #[case(listing::CUSTOMERS, json!({ "after": "c_1" }), "BAD_USER_INPUT")]
    #[case(listing::CUSTOMERS, json!({ "updatedAt": { "after": "yesterday" } }), "BAD_USER_INPUT")]
    fn a_wrong_request_is_an_error(#[case] query: &str, #[case] variables: Value, #[case] code: &str) {
        let answer = answered(&[], query, &variables, 10);
        assert_eq!(answer, json!({ "data": null, "errors": [{ "extensions": { "code": code } }] }));
    }

    #[rstest]
    #[case(ApiMethod::Get, graphql::PATH)]
    #[case(ApiMethod::Post, "/graphql")]
    fn another_path_is_not_found(#[case] method: ApiMethod, #[case] path: &str) {
        let request = ApiRequest { method, path: path.into(), ..graphql::request(listing::CUSTOMERS, &json!({})) };
        assert_eq!(answer(&[], &request, 10).status, 404);
    }

    #[test]
    fn a_webhook_target_is_not_a_customer() {
        let records = [webhook_target_record("https://example.com"), customers(&[("c_1", "Ada", TIMES[0])]).remove(0)];
        assert_eq!(pages(&records, json!({ "first": 9 }), 9), "c_1");
    }
}
