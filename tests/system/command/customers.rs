//! `clientele customers`: finding customers and showing one.

use std::collections::BTreeSet;

use clientele::customer_card::{Section, sections};
use clientele::customer_lookup::CustomerReference;
use clientele::customer_search::CustomerFilter;
use clientele::events::signed_at;
use clientele::explanation::why;
use clientele::stack::{CapturedLog, LocalStack, LogOutput, StackOptions};
use clientele_aws::to_attributes;
use clientele_model::SampleEvent;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::command::deployed::{Deployed, deploy};
use crate::support::cli::{run, with_local};
use crate::support::deliveries::{CREATED, DELETED, change, deliver, pk};
use crate::support::{cases, handle, item, options, stack};

/// Customers of Plain, each changed a second after the one before. The last one is deleted.
async fn stack_with_customers(number: u32) -> LocalStack {
    let stack = stack().await;
    for index in 0..number {
        let kind = if index + 1 == number { DELETED } else { CREATED };
        let version = i64::from(index) * 1_000;
        let event = deliver("plain", &[change(&format!("c{index:04}"), version, index, kind)], signed_at());
        handle(&stack.receivers["plain"], &event, signed_at()).await;
    }
    stack
}

fn pks(items: &[Value]) -> Vec<&str> {
    items.iter().map(|item| item["pk"].as_str().unwrap()).collect()
}

/// The newest change comes first in the whole table, whatever the order of the scan, and deletes are changes, too.
#[tokio::test(flavor = "multi_thread")]
async fn the_newest_customers_of_the_whole_table_are_found() {
    let stack = stack_with_customers(60).await;
    let mut progress = vec![];
    let filter = CustomerFilter::default();
    let found = stack.customers_table().search(&filter, 5, |read| progress.push(read)).await.unwrap();
    let expected = ["c0059", "c0058", "c0057", "c0056", "c0055"].map(|customer| pk("plain", customer));
    assert_eq!((pks(&found.items), found.total), (expected.iter().map(String::as_str).collect(), 60));
    assert_eq!(progress.iter().sum::<usize>(), 60);
    let none = stack.customers_table().search(&filter, 0, |_| {}).await.unwrap();
    assert_eq!((none.items.len(), none.total), (0, 60));
}

#[tokio::test(flavor = "multi_thread")]
async fn customers_are_found_by_every_criterion() {
    let stack = stack_with_customers(12).await;
    let event = deliver("flexprice", &[change("c0003", 9_000_000, 3, CREATED)], signed_at());
    handle(&stack.receivers["flexprice"], &event, signed_at()).await;
    let table = stack.customers_table();
    let search = async |filter: CustomerFilter| {
        let found = table.search(&filter, usize::MAX, |_| {}).await.unwrap();
        assert_eq!(found.total, found.items.len());
        pks(&found.items).into_iter().map(str::to_owned).collect::<Vec<_>>()
    };
    let [flexprice, plain] = ["flexprice", "plain"].map(|provider| pk(provider, "c0003"));
    let by_name = CustomerFilter { name: Some("C0003 V".into()), ..CustomerFilter::default() };
    assert_eq!(search(by_name.clone()).await, [flexprice.clone(), plain.clone()]);
    let of_plain = CustomerFilter { provider: Some("plain".into()), ..by_name };
    assert_eq!(search(of_plain).await.concat(), plain);
    let deleted = CustomerFilter { status: Some("deleted".into()), ..CustomerFilter::default() };
    assert_eq!(search(deleted).await, [pk("plain", "c0011")]);

    let item = table.item(&plain).await.unwrap().unwrap();
    let text = |name: &str| Some(item[name].as_str().unwrap().to_owned());
    let by_email = CustomerFilter { email_key: text("email"), ..CustomerFilter::default() };
    assert_eq!(search(by_email.clone()).await, [flexprice, plain.clone()]);
    let both = CustomerFilter { external_id: text("external_id"), provider: text("provider"), ..by_email.clone() };
    assert_eq!(search(both).await, [plain]);
    for criterion in ["email", "external_id", "status"] {
        let mut filter = CustomerFilter { external_id: text("external_id"), ..by_email.clone() };
        let other = Some("another".to_owned());
        match criterion {
            "email" => filter.email_key = other,
            "status" => filter.status = other,
            _ => filter.external_id = other,
        }
        assert_eq!(search(filter).await, [] as [String; 0], "{criterion}");
    }
}

/// A customer is found by what messages, log lines and the provider call it.
#[tokio::test(flavor = "multi_thread")]
async fn a_customer_is_found_by_each_of_its_names() {
    let log = CapturedLog::default();
    let options = StackOptions { log: LogOutput::Memory(log.clone()), ..options() };
    let stack = LocalStack::start(options).await.unwrap();
    for customer in ["other", "ada\u{1b}[2J", "another"] {
        let event = deliver("plain", &[change(customer, 1_000, 1, CREATED)], signed_at());
        handle(&stack.receivers["plain"], &event, signed_at()).await;
    }
    let ada = pk("plain", "ada\u{1b}[2J");
    let lines = log.take();
    let line: Value = serde_json::from_str(lines.lines().nth(1).unwrap()).unwrap();
    let hash = line["customer"].as_str().unwrap();
    let table = stack.customers_table();
    let find = async |text: &str, id: Option<&str>, account: Option<&str>| {
        let reference = CustomerReference::parse(text, id, account).unwrap();
        let found = table.find(&reference, |_| {}).await.unwrap();
        pks(&found).into_iter().map(str::to_owned).collect::<Vec<_>>()
    };
    let account = Some(SampleEvent::ACCOUNT);
    for (text, id, account) in [
        (ada.as_str(), None, None),
        (&ada.replace('\u{1b}', r"\u{1b}"), None, None),
        ("plain", Some("ada\u{1b}[2J"), None),
        ("plain", Some("ada\u{1b}[2J"), account),
        (hash, None, None),
        (&hash.to_uppercase(), None, None),
    ] {
        assert_eq!(find(text, id, account).await.concat(), ada, "{text:?} {id:?} {account:?}");
    }
    for (text, id, account) in [
        ("plain#w_1#nobody", None, None),
        ("metrifox", Some("ada\u{1b}[2J"), None),
        ("plain", Some("other"), Some("w_2")),
        ("0123456789abcdef", None, None),
    ] {
        assert_eq!(find(text, id, account).await.len(), 0, "{text} {id:?} {account:?}");
    }
}

/// Each item shares one of the identifiers, or none. After a delete nothing identifies the person any more.
#[tokio::test(flavor = "multi_thread")]
async fn other_items_of_a_person_share_an_identifier() {
    let stack = stack().await;
    let event = deliver("plain", &[change("ada", 1_000, 1, CREATED)], signed_at());
    handle(&stack.receivers["plain"], &event, signed_at()).await;
    let table = stack.customers_table();
    let item = table.item(&pk("plain", "ada")).await.unwrap().unwrap();
    for (id, changed) in [("a", &["email"][..]), ("b", &["external_id"]), ("c", &["email", "external_id"]), ("d", &[])]
    {
        let mut other = item.clone();
        other["pk"] = pk("flexprice", id).into();
        for attribute in changed {
            other[*attribute] = "another".into();
        }
        let attributes = to_attributes(&other).unwrap();
        let put = stack.clients.dynamodb.put_item().table_name("customers").set_item(Some(attributes));
        put.send().await.unwrap();
    }
    let expected = ["a", "b", "d"].map(|id| pk("flexprice", id));
    assert_eq!(pks(&table.items_of_same_person(&item).await.unwrap()), expected);
    let deleted = deliver("plain", &[change("ada", 2_000, 2, DELETED)], signed_at());
    handle(&stack.receivers["plain"], &deleted, signed_at()).await;
    let item = table.item(&pk("plain", "ada")).await.unwrap().unwrap();
    assert_eq!(table.items_of_same_person(&item).await.unwrap(), [] as [Value; 0]);
}

/// A card leaves out no value of an item, except those that are the same in every item.
#[test]
fn a_card_shows_every_value() {
    fn texts(value: &Value, into: &mut BTreeSet<String>) {
        match value {
            Value::Object(fields) => fields.values().for_each(|value| texts(value, into)),
            Value::Array(elements) => elements.iter().for_each(|value| texts(value, into)),
            Value::String(text) => drop(into.insert(text.clone())),
            Value::Number(number) => drop(into.insert(number.to_string())),
            Value::Bool(_) | Value::Null => {}
        }
    }
    for case in cases() {
        for item in case.expected.items.values() {
            let card: String = sections(item, &[]).iter().flat_map(Section::lines).collect::<Vec<_>>().join("\n");
            let mut wanted = BTreeSet::new();
            texts(item, &mut wanted);
            for text in wanted.iter().filter(|text| !["customer", "1"].contains(&text.as_str())) {
                assert!(card.contains(text), "{}: {text} is not in\n{card}", case.title());
            }
        }
    }
}

/// Runs a subcommand of `customers` while the stack keeps running.
async fn customers(stack: &LocalStack, arguments: &[&str]) -> (i32, String, String) {
    let admin = format!("http://{}", stack.admin);
    let all: Vec<String> =
        with_local(&[&["customers"], arguments].concat(), &admin).into_iter().map(str::to_owned).collect();
    tokio::task::spawn_blocking(move || run(&all.iter().map(String::as_str).collect::<Vec<_>>())).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn list_shows_the_newest_customers_and_how_many_there_are() {
    let stack = stack_with_customers(30).await;
    let (code, shown, errors) = customers(&stack, &["list", "--json", "--limit", "2"]).await;
    let items: Vec<Value> = shown.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((code, pks(&items)), (0, vec![pk("plain", "c0029").as_str(), pk("plain", "c0028").as_str()]));
    assert_eq!(errors, "2 of 30 customers, those that changed last; --limit NUMBER shows more\n");
    let (_, shown, errors) = customers(&stack, &["list", "--name", "C0003", "--status", "active"]).await;
    assert!(shown.contains(&pk("plain", "c0003")) && errors.is_empty(), "{shown} {errors}");
    let nobody = (0, String::new(), "There are no such customers.\n".to_owned());
    assert_eq!(customers(&stack, &["list", "--provider", "metrifox"]).await, nobody);
    for wrong in [["--email", " "], ["--external-id", ""], ["--status", "gone"]] {
        assert_eq!(customers(&stack, &[&["list"], &wrong[..]].concat()).await.0, 2, "{wrong:?}");
    }
}

/// The record, why it is in this state, and the other items of the person.
#[tokio::test(flavor = "multi_thread")]
async fn get_shows_a_customer_and_explains_it() {
    let stack = stack_with_customers(3).await;
    let event = deliver("flexprice", &[change("c0001", 1_000, 1, CREATED)], signed_at());
    handle(&stack.receivers["flexprice"], &event, signed_at()).await;
    let ada = pk("plain", "c0001");
    let (code, shown, errors) = customers(&stack, &["get", &ada]).await;
    assert_eq!((code, errors.as_str()), (0, ""), "one item is read: nothing to say about a scan");
    let item = item(&stack, &ada).await.unwrap();
    let others =
        format!("Other items of the same person\n  {}  same external id and e-mail\n", pk("flexprice", "c0001"));
    assert!(shown.starts_with(&format!("{ada}\n")) && shown.ends_with(&others), "{shown}");
    let reasons = why(&item, Timestamp::now()).join("\n  ");
    assert!(shown.contains(&format!("Why it is in this state\n  {reasons}\n")), "{shown}");

    let account = SampleEvent::ACCOUNT;
    let (code, found, errors) = customers(&stack, &["get", "plain", "c0001", "--json"]).await;
    assert_eq!((code, serde_json::from_str::<Value>(&found).unwrap()), (0, item));
    assert_eq!(errors, format!("4 customers were read to find this one; with --account {account} only one is read\n"));
    let read = customers(&stack, &["get", "plain", "c0001", "--account", account, "--json"]).await;
    assert_eq!(read, (0, found, String::new()));
}

/// A deployed stack with a deleted customer, whose `pk` is returned. Of two systems, `crm` has confirmed the erasure; the
/// message is held back.
pub(super) async fn deploy_with_open_erasure() -> (Deployed, String) {
    let deployed = deploy(options()).await;
    deployed.aws.set_parameter("ErasureSystems", "crm,mailing");
    let event = deliver("plain", &[change("ada", 1_000, 1, DELETED)], signed_at());
    handle(&deployed.stack.receivers["plain"], &event, signed_at()).await;
    let pk = pk("plain", "ada");
    let mut tombstone = item(&deployed.stack, &pk).await.unwrap();
    tombstone["erasure_open"] = "2026-11-20T12:00:00Z".into();
    tombstone["receipts"] =
        json!({ "crm": { "erased_at": "2026-11-20T12:00:05Z", "received_at": "2026-11-20T12:00:06Z" } });
    tombstone["cleanup"] = "{}".into();
    tombstone["cleanup_due"] = "2100-01-01T00:00:00Z".into();
    let put = deployed.stack.clients.dynamodb.put_item().table_name("customers");
    put.set_item(Some(to_attributes(&tombstone).unwrap())).send().await.unwrap();
    (deployed, pk)
}

#[tokio::test(flavor = "multi_thread")]
async fn get_shows_what_is_open_of_an_erasure() {
    let (deployed, pk) = deploy_with_open_erasure().await;
    let (code, shown, errors) = deployed.run(&["customers", "get", &pk, "--stack", "test"], "").await;
    assert_eq!(code, 0, "{errors}");
    let erasure = "\
Erasure in other systems
  crm         erased at 2026-11-20T12:00:05Z, confirmed at 2026-11-20T12:00:06Z
  mailing     not confirmed yet
  open since  2026-11-20T12:00:00Z
Why it is in this state
";
    assert!(shown.contains(erasure), "{shown}");
    assert!(shown.contains("is held back in this tombstone until 2100-01-01T00:00:00Z."), "{shown}");
    // A receipt is not the customer's data, and appears once.
    assert_eq!(shown.matches("12:00:06").count(), 1, "{shown}");
}

/// A customer that does not exist is another failure than a table that cannot be read.
#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_customer_differs_from_an_outage() {
    let deployed = deploy(options()).await;
    let arguments = ["customers", "get", "plain#w_1#nobody", "--stack", "test"];
    for (arguments, error) in [
        (&arguments[..], "there is no customer `plain#w_1#nobody`"),
        (&["customers", "get", "plain", "nobody", "--stack", "test"], "plain has no customer `nobody`"),
        (&["customers", "get", "0123456789abcdef", "--stack", "test"], "has the hash 0123456789abcdef"),
    ] {
        let (code, _, errors) = deployed.run(arguments, "").await;
        assert!(code == 4 && errors.contains(error), "{code} {errors}");
        let calls = deployed.aws.take_calls();
        let operation = if arguments.contains(&"plain#w_1#nobody") { ".GetItem" } else { ".Scan" };
        assert!(calls.len() == 1 && calls[0].operation.ends_with(operation), "{arguments:?}");
    }
    let (code, _, errors) = deployed.run(&["customers", "get", "nobody", "--stack", "test"], "").await;
    assert!(code == 2 && errors.contains("write the provider before it"), "{errors}");
    deployed.aws.fail(&["GetItem"]);
    let (code, _, errors) = deployed.run(&arguments, "").await;
    assert!(code == 5 && errors.contains("the table of test cannot be read"), "{code} {errors}");
}

/// A mailbox that many customers share does not make one of them slow to show.
#[tokio::test(flavor = "multi_thread")]
async fn only_some_items_of_a_shared_address_are_read() {
    let stack = stack_with_customers(2).await;
    let table = stack.customers_table();
    let mut item = table.item(&pk("plain", "c0000")).await.unwrap().unwrap();
    item["email"] = "info@example.com".into();
    for number in 0..4 {
        item["pk"] = format!("plain#w_1#shared{number}").into();
        let request = stack.clients.dynamodb.put_item().table_name("customers");
        request.set_item(Some(to_attributes(&item).unwrap())).send().await.unwrap();
    }
    for (max, expected) in [(2, 2), (usize::MAX, 4)] {
        assert_eq!(table.query("by-email", "email", "info@example.com", max).await.unwrap().len(), expected);
    }
}
