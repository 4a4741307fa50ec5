//! The event files are correctly signed, and have the results that are stored beside them.
//!
//! `UPDATE=1 cargo test event_files` signs all files again and writes their results. Review the difference.

use std::collections::BTreeMap;

use clientele::events::{self, Case, Expected};
use clientele::stack::LocalStack;
use clientele_providers::local_secret;
use serde_json::Value;

use crate::support::{all_items, cases, drain, handle, receiver, root, scheme, stack};

fn updating() -> bool {
    std::env::var_os("UPDATE").is_some()
}

fn write(case: &Case, ending: &str, value: &impl serde::Serialize) {
    let path = root(&format!("events/{}{ending}", case.title()));
    std::fs::write(path, serde_json::to_string_pretty(value).unwrap() + "\n").unwrap();
}

/// Delivers every case in its order, at the time when all files were signed. Signing it again makes the same file, and
/// the response, items and messages are those in the file beside it.
#[tokio::test]
async fn event_files_are_understood_as_expected() {
    let stack = stack().await;
    let mut known = BTreeMap::new();
    for case in cases() {
        let signed = case.sign(&scheme(case), &local_secret(case.provider), events::signed_at()).unwrap();
        let answer = handle(&receiver(&stack, case), &signed, events::signed_at()).await;
        let expected = Expected {
            after: case.expected.after.clone(),
            forged: case.expected.forged,
            status: answer.status_code,
            answer: answer.body.map(|body| serde_json::from_str(&body).unwrap()),
            items: items_of(case, &stack, &mut known).await,
            cleanup: drain(&stack, "cleanup").await,
        };
        if updating() {
            write(case, ".json", &signed);
            write(case, ".expected.json", &expected);
        } else {
            assert_eq!(signed, case.event, "{}", case.title());
            let [is, should] = [&expected, &case.expected].map(|it| serde_json::to_string_pretty(it).unwrap());
            assert_eq!(is, should, "{}", case.title());
        }
    }
    assert_eq!(drain(&stack, "inbox").await, [] as [Value; 0]);
    let quarantined = drain(&stack, "quarantine").await;
    let reasons: Vec<_> = quarantined.iter().map(|message| message["reason"].as_str().unwrap()).collect();
    assert_eq!(reasons, ["a partial snapshot: status is absent", "a partial snapshot: fullName is absent"]);
}

/// The items that a case changed, and those of its customers that it did not change.
async fn items_of(case: &Case, stack: &LocalStack, known: &mut BTreeMap<String, Value>) -> BTreeMap<String, Value> {
    let body = case.body().unwrap();
    let mut items = BTreeMap::new();
    for item in all_items(stack).await {
        let pk = item["pk"].as_str().unwrap().to_owned();
        let named = body.contains(&format!("\"{}\"", item["customer_id"].as_str().unwrap()));
        let changed = known.get(&pk) != Some(&item);
        if item["provider"] == case.provider.name && (changed || named && is_about_customers(case)) {
            items.insert(pk.clone(), item.clone());
        }
        known.insert(pk, item);
    }
    items
}

fn is_about_customers(case: &Case) -> bool {
    !case.name.starts_with("unrelated") && !case.name.contains("v1")
}
