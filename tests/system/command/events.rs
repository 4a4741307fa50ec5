//! `clientele events`.

use clientele::stack::LocalStack;
use clientele_providers::{find, local_secret};
use serde_json::{Value, json};

use crate::support::cli::{clientele, run, run_with_input, with_local};
use crate::support::{case, cases, options, stack};

/// Runs the command while the stack keeps running, with `WEBHOOK_SECRET` or standard input.
async fn events(arguments: &[&str], variable: Option<&str>, input: &str) -> (i32, String, String) {
    let mut command = clientele(&[&["events"], arguments].concat());
    command.envs(variable.map(|secret| ("WEBHOOK_SECRET", secret)));
    let input = input.to_owned();
    tokio::task::spawn_blocking(move || run_with_input(&mut command, &input)).await.unwrap()
}

#[test]
fn the_event_files_are_listed() {
    let (code, shown, errors) = run(&["events", "list", "--json"]);
    assert_eq!((code, errors.as_str()), (0, ""));
    let listed: Vec<Value> = shown.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(listed.len(), cases().len());
    let stale = listed.iter().find(|event| event["name"] == "plain/stale").unwrap();
    assert_eq!((&stale["status"], &stale["outcome"], &stale["forged"]), (&json!(200), &json!("stale"), &json!(false)));
    assert_eq!(stale["after"][0], format!("plain/{}", case("plain/stale").expected.after[0]));
    let (_, shown, _) = run(&["events", "list"]);
    for case in cases() {
        assert!(shown.contains(&case.title()), "{}", case.title());
    }
}

/// The secret comes from the variable, or else from standard input, and is shown nowhere.
#[tokio::test(flavor = "multi_thread")]
async fn an_event_for_a_deployed_api_is_signed_here() {
    let stack = stack().await;
    let url = stack.url();
    let secret = local_secret(find("plain").unwrap());
    let send = ["send", "plain/customer-created", "--to", &url];
    let applied = "200 applied: the customer's item was written\n";
    assert_eq!(events(&send, Some(&secret), "").await, (0, applied.to_owned(), String::new()));
    let duplicate = "200 duplicate: this event is in the table already\n";
    let (code, shown, errors) = events(&send, None, &format!("{secret}\r\n")).await;
    assert_eq!((code, shown.as_str(), errors.as_str()), (0, duplicate, ""));
    assert_eq!(events(&[&send[..], &["--local-secret"]].concat(), Some("another"), "").await.1, duplicate);

    let (code, shown, errors) = events(&send, Some("canary-0123456789"), "").await;
    assert_eq!((code, shown.as_str()), (1, "401 rejected: its signature or token is wrong, or too old\n"));
    assert!(errors.contains("sign with the secret and the scheme (--signature) of the function"), "{errors}");
    assert!(!errors.contains("canary"), "{errors}");
    let (code, _, errors) = events(&send, None, " \n").await;
    assert!(code == 2 && errors.contains("no secret in WEBHOOK_SECRET, nor on standard input"), "{errors}");
    let (code, _, errors) =
        events(&["send", "plain/stale", "--to", &format!("{url}/prod"), "--local-secret"], None, "").await;
    assert!(code == 2 && errors.contains("expected the URL of an API without a path"), "{errors}");
    let (code, _, errors) =
        events(&["send", "plain/stale", "--to", "http://127.0.0.1:1", "--local-secret"], None, "").await;
    assert!(code == 5 && errors.contains("no answer from http://127.0.0.1:1"), "{errors}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_scheme_of_a_deployed_function_can_be_named() {
    let mut options = options();
    options.set(find("flexprice").unwrap(), "FLEXPRICE_SIGNATURE", "token:X-Api-Key".to_owned());
    let stack = LocalStack::start(options).await.unwrap();
    let secret = local_secret(find("flexprice").unwrap());
    let url = stack.url();
    let send = ["send", "flexprice/customer-created", "--to", &url];
    let (code, shown, _) = events(&send, Some(&secret), "").await;
    assert_eq!((code, &shown[..12]), (1, "401 rejected"));
    let (code, shown, _) = events(&[&send[..], &["--signature", "token:X-Api-Key"]].concat(), Some(&secret), "").await;
    assert_eq!((code, &shown[..11]), (0, "200 applied"));
    // The local stack signs with its own scheme.
    let admin = format!("http://{}", stack.admin);
    let (code, shown, _) = events(&["send", "flexprice/customer-created", "--local", &admin], None, "").await;
    assert!(code == 0 && shown.starts_with("200 "), "{shown}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_own_event_is_sent_and_signed() {
    let stack = stack().await;
    let admin = format!("http://{}", stack.admin);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("own.json");
    std::fs::write(&file, case("metrifox/customer-created").event.to_string()).unwrap();
    let path = file.to_str().unwrap();
    let (code, shown, errors) = events(&["send", "--file", path, "--local", &admin, "--json"], None, "").await;
    assert_eq!((code, errors.as_str()), (0, ""));
    let answer: Value = serde_json::from_str(&shown).unwrap();
    assert_eq!(answer, json!({ "event": path, "status": 200, "answer": { "outcome": "applied" } }));
    let (_, shown, _) = events(&["sign", "--file", path], None, "").await;
    let signed: Value = serde_json::from_str(&shown).unwrap();
    assert_eq!(signed["rawPath"], "/webhooks/metrifox/metrifox-local-secret");
    let (_, shown, _) = events(&["sign", "--file", path, "--own-secret"], Some("my-own-0123456789"), "").await;
    let signed: Value = serde_json::from_str(&shown).unwrap();
    assert_eq!(signed["rawPath"], "/webhooks/metrifox/my-own-0123456789");

    for (part, error) in [
        (json!({ "body": {} }), "the body of an API Gateway event is a string"),
        (json!({ "requestContext": "x" }), "is not an API Gateway event"),
        (json!({ "pathParameters": [] }), "is not an API Gateway event"),
    ] {
        let mut event = case("metrifox/customer-created").event.clone();
        event.as_object_mut().unwrap().extend(part.as_object().unwrap().clone());
        std::fs::write(&file, event.to_string()).unwrap();
        let (code, _, errors) = events(&["sign", "--file", path], None, "").await;
        assert!(code == 1 && errors.contains(error), "{code} {errors}");
        let (code, _, errors) = events(&["send", "--file", path, "--local", &admin], None, "").await;
        assert!(code == 2 && errors.contains(error), "{code} {errors}");
    }
    std::fs::write(&file, r#"{"rawPath":"/somewhere"}"#).unwrap();
    let (code, _, errors) = events(&["send", "--file", path, "--local", &admin], None, "").await;
    assert!(code == 1 && errors.contains("rawPath is not the path of a webhook"), "{errors}");
    let (code, _, errors) = events(&["send", "--file", path, "plain/stale"], None, "").await;
    assert!(code == 2 && errors.contains("cannot be used with"), "{errors}");
}

/// What has no effect is refused rather than ignored. No option takes a secret.
#[test]
fn options_that_exclude_each_other() {
    for arguments in [
        &["events", "send", "plain/stale", "--signature", "svix"][..],
        &["events", "send", "plain/stale", "--local-secret"],
        &["events", "send", "plain/stale", "--to", "http://127.0.0.1:1", "--local", "http://127.0.0.1:1"],
        &["events", "send", "plain/stale", "--secret", "s"],
        &["events", "send", "plain/stale", "--stack", "clientele"],
        &["events", "send"],
    ] {
        assert_eq!(run(arguments).0, 2, "{arguments:?}");
    }
}

/// A forged event is refused, which is what it is for.
#[tokio::test(flavor = "multi_thread")]
async fn a_forged_event_should_be_refused() {
    let stack = stack().await;
    let admin = format!("http://{}", stack.admin);
    for case in cases().iter().filter(|case| case.expected.forged) {
        let title = case.title();
        let command = with_local(&["send", &title], &admin).into_iter().map(str::to_owned).collect::<Vec<_>>();
        let (code, shown, errors) = events(&command.iter().map(String::as_str).collect::<Vec<_>>(), None, "").await;
        assert_eq!((code, errors.as_str()), (0, ""), "{title}");
        assert!(shown.starts_with(&format!("{} rejected", case.expected.status)), "{shown}");
    }
}
