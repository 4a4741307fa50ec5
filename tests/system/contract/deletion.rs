//! A delete is final and leaves no personal data. An event costs one write request.

use std::collections::BTreeMap;

use aws_sdk_dynamodb::types::AttributeValue;
use clientele::events::{Case, signed_at};
use clientele::signing::UnsignedRequest;
use clientele_model::{SampleDelivery, SampleEvent};
use clientele_providers::{local_secret, sample};
use serde_json::json;

use crate::support::aws::{AwsStandIn, Call};
use crate::support::deliveries::{CREATED, DELETED, UPDATED, change, deletes, deliver, pk, signed};
use crate::support::{all_items, cases, drain, handle, item, scheme, stack};

const ZELDA: &str = "zelda-canary";

/// No event brings personal data back, whether it is older or newer than the delete.
#[tokio::test]
async fn a_delete_leaves_only_a_tombstone() {
    let stack = stack().await;
    let others = [
        change(ZELDA, -86_000_000, 1, CREATED),
        change(ZELDA, 5_000, 2, UPDATED),
        change(ZELDA, 80_000_000, 3, UPDATED),
        change(ZELDA, 80_000_000, 4, CREATED),
    ];
    for provider in clientele_providers::names().into_iter().filter(|provider| deletes(provider)) {
        let pk = pk(provider, ZELDA);
        let send = async |change: &SampleEvent| {
            let event = deliver(provider, std::slice::from_ref(change), signed_at());
            handle(&stack.receivers[provider], &event, signed_at()).await.body.unwrap()
        };
        send(&others[1]).await;
        assert!(item(&stack, &pk).await.unwrap().to_string().contains("zelda-canary@example.com"));
        assert_eq!(send(&change(ZELDA, 4_000, 9, DELETED)).await, r#"{"outcome":"applied"}"#);
        for other in &others {
            assert_eq!(send(other).await, r#"{"outcome":"stale"}"#);
        }
        let tombstone = item(&stack, &pk).await.unwrap();
        let mut names: Vec<_> = tombstone.as_object().unwrap().keys().map(String::as_str).collect();
        names.sort_unstable();
        let allowed = "account customer_id deleted_at last_event pk provider rank receipts schema sk status";
        assert_eq!(names.join(" "), allowed, "{provider}");
        for personal in ["@example.com", "x-zelda", "zelda-canary v"] {
            assert!(!tombstone.to_string().contains(personal), "{provider}: {personal}");
        }
        let cleanups = drain(&stack, "cleanup").await;
        assert_eq!(cleanups.len(), 1, "{provider}");
        assert_eq!(cleanups[0]["cleanup_id"], pk);
        assert_eq!(cleanups[0]["external_id"], "x-zelda-canary");
        assert_eq!(cleanups[0]["identifiers"]["emails"], json!(["zelda-canary@example.com"]));
    }
}

/// A delete may contain no more of the customer than its id, or a record that is anonymised already. The message has what the
/// table knew, after what the delete says.
#[tokio::test]
async fn a_trimmed_delete_says_what_the_table_knew() {
    let stack = stack().await;
    // Where each provider has the record in a delete, and what of it names the customer.
    let records = [
        (
            "metrifox",
            "/data/customer",
            &["id", "tenant_id"][..],
            Some(("email_addresses", json!(["gone@example.com"]))),
        ),
        ("plain", "/payload/previousCustomer", &["id"][..], None),
        ("flexprice", "/customer", &["id", "environment_id"][..], Some(("email", json!("gone@example.com")))),
    ];
    assert_eq!(records.len(), clientele_providers::names().into_iter().filter(|name| deletes(name)).count());
    for (name, record, ids, anonymised) in records {
        let provider = clientele_providers::find(name).unwrap();
        for (number, anonymised) in [None, anonymised].into_iter().enumerate() {
            let customer = format!("{ZELDA}-{number}");
            let mut created = sample(provider, &[change(&customer, 1_000, 1, CREATED)]);
            if name == "metrifox" {
                created.body["data"]["customer"]["phone_numbers"] = json!([{ "phone_number": "+44 20 7946 0" }]);
            }
            let mut deleted = sample(provider, &[change(&customer, 2_000, 2, DELETED)]);
            let fields = deleted.body.pointer_mut(record).unwrap().as_object_mut().unwrap();
            fields.retain(|field, _| ids.contains(&field.as_str()));
            fields.extend(anonymised.clone().map(|(field, value)| (field.to_owned(), value)));
            for SampleDelivery { body, message_id } in [created, deleted] {
                let event = signed(provider, &UnsignedRequest { body: body.to_string(), message_id }, signed_at());
                let answer = handle(&stack.receivers[name], &event, signed_at()).await;
                assert_eq!(answer.body.unwrap(), r#"{"outcome":"applied"}"#, "{name}");
            }
            let [message] = &drain(&stack, "cleanup").await[..] else { panic!("one message") };
            let (key, email) = (format!("x-{customer}"), format!("{customer}@example.com"));
            assert_eq!(message["external_id"], json!(key), "{name}");
            assert_eq!(message["identifiers"]["external_ids"], json!([key]), "{name}");
            let said = anonymised.is_some_and(|(field, _)| field == "email").then(|| "gone@example.com".to_owned());
            let emails: Vec<_> = said.into_iter().chain([email]).collect();
            assert_eq!(message["identifiers"]["emails"], json!(emails), "{name}");
            let phones = if name == "metrifox" { json!(["+44 20 7946 0"]) } else { json!([]) };
            assert_eq!(message["identifiers"]["phones"], phones, "{name}");
        }
    }
}

/// A delete that arrives before all other events of its customer leaves a tombstone too.
#[tokio::test]
async fn delete_may_come_first() {
    let stack = stack().await;
    for (change, outcome) in [(change(ZELDA, 0, 2, DELETED), "applied"), (change(ZELDA, 9_000, 1, CREATED), "stale")] {
        let event = deliver("plain", &[change], signed_at());
        let answer = handle(&stack.receivers["plain"], &event, signed_at()).await;
        assert_eq!(answer.body.unwrap(), format!(r#"{{"outcome":"{outcome}"}}"#));
    }
    assert_eq!(all_items(&stack).await[0]["status"], "deleted");
}

/// The message of a delete that was never sent waits in the tombstone. Only the same delete, delivered again, sends it.
#[tokio::test]
async fn a_redelivery_sends_the_waiting_message_of_a_delete() {
    let stack = stack().await;
    let delete = deliver("plain", &[change(ZELDA, 0, 2, DELETED)], signed_at());
    handle(&stack.receivers["plain"], &delete, signed_at()).await;
    let [sent] = &drain(&stack, "cleanup").await[..] else { panic!("one message") };
    let mut update = stack.clients.dynamodb.update_item().table_name("customers");
    for (name, value) in [("pk", "plain#w_1#zelda-canary"), ("sk", "customer")] {
        update = update.key(name, AttributeValue::S(value.into()));
    }
    for (name, value) in [(":message", sent.to_string()), (":since", "2026-11-20T12:00:00Z".into())] {
        update = update.expression_attribute_values(name, AttributeValue::S(value));
    }
    update.update_expression("SET cleanup = :message, cleanup_due = :since").send().await.unwrap();

    let update = deliver("plain", &[change(ZELDA, 9_000, 3, UPDATED)], signed_at());
    handle(&stack.receivers["plain"], &update, signed_at()).await;
    assert_eq!(drain(&stack, "cleanup").await.len(), 0);

    let answer = handle(&stack.receivers["plain"], &delete, signed_at()).await;
    assert_eq!(answer.body.unwrap(), r#"{"outcome":"duplicate"}"#);
    assert_eq!(drain(&stack, "cleanup").await, std::slice::from_ref(sent));
    let tombstone = item(&stack, "plain#w_1#zelda-canary").await.unwrap();
    assert!(tombstone.get("cleanup").is_none() && tombstone.get("cleanup_due").is_none());

    handle(&stack.receivers["plain"], &delete, signed_at()).await;
    assert_eq!(drain(&stack, "cleanup").await.len(), 0);
}

/// An event costs one call of the table and no read. A delete costs a read and two writes, and one message.
#[tokio::test]
async fn one_write_per_event() {
    let stack = stack().await;
    let (aws, receivers) = AwsStandIn::with_receivers(&stack).await;
    let mut units = BTreeMap::new();
    for case in cases() {
        let signed = case.sign(&scheme(case), &local_secret(case.provider), signed_at()).unwrap();
        handle(&receivers[case.provider.name], &signed, signed_at()).await;
        let is_delete = case.name == "customer-deleted";
        let mut expected = if is_delete { vec!["DynamoDB_20120810.GetItem"] } else { vec![] };
        expected.extend(vec!["DynamoDB_20120810.PutItem"; customer_events(case)]);
        if case.expected.answer.as_ref().is_some_and(|answer| answer.to_string().contains("quarantined")) {
            expected.push("AmazonSQS.SendMessage");
        }
        if !case.expected.cleanup.is_empty() {
            expected.extend(["AmazonSQS.SendMessage", "DynamoDB_20120810.UpdateItem"]);
        }
        let calls = aws.take_calls();
        let operations: Vec<_> = calls.iter().map(|call| call.operation.as_str()).collect();
        assert_eq!(operations, expected, "{}", case.title());
        units.insert(case.title(), calls.iter().filter_map(Call::write_units).collect::<Vec<_>>());
    }
    // An item below 1 KB costs one unit, and one more for each index in which its key changes.
    assert_eq!(units["plain/unmarked-as-spam"], [1.0]);
    assert_eq!(units["plain/to-be-deleted"], [3.0]);
    assert_eq!(units["flexprice/same-second-second"], [1.0]);
    // AWS bills a write that its condition refuses, but does not report its units.
    assert_eq!(units["plain/stale"], [] as [f64; 0]);
}

/// How many events of a case are about customers, by its expected answer.
fn customer_events(case: &Case) -> usize {
    let answer = case.expected.answer.clone().unwrap_or_default();
    let counts = answer["outcomes"].as_object().cloned().unwrap_or_default();
    let several = counts
        .iter()
        .filter(|(outcome, _)| !["ignored", "quarantined"].contains(&outcome.as_str()))
        .map(|(_, count)| count.as_u64().unwrap());
    let one = ["applied", "duplicate", "stale"].iter().filter(|outcome| answer["outcome"] == **outcome).count();
    usize::try_from(several.sum::<u64>()).unwrap() + one
}
