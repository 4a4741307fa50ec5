//! `clientele quarantine`: deliveries that wait for an operator.

use clientele::events::signed_at;
use clientele::signing::UnsignedRequest;
use clientele_model::{ChangeKind, EVENTS_MAX, KeptDelivery, KeptPart};
use serde_json::{Value, json};

use crate::command::deployed::{ANNOUNCED, deploy};
use crate::support::cli::{clientele, run, with_local};
use crate::support::deliveries::{CREATED, DELETED, UPDATED, change, deliver, signed};
use crate::support::translation::verified;
use crate::support::{all_items, drain, handle, item, options, stack};

/// The message of a delivery that an older release did not understand.
fn kept(provider: &str, body: &str) -> String {
    let provider = clientele_providers::find(provider).unwrap();
    let verified = verified(body.as_bytes(), signed_at());
    KeptDelivery::new(provider, &verified, "a partial snapshot: fullName is absent", KeptPart::Whole).to_message()
}

/// The body of one of Plain's deliveries about Ada.
fn body(version: i64, event_number: u32, kind: ChangeKind) -> String {
    let event = deliver("plain", &[change("grace", version, event_number, kind)], signed_at());
    event["body"].as_str().unwrap().to_owned()
}

/// Runs a subcommand of `quarantine` while the stack keeps running.
async fn quarantine(stack: &clientele::stack::LocalStack, arguments: &[&str]) -> (i32, String, String) {
    let admin = format!("http://{}", stack.admin);
    let all = with_local(&[&["quarantine"], arguments].concat(), &admin);
    let all: Vec<String> = all.into_iter().map(str::to_owned).collect();
    tokio::task::spawn_blocking(move || run(&all.iter().map(String::as_str).collect::<Vec<_>>())).await.unwrap()
}

async fn send(stack: &clientele::stack::LocalStack, message: &str) -> String {
    let request = stack.clients.sqs.send_message().queue_url(&stack.queue_urls["quarantine"]).message_body(message);
    request.send().await.unwrap().message_id.unwrap()
}

/// `list` shows no personal data, `show` the whole message, and `redrive --dry-run` changes nothing. `redrive` settles
/// each message once and removes it.
#[tokio::test(flavor = "multi_thread")]
async fn quarantined_deliveries_can_be_redriven() {
    let stack = stack().await;
    let current = deliver("plain", &[change("grace", 2_000, 2, UPDATED)], signed_at());
    handle(&stack.receivers["plain"], &current, signed_at()).await;
    let newer = send(&stack, &kept("plain", &body(3_000, 3, UPDATED))).await;
    send(&stack, &kept("plain", &body(1_000, 1, CREATED))).await;
    send(&stack, &kept("plain", current["body"].as_str().unwrap())).await;
    let (code, _, errors) = quarantine(&stack, &["redrive", "--dry-run", "--limit", "3"]).await;
    assert!(code == 3 && errors.contains("the limit of 3 messages is reached; there may be more"), "{errors}");
    let (code, listed, errors) = quarantine(&stack, &["list", "--json", "--limit", "1"]).await;
    assert_eq!((code, listed.lines().count()), (0, 1));
    assert_eq!(errors, "The limit of 1 is reached; there may be more: --limit NUMBER\n");
    let unreadable = send(&stack, &kept("plain", r#"{"type":"customer.customer_updated","id":"e"}"#)).await;
    let poison = send(&stack, "none of ours").await;

    for _ in 0..2 {
        let (code, listed, _) = quarantine(&stack, &["list", "--json"]).await;
        let rows: Vec<Value> = listed.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!((code, rows.len()), (0, 5));
        // A random hexadecimal id may contain the name.
        let output = rows.iter().filter_map(Value::as_object).flatten().filter(|(name, _)| *name != "id");
        assert!(!output.map(|(_, value)| value.to_string()).any(|value| value.contains("grace")), "nothing personal");
        let row = rows.iter().find(|row| row["id"] == newer.as_str()).unwrap();
        assert_eq!((&row["provider"], &row["events"]), (&json!("plain"), &json!(1)));
        let row = rows.iter().find(|row| row["id"] == poison.as_str()).unwrap();
        assert_eq!(row["reason"], "the message is not a kept delivery");
    }
    let (code, shown, _) = quarantine(&stack, &["show", &newer[..8], "--json"]).await;
    let shown: Value = serde_json::from_str(&shown).unwrap();
    assert_eq!((code, &shown["message"]["body"]["payload"]["customer"]["id"]), (0, &json!("grace")));
    assert_eq!((&shown["id"], &shown["problem"]), (&json!(newer), &Value::Null));
    let (code, shown, _) = quarantine(&stack, &["show", &newer[..8]]).await;
    assert!(code == 0 && shown.contains(r#""fullName": "grace v3000 e3""#) && shown.contains(&newer), "{shown}");
    let (code, shown, _) = quarantine(&stack, &["show", &poison, "--json"]).await;
    let shown: Value = serde_json::from_str(&shown).unwrap();
    assert_eq!((code, &shown["message"]), (0, &json!("none of ours")));
    assert_eq!(shown["problem"], "the message is not a kept delivery");
    let (code, _, errors) = quarantine(&stack, &["show", "zzz"]).await;
    assert!(code == 4 && errors.contains("no message zzz"), "{errors}");

    let before = item(&stack, "plain#w_1#grace").await;
    let (code, predicted, errors) = quarantine(&stack, &["redrive", "--dry-run", "--rate", "1000"]).await;
    assert_eq!(code, 3, "two cannot be settled");
    assert!(errors.contains("2 messages cannot be settled yet"), "{errors}");
    assert!(predicted.contains("plain#w_1#grace  name, profile.display_name"), "{predicted}");
    assert!(predicted.contains("The events would be: 1 applied, 1 duplicate, 1 quarantined, 1 stale"), "{predicted}");
    assert!(!predicted.contains("v3000"), "names of fields, no values");
    assert_eq!(item(&stack, "plain#w_1#grace").await, before);

    let (code, output, errors) = quarantine(&stack, &["redrive", "--rate", "1000", "--yes"]).await;
    assert_eq!(code, 3);
    assert!(errors.contains("2 messages cannot be settled yet and stay on the queue"), "{errors}");
    // The duplicate is stale if the newer event was applied before it.
    assert!(output.contains("Events: 1 applied, ") && output.contains("1 quarantined, "), "{output}");
    assert_eq!(item(&stack, "plain#w_1#grace").await.unwrap()["name"], "grace v3000 e3");
    let (_, listed, _) = quarantine(&stack, &["list", "--json"]).await;
    let mut left: Vec<_> =
        listed.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["id"].clone()).collect();
    left.sort_by_key(ToString::to_string);
    let mut expected = [json!(unreadable), json!(poison)];
    expected.sort_by_key(ToString::to_string);
    assert_eq!(left, expected);
}

/// A batch that has too many events for a function: all of them are settled, and the output stays short. Those that
/// cannot be settled keep the message on the queue.
#[tokio::test(flavor = "multi_thread")]
async fn a_batch_of_any_size_can_be_redriven() {
    let stack = stack().await;
    let event = |number: usize| {
        json!({
            "event_id": format!("E{number}"), "event_type": "customer_account.update", "id": format!("c{number}"),
            "email": null, "first_name": null, "last_name": null, "billing_address_line_1": null, "status": null,
            "edited_at": "2026-11-19T12:00:00Z",
        })
    };
    let mut body = json!({
        "id": "OM1", "idempotency_key": "k1", "sent_at": "2026-11-20T12:00:00Z", "client": { "id": "w_1" },
        "events": (0..=EVENTS_MAX).map(event).collect::<Vec<_>>(),
    });
    let unsigned = UnsignedRequest { body: body.to_string(), message_id: String::new() };
    let provider = clientele_providers::find("smarterpay").unwrap();
    let answer = handle(&stack.receivers["smarterpay"], &signed(provider, &unsigned, signed_at()), signed_at()).await;
    assert_eq!(answer.body.as_deref(), Some(r#"{"outcomes":{"quarantined":1}}"#));
    let (code, predicted, _) = quarantine(&stack, &["redrive", "--dry-run"]).await;
    assert_eq!((code, predicted.lines().nth(1)), (0, Some("  applied     1001 events")));
    let (code, output, errors) = quarantine(&stack, &["redrive", "--yes"]).await;
    assert_eq!((code, errors.as_str()), (0, ""), "{output}");
    assert_eq!(output.lines().skip(1).collect::<Vec<_>>(), ["  applied     1001 events", "Events: 1001 applied"]);
    assert_eq!(all_items(&stack).await.len(), 1_001);
    assert_eq!(drain(&stack, "quarantine").await, [] as [Value; 0]);

    body["events"] = json!(vec![0; 30]);
    send(&stack, &kept("smarterpay", &body.to_string())).await;
    let (code, output, _) = quarantine(&stack, &["redrive", "--yes"]).await;
    let lines = ["  quarantined 30 events: an event has an unexpected type or value", "Events: 30 quarantined"];
    assert_eq!((code, output.lines().skip(1).collect::<Vec<_>>()), (3, lines.to_vec()));
    assert_eq!(drain(&stack, "quarantine").await.len(), 1);
}

/// A redrive cannot bring a deleted customer back, and sends the message of a delete.
#[tokio::test(flavor = "multi_thread")]
async fn redrive_never_overwrites_newer_data() {
    let stack = stack().await;
    let delete = send(&stack, &kept("plain", &body(1_000, 1, DELETED))).await;
    let update = send(&stack, &kept("plain", &body(9_000, 2, UPDATED))).await;
    let (code, output, errors) = quarantine(&stack, &["redrive", &delete, "--yes"]).await;
    assert_eq!((code, errors.as_str()), (0, ""), "{output}");
    assert!(output.contains("erased") && output.contains("Events: 1 applied"), "{output}");
    let (code, output, _) = quarantine(&stack, &["redrive", &update[..13], "--yes"]).await;
    assert!(code == 0 && output.contains("Events: 1 stale"), "{output}");
    assert_eq!(item(&stack, "plain#w_1#grace").await.unwrap()["status"], "deleted");
    assert_eq!(drain(&stack, "cleanup").await.len(), 1);
    assert_eq!(drain(&stack, "quarantine").await, [] as [Value; 0]);
    let (code, output, errors) = quarantine(&stack, &["redrive"]).await;
    assert_eq!((code, output.as_str()), (0, ""));
    assert_eq!(errors, "The quarantine queue is empty.\n");
}

/// The body of such a delivery is not kept, so the command says what to do instead. It is lost only when the message
/// expires.
#[tokio::test(flavor = "multi_thread")]
async fn an_omitted_body_stays_and_says_what_to_do() {
    let stack = stack().await;
    let id = send(&stack, &kept("metrifox", r#"{"name":"5" pipe","otp":"924117"}"#)).await;
    let advice = "the body was not kept, because it is not JSON and may contain credentials: \
                  ask the provider to send it again";
    let (code, _, errors) = quarantine(&stack, &["show", &id]).await;
    assert!(code == 0 && errors.contains(advice), "{errors}");
    let (_, shown, _) = quarantine(&stack, &["show", &id, "--json"]).await;
    let shown: Value = serde_json::from_str(&shown).unwrap();
    let message = &shown["message"];
    assert_eq!((&message["encoding"], &message["fingerprint"]["bytes"]), (&json!("omitted"), &json!(33)));
    assert_eq!(shown["problem"], advice);
    assert!(!shown.to_string().contains("924117"));
    let (code, output, errors) = quarantine(&stack, &["redrive", "--yes"]).await;
    assert!(code == 3 && output.contains(advice), "{output}");
    assert!(errors.contains("1 message cannot be settled yet and stays on the queue"), "{errors}");
    assert_eq!(drain(&stack, "quarantine").await.len(), 1);
}

/// Messages are changed only after a confirmation, and are visible to others after a refusal.
#[tokio::test(flavor = "multi_thread")]
async fn redrive_and_delete_need_a_confirmation() {
    let stack = stack().await;
    let id = send(&stack, &kept("plain", &body(1_000, 1, CREATED))).await;
    for (arguments, question) in [
        (["redrive", id.as_str()], "Settle 1 message in quarantine at the local stack?"),
        (["delete", id.as_str()], "Delete 1 message in quarantine at the local stack? Their events are lost unless"),
    ] {
        let (code, _, errors) = quarantine(&stack, &arguments).await;
        assert!(code == 2 && errors.contains(question) && errors.contains("confirm with --yes"), "{errors}");
    }
    assert_eq!(item(&stack, "plain#w_1#grace").await, None);
    assert_eq!(drain(&stack, "quarantine").await.len(), 1);
}

/// A variable that names a deployed stack does not suffice to change it. The question names region and account.
#[tokio::test(flavor = "multi_thread")]
async fn a_deployed_stack_is_named_before_it_is_changed() {
    let deployed = deploy(options()).await;
    let id = send(&deployed.stack, &kept("plain", &body(1_000, 1, CREATED))).await;
    for arguments in [&["quarantine", "redrive"][..], &["quarantine", "delete", &id]] {
        let mut command = clientele(arguments);
        command.env("CLIENTELE_STACK", "test");
        let (code, _, errors) = deployed.run_with(command, "y\n").await;
        let question = format!("1 message in quarantine at {}?", ANNOUNCED.trim());
        assert!(code == 2 && errors.contains(&question), "{errors}");
    }
    assert_eq!(drain(&deployed.stack, "quarantine").await.len(), 1);
}

/// Several messages can be deleted by the beginnings of their ids. If one of them does not exist, none is deleted.
#[tokio::test(flavor = "multi_thread")]
async fn messages_can_be_deleted_without_settling_them() {
    let stack = stack().await;
    let first = send(&stack, &kept("plain", &body(1_000, 1, CREATED))).await;
    let second = send(&stack, "none of ours").await;
    let third = send(&stack, &kept("plain", &body(3_000, 3, UPDATED))).await;
    let (code, _, errors) = quarantine(&stack, &["delete", &first, "zzz", "--yes"]).await;
    assert!(code == 4 && errors.contains("no message zzz on the quarantine queue"), "{errors}");
    let (code, shown, _) = quarantine(&stack, &["delete", &first, "--dry-run", "--json"]).await;
    let row: Value = serde_json::from_str(&shown).unwrap();
    assert_eq!((code, &row["id"], &row["deleted"]), (0, &json!(first), &json!(false)));
    let (code, shown, errors) = quarantine(&stack, &["delete", &first[..13], &second, "--yes"]).await;
    assert_eq!((code, errors.as_str()), (0, "2 messages deleted.\n"));
    for shown_before in [&first, "plain", "a partial snapshot: fullName is absent", " days ", &second] {
        assert!(shown.contains(shown_before), "{shown_before} in {shown}");
    }
    assert!(!shown.contains("grace"), "nothing personal: {shown}");
    assert_eq!(item(&stack, "plain#w_1#grace").await, None);
    let (_, listed, _) = quarantine(&stack, &["list", "--json"]).await;
    let left: Value = serde_json::from_str(&listed).unwrap();
    assert_eq!(left["id"], third.as_str());
    assert_eq!(quarantine(&stack, &["redrive", "--limit", "0"]).await.0, 2);
    let (code, shown, _) = quarantine(&stack, &["redrive", "--yes", "--json"]).await;
    let result: Value = serde_json::from_str(&shown).unwrap();
    let details = json!(["applied     plain#w_1#grace  new"]);
    let expected = json!({ "id": third, "settled": true, "outcomes": { "applied": 1 }, "details": details });
    assert_eq!((code, result), (0, expected));
    assert_eq!(quarantine(&stack, &["list"]).await, (0, String::new(), "The quarantine queue is empty.\n".to_owned()));
}
