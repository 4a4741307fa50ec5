//! Flexprice's list of customers.
//!
//! Source: `internal/types/{customer,filter,search_filter}.go` and `internal/rest/middleware` of the
//! `flexprice/flexprice` repository, and <https://docs.flexprice.io/docs/rbac/manage-roles>.

pub(crate) mod lookup;
mod walk;

#[cfg(test)]
pub(crate) mod tests;

use clientele_model::{
    AccountSource, ChangeKind, CustomerEvent, Fields, ListApi, Listed, Listing, RecordContext, Untranslatable,
};
use serde_json::{Map, Value};

use crate::payload::{FAMILY, REQUIRED, change_kind};
use crate::translate::{key, whole_customer};

/// How to read Flexprice's customers without webhooks.
pub const LISTING: Listing = Listing {
    provider: &crate::PROVIDER,
    api: Some(ListApi {
        urls: &["https://us.api.flexprice.io", "https://api.cloud.flexprice.io"],
        key_variable: "FLEXPRICE_API_KEY",
        key_permission: "the role all_reader",
        key_header: |key| ("x-api-key", key.to_owned()),
        account: AccountSource::Answer,
        can_list_changes: true,
        can_list_deleted: true,
        walk: walk::start,
        lookup: lookup::request,
        read_lookup: lookup::read,
    }),
    read_file_entry: file_entry,
    only_in_list: ONLY_IN_LIST,
    different_in_list: DIFFERENT_IN_LIST,
};

/// Today's webhooks do not have these fields, so the next one would remove them.
const ONLY_IN_LIST: &[&str] = &[
    "billing_currency",
    "contact",
    "contact_persons",
    "created_at",
    "created_by",
    "integrations",
    "tax_treatment",
    "tenant_id",
    "updated_by",
];

/// `updated_at` of an item from today's webhooks is the time of the message, which is a little later than the change.
/// Webhooks before 2026-08-10, which self-hosted installations may still send, had some of the fields above.
const DIFFERENT_IN_LIST: &[&str] =
    &["created_at", "extra.integrations", "extra.tenant_id", "profile.created_by", "profile.updated_by", "updated_at"];

/// The header that selects the environment. A key that belongs to one environment ignores it. A key in the configuration
/// of a self-hosted server belongs to none, and needs it.
const ENVIRONMENT_HEADER: &str = "X-Environment-ID";

/// The status of a deleted customer's record.
const ARCHIVED: &str = "archived";

/// Reads an answer of the API (`{"items": […]}`), the body of a webhook, or one record.
fn file_entry(entry: Value, context: &RecordContext) -> Vec<Listed> {
    match entry {
        Value::Object(mut fields) if fields.contains_key("items") => match fields.remove("items") {
            Some(Value::Array(records)) => records.into_iter().map(|record| listed(record, context)).collect(),
            _ => vec![without_id(Untranslatable::Unreadable("items"))],
        },
        Value::Object(fields) if fields.contains_key("event_type") => {
            vec![body(Value::Object(fields), context).unwrap_or_else(without_id)]
        }
        record => vec![listed(record, context)],
    }
}

/// Reads a record as the API lists it.
fn listed(record: Value, context: &RecordContext) -> Listed {
    let Ok(mut record) = Fields::try_from(record) else {
        return without_id(Untranslatable::Unreadable("the record"));
    };
    for name in ONLY_IN_LIST {
        record.any(name);
    }
    observed(record, Map::new(), false, context)
}

/// Reads the record in the body of a webhook. It is not known when the event was raised, so the record counts as one of a
/// list: its version is its `updated_at`.
fn body(body: Value, context: &RecordContext) -> Result<Listed, Untranslatable> {
    let mut body = Fields::try_from(body)?;
    let name = body.required("event_type", Fields::text)?;
    let Some(change) = change_kind(&name) else { return FAMILY.ignore(name).map(|_| Listed::Ignored) };
    let record = body.required("customer", Fields::take_object)?;
    Ok(observed(record, body.rest(), change == ChangeKind::Deletion, context))
}

fn observed(mut record: Fields, rest_of_body: Map<String, Value>, is_deleted: bool, context: &RecordContext) -> Listed {
    let id = record.required("customer.id", Fields::key_part);
    let customer_id = id.as_ref().ok().cloned();
    let listed = id.and_then(|id| {
        let key = key(&mut record, id)?;
        let is_archived = record.known_word("status", &[(ARCHIVED, ())]).is_some();
        if is_deleted || is_archived {
            return Ok(Listed::Deleted { key, deleted_at: record.time("updated_at") });
        }
        // What this status means for a customer is not documented, so the record proves neither that it exists nor that it
        // was deleted.
        if record.known_word("status", &[("deleted", ())]).is_some() {
            return Err(Untranslatable::Unreadable("customer.status"));
        }
        record.require(REQUIRED)?;
        let version = record.event_time("updated_at", Fields::time, context.received_at)?;
        let customer = whole_customer(record, rest_of_body);
        Ok(Listed::Customer(Box::new(CustomerEvent::observation(key, version, customer)?)))
    });
    listed.unwrap_or_else(|reason| Listed::Untranslatable { customer_id, reason })
}

fn without_id(reason: Untranslatable) -> Listed {
    Listed::Untranslatable { customer_id: None, reason }
}
