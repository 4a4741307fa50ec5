//! The configuration of `reconcile`, which is its environment.

use std::fmt;
use std::ops::RangeInclusive;
use std::time::Duration;

use clientele_flow::Deletes;
use clientele_flow::deadlines::RECONCILE_INTERVAL_MAX;
use clientele_model::{ListApi, Listing};

use crate::api_keys::{self, ApiKeySource};
use crate::config::{LambdaEnvironment, Resources, telemetry_settings};
use crate::environment::{ConfigError, Environment};
use crate::telemetry::TelemetrySettings;

/// The configuration of `reconcile`.
#[derive(Debug)]
pub struct ReconcilerConfig {
    /// The table and the queues.
    pub resources: Resources,
    /// The lists that are compared with the table: those whose API can list what has changed since a moment.
    pub lists: Vec<ListSource>,
    /// `RECONCILE_INTERVAL_MINUTES`: the time between two runs, by default 60 minutes.
    pub interval: Duration,
    /// `RECONCILE_SETTLE_MINUTES`: how long a webhook may take, by default 60 minutes.
    pub settle: Duration,
    /// `RECONCILE_DELETES`: what happens to customers whom a provider has deleted, and whose delete never arrived.
    pub deletes: Deletes,
    /// How the function logs.
    pub telemetry: TelemetrySettings,
    /// What Lambda sets.
    pub lambda: LambdaEnvironment,
}

/// The list of one provider.
pub struct ListSource {
    /// The list.
    pub listing: &'static Listing,
    /// Its API.
    pub api: &'static ListApi,
    /// `<PROVIDER>_API_URL`, by default the first one that the provider serves the list at.
    pub url: String,
    /// `<PROVIDER>_API_KEY` or `<PROVIDER>_API_KEY_SECRET_ARN`
    pub key: ApiKeySource,
}

impl fmt::Debug for ListSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { listing, url, key, .. } = self;
        f.debug_struct("ListSource").field("listing", listing).field("url", url).field("key", key).finish()
    }
}

impl ReconcilerConfig {
    /// Reads the environment of `reconcile`. An empty value counts as not set.
    ///
    /// # Errors
    /// Names everything that is missing or unreadable.
    pub fn read(
        listings: impl IntoIterator<Item = &'static Listing>,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, ConfigError> {
        let mut environment = Environment::new(&variable);
        let resources = Resources::read(&mut environment);
        let apis = listings.into_iter().filter_map(|listing| Some((listing, listing.api.as_ref()?)));
        let apis = apis.filter(|(_, api)| api.can_list_changes);
        let lists = apis.filter_map(|(listing, api)| ListSource::read(&mut environment, listing, api)).collect();
        let config = Self {
            resources,
            lists,
            interval: minutes(&mut environment, "RECONCILE_INTERVAL_MINUTES"),
            settle: minutes(&mut environment, "RECONCILE_SETTLE_MINUTES"),
            deletes: deletes(&mut environment),
            telemetry: telemetry_settings(&mut environment, "reconcile"),
            lambda: LambdaEnvironment::read(&mut environment),
        };
        environment.finish(Some(config))
    }
}

impl ListSource {
    fn read(environment: &mut Environment<'_>, listing: &'static Listing, api: &'static ListApi) -> Option<Self> {
        let url = format!("{}_API_URL", listing.provider.name.to_uppercase());
        let url = environment.optional(&url).or_else(|| api.urls.first().map(|url| (*url).to_owned()))?;
        let (variable, arn) = (api.key_variable, format!("{}_SECRET_ARN", api.key_variable));
        let key = match (environment.optional(variable), environment.optional(&arn)) {
            (Some(text), _) => environment.check(variable, api_keys::parse(&text))?.map(ApiKeySource::Environment),
            (None, arn) => arn.map(ApiKeySource::SecretsManager),
        };
        if key.is_none() {
            environment.problem(format!("{arn} is not set (nor {variable})"));
        }
        Some(Self { listing, api, url, key: key? })
    }
}

fn minutes(environment: &mut Environment<'_>, name: &str) -> Duration {
    const RANGE: RangeInclusive<u64> = 1..=RECONCILE_INTERVAL_MAX.as_secs() / 60;
    Duration::from_mins(environment.number(name, 60, &RANGE))
}

fn deletes(environment: &mut Environment<'_>) -> Deletes {
    match environment.optional("RECONCILE_DELETES").as_deref() {
        None | Some("report") => Deletes::Report,
        Some("apply") => Deletes::Apply,
        Some(_) => {
            environment.problem("RECONCILE_DELETES is neither `report` nor `apply`".to_owned());
            Deletes::Report
        }
    }
}
