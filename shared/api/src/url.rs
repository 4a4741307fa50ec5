//! The URL of a list API.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use http::Uri;

/// The URL of a list API. It uses HTTPS, so that nobody on the way reads the API key or the customers, unless the API is
/// on this machine.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ApiUrl {
    text: String,
    is_local: bool,
}

/// Why a text is not the URL of a list API.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ApiUrlError {
    /// It has no scheme or no host, for example.
    #[error("expected a URL as in https://api.example.com")]
    NotAUrl,
    /// Anybody on the way could read the API key.
    #[error("only HTTPS is allowed, except for a host on this machine")]
    NotHttps,
    /// A URL is printed and stored, so it must not contain a password.
    #[error("a URL with a user or a password is not allowed")]
    UserInfo,
    /// Each request has its own query.
    #[error("a URL with a query is not allowed")]
    Query,
}

impl ApiUrl {
    /// The URL of a stand-in with a public key and invented customers, which needs no HTTPS.
    ///
    /// # Errors
    /// When the text is not such a URL.
    pub fn of_stand_in(text: &str) -> Result<Self, ApiUrlError> {
        Self::parse(text, true)
    }

    /// Whether the API is on this machine.
    #[must_use]
    pub fn is_local(&self) -> bool {
        self.is_local
    }

    fn parse(text: &str, is_stand_in: bool) -> Result<Self, ApiUrlError> {
        let uri: Uri = text.parse().map_err(|_| ApiUrlError::NotAUrl)?;
        let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
            return Err(ApiUrlError::NotAUrl);
        };
        if authority.as_str().contains('@') {
            return Err(ApiUrlError::UserInfo);
        }
        if authority.host().is_empty() {
            return Err(ApiUrlError::NotAUrl);
        }
        if uri.query().is_some() || text.contains('#') {
            return Err(ApiUrlError::Query);
        }
        let is_local = is_this_machine(authority.host());
        match scheme {
            "https" => {}
            "http" if is_local || is_stand_in => {}
            "http" => return Err(ApiUrlError::NotHttps),
            _ => return Err(ApiUrlError::NotAUrl),
        }
        // In one form, because it identifies the API when a walk is continued.
        let authority = authority.as_str().to_ascii_lowercase();
        let text = format!("{scheme}://{authority}{}", uri.path().trim_end_matches('/'));
        Ok(Self { text, is_local })
    }
}

impl FromStr for ApiUrl {
    type Err = ApiUrlError;

    fn from_str(text: &str) -> Result<Self, ApiUrlError> {
        Self::parse(text, false)
    }
}

impl fmt::Display for ApiUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Whether a host is this machine: a loopback name or address, or how a container names the machine that it runs on.
fn is_this_machine(host: &str) -> bool {
    let host = host.to_ascii_lowercase();
    let address = host.trim_start_matches('[').trim_end_matches(']');
    ["localhost", "host.docker.internal"].contains(&host.as_str())
        || address.parse().is_ok_and(|address: Ipv4Addr| address.is_loopback())
        || address.parse().is_ok_and(|address: Ipv6Addr| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::a_host("https://api.example.com", "https://api.example.com", false)]
    #[case::in_one_form("HTTPS://API.Example.com:8443/Base/", "https://api.example.com:8443/Base", false)]
    #[case::this_machine_with_tls("https://localhost", "https://localhost", true)]
    #[case::a_loopback_name("http://localhost:9010/list", "http://localhost:9010/list", true)]
    #[case::a_loopback_address("http://127.0.0.2:9010", "http://127.0.0.2:9010", true)]
    #[case::the_loopback_address_of_ipv6("http://[::1]:9010", "http://[::1]:9010", true)]
    #[case::from_a_container("http://host.docker.internal:9010", "http://host.docker.internal:9010", true)]
    fn accepted(#[case] text: &str, #[case] expected: &str, #[case] is_local: bool) {
        let url: ApiUrl = text.parse().unwrap();
        assert_eq!((url.to_string().as_str(), url.is_local()), (expected, is_local));
    }

    #[rstest]
    #[case::no_scheme("api.example.com", ApiUrlError::NotAUrl)]
    #[case::another_scheme("ftp://api.example.com", ApiUrlError::NotAUrl)]
    #[case::a_path("/v1", ApiUrlError::NotAUrl)]
    #[case::no_host("https://:443", ApiUrlError::NotAUrl)]
    #[case::not_a_url("https://a b", ApiUrlError::NotAUrl)]
    #[case::without_tls("http://api.example.com", ApiUrlError::NotHttps)]
    #[case::a_name_that_only_begins_as_a_local_one("http://localhost.example.com", ApiUrlError::NotHttps)]
    #[case::an_address_of_the_network("http://192.168.1.20", ApiUrlError::NotHttps)]
    #[case::with_a_password("https://user:pw@api.example.com", ApiUrlError::UserInfo)]
    #[case::a_user_that_looks_local("http://localhost@api.example.com", ApiUrlError::UserInfo)]
    #[case::with_a_query("https://api.example.com?key=a", ApiUrlError::Query)]
    #[case::with_a_fragment("https://api.example.com/#a", ApiUrlError::Query)]
    fn refused(#[case] text: &str, #[case] expected: ApiUrlError) {
        assert_eq!(text.parse::<ApiUrl>(), Err(expected));
    }

    #[test]
    fn a_stand_in_needs_no_https() {
        let text = "http://192.168.1.20:9010/list-apis/plain";
        let url = ApiUrl::of_stand_in(text).unwrap();
        assert_eq!((url.to_string().as_str(), url.is_local()), (text, false));
        assert_eq!(ApiUrl::of_stand_in("http://user@localhost"), Err(ApiUrlError::UserInfo));
    }
}
