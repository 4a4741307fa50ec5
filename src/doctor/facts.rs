//! What the doctor knows about a stack. Nothing here is secret or personal.

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::time::Duration;

use anyhow::Error;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use clientele_aws::describe_sdk_error;
use jiff::Timestamp;
use serde::Serialize;
use tokio::time::timeout;

use crate::queue_depth::QueueDepth;
use crate::secret_state::SecretState;

/// How long reading one fact may take.
const READ_WITHIN: Duration = Duration::from_secs(20);

/// Something about the stack that could be read, that its kind of stack does not have, or that could not be read. What
/// cannot be read hides nothing else.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Fact<T> {
    /// What was read.
    Known(T),
    /// Why there is nothing to read.
    NotApplicable(&'static str),
    /// Why it could not be read.
    Unknown(Unread),
}

/// Why a fact could not be read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Unread {
    /// The action of IAM that reads it, as in `cloudwatch:DescribeAlarms`.
    pub action: &'static str,
    /// The code of the error, or what happened instead of an answer.
    pub problem: String,
}

impl Unread {
    /// Whether the action is not allowed.
    #[must_use]
    pub fn is_denied(&self) -> bool {
        ["AccessDenied", "NotAuthorized", "Unauthorized"].iter().any(|code| self.problem.starts_with(code))
    }
}

impl fmt::Display for Unread {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.action, self.problem)
    }
}

/// The problem of an error that a call of the SDK caused.
pub(super) fn problem<E>(error: &Error) -> String
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
{
    match error.downcast_ref::<SdkError<E, HttpResponse>>() {
        Some(error) => describe_sdk_error(error),
        // From our own code: the answer lacks something.
        None => error.to_string(),
    }
}

impl<T> Fact<T> {
    /// Reads it with an action of IAM. `E` is the error of the SDK that a failure may be.
    pub(super) async fn read<E>(action: &'static str, read: impl Future<Output = Result<T, Error>>) -> Self
    where
        E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
    {
        let problem = match timeout(READ_WITHIN, read).await {
            Ok(Ok(value)) => return Self::Known(value),
            Ok(Err(error)) => problem::<E>(&error),
            Err(_) => "timed out".to_owned(),
        };
        Self::Unknown(Unread { action, problem })
    }

    /// What was read.
    #[must_use]
    pub fn known(&self) -> Option<&T> {
        match self {
            Self::Known(value) => Some(value),
            Self::NotApplicable(_) | Self::Unknown(_) => None,
        }
    }

    /// Why it could not be read.
    #[must_use]
    pub fn unread(&self) -> Option<&Unread> {
        match self {
            Self::Unknown(unread) => Some(unread),
            Self::Known(_) | Self::NotApplicable(_) => None,
        }
    }
}

/// Everything that the doctor looks at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Facts {
    /// The name of a deployed stack; none of a local one.
    pub deployed_stack: Option<String>,
    /// When it was read.
    pub read_at: Timestamp,
    /// The faults that are injected, by service.
    pub faults: Fact<BTreeMap<String, Fault>>,
    /// By provider.
    pub providers: Vec<ProviderFacts>,
    /// Whether Plain sends webhooks to the stack.
    pub webhook_target: Fact<WebhookTarget>,
    /// The alarms of the stack, by their names in the template.
    pub alarms: Fact<BTreeMap<String, Alarm>>,
    /// By the names that queues have on the local stack.
    pub queues: BTreeMap<String, Queue>,
    /// Tombstones whose cleanup message has not been sent.
    pub pending_cleanups: Fact<PendingCleanups>,
    /// The customers' table.
    pub table: Table,
    /// The last scheduled reconciliation.
    pub reconciliation: Fact<Reconciliation>,
}

/// A fault that is injected into the calls of the functions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Fault {
    /// What happens to the calls, as in `throttle`.
    pub mode: String,
    /// How long it lasts.
    pub seconds: u64,
}

/// One provider.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ProviderFacts {
    /// Its name.
    pub name: String,
    /// Its secrets.
    pub secrets: Fact<Secrets>,
    /// The last delivery with a valid signature or token.
    pub verified: Fact<LastSeen>,
    /// The last delivery without.
    pub refused: Fact<LastSeen>,
}

/// The secrets of a provider, by their positions from 1.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Secrets {
    /// How many verify deliveries, weak ones included.
    pub usable: usize,
    /// Those that can be guessed, or do not survive a URL or a header.
    pub weak: Vec<usize>,
    /// Those that cannot be used.
    pub unusable: Vec<usize>,
}

impl Secrets {
    /// Counts the entries of a provider's list of secrets.
    #[must_use]
    pub fn of(entries: impl IntoIterator<Item = SecretState>) -> Self {
        let mut secrets = Self::default();
        for (index, SecretState { is_used, problem }) in entries.into_iter().enumerate() {
            match (is_used, problem) {
                (false, _) => secrets.unusable.push(index + 1),
                (true, None) => secrets.usable += 1,
                (true, Some(_)) => {
                    secrets.usable += 1;
                    secrets.weak.push(index + 1);
                }
            }
        }
        secrets
    }
}

/// When something happened last, as far as is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum LastSeen {
    /// Not since that time, and nothing is known of earlier times.
    NotSince(Timestamp),
    /// In that period. A measurement does not say when in its period.
    Within {
        /// The earliest time.
        from: Timestamp,
        /// The latest time.
        until: Timestamp,
    },
}

/// Where Plain sends webhooks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct WebhookTarget {
    /// The URL of the stack.
    pub url: String,
    /// Whether Plain has a target with that URL.
    pub state: TargetState,
}

/// The state of a webhook target.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TargetState {
    /// It gets every event that it needs.
    Ready,
    /// There is none.
    Absent,
    /// It is disabled.
    Disabled,
    /// It does not subscribe to these types of events.
    LacksEventTypes(Vec<&'static str>),
}

/// An alarm of CloudWatch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Alarm {
    /// The name that CloudFormation gave it.
    pub name: String,
    /// Its state.
    pub state: AlarmState,
    /// Since when it has that state.
    pub since: Option<Timestamp>,
    /// What it means, and where the documentation says what to do.
    pub description: String,
    /// Whether it notifies anybody.
    pub is_enabled: bool,
}

/// The state of an alarm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum AlarmState {
    /// It is quiet.
    Ok,
    /// It is active.
    Active,
    /// It has no data yet.
    NoData,
    /// The stack has it, but CloudWatch does not.
    Missing,
}

/// A queue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Queue {
    /// Its messages.
    pub depth: Fact<QueueDepth>,
    /// The age of the oldest message in seconds; none if there is no message, or no measurement yet.
    pub oldest_seconds: Fact<Option<u64>>,
}

/// Cleanup messages that wait in tombstones, because they could not be sent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct PendingCleanups {
    /// How many there are.
    pub count: usize,
    /// Whether there may be more, which were not counted.
    pub is_more: bool,
    /// Since when the oldest of them waits.
    pub since: Option<Timestamp>,
}

/// The customers' table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Table {
    /// Its name.
    pub name: String,
    /// Its status and its indexes.
    pub state: Fact<TableState>,
    /// Its settings.
    pub settings: BTreeMap<Setting, Fact<SettingValue>>,
}

/// What the table says about itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TableState {
    /// `ACTIVE` if it can be used.
    pub status: String,
    /// The status of each index of the template; none if the table lacks it.
    pub indexes: BTreeMap<String, Option<String>>,
}

/// A setting of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Setting {
    /// Whether DynamoDB refuses to delete the table.
    DeletionProtection,
    /// Whether a key of KMS encrypts the table.
    Encryption,
    /// For how many days the table can be restored to any second.
    PointInTimeRecovery,
    /// What the stream contains.
    Stream,
    /// Whether DynamoDB deletes items by itself.
    TimeToLive,
}

/// The value of a setting, in words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SettingValue {
    /// What it is.
    pub is: String,
    /// What the stack's template and parameters say.
    pub should_be: String,
}

/// The scheduled reconciliation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Reconciliation {
    /// How often it runs.
    pub interval_minutes: u64,
    /// Its last run, by provider.
    pub providers: BTreeMap<String, Fact<ReconcileRun>>,
}

/// A run for one provider. If several runs are in the period of a measurement, all of them together.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ReconcileRun {
    /// When it was.
    pub at: LastSeen,
    /// How many records it read.
    pub checked: u64,
    /// How many customers were behind, because a webhook was lost.
    pub recovered: u64,
    /// How many records it could not translate.
    pub untranslatable: u64,
    /// How many runs did not see all changes.
    pub failed: u64,
}
