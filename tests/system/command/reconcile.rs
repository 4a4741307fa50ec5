//! `clientele reconcile`: what lost webhooks have left is found and repaired, and nobody is deleted without proof.

use std::collections::BTreeMap;

use clientele::stack::list_apis::ListApiOptions;
use clientele::stack::{LocalStack, StackOptions};
use serde_json::{Value, json};

use crate::command::deployed::{ANNOUNCED, deploy};
use crate::command::edited_list_api::EditedListApi;
use crate::support::cli::{clientele, run, run_with_input};
use crate::support::{all_items, drain, options};

/// A stack whose providers do not fail, and which knows a few customers by webhooks, of which two were lost.
async fn stack() -> LocalStack {
    let list_apis = ListApiOptions { customers: 60, ..ListApiOptions::calm() };
    let stack = LocalStack::start(StackOptions { list_apis, ..options() }).await.unwrap();
    stack.deliver_past_webhooks().await.unwrap();
    stack
}

/// Exit code, standard output, standard error of a command with the local stack.
async fn command(stack: &LocalStack, arguments: &[&str]) -> (i32, String, String) {
    let admin = format!("http://{}", stack.admin);
    let mut command = clientele(&[arguments, &["--local", &admin]].concat());
    tokio::task::spawn_blocking(move || run_with_input(&mut command, "")).await.unwrap()
}

/// The object that `reconcile --json` prints.
async fn reconcile(stack: &LocalStack, arguments: &[&str]) -> (i32, Value, String) {
    let (code, shown, errors) = command(stack, &[&["reconcile"], arguments, &["--json"]].concat()).await;
    (code, serde_json::from_str(&shown).unwrap_or_else(|_| panic!("{shown}{errors}")), errors)
}

/// How many findings there are of each kind.
fn kinds(object: &Value) -> BTreeMap<&str, usize> {
    let mut kinds = BTreeMap::new();
    for finding in object["findings"].as_array().unwrap() {
        *kinds.entry(finding["kind"].as_str().unwrap()).or_default() += 1;
    }
    kinds
}

/// A lost update and a lost delete are found, with names of fields but no values. They are repaired on request, once.
#[tokio::test(flavor = "multi_thread")]
async fn a_lost_update_and_a_lost_delete_are_found() {
    let stack = stack().await;
    assert_eq!(command(&stack, &["import", "flexprice", "--dry-run"]).await.0, 0);
    let before = all_items(&stack).await;

    let (code, dry, errors) = reconcile(&stack, &["flexprice", "--dry-run", "--deletes", "apply"]).await;
    assert_eq!((code, errors.as_str()), (0, ""));
    assert_eq!((kinds(&dry)["behind"], kinds(&dry)["only_here"]), (1, 1), "{dry}");
    let finding = |kind| dry["findings"].as_array().unwrap().iter().find(|finding| finding["kind"] == kind).unwrap();
    assert_eq!(finding("behind")["fields"], json!(["name", "profile.display_name"]));
    assert_eq!(finding("behind")["is_written"], false);
    assert_eq!(finding("only_here")["detail"], "the provider has deleted the customer");
    assert_eq!((&dry["candidates"]["deleted"], &dry["candidates"]["erased"]), (&json!(1), &json!(0)));
    assert_eq!(all_items(&stack).await, before, "a dry run changes nothing");

    let (code, repaired, _) = reconcile(&stack, &["flexprice"]).await;
    assert_eq!((code, &repaired["counts"]["behind"]), (0, &json!(1)));
    let (counts, candidates) = (&repaired["counts"], &repaired["candidates"]);
    assert_eq!(counts["recovered"].as_u64(), Some(1 + counts["only_there"].as_u64().unwrap()));
    assert_eq!((&candidates["deleted"], &candidates["erased"]), (&json!(1), &json!(0)), "deletes are only reported");

    let (code, shown, _) = command(&stack, &["reconcile", "flexprice", "--deletes", "apply"]).await;
    assert!(code == 0 && shown.contains("of the deleted, now deleted here"), "{shown}");
    let pk = &finding("only_here")["pk"];
    let items = all_items(&stack).await;
    let tombstone = items.iter().find(|item| item["pk"] == *pk).unwrap();
    assert_eq!((&tombstone["status"], &tombstone["last_event"]["type"]), (&json!("deleted"), &json!("reconcile")));
    assert!(
        drain(&stack, "cleanup").await.iter().any(|message| message["cleanup_id"] == *pk),
        "a cleanup message was sent"
    );

    let (code, object, _) = reconcile(&stack, &["flexprice", "--deletes", "apply"]).await;
    assert_eq!((code, kinds(&object)), (0, BTreeMap::new()), "nothing is left: {object}");
    assert_eq!(all_items(&stack).await, items);
}

/// Import and reconcile of every provider that has a list: afterwards there is nothing left to write.
#[tokio::test(flavor = "multi_thread")]
async fn after_an_import_only_lost_deletes_are_left() {
    let stack = stack().await;
    for provider in [&["plain"][..], &["flexprice"], &["metrifox", "--account", clientele_model::SampleEvent::ACCOUNT]]
    {
        assert_eq!(command(&stack, &[&["import"], provider].concat()).await.0, 0);
        let before = all_items(&stack).await;
        let (code, object, _) = reconcile(&stack, provider).await;
        assert_eq!((code, kinds(&object)), (0, BTreeMap::from([("only_here", 1)])), "{object}");
        assert_eq!(object["counts"]["recovered"], 0);
        let (code, shown, _) = command(&stack, &[&["import"], provider, &["--json"]].concat()).await;
        let imported: Value = serde_json::from_str(&shown).unwrap();
        assert_eq!((code, &imported["counts"]["written"]), (0, &json!(0)));
        assert_eq!(all_items(&stack).await, before, "{provider:?}");
    }
}

/// More deletes than the limit delete nobody, until the operator raises it.
#[tokio::test(flavor = "multi_thread")]
async fn too_many_deletes_need_a_limit() {
    let stack = stack().await;
    let limited = ["flexprice", "--deletes", "apply", "--max-deletes", "0"];
    for (dry_run, text) in [(&["--dry-run"][..], "nobody would be deleted: 1 of "), (&[], "nobody was deleted: 1 of ")]
    {
        let (code, object, errors) = reconcile(&stack, &[&limited, dry_run].concat()).await;
        assert_eq!(
            (code, &object["candidates"]["withheld"], &object["candidates"]["erased"]),
            (3, &json!(1), &json!(0))
        );
        assert!(errors.contains(text) && errors.ends_with("add --max-deletes 1\n"), "{errors}");
        assert_eq!(errors, format!("error: {}\n", object["problem"].as_str().unwrap()));
    }
    let (code, object, _) = reconcile(&stack, &["flexprice", "--deletes", "apply", "--max-deletes", "1"]).await;
    assert_eq!((code, &object["candidates"]["erased"]), (0, &json!(1)));
}

/// After a walk that may have missed records nobody is looked up, and nobody is deleted.
#[tokio::test(flavor = "multi_thread")]
async fn a_list_that_ends_early_deletes_nobody() {
    let list_apis = ListApiOptions { customers: 60, ..ListApiOptions::calm() };
    let deployed = deploy(StackOptions { list_apis, ..options() }).await;
    deployed.stack.deliver_past_webhooks().await.unwrap();
    let api = EditedListApi::start(&deployed.stack, "flexprice", |_, answer| {
        answer["pagination"]["total"] = json!(1_000);
    });
    let api = api.await;
    let arguments =
        ["reconcile", "flexprice", "--stack", "test", "--api-url", &api.url, "--deletes", "apply", "--json"];
    let mut command = clientele(&arguments);
    command.env("FLEXPRICE_API_KEY", "flexprice-local-api-key");
    let (code, shown, errors) = deployed.run_with(command, "").await;
    let object: Value = serde_json::from_str(&shown).unwrap();
    assert_eq!((code, &object["end"], &object["candidates"]["only_here"]), (3, &json!("incomplete"), &json!(0)));
    assert!(errors.starts_with(&format!("{ANNOUNCED}error: the reconciliation may be incomplete: ")), "{errors}");
    assert!(api.take_requests().iter().all(|request| request.starts_with("/v1/customers/search")), "no lookups");
    let items = all_items(&deployed.stack).await;
    assert!(items.iter().all(|item| item["last_event"]["type"] != "reconcile"), "{items:?}");
}

#[test]
fn wrong_command_lines() {
    for (arguments, expected) in [
        (&["smarterpay"][..], "`clientele import smarterpay --from FILE` imports its customers from a file"),
        (&["metrifox"], "name it with --account"),
        (&["plain", "--deletes", "all"], "invalid value 'all'"),
        (&["plain", "--max-deletes", "7"], "--max-deletes limits the deletes of --deletes apply, which is not given"),
        (&["plain", "--deletes", "apply", "--max-deletes", "many"], "expected a number of customers"),
    ] {
        let (code, _, errors) = run(&[&["reconcile"], arguments].concat());
        assert!(code == 2 && errors.contains(expected), "{arguments:?}: {code} {errors}");
    }
}
