//! Keeps pages of other sites away from the table, the queues and the admin port.
//!
//! A page can send requests to this machine, and can even have its own domain name resolve to 127.0.0.1 ("DNS
//! rebinding"). A browser states the name in `Host` and the page's site in `Origin`, so both are checked. Webhooks are
//! not: they arrive under the name of a tunnel, and are signed.

use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::header::{CONTENT_TYPE, HOST, ORIGIN};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderName, Method, StatusCode};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use serde_json::json;

/// The longest name that DNS allows.
const NAME_BYTES_MAX: usize = 253;

/// The names by which containers reach this machine, and by which it reaches itself.
const LOCAL_NAMES: [&str; 2] = ["localhost", "host.docker.internal"];

/// The hosts under which the local stack can be used: loopback names and addresses, `host.docker.internal`, the address
/// that it listens on, and those of `--allow-host`. The port does not matter.
#[derive(Clone, Debug)]
pub struct AllowedHosts(Arc<BTreeSet<Host>>);

/// A host name in lower case and without a final dot, or an address.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Host(String);

/// A text that is not a host name or an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected a host name or an address without scheme and port, as in dev.example.com")]
pub struct InvalidHost;

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::str::FromStr for Host {
    type Err = InvalidHost;

    fn from_str(text: &str) -> Result<Self, InvalidHost> {
        let address = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
        if let Ok(address) = address.parse::<IpAddr>() {
            return Ok(Self::from(address));
        }
        let name = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
        let is_allowed = |c: u8| c.is_ascii_alphanumeric() || b"-_.".contains(&c);
        let is_name = !name.is_empty() && name.len() <= NAME_BYTES_MAX && name.bytes().all(is_allowed);
        if is_name { Ok(Self(name)) } else { Err(InvalidHost) }
    }
}

impl From<IpAddr> for Host {
    fn from(address: IpAddr) -> Self {
        Self(address.to_canonical().to_string())
    }
}

impl Host {
    /// The host of a `Host` header or of a URL's authority, without its port.
    fn of_authority(authority: &str) -> Result<Self, InvalidHost> {
        let end = if authority.starts_with('[') { authority.find(']').ok_or(InvalidHost)? + 1 } else { 0 };
        let colon = authority[end..].find(':').map_or(authority.len(), |colon| end + colon);
        let (host, port) = authority.split_at(colon);
        if !port.bytes().skip(1).all(|digit| digit.is_ascii_digit()) {
            return Err(InvalidHost);
        }
        host.parse()
    }

    /// The host of an `Origin` header. `null` has none, and neither has the origin of an extension.
    fn of_origin(origin: &str) -> Result<Self, InvalidHost> {
        let origin = origin.to_ascii_lowercase();
        let authority = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
        Self::of_authority(authority.ok_or(InvalidHost)?)
    }

    fn is_loopback(&self) -> bool {
        self.0.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
    }
}

/// Why a request is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Refusal {
    /// It names a host that is not allowed, if that is a valid name.
    Host(Option<Host>),
    /// It comes from a page of that host, if that is a valid name.
    Origin(Option<Host>),
    /// The browser says that it comes from a page of another site.
    CrossSite,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host(Some(host)) => write!(
                f,
                "The local stack does not accept requests for the host {host}. To allow it, start the local stack with \
                 --allow-host {host}."
            ),
            Self::Host(None) => f.write_str(
                "The local stack does not accept requests without one valid Host header. Use localhost, or a name given \
                 with --allow-host.",
            ),
            Self::Origin(Some(host)) => write!(
                f,
                "The local stack does not accept requests of pages from {host}. To allow it, start the local stack with \
                 --allow-host {host}."
            ),
            Self::Origin(None) => f.write_str(
                "The local stack does not accept requests of pages without a host. Use a page from localhost, or from a \
                 host given with --allow-host.",
            ),
            Self::CrossSite => f.write_str(
                "The local stack does not accept requests that come from a page of another site, not even with \
                 --allow-host. Enter the URL in the address bar.",
            ),
        }
    }
}

impl AllowedHosts {
    /// The hosts of a stack that listens on that address.
    #[must_use]
    pub fn new(listen: IpAddr, others: &[Host]) -> Self {
        let local = LOCAL_NAMES.map(|name| Host(name.to_owned()));
        let listen = (!listen.is_unspecified()).then(|| Host::from(listen));
        Self(Arc::new(local.into_iter().chain(listen).chain(others.iter().cloned()).collect()))
    }

    /// Has a router refuse all other requests, with errors in that format.
    pub fn protect(&self, router: Router, errors: ErrorFormat) -> Router {
        router.layer(from_fn_with_state((self.clone(), errors), check_host_and_origin))
    }

    fn contains(&self, host: &Host) -> bool {
        host.is_loopback() || self.0.contains(host)
    }

    fn check(&self, request: &Request) -> Result<(), Refusal> {
        let (uri, headers) = (request.uri(), request.headers());
        let is_cross_site =
            headers.get_all("sec-fetch-site").iter().any(|site| site.as_bytes().eq_ignore_ascii_case(b"cross-site"));
        if is_cross_site && !opens_the_page(request) {
            return Err(Refusal::CrossSite);
        }
        let mut origins = headers.get_all(ORIGIN).iter();
        if let Some(origin) = origins.next() {
            let origin = origin.to_str().ok().filter(|_| origins.next().is_none());
            let host = origin.and_then(|origin| Host::of_origin(origin).ok());
            if !host.as_ref().is_some_and(|host| self.contains(host)) {
                return Err(Refusal::Origin(host));
            }
        }
        // A request of HTTP/1.0 may lack the header, and a proxy's request has the host in its URI too. No SDK sends such
        // requests, so the header is required, and every name must be allowed.
        let authority = uri.authority().map(Authority::as_str);
        let host = single(headers, &HOST).ok_or(Refusal::Host(None))?;
        for authority in [Some(host), authority].into_iter().flatten() {
            let host = Host::of_authority(authority).map_err(|_| Refusal::Host(None))?;
            if !self.contains(&host) {
                return Err(Refusal::Host(Some(host)));
            }
        }
        Ok(())
    }
}

/// Whether the person follows a link to the page, for example from the documentation. The other site cannot read the
/// page, and cannot show it in a frame.
fn opens_the_page(request: &Request) -> bool {
    let is = |name: &'static str, value| single(request.headers(), &HeaderName::from_static(name)) == Some(value);
    request.method() == Method::GET
        && request.uri().path() == "/"
        && is("sec-fetch-mode", "navigate")
        && is("sec-fetch-dest", "document")
}

/// The value of a header that occurs exactly once.
fn single<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?.to_str().ok()?;
    values.next().is_none().then_some(value)
}

/// The format in which a client expects an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorFormat {
    /// That of AWS's services. SDKs and the AWS CLI show the message.
    Aws,
    /// That of the admin port.
    Admin,
    /// That of the page of a deployed stack.
    Console,
}

async fn check_host_and_origin(
    State((hosts, errors)): State<(AllowedHosts, ErrorFormat)>,
    request: Request,
    next: Next,
) -> Response {
    let Err(refusal) = hosts.check(&request) else { return next.run(request).await };
    let message = refusal.to_string();
    let (content_type, body) = match errors {
        ErrorFormat::Aws => {
            let error = json!({ "__type": "com.amazon.coral.service#AccessDeniedException", "message": message });
            ("application/x-amz-json-1.0", error)
        }
        ErrorFormat::Admin => ("application/json", json!({ "error": message })),
        ErrorFormat::Console => {
            let message = "Open the page in the browser, with the URL that `clientele console` printed.";
            ("application/json", json!({ "error": message }))
        }
    };
    (StatusCode::FORBIDDEN, [(CONTENT_TYPE, content_type)], body.to_string()).into_response()
}
