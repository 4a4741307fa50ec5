//! Looks up one customer.

use clientele_model::{ApiAnswer, ApiMethod, ApiRequest, CustomerKey, Fields, Lookup, parse_json};

use super::{ARCHIVED, ENVIRONMENT_HEADER};
use crate::translate::key;

/// `GET /v1/customers/{id}`, which returns archived records, too.
pub(super) fn request(key: &CustomerKey) -> ApiRequest {
    ApiRequest {
        method: ApiMethod::Get,
        path: path_of_customer(key.customer_id()),
        headers: vec![(ENVIRONMENT_HEADER, key.account().to_owned())],
        body: None,
    }
}

/// The path of the customer with that id.
pub(crate) fn path_of_customer(customer_id: &str) -> String {
    format!("/v1/customers/{}", ApiRequest::path_segment(customer_id))
}

/// Only an archived record of this very customer proves a delete. A wrong host or environment answers 404 for everybody.
pub(super) fn read(looked_up: &CustomerKey, answer: &ApiAnswer) -> Lookup {
    match answer.status {
        200 => {}
        404 => return Lookup::Unknown("the API does not find the customer, which a wrong environment can also cause"),
        _ => return Lookup::Unknown("the API returned an error"),
    }
    let fields = parse_json(&answer.body).and_then(|body| Fields::try_from(body).ok());
    let Some(mut record) = fields else { return Lookup::Unknown("the answer is not a customer") };
    let found = record.key_part("id").and_then(|id| key(&mut record, id).ok());
    if found.as_ref() != Some(looked_up) {
        return Lookup::Unknown("the answer is about another customer or environment");
    }
    match record.text("status").as_deref() {
        Some("published") => Lookup::Exists,
        // Archiving is the last change of a record.
        Some(ARCHIVED) => Lookup::Deleted(record.time("updated_at")),
        _ => Lookup::Unknown("the customer has an undocumented status"),
    }
}
