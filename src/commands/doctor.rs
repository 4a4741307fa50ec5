//! `clientele doctor`: says whether a stack is healthy.

use anyhow::{Context, Result, bail};
use clap::Args;
use serde_json::json;

use crate::doctor::{Report, ReportedFinding, Row, RowState, deployed};
use crate::exit_code::ExitCode;
use crate::target::{self, Target};
use crate::terminal;
use crate::text_table::TextTable;

/// Say whether a stack is healthy, and what to do if it is not
///
/// One screen shows the secrets, the last verified and the last refused delivery of each provider, the alarms, the
/// queues, cleanup messages that could not be sent, the settings of the table, and the last scheduled reconciliation.
/// If the variable `PLAIN_API_KEY` has an API key of Plain, it also shows whether Plain sends its webhooks to a deployed
/// stack; a local stack asks its stand-in for Plain. Nothing is changed, no message is received, and nothing secret or personal is shown.
///
/// What your credentials cannot read is unknown, with the action of IAM that is missing, and hides nothing else.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  clientele doctor
  clientele doctor --stack clientele
  clientele doctor --stack clientele --json | jq .findings

With --json, the result is an object with `is_healthy`, `findings` (each with `part`, `name`, `problem` and `advice`) and \
`facts`. The exit code is 0 if the stack is healthy, 1 if a person has to do something, which includes giving a missing \
permission, and 5 if the stack cannot be reached.")]
pub struct Doctor {
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    target: Target,
}

/// Runs `clientele doctor`.
///
/// # Errors
/// When the stack cannot be reached, or a person has to do something about it.
pub async fn doctor(doctor: Doctor) -> Result<()> {
    let target = doctor.target.open().await?;
    let progress = terminal::progress("examining the stack", None);
    let report = match target.admin_url() {
        Some(admin_url) => local(admin_url.to_owned()).await?,
        None => Report::of(&deployed::facts(&target).await?),
    };
    drop(progress);
    let Report { is_healthy, findings, facts, rows } = &report;
    if doctor.json {
        terminal::json(&json!({ "is_healthy": is_healthy, "findings": findings, "facts": facts }));
    } else {
        terminal::line(as_table(rows));
        findings.iter().for_each(print);
    }
    match findings.len() {
        0 if doctor.json => Ok(()),
        0 => {
            terminal::line(format!("{} is healthy.", target.name()));
            Ok(())
        }
        1 => bail!(ExitCode::Failed.error("1 finding needs a person")),
        count => bail!(ExitCode::Failed.error(format!("{count} findings need a person"))),
    }
}

/// A local stack examines itself, since only it knows its deliveries, secrets and faults.
async fn local(admin_url: String) -> Result<Report> {
    let url = format!("{admin_url}/doctor");
    let answer = tokio::task::spawn_blocking(move || target::agent().get(url).call()).await?;
    let report = target::admin_answer(answer, &admin_url)?;
    serde_json::from_value(report).with_context(|| target::not_an_admin_port(&admin_url))
}

/// A row with a mark in front of it if a person has to do something.
fn as_table(rows: &[Row]) -> TextTable {
    let mut table = TextTable::new(["", "part", "name", "state"]);
    let mut last = "";
    for Row { part, name, text, state } in rows {
        let mark = if *state == RowState::Problem { "!" } else { "" };
        let shown = if last == part { "" } else { part };
        table.add_row([mark, shown, name, text]);
        last = part;
    }
    table
}

fn print(finding: &ReportedFinding) {
    let ReportedFinding { part, name, problem, advice } = finding;
    let place = if name.is_empty() { part.clone() } else { format!("{part}, {name}") };
    terminal::line(format!("! {}: {}", terminal::visible(&place), terminal::visible(problem)));
    terminal::line(format!("    {}", terminal::visible(advice)));
}
