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

    /// The fields `end` and `problem` of the JSON object that describes the run.
    #[must_use]
    pub fn add_to(&self, mut object: Value) -> Value {
        let (end, problem) = match self {
            Self::Complete => ("complete", None),
            Self::Incomplete(why) => ("incomplete", Some(why)),
            Self::Stopped => ("stopped", None),
            Self::Failed(why) => ("failed", Some(why)),
        };
        (object["end"], object["problem"]) = (end.into(), json!(problem));
        object
    }

    /// The result of the command. `what` is the run, as in `the import`; `next` says what the same command does next, if that
    /// is worth saying; and `not_imported` is the number of records that could not be imported.
    ///
    /// # Errors
    /// Unless the run is complete and every record was imported.
    pub fn result(self, what: &str, next: Option<&str>, not_imported: u64) -> Result<()> {
        let next = next.map(|next| format!("; {next}")).unwrap_or_default();
        match self {
            Self::Failed(why) => bail!(ExitCode::Failed.error(format!("{why}{next}"))),
            Self::Stopped => bail!(ExitCode::Incomplete.error(format!("{what} was stopped{next}"))),
            Self::Incomplete(why) => {
                bail!(ExitCode::Incomplete.error(format!("{what} may be incomplete: {why}{next}")))
            }
            Self::Complete if not_imported == 0 => Ok(()),
            Self::Complete => {
                let records = if not_imported == 1 { "1 record".to_owned() } else { format!("{not_imported} records") };
                bail!(ExitCode::Incomplete.error(format!("{records} could not be imported; all others were handled")))
            }
        }
    }
}
