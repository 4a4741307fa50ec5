//! Metrifox's list of customers (<https://docs.metrifox.com/api-reference/customers>), and customers in files.
//!
//! The list has numbered pages in an undocumented order. A record that moves to a page that has been read already is
//! skipped, so the [walk](ListWalk) reads the whole list until two passes in a row had the same records.

use std::hash::{DefaultHasher, Hash, Hasher};

use clientele_model::{
    AccountSource, ApiAnswer, ApiMethod, ApiRequest, ChangeKind, CustomerEvent, CustomerKey, Fields, ListApi, Listed,
    Listing, ListingError, Lookup, Page, Position, RecordContext, Untranslatable, Walk, WalkStart, parse_json,
};
use serde_json::Value;

use crate::payload::{CREDENTIALS, FAMILY, account, change_kind};
use crate::translate::{check_complete, whole_customer};

/// The most records of a page. The greatest number that Metrifox accepts is not documented; a server that allows less
/// returns smaller pages.
const PAGE_RECORDS: u64 = 100;
/// The most passes of a walk.
const PASSES_MAX: usize = 5;

/// The fields that only the list has. `archived_at` is read before.
const ONLY_IN_LIST: &[&str] = &["full_name", "documents", "archived_at"];

/// Webhooks have numbers where the list has words, an object where it has a list of payment terms, and three fields more.
const DIFFERENT_IN_LIST: &[&str] = &[
    "profile.kind",
    "profile.tax_status",
    "profile.source",
    "extra.customer_type",
    "extra.tax_status",
    "extra.payment_terms",
    "extra.verified_at",
    "extra.deleted_at",
];

/// How to read Metrifox's customers without webhooks.
pub const LISTING: Listing = Listing {
    provider: &crate::PROVIDER,
    api: Some(ListApi {
        urls: &["https://api.metrifox.com/api/v1"],
        key_variable: "METRIFOX_API_KEY",
        key_permission: "read access to customers",
        key_header: |key| ("x-api-key", key.to_owned()),
        account: AccountSource::Operator,
        can_list_changes: false,
        can_list_deleted: false,
        walk: |start| Box::new(ListWalk::new(start)),
        lookup,
        read_lookup: |_, _| Lookup::Unknown("Metrifox does not document what it answers about a deleted customer"),
    }),
    read_file_entry,
    only_in_list: ONLY_IN_LIST,
    different_in_list: DIFFERENT_IN_LIST,
};

fn lookup(key: &CustomerKey) -> ApiRequest {
    get(format!("/customers/{}", ApiRequest::path_segment(key.customer_id())))
}

fn get(path: String) -> ApiRequest {
    ApiRequest { method: ApiMethod::Get, path, headers: vec![], body: None }
}

/// Reads the list in passes until two in a row had the same records, all of them different and as many as the list says
/// it has. Then no record that existed throughout is missing: each of those that both passes returned existed at the end
/// of the first of the two, when the list had no others.
///
/// A pass remembers eight bytes per record. Each record is returned once, and again when it has changed.
struct ListWalk {
    context: RecordContext,
    /// The page at which each pass starts. If it is not the first one, the pages before it are read last.
    start_page: u64,
    page: u64,
    /// Whether the current pass has come to the pages before `start_page`.
    has_wrapped: bool,
    pass: Pass,
    previous: Option<Pass>,
    passes: usize,
    end: Option<Result<(), &'static str>>,
}

/// What a pass has read.
#[derive(Default, PartialEq)]
struct Pass {
    /// The [fingerprint] of each record.
    records: Vec<u64>,
    /// Whether no record came twice, and there were as many as the list says it has.
    is_whole: bool,
}

impl ListWalk {
    /// A list without a filter or an order is always walked as a whole.
    fn new(start: WalkStart) -> Self {
        let start_page = match start.position {
            Some(Position::Page(page)) => page.max(1),
            Some(Position::Time(_)) | None => 1,
        };
        Self {
            context: RecordContext { account: start.account, received_at: start.now },
            start_page,
            page: start_page,
            has_wrapped: false,
            pass: Pass::default(),
            previous: None,
            passes: 0,
            end: None,
        }
    }

    /// Whether the pass before has returned the record as it is now.
    fn is_known(&self, fingerprint: u64) -> bool {
        self.previous.as_ref().is_some_and(|pass| pass.records.binary_search(&fingerprint).is_ok())
    }

    fn go_on(&mut self, has_next: bool, total: u64) {
        if has_next && !(self.has_wrapped && self.page + 1 == self.start_page) {
            self.page += 1;
        } else if !self.has_wrapped && self.start_page > 1 {
            (self.page, self.has_wrapped) = (1, true);
        } else {
            (self.page, self.has_wrapped) = (self.start_page, false);
            self.end_pass(total);
        }
    }

    fn end_pass(&mut self, total: u64) {
        let mut pass = std::mem::take(&mut self.pass);
        pass.records.sort_unstable();
        let has_all = u64::try_from(pass.records.len()) == Ok(total);
        pass.is_whole = has_all && pass.records.is_sorted_by(|one, next| one < next);
        self.passes += 1;
        if pass.is_whole && self.previous.as_ref() == Some(&pass) {
            self.end = Some(Ok(()));
        } else if self.passes == PASSES_MAX {
            self.end = Some(Err(if pass.is_whole {
                "the list changed each time it was read"
            } else {
                "the list did not return as many different customers as it says it has"
            }));
        }
        self.previous = Some(pass);
    }
}

impl Walk for ListWalk {
    fn next_request(&self) -> Option<ApiRequest> {
        let page = self.page;
        self.end.is_none().then(|| get(format!("/customers?page={page}&per_page={PAGE_RECORDS}")))
    }

    fn read(&mut self, answer: &ApiAnswer) -> Result<Page, ListingError> {
        let ListAnswer { records, total, has_next } = ListAnswer::read(answer, self.page)?;
        // A page may be empty although the one before announced it, because records were deleted since.
        let has_next = has_next && !records.is_empty();
        let mut listed = vec![];
        for record in records {
            let fingerprint = fingerprint(&record);
            self.pass.records.push(fingerprint);
            if !self.is_known(fingerprint) {
                listed.push(listed_record(record, &self.context));
            }
        }
        self.go_on(has_next, total);
        Ok(Page { listed, account: None, total: Some(total), position: Some(Position::Page(self.page)) })
    }

    fn completeness(&self) -> Result<(), &'static str> {
        self.end.unwrap_or(Err("the list was not read to its end"))
    }
}

/// A hash of the record's id and version, or of the whole record if it lacks one of them.
fn fingerprint(record: &Value) -> u64 {
    let mut hasher = DefaultHasher::new();
    match (record.get("id"), record.get("updated_at")) {
        (Some(id), Some(version)) if !id.is_null() => (id, version).hash(&mut hasher),
        _ => record.hash(&mut hasher),
    }
    hasher.finish()
}

/// One page of the list.
struct ListAnswer {
    records: Vec<Value>,
    /// How many records the list has.
    total: u64,
    has_next: bool,
}

impl ListAnswer {
    /// Reads the answer to the request for that page.
    fn read(answer: &ApiAnswer, page: u64) -> Result<Self, ListingError> {
        ListingError::of_status(answer)?;
        let mut body = parse_json(&answer.body).ok_or(ListingError::Unexpected("the body"))?;
        // The status is in the body as well. An error must not pass for an empty list if the two differ.
        if let Some(status) = body.get("statusCode").and_then(Value::as_u64).and_then(|status| status.try_into().ok()) {
            ListingError::of_status(&ApiAnswer { status, date: None, retry_after: None, body: vec![] })?;
        }
        let meta = |name| body.get("meta").and_then(|meta| meta.get(name));
        let number = |name| meta(name).and_then(Value::as_u64);
        let total = number("total_count").ok_or(ListingError::Unexpected("meta.total_count"))?;
        if number("current_page") != Some(page) {
            return Err(ListingError::Unexpected("meta.current_page"));
        }
        let has_next = match meta("next_page") {
            Some(Value::Null) => false,
            Some(next) if next.as_u64() == Some(page + 1) => true,
            _ => return Err(ListingError::Unexpected("meta.next_page")),
        };
        match body.get_mut("data").map(Value::take) {
            Some(Value::Array(records)) => Ok(Self { records, total, has_next }),
            _ => Err(ListingError::Unexpected("data")),
        }
    }
}

/// Reads a record, an answer of the API, the body of a webhook, or a list of them.
fn read_file_entry(entry: Value, context: &RecordContext) -> Vec<Listed> {
    match entry {
        Value::Array(entries) => entries.into_iter().flat_map(|entry| read_file_entry(entry, context)).collect(),
        Value::Object(mut fields) if fields.get("data").is_some_and(Value::is_array) => {
            fields.remove("data").map(|records| read_file_entry(records, context)).unwrap_or_default()
        }
        // No record has a field with one of these names.
        Value::Object(fields) if fields.contains_key("type") || fields.contains_key("data") => {
            vec![listed_webhook(Value::Object(fields), context).unwrap_or_else(untranslatable)]
        }
        record => vec![listed_record(record, context)],
    }
}

fn listed_record(record: Value, context: &RecordContext) -> Listed {
    let read = |key, mut record: Fields| {
        let archived_at = record.time("archived_at");
        // Whatever is there instead of a time, the customer is archived.
        if archived_at.is_some() || record.has_value("archived_at") {
            return Ok(Listed::Deleted { key, deleted_at: archived_at });
        }
        for name in ONLY_IN_LIST {
            record.any(name);
        }
        observation(key, record, [], context)
    };
    fields(record).map_or_else(untranslatable, |record| listed(record, context, read))
}

fn listed_webhook(body: Value, context: &RecordContext) -> Result<Listed, Untranslatable> {
    let mut body = fields(body)?;
    let kind = body.required("type", Fields::text)?;
    let Some(change) = change_kind(&kind) else { return FAMILY.ignore(kind).map(|_| Listed::Ignored) };
    // An observation has no id.
    body.id("id");
    let mut data = body.required("data", Fields::take_object)?;
    let record = data.required("data.customer", Fields::take_object)?;
    Ok(listed(record, context, |key, mut record| match change {
        ChangeKind::Deletion => Ok(Listed::Deleted { key, deleted_at: record.time("deleted_at") }),
        ChangeKind::Snapshot(_) => observation(key, record, [("data", data), ("", body)], context),
    }))
}

/// Takes the key from the record, and lets `read` read the rest.
fn listed(
    mut record: Fields,
    context: &RecordContext,
    read: impl FnOnce(CustomerKey, Fields) -> Result<Listed, Untranslatable>,
) -> Listed {
    let customer_id = record.required("customer.id", Fields::key_part);
    // Only a webhook's record says which account it belongs to.
    let account = match account(&mut record) {
        Err(Untranslatable::Missing(name)) => context.account.clone().ok_or(Untranslatable::Missing(name)),
        account => account,
    };
    let key = customer_id.clone().and_then(|id| CustomerKey::new(crate::PROVIDER.name, account?, id));
    let listed = key.and_then(|key| read(key, record));
    listed.unwrap_or_else(|reason| Listed::Untranslatable { customer_id: customer_id.ok(), reason })
}

fn observation<const N: usize>(
    key: CustomerKey,
    mut record: Fields,
    around: [(&str, Fields); N],
    context: &RecordContext,
) -> Result<Listed, Untranslatable> {
    check_complete(&record)?;
    let version = record.event_time("updated_at", Fields::time, context.received_at)?;
    let event = CustomerEvent::observation(key, version, whole_customer(record, around))?;
    Ok(Listed::Customer(Box::new(event)))
}

fn untranslatable(reason: Untranslatable) -> Listed {
    Listed::Untranslatable { customer_id: None, reason }
}

fn fields(mut value: Value) -> Result<Fields, Untranslatable> {
    CREDENTIALS.remove_from(&mut value);
    Fields::try_from(value).map_err(|_| Untranslatable::Unreadable("a record"))
}

#[cfg(test)]
mod tests;
