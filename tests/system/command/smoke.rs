//! `clientele smoke`: the test of a deployed stack.

use clientele::events::{self, Case};
use clientele::synthetic::SyntheticCustomer;
use clientele_providers::PROVIDERS;
use serde_json::{Value, json};

use crate::command::deployed::{ANNOUNCED, Deployed, deploy};
use crate::support::aws::AwsStandIn;
use crate::support::deliveries::deletes;
use crate::support::{all_items, case, cases, drain, options, root, stack_with_template};

const SMOKE: [&str; 3] = ["smoke", "--stack", "test"];

#[tokio::test(flavor = "multi_thread")]
async fn smoke_proves_a_stack_and_leaves_no_trace() {
    let deployed = deploy(options()).await;
    // A message of another customer must stay on the queue.
    let queue = &deployed.stack.queue_urls["cleanup"];
    let other = deployed.stack.clients.sqs.send_message().queue_url(queue).message_body(r#"{"cleanup_id":"other"}"#);
    other.send().await.unwrap();
    let (code, shown, errors) = deployed.run(&SMOKE, "").await;
    assert!(code == 0 && errors.starts_with(ANNOUNCED), "{shown} {errors}");
    let count = |step: &str| shown.matches(step).count();
    assert_eq!(count("a forged delivery is refused"), PROVIDERS.len(), "{shown}");
    assert_eq!(count("the item is in the table"), PROVIDERS.len(), "{shown}");
    let deleting = PROVIDERS.iter().filter(|provider| deletes(provider.name)).count();
    assert_eq!(count("only a tombstone is left"), deleting, "{shown}");
    assert_eq!(count("the cleanup message was on the queue"), deleting, "{shown}");
    let reported = errors.lines().filter(|line| line.starts_with("✓ ") && line.contains(" ms")).count();
    assert_eq!(reported, count("✓"), "each step is reported when it is done: {errors}");
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
    let arguments = [&SMOKE[..], &["--wait", "0"]].concat();
    let (code, shown, errors) = deployed.run(&arguments, "").await;
    assert!(code == 1 && errors.ends_with("error: the smoke test failed for plain\n"), "{errors}");
    assert!(shown.contains("a customer is accepted: the answer is 401") && shown.contains("`clientele secrets list`"));
    assert_eq!(shown.matches('✗').count(), 1, "{shown}");
    assert!(errors.contains("✗ plain      a customer is accepted: the answer is 401"), "{errors}");
    assert_eq!(all_items(&deployed.stack).await, [] as [Value; 0]);

    let (code, shown, _) = deployed.run(&[&arguments[..], &["--json"]].concat(), "").await;
    let steps: Vec<Value> = shown.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(code, 1);
    let failed: Vec<_> = steps.iter().filter(|step| step["passed"] == false).collect();
    assert_eq!(failed.len(), 1, "{shown}");
    assert_eq!((&failed[0]["provider"], &failed[0]["step"]), (&json!("plain"), &json!("a customer is accepted")));
    assert!(failed[0]["error"].as_str().unwrap().starts_with("the answer is 401"), "{shown}");
    let passed = steps.iter().filter(|step| step["passed"] == true);
    assert!(passed.clone().all(|step| step["error"].is_null() && step["duration_ms"].is_u64()), "{shown}");
    assert!(passed.count() > PROVIDERS.len(), "{shown}");
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
    assert!(code == 0 && !errors.contains("error"), "{shown} {errors}");
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
    assert!(code == 0 && !errors.contains("error"), "{shown} {errors}");
    assert_eq!(shown.matches("no secret yet").count(), PROVIDERS.len(), "{shown}");
    assert_eq!(shown.matches("a forged delivery is refused").count(), PROVIDERS.len(), "{shown}");
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
