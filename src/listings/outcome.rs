//! How a run through a list ended, as text, as JSON and as the command's exit code.

use anyhow::{Result, bail};
use clientele_flow::{ListRunError, RunEnd};
use clientele_model::{Id, ListingError};
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
    Failed(ExitCode, String),
}

impl Ended {
    /// The end of a run, whose errors `explain` puts into words.
    pub fn of(end: &RunEnd, explain: impl Fn(&ListRunError) -> String) -> Self {
        match end {
            RunEnd::Complete => Self::Complete,
            RunEnd::Incomplete(why) => Self::Incomplete(why.clone()),
            RunEnd::Stopped => Self::Stopped,
            RunEnd::Failed(error) => Self::Failed(exit_code(error), explain(error)),
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
            Self::Stopped | Self::Failed(..) => false,
        }
    }

    /// The fields `end` and `problem` of the JSON object that describes the run.
    #[must_use]
    pub fn add_to(&self, mut object: Value) -> Value {
        let problem = match self {
            Self::Complete | Self::Stopped => None,
            Self::CompleteExcept(why) | Self::Incomplete(why) | Self::Failed(_, why) => Some(why),
        };
        (object["end"], object["problem"]) = (self.word().into(), json!(problem));
        object
    }

    /// A line that names the provider, the account as far as it is known, and the end.
    #[must_use]
    pub fn heading(&self, provider: &str, account: Option<&Id>) -> String {
        let account = account.map(|account| format!(", account {}", account.as_str())).unwrap_or_default();
        format!("{provider}{account}: {}", self.word())
    }

    fn word(&self) -> &'static str {
        match self {
            Self::Complete | Self::CompleteExcept(_) => "complete",
            Self::Incomplete(_) => "incomplete",
            Self::Stopped => "stopped",
            Self::Failed(..) => "failed",
        }
    }

    /// The result of the command. `what` is the run, as in `the import`, and `next` says what the same command does next, if
    /// that is worth saying.
    ///
    /// # Errors
    /// Unless the run is complete and nothing is left to do.
    pub fn result(self, what: &str, next: Option<&str>) -> Result<()> {
        let next = next.map(|next| format!("; {next}")).unwrap_or_default();
        match self {
            Self::Failed(code, why) => bail!(code.error(format!("{why}{next}"))),
            Self::Stopped => bail!(ExitCode::Incomplete.error(format!("{what} was stopped{next}"))),
            Self::Incomplete(why) => {
                bail!(ExitCode::Incomplete.error(format!("{what} may be incomplete: {why}{next}")))
            }
            Self::CompleteExcept(left) => bail!(ExitCode::Incomplete.error(left)),
            Self::Complete => Ok(()),
        }
    }
}

/// An outage, and a key that is not accepted, are not the fault of the command line or of the data.
fn exit_code(error: &ListRunError) -> ExitCode {
    match error {
        ListRunError::Unreachable(_)
        | ListRunError::Table(_)
        | ListRunError::Answer(ListingError::Denied | ListingError::Temporary(_)) => ExitCode::Unreachable,
        ListRunError::Answer(ListingError::Refused(_) | ListingError::Unexpected(_))
        | ListRunError::NoListApi
        | ListRunError::OtherAccount { .. }
        | ListRunError::AccountUnknown => ExitCode::Failed,
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
