//! How to run the local stack.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;

use clientele_model::Provider;

use super::list_apis::ListApiOptions;
use super::log::LogOutput;
use crate::events::Case;
use crate::hosts::Host;
use crate::template::TemplateSource;

/// How to run the local stack.
#[derive(Clone, Debug)]
pub struct StackOptions {
    /// The address to listen on.
    pub listen: IpAddr,
    /// The gateway's port; 0 for any free port.
    pub port: u16,
    /// DynamoDB's port; 0 for any free port.
    pub dynamodb_port: u16,
    /// SQS's port; 0 for any free port.
    pub sqs_port: u16,
    /// The admin port; 0 for any free port.
    pub admin_port: u16,
    /// Hosts under which DynamoDB, SQS and the admin port can be used in addition to those of this machine.
    pub allow_hosts: Vec<Host>,
    /// The folder that keeps table and queues between runs; `None` keeps them in memory.
    pub data_dir: Option<PathBuf>,
    /// The template.
    pub template: TemplateSource,
    /// The events that the admin port offers to send.
    pub cases: Vec<Case>,
    /// The name of a queue to create, to which every change is sent, as to the target of a rule.
    pub changes_queue: Option<String>,
    /// How the stand-ins of the list APIs behave.
    pub list_apis: ListApiOptions,
    /// Where the log lines of the functions go.
    pub log: LogOutput,
    /// Values of the template's parameters that replace their defaults.
    pub parameters: BTreeMap<&'static str, String>,
    /// Environment variables that replace those of the template, by function.
    pub overrides: BTreeMap<&'static str, BTreeMap<String, String>>,
}

impl StackOptions {
    /// Everything in memory, on free ports of 127.0.0.1, without background work.
    #[must_use]
    pub fn ephemeral(template: impl Into<TemplateSource>) -> Self {
        Self {
            listen: [127, 0, 0, 1].into(),
            port: 0,
            dynamodb_port: 0,
            sqs_port: 0,
            admin_port: 0,
            allow_hosts: vec![],
            data_dir: None,
            template: template.into(),
            cases: vec![],
            changes_queue: None,
            list_apis: ListApiOptions::default(),
            log: LogOutput::Nothing,
            parameters: BTreeMap::new(),
            overrides: BTreeMap::new(),
        }
    }

    /// Sets an environment variable of a provider's function.
    pub fn set(&mut self, provider: &Provider, variable: &str, value: String) {
        self.set_of(provider.name, variable, value);
    }

    /// Sets an environment variable of a function.
    pub fn set_of(&mut self, function: &'static str, variable: &str, value: String) {
        self.overrides.entry(function).or_default().insert(variable.to_owned(), value);
    }
}
