//! Stand-ins for the providers' list APIs, on the admin port under `/list-apis/<provider>`.
//!
//! They do what makes a real list hard to read: they ask for a key, answer in pages, throttle, fail now and then, and
//! their customers change while they are read. What differs between providers, requests and answers, is in
//! `functions/<provider>/src/list_stand_in.rs`.
//!
//! Nothing is random: the same requests in the same order get the same answers, except for the times of the changes that
//! happen while a list is read.

mod customers;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::Result;
use axum::Router;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use clientele_model::{ApiAnswer, ApiMethod, ApiRequest, Provider, SampleEvent, parse_json};
use clientele_plain::webhook_targets_request;
use clientele_providers::{PROVIDERS, list_stand_in, listing, local_api_key};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::sending::Sender;
use crate::server::Body;
use customers::Customers;

/// Where the stand-ins are on the admin port.
const PATH: &str = "/list-apis";
/// The headers besides the key that a stand-in reads. Flexprice's names the account.
const HEADERS: [&str; 1] = ["X-Environment-ID"];

/// How the stand-ins behave. The tests choose other values.
#[derive(Clone, Debug)]
pub struct ListApiOptions {
    /// How many customers each provider has when the stack starts.
    pub customers: u32,
    /// The most records of a page.
    pub page_max: usize,
    /// Every request whose number is a multiple of this is answered 429; 0 for none.
    pub throttle_every: u64,
    /// The `Retry-After` of these answers, in seconds.
    pub retry_after_seconds: u64,
    /// Every request whose number is a multiple of this is answered 500; 0 for none.
    pub fail_every: u64,
    /// How many customers change while the list is read: one after each of so many answers.
    pub changes: u64,
    /// Whether webhooks report these changes.
    pub reports_changes: bool,
}

impl Default for ListApiOptions {
    /// Several pages, some of them after a failure. All changes are over before a walk through the list is, so that it can
    /// complete. Webhooks report them, as they do at a provider, because otherwise a reconciliation would count them as
    /// lost.
    fn default() -> Self {
        Self {
            customers: 300,
            page_max: 50,
            throttle_every: 5,
            retry_after_seconds: 1,
            fail_every: 7,
            changes: 5,
            reports_changes: true,
        }
    }
}

impl ListApiOptions {
    /// Nothing fails, and nothing changes while it is read.
    #[must_use]
    pub fn calm() -> Self {
        Self { throttle_every: 0, fail_every: 0, changes: 0, ..Self::default() }
    }
}

/// The list APIs of all providers that have one. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct ListApis {
    options: ListApiOptions,
    stand_ins: Arc<BTreeMap<&'static str, Mutex<StandIn>>>,
}

/// What happened to a customer of a provider.
type Change = (&'static Provider, SampleEvent);

/// The list API of one provider.
#[derive(Debug)]
struct StandIn {
    provider: &'static Provider,
    /// The header that has to contain the key: its name and its value.
    key_header: (&'static str, String),
    customers: Customers,
    /// How many requests had the right key.
    requests: u64,
    /// How many of them were answered without a failure.
    answers: u64,
}

impl ListApis {
    /// `gateway` is the URL at which the stack takes webhooks.
    pub(super) fn new(options: ListApiOptions, gateway: &str) -> Self {
        let target = clientele_plain::webhook_target_record(&format!("{gateway}/webhooks/plain"));
        let stand_in = |(place, &provider): (u32, &&'static Provider)| {
            let (api, pure) = (listing(provider).api.as_ref()?, list_stand_in(provider)?);
            // Plain's API also says where Plain sends webhooks to.
            let others = Vec::from_iter((provider.name == clientele_plain::PROVIDER.name).then(|| target.clone()));
            let customers = Customers::new(*pure, api.can_list_deleted, others, place, options.customers);
            let key_header = (api.key_header)(&local_api_key(provider));
            Some((provider.name, Mutex::new(StandIn { provider, key_header, customers, requests: 0, answers: 0 })))
        };
        let stand_ins = Arc::new((0..).zip(PROVIDERS).filter_map(stand_in).collect());
        Self { options, stand_ins }
    }

    /// URL and key by provider, for the commands.
    pub(super) fn description(&self, admin_url: &str) -> Value {
        let access = |provider: &&Provider| {
            let url = format!("{admin_url}{PATH}/{}", provider.name);
            (provider.name.to_owned(), json!({ "url": url, "key": local_api_key(provider) }))
        };
        let providers = PROVIDERS.iter().filter(|provider| self.stand_ins.contains_key(provider.name));
        providers.map(access).collect::<serde_json::Map<_, _>>().into()
    }

    /// The routes. `sender` sends the webhooks about what changes.
    pub(super) fn router(self, sender: Sender) -> Router {
        let routes = Router::new().route(&format!("{PATH}/{{provider}}"), any(answer_root));
        routes.route(&format!("{PATH}/{{provider}}/{{*path}}"), any(answer_path)).with_state((self, sender))
    }

    /// The last change of each customer of a provider, also of those that it has deleted. Empty if it has no list API.
    #[must_use]
    pub fn customers(&self, provider: &str) -> Vec<SampleEvent> {
        self.stand_in(provider).map_or(vec![], |stand_in| stand_in.customers.last_changes().to_vec())
    }

    /// How many requests to the list of a provider had its key.
    #[must_use]
    pub fn requests(&self, provider: &str) -> u64 {
        self.stand_in(provider).map_or(0, |stand_in| stand_in.requests)
    }

    /// Lets this happen to a customer of a provider. No webhook reports it.
    pub fn change(&self, provider: &str, change: SampleEvent) {
        if let Some(mut stand_in) = self.stand_in(provider) {
            stand_in.customers.apply(change);
        }
    }

    pub(super) async fn deliver_past_webhooks(&self, sender: &Sender) -> Result<usize> {
        let past = self.stand_ins.values().flat_map(|stand_in| {
            let stand_in = lock(stand_in);
            stand_in.customers.reported().iter().map(|change| (stand_in.provider, change.clone())).collect::<Vec<_>>()
        });
        let past: Vec<_> = past.filter(|(provider, _)| sender.can_sign_for(provider)).collect();
        for (provider, change) in &past {
            sender.deliver_sample(provider, change).await?;
        }
        Ok(past.len())
    }

    fn stand_in(&self, provider: &str) -> Option<MutexGuard<'_, StandIn>> {
        self.stand_ins.get(provider).map(lock)
    }

    /// Answers a request, and then perhaps changes a customer. Returns that change, too.
    fn answer(&self, provider: &str, headers: &HeaderMap, request: &ApiRequest) -> (ApiAnswer, Option<Change>) {
        let Some(mut stand_in) = self.stand_in(provider) else {
            return (error(404, "there is no list API of that name"), None);
        };
        let (name, key) = &stand_in.key_header;
        if headers.get(*name).is_none_or(|given| given.as_bytes() != key.as_bytes()) {
            return (error(401, "Unauthorized"), None);
        }
        // A question about webhook targets is no step of a walk through the list.
        if request.body == webhook_targets_request().body {
            return (stand_in.customers.answer(request, self.options.page_max), None);
        }
        stand_in.requests += 1;
        let is_turn = |every: u64| every > 0 && stand_in.requests.is_multiple_of(every);
        if is_turn(self.options.throttle_every) {
            let retry_after = Some(Duration::from_secs(self.options.retry_after_seconds));
            return (ApiAnswer { retry_after, ..error(429, "too many requests") }, None);
        }
        if is_turn(self.options.fail_every) {
            return (error(500, "internal error"), None);
        }
        let answer = stand_in.customers.answer(request, self.options.page_max);
        stand_in.answers += 1;
        let is_changed = stand_in.answers <= self.options.changes;
        let change = is_changed.then(|| (stand_in.provider, stand_in.customers.change_one(Timestamp::now())));
        (answer, change)
    }
}

fn lock(stand_in: &Mutex<StandIn>) -> MutexGuard<'_, StandIn> {
    stand_in.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What the providers answer beside the status differs, and nothing reads it.
fn error(status: u16, message: &str) -> ApiAnswer {
    ApiAnswer { status, date: None, retry_after: None, body: json!({ "error": message }).to_string().into_bytes() }
}

async fn answer_root(
    State((apis, sender)): State<(ListApis, Sender)>,
    Path(provider): Path<String>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let request = match read(&provider, &method, &uri, &headers, body) {
        Ok(request) => request,
        Err(refusal) => return respond(refusal),
    };
    let (answer, change) = apis.answer(&provider, &headers, &request);
    let change = change.filter(|(provider, _)| apis.options.reports_changes && sender.can_sign_for(provider));
    if let Some((provider, change)) = change {
        // Like a real provider's, the webhook arrives while the list is being read. If the gateway does not answer, it is
        // lost.
        tokio::spawn(async move { sender.deliver_sample(provider, &change).await });
    }
    respond(answer)
}

async fn answer_path(
    state: State<(ListApis, Sender)>,
    Path((provider, _)): Path<(String, String)>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Response {
    answer_root(state, Path(provider), method, uri, headers, body).await
}

/// The request as the stand-ins of the providers read it, or the answer if it cannot be one.
fn read(provider: &str, method: &Method, uri: &Uri, headers: &HeaderMap, body: Body) -> Result<ApiRequest, ApiAnswer> {
    let body = body.map_err(|rejection| error(rejection.status().as_u16(), &rejection.body_text()))?;
    let method = match *method {
        Method::GET => ApiMethod::Get,
        Method::POST => ApiMethod::Post,
        _ => return Err(error(405, "the list APIs have only GET and POST")),
    };
    let whole = uri.path_and_query().map_or("", |path| path.as_str());
    let path = whole.strip_prefix(&format!("{PATH}/{provider}")).unwrap_or_default().to_owned();
    let body =
        if body.is_empty() { None } else { Some(parse_json(&body).ok_or_else(|| error(400, "the body is not JSON"))?) };
    let header = |name| Some((name, headers.get(name)?.to_str().ok()?.to_owned()));
    let headers = HEADERS.into_iter().filter_map(header).collect();
    Ok(ApiRequest { method, path, headers, body })
}

fn respond(answer: ApiAnswer) -> Response {
    let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = (status, [(header::CONTENT_TYPE, "application/json")], answer.body).into_response();
    if let Some(wait) = answer.retry_after {
        response.headers_mut().insert(header::RETRY_AFTER, wait.as_secs().into());
    }
    response
}
