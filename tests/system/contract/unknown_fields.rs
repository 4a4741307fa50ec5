//! Fields that a provider's crate does not know are counted and named in the log, without their values.

use std::collections::BTreeSet;

use clientele::events::{Case, signed_at};
use clientele::stack::CapturedLog;
use clientele_model::{Change, CustomerEvent, Translated};
use clientele_providers::{PROVIDERS, local_secret};
use rstest::rstest;
use serde_json::json;

use crate::support::aws::AwsStandIn;
use crate::support::translation::{changed, translate};
use crate::support::{case, cases, drain, handle, invocation, json_lines, metrics, replayer, scheme, sqs_event, stack};

fn events(case: &Case) -> Vec<CustomerEvent> {
    let translations = translate(case.provider.name, case.body().unwrap().as_bytes());
    let event = |translation| match translation {
        Ok(Translated::Event(event)) => Some(*event),
        _ => None,
    };
    translations.into_iter().filter_map(event).collect()
}

#[test]
fn every_field_of_the_event_files_is_known() {
    for case in cases() {
        let unknown: usize = events(case).iter().map(|event| event.unknown_fields(case.provider).count()).sum();
        assert_eq!(unknown > 0, case.name == "unknown-future-fields", "{}", case.title());
    }
}

#[rstest]
#[case("metrifox/customer-updated", "/data/customer/metadata")]
#[case("flexprice/customer-updated", "/customer/metadata")]
#[case("smarterpay/customer-updated", "/events/0/metadata")]
fn nothing_inside_metadata_is_named(#[case] title: &str, #[case] pointer: &str) {
    let Ok(Translated::Event(event)) = changed(title, pointer, Some(json!({ "brand_new": 1 }))) else { panic!() };
    assert_eq!(event.unknown_fields(case(title).provider).count(), 0);
}

#[test]
fn every_known_name_is_in_an_event_file() {
    for &provider in PROVIDERS {
        let events = cases().iter().filter(|case| case.provider.name == provider.name).flat_map(events);
        let names = |event: CustomerEvent| match event.change() {
            Change::Snapshot(customer) => customer.extra.keys().cloned().collect(),
            Change::Deletion(_) => vec![],
        };
        let names: BTreeSet<String> = events.flat_map(names).collect();
        for known in provider.known_extra {
            assert!(names.contains(*known), "{}: {known}", provider.name);
        }
    }
}

/// New fields of the body and the record, and known fields that have a new part or another type. All are counted, and
/// eight are named.
#[rstest]
#[case("metrifox", 5, "contact_people, email_addresses, loyalty, sandbox, tags")]
#[case("smarterpay", 9, "bank, discarded, edited_by, phone, risk_score, saved_cards, title, apiToken")]
#[case("plain", 7, "huge, preferences, pronouns, ratio, reason, region, score")]
#[case("flexprice", 6, "api_version, parent, paymentMethod, portal_password, signing_secret, tax_rates")]
#[tokio::test]
async fn unknown_fields_are_named_at_every_level(#[case] provider: &str, #[case] number: u64, #[case] names: &str) {
    let (mut stack, log) = (stack().await, CapturedLog::default());
    for level in ["INFO", "CRITICAL"] {
        stack.environments.get_mut(provider).unwrap().insert("POWERTOOLS_LOG_LEVEL".to_owned(), level.to_owned());
        let (_aws, receivers) = AwsStandIn::with_logging_receivers(&stack, &log).await;
        for (name, expected) in [("unknown-future-fields", Some(names)), ("customer-updated", None)] {
            let case = case(&format!("{provider}/{name}"));
            let signed = case.sign(&scheme(case), &local_secret(case.provider), signed_at()).unwrap();
            handle(&receivers[provider], &signed, signed_at()).await;
            let lines = json_lines(&log);
            let [line] = &lines[..] else { panic!("one line: {lines:?}") };
            assert_eq!(line["unknown_fields"].as_str(), expected, "{level}");
            let counted = metrics(line).get(&format!("UnknownFields clientele-{provider} {provider}")).copied();
            assert_eq!(counted, expected.map(|_| number), "{level}");
        }
    }
}

/// The delivery was counted on its arrival.
#[tokio::test]
async fn a_replay_does_not_count_them_again() {
    let (stack, log) = (stack().await, CapturedLog::default());
    let (aws, receivers) = AwsStandIn::with_logging_receivers(&stack, &log).await;
    aws.fail(&["PutItem"]);
    let case = case("metrifox/unknown-future-fields");
    handle(&receivers["metrifox"], &case.event, signed_at()).await;
    let replayer = replayer(&stack.environments, &stack.clients, &log);
    let messages = drain(&stack, "inbox").await;
    replayer.handle(sqs_event(messages.iter().map(ToString::to_string)), &invocation(signed_at())).await;
    let lines = json_lines(&log);
    let counted = lines.iter().map(|line| (&line["outcome"], line["UnknownFields"].as_u64()));
    assert_eq!(counted.collect::<Vec<_>>(), [(&json!("parked"), Some(5)), (&json!("applied"), None)]);
}
