//! Reads the state and the settings of the customers' table.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::operation::describe_continuous_backups::DescribeContinuousBackupsError;
use aws_sdk_dynamodb::operation::describe_table::DescribeTableError;
use aws_sdk_dynamodb::operation::describe_time_to_live::DescribeTimeToLiveError;
use aws_sdk_dynamodb::operation::scan::ScanError;
use aws_sdk_dynamodb::types::{PointInTimeRecoveryStatus, SseStatus, TableDescription, TimeToLiveStatus};
use jiff::Timestamp;

use super::facts::{Fact, PendingCleanups, Setting, SettingValue, Table, TableState};

/// The sparse index of tombstones whose cleanup message has not been sent.
const CLEANUP_DUE_INDEX: &str = "cleanup-due";
/// How many of them are counted.
const PENDING_MAX: usize = 10_000;

/// What the parameters of a stack say about its table.
#[derive(Clone, Copy, Debug)]
pub(super) struct ExpectedSettings<'a> {
    pub(super) deletion_protection: &'a str,
    pub(super) kms_key: &'a str,
    pub(super) recovery_days: &'a str,
    pub(super) stream: &'a str,
}

/// Reads the local table, which has no settings. `indexes` are those of the template.
pub async fn local(client: &Client, name: &str, indexes: &[String]) -> Table {
    let table = Fact::read::<DescribeTableError>("dynamodb:DescribeTable", describe(client, name)).await;
    Table { name: name.to_owned(), state: map(&table, |table| state(table, indexes)), settings: BTreeMap::new() }
}

/// Reads the table of a deployed stack.
pub(super) async fn deployed(client: &Client, name: &str, indexes: &[String], expected: ExpectedSettings<'_>) -> Table {
    let (table, recovery, time_to_live) = tokio::join!(
        Fact::read::<DescribeTableError>("dynamodb:DescribeTable", describe(client, name)),
        Fact::read::<DescribeContinuousBackupsError>("dynamodb:DescribeContinuousBackups", recovery(client, name)),
        Fact::read::<DescribeTimeToLiveError>("dynamodb:DescribeTimeToLive", time_to_live(client, name)),
    );
    let on = |is_on: bool| if is_on { "on".to_owned() } else { "off".to_owned() };
    let value = |is: String, should_be: String| SettingValue { is, should_be };
    let settings = BTreeMap::from([
        (
            Setting::DeletionProtection,
            map(&table, |table| {
                let is_protected = table.deletion_protection_enabled.unwrap_or_default();
                value(on(is_protected), on(expected.deletion_protection == "true"))
            }),
        ),
        (Setting::Encryption, map(&table, |table| encryption(table, expected.kms_key))),
        (Setting::Stream, map(&table, |table| value(stream(table), expected.stream.replace("NONE", "off")))),
        (
            Setting::PointInTimeRecovery,
            map(&recovery, |is| value(is.clone(), format!("on for {} days", expected.recovery_days))),
        ),
        (Setting::TimeToLive, map(&time_to_live, |is_on| value(on(*is_on), "off".to_owned()))),
    ]);
    Table { name: name.to_owned(), state: map(&table, |table| state(table, indexes)), settings }
}

fn map<T, U>(fact: &Fact<T>, function: impl FnOnce(&T) -> U) -> Fact<U> {
    match fact {
        Fact::Known(value) => Fact::Known(function(value)),
        Fact::NotApplicable(why) => Fact::NotApplicable(why),
        Fact::Unknown(unread) => Fact::Unknown(unread.clone()),
    }
}

async fn describe(client: &Client, name: &str) -> Result<TableDescription> {
    client.describe_table().table_name(name).send().await?.table.context("DynamoDB returned no table")
}

fn state(table: &TableDescription, indexes: &[String]) -> TableState {
    let unknown = "UNKNOWN";
    let status = |name: &String| {
        let index = table.global_secondary_indexes().iter().find(|index| index.index_name() == Some(name))?;
        Some(index.index_status().map_or(unknown, |status| status.as_str()).to_owned())
    };
    TableState {
        status: table.table_status().map_or(unknown, |status| status.as_str()).to_owned(),
        indexes: indexes.iter().map(|name| (name.clone(), status(name))).collect(),
    }
}

/// Without a key of your own, any key of KMS will do: AWS manages one for the account.
fn encryption(table: &TableDescription, key: &str) -> SettingValue {
    let description = table.sse_description();
    let is_on = description
        .and_then(|it| it.status())
        .is_some_and(|status| [SseStatus::Enabled, SseStatus::Enabling, SseStatus::Updating].contains(status));
    let is = match description.and_then(|it| it.kms_master_key_arn()) {
        _ if !is_on => "off",
        Some(used) if !key.is_empty() => used,
        _ => "on",
    };
    SettingValue { is: is.to_owned(), should_be: if key.is_empty() { "on".to_owned() } else { key.to_owned() } }
}

fn stream(table: &TableDescription) -> String {
    let stream = table.stream_specification().filter(|stream| stream.stream_enabled);
    stream.and_then(|it| it.stream_view_type()).map_or("off", |view| view.as_str()).to_owned()
}

async fn recovery(client: &Client, name: &str) -> Result<String> {
    let output = client.describe_continuous_backups().table_name(name).send().await?;
    let recovery = output.continuous_backups_description.and_then(|it| it.point_in_time_recovery_description);
    let recovery = recovery.filter(|it| it.point_in_time_recovery_status == Some(PointInTimeRecoveryStatus::Enabled));
    let days = recovery.map(|recovery| recovery.recovery_period_in_days.unwrap_or(35));
    Ok(days.map_or("off".to_owned(), |days| format!("on for {days} days")))
}

async fn time_to_live(client: &Client, name: &str) -> Result<bool> {
    let output = client.describe_time_to_live().table_name(name).send().await?;
    let status = output.time_to_live_description.and_then(|it| it.time_to_live_status);
    Ok(matches!(status, Some(TimeToLiveStatus::Enabled | TimeToLiveStatus::Enabling)))
}

/// Counts the cleanup messages that wait in tombstones.
pub async fn pending_cleanups(client: &Client, name: &str) -> Fact<PendingCleanups> {
    let read = async {
        let request = client.scan().table_name(name).index_name(CLEANUP_DUE_INDEX);
        let mut pages = request.projection_expression("cleanup_due").into_paginator().send();
        let mut pending = PendingCleanups::default();
        while let Some(page) = pages.next().await {
            for item in page?.items.unwrap_or_default() {
                let since = item.get("cleanup_due").and_then(|due| due.as_s().ok()?.parse::<Timestamp>().ok());
                pending.since = [pending.since, since].into_iter().flatten().min();
                pending.count += 1;
            }
            if pending.count >= PENDING_MAX {
                pending.is_more = true;
                break;
            }
        }
        Ok(pending)
    };
    Fact::read::<ScanError>("dynamodb:Scan", read).await
}
