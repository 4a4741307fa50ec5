//! The list API of the small provider: pages of records, sorted by their version, and lookups.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use clientele_flow::{ApiUnreachable, ListClient};
use clientele_model::{
    AccountSource, ApiAnswer, ApiMethod, ApiRequest, CustomerEvent, CustomerKey, Fields, Id, ListApi, Listed, Listing,
    ListingError, Lookup, Page, Position, Time, Untranslatable, Walk, WalkScope, WalkStart, parse_json,
};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::provider::{ACCOUNT, ACME, ARRIVED_AT, EventSpec, customer, time};

/// The provider's list, with everything that a list can have.
pub(crate) static LISTING: Listing = listing(ListApi {
    urls: &["https://api.acme.example"],
    key_variable: "ACME_API_KEY",
    key_permission: "customers:read",
    key_header: |key| ("x-api-key", key.to_owned()),
    account: AccountSource::Answer,
    can_list_changes: true,
    can_list_deleted: true,
    walk: |start| Box::new(AcmeWalk { start, page: 0, returned: 0, total: 0, is_over: false }),
    lookup: |key| request(format!("/customers/{}", key.customer_id()), None),
    read_lookup,
});

/// A listing with another API.
pub(crate) const fn listing(api: ListApi) -> Listing {
    Listing {
        provider: &ACME,
        api: Some(api),
        read_file_entry: |_, _| vec![],
        only_in_list: &[],
        different_in_list: &["profile.title"],
    }
}

fn request(path: String, body: Option<Value>) -> ApiRequest {
    ApiRequest { method: ApiMethod::Post, path, headers: vec![], body }
}

struct AcmeWalk {
    start: WalkStart,
    page: u64,
    returned: u64,
    total: u64,
    is_over: bool,
}

impl Walk for AcmeWalk {
    fn next_request(&self) -> Option<ApiRequest> {
        let WalkStart { since, until, position, scope, .. } = &self.start;
        let first = position.map_or(0, |position| if let Position::Page(page) = position { page } else { 0 });
        let body = json!({
            "page": first + self.page, "since": since, "until": until, "deleted": *scope == WalkScope::Deleted,
        });
        (!self.is_over).then(|| request("/customers".to_owned(), Some(body)))
    }

    fn read(&mut self, answer: &ApiAnswer) -> Result<Page, ListingError> {
        ListingError::of_status(answer)?;
        let body = parse_json(&answer.body).ok_or(ListingError::Unexpected("the body"))?;
        let records = body["records"].as_array().ok_or(ListingError::Unexpected("records"))?;
        let next = body["next"].as_u64();
        (self.page, self.is_over) = (self.page + 1, next.is_none());
        self.total = body["total"].as_u64().unwrap_or_default();
        self.returned += records.len() as u64;
        Ok(Page {
            listed: records.iter().map(|record| self.listed(record)).collect(),
            account: body["account"].as_str().map(id),
            total: Some(self.total),
            position: next.map(Position::Page),
        })
    }

    fn completeness(&self) -> Result<(), &'static str> {
        let is_resumed = self.start.position.is_some();
        if self.returned < self.total && !is_resumed { Err("the list ended early") } else { Ok(()) }
    }
}

impl AcmeWalk {
    fn listed(&self, record: &Value) -> Listed {
        let customer_id = record["customer"].as_str().map(id);
        self.read_record(record).unwrap_or_else(|reason| Listed::Untranslatable { customer_id, reason })
    }

    fn read_record(&self, record: &Value) -> Result<Listed, Untranslatable> {
        let mut fields = Fields::try_from(record.clone())?;
        let key = key(fields.required("customer", Fields::text)?.as_str());
        if let Some(deleted_at) = fields.time("deleted_at") {
            return Ok(Listed::Deleted { key, deleted_at: Some(deleted_at) });
        }
        let version = fields.event_time("version", Fields::time, self.start.now)?;
        fields.text("account");
        CustomerEvent::observation(key, version, customer(fields)).map(Box::new).map(Listed::Customer)
    }
}

pub(crate) fn id(text: &str) -> Id {
    Id::new(text.to_owned()).unwrap()
}

pub(crate) fn key(customer: &str) -> CustomerKey {
    CustomerKey::new(ACME.name, id(ACCOUNT), id(customer)).unwrap()
}

fn read_lookup(_: &CustomerKey, answer: &ApiAnswer) -> Lookup {
    match (answer.status, answer.body.as_slice()) {
        (200, b"exists") => Lookup::Exists,
        (200, b"deleted") => Lookup::Deleted(None),
        _ => Lookup::Unknown("neither the customer nor a delete"),
    }
}

/// The customer after the event, as an import reads it.
pub(crate) fn observation(event: &EventSpec) -> CustomerEvent {
    let walk = AcmeWalk { start: start(), page: 0, returned: 0, total: 0, is_over: false };
    let Ok(Listed::Customer(event)) = walk.read_record(&event.record()) else { panic!("a customer") };
    *event
}

fn start() -> WalkStart {
    WalkStart { now: ARRIVED_AT, ..WalkStart::default() }
}

/// What goes wrong with a request.
#[derive(Clone, Copy, Debug)]
pub(crate) enum ListFault {
    Unreachable,
    /// An answer with this status, and how long it asks to wait.
    Status(u16, Option<Duration>),
    /// An answer with this body.
    Body(&'static str),
}

/// The provider's records, and how its API behaves.
pub(crate) struct List {
    pub(crate) records: Vec<Value>,
    /// The ids of customers whom the API says to be deleted.
    pub(crate) deleted: BTreeSet<String>,
    /// The ids of customers about whom the API says nothing.
    pub(crate) unknown: BTreeSet<String>,
    pub(crate) page_size: usize,
    /// The clock of the provider.
    pub(crate) date: Timestamp,
    /// More records than there are.
    pub(crate) missing: usize,
    pub(crate) account: Option<&'static str>,
    /// Whether it lists what changed after the end of the requested time, too.
    pub(crate) ignores_until: bool,
    pub(crate) requests: Vec<ApiRequest>,
}

impl List {
    pub(crate) fn of(events: &[EventSpec]) -> Self {
        Self {
            records: events.iter().map(EventSpec::record).collect(),
            deleted: BTreeSet::new(),
            unknown: BTreeSet::new(),
            page_size: 2,
            date: ARRIVED_AT,
            missing: 0,
            account: Some(ACCOUNT),
            ignores_until: false,
            requests: vec![],
        }
    }

    /// Removes the customer from the list. The provider remembers the delete.
    pub(crate) fn delete(&mut self, customer: &str) {
        self.records.retain(|record| record["customer"] != customer);
        self.deleted.insert(customer.to_owned());
    }

    /// The record of a customer whom the provider deleted, at this many seconds.
    pub(crate) fn archive(&mut self, customer: &str, deleted_at: i64) {
        self.delete(customer);
        let (version, deleted_at) = (time(deleted_at), time(deleted_at));
        self.records.push(json!({ "customer": customer, "version": version, "deleted_at": deleted_at }));
    }

    fn answer(&self, request: &ApiRequest) -> ApiAnswer {
        let body = match &request.body {
            Some(query) => self.page(query).to_string(),
            None => self.lookup(request.path.trim_start_matches("/customers/")).to_owned(),
        };
        ApiAnswer { status: 200, date: Some(self.date), retry_after: None, body: body.into_bytes() }
    }

    fn lookup(&self, customer: &str) -> &'static str {
        if self.unknown.contains(customer) {
            return "{}";
        }
        if self.deleted.contains(customer) { "deleted" } else { "exists" }
    }

    fn page(&self, query: &Value) -> Value {
        let limit = |name: &str| query[name].as_str().map(|time| time.parse::<Timestamp>().unwrap());
        let (since, until) = (limit("since"), limit("until").filter(|_| !self.ignores_until));
        let is_listed = |record: &&Value| {
            let version = record["version"].as_str().and_then(|version| version.parse::<Time>().ok());
            let is_within = version.is_none_or(|Time(version)| {
                since.is_none_or(|since| version >= since) && until.is_none_or(|until| version < until)
            });
            is_within && (query["deleted"] == true) != record["deleted_at"].is_null()
        };
        let records: Vec<_> = self.records.iter().filter(is_listed).collect();
        let page = usize::try_from(query["page"].as_u64().unwrap()).unwrap();
        let (start, end) = (page * self.page_size, (page + 1) * self.page_size);
        let next = (end < records.len()).then_some(page + 1);
        let total = records.len() + self.missing;
        let on_page: Vec<_> = records.into_iter().skip(start).take(self.page_size).collect();
        json!({ "account": self.account, "total": total, "next": next, "records": on_page })
    }
}

/// The fault of a request, or what happens before it. Requests are counted from 0.
type Plan = Box<dyn FnMut(usize, &mut List) -> Option<ListFault> + Send>;

/// The list API as a client sees it.
#[derive(Clone)]
pub(crate) struct ListStandIn(Arc<Mutex<(List, Plan)>>);

impl ListStandIn {
    pub(crate) fn new(list: List) -> Self {
        Self::with(list, |_, _| None)
    }

    /// With faults, or a list that changes while it is read.
    pub(crate) fn with(list: List, plan: impl FnMut(usize, &mut List) -> Option<ListFault> + Send + 'static) -> Self {
        Self(Arc::new(Mutex::new((list, Box::new(plan)))))
    }

    pub(crate) fn requests(&self) -> Vec<ApiRequest> {
        self.locked().0.requests.clone()
    }

    /// Changes the list.
    pub(crate) fn change(&self, change: impl FnOnce(&mut List)) {
        change(&mut self.locked().0);
    }

    fn locked(&self) -> MutexGuard<'_, (List, Plan)> {
        self.0.lock().unwrap()
    }
}

impl ListClient for ListStandIn {
    async fn call(&self, request: &ApiRequest) -> Result<ApiAnswer, ApiUnreachable> {
        let (list, plan) = &mut *self.locked();
        let fault = plan(list.requests.len(), list);
        list.requests.push(request.clone());
        let answer = list.answer(request);
        match fault {
            None => Ok(answer),
            Some(ListFault::Unreachable) => Err(ApiUnreachable("down".to_owned())),
            Some(ListFault::Status(status, retry_after)) => Ok(ApiAnswer { status, retry_after, ..answer }),
            Some(ListFault::Body(body)) => Ok(ApiAnswer { body: body.into(), ..answer }),
        }
    }
}
