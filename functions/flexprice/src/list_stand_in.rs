//! A stand-in for Flexprice's list, for the local stack and the tests.

use clientele_model::{ApiAnswer, ApiMethod, ApiRequest, ChangeKind, ListStandIn, SampleEvent};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::listing::lookup::path_of_customer;

/// Answers as Flexprice does. What it does not understand it ignores, as Flexprice does.
pub const LIST_STAND_IN: ListStandIn = ListStandIn { record, answer };

const SEARCH: &str = "/v1/customers/search";
const LIMIT: u64 = 50;
const LIMIT_MAX: u64 = 1000;

fn record(event: &SampleEvent) -> Value {
    let is_deleted = event.change == ChangeKind::Deletion;
    json!({
        "id": event.customer_id, "external_id": event.external_id(), "name": event.name, "email": event.email(),
        "contact": "+1 555 0100", "contact_persons": [], "address_line1": "", "address_line2": "", "address_city": "",
        "address_state": "", "address_postal_code": "", "address_country": "", "timezone": "", "tax_treatment": "taxable",
        "billing_currency": "usd", "metadata": null, "environment_id": SampleEvent::ACCOUNT, "tenant_id": "tenant_1",
        "status": if is_deleted { "archived" } else { "published" }, "created_at": "2026-01-01T00:00:00Z",
        // Go trims the zeros at the end of a fraction, and so does this.
        "updated_at": event.changed_at.to_string(), "created_by": "user_1", "updated_by": "user_1",
    })
}

fn answer(records: &[Value], request: &ApiRequest, page_records_max: usize) -> ApiAnswer {
    let environment = request.headers.iter().find(|(name, _)| *name == "X-Environment-ID").map(|(_, id)| id.as_str());
    let is_visible = |record: &&Value| environment.is_none_or(|id| record["environment_id"] == id);
    let visible = records.iter().filter(is_visible);
    match (request.method, request.path.as_str()) {
        (ApiMethod::Post, SEARCH) => {
            search(visible.collect(), request.body.as_ref().unwrap_or(&Value::Null), page_records_max)
        }
        (ApiMethod::Get, path) => {
            let is_it = |record: &&Value| record["id"].as_str().is_some_and(|id| path_of_customer(id) == path);
            visible.into_iter().find(is_it).map_or_else(not_found, |record| response(200, record))
        }
        (ApiMethod::Post, _) => not_found(),
    }
}

fn search(mut records: Vec<&Value>, body: &Value, page_records_max: usize) -> ApiAnswer {
    let limit = body["limit"].as_u64().unwrap_or(LIMIT);
    if limit == 0 || limit > LIMIT_MAX {
        return response(
            400,
            &json!({"code": "validation_error", "message": "limit must be between 1 and 1000", "http_status_code": 400}),
        );
    }
    let limit = usize::try_from(limit).unwrap_or(usize::MAX).min(page_records_max);
    let offset = body["offset"].as_u64().and_then(|offset| usize::try_from(offset).ok()).unwrap_or_default();
    let status = body["status"].as_str().unwrap_or("published");
    let filters = body["filters"].as_array().map_or(&[][..], Vec::as_slice);
    records.retain(|record| record["status"] == status && filters.iter().all(|filter| matches(filter, record)));
    sort(&mut records, &body["sort"]);
    let items: Vec<_> = records.iter().skip(offset).take(limit).collect();
    // The offset is already that of the next page.
    let pagination = json!({"total": records.len(), "limit": limit, "offset": offset + limit});
    response(200, &json!({"items": items, "pagination": pagination}))
}

fn matches(filter: &Value, record: &Value) -> bool {
    let time = filter["field"].as_str().and_then(|field| time(&record[field]));
    let limit = self::time(&filter["value"]["date"]).filter(|_| filter["data_type"] == "date");
    match (filter["operator"].as_str(), time, limit) {
        (Some("after"), Some(time), Some(limit)) => time > limit,
        (Some("before"), Some(time), Some(limit)) => time < limit,
        _ => true,
    }
}

/// Sorts by the given fields; without any, the newest records come first.
fn sort(records: &mut [&Value], fields: &Value) {
    let newest_first = json!([{"field": "created_at", "direction": "desc"}]);
    let fields = fields.as_array().filter(|fields| !fields.is_empty()).or(newest_first.as_array());
    records.sort_by(|a, b| {
        let orders = fields.into_iter().flatten().map(|sort| {
            let name = sort["field"].as_str().unwrap_or_default();
            let (a, b) = (&a[name], &b[name]);
            let order = match (time(a), time(b)) {
                (Some(a), Some(b)) => a.cmp(&b),
                _ => a.as_str().cmp(&b.as_str()),
            };
            if sort["direction"] == "desc" { order.reverse() } else { order }
        });
        orders.fold(std::cmp::Ordering::Equal, std::cmp::Ordering::then)
    });
}

fn time(value: &Value) -> Option<Timestamp> {
    value.as_str().and_then(|text| text.parse().ok())
}

fn not_found() -> ApiAnswer {
    response(404, &json!({"code": "not_found", "message": "customer not found", "http_status_code": 404}))
}

fn response(status: u16, body: &Value) -> ApiAnswer {
    ApiAnswer { status, date: None, retry_after: None, body: body.to_string().into_bytes() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    /// Three customers and a deleted one. Their ids are in another order than their times.
    fn records() -> Vec<Value> {
        let record = |id: &str, environment: &str, created: &str, updated: &str| {
            let at = |time: &str| format!("2026-11-20T11:{time}Z");
            json!({"id": id, "environment_id": environment, "status": "published", "created_at": at(created), "updated_at": at(updated)})
        };
        let mut deleted = record("d", "env_1", "00:00", "04:00");
        deleted["status"] = "archived".into();
        vec![
            record("b", "env_1", "00:01", "02:00"),
            record("c/1", "env_2", "00:02", "01:00"),
            record("a", "env_1", "00:03", "02:00.0"),
            deleted,
        ]
    }

    fn call(method: ApiMethod, path: &str, environment: Option<&str>, body: Value) -> (u16, Value) {
        let headers = environment.map(|id| ("X-Environment-ID", id.to_owned())).into_iter().collect();
        let request = ApiRequest { method, path: path.to_owned(), headers, body: Some(body) };
        let answer = answer(&records(), &request, 2);
        (answer.status, serde_json::from_slice(&answer.body).unwrap())
    }

    #[rstest]
    #[case::newest_first(json!({"limit": 2}), &["a", "c/1"], 3, 2)]
    #[case::at_most_two(json!({"limit": 1000, "offset": 1}), &["c/1", "b"], 3, 3)]
    #[case::limit(json!({"limit": 1, "offset": 2}), &["b"], 3, 3)]
    #[case::behind_the_end(json!({"offset": 3}), &[], 3, 5)]
    #[case::archived(json!({"status": "archived"}), &["d"], 1, 2)]
    #[case::sorted(json!({"sort": [sort("updated_at", "asc"), sort("id", "asc")]}), &["c/1", "a"], 3, 2)]
    #[case::sorted_down(json!({"sort": [sort("updated_at", "desc"), sort("id", "desc")]}), &["b", "a"], 3, 2)]
    #[case::after(json!({"filters": [filter("after", "date", "01:00")]}), &["a", "b"], 2, 2)]
    #[case::before(json!({"filters": [filter("before", "date", "02:00")]}), &["c/1"], 1, 2)]
    #[case::both(json!({"filters": [filter("after", "date", "01:00"), filter("before", "date", "02:00")]}), &[], 0, 2)]
    #[case::not_implemented(json!({"filters": [filter("gte", "date", "02:00")]}), &["a", "c/1"], 3, 2)]
    #[case::not_a_date(json!({"filters": [filter("after", "string", "02:00")]}), &["a", "c/1"], 3, 2)]
    fn searches(#[case] body: Value, #[case] ids: &[&str], #[case] total: u64, #[case] next_offset: u64) {
        let (status, answer) = call(ApiMethod::Post, SEARCH, None, body);
        let found: Vec<_> = answer["items"].as_array().unwrap().iter().map(|item| item["id"].clone()).collect();
        assert_eq!((status, found), (200, ids.iter().map(|id| Value::from(*id)).collect()));
        assert_eq!(
            (&answer["pagination"]["total"], &answer["pagination"]["offset"]),
            (&total.into(), &next_offset.into())
        );
    }

    fn sort(field: &str, direction: &str) -> Value {
        json!({"field": field, "direction": direction})
    }

    fn filter(operator: &str, data_type: &str, time: &str) -> Value {
        let date = format!("2026-11-20T11:{time}Z");
        json!({"field": "updated_at", "operator": operator, "data_type": data_type, "value": {"date": date}})
    }

    #[rstest]
    #[case(ApiMethod::Get, "/v1/customers/a", None, 200)]
    #[case(ApiMethod::Get, "/v1/customers/c%2F1", None, 200)]
    #[case(ApiMethod::Get, "/v1/customers/d", Some("env_1"), 200)]
    #[case(ApiMethod::Get, "/v1/customers/d", Some("env_2"), 404)]
    #[case(ApiMethod::Get, "/v1/customers/e", None, 404)]
    #[case(ApiMethod::Get, "/v1/plans", None, 404)]
    #[case(ApiMethod::Post, "/v1/customers", None, 404)]
    fn paths(#[case] method: ApiMethod, #[case] path: &str, #[case] environment: Option<&str>, #[case] status: u16) {
        assert_eq!(call(method, path, environment, json!({})).0, status);
    }

    #[rstest]
    #[case(0, 400)]
    #[case(1, 200)]
    #[case(1000, 200)]
    #[case(1001, 400)]
    fn limits(#[case] limit: u64, #[case] status: u16) {
        assert_eq!(call(ApiMethod::Post, SEARCH, Some("env_1"), json!({"limit": limit})).0, status);
    }
}
