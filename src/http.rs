//! Delivering an event over HTTP, as its provider does.

use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::Value;
use ureq::Agent;

use crate::events;

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The body; empty with 204.
    pub body: String,
}

impl Answer {
    /// What came of the delivery: the outcome, or the outcomes with their numbers.
    #[must_use]
    pub fn outcome(&self) -> String {
        let body: Value = serde_json::from_str(&self.body).unwrap_or_default();
        match (&body["outcome"], &body["outcomes"]) {
            (Value::String(outcome), _) => outcome.clone(),
            (_, Value::Object(counts)) => {
                counts.iter().map(|(outcome, count)| format!("{count} {outcome}")).collect::<Vec<_>>().join(", ")
            }
            _ if self.status == 204 => "ignored".to_owned(),
            _ => String::new(),
        }
    }
}

/// Sends an API Gateway event as the request that it stands for.
///
/// # Errors
/// When there is no answer within 10 s.
pub fn deliver(base_url: &str, event: &Value) -> Result<Answer> {
    let path = event["rawPath"].as_str().context("the event has no rawPath")?;
    let url = format!("{}{path}", base_url.trim_end_matches('/'));
    let mut config = Agent::config_builder().http_status_as_error(false).timeout_global(Some(Duration::from_secs(10)));
    // No proxy leads to this machine itself.
    if ["http://127.", "http://[::1]", "http://localhost"].iter().any(|local| url.starts_with(local)) {
        config = config.proxy(None);
    }
    let mut request = Agent::new_with_config(config.build()).post(&url);
    // These two are the connection's own business.
    let own = |name: &str| !["host", "content-length"].contains(&name.to_ascii_lowercase().as_str());
    for (name, value) in events::headers(event).filter(|(name, _)| own(name)) {
        request = request.header(name, value);
    }
    let mut response = request.send(events::body(event)?).with_context(|| format!("no answer from {base_url}"))?;
    let body = response.body_mut().read_to_string()?;
    Ok(Answer { status: response.status().as_u16(), body })
}
