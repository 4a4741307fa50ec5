//! `clientele import`: the customers of a list or of a file get into the table.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use clientele::events::Case;
use clientele::stack::list_apis::ListApiOptions;
use clientele::stack::{LocalStack, StackOptions};
use clientele_model::Provider;
use clientele_providers::PROVIDERS;
use serde_json::{Value, json};

use crate::command::deployed::{ANNOUNCED, Deployed, deploy};
use crate::command::edited_list_api::EditedListApi;
use crate::support::cli::{clientele, run, run_with_input};
use crate::support::{all_items, case, options, stack};

/// Exit code, standard output, standard error of `import` with a local stack.
async fn import(stack: &LocalStack, arguments: &[&str], input: &str) -> (i32, String, String) {
    let admin = format!("http://{}", stack.admin);
    let mut command = clientele(&[&["import"], arguments, &["--local", &admin]].concat());
    let input = input.to_owned();
    tokio::task::spawn_blocking(move || run_with_input(&mut command, &input)).await.unwrap()
}

/// The same with `--json`, and the object that it prints.
async fn import_json(stack: &LocalStack, arguments: &[&str], input: &str) -> (i32, Value, String) {
    let (code, shown, errors) = import(stack, &[arguments, &["--json"]].concat(), input).await;
    (code, serde_json::from_str(&shown).unwrap_or_else(|_| panic!("{shown}{errors}")), errors)
}

/// A webhook whose body says when the customer changed. Flexprice's webhooks of today say so in a header.
fn webhook(provider: &Provider) -> &'static Case {
    let name = if provider.name == "flexprice" { "older-shape" } else { "customer-created" };
    case(&format!("{}/{name}", provider.name))
}

fn body(provider: &Provider) -> String {
    webhook(provider).event["body"].as_str().unwrap().to_owned()
}

fn file(folder: &tempfile::TempDir, content: &str) -> String {
    let path: PathBuf = folder.path().join("customers.json");
    fs::write(&path, content).unwrap();
    path.to_str().unwrap().to_owned()
}

/// Webhook bodies in a file, on lines or as an array, or on standard input, become the items that the webhooks make.
#[tokio::test(flavor = "multi_thread")]
async fn files_of_every_provider_are_imported() {
    let stack = stack().await;
    let folder = tempfile::tempdir().unwrap();
    for &provider in PROVIDERS {
        let body = body(provider);
        let pretty = serde_json::to_string_pretty(&serde_json::from_str::<Value>(&body).unwrap()).unwrap();
        let path = file(&folder, &format!("{body}\n{pretty}\n"));
        let (code, object, errors) = import_json(&stack, &[provider.name, "--from", &path], "").await;
        assert_eq!((code, errors.as_str()), (0, ""), "{}", provider.name);
        assert_eq!((&object["end"], &object["problem"]), (&json!("complete"), &Value::Null));
        assert_eq!((&object["counts"]["written"], &object["counts"]["unchanged"]), (&json!(1), &json!(1)));
        let array = format!("[{body},{body}]");
        let (code, object, _) = import_json(&stack, &[provider.name, "--from", "-"], &array).await;
        assert_eq!((code, &object["counts"]["unchanged"]), (0, &json!(2)), "importing again writes nothing");

        let expected = &webhook(provider).expected.items;
        let pk = expected.keys().next().unwrap();
        let items = all_items(&stack).await;
        let item = items.iter().find(|item| item["pk"] == pk.as_str()).unwrap_or_else(|| panic!("{pk}: {items:?}"));
        assert_eq!(item["last_event"]["type"], "import");
        assert_eq!(item["profile"], expected[pk]["profile"], "{}", provider.name);
    }
}

/// A dry run counts, and a file in which one record is not understood is imported except for that record.
#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_is_not_understood_is_listed() {
    let stack = stack().await;
    let mut without_version: Value = serde_json::from_str(&body(clientele_providers::find("plain").unwrap())).unwrap();
    let good = without_version.to_string();
    let customer = &mut without_version["payload"]["customer"];
    customer["id"] = "c_without_version".into();
    customer.as_object_mut().unwrap().remove("updatedAt").unwrap();
    let input = format!("{without_version}\n{good}\n");

    let (code, object, _) = import_json(&stack, &["plain", "--from", "-", "--dry-run"], &good).await;
    assert_eq!((code, &object["counts"]["written"], &object["is_dry_run"]), (0, &json!(1), &json!(true)));
    assert_eq!(all_items(&stack).await, [] as [Value; 0]);

    let (code, object, errors) = import_json(&stack, &["plain", "--from", "-"], &input).await;
    assert_eq!(code, 3, "{errors}");
    assert_eq!(errors, "error: 1 record could not be imported; all others were handled\n");
    assert_eq!((&object["counts"]["written"], &object["counts"]["untranslatable"]), (&json!(1), &json!(1)));
    assert_eq!(object["not_imported"][0]["customer_id"], "c_without_version");
    let (code, shown, errors) = import(&stack, &["plain", "--from", "-"], &input).await;
    assert_eq!(code, 3);
    assert!(errors.starts_with("Not imported: customer c_without_version: "), "{errors}");
    assert!(shown.contains("unchanged: the table has this version") && shown.contains("not understood"), "{shown}");
    assert!(good.contains("Ada") && !shown.contains("Ada") && !errors.contains("Ada"), "no names");
}

/// What comes before a mistake in a file is imported, and the mistake is an error.
#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_file_is_an_error() {
    let stack = stack().await;
    let input = format!("{}\n{{\"payload\":", body(clientele_providers::find("plain").unwrap()));
    let (code, object, errors) = import_json(&stack, &["plain", "--from", "-"], &input).await;
    assert_eq!((code, &object["end"], &object["counts"]["written"]), (1, &json!("failed"), &json!(1)));
    assert!(errors.starts_with("error: standard input: the record or array in line 2 does not end"), "{errors}");
    let (code, _, errors) = run(&["import", "plain", "--from", "nothing.jsonl"]);
    assert!(code == 2 && errors.contains("nothing.jsonl cannot be read"), "{errors}");
    let (code, _, errors) = run(&["import", "plain", "--from", "."]);
    assert!(code == 2 && errors.contains(". cannot be read: it is a folder"), "{errors}");
}

/// A file of another provider, or of events only, imports nobody. That is not what anybody wants.
#[tokio::test(flavor = "multi_thread")]
async fn a_file_without_customers_is_an_error() {
    let stack = stack().await;
    let ignored = case("plain/unrelated-thread").event["body"].as_str().unwrap();
    for (input, ignored) in [("", 0), ("[]", 0), (ignored, 1)] {
        let (code, object, errors) = import_json(&stack, &["plain", "--from", "-"], input).await;
        assert_eq!((code, &object["end"], &object["counts"]["ignored"]), (1, &json!("failed"), &json!(ignored)));
        assert_eq!(errors, "error: standard input has no customers of plain\n");
    }
}

/// What the command line says wrong is said before anything is asked.
#[test]
fn wrong_command_lines() {
    for (arguments, expected) in [
        (&["smarterpay"][..], "smarterpay has no list API that can be relied on"),
        (&["metrifox"], "name it with --account"),
        (&["metrifox", "--account", "t_1", "--since", "2026-01-01"], "metrifox cannot list what has changed"),
        (&["plain", "--since", "yesterday"], "expected a time as in 2026-11-28T08:00:00Z, or a date"),
        (&["plain", "--since", "2999-01-01"], "expected a time in the past"),
        (&["plain", "--rate", "0"], "expected a number of requests per second greater than 0"),
        (&["plain", "--api-url", "http://api.example.com"], "only HTTPS is allowed"),
        (&["plain", "--from", "-", "--key-stdin"], "cannot be used with"),
        (&["plain", "--api-key", "secret"], "unexpected argument '--api-key'"),
    ] {
        let (code, _, errors) = run(&[&["import"], arguments].concat());
        assert!(code == 2 && errors.contains(expected), "{arguments:?}: {code} {errors}");
    }
}

/// A deployed stack whose stand-ins do not fail, with few records on a page.
async fn deployed() -> Deployed {
    let list_apis = ListApiOptions { customers: 40, page_max: 10, ..ListApiOptions::calm() };
    deploy(StackOptions { list_apis, ..options() }).await
}

/// Exit code, standard output, standard error of `import` with a deployed stack and Flexprice's key in the environment.
async fn import_flexprice(deployed: &Deployed, url: &str, state: &Path, arguments: &[&str]) -> (i32, String, String) {
    let common = ["import", "flexprice", "--stack", "test", "--api-url", url];
    let mut command = clientele(&[&common, arguments].concat());
    command.env("FLEXPRICE_API_KEY", KEY).env("CLIENTELE_STATE_DIR", state);
    deployed.run_with(command, "").await
}

const KEY: &str = "flexprice-local-api-key";

/// The key comes from the environment or standard input, and appears in no output. A wrong one is an error in one line, and
/// nothing is written.
#[tokio::test(flavor = "multi_thread")]
async fn a_deployed_stack_needs_a_key() {
    let deployed = deployed().await;
    let folder = tempfile::tempdir().unwrap();
    let url = format!("http://{}/list-apis/flexprice", deployed.stack.admin);
    let run = async |arguments: &[&str], key: Option<&str>, input: &str| {
        let common = ["import", "flexprice", "--stack", "test", "--api-url", &url];
        let mut command = clientele(&[&common, arguments].concat());
        command.env("CLIENTELE_STATE_DIR", folder.path());
        if let Some(key) = key {
            command.env("FLEXPRICE_API_KEY", key);
        }
        deployed.run_with(command, input).await
    };
    let permission = "it needs the role all_reader";
    let (code, shown, errors) = run(&[], None, "").await;
    assert_eq!((code, shown.as_str()), (2, ""));
    assert!(errors.contains("set FLEXPRICE_API_KEY, or pass the key on standard input with --key-stdin"), "{errors}");
    let (code, shown, errors) = run(&[], Some("a-wrong-key"), "").await;
    assert_eq!((code, shown.as_str()), (5, ""));
    let refused = format!("{url} does not accept the API key from FLEXPRICE_API_KEY: {permission}");
    assert_eq!(errors, format!("{ANNOUNCED}error: {refused}\n"));
    let (code, _, errors) = run(&["--key-stdin"], Some(KEY), "a-wrong-key\n").await;
    assert!(code == 5 && errors.contains(&format!("the API key from standard input: {permission}")), "{errors}");
    let (code, _, errors) = run(&["--key-stdin"], None, "two\nlines\n").await;
    assert!(code == 2 && errors.contains("cannot be used: it contains characters other than visible"), "{errors}");
    assert_eq!(all_items(&deployed.stack).await, [] as [Value; 0], "nothing was written");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);

    let (code, shown, errors) = run(&["--key-stdin", "--dry-run"], None, &format!("{KEY}\r\n")).await;
    assert_eq!((code, errors.as_str()), (0, ANNOUNCED), "{errors}");
    assert!(shown.contains("would be written") && !shown.contains(KEY), "{shown}");
    assert!(
        shown.starts_with("flexprice, account ") && shown.lines().next().unwrap().ends_with(": complete"),
        "{shown}"
    );
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    let (code, _, errors) = run(&["--state-dir", file.to_str().unwrap()], Some(KEY), "").await;
    assert!(code == 2 && errors.contains("file is not a folder"), "{errors}");
    let (code, shown, errors) = run(&["--json"], Some(KEY), "").await;
    assert_eq!((code, errors.as_str()), (0, ANNOUNCED), "{errors}");
    assert!(!shown.contains(KEY) && !shown.contains('@'), "no key and no e-mail address: {shown}");
    assert!(!all_items(&deployed.stack).await.is_empty());
}

/// With the local stack, its own list API and key are used, whatever the environment and the command line say.
#[tokio::test(flavor = "multi_thread")]
async fn keys_of_the_environment_are_not_used_locally() {
    let options = StackOptions { list_apis: ListApiOptions::calm(), ..options() };
    let stack = LocalStack::start(options).await.unwrap();
    let admin = format!("http://{}", stack.admin);
    let mut command = clientele(&["import", "plain", "--dry-run", "--local", &admin]);
    command.env("PLAIN_API_KEY", "a-real-key");
    let (code, shown, errors) = tokio::task::spawn_blocking(move || run_with_input(&mut command, "")).await.unwrap();
    assert_eq!((code, errors.as_str()), (0, ""), "{shown}");
    for arguments in [&["plain", "--api-url", "https://core-api.uk.plain.com"][..], &["plain", "--key-stdin"]] {
        let (code, _, errors) = import(&stack, arguments, "a-real-key").await;
        assert!(code == 2 && errors.contains("--api-url and --key-stdin are for deployed stacks"), "{errors}");
    }
}

/// An answer that is not as documented stops the import, which names the field. The same command continues after the last
/// page that was applied, and removes the saved progress at the end.
#[tokio::test(flavor = "multi_thread")]
async fn an_unexpected_answer_keeps_the_position() {
    let deployed = deployed().await;
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    let api = EditedListApi::start(&deployed.stack, "flexprice", |number, answer| {
        if number == 3 {
            answer.as_object_mut().unwrap().remove("items").unwrap();
        }
    });
    let api = api.await;
    let (code, shown, errors) = import_flexprice(&deployed, &api.url, &state, &[]).await;
    assert_eq!(code, 1, "{errors}");
    assert!(errors.contains("the answer of the API differs from its documentation: items is missing"), "{errors}");
    assert!(errors.ends_with("; the same command continues the import\n"), "{errors}");
    assert!(shown.contains("written"), "what was written before is counted: {shown}");
    let saved: Vec<_> = fs::read_dir(&state).unwrap().map(|file| file.unwrap().path()).collect();
    let text = fs::read_to_string(&saved[0]).unwrap();
    assert!(saved.len() == 1 && !text.contains('@') && !text.contains(KEY), "{text}");
    let position = serde_json::from_str::<Value>(&text).unwrap()["progress"]["position"].as_str().unwrap().to_owned();
    assert_eq!(api.take_requests().len(), 3);

    api.stop_editing();
    let since = import_flexprice(&deployed, &api.url, &state, &["--since", "2026-01-01"]).await;
    assert!(since.0 == 2 && since.2.contains("an import with neither --since nor --account was interrupted"));
    let (code, _, errors) = import_flexprice(&deployed, &api.url, &state, &[]).await;
    assert_eq!(code, 0, "{errors}");
    assert!(errors.contains(&format!("Continuing the interrupted import at {position}.\n")), "{errors}");
    let first = &api.take_requests()[0];
    assert!(first.contains(r#""operator":"after""#), "it starts in the middle: {first}");
    assert_eq!(fs::read_dir(&state).unwrap().count(), 0, "a completed import is not continued");
    let (code, shown, errors) = import_flexprice(&deployed, &api.url, &state, &["--json"]).await;
    let object: Value = serde_json::from_str(&shown).unwrap();
    assert_eq!((code, errors.as_str(), &object["counts"]["written"]), (0, ANNOUNCED, &json!(0)));
}

/// What the interrupted run could not import is still missing when the rest is imported.
#[tokio::test(flavor = "multi_thread")]
async fn a_continued_import_remembers_what_was_not_imported() {
    let deployed = deployed().await;
    let folder = tempfile::tempdir().unwrap();
    let api = EditedListApi::start(&deployed.stack, "flexprice", |number, answer| match number {
        1 => drop(answer["items"][0].as_object_mut().unwrap().remove("name").unwrap()),
        3 => answer["items"] = json!("none"),
        _ => {}
    });
    let api = api.await;
    let (code, _, errors) = import_flexprice(&deployed, &api.url, folder.path(), &[]).await;
    assert!(code == 1 && errors.contains("Not imported: customer "), "{errors}");
    let (code, shown, errors) = import_flexprice(&deployed, &api.url, folder.path(), &["--json"]).await;
    let left = "the interrupted import had records that could not be imported: a new one with --restart lists them";
    assert!(code == 3 && errors.ends_with(&format!("error: {left}\n")), "{errors}{shown}");
    let object: Value = serde_json::from_str(&shown).unwrap();
    assert_eq!(
        (&object["end"], &object["problem"], &object["had_omissions"]),
        (&json!("complete"), &json!(left), &json!(true))
    );
    let (code, shown, _) = import_flexprice(&deployed, &api.url, folder.path(), &["--json"]).await;
    let object: Value = serde_json::from_str(&shown).unwrap();
    assert_eq!((code, &object["had_omissions"]), (0, &json!(false)));
}

/// `--restart` begins anew, although an earlier import could be continued.
#[tokio::test(flavor = "multi_thread")]
async fn an_interrupted_import_can_be_restarted() {
    let deployed = deployed().await;
    let folder = tempfile::tempdir().unwrap();
    let api = EditedListApi::start(&deployed.stack, "flexprice", |number, answer| {
        if number == 3 {
            answer["items"] = json!("none");
        }
    });
    let api = api.await;
    assert_eq!(import_flexprice(&deployed, &api.url, folder.path(), &[]).await.0, 1);
    api.stop_editing();
    api.take_requests();
    let (code, _, errors) = import_flexprice(&deployed, &api.url, folder.path(), &["--restart"]).await;
    assert_eq!((code, errors.as_str()), (0, ANNOUNCED));
    assert!(!api.take_requests()[0].contains("after"), "it starts at the beginning");
}

/// The key of another account does not continue an import: what the first account has on the rest of the list would be
/// missing, and so would what the other one has at its beginning.
#[tokio::test(flavor = "multi_thread")]
async fn the_key_of_another_account_does_not_continue_an_import() {
    let deployed = deployed().await;
    let folder = tempfile::tempdir().unwrap();
    let api = EditedListApi::start(&deployed.stack, "flexprice", |number, answer| {
        if number == 3 {
            answer["items"] = json!("none");
        }
        for item in answer["items"].as_array_mut().into_iter().flatten().filter(|_| number > 3) {
            item["environment_id"] = json!("env_other");
        }
    });
    let api = api.await;
    assert_eq!(import_flexprice(&deployed, &api.url, folder.path(), &[]).await.0, 1);
    let before = all_items(&deployed.stack).await;
    let account = before[0]["account"].as_str().unwrap();
    let (code, shown, errors) = import_flexprice(&deployed, &api.url, folder.path(), &[]).await;
    let expected = format!(
        "the API key belongs to the account env_other, not to {account}, which the interrupted import has read: use its \
         API key, or start a new import with --restart\n"
    );
    assert!(code == 1 && errors.ends_with(&expected), "{errors}{shown}");
    assert_eq!(all_items(&deployed.stack).await, before);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "the right key can still continue");
}

/// A list that returns fewer records than it says is incomplete.
#[tokio::test(flavor = "multi_thread")]
async fn a_list_that_ends_early_is_incomplete() {
    let deployed = deployed().await;
    let folder = tempfile::tempdir().unwrap();
    let api = EditedListApi::start(&deployed.stack, "flexprice", |_, answer| {
        answer["pagination"]["total"] = json!(1_000);
    });
    let api = api.await;
    let (code, shown, errors) = import_flexprice(&deployed, &api.url, folder.path(), &["--json"]).await;
    let object: Value = serde_json::from_str(&shown).unwrap();
    assert_eq!((code, &object["end"]), (3, &json!("incomplete")), "{errors}");
    assert!(errors.contains("error: the import may be incomplete: "), "{errors}");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "the next import starts again");
}

/// Ctrl-C completes the current pages, and the output says how to go on.
#[tokio::test(flavor = "multi_thread")]
async fn ctrl_c_can_be_continued() {
    let deployed = deployed().await;
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().to_owned();
    let api = EditedListApi::start(&deployed.stack, "flexprice", |_, _| {}).await;
    let interrupt = async {
        while fs::read_dir(&state).unwrap().next().is_none() {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        interrupt_imports_of(&state);
    };
    let slow = ["--rate", "2"];
    let ((code, shown, errors), ()) = tokio::join!(import_flexprice(&deployed, &api.url, &state, &slow), interrupt);
    assert_eq!(code, 3, "{errors}{shown}");
    assert!(errors.contains("Ctrl-C again ends the command at once.\n"), "{errors}");
    assert!(errors.ends_with("error: the import was stopped; the same command continues the import\n"), "{errors}");
    let before = all_items(&deployed.stack).await.len();
    let (code, _, errors) = import_flexprice(&deployed, &api.url, &state, &[]).await;
    assert!(code == 0 && errors.contains("Continuing the interrupted import at "), "{errors}");
    assert!(before > 0 && all_items(&deployed.stack).await.len() > before);
}

/// Ctrl-C ends an import that waits for standard input, too.
#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn ctrl_c_ends_an_import_that_waits_for_standard_input() {
    let stack = stack().await;
    let admin = format!("http://{}", stack.admin);
    let mut command = clientele(&["import", "plain", "--from", "-", "--local", &admin]);
    let mut import = command.stdin(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let status = format!("/proc/{}/status", import.id());
    let handles_ctrl_c = || {
        let status = fs::read_to_string(&status).unwrap();
        let mask = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).unwrap();
        u64::from_str_radix(mask.trim(), 16).unwrap() & 0b10 > 0
    };
    let wait = async |is_over: &mut dyn FnMut() -> bool| {
        for _ in 0..500 {
            if is_over() {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        panic!("it does not happen");
    };
    wait(&mut || handles_ctrl_c()).await;
    assert!(Command::new("kill").args(["-INT", &import.id().to_string()]).status().unwrap().success());
    wait(&mut || import.try_wait().unwrap().is_some()).await;
    assert_eq!(import.wait().unwrap().code(), Some(3));
}

/// Sends SIGINT to the command that has this folder in its environment.
fn interrupt_imports_of(state: &Path) {
    let wanted = format!("CLIENTELE_STATE_DIR={}", state.display());
    for process in fs::read_dir("/proc").unwrap().flatten() {
        let environment = fs::read(process.path().join("environ")).unwrap_or_default();
        if environment.split(|byte| *byte == 0).any(|variable| variable == wanted.as_bytes()) {
            let id = process.file_name().into_string().unwrap();
            assert!(Command::new("kill").args(["-INT", &id]).status().unwrap().success());
        }
    }
}

/// An account that the table does not know, while it knows another one, needs a confirmation.
#[tokio::test(flavor = "multi_thread")]
async fn another_account_is_confirmed() {
    let options = StackOptions { list_apis: ListApiOptions::calm(), ..options() };
    let stack = LocalStack::start(options).await.unwrap();
    let run = async |arguments: &[&str]| import(&stack, &[&["metrifox"], arguments].concat(), "").await;
    assert_eq!(run(&["--account", "t_1"]).await.0, 0, "the first account needs none");
    assert_eq!(run(&["--account", "t_1"]).await.0, 0);
    let (code, _, errors) = run(&["--account", "t_2"]).await;
    assert_eq!(code, 2);
    let question = "has customers of metrifox in the account t_1, but none in t_2. Is t_2 the right account?";
    assert!(errors.contains(question) && errors.contains("confirm with --yes"), "{errors}");
    assert!(all_items(&stack).await.iter().all(|item| item["account"] == "t_1"));
    assert_eq!(run(&["--account", "t_2", "--yes"]).await.0, 0);
}
