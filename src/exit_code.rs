//! The exit codes of the command, and the errors that carry one.
//!
//! An error exits with code 1 unless a [`CommandError`] is among its causes or contexts:
//! `bail!(ExitCode::NotFound.error("no such customer"))`, or
//! `.with_context(|| ExitCode::Unreachable.error("the table cannot be read"))`. The outermost one counts.

use std::fmt;

/// What the exit code of a failed command says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExitCode {
    /// The command failed, or a result was not as expected.
    Failed = 1,
    /// The command line is wrong. The parser of the command line uses this code, too.
    Usage = 2,
    /// Something is left that another run can do.
    Incomplete = 3,
    /// There is no such customer, message, event or stack.
    NotFound = 4,
    /// The stack or a service cannot be reached, or does not let the caller in.
    Unreachable = 5,
}

/// Each exit code with its meaning, for the documentation.
pub const MEANINGS: [(u8, &str); 6] = [
    (0, "success"),
    (ExitCode::Failed as u8, "the command failed, or a result was not as expected"),
    (ExitCode::Usage as u8, "the command line is wrong"),
    (ExitCode::Incomplete as u8, "something is left that another run can do"),
    (ExitCode::NotFound as u8, "there is no such customer, message, event or stack"),
    (ExitCode::Unreachable as u8, "the stack or a service cannot be reached, or does not let the caller in"),
];

/// An error or the context of one, with the exit code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommandError {
    code: ExitCode,
    message: String,
}

impl ExitCode {
    /// An error with this exit code.
    #[must_use]
    pub fn error(self, message: impl Into<String>) -> CommandError {
        CommandError { code: self, message: message.into() }
    }

    /// The exit code of an error.
    #[must_use]
    pub fn of(error: &anyhow::Error) -> Self {
        error.downcast_ref::<CommandError>().map_or(Self::Failed, |error| error.code)
    }
}

impl fmt::Display for CommandError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.message)
    }
}

impl std::error::Error for CommandError {}
