//! Calls to a server on this machine.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use clientele_api::{ApiKey, HttpListApi, Limits};
use clientele_flow::{ApiUnreachable, ListClient};
use clientele_model::{ApiAnswer, ApiMethod, ApiRequest};
use rstest::rstest;
use serde_json::json;

const KEY: &str = "key-of-this-test";

/// A server that answers each request with the same bytes. Without any, it never answers.
struct Server {
    address: SocketAddr,
    requests: Receiver<String>,
}

impl Server {
    fn start(answer: impl Into<Vec<u8>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (sender, requests) = channel();
        let answer = answer.into();
        std::thread::spawn(move || {
            // Connections stay open until the end of the test.
            let mut connections = Vec::new();
            for stream in listener.incoming() {
                let mut stream = BufReader::new(stream.unwrap());
                let Some(request) = read_request(&mut stream) else { continue };
                sender.send(request).unwrap();
                // The client stops reading where an answer becomes too long.
                let _ = stream.get_mut().write_all(&answer);
                connections.push(stream);
            }
        });
        Self { address, requests }
    }

    fn client(&self, limits: Limits) -> HttpListApi {
        client(&format!("http://{}/base/", self.address), limits)
    }
}

/// The request with its headers and its body.
fn read_request(stream: &mut BufReader<TcpStream>) -> Option<String> {
    let (mut request, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).ok().filter(|bytes| *bytes > 0)?;
        let lower = line.to_ascii_lowercase();
        if let Some(value) = lower.strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
        request.push_str(&line);
        if line == "\r\n" {
            break;
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).unwrap();
    Some(request + std::str::from_utf8(&body).unwrap())
}

fn client(url: &str, limits: Limits) -> HttpListApi {
    let key = ApiKey::parse(KEY).unwrap();
    HttpListApi::new(url.parse().unwrap(), &key, |key| ("x-api-key", key.to_owned()), limits).unwrap()
}

fn get() -> ApiRequest {
    ApiRequest { method: ApiMethod::Get, path: "/v1/customers?page=1".to_owned(), headers: vec![], body: None }
}

fn answer(status: &str, headers: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\n{headers}content-length: {}\r\n\r\n{body}", body.len())
}

async fn error(client: &HttpListApi) -> String {
    let ApiUnreachable(why) = client.call(&get()).await.unwrap_err();
    why
}

#[tokio::test]
async fn a_get_is_sent_with_the_key() {
    let server = Server::start(answer("200 OK", "Date: Sat, 01 Mar 2025 12:00:00 GMT\r\n", "{}"));
    let expected = ApiAnswer {
        status: 200,
        date: Some("2025-03-01T12:00:00Z".parse().unwrap()),
        retry_after: None,
        body: b"{}".to_vec(),
    };
    assert!(server.client(Limits::default()).call(&get()).await.unwrap() == expected);
    let request = server.requests.recv().unwrap();
    assert!(request.starts_with("GET /base/v1/customers?page=1 HTTP/1.1\r\n"), "{request}");
    let lower = request.to_ascii_lowercase();
    for header in ["x-api-key: key-of-this-test", "accept: application/json", "user-agent: clientele/"] {
        assert!(lower.contains(&format!("\r\n{header}")), "{header}: {request}");
    }
    assert!(!lower.contains("content-type:"), "{request}");
}

#[tokio::test]
async fn a_post_is_sent_with_its_headers_and_its_body() {
    let server = Server::start(answer("200 OK", "", "{}"));
    let request = ApiRequest {
        method: ApiMethod::Post,
        path: "/v1/customers/search".to_owned(),
        headers: vec![("x-environment-id", "env_1".to_owned())],
        body: Some(json!({ "limit": 1000 })),
    };
    server.client(Limits::default()).call(&request).await.unwrap();
    let request = server.requests.recv().unwrap();
    assert!(request.starts_with("POST /base/v1/customers/search HTTP/1.1\r\n"), "{request}");
    assert!(request.ends_with("\r\n\r\n{\"limit\":1000}"), "{request}");
    let lower = request.to_ascii_lowercase();
    for header in ["x-environment-id: env_1", "content-type: application/json"] {
        assert!(lower.contains(&format!("\r\n{header}\r\n")), "{header}: {request}");
    }
}

#[rstest]
#[case::not_accepted("401 Unauthorized", "", 401, None)]
#[case::not_found("404 Not Found", "", 404, None)]
#[case::throttled("429 Too Many Requests", "Retry-After: 3\r\n", 429, Some(Duration::from_secs(3)))]
#[case::down(
    "503 Service Unavailable",
    "Date: Sat, 01 Mar 2025 12:00:00 GMT\r\nRetry-After: Sat, 01 Mar 2025 12:00:09 GMT\r\n",
    503,
    Some(Duration::from_secs(9))
)]
#[tokio::test]
async fn an_error_is_an_answer(
    #[case] status: &str,
    #[case] headers: &str,
    #[case] code: u16,
    #[case] retry_after: Option<Duration>,
) {
    let server = Server::start(answer(status, headers, "{}"));
    let answer = server.client(Limits::default()).call(&get()).await.unwrap();
    assert_eq!((answer.status, answer.retry_after, answer.body), (code, retry_after, b"{}".to_vec()));
    assert_eq!(server.requests.try_iter().count(), 1, "a failed call is not repeated here");
}

#[rstest]
#[case::moved("301 Moved Permanently", 301)]
#[case::found("302 Found", 302)]
#[case::temporary("307 Temporary Redirect", 307)]
#[tokio::test]
async fn no_redirect_is_followed(#[case] status: &str, #[case] code: u16) {
    let other = Server::start(answer("200 OK", "", "{}"));
    let location = format!("Location: http://{}/\r\n", other.address);
    let server = Server::start(answer(status, &location, ""));
    assert_eq!(server.client(Limits::default()).call(&get()).await.unwrap().status, code);
    assert_eq!(other.requests.try_iter().count(), 0, "the key must not reach another host");
}

#[tokio::test]
async fn the_size_of_an_answer_is_limited() {
    let limits = Limits { body_bytes: 1000, ..Limits::default() };
    let longest = Server::start(answer("200 OK", "", &"a".repeat(1000)));
    assert_eq!(longest.client(limits).call(&get()).await.unwrap().body.len(), 1000);
    let too_long = Server::start(answer("200 OK", "", &"a".repeat(1001)));
    assert_eq!(error(&too_long.client(limits)).await, "the answer is longer than 1000 bytes");
    let endless = Server::start(format!("HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n{}", "a".repeat(100_000)));
    assert_eq!(error(&endless.client(limits)).await, "the answer is longer than 1000 bytes");
}

#[rstest]
#[case::never_answers("")]
#[case::stops_in_the_headers("HTTP/1.1 200 OK\r\n")]
#[case::stops_in_the_body("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{}")]
#[tokio::test]
async fn a_call_ends_in_time(#[case] answer: &str) {
    let server = Server::start(answer);
    let client = server.client(Limits { call: Duration::from_secs(1), ..Limits::default() });
    let start = Instant::now();
    assert_eq!(error(&client).await, "there was no complete answer within 1 s");
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
}

#[tokio::test]
async fn without_a_server_the_connection_is_refused() {
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let client = client(&format!("http://{address}"), Limits::default());
    assert_eq!(error(&client).await, "the connection was refused");
}

#[tokio::test]
async fn without_a_certificate_the_key_is_not_sent() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let received = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").unwrap();
        let mut received = Vec::new();
        // The client closes the connection, perhaps with a reset.
        let _ = stream.read_to_end(&mut received);
        received
    });
    let client = client(&format!("https://{address}"), Limits::default());
    let why = error(&client).await;
    assert!(why.starts_with("the TLS connection failed"), "{why}");
    assert!(!String::from_utf8_lossy(&received.join().unwrap()).contains(KEY));
}

#[test]
fn the_client_does_not_print_its_key() {
    let client = client("https://api.example.com", Limits::default());
    assert_eq!(format!("{client:?}"), "HttpListApi(https://api.example.com)");
}
