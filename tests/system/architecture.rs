//! Invariant 10: dependencies between crates are those of the table in ARCHITECTURE.md.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::Value;

use crate::support::root;

struct Package {
    /// What it depends on outside of tests.
    normal: BTreeSet<String>,
}

fn packages() -> BTreeMap<String, Package> {
    let mut command = Command::new(env!("CARGO"));
    command.args(["metadata", "--format-version=1", "--no-deps", "--offline"]).current_dir(root(""));
    let metadata: Value = serde_json::from_slice(&command.output().unwrap().stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap().iter().map(|package| {
        let dependencies = package["dependencies"].as_array().unwrap().iter();
        let normal = dependencies.filter(|dependency| dependency["kind"].is_null());
        let normal = normal.map(|dependency| dependency["name"].as_str().unwrap().to_owned()).collect();
        (package["name"].as_str().unwrap().to_owned(), Package { normal })
    });
    packages.collect()
}

/// The names of the providers' crates.
fn provider_crates() -> Vec<String> {
    clientele_providers::names().into_iter().map(|name| format!("clientele-{name}")).collect()
}

#[test]
fn crates_depend_as_the_architecture_says() {
    let packages = packages();
    let names: BTreeSet<_> = packages.keys().map(String::as_str).collect();
    let provider_crates = provider_crates();
    let providers: Vec<_> = provider_crates.iter().map(String::as_str).collect();
    let mut expected = BTreeSet::from([
        "clientele",
        "clientele-aws",
        "clientele-bench",
        "clientele-flow",
        "clientele-function",
        "clientele-fuzz",
        "clientele-model",
        "clientele-providers",
        "clientele-replay",
        "clientele-sweep",
        "xtask",
    ]);
    expected.extend(&providers);
    assert_eq!(names, expected, "a new member needs a line here and in ARCHITECTURE.md");

    let ours = |name: &str| {
        let normal = packages[name].normal.iter().filter(|dependency| dependency.starts_with("clientele"));
        normal.map(String::as_str).collect::<BTreeSet<_>>()
    };
    assert_eq!(ours("clientele-model"), BTreeSet::new());
    assert!(packages["xtask"].normal.is_empty(), "it must be built in a moment");
    assert_eq!(ours("clientele-flow"), BTreeSet::from(["clientele-model"]));
    assert_eq!(ours("clientele-aws"), BTreeSet::from(["clientele-flow", "clientele-model"]));
    assert_eq!(ours("clientele-sweep"), BTreeSet::from(["clientele-aws"]));
    assert_eq!(ours("clientele-replay"), BTreeSet::from(["clientele-aws", "clientele-providers"]));
    let listed = providers.iter().copied().chain(["clientele-model"]).collect();
    assert_eq!(ours("clientele-providers"), listed);
    for provider in providers {
        assert_eq!(ours(provider), BTreeSet::from(["clientele-aws", "clientele-model"]), "{provider}");
        assert!(!packages[provider].normal.iter().any(|name| name.starts_with("aws-")), "{provider} has an SDK client");
    }
    for (name, package) in &packages {
        assert!(!package.normal.contains("clientele"), "{name} depends on the command");
        if name != "clientele" {
            let emulators = ["dynoxide", "rustack", "axum"];
            let emulator =
                package.normal.iter().find(|name| emulators.iter().any(|emulator| name.starts_with(emulator)));
            assert_eq!(emulator, None, "{name}");
        }
    }
}

/// The model is pure: no AWS, no runtime, no environment, no clock.
#[test]
fn the_model_is_pure() {
    let model = &packages()["clientele-model"].normal;
    let impure = ["aws", "lambda", "tokio", "tracing", "reqwest", "hyper"];
    assert!(!model.iter().any(|name| impure.iter().any(|prefix| name.starts_with(prefix))), "{model:?}");
    for entry in std::fs::read_dir(root("shared/model/src")).unwrap() {
        let path = entry.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        for impure in ["std::env", "::now()", "std::fs", "std::net", "SystemTime", "Instant"] {
            assert!(!text.contains(impure), "{} has {impure}", path.display());
        }
    }
}

/// The flow knows no AWS and reads no clock of days.
#[test]
fn the_flow_is_pure() {
    let flow = &packages()["clientele-flow"].normal;
    let impure = ["aws", "lambda", "tracing", "reqwest", "hyper"];
    assert!(!flow.iter().any(|name| impure.iter().any(|prefix| name.starts_with(prefix))), "{flow:?}");
    for entry in std::fs::read_dir(root("shared/flow/src")).unwrap() {
        let path = entry.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        for impure in ["std::env", "Timestamp::now()", "std::fs", "std::net", "SystemTime", "spawn"] {
            assert!(!text.contains(impure), "{} has {impure}", path.display());
        }
    }
}

/// In a provider's crate only `main` knows that there is AWS.
#[test]
fn providers_are_pure_but_for_main() {
    for name in clientele_providers::names() {
        let mut files = BTreeSet::new();
        for entry in std::fs::read_dir(root(&format!("functions/{name}/src"))).unwrap() {
            let path = entry.unwrap().path();
            let file = path.file_name().unwrap().to_string_lossy().into_owned();
            let text = std::fs::read_to_string(&path).unwrap();
            let impure = ["clientele_aws", "lambda_runtime", "tokio", "std::env", "Timestamp::now()"];
            assert!(file == "main.rs" || !impure.iter().any(|impure| text.contains(impure)), "{name}/{file}");
            files.insert(file);
        }
        for alike in ["main.rs", "lib.rs", "signature.rs", "payload.rs", "translate.rs", "sample.rs"] {
            assert!(files.contains(alike), "{name} has no {alike}");
        }
    }
}

#[test]
fn the_architecture_names_every_crate() {
    let architecture = std::fs::read_to_string(root("ARCHITECTURE.md")).unwrap();
    for folder in [
        "shared/model",
        "shared/aws",
        "shared/flow",
        "functions/<provider>",
        "shared/providers",
        "functions/replay",
        "functions/sweep",
        "tests/bench",
        "tests/function",
        "tests/fuzz",
        "xtask",
    ] {
        assert!(architecture.contains(folder), "ARCHITECTURE.md does not name {folder}");
    }
}

/// A promise that no test holds is a hope: every test that the pages name is there.
#[test]
fn documented_tests_exist() {
    let sources: String =
        ["tests", "shared", "functions", "xtask"].into_iter().flat_map(|folder| rust_files(&root(folder))).collect();
    for page in ["docs/reliability.md", "docs/privacy.md", "ARCHITECTURE.md"] {
        let text = std::fs::read_to_string(root(page)).unwrap();
        let rows = text.lines().filter(|line| line.starts_with("| ") || page != "ARCHITECTURE.md");
        let last = |row: &str| row.trim_end_matches(" |").rsplit("| ").next().unwrap_or_default().to_owned();
        let names: Vec<_> = rows.map(last).collect();
        let is_name =
            |word: &&str| word.len() > 15 && word.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
        let names = names.iter().flat_map(|row| row.split('`').skip(1).step_by(2)).filter(is_name);
        let mut counted = 0;
        for name in names.filter(|name| name.contains('_')) {
            assert!(sources.contains(&format!("fn {name}")), "{page} names {name}, which is no test");
            counted += 1;
        }
        assert!(counted > 0, "{page}");
    }
}

/// The text of every Rust file below a folder.
fn rust_files(folder: &std::path::Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let texts = entries.flat_map(|path| match (path.is_dir(), path.extension().is_some_and(|it| it == "rs")) {
        (true, _) => rust_files(&path),
        (false, true) => vec![std::fs::read_to_string(&path).unwrap()],
        (false, false) => vec![],
    });
    texts.collect()
}
