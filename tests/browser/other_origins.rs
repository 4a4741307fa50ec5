//! What pages of other sites can do to the local stack: nothing.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use crate::stack_process::{StackProcess, unused_ports};
use crate::webdriver::Browser;

/// Sends a request from the page that is open. Returns the status, 0 for an answer that may not be read, or "blocked".
const FETCH: &str = "
    const [url, options] = arguments;
    return fetch(url, options).then(answer => answer.status, () => 'blocked');";

/// Serves an empty page on an unused port until the tests end. Every other page may read it.
fn serve_another_site() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            serve_page(stream);
        }
    });
    port
}

/// Answers one request with an empty page. Returns whether there was a request: browsers also connect in advance.
fn serve_page(mut stream: TcpStream) -> bool {
    stream.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
    let lines = BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok);
    if lines.take_while(|line| !line.is_empty()).count() == 0 {
        return false;
    }
    let headers = "content-type: text/html\r\naccess-control-allow-origin: *\r\nconnection: close";
    let body = "<!doctype html><title>Another site</title>";
    write!(stream, "HTTP/1.1 200 OK\r\n{headers}\r\ncontent-length: {}\r\n\r\n{body}", body.len()).is_ok()
}

/// A request that a page can make without asking first, because it has no unusual header.
fn simple_post(body: &Value) -> Value {
    json!({ "method": "POST", "mode": "no-cors", "body": body.to_string() })
}

#[test]
#[ignore = "needs Chromium"]
fn pages_of_other_sites_read_nothing() {
    let (stack, browser) = (StackProcess::start(), Browser::start());
    let [_, dynamodb, sqs, admin] = stack.ports;
    let (other, readable) = (serve_another_site(), serve_another_site());
    let list_tables = json!({
        "method": "POST",
        "headers": { "x-amz-target": "DynamoDB_20120810.ListTables", "content-type": "application/x-amz-json-1.0" },
        "body": "{}",
    });
    let list_queues = json!({
        "method": "POST",
        "headers": { "x-amz-target": "AmazonSQS.ListQueues", "content-type": "application/x-amz-json-1.0" },
        "body": "{}",
    });
    // Another port of this machine is another site as well.
    for host in ["another.example", "localhost", "127.0.0.1"] {
        browser.open(&format!("http://{host}:{other}/"));
        let fetch = |url: &str, options: &Value| browser.script(FETCH, &[json!(url), options.clone()]);
        assert_eq!(fetch(&format!("http://127.0.0.1:{readable}/"), &json!({})), json!(200), "{host}");
        for target in ["127.0.0.1", "localhost"] {
            for path in ["/", "/stack", "/events", "/faults", "/customers", "/deliveries", "/quarantine", "/queues"] {
                let url = format!("http://{target}:{admin}{path}");
                assert_eq!(fetch(&url, &json!({})), json!("blocked"), "{host} {url}");
            }
            let table = format!("http://{target}:{dynamodb}/");
            assert_eq!(fetch(&table, &list_tables), json!("blocked"), "{host}");
            assert_eq!(fetch(&table, &simple_post(&json!({}))), json!(0), "{host}");
            let queues = format!("http://{target}:{sqs}/");
            assert_eq!(fetch(&queues, &list_queues), json!("blocked"), "{host}");
            // SQS also understands forms, which need no unusual header.
            let form = json!({ "method": "POST", "body": "Action=ListQueues&Version=2012-11-05",
                "headers": { "content-type": "application/x-www-form-urlencoded" } });
            assert_eq!(fetch(&queues, &form), json!("blocked"), "{host}");
        }
    }
}

/// A page that may not read the answer could still have an effect.
#[test]
#[ignore = "needs Chromium"]
fn pages_of_other_sites_change_nothing() {
    let (stack, browser) = (StackProcess::start(), Browser::start());
    let fault = json!({ "service": "dynamodb", "mode": "throttle", "rate": 1.0, "for_seconds": 60.0 });
    let send = json!({ "case": "plain/customer-created" });
    browser.open(&format!("http://another.example:{}/", serve_another_site()));
    for (path, body) in [("/faults", &fault), ("/send", &send)] {
        browser.script(FETCH, &[json!(stack.url(path)), simple_post(body)]);
    }
    assert_eq!(stack.request("GET", "/faults", &Value::Null).1, json!({}));
    assert_eq!(stack.request("GET", "/deliveries", &Value::Null).1, json!([]));
    // The same requests have an effect when the page itself sends them.
    browser.open(&stack.url("/stack"));
    for (path, body) in [("/faults", &fault), ("/send", &send)] {
        let status = browser.script(FETCH, &[json!(path), json!({ "method": "POST", "body": body.to_string() })]);
        assert_eq!(status, json!(200), "{path}");
    }
    assert_eq!(stack.request("GET", "/faults", &Value::Null).1.as_object().unwrap().len(), 1);
    assert_eq!(stack.request("GET", "/deliveries", &Value::Null).1.as_array().unwrap().len(), 1);
}

/// The owner of a name can let it lead to this machine once the page is loaded. For the browser, the requests of the page
/// then stay within one site.
#[test]
#[ignore = "needs Chromium"]
fn a_rebound_name_is_refused() {
    let browser = Browser::start();
    for place in 1..4 {
        let mut ports = unused_ports();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        ports[place] = listener.local_addr().unwrap().port();
        // The site ends with its first answer, and the stack takes its port.
        let site = thread::spawn(move || listener.incoming().flatten().any(serve_page));
        browser.open(&format!("http://rebound.example:{}/", ports[place]));
        assert!(site.join().unwrap());
        let _stack = StackProcess::start_on(ports);
        for method in ["GET", "POST"] {
            let status = browser.script(FETCH, &[json!("/"), json!({ "method": method })]);
            assert_eq!(status, json!(403), "{method} on port {place}");
        }
    }
    let stack = StackProcess::start();
    browser.open(&format!("http://rebound.example:{}/", stack.ports[3]));
    browser.wait_for_text("body", "--allow-host rebound.example");
    // Webhooks may come through a tunnel, under any name.
    browser.open(&format!("http://rebound.example:{}/", stack.ports[0]));
    let webhook = json!({ "method": "POST", "body": "{}" });
    assert_eq!(browser.script(FETCH, &[json!("/webhooks/plain"), webhook]), json!(401));
}
