//! `clientele erase`, `restore`, `erasures` and `subject`.

use std::collections::BTreeSet;
use std::time::Duration;

use clientele::events::signed_at;
use clientele::stack::{CapturedLog, LocalStack};
use clientele_aws::to_attributes;
use clientele_model::{KeptDelivery, KeptPart};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::command::deployed::{ANNOUNCED, deploy};
use crate::support::cli::{clientele, run_with_input};
use crate::support::deliveries::{CREATED, DELETED, UPDATED, change, deletes, deliver, pk};
use crate::support::translation::verified;
use crate::support::{all_items, drain, handle, invocation, item, options, replayer, sqs_event, stack, sweeper};

/// Exit code, standard output and standard error of a command with the local stack.
async fn command(stack: &LocalStack, arguments: &[&str], input: &str) -> (i32, String, String) {
    let admin = format!("http://{}", stack.admin);
    let mut command = clientele(&[arguments, &["--local", &admin]].concat());
    let input = input.to_owned();
    tokio::task::spawn_blocking(move || run_with_input(&mut command, &input)).await.unwrap()
}

/// The JSON lines that a command prints.
async fn lines(stack: &LocalStack, arguments: &[&str], input: &str) -> (i32, Vec<Value>, String) {
    let (code, shown, errors) = command(stack, &[arguments, &["--json"]].concat(), input).await;
    (code, shown.lines().map(|line| serde_json::from_str(line).unwrap()).collect(), errors)
}

/// What `subject` finds of a person by the e-mail address.
async fn subject(stack: &LocalStack, email: &str) -> Value {
    let (code, shown, errors) = command(stack, &["subject", "--email", email, "--json"], "").await;
    assert_eq!(code, 0, "{errors}");
    serde_json::from_str(&shown).unwrap()
}

async fn send(stack: &LocalStack, provider: &str, customer: &str, version: i64, kind: clientele_model::ChangeKind) {
    let event = deliver(provider, &[change(customer, version, 1, kind)], signed_at());
    handle(&stack.receivers[provider], &event, signed_at()).await;
}

/// A stack whose cleanup messages are held back for an hour.
async fn stack_with_hold() -> LocalStack {
    let mut options = options();
    options.parameters.insert("CleanupHoldMinutes", "60".to_owned());
    LocalStack::start(options).await.unwrap()
}

/// The provider has no deletes. The operator's delete leaves a tombstone, and one message with what the item knew.
#[tokio::test(flavor = "multi_thread")]
async fn an_erased_customer_leaves_a_tombstone_and_a_message() {
    let stack = stack().await;
    send(&stack, "smarterpay", "7", 1_000, CREATED).await;
    let ada = pk("smarterpay", "7");
    let account = ada.split('#').nth(1).unwrap();
    let email = item(&stack, &ada).await.unwrap()["email"].as_str().unwrap().to_owned();
    let arguments = ["erase", "smarterpay", "7", "--account", account, "--reason", "request-7"];

    let (code, _, errors) = command(&stack, &arguments, "").await;
    assert!(code == 2 && errors.contains("confirm with --yes") && errors.contains(&ada), "{code} {errors}");
    let (code, shown, _) = lines(&stack, &[&arguments[..], &["--dry-run"]].concat(), "").await;
    assert_eq!((code, shown), (0, vec![json!({ "pk": ada, "result": "would_be_erased", "detail": null })]));
    assert_eq!(item(&stack, &ada).await.unwrap()["status"], "active", "nothing is changed yet");

    let (code, shown, errors) = lines(&stack, &[&arguments[..], &["--yes"]].concat(), "").await;
    assert_eq!((code, shown), (0, vec![json!({ "pk": ada, "result": "erased", "detail": null })]), "{errors}");
    let tombstone = item(&stack, &ada).await.unwrap();
    assert_eq!(tombstone["status"], "deleted");
    assert_eq!(tombstone["last_event"]["type"], "operator.erased");
    assert_eq!(tombstone["last_event"]["id"], "request-7");
    assert!(!tombstone.to_string().contains(&email));
    let [message] = &drain(&stack, "cleanup").await[..] else { panic!("one message") };
    assert_eq!((&message["cleanup_id"], &message["event_id"]), (&json!(ada), &json!("request-7")));
    assert_eq!(message["identifiers"]["emails"], json!([email]));

    send(&stack, "smarterpay", "7", 9_000, UPDATED).await;
    assert_eq!(item(&stack, &ada).await.unwrap(), tombstone, "no event brings the customer back");
    let (code, shown, _) = lines(&stack, &[&arguments[..], &["--yes"]].concat(), "").await;
    assert_eq!((code, &shown[0]["result"]), (0, &json!("already_erased")));
    assert_eq!(drain(&stack, "cleanup").await.len(), 0);
}

/// A misspelled customer is not erased, and the others of a list are.
#[tokio::test(flavor = "multi_thread")]
async fn a_customer_who_is_not_in_the_table_needs_a_flag() {
    let stack = stack().await;
    send(&stack, "smarterpay", "7", 1_000, CREATED).await;
    let [known, unknown] = ["7", "8"].map(|customer| pk("smarterpay", customer));
    let list = format!("{known}\n\n{unknown}\n");
    let (code, shown, errors) = lines(&stack, &["erase", "--from", "-", "--yes"], &list).await;
    let results: Vec<_> = shown.iter().map(|line| line["result"].as_str().unwrap()).collect();
    assert_eq!((code, results), (4, vec!["erased", "not_in_table"]), "{errors}");
    assert!(errors.contains("1 customer not in the table"), "{errors}");
    assert_eq!(all_items(&stack).await.len(), 1);
    let (code, shown, errors) = lines(&stack, &["erase", "--from", "-", "--yes", "--unseen"], &list).await;
    let results: Vec<_> = shown.iter().map(|line| line["result"].as_str().unwrap()).collect();
    assert_eq!((code, results), (0, vec!["already_erased", "erased"]), "{errors}");
    send(&stack, "smarterpay", "8", 9_000, CREATED).await;
    assert_eq!(item(&stack, &unknown).await.unwrap()["status"], "deleted");

    let wrong = format!("{known}\nada@example.com\n");
    let (code, _, errors) = command(&stack, &["erase", "--from", "-", "--yes"], &wrong).await;
    assert!(code == 2 && errors.contains("line 2 is neither") && !errors.contains("ada@"), "{errors}");
    for (arguments, error) in [
        (&["erase"][..], "<CUSTOMER>"),
        (&["erase", "smarterpay", "7"], "add --account"),
        (&["erase", &known, "--reason", "Ada Byron", "--yes"], "expected at most 64 letters"),
    ] {
        let (code, _, errors) = command(&stack, arguments, "").await;
        assert!(code == 2 && errors.contains(error), "{errors}");
    }
}

/// Open erasures name the systems that have not confirmed, until all have.
#[tokio::test(flavor = "multi_thread")]
async fn open_erasures_name_the_missing_systems() {
    let mut options = options();
    options.parameters.insert("ErasureSystems", "crm,mailing".to_owned());
    let deployed = deploy(options).await;
    deployed.aws.set_parameter("ErasureSystems", "crm,mailing");
    send(&deployed.stack, "smarterpay", "7", 1_000, CREATED).await;
    send(&deployed.stack, "plain", "closed", 1_000, DELETED).await;
    for system in ["crm", "mailing"] {
        confirm(&deployed.stack, &pk("plain", "closed"), system).await;
    }
    let ada = pk("smarterpay", "7");
    let (code, shown, errors) = deployed.run(&["erase", &ada, "--yes", "--stack", "test"], "").await;
    assert_eq!((code, shown.as_str()), (0, format!("erased           {ada}\n").as_str()), "{errors}");
    let open = ["erasures", "--open", "--json", "--stack", "test"];
    let (code, shown, errors) = deployed.run(&open, "").await;
    assert_eq!((code, errors.as_str(), shown.lines().count()), (0, ANNOUNCED, 1), "{shown}");
    let erasure: Value = serde_json::from_str(&shown).unwrap();
    assert_eq!((&erasure["pk"], &erasure["missing"]), (&json!(ada), &json!(["crm", "mailing"])));
    assert_eq!((&erasure["event_type"], &erasure["cleanup_due"]), (&json!("operator.erased"), &json!(null)));
    assert!(erasure["open_since"].is_string());

    let (code, local, errors) = lines(&deployed.stack, &["erasures", "--open"], "").await;
    assert_eq!((code, local), (0, vec![erasure]), "{errors}");

    confirm(&deployed.stack, &ada, "mailing").await;
    let (_, shown, _) = deployed.run(&["erasures", "--open", "--stack", "test"], "").await;
    assert!(shown.contains(&ada) && shown.contains("crm") && !shown.contains("mailing"), "{shown}");
    assert!(!shown.contains("example.com"), "nothing personal: {shown}");
    confirm(&deployed.stack, &ada, "crm").await;
    assert_eq!(deployed.run(&open, "").await, (0, String::new(), ANNOUNCED.to_owned()));

    let (_, shown, _) = deployed.run(&["erasures", "--json", "--stack", "test"], "").await;
    let pks: BTreeSet<_> = shown
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["pk"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(pks, BTreeSet::from([ada, pk("plain", "closed")]));
    deployed.aws.fail(&["Scan"]);
    let (code, _, errors) = deployed.run(&open, "").await;
    assert!(code == 5 && errors.contains("the table of test cannot be read"), "{errors}");
}

/// A system confirms that it has erased the customer.
async fn confirm(stack: &LocalStack, pk: &str, system: &str) {
    let receipt = json!({ "schema": 1, "cleanup_id": pk, "system": system, "erased_at": "2026-11-20T12:00:00Z" });
    let request = stack.clients.sqs.send_message().queue_url(&stack.queue_urls["receipts"]);
    request.message_body(receipt.to_string()).send().await.unwrap();
    assert_eq!(stack.receipts_mapping.as_ref().unwrap().replay_now().await.unwrap(), 1);
}

async fn put(stack: &LocalStack, item: &Value) {
    let request = stack.clients.dynamodb.put_item().table_name("customers");
    request.set_item(Some(to_attributes(item).unwrap())).send().await.unwrap();
}

/// A person is a customer of several providers and a contact of another customer; a message about them is held back, and a
/// delivery is in quarantine. All of it is found, and nothing once it is erased.
#[tokio::test(flavor = "multi_thread")]
async fn everything_about_a_person_is_found_until_it_is_erased() {
    let stack = stack_with_hold().await;
    for provider in ["smarterpay", "plain", "flexprice"] {
        send(&stack, provider, "ada", 1_000, CREATED).await;
        send(&stack, provider, "other", 1_000, CREATED).await;
    }
    let email = item(&stack, &pk("plain", "ada")).await.unwrap()["email"].as_str().unwrap().to_owned();
    let mut company = item(&stack, &pk("flexprice", "other")).await.unwrap();
    company["profile"]["contacts"] = json!([{ "email": email.to_uppercase() }]);
    put(&stack, &company).await;
    let plain = clientele_providers::find("plain").unwrap();
    let body = json!({ "a": { "whatever": email } }).to_string();
    let kept = KeptDelivery::new(plain, &verified(body.as_bytes(), signed_at()), "why", KeptPart::Whole);
    let request = stack.clients.sqs.send_message().queue_url(&stack.queue_urls["quarantine"]);
    let message = request.message_body(kept.to_message()).send().await.unwrap().message_id.unwrap();
    send(&stack, "plain", "ada", 2_000, DELETED).await;

    let found = subject(&stack, &format!(" {}", email.to_uppercase())).await;
    let pks = |list: &Value| -> Vec<String> {
        list.as_array().unwrap().iter().map(|entry| entry["pk"].as_str().unwrap().to_owned()).collect()
    };
    let mut items = pks(&found["items"]);
    items.sort_unstable();
    assert_eq!(items, [pk("flexprice", "ada"), pk("flexprice", "other"), pk("smarterpay", "ada")]);
    let of_company = found["items"].as_array().unwrap().iter().find(|entry| entry["pk"] == pk("flexprice", "other"));
    assert_eq!(of_company.unwrap()["matched"], json!(["profile.contacts[0].email"]));
    assert_eq!(pks(&found["unsent_cleanups"]), [pk("plain", "ada")]);
    assert_eq!(found["unsent_cleanups"][0]["message"]["identifiers"]["emails"], json!([email]));
    let [quarantined] = &found["quarantine"].as_array().unwrap()[..] else { panic!("{found}") };
    assert_eq!((&quarantined["id"], &quarantined["matched"]), (&json!(message), &json!(["body.a.whatever"])));
    assert_eq!(found["searched"], json!({ "items": 6, "quarantine_messages": 1, "unreadable": [] }));
    assert!(found["not_searched"].as_array().unwrap().len() > 2);
    let (_, shown, notes) = command(&stack, &["subject", "--email", &email], "").await;
    assert!(shown.contains("profile.contacts[0].email") && notes.contains("6 items of the table"), "{shown} {notes}");

    let list = items.join("\n");
    let (code, _, errors) = command(&stack, &["erase", "--from", "-", "--yes"], &list).await;
    assert!(code == 0 && errors.contains("held back until about"), "{errors}");
    let request = ["quarantine", "delete", &message, "--yes"];
    assert_eq!(command(&stack, &request, "").await.0, 0);
    let later = Timestamp::now() + SignedDuration::from_hours(3);
    let sweeper = sweeper(&stack.environments, &stack.clients, &CapturedLog::default());
    assert_eq!(sweeper.handle(&invocation(later)).await.sent, 4);
    let found = subject(&stack, &email).await;
    for part in ["items", "unsent_cleanups", "quarantine"] {
        assert_eq!(found[part], json!([]), "{part}");
    }
    assert_eq!(command(&stack, &["subject"], "").await.0, 2);
    let (code, shown, notes) = command(&stack, &["subject", "--external-id", "nobody"], "").await;
    assert!(code == 0 && shown.is_empty() && notes.starts_with("Nothing is known about the person.\n"), "{notes}");
}

/// A table that was restored from before some erasures is brought up to date by the list of erasures since.
#[tokio::test(flavor = "multi_thread")]
async fn a_restored_table_is_erased_again() {
    let as_it_was = stack().await;
    for customer in ["a", "b", "c", "d"] {
        send(&as_it_was, "plain", customer, 1_000, CREATED).await;
    }
    let backup = all_items(&as_it_was).await;
    let restored_to = Timestamp::now();
    tokio::time::sleep(Duration::from_millis(5)).await;
    let [deleted, erased, stays, stays_too] = ["a", "b", "c", "d"].map(|customer| pk("plain", customer));
    let event = deliver("plain", &[change("a", 2_000, 2, DELETED)], Timestamp::now());
    handle(&as_it_was.receivers["plain"], &event, Timestamp::now()).await;
    // Created and erased after the moment to which the table is restored.
    let created_since = pk("plain", "e");
    send(&as_it_was, "plain", "e", 1_000, CREATED).await;
    for pk in [&erased, &created_since] {
        assert_eq!(command(&as_it_was, &["erase", pk, "--yes"], "").await.0, 0);
    }
    let since = restored_to.to_string();
    let (code, erasures, _) = command(&as_it_was, &["erasures", "--since", &since, "--json"], "").await;
    assert_eq!((code, erasures.lines().count()), (0, 3), "{erasures}");

    let restored = stack().await;
    for item in &backup {
        put(&restored, item).await;
    }
    let arguments = ["erase", "--from", "-", "--unseen", "--yes"];
    let (code, shown, errors) = lines(&restored, &arguments, &erasures).await;
    assert_eq!((code, shown.len()), (0, 3), "{errors}");
    for (customer, status) in [
        (&deleted, "deleted"),
        (&erased, "deleted"),
        (&created_since, "deleted"),
        (&stays, "active"),
        (&stays_too, "active"),
    ] {
        assert_eq!(item(&restored, customer).await.unwrap()["status"], status, "{customer}");
    }
    let messages = drain(&restored, "cleanup").await;
    assert_eq!(
        messages.iter().map(|message| message["cleanup_id"].as_str().unwrap()).collect::<BTreeSet<_>>().len(),
        3
    );
    let (code, again, _) = lines(&restored, &arguments, &erasures).await;
    assert!(code == 0 && again.iter().all(|line| line["result"] == "already_erased"), "{again:?}");
}

/// During the hold, neither a delete, its redelivery, its redrive, its replay nor a sweep sends the message. What is restored
/// is never sent.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_sent_before_the_end_of_the_hold() {
    let stack = stack_with_hold().await;
    let providers: Vec<_> = clientele_providers::names().into_iter().filter(|provider| deletes(provider)).collect();
    for provider in &providers {
        for customer in ["sent", "restored"] {
            send(&stack, provider, customer, 1_000, CREATED).await;
            for _ in 0..2 {
                let now = Timestamp::now();
                let event = deliver(provider, &[change(customer, 2_000, 2, DELETED)], now);
                handle(&stack.receivers[provider], &event, now).await;
            }
        }
    }
    let plain = clientele_providers::find("plain").unwrap();
    let body = clientele_providers::sample(plain, &[change("sent", 2_000, 2, DELETED)]).body.to_string();
    let kept =
        KeptDelivery::new(plain, &verified(body.as_bytes(), Timestamp::now()), "why", KeptPart::Whole).to_message();
    let request = stack.clients.sqs.send_message().queue_url(&stack.queue_urls["quarantine"]).message_body(&kept);
    request.send().await.unwrap();
    assert_eq!(command(&stack, &["quarantine", "redrive", "--yes"], "").await.0, 0);
    let replayer = replayer(&stack.environments, &stack.clients, &CapturedLog::default());
    replayer.handle(sqs_event([kept]), &invocation(Timestamp::now())).await;
    let sweeper = sweeper(&stack.environments, &stack.clients, &CapturedLog::default());
    let sweep_after = async |minutes| {
        let later = Timestamp::now() + SignedDuration::from_mins(minutes);
        sweeper.handle(&invocation(later)).await.sent
    };
    assert_eq!(sweep_after(55).await, 0);
    assert_eq!(drain(&stack, "cleanup").await.len(), 0);
    let (_, erasures, _) = lines(&stack, &["erasures"], "").await;
    assert_eq!(erasures.len(), 2 * providers.len());
    assert!(erasures.iter().all(|erasure| erasure["cleanup_due"].is_string()), "{erasures:?}");

    for provider in &providers {
        let restored = pk(provider, "restored");
        let rank = item(&stack, &restored).await.unwrap()["rank"].as_str().unwrap().to_owned();
        let (code, _, errors) = command(&stack, &["restore", &restored, "--rank", "other", "--yes"], "").await;
        assert!(code == 1 && errors.contains(&rank), "{errors}");
        let (code, shown, _) = lines(&stack, &["restore", &restored, "--rank", &rank, "--yes"], "").await;
        assert_eq!((code, shown), (0, vec![json!({ "pk": restored, "rank": rank, "message": "held_back" })]));
        assert_eq!(item(&stack, &restored).await, None);
        let (code, _, errors) = command(&stack, &["restore", &restored, "--yes"], "").await;
        assert!(code == 4 && errors.contains("deleted or not"), "{errors}");
        send(&stack, provider, "restored", 3_000, UPDATED).await;
        assert_eq!(item(&stack, &restored).await.unwrap()["status"], "active", "the next event brings it back");
        let (code, _, errors) = command(&stack, &["restore", &restored, "--yes"], "").await;
        assert!(code == 4 && errors.contains("is not deleted"), "{errors}");
    }
    assert_eq!(sweep_after(70).await, providers.len());
    let sent: BTreeSet<_> =
        drain(&stack, "cleanup").await.iter().map(|message| message["cleanup_id"].clone().to_string()).collect();
    assert_eq!(sent, providers.iter().map(|provider| json!(pk(provider, "sent")).to_string()).collect());
}

/// A tombstone that changes after it was read is not removed.
#[tokio::test(flavor = "multi_thread")]
async fn only_the_tombstone_that_was_seen_is_removed() {
    let stack = stack().await;
    send(&stack, "plain", "ada", 1_000, DELETED).await;
    let ada = pk("plain", "ada");
    let tombstone = item(&stack, &ada).await.unwrap();
    let rank = tombstone["rank"].as_str().unwrap();
    let table = stack.customers_table();
    assert!(!table.remove_tombstone(&ada, "another", None).await.unwrap());
    assert!(!table.remove_tombstone(&ada, rank, Some("a message")).await.unwrap());
    let mut pending = tombstone.clone();
    pending["cleanup"] = "a message".into();
    put(&stack, &pending).await;
    assert!(!table.remove_tombstone(&ada, rank, None).await.unwrap());
    assert_eq!(item(&stack, &ada).await.unwrap(), pending);
    assert!(table.remove_tombstone(&ada, rank, Some("a message")).await.unwrap());
    let mut active = tombstone.clone();
    active["status"] = "active".into();
    put(&stack, &active).await;
    assert!(!table.remove_tombstone(&ada, rank, None).await.unwrap());
}
