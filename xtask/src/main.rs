//! `cargo xtask`: the project's chores. Each prints the commands that it runs, so that they can be run by hand.
#![expect(clippy::print_stderr, reason = "a command")]

mod flaws;
mod instructions;

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

const HELP: &str = "\
cargo xtask CHORE: each prints the commands that it runs

  check               format, lints, documentation, template
  test                all tests
  flaws [NAME]        put well-known mistakes into a copy of the project, one at a time: a named test must catch each
                      (minutes; builds in target/flaws-target, or where CARGO_TARGET_DIR says)
  instructions        the instructions that callgrind counts, beside those written down: more than 5 % and 500 away
                      must be looked at (needs valgrind and gungraun-runner; UPDATE=1 writes them down)
  build               the functions, as they are deployed
  invoke [EVENT]      an event file through a function in a container, as in plain/customer-updated
                      (needs build, Docker, and the local stack: cargo run -- --empty --listen 0.0.0.0)
  deploy [STAGE]      build, then deploy the stage of samconfig.toml: default, staging or prod
  logs PROVIDER [STACK]
                      what a deployed function logs, as it comes";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match arguments[..] {
        ["help" | "--help" | "-h"] => {
            eprintln!("{HELP}");
            Ok(())
        }
        ["check"] => check(),
        ["test"] => run("cargo", &["test", "--workspace"]),
        ["flaws"] => flaws(None),
        ["flaws", name] => flaws(Some(name)),
        ["instructions"] => instructions::check(),
        ["build"] => run("sam", &["build"]),
        ["invoke"] => invoke("plain/customer-updated"),
        ["invoke", event] => invoke(event),
        ["deploy"] => deploy("default"),
        ["deploy", stage] => deploy(stage),
        ["logs", provider] => logs(provider, "clientele"),
        ["logs", provider, stack] => logs(provider, stack),
        _ => Err(Failure::Usage),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("{failure}");
            ExitCode::FAILURE
        }
    }
}

enum Failure {
    Usage,
    NoSuchTool(String),
    Failed(String),
    NoSuchProvider(String),
    Flaws(Vec<String>),
    Instructions(Vec<String>),
    NoCallgrind,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usage => f.write_str(HELP),
            Self::NoSuchTool(tool) if tool == "sam" => f.write_str(
                "error: no `sam` here: pip install aws-sam-cli cargo-lambda (docs/deploy.md has other ways)",
            ),
            Self::NoSuchTool(tool) => write!(f, "error: no `{tool}` here"),
            Self::Failed(command) => write!(f, "error: not well: {command}"),
            Self::Instructions(wrong) => {
                write!(
                    f,
                    "error: {}\nif that is as it should be: UPDATE=1 cargo xtask instructions",
                    wrong.join("\nerror: ")
                )
            }
            Self::NoCallgrind => f.write_str(
                "error: the instructions were not counted: that needs valgrind, and\n\
                 cargo install --locked gungraun-runner --version 0.20.0",
            ),
            Self::Flaws(wrong) => write!(f, "error: {}", wrong.join("\nerror: ")),
            Self::NoSuchProvider(name) => write!(f, "error: template.yaml has no function of `{name}`"),
        }
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// A command that does not see what Cargo tells this program of itself: build scripts would take it for a change.
fn command(tool: &str) -> Command {
    let mut command = Command::new(tool);
    for (name, _) in std::env::vars_os() {
        if ["CARGO_PKG_", "CARGO_MANIFEST_"].iter().any(|of_this| name.to_string_lossy().starts_with(of_this)) {
            command.env_remove(name);
        }
    }
    command.current_dir(root());
    command
}

fn run(tool: &str, arguments: &[&str]) -> Result<(), Failure> {
    run_with(tool, arguments, &[])
}

fn run_with(tool: &str, arguments: &[&str], environment: &[(&str, &str)]) -> Result<(), Failure> {
    let settings = environment.iter().map(|(name, value)| format!("{name}='{value}'"));
    let words = settings.chain([tool.to_owned()]).chain(arguments.iter().map(|word| (*word).to_owned()));
    let shown = words.collect::<Vec<_>>().join(" ");
    eprintln!("$ {shown}");
    let status = command(tool).args(arguments).envs(environment.iter().copied()).status();
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(_) => Err(Failure::Failed(shown)),
        Err(_) => Err(Failure::NoSuchTool(tool.to_owned())),
    }
}

fn check() -> Result<(), Failure> {
    run("cargo", &["fmt", "--all", "--check"])?;
    run("cargo", &["clippy", "--workspace", "--all-targets", "--all-features", "--locked", "--", "-D", "warnings"])?;
    let doc = ["doc", "--workspace", "--no-deps", "--document-private-items", "--locked"];
    run_with("cargo", &doc, &[("RUSTDOCFLAGS", "-D warnings")])?;
    // One asks cfn-lint, the other SAM itself. Both want some region.
    let region = [("AWS_DEFAULT_REGION", "us-east-1")];
    run_with("sam", &["validate", "--lint"], &region)?;
    run_with("sam", &["validate", "--config-env", "none"], &region)
}

fn flaws(name: Option<&str>) -> Result<(), Failure> {
    let root = root();
    let mut wrong = vec![];
    let chosen: Vec<_> = flaws::FLAWS.iter().filter(|flaw| name.is_none_or(|name| name == flaw.name)).collect();
    if chosen.is_empty() {
        let names = flaws::FLAWS.iter().map(|flaw| flaw.name).collect::<Vec<_>>().join(", ");
        return Err(Failure::Flaws(vec![format!("there is no such flaw; there are {names}")]));
    }
    for (number, flaw) in (1..).zip(&chosen) {
        eprint!("{number}/{} {} … ", chosen.len(), flaw.name);
        match flaws::caught(&root, flaw) {
            Ok(()) => eprintln!("caught by {}", flaw.caught_by()),
            Err(why) => {
                eprintln!("NOT CAUGHT");
                wrong.push(format!("{}: {why}", flaw.name));
            }
        }
    }
    if wrong.is_empty() { Ok(()) } else { Err(Failure::Flaws(wrong)) }
}

fn invoke(event: &str) -> Result<(), Failure> {
    let event = event.trim_start_matches("events/").trim_end_matches(".json");
    let provider = event.split('/').next().unwrap_or_default();
    let function = function(provider)?;
    run("sam", &["local", "invoke", &function, "-e", &format!("events/{event}.json"), "-n", "events/env.json"])
}

/// The logical id of a provider's function: the resource whose binary is the provider's.
fn function(provider: &str) -> Result<String, Failure> {
    let template = concat!(env!("CARGO_MANIFEST_DIR"), "/../template.yaml");
    let template = std::fs::read_to_string(template).unwrap_or_default();
    let binary = format!("Binary: clientele-{provider}");
    let mut resource = "";
    for line in template.lines() {
        let is_resource = line.starts_with("  ") && !line.starts_with("   ") && line.ends_with(':');
        if is_resource {
            resource = line.trim().trim_end_matches(':');
        } else if line.trim() == binary {
            return Ok(resource.to_owned());
        }
    }
    Err(Failure::NoSuchProvider(provider.to_owned()))
}

fn deploy(stage: &str) -> Result<(), Failure> {
    run("sam", &["build"])?;
    run("sam", &["deploy", "--config-env", stage])
}

fn logs(provider: &str, stack: &str) -> Result<(), Failure> {
    function(provider)?;
    run("sam", &["logs", "--cw-log-group", &format!("/aws/lambda/{stack}-{provider}"), "--tail"])
}
