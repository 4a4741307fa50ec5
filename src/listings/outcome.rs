//! How a run through a list ended, as text, as JSON and as the command's exit code.

use anyhow::{Result, bail};
use clientele_flow::{ListRunError, RunEnd};
use serde_json::{Value, json};

use crate::exit_code::ExitCode;

/// The end of a run, with the texts for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    /// Every record was handled.
    Complete,
    /// Every record was handled, but something is left to do. The text says what.
    CompleteExcept(String),
    /// The end of the list was reached, but something may be missing. The text says why.
    Incomplete(String),
    /// Ctrl-C.
    Stopped,
    /// The text says why.
    Failed(String),
}

impl Ended {
    /// The end of a run, whose errors `explain` puts into words.
    pub fn of(end: &RunEnd, explain: impl Fn(&ListRunError) -> String) -> Self {
        match end {
            RunEnd::Complete => Self::Complete,
            RunEnd::Incomplete(why) => Self::Incomplete(why.clone()),
            RunEnd::Stopped => Self::Stopped,
            RunEnd::Failed(error) => Self::Failed(explain(error)),
        }
    }

    /// The same end, if it is complete and something is left to do.
    #[must_use]
    pub fn except(self, left: impl IntoIterator<Item = String>) -> Self {
        let left: Vec<_> = left.into_iter().collect();
        if self == Self::Complete && !left.is_empty() { Self::CompleteExcept(left.join("; ")) } else { self }
    }

    /// Whether the end of the list was reached.
    #[must_use]
    pub fn has_reached_the_end(&self) -> bool {
        match self {
            Self::Complete | Self::CompleteExcept(_) | Self::Incomplete(_) => true,
            Self::Stopped | Self::Failed(_) => false,
        }
    }

    /// The fields `end` and `problem` of the JSON object that describes the run.
    #[must_use]
    pub fn add_to(&self, mut object: Value) -> Value {
        let (end, problem) = match self {
            Self::Complete => ("complete", None),
            Self::CompleteExcept(left) => ("complete", Some(left)),
            Self::Incomplete(why) => ("incomplete", Some(why)),
            Self::Stopped => ("stopped", None),
            Self::Failed(why) => ("failed", Some(why)),
        };
        (object["end"], object["problem"]) = (end.into(), json!(problem));
        object
    }

    /// The result of the command. `what` is the run, as in `the import`, and `next` says what the same command does next, if
    /// that is worth saying.
    ///
    /// # Errors
    /// Unless the run is complete and nothing is left to do.
    pub fn result(self, what: &str, next: Option<&str>) -> Result<()> {
        let next = next.map(|next| format!("; {next}")).unwrap_or_default();
        match self {
            Self::Failed(why) => bail!(ExitCode::Failed.error(format!("{why}{next}"))),
            Self::Stopped => bail!(ExitCode::Incomplete.error(format!("{what} was stopped{next}"))),
            Self::Incomplete(why) => {
                bail!(ExitCode::Incomplete.error(format!("{what} may be incomplete: {why}{next}")))
            }
            Self::CompleteExcept(left) => bail!(ExitCode::Incomplete.error(left)),
            Self::Complete => Ok(()),
        }
    }
}

/// What is left of a run, if that many records could not be imported.
#[must_use]
pub fn left_out(number: u64) -> Option<String> {
    let records = match number {
        0 => return None,
        1 => "1 record".to_owned(),
        number => format!("{number} records"),
    };
    Some(format!("{records} could not be imported; all others were handled"))
}
