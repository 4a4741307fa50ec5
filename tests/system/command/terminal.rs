//! What reaches the terminal.

use clientele::events;
use clientele::terminal::visible;
use clientele::text_table::{Cell, TextTable};
use rstest::rstest;
use serde_json::Value;

use crate::support::case;
use crate::support::cli::{RunningStack, clientele, run_with_input, with_local};

#[rstest]
#[case("plain text, é, 名前, 👋 and a no-break\u{a0}space", "plain text, é, 名前, 👋 and a no-break\u{a0}space")]
#[case("\u{1b}[2J\u{1b}]0;title\u{7}\u{1b}]52;c;c2Ft\u{7}", r"\u{1b}[2J\u{1b}]0;title\u{7}\u{1b}]52;c;c2Ft\u{7}")]
#[case("a\r\n\tb\0\u{7f}", r"a\r\n\tb\u{0}\u{7f}")]
#[case("\u{80}\u{9b}31m\u{9d}52;c;\u{9c}\u{9f}", r"\u{80}\u{9b}31m\u{9d}52;c;\u{9c}\u{9f}")]
#[case("\u{202e}gpj.exe\u{2066}\u{2069}\u{200f}\u{61c}", r"\u{202e}gpj.exe\u{2066}\u{2069}\u{200f}\u{61c}")]
#[case("one\u{2028}two\u{2029}three\u{85}", r"one\u{2028}two\u{2029}three\u{85}")]
#[case(
    "a\u{200b}d\u{ad}m\u{2060}i\u{feff}n\u{3164}\u{180e}\u{fe0f}",
    r"a\u{200b}d\u{ad}m\u{2060}i\u{feff}n\u{3164}\u{180e}\u{fe0f}"
)]
#[case("tag\u{e0041}\u{e007f}\u{1d173}\u{fff9}", r"tag\u{e0041}\u{e007f}\u{1d173}\u{fff9}")]
fn what_cannot_be_seen_is_shown_as_an_escape(#[case] text: &str, #[case] shown: &str) {
    assert_eq!(visible(text), shown);
}

/// No cell adds a line or moves the cursor, in no column and in no heading.
#[test]
fn every_cell_of_a_table_is_made_visible() {
    let mut table = TextTable::new(["first\u{1b}[2J", "second"]);
    table.add_row([Cell::from("a\nb"), vec!["one\r".to_owned(), "two\u{202e}".to_owned()].into()]);
    let shown = table.to_string();
    let lines: Vec<_> = shown.lines().map(|line| line.trim_matches(['│', ' ']).to_owned()).collect();
    assert!(lines[1].starts_with(r"first\u{1b}[2J") && lines[3].starts_with(r"a\nb"), "{shown}");
    assert!(lines[3].ends_with(r"one\r") && lines[4].ends_with(r"two\u{202e}"), "{shown}");
    assert!(!shown.contains(['\u{1b}', '\r', '\u{202e}']));
}

/// A name that clears the screen, sets the title, writes to the clipboard and returns the carriage.
const HOSTILE: &str = "\u{1b}[2J\u{1b}]0;title\u{7}\u{1b}]52;c;c2Ft\u{7}\u{9b}31mEve\r\nline\u{202e}\u{200b}";

/// What a customer writes into a name does not steer the terminal: in tables, in pipes, in errors. `CLICOLOR_FORCE` lets
/// the command write to a pipe what it would write to a terminal.
#[rstest]
#[case("1")]
#[case("0")]
fn names_do_not_steer_the_terminal(#[case] is_terminal: &str) {
    let (_running, admin) = RunningStack::with_admin_url(&["--empty"]);
    let mut event = case("plain/customer-created").event.clone();
    let mut body: Value = serde_json::from_str(&events::body(&event).unwrap()).unwrap();
    body["payload"]["customer"]["fullName"] = HOSTILE.into();
    event["body"] = body.to_string().into();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("event.json");
    std::fs::write(&file, event.to_string()).unwrap();
    let run = |arguments: &[&str]| {
        let mut command = clientele(&with_local(arguments, &admin));
        run_with_input(command.env("CLICOLOR_FORCE", is_terminal), "")
    };
    let sent = run(&["events", "send", "--file", file.to_str().unwrap()]);
    assert_eq!(sent, (0, "200 applied: the customer's item was written\n".to_owned(), String::new()));
    let id = body["payload"]["customer"]["id"].as_str().unwrap();
    for arguments in [&["customers", "list"][..], &["customers", "get", "plain", id]] {
        let (code, shown, _) = run(arguments);
        assert!(code == 0 && shown.contains(r"\u{1b}[2J") && shown.contains(r"Eve\r\nline\u{202e}\u{200b}"), "{shown}");
        assert_eq!(visible(&shown.replace('\n', "")), shown.replace('\n', ""), "nothing else is invisible");
    }
    let (_, shown, _) = run(&["customers", "get", "plain", id, "--json"]);
    let item: Value = serde_json::from_str(&shown).unwrap();
    assert!(item["name"].as_str().unwrap().starts_with(HOSTILE), "JSON is exact");
    assert!(!shown.contains('\u{1b}') && shown.lines().count() == 1, "{shown}");
    let (code, _, errors) = run(&["customers", "get", "plain", HOSTILE]);
    assert!(code == 4 && errors.contains(r"\u{1b}[2J") && errors.lines().count() == 1, "{errors}");
    assert_eq!(visible(errors.trim_end()), errors.trim_end());
    // The parser of the command line quotes what it does not understand.
    for arguments in [&["customers", "list", "--provider", HOSTILE][..], &[HOSTILE]] {
        let (code, _, errors) = run(arguments);
        assert!(code == 2 && errors.contains(r"\u{9b}31mEve\r"), "{errors}");
        assert_eq!(visible(&errors.replace('\n', "")), errors.replace('\n', ""));
    }
}

/// A command that cannot write its result does not report success, unless the reader has seen enough.
#[cfg(target_os = "linux")]
#[test]
fn lost_output_is_an_error() {
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let output = clientele(&["events", "list"]).stdout(full).output().unwrap();
    let errors = String::from_utf8(output.stderr).unwrap();
    assert_eq!((output.status.code(), errors.as_str()), (Some(1), "error: standard output could not be written\n"));

    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let output = clientele(&["events", "list"]).stdout(writer).output().unwrap();
    assert_eq!((output.status.code(), output.stderr.len()), (Some(0), 0));
}
