//! `cargo xtask`: the development tasks. Each prints the commands that it runs, so that you can run them yourself.
#![expect(clippy::print_stderr, reason = "a command")]

mod flaws;
mod instructions;

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

const HELP: &str = "\
Usage: cargo xtask TASK

Each task prints the commands that it runs.

  check               Check format, lints, documentation and template
  flaws [NAME]        Put well-known mistakes into a copy of the project, one at a time, and check that a test fails for
                      each. Takes minutes; builds in CARGO_TARGET_DIR, or else in target/flaws-target
  instructions        Count instructions with callgrind. Fails if a count differs by more than 5 % and 500 from
                      tests/bench/instructions.txt; UPDATE=1 updates that file. Needs valgrind and gungraun-runner";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let result = match arguments[..] {
        ["help" | "--help" | "-h"] => {
            eprintln!("{HELP}");
            Ok(())
        }
        ["check"] => check(),
        ["flaws"] => flaws(None),
        ["flaws", name] => flaws(Some(name)),
        ["instructions"] => instructions::check(),
        _ => Err(HELP.to_owned()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("{message}");
            ExitCode::FAILURE
        }
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// A command without the variables that Cargo sets for this program. Build scripts would see them as a change.
fn command(tool: &str) -> Command {
    let mut command = Command::new(tool);
    for (name, _) in std::env::vars_os() {
        if ["CARGO_PKG_", "CARGO_MANIFEST_"].iter().any(|prefix| name.to_string_lossy().starts_with(prefix)) {
            command.env_remove(name);
        }
    }
    command.current_dir(root());
    command
}

fn run(tool: &str, arguments: &[&str]) -> Result<(), String> {
    run_with(tool, arguments, &[])
}

fn run_with(tool: &str, arguments: &[&str], environment: &[(&str, &str)]) -> Result<(), String> {
    let settings = environment.iter().map(|(name, value)| format!("{name}='{value}'"));
    let words = settings.chain([tool.to_owned()]).chain(arguments.iter().map(|word| (*word).to_owned()));
    let shown = words.collect::<Vec<_>>().join(" ");
    eprintln!("$ {shown}");
    let status = command(tool).args(arguments).envs(environment.iter().copied()).status();
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(_) => Err(format!("error: the command failed: {shown}")),
        Err(_) => Err(format!("error: `{tool}` is not installed: CONTRIBUTING.md says how to install it")),
    }
}

fn check() -> Result<(), String> {
    run("cargo", &["fmt", "--all", "--check"])?;
    run("cargo", &["fmt", "--manifest-path", "tests/bench/floor/Cargo.toml", "--check"])?;
    run("cargo", &["clippy", "--workspace", "--all-targets", "--all-features", "--locked", "--", "-D", "warnings"])?;
    let doc = ["doc", "--workspace", "--no-deps", "--document-private-items", "--locked"];
    run_with("cargo", &doc, &[("RUSTDOCFLAGS", "-D warnings")])?;
    // The first runs cfn-lint, the second SAM's own validation. Both need a region.
    let region = [("AWS_DEFAULT_REGION", "us-east-1")];
    run_with("sam", &["validate", "--lint"], &region)?;
    run_with("sam", &["validate", "--config-env", "none"], &region)
}

fn flaws(name: Option<&str>) -> Result<(), String> {
    let root = root();
    let mut errors = vec![];
    let chosen: Vec<_> = flaws::FLAWS.iter().filter(|flaw| name.is_none_or(|name| name == flaw.name)).collect();
    if chosen.is_empty() {
        let names = flaws::FLAWS.iter().map(|flaw| flaw.name).collect::<Vec<_>>().join(", ");
        return Err(format!("error: there is no such flaw; the flaws are {names}"));
    }
    for (number, flaw) in (1..).zip(&chosen) {
        eprint!("{number}/{} {} … ", chosen.len(), flaw.name);
        match flaws::check(&root, flaw) {
            Ok(()) => eprintln!("caught by {}", flaw.caught_by()),
            Err(why) => {
                eprintln!("NOT CAUGHT");
                errors.push(format!("error: {}: {why}", flaw.name));
            }
        }
    }
    if errors.is_empty() { Ok(()) } else { Err(errors.join("\n")) }
}
