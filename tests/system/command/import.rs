//! `clientele import`: the customers of a list or of a file get into the table.

use std::fs;
use std::path::PathBuf;

use clientele::events::Case;
use clientele::stack::LocalStack;
use clientele_model::Provider;
use clientele_providers::PROVIDERS;
use serde_json::{Value, json};

use crate::support::cli::{clientele, run, run_with_input};
use crate::support::{all_items, case, stack};

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
    assert!(errors.starts_with("error: standard input: it is cut off: the record or array in line 2"), "{errors}");
    let (code, _, errors) = run(&["import", "plain", "--from", "nothing.jsonl"]);
    assert!(code == 2 && errors.contains("nothing.jsonl cannot be read"), "{errors}");
}

/// What the command line says wrong is said before anything is asked.
#[test]
fn wrong_command_lines() {
    for (arguments, expected) in [
        (&["smarterpay"][..], "smarterpay has no list API that can be relied on"),
        (&["metrifox"], "name it with --account"),
        (&["metrifox", "--account", "t_1", "--since", "2026-01-01"], "metrifox cannot list what has changed"),
        (&["plain", "--since", "yesterday"], "expected a time as in 2026-11-28T08:00:00Z, or a date"),
        (&["plain", "--rate", "0"], "expected a number of requests per second greater than 0"),
        (&["plain", "--api-url", "http://api.example.com"], "only HTTPS is allowed"),
        (&["plain", "--from", "-", "--key-stdin"], "cannot be used with"),
        (&["plain", "--api-key", "secret"], "unexpected argument '--api-key'"),
    ] {
        let (code, _, errors) = run(&[&["import"], arguments].concat());
        assert!(code == 2 && errors.contains(expected), "{arguments:?}: {code} {errors}");
    }
}
