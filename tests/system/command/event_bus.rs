//! The event bus of the local stack: `PutEvents` for other programs, the events as a list and as a stream, and the queue of
//! `--changes-queue`.

use std::io::{BufRead, BufReader};
use std::time::Duration;

use clientele::stack::{LocalStack, StackOptions};
use clientele_aws::{CallTimeouts, ChangeClients, EventBridgeBus};
use clientele_flow::{EventBus, EventResult};
use clientele_model::{ChangeEvent, ChangeType};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::console::Page;
use crate::support::cli::{ANY_PORTS, run};
use crate::support::{drain, options, stack};

/// The bus of a stack, as a program outside of it uses it.
fn bus(stack: &LocalStack) -> EventBridgeBus {
    let [bus, sqs] = [format!("http://{}/event-bus", stack.admin), format!("http://{}", stack.sqs)];
    EventBridgeBus::new(ChangeClients::local(&bus, &sqs, CallTimeouts::Operator).eventbridge, "any".to_owned())
}

fn event(pk: &str, detail: &str) -> ChangeEvent {
    ChangeEvent {
        id: "e".to_owned(),
        pk: pk.to_owned(),
        rank: "r".to_owned(),
        kind: ChangeType::Created,
        source: "/clientele/other".to_owned(),
        at: Timestamp::from_second(1_700_000_000).unwrap(),
        detail: detail.to_owned(),
        is_customer_omitted: false,
    }
}

fn detail(number: usize) -> String {
    json!({ "subject": format!("plain#w#c{number}"), "data": { "changed": ["name"] } }).to_string()
}

/// The lines of a stream of server-sent events, without empty ones.
pub(super) fn lines(url: String) -> impl AsyncFnMut() -> String {
    let (lines, mut received) = tokio::sync::mpsc::unbounded_channel();
    std::thread::spawn(move || {
        let answer = ureq::get(url).call().unwrap();
        assert_eq!(answer.headers()["content-type"], "text/event-stream");
        let reader = BufReader::new(answer.into_body().into_reader());
        reader.lines().map_while(Result::ok).take_while(|line| lines.send(line.clone()).is_ok()).for_each(drop);
    });
    async move || loop {
        let line: String = received.recv().await.unwrap();
        if !line.is_empty() && !line.starts_with(':') {
            return line;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn events_of_other_programs_are_listed_and_streamed() {
    let stack = stack().await;
    let (page, bus) = (Page::of(&stack), bus(&stack));
    assert_eq!(page.get("/changes").await, (200, json!([])));
    let results = bus.put(&[event("a", &detail(1)), event("b", "not JSON"), event("c", &detail(2))]).await;
    let refused = EventResult::Refused("MalformedDetail".to_owned());
    assert_eq!(results, Ok(vec![EventResult::Accepted, refused, EventResult::Accepted]));
    let (_, listed) = page.get("/changes").await;
    let subjects: Vec<_> =
        listed.as_array().unwrap().iter().map(|event| event["detail"]["subject"].as_str().unwrap()).collect();
    assert_eq!(subjects, ["plain#w#c1", "plain#w#c2"]);
    let mut first = listed[0].clone();
    assert!(first.as_object_mut().unwrap().remove("id").unwrap().is_string());
    let expected = json!({
        "version": "0", "detail-type": "customer.created", "source": "/clientele/other", "account": "000000000000",
        "time": "2023-11-14T22:13:20Z", "region": "us-east-1", "resources": [],
        "detail": { "subject": "plain#w#c1", "data": { "changed": ["name"] } },
    });
    assert_eq!(first, expected);

    let mut next = lines(format!("{}/changes/stream", page.url));
    assert_eq!(next().await, "event: run");
    assert!(next().await.strip_prefix("data: ").unwrap().parse::<i128>().is_ok());
    for number in 1..=2 {
        assert_eq!(next().await, format!("id: {number}"));
        let data: Value = serde_json::from_str(next().await.strip_prefix("data: ").unwrap()).unwrap();
        assert_eq!(data, listed[number - 1]);
    }
    bus.put(&[event("d", &detail(3))]).await.unwrap();
    assert_eq!(next().await, "id: 3");
    assert!(next().await.contains("plain#w#c3"));
}

#[tokio::test]
async fn the_bus_knows_only_put_events() {
    let stack = stack().await;
    let page = Page { headers: vec![("x-amz-target", "AWSEvents.ListRules".to_owned())], ..Page::of(&stack) };
    for page in [page, Page::of(&stack)] {
        let (status, answer) = page.post("/event-bus", &json!({})).await;
        assert_eq!((status, &answer["__type"]), (400, &json!("UnknownOperationException")));
    }
    // As for every route of the admin port, pages of other sites are refused.
    let page = Page { headers: vec![("origin", "https://evil.example".to_owned())], ..Page::of(&stack) };
    assert_eq!(page.post("/event-bus", &json!({})).await.0, 403);
    assert_eq!(page.get("/changes").await.0, 403);
}

#[tokio::test(flavor = "multi_thread")]
async fn events_are_sent_to_the_queue() {
    let stack = StackOptions { changes_queue: Some("my-changes".to_owned()), ..options() };
    let stack = LocalStack::start(stack).await.unwrap();
    let odd = json!({ "subject": "\u{0}\u{fffe}\u{ffff}\u{1b}" }).to_string();
    bus(&stack).put(&[event("a", &detail(1)), event("b", &odd)]).await.unwrap();
    let mut received = vec![];
    for _ in 0..100 {
        received.extend(drain(&stack, "my-changes").await);
        if received.len() == 2 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(json!(received), Page::of(&stack).get("/changes").await.1);
    assert_eq!(received[1]["detail"]["subject"], "\u{0}\u{fffe}\u{ffff}\u{1b}");
}

#[test]
fn the_name_of_the_queue_must_be_free_and_allowed() {
    let once = |name: &str| run(&[&["--once", "--changes-queue", name], &ANY_PORTS[..]].concat());
    let (code, _, errors) = once("inbox");
    assert_eq!((code, errors.as_str()), (2, "error: the stack has a queue inbox already; name another one\n"));
    for name in ["", "a b", "ä", &"x".repeat(81)] {
        let (code, _, errors) = once(name);
        assert!(code == 2 && errors.contains("at most 80 letters, digits, - and _"), "{errors}");
    }
}
