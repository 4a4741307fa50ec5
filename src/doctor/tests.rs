//! Each finding, from the facts of a healthy stack with one thing changed.

use jiff::{SignedDuration, Timestamp};
use rstest::rstest;
use serde_json::json;

use super::*;
use crate::queue_depth::QueueDepth;

fn now() -> Timestamp {
    "2026-11-20T12:00:00Z".parse().unwrap()
}

fn minutes_ago(minutes: i64) -> Timestamp {
    now() - SignedDuration::from_mins(minutes)
}

const HOUR: i64 = 60;
const DAY: i64 = 24 * HOUR;

/// Measured in the minute that began so many minutes ago.
fn seen(minutes: i64) -> Fact<LastSeen> {
    Fact::Known(LastSeen::Within { from: minutes_ago(minutes), until: minutes_ago(minutes - 1) })
}

fn never() -> Fact<LastSeen> {
    Fact::Known(LastSeen::NotSince(minutes_ago(455 * DAY)))
}

fn unread<T>(action: &'static str, problem: &str) -> Fact<T> {
    Fact::Unknown(Unread { action, problem: problem.to_owned() })
}

fn denied<T>(action: &'static str) -> Fact<T> {
    unread(action, "AccessDeniedException")
}

fn queue(visible: u64, oldest: Option<u64>) -> Queue {
    Queue { depth: Fact::Known(QueueDepth { visible, ..QueueDepth::default() }), oldest_seconds: Fact::Known(oldest) }
}

fn setting(is: &str, should_be: &str) -> Fact<SettingValue> {
    Fact::Known(SettingValue { is: is.to_owned(), should_be: should_be.to_owned() })
}

const URL: &str = "https://hooks.example.com/webhooks/plain";

fn target(state: TargetState) -> Fact<WebhookTarget> {
    Fact::Known(WebhookTarget { url: URL.to_owned(), state })
}

fn alarm(state: AlarmState) -> Alarm {
    let description = "Verified deliveries need an operator. See docs/operate.md#quarantine.".to_owned();
    Alarm { name: "test-Alarm-1".to_owned(), state, since: Some(minutes_ago(5)), description, is_enabled: true }
}

fn run(at: &Fact<LastSeen>) -> Fact<ReconcileRun> {
    let at = *at.known().unwrap();
    Fact::Known(ReconcileRun { at, checked: 70, recovered: 2, untranslatable: 0, failed: 0 })
}

fn secrets(usable: usize, weak: &[usize], unusable: &[usize]) -> Fact<Secrets> {
    Fact::Known(Secrets { usable, weak: weak.to_vec(), unusable: unusable.to_vec() })
}

/// A deployed stack that needs nobody. SmarterPay is not used.
fn healthy() -> Facts {
    let provider =
        |name: &str, secrets, verified, refused| ProviderFacts { name: name.to_owned(), secrets, verified, refused };
    let active = Some("ACTIVE".to_owned());
    Facts {
        deployed_stack: Some("test".to_owned()),
        read_at: now(),
        faults: Fact::NotApplicable("only a local stack has faults"),
        providers: vec![
            provider("plain", secrets(2, &[], &[]), seen(3), seen(1)),
            provider("smarterpay", secrets(0, &[], &[]), never(), never()),
        ],
        webhook_target: target(TargetState::Ready),
        alarms: Fact::Known([("QuarantineAlarm".to_owned(), alarm(AlarmState::Ok))].into()),
        queues: [("cleanup", 60 * 60), ("cleanup-dead-letter", 0), ("inbox", 15 * 60), ("quarantine", 0)]
            .map(|(name, oldest)| (name.to_owned(), if oldest > 0 { queue(1, Some(oldest)) } else { queue(0, None) }))
            .into(),
        pending_cleanups: Fact::Known(PendingCleanups { count: 1, is_more: false, since: Some(minutes_ago(15)) }),
        table: Table {
            name: "test-customers".to_owned(),
            state: Fact::Known(TableState {
                status: "ACTIVE".to_owned(),
                indexes: [("by-email".to_owned(), active.clone()), ("cleanup-due".to_owned(), active)].into(),
            }),
            settings: [
                (Setting::DeletionProtection, setting("on", "on")),
                (Setting::PointInTimeRecovery, setting("on for 35 days", "on for 35 days")),
                (Setting::TimeToLive, setting("off", "off")),
            ]
            .into(),
        },
        reconciliation: Fact::Known(Reconciliation {
            interval_minutes: 60,
            providers: [("plain".to_owned(), run(&seen(181)))].into(),
        }),
    }
}

fn plain(facts: &mut Facts) -> &mut ProviderFacts {
    &mut facts.providers[0]
}

fn smarterpay(facts: &mut Facts) -> &mut ProviderFacts {
    &mut facts.providers[1]
}

fn set_alarm(facts: &mut Facts, alarm: Alarm) {
    facts.alarms = Fact::Known([("QuarantineAlarm".to_owned(), alarm)].into());
}

fn set_queue(facts: &mut Facts, name: &str, queue: Queue) {
    facts.queues.insert(name.to_owned(), queue);
}

fn set_run(facts: &mut Facts, run: Fact<ReconcileRun>) {
    let Fact::Known(reconciliation) = &mut facts.reconciliation else { panic!() };
    reconciliation.providers.insert("plain".to_owned(), run);
}

fn set_index(facts: &mut Facts, status: Option<&str>) {
    let Fact::Known(state) = &mut facts.table.state else { panic!() };
    state.indexes.insert("by-email".to_owned(), status.map(str::to_owned));
}

#[test]
fn a_healthy_stack_needs_nobody() {
    assert_eq!(findings(&healthy()), []);
    let report = Report::of(&healthy());
    assert!(report.is_healthy && report.rows.iter().all(|row| row.state == RowState::Ok), "{report:?}");
}

/// What changes about a healthy stack, and the only finding: its part, its row and its problem.
#[rstest]
#[case::fault(
    |facts: &mut Facts| facts.faults = Fact::Known([("sqs".to_owned(), Fault { mode: "reset".to_owned(), seconds: 9 })].into()),
    Part::Faults, "sqs", Problem::FaultInjected(9)
)]
#[case::no_secret_but_verified(
    |facts: &mut Facts| plain(facts).secrets = secrets(0, &[], &[]),
    Part::Secrets, "", Problem::NoSecretAtAll
)]
#[case::no_secret_but_refused(
    |facts: &mut Facts| smarterpay(facts).refused = seen(5),
    Part::Secrets, "smarterpay", Problem::NoSecret
)]
#[case::no_secret_but_once_verified(
    |facts: &mut Facts| smarterpay(facts).verified = seen(100 * DAY),
    Part::Secrets, "smarterpay", Problem::NoSecret
)]
#[case::unusable_secret(
    |facts: &mut Facts| plain(facts).secrets = secrets(1, &[], &[2, 3]),
    Part::Secrets, "plain", Problem::SecretsUnusable(vec![2, 3])
)]
#[case::weak_secret(
    |facts: &mut Facts| plain(facts).secrets = secrets(1, &[1], &[]),
    Part::Secrets, "plain", Problem::SecretsWeak(vec![1])
)]
#[case::secret_not_readable(
    |facts: &mut Facts| plain(facts).secrets = denied("secretsmanager:GetSecretValue"),
    Part::Secrets, "plain",
    Problem::Unread(Unread { action: "secretsmanager:GetSecretValue", problem: "AccessDeniedException".to_owned() })
)]
#[case::never_verified(
    |facts: &mut Facts| plain(facts).verified = never(),
    Part::Deliveries, "plain", Problem::OnlyRefused
)]
#[case::verified_long_before_refused(
    |facts: &mut Facts| plain(facts).verified = seen(DAY + 3),
    Part::Deliveries, "plain", Problem::OnlyRefused
)]
#[case::metrics_not_readable(
    |facts: &mut Facts| plain(facts).refused = denied("cloudwatch:GetMetricStatistics"),
    Part::Deliveries, "plain",
    Problem::Unread(Unread { action: "cloudwatch:GetMetricStatistics", problem: "AccessDeniedException".to_owned() })
)]
#[case::no_target(
    |facts: &mut Facts| facts.webhook_target = target(TargetState::Absent),
    Part::WebhookTarget, "plain", Problem::TargetAbsent(URL.to_owned())
)]
#[case::disabled_target(
    |facts: &mut Facts| facts.webhook_target = target(TargetState::Disabled),
    Part::WebhookTarget, "plain", Problem::TargetDisabled(URL.to_owned())
)]
#[case::target_without_deletes(
    |facts: &mut Facts| facts.webhook_target = target(TargetState::LacksEventTypes(vec!["customer.customer_deleted"])),
    Part::WebhookTarget, "plain", Problem::TargetLacksEventTypes(vec!["customer.customer_deleted"])
)]
#[case::target_not_readable(
    |facts: &mut Facts| facts.webhook_target = unread("webhookTarget:read", "the API does not accept the key"),
    Part::WebhookTarget, "plain",
    Problem::Unread(Unread { action: "webhookTarget:read", problem: "the API does not accept the key".to_owned() })
)]
#[case::active_alarm(
    |facts: &mut Facts| set_alarm(facts, alarm(AlarmState::Active)),
    Part::Alarms, "QuarantineAlarm",
    Problem::AlarmActive(Some(minutes_ago(5)), alarm(AlarmState::Active).description)
)]
#[case::deleted_alarm(
    |facts: &mut Facts| set_alarm(facts, Alarm { is_enabled: false, ..alarm(AlarmState::Missing) }),
    Part::Alarms, "QuarantineAlarm", Problem::AlarmMissing
)]
#[case::disabled_alarm(
    |facts: &mut Facts| set_alarm(facts, Alarm { is_enabled: false, ..alarm(AlarmState::Ok) }),
    Part::Alarms, "QuarantineAlarm", Problem::AlarmDisabled("test-Alarm-1".to_owned())
)]
#[case::alarms_not_readable(
    |facts: &mut Facts| facts.alarms = unread("cloudwatch:DescribeAlarms", "timed out"),
    Part::Alarms, "",
    Problem::Unread(Unread { action: "cloudwatch:DescribeAlarms", problem: "timed out".to_owned() })
)]
#[case::quarantine(
    |facts: &mut Facts| set_queue(facts, "quarantine", queue(2, None)),
    Part::Queues, "quarantine", Problem::Quarantined(2)
)]
#[case::dead_letters(
    |facts: &mut Facts| set_queue(facts, "cleanup-dead-letter", queue(1, Some(1))),
    Part::Queues, "cleanup-dead-letter", Problem::DeadLetters(1)
)]
#[case::inbox(
    |facts: &mut Facts| set_queue(facts, "inbox", queue(1, Some(901))),
    Part::Queues, "inbox", Problem::InboxWaits(901)
)]
#[case::cleanup(
    |facts: &mut Facts| set_queue(facts, "cleanup", queue(1, Some(3_601))),
    Part::Queues, "cleanup", Problem::CleanupWaits(3_601)
)]
#[case::age_not_readable(
    |facts: &mut Facts| set_queue(facts, "inbox", Queue { oldest_seconds: denied("cloudwatch:GetMetricStatistics"), ..queue(1, None) }),
    Part::Queues, "inbox",
    Problem::Unread(Unread { action: "cloudwatch:GetMetricStatistics", problem: "AccessDeniedException".to_owned() })
)]
#[case::pending_cleanups(
    |facts: &mut Facts| facts.pending_cleanups = Fact::Known(PendingCleanups { count: 3, is_more: true, since: Some(minutes_ago(16)) }),
    Part::Cleanups, "", Problem::CleanupsPending(3, minutes_ago(16))
)]
#[case::cleanups_not_readable(
    |facts: &mut Facts| facts.pending_cleanups = denied("dynamodb:Scan"),
    Part::Cleanups, "",
    Problem::Unread(Unread { action: "dynamodb:Scan", problem: "AccessDeniedException".to_owned() })
)]
#[case::table_status(
    |facts: &mut Facts| facts.table.state = Fact::Known(TableState { status: "INACCESSIBLE_ENCRYPTION_CREDENTIALS".to_owned(), indexes: [].into() }),
    Part::Table, "", Problem::NotActive("INACCESSIBLE_ENCRYPTION_CREDENTIALS".to_owned())
)]
#[case::index_status(
    |facts: &mut Facts| set_index(facts, Some("CREATING")),
    Part::Table, "by-email", Problem::NotActive("CREATING".to_owned())
)]
#[case::index_missing(
    |facts: &mut Facts| set_index(facts, None),
    Part::Table, "by-email", Problem::IndexMissing
)]
#[case::deletion_protection(
    |facts: &mut Facts| drop(facts.table.settings.insert(Setting::DeletionProtection, setting("off", "on"))),
    Part::Table, "deletion protection",
    Problem::SettingDiffers(
        Setting::DeletionProtection,
        SettingValue { is: "off".to_owned(), should_be: "on".to_owned() },
        "test-customers".to_owned(),
    )
)]
#[case::setting_not_readable(
    |facts: &mut Facts| drop(facts.table.settings.insert(Setting::TimeToLive, denied("dynamodb:DescribeTimeToLive"))),
    Part::Table, "time to live",
    Problem::Unread(Unread { action: "dynamodb:DescribeTimeToLive", problem: "AccessDeniedException".to_owned() })
)]
#[case::late_reconciliation(
    |facts: &mut Facts| set_run(facts, run(&seen(182))),
    Part::Reconciliation, "plain", Problem::ReconciliationLate(180)
)]
#[case::no_reconciliation(
    |facts: &mut Facts| set_run(facts, run(&never())),
    Part::Reconciliation, "", Problem::NeverReconciled
)]
#[case::failed_reconciliation(
    |facts: &mut Facts| set_run(facts, Fact::Known(ReconcileRun { failed: 1, ..run(&seen(5)).known().unwrap().clone() })),
    Part::Reconciliation, "plain", Problem::ReconciliationFailed
)]
fn one_change_is_one_finding(
    #[case] change: impl FnOnce(&mut Facts),
    #[case] part: Part,
    #[case] row: &str,
    #[case] problem: Problem,
) {
    let mut facts = healthy();
    change(&mut facts);
    assert_eq!(findings(&facts), [Finding { part, row: row.to_owned(), problem }]);
    let report = Report::of(&facts);
    let bad: Vec<_> = report.rows.iter().filter(|row| row.state == RowState::Problem).collect();
    assert!(!report.is_healthy && !bad.is_empty(), "{bad:?}");
    // That no provider has a secret concerns all of them.
    assert!(bad.iter().all(|bad| bad.part == part.as_str() && (bad.name == row || row.is_empty())), "{bad:?}");
    let [finding] = &report.findings[..] else { panic!("{report:?}") };
    assert!(!finding.problem.is_empty() && !finding.advice.is_empty());
}

/// What is no finding, although something is unusual.
#[rstest]
#[case::verified_on_the_day_before(|facts: &mut Facts| plain(facts).verified = seen(DAY))]
#[case::refused_long_ago(|facts: &mut Facts| {
    plain(facts).verified = never();
    plain(facts).refused = seen(7 * DAY + 1);
})]
#[case::alarm_without_data(|facts: &mut Facts| set_alarm(facts, alarm(AlarmState::NoData)))]
#[case::nothing_consumes_the_local_cleanup_queue(|facts: &mut Facts| {
    facts.deployed_stack = None;
    set_queue(facts, "cleanup", queue(1, Some(100_000)));
})]
#[case::no_api_key(|facts: &mut Facts| facts.webhook_target = Fact::NotApplicable("not checked"))]
#[case::updating(|facts: &mut Facts| set_index(facts, Some("UPDATING")))]
#[case::no_reconciliation(|facts: &mut Facts| facts.reconciliation = Fact::NotApplicable("off"))]
fn nothing_to_do(#[case] change: impl FnOnce(&mut Facts)) {
    let mut facts = healthy();
    change(&mut facts);
    assert_eq!(findings(&facts), []);
}

/// Measurements say no more than they know.
#[test]
fn a_row_says_how_exact_it_is() {
    let mut facts = healthy();
    let row = |facts: &Facts| {
        let rows = Report::of(facts).rows;
        rows.into_iter().find(|row| row.part == "deliveries" && row.name == "plain").unwrap().text
    };
    plain(&mut facts).refused =
        Fact::Known(LastSeen::Within { from: minutes_ago(3 * HOUR), until: minutes_ago(2 * HOUR) });
    assert_eq!(row(&facts), "verified at most 3 min ago; refused at most 3 h ago");
    plain(&mut facts).verified = Fact::Known(LastSeen::Within { from: minutes_ago(2), until: minutes_ago(2) });
    plain(&mut facts).refused = never();
    assert_eq!(row(&facts), "verified 2 min ago; none refused for 455 days");
    plain(&mut facts).refused = denied("cloudwatch:GetMetricStatistics");
    let unknown = "verified 2 min ago; refused: unknown: cloudwatch:GetMetricStatistics: AccessDeniedException";
    assert_eq!(row(&facts), unknown);
}

#[test]
fn the_advice_names_the_stack_and_the_table() {
    let mut facts = healthy();
    set_queue(&mut facts, "quarantine", queue(1, None));
    facts.table.settings.insert(Setting::PointInTimeRecovery, setting("off", "on for 35 days"));
    facts.alarms = denied("cloudwatch:DescribeAlarms");
    let findings = json!(Report::of(&facts).findings);
    let expected = json!([
        {
            "part": "alarms", "name": "",
            "problem": "it cannot be read: cloudwatch:DescribeAlarms is not allowed",
            "advice": "Allow cloudwatch:DescribeAlarms to your role: docs/deploy.md#permissions-for-the-doctor",
        },
        {
            "part": "queues", "name": "quarantine", "problem": "1 delivery needs an operator",
            "advice": "clientele quarantine list --stack test; docs/operate.md#quarantine",
        },
        {
            "part": "table", "name": "point-in-time recovery",
            "problem": "point-in-time recovery is off, but should be on for 35 days",
            "advice": "aws dynamodb update-continuous-backups --table-name test-customers \
                       --point-in-time-recovery-specification PointInTimeRecoveryEnabled=true,RecoveryPeriodInDays=35",
        },
    ]);
    assert_eq!(findings, expected);
    facts.deployed_stack = None;
    assert_eq!(Report::of(&facts).findings[1].advice, "clientele quarantine list; docs/operate.md#quarantine");
}
