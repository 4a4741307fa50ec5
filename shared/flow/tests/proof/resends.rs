//! Events that an operator sends: in which calls, how often, and what a consumer ends with.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use clientele_flow::deadlines::RESEND_ATTEMPTS_MAX;
use clientele_flow::memory::InMemoryStorage;
use clientele_flow::{
    BusError, EventBus, EventResult, EventSender, ResendCounts, ResendObserver, ResendOptions, ResendReport, SendError,
    SendReport, SendResult, Table, resend,
};
use clientele_model::{ChangeEvent, ChangeType, FeedContent, FeedSettings, Item, REQUEST_BYTES_MAX};
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::simulation::scripted_bus::{Answer, ScriptedBus};

const NOW: Timestamp = Timestamp::constant(1_795_176_000, 0);

fn settings() -> FeedSettings {
    FeedSettings { source: "/clientele/test".to_owned(), content: FeedContent::Full }
}

fn customer(provider: &str, id: &str, rank: &str) -> Item {
    let item = json!({
        "pk": format!("{provider}#w_1#{id}"), "sk": "customer", "provider": provider, "account": "w_1",
        "customer_id": id, "status": "active", "profile": {}, "extra": {}, "updated_at": "1", "rank": rank,
        "last_event": { "id": "e", "type": "updated", "received_at": "2026-11-20T12:00:00Z" }, "schema": 1,
    });
    Item::try_from(item.as_object().unwrap().clone()).unwrap()
}

fn tombstone(provider: &str, id: &str, rank: &str) -> Item {
    let item = json!({
        "pk": format!("{provider}#w_1#{id}"), "sk": "customer", "provider": provider, "account": "w_1",
        "customer_id": id, "status": "deleted", "deleted_at": "2026-11-20T12:00:00Z", "rank": rank,
        "last_event": { "id": "e", "type": "deleted", "received_at": "2026-11-21T12:00:00Z" }, "schema": 1,
    });
    Item::try_from(item.as_object().unwrap().clone()).unwrap()
}

/// An event whose detail has about this size.
fn event(id: &str, bytes: usize) -> ChangeEvent {
    let event = ChangeEvent::of_item(&customer("plain", id, "1"), id, NOW, &settings());
    let detail = format!("{}{}", event.detail, " ".repeat(bytes));
    ChangeEvent { detail, ..event }
}

fn small_events(number: usize) -> Vec<ChangeEvent> {
    (0..number).map(|place| event(&place.to_string(), 0)).collect()
}

async fn send(bus: &ScriptedBus, events: &[ChangeEvent]) -> SendReport {
    let stop = AtomicBool::new(false);
    EventSender::new(bus, NOW, None, &stop, &|_, _| {}).send(events).await
}

/// A letter per result: `s` sent, `r` refused, `n` not sent.
fn letters(report: &SendReport) -> String {
    let letter = |result: &SendResult| match result {
        SendResult::Sent => 's',
        SendResult::Refused(_) => 'r',
        SendResult::NotSent => 'n',
    };
    report.results.iter().map(letter).collect()
}

#[tokio::test(start_paused = true)]
async fn a_call_has_as_many_events_as_the_bus_takes() {
    let large = REQUEST_BYTES_MAX / 2 - 1_000;
    let cases = [
        (vec![], vec![]),
        (small_events(1), vec![1]),
        (small_events(10), vec![10]),
        (small_events(11), vec![10, 1]),
        (small_events(25), vec![10, 10, 5]),
        (vec![event("a", large), event("b", large), event("c", 0)], vec![2, 1]),
        (vec![event("a", large), event("b", large + 2_000), event("c", 0)], vec![1, 2]),
        (vec![event("a", 3 * large), event("b", 0), event("c", 0)], vec![1, 2]),
    ];
    for (events, expected) in cases {
        let bus = ScriptedBus::default();
        let report = send(&bus, &events).await;
        assert_eq!((letters(&report), report.error), ("s".repeat(events.len()), None));
        let calls = bus.made();
        assert_eq!(calls.iter().map(|(ids, _)| ids.len()).collect::<Vec<_>>(), expected);
        let sent: Vec<_> = calls.into_iter().flat_map(|(ids, _)| ids).collect();
        assert_eq!(sent, events.iter().map(|event| event.id.clone()).collect::<Vec<_>>());
    }
}

/// Only what has failed is sent again, and each event has its own result.
#[tokio::test(start_paused = true)]
async fn failed_events_are_sent_again() {
    use Answer::{Refused, Results, Unavailable};
    let cases = [
        (vec![Results("afrf"), Results("fa"), Results("a")], "ssrs", vec!["0 1 2 3", "1 3", "1"]),
        (vec![Unavailable, Results("arfa"), Unavailable], "srss", vec!["0 1 2 3", "0 1 2 3", "2", "2"]),
        (vec![Results("aa")], "ssss", vec!["0 1 2 3", "0 1 2 3"]),
        (vec![Refused, Results("a"), Refused], "srss", vec!["0 1 2 3", "0", "1", "2", "3"]),
        (vec![Results("affa"), Refused, Unavailable], "ssss", vec!["0 1 2 3", "1 2", "1", "1", "2"]),
    ];
    for (answers, expected, calls) in cases {
        let bus = ScriptedBus::new(answers);
        let report = send(&bus, &small_events(4)).await;
        assert_eq!(
            (letters(&report).as_str(), report.error, bus.calls()),
            (expected, None, calls.clone().into_iter().map(str::to_owned).collect())
        );
    }
}

/// The run goes on as long as the bus accepts something. The attempts are counted from the last one in which it did.
#[tokio::test(start_paused = true)]
async fn a_bus_that_takes_nothing_ends_the_run() {
    let attempts = usize::try_from(RESEND_ATTEMPTS_MAX).unwrap();
    let bus = ScriptedBus::new(vec![Answer::Unavailable; attempts]);
    let report = send(&bus, &small_events(12)).await;
    assert_eq!(
        (letters(&report).as_str(), report.error),
        ("nnnnnnnnnnnn", Some(SendError::Failed("no answer".to_owned())))
    );
    assert_eq!(bus.calls().len(), attempts, "the second call is not tried");

    let mut answers = vec![Answer::Unavailable; attempts - 1];
    answers.push(Answer::Results("aff"));
    answers.extend(vec![Answer::Results("ff"); attempts - 2]);
    let bus = ScriptedBus::new(answers.clone());
    assert_eq!(letters(&send(&bus, &small_events(3)).await), "sss");
    answers.push(Answer::Results("ff"));
    let bus = ScriptedBus::new(answers);
    let report = send(&bus, &small_events(3)).await;
    assert_eq!((letters(&report).as_str(), report.error), ("snn", Some(SendError::Failed("throttled".to_owned()))));

    let forever = [Answer::Refused].into_iter().chain(vec![Answer::Unavailable; attempts]);
    let report = send(&ScriptedBus::new(forever), &small_events(3)).await;
    assert_eq!((letters(&report).as_str(), report.error), ("nnn", Some(SendError::Failed("no answer".to_owned()))));
}

/// Pauses are announced, and double.
#[tokio::test(start_paused = true)]
async fn pauses_are_announced_and_grow() {
    let bus = ScriptedBus::new(vec![Answer::Unavailable; 4]);
    let (stop, pauses) = (AtomicBool::new(false), Mutex::new(vec![]));
    let waiting = |why: &str, delay: Duration| pauses.lock().unwrap().push((why.to_owned(), delay.as_millis()));
    EventSender::new(&bus, NOW, None, &stop, &waiting).send(&small_events(1)).await;
    let pauses = pauses.into_inner().unwrap();
    for ((why, millis), longest) in pauses.iter().zip([1_000, 2_000, 4_000, 8_000]) {
        assert!(why == "no answer" && (longest / 2..=longest).contains(millis), "{pauses:?}");
    }
    let made: Vec<_> = bus.made().into_iter().map(|(_, at)| at).collect();
    let waited: Vec<_> = made.windows(2).map(|pair| (pair[1] - pair[0]).as_millis()).collect();
    assert_eq!(waited, pauses.into_iter().map(|(_, millis)| millis).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn no_more_events_per_second_than_the_rate() {
    let (bus, stop) = (ScriptedBus::default(), AtomicBool::new(false));
    let sender = EventSender::new(&bus, NOW, Some(20.0), &stop, &|_, _| {});
    let started = Instant::now();
    sender.send(&small_events(25)).await;
    sender.send(&small_events(1)).await;
    let made = bus.made();
    let made: Vec<_> = made.into_iter().map(|(ids, at)| (ids.len(), (at - started).as_millis())).collect();
    assert_eq!(made, [(10, 0), (10, 500), (5, 1_000), (1, 1_250)]);
}

/// A bus that sets the flag when it is called for the second time.
struct StoppingBus<'a>(&'a AtomicBool, Mutex<usize>);

impl EventBus for StoppingBus<'_> {
    async fn put(&self, events: &[ChangeEvent]) -> Result<Vec<EventResult>, BusError> {
        let mut calls = self.1.lock().unwrap();
        *calls += 1;
        self.0.store(*calls == 2, Ordering::Relaxed);
        Ok(vec![EventResult::Accepted; events.len()])
    }
}

#[tokio::test(start_paused = true)]
async fn a_run_that_is_to_stop_makes_no_further_call() {
    let stop = AtomicBool::new(false);
    let bus = StoppingBus(&stop, Mutex::new(0));
    let report = EventSender::new(&bus, NOW, None, &stop, &|_, _| {}).send(&small_events(25)).await;
    let expected = format!("{}{}", "s".repeat(20), "n".repeat(5));
    assert_eq!((letters(&report), report.error, *bus.1.lock().unwrap()), (expected, Some(SendError::Stopped), 2));
}

/// What a consumer knows that follows docs/consume.md: it keeps the greatest rank of each customer.
#[derive(Default)]
struct Consumer(Mutex<BTreeMap<String, Value>>);

impl EventBus for Consumer {
    async fn put(&self, events: &[ChangeEvent]) -> Result<Vec<EventResult>, BusError> {
        for event in events {
            self.take(event);
        }
        Ok(vec![EventResult::Accepted; events.len()])
    }
}

impl Consumer {
    fn take(&self, event: &ChangeEvent) {
        let event: Value = serde_json::from_str(&event.detail).unwrap();
        let mut known = self.0.lock().unwrap();
        let pk = event["subject"].as_str().unwrap().to_owned();
        let rank = |data: &Value| data["rank"].as_str().unwrap().to_owned();
        if known.get(&pk).is_none_or(|known| rank(known) < rank(&event["data"])) {
            known.insert(pk, event["data"].clone());
        }
    }

    fn ranks(&self) -> BTreeMap<String, (String, String)> {
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let known = self.0.lock().unwrap();
        known.iter().map(|(pk, data)| (pk.clone(), (text(&data["rank"]), text(&data["status"])))).collect()
    }
}

/// Who cannot be sent, and the counts after each page.
#[derive(Default)]
struct Observed(Vec<String>, Vec<u64>);

impl ResendObserver for Observed {
    fn page_sent(&mut self, counts: &ResendCounts) {
        self.1.push(counts.read);
    }

    fn not_sent(&mut self, pk: &str, why: &str) {
        self.0.push(format!("{pk}: {why}"));
    }
}

async fn resend_all(table: &InMemoryStorage, bus: &impl EventBus, options: ResendOptions) -> (ResendReport, Observed) {
    let (stop, mut observed) = (AtomicBool::new(false), Observed::default());
    let sender = EventSender::new(bus, NOW, None, &stop, &|_, _| {});
    let report = resend(table, &sender, &options, &mut observed).await;
    (report, observed)
}

fn everything() -> ResendOptions {
    ResendOptions { id: "again".to_owned(), settings: settings(), provider: None, since: None }
}

/// Five customers of two providers, of whom one is deleted.
async fn five_customers() -> InMemoryStorage {
    let table = InMemoryStorage::default();
    let items = [
        customer("plain", "a", "1"),
        tombstone("plain", "b", "2"),
        customer("plain", "c", "3"),
        customer("metrifox", "d", "4"),
        customer("plain", "e", "5"),
    ];
    for item in items {
        table.put(&item).await.unwrap();
    }
    table
}

#[tokio::test(start_paused = true)]
async fn customers_are_selected_and_counted() {
    let table = five_customers().await;
    let counts =
        |snapshots, deleted, refused| ResendCounts { read: 5, snapshots, deleted, refused, ..ResendCounts::default() };
    let all = "metrifox#w_1#d plain#w_1#a plain#w_1#b plain#w_1#c plain#w_1#e";
    let time = |text: &str| Some(text.parse::<Timestamp>().unwrap());
    let cases = [
        (everything(), vec![], counts(4, 1, 0), all),
        (
            ResendOptions { provider: Some("plain".to_owned()), ..everything() },
            vec![],
            counts(3, 1, 0),
            "plain#w_1#a plain#w_1#b plain#w_1#c plain#w_1#e",
        ),
        (ResendOptions { since: time("2026-11-20T12:00:00Z"), ..everything() }, vec![], counts(4, 1, 0), all),
        (
            ResendOptions { since: time("2026-11-20T12:00:00.001Z"), ..everything() },
            vec![],
            counts(0, 1, 0),
            "plain#w_1#b",
        ),
        (everything(), vec![Answer::Results("ara")], counts(3, 1, 1), all),
    ];
    for (options, answers, expected, sent) in cases {
        let bus = ScriptedBus::new(answers);
        let (report, observed) = resend_all(&table, &bus, options).await;
        assert_eq!(report, ResendReport { counts: expected, error: None });
        let ids = bus.calls().join(" ").replace("again/", "");
        assert_eq!(ids, sent);
        assert_eq!(observed.1, [3, 5], "pages of the table in memory");
        let refused: Vec<_> =
            (report.counts.refused > 0).then(|| "plain#w_1#a: malformed".to_owned()).into_iter().collect();
        assert_eq!(observed.0, refused);
    }
}

/// A failure ends the run after what was sent before it.
#[tokio::test(start_paused = true)]
async fn a_failure_of_the_bus_ends_the_resend() {
    let table = five_customers().await;
    let bus = ScriptedBus::new([Answer::Results("aaa")].into_iter().chain(vec![Answer::Unavailable; 10]));
    let (report, observed) = resend_all(&table, &bus, everything()).await;
    let counts = ResendCounts { read: 3, snapshots: 2, deleted: 1, ..ResendCounts::default() };
    assert_eq!(report, ResendReport { counts, error: Some(SendError::Failed("no answer".to_owned())) });
    assert_eq!(observed.1, [3]);
}

/// A consumer that starts with a resend while the table is written ends with the same customers as the table. The events of
/// the writes arrive before, between and after the calls of the resend.
#[tokio::test(start_paused = true)]
async fn a_consumer_may_start_while_customers_change() {
    let mut numbers = 1_u64;
    let mut random = move |below: u64| {
        numbers = numbers.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (numbers >> 33) % below
    };
    let mut kinds = BTreeMap::<&str, usize>::new();
    for _ in 0..200 {
        let table = InMemoryStorage::default();
        let consumer = Consumer::default();
        let mut write = |number: u64| {
            let (id, rank) = (format!("c{}", random(12)), format!("{number:03}"));
            if random(4) == 0 { tombstone("plain", &id, &format!("9{rank}")) } else { customer("plain", &id, &rank) }
        };
        for number in 0..20 {
            table.put(&write(number)).await.unwrap();
        }
        let later: Vec<_> = (20..40).map(&mut write).collect();
        let writes = async {
            let mut delayed = vec![];
            for (number, item) in later.iter().enumerate() {
                let was = table.item(item.pk()).await.unwrap().map(|item| item.unwrap().rank().to_owned());
                if was.is_none_or(|was| was.as_str() < item.rank()) {
                    table.put(item).await.unwrap();
                    delayed.push(ChangeEvent::of_item(item, &number.to_string(), NOW, &settings()));
                }
                // Some events arrive late, and in another order.
                if number % 3 == 0 {
                    for event in delayed.drain(..).rev() {
                        consumer.take(&event);
                    }
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            for event in &delayed {
                consumer.take(event);
            }
        };
        let stop = AtomicBool::new(false);
        let sender = EventSender::new(&consumer, NOW, Some(60.0), &stop, &|_, _| {});
        let options = everything();
        let resent = async { resend(&table, &sender, &options, &mut ()).await };
        let (report, ()) = futures_util::future::join(resent, writes).await;
        assert_eq!(report.error, None);
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let expected: BTreeMap<_, _> =
            table.items().into_iter().map(|(pk, item)| (pk, (text(&item["rank"]), text(&item["status"])))).collect();
        assert_eq!(consumer.ranks(), expected);
        *kinds.entry("deleted").or_default() += expected.values().filter(|(_, status)| status == "deleted").count();
        *kinds.entry("live").or_default() += expected.values().filter(|(_, status)| status != "deleted").count();
    }
    assert!(kinds["deleted"] > 200 && kinds["live"] > 200, "{kinds:?}");
}

/// The events of a resend are snapshots and deletes, with an id of their own.
#[test]
fn a_resent_customer_is_a_snapshot() {
    let sent = |item: &Item| {
        let event = ChangeEvent::of_item(item, "again/x", NOW, &settings());
        (event.kind, event.id, event.rank)
    };
    assert_eq!(sent(&customer("plain", "a", "1")), (ChangeType::Snapshot, "again/x".to_owned(), "1".to_owned()));
    assert_eq!(sent(&tombstone("plain", "a", "2")), (ChangeType::Deleted, "again/x".to_owned(), "2".to_owned()));
}
