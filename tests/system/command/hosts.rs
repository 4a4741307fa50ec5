//! Who may use the ports of the local stack: programs on this machine and its own pages, but no page of another site.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use axum::Router;
use clientele::hosts::{AllowedHosts, ErrorFormat, Host};
use clientele::stack::{LocalStack, StackOptions};
use clientele_aws::{CallTimeouts, Clients};
use rstest::rstest;

use crate::support::cli::{RunningStack, run};
use crate::support::{options, stack};

/// The answer to a request, byte by byte: status and everything else.
fn exchange(address: SocketAddr, request: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    (answer.split(' ').nth(1).unwrap().parse().unwrap(), answer)
}

/// The answer to a request with these headers, to each port but that of webhooks.
async fn exchanges(stack: &LocalStack, request_line: &str, headers: &str) -> Vec<(u16, String)> {
    let (ports, request) = (ports(stack), format!("{request_line}\r\n{headers}connection: close\r\n\r\n"));
    let exchanges = move || ports.iter().map(|port| exchange(*port, &request)).collect();
    tokio::task::spawn_blocking(exchanges).await.unwrap()
}

fn ports(stack: &LocalStack) -> [SocketAddr; 3] {
    [stack.admin, stack.dynamodb, stack.sqs]
}

fn assert_refused(answers: &[(u16, String)], headers: &str) {
    for (status, answer) in answers {
        assert!(*status == 403 && answer.contains("--allow-host"), "{headers}: {answer}");
        assert!(!answer.to_lowercase().contains("access-control"), "{headers}: {answer}");
    }
}

fn assert_answered(answers: &[(u16, String)], headers: &str) {
    for (status, answer) in answers {
        assert!(*status != 403 && *status < 500, "{headers}: {answer}");
        assert!(!answer.to_lowercase().contains("access-control"), "{headers}: {answer}");
    }
}

#[rstest]
#[case("localhost")]
#[case("LocalHost")]
#[case("localhost.")]
#[case("localhost:8000")]
#[case("127.0.0.1")]
#[case("127.0.0.1:1")]
#[case("127.8.9.10:9010")]
#[case("127.0.0.1.")]
#[case("[::1]")]
#[case("[::1]:8000")]
#[case("[0:0:0:0:0:0:0:1]:8000")]
#[case("[::ffff:127.0.0.1]")]
#[case("host.docker.internal:8000")]
#[case("HOST.docker.internal")]
#[tokio::test]
async fn a_name_of_this_machine_is_allowed(#[case] host: &str) {
    let stack = stack().await;
    for headers in [
        format!("host: {host}\r\n"),
        format!("HOST: {host}\r\norigin: http://{host}\r\n"),
        format!("host: {host}\r\nOrigin: HTTPS://{host}\r\nsec-fetch-site: same-origin\r\n"),
    ] {
        assert_answered(&exchanges(&stack, "GET /stack HTTP/1.1", &headers).await, &headers);
    }
}

#[rstest]
#[case::rebound("evil.example:8000")]
#[case::a_prefix_is_not_a_name("localhost.evil.example")]
#[case("127.0.0.1.evil.example")]
#[case("host.docker.internal.evil.example")]
#[case("evil.localhost")]
#[case::unspecified("0.0.0.0:8000")]
#[case("[::]")]
#[case::other_machines("192.168.1.2")]
#[case("[2001:db8::1]:8000")]
#[case("[::ffff:192.168.1.2]")]
#[case::not_a_host("")]
#[case(":8000")]
#[case("localhost:8000:8000")]
#[case("localhost:x")]
#[case("user@localhost")]
#[case("localhost/x")]
#[case("localhost, evil.example")]
#[case("::1")]
#[case("[::1")]
#[case("[::1]x")]
#[case("[localhost]")]
#[case("localhost..")]
#[case("127.1")]
#[case("0x7f.0.0.1")]
#[tokio::test]
async fn any_other_name_is_refused(#[case] host: &str) {
    let stack = stack().await;
    for headers in [
        format!("host: {host}\r\n"),
        format!("host: {host}\r\norigin: http://{host}\r\nsec-fetch-site: same-origin\r\n"),
        format!("host: localhost\r\norigin: http://{host}\r\n"),
        format!("host: localhost\r\norigin: https://{host}\r\nsec-fetch-site: same-site\r\n"),
    ] {
        for request in ["GET /faults HTTP/1.1", "DELETE /faults HTTP/1.1", "POST / HTTP/1.1", "OPTIONS / HTTP/1.1"] {
            assert_refused(&exchanges(&stack, request, &headers).await, &headers);
        }
    }
}

#[rstest]
#[case::origin_without_a_host("host: localhost\r\norigin: null\r\n")]
#[case("host: localhost\r\norigin: \r\n")]
#[case("host: localhost\r\norigin: localhost\r\n")]
#[case("host: localhost\r\norigin: file://localhost\r\n")]
#[case("host: localhost\r\norigin: chrome-extension://localhost\r\n")]
#[case("host: localhost\r\norigin: http://localhost/\r\n")]
#[case::two_origins("host: localhost\r\norigin: http://localhost\r\norigin: http://evil.example\r\n")]
#[case("host: localhost\r\norigin: http://localhost http://evil.example\r\n")]
#[case::cross_site("host: localhost\r\nsec-fetch-site: cross-site\r\n")]
#[case("host: localhost\r\norigin: http://localhost\r\nSec-Fetch-Site: Cross-Site\r\n")]
#[case::two_hosts("host: localhost\r\nhost: evil.example\r\n")]
#[case("host: evil.example\r\nhost: localhost\r\n")]
#[case("host: localhost\r\nhost: localhost\r\n")]
#[tokio::test]
async fn unclear_requests_are_refused(#[case] headers: &str) {
    assert_refused(&exchanges(&stack().await, "GET / HTTP/1.1", headers).await, headers);
}

/// The documentation has links to the page. They open it, and nothing else.
#[tokio::test]
async fn a_link_on_another_site_opens_only_the_page() {
    let stack = stack().await;
    let navigation = "host: localhost\r\nsec-fetch-site: cross-site\r\nsec-fetch-mode: navigate\r\n";
    let link = format!("{navigation}sec-fetch-dest: document\r\n");
    assert_answered(&exchanges(&stack, "GET / HTTP/1.1", &link).await, &link);
    for request in ["GET /stack HTTP/1.1", "GET /customers HTTP/1.1", "POST / HTTP/1.1", "DELETE /faults HTTP/1.1"] {
        assert_refused(&exchanges(&stack, request, &link).await, request);
    }
    let frame = format!("{navigation}sec-fetch-dest: iframe\r\n");
    let fetch = link.replace("navigate", "no-cors");
    let rebound = link.replace("localhost", "evil.example");
    for headers in [navigation, &frame, &fetch, &rebound] {
        assert_refused(&exchanges(&stack, "GET / HTTP/1.1", headers).await, headers);
    }
}

/// Every name that a request has must be allowed, wherever it is.
#[tokio::test]
async fn hosts_in_request_lines_are_checked() {
    let stack = stack().await;
    for (line, headers) in [
        ("GET http://evil.example/faults HTTP/1.1", "host: localhost\r\n"),
        ("GET http://localhost/faults HTTP/1.1", "host: evil.example\r\n"),
        ("GET http://user@localhost/faults HTTP/1.1", "host: localhost\r\n"),
        ("GET http://localhost/faults HTTP/1.1", ""),
        ("GET /faults HTTP/1.1", ""),
        ("GET /faults HTTP/1.0", ""),
        ("GET /faults HTTP/1.0", "host: evil.example\r\n"),
    ] {
        assert_refused(&exchanges(&stack, line, headers).await, line);
    }
    for (line, headers) in [
        ("GET http://localhost/ HTTP/1.1", "host: localhost\r\n"),
        ("GET http://127.0.0.1:1/ HTTP/1.1", "host: localhost\r\n"),
        ("GET / HTTP/1.0", "host: localhost\r\n"),
    ] {
        assert_answered(&exchanges(&stack, line, headers).await, line);
    }
}

/// A preflight asks for permission, so nothing may give it, not even to a page of this machine.
#[tokio::test]
async fn no_port_permits_a_page_to_read() {
    let stack = stack().await;
    let asked = "access-control-request-method: POST\r\naccess-control-request-headers: x-amz-target\r\n";
    for origin in ["http://localhost:3000", "http://127.0.0.1", "http://evil.example", "null"] {
        let headers = format!("host: localhost\r\norigin: {origin}\r\n{asked}connection: close\r\n\r\n");
        for method in ["OPTIONS", "GET", "POST"] {
            for port in [stack.gateway, stack.admin, stack.dynamodb, stack.sqs] {
                let request = format!("{method} / HTTP/1.1\r\n{headers}");
                let (_, answer) = tokio::task::spawn_blocking(move || exchange(port, &request)).await.unwrap();
                assert!(!answer.to_lowercase().contains("access-control"), "{method} {origin}: {answer}");
            }
        }
    }
}

/// A tunnel delivers webhooks under its own name.
#[tokio::test]
async fn webhooks_arrive_under_any_name() {
    let stack = stack().await;
    let headers = "host: abc.tunnel.example\r\norigin: https://evil.example\r\nsec-fetch-site: cross-site\r\n";
    let request =
        format!("POST /webhooks/plain HTTP/1.1\r\n{headers}content-length: 2\r\nconnection: close\r\n\r\n{{}}");
    let (gateway, line) = (stack.gateway, request);
    let (status, answer) = tokio::task::spawn_blocking(move || exchange(gateway, &line)).await.unwrap();
    assert_eq!(status, 401, "{answer}");
}

#[tokio::test]
async fn the_sdk_shows_what_to_do() {
    let stack = stack().await;
    let [dynamodb, sqs] = [stack.dynamodb, stack.sqs].map(|address| format!("http://0.0.0.0:{}", address.port()));
    let refused = Clients::local(&dynamodb, &sqs, CallTimeouts::Operator);
    let [dynamodb, sqs] = [stack.dynamodb, stack.sqs].map(|address| format!("http://localhost:{}", address.port()));
    let allowed = Clients::local(&dynamodb, &sqs, CallTimeouts::Operator);

    let sentence = "The local stack does not accept requests for the host 0.0.0.0. To allow it, start the local stack with \
                    --allow-host 0.0.0.0.";
    let error = refused.dynamodb.list_tables().send().await.unwrap_err().into_service_error();
    assert_eq!((error.meta().code(), error.meta().message()), (Some("AccessDeniedException"), Some(sentence)));
    let error = refused.sqs.list_queues().send().await.unwrap_err().into_service_error();
    assert_eq!((error.meta().code(), error.meta().message()), (Some("AccessDeniedException"), Some(sentence)));
    assert_eq!(allowed.dynamodb.list_tables().send().await.unwrap().table_names(), ["customers"]);
    assert_eq!(allowed.sqs.list_queues().send().await.unwrap().queue_urls().len(), stack.queue_urls.len());

    let admin = stack.admin;
    let request = "GET /faults HTTP/1.1\r\nhost: 0.0.0.0\r\nconnection: close\r\n\r\n";
    let (_, answer) = tokio::task::spawn_blocking(move || exchange(admin, request)).await.unwrap();
    assert!(answer.ends_with(&format!("\r\n\r\n{{\"error\":\"{sentence}\"}}")), "{answer}");
}

/// The command shows the refusal instead of claiming that nothing answers.
#[tokio::test(flavor = "multi_thread")]
async fn the_command_shows_what_to_do() {
    let stack = stack().await;
    let url = format!("http://0.0.0.0:{}", stack.admin.port());
    for command in [&["customers", "list"][..], &["faults", "list"], &["events", "send", "plain/stale"]] {
        let arguments = [command, &["--local", &url]].concat().into_iter().map(str::to_owned).collect::<Vec<_>>();
        let run = move || run(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
        let (code, _, errors) = tokio::task::spawn_blocking(run).await.unwrap();
        assert!(code == 5 && errors.contains("start the local stack with --allow-host 0.0.0.0."), "{errors}");
    }
}

/// A name that an attacker chose is repeated only if it is a host name.
#[tokio::test]
async fn refusals_repeat_only_host_names() {
    let stack = stack().await;
    for host in ["a\u{1b}b", "<b>", "x y", "x\"x", &"a".repeat(300)] {
        for headers in [format!("host: {host}\r\n"), format!("host: localhost\r\norigin: http://{host}\r\n")] {
            for (status, answer) in exchanges(&stack, "GET / HTTP/1.1", &headers).await {
                assert!(status == 403 || status == 400, "{answer}");
                assert!(!answer.contains(host), "{answer}");
            }
        }
    }
}

/// What is allowed in addition: the address that the stack listens on, unless that is every address, and named hosts.
#[rstest]
#[case("192.0.2.7", "192.0.2.7:9010", true)]
#[case("192.0.2.7", "192.0.2.8", false)]
#[case("2001:db8::7", "[2001:DB8:0::7]:80", true)]
#[case("0.0.0.0", "0.0.0.0", false)]
#[case("::", "[::]", false)]
#[case("127.0.0.1", "dev.example.com", true)]
#[case("127.0.0.1", "DEV.example.com.:80", true)]
#[case("127.0.0.1", "other.dev.example.com", false)]
#[case("127.0.0.1", "example.com", false)]
#[case("127.0.0.1", "[2001:db8::9]", true)]
#[case("127.0.0.1", "10.1.2.3:8000", true)]
#[tokio::test]
async fn other_hosts_are_allowed_by_name(#[case] listen: IpAddr, #[case] host: &str, #[case] is_allowed: bool) {
    let others = ["Dev.Example.com", "2001:db8::9", "10.1.2.3"].map(|host| host.parse::<Host>().unwrap());
    let hosts = AllowedHosts::new(listen, &others);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap();
    let router = hosts.protect(Router::new(), ErrorFormat::Admin);
    let listener = tokio::net::TcpListener::from_std(listener).unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    for headers in [format!("host: {host}"), format!("host: localhost\r\norigin: http://{host}")] {
        let request = format!("GET / HTTP/1.1\r\n{headers}\r\nconnection: close\r\n\r\n");
        let (status, answer) = tokio::task::spawn_blocking(move || exchange(address, &request)).await.unwrap();
        assert_eq!(status, if is_allowed { 404 } else { 403 }, "{answer}");
    }
}

#[rstest]
#[case("")]
#[case("*")]
#[case("http://dev.example.com")]
#[case("dev.example.com:8000")]
#[case("dev.example.com/x")]
#[case("a b")]
fn a_host_is_a_name_or_an_address(#[case] text: &str) {
    let error = text.parse::<Host>().unwrap_err().to_string();
    assert_eq!(error, "expected a host name or an address without scheme and port, as in dev.example.com");
}

/// A stack that listens on every address works, under the names of this machine.
#[tokio::test]
async fn a_stack_on_all_addresses_uses_the_loopback_one() {
    let options = StackOptions { listen: [0, 0, 0, 0].into(), ..options() };
    let stack = LocalStack::start(options).await.unwrap();
    for address in [stack.gateway, stack.admin, stack.dynamodb, stack.sqs] {
        assert_eq!(address.ip().to_string(), "127.0.0.1");
    }
    for url in stack.queue_urls.values() {
        assert!(url.starts_with("http://127.0.0.1:"), "{url}");
    }
    assert_eq!(stack.customers_table().count().await.unwrap(), 0);
    assert_refused(&exchanges(&stack, "GET / HTTP/1.1", "host: 0.0.0.0\r\n").await, "0.0.0.0");
}

/// The engine of the embedded DynamoDB permits every page to use it, so it must not be reachable by a port of its own.
#[cfg(target_os = "linux")]
#[test]
fn only_the_four_ports_are_open() {
    let (stack, ports) = RunningStack::start(&["--empty"]);
    let folder = format!("/proc/{}", stack.id());
    let sockets: BTreeSet<String> = std::fs::read_dir(format!("{folder}/fd"))
        .unwrap()
        .filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok()?.into_os_string().into_string().ok())
        .filter_map(|link| Some(link.strip_prefix("socket:[")?.strip_suffix(']')?.to_owned()))
        .collect();
    let mut open = BTreeSet::new();
    for table in ["tcp", "tcp6"] {
        for line in std::fs::read_to_string(format!("{folder}/net/{table}")).unwrap().lines().skip(1) {
            let columns: Vec<_> = line.split_whitespace().collect();
            let is_listening = columns[3] == "0A";
            if is_listening && sockets.contains(columns[9]) {
                let port = columns[1].rsplit(':').next().unwrap();
                open.insert(u16::from_str_radix(port, 16).unwrap());
            }
        }
    }
    assert_eq!(open, BTreeSet::from(ports));
}
