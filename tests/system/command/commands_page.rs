//! docs/commands.md is generated from the command line's own description, and what that says holds.

use std::fmt::Write as _;

use clap::builder::PossibleValue;
use clap::{Arg, Command, CommandFactory, Parser};
use clientele::cli::{Cli, MAX_WIDTH};
use clientele::exit_code::MEANINGS;

use crate::support::root;

const LINE_CHARS: usize = 120;

/// `UPDATE=1 cargo test --workspace --test system commands_page` writes the page.
#[test]
fn the_commands_page_is_generated() {
    let page = page();
    let path = root("docs/commands.md");
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, page).unwrap();
    } else {
        let is = std::fs::read_to_string(&path).unwrap();
        assert_eq!(is, page, "docs/commands.md is out of date; UPDATE=1 writes it");
    }
}

/// The command with its subcommands, each of which knows how it is called.
fn built() -> Command {
    let mut command = Cli::command().term_width(MAX_WIDTH);
    command.build();
    command
}

/// Every command that can be run, with its subcommands.
fn commands(command: &Command) -> Vec<&Command> {
    let below = command.get_subcommands().filter(|below| below.get_name() != "help");
    [command].into_iter().chain(below.flat_map(commands)).collect()
}

/// A command that does something, rather than having subcommands that do.
fn is_leaf(command: &Command) -> bool {
    !command.has_subcommands() || !command.is_subcommand_required_set()
}

fn called(command: &Command) -> String {
    command.get_bin_name().unwrap_or("clientele").to_owned()
}

/// Every command says what it does, and has an example that can be parsed.
#[test]
fn every_help_text_has_examples_that_parse() {
    for command in commands(&built()) {
        let name = called(command);
        assert!(command.get_about().is_some_and(|about| !about.to_string().is_empty()), "{name} says nothing");
        if !is_leaf(command) {
            continue;
        }
        let help = command.get_after_help().unwrap_or_else(|| panic!("{name} has no example")).to_string();
        let examples = examples(&help);
        assert!(!examples.is_empty(), "{name} has no example");
        for example in examples {
            assert!(example.starts_with(&name), "{name}: {example}");
            let parsed = Cli::try_parse_from(words(&example));
            assert!(parsed.is_ok(), "{example}: {}", parsed.unwrap_err());
        }
    }
}

/// The lines below `Examples:` that call the command.
fn examples(help: &str) -> Vec<String> {
    let lines = help.lines().skip_while(|line| !line.starts_with("Example")).skip(1);
    let lines = lines.take_while(|line| line.starts_with("  "));
    lines.map(|line| line.trim().to_owned()).filter(|line| line.starts_with("clientele")).collect()
}

/// The arguments of an example, which end where the shell's own signs or an explanation begin.
fn words(example: &str) -> Vec<&str> {
    let ends = [" |", " <", " >", " #", "   "].into_iter().filter_map(|end| example.find(end));
    example[..ends.min().unwrap_or(example.len())].split_whitespace().collect()
}

#[test]
fn help_texts_fit_the_terminal() {
    let mut built = built();
    let mut stack = vec![&mut built];
    while let Some(command) = stack.pop() {
        let help = command.render_long_help().to_string();
        for line in help.lines() {
            assert!(line.chars().count() <= MAX_WIDTH, "{}: {line}", called(command));
        }
        stack.extend(command.get_subcommands_mut());
    }
}

fn page() -> String {
    let command = built();
    let mut page =
        "# The command\n\nThis page is generated from the help texts: `clientele --help`, and `--help` after \
                    any subcommand.\n\n"
            .to_owned();
    for below in commands(&command) {
        let name = called(below);
        writeln!(page, "- [`{name}`](#{})", name.replace(' ', "-")).unwrap();
    }
    for below in commands(&command) {
        add_command(&mut page, below);
    }
    page
}

fn add_command(page: &mut String, command: &Command) {
    write!(page, "\n## {}\n\n", called(command)).unwrap();
    let about = command.get_long_about().or(command.get_about()).map(ToString::to_string).unwrap_or_default();
    for paragraph in about.split("\n\n") {
        // The parser of the help texts removes the last full stop.
        add_wrapped(page, &format!("{}.", paragraph.trim_end_matches('.')));
    }
    if !is_leaf(command) {
        page.pop();
        return;
    }
    let usage = command.clone().render_usage().to_string();
    write!(page, "```text\n{usage}\n```\n\n").unwrap();
    let arguments: Vec<_> = command.get_arguments().filter(|argument| is_listed(argument)).collect();
    if !arguments.is_empty() {
        page.push_str("| argument | |\n|---|---|\n");
    }
    for argument in &arguments {
        writeln!(page, "| {} | {} |", code(&argument.to_string()), meaning(argument)).unwrap();
    }
    if !arguments.is_empty() {
        page.push('\n');
    }
    for paragraph in command.get_after_help().map(ToString::to_string).unwrap_or_default().split("\n\n") {
        add_paragraph(page, paragraph);
    }
    while page.ends_with("\n\n") {
        page.pop();
    }
}

fn is_listed(argument: &Arg) -> bool {
    !argument.is_hide_set() && !["help", "version"].contains(&argument.get_id().as_str())
}

/// Help, possible values, default and variable of an argument, for a cell of a table.
fn meaning(argument: &Arg) -> String {
    let help = argument.get_long_help().or(argument.get_help()).map(ToString::to_string).unwrap_or_default();
    let mut sentences = vec![escaped(help.split_whitespace().collect::<Vec<_>>().join(" ").trim_end_matches('.'))];
    let values: Vec<PossibleValue> =
        argument.get_possible_values().into_iter().filter(|value| !value.is_hide_set()).collect();
    if argument.get_action().takes_values() && !values.is_empty() {
        let shown = values.iter().map(|value| match value.get_help() {
            Some(help) => format!("{} ({})", code(value.get_name()), escaped(&help.to_string())),
            None => code(value.get_name()),
        });
        sentences.push(format!("One of {}", shown.collect::<Vec<_>>().join(", ")));
    }
    let defaults = argument.get_default_values();
    if argument.get_action().takes_values() && !defaults.is_empty() {
        let defaults = defaults.iter().map(|value| code(&value.to_string_lossy()));
        sentences.push(format!("Default: {}", defaults.collect::<Vec<_>>().join(", ")));
    }
    if let Some(variable) = argument.get_env() {
        sentences.push(format!("Variable: {}", code(&variable.to_string_lossy())));
    }
    sentences.join(". ")
}

fn code(text: &str) -> String {
    format!("`{}`", text.replace('|', "\\|"))
}

fn escaped(text: &str) -> String {
    text.replace('|', "\\|").replace('<', "\\<")
}

/// A paragraph of a help text: a sentence, which ends in a colon if indented lines follow it.
fn add_paragraph(page: &mut String, paragraph: &str) {
    if paragraph.starts_with("Exit codes:") {
        page.push_str("| exit code | |\n|---|---|\n");
        for (code, meaning) in MEANINGS {
            writeln!(page, "| {code} | {meaning} |").unwrap();
        }
        page.push('\n');
        return;
    }
    let lines: Vec<_> = paragraph.lines().collect();
    let text: Vec<_> = lines.iter().take_while(|line| !line.starts_with("  ")).copied().collect();
    add_wrapped(page, &escaped(&text.join(" ")));
    let code: Vec<_> = lines[text.len()..].iter().map(|line| line.strip_prefix("  ").unwrap_or(line)).collect();
    if !code.is_empty() {
        let language = if code[0].starts_with('{') { "json" } else { "text" };
        write!(page, "```{language}\n{}\n```\n\n", code.join("\n")).unwrap();
    }
}

fn add_wrapped(page: &mut String, paragraph: &str) {
    let mut line = String::new();
    for word in paragraph.split_whitespace() {
        if !line.is_empty() && line.chars().count() + 1 + word.chars().count() > LINE_CHARS {
            writeln!(page, "{line}").unwrap();
            line.clear();
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    if !line.is_empty() {
        write!(page, "{line}\n\n").unwrap();
    }
}
