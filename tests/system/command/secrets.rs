//! `clientele secrets`: the secrets of a deployed stack.

use clientele_providers::PROVIDERS;
use serde_json::{Value, json};

use crate::command::deployed::{ANNOUNCED, Deployed, deploy};
use crate::support::options;

/// The lines of `secrets list --json`: the provider, and for each secret whether it is used and its problem.
async fn listed(deployed: &Deployed) -> Vec<(String, Vec<(bool, Value)>)> {
    let (code, shown, errors) = deployed.run(&["secrets", "list", "--stack", "test", "--json"], "").await;
    assert_eq!((code, errors.as_str()), (0, ANNOUNCED));
    let line = |line: &str| {
        let line: Value = serde_json::from_str(line).unwrap();
        let secrets = line["secrets"].as_array().unwrap().iter().enumerate().map(|(index, secret)| {
            assert_eq!(secret["position"], index + 1);
            (secret["is_used"].as_bool().unwrap(), secret["problem"].clone())
        });
        (line["provider"].as_str().unwrap().to_owned(), secrets.collect())
    };
    shown.lines().map(line).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_are_set_and_rotated() {
    let deployed = deploy(options()).await;
    deployed.aws.set_secret("plain", "[]");
    let add = ["secrets", "add", "plain", "--stack", "test"];
    let [first, second] = ["the-first-secret-of-plain", "the-second-secret-of-plain"];
    let (code, shown, errors) = deployed.run(&add, &format!("{first}\n")).await;
    assert_eq!((code, errors.as_str()), (0, ANNOUNCED));
    assert!(shown.starts_with("plain has its first secret."), "{shown}");
    let (_, shown, _) = deployed.run(&add, &format!("\u{feff}{second}\r\n")).await;
    assert!(shown.starts_with("plain has 2 secrets, all valid; the new one is at position 1"), "{shown}");
    assert_eq!(deployed.aws.secret("plain"), format!(r#"["{second}","{first}"]"#));
    assert!(!shown.contains(first) && !shown.contains(second), "a secret is shown: {shown}");

    let good = (true, Value::Null);
    let expected = PROVIDERS.iter().map(|provider| {
        let count = if provider.name == "plain" { 2 } else { 1 };
        (provider.name.to_owned(), vec![good.clone(); count])
    });
    assert_eq!(listed(&deployed).await, expected.collect::<Vec<_>>());
    let remove = |position| ["secrets", "remove", "plain", position, "--yes", "--stack", "test"];
    // Nobody can be asked, so nothing is removed. The question names stack, region and account.
    let (code, _, errors) = deployed.run(&["secrets", "remove", "plain", "2", "--stack", "test"], "y\n").await;
    assert!(
        code == 2 && errors.contains("confirm with --yes") && errors.matches(ANNOUNCED.trim()).count() == 2,
        "{errors}"
    );
    assert!(deployed.aws.secret("plain").contains(first));
    let (code, _, _) = deployed.run(&remove("2"), "").await;
    assert_eq!((code, deployed.aws.secret("plain").as_str()), (0, format!(r#"["{second}"]"#).as_str()));

    let (code, _, errors) = deployed.run(&remove("1"), "").await;
    assert_eq!(code, 1);
    assert!(errors.contains("this is the only secret of plain") && errors.contains("--last"), "{errors}");
    let (code, _, errors) = deployed.run(&remove("2"), "").await;
    assert_eq!(
        (code, errors.as_str()),
        (4, format!("{ANNOUNCED}error: plain has no secret at position 2; it has 1\n").as_str())
    );
    let (code, _, _) = deployed.run(&[&remove("1")[..], &["--last"]].concat(), "").await;
    assert_eq!((code, deployed.aws.secret("plain").as_str()), (0, "[]"));
    let (_, shown, _) = deployed.run(&["secrets", "list", "--stack", "test"], "").await;
    let line = shown.lines().find(|line| line.contains("plain")).unwrap();
    assert!(line.contains("no secret: every delivery is refused"), "{shown}");
    assert!(listed(&deployed).await.contains(&("plain".to_owned(), vec![])));
}

/// A secret that was set as plain text, for example in the console, becomes part of the list.
#[tokio::test(flavor = "multi_thread")]
async fn only_a_generated_secret_is_shown() {
    let deployed = deploy(options()).await;
    let (code, shown, _) = deployed.run(&["secrets", "add", "metrifox", "--generate", "--stack", "test"], "").await;
    assert_eq!(code, 0);
    let secrets: Vec<String> = serde_json::from_str(&deployed.aws.secret("metrifox")).unwrap();
    let [made, before] = &secrets[..] else { panic!("{secrets:?}") };
    assert_eq!((made.len(), before.as_str()), (40, "metrifox-local-secret"));
    assert!(shown.ends_with(&format!("{}/webhooks/metrifox/{made}\n", deployed.stack.url())), "{shown}");
    let (code, shown, _) = deployed.run(&["secrets", "add", "metrifox", "--stack", "test"], "my-own-0123456789").await;
    assert_eq!(code, 0);
    assert!(shown.ends_with("/webhooks/metrifox/YOUR-SECRET\n") && !shown.contains("my-own"), "{shown}");

    let generate = ["secrets", "add", "smarterpay", "--generate", "--json", "--stack", "test"];
    let (code, shown, _) = deployed.run(&generate, "").await;
    let added: Value = serde_json::from_str(&shown).unwrap();
    let secrets: Vec<String> = serde_json::from_str(&deployed.aws.secret("smarterpay")).unwrap();
    assert_eq!((code, added), (0, json!({ "provider": "smarterpay", "secrets": 2, "secret": secrets[0] })));
    let add = ["secrets", "add", "metrifox", "--json", "--stack", "test"];
    let (code, shown, _) = deployed.run(&add, "another-0123456789").await;
    assert!(code == 0 && shown.contains(r#""secrets":4"#) && !shown.contains("another"), "{shown}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_that_does_not_fit_is_not_written() {
    let deployed = deploy(options()).await;
    let local = deployed.aws.secret("flexprice");
    let unpadded = local.trim_end_matches('=');
    for (provider, input, error) in [
        ("flexprice", "nonsense!", "nothing was changed: the secret for flexprice is not `whsec_` followed by base64"),
        ("flexprice", "bm9uc2Vuc2U=", "the secret for flexprice is too weak: a key of at least 24 bytes is required"),
        ("flexprice", "", "no secret was entered"),
        ("flexprice", " \u{feff}\n", "no secret was entered"),
        ("flexprice", "a\nb", "expected one secret on one line"),
        ("flexprice", &local, "flexprice has this secret already"),
        ("flexprice", unpadded, "flexprice has this secret already"),
        ("metrifox", "nonsense", "nothing was changed: the secret for metrifox is too weak: at least 16 characters"),
        ("metrifox", "nonsense/nonsense", "the secret for metrifox is too weak: in a URL only the letters"),
        ("smarterpay", "nonsense", "nothing was changed: the secret for smarterpay is too weak: at least 16"),
    ] {
        let before = deployed.aws.secret(provider);
        let (code, _, errors) = deployed.run(&["secrets", "add", provider, "--stack", "test"], input).await;
        assert_eq!(code, 1, "{input}");
        assert!(errors.contains(error), "{errors}");
        assert!(
            input.len() < 3 || !errors.contains(input.trim()) || input.trim().is_empty(),
            "the secret is in the error"
        );
        assert_eq!(deployed.aws.secret(provider), before);
    }
}

/// Plain generates its secret, so an operator cannot choose a better one.
#[tokio::test(flavor = "multi_thread")]
async fn a_weak_secret_of_plain_is_added_with_a_warning() {
    let deployed = deploy(options()).await;
    deployed.aws.set_secret("plain", "[]");
    let (code, shown, errors) = deployed.run(&["secrets", "add", "plain", "--stack", "test"], "short").await;
    let warning = format!("{ANNOUNCED}Warning: the secret for plain is weak: at least 16 characters are required.\n");
    assert_eq!((code, errors), (0, warning), "{shown}");
    assert_eq!(deployed.aws.secret("plain"), r#"["short"]"#);
}

/// What cannot be used is listed, and does not prevent a change. The other entries stay as they were written.
#[tokio::test(flavor = "multi_thread")]
async fn unusable_secrets_can_be_replaced() {
    let deployed = deploy(options()).await;
    deployed.aws.set_secret("metrifox", r#"["canary", 1.50, ""]"#);
    let weak = "at least 16 characters are required";
    let states = vec![(true, json!(weak)), (false, json!("is not text")), (false, json!("is empty"))];
    assert!(listed(&deployed).await.contains(&("metrifox".to_owned(), states)));
    let (code, shown, _) = deployed.run(&["secrets", "list", "--stack", "test"], "").await;
    assert!(
        code == 0 && shown.contains(&format!("weak: {weak}")) && shown.contains("not used: it is empty"),
        "{shown}"
    );
    assert!(!shown.contains("canary"), "a secret is shown: {shown}");
    let (code, _, errors) = deployed.run(&["secrets", "add", "metrifox", "--stack", "test"], "0123456789abcdef").await;
    assert_eq!((code, errors.as_str()), (0, ANNOUNCED));
    assert_eq!(deployed.aws.secret("metrifox"), r#"["0123456789abcdef","canary",1.50,""]"#);
    for (position, rest) in [("4", r#"["0123456789abcdef","canary",1.50]"#), ("3", r#"["0123456789abcdef","canary"]"#)]
    {
        let (code, _, errors) =
            deployed.run(&["secrets", "remove", "metrifox", position, "--stack", "test", "--yes"], "").await;
        assert_eq!((code, errors.as_str(), deployed.aws.secret("metrifox").as_str()), (0, ANNOUNCED, rest));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_that_cannot_be_read_are_an_outage() {
    let deployed = deploy(options()).await;
    deployed.aws.remove_secret("plain");
    for command in [&["list"][..], &["add", "plain"], &["remove", "plain", "1", "--yes"]] {
        let arguments = [&["secrets"], command, &["--stack", "test"]].concat();
        let (code, _, errors) = deployed.run(&arguments, "0123456789abcdef").await;
        assert!(code == 5 && errors.contains("the secret of plain cannot be read: check"), "{code} {errors}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_api_key_replaces_the_one_before() {
    let deployed = deploy(options()).await;
    deployed.aws.set_secret("plain", r#"["a-secret-of-the-webhook"]"#);
    let set = ["secrets", "set-api-key", "plain", "--stack", "test"];
    for key in ["the-first-key-of-plain", "the-second-key-of-plain"] {
        let (code, shown, errors) = deployed.run(&set, &format!("{key}\r\n")).await;
        assert_eq!((code, errors.as_str()), (0, ANNOUNCED));
        assert_eq!(shown, "plain has this API key now. The next reconciliation uses it.\n");
        assert_eq!(deployed.aws.api_key("plain"), key);
    }
    assert_eq!(deployed.aws.secret("plain"), r#"["a-secret-of-the-webhook"]"#, "another secret");
    let (_, shown, _) = deployed.run(&[&set[..], &["--json"]].concat(), "the-second-key-of-plain").await;
    assert_eq!(shown, "{\"provider\":\"plain\"}\n");
}

/// Nothing is stored, and nothing of the key is printed.
#[tokio::test(flavor = "multi_thread")]
async fn a_text_that_is_no_api_key_is_refused() {
    let deployed = deploy(options()).await;
    for (provider, key, code, error) in [
        ("plain", "", 1, "no secret was entered"),
        ("plain", "hunter2\nhunter2", 1, "expected one secret on one line"),
        ("plain", "[\"hunter2\"]", 1, "not a list"),
        ("plain", "hunter2 hunter2", 1, "it contains characters other than visible ASCII"),
        ("metrifox", "hunter2", 4, "the stack test has no place for an API key of metrifox"),
    ] {
        let (actual, shown, errors) = deployed.run(&["secrets", "set-api-key", provider, "--stack", "test"], key).await;
        assert_eq!((actual, shown.as_str()), (code, ""), "{key}");
        assert!(errors.contains(error) && !errors.contains("hunter2"), "{errors}");
    }
    assert_eq!(deployed.aws.api_key("plain"), "[]");
}
