//! Asks Plain to which URLs it sends webhooks (<https://www.plain.com/docs/graphql/webhook-targets>). A target that is
//! missing, disabled or subscribed to too few events loses webhooks without an error anywhere.

use clientele_model::{ApiAnswer, ApiRequest, ListingError};
use serde_json::{Value, json};

use crate::graphql;
use crate::payload::{CUSTOMER_CHANGED, REPEATED_BY_CUSTOMER_CHANGED, REQUIRED_EVENT_TYPES};

/// The permission that the API key needs to read the webhook targets.
pub const WEBHOOK_TARGETS_PERMISSION: &str = "webhookTarget:read";

/// A workspace can have up to 25 targets, so they fit on one page.
pub(crate) const QUERY: &str = "query clienteleWebhookTargets {
  webhookTargets(first: 100) {
    pageInfo { hasNextPage }
    edges { node { url isEnabled eventSubscriptions { eventType } } }
  }
}";

/// The request for the webhook targets of the workspace that the API key belongs to.
#[must_use]
pub fn webhook_targets_request() -> ApiRequest {
    graphql::request(QUERY, &json!({}))
}

/// The webhook targets of a workspace.
#[derive(Clone, PartialEq, Eq)]
pub struct WebhookTargets(Vec<Target>);

#[derive(Clone, PartialEq, Eq)]
struct Target {
    endpoint: String,
    is_enabled: bool,
    event_types: Vec<String>,
}

/// Whether Plain sends a URL every event that it needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WebhookTargetState {
    /// It does.
    Ready,
    /// The workspace has no target with that URL.
    Absent,
    /// The target is disabled.
    Disabled,
    /// The target does not subscribe to these types of events.
    LacksEventTypes(Vec<&'static str>),
}

impl WebhookTargets {
    /// Reads the answer to the request.
    ///
    /// # Errors
    /// When the answer is an error, or differs from what is known about the API.
    pub fn read(answer: &ApiAnswer) -> Result<Self, ListingError> {
        let data = graphql::data(answer)?;
        let targets = data.get("webhookTargets").ok_or(ListingError::Unexpected("data.webhookTargets"))?;
        if targets.pointer("/pageInfo/hasNextPage") != Some(&Value::Bool(false)) {
            return Err(ListingError::Unexpected("data.webhookTargets.pageInfo.hasNextPage"));
        }
        let edges = targets.get("edges").and_then(Value::as_array);
        let edges = edges.ok_or(ListingError::Unexpected("data.webhookTargets.edges"))?;
        edges.iter().map(Target::read).collect::<Result<_, _>>().map(Self)
    }

    /// What Plain sends to that URL. Several targets may have it.
    #[must_use]
    pub fn state(&self, url: &str) -> WebhookTargetState {
        let endpoint = endpoint(url);
        let targets: Vec<&Target> = self.0.iter().filter(|target| target.endpoint == endpoint).collect();
        if targets.is_empty() {
            return WebhookTargetState::Absent;
        }
        let enabled: Vec<&Target> = targets.into_iter().filter(|target| target.is_enabled).collect();
        if enabled.is_empty() {
            return WebhookTargetState::Disabled;
        }
        let subscribes = |kind: &str| enabled.iter().any(|target| target.event_types.iter().any(|known| known == kind));
        let is_repeated = |kind| subscribes(CUSTOMER_CHANGED) && REPEATED_BY_CUSTOMER_CHANGED.contains(kind);
        let lacking = REQUIRED_EVENT_TYPES.iter().filter(|kind| !subscribes(kind) && !is_repeated(kind));
        match lacking.copied().collect::<Vec<_>>() {
            lacking if lacking.is_empty() => WebhookTargetState::Ready,
            lacking => WebhookTargetState::LacksEventTypes(lacking),
        }
    }
}

/// A URL can contain a user and a password.
impl std::fmt::Debug for WebhookTargets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("WebhookTargets(..)")
    }
}

impl Target {
    fn read(edge: &Value) -> Result<Self, ListingError> {
        let field = |name| edge.get("node").and_then(|node| node.get(name));
        let url =
            field("url").and_then(Value::as_str).ok_or(ListingError::Unexpected("the url of a webhook target"))?;
        let is_enabled = field("isEnabled").and_then(Value::as_bool);
        let subscriptions = field("eventSubscriptions").and_then(Value::as_array);
        let event_type = |subscription: &Value| Some(subscription.get("eventType")?.as_str()?.to_owned());
        let event_types = subscriptions.and_then(|all| all.iter().map(event_type).collect());
        Ok(Self {
            endpoint: endpoint(url),
            is_enabled: is_enabled.ok_or(ListingError::Unexpected("isEnabled of a webhook target"))?,
            event_types: event_types.ok_or(ListingError::Unexpected("eventSubscriptions of a webhook target"))?,
        })
    }
}

/// The part of a URL that decides where it leads: without user and password, without the default port, and with scheme and
/// host in lower case.
fn endpoint(url: &str) -> String {
    let (scheme, rest) = url.trim().split_once("://").unwrap_or(("https", url));
    let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let (scheme, host) = (scheme.to_ascii_lowercase(), host.to_ascii_lowercase());
    let default_port = if scheme == "http" { ":80" } else { ":443" };
    format!("{scheme}://{}{path}", host.strip_suffix(default_port).unwrap_or(&host))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::list_stand_in::{LIST_STAND_IN, webhook_target_record};
    use rstest::rstest;

    const URL: &str = "https://hooks.example.com/webhooks/plain";

    fn read(targets: &[Value]) -> Result<WebhookTargets, ListingError> {
        WebhookTargets::read(&(LIST_STAND_IN.answer)(targets, &webhook_targets_request(), 100))
    }

    fn target(url: &str, is_enabled: bool, event_types: &[&str]) -> Value {
        let subscriptions: Vec<Value> = event_types.iter().map(|kind| json!({ "eventType": kind })).collect();
        json!({ "url": url, "isEnabled": is_enabled, "eventSubscriptions": subscriptions })
    }

    const CREATED: &str = "customer.customer_created";
    const UPDATED: &str = "customer.customer_updated";
    const GROUPS: &str = "customer.customer_group_memberships_changed";
    const DELETED: &str = "customer.customer_deleted";
    const CHANGED: &str = "customer.customer_changed";

    #[rstest]
    #[case::none(vec![], WebhookTargetState::Absent)]
    #[case::another_path(vec![target("https://hooks.example.com/plain", true, REQUIRED_EVENT_TYPES)], WebhookTargetState::Absent)]
    #[case::ready(vec![webhook_target_record(URL)], WebhookTargetState::Ready)]
    #[case::changed_instead(vec![target(URL, true, &[CHANGED, GROUPS, DELETED])], WebhookTargetState::Ready)]
    #[case::more(vec![target(URL, true, &[CREATED, UPDATED, CHANGED, GROUPS, DELETED, "thread.x"])], WebhookTargetState::Ready)]
    #[case::disabled(vec![target(URL, false, REQUIRED_EVENT_TYPES)], WebhookTargetState::Disabled)]
    #[case::one_of_two_is_disabled(
        vec![target(URL, false, &[]), target(URL, true, REQUIRED_EVENT_TYPES)],
        WebhookTargetState::Ready
    )]
    #[case::two_share_the_types(
        vec![target(URL, true, &[CREATED, UPDATED]), target(URL, true, &[GROUPS, DELETED])],
        WebhookTargetState::Ready
    )]
    #[case::a_disabled_one_does_not_count(
        vec![target(URL, true, &[CREATED, UPDATED, GROUPS]), target(URL, false, &[DELETED])],
        WebhookTargetState::LacksEventTypes(vec![DELETED])
    )]
    #[case::only_created(
        vec![target(URL, true, &[CREATED])],
        WebhookTargetState::LacksEventTypes(vec![UPDATED, GROUPS, DELETED])
    )]
    #[case::only_changed(vec![target(URL, true, &[CHANGED])], WebhookTargetState::LacksEventTypes(vec![GROUPS, DELETED]))]
    #[case::nothing(vec![target(URL, true, &[])], WebhookTargetState::LacksEventTypes(REQUIRED_EVENT_TYPES.to_vec()))]
    fn state_of_a_url(#[case] targets: Vec<Value>, #[case] state: WebhookTargetState) {
        assert_eq!(read(&targets).unwrap().state(URL), state);
    }

    #[rstest]
    #[case("https://hooks.example.com/webhooks/plain", true)]
    #[case("HTTPS://Hooks.Example.COM:443/webhooks/plain", true)]
    #[case(" https://user:p%40ss@hooks.example.com/webhooks/plain ", true)]
    #[case("http://hooks.example.com/webhooks/plain", false)]
    #[case("https://hooks.example.com:8443/webhooks/plain", false)]
    #[case("https://hooks.example.com/webhooks/Plain", false)]
    #[case("https://hooks.example.com/webhooks/plain?key=1", false)]
    #[case("https://hooks.example.com@evil.example/webhooks/plain", false)]
    #[case("hooks.example.com", false)]
    #[case("", false)]
    fn urls_of_the_same_endpoint(#[case] url: &str, #[case] is_same: bool) {
        let state = read(&[webhook_target_record(url)]).unwrap().state(URL);
        assert_eq!(state == WebhookTargetState::Ready, is_same);
    }

    #[rstest]
    #[case(json!({}), "data.webhookTargets")]
    #[case(json!({ "webhookTargets": {} }), "data.webhookTargets.pageInfo.hasNextPage")]
    #[case(json!({ "webhookTargets": page(true, &json!([])) }), "data.webhookTargets.pageInfo.hasNextPage")]
    #[case(json!({ "webhookTargets": page(false, &Value::Null) }), "data.webhookTargets.edges")]
    #[case(json!({ "webhookTargets": page(false, &json!([{}])) }), "the url of a webhook target")]
    #[case(
        json!({ "webhookTargets": page(false, &json!([{ "node": { "url": URL, "isEnabled": 1 } }])) }),
        "isEnabled of a webhook target"
    )]
    #[case(
        json!({ "webhookTargets": page(false, &json!([{ "node": { "url": URL, "isEnabled": true } }])) }),
        "eventSubscriptions of a webhook target"
    )]
    #[case(
        json!({ "webhookTargets": page(false, &json!([{ "node": { "url": URL, "isEnabled": true, "eventSubscriptions": [{}] } }])) }),
        "eventSubscriptions of a webhook target"
    )]
    fn an_unexpected_answer(#[case] data: Value, #[case] what: &'static str) {
        let body = json!({ "data": data }).to_string().into();
        let answer = ApiAnswer { status: 200, date: None, retry_after: None, body };
        assert_eq!(WebhookTargets::read(&answer), Err(ListingError::Unexpected(what)));
    }

    fn page(has_next_page: bool, edges: &Value) -> Value {
        json!({ "pageInfo": { "hasNextPage": has_next_page }, "edges": edges })
    }

    #[test]
    fn a_key_without_the_permission_is_denied() {
        let body = json!({ "data": null, "errors": [{ "extensions": { "code": "FORBIDDEN" } }] }).to_string().into();
        let answer = ApiAnswer { status: 200, date: None, retry_after: None, body };
        assert_eq!(WebhookTargets::read(&answer), Err(ListingError::Denied));
    }

    #[test]
    fn debug_output_contains_no_password() {
        let targets = read(&[webhook_target_record("https://user:secret@hooks.example.com/")]).unwrap();
        assert_eq!(format!("{targets:?}"), "WebhookTargets(..)");
    }
}
