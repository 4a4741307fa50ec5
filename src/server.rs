//! Binds and runs servers: those of the local stack, and that of the page.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};

use anyhow::{Context, Result};
use axum::Router;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use crate::terminal;

/// Binds a listener. The error names the option that selects another port.
pub(crate) fn bind(address: SocketAddr, server: &str, option: &str) -> Result<TcpListener> {
    let listener = TcpListener::bind(address)
        .with_context(|| format!("{server} cannot listen on {address}; choose another port with {option}"))?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// The address at which this machine reaches a listener, with the actual port if 0 was asked for. A listener on all
/// addresses is reached at the loopback one, because not every system connects to an unspecified address.
pub(crate) fn address(listener: &TcpListener) -> Result<SocketAddr> {
    let bound = listener.local_addr()?;
    let ip = match bound.ip() {
        ip if !ip.is_unspecified() => ip,
        IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
    };
    Ok(SocketAddr::new(ip, bound.port()))
}

/// Serves the router on the current runtime and returns its address.
pub(crate) fn serve(router: Router, address: SocketAddr, server: &str, option: &str) -> Result<SocketAddr> {
    serve_on(router, bind(address, server, option)?)
}

/// The same on a listener.
pub(crate) fn serve_on(router: Router, listener: TcpListener) -> Result<SocketAddr> {
    let address = address(&listener)?;
    let listener = tokio::net::TcpListener::from_std(listener)?;
    tokio::spawn(async move { axum::serve(listener, router).await });
    Ok(address)
}

/// Runs a server on its own thread with its own runtime, until the process ends.
pub(crate) fn spawn(name: &str, server: impl Future<Output = Result<()>> + Send + 'static) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let thread_name = name.to_owned();
    std::thread::Builder::new().name(thread_name.clone()).spawn(move || {
        if let Err(error) = runtime.block_on(server) {
            terminal::note(format!("{thread_name} of the local stack stopped: {error:#}"));
        }
    })?;
    Ok(())
}

/// The body of a request to the admin port, or why there is none. A refusal has to be JSON, as all answers are.
pub(crate) type Body = Result<Bytes, BytesRejection>;

/// The answer to a request whose body cannot be read, for example because it is too large.
pub(crate) fn rejected(rejection: &BytesRejection) -> Response {
    json_response(rejection.status(), json!({ "error": rejection.body_text() }).to_string())
}

pub(crate) fn json_response(status: StatusCode, body: String) -> Response {
    (status, [(header::CONTENT_TYPE, "application/json")], body).into_response()
}
