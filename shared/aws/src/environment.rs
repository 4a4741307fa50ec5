//! Reads environment variables. All problems are collected, so that one error names them all.

use std::fmt::{self, Display};
use std::ops::RangeInclusive;
use std::str::FromStr;

/// Every variable that is missing or unreadable, one text each.
#[derive(Debug, PartialEq, Eq)]
pub struct ConfigError(pub Vec<String>);

impl Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the environment is not complete: {}", self.0.join("; "))
    }
}

impl std::error::Error for ConfigError {}

/// The variables of a function, and what is wrong with those that were read so far.
pub(crate) struct Environment<'a> {
    variable: &'a dyn Fn(&str) -> Option<String>,
    problems: Vec<String>,
}

impl<'a> Environment<'a> {
    pub(crate) fn new(variable: &'a dyn Fn(&str) -> Option<String>) -> Self {
        Self { variable, problems: vec![] }
    }

    /// An empty value counts as not set.
    pub(crate) fn optional(&self, name: &str) -> Option<String> {
        (self.variable)(name).filter(|value| !value.is_empty())
    }

    pub(crate) fn required(&mut self, name: &str) -> String {
        self.optional(name).unwrap_or_else(|| {
            self.problem(format!("{name} is not set"));
            String::new()
        })
    }

    pub(crate) fn number<T>(&mut self, name: &str, default: T, range: &RangeInclusive<T>) -> T
    where
        T: FromStr + PartialOrd + Display,
    {
        let Some(value) = self.optional(name) else { return default };
        value.parse().ok().filter(|number| range.contains(number)).unwrap_or_else(|| {
            self.problem(format!("{name} is not a whole number from {} to {}", range.start(), range.end()));
            default
        })
    }

    pub(crate) fn problem(&mut self, problem: String) {
        self.problems.push(problem);
    }

    /// The value, unless an error was made of the variable `name`.
    pub(crate) fn check<T>(&mut self, name: &str, result: Result<T, impl Display>) -> Option<T> {
        result.map_err(|error| self.problem(format!("{name}: {error}"))).ok()
    }

    /// The configuration, if there is no problem with any variable. It is `None` only after a problem.
    pub(crate) fn finish<T>(self, config: Option<T>) -> Result<T, ConfigError> {
        config.filter(|_| self.problems.is_empty()).ok_or(ConfigError(self.problems))
    }
}
