//! Asks Plain whether it sends webhooks to the stack. No other provider has an API for that.

use std::fmt::Display;

use clientele_api::{ApiKey, ApiUrl, HttpListApi, Limits};
use clientele_flow::ListClient;
use clientele_model::ListApi;
use clientele_plain::{
    LISTING, WEBHOOK_TARGETS_PERMISSION, WebhookTargetState, WebhookTargets, webhook_targets_request,
};

use super::facts::{Fact, TargetState, Unread, WebhookTarget};

/// The variable that names another URL of Plain's API.
const URL_VARIABLE: &str = "PLAIN_API_URL";

/// Reads what Plain sends to the webhook URL of a deployed stack, if the environment has an API key.
pub(super) async fn deployed(webhook_url: &str, variable: impl Fn(&str) -> Option<String>) -> Fact<WebhookTarget> {
    let Some(api) = &LISTING.api else { return Fact::NotApplicable("Plain has no API for it") };
    let Some(key) = variable(api.key_variable).filter(|key| !key.is_empty()) else {
        return Fact::NotApplicable("not checked: PLAIN_API_KEY is not set");
    };
    let default = api.urls.first().copied().unwrap_or_default();
    let url = variable(URL_VARIABLE).filter(|url| !url.is_empty()).unwrap_or_else(|| default.to_owned());
    with_key(api, &url, &key, webhook_url).await
}

/// Reads what Plain's API at that URL sends to the webhook URL.
pub async fn at(url: &str, key: &str, webhook_url: &str) -> Fact<WebhookTarget> {
    match &LISTING.api {
        Some(api) => with_key(api, url, key, webhook_url).await,
        None => Fact::NotApplicable("Plain has no API for it"),
    }
}

async fn with_key(api: &ListApi, url: &str, key: &str, webhook_url: &str) -> Fact<WebhookTarget> {
    let read = async {
        let key = ApiKey::parse(key).map_err(|error| format!("{} cannot be used: {error}", api.key_variable))?;
        let url = url.parse::<ApiUrl>().map_err(|error| format!("{URL_VARIABLE} cannot be used: {error}"))?;
        let client = HttpListApi::new(url, &key, api.key_header, Limits::default()).map_err(text)?;
        let answer = client.call(&webhook_targets_request()).await.map_err(|error| error.0)?;
        let state = match WebhookTargets::read(&answer).map_err(text)?.state(webhook_url) {
            WebhookTargetState::Ready => TargetState::Ready,
            WebhookTargetState::Absent => TargetState::Absent,
            WebhookTargetState::Disabled => TargetState::Disabled,
            WebhookTargetState::LacksEventTypes(types) => TargetState::LacksEventTypes(types),
        };
        Ok(WebhookTarget { url: webhook_url.to_owned(), state })
    };
    match read.await {
        Ok(target) => Fact::Known(target),
        Err(problem) => Fact::Unknown(Unread { action: WEBHOOK_TARGETS_PERMISSION, problem }),
    }
}

fn text(error: impl Display) -> String {
    error.to_string()
}
