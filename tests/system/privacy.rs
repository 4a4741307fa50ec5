//! Invariant 6: secrets appear in no log line, item, message or answer; personal data in no log line.

use std::io;
use std::sync::{Arc, Mutex};

use clientele::events::signed_at;
use tracing::instrument::WithSubscriber;
use tracing_subscriber::fmt::MakeWriter;

use crate::door::Door;
use crate::generate::{Said, What, deliver};
use crate::support::{all_items, cases, drain, handle, scheme, stack};

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'w> MakeWriter<'w> for Lines {
    type Writer = Self;

    fn make_writer(&'w self) -> Self {
        self.clone()
    }
}

/// Whether a line is wanted is remembered for all threads: tests without a subscriber of their own must not make it
/// that none is.
fn want_every_line() {
    drop(tracing::subscriber::set_global_default(clientele_aws::subscriber(io::sink, Some("TRACE".into()))));
}

impl Lines {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

/// Values of the event files' credentials, and of the local secrets.
const SECRETS: [&str; 9] = [
    "924117",
    "555001",
    "5b0c2f8e-7d43-4f0a-9a51-c3e9d1f6a2b7",
    "aa0c2f8e-7d43-4f0a-9a51-c3e9d1f6a2b8",
    "CANARY",
    "metrifox-local-secret",
    "smarterpay-local-secret",
    "plain-local-secret",
    "Y2xpZW50ZWxlLWxvY2FsLXNlY3JldC0wMDAwMDAwMDA",
];

/// Personal data of the event files, and signatures.
const PERSONAL: [&str; 10] =
    ["Ada", "Lovelace", "Northwind", "@", "+44", "Garrett", "Turing", "crm-1815", "c_01KA9C", "v1,"];

#[tokio::test]
async fn no_secret_leaves() {
    want_every_line();
    let lines = Lines::default();
    // The finest level: that of a function whose operator looks for a fault.
    let subscriber = clientele_aws::subscriber(lines.clone(), Some("TRACE".into()));
    let run = async {
        let stack = stack().await;
        let (door, receivers) = Door::before(&stack).await;
        let (mut answers, mut proofs) = (vec![], vec![]);
        for case in cases() {
            let fresh = case.fresh(&scheme(&case), case.known.local_secret, signed_at()).unwrap();
            let proof = clientele::events::headers(&fresh.event).filter(|(name, _)| name.ends_with("signature"));
            proofs.extend(proof.map(|(_, value)| value.to_owned()));
            answers.push(handle(&receivers[case.known.provider.name], &fresh.event, signed_at()).await);
            // Refused for its age, and for its signature.
            let later = signed_at() + jiff::SignedDuration::from_hours(1);
            answers.push(handle(&receivers[case.known.provider.name], &fresh.event, later).await);
        }
        let said = Said { customer: "canary".into(), version: 0, event: 1, what: What::Deleted };
        let event = deliver("metrifox", &[said], signed_at());
        answers.push(handle(&receivers["metrifox"], &event, signed_at()).await);
        let written = format!("{:?}", door.requests());
        // An outage of each service, so that failures are logged as well.
        for operation in ["PutItem", "UpdateItem", "SendMessage"] {
            door.fail(Some(operation));
            for (event, what) in [(2, What::Updated), (3, What::Deleted)] {
                let said = Said { customer: format!("Ada {operation}"), version: 9, event, what };
                let event = deliver("metrifox", &[said], signed_at());
                answers.push(handle(&receivers["metrifox"], &event, signed_at()).await);
            }
        }
        let messages = drain(&stack, "cleanup").await;
        (format!("{answers:?}"), format!("{:?}", all_items(&stack).await), format!("{messages:?}"), written, proofs)
    };
    let (answers, items, messages, written, proofs) = run.with_subscriber(subscriber).await;
    let log = lines.text();
    assert!(
        log.contains("\"outcome\":\"applied\"") && log.contains("not applied") && log.contains("\"reason\":"),
        "{log}"
    );
    assert!(proofs.len() > 40);
    for secret in SECRETS.into_iter().chain(proofs.iter().map(String::as_str)) {
        let places =
            [("log", &log), ("answers", &answers), ("items", &items), ("messages", &messages), ("calls", &written)];
        for (place, text) in places {
            assert!(!text.contains(secret), "{secret} is in the {place}");
        }
    }
    for personal in PERSONAL {
        assert!(!log.contains(personal), "{personal} is in the log");
        assert!(!answers.contains(personal), "{personal} is in an answer");
    }
}

/// One line an event, with what is needed to follow it.
#[tokio::test]
async fn a_log_line_says_what_happened() {
    want_every_line();
    let lines = Lines::default();
    let subscriber = clientele_aws::subscriber(lines.clone(), None);
    let run = async {
        let stack = stack().await;
        let case = crate::support::case("plain/customer-created");
        handle(&stack.receivers["plain"], &case.event, signed_at()).await;
    };
    run.with_subscriber(subscriber).await;
    let log = lines.text();
    let [line] = log.lines().collect::<Vec<_>>()[..] else { panic!("one line: {log}") };
    let line: serde_json::Value = serde_json::from_str(line).unwrap();
    let expected = [
        ("level", "INFO"),
        ("provider", "plain"),
        ("request_id", "test"),
        ("event_id", "pEv_01KA9DHJKMSTQ8NPK4HJF0DEB7"),
        ("event_type", "customer.customer_created"),
        ("outcome", "applied"),
    ];
    for (name, value) in expected {
        assert_eq!(line[name], value);
    }
    assert_eq!(line["customer"].as_str().unwrap().len(), 16);
    assert!(line["duration_ms"].as_f64().unwrap() > 0.0);
}
