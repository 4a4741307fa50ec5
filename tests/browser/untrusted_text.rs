//! Text of customers is shown as text.

use std::fs;
use std::path::PathBuf;

use serde_json::{Value, json};

use crate::stack_process::StackProcess;
use crate::webdriver::Browser;

/// The name executes a script where it is taken for HTML, and hides or reorders text where characters are not escaped.
const NAME: &str = "<img src=/broken onerror=window.executed=1><script>window.executed=1</script>\u{1b}[31m\u{202e}cod";

/// `plain/customer-created` with another name and id.
fn event() -> Value {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("events/plain/customer-created.json");
    let mut event: Value = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
    let mut body: Value = serde_json::from_str(event["body"].as_str().unwrap()).unwrap();
    let customer = &mut body["payload"]["customer"];
    assert!(customer["fullName"].is_string());
    customer["fullName"] = json!(NAME);
    customer["shortName"] = json!(NAME);
    customer["id"] = json!(NAME);
    event["body"] = json!(body.to_string());
    event
}

#[test]
#[ignore = "needs Chromium"]
fn a_hostile_name_is_shown_and_not_executed() {
    let (stack, browser) = (StackProcess::start(), Browser::start());
    let (status, answer) = stack.request("POST", "/send", &json!({ "event": event() }));
    assert_eq!((status, &answer["status"]), (200, &json!(200)), "{answer}");
    browser.open(&stack.url("/"));
    let row = r#"[data-test="customer-row"]"#;
    let shown = browser.wait_for_text(row, "<img src=/broken onerror=window.executed=1><script>");
    browser.click(&format!("{row} button"));
    let detail = browser.wait_for_text(r#"[data-test="customer-detail"]"#, "<img src=/broken");
    // Its change names the customer by the id.
    let change = browser.wait_for_text(r#"[data-test="change-row"]"#, "<img src=/broken");
    for text in [shown, detail, change] {
        assert!(!text.contains(['\u{1b}', '\u{202e}']) && text.contains("202e"), "{text:?}");
    }
    assert_eq!(browser.script("return window.executed ?? null", &[]), Value::Null);
    assert_eq!(browser.count("img, [data-test=customer-row] script, [data-test=change-row] script"), 0);
    assert!(browser.requested_urls().iter().all(|url| !url.contains("/broken")));
    assert_eq!(browser.console(), Vec::<String>::new());
}
