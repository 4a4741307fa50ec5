//! What is wrong in words, and what to do about it.

use super::facts::Setting;
use super::findings::{Finding, Part, Problem};
use crate::duration_text::rounded_down;

/// What is wrong with the stack, in one sentence.
pub(super) fn sentence(finding: &Finding) -> String {
    let row = finding.row.as_str();
    match &finding.problem {
        Problem::Unread(unread) if unread.is_denied() => format!("it cannot be read: {} is not allowed", unread.action),
        Problem::Unread(unread) => format!("it cannot be read: {unread}"),
        Problem::FaultInjected(seconds) => format!("a fault is injected for another {}", rounded_down(*seconds)),
        Problem::NoSecretAtAll => "no provider has a secret that can be used, so every delivery is refused".to_owned(),
        Problem::NoSecret => {
            format!("{row} sends deliveries, and all are refused, since it has no secret that can be used")
        }
        Problem::SecretsUnusable(positions) => format!("{} of {row} cannot be used", secrets(positions)),
        Problem::SecretsWeak(positions) => format!("{} of {row} {} weak", secrets(positions), is_or_are(positions)),
        Problem::OnlyRefused => {
            format!("the last delivery for {row} was refused, and none was verified on the day before")
        }
        Problem::TargetAbsent(url) => format!("Plain has no webhook target with the URL {url}"),
        Problem::TargetDisabled(url) => format!("Plain's webhook target with the URL {url} is disabled"),
        Problem::TargetLacksEventTypes(types) => {
            format!("Plain's webhook target does not subscribe to {}", types.join(", "))
        }
        Problem::AlarmActive(Some(since), description) => format!("active since {since:.0}: {description}"),
        Problem::AlarmActive(None, description) => format!("active: {description}"),
        Problem::AlarmMissing => "the alarm was deleted".to_owned(),
        Problem::AlarmDisabled(_) => "the actions of the alarm are disabled, so it notifies nobody".to_owned(),
        Problem::Quarantined(1) => "1 delivery needs an operator".to_owned(),
        Problem::Quarantined(count) => format!("{count} deliveries need an operator"),
        Problem::DeadLetters(1) => "1 cleanup message was received five times and never deleted".to_owned(),
        Problem::DeadLetters(count) => format!("{count} cleanup messages were received five times and never deleted"),
        Problem::InboxWaits(seconds) => format!("a parked delivery has waited for {}", rounded_down(*seconds)),
        Problem::CleanupWaits(seconds) => {
            format!("the message of a deleted customer has waited for {}", rounded_down(*seconds))
        }
        Problem::CleanupsPending(count, since) => {
            format!("{count} cleanup messages could not be sent, the oldest since {since:.0}")
        }
        Problem::NotActive(status) if row.is_empty() => format!("the table is {status}"),
        Problem::NotActive(status) => format!("the index {row} is {status}"),
        Problem::IndexMissing => format!("the table has no index {row}"),
        Problem::SettingDiffers(setting, value, _) => {
            format!("{} is {}, but should be {}", setting.as_str(), value.is, value.should_be)
        }
        Problem::ReconciliationLate(minutes) => format!("{row} was not reconciled for {}", rounded_down(minutes * 60)),
        Problem::ReconciliationFailed => format!("the last run for {row} did not see all changes"),
        Problem::NeverReconciled => "no provider was ever reconciled".to_owned(),
    }
}

/// What to do about it. Commands end in `flag`, which names the stack.
pub(super) fn advice(finding: &Finding, is_deployed: bool, flag: &str) -> String {
    let row = finding.row.as_str();
    match &finding.problem {
        Problem::Unread(unread) if finding.part == Part::WebhookTarget => {
            format!("Check PLAIN_API_KEY. The key needs the permission {} in Plain.", unread.action)
        }
        Problem::Unread(unread) if unread.is_denied() => {
            format!("Allow {} to your role: docs/deploy.md#permissions-for-the-doctor", unread.action)
        }
        Problem::Unread(_) => "Try again. If it stays, check the network and the AWS Health Dashboard.".to_owned(),
        Problem::FaultInjected(_) => format!("clientele faults clear{flag}"),
        Problem::NoSecretAtAll | Problem::NoSecret | Problem::SecretsUnusable(_) | Problem::SecretsWeak(_)
            if !is_deployed =>
        {
            "Start the local stack with --secret PROVIDER=SECRET.".to_owned()
        }
        Problem::NoSecretAtAll => format!("clientele secrets add PROVIDER{flag}"),
        Problem::NoSecret => format!("clientele secrets add {row}{flag}"),
        Problem::SecretsUnusable(positions) => {
            let position = positions.first().copied().unwrap_or(1);
            format!("clientele secrets remove {row} {position}{flag}")
        }
        Problem::SecretsWeak(_) => "Rotate it: docs/operate.md#rotate-a-secret".to_owned(),
        Problem::OnlyRefused => {
            "Compare the secret at the provider with yours, unless a stranger sent it: docs/operate.md#refused"
                .to_owned()
        }
        Problem::TargetAbsent(_) => "Add it in Plain: docs/deploy.md#plain".to_owned(),
        Problem::TargetDisabled(_) => {
            "Enable it in Plain. Missed events are repaired by `clientele reconcile plain`.".to_owned()
        }
        Problem::TargetLacksEventTypes(_) => "Add these types in Plain: docs/deploy.md#plain".to_owned(),
        Problem::AlarmActive(..) => "Follow the section of docs/operate.md that its description names.".to_owned(),
        Problem::AlarmMissing => "Create it again, with the properties that template.yaml gives it.".to_owned(),
        Problem::AlarmDisabled(name) => format!("aws cloudwatch enable-alarm-actions --alarm-names {name}"),
        Problem::Quarantined(_) => format!("clientele quarantine list{flag}; docs/operate.md#quarantine"),
        Problem::DeadLetters(_) => format!("clientele dead-letters list{flag}; docs/operate.md#redrive"),
        Problem::InboxWaits(_) => format!("clientele inbox list{flag}; docs/operate.md#inbox-age"),
        Problem::CleanupWaits(_) => "Does a consumer run? docs/operate.md#cleanup-age".to_owned(),
        Problem::CleanupsPending(..) => "docs/operate.md#sweep-failed".to_owned(),
        Problem::NotActive(_) => "Wait until DynamoDB has finished, and check the AWS Health Dashboard.".to_owned(),
        Problem::IndexMissing if !is_deployed => {
            "Stop the local stack, delete its data folder, and start it again.".to_owned()
        }
        Problem::IndexMissing => "Deploy the stack from this template.yaml again.".to_owned(),
        Problem::SettingDiffers(setting, value, table) => repair(*setting, &value.should_be, table),
        Problem::ReconciliationLate(_) => "docs/operate.md#reconcile-stopped".to_owned(),
        Problem::ReconciliationFailed => "docs/operate.md#reconcile-failed".to_owned(),
        Problem::NeverReconciled => "Store the API keys of the providers: docs/deploy.md#reconciliation".to_owned(),
    }
}

/// The command that sets what the template says. A deployment changes only what differs from the last deployment.
fn repair(setting: Setting, should_be: &str, table: &str) -> String {
    let update = format!("aws dynamodb update-table --table-name {table}");
    match setting {
        Setting::DeletionProtection if should_be == "on" => format!("{update} --deletion-protection-enabled"),
        Setting::DeletionProtection => format!("{update} --no-deletion-protection-enabled"),
        Setting::Encryption if should_be == "on" => format!("{update} --sse-specification Enabled=true"),
        Setting::Encryption => {
            format!("{update} --sse-specification Enabled=true,SSEType=KMS,KMSMasterKeyId={should_be}")
        }
        Setting::Stream if should_be == "off" => format!("{update} --stream-specification StreamEnabled=false"),
        Setting::Stream => {
            format!("{update} --stream-specification StreamEnabled=true,StreamViewType={should_be}")
        }
        Setting::PointInTimeRecovery => format!(
            "aws dynamodb update-continuous-backups --table-name {table} --point-in-time-recovery-specification \
             PointInTimeRecoveryEnabled=true,RecoveryPeriodInDays={}",
            should_be.chars().filter(char::is_ascii_digit).collect::<String>()
        ),
        Setting::TimeToLive => format!(
            "aws dynamodb describe-time-to-live --table-name {table} names the attribute; then aws dynamodb \
             update-time-to-live --table-name {table} --time-to-live-specification Enabled=false,AttributeName=NAME"
        ),
    }
}

fn secrets(positions: &[usize]) -> String {
    let list = positions.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    if positions.len() == 1 { format!("secret {list}") } else { format!("secrets {list}") }
}

fn is_or_are(positions: &[usize]) -> &'static str {
    if positions.len() == 1 { "is" } else { "are" }
}
