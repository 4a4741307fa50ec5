//! The commands in the documentation. Those that need nothing but the local stack are executed. All commands of
//! `clientele` must at least be right by its command line.

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser};
use clientele::cli::Cli;

use crate::documentation::pages;
use crate::support::cli::{RunningStack, clientele};

/// What a fence needs besides the local stack, so that it is not executed: an AWS account, programs such as SAM and
/// Docker, or a checkout and minutes. CONTRIBUTING.md explains them.
const MARKS: [&str; 3] = ["aws", "tools", "checkout"];

/// A block of shell commands: its mark, and its lines, of which those that end in a backslash are joined.
struct Fence {
    mark: String,
    lines: Vec<String>,
}

/// The shell fences of a page, and the text outside of all fences.
fn fences(text: &str) -> (Vec<Fence>, String) {
    let (mut shell, mut prose) = (vec![], String::new());
    for (index, block) in text.split("```").enumerate() {
        let (info, lines) = block.split_once('\n').unwrap_or((block, ""));
        if index % 2 == 0 {
            prose.push_str(block);
        } else if let Some(mark) = info.strip_prefix("sh") {
            let lines = lines.replace("\\\n", " ");
            let lines = lines.lines().map(|line| line.trim().to_owned()).filter(|line| !line.is_empty());
            shell.push(Fence { mark: mark.trim().to_owned(), lines: lines.collect() });
        }
    }
    (shell, prose)
}

#[test]
fn every_mark_of_a_fence_is_known() {
    for (page, text) in pages() {
        for fence in fences(&text).0.iter().filter(|fence| !fence.mark.is_empty()) {
            assert!(MARKS.contains(&fence.mark.as_str()), "{page}: ```sh {}", fence.mark);
        }
    }
}

/// Commands in fences, and in code spans of text and tables, can be parsed.
#[test]
fn every_documented_command_parses() {
    let (mut wrong, mut number) = (vec![], 0);
    for (page, text) in pages() {
        let (fences, prose) = fences(&text);
        let lines = fences.iter().flat_map(|fence| &fence.lines).map(|line| (line.clone(), false));
        let spans = prose.split('`').skip(1).step_by(2).map(|span| (span.replace('\n', " "), true));
        for (code, is_mention) in lines.chain(spans) {
            for words in commands(&code) {
                number += 1;
                // In a sentence, a command may be named without its arguments.
                let is_named = is_mention && subcommand(&words).is_some();
                if let Err(error) = parse(&words)
                    && !is_named
                {
                    wrong.push(format!("{page}: {code}: {error}"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(number > 100, "only {number} commands were found");
}

/// Parses a command, of which the stack may be in the variable `CLIENTELE_STACK`.
fn parse(words: &[String]) -> Result<(), clap::Error> {
    let with = |more: &[&str]| {
        let more = more.iter().copied();
        let parsed = Cli::try_parse_from(["clientele"].into_iter().chain(words.iter().map(String::as_str)).chain(more));
        parsed.map(drop).or_else(|error| if error.exit_code() == 0 { Ok(()) } else { Err(error) })
    };
    with(&[]).or_else(|error| match error.kind() {
        ErrorKind::MissingRequiredArgument => with(&["--stack", "clientele"]),
        _ => Err(error),
    })
}

/// The arguments of each command of `clientele` in a piece of shell code.
fn commands(code: &str) -> Vec<Vec<String>> {
    let code = code.split(" #").next().unwrap_or_default();
    let simple = code.split(['|', ';', '&', '(', ')']).filter_map(|command| {
        let words = command.split_whitespace().map(|word| word.trim_matches(['"', '\'']));
        let words = words.take_while(|word| !word.starts_with(['<', '>']) && *word != "…");
        let words: Vec<_> = words.skip_while(|word| word.contains('=') && !word.starts_with('-')).collect();
        let arguments = match &words[..] {
            ["clientele", arguments @ ..] => arguments,
            ["cargo", "run", rest @ ..] => {
                let rest = rest.strip_prefix(&["-q"]).unwrap_or(rest);
                rest.strip_prefix(&["--"]).unwrap_or(rest)
            }
            // A mention such as `quarantine list`.
            [noun, verb, ..] if Cli::command().find_subcommand(noun)?.find_subcommand(verb).is_some() => &words,
            _ => return None,
        };
        Some(arguments.iter().map(|word| filled_in(word).to_owned()).collect())
    });
    simple.collect()
}

/// A value that can be parsed in place of one that the reader has to choose.
fn filled_in(word: &str) -> &str {
    match word {
        "acme" | "PROVIDER" => "plain",
        "URL" | "$" => "http://127.0.0.1:9010",
        "NUMBER" => "1",
        _ => word,
    }
}

/// The subcommand, if all words are its name, as in `quarantine` and `quarantine list`.
fn subcommand(words: &[String]) -> Option<clap::Command> {
    words.iter().try_fold(Cli::command(), |command, word| command.find_subcommand(word).cloned())
}

/// Unmarked fences are executed, in the order of their page, in an empty folder, against a local stack of their own.
#[test]
fn unmarked_fences_are_executed() {
    let pages = pages().into_iter().map(|(page, text)| {
        let unmarked = fences(&text).0.into_iter().filter(|fence| fence.mark.is_empty());
        (page, unmarked.flat_map(|fence| fence.lines).collect::<Vec<_>>())
    });
    let pages: Vec<_> = pages.filter(|(_, lines)| !lines.is_empty()).collect();
    assert!(pages.len() > 3, "{pages:?}");
    let failures = std::thread::scope(|scope| {
        let runs: Vec<_> = pages.iter().map(|(page, lines)| scope.spawn(move || execute(page, lines))).collect();
        runs.into_iter().flat_map(|run| run.join().unwrap()).collect::<Vec<_>>()
    });
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// The failures of the lines of a page. A comment that begins with `exit code 4` names another code than 0.
fn execute(page: &str, lines: &[String]) -> Vec<String> {
    let (_stack, ports) = RunningStack::start(&[]);
    let folder = tempfile::tempdir().unwrap();
    let programs = folder.path().join("programs");
    let work = folder.path().join("work");
    std::fs::create_dir_all(&work).unwrap();
    write_programs(&programs, ports[3]);
    // curl then fails for a status of 400 or more.
    std::fs::write(folder.path().join(".curlrc"), "fail\nsilent\nshow-error\n").unwrap();
    let path = format!("{}:{}", programs.display(), std::env::var("PATH").unwrap());
    let run = |line: &String| {
        let mut shell = Command::new("bash");
        let script = [9000, 8000, 9324, 9010].into_iter().zip(ports).fold(line.clone(), |script, (default, port)| {
            script.replace(&format!("127.0.0.1:{default}"), &format!("127.0.0.1:{port}"))
        });
        shell.args(["-o", "pipefail", "-c", &script]).current_dir(&work);
        shell.env_clear().env("PATH", &path).env("HOME", folder.path());
        let output = shell.output().unwrap();
        let expected = line.split_once("# exit code ").map_or("0", |(_, code)| &code[..1]);
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        (output.status.code().unwrap_or(-1).to_string() != expected)
            .then(|| format!("{page}: {line}: {}, expected {expected}: {errors}", output.status))
    };
    // The tests must need nothing but Rust and a C compiler. CI installs curl.
    let has_curl = Command::new("curl").arg("--version").output().is_ok();
    lines.iter().filter(|line| has_curl || !line.starts_with("curl")).filter_map(run).collect()
}

/// Programs that stand in for those that the documentation calls: `clientele` with the port of this stack, `cargo run`,
/// and refusals of all that an unmarked fence must not need.
fn write_programs(folder: &Path, admin_port: u16) {
    std::fs::create_dir_all(folder).unwrap();
    let write = |name: &str, script: &str| {
        let path = folder.join(name);
        std::fs::write(&path, format!("#!/bin/bash\n{script}")).unwrap();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
    };
    for name in ["aws", "sam", "docker", "pip", "rustup"] {
        write(name, "echo 'mark the fence: this is executed without AWS and tools' >&2; exit 99\n");
    }
    write(
        "cargo",
        r#"[ "$1" = run ] || { echo "mark the fence: sh checkout" >&2; exit 99; }
shift; [ "$1" = -q ] && shift; [ "$1" = -- ] && shift
exec clientele "$@"
"#,
    );
    let (names, with_local) = subcommands_with_local();
    let script = r#"clientele=BINARY
for name in NAMES; do [ "$1" = "$name" ] && subcommand=1; done
if [ -n "$subcommand" ]; then
    case " $* " in *" --stack "*) echo "mark the fence: sh aws" >&2; exit 99;; esac
    case " $* " in *" --local "* | *" --help "*) exec "$clientele" "$@";; esac
    for name in LOCAL; do
        case "$1 $2 " in "${name/+/ } "*) exec "$clientele" "$@" --local http://127.0.0.1:PORT;; esac
    done
    exec "$clientele" "$@"
fi
# The local stack: on free ports, and only until it serves.
for option in --port --dynamodb-port --sqs-port --admin-port; do
    case " $* " in *" $option "*) ;; *) ports+=("$option" 0);; esac
done
output=$(mktemp)
"$clientele" "$@" "${ports[@]}" >"$output" & stack=$!
until grep -q Ctrl-C "$output" || ! kill -0 $stack 2>/dev/null; do sleep 0.05; done
# A shell starts programs in the background with SIGINT ignored, so one that comes before their handler is lost.
while kill -INT $stack 2>/dev/null; do sleep 0.05; done
wait $stack
"#;
    let binary = clientele(&[]).get_program().to_string_lossy().into_owned();
    let script = script.replace("BINARY", &binary).replace("PORT", &admin_port.to_string());
    write("clientele", &script.replace("NAMES", &names).replace("LOCAL", &with_local));
}

/// The names of all subcommands, and of those that take `--local`, as `noun+verb` if they have two words.
fn subcommands_with_local() -> (String, String) {
    let command = Cli::command();
    let names: Vec<_> = command.get_subcommands().map(clap::Command::get_name).collect();
    let verbs = command.get_subcommands().flat_map(|noun| {
        let name = noun.get_name();
        let verbs = noun.get_subcommands().map(move |verb| (format!("{name}+{}", verb.get_name()), verb));
        verbs.chain([(name.to_owned(), noun)])
    });
    let local = verbs.filter(|(_, verb)| verb.get_arguments().any(|argument| argument.get_long() == Some("local")));
    let local: BTreeSet<_> = local.map(|(name, _)| name).collect();
    (names.join(" "), local.into_iter().collect::<Vec<_>>().join(" "))
}
