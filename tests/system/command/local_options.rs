//! Options of the local stack: secrets, and who can reach it.

use std::io::{Read, Write};
use std::net::TcpStream;

use rstest::rstest;

use crate::support::cli::{ANY_PORTS, RunningStack, clientele, run, run_with_input};

const FIRST: &str = "the-first-secret-of-plain";
const SECOND: &str = "the-second-secret-of-plain";
const THIRD: &str = "the-third-secret-of-plain";

/// What `clientele` prints when it signs an event with that secret and sends it to the gateway.
fn send(port: u16, secret: &str) -> String {
    let to = format!("http://127.0.0.1:{port}");
    let mut command = clientele(&["events", "send", "plain/customer-created", "--to", &to]);
    let (_, shown, errors) = run_with_input(command.env("WEBHOOK_SECRET", secret), "");
    format!("{shown}{errors}")
}

/// Every secret of a repeated flag is valid, and the stack signs with the first one.
#[test]
fn a_repeated_secret_adds_one() {
    let others = format!("plain=[\"{SECOND}\", \"{THIRD}\"]");
    let flags = ["--empty", "--secret", &format!("plain={FIRST}"), "--secret", &others];
    let (_stack, [gateway, .., admin]) = RunningStack::start(&flags);
    assert!(send(gateway, FIRST).starts_with("200 applied"));
    assert!(send(gateway, SECOND).starts_with("200 duplicate"));
    assert!(send(gateway, THIRD).starts_with("200 duplicate"));
    assert!(send(gateway, "plain-local-secret").starts_with("401"));
    let admin = format!("http://127.0.0.1:{admin}");
    let sent = run(&["events", "send", "plain/customer-created", "--local", &admin]);
    assert!(sent.0 == 0 && sent.1.starts_with("200 duplicate"), "{sent:?}");
}

#[test]
fn a_repeated_scheme_is_refused() {
    let flags = ["--once", "--signature", "smarterpay=basic", "--signature", "smarterpay=token:X-Api-Key"];
    let (code, _, errors) = run(&[&flags, &ANY_PORTS[..]].concat());
    let expected = "error: --signature is given twice for smarterpay, which has one scheme at a time\n";
    assert_eq!((code, errors.as_str()), (2, expected));
}

const OWN_SECRETS: [&str; 8] = [
    "--secret",
    "metrifox=0123456789abcdef",
    "--secret",
    "smarterpay=0123456789abcdef",
    "--secret",
    "plain=0123456789abcdef",
    "--secret",
    "flexprice=whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODk=",
];

const WARNING: &str = "Warning: whoever reaches 0.0.0.0 can read and change the table and the queues of this stack.\n";

#[rstest]
#[case::all(&[], "metrifox, smarterpay, plain, flexprice")]
#[case::one(&OWN_SECRETS[2..], "metrifox")]
#[case::set_to_the_known_one(&[&OWN_SECRETS[..], &["--secret", "plain=plain-local-secret"]].concat(), "plain")]
fn known_secrets_are_exposed_only_with_yes(#[case] secrets: &[&str], #[case] providers: &str) {
    let once = |flags: &[&str]| run(&[&["--once", "--listen", "0.0.0.0"], flags, secrets, &ANY_PORTS[..]].concat());
    let (code, shown, errors) = once(&[]);
    let expected = format!(
        "error: --listen 0.0.0.0 lets others send webhooks with the well-known local secrets of {providers}: set other \
         secrets with --secret, or confirm with --yes\n"
    );
    assert_eq!((code, shown.as_str(), errors), (2, "", expected));
    let (code, _, errors) = once(&["--yes"]);
    assert_eq!((code, errors.as_str()), (0, WARNING));
}

#[test]
fn own_secrets_need_no_confirmation() {
    let (code, _, errors) = run(&[&["--once", "--listen", "0.0.0.0"], &OWN_SECRETS[..], &ANY_PORTS].concat());
    assert_eq!((code, errors.as_str()), (0, WARNING));
}

#[rstest]
#[case("127.0.0.1")]
#[case("127.1.2.3")]
fn a_loopback_address_exposes_nothing(#[case] address: &str) {
    let (code, _, errors) = run(&[&["--once", "--listen", address], &ANY_PORTS[..]].concat());
    assert_eq!((code, errors.as_str()), (0, ""));
}

#[test]
fn hosts_are_allowed_by_the_flag() {
    let flags = ["--empty", "--allow-host", "Dev.example.com", "--allow-host", "10.1.2.3"];
    let (_stack, [_, dynamodb, sqs, admin]) = RunningStack::start(&flags);
    for (host, is_allowed) in [("dev.example.com", true), ("10.1.2.3:80", true), ("example.com", false)] {
        for port in [dynamodb, sqs, admin] {
            let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
            write!(stream, "GET / HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n").unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).unwrap();
            assert_eq!(!answer.starts_with("HTTP/1.1 403 "), is_allowed, "{host}: {answer}");
        }
    }
    let (code, _, errors) = run(&["--allow-host", "http://dev.example.com:80"]);
    assert!(code == 2 && errors.contains("without scheme and port, as in dev.example.com"), "{errors}");
}
