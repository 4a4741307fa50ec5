//! What the local stack prints: its story, and a line for each delivery.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use clientele::stack::deliveries::RECENT_MAX;
use serde_json::{Value, json};

use crate::support::cli::{ANY_PORTS, RunningStack, clientele, run_with_input};
use crate::support::{case, cases, root};

const ESCAPE: char = '\u{1b}';

/// Starts a stack with these arguments, and returns what it prints until it serves.
fn started(arguments: &[&str], variables: &[(&str, &str)]) -> (RunningStack, [u16; 4], String) {
    let mut command = clientele(&[arguments, &ANY_PORTS].concat());
    let (mut running, ports, mut shown) = RunningStack::start_command(command.envs(variables.iter().copied()));
    running.read_until(if arguments.contains(&"json") { "The log lines" } else { "Each delivery" }, &mut shown);
    (running, ports, shown)
}

fn rows(shown: &str) -> Vec<Vec<&str>> {
    let rows = shown.lines().filter(|line| line.starts_with('│')).skip(1);
    rows.map(|row| row.trim_matches(['│', ' ']).split("  ").map(str::trim).filter(|cell| !cell.is_empty()).collect())
        .collect()
}

/// In a pipe. What is printed fits on a screen, and every outcome is explained.
#[test]
fn the_story_fits_and_is_true() {
    let (_running, ports, shown) = started(&[], &[]);
    let rows = rows(&shown);
    assert_eq!(rows.len(), 12, "{shown}");
    let outcomes: Vec<_> = rows.iter().map(|row| row[row.len() - 2]).collect();
    let [applied, duplicate, stale, rejected, parked] = ["applied", "duplicate", "stale", "rejected", "parked"];
    assert_eq!(
        outcomes,
        [applied, applied, applied, applied, applied, duplicate, stale, rejected, parked, applied, applied, stale]
    );
    assert_eq!(rows[8][..3], ["metrifox/customer-updated", "202", "parked"]);
    assert_eq!(rows[9][..2], ["(replay)", "applied"]);
    for line in shown.lines() {
        assert!(line.chars().count() <= 100, "{line}");
    }
    assert!(!shown.contains(['{', ESCAPE]), "{shown}");
    assert!(shown.lines().count() <= 60, "{shown}");
    let joined: Vec<_> = shown.lines().filter(|line| line.contains("crm-1815  ada.lovelace@example.com")).collect();
    assert_eq!(joined.len(), 3, "{shown}");
    assert!(joined[0].contains("Lovelace Analytics"), "the name in the event that was replayed: {shown}");
    assert!(shown.contains("flexprice   (deleted)           no personal data; the cleanup message names crm-1815"));
    let rank = case("plain/customer-updated").expected.items.values().next().unwrap()["rank"].as_str().unwrap();
    assert!(shown.contains(&format!("rank: {rank}")), "{shown}");
    let local = format!("clientele customers list --external-id crm-1815 --local http://127.0.0.1:{}\n", ports[3]);
    assert!(shown.contains(&local) && shown.contains(&format!("Open http://127.0.0.1:{} in", ports[3])), "{shown}");
}

/// Each command that is suggested exists.
#[test]
fn what_to_try_works() {
    let (_running, _, shown) = started(&[], &[]);
    let commands: Vec<_> = shown.lines().filter_map(|line| line.strip_prefix("  clientele ")).collect();
    assert!(commands.len() >= 5, "{shown}");
    let folder = tempfile::tempdir().unwrap();
    for command in commands {
        let mut command = clientele(&command.split_whitespace().collect::<Vec<_>>());
        let (code, shown, errors) = run_with_input(command.env("CLIENTELE_STATE_DIR", folder.path()), "");
        // The list APIs throttle and fail now and then.
        let errors: Vec<_> = errors.lines().filter(|line| !line.contains("; trying again in ")).collect();
        assert_eq!((code, &errors[..]), (0, &[][..]), "{command:?}: {shown}");
        assert!(!shown.is_empty(), "{command:?}");
    }
}

/// The join of the story: one external id and one e-mail address.
#[test]
fn one_person_is_a_customer_of_all_services() {
    for name in ["metrifox", "smarterpay", "flexprice", "plain"] {
        for event in ["customer-created", "customer-updated"] {
            if (name, event) == ("plain", "customer-created") {
                continue;
            }
            let case = case(&format!("{name}/{event}"));
            let item = case.expected.items.values().next().unwrap();
            let keys = (&item["external_id"], &item["email"]);
            assert_eq!(keys, (&json!("crm-1815"), &json!("ada.lovelace@example.com")), "{}", case.title());
        }
    }
}

#[test]
fn all_shows_every_event() {
    let (_running, _, shown) = started(&["--all"], &[]);
    for case in cases() {
        assert!(shown.contains(&format!("│ {} ", case.title())), "{}", case.title());
    }
    assert!(shown.contains(&format!("{} deliveries as expected", cases().len())), "{shown}");
}

/// The results of a table with customers are shown, but neither compared nor explained as if it were empty.
#[test]
fn a_table_with_customers_is_not_compared() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().to_string_lossy().into_owned();
    drop(started(&["--data-dir", &data], &[]));
    let (_running, _, shown) = started(&["--data-dir", &data], &[]);
    let sentence = "The results are not compared with the expected ones: the table already contained customers.";
    assert!(shown.contains(sentence), "{shown}");
    let rows = rows(&shown);
    assert_eq!(rows[0][2..], ["stale", "usually applied"], "{shown}");
    assert_eq!(rows[6][2..], ["stale", "an older change arrives late: not written"], "{shown}");
}

/// A step with another result is reported, and the stack serves nevertheless.
#[test]
fn a_wrong_step_is_reported() {
    let folder = tempfile::tempdir().unwrap();
    copy(&root("events"), folder.path());
    let path = folder.path().join("metrifox/customer-updated.expected.json");
    let text = std::fs::read_to_string(&path).unwrap().replace("\"name\": \"Lovelace Analytics\"", "\"name\": \"Eve\"");
    std::fs::write(&path, text).unwrap();
    let events = folder.path().to_string_lossy().into_owned();
    let mut command = clientele(&[&["--events", events.as_str()], &ANY_PORTS[..]].concat());
    let (mut running, ..) = RunningStack::start_command(command.stderr(Stdio::piped()));
    let mut errors = BufReader::new(running.stderr()).lines().map(Result::unwrap);
    assert_eq!(errors.next().unwrap(), "metrifox/customer-updated");
    assert!(errors.next().unwrap().contains(r#"name is "Lovelace Analytics", should be "Eve""#));
    assert_eq!(errors.next().unwrap(), "error: 1 steps were not as expected");
}

fn copy(from: &std::path::Path, to: &std::path::Path) {
    for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
        let to = to.join(entry.file_name());
        if entry.path().is_dir() {
            std::fs::create_dir(&to).unwrap();
            copy(&entry.path(), &to);
        } else {
            std::fs::copy(entry.path(), to).unwrap();
        }
    }
}

/// A Metrifox event of a customer whose id contains what would clear the screen and write to the clipboard.
fn send_hostile(gateway: u16) -> u16 {
    let customer = json!({
        "id": "esc\u{1b}[2J\u{1b}]52;c;x\u{7}", "tenant_id": "t\u{1b}[2J", "updated_at": "2026-01-01T00:00:00Z",
        "created_at": "2026-01-01T00:00:00Z", "display_name": "Eve\r\u{202e}\u{1b}[2J", "primary_email": "e@x.example",
    });
    let event = json!({
        "id": "e1", "type": "customer.created", "created_at": 1_704_067_200_000_i64, "data": { "customer": customer },
    });
    post(gateway, "/webhooks/metrifox/metrifox-local-secret", &event.to_string())
}

fn post(gateway: u16, path: &str, body: &str) -> u16 {
    let agent = ureq::Agent::new_with_config(ureq::Agent::config_builder().http_status_as_error(false).build());
    agent.post(format!("http://127.0.0.1:{gateway}{path}")).send(body).unwrap().status().as_u16()
}

/// Neither a customer nor a sender steers the terminal, with or without colours, and a failure shows no JSON.
#[test]
fn a_line_per_delivery() {
    for (variables, colours) in [(&[][..], 0), (&[("NO_COLOR", "1")], 0), (&[("CLICOLOR_FORCE", "1")], 4)] {
        let (mut running, [gateway, _, _, admin], _) = started(&["--empty"], variables);
        assert_eq!(send_hostile(gateway), 200);
        assert_eq!(post(gateway, "/webhooks/metrifox/guess", "{}"), 401);
        assert_eq!(post(gateway, "/nowhere", ""), 404);
        for service in ["dynamodb", "sqs"] {
            let fault = json!({ "service": service, "mode": "error", "rate": 1.0, "for_seconds": 60.0 }).to_string();
            assert_eq!(post(admin, "/faults", &fault), 200);
        }
        assert_eq!(send_hostile(gateway), 503);
        let lines: Vec<_> = (0..4).map(|_| running.read_line()).collect();
        let shown = lines.concat();
        // Only the colours of the outcomes and of the notes.
        let uncoloured = ["32", "31", "2", "0"]
            .iter()
            .fold(shown.clone(), |text, code| text.replace(&format!("{ESCAPE}[{code}m"), ""));
        let is_control = |character: char| character.is_control() && character != '\n';
        assert!(!uncoloured.contains(is_control) && !uncoloured.contains("{\""), "{uncoloured:?}");
        assert_eq!(shown.matches("\u{1b}[32m").count() + shown.matches("\u{1b}[31m").count(), colours, "{shown:?}");
        for (line, words) in uncoloured.lines().zip([
            &["metrifox  ", "customer.created", "200", "applied", "esc\\u{…x\\u{7}", " ms"][..],
            &["metrifox  ", "401", "rejected", "mismatch"],
            &["gateway  ", "404", "not found", "no such route"],
            &["metrifox  ", "503", "unavailable", "the table cannot be used"],
        ]) {
            assert!(words.iter().all(|word| line.contains(word)), "{line}");
            assert!(line.chars().count() <= 121, "{line}");
        }
    }
}

/// Every line is whole when many deliveries arrive at once.
#[test]
fn lines_do_not_mix() {
    let (mut running, [gateway, ..], _) = started(&["--empty"], &[]);
    let each = RECENT_MAX / 10;
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(move || (0..each).for_each(|_| assert_eq!(post(gateway, "/webhooks/plain", "{}"), 401)));
        }
        // Meanwhile, because the stack waits once the pipe is full.
        for _ in 0..8 * each {
            let line = running.read_line();
            assert!(line.ends_with(" ms  proof_missing\n") && line.matches("plain").count() == 1, "{line}");
        }
    });
}

/// With `--log json`, standard error has the lines of the functions, and standard output has no line per delivery.
#[test]
fn the_log_as_json() {
    let mut command = clientele(&[&["--empty", "--log", "json"], &ANY_PORTS[..]].concat());
    let (mut running, [gateway, ..], _) = RunningStack::start_command(command.stderr(Stdio::piped()));
    assert_eq!(send_hostile(gateway), 200);
    assert_eq!(post(gateway, "/webhooks/metrifox/guess", "{}"), 401);
    let lines: Vec<Value> = BufReader::new(running.stderr())
        .lines()
        .map(|line| serde_json::from_str::<Value>(&line.unwrap()).unwrap())
        // The sweep has no provider.
        .filter(|line| line["provider"].is_string())
        .take(2)
        .collect();
    let outcomes: Vec<_> = lines.iter().map(|line| (&line["provider"], &line["outcome"])).collect();
    assert_eq!(outcomes, [(&json!("metrifox"), &json!("applied")), (&json!("metrifox"), &json!("rejected"))]);
    let mut rest = String::new();
    running.read_until("The log lines of the functions go to standard error.", &mut rest);
    assert!(!rest.contains(" 401 "), "{rest}");
}
