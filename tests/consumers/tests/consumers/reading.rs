use aws_sdk_dynamodb::types::AttributeValue;

use crate::consumer_process::{Consumer, Language};

pub(crate) async fn customers_are_found(language: Language) {
    let consumer = Consumer::start(language).await;
    let created = ["plain/customer-updated", "metrifox/customer-created", "flexprice/to-be-deleted"];
    consumer.receive_webhooks(&created);
    let of_ada = || async {
        let items = consumer.items().await.into_iter();
        let mut keys: Vec<_> = items.filter(|item| item["external_id"] == "crm-1815").collect();
        keys.sort_by_key(|item| item["pk"].to_string());
        keys.into_iter().map(|item| item["pk"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(of_ada().await.len(), 3);
    assert_eq!(consumer.keys(&["external-id", "crm-1815"]), of_ada().await);
    assert_eq!(consumer.keys(&["email", " Ada.Lovelace@EXAMPLE.com\n"]), of_ada().await);
    assert_eq!(consumer.keys(&["email", "nobody@example.com"]), [] as [&str; 0]);

    consumer.receive_webhooks(&["flexprice/customer-deleted"]);
    assert_eq!(of_ada().await.len(), 2);
    assert_eq!(consumer.keys(&["external-id", "crm-1815"]), of_ada().await);

    for (address, typed) in [
        ("jos\u{e9}@example.com", "JOSE\u{301}@example.com"),
        ("\u{1ea1}\u{307}@x.y", "\u{a0}a\u{307}\u{323}@x.y"),
        ("i\u{307}@x.y", "\u{130}@x.y"),
    ] {
        assert_eq!(clientele_model::email_key(typed).as_deref(), Some(address));
        let attributes = [("pk", "plain#w#c"), ("sk", "customer"), ("email", address)];
        let item = attributes.map(|(name, value)| (name.to_owned(), AttributeValue::S(value.to_owned())));
        let request = consumer.stack.clients.dynamodb.put_item().table_name("customers");
        request.set_item(Some(item.into())).send().await.unwrap();
        assert_eq!(consumer.keys(&["email", typed]), ["plain#w#c"], "{typed}");
    }
}
