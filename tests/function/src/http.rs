//! An HTTP server that is just large enough for the clients in a function. It uses nothing but the standard library, and
//! one thread per connection.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Result, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;

/// A request of the function.
pub struct Request {
    /// Method, path and version.
    pub line: String,
    /// Headers by name in lower case.
    pub headers: BTreeMap<String, String>,
    /// The body.
    pub body: String,
}

/// The response to a request.
pub struct Response {
    /// The HTTP status.
    pub status: u16,
    /// Further headers, each with its line break. Without a `content-length` it is that of the body.
    pub headers: &'static str,
    /// The body.
    pub body: String,
}

/// Serves on a free port of 127.0.0.1, until the process ends. Without a response the connection is closed.
pub(crate) fn serve(respond: impl Fn(&Request) -> Option<Response> + Send + Sync + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let respond = Arc::new(respond);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let respond = respond.clone();
            // An error is the end of the connection, which is the function's right.
            std::thread::spawn(move || serve_connection(stream, &*respond).ok());
        }
    });
    address
}

fn serve_connection(stream: TcpStream, respond: &dyn Fn(&Request) -> Option<Response>) -> Result<()> {
    stream.set_nodelay(true)?;
    let mut stream = BufReader::new(stream);
    while let Some(request) = read(&mut stream)? {
        let Some(Response { status, headers, body }) = respond(&request) else { break };
        let length = if headers.contains("content-length") {
            String::new()
        } else {
            format!("content-length: {}\r\n", body.len())
        };
        stream.get_mut().write_all(format!("HTTP/1.1 {status} \r\n{headers}{length}\r\n{body}").as_bytes())?;
        if headers.contains("connection: close") {
            break;
        }
    }
    Ok(())
}

/// Reads a request. There is none when the connection is closed.
fn read(stream: &mut impl BufRead) -> Result<Option<Request>> {
    let mut line = String::new();
    if stream.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let (mut headers, mut header) = (BTreeMap::new(), String::new());
    while stream.read_line(&mut header)? > 2 {
        let (name, value) = header.split_once(':').unwrap();
        headers.insert(name.to_lowercase(), value.trim().to_owned());
        header.clear();
    }
    assert!(!headers.contains_key("transfer-encoding"), "bodies without a length are not supported");
    let length = headers.get("content-length").map_or(0, |length| length.parse().unwrap());
    let mut body = vec![0; length];
    stream.read_exact(&mut body)?;
    let body = String::from_utf8(body).unwrap();
    Ok(Some(Request { line: line.trim_end().to_owned(), headers, body }))
}
