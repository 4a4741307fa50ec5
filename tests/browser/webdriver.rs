//! A client of the [WebDriver protocol](https://www.w3.org/TR/webdriver2/), with the commands that these tests need.
//!
//! A crate for this would bring twenty others that nothing else here needs.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tempfile::TempDir;
use ureq::Agent;
use ureq::http::Request;

/// How long a test waits for anything that it expects to see.
const PATIENCE: Duration = Duration::from_secs(20);

/// The name under which the protocol returns the id of an element.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// Names of other sites that the browser finds on this machine. It finds no other name, so no test reaches a network.
const NAMES: &str =
    "--host-resolver-rules=MAP *.example 127.0.0.1, MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost";

/// The keys that have no character, as the protocol encodes them.
pub(crate) mod key {
    pub(crate) const TAB: &str = "\u{e004}";
    pub(crate) const ENTER: &str = "\u{e007}";
    pub(crate) const UP: &str = "\u{e013}";
    pub(crate) const DOWN: &str = "\u{e015}";
}

/// Asks again and again until there is an answer.
///
/// # Panics
/// When there is none within 20 s.
pub(crate) fn wait_until<T>(what: &str, mut answer: impl FnMut() -> Result<T, String>) -> T {
    let started = Instant::now();
    loop {
        match answer() {
            Ok(answer) => return answer,
            Err(reason) if started.elapsed() > PATIENCE => panic!("waited in vain for {what}: {reason}"),
            Err(_) => thread::sleep(Duration::from_millis(20)),
        }
    }
}

/// ChromeDriver, which ends with this value.
struct Driver(Child);

impl Drop for Driver {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

impl Driver {
    /// Starts ChromeDriver and returns the port that it has chosen.
    fn start(home: &Path) -> (Self, u16) {
        let mut command = Command::new("chromedriver");
        command.arg("--port=0").stdout(Stdio::piped()).stderr(Stdio::null());
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default()).env("HOME", home);
        let mut driver = Self(command.spawn().expect("chromedriver is not installed (Debian: chromium-driver)"));
        let output = BufReader::new(driver.0.stdout.take().unwrap());
        let (sender, receiver) = mpsc::channel();
        // It reads on after the port, so that ChromeDriver can always write.
        thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                let port = line.rsplit("successfully on port ").next().unwrap_or_default();
                if let Ok(port) = port.trim_end_matches('.').parse::<u16>() {
                    let _ = sender.send(port);
                }
            }
        });
        let port = receiver.recv_timeout(PATIENCE).expect("ChromeDriver did not start");
        (driver, port)
    }
}

/// Chromium with one window and an empty profile. It ends with this value, also when a test panics.
pub(crate) struct Browser {
    agent: Agent,
    session: String,
    _driver: Driver,
    _profile: TempDir,
}

impl Drop for Browser {
    fn drop(&mut self) {
        if thread::panicking() {
            self.report();
        }
        // Ends Chromium; without this, only ChromeDriver would end.
        drop(self.request("DELETE", "", None));
    }
}

impl Browser {
    pub(crate) fn start() -> Self {
        let profile = TempDir::new().unwrap();
        let (driver, port) = Driver::start(profile.path());
        let config = Agent::config_builder().http_status_as_error(false).proxy(None);
        let agent = Agent::new_with_config(config.timeout_global(Some(PATIENCE * 2)).build());
        let user_data = format!("--user-data-dir={}", profile.path().join("chromium").display());
        let arguments = [
            "--headless=new",
            "--no-sandbox", // CI is root in a container.
            "--disable-dev-shm-usage",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--no-proxy-server",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--hide-scrollbars",
            "--window-size=1280,900",
            NAMES,
            &user_data,
        ];
        let capabilities = json!({ "capabilities": { "alwaysMatch": {
            "browserName": "chrome",
            "goog:chromeOptions": { "args": arguments },
            "goog:loggingPrefs": { "browser": "ALL", "performance": "ALL" },
        } } });
        let mut browser =
            Self { agent, session: format!("http://127.0.0.1:{port}/session"), _driver: driver, _profile: profile };
        let session = browser.request("POST", "", Some(&capabilities)).expect("Chromium did not start");
        browser.session = format!("{}/{}", browser.session, session["sessionId"].as_str().unwrap());
        browser
    }

    /// Keeps a picture of the page on which a test has failed, and prints what the console says.
    fn report(&self) {
        let test = thread::current().name().unwrap_or_default().replace("::", "-");
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{test}.png"));
        let picture = self.request("GET", "/screenshot", None).unwrap_or_default();
        let picture = STANDARD.decode(picture.as_str().unwrap_or_default()).unwrap_or_default();
        let saved = fs::write(&path, picture).map_or("not saved".to_owned(), |()| path.display().to_string());
        let console = self.post("/se/log", &json!({ "type": "browser" })).unwrap_or_default();
        eprintln!("picture of the page: {saved}\nconsole: {console:#}");
    }

    /// The value in the answer to a command, or the error.
    fn request(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Value, String> {
        let request = Request::builder().method(method).uri(format!("{}{path}", self.session));
        let answer = match body {
            Some(body) => self.agent.run(request.body(body.to_string()).map_err(|error| error.to_string())?),
            None => self.agent.run(request.body(()).map_err(|error| error.to_string())?),
        };
        let text = answer.and_then(|mut answer| answer.body_mut().with_config().limit(64 << 20).read_to_string());
        let text = text.map_err(|error| error.to_string())?;
        let mut answer: Value = serde_json::from_str(&text).map_err(|error| format!("{error}: {text}"))?;
        let value = answer["value"].take();
        match (value["error"].as_str(), value["message"].as_str()) {
            (Some(error), Some(message)) => Err(format!("{error}: {message}")),
            _ => Ok(value),
        }
    }

    fn post(&self, path: &str, body: &Value) -> Result<Value, String> {
        self.request("POST", path, Some(body))
    }

    pub(crate) fn open(&self, url: &str) {
        self.post("/url", &json!({ "url": url })).unwrap();
    }

    /// The ids of the elements that match a selector now.
    fn elements(&self, selector: &str) -> Result<Vec<String>, String> {
        let found = self.post("/elements", &json!({ "using": "css selector", "value": selector }))?;
        let ids = found.as_array().into_iter().flatten();
        Ok(ids.filter_map(|element| element[ELEMENT].as_str().map(str::to_owned)).collect())
    }

    fn element(&self, selector: &str) -> Result<String, String> {
        self.elements(selector)?.into_iter().next().ok_or_else(|| format!("no element {selector}"))
    }

    /// How many elements match a selector now.
    pub(crate) fn count(&self, selector: &str) -> usize {
        self.elements(selector).unwrap().len()
    }

    /// Waits for an element.
    pub(crate) fn wait_for(&self, selector: &str) {
        wait_until(selector, || self.element(selector));
    }

    /// Clicks on an element, once it exists and nothing covers it.
    pub(crate) fn click(&self, selector: &str) {
        wait_until(selector, || self.post(&format!("/element/{}/click", self.element(selector)?), &json!({})));
    }

    /// Types into an element.
    pub(crate) fn type_into(&self, selector: &str, text: &str) {
        let body = json!({ "text": text });
        wait_until(selector, || self.post(&format!("/element/{}/value", self.element(selector)?), &body));
    }

    /// The visible text of the first element that matches.
    pub(crate) fn text(&self, selector: &str) -> Result<String, String> {
        let text = self.request("GET", &format!("/element/{}/text", self.element(selector)?), None)?;
        Ok(text.as_str().unwrap_or_default().to_owned())
    }

    /// Waits until the visible text of an element contains a text, and returns all of it.
    pub(crate) fn wait_for_text(&self, selector: &str, part: &str) -> String {
        wait_until(&format!("{part:?} in {selector}"), || {
            let text = self.text(selector)?;
            if text.contains(part) { Ok(text) } else { Err(format!("the text is {text:?}")) }
        })
    }

    /// Role and accessible name of every element that matches and is displayed.
    pub(crate) fn roles_and_names(&self, selector: &str) -> Vec<(String, String)> {
        let property = |id: &str, what: &str| self.request("GET", &format!("/element/{id}/{what}"), None).unwrap();
        let text = |id: &str, what: &str| property(id, what).as_str().unwrap_or_default().to_owned();
        let mut ids = self.elements(selector).unwrap();
        ids.retain(|id| property(id, "displayed") == true);
        ids.iter().map(|id| (text(id, "computedrole"), text(id, "computedlabel"))).collect()
    }

    /// Presses and releases keys one after the other, wherever the focus is.
    pub(crate) fn press(&self, keys: &str) {
        let events =
            keys.chars().flat_map(|key| ["keyDown", "keyUp"].map(|kind| json!({ "type": kind, "value": key })));
        let keyboard = json!({ "type": "key", "id": "keyboard", "actions": events.collect::<Vec<_>>() });
        self.post("/actions", &json!({ "actions": [keyboard] })).unwrap();
    }

    /// What a function body returns when it runs in the page; it may return a promise.
    pub(crate) fn script(&self, body: &str, arguments: &[Value]) -> Value {
        self.post("/execute/sync", &json!({ "script": body, "args": arguments })).unwrap()
    }

    /// Runs a command of the DevTools protocol.
    fn devtools(&self, command: &str, parameters: &Value) {
        self.post("/goog/cdp/execute", &json!({ "cmd": command, "params": parameters })).unwrap();
    }

    /// Sets what `prefers-color-scheme` matches: `light` or `dark`.
    pub(crate) fn set_color_scheme(&self, scheme: &str) {
        let feature = json!({ "name": "prefers-color-scheme", "value": scheme });
        self.devtools("Emulation.setEmulatedMedia", &json!({ "features": [feature] }));
    }

    /// Sets the size of the page in CSS pixels, one of which is one pixel of a screenshot.
    pub(crate) fn set_size(&self, width: u32, height: u32) {
        let metrics = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false });
        self.devtools("Emulation.setDeviceMetricsOverride", &metrics);
    }

    /// The visible part of the page, as PNG.
    pub(crate) fn screenshot(&self) -> Vec<u8> {
        let encoded = self.request("GET", "/screenshot", None).unwrap();
        STANDARD.decode(encoded.as_str().unwrap()).unwrap()
    }

    fn log(&self, kind: &str) -> Vec<String> {
        let entries = self.post("/se/log", &json!({ "type": kind })).unwrap();
        let messages = entries.as_array().into_iter().flatten();
        messages.map(|entry| entry["message"].as_str().unwrap_or_default().to_owned()).collect()
    }

    /// What the console has reported since the last call: failed requests, errors of scripts, violations of the policy.
    pub(crate) fn console(&self) -> Vec<String> {
        self.log("browser")
    }

    /// The URLs that pages of web sites have requested since the last call. The browser's own pages do not count.
    pub(crate) fn requested_urls(&self) -> Vec<String> {
        let events = self.log("performance").into_iter();
        let events = events.filter_map(|event| serde_json::from_str::<Value>(&event).ok());
        let requests = events.filter(|event| event["message"]["method"] == "Network.requestWillBeSent");
        let url = |event: Value| {
            let request = &event["message"]["params"];
            let is_of_a_site = request["documentURL"].as_str()?.starts_with("http");
            is_of_a_site.then(|| request["request"]["url"].as_str().unwrap_or_default().to_owned())
        };
        requests.filter_map(url).collect()
    }
}
