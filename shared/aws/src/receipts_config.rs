//! The configuration of `receipts`, which is its environment.

use crate::config::{LambdaEnvironment, telemetry_settings};
use crate::environment::{ConfigError, Environment};
use crate::telemetry::TelemetrySettings;

/// The configuration of `receipts`.
#[derive(Debug)]
pub struct ReceiptsConfig {
    /// `CUSTOMERS_TABLE`
    pub customers_table: String,
    /// `ERASURE_SYSTEMS`, separated by commas: the systems that confirm each erasure.
    pub systems: Vec<String>,
    /// How the function logs.
    pub telemetry: TelemetrySettings,
    /// What Lambda sets.
    pub lambda: LambdaEnvironment,
}

impl ReceiptsConfig {
    /// Reads the environment of `receipts`. An empty value counts as not set.
    ///
    /// # Errors
    /// Names everything that is missing or unreadable.
    pub fn read(variable: impl Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        let mut environment = Environment::new(&variable);
        let config = Self {
            customers_table: environment.required("CUSTOMERS_TABLE"),
            systems: environment.required("ERASURE_SYSTEMS").split(',').map(str::to_owned).collect(),
            telemetry: telemetry_settings(&mut environment, "receipts"),
            lambda: LambdaEnvironment::read(&mut environment),
        };
        environment.finish(Some(config))
    }
}
