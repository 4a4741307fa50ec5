//! The commands for a deployed stack, which a local stack replaces here.

use std::process::Command;

use clientele::events::{self, Case};
use clientele::stack::{LocalStack, StackOptions};
use clientele::synthetic::SyntheticCustomer;
use clientele_providers::{PROVIDERS, local_secret};
use serde_json::{Value, json};

use crate::support::aws::AwsStandIn;
use crate::support::cli::{clientele, run_with_input};
use crate::support::deliveries::deletes;
use crate::support::{all_items, case, cases, drain, options, root, stack_with_template};

/// A deployed stack named `test`, and the stand-in for AWS that the commands call.
pub(super) struct Deployed {
    pub(super) stack: LocalStack,
    pub(super) aws: AwsStandIn,
}

pub(super) async fn deploy(options: StackOptions) -> Deployed {
    let stack = LocalStack::start(options).await.unwrap();
    let aws = AwsStandIn::start(&stack).await;
    Deployed { stack, aws }
}

impl Deployed {
    /// Exit code, standard output, standard error.
    pub(super) async fn run(&self, arguments: &[&str], input: &str) -> (i32, String, String) {
        self.run_with(clientele(arguments), input).await
    }

    pub(super) async fn run_with(&self, mut command: Command, input: &str) -> (i32, String, String) {
        command.env("AWS_REGION", "eu-west-1").env("AWS_ACCESS_KEY_ID", "a").env("AWS_SECRET_ACCESS_KEY", "s");
        command.env("AWS_ENDPOINT_URL", &self.aws.url);
        let input = input.to_owned();
        tokio::task::spawn_blocking(move || run_with_input(&mut command, &input)).await.unwrap()
    }
}

/// What every command for a deployed stack prints on standard error.
pub(super) const ANNOUNCED: &str = "stack test in eu-central-1, account 123456789012\n";

const SMOKE: [&str; 3] = ["smoke", "--stack", "test"];

#[tokio::test(flavor = "multi_thread")]
async fn smoke_proves_a_stack_and_leaves_no_trace() {
    let deployed = deploy(options()).await;
    // A message of another customer must stay on the queue.
    let queue = &deployed.stack.queue_urls["cleanup"];
    let other = deployed.stack.clients.sqs.send_message().queue_url(queue).message_body(r#"{"cleanup_id":"other"}"#);
    other.send().await.unwrap();
    let (code, shown, errors) = deployed.run(&SMOKE, "").await;
    assert_eq!((code, errors.as_str()), (0, ANNOUNCED), "{shown}");
    let count = |step: &str| shown.matches(step).count();
    assert_eq!(count("a forged delivery is refused"), PROVIDERS.len(), "{shown}");
    assert_eq!(count("the item is in the table"), PROVIDERS.len(), "{shown}");
    let deleting = PROVIDERS.iter().filter(|provider| deletes(provider.name)).count();
    assert_eq!(count("only a tombstone is left"), deleting, "{shown}");
    assert_eq!(count("the cleanup message was on the queue"), deleting, "{shown}");
    assert_eq!(all_items(&deployed.stack).await, [] as [Value; 0]);
    assert_eq!(drain(&deployed.stack, "cleanup").await, [json!({ "cleanup_id": "other" })]);
}

/// Another consumer may take the message first, or it waits behind others. Here SQS delays it.
#[tokio::test(flavor = "multi_thread")]
async fn smoke_passes_if_the_message_was_sent_but_not_seen() {
    let deployed = deploy(options()).await;
    let (sqs, queue) = (&deployed.stack.clients.sqs, &deployed.stack.queue_urls["cleanup"]);
    let delayed = sqs.set_queue_attributes().queue_url(queue).attributes("DelaySeconds".into(), "900");
    delayed.send().await.unwrap();
    let (code, shown, _) = deployed.run(&[&SMOKE[..], &["--provider", "plain", "--wait", "1"]].concat(), "").await;
    assert_eq!(code, 0, "{shown}");
    assert!(shown.contains("sent, but not seen") && !shown.contains("metrifox"), "{shown}");
}

#[tokio::test(flavor = "multi_thread")]
async fn smoke_fails_when_a_delivery_is_refused() {
    let deployed = deploy(options()).await;
    deployed.aws.set_secret("plain", "not the function's");
    let (code, shown, errors) = deployed.run(&[&SMOKE[..], &["--wait", "0"]].concat(), "").await;
    assert_eq!(
        (code, errors.as_str()),
        (1, format!("{ANNOUNCED}error: the smoke test failed for plain\n").as_str()),
        "{shown}"
    );
    assert!(shown.contains("a customer is accepted: the answer is 401"), "{shown}");
    assert_eq!(shown.matches('✗').count(), 1, "{shown}");
    assert_eq!(all_items(&deployed.stack).await, [] as [Value; 0]);
}

/// The smoke test has no client certificate, so it cannot use the name that Plain's function requires.
#[tokio::test(flavor = "multi_thread")]
async fn smoke_expects_a_refusal_where_a_domain_name_is_required() {
    let own_name = (
        "  PlainDomainName:\n    Type: String\n    Default: \"\"",
        "  PlainDomainName:\n    Default: plain.example.com",
    );
    let required = (
        "  RequirePlainDomainName:\n    Type: String\n    Default: \"false\"",
        "  RequirePlainDomainName:\n    Default: \"true\"",
    );
    let stack = stack_with_template(&[own_name, required]).await;
    let deployed = Deployed { aws: AwsStandIn::start(&stack).await, stack };
    let (code, shown, errors) = deployed.run(&SMOKE, "").await;
    assert_eq!((code, errors.as_str()), (0, ANNOUNCED), "{shown}");
    let count = |step: &str| shown.matches(step).count();
    assert_eq!(count("accepts only its own domain name"), 1, "{shown}");
    assert_eq!(count("the item is in the table"), PROVIDERS.len() - 1, "{shown}");
    assert_eq!(all_items(&deployed.stack).await, [] as [Value; 0]);
}

/// A stack without secrets refuses every delivery, and the smoke test expects that.
#[tokio::test(flavor = "multi_thread")]
async fn smoke_passes_on_a_stack_without_secrets() {
    let mut options = options();
    for &provider in PROVIDERS {
        options.set(provider, "WEBHOOK_SECRETS", "[]".to_owned());
    }
    let deployed = deploy(options).await;
    let (code, shown, errors) = deployed.run(&SMOKE, "").await;
    assert_eq!((code, errors.as_str()), (0, ANNOUNCED), "{shown}");
    assert_eq!(shown.matches("no secret yet").count(), PROVIDERS.len(), "{shown}");
    assert_eq!(shown.matches("a forged delivery is refused").count(), PROVIDERS.len(), "{shown}");
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

    let (code, shown, _) = deployed.run(&["secrets", "list", "--stack", "test"], "").await;
    let line = |name: &str| format!("{name:<11}{}\n", if name == "plain" { 2 } else { 1 });
    let expected: String = PROVIDERS.iter().map(|provider| line(provider.name)).collect();
    assert_eq!((code, shown), (0, expected));
    let remove = |position| ["secrets", "remove", "plain", position, "--stack", "test"];
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
    assert!(shown.contains("plain      0: every delivery is refused\n"), "{shown}");
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
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_that_does_not_fit_is_not_written() {
    let deployed = deploy(options()).await;
    let local = deployed.aws.secret("flexprice");
    let unpadded = local.trim_end_matches('=');
    for (provider, input, error) in [
        ("flexprice", "nonsense!", "nothing was changed: the secret for flexprice is not `whsec_` followed by base64"),
        ("flexprice", "bm9uc2Vuc2U=", "the secret for flexprice is too weak: a key of at least 24 bytes is required"),
        ("flexprice", "", "there is no secret on standard input"),
        ("flexprice", " \u{feff}\n", "there is no secret on standard input"),
        ("flexprice", "a\nb", "standard input must hold one secret on one line"),
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
    let (code, shown, _) = deployed.run(&["secrets", "list", "--stack", "test"], "").await;
    let problems = [
        "metrifox   3",
        "           secret 1 is weak: at least 16 characters are required",
        "           secret 2 is not text",
        "           secret 3 is empty",
    ];
    assert!(code == 0 && shown.starts_with(&problems.join("\n")), "{shown}");
    let (code, _, errors) = deployed.run(&["secrets", "add", "metrifox", "--stack", "test"], "0123456789abcdef").await;
    assert_eq!((code, errors.as_str()), (0, ANNOUNCED));
    assert_eq!(deployed.aws.secret("metrifox"), r#"["0123456789abcdef","canary",1.50,""]"#);
    for (position, rest) in [("4", r#"["0123456789abcdef","canary",1.50]"#), ("3", r#"["0123456789abcdef","canary"]"#)]
    {
        let (code, _, errors) = deployed.run(&["secrets", "remove", "metrifox", position, "--stack", "test"], "").await;
        assert_eq!((code, errors.as_str(), deployed.aws.secret("metrifox").as_str()), (0, ANNOUNCED, rest));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_find_the_table_and_queue_of_a_deployed_stack() {
    let deployed = deploy(options()).await;
    let case = case("plain/customer-created");
    let event = case.sign(&crate::support::scheme(case), &local_secret(case.provider), jiff::Timestamp::now()).unwrap();
    crate::support::handle(&deployed.stack.receivers["plain"], &event, jiff::Timestamp::now()).await;
    let (code, shown, errors) = deployed.run(&["customers", "list", "--stack", "test"], "").await;
    assert_eq!((code, errors.as_str()), (0, ANNOUNCED));
    assert!(shown.contains("Ada Byron"), "{shown}");
    assert_eq!(deployed.run(&["cleanup", "list", "--stack", "test"], "").await.0, 0);
    let restored = ["customers", "list", "--stack", "test", "--table", "nothing"];
    let (code, _, errors) = deployed.run(&restored, "").await;
    assert!(code == 5 && errors.contains("the table of test cannot be read"), "{errors}");
    for command in [&["customers", "list"][..], &["cleanup", "list"], &["smoke"], &["secrets", "list"]] {
        let (code, _, errors) = deployed.run(&[command, &["--stack", "nothing"]].concat(), "").await;
        assert_eq!(code, 4);
        assert!(errors.contains("there is no stack nothing in eu-west-1"), "{errors}");
    }
}

/// The synthetic event contains no identifier of the original customer, so no system can find a real customer by it.
#[test]
fn a_synthetic_customer_has_no_real_identifier() {
    for name in ["customer-created", "customer-deleted"] {
        for case in cases().iter().filter(|case| case.name == name) {
            let synthetic = SyntheticCustomer::new(&[case]).unwrap();
            let body = events::body(&synthetic.substitute(case).unwrap().event).unwrap();
            assert!(body.contains(synthetic.id()), "{}", case.title());
            let Case { expected, .. } = case;
            for message in &expected.cleanup {
                let identifiers = &message["identifiers"];
                let lists = [&identifiers["emails"], &identifiers["phones"]];
                let known = lists.into_iter().flat_map(|list| list.as_array().unwrap());
                for known in known.chain([&message["external_id"], &message["customer_id"]]) {
                    let known = known.as_str().unwrap().to_lowercase();
                    assert!(!body.to_lowercase().contains(&format!("\"{known}\"")), "{}: {known}", case.title());
                }
            }
        }
    }
    assert!(SyntheticCustomer::new(&[case("plain/unrelated-thread")]).is_err());
}

/// The key of a synthetic customer differs from that of the event's customer in the id alone, even where the key escapes
/// the original id. An event in which the id cannot be replaced is not sent.
#[test]
fn a_synthetic_customer_has_its_own_key() {
    let mut case = case("plain/customer-created").clone();
    let (_, item) = case.expected.items.pop_first().unwrap();
    case.expected.items.insert("plain#w_1#50%25".to_owned(), json!({ "customer_id": "50%" }));
    let synthetic = SyntheticCustomer::new(&[&case]).unwrap();
    assert_eq!(synthetic.pk(), format!("plain#w_1#{}", synthetic.id()));
    let error = synthetic.substitute(&case).unwrap_err().to_string();
    assert_eq!(error, "the event would change the customer that it was recorded for");
    assert_ne!(item["customer_id"], "50%");
}

/// The policy in docs/deploy.md allows the smoke test to delete synthetic customers, and no others.
#[test]
fn the_smoke_test_may_delete_only_synthetic_customers() {
    let page = std::fs::read_to_string(root("docs/deploy.md")).unwrap();
    let policy = page.split("```json").map(|block| block.split("```").next().unwrap());
    let policy = policy.map(serde_json::from_str::<Value>).find_map(Result::ok).unwrap();
    let statements = policy["Statement"].as_array().unwrap();
    let [statement] =
        &statements.iter().filter(|it| it["Action"].to_string().contains("DeleteItem")).collect::<Vec<_>>()[..]
    else {
        panic!("one statement about items")
    };
    assert_eq!(statement["Condition"]["Null"], json!({ "dynamodb:LeadingKeys": "false" }));
    let pattern = statement["Condition"]["ForAllValues:StringLike"]["dynamodb:LeadingKeys"].as_str().unwrap();
    for case in cases().iter().filter(|case| !case.expected.items.is_empty()) {
        let synthetic = SyntheticCustomer::new(&[case]).unwrap();
        assert!(is_like(synthetic.pk(), pattern), "{}", synthetic.pk());
        assert!(!case.expected.items.keys().any(|pk| is_like(pk, pattern)), "{}", case.title());
    }
    for real in ["plain#clientele-smoke-1#c_1", "plain#w_1#c_clientele-smoke-1", "clientele-smoke-1#w_1#c_1"] {
        assert!(!is_like(real, pattern), "{real}");
    }
}

/// Whether a text matches a pattern, in which `*` stands for any characters.
fn is_like(text: &str, pattern: &str) -> bool {
    let Some((start, rest)) = pattern.split_once('*') else { return text == pattern };
    let Some(text) = text.strip_prefix(start) else { return false };
    text.char_indices().map(|(at, _)| at).chain([text.len()]).any(|at| is_like(&text[at..], rest))
}
