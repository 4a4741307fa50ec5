//! Customers that come from a list or a file instead of a webhook.
//!
//! Sources: the schema of the `team-plain/sdk` repository, <https://www.plain.com/docs/graphql/customers/get> and
//! <https://www.plain.com/docs/graphql/pagination>.

use clientele_model::{
    AccountSource, ApiAnswer, ApiRequest, CustomerKey, Id, ListApi, Listed, Listing, Lookup, RecordContext,
    Untranslatable,
};
use serde_json::{Value, json};

use crate::graphql;
use crate::list_record::{ONLY_IN_LIST, listed_node, listed_webhook};
use crate::list_walk::SliceWalk;

#[cfg(test)]
mod tests;

/// How to read customers without webhooks.
pub const LISTING: Listing = Listing {
    provider: &crate::PROVIDER,
    api: Some(ListApi {
        urls: &["https://core-api.uk.plain.com"],
        key_variable: "PLAIN_API_KEY",
        key_permission: "customer:read",
        key_header: |key| ("authorization", format!("Bearer {key}")),
        account: AccountSource::Answer,
        can_list_changes: true,
        can_list_deleted: false,
        walk: |start| Box::new(SliceWalk::new(&start)),
        lookup,
        read_lookup,
    }),
    read_file_entry,
    only_in_list: ONLY_IN_LIST,
    different_in_list: &[],
};

/// The query for a page of customers.
pub(crate) const CUSTOMERS: &str = include_str!("customers.graphql");

/// The query for one customer.
pub(crate) const CUSTOMER: &str = "query clienteleCustomer($customerId: ID!) {
  myWorkspace { id }
  customer(customerId: $customerId) { id }
}";

fn lookup(key: &CustomerKey) -> ApiRequest {
    graphql::request(CUSTOMER, &json!({ "customerId": key.customer_id() }))
}

/// The customer of a query that failed is `null`, too, and so is a customer of another workspace. Only `null` without
/// errors from the customer's own workspace proves a delete.
fn read_lookup(key: &CustomerKey, answer: &ApiAnswer) -> Lookup {
    let Ok(data) = graphql::data(answer) else {
        return Lookup::Unknown("the API answered with an error");
    };
    match graphql::workspace(&data) {
        Ok(workspace) if workspace.as_str() == key.account() => {}
        Ok(_) => return Lookup::Unknown("the API key belongs to another workspace"),
        Err(_) => return Lookup::Unknown("the answer does not name the workspace"),
    }
    match data.get("customer") {
        Some(Value::Null) => Lookup::Deleted(None),
        Some(customer) if customer.get("id").and_then(Value::as_str) == Some(key.customer_id()) => Lookup::Exists,
        _ => Lookup::Unknown("the answer is not about the customer"),
    }
}

/// Reads a customer as the API lists it, an answer of the API with a page of customers, or the body of a webhook.
fn read_file_entry(entry: Value, context: &RecordContext) -> Vec<Listed> {
    match entry {
        // No customer has one of these fields.
        Value::Object(body) if body.contains_key("payload") => vec![listed_webhook(body, context)],
        Value::Object(answer) if answer.contains_key("data") || answer.contains_key("errors") => {
            listed_answer(&Value::Object(answer), context)
        }
        node => vec![listed_node(node, context.account.as_ref(), context.received_at)],
    }
}

fn listed_answer(answer: &Value, context: &RecordContext) -> Vec<Listed> {
    let unreadable =
        |name| vec![Listed::Untranslatable { customer_id: None, reason: Untranslatable::Unreadable(name) }];
    if answer.get("errors").is_some_and(|errors| !errors.is_null()) {
        return unreadable("an answer with errors");
    }
    let Some(edges) = answer.pointer("/data/customers/edges").and_then(Value::as_array) else {
        return unreadable("data.customers.edges");
    };
    // The answer knows its workspace better than the operator does.
    let workspace: Option<Id> = answer.get("data").and_then(|data| graphql::workspace(data).ok());
    let workspace = workspace.as_ref().or(context.account.as_ref());
    let node = |edge: &Value| edge.get("node").cloned().unwrap_or_default();
    edges.iter().map(|edge| listed_node(node(edge), workspace, context.received_at)).collect()
}
