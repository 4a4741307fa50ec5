//! The command as a user runs it, in a process of its own.

use clap::Parser;
use clientele_model::{Scheme, TokenPlace};
use clientele_providers::PROVIDERS;
use rstest::rstest;
use serde_json::{Value, json};

use crate::command::deliveries_benchmark::{Options, run as measure};
use crate::support::cli::{ANY_PORTS, RunningStack, clientele, run, with_local};
use crate::support::{case, drain, root};

#[test]
fn once_shows_every_event() {
    let (code, shown, errors) = run(&[&["--once"], &ANY_PORTS[..]].concat());
    assert_eq!((code, errors.as_str()), (0, ""), "{shown}");
    for case in crate::support::cases() {
        assert!(shown.contains(&case.title()), "{}", case.title());
    }
    for word in ["applied", "duplicate", "stale", "ignored", "rejected", "401", "498", "customer.deleted NW-0003"] {
        assert!(shown.contains(word), "{word}");
    }
    let cases = crate::support::cases();
    let customers: std::collections::BTreeSet<_> = cases.iter().flat_map(|case| case.expected.items.keys()).collect();
    let cleanups: usize = cases.iter().map(|case| case.expected.cleanup.len()).sum();
    let (deliveries, customers) = (cases.len(), customers.len());
    let expected = format!(
        "{deliveries} deliveries as expected: {customers} customers in the table, {cleanups} cleanup messages on the queue."
    );
    assert!(shown.contains(&expected), "{shown}");
}

/// Settings for AWS in the environment do not affect the local stack.
#[test]
fn the_local_stack_ignores_settings_for_aws() {
    let output = clientele(&[&["--once"], &ANY_PORTS[..]].concat())
        .env("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
        .env("AWS_ENDPOINT_URL_DYNAMODB", "http://127.0.0.1:1")
        .env("HTTP_PROXY", "http://127.0.0.1:1")
        .env("AWS_USE_FIPS_ENDPOINT", "true")
        .env("AWS_USE_DUALSTACK_ENDPOINT", "true")
        .output();
    assert!(output.unwrap().status.success());
}

/// Replaced secrets are used for signing. With a replaced scheme the results cannot be judged, which is an error.
#[test]
fn once_fails_if_results_cannot_be_judged() {
    let plain = format!("plain={}", json!(["the-new-one-of-plain", "the-old-one-of-plain"]));
    let (code, _, errors) =
        run(&[&["--once", "--secret", &plain, "--secret", "metrifox=Az09-._~0123456789"], &ANY_PORTS[..]].concat());
    assert_eq!((code, errors.as_str()), (0, ""));
    let (code, _, errors) =
        run(&[&["--once", "--signature", "smarterpay=basic", "--secret", "smarterpay=u:p"], &ANY_PORTS[..]].concat());
    assert_eq!((code, errors.as_str()), (1, "error: the results cannot be judged: --signature changes a scheme\n"));
}

/// The flag refuses what the function would warn about. The error says what is required, and nothing of the secret.
#[rstest]
#[case("metrifox=a/b?c", "--secret: the secret for metrifox is too weak: in a URL only the letters")]
#[case("metrifox=canary", "--secret: the secret for metrifox is too weak: at least 16 characters are required")]
#[case(r#"metrifox=[" "]"#, "--secret: the secret for metrifox is empty")]
#[case("metrifox= ", "--secret: the secret for metrifox is empty")]
#[case("plain=", "--secret: the secret for plain is empty")]
#[case("plain=[]", "--secret: the secret for plain is empty")]
#[case(r#"metrifox=["0123456789abcdef", "canary"]"#, "the secret for metrifox is too weak: at least 16 characters")]
#[case(r#"metrifox=["0123456789abcdef", 17]"#, "--secret: a secret for metrifox is not text")]
#[case(r#"metrifox=["canary""#, "--secret: the value for metrifox: begins with `[` but is not a JSON array")]
#[case("smarterpay=canary", "--secret: the secret for smarterpay is too weak: at least 16 characters are required")]
#[case("flexprice=whsec_!canary", "--secret: the secret for flexprice is not `whsec_` followed by base64")]
#[case("flexprice=whsec_canary==", "--secret: the secret for flexprice is too weak: a key of at least 24 bytes")]
fn weak_secrets_are_refused_by_the_flag(#[case] flag: &str, #[case] error: &str) {
    let (code, shown, errors) = run(&[&["--once", "--secret", flag], &ANY_PORTS[..]].concat());
    assert_eq!((code, shown.as_str()), (2, ""), "{errors}");
    assert!(errors.contains(error), "{errors}");
    assert!(!errors.contains("canary") && !errors.contains("b?c"), "{errors}");
}

#[rstest]
#[case("smarterpay=basic", "smarterpay=:", "is not `user:password`")]
#[case("smarterpay=basic", "smarterpay=canary:", "is too weak: a user and a password are required")]
#[case("smarterpay=basic", "smarterpay=:canary", "is too weak: a user and a password are required")]
#[case("flexprice=token:X-Api-Key", "flexprice=0123456789abcdéf", "in a header only visible ASCII characters")]
#[case("metrifox=hmac-sha256-hex:X-Signature", "metrifox=canary", "at least 16 characters are required")]
fn strength_depends_on_the_signature_flag(#[case] scheme: &str, #[case] secret: &str, #[case] error: &str) {
    let flags = ["--once", "--signature", scheme, "--secret", secret];
    let (code, shown, errors) = run(&[&flags, &ANY_PORTS[..]].concat());
    assert_eq!((code, shown.as_str()), (2, ""), "{errors}");
    assert!(errors.contains(error) && !errors.contains("canary"), "{errors}");
}

/// Plain generates its secret, so an operator cannot choose a better one.
#[test]
fn a_weak_secret_of_plain_is_only_warned_about() {
    let (code, _, errors) = run(&[&["--once", "--secret", "plain=short"], &ANY_PORTS[..]].concat());
    let warning = "Warning: the secret for plain is weak: at least 16 characters are required.\n";
    assert_eq!((code, errors.as_str()), (0, warning));
}

/// All event files are signed and verified with one key, however it is spelled.
#[rstest]
#[case("v1,whsec_++//MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NQ==")]
#[case("whsec_--__MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NQ")]
#[case(r#"[" whsec_++//MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NQ\r\n", "++//MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NQ=="]"#)]
fn a_svix_secret_may_be_spelled_differently(#[case] secret: &str) {
    let flag = format!("flexprice={secret}");
    let (code, _, errors) = run(&[&["--once", "--secret", &flag], &ANY_PORTS[..]].concat());
    assert_eq!((code, errors.as_str()), (0, ""));
}

/// An unexpected result is described, and the exit code is 1.
#[test]
fn once_fails_on_an_unexpected_result() {
    let folder = tempfile::tempdir().unwrap();
    for &provider in PROVIDERS {
        std::fs::create_dir_all(folder.path().join(provider.name)).unwrap();
    }
    for ending in [".json", ".expected.json"] {
        let file = format!("plain/customer-created{ending}");
        let text = std::fs::read_to_string(root("events").join(&file))
            .unwrap()
            .replace("\"name\": \"Ada Byron\"", "\"name\": \"Eve\"");
        std::fs::write(folder.path().join(file), text).unwrap();
    }
    let events = folder.path().to_string_lossy().into_owned();
    let (code, _, errors) = run(&[&["--once", "--events", &events], &ANY_PORTS[..]].concat());
    assert_eq!(code, 1);
    assert!(errors.contains(r#"name is "Ada Byron", should be "Eve""#), "{errors}");
    assert!(errors.contains("error: 1 of 1 deliveries were not as expected"), "{errors}");
}

#[test]
fn customers_and_cleanups_are_shown_from_another_process() {
    let (_running, admin) = RunningStack::with_admin_url(&["--empty"]);
    let local = |arguments: &[&str]| run(&with_local(arguments, &admin));
    let send = |case: &str| local(&["events", "send", case]);
    assert_eq!(send("plain/customer-created").1, "200 applied: the customer's item was written\n");
    assert_eq!(send("plain/customer-updated").1, "200 applied: the customer's item was written\n");
    assert_eq!(send("plain/duplicate").1, "200 duplicate: this event is in the table already\n");
    assert_eq!(send("metrifox/older-shape").1, "200 applied: the customer's item was written\n");
    assert_eq!(send("plain/customer-deleted").1, "200 applied: the customer's item was written\n");
    assert_eq!(send("smarterpay/unrelated-payment").1, "204 ignored: the event does not change a customer\n");
    assert_eq!(send("plain/tampered").0, 0);

    let (code, shown, _) = local(&["customers", "list"]);
    assert!(
        code == 0 && shown.contains("Ada Lovelace") && shown.contains("(deleted)") && shown.contains("Olivia Oldham")
    );
    let (_, shown, _) = local(&["customers", "list", "--email", "ADA.lovelace@example.com", "--json"]);
    assert_eq!(shown.lines().count(), 1);
    let (_, shown, _) = local(&["customers", "list", "--external-id", "cust_legacy_731", "--json"]);
    let item: Value = serde_json::from_str(&shown).unwrap();
    assert_eq!(item["name"], "Olivia Oldham");
    let id = "c_01KA9CDZ5Y8M2QW7R4T6V3X1NB";
    let (_, found, _) = local(&["customers", "get", "plain", id, "--json"]);
    let account = "w_01KA9C5W0T7N3E8QZV4R6M2XHB";
    let (_, read, _) = local(&["customers", "get", "plain", id, "--account", account, "--json"]);
    assert_eq!(found, read);
    let expected = &case("plain/customer-updated").expected.items[&format!("plain#{account}#{id}")];
    let item: Value = serde_json::from_str(&read).unwrap();
    assert_eq!(crate::support::timeless(item), crate::support::timeless(expected.clone()));
    let (code, _, errors) = local(&["customers", "get", "plain", "nobody"]);
    assert_eq!((code, errors.contains("no customer `nobody`")), (4, true));

    for _ in 0..2 {
        let (_, shown, _) = local(&["cleanup", "list", "--json"]);
        let message: Value = serde_json::from_str(&shown).unwrap();
        assert_eq!(message["external_id"], "crm-1906");
    }
}

/// The output is a signed API Gateway event, as `sam local invoke --event -` reads it.
#[test]
fn a_signed_event_is_printed() {
    let (code, event, _) = run(&["events", "sign", "plain/customer-updated"]);
    let event: Value = serde_json::from_str(&event).unwrap();
    assert_eq!((code, &event["version"]), (0, &Value::from("2.0")));
    let parsed: aws_lambda_events::apigw::ApiGatewayV2httpRequest = serde_json::from_value(event.clone()).unwrap();
    assert_eq!(parsed.route_key.as_deref(), Some("POST /webhooks/plain"));
    assert_ne!(
        event["headers"]["plain-request-signature"],
        case("plain/customer-updated").event["headers"]["plain-request-signature"]
    );
    let (code, _, errors) = run(&["events", "sign", "plain/nothing"]);
    assert_eq!((code, errors.contains("customer-updated")), (4, true), "{errors}");
}

/// AWS's own types parse every event file.
#[test]
fn event_files_are_gateway_events() {
    for case in crate::support::cases() {
        let parsed: aws_lambda_events::apigw::ApiGatewayV2httpRequest =
            serde_json::from_value(case.event.clone()).unwrap();
        assert_eq!(parsed.version.as_deref(), Some("2.0"), "{}", case.title());
        assert_eq!(
            parsed.path_parameters.contains_key("token"),
            (case.provider.scheme)(None) == Ok(Scheme::Token(TokenPlace::Path))
        );
    }
}

/// With a data folder, everything that was answered with 200 survives when the process is killed.
#[test]
fn data_survives_a_kill() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().to_string_lossy().into_owned();
    let arguments = ["--empty", "--data-dir", data.as_str()];
    let (running, admin) = RunningStack::with_admin_url(&arguments);
    for case in ["plain/customer-created", "metrifox/customer-deleted", "plain/customer-deleted"] {
        assert_eq!(run(&["events", "send", case, "--local", &admin]).0, 0);
    }
    drop(running);

    for _ in 0..2 {
        let (_running, admin) = RunningStack::with_admin_url(&arguments);
        let (_, customers, _) = run(&["customers", "list", "--json", "--local", &admin]);
        assert_eq!(customers.lines().count(), 3);
        let (_, cleanups, _) = run(&["cleanup", "list", "--json", "--local", &admin]);
        assert_eq!(cleanups.lines().count(), 2, "{cleanups}");
    }
}

/// Deleted messages do not reappear after a restart.
#[tokio::test]
async fn deleted_messages_stay_deleted() {
    let folder = tempfile::tempdir().unwrap();
    let options = || {
        let mut options = crate::support::options();
        options.data_dir = Some(folder.path().join("data"));
        options
    };
    let journal = folder.path().join("data/sqs.jsonl");
    let stack = clientele::stack::LocalStack::start(options()).await.unwrap();
    for body in ["{\"n\":1}", "{\"n\":2}"] {
        stack.clients.sqs.send_message().queue_url(&stack.queue_urls["inbox"]).message_body(body).send().await.unwrap();
    }
    // Only one stack can use the folder at a time.
    let error = clientele::stack::LocalStack::start(options()).await.unwrap_err().to_string();
    assert!(error.contains("in use by another local stack"), "{error}");
    drop(stack);
    // A line that was cut off inside a character.
    let mut torn = std::fs::read(&journal).unwrap();
    torn.extend("\n{\"sent\":{\"id\":\"é".as_bytes());
    torn.pop();
    std::fs::write(&journal, torn).unwrap();
    let again = clientele::stack::LocalStack::start(options()).await.unwrap();
    assert_eq!(drain(&again, "inbox").await.len(), 2);
    drop(again);
    let last = clientele::stack::LocalStack::start(options()).await.unwrap();
    assert_eq!(drain(&last, "inbox").await.len(), 0);
}

#[test]
fn error_messages_say_what_to_do() {
    for (arguments, expected, hint) in [
        (
            &["customers", "list", "--local", "http://127.0.0.1:1"][..],
            5,
            "start it with `clientele`, or with `cargo run`",
        ),
        (&["events", "send", "plain/stale", "--local", "http://127.0.0.1:1"], 5, "start it with `clientele`"),
        (&["events", "send", "plane/x"], 2, "there is no provider `plane`; there are metrifox"),
        (&["events", "sign", "customer-created"], 2, "<provider>/<case>"),
        (&["events", "sign", "--file", "nowhere.json"], 1, "cannot read nowhere.json"),
        (&["events", "list", "--events", "nowhere"], 1, "cannot read nowhere"),
        (&["--template", "nowhere.yaml"], 1, "cannot read nowhere.yaml"),
        (&["--secret", "plain"], 2, "<provider>=<value>"),
        (&["customers", "list", "--limit", "0"], 2, "a number greater than 0"),
        (&["cleanup", "list", "--limit", "0"], 2, "a number greater than 0"),
        (&["inbox", "list", "--limit", "0"], 2, "a number greater than 0"),
        (&["dead-letters", "list", "--limit", "0"], 2, "a number greater than 0"),
        (&["--signature", "plain=x", "--empty"], 2, "plain has only one scheme"),
        (
            &["--signature", "flexprice=none", "--empty", "--port", "0", "--dynamodb-port", "0", "--sqs-port", "0"],
            1,
            "FLEXPRICE_SIGNATURE: expected `svix`",
        ),
    ] {
        let (code, _, errors) = run(arguments);
        assert!(code == expected && errors.contains(hint), "{arguments:?}: {code} {errors}");
    }
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let (code, _, errors) =
        run(&["--empty", "--port", "0", "--dynamodb-port", &port, "--sqs-port", "0", "--admin-port", "0"]);
    assert_eq!((code, errors.contains("choose another port with --dynamodb-port")), (1, true), "{errors}");
}

/// Programs on Windows write a byte order mark at the beginning of a text.
#[test]
fn an_own_event_may_begin_with_a_byte_order_mark() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("event.json");
    std::fs::write(&file, format!("\u{feff}{}", crate::support::case("plain/customer-created").event)).unwrap();
    let (code, signed, errors) = run(&["events", "sign", "--file", file.to_str().unwrap()]);
    assert_eq!((code, errors.as_str()), (0, ""));
    assert!(signed.contains("plain-request-signature"), "{signed}");
}

/// Each customer is written twice: first as a new item with two index keys, then with a change.
#[tokio::test(flavor = "multi_thread")]
async fn the_benchmark_measures_each_provider() {
    let options = |arguments: &[&str]| Options::try_parse_from([&["deliveries"], arguments].concat());
    let report = measure(&options(&["--customers", "3", "--concurrency", "2"]).unwrap()).await.unwrap();
    for name in clientele_providers::names() {
        let row = report.lines().find(|line| line.contains(name)).unwrap_or_else(|| panic!("{name}: {report}"));
        let cells: Vec<_> = row.split_whitespace().filter(|cell| cell.parse::<f64>().is_ok()).collect();
        assert_eq!((cells.len(), cells[0]), (7, "6"), "{row}");
        let (units, usd): (f64, f64) = (cells[5].parse().unwrap(), cells[6].parse().unwrap());
        assert!((1.0..=8.0).contains(&units) && (usd / units - 0.625).abs() < 0.01, "{row}");
    }
    let report = measure(&options(&["--customers", "3", "--provider", "plain"]).unwrap()).await.unwrap();
    assert!(report.contains("plain") && !report.contains("flexprice"), "{report}");
    assert!(options(&["--customers", "0"]).is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_benchmark_of_imports_measures_both() {
    use crate::command::import_benchmark::{Options, run};
    let options = |arguments: &[&str]| Options::try_parse_from([&["import"], arguments].concat());
    let report = run(&options(&["--customers", "1500", "--rounds", "1"]).unwrap()).await.unwrap();
    assert!(
        report.contains("Median of the ratios: ") && report.contains("1500 customers, 32 writes at a time"),
        "{report}"
    );
    assert!(options(&["--rounds", "0"]).is_err());
}
