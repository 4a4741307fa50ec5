//! No secret is in a log line, metric, item, message or response, and no personal data in a log line or response.

use std::collections::BTreeSet;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use clientele::events::signed_at;
use clientele::stack::CapturedLog;
use clientele_model::Provider;
use clientele_providers::{PROVIDERS, local_secret};
use jiff::Timestamp;
use serde_json::Value;

use crate::support::aws::AwsStandIn;
use crate::support::deliveries::{DELETED, UPDATED, change, deliver};
use crate::support::translation::leaves;
use crate::support::{all_items, cases, drain, handle, scheme, stack};

/// The credentials in the event files' bodies, and the local secrets.
fn secrets() -> BTreeSet<String> {
    let local = |provider: &&Provider| local_secret(provider).trim_start_matches("whsec_").replace('=', "");
    let mut secrets: BTreeSet<_> = PROVIDERS.iter().map(local).collect();
    for case in cases() {
        let mut body = serde_json::from_str(&case.body().unwrap()).unwrap_or_default();
        let all = texts(&body);
        case.provider.credential_fields.remove_from(&mut body);
        secrets.extend(all.difference(&texts(&body)).cloned());
    }
    for known in ["924117", "555001", "5b0c2f8e-7d43-4f0a-9a51-c3e9d1f6a2b7", "aa0c2f8e-7d43-4f0a-9a51-c3e9d1f6a2b8"] {
        assert!(secrets.contains(known), "{known}");
    }
    secrets.insert("CANARY".to_owned());
    secrets
}

/// Every text in a body, except short ones and times, which may be elsewhere too.
fn texts(body: &Value) -> BTreeSet<String> {
    let pointers = leaves(body);
    let texts = pointers.iter().filter_map(|pointer| body.pointer(pointer)?.as_str());
    texts.filter(|text| text.len() > 3 && text.parse::<Timestamp>().is_err()).map(str::to_owned).collect()
}

/// Personal data in the event files, and parts of signatures.
const PERSONAL: [&str; 10] =
    ["Ada", "Lovelace", "Northwind", "@", "+44", "Garrett", "Turing", "crm-1815", "c_01KA9C", "v1,"];

/// Messages as text, with decoded base64 bodies.
fn told(messages: &[Value]) -> String {
    let decoded = |message: &Value| match message["encoding"].as_str() {
        Some("base64") => BASE64_STANDARD.decode(message["body"].as_str().unwrap()).unwrap(),
        _ => vec![],
    };
    let texts = messages.iter().map(|message| format!("{message}{}", String::from_utf8_lossy(&decoded(message))));
    texts.collect()
}

#[tokio::test]
async fn no_secret_leaves() {
    let lines = CapturedLog::default();
    let run = async {
        let stack = stack().await;
        let (aws, receivers) = AwsStandIn::with_logging_receivers(&stack, &lines).await;
        let (mut answers, mut proofs) = (vec![], vec![]);
        for case in cases() {
            let signed = case.sign(&scheme(case), &local_secret(case.provider), signed_at()).unwrap();
            let proof = clientele::events::headers(&signed).filter(|(name, _)| name.ends_with("signature"));
            proofs.extend(proof.map(|(_, value)| value.to_owned()));
            answers.push(handle(&receivers[case.provider.name], &signed, signed_at()).await);
            // Refused because of its age or its signature.
            let later = signed_at() + jiff::SignedDuration::from_hours(1);
            answers.push(handle(&receivers[case.provider.name], &signed, later).await);
        }
        let event = deliver("metrifox", &[change("canary", 0, 1, DELETED)], signed_at());
        answers.push(handle(&receivers["metrifox"], &event, signed_at()).await);
        let written = aws.take_calls().iter().map(|call| call.request.to_string()).collect::<String>();
        // Each service fails, so that the log has failures as well.
        let outages = [&["PutItem"][..], &["UpdateItem"], &["SendMessage"], &["PutItem", "SendMessage"]];
        for (number, operations) in outages.into_iter().enumerate() {
            aws.fail(operations);
            let ada = format!("Ada {number}");
            for change in [change(&ada, 9, 2, UPDATED), change(&ada, 9, 3, DELETED)] {
                let event = deliver("metrifox", &[change], signed_at());
                answers.push(handle(&receivers["metrifox"], &event, signed_at()).await);
            }
        }
        aws.fail(&[]);
        let mut event = deliver("metrifox", &[change("Ada", 9, 9, UPDATED)], signed_at());
        let broken = event["body"].as_str().unwrap().replace("\"data\":", "\"data\"::");
        event["body"] = broken.into();
        answers.push(handle(&receivers["metrifox"], &event, signed_at()).await);
        let mut messages = vec![];
        for queue in ["cleanup", "inbox", "quarantine"] {
            let drained = drain(&stack, queue).await;
            assert!(!drained.is_empty(), "{queue}");
            messages.extend(drained);
        }
        (format!("{answers:?}"), format!("{:?}", all_items(&stack).await), told(&messages), written, proofs)
    };
    let (answers, items, messages, written, proofs) = run.await;
    let log = lines.take();
    assert!(
        log.contains("\"outcome\":\"applied\"")
            && log.contains("\"outcome\":\"unavailable\"")
            && log.contains("\"outcome\":\"parked\"")
            && log.contains("\"outcome\":\"quarantined\"")
            && log.contains("cleanup message sent but not removed from the tombstone")
            && log.contains("cleanup message left to the sweep")
            && log.contains("\"reason\":"),
        "{log}"
    );
    assert!(proofs.len() > 40);
    for secret in secrets().iter().chain(&proofs).map(String::as_str) {
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
