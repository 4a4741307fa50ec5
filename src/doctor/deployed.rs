//! Reads a deployed stack. Every part is read by itself, and all at the same time.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result};
use aws_sdk_cloudformation::operation::list_stack_resources::ListStackResourcesError;
use aws_sdk_cloudwatch::operation::describe_alarms::DescribeAlarmsError;
use aws_sdk_cloudwatch::types::{MetricAlarm, StateValue};
use aws_sdk_secretsmanager::operation::get_secret_value::GetSecretValueError;
use clientele_model::Provider;
use clientele_providers::PROVIDERS;
use futures_util::future::join_all;
use jiff::Timestamp;

use super::facts::{Alarm, AlarmState, Fact, Facts, ProviderFacts, Reconciliation, Secrets, Table, WebhookTarget};
use super::metrics::Metrics;
use super::queues;
use super::table::{self, ExpectedSettings};
use super::webhook_target;
use crate::deployed::DeployedStack;
use crate::secret_state::SecretState;
use crate::target::OpenTarget;
use crate::template::{Template, TemplateSource};

/// How many alarms one request may ask for.
const ALARMS_MAX: usize = 100;
/// The logical id of the function that reconciles on a schedule, and the parameter with its interval.
const RECONCILE_FUNCTION: &str = "ReconcileFunction";
const RECONCILE_INTERVAL: &str = "ReconcileIntervalMinutes";

/// Reads everything about a deployed stack.
///
/// # Errors
/// When the target is not a deployed stack.
pub async fn facts(target: &OpenTarget) -> Result<Facts> {
    let stack = target.deployed_stack().context("the local stack reads its facts itself")?;
    let template = TemplateSource::Embedded.read()?;
    let read_at = Timestamp::now();
    let metrics = Metrics { client: &stack.cloudwatch, namespace: &stack.name, now: read_at };
    let resources = resources(stack).await;
    let (providers, webhook_target, alarms, queues, pending_cleanups, table, reconciliation) = tokio::join!(
        join_all(PROVIDERS.iter().map(|provider| self::provider(stack, provider, &metrics))),
        self::webhook_target(stack),
        alarms(stack, &resources),
        queues::read(&target.clients.sqs, &target.queue_urls, &stack.oldest_messages),
        table::pending_cleanups(&target.clients.dynamodb, &target.resources.customers_table),
        self::table(target, stack, &template),
        reconciliation(stack, &resources, &metrics),
    );
    Ok(Facts {
        deployed_stack: Some(stack.name.clone()),
        read_at,
        faults: Fact::NotApplicable("only a local stack has faults"),
        providers,
        webhook_target,
        alarms,
        queues,
        pending_cleanups,
        table,
        reconciliation,
    })
}

/// The alarms and functions of the stack, with the names that CloudFormation gave them. Another stack may have a name that
/// begins like that of this one, so a prefix does not do.
struct StackResources {
    /// The names of alarms, by their names in the template.
    alarms: BTreeMap<String, String>,
    functions: BTreeSet<String>,
}

async fn resources(stack: &DeployedStack) -> Fact<StackResources> {
    let read = async {
        let mut resources = StackResources { alarms: BTreeMap::new(), functions: BTreeSet::new() };
        let mut pages = stack.cloudformation.list_stack_resources().stack_name(&stack.name).into_paginator().send();
        while let Some(page) = pages.next().await {
            for resource in page?.stack_resource_summaries.unwrap_or_default() {
                let (id, name) = (resource.logical_resource_id.unwrap_or_default(), resource.physical_resource_id);
                match (resource.resource_type.as_deref(), name) {
                    (Some("AWS::CloudWatch::Alarm"), Some(name)) => drop(resources.alarms.insert(id, name)),
                    (Some("AWS::Lambda::Function"), Some(_)) => drop(resources.functions.insert(id)),
                    _ => {}
                }
            }
        }
        Ok(resources)
    };
    Fact::read::<ListStackResourcesError>("cloudformation:ListStackResources", read).await
}

async fn provider(stack: &DeployedStack, provider: &'static Provider, metrics: &Metrics<'_>) -> ProviderFacts {
    let name = provider.name;
    let service = format!("clientele-{name}");
    let dimensions = [("service", service.as_str()), ("provider", name), ("outcome", "rejected")];
    let secrets = async {
        let (entries, scheme) = (stack.secrets(provider).await?, stack.scheme(provider)?);
        Ok(Secrets::of(entries.iter().map(|entry| SecretState::of(entry, &scheme))))
    };
    let (secrets, verified, refused) = tokio::join!(
        Fact::read::<GetSecretValueError>("secretsmanager:GetSecretValue", secrets),
        metrics.last_seen(("Verified", &dimensions[..2])),
        metrics.last_seen(("Events", &dimensions)),
    );
    ProviderFacts { name: name.to_owned(), secrets, verified, refused }
}

async fn webhook_target(stack: &DeployedStack) -> Fact<WebhookTarget> {
    match stack.output("PlainWebhookUrl") {
        Ok(url) => webhook_target::deployed(url, |name| std::env::var(name).ok()).await,
        Err(_) => Fact::NotApplicable("the stack has no URL for Plain"),
    }
}

async fn alarms(stack: &DeployedStack, resources: &Fact<StackResources>) -> Fact<BTreeMap<String, Alarm>> {
    let names = match resources {
        Fact::Known(resources) => &resources.alarms,
        Fact::NotApplicable(why) => return Fact::NotApplicable(why),
        Fact::Unknown(unread) => return Fact::Unknown(unread.clone()),
    };
    let read = async {
        let all: Vec<_> = names.values().cloned().collect();
        let mut found = vec![];
        for names in all.chunks(ALARMS_MAX) {
            let request = stack.cloudwatch.describe_alarms().set_alarm_names(Some(names.to_vec()));
            found.extend(request.send().await?.metric_alarms.unwrap_or_default());
        }
        let alarm = |name: &String| alarm(name, found.iter().find(|alarm| alarm.alarm_name() == Some(name)));
        Ok(names.iter().map(|(id, name)| (id.clone(), alarm(name))).collect())
    };
    Fact::read::<DescribeAlarmsError>("cloudwatch:DescribeAlarms", read).await
}

fn alarm(name: &str, alarm: Option<&MetricAlarm>) -> Alarm {
    let name = name.to_owned();
    let Some(alarm) = alarm else {
        return Alarm { name, state: AlarmState::Missing, since: None, description: String::new(), is_enabled: false };
    };
    let since = alarm.state_transitioned_timestamp().or(alarm.state_updated_timestamp());
    Alarm {
        name,
        state: match alarm.state_value() {
            Some(StateValue::Alarm) => AlarmState::Active,
            Some(StateValue::Ok) => AlarmState::Ok,
            _ => AlarmState::NoData,
        },
        since: since.and_then(|since| Timestamp::from_second(since.secs()).ok()),
        description: alarm.alarm_description().unwrap_or("it has no description").to_owned(),
        is_enabled: alarm.actions_enabled().unwrap_or(true),
    }
}

async fn table(target: &OpenTarget, stack: &DeployedStack, template: &Template) -> Table {
    // A parameter that this stack does not have yet has its default.
    let parameter =
        |name: &str| stack.parameter(name).or(template.parameters.get(name).map(String::as_str)).unwrap_or_default();
    let expected = ExpectedSettings {
        deletion_protection: parameter("TableDeletionProtection"),
        kms_key: parameter("KmsKeyArn"),
        recovery_days: parameter("RecoveryPeriodDays"),
        stream: parameter("TableStream"),
    };
    let name = &target.resources.customers_table;
    // It is large.
    Box::pin(table::deployed(&target.clients.dynamodb, name, &template.index_names(), expected)).await
}

async fn reconciliation(
    stack: &DeployedStack,
    resources: &Fact<StackResources>,
    metrics: &Metrics<'_>,
) -> Fact<Reconciliation> {
    let functions = match resources {
        Fact::Known(resources) => &resources.functions,
        Fact::NotApplicable(why) => return Fact::NotApplicable(why),
        Fact::Unknown(unread) => return Fact::Unknown(unread.clone()),
    };
    let interval = stack.parameter(RECONCILE_INTERVAL).and_then(|minutes| minutes.parse().ok()).unwrap_or_default();
    if interval == 0 || !functions.contains(RECONCILE_FUNCTION) {
        return Fact::NotApplicable("off: ReconcileIntervalMinutes is 0");
    }
    let listed = PROVIDERS.iter().filter(|provider| is_reconciled(provider));
    let run = async |provider: &&Provider| (provider.name.to_owned(), metrics.last_reconciliation(provider.name).await);
    let providers = join_all(listed.map(run)).await.into_iter().collect();
    Fact::Known(Reconciliation { interval_minutes: interval, providers })
}

/// Whether the list API of the provider can return what has changed since a time, which a schedule needs.
fn is_reconciled(provider: &Provider) -> bool {
    clientele_providers::listing(provider).api.as_ref().is_some_and(|api| api.can_list_changes)
}
