//! Reads requests to SQS, and its answers.

use serde_json::Value;

/// The name of the queue with that URL.
pub(crate) fn queue_name(url: &Value) -> String {
    url.as_str().and_then(|url| url.rsplit('/').next()).unwrap_or_default().to_owned()
}

/// A text; empty if the value is none.
pub(crate) fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// The elements of a list; none if the value is no list.
pub(crate) fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}
