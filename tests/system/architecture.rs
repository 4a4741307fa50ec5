//! The rules of ARCHITECTURE.md about crates, and whether the tests that the documentation names exist.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::support::root;

/// The dependencies of each crate outside of its tests, and its folder.
fn packages() -> BTreeMap<String, (BTreeSet<String>, String)> {
    let mut command = Command::new(env!("CARGO"));
    command.args(["metadata", "--format-version=1", "--no-deps", "--offline"]).current_dir(root(""));
    let metadata: Value = serde_json::from_slice(&command.output().unwrap().stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap().iter().map(|package| {
        let dependencies = package["dependencies"].as_array().unwrap().iter();
        let normal = dependencies.filter(|dependency| dependency["kind"].is_null());
        let normal = normal.map(|dependency| dependency["name"].as_str().unwrap().to_owned()).collect();
        let folder = Path::new(package["manifest_path"].as_str().unwrap()).parent().unwrap().strip_prefix(root(""));
        (package["name"].as_str().unwrap().to_owned(), (normal, folder.unwrap().to_string_lossy().into_owned()))
    });
    packages.collect()
}

#[test]
fn crates_depend_as_the_architecture_says() {
    let provider_crates: Vec<_> = clientele_providers::names().iter().map(|name| format!("clientele-{name}")).collect();
    for (name, (dependencies, _)) in packages() {
        let is_provider = provider_crates.contains(&name);
        let expected: Option<Vec<_>> = match name.as_str() {
            "clientele-model" | "clientele-consumers" | "xtask" => Some(vec![]),
            "clientele-flow" => Some(vec!["clientele-model"]),
            "clientele-api" | "clientele-aws" => Some(vec!["clientele-flow", "clientele-model"]),
            "clientele-changes" | "clientele-receipts" | "clientele-sweep" => Some(vec!["clientele-aws"]),
            "clientele-reconcile" => {
                Some(vec!["clientele-api", "clientele-aws", "clientele-model", "clientele-providers"])
            }
            "clientele-replay" => Some(vec!["clientele-aws", "clientele-providers"]),
            "clientele-providers" => {
                Some(provider_crates.iter().map(String::as_str).chain(["clientele-model"]).collect())
            }
            "clientele" | "clientele-bench" | "clientele-function" | "clientele-fuzz" => None,
            _ if is_provider => Some(vec!["clientele-aws", "clientele-model"]),
            _ => panic!("{name} needs a rule here and in ARCHITECTURE.md"),
        };
        let ours = dependencies.iter().filter(|name| name.starts_with("clientele")).map(String::as_str);
        if let Some(expected) = expected {
            assert_eq!(ours.collect::<BTreeSet<_>>(), BTreeSet::from_iter(expected), "{name}");
        }
        assert!(name != "xtask" || dependencies.is_empty(), "xtask must be built in a moment");
        let forbidden: &[_] = match name.as_str() {
            "clientele" => &[],
            _ if is_provider => &["dynoxide", "rustack", "axum", "aws-"],
            "clientele-api" => &["dynoxide", "rustack", "axum", "aws-", "lambda"],
            _ => &["dynoxide", "rustack", "axum"],
        };
        let is_forbidden = |name: &&String| forbidden.iter().any(|prefix| name.starts_with(prefix));
        assert_eq!(dependencies.iter().find(is_forbidden), None, "{name}");
        assert!(!dependencies.contains("clientele"), "{name} depends on the command");
    }
}

/// Neither the model nor the flow uses AWS, Lambda, the environment or the clock. The model has no runtime either.
#[test]
fn the_model_and_the_flow_are_pure() {
    let packages = packages();
    let crates = ["aws", "lambda", "tracing", "reqwest", "hyper"];
    let code = ["std::env", "Timestamp::now()", "std::fs", "std::net", "SystemTime"];
    for (name, more_crates, more_code) in
        [("clientele-model", &["tokio"][..], &["::now()", "Instant"][..]), ("clientele-flow", &[], &["spawn"])]
    {
        let (dependencies, folder) = &packages[name];
        for prefix in crates.iter().chain(more_crates) {
            assert!(!dependencies.iter().any(|name| name.starts_with(prefix)), "{name} depends on {prefix}");
        }
        for text in rust_files(&root(folder).join("src")) {
            let impure = code.iter().chain(more_code).find(|impure| text.contains(**impure));
            assert_eq!(impure, None, "in {name}");
        }
    }
}

/// In the crate of a provider only `main` uses AWS.
#[test]
fn providers_are_pure_but_for_main() {
    for name in clientele_providers::names() {
        let mut files = BTreeSet::new();
        let folder = root(&format!("functions/{name}/src"));
        for (path, text) in rust_files_by_path(&folder) {
            let file = path.strip_prefix(&folder).unwrap().to_string_lossy().into_owned();
            let impure = ["clientele_aws", "lambda_runtime", "tokio", "std::env", "Timestamp::now()"];
            assert!(file == "main.rs" || !impure.iter().any(|impure| text.contains(impure)), "{name}/{file}");
            files.insert(file);
        }
        for alike in ["main.rs", "lib.rs", "signature.rs", "payload.rs", "translate.rs", "sample.rs", "listing.rs"] {
            assert!(files.contains(alike), "{name} has no {alike}");
        }
    }
}

#[test]
fn the_architecture_names_every_crate() {
    let architecture = std::fs::read_to_string(root("ARCHITECTURE.md")).unwrap();
    let providers = clientele_providers::names();
    for (_, folder) in packages().into_values().filter(|(_, folder)| !folder.is_empty()) {
        let is_provider = folder.strip_prefix("functions/").is_some_and(|name| providers.contains(&name));
        let folder = if is_provider { "functions/<provider>" } else { &folder };
        assert!(architecture.contains(&format!("`{folder}`")), "ARCHITECTURE.md does not name {folder}");
    }
}

/// Every test that the documentation names exists.
#[test]
fn documented_tests_exist() {
    let folders = ["tests", "shared", "functions", "xtask"];
    let sources: String = folders.into_iter().flat_map(|folder| rust_files(&root(folder))).collect();
    for page in ["docs/reliability.md", "docs/privacy.md", "ARCHITECTURE.md"] {
        let text = std::fs::read_to_string(root(page)).unwrap();
        let rows = text.lines().filter(|line| line.starts_with("| ") || page != "ARCHITECTURE.md");
        let last_column = rows.map(|row| row.trim_end_matches(" |").rsplit("| ").next().unwrap_or_default());
        let is_name =
            |word: &&str| word.len() > 15 && word.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
        let names = last_column.flat_map(|column| column.split('`').skip(1).step_by(2)).filter(is_name);
        let names: Vec<_> = names.filter(|name| name.contains('_') && *name != "storage_contract").collect();
        assert!(!names.is_empty(), "{page}");
        for name in names {
            assert!(sources.contains(&format!("fn {name}(")), "{page} names {name}, which is no test");
        }
    }
}

/// Text of customers reaches a terminal only where it is made visible, so one file prints, and one makes tables.
#[test]
fn only_the_terminal_prints() {
    let printing = ["print!", "println!", "stdout()", "stderr()", "anstream::", "rpassword::", "indicatif::"];
    let files = rust_files_by_path(&root("src"));
    for (forbidden, owner) in
        printing.map(|forbidden| (forbidden, "terminal.rs")).into_iter().chain([("comfy_table", "text_table.rs")])
    {
        let users: Vec<_> = files.iter().filter(|(_, text)| text.contains(forbidden)).map(|(path, _)| path).collect();
        assert!(users.iter().all(|path| path.ends_with(owner)), "{forbidden}: {users:?}");
    }
}

/// A variable of whoever runs the tests must not decide which stack a test works on.
#[test]
fn the_command_is_tested_with_an_empty_environment() {
    // In two parts, so that this file does not count.
    let start = concat!("CARGO_BIN_EXE_", "clientele\"");
    let files = rust_files_by_path(&root("tests"));
    let starting: Vec<_> = files.iter().filter(|(_, text)| text.contains(start)).collect();
    assert!(!starting.is_empty());
    for (path, text) in starting {
        let starts = text.split(start).skip(1);
        assert!(starts.clone().all(|rest| rest.split(';').take(2).any(|it| it.contains(".env_clear()"))), "{path:?}");
    }
}

/// The text of every Rust file below a folder.
fn rust_files(folder: &Path) -> Vec<String> {
    rust_files_by_path(folder).into_iter().map(|(_, text)| text).collect()
}

fn rust_files_by_path(folder: &Path) -> Vec<(PathBuf, String)> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let files = entries.flat_map(|path| match (path.is_dir(), path.extension().is_some_and(|it| it == "rs")) {
        (true, _) => rust_files_by_path(&path),
        (false, true) => {
            let text = std::fs::read_to_string(&path).unwrap();
            vec![(path, text)]
        }
        (false, false) => vec![],
    });
    files.collect()
}

/// Whoever replaces a package of CI replaces what is deployed, so pip installs only packages with the hashes listed here.
#[test]
fn pinned_python_tools_carry_hashes() {
    let read = |path: &str| std::fs::read_to_string(root(path)).unwrap();
    for name in ["requirements", "ministack", "actionlint", "consumers"] {
        let (pins, locked) = (read(&format!(".ci/{name}.in")), read(&format!(".ci/{name}.txt")));
        let entries: Vec<_> = locked.lines().filter(|line| line.contains("==")).collect();
        for pin in pins.lines() {
            assert!(entries.iter().any(|entry| entry.starts_with(pin)), "{name}.txt lacks {pin}");
        }
        let without_hash = locked.lines().zip(locked.lines().skip(1)).filter(|(line, next)| {
            line.contains("==") && !(line.ends_with('\\') && next.trim_start().starts_with("--hash=sha256:"))
        });
        assert_eq!(without_hash.collect::<Vec<_>>(), []);
    }
    let ci = read(".ci/run");
    let options = ci.lines().find_map(|line| line.strip_prefix("pip=(")).unwrap();
    assert!(options.contains("--require-hashes") && options.contains("--no-deps"));
    let installs = ci.lines().filter(|line| line.contains("bin/pip"));
    assert!(installs.clone().count() == 4 && installs.into_iter().all(|line| line.contains("${pip[@]}")));
    let release = read(".github/workflows/release.yml");
    assert_eq!(release.matches("bin/pip").count(), release.matches("--require-hashes").count());
}

#[test]
fn advisories_are_checked_weekly_and_by_ci() {
    let read = |path: &str| std::fs::read_to_string(root(path)).unwrap();
    let workflow = read(".github/workflows/advisories.yml");
    assert!(workflow.contains("schedule:") && workflow.contains("cargo deny --locked check advisories"));
    let ci = read(".ci/run");
    assert!(ci.contains("    cargo deny --locked check advisories") && ci.contains("NO ADVISORY DATABASE HERE"));
}

/// The same for the packages of the consumer in TypeScript.
#[test]
fn pinned_npm_packages_carry_hashes() {
    let path = root("tests/consumers/typescript/package-lock.json");
    let lock: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let packages = lock["packages"].as_object().unwrap().iter().filter(|(path, _)| !path.is_empty());
    assert!(packages.clone().count() > 10);
    for (path, package) in packages {
        assert!(package["integrity"].as_str().is_some_and(|hash| hash.starts_with("sha512-")), "{path}");
        // A mirror of whoever wrote the file is not reachable for others.
        let registry = package["resolved"].as_str().unwrap_or("https://registry.npmjs.org/");
        assert!(registry.starts_with("https://registry.npmjs.org/"), "{path}: {registry}");
    }
}

/// With other versions, the ratios to the floor would also compare these.
#[test]
fn the_floor_has_the_versions_of_the_functions() {
    let read = |path: &str| std::fs::read_to_string(root(path)).unwrap();
    let (functions, floor) = (read("Cargo.lock"), read("tests/bench/floor/Cargo.lock"));
    for name in ["aws-config", "aws-sdk-dynamodb", "lambda_runtime", "serde_json", "tokio"] {
        let version = |lock: &str| {
            let (_, rest) = lock.split_once(&format!("name = \"{name}\"\nversion = \"")).unwrap();
            rest.split('"').next().unwrap().to_owned()
        };
        assert_eq!(version(&floor), version(&functions), "{name}");
    }
}
