//! Delivering an event over HTTP, as its provider does.

use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::Value;
use ureq::{Agent, Proxy};

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

/// Sends an API Gateway event as the request that it stands for, through `proxy` if there is one.
///
/// # Errors
/// When there is no answer within 10 s.
pub fn deliver(base_url: &str, event: &Value, proxy: Option<Proxy>) -> Result<Answer> {
    let path = event["rawPath"].as_str().context("the event has no rawPath")?;
    let url = format!("{}{path}", base_url.trim_end_matches('/'));
    let config = Agent::config_builder().http_status_as_error(false).timeout_global(Some(Duration::from_secs(10)));
    let mut request = Agent::new_with_config(config.proxy(proxy).build()).post(&url);
    // These two are the connection's own business.
    let own = |name: &str| !["host", "content-length"].contains(&name.to_ascii_lowercase().as_str());
    for (name, value) in events::headers(event).filter(|(name, _)| own(name)) {
        request = request.header(name, value);
    }
    let mut response = request.send(events::body(event)?).with_context(|| format!("no answer from {base_url}"))?;
    let body = response.body_mut().read_to_string()?;
    Ok(Answer { status: response.status().as_u16(), body })
}

/// The proxy that the environment names for a URL; none leads to this machine itself.
#[must_use]
pub fn proxy_for(url: &str) -> Option<Proxy> {
    let local = ["http://127.", "http://[::1]", "http://localhost"].iter().any(|local| url.starts_with(local));
    if local { None } else { Proxy::try_from_env() }
}

/// Text as one segment of a path, percent-encoded.
#[must_use]
pub fn path_segment(text: &str) -> String {
    let encoded = |byte: u8| match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    text.bytes().map(encoded).collect()
}
