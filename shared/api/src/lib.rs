//! Calls the providers' list APIs over HTTPS.
//!
//! [`HttpListApi`] makes one call per request. Whoever uses it decides what an answer means and when a failed call is
//! made again.

mod headers;
mod key;
mod url;

use std::io::ErrorKind;
use std::time::Duration;

use clientele_flow::{ApiUnreachable, ListClient};
use clientele_model::{ApiAnswer, ApiMethod, ApiRequest};
use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderValue, Method, Request};
use jiff::Timestamp;
use ureq::{Agent, Error, Proxy};

pub use key::{ApiKey, ApiKeyError};
pub use url::{ApiUrl, ApiUrlError};

/// How we introduce ourselves to the providers.
const USER_AGENT: &str = concat!("clientele/", env!("CARGO_PKG_VERSION"));

/// Makes the header that carries an API key: its name and its value.
pub type KeyHeader = fn(&str) -> (&'static str, String);

/// What one call may take.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// How long opening a connection may take.
    pub connect: Duration,
    /// How long the whole call may take.
    pub call: Duration,
    /// How long the body of an answer may be, in bytes.
    pub body_bytes: u64,
}

impl Default for Limits {
    /// For pages of 1,000 customers from an API that is slow. 16 MiB are 16 KiB per customer.
    fn default() -> Self {
        Self { connect: Duration::from_secs(10), call: Duration::from_mins(1), body_bytes: 16 << 20 }
    }
}

/// The list API of one provider, with an API key.
#[derive(Clone)]
pub struct HttpListApi {
    agent: Agent,
    url: ApiUrl,
    key_header: (&'static str, HeaderValue),
    limits: Limits,
}

impl std::fmt::Debug for HttpListApi {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "HttpListApi({})", self.url)
    }
}

impl HttpListApi {
    /// A client for the API at `url`. `key_header` is the one of its [`ListApi`](clientele_model::ListApi).
    ///
    /// # Errors
    /// When a header cannot contain the API key.
    pub fn new(url: ApiUrl, key: &ApiKey, key_header: KeyHeader, limits: Limits) -> Result<Self, ApiKeyError> {
        // A proxy of the environment is not asked for what is on this machine.
        let proxy = if url.is_local() { None } else { Proxy::try_from_env() };
        // A redirect is returned as it is. Following it could send the API key to another host.
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .proxy(proxy)
            .user_agent(USER_AGENT)
            .timeout_resolve(Some(limits.connect))
            .timeout_connect(Some(limits.connect))
            .timeout_global(Some(limits.call))
            .build();
        Ok(Self { agent: Agent::new_with_config(config), url, key_header: key.header(key_header)?, limits })
    }

    fn request(&self, request: &ApiRequest) -> Result<Request<Vec<u8>>, ApiUnreachable> {
        let method = match request.method {
            ApiMethod::Get => Method::GET,
            ApiMethod::Post => Method::POST,
        };
        let (key_name, key) = &self.key_header;
        let mut builder = Request::builder().method(method).uri(format!("{}{}", self.url, request.path));
        builder = builder.header(ACCEPT, "application/json").header(*key_name, key);
        for (name, value) in &request.headers {
            builder = builder.header(*name, value);
        }
        let body = match &request.body {
            Some(body) => {
                builder = builder.header(CONTENT_TYPE, "application/json");
                body.to_string().into_bytes()
            }
            None => Vec::new(),
        };
        builder.body(body).map_err(|_| ApiUnreachable("the request cannot be sent over HTTP".to_owned()))
    }
}

impl ListClient for HttpListApi {
    async fn call(&self, request: &ApiRequest) -> Result<ApiAnswer, ApiUnreachable> {
        let (request, api) = (self.request(request)?, self.clone());
        let answer = tokio::task::spawn_blocking(move || send(&api, request));
        answer.await.unwrap_or_else(|_| Err(ApiUnreachable("the call was cancelled".to_owned())))
    }
}

fn send(api: &HttpListApi, request: Request<Vec<u8>>) -> Result<ApiAnswer, ApiUnreachable> {
    let unreachable = |error| ApiUnreachable(description(&error, api.limits));
    // ureq refuses any body of a GET, even an empty one.
    let response =
        if request.method() == Method::GET { api.agent.run(request.map(|_| ())) } else { api.agent.run(request) };
    let mut response = response.map_err(unreachable)?;
    let (date, retry_after) = (headers::date(response.headers()), headers::retry_after(response.headers()));
    let retry_after = retry_after.map(|it| it.after(date.unwrap_or_else(Timestamp::now)));
    // ureq's limit is the length that is too long.
    let body = response.body_mut().with_config().limit(api.limits.body_bytes + 1).read_to_vec().map_err(unreachable)?;
    Ok(ApiAnswer { status: response.status().as_u16(), date, retry_after, body })
}

/// Why there was no answer. The texts of the HTTP client are not used, because they may contain the path of the request
/// and thereby a customer's id.
fn description(error: &Error, limits: Limits) -> String {
    let text = match error {
        Error::Timeout(_) => return format!("there was no complete answer within {} s", limits.call.as_secs()),
        Error::BodyExceedsLimit(_) => return format!("the answer is longer than {} bytes", limits.body_bytes),
        Error::HostNotFound => "the host was not found",
        Error::ConnectionFailed => "no connection could be opened",
        Error::Tls(_) | Error::Rustls(_) => "the TLS connection failed",
        Error::InvalidProxyUrl | Error::ConnectProxyFailed(_) => "the proxy cannot be used",
        Error::Io(error) => match error.kind() {
            ErrorKind::ConnectionRefused => "the connection was refused",
            ErrorKind::InvalidData => "the TLS connection failed: is the certificate valid?",
            _ => "the connection failed",
        },
        Error::Protocol(_) | Error::Http(_) => "the answer is not valid HTTP",
        _ => "the call failed",
    };
    text.to_owned()
}
