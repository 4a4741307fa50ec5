//! Delivers an event over HTTP, as its provider does.

use std::time::Duration;

use anyhow::{Context, Result};
use clientele_model::Provider;
use serde_json::Value;
use ureq::{Agent, Proxy};

use crate::events;

/// The answer to a delivery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The body; empty for 204.
    pub body: String,
}

impl Answer {
    /// The outcome of the delivery, or for several events the number of each outcome.
    #[must_use]
    pub fn outcome(&self) -> String {
        let body: Value = serde_json::from_str(&self.body).unwrap_or_default();
        match (&body["outcome"], &body["outcomes"]) {
            (Value::String(outcome), _) => outcome.clone(),
            (_, Value::Object(counts)) => {
                summary(counts.iter().map(|(outcome, count)| (outcome.as_str(), count.as_u64().unwrap_or_default())))
            }
            _ if self.status == 204 => "ignored".to_owned(),
            _ => String::new(),
        }
    }
}

/// The word for what happened if it happened once; else the number of each.
pub(crate) fn summary<'a>(counts: impl IntoIterator<Item = (&'a str, u64)>) -> String {
    let counts: Vec<_> = counts.into_iter().collect();
    match counts[..] {
        [(word, 1)] => word.to_owned(),
        _ => counts.iter().map(|(word, count)| format!("{count} {word}")).collect::<Vec<_>>().join(", "),
    }
}

/// Sends the request that an API Gateway event describes, through `proxy` if there is one.
///
/// # Errors
/// When there is no answer within 10 s.
pub fn deliver(base_url: &str, event: &Value, proxy: Option<Proxy>) -> Result<Answer> {
    let path = event["rawPath"].as_str().context("the event has no rawPath")?;
    let url = format!("{}{path}", base_url.trim_end_matches('/'));
    let config = Agent::config_builder().http_status_as_error(false).timeout_global(Some(Duration::from_secs(10)));
    let mut request = Agent::new_with_config(config.proxy(proxy).build()).post(&url);
    // The HTTP client sets these two itself.
    let is_copied = |name: &str| !["host", "content-length"].contains(&name.to_ascii_lowercase().as_str());
    for (name, value) in events::headers(event).filter(|(name, _)| is_copied(name)) {
        request = request.header(name, value);
    }
    let mut response = request.send(events::body(event)?).with_context(|| format!("no answer from {base_url}"))?;
    let body = response.body_mut().read_to_string()?;
    Ok(Answer { status: response.status().as_u16(), body })
}

/// The provider whose webhook has the path of an API Gateway event.
#[must_use]
pub fn provider_of(event: &Value) -> Option<&'static Provider> {
    let name = event["rawPath"].as_str()?.strip_prefix("/webhooks/")?.split('/').next()?;
    clientele_providers::find(name)
}

/// The proxy that the environment sets for a URL. Requests to this machine never use one.
#[must_use]
pub fn proxy_for(url: &str) -> Option<Proxy> {
    let is_local = ["http://127.", "http://[::1]", "http://localhost"].iter().any(|start| url.starts_with(start));
    if is_local { None } else { Proxy::try_from_env() }
}
