//! A stand-in for Metrifox's list of customers, for the local stack and the tests.

use clientele_model::{ApiAnswer, ApiMethod, ApiRequest, ChangeKind, ListStandIn, SampleEvent};
use serde_json::{Value, json};

/// The records of a page, if the request does not say how many.
const PAGE_RECORDS: u64 = 25;

/// Lists the records in the order in which they are given, because Metrifox documents none.
pub const LIST_STAND_IN: ListStandIn = ListStandIn { record, answer };

fn record(event: &SampleEvent) -> Value {
    let archived_at = (event.change == ChangeKind::Deletion).then(|| format!("{:.3}", event.changed_at));
    json!({
        "id": event.customer_id, "customer_key": event.external_id(), "display_name": event.name,
        "primary_email": event.email(), "email_addresses": [{ "email": event.email(), "is_primary": true }],
        "updated_at": format!("{:.3}", event.changed_at), "archived_at": archived_at,
        "full_name": event.name, "documents": {},
    })
}

fn answer(records: &[Value], request: &ApiRequest, page_records_max: usize) -> ApiAnswer {
    let (path, query) = request.path.split_once('?').unwrap_or((&request.path, ""));
    match path.strip_prefix("/customers") {
        Some("") if request.method == ApiMethod::Get => list(records, query, page_records_max),
        Some(id) if request.method == ApiMethod::Get => match records.iter().find(|record| is_at(record, id)) {
            Some(record) => envelope(200, "Customer Fetched", &json!({}), record),
            None => envelope(404, "Customer not found", &json!({}), &Value::Null),
        },
        _ => envelope(404, "Not Found", &json!({}), &Value::Null),
    }
}

fn is_at(record: &Value, path: &str) -> bool {
    let ids = [&record["id"], &record["customer_key"]].into_iter().filter_map(Value::as_str);
    ids.map(ApiRequest::path_segment).any(|id| path.strip_prefix('/') == Some(&id))
}

fn list(records: &[Value], query: &str, page_records_max: usize) -> ApiAnswer {
    let number = |name: &str| {
        let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        pairs.find(|(key, _)| *key == name)?.1.parse::<u64>().ok()
    };
    let total = to_u64(records.len());
    let page = number("page").unwrap_or(1).max(1);
    let limit = number("per_page").unwrap_or(PAGE_RECORDS).clamp(1, to_u64(page_records_max).max(1));
    let pages = total.div_ceil(limit);
    let start = usize::try_from((page - 1).saturating_mul(limit)).unwrap_or(usize::MAX).min(records.len());
    let end = start.saturating_add(usize::try_from(limit).unwrap_or(usize::MAX)).min(records.len());
    let meta = json!({
        "current_page": page, "total_pages": pages, "total_count": total, "limit_value": limit,
        "next_page": (page < pages).then(|| page + 1), "prev_page": (page > 1 && page <= pages).then(|| page - 1),
        "first_page?": page == 1, "last_page?": page == pages, "out_of_range?": page > pages,
    });
    envelope(200, "Customers Fetched", &meta, &Value::Array(records[start..end].to_vec()))
}

fn to_u64(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

fn envelope(status: u16, message: &str, meta: &Value, data: &Value) -> ApiAnswer {
    let body = json!({ "statusCode": status, "message": message, "meta": meta, "data": data, "errors": {} });
    ApiAnswer { status, date: None, retry_after: None, body: body.to_string().into_bytes() }
}
