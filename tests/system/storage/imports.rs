//! The commands with the stand-ins of the list APIs: after `import` and `reconcile` the table equals the lists, and an
//! import that is killed again and again while webhooks arrive ends in what webhooks and list say.
//!
//! `CLIENTELE_KILLS=100 cargo test --workspace --test system a_killed_import`

use std::collections::BTreeMap;
use std::process::{Child, Stdio};
use std::time::Duration;

use clientele::stack::LocalStack;
use clientele::stack::list_apis::ListApiOptions;
use clientele_model::{ChangeKind, CustomerEvent, Listed, RecordContext, SampleEvent};
use clientele_providers::{find, list_stand_in, listing};
use jiff::Timestamp;
use proptest::prelude::Rng;
use proptest::test_runner::{RngAlgorithm, TestRng};
use rstest::rstest;
use serde_json::{Value, json};

use crate::support::cli::{clientele, run_with_input};
use crate::support::deliveries::{CREATED, DELETED, UPDATED, pk};
use crate::support::http::{Http, http_client, send};
use crate::support::random_deliveries::{customer_events_at, number};
use crate::support::{all_items, options, timeless};

async fn stack_with(list_apis: ListApiOptions) -> LocalStack {
    let mut options = options();
    options.list_apis = list_apis;
    LocalStack::start(options).await.unwrap()
}

/// The arguments of a command about a provider. Metrifox's list does not contain the account.
fn arguments(stack: &LocalStack, command: &str, provider: &str, more: &[&str]) -> Vec<String> {
    let account: &[_] = if provider == "metrifox" { &["--account", SampleEvent::ACCOUNT, "--yes"] } else { &[] };
    let local = format!("http://{}", stack.admin);
    let arguments = [&[command, provider, "--local", &local], account, more].concat();
    arguments.into_iter().map(str::to_owned).collect()
}

/// Runs a command with `--json`, and returns the exit code and the object that it prints.
async fn run(stack: &LocalStack, command: &str, provider: &str, more: &[&str]) -> (i32, Value) {
    let arguments = arguments(stack, command, provider, &[more, &["--json"]].concat());
    let result = tokio::task::spawn_blocking(move || {
        run_with_input(&mut clientele(&arguments.iter().map(String::as_str).collect::<Vec<_>>()), "")
    });
    let (code, shown, errors) = result.await.unwrap();
    (code, serde_json::from_str(&shown).unwrap_or_else(|_| panic!("{command} {provider}: {shown}{errors}")))
}

/// The observation of a customer in the state after this event.
fn observation(provider: &str, event: &SampleEvent) -> CustomerEvent {
    let provider = find(provider).unwrap();
    let record = (list_stand_in(provider).unwrap().record)(event);
    let account = clientele_model::Id::new(SampleEvent::ACCOUNT.to_owned()).unwrap();
    let context = RecordContext { account: Some(account), received_at: Timestamp::now() };
    match (listing(provider).read_file_entry)(record, &context).pop() {
        Some(Listed::Customer(event)) => *event,
        other => panic!("{other:?}"),
    }
}

/// The item that an event leaves, without its time of arrival.
fn item_of(event: &CustomerEvent) -> Value {
    let mut item = serde_json::to_value(event.item(Timestamp::now())).unwrap();
    // Cleanup messages are sent by then.
    item.as_object_mut().unwrap().retain(|name, _| !name.starts_with("cleanup"));
    timeless(item)
}

/// Every item by key, without its time of arrival.
async fn table(stack: &LocalStack) -> BTreeMap<String, Value> {
    let key = |item: &Value| item["pk"].as_str().unwrap().to_owned();
    all_items(stack).await.into_iter().map(|item| (key(&item), timeless(item))).collect()
}

/// What is the same in an item from either source: everything but rank, last event and the listed exceptions.
fn comparable(provider: &str, mut item: Value) -> Value {
    let fields = item.as_object_mut().unwrap();
    fields.retain(|name, _| !["rank", "last_event"].contains(&name.as_str()));
    for path in listing(find(provider).unwrap()).different_in_list {
        let mut names = path.split('.');
        let last = names.next_back().unwrap();
        let pointer = names.fold(String::new(), |pointer, name| pointer + "/" + name);
        if let Some(parent) = item.pointer_mut(&pointer).and_then(Value::as_object_mut) {
            parent.remove(last);
        }
    }
    item
}

/// Waits until the functions have been called so often.
async fn wait_for_deliveries(stack: &LocalStack, number: usize) {
    for _ in 0..200 {
        if stack.deliveries.recent().len() >= number {
            return;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    panic!("{} of {number} deliveries", stack.deliveries.recent().len());
}

/// After an import and a reconciliation the table has exactly the customers of the list. A customer who is deleted here
/// stays deleted, although the list still has the record. Importing again writes nothing.
#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn the_table_equals_the_list(#[values("flexprice", "metrifox", "plain")] provider: &str) {
    let stack = stack_with(ListApiOptions { retry_after_seconds: 0, ..ListApiOptions::default() }).await;
    let past = stack.deliver_past_webhooks().await.unwrap();
    let erased = stack.list_apis.customers(provider)[30].clone();
    let erased_pk = pk(provider, &erased.customer_id);
    let delete = SampleEvent { change: DELETED, changed_at: Timestamp::now(), number: 1_000_000, ..erased };
    let provider_name = find(provider).unwrap().name;
    assert_eq!(send(&http_client(), &stack.url(), &(provider_name, vec![delete])).await, Some(200));
    let tombstone = table(&stack).await[&erased_pk].clone();
    assert_eq!(tombstone["status"], "deleted");

    let (code, imported) = run(&stack, "import", provider, &[]).await;
    assert_eq!((code, &imported["end"]), (0, &json!("complete")), "{imported}");
    assert!(imported["counts"]["written"].as_u64().unwrap() > 280, "{imported}");
    // The webhooks of deletes while the list is read may come before their records.
    assert!(imported["counts"]["erased_here"].as_u64().unwrap() >= 1, "{imported}");
    wait_for_deliveries(&stack, past + 1 + 5).await;

    let before = all_items(&stack).await;
    let (code, again) = run(&stack, "import", provider, &[]).await;
    assert_eq!((code, &again["end"], &again["counts"]["written"]), (0, &json!("complete"), &json!(0)), "{again}");
    assert_eq!(all_items(&stack).await, before);

    let (code, reconciled) = run(&stack, "reconcile", provider, &["--deletes", "apply"]).await;
    assert_eq!((code, &reconciled["end"]), (0, &json!("complete")), "{reconciled}");
    assert_eq!(reconciled["counts"]["recovered"], 0, "the import has written everything: {reconciled}");
    // Metrifox's API proves no delete.
    let (deleted, unknown) = if provider == "metrifox" { (0, 1) } else { (1, 0) };
    let candidates = &reconciled["candidates"];
    assert_eq!((&candidates["erased"], &candidates["unknown"]), (&json!(deleted), &json!(unknown)), "{reconciled}");

    let mut items = table(&stack).await;
    items.retain(|pk, _| pk.starts_with(provider));
    for last in stack.list_apis.customers(provider) {
        let item = items.remove(&pk(provider, &last.customer_id));
        if pk(provider, &last.customer_id) == erased_pk {
            assert_eq!(item, Some(tombstone.clone()));
        } else if last.change == DELETED {
            let is_left = provider == "metrifox" && last.customer_id == lost_delete(&stack, provider).customer_id;
            let is_deleted = |item: &Value| item["status"] == "deleted";
            assert!(item.as_ref().is_none_or(|item| is_deleted(item) != is_left), "{item:?}");
        } else {
            let expected = comparable(provider, item_of(&observation(provider, &last)));
            assert_eq!(comparable(provider, item.unwrap()), expected);
        }
    }
    assert_eq!(items, BTreeMap::new(), "the list does not have them");
}

/// The customer whose delete no webhook reported.
fn lost_delete(stack: &LocalStack, provider: &str) -> SampleEvent {
    stack.list_apis.customers(provider)[3].clone()
}

/// What `cargo run` leaves to be found: an update and a delete of Flexprice whose webhooks were lost.
#[tokio::test(flavor = "multi_thread")]
async fn reconcile_finds_what_was_lost() {
    let stack = stack_with(ListApiOptions { retry_after_seconds: 0, ..ListApiOptions::default() }).await;
    stack.deliver_past_webhooks().await.unwrap();
    let (code, found) = run(&stack, "reconcile", "flexprice", &["--dry-run"]).await;
    assert_eq!((code, &found["end"]), (0, &json!("complete")), "{found}");
    assert_eq!((&found["counts"]["behind"], &found["candidates"]["deleted"]), (&json!(1), &json!(1)), "{found}");
    let lost_update = pk("flexprice", &stack.list_apis.customers("flexprice")[2].customer_id);
    let lost_delete = pk("flexprice", &lost_delete(&stack, "flexprice").customer_id);
    let findings = found["findings"].as_array().unwrap();
    let finding = |pk: &str| findings.iter().find(|finding| finding["pk"] == pk).unwrap_or(&Value::Null).to_string();
    assert!(finding(&lost_update).contains("behind"), "{findings:?}");
    assert!(finding(&lost_delete).contains("delete"), "{findings:?}");
}

/// An import is killed after so many requests to the list.
const REQUESTS_MAX: u32 = 8;
/// And so long after the last of them.
const LIFE_MS_MAX: u32 = 60;
/// The pause between two changes.
const BETWEEN_CHANGES: Duration = Duration::from_millis(8);

/// The customers change while an import is killed twenty times and continued. A third of the updates is not reported by a
/// webhook, and some webhooks come twice or before the list has the change. After the last run, which is left alone, the
/// table is exactly what webhooks and list say.
#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_killed_import_ends_in_webhooks_and_list(#[values("flexprice", "metrifox", "plain")] provider: &str) {
    let provider = find(provider).unwrap().name;
    let list_apis = ListApiOptions {
        customers: 500,
        page_max: 25,
        throttle_every: 11,
        retry_after_seconds: 0,
        ..ListApiOptions::calm()
    };
    let stack = stack_with(list_apis).await;
    let kills = number("CLIENTELE_KILLS", 20);
    let folder = tempfile::tempdir().unwrap();
    let state: &[_] = &["--state-dir", folder.path().to_str().unwrap()];
    let arguments = arguments(&stack, "import", provider, state);
    let list_apis = stack.list_apis.clone();
    let (finished, has_finished) = tokio::sync::oneshot::channel();
    let killing = tokio::task::spawn_blocking(move || {
        let killed = kill_repeatedly(&arguments, kills, || list_apis.requests(provider));
        finished.send(()).unwrap();
        killed
    });
    let delivered = change_customers(&stack, provider, has_finished).await;
    let (killed, continued) = killing.await.unwrap();

    let (code, report) = run(&stack, "import", provider, state).await;
    assert_eq!((code, &report["end"]), (0, &json!("complete")), "{report}");
    // Svix signs whole seconds.
    let now = Timestamp::from_second(Timestamp::now().as_second()).unwrap();
    let mut expected = customer_events_at(&delivered, now);
    for last in stack.list_apis.customers(provider).into_iter().filter(|last| last.change != DELETED) {
        let (observed, pk) = (observation(provider, &last), pk(provider, &last.customer_id));
        if expected.get(&pk).is_none_or(|event| event.rank() < observed.rank()) {
            expected.insert(pk, Box::new(observed));
        }
    }
    let expected: BTreeMap<_, _> = expected.into_iter().map(|(pk, event)| (pk, item_of(&event))).collect();
    assert_eq!(table(&stack).await, expected);
    assert!(killed > kills / 2, "{killed} imports were still running");
    // All customers of Plain fit into one slice of time, and an interrupted slice is read again from its start.
    assert!(continued > 0 || provider == "plain");
}

/// Starts the import so often and kills it at a random moment. Returns how many were still running then, and how many had
/// continued an earlier one.
fn kill_repeatedly(arguments: &[String], kills: usize, requests: impl Fn() -> u64) -> (usize, usize) {
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    let mut random = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let (mut killed, mut continued) = (0, 0);
    for _ in 0..kills {
        let last_request = requests() + u64::from(random.next_u32() % REQUESTS_MAX);
        let mut import: Child = clientele(&arguments).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        while requests() < last_request && import.try_wait().unwrap().is_none() {
            std::thread::sleep(Duration::from_millis(1));
        }
        std::thread::sleep(Duration::from_millis(u64::from(random.next_u32() % LIFE_MS_MAX)));
        killed += usize::from(import.try_wait().unwrap().is_none());
        drop(import.kill());
        let errors = String::from_utf8(import.wait_with_output().unwrap().stderr).unwrap();
        continued += usize::from(errors.contains("Continuing the interrupted import"));
    }
    (killed, continued)
}

/// Changes customers at the provider until it is told to stop. Returns what was delivered by webhooks.
async fn change_customers(
    stack: &LocalStack,
    provider: &'static str,
    mut has_finished: tokio::sync::oneshot::Receiver<()>,
) -> Vec<(&'static str, Vec<SampleEvent>)> {
    let (http, url) = (http_client(), stack.url());
    let mut random = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let mut delivered = vec![];
    for number in 1_000_000.. {
        if has_finished.try_recv().is_ok() {
            break;
        }
        tokio::time::sleep(BETWEEN_CHANGES).await;
        let Some(change) = next_change(stack, provider, number, &mut random) else { continue };
        let (is_late, is_lost, is_repeated) =
            (random.next_u32().is_multiple_of(2), random.next_u32().is_multiple_of(3), number % 5 == 0);
        if is_late {
            stack.list_apis.change(provider, change.clone());
        }
        // Deletes are reported: a list that no longer has a customer does not say so.
        if !is_lost || change.change == DELETED {
            let delivery = (provider, vec![change.clone()]);
            deliver(&http, &url, &delivery, if is_repeated { 2 } else { 1 }).await;
            delivered.push(delivery);
        }
        if !is_late {
            stack.list_apis.change(provider, change);
        }
    }
    delivered
}

async fn deliver(http: &Http, url: &str, delivery: &(&'static str, Vec<SampleEvent>), times: usize) {
    for _ in 0..times {
        assert_eq!(send(http, url, delivery).await, Some(200));
    }
}

/// A change of a random customer, unless the customer is deleted already. One in ten customers is new, and one in ten is
/// deleted.
fn next_change(stack: &LocalStack, provider: &str, number: u32, random: &mut TestRng) -> Option<SampleEvent> {
    let customers = stack.list_apis.customers(provider);
    let place = usize::try_from(random.next_u32()).unwrap() % customers.len();
    let change: ChangeKind = match random.next_u32() % 10 {
        0 => CREATED,
        1 => DELETED,
        _ => UPDATED,
    };
    // Flexprice's message ids have a resolution of 4 ms.
    let changed_at = Timestamp::from_millisecond(Timestamp::now().as_millisecond() / 4 * 4).unwrap();
    let last = customers[place].clone();
    let customer_id = if change == CREATED { format!("new-{number}") } else { last.customer_id };
    let name = format!("{} {number}", last.name.split(' ').next().unwrap());
    let is_possible = change == CREATED || last.change != DELETED;
    is_possible.then_some(SampleEvent { customer_id, name, change, changed_at, number })
}
