//! `clientele console`: the page of a deployed stack.

use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};

use clientele::stack::StackOptions;
use serde_json::{Value, json};

use crate::command::console::{Page, encoded, names, stack};
use crate::command::customers::deploy_with_open_erasure;
use crate::command::deployed::{Deployed, deploy};
use crate::support::cli::{clientele, run, with_local};
use crate::support::{cases, options};

/// `clientele console` for the stack `test`. Dropping it kills it.
struct Console {
    process: Child,
    page: Page,
    token: String,
}

impl Drop for Console {
    fn drop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

impl Console {
    fn start(deployed: &Deployed) -> Self {
        let mut command = clientele(&["console", "--stack", "test", "--port", "0"]);
        command.env("AWS_REGION", "eu-west-1").env("AWS_ACCESS_KEY_ID", "a").env("AWS_SECRET_ACCESS_KEY", "s");
        command.env("AWS_ENDPOINT_URL", &deployed.aws.url).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut process = command.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let (url, token) = line.trim().split_once("/#token=").unwrap();
        assert!(url.starts_with("http://127.0.0.1:") && token.len() == 32, "{line}");
        let page = Page { url: url.to_owned(), headers: vec![("x-clientele-token", token.to_owned())] };
        Self { process, page, token: token.to_owned() }
    }
}

/// The systems that have confirmed an erasure come first, with their times.
#[tokio::test(flavor = "multi_thread")]
async fn the_page_knows_what_is_open_of_an_erasure() {
    let (deployed, pk) = deploy_with_open_erasure().await;
    let console = Console::start(&deployed);
    let (status, shown) = console.page.get(&format!("/customers/{}", encoded(&pk))).await;
    let expected = json!([
        { "system": "crm", "erased_at": "2026-11-20T12:00:05Z", "received_at": "2026-11-20T12:00:06Z" },
        { "system": "mailing" },
    ]);
    assert_eq!((status, &shown["erasure"]), (200, &expected));
    let why = shown["why"].to_string();
    assert!(why.contains("is held back in this tombstone until 2100-01-01T00:00:00Z."), "{why}");
}

/// The page of a deployed stack needs the token, finds customers, and can change nothing but the quarantine.
#[tokio::test(flavor = "multi_thread")]
async fn the_page_of_a_deployed_stack_is_read_only_and_needs_its_token() {
    let deployed = deploy(StackOptions { cases: cases().to_vec(), ..options() }).await;
    Page::of(&deployed.stack).send(&["plain/customer-created", "plain/partial-snapshot"]).await;
    let console = Console::start(&deployed);
    let page = &console.page;
    let (status, description) = page.get("/stack").await;
    assert_eq!((status, &description["kind"], &description["name"]), (200, &json!("deployed"), &json!("test")));
    let place = (&description["region"], &description["account"], &description["table"]);
    assert_eq!(place, (&json!("eu-central-1"), &json!("123456789012"), &json!("customers")));
    assert_eq!(names(&page.get("/customers?name=ada").await.1), ["Ada Byron"]);

    let nobody = Page { headers: vec![], ..page.clone() };
    for path in ["/", "/console.css", "/console.js"] {
        assert_eq!(nobody.get(path).await.0, 200, "{path}");
    }
    let longer = format!("{}0", console.token);
    for token in [None, Some(""), Some(&console.token[1..]), Some(&longer), Some("0".repeat(32).as_str())] {
        let headers = token.map(|token| ("x-clientele-token", token.to_owned())).into_iter().collect();
        let stranger = Page { headers, ..page.clone() };
        for path in ["/stack", "/customers", "/customers/x", "/queues", "/doctor", "/quarantine", "/nothing"] {
            let (status, error) = stranger.get(path).await;
            assert_eq!(status, 403, "{path}");
            assert!(error["error"].as_str().unwrap().contains("the part after the #"), "{error}");
        }
        assert_eq!(stranger.post("/quarantine/x/redrive", &Value::Null).await.0, 403);
    }
    for header in [("host", "another.example".to_owned()), ("origin", "http://another.example".to_owned())] {
        let stranger = Page { headers: vec![page.headers[0].clone(), header], ..page.clone() };
        let (status, error) = stranger.get("/customers").await;
        assert!(status == 403 && error["error"].as_str().unwrap().contains("`clientele console` printed"), "{error}");
    }

    for path in ["/send", "/faults", "/replay", "/sweep", "/customers", "/doctor", "/stack"] {
        assert_eq!(page.post(path, &json!({})).await.0, 404, "{path}");
    }
    for path in ["/events", "/deliveries", "/deliveries/stream", "/faults"] {
        assert_eq!(page.get(path).await.0, 404, "{path}");
    }
    deployed.aws.take_calls();
    for path in ["/stack", "/customers", "/customers?email=a@b.c", "/customers/x", "/queues"] {
        page.get(path).await;
    }
    let calls = deployed.aws.take_calls();
    let mut operations: Vec<_> = calls.iter().map(|call| call.operation.split_once('.').unwrap().1).collect();
    operations.sort_unstable();
    operations.dedup();
    assert_eq!(operations, ["GetItem", "GetQueueAttributes", "Query", "Scan"]);
    let measured = jiff::Timestamp::now() - jiff::SignedDuration::from_mins(1);
    deployed.aws.set_oldest_message("quarantine", &[(measured, 4_211.0)]);
    let (_, queues) = page.get("/queues").await;
    let quarantine = queues.as_array().unwrap().iter().find(|queue| queue["name"] == "quarantine").unwrap();
    assert_eq!(quarantine["oldest_seconds"], 4_211);
    deployed.aws.fail(&["GetMetricStatistics"]);
    assert_eq!(page.get("/queues").await.1[3]["oldest_seconds"], Value::Null, "the counts are still shown");
    deployed.aws.recover();
    let (_, report) = page.get("/doctor").await;
    let finding = &report["findings"][0];
    assert_eq!((&finding["name"], &finding["problem"]), (&json!("quarantine"), &json!("1 delivery needs an operator")));
    assert_eq!(finding["advice"], "clientele quarantine list --stack test; docs/operate.md#quarantine");
    let (_, held) = page.get("/quarantine").await;
    let path = format!("/quarantine/{}/redrive", held[0]["id"].as_str().unwrap());
    assert_eq!(page.post(&path, &Value::Null).await.1["outcomes"], json!(["quarantined"]));
}

/// What AWS answers is not repeated.
#[tokio::test(flavor = "multi_thread")]
async fn an_outage_is_told_in_plain_words() {
    let deployed = deploy(options()).await;
    let console = Console::start(&deployed);
    deployed.aws.fail(&["Scan", "Query", "GetItem", "GetQueueAttributes", "ReceiveMessage"]);
    let advice = "cannot be read. Check the network, your credentials, and what they allow.";
    for (path, what) in [
        ("/customers", "The customers' table"),
        ("/customers?external_id=x", "The customers' table"),
        ("/customers/x", "The customers' table"),
        ("/queues", "The queue cleanup"),
        ("/quarantine", "The quarantine queue"),
        ("/quarantine/x", "The quarantine queue"),
    ] {
        assert_eq!(console.page.get(path).await, (502, json!({ "error": format!("{what} {advice}") })), "{path}");
    }
    deployed.aws.recover();
    assert_eq!(console.page.get("/customers").await.0, 200);
}

/// The local stack has a page without the command.
#[tokio::test(flavor = "multi_thread")]
async fn for_a_local_stack_the_url_of_its_page_is_printed() {
    let stack = stack().await;
    let url = format!("http://{}", stack.admin);
    let printed = format!("{url}/\n");
    let command = move || run(&with_local(&["console"], &url));
    let (code, output, errors) = tokio::task::spawn_blocking(command).await.unwrap();
    assert_eq!((code, output, errors.as_str()), (0, printed, "the local stack serves its page itself\n"));
    let (code, _, errors) = run(&["console", "--local", "http://127.0.0.1:1"]);
    assert!(code == 5 && errors.contains("no local stack answers"), "{errors}");
}
