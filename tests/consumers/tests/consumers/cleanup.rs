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
