//! Events and responses of an API Gateway HTTP API, payload format 2.0
//! (<https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html>).
//!
//! Only what a receiver needs is read. Headers are kept exactly as they are: a header that is repeated in several letter
//! cases must be noticed, and no bytes in a header may make the invocation fail.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use clientele_model::{Request, WebhookResponse};
use serde::de::{Deserializer, MapAccess, Visitor};
use serde::{Deserialize, Serialize};

/// An event of API Gateway. Its headers borrow from the JSON.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HttpEvent<'a> {
    #[serde(default, borrow)]
    headers: Headers<'a>,
    #[serde(default)]
    path_parameters: Option<PathParameters>,
    #[serde(default)]
    body: Option<String>,
    #[serde(default)]
    is_base64_encoded: bool,
    #[serde(default)]
    request_context: RequestContext,
}

impl HttpEvent<'_> {
    /// API Gateway's id of the request, which is also in its access log. Empty if there is none.
    pub(crate) fn take_request_id(&mut self) -> String {
        std::mem::take(&mut self.request_context.request_id)
    }

    /// The domain name of the API by which the request arrived.
    pub(crate) fn domain_name(&self) -> Option<&str> {
        self.request_context.domain_name.as_deref()
    }
}

impl fmt::Debug for HttpEvent<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HttpEvent(..)")
    }
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct RequestContext {
    #[serde(default)]
    request_id: String,
    #[serde(default)]
    domain_name: Option<String>,
}

#[derive(Deserialize)]
struct PathParameters {
    token: Option<String>,
}

impl<'a> From<HttpEvent<'a>> for Request<'a> {
    fn from(event: HttpEvent<'a>) -> Self {
        let HttpEvent { headers, path_parameters, body, is_base64_encoded, .. } = event;
        let token = path_parameters.and_then(|parameters| parameters.token);
        Self { headers: headers.0, token, body, is_base64: is_base64_encoded }
    }
}

#[derive(Default)]
struct Headers<'a>(Vec<(Cow<'a, str>, Cow<'a, str>)>);

impl<'de: 'a, 'a> Deserialize<'de> for Headers<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        /// Text without escapes is borrowed.
        #[derive(Deserialize)]
        struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

        struct HeadersVisitor;
        impl<'de> Visitor<'de> for HeadersVisitor {
            type Value = Headers<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("headers")
            }

            fn visit_unit<E>(self) -> Result<Headers<'de>, E> {
                Ok(Headers::default())
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Headers<'de>, A::Error> {
                let mut headers = vec![];
                while let Some((Text(name), Text(value))) = map.next_entry()? {
                    headers.push((name, value));
                }
                Ok(Headers(headers))
            }
        }
        deserializer.deserialize_any(HeadersVisitor)
    }
}

/// A response for API Gateway.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HttpResponse {
    /// The HTTP status.
    pub status_code: u16,
    /// HTTP headers by name.
    pub headers: BTreeMap<String, String>,
    /// The body. A response with status 204 has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
    /// Always false.
    pub is_base64_encoded: bool,
}

impl From<WebhookResponse> for HttpResponse {
    fn from(response: WebhookResponse) -> Self {
        let WebhookResponse { status, body, retry_after_seconds } = response;
        let content_type = body.is_some().then(|| ("content-type".to_owned(), "application/json".to_owned()));
        let retry_after = retry_after_seconds.map(|seconds| ("retry-after".to_owned(), seconds.to_string()));
        let headers = content_type.into_iter().chain(retry_after).collect();
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
        assert_eq!(request.headers, headers.map(|(name, value)| (name.into(), value.into())));
        assert_eq!((request.body, request.token, request.is_base64), (None, None, false));
    }

    #[test]
    fn every_field_is_optional() {
        for event in ["{}", r#"{"headers":null}"#] {
            assert!(Request::from(serde_json::from_str::<HttpEvent>(event).unwrap()).headers.is_empty());
        }
    }
}
