//! `clientele faults`, and the faults of the local stack.

use std::time::Duration;

use clientele::events::signed_at;
use clientele::stack::LocalStack;
use clientele::stack::faults::{Fault, FaultMode, Service};
use jiff::{SignedDuration, Timestamp};
use rstest::rstest;
use serde_json::{Value, json};

use crate::support::cli::{run, with_local};
use crate::support::deliveries::{UPDATED, change, deliver};
use crate::support::{drain, handle, stack};

fn fault(mode: FaultMode) -> Fault {
    Fault { mode, rate: 1.0, for_seconds: 60.0 }
}

async fn deliver_one(stack: &LocalStack, event: u32) -> (u16, String) {
    let event = deliver("plain", &[change("c", i64::from(event), event, UPDATED)], signed_at());
    let answer = handle(&stack.receivers["plain"], &event, signed_at()).await;
    (answer.status_code, answer.body.unwrap())
}

/// In every mode, a delivery that cannot be written is parked, and one that cannot be parked is refused with 503. The
/// clients of the tests are not affected.
#[rstest]
#[case(FaultMode::Throttle)]
#[case(FaultMode::Timeout)]
#[case(FaultMode::Error)]
#[case(FaultMode::Reset)]
#[tokio::test]
async fn faults_affect_only_the_functions(#[case] mode: FaultMode) {
    let stack = stack().await;
    stack.faults.set(Service::Dynamodb, fault(mode)).unwrap();
    assert_eq!(deliver_one(&stack, 1).await, (202, r#"{"outcome":"parked"}"#.to_owned()));
    stack.faults.set(Service::Sqs, fault(mode)).unwrap();
    assert_eq!(deliver_one(&stack, 2).await, (503, r#"{"outcome":"unavailable"}"#.to_owned()));
    stack.faults.clear();
    assert_eq!(deliver_one(&stack, 3).await, (200, r#"{"outcome":"applied"}"#.to_owned()));
    assert_eq!(drain(&stack, "inbox").await.len(), 1);
}

/// Functions read their secrets at the start, and keep them while Secrets Manager fails. What matches none of them is not
/// refused meanwhile.
#[rstest]
#[case(FaultMode::Throttle)]
#[case(FaultMode::Timeout)]
#[case(FaultMode::Error)]
#[case(FaultMode::Reset)]
#[tokio::test]
async fn secrets_outlive_an_outage_of_secrets_manager(#[case] mode: FaultMode) {
    let stack = stack().await;
    let statuses = async |minutes| {
        let later = Timestamp::now() + SignedDuration::from_mins(minutes);
        let mut event = deliver("plain", &[change("c", 1, 1, UPDATED)], later);
        let right = handle(&stack.receivers["plain"], &event, later).await.status_code;
        event["body"] = format!("{} ", event["body"].as_str().unwrap()).into();
        [right, handle(&stack.receivers["plain"], &event, later).await.status_code]
    };
    stack.faults.set(Service::Secrets, fault(mode)).unwrap();
    assert_eq!(statuses(10).await, [200, 503]);
    stack.faults.clear();
    assert_eq!(statuses(12).await, [200, 401]);
}

#[test]
fn faults_expire_and_are_validated() {
    let faults = clientele::stack::faults::Faults::default();
    faults.set(Service::Sqs, Fault { for_seconds: 0.05, ..fault(FaultMode::Error) }).unwrap();
    assert_eq!(faults.active().keys().collect::<Vec<_>>(), [&Service::Sqs]);
    std::thread::sleep(Duration::from_millis(60));
    assert!(faults.active().is_empty());
    for wrong in [Fault { rate: 1.1, ..fault(FaultMode::Error) }, Fault { rate: f64::NAN, ..fault(FaultMode::Error) }] {
        assert_eq!(faults.set(Service::Sqs, wrong).unwrap_err().to_string(), "the rate must be between 0 and 1");
    }
    for seconds in [-1.0, f64::INFINITY, f64::NAN] {
        let wrong = Fault { for_seconds: seconds, ..fault(FaultMode::Error) };
        assert_eq!(
            faults.set(Service::Sqs, wrong).unwrap_err().to_string(),
            "the duration must be a number of seconds, 0 or more"
        );
    }
}

/// Set, shown, in effect and cleared from another process. What was parked is replayed once the fault is over.
#[tokio::test(flavor = "multi_thread")]
async fn the_command_sets_faults() {
    let stack = stack().await;
    // Nothing polls the inbox of this stack, so that only the test replays.
    let admin = format!("http://{}", stack.admin);
    tokio::task::spawn_blocking(move || set_and_clear_faults(&admin)).await.unwrap();
    assert_eq!(drain(&stack, "inbox").await, [] as [Value; 0]);
}

fn set_and_clear_faults(admin: &str) {
    let local = |arguments: &[&str]| run(&with_local(arguments, admin));
    let faults = |arguments: &[&str]| local(&[&["faults"], arguments].concat());
    let customers = || local(&["customers", "list", "--json"]).1.lines().count();
    assert_eq!(faults(&["list"]).1, "No faults are active.\n");
    let (code, shown, _) = faults(&["set", "dynamodb", "--mode", "throttle", "--for", "2m"]);
    assert!(code == 0 && shown.contains("dynamodb") && shown.contains("100 %") && shown.contains("120"), "{shown}");
    let listed: Value = serde_json::from_str(&faults(&["list", "--json"]).1).unwrap();
    assert_eq!((&listed["dynamodb"]["mode"], &listed["dynamodb"]["rate"]), (&json!("throttle"), &json!(1.0)));
    assert_eq!(
        local(&["events", "send", "plain/customer-created"]).1,
        "202 parked: the table cannot be written now, so the event waits on the inbox queue\n"
    );
    let replay = || ureq::post(format!("{admin}/replay")).send_empty().unwrap().into_body().read_to_string().unwrap();
    // It fails now, and its message is not visible for a minute. The next replay does not wait for that.
    assert_eq!(replay(), r#"{"replayed":0}"#);
    assert_eq!(customers(), 0);
    assert_eq!(faults(&["clear"]).1, "No faults are active.\n");
    assert_eq!(replay(), r#"{"replayed":1}"#);
    assert_eq!(customers(), 1);
    let swept = ureq::post(format!("{admin}/sweep")).send_empty().unwrap();
    assert_eq!(swept.into_body().read_to_string().unwrap(), r#"{"failed":0,"sent":0}"#);
    for (arguments, message) in [
        (&["set", "sqs", "--rate", "2"][..], "expected a number from 0 to 1"),
        (&["set", "sqs", "--for", "soon"], "expected a duration, as in 30s or 2m"),
        (&["set", "kafka"], "invalid value"),
    ] {
        let (code, _, errors) = faults(arguments);
        assert!(code == 2 && errors.contains(message), "{errors}");
    }
    let (code, _, errors) = run(&["faults", "list", "--local", "http://127.0.0.1:1"]);
    assert!(code == 5 && errors.contains("start it with `clientele`"), "{errors}");
}
