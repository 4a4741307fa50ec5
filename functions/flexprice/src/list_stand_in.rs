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
