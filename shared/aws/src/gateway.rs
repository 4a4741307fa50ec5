//! API Gateway in and out: HTTP API, payload format 2.0
//! (<https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html>).
//!
//! Only what a receiver needs is read, and headers are kept as they came: repeated in several letter cases they must
//! be seen, and whatever bytes a stranger puts into one must not fail the invocation.

use std::collections::BTreeMap;
use std::fmt;

use clientele_model::{Request, WebhookResponse};
use jiff::Timestamp;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde::{Deserialize, Serialize};

/// An event of the gateway.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HttpEvent {
    #[serde(default)]
    headers: Headers,
    #[serde(default)]
    path_parameters: Option<PathParameters>,
    #[serde(default)]
    body: Option<String>,
    #[serde(default)]
    is_base64_encoded: bool,
    #[serde(default)]
    request_context: RequestContext,
}

impl HttpEvent {
    /// The gateway's own id of the request, which is in its access log as well; empty if there is none.
    pub(crate) fn take_request_id(&mut self) -> String {
        std::mem::take(&mut self.request_context.request_id)
    }
}

impl fmt::Debug for HttpEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HttpEvent(..)")
    }
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct RequestContext {
    #[serde(default)]
    request_id: String,
}

/// One call of a function.
#[derive(Clone, Debug)]
pub struct Invocation {
    /// Lambda's id of it.
    pub request_id: String,
    /// X-Ray's, where the call is traced.
    pub trace_id: Option<String>,
    /// Now.
    pub received_at: Timestamp,
}

#[derive(Deserialize)]
struct PathParameters {
    token: Option<String>,
}

impl From<HttpEvent> for Request {
    fn from(event: HttpEvent) -> Self {
        let HttpEvent { headers, path_parameters, body, is_base64_encoded, .. } = event;
        let token = path_parameters.and_then(|parameters| parameters.token);
        Self { headers: headers.0, token, body, is_base64: is_base64_encoded }
    }
}

#[derive(Default)]
struct Headers(Vec<(String, String)>);

impl<'de> Deserialize<'de> for Headers {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Pairs;
        impl<'de> Visitor<'de> for Pairs {
            type Value = Headers;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("headers")
            }

            fn visit_unit<E>(self) -> Result<Headers, E> {
                Ok(Headers::default())
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Headers, A::Error> {
                let mut headers = vec![];
                while let Some(header) = map.next_entry()? {
                    headers.push(header);
                }
                Ok(Headers(headers))
            }
        }
        deserializer.deserialize_any(Pairs)
    }
}

/// An answer for the gateway.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HttpAnswer {
    /// The status.
    pub status_code: u16,
    /// The headers.
    pub headers: BTreeMap<String, String>,
    /// The body; none with 204.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
    /// Always false.
    pub is_base64_encoded: bool,
}

impl From<WebhookResponse> for HttpAnswer {
    fn from(answer: WebhookResponse) -> Self {
        let WebhookResponse { status, body, retry_after_seconds } = answer;
        let kind = body.is_some().then(|| ("content-type".to_owned(), "application/json".to_owned()));
        let retry = retry_after_seconds.map(|seconds| ("retry-after".to_owned(), seconds.to_string()));
        let headers = kind.into_iter().chain(retry).collect();
        Self { status_code: status, headers, body, is_base64_encoded: false }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repeated_headers_and_odd_bytes_are_kept() {
        let event =
            r#"{"headers":{"Svix-Id":"a","svix-id":"b","x":"é\u0000"},"body":null,"pathParameters":null,"more":1}"#;
        let request = Request::from(serde_json::from_str::<HttpEvent>(event).unwrap());
        let headers = [("Svix-Id", "a"), ("svix-id", "b"), ("x", "é\0")];
        assert_eq!(request.headers, headers.map(|(name, value)| (name.to_owned(), value.to_owned())));
        assert_eq!((request.body, request.token, request.is_base64), (None, None, false));
    }

    #[test]
    fn an_event_may_be_bare() {
        for event in ["{}", r#"{"headers":null}"#] {
            assert!(Request::from(serde_json::from_str::<HttpEvent>(event).unwrap()).headers.is_empty());
        }
    }
}
