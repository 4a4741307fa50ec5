//! The environment of a function, read once and whole.

use std::fmt;
use std::time::Duration;

use clientele_model::{Provider, Scheme, Secrets};

use crate::clients::Surroundings;
use crate::telemetry::{Level, Naming};

/// What a function that receives webhooks needs to know.
#[derive(Debug)]
pub struct Config {
    /// The table and the queues.
    pub resources: Resources,
    /// `METRIFOX_SIGNATURE`, `SMARTERPAY_SIGNATURE` or `FLEXPRICE_SIGNATURE`
    pub scheme: Scheme,
    /// `WEBHOOK_SECRETS` or `WEBHOOK_SECRET_ARN`
    pub secrets: SecretSetting,
    /// `SIGNATURE_TOLERANCE_SECONDS`, 300 unless set.
    pub tolerance: Duration,
    /// `MAX_BODY_BYTES`, 262,144 unless set.
    pub body_bytes_max: usize,
    /// `POWERTOOLS_SERVICE_NAME`, `POWERTOOLS_METRICS_NAMESPACE` and `POWERTOOLS_LOG_LEVEL`
    pub naming: Naming,
}

/// The table and the queues of a function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resources {
    /// `CUSTOMERS_TABLE`
    pub customers_table: String,
    /// `CLEANUP_QUEUE_URL`
    pub cleanup_queue_url: String,
    /// `INBOX_QUEUE_URL`
    pub inbox_queue_url: String,
    /// `QUARANTINE_QUEUE_URL`
    pub quarantine_queue_url: String,
}

/// What a function that receives no webhooks needs to know: `replay` and `sweep`.
#[derive(Debug)]
pub struct WorkerConfig {
    /// The table and the queues.
    pub resources: Resources,
    /// `POWERTOOLS_SERVICE_NAME`, `POWERTOOLS_METRICS_NAMESPACE` and `POWERTOOLS_LOG_LEVEL`
    pub naming: Naming,
}

/// Where the secrets are.
#[derive(Clone, Debug)]
pub enum SecretSetting {
    /// In the environment itself, for local runs. Goes before an ARN.
    Here(Secrets),
    /// In Secrets Manager, under this ARN.
    Manager(String),
}

/// What each certificate in a file begins with.
const CERTIFICATE: &str = "-----BEGIN CERTIFICATE-----";

/// Everything that is missing or unreadable, one line each.
#[derive(Debug, PartialEq, Eq)]
pub struct ConfigError(pub Vec<String>);

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the environment is not complete: {}", self.0.join("; "))
    }
}

impl std::error::Error for ConfigError {}

impl Config {
    /// Reads the environment of `provider`'s function. An empty value counts as not set.
    ///
    /// # Errors
    /// Names everything that is missing or unreadable, at once.
    pub fn read(provider: &Provider, variable: impl Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        let mut read = Reader { variable, wrong: vec![] };
        let config = Self::read_with(provider, &mut read);
        read.checked(config)
    }

    /// The same, and what Lambda itself sets.
    ///
    /// # Errors
    /// Names everything that is missing or unreadable, at once.
    pub fn read_on_lambda(
        provider: &Provider,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<(Self, Surroundings), ConfigError> {
        let mut read = Reader { variable, wrong: vec![] };
        let config = Self::read_with(provider, &mut read);
        let surroundings = Surroundings::read(&mut read);
        Ok((read.checked(config)?, surroundings))
    }

    /// `None` where the scheme or the secrets are not readable; the reader knows why.
    fn read_with<V: Fn(&str) -> Option<String>>(provider: &Provider, read: &mut Reader<V>) -> Option<Self> {
        let resources = Resources::read(read);
        let tolerance = Duration::from_secs(read.number("SIGNATURE_TOLERANCE_SECONDS", 300));
        let body_bytes_max = read.number("MAX_BODY_BYTES", 262_144);
        let naming = read.naming(provider.name);
        let scheme = read.scheme(provider);
        let secrets = read.secrets(scheme.as_ref());
        Some(Self { resources, scheme: scheme?, secrets: secrets?, tolerance, body_bytes_max, naming })
    }
}

impl Resources {
    fn read<V: Fn(&str) -> Option<String>>(read: &mut Reader<V>) -> Self {
        Self {
            customers_table: read.text("CUSTOMERS_TABLE"),
            cleanup_queue_url: read.text("CLEANUP_QUEUE_URL"),
            inbox_queue_url: read.text("INBOX_QUEUE_URL"),
            quarantine_queue_url: read.text("QUARANTINE_QUEUE_URL"),
        }
    }
}

impl WorkerConfig {
    /// Reads the environment of the function `name`. An empty value counts as not set.
    ///
    /// # Errors
    /// Names everything that is missing or unreadable, at once.
    pub fn read(name: &str, variable: impl Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        let mut read = Reader { variable, wrong: vec![] };
        let config = Self { resources: Resources::read(&mut read), naming: read.naming(name) };
        read.checked(Some(config))
    }

    /// The same, and what Lambda itself sets.
    ///
    /// # Errors
    /// Names everything that is missing or unreadable, at once.
    pub fn read_on_lambda(
        name: &str,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<(Self, Surroundings), ConfigError> {
        let mut read = Reader { variable, wrong: vec![] };
        let config = Self { resources: Resources::read(&mut read), naming: read.naming(name) };
        let surroundings = Surroundings::read(&mut read);
        Ok((read.checked(Some(config))?, surroundings))
    }
}

/// Reads values and collects what is wrong with them.
pub(crate) struct Reader<V> {
    variable: V,
    wrong: Vec<String>,
}

impl<V: Fn(&str) -> Option<String>> Reader<V> {
    /// What was read, if nothing is wrong with any of it.
    fn checked<T>(self, config: Option<T>) -> Result<T, ConfigError> {
        config.filter(|_| self.wrong.is_empty()).ok_or(ConfigError(self.wrong))
    }

    /// An empty value counts as not set.
    pub(crate) fn optional(&self, name: &str) -> Option<String> {
        (self.variable)(name).filter(|value| !value.is_empty())
    }

    pub(crate) fn text(&mut self, name: &str) -> String {
        self.optional(name).unwrap_or_else(|| {
            self.wrong.push(format!("{name} is not set"));
            String::new()
        })
    }

    /// The certificates in the file that a variable names.
    pub(crate) fn certificates(&mut self, name: &str) -> Option<String> {
        let path = self.optional(name)?;
        let text = std::fs::read_to_string(&path).map_err(|error| error.to_string());
        let text =
            text.and_then(|text| if text.contains(CERTIFICATE) { Ok(text) } else { Err("no certificates".into()) });
        text.map_err(|error| self.wrong.push(format!("{name}: {path}: {error}"))).ok()
    }

    fn number<T: std::str::FromStr>(&mut self, name: &str, default: T) -> T {
        let Some(value) = self.optional(name) else { return default };
        value.parse().unwrap_or_else(|_| {
            self.wrong.push(format!("{name} is not a whole number"));
            default
        })
    }

    fn naming(&mut self, name: &str) -> Naming {
        let level = self.optional("POWERTOOLS_LOG_LEVEL").map(|word| Level::parse(&word));
        if level == Some(None) {
            self.wrong.push("POWERTOOLS_LOG_LEVEL is not one of DEBUG, INFO, WARNING, ERROR, CRITICAL".to_owned());
        }
        Naming {
            service: service_name(name, |variable| self.optional(variable)),
            namespace: self.optional("POWERTOOLS_METRICS_NAMESPACE").unwrap_or_else(|| "Clientele".to_owned()),
            level: level.flatten().unwrap_or_default(),
        }
    }

    fn scheme(&mut self, provider: &Provider) -> Option<Scheme> {
        let setting = provider.scheme_variable.and_then(|name| self.optional(name));
        let scheme = (provider.scheme)(setting.as_deref());
        scheme
            .map_err(|error| self.wrong.push(format!("{}: {error}", provider.scheme_variable.unwrap_or("scheme"))))
            .ok()
    }

    /// `None` also where the scheme is unknown, since it decides what a secret looks like.
    fn secrets(&mut self, scheme: Option<&Scheme>) -> Option<SecretSetting> {
        match (self.optional("WEBHOOK_SECRETS"), self.optional("WEBHOOK_SECRET_ARN")) {
            (Some(text), _) => {
                let secrets = Secrets::parse(&text, scheme?);
                let secrets = secrets.map_err(|error| self.wrong.push(format!("WEBHOOK_SECRETS: {error}")));
                secrets.ok().map(SecretSetting::Here)
            }
            (None, Some(arn)) => Some(SecretSetting::Manager(arn)),
            (None, None) => {
                self.wrong.push("WEBHOOK_SECRET_ARN is not set (nor WEBHOOK_SECRETS)".to_owned());
                None
            }
        }
    }
}

/// What the function is called in its lines.
pub(crate) fn service_name(name: &str, variable: impl Fn(&str) -> Option<String>) -> String {
    variable("POWERTOOLS_SERVICE_NAME").unwrap_or_else(|| format!("clientele-{name}"))
}
