//! What a person has to do about a stack.

use std::fmt;

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use super::facts::{
    Alarm, AlarmState, Fact, Facts, LastSeen, ProviderFacts, Queue, ReconcileRun, Setting, SettingValue, Table,
    TargetState, Unread, WebhookTarget,
};

/// Messages that wait longer than this wait for a person. The alarms of the queues have the same limits.
const INBOX_SECONDS_MAX: u64 = 15 * 60;
const CLEANUP_SECONDS_MAX: u64 = 60 * 60;
/// A sweep runs every five minutes, so this is three of them.
const PENDING_CLEANUP_MAX: SignedDuration = SignedDuration::from_mins(15);
/// Refusals that are older than this are history.
const REFUSED_WITHIN: SignedDuration = SignedDuration::from_hours(7 * 24);
/// A delivery that was verified so recently before a refusal shows that the secret is right.
const VERIFIED_BEFORE_REFUSED: SignedDuration = SignedDuration::from_hours(24);
/// A reconciliation is late after so many intervals.
const INTERVALS_MAX: u64 = 3;

/// The row of the only provider whose webhook targets are known.
pub(super) const PLAIN: &str = "plain";

/// A part of the screen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Part {
    /// Injected faults.
    Faults,
    /// The secrets of each provider.
    Secrets,
    /// The last deliveries of each provider.
    Deliveries,
    /// Where Plain sends webhooks.
    WebhookTarget,
    /// The alarms.
    Alarms,
    /// The queues.
    Queues,
    /// Cleanup messages in tombstones.
    Cleanups,
    /// The customers' table.
    Table,
    /// The last scheduled reconciliation.
    Reconciliation,
}

impl Part {
    /// Its name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Faults => "faults",
            Self::Secrets => "secrets",
            Self::Deliveries => "deliveries",
            Self::WebhookTarget => "webhook target",
            Self::Alarms => "alarms",
            Self::Queues => "queues",
            Self::Cleanups => "cleanups",
            Self::Table => "table",
            Self::Reconciliation => "reconciliation",
        }
    }
}

/// Something that a person has to do something about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The part of the screen that shows it.
    pub part: Part,
    /// The row of that part: a provider, an alarm, a queue, an index or a setting; empty if the part has only one.
    pub row: String,
    /// What it is.
    pub problem: Problem,
}

/// What is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Problem {
    /// It is not known whether something is wrong.
    Unread(Unread),
    /// A fault is injected for so many more seconds.
    FaultInjected(u64),
    /// No provider has a secret that can be used.
    NoSecretAtAll,
    /// A provider that sends deliveries has no secret that can be used.
    NoSecret,
    /// The secrets at these positions cannot be used.
    SecretsUnusable(Vec<usize>),
    /// The secrets at these positions are weak.
    SecretsWeak(Vec<usize>),
    /// Deliveries are refused, and none was verified at about the same time.
    OnlyRefused,
    /// Plain has no target with that URL.
    TargetAbsent(String),
    /// Plain's target with that URL is disabled.
    TargetDisabled(String),
    /// Plain's target does not subscribe to these types of events.
    TargetLacksEventTypes(Vec<&'static str>),
    /// An alarm is active since a time, with its description.
    AlarmActive(Option<Timestamp>, String),
    /// An alarm does not exist any more.
    AlarmMissing,
    /// The alarm of that name in CloudWatch notifies nobody.
    AlarmDisabled(String),
    /// So many deliveries need an operator.
    Quarantined(u64),
    /// So many cleanup messages were received too often.
    DeadLetters(u64),
    /// The oldest parked delivery has waited for so many seconds.
    InboxWaits(u64),
    /// The oldest cleanup message has waited for so many seconds.
    CleanupWaits(u64),
    /// So many cleanup messages cannot be sent, the oldest since a time.
    CleanupsPending(usize, Timestamp),
    /// The table or an index has that status.
    NotActive(String),
    /// An index does not exist.
    IndexMissing,
    /// A setting of the table of that name differs from the template.
    SettingDiffers(Setting, SettingValue, String),
    /// The last reconciliation is older than three of its intervals, which have so many minutes together.
    ReconciliationLate(u64),
    /// The last reconciliation did not see all changes.
    ReconciliationFailed,
    /// No provider was ever reconciled.
    NeverReconciled,
}

/// What has to be done, in the order of the screen.
#[must_use]
pub fn findings(facts: &Facts) -> Vec<Finding> {
    let mut found = Found(vec![]);
    found.unread(Part::Faults, "", facts.faults.unread());
    for (service, fault) in facts.faults.known().into_iter().flatten() {
        found.add(Part::Faults, service, Problem::FaultInjected(fault.seconds));
    }
    secrets(facts, &mut found);
    for provider in &facts.providers {
        deliveries(provider, facts.read_at, &mut found);
    }
    found.unread(Part::WebhookTarget, PLAIN, facts.webhook_target.unread());
    found.extend(Part::WebhookTarget, PLAIN, facts.webhook_target.known().and_then(target_problem));
    found.unread(Part::Alarms, "", facts.alarms.unread());
    for (name, alarm) in facts.alarms.known().into_iter().flatten() {
        found.extend(Part::Alarms, name, alarm_problems(alarm));
    }
    for (name, queue) in &facts.queues {
        found.unread(Part::Queues, name, queue.depth.unread().or(queue.oldest_seconds.unread()));
        found.extend(Part::Queues, name, queue_problem(name, queue, facts.deployed_stack.is_some()));
    }
    found.unread(Part::Cleanups, "", facts.pending_cleanups.unread());
    if let Some(pending) = facts.pending_cleanups.known()
        && let Some(since) = pending.since.filter(|since| facts.read_at.duration_since(*since) > PENDING_CLEANUP_MAX)
    {
        found.add(Part::Cleanups, "", Problem::CleanupsPending(pending.count, since));
    }
    table(&facts.table, &mut found);
    found.unread(Part::Reconciliation, "", facts.reconciliation.unread());
    if let Some(reconciliation) = facts.reconciliation.known() {
        let mut runs = reconciliation.providers.values().map(Fact::known);
        if runs.all(|run| run.is_some_and(|run| matches!(run.at, LastSeen::NotSince(_)))) {
            found.add(Part::Reconciliation, "", Problem::NeverReconciled);
        }
        for (name, run) in &reconciliation.providers {
            found.unread(Part::Reconciliation, name, run.unread());
            let minutes_max = reconciliation.interval_minutes * INTERVALS_MAX;
            let problems = run.known().into_iter().flat_map(|run| run_problems(run, minutes_max, facts.read_at));
            found.extend(Part::Reconciliation, name, problems);
        }
    }
    found.0
}

struct Found(Vec<Finding>);

impl Found {
    fn add(&mut self, part: Part, row: &str, problem: Problem) {
        self.0.push(Finding { part, row: row.to_owned(), problem });
    }

    fn extend(&mut self, part: Part, row: &str, problems: impl IntoIterator<Item = Problem>) {
        problems.into_iter().for_each(|problem| self.add(part, row, problem));
    }

    fn unread(&mut self, part: Part, row: &str, unread: Option<&Unread>) {
        self.extend(part, row, unread.cloned().map(Problem::Unread));
    }
}

/// A provider that is not used needs no secret. It is used if deliveries of it were ever seen, or nobody can know.
fn secrets(facts: &Facts, found: &mut Found) {
    let has_none = |provider: &ProviderFacts| provider.secrets.known().is_some_and(|secrets| secrets.usable == 0);
    let is_closed = !facts.providers.is_empty() && facts.providers.iter().all(has_none);
    if is_closed {
        found.add(Part::Secrets, "", Problem::NoSecretAtAll);
    }
    for ProviderFacts { name, secrets, verified, refused } in &facts.providers {
        found.unread(Part::Secrets, name, secrets.unread());
        let Some(secrets) = secrets.known() else { continue };
        let is_unused = [verified, refused].iter().all(|seen| matches!(seen.known(), Some(LastSeen::NotSince(_))));
        if secrets.usable == 0 && !is_unused && !is_closed {
            found.add(Part::Secrets, name, Problem::NoSecret);
        }
        if !secrets.unusable.is_empty() {
            found.add(Part::Secrets, name, Problem::SecretsUnusable(secrets.unusable.clone()));
        }
        if !secrets.weak.is_empty() {
            found.add(Part::Secrets, name, Problem::SecretsWeak(secrets.weak.clone()));
        }
    }
}

/// Strangers are refused all the time. A wrong secret shows in refusals without a verified delivery on the days around
/// them. That a provider without a secret is refused is reported with its secrets.
fn deliveries(provider: &ProviderFacts, now: Timestamp, found: &mut Found) {
    let ProviderFacts { name, secrets, verified, refused } = provider;
    found.unread(Part::Deliveries, name, verified.unread().or(refused.unread()));
    let has_secret = secrets.known().is_none_or(|secrets| secrets.usable > 0);
    let (Some(verified), Some(LastSeen::Within { from, until })) = (verified.known(), refused.known()) else { return };
    let is_recent = now.duration_since(*until) < REFUSED_WITHIN;
    let is_alone = match verified {
        LastSeen::NotSince(_) => true,
        LastSeen::Within { until: verified, .. } => from.duration_since(*verified) > VERIFIED_BEFORE_REFUSED,
    };
    if has_secret && is_recent && is_alone {
        found.add(Part::Deliveries, name, Problem::OnlyRefused);
    }
}

fn target_problem(target: &WebhookTarget) -> Option<Problem> {
    match &target.state {
        TargetState::Ready => None,
        TargetState::Absent => Some(Problem::TargetAbsent(target.url.clone())),
        TargetState::Disabled => Some(Problem::TargetDisabled(target.url.clone())),
        TargetState::LacksEventTypes(types) => Some(Problem::TargetLacksEventTypes(types.clone())),
    }
}

fn alarm_problems(alarm: &Alarm) -> impl Iterator<Item = Problem> + use<> {
    let problem = match alarm.state {
        AlarmState::Active => Some(Problem::AlarmActive(alarm.since, alarm.description.clone())),
        AlarmState::Missing => Some(Problem::AlarmMissing),
        AlarmState::Ok | AlarmState::NoData => None,
    };
    let is_disabled = !alarm.is_enabled && alarm.state != AlarmState::Missing;
    problem.into_iter().chain(is_disabled.then(|| Problem::AlarmDisabled(alarm.name.clone())))
}

/// Nothing but a person takes messages from two of the queues. On the local stack nothing consumes the cleanup queue.
fn queue_problem(name: &str, queue: &Queue, is_deployed: bool) -> Option<Problem> {
    let total = queue.depth.known().map_or(0, |depth| depth.total());
    let oldest = queue.oldest_seconds.known().copied().flatten().unwrap_or_default();
    match name {
        "quarantine" if total > 0 => Some(Problem::Quarantined(total)),
        "cleanup-dead-letter" if total > 0 => Some(Problem::DeadLetters(total)),
        "inbox" if oldest > INBOX_SECONDS_MAX => Some(Problem::InboxWaits(oldest)),
        "cleanup" if oldest > CLEANUP_SECONDS_MAX && is_deployed => Some(Problem::CleanupWaits(oldest)),
        _ => None,
    }
}

fn table(table: &Table, found: &mut Found) {
    found.unread(Part::Table, "", table.state.unread());
    if let Some(state) = table.state.known() {
        // While it is updated, it can be used.
        let is_usable = |status: &str| ["ACTIVE", "UPDATING"].contains(&status);
        if !is_usable(&state.status) {
            found.add(Part::Table, "", Problem::NotActive(state.status.clone()));
        }
        for (name, status) in &state.indexes {
            match status {
                None => found.add(Part::Table, name, Problem::IndexMissing),
                Some(status) if !is_usable(status) => {
                    found.add(Part::Table, name, Problem::NotActive(status.clone()));
                }
                Some(_) => {}
            }
        }
    }
    for (setting, value) in &table.settings {
        let row = setting.as_str();
        found.unread(Part::Table, row, value.unread());
        if let Some(value) = value.known().filter(|value| value.is != value.should_be) {
            found.add(Part::Table, row, Problem::SettingDiffers(*setting, value.clone(), table.name.clone()));
        }
    }
}

fn run_problems(run: &ReconcileRun, minutes_max: u64, now: Timestamp) -> impl Iterator<Item = Problem> + use<> {
    let is_late = match run.at {
        // A provider without an API key is not reconciled.
        LastSeen::NotSince(_) => false,
        LastSeen::Within { until, .. } => {
            let minutes = u64::try_from(now.duration_since(until).as_mins()).unwrap_or_default();
            minutes > minutes_max
        }
    };
    let late = is_late.then_some(Problem::ReconciliationLate(minutes_max));
    let failed = (run.failed > 0).then_some(Problem::ReconciliationFailed);
    late.into_iter().chain(failed)
}

impl Setting {
    /// Its name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::DeletionProtection => "deletion protection",
            Self::Encryption => "encryption",
            Self::PointInTimeRecovery => "point-in-time recovery",
            Self::Stream => "stream",
            Self::TimeToLive => "time to live",
        }
    }
}

impl fmt::Display for Part {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.as_str())
    }
}
