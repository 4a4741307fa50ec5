//! The command needs no file of the project.

use std::collections::BTreeMap;

use clientele::embedded;
use rstest::rstest;

use crate::support::cli::{ANY_PORTS, clientele, run_with_input};
use crate::support::root;

/// Nothing is read from the folder, and nothing is left in it.
#[rstest]
#[case(&["--once"])]
#[case(&["events", "list"])]
#[case(&["events", "sign", "plain/customer-updated"])]
#[case(&["cost"])]
#[case(&["cost", "--prices"])]
#[case(&["completions", "zsh"])]
#[case(&["smoke", "--help"])]
#[case(&["--help"])]
fn every_command_works_in_an_empty_folder(#[case] arguments: &[&str]) {
    let folder = tempfile::tempdir().unwrap();
    let ports = if arguments.contains(&"--once") { &ANY_PORTS[..] } else { &[] };
    let mut command = clientele(&[arguments, ports].concat());
    let (code, shown, errors) = run_with_input(command.current_dir(folder.path()), "");
    assert_eq!((code, errors.as_str(), shown.is_empty()), (0, "", false), "{arguments:?}");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

/// build.rs embeds each file, and again when one changes.
#[test]
fn what_is_embedded_is_what_is_checked_in() {
    assert_eq!(embedded::TEMPLATE, std::fs::read_to_string(root("template.yaml")).unwrap());
    let mut files = BTreeMap::new();
    for folder in std::fs::read_dir(root("events")).unwrap().map(|entry| entry.unwrap().path()).filter(|it| it.is_dir())
    {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(root("events")).unwrap().to_str().unwrap().to_owned();
            files.insert(name, std::fs::read_to_string(path).unwrap());
        }
    }
    let embedded = embedded::EVENT_FILES.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned()));
    assert!(embedded.collect::<BTreeMap<_, _>>() == files, "the embedded files differ from those in events/");
}
