//! What somebody does who tries the project: with the mouse, and with nothing but the keyboard.

use std::fs;
use std::path::PathBuf;

use serde_json::{Value, json};

use crate::stack_process::StackProcess;
use crate::webdriver::{Browser, key, wait_until};

/// The customer of `plain/customer-created`.
pub(crate) fn ada() -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("events/plain/customer-created.expected.json");
    let expected: Value = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
    expected["items"].as_object().unwrap().keys().next().unwrap().clone()
}

fn delivery(outcome: &str) -> String {
    format!(r#"[data-test="delivery-row"][data-provider="plain"][data-outcome="{outcome}"]"#)
}

/// The announced change of a customer.
fn change(kind: &str, pk: &str) -> String {
    format!(r#"[data-test="change-row"][data-type="{kind}"][data-pk="{pk}"]"#)
}

/// How a person works with the page.
trait Hands {
    fn choose(&self, select: &str, value: &str);
    fn activate(&self, selector: &str);
    fn write(&self, selector: &str, text: &str);
}

struct Mouse<'a>(&'a Browser);

impl Hands for Mouse<'_> {
    fn choose(&self, select: &str, value: &str) {
        self.0.click(&format!(r#"{select} option[value="{value}"]"#));
    }

    fn activate(&self, selector: &str) {
        self.0.click(selector);
    }

    fn write(&self, selector: &str, text: &str) {
        self.0.type_into(selector, text);
    }
}

struct Keyboard<'a>(&'a Browser);

impl Keyboard<'_> {
    /// Presses the tab key until the element has the focus, which must then be visible.
    fn reach(&self, selector: &str) {
        self.0.wait_for(selector);
        let focused = || {
            let script = "const element = document.activeElement, style = getComputedStyle(element);
                return { here: element.matches(arguments[0]),
                         visible: style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2 };";
            self.0.script(script, &[json!(selector)])
        };
        for _ in 0..300 {
            let focused = focused();
            if focused["here"] == true {
                assert_eq!(focused["visible"], true, "the focus on {selector} cannot be seen");
                return;
            }
            self.0.press(key::TAB);
        }
        panic!("{selector} cannot be reached with the tab key");
    }
}

impl Hands for Keyboard<'_> {
    fn choose(&self, select: &str, value: &str) {
        self.reach(select);
        let script = "const select = document.activeElement;
            return [...select.options].findIndex(option => option.value === arguments[0]) - select.selectedIndex;";
        let steps = self.0.script(script, &[json!(value)]).as_i64().unwrap();
        let direction = if steps < 0 { key::UP } else { key::DOWN };
        self.0.press(&direction.repeat(usize::try_from(steps.abs()).unwrap()));
        assert_eq!(self.0.script("return document.activeElement.value", &[]), json!(value));
    }

    fn activate(&self, selector: &str) {
        self.reach(selector);
        self.0.press(key::ENTER);
    }

    fn write(&self, selector: &str, text: &str) {
        self.reach(selector);
        self.0.press(text);
    }
}

/// Sends a webhook, sees its change, reads why the customer is in this state, breaks the table, sees that nothing is lost,
/// finds the customer again, opens it from its change, and redrives a delivery that cannot be understood.
fn first_hour(stack: &StackProcess, browser: &Browser, hands: &dyn Hands) {
    let hook = |name: &str| format!(r#"[data-test="{name}"]"#);
    let send = |case: &str| {
        hands.choose(&hook("send-select"), case);
        hands.activate(&hook("send-button"));
    };
    let open = |pk: &str| hands.activate(&format!(r#"[data-test="customer-row"][data-pk="{pk}"] button"#));
    browser.open(&stack.url("/"));
    browser.wait_for_text(&hook("doctor-verdict"), "healthy");

    send("plain/customer-created");
    browser.wait_for(&delivery("applied"));
    browser.wait_for(&change("created", &ada()));
    open(&ada());
    browser.wait_for_text(&hook("customer-detail"), "Ada Byron");
    browser.wait_for_text(&hook("why"), "customer.customer_created");

    hands.choose(&hook("fault-service"), "dynamodb");
    hands.choose(&hook("fault-mode"), "error");
    hands.activate(&hook("fault-set"));
    browser.wait_for(&hook("fault-active"));
    hands.activate(&hook("doctor-check"));
    browser.wait_for_text(&hook("doctor-finding"), "clientele faults clear");
    send("plain/customer-updated");
    browser.wait_for(&delivery("parked"));
    assert_eq!(browser.count(&delivery("applied")), 1);

    hands.activate(&hook("fault-clear"));
    wait_until("no fault", || match browser.count(&hook("fault-active")) {
        0 => Ok(()),
        _ => Err("a fault is active".to_owned()),
    });
    hands.activate(&hook("replay-button"));
    wait_until("the replayed delivery", || match browser.count(&delivery("applied")) {
        2 => Ok(()),
        count => Err(format!("{count} deliveries are applied")),
    });

    hands.write(&hook("search-input"), "Ada.Lovelace@Example.com");
    hands.activate(&hook("search-button"));
    browser.wait_for_text(&format!(r#"[data-test="customer-row"][data-pk="{}"]"#, ada()), "Ada Lovelace");
    browser.wait_for_text(&change("updated", &ada()), "profile.");
    hands.activate(&format!("{} a", change("updated", &ada())));
    browser.wait_for_text(&hook("why"), "customer.customer_updated");

    send("plain/partial-snapshot");
    browser.wait_for(&delivery("quarantined"));
    hands.activate(&hook("quarantine-redrive"));
    hands.activate(&hook("confirm-yes"));
    browser.wait_for_text(&hook("notice"), "It stays in quarantine");
    assert_eq!(browser.count(&hook("quarantine-row")), 1);
    browser.wait_for(r#"[data-test="doctor-finding"][data-part="queues"]"#);
    hands.activate(r#"[data-test="doctor"] summary"#);
    browser.wait_for_text(&hook("doctor"), "1 usable");
}

#[test]
#[ignore = "needs Chromium"]
fn with_the_mouse() {
    let (stack, browser) = (StackProcess::start(), Browser::start());
    first_hour(&stack, &browser, &Mouse(&browser));
    assert_eq!(browser.console(), Vec::<String>::new());
    let urls = browser.requested_urls();
    assert!(urls.contains(&stack.url("/console.js")), "{urls:?}");
    let is_elsewhere = |url: &&String| !url.starts_with(&stack.url("/")) && !url.starts_with("data:");
    assert_eq!(urls.iter().filter(is_elsewhere).collect::<Vec<_>>(), Vec::<&String>::new());
    // The policy of the page would forbid such a request, and the console would report it.
    browser.script("document.body.append(Object.assign(new Image(), { src: 'http://another.example/' }))", &[]);
    let console = wait_until("a report", || browser.console().pop().ok_or_else(|| "the console is empty".to_owned()));
    assert!(console.contains("Content Security Policy"), "{console}");
}

/// A message that cannot be understood may be understood after an update. It is applied then, and leaves the quarantine.
#[test]
#[ignore = "needs Chromium"]
fn what_can_be_settled_leaves_quarantine() {
    let (stack, browser) = (StackProcess::start(), Browser::start());
    stack.request("POST", "/send", &json!({ "case": "plain/partial-snapshot" }));
    let (_, held) = stack.request("GET", "/quarantine", &Value::Null);
    let id = held[0]["id"].as_str().unwrap();
    let mut message = stack.request("GET", &format!("/quarantine/{id}"), &Value::Null).1["message"].take();
    message["body"]["payload"]["customer"]["fullName"] = json!("Ada Lovelace");
    message["body"] = json!(message["body"].to_string());
    stack.send_message("quarantine", &message);

    browser.open(&stack.url("/"));
    let rows = r#"[data-test="quarantine-row"]"#;
    let wait_for_rows = |expected: usize| {
        wait_until("the messages", || match browser.count(rows) {
            count if count == expected => Ok(()),
            count => Err(format!("there are {count}")),
        });
    };
    wait_for_rows(2);
    browser.click(&format!(r#"{rows}:not([data-id="{id}"]) [data-test="quarantine-redrive"]"#));
    browser.click(r#"[data-test="confirm-yes"]"#);
    browser.wait_for_text(r#"[data-test="notice"]"#, "Settled");
    wait_for_rows(1);
    browser.wait_for_text(r#"[data-test="customer-row"]"#, "Ada Lovelace");
}

#[test]
#[ignore = "needs Chromium"]
fn with_the_keyboard() {
    let (stack, browser) = (StackProcess::start(), Browser::start());
    first_hour(&stack, &browser, &Keyboard(&browser));
}

#[test]
#[ignore = "needs Chromium"]
fn the_page_reconnects_when_the_stack_restarts() {
    let (stack, browser) = (StackProcess::start(), Browser::start());
    browser.open(&stack.url("/"));
    browser.wait_for(r#"[data-test="send-select"] option"#);
    let ports = stack.ports;
    drop(stack);
    let stack = StackProcess::start_on(ports);
    stack.request("POST", "/send", &json!({ "case": "plain/customer-created" }));
    browser.wait_for(&delivery("applied"));
    browser.wait_for(&format!(r#"[data-test="customer-row"][data-pk="{}"]"#, ada()));
}
