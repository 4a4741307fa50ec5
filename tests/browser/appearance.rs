//! Widths, colours, names of controls, and the pictures in the documentation.

use std::fs;
use std::path::PathBuf;

use serde_json::{Value, json};

use crate::first_hour::ada;
use crate::stack_process::StackProcess;
use crate::webdriver::{Browser, wait_until};

/// Brings every part of the page into view: results of every kind, an open customer, a fault, a message in quarantine.
fn fill(stack: &StackProcess, browser: &Browser) {
    let send = |case: &str| {
        let (status, answer) = stack.request("POST", "/send", &json!({ "case": case }));
        assert_eq!(status, 200, "{case}: {answer}");
    };
    for case in [
        "metrifox/customer-created",
        "smarterpay/customer-created",
        "flexprice/customer-created",
        "plain/customer-created",
        "plain/customer-updated",
        "plain/to-be-deleted",
        "plain/customer-deleted",
        "plain/duplicate",
        "plain/stale",
        "plain/tampered",
        "plain/partial-snapshot",
    ] {
        send(case);
    }
    let fault = json!({ "service": "dynamodb", "mode": "error", "rate": 1.0, "for_seconds": 600.0 });
    assert_eq!(stack.request("POST", "/faults", &fault).0, 200);
    send("metrifox/customer-updated");
    browser.open(&stack.url("/"));
    browser.wait_for(r#"[data-test="delivery-row"][data-outcome="parked"]"#);
    browser.wait_for(r#"[data-test="change-row"][data-type="updated"]"#);
    browser.wait_for(r#"[data-test="quarantine-row"]"#);
    browser.wait_for(r#"[data-test="fault-active"]"#);
    browser.wait_for(r#"[data-test="doctor-finding"][data-part="queues"]"#);
    browser.click(r#"[data-test="doctor"] summary"#);
    browser.click(&format!(r#"[data-test="customer-row"][data-pk="{}"] button"#, ada()));
    browser.wait_for_text(r#"[data-test="why"]"#, "customer.customer_updated");
}

/// Elements that are wider than the window, or that hide a part of their content to the right.
const TOO_WIDE: &str = "
    const wide = [];
    if (document.scrollingElement.scrollWidth > innerWidth) wide.push('the page: ' + document.scrollingElement.scrollWidth);
    for (const element of document.body.querySelectorAll('*')) {
        const style = getComputedStyle(element), box = element.getBoundingClientRect();
        const scrolls = element.scrollWidth > element.clientWidth + 1 && ['auto', 'scroll'].includes(style.overflowX);
        if (box.right > innerWidth + 1 || scrolls) {
            wide.push(element.tagName + '.' + element.className + ' ' + element.textContent.trim().slice(0, 40));
        }
    }
    return wide;";

/// Visible texts whose contrast to what is behind them is below 4.5:1, as WCAG 2 defines it. Disabled controls are
/// exempt. Colours are drawn first, so that every notation is understood.
const LOW_CONTRAST: &str = "
    const context = new OffscreenCanvas(1, 1).getContext('2d', { willReadFrequently: true });
    const parse = color => {
        context.clearRect(0, 0, 1, 1);
        context.fillStyle = color;
        context.fillRect(0, 0, 1, 1);
        const [red, green, blue, alpha] = context.getImageData(0, 0, 1, 1).data;
        return { rgb: [red, green, blue], alpha: alpha / 255 };
    };
    const over = (front, back) => front.rgb.map((value, index) => value * front.alpha + back[index] * (1 - front.alpha));
    const background = element => {
        const back = element.parentElement ? background(element.parentElement)
            : matchMedia('(prefers-color-scheme: dark)').matches ? [18, 18, 18] : [255, 255, 255];
        return over(parse(getComputedStyle(element).backgroundColor), back);
    };
    const opacity = element =>
        Number(getComputedStyle(element).opacity) * (element.parentElement ? opacity(element.parentElement) : 1);
    const luminance = rgb => {
        const [red, green, blue] = rgb.map(value => value / 255)
            .map(value => value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4);
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
    };
    const low = [];
    let checked = 0;
    const check = (element, text, color) => {
        const visible = element.checkVisibility({ checkVisibilityCSS: true }) && element.getClientRects().length;
        if (!text.trim() || !visible || element.closest(':disabled')) return;
        const back = background(element), front = parse(color);
        front.alpha *= opacity(element);
        const [light, dark] = [luminance(over(front, back)), luminance(back)].sort((one, other) => other - one);
        const contrast = (light + 0.05) / (dark + 0.05);
        checked += 1;
        if (contrast < 4.5) low.push(`${contrast.toFixed(2)} ${text.trim().slice(0, 40)}`);
    };
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (walker.nextNode()) {
        const element = walker.currentNode.parentElement;
        if (element.tagName !== 'OPTION') check(element, walker.currentNode.data, getComputedStyle(element).color);
    }
    for (const field of document.querySelectorAll('input, select, textarea')) {
        check(field, field.value || '', getComputedStyle(field).color);
        check(field, field.placeholder || '', getComputedStyle(field, '::placeholder').color);
    }
    return { checked, low };";

fn low_contrast(browser: &Browser) -> Vec<Value> {
    let result = browser.script(LOW_CONTRAST, &[]);
    assert!(result["checked"].as_u64().unwrap() > 40, "{result}");
    result["low"].as_array().unwrap().clone()
}

#[test]
#[ignore = "needs Chromium"]
fn nothing_scrolls_sideways() {
    let (stack, browser) = (StackProcess::start(), Browser::start());
    fill(&stack, &browser);
    for width in [360, 768, 1280, 1600] {
        browser.set_size(width, 900);
        assert_eq!(browser.script("return innerWidth", &[]), json!(width));
        assert_eq!(browser.script(TOO_WIDE, &[]), json!([]), "{width} px");
    }
}

#[test]
#[ignore = "needs Chromium"]
fn texts_are_legible_in_light_and_dark_mode() {
    let (stack, browser) = (StackProcess::start(), Browser::start());
    fill(&stack, &browser);
    let background = || browser.script("return getComputedStyle(document.body).backgroundColor", &[]);
    browser.set_color_scheme("light");
    let light = background();
    assert_eq!(low_contrast(&browser), Vec::<Value>::new(), "light");
    browser.set_color_scheme("dark");
    assert_ne!(background(), light);
    assert_eq!(low_contrast(&browser), Vec::<Value>::new(), "dark");
    // The check itself finds a text that is too pale.
    browser.script("document.querySelector('h1, h2').style.color = '#888c'", &[]);
    assert_eq!(low_contrast(&browser).len(), 1);
}

#[test]
#[ignore = "needs Chromium"]
fn every_control_has_a_name() {
    let (stack, browser) = (StackProcess::start(), Browser::start());
    fill(&stack, &browser);
    let controls = browser.roles_and_names("a, button, input, select, textarea, summary, [tabindex]");
    // A control that is hidden has no role.
    let controls: Vec<_> = controls.into_iter().filter(|(role, _)| role != "none").collect();
    assert!(controls.len() > 10, "{controls:?}");
    assert_eq!(controls.iter().filter(|(_, name)| name.trim().is_empty()).collect::<Vec<_>>(), Vec::<&(_, _)>::new());
    assert_eq!(browser.count("html[lang]"), 1);
    assert_eq!(browser.count("main"), 1);
    assert_eq!(browser.count("h1"), 1);
    assert_eq!(browser.script("return document.title.length > 0", &[]), json!(true));
}

/// `UPDATE=1` takes the pictures again.
#[test]
#[ignore = "needs Chromium"]
fn the_pictures_of_the_documentation_exist() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("docs/pictures");
    let pictures = [
        ("console.png", "light", (1240, 720)),
        ("console-dark.png", "dark", (1240, 720)),
        ("console-narrow.png", "light", (360, 780)),
    ];
    if std::env::var_os("UPDATE").is_some_and(|value| value == "1") {
        let (stack, browser) = (StackProcess::start(), Browser::start());
        fill(&stack, &browser);
        for (name, scheme, (width, height)) in pictures {
            browser.set_color_scheme(scheme);
            browser.set_size(width, height);
            browser.script("scrollTo(0, 0)", &[]);
            wait_until("the fonts", || match browser.script("return document.fonts.status", &[]) {
                Value::String(status) if status == "loaded" => Ok(()),
                status => Err(status.to_string()),
            });
            fs::write(folder.join(name), browser.screenshot()).unwrap();
        }
    }
    for (name, _, (width, height)) in pictures {
        let picture = fs::read(folder.join(name)).unwrap();
        let size = [16, 20].map(|at| u32::from_be_bytes(picture[at..at + 4].try_into().unwrap()));
        assert_eq!(size, [width, height], "{name}");
        assert!(picture.len() <= 160_000, "{name} has {} bytes", picture.len());
    }
}
