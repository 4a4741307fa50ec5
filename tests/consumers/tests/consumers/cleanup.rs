use clientele_model::ReceiptMessage;
use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use crate::consumer_process::{Consumer, Language, change};

/// One person is a customer of three providers, and one of them deletes it.
pub(crate) async fn only_the_deleted_customer_is_erased(language: Language) {
    let consumer = Consumer::start(language).await;
    let created = ["plain/customer-updated", "metrifox/customer-created", "flexprice/to-be-deleted"];
    consumer.receive_webhooks(&created);
    consumer.receive_webhooks(&["plain/to-be-deleted"]);
    for item in consumer.items().await {
        let kind = "customer.created";
        consumer.send_change(&change(kind, item["pk"].as_str().unwrap(), item["rank"].as_str().unwrap(), None)).await;
    }
    consumer.consume_changes();
    assert_eq!(consumer.knowledge()["customers"], consumer.everything().await);
    consumer.run(&["copy", "Ada.Lovelace@example.com"]);
    consumer.run(&["copy", "grace@example.org"]);

    consumer.receive_webhooks(&["flexprice/customer-deleted", "plain/customer-deleted"]);
    let erased = consumer.everything().await;
    let erased_key = |provider| erased.as_object().unwrap().keys().find(|pk| pk.starts_with(provider)).unwrap();
    let deleted = erased_key("flexprice");
    assert_eq!(erased[deleted]["customer"], json!(null));
    for _ in 0..2 {
        consumer.run(&["cleanup", "--until-idle"]);
        let knowledge = consumer.knowledge();
        assert_eq!(knowledge["customers"], erased);
        assert_eq!(knowledge["copies"], json!([["email", "ada.lovelace@example.com"]]));
        // The same message again, and changes that were late.
        let message = json!({ "schema": 1, "type": "customer.deleted", "cleanup_id": deleted, "external_id": "crm-1815",
            "identifiers": { "emails": ["Ada.Lovelace@example.com"], "phones": [] } });
        let late = json!({ "name": "Ada", "email": "ada.lovelace@example.com" });
        consumer.send_change(&change("customer.updated", deleted, "0.9", Some(late))).await;
        consumer.consume_changes();
        consumer.send(&consumer.stack.queue_urls["cleanup"], &message.to_string()).await;
    }
}

/// Also one that was confirmed before. A message that cannot be handled is not confirmed, and stays.
pub(crate) async fn every_erasure_is_confirmed(language: Language) {
    let consumer = Consumer::start(language).await;
    consumer.receive_webhooks(&["plain/to-be-deleted", "plain/customer-deleted"]);
    let pk = consumer.items().await.remove(0)["pk"].as_str().unwrap().to_owned();
    let cleanup = &consumer.stack.queue_urls["cleanup"];
    consumer.send(cleanup, r#"{"schema":1,"identifiers":{"emails":[]}}"#).await;
    for _ in 0..2 {
        let start = Timestamp::now();
        consumer.run(&["cleanup", "--until-idle"]);
        let receipts = take_receipts(&consumer).await;
        let named: Vec<_> = receipts.iter().map(|it| (it.schema, it.cleanup_id.as_str(), it.system.as_str())).collect();
        assert_eq!(named, [(1, pk.as_str(), "crm")]);
        // A program in TypeScript knows milliseconds.
        let erased_at = receipts[0].erased_at.0;
        assert!(start.duration_until(erased_at) > SignedDuration::from_millis(-1) && erased_at <= Timestamp::now());
        assert_eq!(consumer.messages(cleanup).await, 1);
        let again = json!({ "schema": 1, "cleanup_id": pk, "identifiers": { "emails": [] } });
        consumer.send(cleanup, &again.to_string()).await;
    }
}

/// What the function `receipts` would read.
async fn take_receipts(consumer: &Consumer) -> Vec<ReceiptMessage> {
    let (sqs, url) = (&consumer.stack.clients.sqs, &consumer.receipts_queue_url);
    let messages = sqs.receive_message().queue_url(url).max_number_of_messages(10).send().await.unwrap();
    let mut receipts = vec![];
    for message in messages.messages.unwrap_or_default() {
        receipts.push(serde_json::from_str(&message.body.unwrap()).unwrap());
        let delete = sqs.delete_message().queue_url(url).receipt_handle(message.receipt_handle.unwrap());
        delete.send().await.unwrap();
    }
    receipts
}
