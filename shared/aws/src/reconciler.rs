//! The function that a schedule invokes to find changes whose webhooks were lost. It compares the customers with those of
//! the providers' lists, and writes what the table lacks. In normal operation it writes nothing.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use aws_sdk_secretsmanager::Client;
use clientele_flow::deadlines::{RECONCILE_END_WITHIN, RECONCILE_STOP_WITHIN};
use clientele_flow::{Deletes, Flow, ListClient, ListRunError, LostDeletes, RunEnd, WindowOptions, WindowReport};
use clientele_model::{ListApi, ListingError};
use futures_util::future::join_all;
use jiff::SignedDuration;
use serde::Serialize;
use serde_json::Value;
use tokio::time::Instant;

use crate::clients::Clients;
use crate::customers::Customers;
use crate::invocation::Invocation;
use crate::lazy_client::LazyClient;
use crate::queues::SqsQueues;
use crate::reconcile_event::{ReconcileEventError, Window};
use crate::reconcile_line::ReconcileLine;
use crate::reconciler_config::{ListSource, ReconcilerConfig};
use crate::telemetry::{LogWriter, Telemetry};

/// Makes the client of a list API at a URL, with an API key. The error says what is wrong with the URL or the key.
pub type Connect<C> = Box<dyn Fn(&'static ListApi, &str, &str) -> Result<C, String> + Send + Sync>;

/// The reconcile function after its start.
pub struct Reconciler<C> {
    lists: Vec<ListSource>,
    interval: Duration,
    settle: Duration,
    deletes: Deletes,
    flow: Flow<Customers, SqsQueues>,
    secrets_manager: LazyClient<Client>,
    connect: Connect<C>,
    telemetry: Telemetry,
}

/// What happened to the customers of one provider.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ProviderReconciliation {
    /// The operator has set no API key.
    NoApiKey,
    /// They were compared, perhaps not all of them.
    Compared(Comparisons),
}

/// How many customers were compared, and with which results.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Comparisons {
    /// Customers that the list returned.
    pub checked: u64,
    /// Customers that were behind, or not in the table, and were written: their webhooks were lost.
    pub recovered: u64,
    /// Customers that are different, although the list has no newer state.
    pub different: u64,
    /// Records that were not understood, that the table cannot hold, or whose items this version cannot read.
    pub untranslatable: u64,
    /// Customers whom the provider has verifiably deleted, and who were still in the table.
    pub deletes: u64,
    /// Of these: deleted here as well.
    pub deletes_applied: u64,
    /// Customers whom the provider has deleted, but whose items changed afterwards. They stay.
    pub deletes_unverified: u64,
    /// Why not all customers were compared; `None` if they were.
    pub failure: Option<String>,
}

impl<C> fmt::Debug for Reconciler<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reconciler").field("lists", &self.lists).finish_non_exhaustive()
    }
}

impl<C: ListClient> Reconciler<C> {
    /// A reconciler that writes one line per provider and run to `log`.
    #[must_use]
    pub fn new(config: ReconcilerConfig, clients: &Clients, connect: Connect<C>, log: LogWriter) -> Self {
        let ReconcilerConfig { resources, lists, interval, settle, deletes, telemetry, lambda: _ } = config;
        Self {
            lists,
            interval,
            settle,
            deletes,
            flow: clients.flow(resources),
            secrets_manager: clients.secrets_manager.clone(),
            connect,
            telemetry: Telemetry::per_provider(telemetry, log),
        }
    }

    /// Compares the customers of all providers, at the same time. A provider that fails does not affect the others.
    ///
    /// # Errors
    /// When the event is neither that of a schedule nor one with a `since` that can be used.
    pub async fn handle(
        &self,
        event: &Value,
        invocation: &Invocation,
    ) -> Result<BTreeMap<&'static str, ProviderReconciliation>, ReconcileEventError> {
        let started = Instant::now();
        let window = Window::of_event(event, invocation.received_at, self.interval, self.settle)?;
        let is_cold = self.telemetry.is_cold_start();
        let reconcile = async |list: &ListSource| {
            let provider = list.listing.provider.name;
            let result = self.reconcile(list, window, invocation, started).await;
            (provider, result, started.elapsed())
        };
        let results = join_all(self.lists.iter().map(reconcile)).await;
        let elapsed = SignedDuration::try_from(started.elapsed()).unwrap_or_default();
        let ended_at = invocation.received_at.saturating_add(elapsed).unwrap_or(invocation.received_at);
        for (provider, result, duration) in &results {
            let (provider, duration) = (*provider, *duration);
            let line = ReconcileLine { provider, invocation, window, is_cold, result, duration, ended_at };
            self.telemetry.log_reconciliation(&line);
        }
        Ok(results.into_iter().map(|(provider, result, _)| (provider, result)).collect())
    }

    async fn reconcile(
        &self,
        list: &ListSource,
        window: Window,
        invocation: &Invocation,
        started: Instant,
    ) -> ProviderReconciliation {
        let client = match list.key.fetch(&self.secrets_manager).await {
            Ok(None) => return ProviderReconciliation::NoApiKey,
            Ok(Some(key)) => (self.connect)(list.api, &list.url, &key.text().unwrap_or_default()),
            Err(error) => Err(error.to_string()),
        };
        ProviderReconciliation::Compared(match client {
            Ok(client) => self.compare(list, &client, window, invocation, started).await,
            Err(why) => Comparisons::failed(why),
        })
    }

    async fn compare(
        &self,
        list: &ListSource,
        client: &C,
        window: Window,
        invocation: &Invocation,
        started: Instant,
    ) -> Comparisons {
        let options = WindowOptions {
            now: invocation.received_at,
            since: window.since,
            until: window.until,
            deletes: self.deletes,
            stop_at: started + RECONCILE_STOP_WITHIN,
            end_by: started + RECONCILE_END_WITHIN,
        };
        let report = self.flow.reconcile_window(list.listing, client, &options, &mut ()).await;
        Comparisons::of(report, list.api)
    }
}

impl Comparisons {
    fn failed(why: impl Into<String>) -> Self {
        Self { failure: Some(why.into()), ..Self::default() }
    }

    fn of(report: WindowReport, api: &ListApi) -> Self {
        let WindowReport { end, counts, deletes: LostDeletes { verified, unverified, erased } } = report;
        let failure = match end {
            RunEnd::Complete => None,
            RunEnd::Incomplete(why) => Some(why),
            RunEnd::Stopped => Some("cut short: the time was over before all changes were compared".to_owned()),
            RunEnd::Failed(ListRunError::Answer(ListingError::Denied)) => Some(format!(
                "the API does not accept the key: is it right, with the permission {}?",
                api.key_permission
            )),
            RunEnd::Failed(error) => Some(error.to_string()),
        };
        Self {
            checked: counts.compared(),
            recovered: counts.recovered,
            different: counts.different,
            untranslatable: counts.untranslatable + counts.unstorable + counts.unreadable,
            deletes: verified,
            deletes_applied: erased,
            deletes_unverified: unverified,
            failure,
        }
    }
}
