//! The configuration of `changes`, which is its environment.

use clientele_model::{FeedContent, FeedSettings};

use crate::config::{LambdaEnvironment, telemetry_settings};
use crate::environment::{ConfigError, Environment};
use crate::telemetry::TelemetrySettings;

/// The configuration of `changes`.
#[derive(Debug)]
pub struct ChangesConfig {
    /// `EVENT_BUS_NAME`
    pub event_bus_name: String,
    /// `REFUSED_CHANGES_QUEUE_URL`
    pub refused_changes_queue_url: String,
    /// `CHANGE_SOURCE` and `CHANGE_FEED`, by default `keys`.
    pub feed: FeedSettings,
    /// How the function logs.
    pub telemetry: TelemetrySettings,
    /// What Lambda sets.
    pub lambda: LambdaEnvironment,
}

impl ChangesConfig {
    /// Reads the environment of `changes`. An empty value counts as not set.
    ///
    /// # Errors
    /// Names everything that is missing or unreadable.
    pub fn read(variable: impl Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        let mut environment = Environment::new(&variable);
        let config = Self {
            event_bus_name: environment.required("EVENT_BUS_NAME"),
            refused_changes_queue_url: environment.required("REFUSED_CHANGES_QUEUE_URL"),
            feed: FeedSettings { source: environment.required("CHANGE_SOURCE"), content: content(&mut environment) },
            telemetry: telemetry_settings(&mut environment, "changes"),
            lambda: LambdaEnvironment::read(&mut environment),
        };
        environment.finish(Some(config))
    }
}

fn content(environment: &mut Environment<'_>) -> FeedContent {
    match environment.optional("CHANGE_FEED").as_deref() {
        None | Some("keys") => FeedContent::Keys,
        Some("full") => FeedContent::Full,
        Some(_) => {
            environment.problem("CHANGE_FEED is neither `keys` nor `full`".to_owned());
            FeedContent::Keys
        }
    }
}
