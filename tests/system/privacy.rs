//! Invariant 6: secrets appear in no log line, metric, item, message or answer; personal data in no log line.

use clientele::events::signed_at;
use clientele::stack::Captured;

use crate::door::Door;
use crate::generate::{Said, What, deliver};
use crate::support::{all_items, cases, drain, handle, scheme, stack};

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
    let lines = Captured::default();
    let run = async {
        let stack = stack().await;
        let (door, receivers) = Door::before_writing(&stack, &lines).await;
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
    let (answers, items, messages, written, proofs) = run.await;
    let log = lines.take();
    assert!(
        log.contains("\"outcome\":\"applied\"")
            && log.contains("\"outcome\":\"unavailable\"")
            && log.contains("cleanup mark not cleared")
            && log.contains("\"reason\":"),
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
