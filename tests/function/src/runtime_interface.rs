//! How a function ends when the runtime interface of Lambda fails.

use std::path::Path;
use std::process::{Output, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::Value;

use crate::http::serve;
use crate::{FAILURE, Response, command, connect, next_event};

use Step::{Accepted, CutOff, Event, Failed, Gone};

/// What the runtime interface does at one call of the function. The function asks for an event and answers it in turn.
enum Step {
    Event,
    Accepted,
    CutOff,
    Failed,
    Gone,
}

/// A function that only waits for its next event ends quietly when the runtime interface goes away, since that is how
/// `sam local invoke` stops. A runtime interface that fails at any other moment is an error.
pub fn ends_quietly_only_while_waiting(binary: &str, secret: &str) {
    for steps in [&[Event, Accepted, Gone][..], &[Event, Accepted, Event, Accepted, Gone]] {
        let Output { status, stdout, stderr } = run(binary, secret, steps);
        let printed = String::from_utf8(stdout).unwrap();
        // Only the lines about the function itself have this key. An event may fail: nothing answers here as AWS does.
        assert!(status.success() && !printed.contains(r#""error":"#) && stderr.is_empty(), "{status} {printed}");
    }
    for steps in [
        &[Gone][..],
        &[Failed],
        &[Event, Gone],
        &[Event, Accepted, CutOff],
        &[Event, Accepted, Failed],
        &[Event, Accepted, Accepted],
        &[Event, Accepted, Event, Gone],
    ] {
        assert_is_error(run(binary, secret, steps));
    }
    // Nothing listens at this address.
    let mut refused = command(Path::new(binary));
    connect(&mut refused, ([127, 0, 0, 1], 1).into(), secret);
    assert_is_error(refused.stdout(Stdio::piped()).output().unwrap());
}

fn run(binary: &str, secret: &str, steps: &'static [Step]) -> Output {
    let number = AtomicUsize::new(0);
    let address = serve(move |request| {
        if !request.line.contains("/runtime/invocation/") {
            return Some(Response { status: 200, headers: "", body: "{}".to_owned() });
        }
        match steps.get(number.fetch_add(1, Ordering::Relaxed)).unwrap_or(&Gone) {
            // Receivers refuse it, `replay` and `changes` find no record in it, `sweep` does not read it, and `reconcile`
            // takes it for the event of a schedule.
            Event => Some(next_event(r#"{"Records":[],"detail-type":"test"}"#.to_owned())),
            Accepted => Some(Response { status: 202, headers: "", body: String::new() }),
            CutOff => {
                let headers = "content-length: 100\r\nconnection: close\r\n";
                Some(Response { status: 200, headers, body: "{".to_owned() })
            }
            Failed => Some(FAILURE),
            Gone => None,
        }
    });
    let mut command = command(Path::new(binary));
    connect(&mut command, address, secret);
    command.stdout(Stdio::piped()).output().unwrap()
}

fn assert_is_error(Output { status, stdout, .. }: Output) {
    assert!(!status.success());
    let printed = String::from_utf8(stdout).unwrap();
    let line: Value = serde_json::from_str(printed.lines().last().unwrap()).unwrap();
    assert_eq!((&line["level"], &line["message"]), (&"ERROR".into(), &"ended".into()), "{printed}");
}
