//! The screen: what the facts and the findings say, as text.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::advice::{advice, sentence};
use super::facts::{
    Alarm, AlarmState, Fact, Facts, LastSeen, PendingCleanups, ProviderFacts, Queue, ReconcileRun, Secrets, Table,
    TargetState,
};
use super::findings::{Finding, PLAIN, Part, Problem, findings};
use crate::duration_text::{rounded_down, rounded_up};

/// What the doctor says.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Report {
    /// Whether a person has nothing to do.
    pub is_healthy: bool,
    /// What a person has to do.
    pub findings: Vec<ReportedFinding>,
    /// The facts, for programs.
    pub facts: Value,
    /// The facts, for people.
    pub rows: Vec<Row>,
}

/// Something that a person has to do something about.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
pub struct ReportedFinding {
    /// The part of the screen.
    pub part: String,
    /// The row of that part. Empty if the part has only one.
    pub name: String,
    /// What is wrong.
    pub problem: String,
    /// What to do, or which command does it.
    pub advice: String,
}

/// A row of the screen.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
pub struct Row {
    /// The part of the screen.
    pub part: String,
    /// What the row is about. Empty if the part has only one.
    pub name: String,
    /// What is known about it.
    pub text: String,
    /// Whether that is good.
    pub state: RowState,
}

/// Whether what a row says is good.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RowState {
    /// It is.
    Ok,
    /// A person has to do something.
    Problem,
    /// The stack does not have it.
    Off,
}

impl Report {
    /// What these facts mean.
    #[must_use]
    pub fn of(facts: &Facts) -> Self {
        let findings = findings(facts);
        let flag = facts.deployed_stack.as_ref().map_or(String::new(), |name| format!(" --stack {name}"));
        let reported = |finding: &Finding| ReportedFinding {
            part: finding.part.to_string(),
            name: finding.row.clone(),
            problem: sentence(finding),
            advice: advice(finding, facts.deployed_stack.is_some(), &flag),
        };
        let reported = findings.iter().map(reported).collect();
        Self { is_healthy: findings.is_empty(), findings: reported, facts: json!(facts), rows: rows(facts, &findings) }
    }
}

/// The rows under construction.
struct Rows<'a> {
    rows: Vec<Row>,
    findings: &'a [Finding],
}

impl Rows<'_> {
    fn add(&mut self, part: Part, name: &str, text: impl Into<String>) {
        let is_found = |finding: &Finding| {
            finding.part == part
                && (finding.row == name
                    || [Problem::NoSecretAtAll, Problem::NeverReconciled].contains(&finding.problem))
        };
        let state = if self.findings.iter().any(is_found) { RowState::Problem } else { RowState::Ok };
        self.rows.push(Row { part: part.to_string(), name: name.to_owned(), text: text.into(), state });
    }

    /// Adds what `text` says of a fact, or that it is unknown. A fact that does not apply has a grey row.
    fn fact<T>(&mut self, part: Part, name: &str, fact: &Fact<T>, text: impl FnOnce(&T) -> String) {
        match fact {
            Fact::Known(value) => self.add(part, name, text(value)),
            Fact::Unknown(unread) => self.add(part, name, format!("unknown: {unread}")),
            Fact::NotApplicable(why) => {
                let (part, name, text) = (part.to_string(), name.to_owned(), (*why).to_owned());
                self.rows.push(Row { part, name, text, state: RowState::Off });
            }
        }
    }
}

fn rows(facts: &Facts, findings: &[Finding]) -> Vec<Row> {
    let mut rows = Rows { rows: vec![], findings };
    let now = facts.read_at;
    match &facts.faults {
        Fact::Known(faults) if !faults.is_empty() => {
            for (service, fault) in faults {
                let left = rounded_down(fault.seconds);
                rows.add(Part::Faults, service, format!("{} for another {left}", fault.mode));
            }
        }
        // A deployed stack has none, and nobody looks for them there.
        Fact::NotApplicable(_) => {}
        faults => rows.fact(Part::Faults, "", faults, |_| "none".to_owned()),
    }
    for provider in &facts.providers {
        rows.fact(Part::Secrets, &provider.name, &provider.secrets, secrets);
    }
    for ProviderFacts { name, verified, refused, .. } in &facts.providers {
        let seen = |what: &str, fact: &Fact<LastSeen>| match fact {
            Fact::Known(seen) => last_seen(what, *seen, now),
            Fact::Unknown(unread) => format!("{what}: unknown: {unread}"),
            Fact::NotApplicable(why) => format!("{what}: {why}"),
        };
        rows.add(Part::Deliveries, name, format!("{}; {}", seen("verified", verified), seen("refused", refused)));
    }
    rows.fact(Part::WebhookTarget, PLAIN, &facts.webhook_target, |target| match &target.state {
        TargetState::Ready => "enabled, with all types of events".to_owned(),
        TargetState::Absent => "absent".to_owned(),
        TargetState::Disabled => "disabled".to_owned(),
        TargetState::LacksEventTypes(types) => format!("enabled, but lacks {} types of events", types.len()),
    });
    alarms(&mut rows, &facts.alarms, now);
    for (name, queue) in &facts.queues {
        rows.fact(Part::Queues, name, &queue.depth, |depth| queue_text(depth.total(), queue));
    }
    rows.fact(Part::Cleanups, "", &facts.pending_cleanups, |pending| pending_text(pending, now));
    table(&mut rows, &facts.table);
    match &facts.reconciliation {
        Fact::Known(reconciliation) => {
            for (name, run) in &reconciliation.providers {
                rows.fact(Part::Reconciliation, name, run, |run| run_text(run, now));
            }
        }
        other => rows.fact(Part::Reconciliation, "", other, |_| String::new()),
    }
    rows.rows
}

fn secrets(secrets: &Secrets) -> String {
    let Secrets { usable, weak, unusable } = secrets;
    let usable = match usable {
        0 => "none: every delivery is refused".to_owned(),
        usable => format!("{usable} usable"),
    };
    let weak = (!weak.is_empty()).then(|| format!("{} of them weak", weak.len()));
    let unusable = (!unusable.is_empty()).then(|| format!("{} unusable", unusable.len()));
    [Some(usable), weak, unusable].into_iter().flatten().collect::<Vec<_>>().join(", ")
}

/// Says no more than a measurement knows, which has a period and not a time.
fn last_seen(what: &str, seen: LastSeen, now: Timestamp) -> String {
    match seen {
        LastSeen::NotSince(since) => format!("none {what} for {}", rounded_down(seconds(since, now))),
        LastSeen::Within { from, until } if from == until => {
            format!("{what} {} ago", rounded_down(seconds(from, now)))
        }
        LastSeen::Within { from, .. } => format!("{what} at most {} ago", rounded_up(seconds(from, now))),
    }
}

fn seconds(since: Timestamp, now: Timestamp) -> u64 {
    u64::try_from(now.duration_since(since).as_secs()).unwrap_or_default()
}

/// Alarms that are quiet share a row.
fn alarms(rows: &mut Rows<'_>, alarms: &Fact<BTreeMap<String, Alarm>>, now: Timestamp) {
    let Some(alarms) = alarms.known() else { return rows.fact(Part::Alarms, "", alarms, |_| String::new()) };
    let count = |state| alarms.values().filter(|alarm| alarm.state == state).count();
    let no_data = match count(AlarmState::NoData) {
        0 => String::new(),
        count => format!(", {count} without data"),
    };
    rows.add(Part::Alarms, "", format!("{} of {} active{no_data}", count(AlarmState::Active), alarms.len()));
    for (name, alarm) in alarms {
        let is_found = |finding: &Finding| finding.part == Part::Alarms && finding.row == *name;
        if !rows.findings.iter().any(is_found) {
            continue;
        }
        let since = alarm.since.map_or(String::new(), |since| format!(" for {}", rounded_down(seconds(since, now))));
        let text = match alarm.state {
            AlarmState::Active => format!("active{since}"),
            AlarmState::Missing => "missing".to_owned(),
            AlarmState::Ok | AlarmState::NoData => "disabled".to_owned(),
        };
        rows.add(Part::Alarms, name, text);
    }
}

fn queue_text(total: u64, queue: &Queue) -> String {
    let messages = match total {
        0 => return "empty".to_owned(),
        1 => "1 message".to_owned(),
        total => format!("{total} messages"),
    };
    match &queue.oldest_seconds {
        Fact::Known(Some(oldest)) => format!("{messages}, the oldest for {}", rounded_down(*oldest)),
        Fact::Known(None) | Fact::NotApplicable(_) => messages,
        Fact::Unknown(unread) => format!("{messages}, age unknown: {unread}"),
    }
}

fn pending_text(pending: &PendingCleanups, now: Timestamp) -> String {
    let since =
        pending.since.map_or(String::new(), |since| format!(", the oldest for {}", rounded_down(seconds(since, now))));
    match pending.count {
        0 => "none pending".to_owned(),
        count if pending.is_more => format!("more than {count} pending{since}"),
        count => format!("{count} pending{since}"),
    }
}

fn table(rows: &mut Rows<'_>, table: &Table) {
    rows.fact(Part::Table, "", &table.state, |state| {
        let present = state.indexes.values().flatten().count();
        format!("{}, {present} of {} indexes", state.status, state.indexes.len())
    });
    let indexes = table.state.known().into_iter().flat_map(|state| &state.indexes);
    for (name, status) in indexes.filter(|(_, status)| status.as_deref() != Some("ACTIVE")) {
        rows.add(Part::Table, name, status.as_deref().unwrap_or("missing"));
    }
    for (setting, value) in &table.settings {
        rows.fact(Part::Table, setting.as_str(), value, |value| value.is.clone());
    }
}

fn run_text(run: &ReconcileRun, now: Timestamp) -> String {
    let ReconcileRun { at, checked, recovered, untranslatable, failed } = run;
    let seen = last_seen("reconciled", *at, now);
    if matches!(at, LastSeen::NotSince(_)) {
        return "never: without an API key it is not reconciled".to_owned();
    }
    let untranslatable = match untranslatable {
        0 => String::new(),
        count => format!(", {count} untranslatable"),
    };
    let failed = if *failed > 0 { ", not all changes seen" } else { "" };
    format!("{seen}: {checked} checked, {recovered} recovered{untranslatable}{failed}")
}
