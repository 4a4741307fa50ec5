//! What the flow needs from a table and queues. All implementations are tested: those in memory, on which the proofs of
//! `shared/flow` run, the embedded emulators, and any others at `CLIENTELE_DYNAMODB_URL` and `CLIENTELE_SQS_URL`.
//!
//! ```sh
//! pip install --no-deps --requirement .ci/ministack.txt
//! BIND_HOST=127.0.0.1 ministack &
//! export CLIENTELE_DYNAMODB_URL=http://127.0.0.1:4566 CLIENTELE_SQS_URL=http://127.0.0.1:4566
//! cargo test --workspace --test system storage_contract -- --ignored
//! ```

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_dynamodb::types::AttributeValue;
use clientele::events::signed_at;
use clientele::stack;
use clientele::template::Template;
use clientele_aws::{CallTimeouts, Clients, Customers, Resources, SqsQueues};
use clientele_flow::memory::InMemoryStorage;
use clientele_flow::{
    CurrentItem, CustomerReader, Flow, LiveItem, OpenErasure, PendingCleanup, PutResult, Queue, Queues, ReplaceResult,
    Table, TableError, Tombstones,
};
use clientele_model::{ChangeKind, CustomerEvent, ErasureSettings, Item, Receipt, Time, Tombstone, Translated};
use futures_util::future::join_all;

use crate::support::deliveries::{DELETED, UPDATED, change, deliver};
use crate::support::root;
use crate::support::translation::verified;

type AwsFlow = Flow<Customers, SqsQueues>;

fn event(customer: &str, version: i64, event: u32, kind: ChangeKind) -> Box<CustomerEvent> {
    let delivery = deliver("plain", &[change(customer, version, event, kind)], signed_at());
    let verified = verified(delivery["body"].as_str().unwrap().as_bytes(), signed_at());
    let Ok(Translated::Event(event)) = (clientele_providers::find("plain").unwrap().translate)(&verified).remove(0)
    else {
        panic!("an event")
    };
    event
}

fn item(customer: &str, version: i64, number: u32, kind: ChangeKind) -> Item {
    event(customer, version, number, kind).item(signed_at())
}

fn current_item(item: &Item) -> CurrentItem {
    let (cleanup, cleanup_due) = match item {
        Item::Customer(_) => (None, None),
        Item::Tombstone(tombstone) => (tombstone.cleanup.clone(), tombstone.cleanup_due.map(|due| due.to_string())),
    };
    CurrentItem { rank: item.rank().to_owned(), cleanup, cleanup_due }
}

/// The id of a customer that no other run uses, because the table may be in use.
fn unique(name: &str) -> String {
    format!("{name}-{}", jiff::Timestamp::now().as_nanosecond())
}

async fn the_greater_stays(table: &impl Table) {
    let id = unique("greater");
    let [small, middle, great] = [1, 2, 3].map(|version| item(&id, version, 9, UPDATED));
    assert!(matches!(table.put(&middle).await.unwrap(), PutResult::Written(_)));
    for other in [&middle, &small] {
        assert_eq!(table.put(other).await.unwrap(), PutResult::ConditionFailed(current_item(&middle)));
    }
    assert!(matches!(table.put(&great).await.unwrap(), PutResult::Written(_)));
    let pk = format!("plain#w_1#{id}");
    assert_eq!(table.current_item(&pk).await.unwrap(), Some(current_item(&great)));
    assert_eq!(table.current_item(&format!("{pk}-not")).await.unwrap(), None);
    // Ranks that differ only in their last part.
    let [a, b] = [7, 8].map(|number| item(&id, 4, number, UPDATED));
    assert!(matches!(table.put(&b).await.unwrap(), PutResult::Written(_)));
    assert_eq!(table.put(&a).await.unwrap(), PutResult::ConditionFailed(current_item(&b)));
}

async fn of_many_at_once_the_greatest_stays(table: &impl Table) {
    let id = unique("many");
    let items: Vec<_> = (0..32).map(|number| item(&id, i64::from(number * 7 % 32), number, UPDATED)).collect();
    let puts = join_all(items.iter().map(|item| table.put(item))).await;
    assert!(puts.iter().all(Result::is_ok));
    let greatest = items.iter().max_by_key(|item| item.rank().to_owned()).unwrap();
    assert_eq!(table.current_item(&format!("plain#w_1#{id}")).await.unwrap(), Some(current_item(greatest)));
}

async fn a_cleanup_message_stays_until_it_is_cleared(table: &impl Table) {
    let id = unique("cleanup");
    let pk = format!("plain#w_1#{id}");
    let [tombstone, greater] = [1, 2].map(|version| item(&id, version, 1, DELETED));
    assert!(matches!(table.put(&tombstone).await.unwrap(), PutResult::Written(_)));
    assert!(current_item(&tombstone).cleanup.is_some());
    assert_eq!(
        table.put(&item(&id, 9, 2, UPDATED)).await.unwrap(),
        PutResult::ConditionFailed(current_item(&tombstone))
    );
    assert!(due(table).await.contains(&pk));
    assert!(matches!(table.put(&greater).await.unwrap(), PutResult::Written(_)));
    // A newer tombstone has replaced it, and keeps its message.
    let message = current_item(&greater).cleanup.unwrap();
    assert_eq!(table.clear_cleanup(&pk, tombstone.rank(), &message).await.unwrap(), None);
    // A delete has added to the message that was sent.
    assert_eq!(table.clear_cleanup(&pk, greater.rank(), &format!("{message} ")).await.unwrap(), None);
    assert_eq!(table.current_item(&pk).await.unwrap(), Some(current_item(&greater)));
    table.clear_cleanup(&pk, greater.rank(), &message).await.unwrap();
    let cleared = CurrentItem { cleanup: None, cleanup_due: None, ..current_item(&greater) };
    assert_eq!(table.current_item(&pk).await.unwrap(), Some(cleared.clone()));
    assert!(!due(table).await.contains(&pk));
    // Clearing again, or for an unknown customer, changes nothing.
    table.clear_cleanup(&pk, greater.rank(), &message).await.unwrap();
    table.clear_cleanup(&format!("{pk}-not"), greater.rank(), &message).await.unwrap();
    assert_eq!(table.current_item(&format!("{pk}-not")).await.unwrap(), None, "clearing creates nothing");
    assert_eq!(table.put(&greater).await.unwrap(), PutResult::ConditionFailed(cleared));
}

/// A tombstone is written only if the item is still the one that was seen, in everything that can change.
async fn a_delete_replaces_what_it_has_seen(table: &(impl Table + Tombstones)) {
    let id = unique("replaced");
    let pk = format!("plain#w_1#{id}");
    let tombstone = |version| match item(&id, version, 1, DELETED) {
        Item::Tombstone(tombstone) => *tombstone,
        Item::Customer(_) => panic!("a tombstone"),
    };
    let written = async |tombstone: &Tombstone, seen: Option<&Item>| {
        matches!(table.replace(tombstone, seen).await.unwrap(), ReplaceResult::Written(_))
    };
    let (live, newer) = (item(&id, 1, 1, UPDATED), item(&id, 2, 2, UPDATED));
    let first = tombstone(3);
    assert!(!written(&first, Some(&live)).await, "there is no item");
    assert!(matches!(table.put(&newer).await.unwrap(), PutResult::Written(_)));
    assert!(!written(&first, None).await, "there is an item");
    assert!(!written(&first, Some(&live)).await, "the customer has changed");
    assert!(written(&first, Some(&newer)).await);
    // Whatever changes in a tombstone.
    let seen = Item::Tombstone(Box::new(first.clone()));
    let erased_at = first.deleted_at;
    let receipt = Receipt { erased_at, received_at: erased_at };
    assert_eq!(table.add_receipt(&pk, "crm", receipt).await.unwrap().unwrap().receipts["crm"], receipt);
    assert!(!written(&tombstone(4), Some(&seen)).await, "there is a receipt");
    let seen = table.item(&pk).await.unwrap().unwrap().unwrap();
    table.clear_cleanup(&pk, &first.rank, first.cleanup.as_ref().unwrap()).await.unwrap();
    assert!(!written(&tombstone(4), Some(&seen)).await, "the message was sent");
    let seen = table.item(&pk).await.unwrap().unwrap().unwrap();
    assert!(written(&tombstone(4), Some(&seen)).await);
    assert!(!written(&tombstone(5), Some(&seen)).await, "there is another tombstone");
}

/// The first receipt of a system stays, and only tombstones have receipts.
async fn receipts_are_only_added(table: &(impl Table + Tombstones)) {
    let id = unique("receipts");
    let pk = format!("plain#w_1#{id}");
    let at = |second: i64| Time(jiff::Timestamp::from_second(1_795_176_000 + second).unwrap());
    let receipt = |second| Receipt { erased_at: at(second), received_at: at(second) };
    assert!(table.add_receipt(&pk, "crm", receipt(0)).await.unwrap().is_none(), "no item");
    table.put(&item(&id, 1, 1, UPDATED)).await.unwrap();
    assert!(table.add_receipt(&pk, "crm", receipt(0)).await.unwrap().is_none(), "a customer");
    let Item::Tombstone(tombstone) = item(&id, 2, 1, DELETED) else { panic!("a tombstone") };
    table.put(&Item::Tombstone(Box::new(Tombstone { erasure_open: Some(at(0)), ..*tombstone }))).await.unwrap();
    let systems = ["crm", "mailing"].map(str::to_owned);
    assert_eq!(open(table).await.get(&pk).cloned(), Some(at(0).to_string()));
    for (system, second) in [("crm", 1), ("crm", 2), ("mailing", 3)] {
        table.close_erasure(&pk, &systems).await.unwrap();
        let tombstone = table.add_receipt(&pk, system, receipt(second)).await.unwrap().unwrap();
        assert_eq!(tombstone.receipts["crm"], receipt(1));
        assert!(tombstone.erasure_open.is_some(), "{system}");
    }
    table.close_erasure(&pk, &systems).await.unwrap();
    let Some(Ok(Item::Tombstone(closed))) = table.item(&pk).await.unwrap() else { panic!("a tombstone") };
    assert_eq!((closed.erasure_open, closed.receipts.len()), (None, 2));
    assert_eq!(open(table).await.get(&pk), None);
}

/// Every tombstone that lacks a receipt, from all pages, and since when.
async fn open(table: &impl Tombstones) -> BTreeMap<String, String> {
    let (mut found, mut after) = (BTreeMap::new(), None);
    loop {
        let page = table.open_erasures(after).await.unwrap();
        for OpenErasure { pk, since } in page.open {
            assert_eq!(found.insert(pk, since), None, "twice");
        }
        after = page.next;
        if after.is_none() {
            return found;
        }
    }
}

async fn all_open_erasures_are_found(table: &(impl Table + Tombstones)) {
    let id = unique("open");
    // A page of DynamoDB has 1 MB, and a key at most 2 KB.
    let long = "x".repeat(1_800);
    let mut pks = BTreeSet::new();
    for number in 0..600 {
        let Item::Tombstone(tombstone) = item(&format!("{id}-{number}-{long}"), 1, 1, DELETED) else {
            panic!("a tombstone")
        };
        let erasure_open = Some(tombstone.deleted_at);
        table.put(&Item::Tombstone(Box::new(Tombstone { erasure_open, ..*tombstone }))).await.unwrap();
        pks.insert(format!("plain#w_1#{id}-{number}-{long}"));
    }
    let found = open(table).await.into_keys().filter(|pk| pk.contains(&id));
    assert_eq!(found.collect::<BTreeSet<_>>(), pks);
}

/// Whole items are read as they were written, and only customers that are not deleted are listed.
async fn customers_are_read(table: &(impl Table + CustomerReader)) {
    let id = unique("read");
    let (live, deleted) = (format!("{id}-live"), format!("{id}-deleted"));
    let pk = |customer: &str| format!("plain#w_1#{customer}");
    assert!(table.item(&pk(&live)).await.unwrap().is_none());
    for (customer, kind) in [(&live, UPDATED), (&deleted, DELETED)] {
        let item = item(customer, 1, 1, kind);
        table.put(&item).await.unwrap();
        let read = table.item(&pk(customer)).await.unwrap().unwrap().unwrap();
        assert_eq!(serde_json::to_value(read).unwrap(), serde_json::to_value(item).unwrap());
    }
    let rank = item(&live, 1, 1, UPDATED).rank().to_owned();
    let listed = live_items(table, "plain", "w_1").await;
    assert_eq!(listed.get(&pk(&live)), Some(&(live.clone(), rank)));
    assert_eq!(listed.get(&pk(&deleted)), None);
    for (provider, account) in [("plain", "w_2"), ("flexprice", "w_1"), ("plain", "w")] {
        assert_eq!(live_items(table, provider, account).await.get(&pk(&live)), None, "{provider} {account}");
    }
}

/// Every customer of an account that is not deleted, from all pages: its id and rank, by `pk`.
async fn live_items(table: &impl CustomerReader, provider: &str, account: &str) -> BTreeMap<String, (String, String)> {
    let (mut found, mut after) = (BTreeMap::new(), None);
    loop {
        let page = table.live_items(provider, account, after).await.unwrap();
        for LiveItem { pk, customer_id, rank } in page.items {
            assert_eq!(found.insert(pk, (customer_id, rank)), None, "twice");
        }
        after = page.next;
        if after.is_none() {
            return found;
        }
    }
}

/// More than a page of them.
async fn all_live_items_are_found(table: &(impl Table + CustomerReader)) {
    let id = unique("live");
    // A page of DynamoDB has 1 MB.
    let large = "x".repeat(100_000);
    let mut pks = BTreeSet::new();
    for number in 0..15 {
        let customer = format!("{id}-{number}");
        let Item::Customer(mut item) = item(&customer, 1, 1, UPDATED) else { panic!("a customer") };
        item.extra.insert("more".to_owned(), large.clone().into());
        table.put(&Item::Customer(item)).await.unwrap();
        pks.insert(format!("plain#w_1#{customer}"));
    }
    let found = live_items(table, "plain", "w_1").await.into_keys().filter(|pk| pk.contains(&id));
    assert_eq!(found.collect::<BTreeSet<_>>(), pks);
}

/// Every tombstone with a waiting message, from all pages.
async fn due(table: &impl Table) -> BTreeSet<String> {
    let (mut found, mut after) = (BTreeSet::new(), None::<PendingCleanup>);
    loop {
        let page = table.pending_cleanups(jiff::Timestamp::now(), after).await.unwrap();
        for waiting in page.pending {
            waiting.due.parse::<jiff::Timestamp>().unwrap();
            assert!(found.insert(waiting.pk), "twice");
        }
        after = page.next;
        if after.is_none() {
            return found;
        }
    }
}

async fn all_pages_are_found(table: &impl Table) {
    let id = unique("page");
    let mut pks = BTreeSet::new();
    for number in 0..230 {
        table.put(&item(&format!("{id}-{number}"), 1, 1, DELETED)).await.unwrap();
        pks.insert(format!("plain#w_1#{id}-{number}"));
    }
    let found: BTreeSet<_> = due(table).await.into_iter().filter(|pk| pk.contains(&id)).collect();
    assert_eq!(found, pks);
}

async fn a_table(table: &(impl Table + CustomerReader + Tombstones)) {
    the_greater_stays(table).await;
    of_many_at_once_the_greatest_stays(table).await;
    a_cleanup_message_stays_until_it_is_cleared(table).await;
    all_pages_are_found(table).await;
    customers_are_read(table).await;
    all_live_items_are_found(table).await;
    a_delete_replaces_what_it_has_seen(table).await;
    receipts_are_only_added(table).await;
    all_open_erasures_are_found(table).await;
}

/// Bodies with characters that JSON does not escape and SQS does not accept, among others.
const BODIES: [&str; 3] = ["plain", r#"{"é":"\ufffe \u0000 \ud83d\ude00 😀"}"#, " \t\n"];

#[tokio::test]
async fn storage_contract_of_memory() {
    let memory = InMemoryStorage::default();
    a_table(&memory).await;
    for queue in [Queue::Cleanup, Queue::Inbox, Queue::Quarantine] {
        for body in BODIES {
            memory.send(queue, "plain", body).await.unwrap();
        }
        let bodies: Vec<_> = memory.messages(queue).into_iter().map(|message| message.body).collect();
        assert_eq!(bodies, BODIES);
    }
}

async fn of_services(clients: &Clients) {
    let template = Template::read(&root("template.yaml")).unwrap();
    let urls = stack::create(clients, &template).await.unwrap();
    let flow = clients.flow(Resources {
        customers_table: "customers".to_owned(),
        cleanup_queue_url: urls["cleanup"].clone(),
        inbox_queue_url: urls["inbox"].clone(),
        quarantine_queue_url: urls["quarantine"].clone(),
        erasure: ErasureSettings::default(),
    });
    a_table(&flow.table).await;
    the_write_at_the_start_leaves_nothing(&flow.table, clients).await;
    what_is_too_large_is_told(&flow).await;
    for queue in [Queue::Cleanup, Queue::Inbox, Queue::Quarantine] {
        messages_are_as_sent(&flow, clients, queue, &urls[queue.name()]).await;
    }
}

/// The call with which a function opens its connection.
async fn the_write_at_the_start_leaves_nothing(table: &Customers, clients: &Clients) {
    table.connect("plain").await;
    let request = clients.dynamodb.query().table_name("customers").key_condition_expression("pk = :pk");
    let request = request.expression_attribute_values(":pk", AttributeValue::S("plain#".to_owned()));
    assert_eq!(request.send().await.unwrap().count, 0);
}

async fn what_is_too_large_is_told(flow: &AwsFlow) {
    let id = unique("large");
    let Item::Customer(mut customer) = item(&id, 1, 1, UPDATED) else { panic!("a customer") };
    customer.extra.insert("more".to_owned(), "x".repeat(400 * 1024).into());
    let error = flow.table.put(&Item::Customer(customer)).await.unwrap_err();
    assert!(matches!(error, TableError::Unstorable(_)), "{error}");
    assert_eq!(flow.table.current_item(&format!("plain#w_1#{id}")).await.unwrap(), None);
}

async fn messages_are_as_sent(flow: &AwsFlow, clients: &Clients, queue: Queue, url: &str) {
    let mut sent = BTreeSet::from(BODIES.map(str::to_owned));
    sent.insert(format!("{:?}", "\"".repeat(100_000)));
    for body in &sent {
        flow.queues.send(queue, "plain", body).await.unwrap();
    }
    let mut received = BTreeSet::new();
    while received.len() < sent.len() {
        let request = clients.sqs.receive_message().queue_url(url).max_number_of_messages(10);
        let messages = request.message_attribute_names("All").send().await.unwrap().messages.unwrap_or_default();
        assert!(!messages.is_empty(), "{} of {}", received.len(), sent.len());
        for message in messages {
            let attributes = message.message_attributes.unwrap();
            let text = |name: &str| attributes.get(name).and_then(|value| value.string_value());
            assert_eq!(text("provider"), Some("plain"));
            assert_eq!(text("type"), (queue == Queue::Cleanup).then_some("customer.deleted"));
            let request = clients.sqs.delete_message().queue_url(url);
            request.receipt_handle(message.receipt_handle.unwrap()).send().await.unwrap();
            received.insert(message.body.unwrap());
        }
    }
    assert_eq!(received, sent);
}

#[tokio::test]
async fn storage_contract_of_the_emulators() {
    let stack = crate::support::stack().await;
    of_services(&stack.clients).await;
}

#[tokio::test]
#[ignore = "needs CLIENTELE_DYNAMODB_URL and CLIENTELE_SQS_URL"]
async fn storage_contract_of_others() {
    let [dynamodb, sqs] = ["CLIENTELE_DYNAMODB_URL", "CLIENTELE_SQS_URL"].map(|name| std::env::var(name).unwrap());
    of_services(&Clients::local(&dynamodb, &sqs, CallTimeouts::Operator)).await;
}
