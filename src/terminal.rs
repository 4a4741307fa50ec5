//! What the command prints and asks. Nothing else in the command prints.
//!
//! Much of what is printed was written by customers, who may put into their names what moves the cursor, writes to the
//! clipboard, or reverses the text of a line. Such characters are shown as escapes. JSON is the exception: it is for
//! programs, and its own escapes cover the characters that control a terminal of today.

use std::borrow::Cow;
use std::fmt::{Display, Write as _};
use std::io::{self, ErrorKind, IsTerminal, Read, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anstyle::Style;
use anyhow::{Context, Result};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};
use serde::Serialize;
use terminal_size::Width;

use crate::exit_code::ExitCode;

/// How long something takes before its progress is shown.
const PROGRESS_AFTER: Duration = Duration::from_secs(1);

/// The progress that is shown, which makes room for each printed line.
static SHOWN: Mutex<Option<ProgressBar>> = Mutex::new(None);
/// Whether something could not be written to standard output.
static OUTPUT_LOST: AtomicBool = AtomicBool::new(false);
/// Whether the reader of standard output has gone.
static OUTPUT_CLOSED: AtomicBool = AtomicBool::new(false);

/// The text with control characters and characters that show nothing as escapes such as `\u{1b}`, `\n` and `\t`.
///
/// These are the control characters of ASCII and of ISO 8859, the separators of lines and paragraphs, the characters
/// that change the direction of text, and everything that Unicode lets a terminal ignore.
#[must_use]
pub fn visible(text: &str) -> Cow<'_, str> {
    if !text.contains(is_invisible) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        match character {
            '\n' => shown.push_str("\\n"),
            '\r' => shown.push_str("\\r"),
            '\t' => shown.push_str("\\t"),
            _ if is_invisible(character) => {
                // Writing to a string never fails.
                let _ = write!(shown, "{}", character.escape_unicode());
            }
            _ => shown.push(character),
        }
    }
    Cow::Owned(shown)
}

/// Control characters, and those with the Unicode properties `Cf` (except signs that enclose digits and are visible),
/// `Zl`, `Zp` and `Default_Ignorable_Code_Point`.
fn is_invisible(character: char) -> bool {
    character.is_control()
        || matches!(character,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}'
            | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}'
            | '\u{13430}'..='\u{1343f}' | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}'
            | '\u{e0000}'..='\u{e0fff}')
}

/// The same for each line of a text that has several.
fn visible_lines(text: &str) -> String {
    text.split('\n').map(visible).collect::<Vec<_>>().join("\n")
}

/// Prints a line, or several, to standard output. A line feed in a value of a customer has to be made visible before.
pub fn line(text: impl Display) {
    let text = visible_lines(&text.to_string());
    out(|| writeln!(anstream::stdout(), "{text}"));
}

/// Prints a line of parts with styles to standard output. Colours appear only on a terminal, and not with `NO_COLOR`.
pub fn styled_line(parts: &[(Style, &str)]) {
    let text =
        parts.iter().map(|(style, text)| format!("{style}{}{style:#}", visible(text))).collect::<Vec<_>>().concat();
    out(|| writeln!(anstream::stdout(), "{text}"));
}

/// The width of the terminal that standard output goes to, in columns. None if that is no terminal.
#[must_use]
pub fn columns() -> Option<usize> {
    let (Width(columns), _) = terminal_size::terminal_size_of(io::stdout())?;
    Some(usize::from(columns)).filter(|columns| *columns > 0)
}

/// Prints a line to standard error: what is not the result of the command.
pub fn note(text: impl Display) {
    let text = visible_lines(&text.to_string());
    suspended(|| drop(writeln!(anstream::stderr(), "{text}")));
}

/// Prints an error and its causes to standard error, in one line.
pub fn error(error: &anyhow::Error) {
    let text = format!("{error:#}");
    suspended(|| drop(writeln!(anstream::stderr(), "error: {}", visible(&text))));
}

/// Prints a value as JSON in one line.
pub fn json(value: &impl Serialize) {
    print_json(serde_json::to_string(value));
}

/// Prints a value as JSON with line breaks.
pub fn json_pretty(value: &impl Serialize) {
    print_json(serde_json::to_string_pretty(value));
}

fn print_json(text: serde_json::Result<String>) {
    out(|| writeln!(io::stdout(), "{}", text?));
}

/// Prints a script that this program has generated.
pub fn script(script: &[u8]) {
    out(|| io::stdout().write_all(script));
}

/// Where the log lines of functions go that are printed as they are, one JSON object per line.
#[must_use]
pub fn log_writer() -> Box<dyn Write + Send> {
    Box::new(io::stderr())
}

/// Fails if something that was printed is lost, for example because a disk is full.
///
/// # Errors
/// See above.
pub fn check_output() -> Result<()> {
    out(|| io::stdout().flush());
    if OUTPUT_LOST.load(Ordering::Relaxed) {
        return Err(ExitCode::Failed.error("standard output could not be written").into());
    }
    Ok(())
}

/// Writes to standard output. If its reader has gone, as in `… | head -1`, the command goes on without one.
fn out(write: impl FnOnce() -> io::Result<()>) {
    suspended(|| match write() {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => OUTPUT_CLOSED.store(true, Ordering::Relaxed),
        Err(_) => OUTPUT_LOST.store(true, Ordering::Relaxed),
        Ok(()) => {}
    });
}

/// Whether the reader of standard output has gone, so that a command without an end can stop.
#[must_use]
pub fn is_output_closed() -> bool {
    OUTPUT_CLOSED.load(Ordering::Relaxed)
}

fn shown() -> MutexGuard<'static, Option<ProgressBar>> {
    SHOWN.lock().unwrap_or_else(PoisonError::into_inner)
}

fn suspended(print: impl FnOnce()) {
    let bar = shown().clone();
    match bar {
        Some(bar) => bar.suspend(print),
        None => print(),
    }
}

/// Progress on standard error, until it is dropped.
#[derive(Debug)]
pub struct Progress(ProgressBar);

/// Shows progress if what is done takes more than a second and a person is looking. `total` is the number of steps, if
/// it is known.
#[must_use]
pub fn progress(what: &str, total: Option<usize>) -> Progress {
    let total = total.and_then(|total| u64::try_from(total).ok());
    let bar = ProgressBar::with_draw_target(total, ProgressDrawTarget::hidden());
    set_style(&bar, total.is_some());
    bar.set_message(visible(what).into_owned());
    if io::stderr().is_terminal() {
        *shown() = Some(bar.clone());
        let weak = bar.downgrade();
        std::thread::spawn(move || {
            std::thread::sleep(PROGRESS_AFTER);
            if let Some(bar) = weak.upgrade().filter(|bar| !bar.is_finished()) {
                bar.set_draw_target(ProgressDrawTarget::stderr());
                bar.enable_steady_tick(Duration::from_millis(100));
            }
        });
    }
    Progress(bar)
}

fn set_style(bar: &ProgressBar, has_total: bool) {
    let template = if has_total { "{msg} {bar:30} {pos}/{len}, {eta} left" } else { "{spinner} {msg} {count}" };
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style.with_key("count", count));
    }
}

/// The number of steps that are done. There is none while something is waited for that has no steps.
fn count(state: &ProgressState, text: &mut dyn std::fmt::Write) {
    if state.pos() > 0 {
        // What cannot be shown is left out.
        let _ = write!(text, "{}", state.pos());
    }
}

impl Progress {
    /// Counts steps that are done.
    pub fn advance(&self, steps: usize) {
        self.0.inc(u64::try_from(steps).unwrap_or_default());
    }

    /// Shows how many steps are done, of how many, as far as it is known by now.
    pub fn show(&self, done: u64, total: Option<u64>) {
        if let Some(total) = total.filter(|total| self.0.length() != Some(*total)) {
            set_style(&self.0, true);
            self.0.set_length(total);
        }
        self.0.set_position(done);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
        *shown() = None;
    }
}

/// Asks whether to go on, unless `yes` says so already.
///
/// # Errors
/// When the answer is not yes, or nobody can be asked; that is an error of usage, which names `--yes`.
pub fn confirm(question: &str, yes: bool) -> Result<()> {
    if yes {
        return Ok(());
    }
    if !io::stdin().is_terminal() || !io::stderr().is_terminal() {
        let error = format!("{question} There is no terminal to ask on: confirm with --yes");
        return Err(ExitCode::Usage.error(error).into());
    }
    let mut stderr = io::stderr();
    write!(stderr, "{} [y/N] ", visible(question)).and_then(|()| stderr.flush())?;
    let mut answer = String::new();
    let is_ended = io::stdin().read_line(&mut answer).context("the answer cannot be read")? == 0;
    if is_ended {
        // Ctrl-D leaves the cursor behind the question.
        note("");
    }
    if !["y", "yes"].contains(&answer.trim().to_ascii_lowercase().as_str()) {
        return Err(ExitCode::Failed.error("not confirmed: nothing was changed").into());
    }
    Ok(())
}

/// Reads a secret: on a terminal after a prompt and without showing it, otherwise all of standard input.
///
/// # Errors
/// When standard input cannot be read, or is not text.
pub fn read_secret(prompt: &str) -> Result<String> {
    if io::stdin().is_terminal() {
        return rpassword::prompt_password(prompt).context("the secret cannot be read from the terminal");
    }
    let mut text = String::new();
    io::stdin().read_to_string(&mut text).context("the secret on standard input is not text")?;
    Ok(text)
}
