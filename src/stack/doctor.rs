//! Reads what the doctor wants to know about the local stack.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Result;
use clientele_model::{Provider, SecretEntry};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Value, json};

use super::deliveries::{Deliveries, DeliveryRecord, RECENT_MAX};
use super::faults::Faults;
use crate::console::ShownStack;
use crate::doctor::{Fact, Facts, Fault, LastSeen, ProviderFacts, Secrets, queues, table, webhook_target};
use crate::secret_state::SecretState;

/// The local stack, as far as the doctor looks at it.
#[derive(Clone)]
pub(super) struct Patient {
    pub(super) shown: ShownStack,
    pub(super) deliveries: Deliveries,
    pub(super) faults: Faults,
    /// When the stack was started.
    pub(super) started: Timestamp,
    /// The secrets of each provider.
    pub(super) secrets: Vec<(&'static str, Secrets)>,
    /// The URL and the key of the stand-in for Plain's API, and the URL to which Plain sends its webhooks.
    pub(super) plain: [String; 3],
    /// The indexes of the template.
    pub(super) indexes: Vec<String>,
}

impl Patient {
    pub(super) async fn facts(self) -> Result<Facts> {
        let providers = self.providers();
        let Self { shown, faults, indexes, plain: [url, key, webhook_url], .. } = self;
        let (dynamodb, name) = (&shown.clients.dynamodb, &shown.resources.customers_table);
        Ok(Facts {
            deployed_stack: None,
            read_at: Timestamp::now(),
            faults: Fact::Known(
                faults.active().iter().map(|(service, fault)| (word(service), self::fault(fault))).collect(),
            ),
            providers,
            webhook_target: webhook_target::at(&url, &key, &webhook_url).await,
            alarms: Fact::NotApplicable("the local stack has none"),
            queues: queues::read(&shown.clients.sqs, &shown.queue_urls, &shown.oldest_messages).await,
            pending_cleanups: table::pending_cleanups(dynamodb, name).await,
            table: table::local(dynamodb, name, &indexes).await,
            reconciliation: Fact::NotApplicable("the local stack has no schedule for it"),
        })
    }

    fn providers(&self) -> Vec<ProviderFacts> {
        let recent = self.deliveries.recent();
        // Older records are forgotten.
        let since = recent.first().filter(|_| recent.len() == RECENT_MAX).map_or(self.started, |oldest| oldest.at);
        let last = |provider: &str, is_wanted: fn(&DeliveryRecord) -> bool| {
            let wanted = recent.iter().filter(|record| record.function == provider && is_wanted(record));
            let at = wanted.map(|record| record.at).max();
            Fact::Known(at.map_or(LastSeen::NotSince(since), |at| LastSeen::Within { from: at, until: at }))
        };
        let facts = |(name, secrets): &(&'static str, Secrets)| ProviderFacts {
            name: (*name).to_owned(),
            secrets: Fact::Known(secrets.clone()),
            verified: last(name, |record| !["rejected", "unverifiable"].contains(&record.outcome.as_str())),
            refused: last(name, |record| record.outcome == "rejected"),
        };
        self.secrets.iter().map(facts).collect()
    }
}

/// Counts the secrets in the environment of a provider's function.
///
/// # Errors
/// When they are not a list of secrets, or the scheme is not known.
pub(super) fn secrets(provider: &Provider, environment: &BTreeMap<String, String>) -> Result<Secrets> {
    let setting = provider.scheme_variable.and_then(|variable| environment.get(variable));
    let scheme = (provider.scheme)(setting.map(String::as_str))?;
    let entries = SecretEntry::list(environment.get("WEBHOOK_SECRETS").map_or("", String::as_str))?;
    Ok(Secrets::of(entries.iter().map(|entry| SecretState::of(entry, &scheme))))
}

fn fault(fault: &super::faults::Fault) -> Fault {
    let left = Duration::try_from_secs_f64(fault.for_seconds).unwrap_or_default();
    Fault { mode: word(&fault.mode), seconds: left.as_secs() }
}

/// The word for a service or a mode in requests of the admin port.
fn word(value: &impl Serialize) -> String {
    match json!(value) {
        Value::String(word) => word,
        other => other.to_string(),
    }
}
