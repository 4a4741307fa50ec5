//! What the change feed makes of one batch: its calls, what it names on the queue, and its report.

use std::sync::Mutex;
use std::time::Duration;

use clientele_flow::{ChangeFeed, FeedRecord, FeedReport, RefusedChanges};
use clientele_model::{FeedContent, FeedSettings, Item, ItemWrite, REQUEST_BYTES_MAX, RefusedChange};
use serde_json::json;
use tokio::time::Instant;

use crate::simulation::actors::run;
use crate::simulation::provider::ARRIVED_AT;
use crate::simulation::scripted_bus::{Answer, ScriptedBus};

use Answer::{Refused, Results, Unavailable};

const SOURCE: &str = "/clientele/test";

/// A queue that fails in the call of that number, counted from 0.
struct ScriptedQueue {
    fails_in: Option<usize>,
    kept: Mutex<Vec<Result<RefusedChange, ()>>>,
}

impl RefusedChanges for ScriptedQueue {
    async fn keep(&self, message: &RefusedChange) -> Result<(), String> {
        let mut kept = self.kept.lock().unwrap();
        let fails = self.fails_in == Some(kept.len());
        kept.push(if fails { Err(()) } else { Ok(message.clone()) });
        if fails { Err("no queue".to_owned()) } else { Ok(()) }
    }
}

fn customer(number: usize, padding: usize) -> Item {
    let item = json!({
        "pk": format!("acme#w_1#c{number}"), "sk": "customer", "provider": "acme", "account": "w_1",
        "customer_id": format!("c{number}"), "status": "active", "profile": {}, "extra": {"a": "x".repeat(padding)},
        "updated_at": "2026-01-01T00:00:00Z", "rank": "0.1", "schema": 1,
        "last_event": {"id": "e", "type": "updated", "received_at": "2026-01-01T00:00:00Z"},
    });
    Item::try_from(item.as_object().unwrap().clone()).unwrap()
}

/// `c` is a change, `h` one of half the size of a call, `o` one that is too large for a call, `s` a write that changes
/// nothing, and `x` a record that cannot be read.
fn record(number: usize, letter: char) -> FeedRecord {
    let id = number.to_string();
    let new = match letter {
        'h' => customer(number, REQUEST_BYTES_MAX / 2 - 1_500),
        'o' => customer(number, REQUEST_BYTES_MAX),
        _ => customer(number, 0),
    };
    let write = match letter {
        'x' => Err(RefusedChange::new(id.clone(), format!("acme#w_1#c{number}"), None, "not an item")),
        's' => Ok(ItemWrite { id: id.clone(), at: ARRIVED_AT, old: Some(new.clone()), new: Some(new) }),
        _ => Ok(ItemWrite { id: id.clone(), at: ARRIVED_AT, old: None, new: Some(new) }),
    };
    FeedRecord { sequence_number: id, write }
}

/// What happens to a batch.
#[derive(Clone, Default)]
struct Case {
    /// A letter per record.
    records: &'static str,
    answers: Vec<Answer>,
    /// The number of the message that the queue does not take.
    queue_fails_in: Option<usize>,
    /// The events of each call.
    calls: Vec<&'static str>,
    /// Which changes are named on the queue.
    kept: &'static str,
    /// The numbers of changes sent, without their customer, unchanged and refused.
    counts: [usize; 4],
    failed_from: Option<&'static str>,
    error: Option<&'static str>,
}

async fn publish(case: &Case, takes: Duration, time: Duration) -> (Vec<String>, String, FeedReport) {
    let bus = ScriptedBus::new(case.answers.clone()).taking(takes);
    let refused = ScriptedQueue { fails_in: case.queue_fails_in, kept: Mutex::default() };
    let settings = FeedSettings { source: SOURCE.to_owned(), content: FeedContent::Full };
    let feed = ChangeFeed { bus, refused, settings };
    let records = case.records.chars().enumerate().map(|(number, letter)| record(number, letter)).collect();
    let report = feed.publish(records, Instant::now() + time).await;
    let kept = feed.refused.kept.lock().unwrap();
    let kept: Vec<_> = kept.iter().flatten().map(|message| message.id.clone()).collect();
    (feed.bus.calls(), kept.join(" "), report)
}

fn check(cases: Vec<Case>) {
    for case in cases {
        let (calls, kept, report) = run(publish(&case, Duration::ZERO, Duration::from_secs(45)));
        let name = format!("{} with {} answers", case.records, case.answers.len());
        assert_eq!(
            (calls, kept.as_str()),
            (case.calls.iter().map(|call| (*call).to_owned()).collect(), case.kept),
            "{name}"
        );
        let [sent, omitted, unchanged, refused] = case.counts;
        let (failed_from, error) = (case.failed_from.map(str::to_owned), case.error.map(str::to_owned));
        assert_eq!(report, FeedReport { sent, omitted, unchanged, refused, failed_from, error }, "{name}");
    }
}

#[test]
fn a_call_has_as_many_events_as_the_bus_takes() {
    let case = |records, calls, counts| Case { records, calls, counts, ..Case::default() };
    check(vec![
        case("", vec![], [0, 0, 0, 0]),
        case("ss", vec![], [0, 0, 2, 0]),
        case("c", vec!["0"], [1, 0, 0, 0]),
        case("cccccccccc", vec!["0 1 2 3 4 5 6 7 8 9"], [10, 0, 0, 0]),
        case("ccccccccccc", vec!["0 1 2 3 4 5 6 7 8 9", "10"], [11, 0, 0, 0]),
        case("cscscscscscscscscscsc", vec!["0 2 4 6 8 10 12 14 16 18", "20"], [11, 0, 10, 0]),
        case("hhh", vec!["0 1", "2"], [3, 0, 0, 0]),
        case("hhccc", vec!["0 1 2", "3 4"], [5, 0, 0, 0]),
        case("hoc", vec!["0 1 2"], [3, 1, 0, 0]),
    ]);
}

/// An entry that the bus refuses is named on the queue, and those after it are sent.
#[test]
fn a_refused_entry_never_blocks_the_others() {
    let refused = Some("malformed");
    check(vec![
        Case {
            records: "cccc",
            answers: vec![Results("arar")],
            calls: vec!["0 1 2 3"],
            kept: "1 3",
            counts: [2, 0, 0, 2],
            error: refused,
            ..Case::default()
        },
        Case {
            records: "ccccccccccc",
            answers: vec![Results("rrrrrrrrrr")],
            calls: vec!["0 1 2 3 4 5 6 7 8 9", "10"],
            kept: "0 1 2 3 4 5 6 7 8 9",
            counts: [1, 0, 0, 10],
            error: refused,
            ..Case::default()
        },
        // What cannot be named is tried again, with everything after it.
        Case {
            records: "cccc",
            answers: vec![Results("arra")],
            queue_fails_in: Some(1),
            calls: vec!["0 1 2 3"],
            kept: "1",
            counts: [1, 0, 0, 1],
            failed_from: Some("2"),
            error: Some("no queue"),
        },
    ]);
}

/// The bus may refuse a whole call because of one event. It is found by sending each alone.
#[test]
fn a_refused_call_is_sent_one_by_one() {
    check(vec![
        Case {
            records: "ccc",
            answers: vec![Refused, Results("a"), Refused],
            calls: vec!["0 1 2", "0", "1", "2"],
            kept: "1",
            counts: [2, 0, 0, 1],
            error: Some("too large"),
            ..Case::default()
        },
        Case {
            records: "c",
            answers: vec![Refused],
            calls: vec!["0"],
            kept: "0",
            counts: [0, 0, 0, 1],
            error: Some("too large"),
            ..Case::default()
        },
        Case {
            records: "cccc",
            answers: vec![Refused, Results("a"), Unavailable],
            calls: vec!["0 1 2 3", "0", "1"],
            counts: [1, 0, 0, 0],
            failed_from: Some("1"),
            error: Some("the event bus cannot be used: no answer"),
            ..Case::default()
        },
        Case {
            records: "ccc",
            answers: vec![Refused, Results("r"), Results("f")],
            calls: vec!["0 1 2", "0", "1"],
            kept: "0",
            counts: [0, 0, 0, 1],
            failed_from: Some("1"),
            error: Some("throttled"),
            ..Case::default()
        },
    ]);
}

/// Everything from the first failure on is tried again, also what the bus has accepted after it.
#[test]
fn the_first_failure_is_where_the_batch_is_tried_again() {
    check(vec![
        Case {
            records: "ccccs",
            answers: vec![Results("aafa")],
            calls: vec!["0 1 2 3"],
            counts: [2, 0, 1, 0],
            failed_from: Some("2"),
            error: Some("throttled"),
            ..Case::default()
        },
        Case {
            records: "ccc",
            answers: vec![Results("fra")],
            calls: vec!["0 1 2"],
            failed_from: Some("0"),
            error: Some("throttled"),
            ..Case::default()
        },
        Case {
            records: "scccccccccccc",
            answers: vec![Results("aaaaaaaaaa"), Unavailable],
            calls: vec!["1 2 3 4 5 6 7 8 9 10", "11 12"],
            counts: [10, 0, 1, 0],
            failed_from: Some("11"),
            error: Some("the event bus cannot be used: no answer"),
            ..Case::default()
        },
        Case {
            records: "ccc",
            answers: vec![Results("aa")],
            calls: vec!["0 1 2"],
            failed_from: Some("0"),
            error: Some("the event bus did not say what became of each event"),
            ..Case::default()
        },
        Case {
            records: "ccc",
            answers: vec![Results("aaaa")],
            calls: vec!["0 1 2"],
            failed_from: Some("0"),
            error: Some("the event bus did not say what became of each event"),
            ..Case::default()
        },
    ]);
}

/// A record that cannot be read is named in its place: after what is before it is on the bus.
#[test]
fn an_unreadable_record_is_named_in_its_place() {
    let unreadable = Some("not an item");
    check(vec![
        Case {
            records: "ccxsxcc",
            calls: vec!["0 1", "5 6"],
            kept: "2 4",
            counts: [4, 0, 1, 2],
            error: unreadable,
            ..Case::default()
        },
        Case { records: "x", kept: "0", counts: [0, 0, 0, 1], error: unreadable, ..Case::default() },
        Case {
            records: "ccxcc",
            answers: vec![Results("af")],
            calls: vec!["0 1"],
            counts: [1, 0, 0, 0],
            failed_from: Some("1"),
            error: Some("throttled"),
            ..Case::default()
        },
        Case {
            records: "ccxcc",
            queue_fails_in: Some(0),
            calls: vec!["0 1"],
            counts: [2, 0, 0, 0],
            failed_from: Some("2"),
            error: Some("no queue"),
            ..Case::default()
        },
        // A call after it is as large as any other.
        Case {
            records: "hxhh",
            calls: vec!["0", "2 3"],
            kept: "1",
            counts: [3, 0, 0, 1],
            error: unreadable,
            ..Case::default()
        },
    ]);
}

/// A call that has begun is finished, and what is left is tried again.
#[test]
fn no_call_starts_after_the_deadline() {
    let case = Case { records: "cccccccccccccccccccccccccccccc", ..Case::default() };
    for (millis, calls, failed_from) in
        [(0, 0, Some("0")), (1, 1, Some("10")), (1_500, 2, Some("20")), (2_500, 3, None)]
    {
        let (made, _, report) = run(publish(&case, Duration::from_secs(1), Duration::from_millis(millis)));
        let error = failed_from.map(|_| "no time left".to_owned());
        assert_eq!((made.len(), report.sent), (calls, calls * 10), "{millis} ms");
        assert_eq!((report.failed_from.as_deref(), report.error), (failed_from, error), "{millis} ms");
    }
    let case = Case { records: "xc", ..Case::default() };
    let (made, kept, report) = run(publish(&case, Duration::ZERO, Duration::ZERO));
    assert_eq!((made.len(), kept.as_str(), report.failed_from.as_deref()), (0, "", Some("0")));
    // A refusal after the deadline is not named, so it is tried again.
    let case = Case { records: "cc", answers: vec![Results("ar")], ..Case::default() };
    let (_, kept, report) = run(publish(&case, Duration::from_secs(1), Duration::from_millis(500)));
    assert_eq!((kept.as_str(), report.sent, report.failed_from.as_deref()), ("", 1, Some("1")));
}
