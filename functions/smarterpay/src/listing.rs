//! SmarterPay's customers from a file. Its API is not used, because the format of its list is not known.

use std::collections::BTreeSet;
use std::sync::Arc;

use clientele_model::{CustomerEvent, CustomerKey, Fields, Id, Listed, Listing, RecordContext, Untranslatable};
use serde_json::{Map, Value};

use crate::payload::{FAMILY, REQUIRED, account, events, is_v1_event, is_v2, verb};
use crate::translate::{extra_of_batch, whole_customer};

/// How to read SmarterPay's customers without webhooks.
pub const LISTING: Listing = Listing {
    provider: &crate::PROVIDER,
    api: None,
    read_file_entry: file_entry,
    only_in_list: &[],
    different_in_list: &[],
};

/// Reads the body of a webhook with all its events, or one event or record in the format of the webhooks.
fn file_entry(entry: Value, context: &RecordContext) -> Vec<Listed> {
    match entry {
        Value::Object(fields) if fields.contains_key("events") => {
            batch(Value::Object(fields), context).unwrap_or_else(|reason| vec![without_id(reason)])
        }
        record => vec![listed(record, &Batch { is_v2: false, account: Ok(None), extra: Arc::default() }, context)],
    }
}

/// What all records of a batch share.
struct Batch {
    is_v2: bool,
    /// The account of the records that do not name their own.
    account: Result<Option<Id>, Untranslatable>,
    extra: Arc<Map<String, Value>>,
}

fn batch(body: Value, context: &RecordContext) -> Result<Vec<Listed>, Untranslatable> {
    let mut body = Fields::try_from(body)?;
    let events = events(&mut body)?;
    let (is_v2, account) = (is_v2(&body), account(&mut body));
    let batch = Batch { is_v2, account, extra: extra_of_batch(body.rest()) };
    // Two records of one version count as the same, and the table would keep either of them. The last one is newer.
    let mut versions = BTreeSet::new();
    let is_last_of_version = |listed: &Listed| match listed {
        Listed::Customer(event) => versions.insert((event.key().clone(), event.rank())),
        _ => true,
    };
    let listed = events.into_iter().rev().map(|event| listed(event, &batch, context));
    let mut listed: Vec<_> = listed.filter(is_last_of_version).collect();
    listed.reverse();
    Ok(listed)
}

fn listed(entry: Value, batch: &Batch, context: &RecordContext) -> Listed {
    // In a batch of which only a part was kept, `null` stands for each of the other events.
    if entry.is_null() {
        return Listed::Ignored;
    }
    let Ok(mut record) = Fields::try_from(entry) else { return without_id(Untranslatable::Unreadable("the record")) };
    match is_ignored(&mut record, batch) {
        Ok(true) => return Listed::Ignored,
        Ok(false) => {}
        Err(reason) => return without_id(reason),
    }
    let id = record.required("customer.id", Fields::key_part);
    let customer_id = id.as_ref().ok().cloned();
    let observed = id.and_then(|id| observed(id, record, batch, context));
    observed.unwrap_or_else(|reason| Listed::Untranslatable { customer_id, reason })
}

/// Whether it is an event that is not about a customer, or one of V1. A record needs no type.
fn is_ignored(record: &mut Fields, batch: &Batch) -> Result<bool, Untranslatable> {
    if !record.contains("event_type") {
        return Ok(!batch.is_v2 && is_v1_event(record));
    }
    let kind = record.required("event_type", Fields::text)?;
    if verb(&kind).is_some() { Ok(false) } else { FAMILY.ignore(kind).map(|_| true) }
}

fn observed(
    customer_id: Id,
    mut record: Fields,
    batch: &Batch,
    context: &RecordContext,
) -> Result<Listed, Untranslatable> {
    record.require(REQUIRED)?;
    // The id of an event, which an observation does not have.
    record.any("event_id");
    let version = record.event_time("edited_at", Fields::time, context.received_at)?;
    let account = match account(&mut record)? {
        Some(account) => Some(account),
        None => batch.account.clone()?.or_else(|| context.account.clone()),
    };
    let account = account.ok_or(Untranslatable::Missing("client.id"))?;
    let key = CustomerKey::new(crate::PROVIDER.name, account, customer_id)?;
    let customer = whole_customer(record, batch.extra.clone());
    Ok(Listed::Customer(Box::new(CustomerEvent::observation(key, version, customer)?)))
}

fn without_id(reason: Untranslatable) -> Listed {
    Listed::Untranslatable { customer_id: None, reason }
}

#[cfg(test)]
mod tests;
